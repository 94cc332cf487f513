//! The possible changes to a cluster, and the check that a plan contains only that change.

use anyhow::{Context as _, anyhow, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    aws::MskCluster,
    catalogue::BrokerType,
    outcome::refused,
    project::Project,
    remedy::{Remedy, Resize, ScaleOut},
    stack::{Stack, with_broker_count, with_broker_type},
    terraform::{
        NotInPlace,
        plan::{Action, Changes},
    },
};

/// The resource that is changed, and the attribute that a change of the broker type changes of it.
pub const RESOURCE: &str = "aws_msk_cluster";
pub const BROKER_TYPE: &str = "broker_node_group_info[0].instance_type";
const BROKER_COUNT: &str = "number_of_broker_nodes";

/// What new brokers bring with them: their alarms, and their lines in the dashboard.
const ALONG_WITH_BROKERS: [(&str, Action); 2] =
    [("aws_cloudwatch_metric_alarm", Action::Create), ("aws_cloudwatch_dashboard", Action::Update)];

/// What is changed, and what it will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what", content = "to")]
pub enum Change {
    BrokerType(BrokerType),
    BrokerCount(u32),
}

impl Change {
    /// As it is typed.
    pub fn command(self) -> String {
        match self {
            Change::BrokerType(to) => format!("kgen resize {to}"),
            Change::BrokerCount(to) => format!("kgen scale-out {to}"),
        }
    }

    /// The command's name.
    pub fn name(self) -> &'static str {
        match self {
            Change::BrokerType(_) => "resize",
            Change::BrokerCount(_) => "scale-out",
        }
    }

    /// Checks what can be determined from kgen.toml and the environment alone, and returns the stack as it will be.
    ///
    /// # Errors
    /// Refused, with the reason.
    pub fn applied_to(self, project: &Project) -> anyhow::Result<Stack> {
        let (key, command) = match self {
            Change::BrokerType(_) => ("cluster.broker_type", self.name()),
            Change::BrokerCount(_) => ("cluster.broker_count", self.name()),
        };
        if let Some(variable) = project.variable_for(key) {
            return Err(refused(anyhow!(
                "{variable} overrides what a {command} writes to kgen.toml (unset {variable})"
            )));
        }
        match self {
            Change::BrokerType(to) => project.stack().resized(to).map_err(refused),
            Change::BrokerCount(to) => project.stack().scaled_out(to).map_err(refused),
        }
    }

    /// The text of a kgen.toml with the change in it.
    ///
    /// # Errors
    /// It is not TOML.
    pub fn written_to(self, kgen_toml: &str) -> anyhow::Result<String> {
        Ok(match self {
            Change::BrokerType(to) => with_broker_type(kgen_toml, to)?,
            Change::BrokerCount(to) => with_broker_count(kgen_toml, to)?,
        })
    }

    /// The cluster is as it is to be.
    pub fn is_reached(self, cluster: &MskCluster) -> bool {
        match self {
            Change::BrokerType(to) => cluster.broker_type == to.as_str(),
            Change::BrokerCount(to) => cluster.broker_count == to,
        }
    }

    /// What the cluster is or will be, in words.
    pub fn reached(self) -> String {
        match self {
            Change::BrokerType(to) => to.to_string(),
            Change::BrokerCount(to) => format!("{to} brokers"),
        }
    }

    /// # Errors
    /// The plan does anything but make this change of the cluster `arn`.
    pub(super) fn ensure_is_all_of(self, changes: &Changes, arn: &str) -> anyhow::Result<()> {
        let (found, may) = match self {
            Change::BrokerType(_) => {
                (changes.ensure_updates_in_place(RESOURCE, BROKER_TYPE), "the broker type and nothing else")
            }
            Change::BrokerCount(_) => (
                changes.ensure_updates_with(RESOURCE, BROKER_COUNT, &ALONG_WITH_BROKERS),
                "the number of brokers, their alarms and their dashboard, and nothing else",
            ),
        };
        let name = self.name();
        let updated = found.map_err(|error| {
            alone(
                error,
                format!(
                    "a {name} may change {may}; `kgen plan` shows what else would change: apply that \
                                  first"
                ),
            )
        })?;
        let planned = updated.change.before["arn"].as_str().unwrap_or(arn);
        ensure!(planned == arn, "the plan updates {planned}, but the {name} is of {arn}");
        self.ensure_becomes(&updated.change.after)
    }

    /// Checks that a cluster with these values, as terraform has them, is as this change makes it.
    ///
    /// # Errors
    /// It is not.
    pub fn ensure_becomes(self, after: &Value) -> anyhow::Result<()> {
        let (found, is_it) = match self {
            Change::BrokerType(to) => {
                let found = &after["broker_node_group_info"][0]["instance_type"];
                (found, found.as_str() == Some(to.as_str()))
            }
            Change::BrokerCount(to) => {
                let found = &after["number_of_broker_nodes"];
                (found, found.as_u64() == Some(to.into()))
            }
        };
        ensure!(is_it, "the plan changes it to {found}, but what was approved is {}", self.reached());
        Ok(())
    }

    /// What is left to do when the cluster itself is changed.
    pub(super) fn ensure_is_rest_of(self, changes: &Changes) -> anyhow::Result<()> {
        let along: &[(&str, Action)] = match self {
            Change::BrokerType(_) => &[],
            Change::BrokerCount(_) => &ALONG_WITH_BROKERS,
        };
        let name = self.name();
        changes.ensure_only(along).with_context(|| {
            format!(
                "the cluster is changed, but the plan contains more than the {name}; `kgen plan` shows it: apply that \
                 first"
            )
        })
    }

    pub(super) fn remedy(self, stack: &Stack, cluster: &MskCluster) -> Remedy {
        let reason = "asked for".to_owned();
        match self {
            Change::BrokerType(to) => Remedy::Resize(Resize {
                from: stack.broker_type(),
                to,
                brokers: cluster.broker_count,
                reason,
                vcpus_used: None,
                demand_is_higher: false,
            }),
            Change::BrokerCount(to) => Remedy::ScaleOut(ScaleOut {
                from: cluster.broker_count,
                to,
                broker_type: cluster.broker_type.parse().ok(),
                reason,
            }),
        }
    }
}

/// Why a plan is not one change alone; `first` says what to apply first, where that is possible.
pub(super) fn alone(error: NotInPlace, first: String) -> anyhow::Error {
    match error {
        NotInPlace::Shrinks { .. } => anyhow!(error),
        other => anyhow!(other).context(first),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_is_the_change_that_was_approved_of_the_cluster_that_was_meant() {
        let values = |broker_type: &str, brokers: u32| {
            json!({"arn": "arn:one", "number_of_broker_nodes": brokers,
                   "broker_node_group_info": [{"instance_type": broker_type}]})
        };
        let judged = |change: Change, after: Value, arn: &str| {
            let change_of = json!({"actions": ["update"], "before": values("kafka.t3.small", 3), "after": after});
            let cluster = json!({"address": "c", "mode": "managed", "type": RESOURCE, "change": change_of});
            let plan = Changes::parse(&json!({"complete": true, "resource_changes": [cluster]}).to_string()).unwrap();
            change.ensure_is_all_of(&plan, arn).map_err(|error| error.to_string())
        };
        let (large, six) = (Change::BrokerType("kafka.m5.large".parse().unwrap()), Change::BrokerCount(6));
        assert_eq!(judged(large, values("kafka.m5.large", 3), "arn:one"), Ok(()));
        assert_eq!(judged(six, values("kafka.t3.small", 6), "arn:one"), Ok(()));
        for (change, after, arn, expected) in [
            (large, values("kafka.m5.xlarge", 3), "arn:one", "what was approved is kafka.m5.large"),
            (six, values("kafka.t3.small", 9), "arn:one", "what was approved is 6 brokers"),
            (large, values("kafka.m5.large", 3), "arn:two", "the resize is of arn:two"),
            (large, values("kafka.t3.small", 6), "arn:one", "the broker type and nothing else"),
        ] {
            let refused = judged(change, after, arn).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
