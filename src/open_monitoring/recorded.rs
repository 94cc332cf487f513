//! Recording rules: one figure a broker, a cluster or a group each, whatever endpoint it comes from.
//!
//! The two exporters of a broker have an address each, so the host of `instance` becomes the label `broker`.

/// Range of rates: at least two scrapes a minute apart, with room for missed ones.
const RANGE: &str = "5m";

/// Range of the growth of lag: a consumer that commits in batches stays level over it.
const LAG_RANGE: &str = "10m";

/// A series that Prometheus records.
pub struct Recorded {
    pub name: &'static str,
    pub expression: String,
}

pub const CPU_PERCENT: &str = "kgen:broker_cpu_percent";
pub const IO_WAIT_PERCENT: &str = "kgen:broker_io_wait_percent";
pub const DISK_USED_PERCENT: &str = "kgen:broker_disk_used_percent";
pub const HEAP_PERCENT: &str = "kgen:broker_heap_after_gc_percent";
pub const BYTES_IN: &str = "kgen:broker_bytes_in_per_s";
pub const BYTES_OUT: &str = "kgen:broker_bytes_out_per_s";
pub const RECORDS_IN: &str = "kgen:broker_records_in_per_s";
pub const REQUESTS: &str = "kgen:broker_produce_requests_per_s";
pub const RECORDS_A_REQUEST: &str = "kgen:broker_records_per_request";
pub const TOTAL_MS: &str = "kgen:broker_produce_total_ms";
pub const LOCAL_MS: &str = "kgen:broker_produce_local_ms";
pub const REMOTE_MS: &str = "kgen:broker_produce_remote_ms";
pub const THROTTLE_MS: &str = "kgen:broker_produce_throttle_ms";
pub const CONNECTIONS: &str = "kgen:broker_connections";
pub const CONNECTIONS_CREATED: &str = "kgen:broker_connections_created_per_s";
pub const PARTITIONS: &str = "kgen:broker_partitions";
pub const LEADERS: &str = "kgen:broker_leaders";
pub const UNDER_REPLICATED: &str = "kgen:broker_under_replicated_partitions";
pub const UNDER_MIN_ISR: &str = "kgen:broker_under_min_isr_partitions";
pub const NOT_PREFERRED_SHARE: &str = "kgen:cluster_not_preferred_share";
pub const FAN_OUT: &str = "kgen:cluster_fan_out";
pub const LAG: &str = "kgen:group_lag";
pub const LAG_GROWTH: &str = "kgen:group_lag_growth_per_s";
pub const LAG_SHARE: &str = "kgen:group_lag_growth_share";

/// Times of produce requests: the name of Kafka, the sum since the broker's start, its number of requests, the mean.
const TIMES: [(&str, &str, &str, &str); 4] = [
    ("TotalTimeMs", "kgen:broker_produce_total_ms_sum", "kgen:broker_produce_total_count", TOTAL_MS),
    ("LocalTimeMs", "kgen:broker_produce_local_ms_sum", "kgen:broker_produce_local_count", LOCAL_MS),
    ("RemoteTimeMs", "kgen:broker_produce_remote_ms_sum", "kgen:broker_produce_remote_count", REMOTE_MS),
    ("ThrottleTimeMs", "kgen:broker_produce_throttle_ms_sum", "kgen:broker_produce_throttle_count", THROTTLE_MS),
];

/// Every recorded series; one that uses another comes after it.
pub fn recorded() -> Vec<Recorded> {
    let mut all = of_machines();
    all.extend(of_brokers());
    all.extend(produce_times());
    all.extend(of_clusters_and_groups());
    all
}

fn recording(name: &'static str, expression: String) -> Recorded {
    Recorded { name, expression }
}

/// `inner`, summed up by broker.
fn by_broker(how: &str, inner: &str) -> String {
    format!(
        "{how} by (cluster, broker) (label_replace({inner}, \"broker\", \"$1\", \"instance\", \"([^:]+)(?::[0-9]+)?\"))"
    )
}

fn rate(selector: &str) -> String {
    by_broker("sum", &format!("rate({selector}[{RANGE}])"))
}

/// From the node exporter.
fn of_machines() -> Vec<Recorded> {
    let share = |modes: &str| {
        let part = rate(&format!("node_cpu_seconds_total{{mode=~\"{modes}\"}}"));
        format!("100 * {part} / {}", rate("node_cpu_seconds_total"))
    };
    // MSK's data volume is at /kafka/datalogs.
    let volume = |what: &str| format!("node_filesystem_{what}_bytes{{mountpoint=~\"(?i).*(kafka|datalogs).*\"}}");
    let used = format!("100 * (1 - {} / {})", volume("avail"), volume("size"));
    vec![
        recording(CPU_PERCENT, share("user|nice|system|irq|softirq")),
        recording(IO_WAIT_PERCENT, share("iowait")),
        recording(DISK_USED_PERCENT, by_broker("max", &used)),
    ]
}

/// From the JMX exporter. Its rules differ in whether a memory pool is part of a name or a label, and in how sockets count.
fn of_brokers() -> Vec<Recorded> {
    let heap = |what: &str, at_least: &str| {
        let old = "(.*_)?(Old_Gen|Tenured_Gen)";
        let named = format!("{{__name__=~\"java_lang_{old}_CollectionUsage_{what}\"}}{at_least}");
        let labelled =
            format!("java_lang_MemoryPool_CollectionUsage_{what}{{name=~\".*(Old|Tenured) Gen\"}}{at_least}");
        let exporter = format!("jvm_memory_pool_collection_{what}_bytes{{pool=~\".*(Old|Tenured) Gen\"}}{at_least}");
        [named, labelled, exporter].map(|selector| by_broker("max", &selector)).join(" or ")
    };
    let replicas = |name: &str| by_broker("max", &format!("kafka_server_ReplicaManager_Value{{name=\"{name}\"}}"));
    let topics = |name: &str| rate(&format!("kafka_server_BrokerTopicMetrics_Count{{name=\"{name}\",topic=\"\"}}"));
    let requests = "kafka_network_RequestMetrics_Count{name=\"TotalTimeMs\",request=\"Produce\"}";
    let sockets = "kafka_server_socket_server_metrics_connection";
    vec![
        // Until the pool itself was collected, it says 0.
        recording(HEAP_PERCENT, format!("100 * ({}) / ({})", heap("used", " > 0"), heap("max", ""))),
        recording(BYTES_IN, topics("BytesInPerSec")),
        recording(BYTES_OUT, topics("BytesOutPerSec")),
        recording(RECORDS_IN, topics("MessagesInPerSec")),
        recording(REQUESTS, rate(requests)),
        recording(RECORDS_A_REQUEST, format!("{RECORDS_IN} / ({REQUESTS} > 0)")),
        recording(CONNECTIONS, by_broker("sum", &format!("{sockets}_count"))),
        recording(
            CONNECTIONS_CREATED,
            format!(
                "{} or {}",
                rate(&format!("{sockets}_creation_total")),
                by_broker("sum", &format!("{sockets}_creation_rate"))
            ),
        ),
        recording(PARTITIONS, replicas("PartitionCount")),
        recording(LEADERS, replicas("LeaderCount")),
        recording(UNDER_REPLICATED, replicas("UnderReplicatedPartitions")),
        recording(UNDER_MIN_ISR, replicas("UnderMinIsrPartitionCount")),
    ]
}

/// Kafka's `Mean` is that since the broker's start, so the mean of an interval is worked out from the change of the sum. By
/// `delta`, as a sum that seems to fall by a hair would be a restart to `rate`.
fn produce_times() -> Vec<Recorded> {
    let mut all = Vec::new();
    for (name, sum, count, mean) in TIMES {
        let of = |what: &str| format!("kafka_network_RequestMetrics_{what}{{name=\"{name}\",request=\"Produce\"}}");
        all.push(recording(sum, by_broker("max", &format!("{} * {}", of("Mean"), of("Count")))));
        all.push(recording(count, by_broker("max", &of("Count"))));
        let interval = format!("clamp_min(delta({sum}[{RANGE}]), 0) / (delta({count}[{RANGE}]) > 0)");
        all.push(recording(mean, interval));
    }
    all
}

fn of_clusters_and_groups() -> Vec<Recorded> {
    let controller =
        |name: &str| format!("sum by (cluster) (kafka_controller_KafkaController_Value{{name=\"{name}\"}})");
    let topic_in = format!(
        "sum by (cluster, topic) (rate(kafka_server_BrokerTopicMetrics_Count{{name=\"MessagesInPerSec\",topic!=\"\"}}[{RANGE}]))"
    );
    vec![
        recording(
            NOT_PREFERRED_SHARE,
            format!("{} / ({} > 0)", controller("PreferredReplicaImbalanceCount"), controller("GlobalPartitionCount")),
        ),
        recording(FAN_OUT, format!("sum by (cluster) ({BYTES_OUT}) / (sum by (cluster) ({BYTES_IN}) > 0)")),
        recording(
            LAG,
            "max by (cluster, groupId, topic) (kafka_consumer_group_ConsumerLagMetrics_Value{name=\"SumOffsetLag\"})"
                .to_owned(),
        ),
        recording(LAG_GROWTH, format!("deriv({LAG}[{LAG_RANGE}])")),
        recording(LAG_SHARE, format!("{LAG_GROWTH} / on (cluster, topic) group_left () ({topic_in} > 0)")),
    ]
}
