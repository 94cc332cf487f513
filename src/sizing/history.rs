//! The minutes of a cluster: what came in and went out, and what CPU each broker used for it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Current, SizingError};
use crate::{
    sample::{BrokerId, BrokerSample, Sample},
    statistics::median,
};

/// Replication factor where no topic was seen: that of MSK's default configuration for three zones.
const USUAL_REPLICATION_FACTOR: f64 = 3.0;

pub const DAY_MS: i64 = 86_400_000;

/// CloudWatch keeps minutes for so long (CloudWatch User Guide, "Metrics retention"); older datapoints are maxima of five minutes,
/// in which CPU and traffic need not have been at their highest together.
const MINUTES_KEPT_MS: i64 = 15 * DAY_MS;

/// Loads are judged by their mean over so long, ms: the period of CloudWatch, and what AWS's figures are for. What is busier for
/// less than that waits in queues.
const PERIOD_MS: i64 = 60_000;

/// Part of the history that does not count: from the first to before the second, ms since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exclude {
    pub from_ms: i64,
    pub until_ms: i64,
}

/// One broker in one minute.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Point {
    /// vCPUs in use; `None` where the minute does not describe the present shape.
    pub vcpus: Option<f64>,
    /// From clients, bytes/s.
    pub bytes_in: f64,
    /// To clients, bytes/s.
    pub bytes_out: f64,
    /// From leaders on other brokers, bytes/s.
    pub replication_in: f64,
    /// Records/s from clients.
    pub messages: f64,
}

/// The cluster in one minute.
#[derive(Debug, Clone, PartialEq)]
pub struct Minute {
    pub at_ms: i64,
    pub brokers: Vec<Point>,
    /// Replicas over all brokers.
    pub partitions: Option<u64>,
    pub connections: Option<u64>,
    /// Bytes on all data volumes.
    pub disk_bytes: Option<f64>,
    /// Fullest volume, percent.
    pub disk_percent: Option<f64>,
    /// CPU of the busiest broker, percent.
    pub cpu_percent: Option<f64>,
    /// Fullest heap after a collection, percent.
    pub heap_percent: Option<f64>,
}

impl Minute {
    /// Sum over the brokers.
    pub fn total(&self, value: fn(&Point) -> f64) -> f64 {
        self.brokers.iter().map(value).sum()
    }

    /// Load of the busiest broker over the mean of all: leaders, or keys, are not spread evenly.
    fn skew(&self) -> f64 {
        let load = |point: &Point| point.bytes_in + point.bytes_out + point.replication_in;
        let mean = self.total(load) / self.brokers.len() as f64;
        let most = self.brokers.iter().map(load).fold(0.0, f64::max);
        if mean > 0.0 { most / mean } else { 1.0 }
    }
}

/// The highest minute values of the cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Peak {
    /// When most came in, ms since the epoch.
    pub at_ms: i64,
    /// From clients, bytes/s over all brokers.
    pub bytes_in_per_s: f64,
    /// To clients, bytes/s over all brokers.
    pub bytes_out_per_s: f64,
    pub messages_per_s: f64,
    /// CPU of the busiest broker, percent.
    pub cpu_percent: Option<f64>,
    pub disk_percent: Option<f64>,
    pub partitions: Option<u64>,
    pub connections: Option<u64>,
}

#[derive(Debug)]
pub struct History {
    /// Oldest first; only those in which every broker published.
    pub minutes: Vec<Minute>,
    /// What they are the means of: samples may be seconds apart.
    pub seen: Vec<Minute>,
    pub replication_factor: f64,
    /// Median over the minutes of the busiest broker's load over the mean.
    pub skew: f64,
    assumed_replication: bool,
    excluded: usize,
    incomplete: usize,
    /// When brokers that were not there at first published for the first time.
    added: Vec<(BrokerId, i64)>,
    /// Minutes of another broker type.
    of_other_type: usize,
}

impl History {
    pub fn new(current: &Current, samples: &[Sample], exclude: &[Exclude]) -> Result<History, SizingError> {
        let topics = samples.iter().rev().find(|sample| !sample.topics.is_empty());
        let seen_factor = topics.and_then(|sample| {
            let partitions = || sample.topics.values().flat_map(|topic| &topic.partitions);
            let replicas: usize = partitions().map(|partition| partition.replicas.len()).sum();
            (replicas > 0).then(|| replicas as f64 / partitions().count() as f64)
        });
        let replication_factor = seen_factor.unwrap_or(USUAL_REPLICATION_FACTOR.min(f64::from(current.brokers)));
        let counts =
            |sample: &&Sample| !exclude.iter().any(|span| (span.from_ms..span.until_ms).contains(&sample.at_ms));
        let counted: Vec<&Sample> = samples.iter().filter(counts).collect();
        let first = first_seen(&counted);
        let seen: Vec<Minute> =
            counted.iter().filter_map(|sample| minute(current, sample, &first, replication_factor)).collect();
        if seen.is_empty() {
            let is_excluded = counted.is_empty() && !samples.is_empty();
            return Err(if is_excluded { SizingError::AllExcluded } else { SizingError::NoHistory });
        }
        let minutes = means(&seen);
        let skew = median(minutes.iter().map(Minute::skew).collect()).unwrap_or(1.0).max(1.0);
        let start = seen[0].at_ms;
        let is_added = |(_, at_ms): &(BrokerId, i64)| *at_ms > start;
        let of_other_type = |minute: &&Minute| current.since_ms.is_some_and(|since| minute.at_ms < since);
        Ok(History {
            added: first.into_iter().filter(is_added).collect(),
            of_other_type: seen.iter().filter(of_other_type).count(),
            skew,
            replication_factor,
            assumed_replication: seen_factor.is_none(),
            excluded: samples.len() - counted.len(),
            incomplete: counted.len() - seen.len(),
            minutes,
            seen,
        })
    }

    pub fn days(&self) -> f64 {
        match (self.minutes.first(), self.minutes.last()) {
            (Some(first), Some(last)) => (last.at_ms - first.at_ms) as f64 / 86_400_000.0,
            _ => 0.0,
        }
    }

    /// Days (UTC) that have a minute that counts.
    pub fn days_with_data(&self) -> usize {
        self.minutes.iter().map(|minute| minute.at_ms.div_euclid(DAY_MS)).collect::<BTreeSet<_>>().len()
    }

    /// What each broker carried and the vCPUs that it used for it, minute by minute, where minutes are still kept; else in
    /// whatever datapoints there are.
    pub fn measured(&self, least: usize) -> Vec<(&Point, f64)> {
        let oldest = self.seen.last().map_or(0, |last| last.at_ms - MINUTES_KEPT_MS);
        let since = |from: i64| {
            let seen = self.seen.iter().filter(move |minute| minute.at_ms >= from);
            seen.flat_map(|minute| &minute.brokers).filter_map(|point| Some((point, point.vcpus?)))
        };
        let recent: Vec<(&Point, f64)> = since(oldest).collect();
        if recent.len() >= least { recent } else { since(i64::MIN).collect() }
    }

    pub fn peak(&self) -> Peak {
        let highest = |value: fn(&Minute) -> Option<f64>| self.minutes.iter().filter_map(value).reduce(f64::max);
        let total =
            |value: fn(&Point) -> f64| self.minutes.iter().map(|minute| minute.total(value)).fold(0.0, f64::max);
        let by_bytes = |a: &&Minute, b: &&Minute| a.total(|p| p.bytes_in).total_cmp(&b.total(|p| p.bytes_in));
        Peak {
            at_ms: self.minutes.iter().max_by(by_bytes).map_or(0, |minute| minute.at_ms),
            bytes_in_per_s: total(|point| point.bytes_in),
            bytes_out_per_s: total(|point| point.bytes_out),
            messages_per_s: total(|point| point.messages),
            cpu_percent: highest(|minute| minute.cpu_percent),
            disk_percent: highest(|minute| minute.disk_percent),
            partitions: self.minutes.iter().filter_map(|minute| minute.partitions).max(),
            connections: self.minutes.iter().filter_map(|minute| minute.connections).max(),
        }
    }

    /// What the history lacks.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.assumed_replication {
            notes.push(format!("no topic was seen: replication factor {} is assumed", self.replication_factor));
        }
        if self.excluded > 0 {
            notes.push(format!("excluded samples: {}", self.excluded));
        }
        if self.incomplete > 0 {
            notes.push(format!("samples without the traffic of every broker, which do not count: {}", self.incomplete));
        }
        let (span, with_data) = (self.days().ceil() as usize, self.days_with_data());
        if span > with_data + 1 {
            notes.push(format!("days without data: {} of {span}", span - with_data));
        }
        if self.of_other_type > 0 {
            notes.push(format!(
                "minutes of another broker type, which count for the load and not for what it costs: {}",
                self.of_other_type
            ));
        }
        if !self.added.is_empty() {
            let ids: Vec<String> = self.added.iter().map(|(id, _)| id.to_string()).collect();
            notes.push(format!("brokers that were added in the time that was read: {}", ids.join(", ")));
        }
        if self.skew > 1.3 {
            notes.push(format!(
                "the busiest broker carries {:.1} times the mean; other shapes are judged with that",
                self.skew
            ));
        }
        notes
    }
}

/// When each broker's traffic was seen for the first time: before, it was not there. Nobody adds a broker within a [`PERIOD_MS`] of the
/// start: it was there, and its traffic was not seen yet.
fn first_seen(samples: &[&Sample]) -> BTreeMap<BrokerId, i64> {
    let start = samples.first().map_or(0, |sample| sample.at_ms);
    let mut first = BTreeMap::new();
    for sample in samples {
        let since = if sample.at_ms - start < PERIOD_MS { start } else { sample.at_ms };
        for (id, _) in sample.brokers.iter().filter(|(_, broker)| traffic(broker).is_some()) {
            first.entry(*id).or_insert(since);
        }
    }
    first
}

fn traffic(broker: &BrokerSample) -> Option<(f64, f64)> {
    Some((broker.bytes_in_per_s?, broker.bytes_out_per_s?))
}

fn minute(
    current: &Current,
    sample: &Sample,
    first: &BTreeMap<BrokerId, i64>,
    replication_factor: f64,
) -> Option<Minute> {
    let of_type = current.since_ms.is_none_or(|since| sample.at_ms >= since);
    let is_there = |id: &BrokerId| first.get(id).is_none_or(|first| *first <= sample.at_ms);
    let brokers: Vec<&BrokerSample> =
        sample.brokers.iter().filter(|(id, _)| is_there(id)).map(|(_, broker)| broker).collect();
    let count = brokers.len() as f64;
    // A broker without traffic data is one that was not seen, not one without traffic.
    let traffic: Vec<(f64, f64)> = brokers.iter().map(|broker| traffic(broker)).collect::<Option<_>>()?;
    if traffic.is_empty() {
        return None;
    }
    let replicated = traffic.iter().map(|(bytes, _)| bytes).sum::<f64>() * (replication_factor - 1.0).max(0.0);
    let point = |(broker, (bytes_in, bytes_out)): (&&BrokerSample, &(f64, f64))| Point {
        vcpus: broker.cpu_percent().filter(|_| of_type).map(|cpu| cpu / 100.0 * current.vcpus),
        bytes_in: *bytes_in,
        bytes_out: *bytes_out,
        replication_in: broker.replication_bytes_in_per_s.unwrap_or(replicated / count),
        messages: broker.messages_in_per_s.unwrap_or_default(),
    };
    let volume = f64::from(current.volume_gib.unwrap_or_default()) * f64::from(1u32 << 30);
    let sum = |value: fn(&BrokerSample) -> Option<u64>| brokers.iter().map(|broker| value(broker)).sum::<Option<u64>>();
    let disk: Option<f64> = brokers.iter().map(|broker| broker.disk_used_percent).sum();
    let highest =
        |value: fn(&BrokerSample) -> Option<f64>| brokers.iter().filter_map(|broker| value(broker)).reduce(f64::max);
    Some(Minute {
        at_ms: sample.at_ms,
        brokers: brokers.iter().zip(&traffic).map(point).collect(),
        partitions: sum(|broker| broker.partition_count),
        connections: sum(|broker| broker.connection_count),
        disk_bytes: disk.filter(|_| volume > 0.0).map(|percent| percent / 100.0 * volume),
        disk_percent: highest(|broker| broker.disk_used_percent),
        cpu_percent: highest(BrokerSample::cpu_percent).filter(|_| of_type),
        heap_percent: highest(|broker| broker.heap_after_gc_percent).filter(|_| of_type),
    })
}

/// The mean of each [`PERIOD_MS`], counted back from the last of `seen`. What is left over at the start is part of the period after
/// it, unless it is most of one.
fn means(seen: &[Minute]) -> Vec<Minute> {
    let Some(last) = seen.last() else { return Vec::new() };
    let period = |minute: &Minute| (last.at_ms - minute.at_ms) / PERIOD_MS;
    let is_alike = |a: &Minute, b: &Minute| period(a) == period(b) && a.brokers.len() == b.brokers.len();
    let mut spans: Vec<&[Minute]> = seen.chunk_by(is_alike).collect();
    if let [first, second, ..] = spans[..]
        && first.len() * 2 < second.len()
        && first[0].brokers.len() == second[0].brokers.len()
    {
        spans.splice(..2, [&seen[..first.len() + second.len()]]);
    }
    spans.into_iter().filter_map(mean).collect()
}

/// The mean of what flows, and the highest of what is counted; `None` where `span` is empty.
fn mean(span: &[Minute]) -> Option<Minute> {
    let last = span.last()?;
    let of = |value: &dyn Fn(&Minute) -> f64| span.iter().map(value).sum::<f64>() / span.len() as f64;
    let seen = |value: fn(&Minute) -> Option<f64>| {
        let values: Vec<f64> = span.iter().filter_map(value).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let highest = |value: fn(&Minute) -> Option<f64>| span.iter().filter_map(value).reduce(f64::max);
    let broker = |n: usize| Point {
        vcpus: span
            .iter()
            .map(|minute| minute.brokers[n].vcpus)
            .sum::<Option<f64>>()
            .map(|sum| sum / span.len() as f64),
        bytes_in: of(&|minute| minute.brokers[n].bytes_in),
        bytes_out: of(&|minute| minute.brokers[n].bytes_out),
        replication_in: of(&|minute| minute.brokers[n].replication_in),
        messages: of(&|minute| minute.brokers[n].messages),
    };
    Some(Minute {
        at_ms: last.at_ms,
        brokers: (0..last.brokers.len()).map(broker).collect(),
        partitions: span.iter().filter_map(|minute| minute.partitions).max(),
        connections: span.iter().filter_map(|minute| minute.connections).max(),
        disk_bytes: highest(|minute| minute.disk_bytes),
        disk_percent: highest(|minute| minute.disk_percent),
        cpu_percent: seen(|minute| minute.cpu_percent),
        heap_percent: highest(|minute| minute.heap_percent),
    })
}
