//! One broker's two endpoints at one moment, and what two such moments say about the time between them. Pure.
//!
//! Kafka's `Mean` of request times covers the broker's whole life, so an interval's mean is worked out from the change
//! of `Mean × Count`. A counter that fell tells of a restart, and gives no value.

use super::exposition::Exposition;
use crate::sample::{BrokerSample, BrokerState, RequestTimes};

/// What was read from one broker.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// Seconds on any clock that does not jump.
    pub at_s: f64,
    pub jmx: Option<Jmx>,
    pub node: Option<Node>,
}

/// From the JMX exporter (MSK: port 11001).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Jmx {
    started_at_s: Option<f64>,
    /// Kafka's `BrokerState`; 3 is running.
    broker_state: Option<f64>,
    partition_count: Option<f64>,
    leader_count: Option<f64>,
    under_replicated_partitions: Option<f64>,
    under_min_isr_partitions: Option<f64>,
    offline_partitions: Option<f64>,
    bytes_in: Option<f64>,
    bytes_out: Option<f64>,
    messages_in: Option<f64>,
    produce: ProduceTimes,
    heap_used_percent: Option<f64>,
    heap_after_gc_percent: Option<f64>,
    follower_fetch_local: Option<Histogram>,
    gc_ms: Option<f64>,
    connections: Option<f64>,
    connections_created: Option<f64>,
}

/// Milliseconds spent on produce requests since the broker's start, and the number of requests.
#[derive(Debug, Clone, Default, PartialEq)]
struct ProduceTimes {
    queue: Option<Histogram>,
    local: Option<Histogram>,
    remote: Option<Histogram>,
    response_queue: Option<Histogram>,
    send: Option<Histogram>,
    throttle: Option<Histogram>,
    total: Option<Histogram>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Histogram {
    sum_ms: f64,
    count: f64,
}

/// From the node exporter (MSK: port 11002), with the lab's own metrics where there are any.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Node {
    cpu_user_s: Option<f64>,
    cpu_system_s: Option<f64>,
    cpu_total_s: Option<f64>,
    memory_total_bytes: Option<f64>,
    memory_available_bytes: Option<f64>,
    disk_used_percent: Option<f64>,
    cpu_periods: Option<f64>,
    cpu_throttled_periods: Option<f64>,
    cpu_credit_balance: Option<f64>,
    host_cpu_pressure_percent: Option<f64>,
}

impl Jmx {
    pub fn parse(text: &str) -> Jmx {
        let found = Exposition::parse(text);
        let replicas = |name| found.value("kafka_server_ReplicaManager_Value", &[("name", name)]);
        let topics = |name| found.without_topic("kafka_server_BrokerTopicMetrics_Count", name);
        let request = |name, request| {
            let labels = [("name", name), ("request", request)];
            let count = found.value("kafka_network_RequestMetrics_Count", &labels)?;
            Some(Histogram { sum_ms: found.value("kafka_network_RequestMetrics_Mean", &labels)? * count, count })
        };
        let produce = |name| request(name, "Produce");
        Jmx {
            started_at_s: found.value("process_start_time_seconds", &[]),
            broker_state: found.value("kafka_server_KafkaServer_Value", &[("name", "BrokerState")]),
            partition_count: replicas("PartitionCount"),
            leader_count: replicas("LeaderCount"),
            under_replicated_partitions: replicas("UnderReplicatedPartitions"),
            under_min_isr_partitions: replicas("UnderMinIsrPartitionCount"),
            offline_partitions: found
                .value("kafka_controller_KafkaController_Value", &[("name", "OfflinePartitionsCount")]),
            bytes_in: topics("BytesInPerSec"),
            bytes_out: topics("BytesOutPerSec"),
            messages_in: topics("MessagesInPerSec"),
            produce: ProduceTimes {
                queue: produce("RequestQueueTimeMs"),
                local: produce("LocalTimeMs"),
                remote: produce("RemoteTimeMs"),
                response_queue: produce("ResponseQueueTimeMs"),
                send: produce("ResponseSendTimeMs"),
                throttle: produce("ThrottleTimeMs"),
                total: produce("TotalTimeMs"),
            },
            heap_used_percent: percent(
                found.value("java_lang_Memory_HeapMemoryUsage_used", &[]),
                found.value("java_lang_Memory_HeapMemoryUsage_max", &[]),
            ),
            heap_after_gc_percent: heap_after_gc(&found),
            follower_fetch_local: request("LocalTimeMs", "FetchFollower"),
            gc_ms: sum(found.names("java_lang_", "_CollectionTime").filter_map(|name| found.value(name, &[]))),
            connections: sockets(&found, "connection_count"),
            connections_created: sockets(&found, "connection_creation"),
        }
    }

    /// Kafka says that it runs, and it has no partition: in a cluster without any, that is all there is to serve.
    pub fn runs_without_partitions(&self) -> bool {
        self.broker_state == Some(3.0) && self.partition_count == Some(0.0)
    }

    /// A broker that leads and follows nothing is not taken for healthy: it may have just started.
    fn state(&self) -> BrokerState {
        let running = self.broker_state.is_none_or(|state| state == 3.0);
        match self.partition_count {
            Some(count) if running && count > 0.0 => BrokerState::Serving,
            _ => BrokerState::Starting,
        }
    }
}

/// A value of every network processor, summed up.
fn sockets(found: &Exposition, what: &str) -> Option<f64> {
    // The exporter's versions differ in dashes, and in whether a counter ends with `total`.
    let is_meant = |name: &str| name.replace('-', "_").trim_end_matches("_total").ends_with(what);
    let name = found.names("kafka_server_socket_server_metrics", "").find(|name| is_meant(name))?;
    sum(found.all(name).map(|(_, value)| value))
}

/// The sum, if there is anything to sum up.
fn sum(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values = values.peekable();
    values.peek().is_some().then(|| values.sum())
}

/// Old generation in use after a collection, percent of its maximum.
///
/// The pool's own `CollectionUsage` stays 0 until that pool was collected, which with G1 may take hours; until then what
/// the last young collection left there is the nearest value.
fn heap_after_gc(found: &Exposition) -> Option<f64> {
    let is_old = |pool: &str| ["Old", "Tenured"].iter().any(|word| pool.contains(word));
    let used = found.names("java_lang_", "_CollectionUsage_used").find(|name| is_old(name));
    if let Some(name) = used
        && let Some(used) = found.value(name, &[]).filter(|used| *used > 0.0)
    {
        return percent(Some(used), found.value(&name.replace("_used", "_max"), &[]));
    }
    let (after, _) = found
        .names("java_lang_", "_LastGcInfo_endTime")
        .filter_map(|name| Some((name.strip_suffix("endTime")?, found.value(name, &[])?)))
        .max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let of = |what: &str| {
        let name = format!("{after}memoryUsageAfterGc_{what}");
        found.all(&name).find(|(labels, _)| labels.get("key").is_some_and(is_old)).map(|(_, value)| value)
    };
    percent(of("used"), of("max"))
}

impl Node {
    pub fn parse(text: &str) -> Node {
        let found = Exposition::parse(text);
        let cpu = |modes: &[&str]| {
            let of_mode = |labels: &prometheus_parse::Labels| {
                modes.is_empty() || labels.get("mode").is_some_and(|mode| modes.contains(&mode))
            };
            sum(found.all("node_cpu_seconds_total").filter(|(labels, _)| of_mode(labels)).map(|(_, value)| value))
        };
        let bare = |name| found.value(name, &[]);
        Node {
            cpu_user_s: cpu(&["user", "nice"]),
            cpu_system_s: cpu(&["system", "irq", "softirq"]),
            cpu_total_s: cpu(&[]),
            memory_total_bytes: bare("node_memory_MemTotal_bytes"),
            memory_available_bytes: bare("node_memory_MemAvailable_bytes"),
            disk_used_percent: disk_used(&found),
            cpu_periods: bare("kgen_lab_cpu_periods_total"),
            cpu_throttled_periods: bare("kgen_lab_cpu_throttled_periods_total"),
            cpu_credit_balance: bare("kgen_lab_cpu_credit_balance"),
            host_cpu_pressure_percent: bare("kgen_lab_host_cpu_pressure_percent"),
        }
    }

    pub fn host_cpu_pressure_percent(&self) -> Option<f64> {
        self.host_cpu_pressure_percent
    }
}

/// Of the file systems with names, the fullest: on MSK the data logs are on a volume of their own, and a root disk that
/// is fuller is a trouble too.
fn disk_used(found: &Exposition) -> Option<f64> {
    found
        .all("node_filesystem_size_bytes")
        .filter(|(labels, size)| *size > 0.0 && labels.get("fstype") != Some("tmpfs"))
        .filter_map(|(labels, size)| {
            let mountpoint = labels.get("mountpoint")?;
            let available = found.value("node_filesystem_avail_bytes", &[("mountpoint", mountpoint)])?;
            percent(Some(size - available), Some(size))
        })
        .max_by(f64::total_cmp)
}

/// What the broker did between two readings; without the first, only what one reading tells.
pub fn between(before: Option<&Reading>, now: &Reading) -> BrokerSample {
    let Some(jmx) = &now.jmx else { return BrokerSample::default() };
    let node = now.node.as_ref();
    let count = |value: Option<f64>| value.map(|value| value as u64);
    let memory_total = node.and_then(|node| node.memory_total_bytes);
    let mut sample = BrokerSample {
        state: jmx.state(),
        cpu_credit_balance: node.and_then(|node| node.cpu_credit_balance),
        memory_used_bytes: count(
            memory_total.zip(node.and_then(|node| node.memory_available_bytes)).map(|(a, b)| a - b),
        ),
        memory_total_bytes: count(memory_total),
        heap_after_gc_percent: jmx.heap_after_gc_percent,
        heap_used_percent: jmx.heap_used_percent,
        under_replicated_partitions: count(jmx.under_replicated_partitions),
        under_min_isr_partitions: count(jmx.under_min_isr_partitions),
        offline_partitions: count(jmx.offline_partitions),
        partition_count: count(jmx.partition_count),
        leader_count: count(jmx.leader_count),
        disk_used_percent: node.and_then(|node| node.disk_used_percent),
        connection_count: count(jmx.connections),
        ..BrokerSample::default()
    };
    let Some(before) = before else { return sample };
    let seconds = now.at_s - before.at_s;
    if let Some(was) = &before.jmx
        && was.started_at_s == jmx.started_at_s
        && seconds > 0.0
    {
        let per_s = |was, now| risen(was, now).map(|rise| rise / seconds);
        sample.bytes_in_per_s = per_s(was.bytes_in, jmx.bytes_in);
        sample.bytes_out_per_s = per_s(was.bytes_out, jmx.bytes_out);
        sample.messages_in_per_s = per_s(was.messages_in, jmx.messages_in);
        sample.produce = request_times(&was.produce, &jmx.produce, seconds);
        sample.follower_fetch_local_ms = mean(was.follower_fetch_local, jmx.follower_fetch_local);
        sample.connections_created_per_s = per_s(was.connections_created, jmx.connections_created);
        sample.gc_percent = percent(risen(was.gc_ms, jmx.gc_ms), Some(seconds * 1000.0));
    }
    if let (Some(was), Some(node)) = (&before.node, node) {
        let total = risen(was.cpu_total_s, node.cpu_total_s);
        sample.cpu_user_percent = percent(risen(was.cpu_user_s, node.cpu_user_s), total);
        sample.cpu_system_percent = percent(risen(was.cpu_system_s, node.cpu_system_s), total);
        let periods = risen(was.cpu_periods, node.cpu_periods);
        sample.cpu_throttled_percent = percent(risen(was.cpu_throttled_periods, node.cpu_throttled_periods), periods);
    }
    sample
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

/// The rise of a counter; nothing when it fell, as after a restart.
fn risen(was: Option<f64>, now: Option<f64>) -> Option<f64> {
    Some(now? - was?).filter(|rise| *rise >= 0.0)
}

fn percent(part: Option<f64>, whole: Option<f64>) -> Option<f64> {
    let whole = whole.filter(|whole| *whole > 0.0)?;
    Some(part? / whole * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Read from a broker of Kafka 4.3.1 with the JMX exporter 1.0.1 and from node_exporter 1.5.0, three seconds apart
    // under 300 records/s; trimmed to the metrics read here and some neighbours.
    const STARTING: &str = include_str!("fixtures/jmx_starting.prom");
    const JMX: [&str; 2] = [include_str!("fixtures/jmx_1.prom"), include_str!("fixtures/jmx_2.prom")];
    const NODE: [&str; 2] = [include_str!("fixtures/node_1.prom"), include_str!("fixtures/node_2.prom")];

    fn reading(at_s: f64, i: usize) -> Reading {
        Reading { at_s, jmx: Some(Jmx::parse(JMX[i])), node: Some(Node::parse(NODE[i])) }
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
        near(sample.disk_used_percent, 72.5);
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
        let reading = Reading { at_s: 0.0, jmx: Some(Jmx::parse(STARTING)), node: None };
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
        let at = |at_s, text: &str| Reading { at_s, node: Some(Node::parse(text)), ..reading(at_s, 0) };
        let sample = between(Some(&at(0.0, &lab(100, 10))), &at(1.0, &lab(110, 16)));
        near(sample.cpu_throttled_percent, 60.0);
        assert_eq!(sample.cpu_credit_balance, Some(12.5));
        assert_eq!(Node::parse(&lab(1, 1)).host_cpu_pressure_percent(), Some(7.0));
    }

    #[test]
    fn the_old_generation_is_read_after_a_collection() {
        let young = "java_lang_G1_Young_Generation_LastGcInfo_endTime{type=\"GarbageCollector\"} 5\n\
                     java_lang_G1_Young_Generation_LastGcInfo_memoryUsageAfterGc_used{key=\"G1 Old Gen\"} 30\n\
                     java_lang_G1_Young_Generation_LastGcInfo_memoryUsageAfterGc_max{key=\"G1 Old Gen\"} 100\n";
        let pool = |used| {
            format!(
                "java_lang_G1_Old_Gen_CollectionUsage_used{{type=\"MemoryPool\"}} {used}\n\
                                   java_lang_G1_Old_Gen_CollectionUsage_max{{type=\"MemoryPool\"}} 100\n{young}"
            )
        };
        let rows =
            [(pool(0), Some(30.0)), (pool(20), Some(20.0)), (young.to_owned(), Some(30.0)), (String::new(), None)];
        for (text, expected) in rows {
            assert_eq!(Jmx::parse(&text).heap_after_gc_percent, expected, "{text}");
        }
    }
}
