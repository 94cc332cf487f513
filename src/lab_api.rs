//! The lab's own API under `/_lab/`: its status, its faults, what to scrape.
//!
//! One set of types for both sides: the lab fills them in, the clients read them, and `kgen lab status --json` prints them. A
//! field that an older lab does not send is empty.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sample::BrokerId;

/// `GET /_lab/status`, and `kgen lab status --json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LabStatus {
    pub running: bool,
    pub endpoint: Option<String>,
    /// N of "scale 1:N".
    pub scale: Option<f64>,
    pub hardware: Option<String>,
    pub pid: Option<u32>,
    /// How the CPU of brokers is limited.
    pub cpu_limit: Option<String>,
    pub memory_limit: Option<bool>,
    /// Version of the brokers, regardless of the version requested for a cluster.
    pub kafka_version: Option<String>,
    /// The authority that clients of the TLS listeners must trust.
    pub ca: Option<String>,
    pub emulator: Option<String>,
    /// What a datapoint of CloudWatch covers: 60 s, as on MSK, unless `kgen lab up --metrics-period` says otherwise.
    pub metrics_period_s: Option<u64>,
    /// How long after the end of its period a datapoint is there.
    pub metrics_delay_s: Option<u64>,
    pub problem: Option<String>,
    /// How commands on client instances are kept apart (`aws ssm send-command`).
    pub client_instances: String,
    /// Clusters have no brokers, and their metrics are synthetic.
    pub without_brokers: bool,
    /// Actions of IAM that the lab denies, for tests.
    pub denied: Vec<String>,
    /// Whose calls the lab refuses, for tests.
    pub outages: Vec<LabOutage>,
    /// What was asked of CloudWatch since the start.
    pub answered: LabAnswered,
    pub clusters: Vec<LabCluster>,
    /// Faults of client instances that run.
    pub instance_faults: Vec<LabFault>,
    /// Client instances that have had a command or a session.
    pub instances: Vec<LabInstance>,
}

/// A client instance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LabInstance {
    pub id: String,
    pub user_data: UserData,
}

/// What became of an instance's user data.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UserData {
    /// Exit code of the script; not there while it has not ended.
    pub code: Option<i32>,
    /// Why it is not carried out.
    pub why_not: Option<String>,
    /// What the lab gave instead of packages and of what the internet has, or left out.
    pub replaced: Vec<String>,
    /// What the script printed last.
    pub printed: Vec<String>,
    /// The file of all that it printed.
    pub log: Option<String>,
}

/// `POST /_lab/sessions`: a shell on a client instance is to be opened. The answer is the faults that run on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionOrder {
    pub instance: String,
    pub region: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LabCluster {
    pub arn: String,
    pub name: String,
    pub region: String,
    pub state: String,
    pub state_info: Option<LabStateInfo>,
    pub current_version: String,
    #[serde(rename = "type")]
    pub broker_type: String,
    pub kafka_version: String,
    pub brokers: Vec<LabBroker>,
    /// Faults that run.
    pub faults: Vec<LabFault>,
}

/// Answers of the lab's CloudWatch that AWS would charge for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LabAnswered {
    /// Metrics that GetMetricData was asked for.
    pub metrics: u64,
    pub get_metric_data_calls: u64,
    pub list_metrics_calls: u64,
}

/// Calls of MSK and CloudWatch that the lab refuses, for tests: an element of the list in `PUT /_lab/outages`. What is not given
/// matches every call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabOutage {
    pub kind: OutageKind,
    /// Access key that signs the call: each account of a test has its own.
    #[serde(default)]
    pub key: Option<String>,
    #[serde(default)]
    pub region: Option<String>,
}

/// What AWS would answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutageKind {
    /// The credentials have expired.
    Expired,
    /// The account may call nothing.
    Denied,
    /// Too many calls.
    Throttled,
    /// The account has not enabled the region, or the credentials are unknown: AWS answers the same.
    Unrecognized,
}

/// Why a cluster is in its state, as MSK says it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LabStateInfo {
    pub code: String,
    pub message: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LabBroker {
    pub id: BrokerId,
    pub zone: String,
    #[serde(rename = "type")]
    pub broker_type: String,
    pub endpoints: LabEndpoints,
    pub pid: Option<u32>,
    pub cores: Option<f64>,
    pub baseline_cores: Option<f64>,
    pub heap_mib: Option<u64>,
    pub memory_mib: Option<u64>,
    pub note: Option<String>,
}

/// `host:port` of what a broker listens on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LabEndpoints {
    pub plaintext: Option<String>,
    pub tls: Option<String>,
    pub scram: Option<String>,
    /// Metrics of the JVM, as MSK's port 11001.
    pub jmx: Option<String>,
    /// Metrics of the machine, as MSK's port 11002.
    pub node: Option<String>,
}

/// A fault that runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LabFault {
    pub id: String,
    pub does: String,
    /// The broker that is hit.
    pub broker: Option<BrokerId>,
    /// The client instance that is hit.
    pub instance: Option<String>,
    pub topic: Option<String>,
    /// 1 is the middle, more is worse.
    pub strength: f64,
    /// RFC 3339.
    pub since: String,
    /// Programs that the lab runs for the fault.
    pub clients: Vec<LabClient>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LabClient {
    pub command: String,
    pub pid: u32,
    /// The file of its output.
    pub log: String,
}

/// `POST /_lab/faults`: a fault that is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultOrder {
    pub id: String,
    /// The cluster by its name; the default is the only one.
    #[serde(default)]
    pub cluster: Option<String>,
    #[serde(default)]
    pub broker: Option<BrokerId>,
    /// The client instance of an `instance.` fault, by its id or its Name tag, and its region.
    #[serde(default)]
    pub instance: Option<String>,
    #[serde(default)]
    pub region: Option<String>,
    /// The topic that it is about.
    #[serde(default)]
    pub topic: Option<String>,
    #[serde(default = "middle")]
    pub strength: f64,
}

fn middle() -> f64 {
    1.0
}

/// `GET /_lab/targets`: endpoints with labels, in Prometheus's form for service discovery over HTTP and by file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetGroup {
    /// `host:port` each.
    pub targets: Vec<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// Why the lab refuses a request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct LabRefusal {
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_may_leave_out_all_but_the_scenario() {
        let order: FaultOrder = serde_json::from_str(r#"{"id": "broker.down"}"#).unwrap();
        let expected = FaultOrder {
            id: "broker.down".into(),
            cluster: None,
            broker: None,
            instance: None,
            region: None,
            topic: None,
            strength: 1.0,
        };
        assert_eq!(order, expected);
    }

    #[test]
    fn a_status_is_read_as_it_was_written_and_of_older_and_newer_labs_too() {
        let fault = LabFault { id: "broker.hung".into(), strength: 1.5, broker: Some(2), ..LabFault::default() };
        let broker = LabBroker { id: 1, pid: Some(7), cores: Some(0.25), ..LabBroker::default() };
        let info = LabStateInfo { code: "C".into(), message: "m".into() };
        let cluster = LabCluster {
            name: "demo".into(),
            state_info: Some(info),
            brokers: vec![broker],
            faults: vec![fault],
            ..LabCluster::default()
        };
        let status = LabStatus { scale: Some(4.0), clusters: vec![cluster], ..LabStatus::default() };
        let text = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<LabStatus>(&text).unwrap(), status);
        let other = r#"{"schema": 1, "scale": 8, "of_tomorrow": {}, "clusters": [{"name": "demo"}]}"#;
        let read: LabStatus = serde_json::from_str(other).unwrap();
        assert_eq!((read.scale, read.clusters[0].name.as_str(), read.metrics_period_s), (Some(8.0), "demo", None));
    }
}
