//! The ids of the findings, each written once. Rules, the benchmark, the proof, the screen, `fix` and the lab's faults use the
//! constants, so renaming one is a compile error until all of them follow.

pub const CLUSTER_MAINTENANCE: &str = "cluster.maintenance";
pub const INCONCLUSIVE_TOO_FEW_SAMPLES: &str = "inconclusive.too-few-samples";
pub const INCONCLUSIVE_BROKER_NOT_SERVING: &str = "inconclusive.broker-not-serving";
pub const INCONCLUSIVE_NO_DATA: &str = "inconclusive.no-data";
pub const LAB_HOST_CONTENTION: &str = "lab.host-contention";
pub const DISK_FULL: &str = "disk.full";
pub const BROKER_DOWN: &str = "broker.down";
pub const BROKER_HUNG: &str = "broker.hung";
pub const REPLICATION_THROTTLED: &str = "replication.throttled";
pub const REPLICATION_MIN_ISR_BLOCKED: &str = "replication.min-isr-blocked";
pub const DISK_SLOW: &str = "disk.slow";
pub const NETWORK_CONSTRAINED: &str = "network.constrained";
pub const LEADERS_NOT_PREFERRED: &str = "leaders.not-preferred";
pub const LEADERS_PLACEMENT_SKEW: &str = "leaders.placement-skew";
pub const PARTITION_HOT_KEY: &str = "partition.hot-key";
pub const BROKER_DEGRADED: &str = "broker.degraded";
pub const CLIENT_TINY_BATCHES: &str = "client.tiny-batches";
pub const CLIENT_CONNECTION_STORM: &str = "client.connection-storm";
pub const CLUSTER_TOO_MANY_PARTITIONS: &str = "cluster.too-many-partitions";
pub const BROKER_HEAP_PRESSURE: &str = "broker.heap-pressure";
pub const NETWORK_EGRESS_FANOUT: &str = "network.egress-fanout";
pub const BROKER_CPU_CREDITS_EXHAUSTED: &str = "broker.cpu-credits-exhausted";
pub const BROKER_UNDERSIZED: &str = "broker.undersized";
pub const CLIENT_QUOTA_THROTTLED: &str = "client.quota-throttled";
pub const CONSUMER_STALLED: &str = "consumer.stalled";
pub const CONSUMER_SLOW: &str = "consumer.slow";
pub const DISK_FILLING: &str = "disk.filling";
pub const INCONCLUSIVE_UNEVEN_LOAD: &str = "inconclusive.uneven-load";
pub const CLIENT_GENERATOR_BOUND: &str = "client.generator-bound";
pub const INCONCLUSIVE_UNEXPLAINED: &str = "inconclusive.unexplained";
pub const INCONCLUSIVE_NOT_SEEN: &str = "inconclusive.not-seen";
pub const HEALTHY: &str = "healthy";
pub const CLUSTER_OVERSIZED: &str = "cluster.oversized";
