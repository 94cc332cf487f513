//! The lab's own API, under `/_lab/`. AWS has no such paths, so they distinguish the lab from AWS.

use std::time::Duration;

use aws_sdk_kafka::types::{
    BrokerNodeGroupInfo, ClientBroker, EbsStorageInfo, EncryptionInTransit, EncryptionInfo, EnhancedMonitoring,
    StorageInfo,
};
use reqwest::RequestBuilder;
use serde::de::DeserializeOwned;

use super::{Action, Aws, AwsError, MskCluster, bounds::body_within};
use crate::lab_api::{FaultOrder, LabFault, LabRefusal, LabStatus, SessionOrder, TargetGroup};

const TIMEOUT: Duration = Duration::from_secs(2);

/// Of one answer.
const MOST_BYTES: usize = 8 << 20;

/// A fault may be a broker's start, or its end.
const FAULT_TIMEOUT: Duration = Duration::from_secs(310);

impl Aws {
    /// The lab that answers at the endpoint; nothing on AWS, and nothing when it does not answer.
    pub async fn lab(&self) -> Option<LabStatus> {
        self.lab_json("_lab/status").await
    }

    /// The Prometheus endpoints of the lab's brokers.
    pub async fn lab_targets(&self) -> Option<Vec<TargetGroup>> {
        self.lab_json("_lab/targets").await
    }

    /// Has the lab make a fault. Returns the faults that run then.
    ///
    /// # Errors
    /// The lab does not answer, or refuses with its reason.
    pub async fn start_fault(&self, order: &FaultOrder) -> Result<Vec<LabFault>, AwsError> {
        self.permitted()?;
        let url = self.lab_url("_lab/faults").ok_or_else(|| unreachable("no lab".to_owned()))?;
        answered(self.http.post(url).json(order)).await
    }

    /// Has the lab take a fault back, or all those of the cluster.
    ///
    /// # Errors
    /// The lab does not answer, or refuses with its reason.
    pub async fn stop_faults(&self, cluster: &str, id: Option<&str>) -> Result<Vec<LabFault>, AwsError> {
        let path = id.map_or_else(|| "_lab/faults".to_owned(), |id| format!("_lab/faults/{id}"));
        self.permitted()?;
        let url = self.lab_url(&path).ok_or_else(|| unreachable("no lab".to_owned()))?;
        answered(self.http.delete(url).query(&[("cluster", cluster)])).await
    }

    /// Has the lab make a client instance ready for a shell. Returns the faults that run on it.
    ///
    /// # Errors
    /// The lab does not answer, or refuses with its reason: the instance is not online.
    pub async fn open_session(&self, order: &SessionOrder) -> Result<Vec<LabFault>, AwsError> {
        self.permitted()?;
        let url = self.lab_url("_lab/sessions").ok_or_else(|| unreachable("no lab".to_owned()))?;
        answered(self.http.post(url).json(order)).await
    }

    /// Begins a cluster with a plaintext listener and the monitoring level PER_BROKER in the lab.
    ///
    /// # Errors
    /// The endpoint is none of this machine, or the lab refuses.
    pub async fn create_lab_cluster(
        &self,
        name: &str,
        broker_type: &str,
        brokers: i32,
        volume_gib: i32,
    ) -> Result<(), AwsError> {
        self.permitted()?;
        self.lab_url("").ok_or_else(|| unreachable("no lab".to_owned()))?;
        let in_transit = EncryptionInTransit::builder().client_broker(ClientBroker::TlsPlaintext).build();
        let volume = EbsStorageInfo::builder().volume_size(volume_gib).build();
        let storage = StorageInfo::builder().ebs_storage_info(volume).build();
        let group = BrokerNodeGroupInfo::builder().instance_type(broker_type).storage_info(storage);
        let group =
            ["subnet-a", "subnet-b", "subnet-c"].iter().fold(group, |group, subnet| group.client_subnets(*subnet));
        self.kafka()?
            .create_cluster()
            .cluster_name(name)
            .kafka_version("3.9.x")
            .number_of_broker_nodes(brokers)
            .enhanced_monitoring(EnhancedMonitoring::PerBroker)
            .encryption_info(EncryptionInfo::builder().encryption_in_transit(in_transit).build())
            .broker_node_group_info(group.build())
            .send()
            .await
            .map_err(|error| self.failed(Action::CreateCluster, error))?;
        Ok(())
    }

    /// Begins to change the brokers of `cluster`, as it was just described, to `broker_type` in the lab.
    ///
    /// # Errors
    /// The endpoint is none of this machine, or the lab refuses.
    pub async fn update_lab_broker_type(&self, cluster: &MskCluster, broker_type: &str) -> Result<(), AwsError> {
        self.permitted()?;
        self.lab_url("").ok_or_else(|| unreachable("no lab".to_owned()))?;
        self.kafka()?
            .update_broker_type()
            .cluster_arn(&cluster.arn)
            .current_version(&cluster.current_version)
            .target_instance_type(broker_type)
            .send()
            .await
            .map_err(|error| self.failed(Action::UpdateBrokerType, error))?;
        Ok(())
    }

    fn lab_url(&self, path: &str) -> Option<String> {
        let endpoint = self.endpoint().filter(|_| self.is_here() && self.permitted().is_ok())?;
        Some(format!("{}/{path}", endpoint.trim_end_matches('/')))
    }

    async fn lab_json<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        let url = self.lab_url(path)?;
        let answer = self.http.get(url).timeout(TIMEOUT).send().await.ok()?;
        let text = body_within(answer.error_for_status().ok()?, MOST_BYTES, |_| true).await?;
        serde_json::from_str(&text).ok()
    }
}

async fn answered(request: RequestBuilder) -> Result<Vec<LabFault>, AwsError> {
    let answer = request.timeout(FAULT_TIMEOUT).send().await.map_err(|error| unreachable(error.to_string()))?;
    let status = answer.status();
    let text = body_within(answer, MOST_BYTES, |_| true).await;
    let text = text.ok_or_else(|| unreachable("its response is incomplete or too long".to_owned()))?;
    let unread = |error: serde_json::Error| unreachable(error.to_string());
    if status.is_success() {
        return serde_json::from_str(&text).map_err(unread);
    }
    let refusal: LabRefusal = serde_json::from_str(&text).map_err(unread)?;
    Err(AwsError::Lab(refusal.message))
}

fn unreachable(reason: String) -> AwsError {
    AwsError::Lab(format!("the lab does not respond ({reason}; `kgen lab status`)"))
}
