//! What the lab tells beyond the AWS APIs, under `/_lab/`. AWS has no such paths, which is how the two are told apart.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::Aws;

const TIMEOUT: Duration = Duration::from_secs(2);

/// The lab behind the endpoint.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LabStatus {
    /// N of "scale 1:N": a broker of the lab has 1/N of the vCPUs and memory of its type.
    #[serde(default)]
    pub scale: Option<f64>,
    /// All that the lab said.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, Value>,
}

/// Endpoints with labels, in Prometheus's form for service discovery over HTTP and by file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TargetGroup {
    /// `host:port` each.
    pub targets: Vec<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

impl Aws {
    /// The lab that answers at the endpoint; nothing on AWS, and nothing when it does not answer.
    pub async fn lab(&self) -> Option<LabStatus> {
        self.lab_json("_lab/status").await
    }

    /// The Prometheus endpoints of the lab's brokers.
    pub async fn lab_targets(&self) -> Option<Vec<TargetGroup>> {
        self.lab_json("_lab/targets").await
    }

    async fn lab_json<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        let endpoint = self.endpoint().filter(|endpoint| super::is_loopback(endpoint))?;
        let url = format!("{}/{path}", endpoint.trim_end_matches('/'));
        let answer = self.http.get(url).timeout(TIMEOUT).send().await.ok()?;
        answer.error_for_status().ok()?.json().await.ok()
    }
}
