//! A heap that stays full after collection.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    window::names,
};
use crate::{
    finding_id,
    sample::{BrokerId, Field},
};

/// Heap after collection that leaves the collector no room, percent. AWS wants an alarm at 60 (MSK best practices);
/// measured: 93 to 96 under pressure, up to 64 without.
pub const FULL_PERCENT: f64 = 80.0;

/// Share of the time in collections that shows, percent. Measured: 2 to 8 under pressure, below 1 without.
const GC_PERCENT: f64 = 2.0;

pub const RULE: Rule = Rule {
    id: finding_id::BROKER_HEAP_PRESSURE,
    kind: Kind::Cause,
    judge,
    needs: Needs { any: &[&[Field::HeapAfterGc]], helps: &[], of: Clusters::Standard },
    meaning: "The heap of a broker stays nearly full after garbage collections, so it collects all the time and will \
              eventually fail.",
    told_apart: "By HeapMemoryAfterGC, not MemoryUsed (which counts page cache). If there are more partitions than \
                 recommended for the type, that finding comes first.",
    in_the_lab: "a broker with a small -Xmx; tests/scenarios/heap_pressure.toml has the samples",
};

/// Whether the heap of broker `id` stays full: then it collects, which takes CPU and keeps requests waiting.
pub(super) fn is_full(window: &Window, id: BrokerId) -> bool {
    window.lasts_above(id, FULL_PERCENT, |broker| broker.heap_after_gc_percent)
}

fn judge(window: &Window) -> Option<Finding> {
    let brokers: Vec<BrokerId> = window.brokers().into_iter().filter(|id| is_full(window, *id)).collect();
    if brokers.is_empty() {
        return None;
    }
    let mut evidence_for = Vec::new();
    let mut confidence: f64 = 0.8;
    for id in &brokers {
        if let Some(heap) = window.median(*id, |broker| broker.heap_after_gc_percent) {
            let text = format!("broker {id}: heap {heap:.0} % full after collection");
            evidence_for.push(Evidence::measured(text, heap, FULL_PERCENT));
        }
        if let Some(gc) = window.median(*id, |broker| broker.gc_percent).filter(|gc| *gc >= GC_PERCENT) {
            confidence = 0.9;
            let text = format!("broker {id}: {gc:.1} % of the time is spent on garbage collection");
            evidence_for.push(Evidence::measured(text, gc, GC_PERCENT));
        }
    }
    Some(Finding {
        title: format!("the heap of {} is full", names(&brokers)),
        cause: "live objects nearly fill the heap".to_owned(),
        brokers,
        evidence_for,
        check: Some(
            "compare the broker's connections, groups and partitions with the others': what it has more of fills the \
             heap"
                .to_owned(),
        ),
        confidence,
        remedy: window.next_larger("it has more memory", true),
        anti_recommendations: vec![
            "do not judge by MemoryUsed: page cache fills it on a healthy broker too".to_owned(),
        ],
        ..Finding::default()
    })
}
