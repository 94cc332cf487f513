//! The operation that changes a cluster, step by step.

use aws_sdk_kafka::types::ClusterOperationInfo;

use super::{Aws, AwsError};

/// A change of a cluster, as the control plane describes it now.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Such as `UPDATE_BROKER_TYPE`.
    pub operation_type: String,
    /// In the order in which they are taken. MSK documents no names; the lab has one step a broker.
    pub steps: Vec<Step>,
    /// Why it failed.
    pub error: Option<String>,
}

/// One step of an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Such as `UPDATE_BROKER_1`.
    pub name: String,
    /// `PENDING`, `IN_PROGRESS`, `COMPLETED`, `FAILED`.
    pub status: String,
}

impl Aws {
    /// The operation `arn` as it is now.
    ///
    /// # Errors
    /// Why the API gave no usable answer.
    pub async fn operation(&self, arn: &str) -> Result<Operation, AwsError> {
        const ACTION: &str = "DescribeClusterOperation";
        let answer = self.kafka()?.describe_cluster_operation().cluster_operation_arn(arn).send().await;
        let info = answer.map_err(|error| self.failed(ACTION, error))?.cluster_operation_info;
        Ok(info.ok_or(AwsError::Incomplete { action: ACTION, what: "clusterOperationInfo" })?.into())
    }
}

impl From<ClusterOperationInfo> for Operation {
    fn from(info: ClusterOperationInfo) -> Operation {
        let steps = info.operation_steps.unwrap_or_default().into_iter().map(|step| Step {
            name: step.step_name.unwrap_or_default(),
            status: step.step_info.and_then(|info| info.step_status).unwrap_or_default(),
        });
        Operation {
            operation_type: info.operation_type.unwrap_or_default(),
            steps: steps.collect(),
            error: info.error_info.and_then(|error| error.error_string),
        }
    }
}
