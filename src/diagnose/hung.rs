//! A broker that accepts connections but does not respond.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    window::names,
};
use crate::{
    finding_id,
    remedy::{Reboot, Remedy},
    sample::{BrokerId, Field, Probe},
};

pub const RULE: Rule = Rule {
    id: finding_id::BROKER_HUNG,
    kind: Kind::Cause,
    judge,
    needs: Needs {
        any: &[&[Field::Probe], &[Field::Cpu, Field::Replication]],
        helps: &[Field::Probe],
        of: Clusters::Provisioned,
    },
    meaning: "A broker accepts connections but does not respond: its process is stuck (a long pause, a failed disk, a \
              frozen machine). Clients wait until they time out.",
    told_apart: "The connection is accepted, but there is no response; with broker.down it is refused at once.",
    in_the_lab: "kill -STOP the pid that `kgen lab status` shows for a broker, then kgen diagnose (and -CONT)",
};

fn judge(window: &Window) -> Option<Finding> {
    let brokers: Vec<BrokerId> =
        window.brokers().into_iter().filter(|id| window.probed_as(*id, Probe::Silent)).collect();
    if brokers.is_empty() {
        return None;
    }
    Some(Finding {
        title: format!("{} {} not answer", names(&brokers), if brokers.len() == 1 { "does" } else { "do" }),
        cause: "the process is stuck; the cluster continues without it when its session expires".to_owned(),
        evidence_for: vec![Evidence::fact(format!(
            "{}: no response from the Kafka port before the deadline, and no metrics",
            names(&brokers)
        ))],
        check: Some(
            "check its garbage collection log and VolumeQueueLength: a pause ends, a failed disk does not recover"
                .to_owned(),
        ),
        confidence: 0.9,
        remedy: Some(Remedy::Reboot(Reboot { brokers: brokers.clone(), reason: "it does not respond".to_owned() })),
        anti_recommendations: vec!["do not resize now: a rolling restart takes more replicas offline".to_owned()],
        brokers,
        ..Finding::default()
    })
}
