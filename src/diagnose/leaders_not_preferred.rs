//! Leaders that did not return after a restart.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    topology::{not_led_by_preferred, partitions, per_broker, skew},
};
use crate::{
    finding_id,
    remedy::{ElectLeaders, Remedy},
    sample::Field,
};

/// Share of partitions that must be led by another than the first replica (Kafka's own
/// `leader.imbalance.per.broker.percentage` is 10).
pub const SHARE: f64 = 0.1;

/// The broker with most leaders over the mean.
pub const SKEW: f64 = 1.3;

pub const RULE: Rule = Rule {
    id: finding_id::LEADERS_NOT_PREFERRED,
    kind: Kind::Cause,
    judge,
    needs: Needs { any: &[&[Field::Topics]], helps: &[Field::LeaderCounts], of: Clusters::Provisioned },
    meaning: "A broker was unavailable, and other brokers still lead its partitions, so they do its work as well.",
    told_apart: "The first replica is in sync but does not lead. With leaders.placement-skew it does lead, and an \
                 election changes nothing.",
    in_the_lab: "auto.leader.rebalance.enable = false in cluster.server_properties, kgen apply, kgen produce, aws \
                 kafka reboot-broker --broker-ids 2, then kgen diagnose",
};

fn judge(window: &Window) -> Option<Finding> {
    let misplaced = not_led_by_preferred(window);
    let all = partitions(window).len();
    if misplaced.is_empty() || (misplaced.len() as f64) < all as f64 * SHARE {
        return None;
    }
    let leaders = per_broker(window, |partition| partition.leader);
    let (busiest, times) = skew(&leaders).filter(|(_, times)| *times >= SKEW)?;
    let counts: Vec<String> = leaders.iter().map(|(id, count)| format!("{count} on broker {id}")).collect();
    let mut brokers: Vec<_> =
        leaders.iter().filter(|(_, count)| **count == leaders[&busiest]).map(|(id, _)| *id).collect();
    brokers.sort_unstable();
    Some(Finding {
        title: format!("{} of {all} partitions are not led by their first replica", misplaced.len()),
        cause: "leadership was not returned after a broker came back".to_owned(),
        brokers,
        evidence_for: vec![
            Evidence::measured(
                format!("{} first replicas are in sync but do not lead", misplaced.len()),
                misplaced.len() as f64,
                all as f64 * SHARE,
            ),
            Evidence::measured(format!("leaders: {}", counts.join(", ")), times, SKEW),
        ],
        confidence: 0.9,
        remedy: Some(Remedy::ElectLeaders(ElectLeaders { partitions: misplaced.len() })),
        anti_recommendations: vec![
            "do not resize: one broker does the work of two, and the others have headroom".to_owned(),
        ],
        partitions: misplaced.iter().map(super::topology::Placed::name).collect(),
        ..Finding::default()
    })
}
