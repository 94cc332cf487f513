//! More partitions than recommended for the broker type.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
};
use crate::{
    catalogue::BrokerType,
    finding_id,
    sample::{BrokerId, Field},
};

pub const RULE: Rule = Rule {
    id: finding_id::CLUSTER_TOO_MANY_PARTITIONS,
    kind: Kind::Cause,
    judge,
    needs: Needs { any: &[&[Field::PartitionCounts]], helps: &[Field::FollowerFetchTime], of: Clusters::Provisioned },
    meaning: "Brokers hold more partitions than AWS recommends for their type. Each partition costs memory and \
              fetches, even without traffic.",
    told_apart: "By the number of partitions per broker, compared with the recommendation for the type (MSK best \
                 practices). Followers' fetches take longer, and the heap fills; CPU may have headroom.",
    in_the_lab: "kgen topic create many --partitions 1000, then kgen diagnose",
};

/// Why brokers are added rather than made larger.
const NO_LARGER: &str = "no type of its family supports that many partitions";

fn judge(window: &Window) -> Option<Finding> {
    let broker_type = window.context.known_type()?;
    let limit = f64::from(broker_type.partitions_recommended);
    let count = |id: BrokerId| window.median(id, |broker| broker.partition_count.map(|count| count as f64));
    let over: Vec<(BrokerId, f64)> = window
        .brokers()
        .into_iter()
        .filter_map(|id| Some((id, count(id)?)))
        .filter(|(_, count)| *count > limit)
        .collect();
    if over.is_empty() {
        return None;
    }
    let brokers: Vec<BrokerId> = over.iter().map(|(id, _)| *id).collect();
    let mut evidence_for: Vec<Evidence> = over
        .iter()
        .map(|(id, count)| Evidence::measured(format!("broker {id}: {count:.0} partitions"), *count, limit))
        .collect();
    let fetch = window.typical(|broker| broker.follower_fetch_local_ms);
    if let Some(ms) = fetch.filter(|ms| *ms >= 2.0) {
        evidence_for.push(Evidence::seen(format!("followers' fetches take {ms:.1} ms"), ms));
    }
    let most = over.iter().map(|(_, count)| *count).fold(0.0, f64::max);
    // The next size may be made for no more of them (m5.large and m5.xlarge: 1000).
    let holds = |larger: &BrokerType| f64::from(larger.partitions_recommended) >= most;
    let larger = window.larger_that(holds, "it supports more partitions", true);
    let all: f64 = window.brokers().into_iter().filter_map(count).sum();
    let spread = |brokers: u32| all / f64::from(brokers) <= limit;
    Some(Finding {
        title: format!("{} partitions on a broker are too many for {}", most, broker_type.as_str()),
        cause: format!("AWS recommends {limit:.0} at most for this type"),
        evidence_for,
        check: Some(
            "find topics without traffic (kafka-topics.sh --describe, BytesInPerSec by topic), and delete or merge them"
                .to_owned(),
        ),
        confidence: if most > limit * 1.05 { 0.9 } else { 0.7 },
        remedy: larger.or_else(|| window.more_brokers_that(spread, NO_LARGER.to_owned())),
        anti_recommendations: vec!["do not add partitions to make consumers faster until this is fixed".to_owned()],
        brokers,
        ..Finding::default()
    })
}
