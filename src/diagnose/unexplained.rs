//! Something is wrong that no rule here explains.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
};
use crate::{finding_id, sample::BrokerSample};

/// Produce time that is taken for a symptom without any other, ms (an operator's warning for p99 is 100).
const SLOW_MS: f64 = 50.0;

/// Disk use at which AWS wants something done, percent (MSK best practices).
const DISK_PERCENT: f64 = 85.0;

/// Heap after collection at which AWS wants an alarm, percent (MSK best practices).
const HEAP_PERCENT: f64 = 60.0;

/// Share of the offered records that is acknowledged, below which the load is stuck.
const STUCK_SHARE: f64 = 0.5;

pub const RULE: Rule = Rule {
    id: finding_id::INCONCLUSIVE_UNEXPLAINED,
    kind: Kind::Rest,
    judge,
    needs: Needs { any: &[], helps: &[], of: Clusters::All },
    meaning: "Brokers show a symptom (slow produce requests, a load that is not acknowledged, partitions out of sync, a full disk, a full heap) that none \
              of the known causes explains.",
    told_apart: "By the absence of every cause that has a rule.",
    in_the_lab: "fill a broker's data disk to 85 %, then kgen diagnose",
};

fn judge(window: &Window) -> Option<Finding> {
    let mut finding = Finding::default();
    for id in window.brokers() {
        let now = |value: fn(&BrokerSample) -> Option<f64>| window.median(id, value);
        let mut symptoms = Vec::new();
        if let Some(total) = now(|broker| Some(broker.produce?.total_ms)).filter(|total| *total >= SLOW_MS) {
            let text = format!("broker {id}: produce requests take {total:.0} ms without CPU being short");
            symptoms.push(Evidence::measured(text, total, SLOW_MS));
        }
        if let Some(count) = now(|broker| broker.under_replicated_partitions.map(|n| n as f64)).filter(|n| *n > 0.0) {
            symptoms.push(Evidence::measured(
                format!("broker {id}: {count:.0} partitions under-replicated"),
                count,
                0.0,
            ));
        }
        if let Some(count) = now(|broker| broker.under_min_isr_partitions.map(|n| n as f64)).filter(|n| *n > 0.0) {
            symptoms.push(Evidence::measured(
                format!("broker {id}: {count:.0} partitions below min.insync.replicas"),
                count,
                0.0,
            ));
        }
        if let Some(count) = now(|broker| broker.offline_partitions.map(|n| n as f64)).filter(|n| *n > 0.0) {
            symptoms.push(Evidence::measured(format!("{count:.0} partitions have no leader"), count, 0.0));
        }
        if let Some(used) = now(|broker| broker.disk_used_percent).filter(|used| *used >= DISK_PERCENT) {
            symptoms.push(Evidence::measured(format!("broker {id}: data disk {used:.0} % full"), used, DISK_PERCENT));
        }
        if !symptoms.is_empty() {
            finding.brokers.push(id);
            finding.evidence_for.extend(symptoms);
        }
    }
    // Requests that never end have no times.
    let is_stuck = |seen: &Evidence| {
        let rates = seen.value.zip(seen.threshold);
        rates.is_some_and(|(acknowledged, offered)| acknowledged < offered * STUCK_SHARE)
    };
    finding.evidence_for.extend(window.load_evidence().filter(is_stuck));
    if finding.evidence_for.is_empty() {
        return None;
    }
    for id in window.brokers() {
        if let Some(heap) = window.median(id, |b| b.heap_after_gc_percent).filter(|heap| *heap > HEAP_PERCENT) {
            let text = format!("broker {id}: heap {heap:.0} % full after collection");
            finding.evidence_for.push(Evidence::measured(text, heap, HEAP_PERCENT));
        }
    }
    Some(Finding {
        title: "a symptom without a known cause".to_owned(),
        cause: "no broker is short of CPU, and nothing else that is known explains it".to_owned(),
        check: Some("the split of produce times: local high is disk, remote high with local normal is a follower or the network".to_owned()),
        confidence: 0.6,
        anti_recommendations: vec!["do not resize on this alone: CPU is not what is short".to_owned()],
        ..finding
    })
}
