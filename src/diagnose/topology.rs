//! What the Kafka protocol said of topics and groups, and the questions that rules ask of it.

use std::collections::BTreeMap;

use super::window::{Window, median};
use crate::sample::{BrokerId, PartitionSample, Progress, Sample, TopicSample};

/// A partition with its place.
pub struct Placed<'a> {
    pub topic: &'a str,
    pub number: i32,
    pub partition: &'a PartitionSample,
}

impl Placed<'_> {
    /// As Kafka's tools write it.
    pub fn name(&self) -> String {
        format!("{}-{}", self.topic, self.number)
    }
}

/// The newest topics, if the protocol was asked at all.
pub fn topics<'a>(window: &Window<'a>) -> Option<&'a BTreeMap<String, TopicSample>> {
    window.recent().iter().rev().map(|sample| &sample.topics).find(|topics| !topics.is_empty())
}

/// Topics that have throttled replicas.
pub fn throttled_topics(window: &Window) -> Vec<String> {
    let topics = topics(window).into_iter().flatten();
    topics.filter(|(_, topic)| topic.replication_throttled).map(|(name, _)| name.clone()).collect()
}

/// Every partition of the newest topics.
pub fn partitions<'a>(window: &Window<'a>) -> Vec<Placed<'a>> {
    topics(window).into_iter().flatten().flat_map(|(topic, sample)| placed(topic, sample)).collect()
}

fn placed<'a>(topic: &'a str, sample: &'a TopicSample) -> impl Iterator<Item = Placed<'a>> {
    sample.partitions.iter().zip(0..).map(move |(partition, number)| Placed { topic, number, partition })
}

/// Partitions whose first replica is in sync and does not lead.
pub fn not_led_by_preferred<'a>(window: &Window<'a>) -> Vec<Placed<'a>> {
    let misplaced = |placed: &Placed| {
        let first = placed.partition.replicas.first();
        first.is_some_and(|first| placed.partition.in_sync.contains(first) && placed.partition.leader != Some(*first))
    };
    partitions(window).into_iter().filter(misplaced).collect()
}

/// Partitions that each broker has for a purpose: those that it leads, or those whose first replica it is.
pub fn per_broker(window: &Window, of: impl Fn(&PartitionSample) -> Option<BrokerId>) -> BTreeMap<BrokerId, usize> {
    let mut counts: BTreeMap<BrokerId, usize> = window.brokers().into_iter().map(|id| (id, 0)).collect();
    for id in partitions(window).iter().filter_map(|placed| of(placed.partition)) {
        *counts.entry(id).or_default() += 1;
    }
    counts
}

/// The largest of the counts over their mean, and whose it is.
pub fn skew(counts: &BTreeMap<BrokerId, usize>) -> Option<(BrokerId, f64)> {
    let total: usize = counts.values().sum();
    let (id, most) = counts.iter().max_by_key(|(_, count)| **count)?;
    (total > 0).then(|| (*id, *most as f64 * counts.len() as f64 / total as f64))
}

/// A partition with a median rate over the recent part.
pub struct Busy {
    pub topic: String,
    pub number: i32,
    pub records_per_s: f64,
    /// Of its topic, 0 to 1.
    pub share: f64,
    /// Share times the number of partitions: 1 when all have the same.
    pub times_even: f64,
    /// The same of all records of the recent part: a load that comes in bursts is even by its sum alone.
    pub times_even_in_all: f64,
}

/// The partitions of topics with traffic, the busiest of each topic first.
pub fn busiest(window: &Window) -> Vec<Busy> {
    let mut found = Vec::new();
    for (topic, sample) in topics(window).into_iter().flatten() {
        let rates_of = |number: usize| -> Vec<f64> {
            let samples = window.recent().iter();
            samples.filter_map(|sample| sample.topics.get(topic)?.partitions.get(number)?.records_per_s).collect()
        };
        let all: Vec<Vec<f64>> = (0..sample.partitions.len()).map(rates_of).collect();
        let rates: Vec<f64> = all.iter().map(|rates| median(rates.clone()).unwrap_or_default()).collect();
        let sums: Vec<f64> = all.iter().map(|rates| rates.iter().sum()).collect();
        let (total, sum): (f64, f64) = (rates.iter().sum(), sums.iter().sum());
        let even = rates.len() as f64;
        let of = rates.iter().zip(&sums).zip(0..).filter(|_| total > 0.0 && sum > 0.0);
        let mut of_topic: Vec<Busy> = of
            .map(|((rate, own), number)| Busy {
                topic: topic.clone(),
                number,
                records_per_s: *rate,
                share: rate / total,
                times_even: rate / total * even,
                times_even_in_all: own / sum * even,
            })
            .collect();
        of_topic.sort_by(|a, b| b.records_per_s.total_cmp(&a.records_per_s));
        found.extend(of_topic);
    }
    found
}

/// One group's way through one partition over the recent part.
pub struct Pace {
    pub topic: String,
    pub number: i32,
    pub lag: i64,
    /// How fast the lag grows, records/s.
    pub lag_per_s: f64,
    /// How fast the group goes on, records/s; nothing when it was not measured.
    pub committed_per_s: Option<f64>,
    /// Over how long, s.
    pub span_s: f64,
}

/// The groups and their paces.
pub fn paces(window: &Window) -> BTreeMap<String, Vec<Pace>> {
    let with_groups: Vec<&Sample> = window.recent().iter().filter(|sample| !sample.groups.is_empty()).collect();
    let mut found: BTreeMap<String, Vec<Pace>> = BTreeMap::new();
    let Some(last) = with_groups.last() else { return found };
    let at = |sample: &Sample| sample.protocol_at_ms.unwrap_or(sample.at_ms);
    for (group, sample) in &last.groups {
        for (topic, partitions) in &sample.topics {
            for (number, now) in partitions {
                let of = |sample: &Sample| -> Option<Progress> {
                    sample.groups.get(group)?.topics.get(topic)?.get(number).copied()
                };
                // A group may be younger than the others.
                let Some((since, before)) = with_groups.iter().find_map(|sample| Some((at(sample), of(sample)?)))
                else {
                    continue;
                };
                let span_s = (at(last) - since) as f64 / 1000.0;
                if span_s <= 0.0 {
                    continue;
                }
                let committed: Vec<f64> = with_groups.iter().filter_map(|sample| of(sample)?.committed_per_s).collect();
                let mean = (!committed.is_empty()).then(|| committed.iter().sum::<f64>() / committed.len() as f64);
                found.entry(group.clone()).or_default().push(Pace {
                    topic: topic.clone(),
                    number: *number,
                    lag: now.lag,
                    lag_per_s: (now.lag - before.lag) as f64 / span_s,
                    committed_per_s: mean,
                    span_s,
                });
            }
        }
    }
    found
}
