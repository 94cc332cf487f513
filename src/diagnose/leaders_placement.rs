//! Too many first replicas on one broker.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    topology::{not_led_by_preferred, partitions, per_broker, skew},
};
use crate::{
    finding_id,
    remedy::{Reassign, Remedy},
    sample::{BrokerSample, Field},
};

/// The broker with most first replicas over the mean.
pub const SKEW: f64 = 1.4;

/// Fewer partitions are never even.
pub const LEAST_PARTITIONS: usize = 4;

/// Traffic of the busiest leader over the mean.
pub const TRAFFIC_SKEW: f64 = 1.4;

pub const RULE: Rule = Rule {
    id: finding_id::LEADERS_PLACEMENT_SKEW,
    kind: Kind::Cause,
    judge,
    needs: Needs { any: &[&[Field::Topics, Field::Traffic]], helps: &[Field::LeaderCounts], of: Clusters::Provisioned },
    meaning: "Too many partitions have their first replica on one broker, so it leads them and does more than its \
              share of the work.",
    told_apart: "PreferredReplicaImbalanceCount is 0: an election changes nothing, so the replica lists must change. \
                 A hot key loads one partition; this loads all partitions of a broker.",
    in_the_lab: "kafka-topics.sh --create --topic skewed --replica-assignment 1:2:3,1:2:3,1:2:3,1:2:3,1:2:3,1:2:3, \
                 kgen produce --topic skewed, then kgen diagnose",
};

/// Whether leaders are gathered on one broker and will be spread.
pub(super) fn holds(window: &Window) -> bool {
    judge(window).is_some()
}

fn judge(window: &Window) -> Option<Finding> {
    let all = partitions(window);
    let preferred = per_broker(window, |partition| partition.replicas.first().copied());
    let (busiest, times) = skew(&preferred).filter(|(_, times)| *times >= SKEW)?;
    // With one replica there is nobody else to lead.
    let movable = all.iter().any(|placed| placed.partition.replicas.len() > 1);
    if all.len() < LEAST_PARTITIONS || !movable || not_led_by_preferred(window).len() * 10 > all.len() {
        return None;
    }
    let traffic = |id| window.median(id, |broker: &BrokerSample| broker.bytes_in_per_s);
    let rates: Vec<f64> = window.brokers().into_iter().filter_map(traffic).collect();
    let mean = rates.iter().sum::<f64>() / rates.len().max(1) as f64;
    let skewed = traffic(busiest).filter(|_| mean > 0.0).map(|bytes| bytes / mean);
    // An uneven placement without uneven traffic troubles nobody.
    let skewed = skewed.filter(|times| *times >= TRAFFIC_SKEW)?;
    let spread =
        Reassign::spread(all.iter().map(|placed| (placed.topic, placed.number, placed.partition.replicas.as_slice())));
    let counts: Vec<String> = preferred.iter().map(|(id, count)| format!("{count} on broker {id}")).collect();
    Some(Finding {
        title: format!("broker {busiest} leads more than its share"),
        cause: "too many replica lists start with the same broker".to_owned(),
        brokers: vec![busiest],
        evidence_for: vec![
            Evidence::measured(format!("first replicas: {}", counts.join(", ")), times, SKEW),
            Evidence::measured(
                format!("broker {busiest} receives {skewed:.1} times the mean traffic"),
                skewed,
                TRAFFIC_SKEW,
            ),
            Evidence::fact("nearly all partitions are led by their first replica, so an election changes nothing"),
        ],
        confidence: 0.9,
        remedy: (!spread.moves.is_empty()).then_some(Remedy::Reassign(spread)),
        anti_recommendations: vec![
            "do not elect preferred leaders: they already lead".to_owned(),
            "do not resize: the others have headroom".to_owned(),
        ],
        ..Finding::default()
    })
}
