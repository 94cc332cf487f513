//! The datapoints of the namespace `AWS/Kafka` of one region, in memory.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use super::Statistic;

/// Datapoints that a series keeps: twelve hours of minutes.
const DATAPOINTS_KEPT: usize = 720;

/// Series of one region at most; what comes beyond them is left out, and said.
pub const MOST_SERIES: usize = 60_000;

/// A series without a datapoint for so many periods is no longer listed (CloudWatch: two weeks).
const LISTED_PERIODS: i64 = 720;

/// How datapoints come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// What a datapoint covers: 60 s on MSK, shorter for tests.
    pub period: Duration,
    /// How long after the end of its period a datapoint is there for clients.
    pub delay: Duration,
}

impl Timing {
    pub fn period_ms(&self) -> i64 {
        self.period.as_millis() as i64
    }

    /// Datapoints from this time on are not there for clients yet.
    pub fn hidden_from_ms(&self, now_ms: i64) -> i64 {
        now_ms - self.period_ms() - self.delay.as_millis() as i64 + 1
    }
}

/// A metric under its dimensions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesId {
    pub metric: String,
    /// Name and value, by name.
    pub dimensions: BTreeMap<String, String>,
}

impl SeriesId {
    pub fn new<'a>(metric: &str, dimensions: impl IntoIterator<Item = (&'a str, String)>) -> SeriesId {
        let dimensions = dimensions.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        SeriesId { metric: metric.to_owned(), dimensions }
    }
}

/// What a publisher adds: the values of one period.
#[derive(Debug, Clone, PartialEq)]
pub struct Datapoint {
    pub id: SeriesId,
    /// As CloudWatch spells it.
    pub unit: &'static str,
    /// The start of the period, ms since the epoch.
    pub at_ms: i64,
    /// One for each part that published, such as a network thread; never empty.
    pub values: Vec<f64>,
}

#[derive(Debug, Default)]
struct Series {
    unit: &'static str,
    points: VecDeque<(i64, Box<[f64]>)>,
}

/// The series of a region.
#[derive(Debug, Default)]
pub struct Store {
    series: BTreeMap<SeriesId, Series>,
}

impl Store {
    /// Adds datapoints, each series' oldest first. Returns how many series were left out because there are too many.
    pub fn add(&mut self, datapoints: Vec<Datapoint>) -> usize {
        let mut left_out = BTreeSet::new();
        for Datapoint { id, unit, at_ms, values } in datapoints {
            if self.series.len() >= MOST_SERIES && !self.series.contains_key(&id) {
                left_out.insert(id);
                continue;
            }
            let series = self.series.entry(id).or_default();
            series.unit = unit;
            match series.points.back_mut() {
                // Brokers publish a cluster's metric each on its own.
                Some((last, there)) if *last == at_ms => *there = [&there[..], &values].concat().into(),
                _ => series.points.push_back((at_ms, values.into())),
            }
            if series.points.len() > DATAPOINTS_KEPT {
                series.points.pop_front();
            }
        }
        left_out.len()
    }

    /// Forgets every series of a cluster.
    pub fn forget(&mut self, cluster: &str) {
        self.series.retain(|id, _| id.dimensions.get("Cluster Name").is_none_or(|name| name != cluster));
    }

    /// The values of `id` from `from_ms` to before `to_ms`.
    pub fn between(&self, id: &SeriesId, from_ms: i64, to_ms: i64) -> Vec<f64> {
        self.points(id, from_ms, to_ms).flat_map(|(_, values)| values.iter().copied()).collect()
    }

    fn points(&self, id: &SeriesId, from_ms: i64, to_ms: i64) -> impl Iterator<Item = &(i64, Box<[f64]>)> {
        let points = self.series.get(id).map(|series| &series.points);
        let points = points.into_iter().flat_map(move |points| {
            let first = points.partition_point(|(at, _)| *at < from_ms);
            points.range(first..)
        });
        points.take_while(move |(at, _)| *at < to_ms)
    }

    /// The statistic of `id` over each period of `period_ms` from `from_ms` to before `to_ms` that has data, oldest first.
    /// Periods begin at multiples of their length.
    pub fn statistics(
        &self,
        id: &SeriesId,
        statistic: Statistic,
        (from_ms, to_ms): (i64, i64),
        period_ms: i64,
    ) -> Vec<(i64, f64)> {
        let mut periods: Vec<(i64, Vec<f64>)> = Vec::new();
        for (at, values) in self.points(id, from_ms, to_ms) {
            let begin = at - at.rem_euclid(period_ms);
            match periods.last_mut() {
                Some((last, all)) if *last == begin => all.extend_from_slice(values),
                _ => periods.push((begin, values.to_vec())),
            }
        }
        periods.into_iter().filter_map(|(at, values)| Some((at, statistic.of(&values)?))).collect()
    }

    pub fn unit(&self, id: &SeriesId) -> Option<&'static str> {
        self.series.get(id).map(|series| series.unit)
    }

    /// Every series with a datapoint before `to_ms` that is recent enough to be listed, once.
    pub fn list(&self, to_ms: i64, timing: Timing) -> impl Iterator<Item = (&SeriesId, i64)> {
        let oldest = to_ms - LISTED_PERIODS * timing.period_ms();
        self.series.iter().filter_map(move |(id, series)| {
            let newest = series.points.iter().rev().map(|(at, _)| *at).find(|at| *at < to_ms)?;
            (newest >= oldest).then_some((id, newest))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(broker: &str) -> SeriesId {
        SeriesId::new("CpuUser", [("Cluster Name", "demo".to_owned()), ("Broker ID", broker.to_owned())])
    }

    fn point(broker: &str, at_ms: i64, values: &[f64]) -> Datapoint {
        Datapoint { id: id(broker), unit: "Percent", at_ms, values: values.to_vec() }
    }

    #[test]
    fn a_statistic_is_of_all_values_of_its_period() {
        let mut store = Store::default();
        store.add(vec![point("1", 0, &[1.0, 3.0]), point("1", 60_000, &[5.0]), point("1", 180_000, &[7.0])]);
        store.add(vec![point("1", 180_000, &[9.0])]);
        for (period, statistic, expected) in [
            (60_000, Statistic::Average, vec![(0, 2.0), (60_000, 5.0), (180_000, 8.0)]),
            (120_000, Statistic::Sum, vec![(0, 9.0), (120_000, 16.0)]),
            (300_000, Statistic::SampleCount, vec![(0, 5.0)]),
        ] {
            assert_eq!(store.statistics(&id("1"), statistic, (0, 300_000), period), expected, "{period}");
        }
        assert_eq!(store.statistics(&id("1"), Statistic::Sum, (60_000, 180_000), 60_000), [(60_000, 5.0)]);
        assert_eq!(store.between(&id("2"), 0, 300_000), Vec::<f64>::new());
    }

    #[test]
    fn a_series_is_listed_once_and_memory_is_bounded() {
        let timing = Timing { period: Duration::from_secs(60), delay: Duration::from_secs(3) };
        let mut store = Store::default();
        for minute in 0..1000 {
            store.add(vec![point("1", minute * 60_000, &[1.0])]);
        }
        store.add(vec![point("2", 0, &[1.0])]);
        let now = 1000 * 60_000;
        let listed: Vec<_> = store.list(now, timing).collect();
        assert_eq!(listed, [(&id("1"), 999 * 60_000)]);
        assert_eq!(store.series[&id("1")].points.len(), DATAPOINTS_KEPT);
        assert_eq!(store.list(60_000, timing).count(), 1, "what is newer than asked for is not known yet");
        store.forget("demo");
        assert_eq!(store.list(now, timing).count(), 0);
    }

    #[test]
    fn a_datapoint_is_hidden_until_its_period_and_the_delay_are_over() {
        let timing = Timing { period: Duration::from_secs(60), delay: Duration::from_secs(3) };
        assert!(60_000 >= timing.hidden_from_ms(122_999) && 60_000 < timing.hidden_from_ms(123_000));
    }
}
