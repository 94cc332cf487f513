//! Which metrics the lab publishes, and how each is computed: one row a metric and set of dimensions.
//!
//! The next metric is one more row; what MSK has and the lab has not is listed with the reason at its end.

use super::window::{BrokerWindow, ByAuthentication, ClusterWindow, Lag, greatest};
use crate::{
    catalogue::{
        Metric,
        MonitoringLevel::{self, Default, PerBroker, PerTopicPerBroker, PerTopicPerPartition},
    },
    lab::readings::Host,
};
use Clusters::{Both, Express, Standard};
use How::{Authentications, Broker, Cluster, Controller, EachBroker, Group, Partition, Threads, Topic};

/// A metric under one set of dimensions.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub metric: &'static str,
    /// The lowest level at which it is published.
    pub level: MonitoringLevel,
    /// Names of its dimensions, as the catalogue has them.
    pub dimensions: &'static [&'static str],
    pub clusters: Clusters,
    pub how: How,
    /// Only every so many periods has a datapoint.
    pub every: i64,
}

/// Clusters that have a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clusters {
    Standard,
    Express,
    Both,
}

/// What a metric is computed from.
#[derive(Debug, Clone, Copy)]
pub enum How {
    Broker(fn(&BrokerWindow) -> Option<f64>),
    /// A value for each network thread: the metric is the sum.
    Threads(fn(&BrokerWindow) -> Vec<f64>),
    /// As [`Threads`], by the clients' kind of authentication.
    Authentications(fn(&BrokerWindow) -> ByAuthentication),
    /// A topic on a broker; a series begins with its first value that is not zero.
    Topic(fn(&BrokerWindow, &str) -> Option<f64>),
    /// A value of each broker under the dimensions of the cluster.
    EachBroker(fn(&BrokerWindow) -> Option<f64>),
    /// The controller's value, and a zero for each other broker: the metric is the maximum.
    Controller(fn(&ClusterWindow) -> Option<f64>),
    Cluster(fn(&ClusterWindow) -> Option<f64>),
    /// All partitions of a topic that a group reads.
    Group(fn(&[Lag]) -> Option<f64>),
    Partition(fn(&Lag) -> Option<f64>),
}

pub const CLUSTER: &[&str] = &["Cluster Name"];
pub const BROKER: &[&str] = &["Cluster Name", "Broker ID"];
pub const TOPIC: &[&str] = &["Cluster Name", "Broker ID", "Topic"];
pub const AUTHENTICATION: &[&str] = &["Cluster Name", "Broker ID", "Client Authentication"];
pub const GROUP: &[&str] = &["Cluster Name", "Consumer Group", "Topic"];
pub const PARTITION: &[&str] = &["Consumer Group", "Topic", "Partition"];

/// The kinds of requests whose parts are scraped: nearly all of a broker's work.
const REQUESTS: [&str; 3] = ["Produce", "FetchConsumer", "FetchFollower"];

const fn row(
    metric: &'static str,
    level: MonitoringLevel,
    dimensions: &'static [&'static str],
    clusters: Clusters,
    how: How,
) -> Row {
    Row { metric, level, dimensions, clusters, how, every: 1 }
}

impl Row {
    const fn every(self, periods: i64) -> Row {
        Row { every: periods, ..self }
    }

    /// The metric's row in the catalogue; where the catalogue names a topic, brokers have the metric too.
    pub fn catalogued(&self) -> Option<&'static Metric> {
        let of_name = || Metric::all().iter().filter(|metric| metric.name == self.metric);
        let exact = of_name().find(|metric| metric.dimensions().eq(self.dimensions.iter().copied()));
        exact.or_else(|| of_name().find(|metric| metric.dimensions().take(2).eq(self.dimensions.iter().copied())))
    }

    pub fn is_of(&self, express: bool) -> bool {
        self.clusters == Both || (self.clusters == Express) == express
    }
}

/// Every metric that the lab publishes.
#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    row("ActiveControllerCount", Default, CLUSTER, Both, Controller(|of| of.controllers)),
    row("GlobalPartitionCount", Default, CLUSTER, Both, Controller(|of| of.partitions)),
    row("GlobalTopicCount", Default, CLUSTER, Both, Controller(|of| of.topics)),
    row("OfflinePartitionsCount", Default, CLUSTER, Standard, Controller(|of| of.offline_partitions)),
    row("StorageUsed", Default, CLUSTER, Express, Cluster(|of| of.stored_bytes)),
    row("KafkaDataLogsDiskUsed", Default, CLUSTER, Standard, EachBroker(|of| of.last(data_disk_percent))),
    row("CpuUser", Default, BROKER, Both, Broker(|of| of.mean(|host| host.cpu_user_percent))),
    row("CpuSystem", Default, BROKER, Both, Broker(|of| of.mean(|host| host.cpu_system_percent))),
    row("CpuIdle", Default, BROKER, Both, Broker(|of| of.mean(|host| host.cpu_idle_percent))),
    row("CpuIoWait", Default, BROKER, Standard, Broker(io_wait_percent)),
    row("CPUCreditBalance", Default, BROKER, Standard, Broker(|of| of.last(|host| host.credit_balance))).every(5),
    row("CpuCreditUsage", PerBroker, BROKER, Standard, Broker(|of| of.growth(|host| host.credits_spent))).every(5),
    row("MemoryUsed", Default, BROKER, Both, Broker(|of| of.last(|host| Some((host.memory_used_bytes - host.memory_cached_bytes) as f64)))),
    row("MemoryCached", Default, BROKER, Both, Broker(|of| of.last(|host| Some(host.memory_cached_bytes as f64)))),
    row("MemoryFree", Default, BROKER, Both, Broker(|of| of.last(|host| Some((host.memory_total_bytes - host.memory_used_bytes) as f64)))),
    row("SwapUsed", Default, BROKER, Standard, Broker(|of| of.last(|host| host.swap_used_bytes.map(|bytes| bytes as f64)))),
    row("SwapFree", Default, BROKER, Standard, Broker(|of| of.last(|host| host.swap_free_bytes.map(|bytes| bytes as f64)))),
    row("HeapMemoryAfterGC", Default, BROKER, Standard, Broker(|of| of.scrape?.heap_after_gc_percent())),
    row("KafkaDataLogsDiskUsed", Default, BROKER, Standard, Broker(|of| of.last(data_disk_percent))),
    row("KafkaAppLogsDiskUsed", Default, BROKER, Standard, Broker(|of| of.last(|host| host.logs_disk_percent))),
    row("RootDiskUsed", Default, BROKER, Standard, Broker(|of| of.last(|host| host.root_disk_percent))),
    row("TrafficShaping", Default, BROKER, Standard, Broker(|of| of.growth(|host| Some(host.packets_shaped as f64)))),
    row("LeaderCount", Default, BROKER, Both, Broker(|of| of.scrape?.replicas("LeaderCount"))),
    row("PartitionCount", Default, BROKER, Both, Broker(|of| of.scrape?.replicas("PartitionCount"))),
    row("UnderMinIsrPartitionCount", Default, BROKER, Standard, Broker(|of| of.scrape?.replicas("UnderMinIsrPartitionCount"))),
    row("UnderReplicatedPartitions", Default, BROKER, Standard, Broker(|of| of.scrape?.replicas("UnderReplicatedPartitions"))),
    row("UserPartitionExists", Default, BROKER, Both, Broker(|of| of.user_partitions.map(|count| f64::from(u8::from(count > 0))))),
    row("BytesInPerSec", Default, BROKER, Both, Broker(|of| of.rate(|jmx| jmx.topics_counter("BytesInPerSec")))),
    row("BytesOutPerSec", Default, BROKER, Both, Broker(|of| of.rate(|jmx| jmx.topics_counter("BytesOutPerSec")))),
    row("MessagesInPerSec", Default, BROKER, Both, Broker(|of| of.rate(|jmx| jmx.topics_counter("MessagesInPerSec")))),
    row("BytesInPerSec", Default, TOPIC, Both, Topic(|of, topic| of.rate(|jmx| jmx.topic_counter(topic, "BytesInPerSec")))),
    row("BytesOutPerSec", Default, TOPIC, Both, Topic(|of, topic| of.rate(|jmx| jmx.topic_counter(topic, "BytesOutPerSec")))),
    row("ConnectionCount", Default, BROKER, Both, Threads(|of| of.processors("connection_count"))),
    row("ClientConnectionCount", Default, AUTHENTICATION, Both, Authentications(|of| of.client_connections())),
    row("ProduceTotalTimeMsMean", Default, BROKER, Both, Broker(|of| of.request_mean(&["Produce"], "TotalTimeMs"))),
    row("RequestBytesMean", Default, BROKER, Both, Broker(|of| of.request_mean(&REQUESTS, "RequestBytes"))),
    row("RequestTime", Default, BROKER, Both, Broker(request_time)),
    row("MaxOffsetLag", Default, GROUP, Both, Group(|of| greatest(of.iter().map(|lag| Some(lag.offsets))))),
    row("SumOffsetLag", Default, GROUP, Both, Group(|of| Some(of.iter().map(|lag| lag.offsets).sum()))),
    row("EstimatedMaxTimeLag", Default, GROUP, Both, Group(|of| greatest(of.iter().map(|lag| lag.seconds(lag.per_s))))),
    row("RollingEstimatedTimeLagMax", Default, GROUP, Both, Group(|of| greatest(of.iter().map(|lag| lag.seconds(lag.rolling_per_s))))),
    row("ConnectionCreationRate", PerBroker, BROKER, Both, Threads(|of| of.processor_rates("connection_creation"))),
    row("ConnectionCloseRate", PerBroker, BROKER, Both, Threads(|of| of.processor_rates("connection_close"))),
    row("FetchConsumerLocalTimeMsMean", PerBroker, BROKER, Both, Broker(|of| of.request_mean(&["FetchConsumer"], "LocalTimeMs"))),
    row("FetchConsumerRequestQueueTimeMsMean", PerBroker, BROKER, Both, Broker(|of| of.request_mean(&["FetchConsumer"], "RequestQueueTimeMs"))),
    row("FetchConsumerResponseQueueTimeMsMean", PerBroker, BROKER, Both, Broker(|of| of.request_mean(&["FetchConsumer"], "ResponseQueueTimeMs"))),
    row("FetchConsumerResponseSendTimeMsMean", PerBroker, BROKER, Both, Broker(|of| of.request_mean(&["FetchConsumer"], "ResponseSendTimeMs"))),
    row("FetchConsumerTotalTimeMsMean", PerBroker, BROKER, Both, Broker(|of| of.request_mean(&["FetchConsumer"], "TotalTimeMs"))),
    row("FetchFollowerLocalTimeMsMean", PerBroker, BROKER, Both, Broker(|of| of.request_mean(&["FetchFollower"], "LocalTimeMs"))),
    row("FetchFollowerRequestQueueTimeMsMean", PerBroker, BROKER, Both, Broker(|of| of.request_mean(&["FetchFollower"], "RequestQueueTimeMs"))),
    row("FetchFollowerResponseQueueTimeMsMean", PerBroker, BROKER, Both, Broker(|of| of.request_mean(&["FetchFollower"], "ResponseQueueTimeMs"))),
    row("FetchFollowerResponseSendTimeMsMean", PerBroker, BROKER, Both, Broker(|of| of.request_mean(&["FetchFollower"], "ResponseSendTimeMs"))),
    row("FetchFollowerTotalTimeMsMean", PerBroker, BROKER, Both, Broker(|of| of.request_mean(&["FetchFollower"], "TotalTimeMs"))),
    row("ProduceLocalTimeMsMean", PerBroker, BROKER, Both, Broker(|of| of.request_mean(&["Produce"], "LocalTimeMs"))),
    row("ProduceRequestQueueTimeMsMean", PerBroker, BROKER, Both, Broker(|of| of.request_mean(&["Produce"], "RequestQueueTimeMs"))),
    row("ProduceResponseQueueTimeMsMean", PerBroker, BROKER, Both, Broker(|of| of.request_mean(&["Produce"], "ResponseQueueTimeMs"))),
    row("ProduceResponseSendTimeMsMean", PerBroker, BROKER, Both, Broker(|of| of.request_mean(&["Produce"], "ResponseSendTimeMs"))),
    row("ProduceMessageConversionsTimeMsMean", PerBroker, BROKER, Standard, Broker(|of| of.request_mean(&["Produce"], "MessageConversionsTimeMs"))),
    row("FetchMessageConversionsPerSec", PerBroker, BROKER, Standard, Broker(|of| of.rate(|jmx| jmx.topics_counter("FetchMessageConversionsPerSec")))),
    row("ProduceMessageConversionsPerSec", PerBroker, BROKER, Standard, Broker(|of| of.rate(|jmx| jmx.topics_counter("ProduceMessageConversionsPerSec")))),
    row("ReplicationBytesInPerSec", PerBroker, BROKER, Both, Broker(|of| of.rate(|jmx| jmx.topics_counter("ReplicationBytesInPerSec")))),
    row("ReplicationBytesOutPerSec", PerBroker, BROKER, Both, Broker(|of| of.rate(|jmx| jmx.topics_counter("ReplicationBytesOutPerSec")))),
    row("FetchThrottleByteRate", PerBroker, BROKER, Both, Broker(|of| of.throttled_bytes("Fetch"))),
    row("ProduceThrottleByteRate", PerBroker, BROKER, Both, Broker(|of| of.throttled_bytes("Produce"))),
    row("FetchThrottleQueueSize", PerBroker, BROKER, Both, Broker(|of| of.queue("Fetch"))),
    row("ProduceThrottleQueueSize", PerBroker, BROKER, Both, Broker(|of| of.queue("Produce"))),
    row("RequestThrottleQueueSize", PerBroker, BROKER, Both, Broker(|of| of.queue("Request"))),
    row("ProduceThrottleTime", PerBroker, BROKER, Both, Broker(|of| of.request_mean(&["Produce"], "ThrottleTimeMs"))),
    row("FetchThrottleTime", PerBroker, BROKER, Both, Broker(|of| of.request_mean(&["FetchConsumer"], "ThrottleTimeMs"))),
    row("RequestThrottleTime", PerBroker, BROKER, Both, Broker(|of| of.request_mean(&["Produce", "FetchConsumer"], "ThrottleTimeMs"))),
    row("RequestExemptFromThrottleTime", PerBroker, BROKER, Both, Broker(|of| of.scrape?.value("kafka_server_Request_exempt_request_time", ""))),
    row("RequestHandlerAvgIdlePercent", PerBroker, BROKER, Both, Broker(|of| of.scrape?.value("kafka_server_KafkaRequestHandlerPool_OneMinuteRate", "RequestHandlerAvgIdlePercent"))),
    row("NetworkProcessorAvgIdlePercent", PerBroker, BROKER, Both, Broker(|of| of.scrape?.value("kafka_network_SocketServer_Value", "NetworkProcessorAvgIdlePercent"))),
    row("KafkaFileDescriptorsUsagePercent", PerBroker, BROKER, Standard, Broker(file_descriptors_percent)),
    row("KafkaMemoryMappedFilesUsagePercent", PerBroker, BROKER, Standard, Broker(|of| of.last(|host| host.mapped_files_percent))),
    row("TcpConnections", PerBroker, BROKER, Both, Broker(tcp_connections)),
    row("TrafficBytes", PerBroker, BROKER, Both, Broker(traffic_bytes)),
    row("VolumeReadBytes", PerBroker, BROKER, Standard, Broker(|of| of.io(|io| io.read_bytes))),
    row("VolumeWriteBytes", PerBroker, BROKER, Standard, Broker(|of| of.io(|io| io.written_bytes))),
    row("VolumeReadOps", PerBroker, BROKER, Standard, Broker(|of| of.io(|io| io.reads))),
    row("VolumeWriteOps", PerBroker, BROKER, Standard, Broker(|of| of.io(|io| io.writes))),
    row("MessagesInPerSec", PerTopicPerBroker, TOPIC, Both, Topic(|of, topic| of.rate(|jmx| jmx.topic_counter(topic, "MessagesInPerSec")))),
    row("FetchMessageConversionsPerSec", PerTopicPerBroker, TOPIC, Standard, Topic(|of, topic| of.rate(|jmx| jmx.topic_counter(topic, "FetchMessageConversionsPerSec")))),
    row("ProduceMessageConversionsPerSec", PerTopicPerBroker, TOPIC, Standard, Topic(|of, topic| of.rate(|jmx| jmx.topic_counter(topic, "ProduceMessageConversionsPerSec")))),
    row("OffsetLag", PerTopicPerPartition, PARTITION, Both, Partition(|of| Some(of.offsets))),
    row("EstimatedTimeLag", PerTopicPerPartition, PARTITION, Both, Partition(|of| of.seconds(of.per_s))),
    row("RollingEstimatedTimeLag", PerTopicPerPartition, PARTITION, Both, Partition(|of| of.seconds(of.rolling_per_s))),
];

/// Metrics of the catalogue that the lab does not publish, and why.
#[cfg(test)]
pub const NOT_PUBLISHED: &[(&[&str], &str)] = &[
    (&["BurstBalance"], "the disk of this machine has no burst credits"),
    (
        &["VolumeQueueLength", "VolumeTotalReadTime", "VolumeTotalWriteTime"],
        "brokers share the disk of this machine, whose kernel keeps no times by process",
    ),
    (
        &[
            "NetworkRxDropped",
            "NetworkRxErrors",
            "NetworkRxPackets",
            "NetworkTxDropped",
            "NetworkTxErrors",
            "NetworkTxPackets",
        ],
        "brokers share the loopback interface of this machine",
    ),
    (
        &["BwInAllowanceExceeded", "BwOutAllowanceExceeded", "ConntrackAllowanceExceeded", "PpsAllowanceExceeded"],
        "brokers have no instance with allowances; packets that a fault holds back are in TrafficShaping",
    ),
    (&["IAMNumberOfConnectionRequests", "IAMTooManyConnections"], "brokers have no IAM listener"),
    (&["MemoryBuffered"], "control groups count no buffers beside the page cache"),
    (&["ZooKeeperRequestLatencyMsMean", "ZooKeeperSessionState"], "the lab's Kafka has no ZooKeeper"),
    (
        &[
            "RemoteFetchBytesPerSec",
            "RemoteCopyBytesPerSec",
            "RemoteLogManagerTasksAvgIdlePercent",
            "RemoteLogReaderAvgIdlePercent",
            "RemoteLogReaderTaskQueueSize",
            "RemoteFetchErrorsPerSec",
            "RemoteFetchRequestsPerSec",
            "RemoteCopyErrorsPerSec",
            "RemoteLogSizeBytes",
            "RemoteCopyLagBytes",
        ],
        "brokers have no tiered storage",
    ),
];

fn data_disk_percent(host: &Host) -> Option<f64> {
    (host.disk_bytes > 0).then(|| host.disk_used_bytes as f64 / host.disk_bytes as f64 * 100.0)
}

/// Share of the time in which something of the broker waited for the disk.
fn io_wait_percent(of: &BrokerWindow) -> Option<f64> {
    let waited = of.growth(|host| host.io.waited.map(|waited| waited.as_secs_f64()))?;
    let readings = of.hosts.len() as f64;
    let seconds = readings * crate::lab::readings::INTERVAL.as_secs_f64();
    (seconds > 0.0).then(|| (waited / seconds * 100.0).min(100.0))
}

/// Time of a request in the network and I/O threads, ms: not in queues, and not waiting for other brokers or for data.
fn request_time(of: &BrokerWindow) -> Option<f64> {
    Some(of.request_mean(&REQUESTS, "LocalTimeMs")? + of.request_mean(&REQUESTS, "ResponseSendTimeMs")?)
}

fn file_descriptors_percent(of: &BrokerWindow) -> Option<f64> {
    let value = |name: &str| of.scrape?.value(&format!("java_lang_OperatingSystem_{name}FileDescriptorCount"), "");
    let most = value("Max").filter(|most| *most > 0.0)?;
    Some(value("Open")? / most * 100.0)
}

/// Segments with SYN: one in and one out for each connection.
fn tcp_connections(of: &BrokerWindow) -> Option<f64> {
    let made = |jmx: &crate::lab::jmx::Jmx| Some(jmx.processors("connection_creation").map(|(_, made)| made).sum());
    of.increase(made).map(|made| made * 2.0)
}

fn traffic_bytes(of: &BrokerWindow) -> Option<f64> {
    let of_clients = |name: &'static str| of.increase(move |jmx| jmx.topics_counter(name));
    Some(of_clients("BytesInPerSec")? + of_clients("BytesOutPerSec")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_the_catalogue_at_its_level() {
        for row in ROWS {
            let metric = row.catalogued().unwrap_or_else(|| panic!("{} {:?}", row.metric, row.dimensions));
            // The level of the series by topic is the guide's; brokers have them at the same.
            assert_eq!(metric.level, row.level, "{} {:?}", row.metric, row.dimensions);
        }
        let mut seen: Vec<_> = ROWS.iter().map(|row| (row.metric, row.dimensions)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), ROWS.len(), "a row is there twice");
    }

    #[test]
    fn every_metric_of_the_catalogue_is_published_or_has_a_reason() {
        let is_published = |metric: &&Metric| {
            let is_row = |row: &Row| {
                row.metric == metric.name
                    && row.level <= metric.level
                    && metric.dimensions().eq(row.dimensions.iter().copied())
            };
            ROWS.iter().any(is_row)
        };
        let (published, missing): (Vec<&Metric>, Vec<&Metric>) = Metric::all().iter().partition(is_published);
        let mut reasons = std::collections::BTreeMap::<&str, Vec<&str>>::new();
        for metric in &missing {
            let reason = NOT_PUBLISHED.iter().find(|(names, _)| names.contains(&metric.name.as_str()));
            let (_, reason) = reason.unwrap_or_else(|| panic!("{} is not published, without a reason", metric.name));
            reasons.entry(reason).or_default().push(&metric.name);
        }
        for (reason, names) in &reasons {
            println!("{reason}: {}", names.join(", "));
        }
        for name in NOT_PUBLISHED.iter().flat_map(|(names, _)| *names) {
            assert!(missing.iter().any(|metric| metric.name == **name), "{name} is published after all");
        }
        println!("{} of {} rows of the catalogue are published", published.len(), Metric::all().len());
        assert_eq!((published.len(), missing.len()), (86, 32));
    }
}
