//! A group, or a member of it, that stands still.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    topology::{Pace, paces},
};
use crate::{
    finding_id,
    remedy::{Advice, Remedy},
    sample::Field,
};

/// Growth of lag that shows that records come in, records/s.
pub(super) const LAG_PER_S: f64 = 5.0;

/// Progress that counts as none, records/s.
const STANDS_STILL_PER_S: f64 = 0.5;

/// How long nothing must be committed: two of the intervals at which Kafka's consumers commit by themselves
/// (`auto.commit.interval.ms` is 5000), s.
const STANDS_STILL_S: f64 = 10.0;

pub const RULE: Rule = Rule {
    id: finding_id::CONSUMER_STALLED,
    kind: Kind::Cause,
    judge,
    needs: Needs {
        any: &[&[Field::GroupLag]],
        helps: &[Field::GroupMembers, Field::TrafficByTopic],
        of: Clusters::All,
    },
    meaning: "A consumer group commits nothing on some partitions while records come in: a member hangs, or never commits.",
    told_apart: "The rate of committed offsets is 0. In consumer.slow it is above 0 and steady.",
    in_the_lab: "kgen produce, kgen consume & kill -STOP $!, then kgen diagnose",
};

/// Whether a pace is that of a reader that stands still while records come in.
pub(super) fn stands_still(pace: &Pace) -> bool {
    pace.lag_per_s >= LAG_PER_S
        && pace.span_s >= STANDS_STILL_S
        && pace.committed_per_s.is_some_and(|rate| rate < STANDS_STILL_PER_S)
}

fn judge(window: &Window) -> Option<Finding> {
    let mut finding = Finding::default();
    for (group, paces) in paces(window) {
        let still: Vec<&Pace> = paces.iter().filter(|pace| stands_still(pace)).collect();
        if still.is_empty() {
            continue;
        }
        let lag: i64 = still.iter().map(|pace| pace.lag).sum();
        let growth: f64 = still.iter().map(|pace| pace.lag_per_s).sum();
        finding.evidence_for.push(Evidence::measured(
            format!(
                "group {group}: no commit on {} of {} partitions, lag {lag}, growing by {growth:.0} records/s",
                still.len(),
                paces.len()
            ),
            growth,
            LAG_PER_S,
        ));
        finding.partitions.extend(still.iter().map(|pace| format!("{}-{}", pace.topic, pace.number)));
        finding.groups.push(group);
    }
    if finding.groups.is_empty() {
        return None;
    }
    Some(Finding {
        title: format!("consumer group {} stands still", finding.groups.join(", ")),
        cause: "a member hangs or does not commit".to_owned(),
        check: Some("kafka-consumer-groups.sh --describe --group … --members: whose partitions these are".to_owned()),
        confidence: 0.85,
        remedy: Some(Remedy::Advice(Advice::new(
            "restart the member that holds these partitions",
            &[
                "max.poll.interval.ms above the longest processing of a poll",
                "max.poll.records lower, if a poll takes too long",
            ],
        ))),
        anti_recommendations: vec!["do not resize: the brokers wait for the reader".to_owned()],
        ..finding
    })
}
