//! Times in HDR histograms: per interval and for the whole run.

use std::{fmt, hint::black_box};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest time told apart: one hour, µs.
const MAX_US: u64 = 3_600_000_000;

/// One kind of time, µs with three significant digits.
#[derive(Clone, PartialEq)]
pub struct Times(Histogram<u64>);

/// Without its 23,000 buckets.
impl fmt::Debug for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Times({} up to {} µs)", self.0.len(), self.0.max())
    }
}

impl Default for Times {
    fn default() -> Self {
        let mut times = black_box(Histogram::new_with_bounds(1, MAX_US, 3).expect("the bounds are constants"));
        // Written once as a whole, so that memory does not grow with each time that is the first of its length.
        times.reset();
        Times(times)
    }
}

impl Times {
    /// Adds a time in nanoseconds; more than an hour counts as one hour.
    pub fn record_ns(&mut self, ns: u64) {
        self.0.saturating_record((ns / 1000).max(1));
    }

    /// A histogram as read; `None` if its bounds are others than these.
    pub fn of(histogram: Histogram<u64>) -> Option<Times> {
        let fits = histogram.low() == 1 && histogram.high() == MAX_US && histogram.sigfig() == 3;
        fits.then_some(Times(histogram))
    }

    pub fn add(&mut self, other: &Times) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time that `quantile` (0 to 1) of all did not exceed, ms; `None` when there is none.
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.value_at_quantile(quantile) as f64 / 1000.0)
    }

    /// `None` when nothing was recorded.
    pub fn quantiles(&self) -> Option<Quantiles> {
        let at = |quantile| self.quantile_ms(quantile);
        Some(Quantiles {
            mean_ms: (self.0.mean()).round() / 1000.0,
            p50_ms: at(0.5)?,
            p90_ms: at(0.9)?,
            p95_ms: at(0.95)?,
            p99_ms: at(0.99)?,
            p99_9_ms: at(0.999)?,
            p99_99_ms: at(0.9999)?,
            max_ms: self.0.max() as f64 / 1000.0,
        })
    }

    pub fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }
}

/// Quantiles of one kind of time, ms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Quantiles {
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub p99_9_ms: f64,
    pub p99_99_ms: f64,
    pub max_ms: f64,
}

#[cfg(test)]
pub mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::pacer::{Next, Pacer, Rate};

    /// All times of a log, µs, as the hdrhistogram crate reads it.
    pub fn logged(log: &[u8]) -> Histogram<u64> {
        use base64::Engine as _;
        use hdrhistogram::serialization::{
            Deserializer,
            interval_log::{IntervalLogIterator, LogEntry},
        };
        let mut whole = Histogram::new_with_bounds(1, MAX_US, 3).unwrap();
        let (mut deserializer, mut starts, mut ends) = (Deserializer::new(), 0, Duration::ZERO);
        for entry in IntervalLogIterator::new(log) {
            match entry.expect("every line of the log is one") {
                LogEntry::StartTime(_) | LogEntry::BaseTime(_) => starts += 1,
                LogEntry::Interval(interval) => {
                    // One after the other, without a gap of more than the rounding.
                    assert!(interval.start_timestamp().abs_diff(ends) < Duration::from_millis(5), "{interval:?}");
                    ends = interval.start_timestamp() + interval.duration();
                    let text = base64::engine::general_purpose::STANDARD.decode(interval.encoded_histogram()).unwrap();
                    let times: Histogram<u64> = deserializer.deserialize(&mut &text[..]).unwrap();
                    // The column is in ms.
                    assert!((interval.max() - times.max() as f64 / 1000.0).abs() < 0.001, "{interval:?}");
                    whole.add(times).unwrap();
                }
            }
        }
        assert_eq!(starts, 2);
        whole
    }

    /// A broker that answers at once, except that it stands still from 2 s to 7 s of a run of 10 s at 100/s.
    #[test]
    fn a_stall_weighs_on_every_record_that_was_due_in_it() {
        let mut pacer = Pacer::new(Rate::Constant(100.0), Duration::from_secs(10), 0, 1, u64::MAX, 1);
        let (mut response, mut now) = (Times::default(), 0);
        loop {
            match pacer.next(now) {
                Next::Due(due) => {
                    if (2_000_000_000..7_000_000_000).contains(&now) {
                        now = 7_000_000_000; // the send blocks
                    }
                    pacer.sent();
                    response.record_ns(now + 1_000_000 - due);
                }
                Next::At(due) => now = due,
                Next::Over => break,
            }
        }
        let quantiles = response.quantiles().unwrap();
        assert_eq!(response.count(), 1000);
        // Half of the records were due in the stall, their times spread evenly up to 5 s.
        assert!((4990.0..5020.0).contains(&quantiles.max_ms), "{quantiles:?}");
        assert!((4870.0..4930.0).contains(&quantiles.p99_ms), "{quantiles:?}");
        assert!((3950.0..4050.0).contains(&quantiles.p90_ms), "{quantiles:?}");
        assert!(quantiles.p50_ms < 30.0, "{quantiles:?}");
    }
}
