//! Checks that a resize updates one cluster in place, and changes nothing else.

use super::{
    obstacles::{Shrink, VOLUME_SIZE, said_of},
    plan::{Action, Changes, ResourceChange},
};

/// Why a plan is not the change in place of one attribute that was requested.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum NotInPlace {
    #[error("the plan does not change any {resource_type}: there is nothing to update")]
    Nothing { resource_type: String },
    #[error("the plan would also change {}", others.join(", "))]
    Others { others: Vec<String> },
    #[error("the plan would not update {address} in place: it {verb}{}", reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default())]
    Action { address: String, verb: &'static str, reason: Option<String> },
    #[error("the plan would change more of {address} than {wanted}: {}", also.join(", "))]
    Attributes { address: String, wanted: String, also: Vec<String> },
    #[error("{}", said_of(.address, *.shrink))]
    Shrinks { address: String, shrink: Shrink },
    #[error("the plan does not change {wanted} of {address}")]
    Unchanged { address: String, wanted: String },
    #[error("the plan is not complete: terraform deferred some changes")]
    Incomplete,
}

impl Changes {
    /// Checks that this plan updates one resource of `resource_type` in place and that of it only `attribute` differs,
    /// a path such as `broker_node_group_info[0].instance_type`. Returns that resource.
    ///
    /// Outputs and drift may differ: they change nothing outside the state. What drift leads to is a change, and judged.
    ///
    /// # Errors
    /// What else the plan would do, or that it would do nothing.
    pub fn ensure_updates_in_place(&self, resource_type: &str, attribute: &str) -> Result<&ResourceChange, NotInPlace> {
        self.ensure_updates_with(resource_type, attribute, &[])
    }

    /// Checks that nothing is done but what `along` names: a type, and what may be done to resources of it.
    ///
    /// # Errors
    /// What else the plan would do.
    pub fn ensure_only(&self, along: &[(&str, Action)]) -> Result<(), NotInPlace> {
        let others = self.resources().filter(|resource| !resource.is_let_pass(along));
        let others: Vec<String> =
            others.map(|resource| format!("{} ({})", resource.address, resource.action().verb())).collect();
        if !others.is_empty() {
            return Err(NotInPlace::Others { others });
        }
        if self.complete { Ok(()) } else { Err(NotInPlace::Incomplete) }
    }

    /// As [`Changes::ensure_updates_in_place`], and each of `along`, a type and what may be done to resources of it, is let pass.
    ///
    /// # Errors
    /// What else the plan would do, or that it would not do it.
    pub fn ensure_updates_with(
        &self,
        resource_type: &str,
        attribute: &str,
        along: &[(&str, Action)],
    ) -> Result<&ResourceChange, NotInPlace> {
        let target = self
            .of_type(resource_type)
            .next()
            .ok_or_else(|| NotInPlace::Nothing { resource_type: resource_type.to_owned() });
        let others: Vec<String> = self
            .resources()
            .filter(|resource| !target.as_ref().is_ok_and(|target| std::ptr::eq(*resource, *target)))
            .filter(|resource| !resource.is_let_pass(along))
            .map(|resource| format!("{} ({})", resource.address, resource.action().verb()))
            .collect();
        if !others.is_empty() {
            return Err(NotInPlace::Others { others });
        }
        let target = target?;
        let address = target.address.clone();
        let reason = match (&target.deposed, &target.change.importing) {
            (Some(_), _) => Some("left over from a replacement".to_owned()),
            (_, Some(_)) => Some("imported at the same time".to_owned()),
            _ => target.reason(),
        };
        if target.action() != Action::Update || target.deposed.is_some() || target.change.importing.is_some() {
            return Err(NotInPlace::Action { address, verb: target.action().verb(), reason });
        }
        let (wanted, also): (Vec<String>, Vec<String>) = target
            .change
            .differences()
            .into_iter()
            .map(|difference| difference.path)
            .partition(|path| path == attribute);
        if let Some(shrink) = target.shrink().filter(|_| also.iter().any(|path| path == VOLUME_SIZE)) {
            return Err(NotInPlace::Shrinks { address, shrink });
        }
        if !also.is_empty() {
            return Err(NotInPlace::Attributes { address, wanted: attribute.to_owned(), also });
        }
        if wanted.is_empty() {
            return Err(NotInPlace::Unchanged { address, wanted: attribute.to_owned() });
        }
        if !self.complete {
            return Err(NotInPlace::Incomplete);
        }
        Ok(target)
    }
}

impl ResourceChange {
    /// Whether `along` allows what is done to it, and nothing is odd about it.
    fn is_let_pass(&self, along: &[(&str, Action)]) -> bool {
        let is_plain = self.deposed.is_none() && self.change.importing.is_none();
        is_plain && along.iter().any(|(kind, action)| self.resource_type == *kind && self.action() == *action)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::terraform::{
        difference::Shown,
        plan::tests::{cluster, other, plan},
    };

    const TYPE: &str = "broker_node_group_info[0].instance_type";

    #[test]
    fn only_the_broker_type_may_differ() {
        #[track_caller]
        fn check(resources: &[Value], expected: &str) {
            let plan = plan(resources);
            let found = match plan.ensure_updates_in_place("aws_msk_cluster", TYPE) {
                Ok(resource) => resource.address.clone(),
                Err(error) => error.to_string(),
            };
            assert_eq!(found, expected);
        }
        let same = |_: &mut Value, _: &mut Value| ();
        let update = cluster(&["update"], same);
        check(std::slice::from_ref(&update), "aws_msk_cluster.main");
        check(&[other("managed", "no-op"), other("data", "read"), update.clone()], "aws_msk_cluster.main");
        check(&[], "the plan does not change any aws_msk_cluster: there is nothing to update");
        check(&[cluster(&["no-op"], same)], "the plan does not change any aws_msk_cluster: there is nothing to update");
        check(
            &[update.clone(), other("managed", "create")],
            "the plan would also change aws_vpc.main (would be created)",
        );
        check(&[other("managed", "delete")], "the plan would also change aws_vpc.main (would be destroyed)");
        check(
            &[update.clone(), update.clone()],
            "the plan would also change aws_msk_cluster.main (would be updated in place)",
        );
        check(
            &[cluster(&["delete", "create"], same)],
            "the plan would not update aws_msk_cluster.main in place: it would be destroyed \
             and recreated",
        );
        check(
            &[cluster(&["create", "delete"], same)],
            "the plan would not update aws_msk_cluster.main in place: it would be destroyed \
             and recreated",
        );
        check(
            &[cluster(&["conjure"], same)],
            "the plan would not update aws_msk_cluster.main in place: it would be changed in \
             a way that kgen does not support",
        );
        let mut deposed = update.clone();
        deposed["deposed"] = "0a1b".into();
        check(
            &[deposed],
            "the plan would not update aws_msk_cluster.main in place: it would be updated in place (left over from a replacement)",
        );
    }

    #[test]
    fn what_may_come_along_is_let_pass_and_nothing_else() {
        let update = cluster(&["update"], |_, _| ());
        let made = plan(&[update.clone(), other("managed", "create")]);
        let ok =
            |plan: &Changes, action| plan.ensure_updates_with("aws_msk_cluster", TYPE, &[("aws_vpc", action)]).is_ok();
        assert!(ok(&made, Action::Create));
        assert!(!ok(&made, Action::Update));
        assert!(!ok(&plan(&[update, other("managed", "delete")]), Action::Create));
        assert!(!ok(&plan(&[other("managed", "create")]), Action::Create), "the change itself is missing");
        let only = |plan: &Changes| plan.ensure_only(&[("aws_vpc", Action::Create)]).is_ok();
        assert!(only(&plan(&[other("managed", "create")])) && only(&plan(&[])));
        assert!(!only(&made) && !only(&plan(&[other("managed", "delete")])));
    }

    #[test]
    fn plans_of_the_real_provider_are_judged() {
        #[track_caller]
        fn check(json: &str, expected: &str) {
            let plan = Changes::parse(json).unwrap();
            let judged = plan.ensure_updates_in_place("aws_msk_cluster", TYPE);
            let found = judged.map_or_else(|error| error.to_string(), |resource| resource.to_string());
            assert_eq!(found, expected);
        }
        check(
            include_str!("../../tests/plans/broker-type.json"),
            "  ~ aws_msk_cluster.main would be updated in place\n      \
             broker_node_group_info[0].instance_type: \"kafka.t3.small\" → \"kafka.m5.large\"",
        );
        check(
            include_str!("../../tests/plans/broker-type-and-count.json"),
            "the plan would change more of aws_msk_cluster.main than broker_node_group_info[0].instance_type: \
             number_of_broker_nodes",
        );
        check(
            include_str!("../../tests/plans/cluster-name.json"),
            "the plan would not update aws_msk_cluster.main in place: it would be destroyed \
             and recreated (cannot be changed in place: cluster_name)",
        );
        check(
            include_str!("../../tests/plans/nothing.json"),
            "the plan does not change any aws_msk_cluster: there is nothing to update",
        );
    }

    #[test]
    fn whatever_else_differs_is_named() {
        #[track_caller]
        fn check(change: impl FnOnce(&mut Value, &mut Value), expected: &str) {
            let plan = plan(&[cluster(&["update"], change)]);
            let error = plan.ensure_updates_in_place("aws_msk_cluster", TYPE).unwrap_err().to_string();
            let prefix = format!("the plan would change more of aws_msk_cluster.main than {TYPE}: ");
            assert_eq!(error.strip_prefix(&prefix).unwrap_or(&error), expected);
        }
        check(|after, _| after["tags"]["Name"] = "other".into(), "tags.Name");
        check(|after, _| after["tags"]["New"] = "x".into(), "tags.New");
        check(|after, _| after["kafka_version"] = Value::Null, "kafka_version");
        check(
            |after, _| after["broker_node_group_info"][0]["client_subnets"] = json!(["a"]),
            "broker_node_group_info[0].client_subnets[1]",
        );
        check(|after, _| after["broker_node_group_info"] = json!([]), "broker_node_group_info[0]");
        // Unknown: left out of `after` and marked, at any depth; or marked where before there was nothing.
        check(
            |after, unknown| {
                after.as_object_mut().unwrap().remove("arn");
                unknown["arn"] = true.into();
            },
            "arn",
        );
        check(|_, unknown| unknown["bootstrap_brokers"] = true.into(), "bootstrap_brokers");
        check(|_, unknown| unknown["tags"] = json!({"Made": true}), "tags.Made");
        check(|_, unknown| unknown["open"] = json!([{"jmx": true}]), "open");
        check(
            |after, _| after["broker_node_group_info"][0]["instance_type"] = "kafka.t3.small".into(),
            &format!("the plan does not change {TYPE} of aws_msk_cluster.main"),
        );
        // The type itself may not be left open either: it is a difference, but to no known type.
        let plan = plan(&[cluster(&["update"], |after, unknown| {
            after["broker_node_group_info"][0].as_object_mut().unwrap().remove("instance_type");
            unknown["broker_node_group_info"][0]["instance_type"] = true.into();
        })]);
        let resource = plan.ensure_updates_in_place("aws_msk_cluster", TYPE).unwrap();
        assert_eq!(resource.change.differences()[0].after, Shown::Unknown);
    }
}
