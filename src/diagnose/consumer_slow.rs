//! A group that reads more slowly than records arrive.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    consumer_stalled::{LAG_PER_S, READS_NOTHING, stands_still},
    coverage::{Clusters, Needs},
    topology::{Pace, TopicPace, paces, topic_paces},
};
use crate::{
    finding_id,
    remedy::{Advice, Remedy},
    sample::Field,
};

/// Share of what comes in that the lag must grow by.
pub const SHARE_OF_INFLOW: f64 = 0.1;

pub const RULE: Rule = Rule {
    id: finding_id::CONSUMER_SLOW,
    kind: Kind::Cause,
    judge,
    needs: Needs {
        any: &[&[Field::GroupLag]],
        helps: &[Field::GroupMembers, Field::TrafficByTopic],
        of: Clusters::All,
    },
    meaning: "A consumer group makes steady progress, but more slowly than records are produced, so its lag keeps \
              growing.",
    told_apart: "Offsets are committed at a steady rate above 0, and lag grows on all partitions of one group. If the \
                 brokers were the cause, every group would lag and requests would be slow.",
    in_the_lab: "kgen consume --delay 20ms, kgen produce, then kgen diagnose",
};

fn judge(window: &Window) -> Option<Finding> {
    let mut finding = Finding::default();
    for (group, paces) in paces(window) {
        let moving: Vec<&Pace> = paces.iter().filter(|pace| !stands_still(pace)).collect();
        let growth: f64 = moving.iter().map(|pace| pace.lag_per_s).sum();
        let committed: f64 = moving.iter().filter_map(|pace| pace.committed_per_s).sum();
        let growing = moving.iter().filter(|pace| pace.lag_per_s > 0.0).count();
        if growth < LAG_PER_S.max((growth + committed) * SHARE_OF_INFLOW)
            || committed <= 0.0
            || growing * 2 < moving.len()
        {
            continue;
        }
        let lag: i64 = moving.iter().map(|pace| pace.lag).sum();
        finding.evidence_for.push(Evidence::measured(
            format!("group {group}: reads {committed:.0} records/s, lag {lag} grows by {growth:.0} records/s"),
            growth,
            LAG_PER_S,
        ));
        finding.groups.push(group);
    }
    let of_topics = by_topic(window, &mut finding);
    if finding.groups.is_empty() {
        return None;
    }
    if of_topics {
        finding.missing.push(
            "check the check the lag by partition: it grows on all of them if the group is too slow, on some if a \
             member hangs"
                .to_owned(),
        );
    }
    let slow_brokers = window.brokers().into_iter().any(|id| window.slow_produce(id).is_some());
    if slow_brokers {
        finding.evidence_against.push(Evidence::fact("produce requests are slow too, so the brokers may be the cause"));
    }
    Some(Finding {
        title: format!("consumer group {} is too slow", finding.groups.join(", ")),
        cause: "it processes records more slowly than they arrive".to_owned(),
        check: Some(
            "check the lag by partition and the members (kafka-consumer-groups.sh --describe --members), then \
                     the processing time of a record, and whether there are fewer members than partitions"
                .to_owned(),
        ),
        confidence: if slow_brokers || of_topics { 0.7 } else { 0.85 },
        remedy: Some(Remedy::Advice(Advice::new(
            "add consumers to the group, up to the number of partitions, or process records faster",
            &[
                "process records in parallel within a member",
                "add partitions only if there are already as many members as partitions",
            ],
        ))),
        anti_recommendations: vec!["do not resize: the brokers are not the cause".to_owned()],
        ..finding
    })
}

/// Adds the groups whose lag on a topic grows by less than what comes in, where only that is published.
fn by_topic(window: &Window, finding: &mut Finding) -> bool {
    let before = finding.groups.len();
    for pace in topic_paces(window) {
        let Some(share) = pace.share() else { continue };
        if pace.lag_per_s < LAG_PER_S || !(SHARE_OF_INFLOW..READS_NOTHING).contains(&share) {
            continue;
        }
        let TopicPace { group, topic, lag, lag_per_s, .. } = pace;
        finding.evidence_for.push(Evidence::measured(
            format!(
                "group {group}: lag {lag:.0} on {topic} grows by {lag_per_s:.0} records/s, {:.0} % of the incoming \
                 records",
                share * 100.0
            ),
            lag_per_s,
            LAG_PER_S,
        ));
        if !finding.groups.contains(&group) {
            finding.groups.push(group);
        }
    }
    finding.groups.len() > before
}
