//! Workloads whose capacity is predicted and measured.

/// Records, and how they are produced and read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Workload {
    pub name: &'static str,
    /// Size of a record's value, bytes.
    pub record_bytes: usize,
    /// How long a client waits for a batch to fill, ms.
    pub linger_ms: u32,
    /// Codec, by librdkafka's name.
    pub compression: &'static str,
    /// Every replica in sync has a record before it is acknowledged (`acks=all`), or the leader alone (`acks=1`).
    pub acks_all: bool,
    pub replication_factor: u32,
    pub partitions: u32,
    /// Consumer groups that read all of it.
    pub readers: u32,
    /// The first rate that is tried, records/s for each vCPU of the shape over the lab's scale.
    pub start_per_vcpu: f64,
    /// Rules and models may be tuned on it.
    pub is_tuning: bool,
}

const USUAL: Workload = Workload {
    name: "usual",
    record_bytes: 1000,
    linger_ms: 20,
    compression: "none",
    acks_all: true,
    replication_factor: 3,
    partitions: 12,
    readers: 0,
    start_per_vcpu: 250.0,
    is_tuning: false,
};

/// Every workload. Which of them tuning may use was decided before anything was measured.
pub const WORKLOADS: [Workload; 6] = [
    Workload { is_tuning: true, ..USUAL },
    Workload { name: "large", record_bytes: 10_000, partitions: 6, start_per_vcpu: 150.0, ..USUAL },
    Workload { name: "compressed", compression: "lz4", linger_ms: 50, partitions: 6, start_per_vcpu: 1000.0, ..USUAL },
    Workload { name: "leader-acks", linger_ms: 5, acks_all: false, replication_factor: 2, ..USUAL },
    Workload { name: "fan-out", partitions: 6, readers: 2, ..USUAL },
    Workload { name: "small", record_bytes: 200, linger_ms: 5, ..USUAL },
];

/// The workload of that name.
pub fn find(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}
