//! A broker that is there and does not answer.

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
    meaning: "A broker's port takes connections, and nothing comes back: the process stands still (a long pause, a dead \
              disk, a frozen machine). Clients wait for their time-outs.",
    told_apart: "The connection is taken and stays silent; broker.down refuses it at once.",
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
        cause: "the process stands still; after its session ends the cluster goes on without it".to_owned(),
        evidence_for: vec![Evidence::fact(format!(
            "{}: the Kafka port is silent until the deadline, and no metrics come",
            names(&brokers)
        ))],
        check: Some(
            "its garbage collection log and VolumeQueueLength: a pause ends by itself, a dead disk does not".to_owned(),
        ),
        confidence: 0.9,
        remedy: Some(Remedy::Reboot(Reboot { brokers: brokers.clone(), reason: "it does not answer".to_owned() })),
        anti_recommendations: vec!["do not resize now: a rolling restart takes more replicas away".to_owned()],
        brokers,
        ..Finding::default()
    })
}
