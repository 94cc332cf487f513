//! The control plane is changing the cluster, so the brokers show the effects of the change.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
};
use crate::{finding_id, remedy::Remedy, sample::Field};

pub const RULE: Rule = Rule {
    id: finding_id::CLUSTER_MAINTENANCE,
    kind: Kind::Gate,
    judge,
    needs: Needs { any: &[&[Field::ClusterState]], helps: &[], of: Clusters::All },
    meaning: "MSK is changing the cluster, one broker after another. Leaders move, replicas fall behind for a while, \
              and the remaining brokers work harder; none of that is a fault.",
    told_apart: "Only by the control plane: the cluster state is not ACTIVE, or an operation is running. The brokers \
                 would look the same after a crash.",
    in_the_lab: "kgen resize kafka.m5.large & kgen diagnose",
};

fn judge(window: &Window) -> Option<Finding> {
    let last_seen = window.all().iter().rev().find_map(|sample| sample.cluster_state.as_deref());
    let state = last_seen.or(window.context.state.as_deref()).filter(|state| *state != "ACTIVE");
    let operation = window.context.active_operation.as_deref();
    let evidence = match (state, operation) {
        (None, None) => return None,
        (Some(state), _) => format!("the cluster state is {state}"),
        (None, Some(operation)) => format!("an operation is running: {operation}"),
    };
    Some(Finding {
        title: "the cluster is being changed".to_owned(),
        cause: "a control plane operation is running, and its effects hide everything else".to_owned(),
        evidence_for: vec![Evidence::fact(evidence)],
        confidence: 0.95,
        remedy: Some(Remedy::Wait { until: "the cluster is ACTIVE, then diagnose again".to_owned() }),
        anti_recommendations: vec!["do not reassign partitions or restart other brokers until it is ACTIVE".to_owned()],
        ..Finding::default()
    })
}
