//! How far the capacities that sizing predicts are from those that were measured: workloads and shapes, recorded
//! measurements, predictions from the history of another shape, published formulas beside them, and the report.
//!
//! Pure: `benchmark_lab` makes the measurements (`kgen bench size`).

mod formula;
mod report;
mod scatter;
mod score;
#[cfg(test)]
mod tests;
mod workload;

pub use formula::FORMULAS;
pub use report::markdown;
pub use score::{PredictionScores, score};
pub use workload::{LINGER_MS, WORKLOADS, Workload, find};

use serde::{Deserialize, Serialize};

use crate::{
    capacity::{Found, Trial},
    run::{Event, Run},
    sizing::Shape,
};

/// The name of the result that a run's record has its [`Truth`] in.
pub const TRUTH: &str = "capacity_truth";

/// What is true of a recorded measurement: a workload on a shape, the capacity that was found, and where in the run the
/// histories are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// The workload's name.
    pub workload: String,
    pub shape: Shape,
    /// N of "scale 1:N".
    pub lab_scale: f64,
    pub found: Found,
    pub trials: Vec<Trial>,
    /// Loads of a third to two thirds of the capacity: each history, and the parts of the run that are of it. Empty where no
    /// capacity was found.
    pub histories: Vec<Vec<Span>>,
}

/// A part of a run, ms since the epoch: from the first to before the second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Span {
    pub from_ms: i64,
    pub until_ms: i64,
    /// How many times as much CPU time brokers took for their work as they usually take on the machine, if that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowdown: Option<f64>,
}

impl Truth {
    /// What its run and its packed file are named after.
    pub fn name(&self) -> String {
        format!("{}-{}x{}", self.workload, self.shape.brokers, self.shape.broker_type)
    }
}

impl Span {
    fn contains(&self, at_ms: i64) -> bool {
        (self.from_ms..self.until_ms).contains(&at_ms)
    }
}

/// What a run of the benchmark measured; `None` for any other run.
pub fn truth_of(run: &Run) -> Option<Truth> {
    run.entries.iter().rev().find_map(|entry| match &entry.event {
        Event::Result(named) if named.name == TRUTH => serde_json::from_value(named.value.clone()).ok(),
        _ => None,
    })
}
