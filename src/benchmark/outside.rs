//! Recorded runs as they look from outside: minutes with what CloudWatch, the topics API and DescribeCluster would hold of
//! them, judged two complete datapoints into the fault. docs/benchmark.md describes the reduction.
//!
//! Only what was recorded, or follows from it, is there: no volumes, no allowances, no time waiting for the disk.

use std::collections::BTreeMap;

use super::{
    Kind, Scenario, Truth, answer,
    judge::{Judged, Phase, is_alarm, void},
    truth_of,
};
use crate::{
    catalogue::MonitoringLevel,
    diagnose::{ClusterKind, Context, Verdict, diagnose},
    finding_id,
    run::Run,
    sample::{
        BrokerId, BrokerSample, BrokerState, Field, GroupSample, RequestTimes, Sample, Source, TopicLag, TopicSample,
        Unavailable,
    },
};

/// Datapoints before the fault, and of it.
pub const CALM_MINUTES: usize = 8;
pub const FAULT_MINUTES: usize = 2;

const MINUTE_S: f64 = 60.0;
const ACTIVE: &str = "ACTIVE";

/// Scenarios that nothing outside shows, with the reason.
pub const NOT_SEPARABLE: [(&str, &str); 2] = [
    (
        finding_id::CLIENT_GENERATOR_BOUND,
        "the brokers are well: only the generator knows that it was late. Where it also fills them, that is what is seen",
    ),
    (finding_id::LAB_HOST_CONTENTION, "only the lab's machine shows it; MSK has no such thing"),
];

/// Pairs that look the same from outside, with what separates them: an answer names both, and counts as either.
pub const SAME_FROM_OUTSIDE: [(&str, &str, &str); 2] = [
    (
        finding_id::BROKER_DOWN,
        finding_id::BROKER_HUNG,
        "a connection to the Kafka port from inside the VPC: refused or silent",
    ),
    (
        finding_id::NETWORK_CONSTRAINED,
        finding_id::DISK_SLOW,
        "VolumeQueueLength and CpuIoWait, if a follower's disk has stalled (these runs did not record them)",
    ),
];

/// Whether CloudWatch and the MSK API hold anything that shows the scenario.
pub fn is_separable(scenario: &Scenario) -> bool {
    !NOT_SEPARABLE.iter().any(|(name, _)| *name == scenario.name)
}

/// What a run looks like from outside: the cluster, and `calm` minutes followed by `fault` minutes of its fault.
/// `None` where it is no run of the benchmark or has no sample of one of them.
pub fn reduced(run: &Run, calm: usize, fault: usize) -> Option<(Context, Vec<Sample>)> {
    let truth = truth_of(run)?;
    let observed: Vec<_> = run.samples().collect();
    let of = |phase: Phase| -> Vec<&Sample> {
        observed.iter().map(|observed| &observed.sample).filter(|s| truth.phase(s.at_ms) == phase).collect()
    };
    let (of_calm, of_fault) = (of(Phase::Calm), of(Phase::Fault));
    if of_calm.is_empty() || of_fault.is_empty() {
        return None;
    }
    let mut samples: Vec<Sample> = (0..calm).map(|n| minute(&of_calm, n, calm, false)).collect();
    samples.extend((0..fault).map(|n| minute(&of_fault, n, fault, true)));
    for (sample, n) in samples.iter_mut().zip(0..) {
        sample.at_ms = n * MINUTE_S as i64 * 1000;
    }
    let last = observed.iter().rev().find(|observed| truth.phase(observed.sample.at_ms) == Phase::Fault)?;
    let is_active = samples.last()?.cluster_state.as_deref().is_none_or(|state| state == ACTIVE);
    let gone = |field| Unavailable {
        field,
        reason: "the topics API answers only while the cluster is ACTIVE".to_owned(),
        enable: None,
    };
    let context = Context {
        lab_scale: None,
        bootstrap_servers: None,
        kind: Some(ClusterKind::Standard),
        monitoring_level: Some(MonitoringLevel::PerBroker),
        period_s: Some(MINUTE_S),
        state: samples.last()?.cluster_state.clone(),
        unavailable: if is_active { Vec::new() } else { vec![gone(Field::Topics), gone(Field::TopicConfigs)] },
        ..last.cluster.clone()
    };
    Some((context, samples))
}

/// Minute `n` of `count`, from the samples of a whole phase. Rates and times are the means of the phase, in every minute the
/// same. What accumulates continues: `is_growing` lags at their recorded rate, disks as in their part of the phase.
fn minute(seen: &[&Sample], n: usize, count: usize, is_growing: bool) -> Sample {
    let part = |n: usize| seen.len() * n / count.max(1);
    let own = &seen[part(n).min(seen.len() - 1)..part(n + 1).max(part(n) + 1).min(seen.len())];
    let mut by_broker: BTreeMap<BrokerId, Vec<&BrokerSample>> = BTreeMap::new();
    for (id, broker) in seen.iter().flat_map(|sample| &sample.brokers) {
        by_broker.entry(*id).or_default().push(broker);
    }
    let of_own = |id: BrokerId| own.iter().filter_map(move |sample| sample.brokers.get(&id));
    let brokers = by_broker.into_iter().map(|(id, all)| {
        // A broker that was not reached once in its part of the phase publishes nothing then.
        let is_gone = !of_own(id).any(|broker| broker.cpu_percent().is_some());
        let mut broker = if is_gone { BrokerSample::default() } else { averaged(&all) };
        let disk = of_own(id).filter_map(|broker| broker.disk_used_percent).reduce(f64::max);
        broker.disk_used_percent = disk.filter(|_| !is_gone);
        broker.topic_bytes_in_per_s = by_topic(id, broker.bytes_in_per_s, seen);
        (id, broker)
    });
    let states = || own.iter().rev().filter_map(|sample| sample.cluster_state.clone());
    let cluster_state = states().find(|state| state != ACTIVE).or_else(|| states().next());
    let is_active = cluster_state.as_deref().is_none_or(|state| state == ACTIVE);
    Sample {
        source: Source::CloudWatch,
        brokers: brokers.collect(),
        topics: if is_active { topics(seen) } else { BTreeMap::new() },
        groups: groups(seen, if is_growing { Some(n + 1) } else { None }),
        cluster_state,
        ..Sample::default()
    }
}

/// Mean of the values that there are.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// A broker by the statistics that kgen asks CloudWatch for; without what CloudWatch has no metric of.
fn averaged(seen: &[&BrokerSample]) -> BrokerSample {
    let average = |value: fn(&BrokerSample) -> Option<f64>| mean(seen.iter().filter_map(|broker| value(broker)));
    let maximum = |value: fn(&BrokerSample) -> Option<u64>| seen.iter().filter_map(|broker| value(broker)).max();
    let minimum =
        |value: fn(&BrokerSample) -> Option<f64>| seen.iter().filter_map(|broker| value(broker)).reduce(f64::min);
    let produce = |part: fn(&RequestTimes) -> Option<f64>| {
        mean(seen.iter().filter_map(|broker| broker.produce.as_ref()).filter_map(part))
    };
    let requests = mean(seen.iter().map(|broker| broker.produce.and_then(|times| times.per_s).unwrap_or(0.0)));
    let bytes_in_per_s = average(|broker| broker.bytes_in_per_s);
    BrokerSample {
        state: BrokerState::Serving,
        cpu_user_percent: average(|broker| broker.cpu_user_percent),
        cpu_system_percent: average(|broker| broker.cpu_system_percent),
        cpu_credit_balance: minimum(|broker| broker.cpu_credit_balance),
        memory_used_bytes: average(|broker| broker.memory_used_bytes.map(|bytes| bytes as f64))
            .map(|bytes| bytes as u64),
        memory_total_bytes: maximum(|broker| broker.memory_total_bytes),
        // What is left after a collection is no more than the least that was in use later.
        heap_after_gc_percent: average(|broker| broker.heap_after_gc_percent)
            .or_else(|| minimum(|broker| broker.heap_used_percent)),
        produce: produce(|times| Some(times.total_ms)).map(|total_ms| RequestTimes {
            per_s: None,
            queue_ms: produce(|times| times.queue_ms),
            local_ms: produce(|times| times.local_ms),
            remote_ms: None,
            send_ms: None,
            throttle_ms: produce(|times| times.throttle_ms),
            total_ms,
        }),
        // Of produce requests alone: others were not counted.
        request_bytes: bytes_in_per_s.zip(requests).filter(|(_, n)| *n > 0.0).map(|(bytes, requests)| bytes / requests),
        follower_fetch_local_ms: average(|broker| broker.follower_fetch_local_ms),
        bytes_in_per_s,
        bytes_out_per_s: average(|broker| broker.bytes_out_per_s),
        messages_in_per_s: average(|broker| broker.messages_in_per_s),
        under_replicated_partitions: maximum(|broker| broker.under_replicated_partitions),
        under_min_isr_partitions: maximum(|broker| broker.under_min_isr_partitions),
        partition_count: maximum(|broker| broker.partition_count),
        leader_count: maximum(|broker| broker.leader_count),
        connection_count: maximum(|broker| broker.connection_count),
        connections_created_per_s: average(|broker| broker.connections_created_per_s),
        traffic_shaping: average(|broker| broker.traffic_shaping),
        ..BrokerSample::default()
    }
}

/// `BytesInPerSec` by topic: the broker's bytes by the records of the partitions that it led.
fn by_topic(id: BrokerId, bytes: Option<f64>, seen: &[&Sample]) -> BTreeMap<String, f64> {
    let mut records: BTreeMap<&String, f64> = BTreeMap::new();
    for (name, topic) in seen.iter().flat_map(|sample| &sample.topics) {
        let led = topic.partitions.iter().filter(|partition| partition.leader == Some(id));
        let rate: f64 = led.filter_map(|partition| partition.records_per_s).sum();
        if rate > 0.0 {
            *records.entry(name).or_default() += rate;
        }
    }
    let all: f64 = records.values().sum();
    let share = |rate: f64| bytes.map(|bytes| bytes * rate / all);
    records.into_iter().filter_map(|(name, rate)| Some((name.clone(), share(rate)?))).collect()
}

/// What the topics API says: leaders, replicas and configuration, without rates.
fn topics(seen: &[&Sample]) -> BTreeMap<String, TopicSample> {
    let newest = seen.iter().rev().find(|sample| !sample.topics.is_empty());
    let mut topics = newest.map(|sample| sample.topics.clone()).unwrap_or_default();
    for partition in topics.values_mut().flat_map(|topic| &mut topic.partitions) {
        partition.records_per_s = None;
    }
    topics
}

/// Lag by group and topic: the mean of the phase, or as it would be after `minutes` at the rate at which it grew.
fn groups(seen: &[&Sample], minutes: Option<usize>) -> BTreeMap<String, GroupSample> {
    /// Seconds, records over all partitions, records of the partition that is furthest behind.
    type Points = Vec<(f64, f64, f64)>;
    let mut points: BTreeMap<(&String, &String), Points> = BTreeMap::new();
    for sample in seen {
        let at_s = sample.protocol_at_ms.unwrap_or(sample.at_ms) as f64 / 1000.0;
        for (group, of_group) in &sample.groups {
            for (topic, partitions) in &of_group.topics {
                let lags = || partitions.values().map(|progress| progress.lag as f64);
                let (sum, max) = (lags().sum(), lags().fold(0.0, f64::max));
                points.entry((group, topic)).or_default().push((at_s, sum, max));
            }
        }
    }
    let mut found: BTreeMap<String, GroupSample> = BTreeMap::new();
    for ((group, topic), points) in points {
        let at = |value: fn(&(f64, f64, f64)) -> f64| {
            let series: Vec<(f64, f64)> = points.iter().map(|point| (point.0, value(point))).collect();
            Some(continued(&series, minutes.map(|minutes| minutes as f64 * MINUTE_S)))
        };
        let lag = TopicLag { sum_records: at(|p| p.1), max_records: at(|p| p.2), ..TopicLag::default() };
        found.entry(group.clone()).or_default().lags.insert(topic.clone(), lag);
    }
    found
}

/// The mean of a series of (seconds, value), or its value `after_s` of its start, by least squares.
fn continued(series: &[(f64, f64)], after_s: Option<f64>) -> f64 {
    let n = series.len().max(1) as f64;
    let (at, value) = (series.iter().map(|p| p.0).sum::<f64>() / n, series.iter().map(|p| p.1).sum::<f64>() / n);
    let spread: f64 = series.iter().map(|point| (point.0 - at).powi(2)).sum();
    let slope = series.iter().map(|point| (point.0 - at) * (point.1 - value)).sum::<f64>() / spread.max(1e-9);
    match (after_s, series.first()) {
        (Some(after_s), Some(first)) => (value + slope * (first.0 + after_s - at)).max(0.0),
        _ => value,
    }
}

/// Judges a run from outside, two complete datapoints into the fault; nothing where it is no run of the benchmark.
///
/// An answer that names the true cause as one that looks the same counts as right, and is marked.
pub fn judge(run: &Run) -> Option<Judged> {
    let truth: Truth = truth_of(run)?;
    let scenario = super::find(&truth.scenario)?;
    let (context, samples) = reduced(run, CALM_MINUTES, FAULT_MINUTES)?;
    let diagnosis = diagnose(&context, &samples);
    let first = answer(scenario, &truth, &diagnosis);
    let before = Context { state: Some(ACTIVE.to_owned()), unavailable: Vec::new(), ..context.clone() };
    let of_calm = answer(scenario, &truth, &diagnose(&before, &samples[..CALM_MINUTES]));
    let mut judged = Judged {
        calm_s: (CALM_MINUTES - 1) as f64 * MINUTE_S,
        samples: 1,
        inconclusive: usize::from(first.is_none()),
        verdict: Some(diagnosis.verdict),
        ..Judged::begin(scenario, void(scenario, &truth, &super::judge::samples_of(run)), truth)
    };
    judged.false_alarms.extend(of_calm.map(|answer| answer.id).filter(|id| is_alarm(id)));
    match scenario.kind {
        Kind::Control => {
            judged.calm_s += FAULT_MINUTES as f64 * MINUTE_S;
            judged.inconclusive = usize::from(diagnosis.verdict == Verdict::Inconclusive);
            judged.false_alarms.extend(first.as_ref().map(|answer| answer.id).filter(|id| is_alarm(id)));
        }
        _ => {
            let is_true = |found: &super::judge::Answer| found.names_truth(scenario);
            judged.named = first.clone().filter(is_true);
            judged.named_after_s = judged.named.as_ref().map(|_| FAULT_MINUTES as f64 * MINUTE_S);
        }
    }
    judged.first = first;
    Some(judged)
}
