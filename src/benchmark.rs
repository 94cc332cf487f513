//! How well a diagnosis names what is wrong: scenarios and their variations, recorded runs judged as a live watcher would,
//! the baselines beside it, and the report.
//!
//! Pure: `commands/bench` (`kgen bench`) makes the runs and reads their records. Timings of kgen's own code are in `benches/`.

pub mod baselines;
mod judge;
pub mod minutes;
pub mod outside;
mod report;
mod scenario;
mod score;
#[cfg(test)]
mod tests;
mod variation;
#[cfg(test)]
mod without;

pub use judge::{Judged, LOOK_BACK, answer, truth_of};
pub use report::markdown;
pub use scenario::{Kind, Names, Part, SCENARIOS, Scenario, find};
pub use score::{Scores, View, judge_all, judge_in, score};
pub use variation::Variation;

use serde::{Deserialize, Serialize};

use crate::sample::BrokerId;

/// The name of the result that a run's record has its truth in.
pub const TRUTH: &str = "truth";

/// What is true of a recorded run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// The scenario's name.
    pub scenario: String,
    pub variation: Variation,
    /// When the fault was made whole, and when its end began, ms since the epoch; `None` for a run without a fault.
    pub on_ms: Option<i64>,
    pub off_ms: Option<i64>,
    /// When it was requested: what is seen from then to `on_ms` is of a fault that is half made, and is not judged.
    pub asked_ms: Option<i64>,
    /// The broker that was hit.
    pub broker: Option<BrokerId>,
    /// Partitions that took more than twice an even share, by their end offsets.
    #[serde(default)]
    pub partitions: Vec<String>,
    #[serde(default)]
    pub groups: Vec<String>,
    /// CPU pressure of the machine while the run was recorded from outside, percent: the mean over its datapoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure_percent: Option<f64>,
}
