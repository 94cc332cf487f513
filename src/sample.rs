//! The observed state of a cluster at one moment: brokers, replication, load.
//!
//! Values that a source did not provide are `None`, never zero. Rates and means cover the interval since the previous
//! sample, never the lifetime of a broker.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A broker's id, as Kafka and the dimension `Broker ID` have it.
pub type BrokerId = i32;

/// A cluster at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Sample {
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    pub source: Source,
    /// The cluster state from the control plane, such as `ACTIVE`; `None` if it was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_state: Option<String>,
    pub brokers: BTreeMap<BrokerId, BrokerSample>,
    /// What a load generator measured since the previous sample, if one is running here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadSample>,
    /// Topics from the Kafka protocol, if it was used.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub topics: BTreeMap<String, TopicSample>,
    /// Consumer groups with offsets, likewise.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, GroupSample>,
    /// When the Kafka protocol was used, ms since the epoch: topics and groups may be older than the sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol_at_ms: Option<i64>,
    /// CPU pressure of the machine that the lab runs on (`some avg10` of /proc/pressure/cpu), percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_cpu_pressure_percent: Option<f64>,
}

/// Where a sample was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The brokers' Prometheus endpoints (MSK open monitoring).
    #[default]
    Prometheus,
    /// CloudWatch, namespace `AWS/Kafka`: one datapoint a minute.
    CloudWatch,
}

/// The fields of a sample that rules can require and that a view may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    Cpu,
    /// CPU throttled by a limit; in the lab only.
    CpuThrottling,
    CpuCredits,
    CpuIoWait,
    HeapAfterGc,
    Memory,
    ProduceTime,
    /// Where produce requests spend their time: queue, local, remote.
    ProduceParts,
    /// Produce requests a second.
    ProduceRate,
    /// Mean size of a request.
    RequestSize,
    ProduceThrottle,
    FollowerFetchTime,
    /// Bytes and messages in and out by broker.
    Traffic,
    TrafficByTopic,
    ReplicationTraffic,
    /// Under-replicated partitions by broker.
    Replication,
    MinIsr,
    PartitionCounts,
    LeaderCounts,
    DiskUsed,
    Volume,
    Connections,
    ConnectionRate,
    /// `TrafficShaping` and the allowances.
    NetworkAllowances,
    /// Leaders, replicas and in-sync replicas of every partition.
    Topics,
    /// Configuration of topics: `min.insync.replicas`, throttles.
    TopicConfigs,
    /// Growth of every partition's end offset.
    PartitionRates,
    GroupLag,
    /// State and members of consumer groups.
    GroupMembers,
    /// The response of the Kafka port.
    Probe,
    ClusterState,
    /// What a load generator measured.
    Load,
}

impl Field {
    /// Every field.
    pub const ALL: [Field; 32] = [
        Field::Cpu,
        Field::CpuThrottling,
        Field::CpuCredits,
        Field::CpuIoWait,
        Field::HeapAfterGc,
        Field::Memory,
        Field::ProduceTime,
        Field::ProduceParts,
        Field::ProduceRate,
        Field::RequestSize,
        Field::ProduceThrottle,
        Field::FollowerFetchTime,
        Field::Traffic,
        Field::TrafficByTopic,
        Field::ReplicationTraffic,
        Field::Replication,
        Field::MinIsr,
        Field::PartitionCounts,
        Field::LeaderCounts,
        Field::DiskUsed,
        Field::Volume,
        Field::Connections,
        Field::ConnectionRate,
        Field::NetworkAllowances,
        Field::Topics,
        Field::TopicConfigs,
        Field::PartitionRates,
        Field::GroupLag,
        Field::GroupMembers,
        Field::Probe,
        Field::ClusterState,
        Field::Load,
    ];
}

/// Data that a view cannot provide for a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Unavailable {
    pub field: Field,
    /// A sentence without a full stop, such as `ListTopics is not allowed`.
    pub reason: String,
    /// What would make it available, such as `allow kafka:ListTopics`; `None` if nothing would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable: Option<String>,
}

/// Whether a broker responds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BrokerState {
    /// There was no response before the deadline.
    #[default]
    Unreachable,
    /// Responds, but has no partition yet.
    Starting,
    Serving,
}

impl BrokerState {
    /// Whether Kafka's gauge `BrokerState` says that the broker is up and unfenced (Kafka, `BrokerState.RUNNING`).
    pub fn is_running(gauge: f64) -> bool {
        gauge == 3.0
    }

    /// What a broker that answers does, by Kafka's gauges `BrokerState` and `PartitionCount`. One that leads and follows
    /// nothing is not taken for healthy: it may have just started.
    pub fn by_gauges(broker_state: Option<f64>, partitions: Option<f64>) -> BrokerState {
        match partitions {
            Some(count) if broker_state.is_none_or(BrokerState::is_running) && count > 0.0 => BrokerState::Serving,
            _ => BrokerState::Starting,
        }
    }
}

/// One broker in a [`Sample`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct BrokerSample {
    pub state: BrokerState,
    /// `CpuUser`: percent of the broker's vCPUs.
    pub cpu_user_percent: Option<f64>,
    /// `CpuSystem`, likewise.
    pub cpu_system_percent: Option<f64>,
    /// Share of scheduling periods in which the CPU limit throttled the broker, percent. In the lab only.
    pub cpu_throttled_percent: Option<f64>,
    /// `CPUCreditBalance`: T3 types only.
    pub cpu_credit_balance: Option<f64>,
    /// `MemoryUsed`. It includes page cache, so it is high on a healthy broker too.
    pub memory_used_bytes: Option<u64>,
    /// Memory of the broker type.
    pub memory_total_bytes: Option<u64>,
    /// `HeapMemoryAfterGC`, percent.
    pub heap_after_gc_percent: Option<f64>,
    /// Heap in use now, percent of its maximum.
    pub heap_used_percent: Option<f64>,
    /// Share of the time that garbage collection took, percent.
    pub gc_percent: Option<f64>,
    /// Produce requests since the previous sample; `None` also when there were none.
    pub produce: Option<RequestTimes>,
    /// Processing of followers' fetches at this broker, ms: mean over the interval.
    pub follower_fetch_local_ms: Option<f64>,
    pub bytes_in_per_s: Option<f64>,
    pub bytes_out_per_s: Option<f64>,
    pub messages_in_per_s: Option<f64>,
    pub under_replicated_partitions: Option<u64>,
    pub under_min_isr_partitions: Option<u64>,
    pub offline_partitions: Option<u64>,
    pub partition_count: Option<u64>,
    pub leader_count: Option<u64>,
    /// `KafkaDataLogsDiskUsed`, percent.
    pub disk_used_percent: Option<f64>,
    pub connection_count: Option<u64>,
    pub connections_created_per_s: Option<f64>,
    /// `TrafficShaping`: packets dropped or queued because a network allowance was exceeded. CloudWatch only.
    pub traffic_shaping: Option<f64>,
    /// `ClientConnectionCount` over all kinds of authentication: connections of clients, without those between brokers.
    pub client_connection_count: Option<u64>,
    /// `IAMTooManyConnections`: connections refused because IAM clients opened too many, per minute.
    pub iam_connections_refused: Option<f64>,
    /// `CpuIoWait`: percent of the time in which the CPU waited for the disk.
    pub cpu_io_wait_percent: Option<f64>,
    /// The data volume, from `Volume*` and `BurstBalance`.
    pub volume: Option<VolumeSample>,
    /// Packets dropped or queued because an allowance of the instance was exceeded.
    pub allowances: Option<Allowances>,
    /// `ReplicationBytesInPerSec`.
    pub replication_bytes_in_per_s: Option<f64>,
    /// `ReplicationBytesOutPerSec`.
    pub replication_bytes_out_per_s: Option<f64>,
    /// `RequestBytesMean`: bytes of a request, over all kinds of requests.
    pub request_bytes: Option<f64>,
    /// `BytesInPerSec` by topic.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub topic_bytes_in_per_s: BTreeMap<String, f64>,
    /// The result of a connection to the broker's Kafka port.
    pub probe: Option<Probe>,
}

/// A broker's data volume: means over the interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct VolumeSample {
    /// `VolumeQueueLength`: requests waiting for the volume.
    pub queue_length: Option<f64>,
    /// Time of one write, ms: `VolumeTotalWriteTime` / `VolumeWriteOps`.
    pub write_ms: Option<f64>,
    /// Time of one read, ms: `VolumeTotalReadTime` / `VolumeReadOps`.
    pub read_ms: Option<f64>,
    /// `BurstBalance`: burst credits left, percent.
    pub burst_balance_percent: Option<f64>,
}

/// `BwInAllowanceExceeded` and its siblings, packets per minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Allowances {
    pub bandwidth_in: Option<f64>,
    pub bandwidth_out: Option<f64>,
    pub packets: Option<f64>,
    pub connections: Option<f64>,
}

/// The response of a broker's Kafka port to a request for its API versions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// It responded after this many milliseconds.
    Answered(f64),
    /// The connection was refused.
    Refused,
    /// There was no connection, or no response on it, before the deadline.
    Silent,
}

/// One topic at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TopicSample {
    /// In order of their numbers.
    pub partitions: Vec<PartitionSample>,
    /// `min.insync.replicas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_insync_replicas: Option<u32>,
    /// A replication throttle is set for replicas of the topic.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replication_throttled: bool,
}

/// One partition of a [`TopicSample`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PartitionSample {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<BrokerId>,
    /// The preferred leader first.
    pub replicas: Vec<BrokerId>,
    pub in_sync: Vec<BrokerId>,
    /// Growth of the end offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records_per_s: Option<f64>,
}

/// One consumer group at one moment, by topic and partition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GroupSample {
    pub topics: BTreeMap<String, BTreeMap<i32, Progress>>,
    /// Lag by topic, where only that is published (CloudWatch).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lags: BTreeMap<String, TopicLag>,
    /// Kafka's name of the group state, such as `Stable` or `Empty`; `None` if it was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Members of the group; `None` if they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<u32>,
}

/// A group's lag on one topic, from CloudWatch. MSK publishes it for groups that are `STABLE` or `EMPTY`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct TopicLag {
    /// `MaxOffsetLag`: records, of the partition that is furthest behind.
    pub max_records: Option<f64>,
    /// `SumOffsetLag`: records, over all partitions.
    pub sum_records: Option<f64>,
    /// `EstimatedMaxTimeLag`, seconds.
    pub max_s: Option<f64>,
    /// `RollingEstimatedTimeLagMax`, seconds.
    pub rolling_max_s: Option<f64>,
}

impl TopicLag {
    /// Takes the value of a metric of MSK, under the name that it has in CloudWatch and in open monitoring. Metrics that are not
    /// about a whole topic are passed over.
    pub fn set(&mut self, metric: &str, value: f64) {
        match metric {
            "MaxOffsetLag" => self.max_records = Some(value),
            "SumOffsetLag" => self.sum_records = Some(value),
            "EstimatedMaxTimeLag" => self.max_s = Some(value),
            "RollingEstimatedTimeLagMax" => self.rolling_max_s = Some(value),
            _ => {}
        }
    }
}

/// The progress of a group in a partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Progress {
    /// Records between the committed offset and the end.
    pub lag: i64,
    /// Growth of the committed offset, records/s; `None` at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed_per_s: Option<f64>,
}

/// Where requests of one kind spent their time: means over the interval, ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RequestTimes {
    /// Requests; CloudWatch does not say.
    pub per_s: Option<f64>,
    /// Waiting for a request handler.
    pub queue_ms: Option<f64>,
    /// Processing at the leader.
    pub local_ms: Option<f64>,
    /// Waiting for followers (`acks=all`).
    pub remote_ms: Option<f64>,
    /// Waiting for a network thread, and sending the response.
    pub send_ms: Option<f64>,
    /// Held back by a client quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle_ms: Option<f64>,
    pub total_ms: f64,
}

/// What a load generator measured in one interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LoadSample {
    /// Records that were due by the schedule, records/s.
    pub offered_per_s: f64,
    pub acknowledged_per_s: f64,
    pub failed_per_s: f64,
    /// Records that are due or sent but not acknowledged yet.
    pub outstanding: u64,
    /// From the moment a record was due to its acknowledgement, ms; `None` when none was acknowledged.
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// The generator could not keep its schedule (queue full or late by more than 100 ms).
    pub generator_bound: bool,
}

impl BrokerSample {
    /// `CpuUser` + `CpuSystem`, percent of the vCPUs that the broker has.
    pub fn cpu_percent(&self) -> Option<f64> {
        Some(self.cpu_user_percent? + self.cpu_system_percent?)
    }

    /// `MemoryUsed` over the memory of the broker type, percent.
    pub fn memory_percent(&self) -> Option<f64> {
        Some(self.memory_used_bytes? as f64 / self.memory_total_bytes? as f64 * 100.0)
    }

    /// Produce requests a second; by the mean size of requests where they are not counted (CloudWatch).
    pub fn requests_per_s(&self) -> Option<f64> {
        let counted = self.produce.and_then(|produce| produce.per_s);
        let by_size = || Some(self.bytes_in_per_s? / self.request_bytes.filter(|bytes| *bytes > 0.0)?);
        counted.or_else(by_size).filter(|requests| *requests > 0.0)
    }

    /// Records in a produce request: 1 means that clients do not batch.
    pub fn records_per_request(&self) -> Option<f64> {
        Some(self.messages_in_per_s? / self.requests_per_s()?)
    }

    /// Bytes that consumers read for each byte that is produced.
    pub fn fan_out(&self) -> Option<f64> {
        let bytes_in = self.bytes_in_per_s.filter(|bytes| *bytes > 0.0)?;
        Some(self.bytes_out_per_s? / bytes_in)
    }

    /// Milliseconds until the broker's Kafka port answered.
    pub fn round_trip_ms(&self) -> Option<f64> {
        match self.probe? {
            Probe::Answered(ms) => Some(ms),
            Probe::Refused | Probe::Silent => None,
        }
    }
}
