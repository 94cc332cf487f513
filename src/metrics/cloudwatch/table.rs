//! Every metric of `AWS/Kafka` that a rule can use: the statistic that is right for it, and what it fills.

use crate::{
    catalogue::MonitoringLevel::{self, Default as Free, PerBroker},
    sample::Field,
};

/// One metric that is read.
#[derive(Debug)]
pub struct Row {
    pub name: &'static str,
    pub statistic: Statistic,
    /// The lowest level at which MSK publishes it.
    pub level: MonitoringLevel,
    pub field: Field,
    pub scope: Scope,
    pub only: Only,
}

/// How CloudWatch sums up the datapoints of one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// For shares, rates and times, of which a broker publishes one a minute.
    Average,
    /// For what the controller alone knows (the other brokers publish 0), and for counts that must not be missed.
    Maximum,
    /// For what is used up.
    Minimum,
    /// For connections, of which each network thread publishes its own, and for what is counted in the period.
    Sum,
}

/// Under which dimensions a metric is published, beside `Cluster Name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    Cluster,
    Broker,
    BrokerAuthentication,
    BrokerTopic,
    Group,
}

/// Which brokers a metric is asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Only {
    All,
    /// Those that earn CPU credits.
    Burstable,
    /// Those whose memory is not known from their type.
    UnknownMemory,
}

impl Statistic {
    /// As CloudWatch spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Statistic::Average => "Average",
            Statistic::Maximum => "Maximum",
            Statistic::Minimum => "Minimum",
            Statistic::Sum => "Sum",
        }
    }
}

impl Scope {
    /// The dimensions, in the order of the catalogue.
    pub fn dimensions(self) -> &'static [&'static str] {
        match self {
            Scope::Cluster => &["Cluster Name"],
            Scope::Broker => &["Cluster Name", "Broker ID"],
            Scope::BrokerAuthentication => &["Cluster Name", "Broker ID", "Client Authentication"],
            Scope::BrokerTopic => &["Cluster Name", "Broker ID", "Topic"],
            Scope::Group => &["Cluster Name", "Consumer Group", "Topic"],
        }
    }
}

/// A metric of every broker.
const fn of_broker(name: &'static str, statistic: Statistic, level: MonitoringLevel, field: Field) -> Row {
    Row { name, statistic, level, field, scope: Scope::Broker, only: Only::All }
}

const fn of_group(name: &'static str) -> Row {
    Row {
        name,
        statistic: Statistic::Maximum,
        level: Free,
        field: Field::GroupLag,
        scope: Scope::Group,
        only: Only::All,
    }
}

use Statistic::{Average, Maximum, Minimum, Sum};

/// The one table. Statistics: MSK Developer Guide, "Metrics for monitoring Standard brokers"; AWS's toolkit for MSK,
/// monitor-and-alarm.md (connections by Sum, the controller's metrics by Maximum).
pub static TABLE: &[Row] = &[
    of_broker("CpuUser", Average, Free, Field::Cpu),
    of_broker("CpuSystem", Average, Free, Field::Cpu),
    of_broker("CpuIoWait", Average, Free, Field::CpuIoWait),
    Row { only: Only::Burstable, ..of_broker("CPUCreditBalance", Minimum, Free, Field::CpuCredits) },
    of_broker("MemoryUsed", Average, Free, Field::Memory),
    Row { only: Only::UnknownMemory, ..of_broker("MemoryFree", Average, Free, Field::Memory) },
    Row { only: Only::UnknownMemory, ..of_broker("MemoryBuffered", Average, Free, Field::Memory) },
    Row { only: Only::UnknownMemory, ..of_broker("MemoryCached", Average, Free, Field::Memory) },
    of_broker("HeapMemoryAfterGC", Average, Free, Field::HeapAfterGc),
    of_broker("ProduceTotalTimeMsMean", Average, Free, Field::ProduceTime),
    of_broker("RequestBytesMean", Average, Free, Field::RequestSize),
    of_broker("BytesInPerSec", Average, Free, Field::Traffic),
    of_broker("BytesOutPerSec", Average, Free, Field::Traffic),
    of_broker("MessagesInPerSec", Average, Free, Field::Traffic),
    of_broker("UnderReplicatedPartitions", Maximum, Free, Field::Replication),
    of_broker("UnderMinIsrPartitionCount", Maximum, Free, Field::MinIsr),
    of_broker("PartitionCount", Maximum, Free, Field::PartitionCounts),
    of_broker("LeaderCount", Maximum, Free, Field::LeaderCounts),
    of_broker("KafkaDataLogsDiskUsed", Maximum, Free, Field::DiskUsed),
    of_broker("ConnectionCount", Sum, Free, Field::Connections),
    Row { scope: Scope::BrokerAuthentication, ..of_broker("ClientConnectionCount", Sum, Free, Field::Connections) },
    of_broker("TrafficShaping", Sum, Free, Field::NetworkAllowances),
    of_broker("BurstBalance", Minimum, Free, Field::Volume),
    Row { scope: Scope::BrokerTopic, ..of_broker("BytesInPerSec", Average, Free, Field::TrafficByTopic) },
    Row { scope: Scope::Cluster, ..of_broker("OfflinePartitionsCount", Maximum, Free, Field::Replication) },
    of_group("MaxOffsetLag"),
    of_group("SumOffsetLag"),
    of_group("EstimatedMaxTimeLag"),
    of_group("RollingEstimatedTimeLagMax"),
    of_broker("ProduceLocalTimeMsMean", Average, PerBroker, Field::ProduceParts),
    of_broker("ProduceRequestQueueTimeMsMean", Average, PerBroker, Field::ProduceParts),
    of_broker("ProduceResponseQueueTimeMsMean", Average, PerBroker, Field::ProduceParts),
    of_broker("ProduceResponseSendTimeMsMean", Average, PerBroker, Field::ProduceParts),
    of_broker("ProduceThrottleTime", Average, PerBroker, Field::ProduceThrottle),
    of_broker("FetchFollowerLocalTimeMsMean", Average, PerBroker, Field::FollowerFetchTime),
    of_broker("ReplicationBytesInPerSec", Average, PerBroker, Field::ReplicationTraffic),
    of_broker("ReplicationBytesOutPerSec", Average, PerBroker, Field::ReplicationTraffic),
    of_broker("ConnectionCreationRate", Sum, PerBroker, Field::ConnectionRate),
    of_broker("IAMTooManyConnections", Sum, PerBroker, Field::ConnectionRate),
    of_broker("BwInAllowanceExceeded", Sum, PerBroker, Field::NetworkAllowances),
    of_broker("BwOutAllowanceExceeded", Sum, PerBroker, Field::NetworkAllowances),
    of_broker("PpsAllowanceExceeded", Sum, PerBroker, Field::NetworkAllowances),
    of_broker("ConntrackAllowanceExceeded", Sum, PerBroker, Field::NetworkAllowances),
    of_broker("VolumeQueueLength", Average, PerBroker, Field::Volume),
    of_broker("VolumeTotalWriteTime", Sum, PerBroker, Field::Volume),
    of_broker("VolumeWriteOps", Sum, PerBroker, Field::Volume),
    of_broker("VolumeTotalReadTime", Sum, PerBroker, Field::Volume),
    of_broker("VolumeReadOps", Sum, PerBroker, Field::Volume),
];
