//! A full data volume: the broker exits, or has exited.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    window::names,
};
use crate::{
    finding_id,
    remedy::{Advice, Expand, Remedy},
    sample::{BrokerId, Field},
};

/// Use from which on a broker is about to end, percent. Measured: 97 % to full in 21 s, the process gone 15 s later.
pub const FULL_PERCENT: f64 = 97.0;

pub const RULE: Rule = Rule {
    id: finding_id::DISK_FULL,
    kind: Kind::Cause,
    judge,
    needs: Needs { any: &[&[Field::DiskUsed]], helps: &[], of: Clusters::Standard },
    meaning: "The data volume of a broker is full. Kafka takes the log directory offline and exits; after a restart \
              it exits again.",
    told_apart: "By the last disk value before the broker was lost, which broker.down does not have. With \
                 disk.filling there is still space.",
    in_the_lab: "a small file system for the data of a broker; tests/scenarios/disk_full.toml has the samples",
};

/// The last disk use that was seen of broker `id`, percent, if that is full.
pub(super) fn full(window: &Window, id: BrokerId) -> Option<f64> {
    let last = window.all().iter().rev().find_map(|sample| sample.brokers.get(&id)?.disk_used_percent)?;
    (last >= FULL_PERCENT).then_some(last)
}

fn judge(window: &Window) -> Option<Finding> {
    let full: Vec<(BrokerId, f64)> =
        window.brokers().into_iter().filter_map(|id| Some((id, full(window, id)?))).collect();
    if full.is_empty() {
        return None;
    }
    let brokers: Vec<BrokerId> = full.iter().map(|(id, _)| *id).collect();
    let mut evidence_for: Vec<Evidence> = full
        .iter()
        .map(|(id, used)| Evidence::measured(format!("broker {id}: data volume {used:.0} % full"), *used, FULL_PERCENT))
        .collect();
    for id in &brokers {
        if window.is_unreachable(*id) {
            evidence_for.push(Evidence::fact(format!("broker {id}: lost since then")));
        }
    }
    let expand = window.context.volume_gib.and_then(|gib| Expand::twice(gib, "the volume is full"));
    let advice = Advice::new(
        "free space first (retention.ms of the largest topic), expand the volumes, then restart the broker",
        &["a restart alone fails again"],
    );
    Some(Finding {
        title: format!("the data volume of {} is full", names(&brokers)),
        cause: "there is no space for another log segment".to_owned(),
        brokers,
        evidence_for,
        confidence: 0.95,
        remedy: Some(expand.map_or(Remedy::Advice(advice), Remedy::Expand)),
        anti_recommendations: vec![
            "do not just restart the broker: it exits again as soon as it writes".to_owned(),
            "do not add brokers first: the full one keeps its partitions until they are reassigned".to_owned(),
        ],
        ..Finding::default()
    })
}
