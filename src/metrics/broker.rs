//! One broker's two endpoints at one moment, and figures for the time between two such moments. Pure.
//!
//! Kafka's `Mean` of request times covers the broker's whole life, so an interval's mean is worked out from the change
//! of `Mean × Count`. A counter that fell indicates a restart, and gives no value.

use super::{
    exposition::{percent, risen},
    jmx::{Histogram, ProduceTimes},
};
pub use super::{jmx::Jmx, node::Node};
use crate::sample::{BrokerSample, RequestTimes};

/// What was read from one broker.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    pub jmx: Option<Scraped<Jmx>>,
    pub node: Option<Scraped<Node>>,
}

/// What one endpoint showed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scraped<T> {
    /// When it was requested, in seconds on any clock that does not jump. An answer of many MiB comes seconds later,
    /// with the values of about that moment.
    pub at_s: f64,
    pub values: T,
}

impl Reading {
    /// Takes over what `newer` has. An endpoint that was not read keeps its last values, for the difference when it
    /// answers again.
    pub fn update(&mut self, newer: Reading) {
        self.jmx = newer.jmx.or(self.jmx.take());
        self.node = newer.node.or(self.node.take());
    }
}

/// What the broker did between two readings; without the first, only what one reading tells. Where one of the endpoints was
/// not read, the other's values stand alone.
pub fn between(before: Option<&Reading>, now: &Reading) -> BrokerSample {
    let mut sample = BrokerSample::default();
    if let Some(jmx) = &now.jmx {
        add_jmx(before.and_then(|before| before.jmx.as_ref()), jmx, &mut sample);
    }
    if let Some(node) = &now.node {
        add_node(before.and_then(|before| before.node.as_ref()), node, &mut sample);
    }
    sample
}

/// What is known of a broker whose JMX exporter is late: the counts that it had `last`, no rates, and what the node exporter
/// shows now.
pub fn while_late(last: &Reading, now: &Reading) -> BrokerSample {
    let mut sample = BrokerSample::default();
    if let Some(jmx) = &last.jmx {
        add_jmx(None, jmx, &mut sample);
    }
    if let Some(node) = &now.node {
        add_node(last.node.as_ref(), node, &mut sample);
    }
    sample
}

fn add_jmx(before: Option<&Scraped<Jmx>>, now: &Scraped<Jmx>, sample: &mut BrokerSample) {
    let jmx = &now.values;
    let count = |value: Option<f64>| value.map(|value| value as u64);
    sample.state = jmx.state();
    sample.heap_after_gc_percent = jmx.heap_after_gc_percent;
    sample.heap_used_percent = jmx.heap_used_percent;
    sample.under_replicated_partitions = count(jmx.under_replicated_partitions);
    sample.under_min_isr_partitions = count(jmx.under_min_isr_partitions);
    sample.offline_partitions = count(jmx.offline_partitions);
    sample.partition_count = count(jmx.partition_count);
    sample.leader_count = count(jmx.leader_count);
    sample.connection_count = count(jmx.connections);
    let Some(before) = before else { return };
    let (was, seconds) = (&before.values, now.at_s - before.at_s);
    if was.started_at_s != jmx.started_at_s || seconds <= 0.0 {
        return;
    }
    let per_s = |was, now| risen(was, now).map(|rise| rise / seconds);
    sample.bytes_in_per_s = per_s(was.bytes_in, jmx.bytes_in);
    sample.bytes_out_per_s = per_s(was.bytes_out, jmx.bytes_out);
    sample.messages_in_per_s = per_s(was.messages_in, jmx.messages_in);
    sample.replication_bytes_in_per_s = per_s(was.replication_bytes_in, jmx.replication_bytes_in);
    sample.replication_bytes_out_per_s = per_s(was.replication_bytes_out, jmx.replication_bytes_out);
    sample.produce = request_times(&was.produce, &jmx.produce, seconds);
    sample.follower_fetch_local_ms = mean(was.follower_fetch_local, jmx.follower_fetch_local);
    sample.connections_created_per_s = per_s(was.connections_created, jmx.connections_created);
    sample.gc_percent = percent(risen(was.gc_ms, jmx.gc_ms), Some(seconds * 1000.0));
}

fn add_node(before: Option<&Scraped<Node>>, now: &Scraped<Node>, sample: &mut BrokerSample) {
    let node = &now.values;
    sample.cpu_credit_balance = node.cpu_credit_balance;
    let used = node.memory_total_bytes.zip(node.memory_available_bytes).map(|(total, available)| total - available);
    sample.memory_used_bytes = used.map(|bytes| bytes as u64);
    sample.memory_total_bytes = node.memory_total_bytes.map(|bytes| bytes as u64);
    sample.disk_used_percent = node.disk_used_percent;
    let Some(Scraped { values: was, .. }) = before else { return };
    let total = risen(was.cpu_total_s, node.cpu_total_s);
    sample.cpu_user_percent = percent(risen(was.cpu_user_s, node.cpu_user_s), total);
    sample.cpu_system_percent = percent(risen(was.cpu_system_s, node.cpu_system_s), total);
    sample.cpu_io_wait_percent = percent(risen(was.cpu_io_wait_s, node.cpu_io_wait_s), total);
    let periods = risen(was.cpu_periods, node.cpu_periods);
    sample.cpu_throttled_percent = percent(risen(was.cpu_throttled_periods, node.cpu_throttled_periods), periods);
}

fn request_times(was: &ProduceTimes, now: &ProduceTimes, seconds: f64) -> Option<RequestTimes> {
    let sent = mean(was.send, now.send);
    Some(RequestTimes {
        per_s: Some((now.total?.count - was.total?.count) / seconds),
        queue_ms: mean(was.queue, now.queue),
        local_ms: mean(was.local, now.local),
        remote_ms: mean(was.remote, now.remote),
        send_ms: mean(was.response_queue, now.response_queue).zip(sent).map(|(queued, sent)| queued + sent).or(sent),
        throttle_ms: mean(was.throttle, now.throttle),
        total_ms: mean(was.total, now.total)?,
    })
}

/// Mean over the requests between two readings; nothing when there were none.
fn mean(was: Option<Histogram>, now: Option<Histogram>) -> Option<f64> {
    let (was, now) = (was?, now?);
    let requests = now.count - was.count;
    // Both come from one scrape but not from one instant, so a sum may seem to fall by a hair.
    (requests > 0.0).then(|| ((now.sum_ms - was.sum_ms) / requests).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::BrokerState;

    // Read from a broker of Kafka 4.3.1 with the JMX exporter 1.0.1 and from node_exporter 1.5.0, three seconds apart
    // under 300 records/s; trimmed to the metrics read here and some neighbours.
    const STARTING: &str = include_str!("fixtures/jmx_starting.prom");
    const JMX: [&str; 2] = [include_str!("fixtures/jmx_1.prom"), include_str!("fixtures/jmx_2.prom")];
    const NODE: [&str; 2] = [include_str!("fixtures/node_1.prom"), include_str!("fixtures/node_2.prom")];

    fn reading(at_s: f64, i: usize) -> Reading {
        Reading { jmx: read(at_s, Jmx::parse(JMX[i])), node: read(at_s, Node::parse(NODE[i])) }
    }

    fn read<T>(at_s: f64, values: T) -> Option<Scraped<T>> {
        Some(Scraped { at_s, values })
    }

    #[track_caller]
    fn near(value: Option<f64>, expected: f64) {
        let value = value.expect("a value");
        assert!((value - expected).abs() <= expected.abs() * 0.01 + 1e-9, "{value}, not {expected}");
    }

    #[test]
    fn means_are_of_the_interval_not_of_the_life() {
        let sample = between(Some(&reading(0.0, 0)), &reading(3.0, 1));
        assert_eq!(sample.state, BrokerState::Serving);
        let produce = sample.produce.expect("requests between the readings");
        near(produce.per_s, (2202.0 - 1827.0) / 3.0);
        near(produce.local_ms, 0.915);
        near(Some(produce.total_ms), 1.5255);
        assert_eq!(produce.remote_ms, Some(0.0)); // a single broker has no followers
        near(sample.messages_in_per_s, 316.0);
        near(sample.bytes_in_per_s, 328_191.3);
        assert_eq!((sample.partition_count, sample.under_replicated_partitions), (Some(6), Some(0)));
        near(sample.heap_used_percent, 71.68);
    }

    #[test]
    fn cpu_is_a_share_of_all_modes() {
        let sample = between(Some(&reading(0.0, 0)), &reading(3.0, 1));
        let cpu = sample.cpu_percent().expect("two readings of the counters");
        assert!((0.0..=100.0).contains(&cpu), "{cpu}");
        near(sample.cpu_user_percent, 85.45);
        near(sample.memory_percent(), 4.667);
        assert_eq!(sample.disk_used_percent, None); // there is none but the root file system
        assert_eq!(sample.cpu_throttled_percent, None); // no lab, so no such metric: not zero
    }

    #[test]
    fn a_first_reading_has_no_rates() {
        let sample = between(None, &reading(0.0, 0));
        assert_eq!((sample.cpu_percent(), sample.produce, sample.bytes_in_per_s), (None, None, None));
        assert_eq!(sample.partition_count, Some(6));
    }

    #[test]
    fn a_restart_gives_no_rates() {
        let sample = between(Some(&reading(0.0, 1)), &reading(3.0, 0));
        assert_eq!((sample.produce, sample.bytes_in_per_s, sample.cpu_user_percent), (None, None, None));
    }

    #[test]
    fn a_broker_without_partitions_is_starting() {
        let reading = Reading { jmx: read(0.0, Jmx::parse(STARTING)), node: None };
        assert_eq!(between(None, &reading).state, BrokerState::Starting);
    }

    #[test]
    fn a_broker_of_an_empty_cluster_is_told_from_one_that_starts() {
        let jmx = |state: f64| {
            Jmx::parse(&format!(
                "kafka_server_KafkaServer_Value{{name=\"BrokerState\",}} {state}\n\
                 kafka_server_ReplicaManager_Value{{name=\"PartitionCount\",}} 0.0\n"
            ))
        };
        assert!(jmx(3.0).runs_without_partitions() && !jmx(2.0).runs_without_partitions());
    }

    #[test]
    fn a_broker_that_does_not_answer_is_unreachable() {
        assert_eq!(between(Some(&reading(0.0, 0)), &Reading::default()), BrokerSample::default());
    }

    #[test]
    fn the_labs_own_metrics_are_read() {
        let lab = |periods: u32, throttled: u32| {
            format!(
                "kgen_lab_cpu_periods_total {periods}\nkgen_lab_cpu_throttled_periods_total {throttled}\n\
                 kgen_lab_cpu_credit_balance 12.5\nkgen_lab_host_cpu_pressure_percent 7\n"
            )
        };
        let at = |at_s, text: &str| Reading { node: read(at_s, Node::parse(text)), ..reading(at_s, 0) };
        let sample = between(Some(&at(0.0, &lab(100, 10))), &at(1.0, &lab(110, 16)));
        near(sample.cpu_throttled_percent, 60.0);
        assert_eq!(sample.cpu_credit_balance, Some(12.5));
        assert_eq!(Node::parse(&lab(1, 1)).host_cpu_pressure_percent(), Some(7.0));
    }

    #[test]
    fn a_late_endpoint_takes_nothing_from_the_other() {
        let before = reading(0.0, 0);
        let without_jmx = between(Some(&before), &Reading { jmx: None, ..reading(3.0, 1) });
        near(without_jmx.cpu_user_percent, 85.45);
        assert_eq!((without_jmx.state, without_jmx.partition_count), (BrokerState::Unreachable, None));
        let without_node = between(Some(&before), &Reading { node: None, ..reading(3.0, 1) });
        near(without_node.bytes_in_per_s, 328_191.3);
        assert_eq!((without_node.state, without_node.cpu_user_percent), (BrokerState::Serving, None));
        let mut last = before;
        last.update(Reading { jmx: None, ..reading(3.0, 1) });
        assert_eq!(last.jmx.as_ref().map(|read| read.at_s), Some(0.0), "the last values are kept for the difference");
        assert_eq!(last.node.as_ref().map(|read| read.at_s), Some(3.0));
    }

    #[test]
    fn rates_are_by_the_time_of_the_request() {
        // 5 MB/s, requested at 0 s and 2 s; the answers came at 0.5 s and 3.5 s.
        let at = |at_s: f64, bytes: u64| {
            let text = format!("kafka_server_BrokerTopicMetrics_Count{{name=\"BytesInPerSec\",topic=\"\",}} {bytes}\n");
            Reading { jmx: read(at_s, Jmx::parse(&text)), node: None }
        };
        near(between(Some(&at(0.0, 7_000_000)), &at(2.0, 17_000_000)).bytes_in_per_s, 5_000_000.0);
    }
}
