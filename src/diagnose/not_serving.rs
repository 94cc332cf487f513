//! A broker does not respond, or has only just started serving.

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
    meaning: "At least one broker returned no metrics, or responds but serves no partitions yet. The other brokers \
              show the consequences, so their size cannot be judged.",
    told_apart: "A starting broker responds with a PartitionCount of 0; one that is down or hangs does not respond \
                 before the deadline. If the cluster is not ACTIVE, it is cluster.maintenance; if the volume is full, \
                 it is disk.full, whether or not the broker is starting.",
    in_the_lab: "kill -STOP the pid that `kgen lab status` shows for a broker, then kgen diagnose (and -CONT)",
};

fn judge(window: &Window) -> Option<Finding> {
    let mut found = window.not_serving();
    // What is known to be gone or hung has a rule of its own, and so has a full volume, on which a broker starts
    // without success.
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
        evidence.push(Evidence::fact(format!(
            "{}: started serving less than 20 s ago, or is not serving yet",
            names(&starting)
        )));
    }
    let (title, check) = if unreachable.is_empty() {
        ("a broker is starting", "diagnose again in half a minute")
    } else {
        (
            "a broker does not respond",
            "connect to its Kafka port: a refused connection means down, no response means \
                                       hung",
        )
    };
    Some(Finding {
        title: title.to_owned(),
        brokers: found.iter().map(|(id, _)| *id).collect(),
        cause: "the serving brokers do the work of the others, so their load does not show whether they are large \
                enough"
            .to_owned(),
        evidence_for: evidence,
        check: Some(check.to_owned()),
        confidence: 0.9,
        anti_recommendations: vec!["do not resize now: a rolling restart takes more replicas offline".to_owned()],
        ..Finding::default()
    })
}
