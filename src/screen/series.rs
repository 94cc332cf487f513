//! The data of the charts over time. Bounded: in a long run, old points are merged, keeping the highest values.

use crate::sample::{BrokerSample, LoadSample};

/// What is drawn of a broker, or of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    Cpu,
    Held,
    Memory,
    Heap,
    Queue,
    Local,
    Remote,
    Send,
    Total,
    BytesIn,
    BytesOut,
    UnderReplicated,
    Offered,
    Acknowledged,
    P50,
    P99,
}

const METRICS: usize = Metric::P99 as usize + 1;

/// Points that are kept of one series.
const POINTS: usize = 2048;

/// Values of one moment, `NaN` where there was none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Seconds since the run began.
    pub at: f64,
    values: [f32; METRICS],
}

impl Point {
    pub fn new(at: f64) -> Point {
        Point { at, values: [f32::NAN; METRICS] }
    }

    pub fn of_broker(at: f64, broker: &BrokerSample) -> Point {
        let mut point = Point::new(at);
        point.set(Metric::Cpu, broker.cpu_percent());
        point.set(Metric::Held, broker.cpu_throttled_percent);
        point.set(Metric::Memory, broker.memory_percent());
        point.set(Metric::Heap, broker.heap_after_gc_percent.or(broker.heap_used_percent));
        if let Some(produce) = &broker.produce {
            point.set(Metric::Queue, produce.queue_ms);
            point.set(Metric::Local, produce.local_ms);
            point.set(Metric::Remote, produce.remote_ms);
            point.set(Metric::Send, produce.send_ms);
            point.set(Metric::Total, Some(produce.total_ms));
        }
        point.set(Metric::BytesIn, broker.bytes_in_per_s);
        point.set(Metric::BytesOut, broker.bytes_out_per_s);
        point.set(Metric::UnderReplicated, broker.under_replicated_partitions.map(|count| count as f64));
        point
    }

    pub fn of_load(at: f64, load: &LoadSample) -> Point {
        let mut point = Point::new(at);
        point.set(Metric::Offered, Some(load.offered_per_s));
        point.set(Metric::Acknowledged, Some(load.acknowledged_per_s));
        point.set(Metric::P50, load.p50_ms);
        point.set(Metric::P99, load.p99_ms);
        point
    }

    /// All brokers as one: traffic and under-replicated partitions added up, of the rest the highest; where produce
    /// requests spend their time is taken whole from the broker where they take longest.
    pub fn of_all(at: f64, brokers: &[Point]) -> Point {
        let mut all = Point::new(at);
        for metric in [Metric::Cpu, Metric::Held, Metric::Memory, Metric::Heap] {
            all.set(metric, brokers.iter().filter_map(|point| point.get(metric)).max_by(f64::total_cmp));
        }
        for metric in [Metric::BytesIn, Metric::BytesOut, Metric::UnderReplicated] {
            let values = || brokers.iter().filter_map(|point| point.get(metric));
            all.set(metric, values().next().map(|_| values().sum()));
        }
        let total = |point: &Point| point.get(Metric::Total).unwrap_or(-1.0);
        if let Some(slowest) = brokers.iter().max_by(|a, b| total(a).total_cmp(&total(b))) {
            for metric in [Metric::Queue, Metric::Local, Metric::Remote, Metric::Send, Metric::Total] {
                all.set(metric, slowest.get(metric));
            }
        }
        all
    }

    pub fn get(&self, metric: Metric) -> Option<f64> {
        let value = self.values[metric as usize];
        (!value.is_nan()).then_some(f64::from(value))
    }

    fn set(&mut self, metric: Metric, value: Option<f64>) {
        self.values[metric as usize] = value.map_or(f32::NAN, |value| value as f32);
    }

    /// The later of two moments with the higher of their values.
    fn merged(&self, later: &Point) -> Point {
        let mut merged = *later;
        for (value, earlier) in merged.values.iter_mut().zip(self.values) {
            *value = value.max(earlier);
        }
        merged
    }
}

/// Points in the order of their times.
#[derive(Debug, Clone, Default)]
pub struct Series(Vec<Point>);

impl Series {
    pub fn push(&mut self, point: Point) {
        if self.0.len() >= POINTS {
            let old = self.0.drain(..POINTS / 2).collect::<Vec<_>>();
            let merged = old.chunks(2).map(|pair| pair.iter().skip(1).fold(pair[0], |a, b| a.merged(b)));
            self.0.splice(0..0, merged);
        }
        self.0.push(point);
    }

    pub fn points(&self) -> &[Point] {
        &self.0
    }

    pub fn has(&self, metric: Metric) -> bool {
        self.0.iter().any(|point| point.get(metric).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_series_stays_short_and_keeps_its_peak() {
        let mut series = Series::default();
        for i in 0..100_000 {
            let mut point = Point::new(f64::from(i));
            point.set(Metric::Cpu, Some(if i == 1001 { 99.0 } else { 10.0 }));
            series.push(point);
        }
        assert!(series.points().len() <= POINTS);
        assert!(series.points().is_sorted_by(|a, b| a.at < b.at));
        let peak = series.points().iter().filter_map(|point| point.get(Metric::Cpu)).max_by(f64::total_cmp);
        assert_eq!(peak, Some(99.0));
        assert!(!series.has(Metric::Held));
    }

    #[test]
    fn all_brokers_are_the_highest_the_sum_and_the_slowest_broker_whole() {
        let point = |cpu: f64, bytes: f64, times: Option<(f64, f64)>| {
            let mut point = Point::new(1.0);
            point.set(Metric::Cpu, Some(cpu));
            point.set(Metric::BytesIn, Some(bytes));
            point.set(Metric::Queue, times.map(|times| times.0));
            point.set(Metric::Total, times.map(|times| times.1));
            point
        };
        let all = Point::of_all(1.0, &[point(10.0, 5.0, Some((9.0, 10.0))), point(50.0, 7.0, Some((1.0, 20.0)))]);
        let values = [Metric::Cpu, Metric::BytesIn, Metric::Queue, Metric::Total, Metric::Held].map(|m| all.get(m));
        assert_eq!(values, [Some(50.0), Some(12.0), Some(1.0), Some(20.0), None]);
    }
}
