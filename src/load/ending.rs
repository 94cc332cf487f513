//! What the judged result of a load means for how its command ends. What weighs most comes first: a load that was stopped says
//! little, lost records more than a missed objective.

use super::{
    consumer::Consumed,
    merge::{Merged, Standing},
    mix::Mixed,
    producer::Summary,
    slo::{Figure, Slo},
    verify::Verification,
};
use crate::outcome::Outcome;

/// Of one producer; `slo` is what its records were judged by.
pub fn of_produced(summary: &Summary, slo: Option<&Slo>) -> Outcome {
    match summary {
        summary if summary.stopped => Outcome::Interrupted,
        summary if are_lost(summary.failed_total() + summary.unsent + summary.lost_track, slo) => Outcome::RecordsLost,
        summary if summary.generator_bound => Outcome::Inconclusive,
        summary if summary.slo.iter().any(|judged| !judged.kept) => Outcome::Missed,
        _ => Outcome::Done,
    }
}

/// Of one producer on many machines.
pub fn of_merged(merged: &Merged, slo: Option<&Slo>) -> Outcome {
    match merged {
        merged if merged.stopped => Outcome::Interrupted,
        merged if has_lost_records(merged, slo) => Outcome::RecordsLost,
        merged if merged.standing != Standing::Whole => Outcome::Inconclusive,
        merged if merged.slo.iter().any(|judged| !judged.kept) => Outcome::Missed,
        _ => Outcome::Done,
    }
}

/// Of several producers and groups; `slos` are those of the producers, in their order.
pub fn of_mixed<'a>(mixed: &Mixed, slos: impl Iterator<Item = Option<&'a Slo>>) -> Outcome {
    let results = || mixed.producers.iter().map(|one| &one.result);
    let objectives = || results().flat_map(|one| &one.slo).chain(mixed.groups.iter().flat_map(|one| &one.slo));
    if mixed.stopped {
        Outcome::Interrupted
    } else if results().zip(slos).any(|(one, slo)| has_lost_records(one, slo))
        || mixed.groups.iter().any(|one| one.corrupted > 0)
    {
        Outcome::RecordsLost
    } else if mixed.standing != Standing::Whole {
        Outcome::Inconclusive
    } else if objectives().any(|judged| !judged.kept) {
        Outcome::Missed
    } else {
        Outcome::Done
    }
}

/// Of a consumer.
pub fn of_consumed(consumed: &Consumed, was_stopped: bool) -> Outcome {
    match consumed {
        _ if was_stopped => Outcome::Interrupted,
        consumed if consumed.slo.iter().any(|judged| !judged.kept) => Outcome::Missed,
        _ => Outcome::Done,
    }
}

/// Of the proof of a run.
pub fn of_verified(found: &Verification) -> Outcome {
    match found {
        found if found.is_whole() => Outcome::Done,
        // What retention deleted can be neither shown nor missed.
        found if found.partitions_cut > 0 && found.duplicates + found.reordered + found.corrupted == 0 => {
            Outcome::Inconclusive
        }
        _ => Outcome::RecordsLost,
    }
}

fn has_lost_records(merged: &Merged, slo: Option<&Slo>) -> bool {
    are_lost(merged.failed_total() + merged.unsent + merged.lost_track, slo)
}

/// Whether `count` records that failed or were never sent are lost. Whoever says how many errors are too many does not mean
/// "none".
fn are_lost(count: u64, slo: Option<&Slo>) -> bool {
    let errors_are_judged = slo.is_some_and(|slo| slo.has(Figure::Errors));
    !errors_are_judged && count > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(failed: u64, generator_bound: bool, stopped: bool) -> Summary {
        let json = serde_json::json!({
            "schema": "kgen.produce/1", "run": "0", "topic": "t", "stopped": stopped, "duration_s": 10.0, "offered": 1000,
            "acknowledged": 1000 - failed, "failed": { "_MSG_TIMED_OUT": failed }, "unsent": 0, "lost_track": 0,
            "rate_asked": 100.0, "rate_reached": 99.5, "acknowledged_bytes": 0, "late_share": 0.0, "late_queue_full": 0,
            "late_generator": 0, "generator_bound": generator_bound, "cpu_s": 0.1, "ledgers": [], "latency_log": "",
            "response": { "mean_ms": 5, "p50_ms": 5, "p90_ms": 5, "p95_ms": 5, "p99_ms": 40, "p99_9_ms": 50,
                          "p99_99_ms": 60, "max_ms": 60 },
            "service": null, "send_error": null,
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_run_ends_by_what_weighs_most() {
        let check = |mut summary: Summary, slo: &str, expected: Outcome| {
            let slo = (!slo.is_empty()).then(|| slo.parse::<Slo>().unwrap());
            summary.slo = slo.as_ref().map(|slo| slo.judge_produced(&summary)).unwrap_or_default();
            assert_eq!(of_produced(&summary, slo.as_ref()), expected, "{slo:?}");
        };
        check(summary(0, false, false), "", Outcome::Done);
        check(summary(3, false, false), "", Outcome::RecordsLost);
        check(summary(0, false, false), "p99=50ms,errors=0,rate=99", Outcome::Done);
        check(summary(0, false, false), "p99=30ms", Outcome::Missed);
        check(summary(0, false, false), "rate=100", Outcome::Missed);
        check(summary(3, false, false), "errors=5", Outcome::Done);
        check(summary(3, false, false), "errors=0.1%", Outcome::Missed);
        check(summary(3, false, false), "p99=30ms", Outcome::RecordsLost);
        // No figure about the cluster: neither kept nor missed.
        check(summary(0, true, false), "p99=30ms", Outcome::Inconclusive);
        check(summary(3, true, true), "p99=30ms", Outcome::Interrupted);
    }
}
