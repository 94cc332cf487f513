//! The operation that changes a cluster, step by step.

use std::fmt;

use aws_sdk_kafka::types::ClusterOperationInfo;

use super::{Action, Aws, AwsError, Paging};

/// Operations of one listing that are kept: the newest come first.
const MOST_LISTED: usize = 100;

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

/// An operation of a cluster, as the listing has it.
#[derive(Debug, Clone, PartialEq)]
pub struct PastOperation {
    pub arn: String,
    /// Such as `UPDATE_BROKER_TYPE`.
    pub operation_type: String,
    /// Such as `UPDATE_COMPLETE` or `UPDATE_IN_PROGRESS`.
    pub state: String,
    /// When it began, ms since the epoch.
    pub started_at_ms: Option<i64>,
    /// When it ended, ms since the epoch; `None` while it runs.
    pub ended_at_ms: Option<i64>,
}

impl fmt::Display for PastOperation {
    /// Such as `UPDATE_BROKER_TYPE (2026-11-30T10:00:00Z to 2026-11-30T11:00:00Z)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |ms: Option<i64>| ms.and_then(|ms| jiff::Timestamp::from_second(ms.div_euclid(1000)).ok());
        write!(f, "{}", self.operation_type)?;
        match (at(self.started_at_ms), at(self.ended_at_ms)) {
            (Some(start), Some(end)) => write!(f, " ({start} to {end})"),
            (Some(start), None) => write!(f, " (since {start})"),
            (None, _) => Ok(()),
        }
    }
}

impl Aws {
    /// The operations of the cluster `arn`, the newest first; at most a hundred.
    ///
    /// # Errors
    /// Why the API gave no answer.
    pub async fn operations(&self, arn: &str) -> Result<Vec<PastOperation>, AwsError> {
        let mut listed = self.kafka()?.list_cluster_operations_v2().cluster_arn(arn).into_paginator().send();
        let (mut operations, mut paging) = (Vec::new(), Paging::of(Action::ListClusterOperationsV2));
        while let Some(page) = paging.bounded(listed.next()).await? {
            let page = page.map_err(|error| self.failed(Action::ListClusterOperationsV2, error))?;
            let found = page.cluster_operation_info_list.unwrap_or_default().into_iter();
            operations.extend(found.filter_map(|operation| {
                Some(PastOperation {
                    arn: operation.operation_arn?,
                    operation_type: operation.operation_type.unwrap_or_default(),
                    state: operation.operation_state.unwrap_or_default(),
                    started_at_ms: operation.start_time.and_then(|at| at.to_millis().ok()),
                    ended_at_ms: operation.end_time.and_then(|at| at.to_millis().ok()),
                })
            }));
            if operations.len() >= MOST_LISTED {
                break;
            }
        }
        operations.sort_by_key(|operation| std::cmp::Reverse(operation.started_at_ms));
        operations.truncate(MOST_LISTED);
        Ok(operations)
    }

    /// The operation `arn` as it is now.
    ///
    /// # Errors
    /// Why the API gave no usable answer.
    pub async fn operation(&self, arn: &str) -> Result<Operation, AwsError> {
        const ACTION: Action = Action::DescribeClusterOperation;
        let answer = self.kafka()?.describe_cluster_operation().cluster_operation_arn(arn).send().await;
        let info = answer.map_err(|error| self.failed(ACTION, error))?.cluster_operation_info;
        Ok(info.ok_or(AwsError::Incomplete { action: ACTION.name(), what: "clusterOperationInfo" })?.into())
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
