//! What others would have said of the same samples, by their documented rules.
//!
//! Each baseline is a small function over the window that a live watcher has; its answer is the scenario that its rule, alarm
//! or status stands for, the most severe first. A rule over a metric that a sample does not have stays silent, and so does
//! one whose window is longer than the run. Durations of alarms are cut to what a run has: where a rule asks for five or
//! fifteen minutes, the last [`LASTING`] samples count, which favours the baseline.

use crate::{
    finding_id,
    sample::{BrokerSample, BrokerState, Progress, Sample},
};

/// Samples in a row for which an alarm's condition has to hold here.
pub const LASTING: usize = 5;

/// Rules that others have written down.
pub struct Baseline {
    pub name: &'static str,
    /// Where the rules stand.
    pub source: &'static str,
    /// Whether its rules read what CloudWatch has.
    pub is_from_outside: bool,
    pub answer: fn(&[Sample]) -> Option<&'static str>,
}

pub const BASELINES: &[Baseline] = &[
    Baseline {
        name: "seed rule",
        source: "the seed demo: CPU > 80 % or memory > 90 % is resized; its sibling: under-replicated partitions ask for brokers",
        is_from_outside: true,
        answer: seed,
    },
    Baseline {
        name: "AWS alarms",
        source: "MSK Developer Guide, best practices for Standard brokers; agent-toolkit-for-aws, monitor-and-alarm.md",
        is_from_outside: true,
        answer: aws_alarms,
    },
    Baseline {
        name: "AWS health check",
        source: "aws-samples/sample-health-check-tool-for-msk, msk_health_check/reference.py (rules 2026.09)",
        is_from_outside: true,
        answer: aws_health_check,
    },
    Baseline {
        name: "Grafana Kafka alerts",
        source: "grafana/jsonnet-libs, kafka-mixin: its alerts, as monitoring-mixins/website has them pregenerated",
        is_from_outside: false,
        answer: grafana,
    },
    Baseline {
        name: "Burrow",
        source: "linkedin/Burrow wiki, Consumer Lag Evaluation Rules",
        is_from_outside: false,
        answer: burrow,
    },
];

/// A condition of one broker's metrics.
type Alarm = fn(&BrokerSample) -> bool;

/// Whether `condition` held for some broker in each of the last samples.
fn lasts(window: &[Sample], condition: impl Fn(&BrokerSample) -> bool) -> bool {
    let last = &window[window.len().saturating_sub(LASTING)..];
    last.len() == LASTING && last.iter().all(|sample| sample.brokers.values().any(&condition))
}

fn now(window: &[Sample], condition: impl Fn(&BrokerSample) -> bool) -> bool {
    window.last().is_some_and(|sample| sample.brokers.values().any(condition))
}

fn above(value: Option<f64>, limit: f64) -> bool {
    value.is_some_and(|value| value > limit)
}

fn some(count: Option<u64>) -> bool {
    count.is_some_and(|count| count > 0)
}

fn seed(window: &[Sample]) -> Option<&'static str> {
    let large = |broker: &BrokerSample| above(broker.cpu_percent(), 80.0) || above(broker.memory_percent(), 90.0);
    let wants_more = now(window, large) || now(window, |broker| some(broker.under_replicated_partitions));
    wants_more.then_some(finding_id::BROKER_UNDERSIZED)
}

fn aws_alarms(window: &[Sample]) -> Option<&'static str> {
    if now(window, |broker| some(broker.offline_partitions))
        || now(window, |broker| some(broker.under_min_isr_partitions))
    {
        return Some(finding_id::REPLICATION_MIN_ISR_BLOCKED);
    }
    let rules: [(&'static str, Alarm); 6] = [
        (finding_id::DISK_FILLING, |broker| broker.disk_used_percent.is_some_and(|used| used >= 85.0)),
        (finding_id::BROKER_CPU_CREDITS_EXHAUSTED, |broker| {
            broker.cpu_credit_balance.is_some_and(|credits| credits <= 100.0)
        }),
        (finding_id::BROKER_UNDERSIZED, |broker| above(broker.cpu_percent(), 60.0)),
        (finding_id::BROKER_HEAP_PRESSURE, |broker| above(broker.heap_after_gc_percent, 60.0)),
        (finding_id::NETWORK_CONSTRAINED, |broker| above(broker.traffic_shaping, 0.0)),
        // Its documented reading: a broker is down, or the cluster too small.
        (finding_id::BROKER_DOWN, |broker| some(broker.under_replicated_partitions)),
    ];
    rules.iter().find(|(_, rule)| lasts(window, rule)).map(|(id, _)| *id)
}

fn aws_health_check(window: &[Sample]) -> Option<&'static str> {
    if now(window, |broker| some(broker.under_min_isr_partitions)) {
        return Some(finding_id::REPLICATION_MIN_ISR_BLOCKED);
    }
    if lasts(window, |broker| some(broker.under_replicated_partitions)) {
        return Some(finding_id::BROKER_DOWN);
    }
    // CPU by its 95th percentile over what was seen, as the tool has it over days.
    let mut cpu: Vec<f64> =
        window.iter().flat_map(|sample| sample.brokers.values()).filter_map(BrokerSample::cpu_percent).collect();
    cpu.sort_by(f64::total_cmp);
    let p95 = cpu.get(cpu.len() * 95 / 100).copied();
    let rules: [(&'static str, bool); 4] = [
        (finding_id::DISK_FILLING, lasts(window, |broker| broker.disk_used_percent.is_some_and(|used| used >= 85.0))),
        (finding_id::BROKER_UNDERSIZED, above(p95, 60.0)),
        (finding_id::BROKER_HEAP_PRESSURE, lasts(window, |broker| above(broker.heap_after_gc_percent, 60.0))),
        (
            finding_id::CLIENT_CONNECTION_STORM,
            lasts(window, |broker| above(broker.connections_created_per_s, 80.0 / 60.0))
                || lasts(window, |broker| broker.connection_count.is_some_and(|count| count > 2400)),
        ),
    ];
    rules.iter().find(|(_, holds)| *holds).map(|(id, _)| *id)
}

fn grafana(window: &[Sample]) -> Option<&'static str> {
    let last = &window[window.len().saturating_sub(LASTING)..];
    let all = |holds: &dyn Fn(&Sample) -> bool| last.len() == LASTING && last.iter().all(holds);
    let lag = |sample: &Sample| -> i64 {
        let topics = sample.groups.values().flat_map(|group| group.topics.values());
        topics.map(|partitions| partitions.values().map(|progress| progress.lag).sum::<i64>()).max().unwrap_or(0)
    };
    let rises = || last.windows(2).all(|pair| lag(&pair[1]) > lag(&pair[0]));
    let serves = |broker: &BrokerSample| broker.state == BrokerState::Serving;
    // The critical ones first: KafkaOfflinePartitonCount, KafkaUnderReplicatedPartitionCount, KafkaBrokerCount, KafkaLagIsTooHigh
    // (100 records); then KafkaLagKeepsIncreasing, JvmMemoryFillingUp.
    let rules: [(&'static str, bool); 6] = [
        (finding_id::BROKER_DOWN, lasts(window, |broker| some(broker.offline_partitions))),
        (finding_id::BROKER_DOWN, lasts(window, |broker| some(broker.under_replicated_partitions))),
        (finding_id::BROKER_DOWN, all(&|sample| !sample.brokers.values().any(serves))),
        (finding_id::CONSUMER_SLOW, all(&|sample| lag(sample) > 100)),
        (finding_id::CONSUMER_SLOW, last.len() == LASTING && rises()),
        (finding_id::BROKER_HEAP_PRESSURE, lasts(window, |broker| above(broker.heap_used_percent, 80.0))),
    ];
    rules.iter().find(|(_, holds)| *holds).map(|(id, _)| *id)
}

/// Of each partition of a group, over the window: a lag of zero at any time is OK; an offset that stands still under a
/// lag that does not fall is STALLED, or STOPPED where nothing is committed any more; one that continues under such a
/// lag is a WARNING.
fn burrow(window: &[Sample]) -> Option<&'static str> {
    // Its window is ten commits.
    let last = &window[window.len().saturating_sub(10)..];
    let newest = last.last()?;
    let (mut warned, mut stalled) = (false, false);
    for (group, sample) in &newest.groups {
        for (topic, partitions) in &sample.topics {
            for number in partitions.keys() {
                let seen = last.iter().filter_map(|sample| sample.groups.get(group)?.topics.get(topic)?.get(number));
                let seen: Vec<&Progress> = seen.collect();
                // A lag of zero at any time is fine, and so is one that falls.
                let behind = seen.len() >= LASTING && seen.iter().all(|progress| progress.lag > 0);
                if !behind || seen.windows(2).any(|pair| pair[1].lag < pair[0].lag) {
                    continue;
                }
                let stands = seen.iter().all(|progress| progress.committed_per_s.is_some_and(|rate| rate == 0.0));
                stalled |= stands;
                warned |= !stands;
            }
        }
    }
    match (stalled, warned) {
        (true, _) => Some(finding_id::CONSUMER_STALLED),
        (false, true) => Some(finding_id::CONSUMER_SLOW),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::sample::GroupSample;

    fn of(name: &str, window: &[Sample]) -> Option<&'static str> {
        (BASELINES.iter().find(|baseline| baseline.name == name).unwrap().answer)(window)
    }

    fn brokers(broker: BrokerSample) -> Vec<Sample> {
        let broker = BrokerSample { state: BrokerState::Serving, ..broker };
        (0..10).map(|_| Sample { brokers: [(1, broker.clone())].into(), ..Sample::default() }).collect()
    }

    fn cpu(percent: f64) -> BrokerSample {
        BrokerSample { cpu_user_percent: Some(percent), cpu_system_percent: Some(0.0), ..BrokerSample::default() }
    }

    #[test]
    fn rules_say_what_their_papers_say() {
        for (name, broker, expected) in [
            ("seed rule", cpu(85.0), Some("broker.undersized")),
            ("seed rule", cpu(70.0), None),
            ("AWS alarms", cpu(70.0), Some("broker.undersized")),
            ("AWS alarms", BrokerSample { disk_used_percent: Some(90.0), ..cpu(70.0) }, Some("disk.filling")),
            ("AWS health check", cpu(70.0), Some("broker.undersized")),
            ("AWS health check", cpu(50.0), None),
            (
                "Grafana Kafka alerts",
                BrokerSample { under_replicated_partitions: Some(2), ..cpu(10.0) },
                Some("broker.down"),
            ),
            ("Grafana Kafka alerts", cpu(99.0), None),
            ("Burrow", cpu(99.0), None),
        ] {
            assert_eq!(of(name, &brokers(broker.clone())), expected, "{name}: {broker:?}");
        }
        assert_eq!(of("seed rule", &[]), None);
    }

    #[test]
    fn a_group_stalls_where_it_commits_nothing_and_warns_where_it_falls_behind() {
        let window = |rate: f64, grows: i64| -> Vec<Sample> {
            let at = |n: i64| {
                let progress = Progress { lag: 100 + n * grows, committed_per_s: Some(rate) };
                let group = GroupSample {
                    topics: BTreeMap::from([("t".to_owned(), [(0, progress)].into())]),
                    ..GroupSample::default()
                };
                Sample { groups: [("g".to_owned(), group)].into(), ..Sample::default() }
            };
            (0..10).map(at).collect()
        };
        for (rate, grows, expected) in
            [(0.0, 50, Some("consumer.stalled")), (20.0, 50, Some("consumer.slow")), (20.0, -5, None)]
        {
            assert_eq!(of("Burrow", &window(rate, grows)), expected, "{rate} {grows}");
        }
    }
}
