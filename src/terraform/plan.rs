//! What a plan would change, read from `terraform show -json`, and the guard that a resize never replaces a cluster.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    marker::PhantomData,
    path::Path,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    difference::{Difference, Side},
    saved::{Checksum, PlanFile},
};
use crate::visible::line;

/// A plan saved by [`Terraform::plan`](super::Terraform::plan). Only this can be applied, and only under the lock that it was
/// made under. Its file is of this run alone, and is removed when this is dropped.
#[derive(Debug)]
pub struct Plan<'lock> {
    pub(super) file: PlanFile,
    /// Of the bytes that `changes` were read from.
    pub(super) checksum: Checksum,
    /// Whether terraform has anything to do, be it only an output.
    pub(super) has_changes: bool,
    pub changes: Changes,
    pub(super) lock: PhantomData<&'lock ()>,
}

impl Plan<'_> {
    /// The file that it is saved in.
    pub fn file(&self) -> &Path {
        self.file.path()
    }

    /// What is applied is what has this checksum.
    pub fn checksum(&self) -> &Checksum {
        &self.checksum
    }

    /// Whether there is anything to apply: a resource, or only an output.
    pub fn has_changes(&self) -> bool {
        self.has_changes
    }
}

/// The changes of a plan. Displayed as a list with a sum below it.
#[derive(Debug, Default, Deserialize)]
pub struct Changes {
    #[serde(rename = "resource_changes", default)]
    resources: Vec<ResourceChange>,
    #[serde(rename = "resource_drift", default)]
    drift: Vec<ResourceChange>,
    #[serde(rename = "output_changes", default)]
    outputs: BTreeMap<String, Change>,
    /// False when terraform put some changes off until after this plan.
    #[serde(default = "yes")]
    pub(super) complete: bool,
}

fn yes() -> bool {
    true
}

/// The change of one resource.
#[derive(Debug, Deserialize)]
pub struct ResourceChange {
    pub address: String,
    #[serde(default)]
    mode: String,
    #[serde(rename = "type")]
    pub resource_type: String,
    pub change: Change,
    /// Why, where terraform names a reason, such as `replace_because_tainted`.
    action_reason: Option<String>,
    /// Set for what is left of a resource whose replacement did not end.
    pub(super) deposed: Option<String>,
}

/// Before and after, as terraform's values.
#[derive(Debug, Deserialize)]
pub struct Change {
    pub actions: Vec<Action>,
    #[serde(default)]
    pub before: Value,
    #[serde(default)]
    pub after: Value,
    #[serde(default)]
    after_unknown: Value,
    #[serde(default)]
    before_sensitive: Value,
    #[serde(default)]
    after_sensitive: Value,
    #[serde(default)]
    replace_paths: Vec<Vec<Value>>,
    pub(super) importing: Option<Value>,
}

/// What terraform does to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    #[serde(alias = "noop")]
    NoOp,
    Create,
    Read,
    Update,
    #[serde(alias = "remove")]
    Delete,
    Replace,
    Import,
    Move,
    Forget,
    Open,
    Renew,
    Close,
    #[serde(other)]
    Unknown,
}

impl Action {
    /// As the end of a sentence about a resource, such as `would be created`.
    pub fn verb(self) -> &'static str {
        match self {
            Action::NoOp => "stays as it is",
            Action::Create => "would be created",
            Action::Read => "would be read",
            Action::Update => "would be updated in place",
            Action::Delete => "would be destroyed",
            Action::Replace => "would be destroyed and recreated",
            Action::Import => "would be imported",
            Action::Move => "would be moved",
            Action::Forget => "would be removed from the state, not destroyed",
            Action::Open | Action::Renew | Action::Close => "would be opened for this run",
            Action::Unknown => "would be changed in a way that kgen does not support",
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Action::Create => "+",
            Action::Update => "~",
            Action::Delete => "-",
            Action::Replace => "-/+",
            Action::Read => "<=",
            _ => "*",
        }
    }
}

impl Changes {
    /// Reads the document of `terraform show -json PLAN`.
    ///
    /// # Errors
    /// It is not such a document.
    #[cfg(test)]
    pub fn parse(json: &str) -> serde_json::Result<Changes> {
        serde_json::from_str(json)
    }

    /// The resources that would change. Data sources that are only read are not among them.
    pub fn resources(&self) -> impl Iterator<Item = &ResourceChange> {
        self.resources.iter().filter(|resource| resource.is_change())
    }

    /// Every resource of the plan, also those that stay as they are.
    pub(super) fn all(&self) -> impl Iterator<Item = &ResourceChange> {
        self.resources.iter()
    }

    /// The resources of one type, such as `aws_msk_cluster`, that would change.
    pub fn of_type(&self, resource_type: &str) -> impl Iterator<Item = &ResourceChange> {
        self.resources().filter(move |resource| resource.resource_type == resource_type)
    }

    /// What was found to be other than the state says; see [`Changes::drifted`].
    pub fn drift(&self) -> impl Iterator<Item = &ResourceChange> {
        self.drift.iter().filter(|resource| resource.action() != Action::Update || !self.drifted(resource).is_empty())
    }

    /// Where a resource is other than the state says. Not what is only written differently, such as an empty list for none,
    /// and not what was unset and has a value that this plan leaves as it is: providers fill in defaults after each create.
    /// (Terraform's own list has only what a planned change depends on.)
    fn drifted(&self, resource: &ResourceChange) -> Vec<Difference> {
        let mut planned = self.resources.iter().filter(|planned| planned.address == resource.address);
        let is_left = planned.next().is_some_and(|planned| planned.action() == Action::NoOp);
        let mut differences = resource.change.differences();
        differences.retain(|found| !(found.before.is_empty() && (is_left || found.after.is_empty())));
        differences
    }

    /// Names of the outputs that would change.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().filter(|(_, change)| change.action() != Action::NoOp).map(|(name, _)| name.as_str())
    }

    /// How many resources would be created, updated and destroyed; a replacement counts as one created and one destroyed.
    pub fn totals(&self) -> (usize, usize, usize) {
        let count = |wanted: &[Action]| self.resources().filter(|resource| wanted.contains(&resource.action())).count();
        (count(&[Action::Create, Action::Replace]), count(&[Action::Update]), count(&[Action::Delete, Action::Replace]))
    }
}

impl ResourceChange {
    /// The one action that the list of actions stands for.
    pub fn action(&self) -> Action {
        match self.change.action() {
            Action::NoOp if self.change.importing.is_some() => Action::Import,
            action => action,
        }
    }

    fn is_change(&self) -> bool {
        self.mode != "data" && self.action() != Action::NoOp
    }

    /// The reason, if terraform gives one.
    pub fn reason(&self) -> Option<String> {
        let reason = match self.action_reason.as_deref()? {
            "replace_because_tainted" => {
                return Some(format!(
                    "tainted: an earlier apply did not finish creating it. If it is complete now, `terraform untaint \
                     '{}'` in the same folder keeps it",
                    self.address
                ));
            }
            "replace_because_cannot_update" => {
                let paths: BTreeSet<String> = self.change.replace_paths.iter().map(|steps| dotted(steps)).collect();
                return Some(match paths.is_empty() {
                    true => "it cannot be updated in place".to_owned(),
                    false => {
                        format!("cannot be changed in place: {}", paths.into_iter().collect::<Vec<_>>().join(", "))
                    }
                });
            }
            "replace_by_request" => "asked for",
            "replace_by_triggers" => "triggered by another resource",
            "delete_because_no_resource_config" => "no longer in the configuration",
            "delete_because_no_module" => "its module is no longer in the configuration",
            "delete_because_count_index" => "beyond the present count",
            "delete_because_each_key" => "its key is no longer in for_each",
            "delete_because_wrong_repetition" => "count or for_each was added or removed",
            other => return Some(other.replace('_', " ")),
        };
        Some(reason.to_owned())
    }
}

impl Change {
    fn action(&self) -> Action {
        match self.actions[..] {
            [] => Action::NoOp,
            [action] => action,
            [Action::Delete, Action::Create] | [Action::Create, Action::Delete] => Action::Replace,
            _ => Action::Unknown,
        }
    }

    /// The attributes that would differ. What is unknown before the apply counts as differing.
    pub fn differences(&self) -> Vec<Difference> {
        let before = Side { value: Some(&self.before), sensitive: Some(&self.before_sensitive), unknown: None };
        let after = Side {
            value: Some(&self.after),
            sensitive: Some(&self.after_sensitive),
            unknown: Some(&self.after_unknown),
        };
        before.differences(after)
    }
}

fn dotted(steps: &[Value]) -> String {
    steps.iter().fold(String::new(), |path, step| match step {
        Value::String(name) if path.is_empty() => name.clone(),
        Value::String(name) => format!("{path}.{name}"),
        other => format!("{path}[{other}]"),
    })
}

impl fmt::Display for ResourceChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>3} {} {}", self.action().sign(), line(&self.address), self.action().verb())?;
        if let Some(deposed) = &self.deposed {
            write!(f, " (left over from a replacement, {})", line(deposed))?;
        }
        if let Some(reason) = self.reason() {
            write!(f, " ({reason})")?;
        }
        if self.action() == Action::Update {
            for Difference { path, before, after } in self.change.differences() {
                write!(f, "\n      {}: {} → {}", line(&path), line(&before.to_string()), line(&after.to_string()))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for drift in self.drift() {
            let what = if drift.action() == Action::Delete { "is gone" } else { "was changed" };
            writeln!(f, "  ! {} {what} outside of Terraform", line(&drift.address))?;
            if drift.action() == Action::Update {
                for Difference { path, before, after } in self.drifted(drift) {
                    writeln!(f, "      {}: {} → {}", line(&path), line(&before.to_string()), line(&after.to_string()))?;
                }
            }
        }
        for resource in self.resources() {
            writeln!(f, "{resource}")?;
        }
        for output in self.outputs() {
            writeln!(f, "  ~ output {}", line(output))?;
        }
        if self.resources().next().is_none() && self.outputs().next().is_none() {
            return f.write_str("nothing to change");
        }
        let (create, update, destroy) = self.totals();
        write!(f, "{create} to create, {update} to update, {destroy} to destroy")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub fn cluster(actions: &[&str], change: impl FnOnce(&mut Value, &mut Value)) -> Value {
        let before = json!({
            "arn": "arn:x", "cluster_name": "demo", "kafka_version": "3.9.x", "tags": {"Name": "demo"},
            "broker_node_group_info": [{"instance_type": "kafka.t3.small", "client_subnets": ["a", "b"]}],
        });
        let (mut after, mut unknown) =
            (before.clone(), json!({"broker_node_group_info": [{"client_subnets": [false, false]}]}));
        after["broker_node_group_info"][0]["instance_type"] = "kafka.m5.large".into();
        change(&mut after, &mut unknown);
        json!({
            "address": "aws_msk_cluster.main", "mode": "managed", "type": "aws_msk_cluster",
            "change": {"actions": actions, "before": before, "after": after, "after_unknown": unknown,
                       "before_sensitive": {}, "after_sensitive": {}},
        })
    }

    pub fn other(mode: &str, action: &str) -> Value {
        json!({"address": "aws_vpc.main", "mode": mode, "type": "aws_vpc", "change": {"actions": [action]}})
    }

    pub fn plan(resources: &[Value]) -> Changes {
        let outputs = json!({"x": {"actions": ["update"], "before": 1, "after": 2}, "y": {"actions": ["no-op"]}});
        let document = json!({"resource_changes": resources, "output_changes": outputs, "complete": true,
                              "resource_drift": [cluster(&["update"], |_, _| ())]});
        Changes::parse(&document.to_string()).unwrap()
    }

    #[test]
    fn drift_is_more_than_another_way_to_write_nothing() {
        #[track_caller]
        fn check(before: Value, after: Value, drifted: usize) {
            let change = json!({"actions": ["update"], "before": {"a": before}, "after": {"a": after}});
            let document = json!({"resource_drift": [{"address": "x", "type": "y", "change": change}]});
            assert_eq!(Changes::parse(&document.to_string()).unwrap().drift().count(), drifted);
        }
        check(Value::Null, json!([]), 0);
        check(Value::Null, json!({}), 0);
        check(json!(""), Value::Null, 0);
        check(json!(1), json!(2), 1);
        check(json!([]), json!(["b"]), 1);
        check(json!(false), Value::Null, 1);
    }

    #[test]
    fn defaults_that_a_provider_filled_in_are_no_drift_where_the_plan_leaves_them() {
        let (before, after) = (
            json!({"period": null, "name": "a", "tags": null}),
            json!({"period": 60, "name": "b", "tags": {"k": "v"}}),
        );
        let found = |planned: &[Value]| {
            let change = json!({"actions": ["update"], "before": before, "after": after});
            let drift = json!([{"address": "x.y", "type": "x", "change": change}]);
            let document = json!({"resource_changes": planned, "resource_drift": drift});
            Changes::parse(&document.to_string()).unwrap().to_string()
        };
        let planned =
            |action: &str| json!({"address": "x.y", "mode": "managed", "type": "x", "change": {"actions": [action]}});
        let left = found(&[planned("no-op")]);
        assert!(left.contains("name: \"a\" → \"b\"") && !left.contains("period") && !left.contains("tags"), "{left}");
        // What the plan would take back was changed by somebody.
        for reverted in [found(&[planned("update")]), found(&[])] {
            assert!(reverted.contains("period") && reverted.contains("tags"), "{reverted}");
        }
    }

    #[test]
    fn a_plan_reads_as_a_list() {
        let mut tainted = cluster(&["delete", "create"], |_, _| ());
        tainted["action_reason"] = "replace_because_tainted".into();
        let mut secret = cluster(&["update"], |after, _| after["tags"]["Name"] = "b".into());
        secret["address"] = "aws_msk_cluster.other".into();
        secret["change"]["after_sensitive"] = json!({"tags": {"Name": true}});
        insta::assert_snapshot!(plan(&[other("managed", "create"), tainted, secret]), @r#"
          ! aws_msk_cluster.main was changed outside of Terraform
              broker_node_group_info[0].instance_type: "kafka.t3.small" → "kafka.m5.large"
          + aws_vpc.main would be created
        -/+ aws_msk_cluster.main would be destroyed and recreated (tainted: an earlier apply did not finish creating it. If it is complete now, `terraform untaint 'aws_msk_cluster.main'` in the same folder keeps it)
          ~ aws_msk_cluster.other would be updated in place
              tags.Name: "demo" → (sensitive)
              broker_node_group_info[0].instance_type: "kafka.t3.small" → "kafka.m5.large"
          ~ output x
        2 to create, 1 to update, 1 to destroy
        "#);
    }
}
