//! The recorded view: samples of a run, or of a file that `kgen watch --json` wrote.

use std::{
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    diagnose::Context,
    files::bounded,
    run::{Observed, ReadError, Run, SAMPLES_ID},
    sample::Sample,
};

/// Of a file of samples, bytes.
const LONGEST_LINE: u64 = 8 << 20;

/// One line of `kgen watch --json`; each stands alone.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Line<'a> {
    schema: &'static str,
    #[serde(flatten)]
    observed: &'a Observed,
}

impl Line<'_> {
    pub const SCHEMA: &'static str = "kgen.sample/1";

    pub fn of(observed: &Observed) -> Line<'_> {
        Line { schema: Line::SCHEMA, observed }
    }
}

/// What was recorded of a cluster.
#[derive(Debug)]
pub struct Recorded {
    /// The cluster as it was at the last sample.
    pub context: Context,
    /// Oldest first.
    pub samples: Vec<Sample>,
    /// When the broker type of the last sample began, ms since the epoch; `None` if there was no other before.
    pub since_ms: Option<i64>,
}

/// Why a record cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    #[error("reading {} (`kgen watch --json` writes such a file)", path.display())]
    Missing { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Run(ReadError),
    #[error("reading {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}, line {line}", path.display())]
    Line { path: PathBuf, line: usize, source: serde_json::Error },
    #[error("{}, line {line}: schema is {found}, not {}", path.display(), Line::SCHEMA)]
    Schema { path: PathBuf, line: usize, found: String },
    #[error("{} holds no sample (`kgen watch --json` writes them)", .0.display())]
    Empty(PathBuf),
}

/// Reads the samples in `path`. Every context in it is passed to `seen` first, so that names in it are known before any
/// other text of the file is used.
///
/// # Errors
/// It holds no samples that can be read.
pub fn recorded(path: &Path, seen: &mut dyn FnMut(&Context)) -> Result<Recorded, RecordedError> {
    match Run::read(path) {
        Ok(run) if run.head.id != SAMPLES_ID => {
            if let Some(context) = run.cluster().cloned() {
                let named = run.head.environment.cluster.clone();
                named.into_iter().for_each(|cluster| seen(&Context { cluster, ..Context::default() }));
                run.samples().for_each(|observed| seen(&observed.cluster));
                let mut since = Since::default();
                run.samples().for_each(|observed| since.see(observed));
                let samples = run.samples().map(|observed| observed.sample.clone()).collect();
                return Ok(Recorded { context, samples, since_ms: since.ms });
            }
        }
        Ok(_) | Err(ReadError::NoRun(_)) => {}
        Err(error @ (ReadError::TooLarge { .. } | ReadError::Newer { .. })) => {
            return Err(RecordedError::Run(error));
        }
        Err(ReadError::Io { path, source }) => return Err(RecordedError::Missing { path, source }),
    }
    lines(path, seen)
}

/// The samples of a file with a sample a line.
fn lines(path: &Path, seen: &mut dyn FnMut(&Context)) -> Result<Recorded, RecordedError> {
    #[derive(Deserialize)]
    struct Named {
        schema: String,
    }
    let io = |source| RecordedError::Io { path: path.to_owned(), source };
    let file = bounded::open(path).map_err(io)?;
    let (mut context, mut samples, mut since) = (None, Vec::new(), Since::default());
    // As many as Run::read has found to fit.
    let mut lines = bounded::Lines::new(BufReader::new(file), LONGEST_LINE, u64::MAX);
    while let Some((number, line)) = lines.next_line().map_err(io)? {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let wrong = |source| RecordedError::Line { path: path.to_owned(), line: number, source };
        let Named { schema } = serde_json::from_slice(line).map_err(wrong)?;
        if schema != Line::SCHEMA {
            return Err(RecordedError::Schema { path: path.to_owned(), line: number, found: schema });
        }
        // Twice, as a flattened map cannot have numbers as keys.
        let observed: Observed = serde_json::from_slice(line).map_err(wrong)?;
        seen(&observed.cluster);
        since.see(&observed);
        context = Some(observed.cluster);
        samples.push(observed.sample);
    }
    let context = context.ok_or_else(|| RecordedError::Empty(path.to_owned()))?;
    Ok(Recorded { context, samples, since_ms: since.ms })
}

/// When the present broker type began.
#[derive(Default)]
struct Since {
    broker_type: Option<String>,
    ms: Option<i64>,
}

impl Since {
    fn see(&mut self, observed: &Observed) {
        let Some(broker_type) = &observed.cluster.broker_type else { return };
        if self.broker_type.as_ref().is_some_and(|before| before != broker_type) {
            self.ms = Some(observed.sample.at_ms);
        }
        self.broker_type = Some(broker_type.clone());
    }
}
