//! A group, or a member of it, that is stalled.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    topology::{Pace, paces},
    topology::{abandoned, is_empty, topic_paces},
};
use crate::{
    finding_id,
    remedy::{Advice, Remedy},
    sample::Field,
};

/// Growth of lag that shows that records come in, records/s.
pub const LAG_PER_S: f64 = 5.0;

/// Progress that counts as none, records/s.
const STANDS_STILL_PER_S: f64 = 0.5;

/// How long nothing must be committed: two of the intervals at which Kafka's consumers commit by themselves
/// (`auto.commit.interval.ms` is 5000), s.
const STANDS_STILL_S: f64 = 10.0;

/// Growth of a topic's lag over what comes in from which on nothing is read: the rest is the error of two datapoints.
pub const READS_NOTHING: f64 = 0.9;

/// Bytes that consumers read for each byte that comes in, beyond those of the groups that keep up, which show that
/// someone reads and does not commit.
pub const READS_STILL: f64 = 0.5;

/// Datapoints in which a group kept up, before it stopped, that make it more than a visitor.
const KEPT_UP: usize = 5;

/// Confidence of a stall that may be a group that has left: below what makes a verdict.
const MAY_HAVE_LEFT: f64 = 0.45;

pub const RULE: Rule = Rule {
    id: finding_id::CONSUMER_STALLED,
    kind: Kind::Cause,
    judge,
    needs: Needs {
        any: &[&[Field::GroupLag]],
        helps: &[Field::GroupMembers, Field::TrafficByTopic],
        of: Clusters::All,
    },
    meaning: "A consumer group commits nothing on some partitions while records arrive: a member hangs, or never \
              commits.",
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
    let left = abandoned(window);
    for (group, paces) in paces(window) {
        // Who has left does not hang.
        if left.contains(&group) {
            continue;
        }
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
    let mut confidence = 0.85;
    if finding.groups.is_empty() {
        confidence = by_topic(window, &mut finding)?;
    }
    Some(Finding {
        title: format!("consumer group {} is stalled", finding.groups.join(", ")),
        cause: "a member hangs or does not commit".to_owned(),
        check: Some(
            "find the member that owns these partitions with kafka-consumer-groups.sh --describe --group … --members; \
             a group without members has left and does not hang"
                .to_owned(),
        ),
        confidence,
        remedy: Some(Remedy::Advice(Advice::new(
            "restart the member that holds these partitions",
            &[
                "set max.poll.interval.ms above the longest time that processing one poll takes",
                "lower max.poll.records if one poll takes too long to process",
            ],
        ))),
        anti_recommendations: vec!["do not resize: the brokers are waiting for the consumer".to_owned()],
        ..finding
    })
}

/// Adds the groups whose lag on a topic grows by all that comes in, where only that is published, and returns the confidence.
///
/// A group that has left looks the same. It has not if its members are known, or if more is read than the other groups account
/// for. One that kept up until lately is worth a look; one that never did may be a visitor's.
fn by_topic(window: &Window, finding: &mut Finding) -> Option<f64> {
    let paces = topic_paces(window);
    let reads_nothing = |share: Option<f64>| share.is_some_and(|share| share >= READS_NOTHING);
    let keeping_up = paces.iter().filter(|pace| !reads_nothing(pace.share())).count() as f64;
    let fan_out = window.typical(crate::sample::BrokerSample::fan_out);
    let is_read = fan_out.is_some_and(|fan_out| fan_out >= keeping_up + READS_STILL);
    let mut confidence: Option<f64> = None;
    for pace in paces.iter().filter(|pace| pace.lag_per_s >= LAG_PER_S && reads_nothing(pace.share())) {
        let group = window.recent().iter().rev().find_map(|sample| sample.groups.get(&pace.group));
        if group.is_some_and(is_empty) {
            continue;
        }
        let has_members = group.is_some_and(|group| group.members.is_some_and(|members| members > 0));
        let sure = match (has_members, is_read) {
            (true, _) => 0.85,
            (false, true) => 0.75,
            (false, false) if pace.kept_up >= KEPT_UP => MAY_HAVE_LEFT,
            (false, false) => continue,
        };
        confidence = Some(confidence.map_or(sure, |known| known.max(sure)));
        finding.evidence_for.push(Evidence::measured(
            format!(
                "group {}: lag {:.0} on {} grows by {:.0} records/s, as fast as records arrive",
                pace.group, pace.lag, pace.topic, pace.lag_per_s
            ),
            pace.lag_per_s,
            LAG_PER_S,
        ));
        if !has_members && is_read {
            finding.evidence_for.push(Evidence::fact("records are read, but the group commits nothing"));
        }
        if !has_members {
            finding
                .missing
                .push("check the state and members of the group: a group without members has left".to_owned());
        }
        if !finding.groups.contains(&pace.group) {
            finding.groups.push(pace.group.clone());
        }
    }
    finding.missing.dedup();
    confidence
}
