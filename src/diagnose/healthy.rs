//! No problem was found, and enough was observed.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    topology::abandoned,
    window::{CPU_PERCENT, THROTTLED_PERCENT},
};
use crate::{finding_id, sample::BrokerSample};

/// Confidence where every cause was assessed; the second where produce times or replication were not seen.
const SURE: f64 = 0.9;
const LESS_SURE: f64 = 0.7;

pub const RULE: Rule = Rule {
    id: finding_id::HEALTHY,
    kind: Kind::Healthy,
    judge,
    needs: Needs { any: &[], helps: &[], of: Clusters::All },
    meaning: "All brokers are serving, have CPU headroom and respond in time.",
    told_apart: "No rule matches, no symptom is observed, and enough was observed to be sure (otherwise it is \
                 inconclusive.not-seen). Short bursts, and memory that is full of page cache, are healthy too.",
    in_the_lab: "kgen resize kafka.m5.large, then kgen diagnose",
};

fn judge(window: &Window) -> Option<Finding> {
    let highest = |value: fn(&BrokerSample) -> Option<f64>| {
        window.brokers().into_iter().filter_map(|id| window.median(id, value)).reduce(f64::max)
    };
    let mut evidence_for = Vec::new();
    let mut missing = Vec::new();
    let mut of_metrics = SURE;
    if let Some(cpu) = highest(BrokerSample::cpu_percent) {
        evidence_for.push(Evidence::measured(format!("CPU is {cpu:.0} % at most"), cpu, CPU_PERCENT));
    }
    if let Some(throttled) = window.most_throttled() {
        let text = format!("the CPU limit is reached in {throttled:.0} % of the periods at most");
        evidence_for.push(Evidence::measured(text, throttled, THROTTLED_PERCENT));
    }
    match highest(|broker| Some(broker.produce?.total_ms)) {
        Some(total) => evidence_for.push(Evidence::seen(format!("produce requests take {total:.1} ms at most"), total)),
        None => {
            of_metrics = LESS_SURE;
            missing.push("produce times: no produce requests, or no metrics for them".to_owned());
        }
    }
    match highest(|broker| broker.under_replicated_partitions.map(|count| count as f64)) {
        Some(count) => evidence_for.push(Evidence::measured("no partition is under-replicated", count, 0.0)),
        None => {
            of_metrics = LESS_SURE;
            missing.push("UnderReplicatedPartitions".to_owned());
        }
    }
    evidence_for.extend(window.memory_note());
    let coverage = window.coverage();
    evidence_for.push(Evidence::fact(coverage.summary()));
    let left = abandoned(window).into_iter().map(|group| {
        Evidence::fact(format!("group {group} reads nothing and has no members: it may have been abandoned"))
    });
    Some(Finding {
        title: format!("healthy: {}", coverage.summary()),
        cause: "the brokers can handle the load, as far as was observed".to_owned(),
        evidence_for,
        evidence_against: left.collect(),
        // Nothing assessed would leave half of it.
        confidence: of_metrics * (0.5 + coverage.share() / 2.0),
        missing,
        ..Finding::default()
    })
}
