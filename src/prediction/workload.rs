//! Workloads whose capacity is predicted and measured.

/// Records, and how they are produced and read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Workload {
    pub name: &'static str,
    /// Size of a record's value, bytes.
    pub record_bytes: usize,
    /// Size at which a client sends a batch, bytes before compression (`batch.size`).
    pub batch_bytes: u32,
    /// Partitions that the records are spread over.
    pub partitions: u32,
    /// Codec, by librdkafka's name.
    pub compression: &'static str,
    /// Every replica in sync has a record before it is acknowledged (`acks=all`), or the leader alone (`acks=1`).
    pub acks_all: bool,
    pub replication_factor: u32,
    /// Consumer groups that read all of it.
    pub readers: u32,
    /// The first rate that is tried, records/s for each vCPU of the shape over the lab's scale.
    pub start_per_vcpu: f64,
    /// Rules and models may be tuned on it.
    pub is_tuning: bool,
}

/// How long a client waits for a batch to fill, ms. So long that batches are full at a third of the capacity of any shape: on a
/// scaled broker the rate is a fraction of a real one, and a linger of 20 ms would make a request of each record, whose cost
/// would be all that is measured.
pub const LINGER_MS: u32 = 500;

const USUAL: Workload = Workload {
    name: "usual",
    record_bytes: 1000,
    // The default of Kafka's own producer.
    batch_bytes: 16_384,
    partitions: 6,
    compression: "none",
    acks_all: true,
    replication_factor: 3,
    readers: 0,
    start_per_vcpu: 3500.0,
    is_tuning: false,
};

/// Every workload. Which of them tuning may use was decided before anything was measured.
pub const WORKLOADS: [Workload; 6] = [
    Workload { is_tuning: true, ..USUAL },
    Workload { name: "large", record_bytes: 10_000, batch_bytes: 100_000, start_per_vcpu: 1200.0, ..USUAL },
    Workload { name: "compressed", compression: "lz4", batch_bytes: 65_536, start_per_vcpu: 6000.0, ..USUAL },
    Workload { name: "leader-acks", acks_all: false, replication_factor: 2, start_per_vcpu: 4500.0, ..USUAL },
    Workload { name: "fan-out", readers: 2, start_per_vcpu: 2500.0, ..USUAL },
    Workload { name: "small", record_bytes: 200, partitions: 12, start_per_vcpu: 8000.0, ..USUAL },
];

/// The workload of that name.
pub fn find(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}
