//! Topics and groups from the Kafka protocol, and queries on them for the rules.

use std::collections::BTreeMap;

use super::window::Window;
use crate::{
    sample::{BrokerId, BrokerSample, GroupSample, PartitionSample, Progress, Sample, TopicSample},
    statistics::median,
};

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
    /// How fast the group progresses, records/s; nothing when it was not measured.
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

/// One group's way through one topic, where only the lag of the topic is published.
pub struct TopicPace {
    pub group: String,
    pub topic: String,
    /// Records, over all partitions.
    pub lag: f64,
    /// How fast the lag grows, records/s: the slowest step between the newest datapoints.
    pub lag_per_s: f64,
    /// Records that come into the topic, or into the cluster where topics were not told apart.
    pub inflow_per_s: Option<f64>,
    /// Datapoints before the newest in which the group kept up with what came in.
    pub kept_up: usize,
}

/// Datapoints that a pace is taken from: the recent ones and the one before them.
const PACE_POINTS: usize = 3;

impl TopicPace {
    /// Share of what comes in by which the lag grows: 1 where nothing is read.
    pub fn share(&self) -> Option<f64> {
        Some(self.lag_per_s / self.inflow_per_s.filter(|inflow| *inflow > 0.0)?)
    }
}

/// The groups and their paces by the lag of topics.
pub fn topic_paces(window: &Window) -> Vec<TopicPace> {
    let Some(last) = window.recent().iter().rev().find(|sample| !sample.groups.is_empty()) else { return Vec::new() };
    let mut found = Vec::new();
    for (group, sample) in &last.groups {
        for topic in sample.lags.keys() {
            let points: Vec<(i64, f64)> = window
                .all()
                .iter()
                .filter_map(|sample| {
                    let lag = sample.groups.get(group)?.lags.get(topic)?;
                    // MSK publishes -1 for a group that has committed nothing.
                    Some((sample.at_ms, lag.sum_records.or(lag.max_records).filter(|lag| *lag >= 0.0)?))
                })
                .collect();
            let steps: Vec<f64> = points
                .windows(2)
                .filter(|pair| pair[1].0 > pair[0].0)
                .map(|pair| (pair[1].1 - pair[0].1) / ((pair[1].0 - pair[0].0) as f64 / 1000.0))
                .collect();
            let newest = steps.len().saturating_sub(PACE_POINTS - 1);
            let Some(lag_per_s) = steps[newest..].iter().copied().reduce(f64::min) else { continue };
            let inflow_per_s = inflow(window, topic);
            let kept_up = |step: &&f64| inflow_per_s.is_some_and(|inflow| **step < inflow / 2.0);
            found.push(TopicPace {
                group: group.clone(),
                topic: topic.clone(),
                lag: points.last().map_or(0.0, |(_, lag)| *lag),
                lag_per_s,
                inflow_per_s,
                kept_up: steps[..newest].iter().filter(kept_up).count(),
            });
        }
    }
    found
}

/// Records a second that come into `topic`; of all topics where they are not told apart.
fn inflow(window: &Window, topic: &str) -> Option<f64> {
    let sum = |value: &dyn Fn(&BrokerSample) -> Option<f64>| -> Option<f64> {
        window.brokers().into_iter().filter_map(|id| window.median(id, value)).reduce(|a, b| a + b)
    };
    let messages = sum(&|broker| broker.messages_in_per_s)?;
    let of_topic = sum(&|broker| broker.topic_bytes_in_per_s.get(topic).copied());
    match (of_topic, sum(&|broker| broker.bytes_in_per_s)) {
        (Some(own), Some(all)) if all > 0.0 => Some(messages * (own / all).min(1.0)),
        _ => Some(messages),
    }
}

/// Whether the group is known to have no members: who is not there cannot hang.
pub fn is_empty(group: &GroupSample) -> bool {
    group.members == Some(0) || group.state.as_deref().is_some_and(|state| state.eq_ignore_ascii_case("empty"))
}

/// Groups that are known to have no members now.
fn empty_groups<'a>(window: &Window<'a>) -> Vec<&'a str> {
    let last = window.recent().iter().rev().find(|sample| !sample.groups.is_empty());
    let groups = last.into_iter().flat_map(|sample| &sample.groups);
    groups.filter(|(_, group)| is_empty(group)).map(|(name, _)| name.as_str()).collect()
}

/// Groups without members that fall behind what comes in.
pub fn abandoned(window: &Window) -> Vec<String> {
    let behind = |group: &str| {
        paces(window).get(group).is_some_and(|paces| paces.iter().any(|pace| pace.lag_per_s > 0.0))
            || topic_paces(window).iter().any(|pace| pace.group == group && pace.lag_per_s > 0.0)
    };
    empty_groups(window).into_iter().filter(|group| behind(group)).map(str::to_owned).collect()
}

/// Names of the groups that the newest sample with groups has.
pub fn groups(window: &Window) -> Vec<String> {
    let last = window.recent().iter().rev().find(|sample| !sample.groups.is_empty());
    last.map(|sample| sample.groups.keys().cloned().collect()).unwrap_or_default()
}

/// A topic whose traffic differs between the brokers by more than its leaders do.
pub struct Uneven {
    pub topic: String,
    /// The brokers that take most for a partition that they lead, and what they take: bytes/s a partition.
    pub busy: Vec<(BrokerId, f64)>,
    /// Traffic for a led partition on the busiest broker over that on the quietest.
    pub times: f64,
    /// Bytes/s of the topic on the busiest broker.
    pub bytes_per_s: f64,
}

/// Share of the traffic of every broker that makes a topic the only one that counts.
const NEARLY_ALL: f64 = 0.9;

/// Traffic for a led partition, over that of the quietest broker, from which on a broker is busy.
const BUSY_TIMES: f64 = 1.4;

/// The same in bytes that records must be uneven by for their number to count.
const BYTES_TIMES: f64 = 1.35;

/// Topics by how unevenly their partitions are loaded, seen from the brokers that lead them; the most uneven first.
pub fn uneven_topics(window: &Window) -> Vec<Uneven> {
    let Some(topics) = topics(window).filter(|_| !leaders_moved(window)) else { return Vec::new() };
    let mut found: Vec<Uneven> =
        topics.iter().filter_map(|(name, topic)| uneven(window, topics.len(), name, topic)).collect();
    found.sort_by(|a, b| b.times.total_cmp(&a.times));
    found
}

fn uneven(window: &Window, topics: usize, name: &str, topic: &TopicSample) -> Option<Uneven> {
    let mut led: BTreeMap<BrokerId, f64> = BTreeMap::new();
    for leader in topic.partitions.iter().filter_map(|partition| partition.leader) {
        *led.entry(leader).or_default() += 1.0;
    }
    let of_broker = |id: BrokerId| window.median(id, |broker| broker.bytes_in_per_s);
    let of_topic = |id: BrokerId| {
        let own = window.median(id, |broker| broker.topic_bytes_in_per_s.get(name).copied());
        own.or_else(|| of_broker(id).filter(|_| topics == 1))
    };
    let bytes: Vec<(BrokerId, f64, f64)> =
        led.iter().map(|(id, count)| Some((*id, of_topic(*id)?, *count))).collect::<Option<_>>()?;
    // Where the topic is nearly all that the brokers take, their messages are its messages.
    let is_all = bytes.iter().all(|(id, own, _)| of_broker(*id).is_some_and(|all| *own >= all * NEARLY_ALL));
    let times_of = |values: &[f64]| {
        let (most, least) = (values.iter().copied().reduce(f64::max)?, values.iter().copied().reduce(f64::min)?);
        (values.len() > 1 && least > 0.0).then_some(most / least)
    };
    let by_bytes: Vec<f64> = bytes.iter().map(|(_, own, count)| own / count).collect();
    let by_messages: Option<Vec<f64>> = bytes
        .iter()
        .map(|(id, _, count)| Some(window.median(*id, |broker| broker.messages_in_per_s).filter(|_| is_all)? / count))
        .collect();
    let (by_bytes_times, by_messages_times) = (times_of(&by_bytes)?, by_messages.as_deref().and_then(times_of));
    let (values, times) = match (by_messages, by_messages_times) {
        // Records of different sizes are no hot key: the bytes have to be uneven as well.
        (Some(values), Some(times)) if by_bytes_times >= BYTES_TIMES && times > by_bytes_times => (values, times),
        _ => (by_bytes, by_bytes_times),
    };
    let least = values.iter().copied().reduce(f64::min)?;
    let mut busy: Vec<(BrokerId, f64)> = bytes
        .iter()
        .zip(&values)
        .filter(|(_, value)| **value >= least * BUSY_TIMES)
        .map(|((id, own, count), _)| (*id, own / count))
        .collect();
    busy.sort_by(|a, b| b.1.total_cmp(&a.1));
    let bytes_per_s = bytes.iter().map(|(_, own, _)| *own).reduce(f64::max)?;
    Some(Uneven { topic: name.to_owned(), busy, times, bytes_per_s })
}

/// Whether leadership moved within the recent datapoints: the most leaders that each broker had are then more than there are.
fn leaders_moved(window: &Window) -> bool {
    let sum = |value: fn(&BrokerSample) -> Option<u64>| -> f64 {
        let most =
            |id| window.values(id, |broker| value(broker).map(|count| count as f64)).into_iter().reduce(f64::max);
        window.brokers().into_iter().filter_map(most).sum()
    };
    let all = partitions(window);
    let replicas: usize = all.iter().map(|placed| placed.partition.replicas.len()).sum();
    let of_each = replicas as f64 / all.len().max(1) as f64;
    let there_are = sum(|broker| broker.partition_count) / of_each.max(1.0);
    sum(|broker| broker.leader_count) > there_are * 1.1 + 1.0
}
