//! The properties of a provisioned cluster that a change needs, and the addresses for its clients.

use super::{Action, Aws, AwsError};

/// Far more brokers than MSK has in a cluster.
pub(super) const MOST_BROKERS: i64 = 1000;

/// A provisioned cluster as the control plane describes it now.
#[derive(Debug, Clone, PartialEq)]
pub struct MskCluster {
    pub arn: String,
    pub name: String,
    /// Such as `ACTIVE` or `UPDATING`.
    pub state: String,
    /// What an update must name; MSK changes it with every update, so it is read right before it is used.
    pub current_version: String,
    /// In full, such as `kafka.m5.large`; may be one that the catalogue does not know.
    pub broker_type: String,
    pub broker_count: u32,
    pub kafka_version: String,
    /// Storage of one broker, GiB; Express brokers have none of their own.
    pub volume_gib: Option<u32>,
    /// ARN of the operation that runs now.
    pub active_operation: Option<String>,
}

/// Where clients reach a cluster; each is a list of `host:port` with commas between.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bootstrap {
    pub plaintext: Option<String>,
    pub tls: Option<String>,
    pub sasl_iam: Option<String>,
    pub sasl_scram: Option<String>,
}

impl MskCluster {
    /// MSK would change it now.
    pub fn is_idle(&self) -> bool {
        self.state == "ACTIVE" && self.active_operation.is_none()
    }
}

impl Aws {
    /// The provisioned cluster with this name or ARN, described again.
    ///
    /// # Errors
    /// As [`Aws::find`], and [`AwsError::Serverless`].
    pub async fn cluster(&self, name_or_arn: &str) -> Result<MskCluster, AwsError> {
        self.find(name_or_arn).await?.provisioned()
    }

    /// The provisioned cluster `arn` as it is now.
    ///
    /// # Errors
    /// Why the API gave no usable answer.
    pub async fn describe(&self, arn: &str) -> Result<MskCluster, AwsError> {
        self.info(arn).await?.provisioned()
    }

    /// Where clients reach `cluster`.
    ///
    /// # Errors
    /// Why the API gave no answer.
    pub async fn bootstrap(&self, cluster: &MskCluster) -> Result<Bootstrap, AwsError> {
        self.bootstrap_of(&cluster.arn).await
    }

    /// Where clients reach the cluster `arn`, of any kind.
    ///
    /// # Errors
    /// Why the API gave no answer.
    pub async fn bootstrap_of(&self, arn: &str) -> Result<Bootstrap, AwsError> {
        let answer = self.kafka()?.get_bootstrap_brokers().cluster_arn(arn).send().await;
        let answer = answer.map_err(|error| self.failed(Action::GetBootstrapBrokers, error))?;
        let some = |list: Option<String>| list.filter(|list| !list.is_empty());
        Ok(Bootstrap {
            plaintext: some(answer.bootstrap_broker_string),
            tls: some(answer.bootstrap_broker_string_tls),
            sasl_iam: some(answer.bootstrap_broker_string_sasl_iam),
            sasl_scram: some(answer.bootstrap_broker_string_sasl_scram),
        })
    }
}
