//! Which endpoints belong to which broker: labels of Prometheus's service discovery, and MSK's host names. Pure.
//!
//! A broker is never guessed from the order of a list: one broker's CPU with another's traffic is worse than no data.

use std::collections::{BTreeMap, BTreeSet};

use super::exposition::Job;
use crate::{aws::TargetGroup, sample::BrokerId};

/// More brokers than any cluster of MSK has.
pub const MOST_BROKERS: usize = 500;

/// Port of MSK's node exporter (MSK Developer Guide, open monitoring).
pub const NODE_PORT: u16 = 11002;

/// `host:port` of each broker's exporters.
pub type Endpoints = BTreeMap<(BrokerId, Job), String>;

/// Why targets cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TargetsError {
    #[error("there are endpoints of more than {MOST_BROKERS} brokers, and no MSK cluster has that many")]
    TooMany,
    #[error(
        "its endpoints have the label cluster={}, not the requested {wanted}: use --cluster {}",
        .labels.join(", "), .labels.first().map_or("NAME", String::as_str)
    )]
    OtherClusters { wanted: String, labels: Vec<String> },
    #[error(
        "it is unknown which broker {target} belongs to: its host does not start with `b-N.`, so add the label \
         broker_id"
    )]
    UnknownBroker { target: String },
    #[error("the label broker_id={label} of {target} is not a number")]
    BrokerId { target: String, label: String },
    #[error("broker {broker} has two endpoints of job {}: {first} and {second}", .job.name())]
    Twice { broker: BrokerId, job: Job, first: String, second: String },
    #[error("broker {broker} has no JMX exporter endpoint, only {node}: its state cannot be observed")]
    NoJmx { broker: BrokerId, node: String },
}

/// The endpoints of `cluster`. Groups without a `cluster` label belong to any. A broker's id is the label `broker_id`, or
/// the N of the host's `b-N.`; without a `job` the port tells the exporters apart, as on MSK.
///
/// # Errors
/// Why a target cannot be assigned to a broker, or that all belong to another cluster.
pub fn assigned(cluster: &str, groups: &[TargetGroup]) -> Result<Endpoints, TargetsError> {
    let label = |group: &TargetGroup| group.labels.get("cluster").cloned();
    let (own, others): (Vec<_>, Vec<_>) =
        groups.iter().partition(|group| label(group).is_none_or(|label| label == cluster));
    if own.is_empty() && !others.is_empty() {
        let labels: BTreeSet<String> = others.into_iter().filter_map(label).collect();
        return Err(TargetsError::OtherClusters { wanted: cluster.to_owned(), labels: labels.into_iter().collect() });
    }
    if own.iter().map(|group| group.targets.len()).sum::<usize>() > 2 * MOST_BROKERS {
        return Err(TargetsError::TooMany);
    }
    let mut found = Endpoints::new();
    for group in own {
        for target in &group.targets {
            let (broker, job) = (broker_of(group, target)?, job_of(group, target));
            if let Some(first) = found.insert((broker, job), target.clone())
                && first != *target
            {
                return Err(TargetsError::Twice { broker, job, first, second: target.clone() });
            }
        }
    }
    let without_jmx = found.iter().find(|((broker, _), _)| !found.contains_key(&(*broker, Job::Jmx)));
    match without_jmx {
        Some(((broker, _), node)) => Err(TargetsError::NoJmx { broker: *broker, node: node.clone() }),
        None => Ok(found),
    }
}

fn broker_of(group: &TargetGroup, target: &str) -> Result<BrokerId, TargetsError> {
    match group.labels.get("broker_id") {
        Some(label) => {
            label.parse().map_err(|_| TargetsError::BrokerId { target: target.to_owned(), label: label.clone() })
        }
        None => of_host(target).ok_or_else(|| TargetsError::UnknownBroker { target: target.to_owned() }),
    }
}

/// MSK's hosts are called `b-1.orders.abc123.c4.kafka.us-west-2.amazonaws.com`.
fn of_host(target: &str) -> Option<BrokerId> {
    let rest = target.strip_prefix("b-")?;
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    let (number, rest) = rest.split_at(end);
    number.parse().ok().filter(|_| rest.starts_with(['.', '-']))
}

fn job_of(group: &TargetGroup, target: &str) -> Job {
    let is_node = match group.labels.get("job") {
        Some(job) => job.contains("node"),
        None => target.ends_with(&format!(":{NODE_PORT}")),
    };
    if is_node { Job::Node } else { Job::Jmx }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: &[(BrokerId, Job, &str)]) {
        let groups: Vec<TargetGroup> = serde_json::from_str(json).expect("well formed");
        let found = assigned("c", &groups).expect("assigned");
        let found: Vec<_> = found.iter().map(|((id, job), target)| (*id, *job, target.as_str())).collect();
        assert_eq!(found, expected, "{json}");
    }

    #[track_caller]
    fn refused(json: &str, words: &str) {
        let groups: Vec<TargetGroup> = serde_json::from_str(json).expect("well formed");
        let error = assigned("c", &groups).expect_err(json).to_string();
        assert!(error.contains(words), "{json}: {error}");
    }

    #[test]
    fn targets_are_assigned_by_label() {
        check(
            r#"[{"targets":["h:1"],"labels":{"job":"jmx","cluster":"c","broker_id":"2"}},
                {"targets":["h:2"],"labels":{"job":"node","cluster":"c","broker_id":"2"}},
                {"targets":["h:3"],"labels":{"job":"jmx","cluster":"other","broker_id":"1"}}]"#,
            &[(2, Job::Jmx, "h:1"), (2, Job::Node, "h:2")],
        );
        check("[]", &[]);
    }

    #[test]
    fn targets_are_assigned_by_msk_host_names_never_by_position() {
        // As AWS's workshop has them: a list for each job, and not in the same order.
        let host = |n: u32| format!("b-{n}.orders.abc123.c4.kafka.us-west-2.amazonaws.com");
        let json = format!(
            r#"[{{"labels":{{"job":"jmx"}},"targets":["{}:11001","{}:11001","{}:11001"]}},
                {{"labels":{{"job":"node"}},"targets":["{}:11002","{}:11002"]}}]"#,
            host(7),
            host(2),
            host(10),
            host(10),
            host(7)
        );
        let (jmx, node) = (|n| format!("{}:11001", host(n)), |n| format!("{}:11002", host(n)));
        let (two, seven, ten) = (jmx(2), jmx(7), jmx(10));
        let (seven_node, ten_node) = (node(7), node(10));
        check(
            &json,
            &[
                (2, Job::Jmx, &two),
                (7, Job::Jmx, &seven),
                (7, Job::Node, &seven_node),
                (10, Job::Jmx, &ten),
                (10, Job::Node, &ten_node),
            ],
        );
        check(
            r#"[{"targets":["b-1.x:11001","b-2-public.x:11001"]},{"targets":["b-2-public.x:11002"]}]"#,
            &[(1, Job::Jmx, "b-1.x:11001"), (2, Job::Jmx, "b-2-public.x:11001"), (2, Job::Node, "b-2-public.x:11002")],
        );
    }

    #[test]
    fn what_cannot_be_assigned_is_refused() {
        refused(r#"[{"targets":["10.0.0.5:11001","10.0.0.6:11001"]}]"#, "which broker 10.0.0.5:11001 belongs to");
        refused(r#"[{"targets":["b-x.y:11001"]}]"#, "add the label broker_id");
        refused(r#"[{"targets":["h:1"],"labels":{"broker_id":"one"}}]"#, "broker_id=one of h:1 is not a number");
        refused(
            r#"[{"targets":["h:1","h:2"],"labels":{"broker_id":"1"}}]"#,
            "broker 1 has two endpoints of job jmx: h:1 and h:2",
        );
        refused(r#"[{"targets":["h:11002"],"labels":{"broker_id":"3"}}]"#, "broker 3 has no JMX exporter endpoint");
        let many: Vec<String> = (0..=2 * MOST_BROKERS).map(|n| format!("\"b-{n}.x:11001\"")).collect();
        refused(&format!(r#"[{{"targets":[{}]}}]"#, many.join(",")), "no MSK cluster has that many");
    }

    #[test]
    fn another_clusters_label_is_named() {
        let json = r#"[{"targets":["h:1"],"labels":{"cluster":"orders","broker_id":"1"}},
                       {"targets":["h:2"],"labels":{"cluster":"billing","broker_id":"1"}}]"#;
        refused(json, "label cluster=billing, orders, not the requested c");
        refused(json, "--cluster billing");
    }
}
