//! A broker does not answer, or has only just begun to.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    disk_full::full,
    window::names,
};
use crate::{
    finding_id,
    sample::{BrokerId, BrokerState, Probe},
};

pub const RULE: Rule = Rule {
    id: finding_id::INCONCLUSIVE_BROKER_NOT_SERVING,
    kind: Kind::Gate,
    judge,
    needs: Needs { any: &[], helps: &[], of: Clusters::Provisioned },
    meaning: "At least one broker gave no metrics, or answers but serves no partitions yet. The rest of the cluster shows \
              the consequences, so nothing is said about its size.",
    told_apart: "A broker that starts answers with a PartitionCount of 0; one that is down or hangs does not answer \
                 before the deadline. With the control plane not ACTIVE it would be cluster.maintenance; with a full volume it is \
                 disk.full, starting or not.",
    in_the_lab: "kill -STOP the pid that `kgen lab status` shows for a broker, then kgen diagnose (and -CONT)",
};

fn judge(window: &Window) -> Option<Finding> {
    let mut found = window.not_serving();
    // What is known to be gone or hung has a rule of its own, and so has a full volume, on which a broker starts in vain.
    found.retain(|(id, state)| {
        let is_gone = window.probed_as(*id, Probe::Refused) || window.probed_as(*id, Probe::Silent);
        full(window, *id).is_none() && !(*state == BrokerState::Unreachable && is_gone)
    });
    if found.is_empty() {
        return None;
    }
    let in_state = |state: BrokerState| -> Vec<BrokerId> {
        found.iter().filter(|(_, seen)| *seen == state).map(|(id, _)| *id).collect()
    };
    let (unreachable, starting) = (in_state(BrokerState::Unreachable), in_state(BrokerState::Starting));
    let mut evidence = Vec::new();
    if !unreachable.is_empty() {
        evidence.push(Evidence::fact(format!("{}: no metrics before the deadline", names(&unreachable))));
    }
    if !starting.is_empty() {
        evidence.push(Evidence::fact(format!("{}: began to serve less than 20 s ago, or not yet", names(&starting))));
    }
    let (title, check) = if unreachable.is_empty() {
        ("a broker is starting", "diagnose again in half a minute")
    } else {
        ("a broker does not answer", "connect to its Kafka port: refused means down, silence means hung")
    };
    Some(Finding {
        title: title.to_owned(),
        brokers: found.iter().map(|(id, _)| *id).collect(),
        cause: "the brokers that serve carry the work of the others, so their use says nothing about their size"
            .to_owned(),
        evidence_for: evidence,
        check: Some(check.to_owned()),
        confidence: 0.9,
        anti_recommendations: vec!["do not resize now: a rolling restart takes more replicas away".to_owned()],
        ..Finding::default()
    })
}
