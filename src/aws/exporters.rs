//! Whether a cluster's brokers have Prometheus exporters.

use super::Aws;

impl Aws {
    /// Whether open monitoring of the cluster `arn` has the JMX or the node exporter on; nothing where the control plane does
    /// not say.
    pub async fn has_exporters(&self, arn: &str) -> Option<bool> {
        let answer = self.kafka().ok()?.describe_cluster_v2().cluster_arn(arn).send().await.ok()?;
        let exporters = answer.cluster_info?.provisioned?.open_monitoring?.prometheus?;
        let jmx = exporters.jmx_exporter.and_then(|exporter| exporter.enabled_in_broker);
        let node = exporters.node_exporter.and_then(|exporter| exporter.enabled_in_broker);
        Some(jmx == Some(true) || node == Some(true))
    }
}
