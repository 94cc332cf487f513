//! One change of a cluster, from its acceptance to its end.

use serde::{Deserialize, Serialize};

use crate::sample::BrokerId;

use super::{Moment, MutableClusterInfo, Update};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    pub arn: String,
    pub request_id: String,
    pub created: Moment,
    pub ended: Option<Moment>,
    pub state: OperationState,
    pub steps: Vec<Step>,
    /// Code and text of a failure.
    pub error: Option<(String, String)>,
    pub source: MutableClusterInfo,
    pub target: MutableClusterInfo,
    /// What was asked, by which a repeated request is known.
    pub update: Update,
    /// The version that the request named, where its call has one.
    pub from_version: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationState {
    #[serde(rename = "UPDATE_IN_PROGRESS")]
    InProgress,
    #[serde(rename = "UPDATE_COMPLETE")]
    Complete,
    #[serde(rename = "UPDATE_FAILED")]
    Failed,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub name: String,
    pub status: StepStatus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StepStatus {
    Pending,
    InProgress,
    Completed,
    Failed,
}

impl Operation {
    pub fn is_active(&self) -> bool {
        self.state == OperationState::InProgress
    }

    /// A step for each broker that has its turn, all pending.
    pub fn steps_for(brokers: impl Iterator<Item = BrokerId>) -> Vec<Step> {
        brokers.map(|broker| Step { name: step_name(broker), status: StepStatus::Pending }).collect()
    }

    pub fn step(&mut self, broker: BrokerId, done: bool) {
        let status = if done { StepStatus::Completed } else { StepStatus::InProgress };
        let name = step_name(broker);
        match self.steps.iter_mut().find(|step| step.name == name) {
            Some(step) => step.status = status,
            None => self.steps.push(Step { name, status }),
        }
    }

    pub fn end(&mut self, error: Option<&String>, at: Moment) {
        self.ended = Some(at);
        match error {
            None => {
                self.state = OperationState::Complete;
                self.steps.iter_mut().for_each(|step| step.status = StepStatus::Completed);
            }
            Some(message) => {
                self.state = OperationState::Failed;
                self.error = Some(("InternalFailure".to_owned(), message.clone()));
                for step in self.steps.iter_mut().filter(|step| step.status == StepStatus::InProgress) {
                    step.status = StepStatus::Failed;
                }
            }
        }
    }
}

fn step_name(broker: BrokerId) -> String {
    format!("UPDATE_BROKER_{broker}")
}
