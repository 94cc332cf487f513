//! How kgen ends: the outcome of a command with its exit code, and refusals, which happen before anything is touched.

/// How a command ended that did what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Differs,
    Lacking,
    Changes,
    Unhealthy,
    Inconclusive,
    RecordsLost,
    Missed,
    Interrupted,
    /// As a program that ran in its place, with this exit code.
    Program(u8),
}

impl Outcome {
    pub fn code(self) -> u8 {
        match self {
            Outcome::Done => 0,
            Outcome::Differs | Outcome::Lacking => 1,
            Outcome::Changes => 2,
            Outcome::Unhealthy => 3,
            Outcome::Inconclusive => 4,
            Outcome::RecordsLost => 5,
            Outcome::Missed => 6,
            Outcome::Interrupted => 130,
            Outcome::Program(code) => code,
        }
    }

    /// The name in records of runs.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Differs => "differs",
            Outcome::Lacking => "lacking",
            Outcome::Changes => "changes",
            Outcome::Unhealthy => "unhealthy",
            Outcome::Inconclusive => "inconclusive",
            Outcome::RecordsLost => "records_lost",
            Outcome::Missed => "missed",
            Outcome::Interrupted => "interrupted",
            Outcome::Program(_) => "ended",
        }
    }
}

/// Marks an error as a refusal: bad input or a missing prerequisite, and nothing was changed. Exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub struct Refused(anyhow::Error);

/// `error` as a refusal.
pub fn refused(error: impl Into<anyhow::Error>) -> anyhow::Error {
    Refused(error.into()).into()
}

/// `error` as a refusal, if it is that of a file which is not to be replaced or read: nothing was begun then.
pub fn refused_if_not_begun(error: anyhow::Error) -> anyhow::Error {
    if crate::files::is_refusal(&error) { refused(error) } else { error }
}
