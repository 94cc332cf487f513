//! The record of a run: `.kgen/runs/ID/run.jsonl`, one JSON object a line, written while it happens.
//!
//! The first line is the [`Head`], every other an [`Entry`]. The [`Writer`] appends each line with one write, so a kgen
//! that is killed loses nothing that was told before; a line torn by a crash is left out by the reader ([`Run`]).

mod entry;
mod environment;
mod list;
mod reader;
mod writer;

pub use entry::{Covered, End, Entry, Event, Fix, Found, LoadSecond, Mark, Observed};
pub use environment::{Environment, masked};
pub use list::{Listed, find, find_own, list};
pub use reader::{ReadError, Run, SAMPLES_ID};
pub use writer::{Start, Writer, new_id};

use serde::{Deserialize, Serialize};

/// Names the form of a run's first line and of what follows it.
pub const SCHEMA: &str = "kgen.run/1";

/// The file in a run's folder.
pub const FILE: &str = "run.jsonl";

/// Bytes of an id at most.
const ID_MAX: usize = 128;

/// The first line of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    pub schema: String,
    /// The name of the run's folder.
    pub id: String,
    /// `demo`, `produce`, `watch`, `resize`, ….
    pub command: String,
    /// The command line after `kgen`; values that look like secrets are masked.
    pub args: Vec<String>,
    /// RFC 3339, to the millisecond.
    pub started: jiff::Timestamp,
    pub environment: Environment,
}

impl Head {
    /// Whether the id is one that kgen could have given, so that it may be in commands that kgen advises.
    pub fn has_plain_id(&self) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
        (1..=ID_MAX).contains(&self.id.len()) && self.id.bytes().all(plain) && !self.id.starts_with(['-', '.'])
    }
}

/// The time of a sample, ms since the epoch; now, where no clock has shown such a time.
pub fn at(ms: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(ms).unwrap_or_else(|_| now())
}

/// The time now, to the millisecond.
pub fn now() -> jiff::Timestamp {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
