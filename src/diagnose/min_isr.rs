//! Partitions with fewer replicas in sync than `acks=all` needs.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    topology::topics,
};
use crate::{
    finding_id,
    remedy::{Advice, Remedy},
    sample::{BrokerSample, Field},
};

pub const RULE: Rule = Rule {
    id: finding_id::REPLICATION_MIN_ISR_BLOCKED,
    kind: Kind::Cause,
    judge,
    needs: Needs {
        any: &[&[Field::MinIsr], &[Field::Topics, Field::TopicConfigs]],
        helps: &[Field::Topics],
        of: Clusters::Standard,
    },
    meaning: "Partitions have fewer in-sync replicas than min.insync.replicas, so writes with acks=all fail with \
              NOT_ENOUGH_REPLICAS.",
    told_apart: "UnderMinIsrPartitionCount is above 0. It is a consequence: an unavailable broker is reported first. \
                 One unavailable broker is enough if a topic's min.insync.replicas equals its replication factor.",
    in_the_lab: "kgen topic create strict --replication-factor 3 --config min.insync.replicas=3, then kill -STOP a broker \
                 (`kgen lab status` shows its pid) and kgen diagnose",
};

fn judge(window: &Window) -> Option<Finding> {
    let mut partitions = Vec::new();
    let mut without_margin = Vec::new();
    for (name, topic) in topics(window).into_iter().flatten() {
        let Some(least) = topic.min_insync_replicas else { continue };
        for (partition, number) in topic.partitions.iter().zip(0..) {
            if (partition.in_sync.len() as u32) < least {
                partitions.push(format!("{name}-{number}"));
                if least as usize >= partition.replicas.len() && !without_margin.contains(name) {
                    without_margin.push(name.clone());
                }
            }
        }
    }
    let under: fn(&BrokerSample) -> Option<f64> = |broker| broker.under_min_isr_partitions.map(|count| count as f64);
    let seen: f64 = window.brokers().into_iter().filter_map(|id| window.median(id, under)).sum();
    if partitions.is_empty() && seen == 0.0 {
        return None;
    }
    let mut evidence_for = Vec::new();
    if seen > 0.0 {
        evidence_for.push(Evidence::measured(format!("{seen:.0} partitions are below min.insync.replicas"), seen, 0.0));
    }
    if !partitions.is_empty() {
        evidence_for.push(Evidence::fact(format!("writes with acks=all fail for {}", listed(&partitions))));
    }
    if !without_margin.is_empty() {
        evidence_for.push(Evidence::fact(format!(
            "min.insync.replicas equals the replication factor of {}: one unavailable broker is too many",
            listed(&without_margin)
        )));
    }
    Some(Finding {
        title: "writes with acks=all fail: too few in-sync replicas".to_owned(),
        cause: "replicas are unavailable or behind".to_owned(),
        partitions,
        evidence_for,
        confidence: 0.9,
        remedy: Some(Remedy::Advice(Advice::new(
            "bring the missing broker back; keep the replication factor above min.insync.replicas",
            &["with replication factor 3, min.insync.replicas=2 tolerates one unavailable broker"],
        ))),
        anti_recommendations: vec![
            "do not lower min.insync.replicas to 1: an acknowledged record could be on one broker only".to_owned(),
        ],
        ..Finding::default()
    })
}

/// The first few, and how many more.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let more = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len().min(SHOWN)].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}
