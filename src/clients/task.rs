//! What machines are given, and what comes back of it.

use std::time::SystemTime;

/// A machine and its part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    pub machine: String,
    pub part: u16,
}

/// Why scripts are ended from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    Interrupt,
    TimeOut,
}

/// How a script ended on a machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    pub machine: String,
    /// `None` when a signal ended it, or nobody knows.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// Why its end is not known.
    pub lost: Option<String>,
    /// It was ended from here before it ended by itself, and why.
    pub ended_by: Option<EndedBy>,
    /// When it was asked, and when its answer was known; ms since the epoch, by this machine's clock.
    pub asked_ms: f64,
    pub answered_ms: f64,
}

/// How far all of them are.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// Systems Manager tells the states of commands only, and their output at the end.
    States { running: usize, ended: usize, of: usize },
    /// The newest second of each machine, added up.
    Second { machines: usize, at_s: f64, offered_per_s: f64, acknowledged_per_s: f64 },
}

/// Milliseconds since the epoch.
pub fn now_ms() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1000.0
}
