//! What was seen of a cluster at one moment: brokers, replication, load.
//!
//! Values that a source did not give are `None`, never zero. Rates and means are over the interval since the
//! sample before, never over a broker's lifetime.

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
    /// The control plane's word for the cluster's state, such as `ACTIVE`; `None` where it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_state: Option<String>,
    pub brokers: BTreeMap<BrokerId, BrokerSample>,
    /// What a load generator saw since the sample before, if one runs here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadSample>,
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

/// Whether a broker answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BrokerState {
    /// Nothing answered before the deadline.
    #[default]
    Unreachable,
    /// Answers, but leads and follows no partition yet.
    Starting,
    Serving,
}

/// One broker in a [`Sample`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct BrokerSample {
    pub state: BrokerState,
    /// `CpuUser`: percent of the vCPUs that the broker has.
    pub cpu_user_percent: Option<f64>,
    /// `CpuSystem`, likewise.
    pub cpu_system_percent: Option<f64>,
    /// Share of scheduling periods in which the CPU limit held the broker back, percent. The lab only.
    pub cpu_throttled_percent: Option<f64>,
    /// `CPUCreditBalance`: T3 types only.
    pub cpu_credit_balance: Option<f64>,
    /// `MemoryUsed`. Page cache counts, so it fills up on a healthy broker too.
    pub memory_used_bytes: Option<u64>,
    /// Memory of the broker type.
    pub memory_total_bytes: Option<u64>,
    /// `HeapMemoryAfterGC`, percent.
    pub heap_after_gc_percent: Option<f64>,
    /// Heap in use now, percent of its maximum.
    pub heap_used_percent: Option<f64>,
    /// Produce requests since the sample before; `None` also when there were none.
    pub produce: Option<RequestTimes>,
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
    pub total_ms: f64,
}

/// What a load generator saw in one interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LoadSample {
    /// Records that were due by the schedule, records/s.
    pub offered_per_s: f64,
    pub acknowledged_per_s: f64,
    pub failed_per_s: f64,
    /// Records due or sent that no broker has answered for yet.
    pub outstanding: u64,
    /// From the moment a record was due to its acknowledgement, ms; `None` when none was acknowledged.
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// The generator itself could not keep the schedule (queue full or late by more than 100 ms).
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
}
