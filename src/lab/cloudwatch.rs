//! CloudWatch's namespace `AWS/Kafka`: what MSK would publish of the lab's brokers, under MSK's names, units and dimensions,
//! and the calls that read it.

mod answer;
mod image;
mod look;
mod publish;
mod query;
mod statistic;
mod store;
mod table;
mod window;
pub mod wire;

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use parking_lot::Mutex;

pub use answer::{Reply, reply};
pub use look::Looker;
pub use publish::{Publisher, publish};
pub use query::Query;
pub use statistic::Statistic;
pub use store::{Datapoint, MOST_SERIES, SeriesId, Store, Timing};

/// CloudWatch of every region.
#[derive(Debug)]
pub struct Metrics {
    pub timing: Timing,
    regions: Mutex<HashMap<String, Arc<Mutex<Store>>>>,
}

impl Metrics {
    pub fn new(timing: Timing) -> Metrics {
        Metrics { timing, regions: Mutex::default() }
    }

    /// CloudWatch as MSK uses it.
    #[cfg(any(test, fuzzing))]
    pub fn of_minutes() -> Metrics {
        let second = std::time::Duration::from_secs(1);
        Metrics::new(Timing { period: second * 60, delay: second * 3 })
    }

    /// The series of one region.
    pub fn region(&self, region: &str) -> Arc<Mutex<Store>> {
        let mut regions = self.regions.lock();
        regions.entry(region.to_owned()).or_default().clone()
    }
}

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
