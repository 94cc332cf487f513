//! A broker whose process has ended.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    disk_full::full,
    topology::partitions,
    window::names,
};
use crate::{
    finding_id,
    remedy::{Reboot, Remedy},
    sample::{BrokerId, Field, Probe},
};

pub const RULE: Rule = Rule {
    id: finding_id::BROKER_DOWN,
    kind: Kind::Cause,
    judge,
    needs: Needs {
        any: &[&[Field::Probe], &[Field::Cpu, Field::Replication]],
        helps: &[Field::Topics],
        of: Clusters::Provisioned,
    },
    meaning: "A broker's process has ended: nothing listens on its Kafka port. The others lead its partitions, \
              without its replicas.",
    told_apart: "Connections are refused at once; a hung broker accepts them but does not respond. If the cluster is \
                 not ACTIVE, it is cluster.maintenance; if the volume was full right before, it is disk.full. From \
                 CloudWatch alone: the broker has no datapoints while partitions of the others are under-replicated.",
    in_the_lab: "kill -9 the pid that `kgen lab status` shows for a broker, then kgen diagnose at once, because the \
                 lab restarts it",
};

fn judge(window: &Window) -> Option<Finding> {
    let brokers: Vec<BrokerId> = window
        .brokers()
        .into_iter()
        .filter(|id| window.probed_as(*id, Probe::Refused) && full(window, *id).is_none())
        .collect();
    if brokers.is_empty() {
        return unpublished(window);
    }
    let mut evidence_for =
        vec![Evidence::fact(format!("{}: connections are refused, and it publishes no metrics", names(&brokers)))];
    let without = partitions(window)
        .iter()
        .filter(|placed| {
            brokers.iter().any(|id| placed.partition.replicas.contains(id) && !placed.partition.in_sync.contains(id))
        })
        .count();
    if without > 0 {
        evidence_for.push(Evidence::seen(format!("{without} partitions are missing its replica"), without as f64));
    }
    Some(Finding {
        title: format!("{} {} down", names(&brokers), if brokers.len() == 1 { "is" } else { "are" }),
        cause: "the process has ended; its log has the reason".to_owned(),
        evidence_for,
        check: Some(
            "read the end of the broker's log: OutOfMemoryError, no space left, or a requested shutdown".to_owned(),
        ),
        confidence: if without > 0 { 0.95 } else { 0.85 },
        remedy: Some(Remedy::Reboot(Reboot { brokers: brokers.clone(), reason: "its process has ended".to_owned() })),
        anti_recommendations: vec![
            "do not reassign its partitions until it is certain that it will not come back: that copies every byte"
                .to_owned(),
            "do not resize now: a rolling restart takes more replicas offline".to_owned(),
        ],
        brokers,
        ..Finding::default()
    })
}

/// By CloudWatch alone.
fn unpublished(window: &Window) -> Option<Finding> {
    let (brokers, lacking) = window.unpublished()?;
    let minutes = window.recent().len();
    Some(Finding {
        title: format!(
            "{} {}",
            names(&brokers),
            if brokers.len() == 1 { "is down or hangs" } else { "are down or hang" }
        ),
        cause: "the process has ended or hangs, or the machine is lost: from outside the cluster these look the same"
            .to_owned(),
        evidence_for: vec![
            Evidence::fact(format!("{}: no datapoint for {minutes} minutes", names(&brokers))),
            Evidence::seen(format!("{lacking} partitions of the others are under-replicated"), lacking as f64),
        ],
        missing: vec![
            "a response from its Kafka port: a refused connection means down, no response means hung".to_owned(),
        ],
        alternatives: vec![finding_id::BROKER_HUNG],
        check: Some(
            "connect to its Kafka port from inside the VPC: a refused connection means down, no response means hung; \
             then read the end of its log"
                .to_owned(),
        ),
        confidence: 0.7,
        remedy: Some(Remedy::Reboot(Reboot { brokers: brokers.clone(), reason: "it publishes nothing".to_owned() })),
        anti_recommendations: vec!["do not resize now: a rolling restart takes more replicas offline".to_owned()],
        brokers,
        ..Finding::default()
    })
}
