//! The effect of a remedy: the same load measured before and after it, with an interval, and the verdict. Pure.
//!
//! Only this module decides between improved, unchanged, worse and void; the demo, the resize and the report all use
//! it.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    diagnose::{Context, diagnose},
    finding_id,
    sample::{BrokerSample, LoadSample, Sample},
    statistics::{Better, Change, Estimate, FEWEST, Verdict, change, mean},
};

/// How far the offered rates of both stretches may lie apart, percent, and still be called the same load.
const SAME_LOAD_PERCENT: f64 = 5.0;
/// Records acknowledged of those that were due, percent, below which the cluster does not keep up.
const KEEPS_UP_PERCENT: f64 = 99.0;
/// Messages/s below which a cluster is taken to have no load.
const SOME_LOAD_PER_S: f64 = 1.0;
/// Draws of the interval; the same samples always give the same interval.
const SEED: u64 = 1;

/// Findings that make a stretch worthless: what was measured is not the cluster.
const VOID: &[&str] = &[
    finding_id::LAB_HOST_CONTENTION,
    finding_id::CLIENT_GENERATOR_BOUND,
    finding_id::CLUSTER_MAINTENANCE,
    finding_id::INCONCLUSIVE_TOO_FEW_SAMPLES,
    finding_id::INCONCLUSIVE_NO_DATA,
];

/// One stretch of time in which nothing was changed.
#[derive(Debug, Clone, Copy)]
pub struct Measured<'a> {
    pub context: Option<&'a Context>,
    /// Oldest first.
    pub samples: &'a [Sample],
    /// What kgen's own load saw, each second; empty where others made the load.
    pub load: &'a [LoadSample],
}

/// A remedy, proven or not.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Proof {
    pub conclusion: Conclusion,
    /// Why: the figure that decides, or what makes it void.
    pub reason: String,
    /// The most informative first. Figures without a value in either period are left out.
    pub figures: Vec<Figure>,
}

/// The result of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    Improved,
    /// No difference is shown.
    Unchanged,
    Worse,
    /// The two stretches cannot be compared.
    Void,
}

/// One figure for both periods.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Figure {
    pub name: &'static str,
    pub unit: &'static str,
    /// Mean over the period; for broker figures, of the broker with the highest mean.
    pub before: Option<f64>,
    pub after: Option<f64>,
    /// After minus before with its 95 % interval; `None` where a stretch has fewer than [`FEWEST`] values.
    pub change: Option<Estimate>,
    /// The same as a share of before, percent.
    pub change_percent: Option<Estimate>,
    /// `None` for a figure for which neither higher nor lower is better, and without an interval.
    pub verdict: Option<Verdict>,
    /// Digits after the point that are worth showing.
    #[serde(skip)]
    pub digits: usize,
}

impl Conclusion {
    pub fn word(self) -> &'static str {
        match self {
            Conclusion::Improved => "improved",
            Conclusion::Unchanged => "unchanged",
            Conclusion::Worse => "worse",
            Conclusion::Void => "void",
        }
    }
}

/// What changed from `before` to `after`.
pub fn proof(before: &Measured, after: &Measured) -> Proof {
    let figures = figures(before, after);
    let (conclusion, reason) = match void(before, after) {
        Some(reason) => (Conclusion::Void, reason),
        None => concluded(after, &figures),
    };
    Proof { conclusion, reason, figures }
}

/// Why the two cannot be compared.
fn void(before: &Measured, after: &Measured) -> Option<String> {
    for (side, measured) in [("before", before), ("after", after)] {
        let Some(context) = measured.context else { continue };
        let diagnosis = diagnose(context, measured.samples);
        if let Some(finding) = diagnosis.findings.iter().find(|finding| VOID.contains(&finding.id)) {
            return Some(format!("measured {side} the change: {}", finding.title));
        }
    }
    match (offered(before), offered(after)) {
        (Some(was), Some(is)) => {
            let apart = (is - was).abs() / was.max(1e-9) * 100.0;
            (apart > SAME_LOAD_PERCENT).then(|| {
                format!("the load differs: {was:.0} records/s were due before the change, {is:.0} records/s after it")
            })
        }
        (None, None) => {
            let some = |measured: &Measured| messages_in(measured).is_some_and(|rate| rate >= SOME_LOAD_PER_S);
            (!some(before) || !some(after)).then(|| {
                "no load was observed before and after the change, so there is no evidence about speed".to_owned()
            })
        }
        (before, _) => {
            let missing = if before.is_none() { "before" } else { "after" };
            Some(format!("kgen's load did not run {missing} the change"))
        }
    }
}

/// The verdict of the figure that decides: what clients wait for, else what brokers take, else their CPU.
fn concluded(after: &Measured, figures: &[Figure]) -> (Conclusion, String) {
    let acknowledged = mean(after.load.iter().map(|load| load.acknowledged_per_s));
    if let (Some(offered), Some(acknowledged)) = (offered(after), acknowledged)
        && acknowledged < offered * KEEPS_UP_PERCENT / 100.0
    {
        let text = format!("after the change {acknowledged:.0} of {offered:.0} records/s are acknowledged");
        return (Conclusion::Worse, text);
    }
    let decides = figures.iter().find_map(|figure| Some((figure, figure.verdict?, figure.change?)));
    let Some((figure, verdict, change)) = decides else {
        let few = format!("one period has fewer than {FEWEST} values of every figure that could decide");
        return (Conclusion::Void, few);
    };
    let conclusion = match verdict {
        Verdict::Improved => Conclusion::Improved,
        Verdict::Unchanged => Conclusion::Unchanged,
        Verdict::Worse => Conclusion::Worse,
    };
    let (unit, digits) = (figure.unit, figure.digits);
    let shown = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
    let (before, after) = (shown(figure.before), shown(figure.after));
    let (value, low, high) = (change.value, change.low, change.high);
    let text = format!(
        "{}: {before} {unit} before, {after} {unit} after; change {value:+.digits$} {unit} (95 % interval {low:+.digits$} \
         to {high:+.digits$})",
        figure.name
    );
    (conclusion, text)
}

fn figures(before: &Measured, after: &Measured) -> Vec<Figure> {
    use Better::Lower;
    let mut figures = Vec::new();
    let mut add = |name, unit, digits, better: Option<Better>, series: &dyn Fn(&Measured) -> Vec<f64>| {
        figures.extend(figure((name, unit, digits), better, &series(before), &series(after)));
    };
    let load = |value: fn(&LoadSample) -> Option<f64>| move |m: &Measured| m.load.iter().filter_map(value).collect();
    let worst = |value: fn(&BrokerSample) -> Option<f64>| move |m: &Measured| worst(m.samples, value);
    add("response time p99 of each second", "ms", 1, Some(Lower), &load(|load| load.p99_ms));
    add("response time p50 of each second", "ms", 1, Some(Lower), &load(|load| load.p50_ms));
    add("total produce time, slowest broker", "ms", 1, Some(Lower), &worst(|broker| Some(broker.produce?.total_ms)));
    add("produce time at the leader, slowest broker", "ms", 1, Some(Lower), &worst(|broker| broker.produce?.local_ms));
    add("CPU of its capacity, busiest broker", "%", 0, Some(Lower), &worst(BrokerSample::cpu_percent));
    let held = worst(|broker| broker.cpu_throttled_percent);
    add("periods throttled by the CPU limit", "%", 0, Some(Lower), &held);
    add("memory used, fullest broker", "%", 0, None, &worst(BrokerSample::memory_percent));
    let heap = worst(|broker| broker.heap_after_gc_percent.or(broker.heap_used_percent));
    add("heap used, fullest broker", "%", 0, None, &heap);
    add("records due", "records/s", 1, None, &load(|load| Some(load.offered_per_s)));
    add("records acknowledged", "records/s", 1, None, &load(|load| Some(load.acknowledged_per_s)));
    add("records failed", "records/s", 1, None, &load(|load| Some(load.failed_per_s)));
    add("messages into the cluster", "records/s", 1, None, &|m| total(m.samples, |broker| broker.messages_in_per_s));
    add("under-replicated partitions", "", 0, None, &|m| {
        total(m.samples, |broker| broker.under_replicated_partitions.map(|count| count as f64))
    });
    figures
}

fn figure(
    (name, unit, digits): (&'static str, &'static str, usize),
    better: Option<Better>,
    before: &[f64],
    after: &[f64],
) -> Option<Figure> {
    if before.is_empty() && after.is_empty() {
        return None;
    }
    // The direction matters for the verdict alone.
    let found: Option<Change> = change(before, after, better.unwrap_or(Better::Lower), SEED);
    let percent = |share: f64| (share - 1.0) * 100.0;
    Some(Figure {
        name,
        unit,
        before: mean(before.iter().copied()),
        after: mean(after.iter().copied()),
        change: found.map(|change| change.difference),
        change_percent: found.and_then(|change| change.ratio).map(|ratio| Estimate {
            value: percent(ratio.value),
            low: percent(ratio.low),
            high: percent(ratio.high),
        }),
        verdict: better.and(found).map(|change| change.verdict),
        digits,
    })
}

fn offered(measured: &Measured) -> Option<f64> {
    mean(measured.load.iter().map(|load| load.offered_per_s)).filter(|rate| *rate > 0.0)
}

fn messages_in(measured: &Measured) -> Option<f64> {
    mean(total(measured.samples, |broker| broker.messages_in_per_s))
}

/// The values of the broker whose mean is the highest.
pub fn worst(samples: &[Sample], value: fn(&BrokerSample) -> Option<f64>) -> Vec<f64> {
    let ids: BTreeSet<_> = samples.iter().flat_map(|sample| sample.brokers.keys()).collect();
    let of = |id| samples.iter().filter_map(move |sample| sample.brokers.get(id).and_then(value));
    let means = ids.into_iter().filter_map(|id| Some((id, mean(of(id))?)));
    let worst = means.max_by(|a, b| a.1.total_cmp(&b.1));
    worst.map(|(id, _)| of(id).collect()).unwrap_or_default()
}

/// The sum over the brokers in each sample that has any.
pub fn total(samples: &[Sample], value: fn(&BrokerSample) -> Option<f64>) -> Vec<f64> {
    let sums = samples.iter().map(|sample| sample.brokers.values().filter_map(value).reduce(|a, b| a + b));
    sums.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{BrokerState, RequestTimes};

    fn context() -> Context {
        Context {
            cluster: "demo".to_owned(),
            region: "us-west-2".to_owned(),
            broker_type: Some("kafka.t3.small".to_owned()),
            broker_count: 1,
            state: Some("ACTIVE".to_owned()),
            lab_scale: Some(4.0),
            ..Context::default()
        }
    }

    /// What one broker and the load showed: CPU, produce time, messages/s.
    #[derive(Clone, Copy)]
    struct Seen {
        cpu: f64,
        throttled: f64,
        produce_ms: f64,
        messages: f64,
        pressure: f64,
    }

    const SLOW: Seen = Seen { cpu: 98.0, throttled: 90.0, produce_ms: 80.0, messages: 500.0, pressure: 10.0 };
    const QUICK: Seen = Seen { cpu: 40.0, throttled: 1.0, produce_ms: 2.0, messages: 500.0, pressure: 10.0 };

    fn samples(seen: Seen, count: i64) -> Vec<Sample> {
        let broker = |i: i64| BrokerSample {
            state: BrokerState::Serving,
            cpu_user_percent: Some(seen.cpu - 1.0 + (i % 3) as f64 * 0.5),
            cpu_system_percent: Some(0.5),
            cpu_throttled_percent: Some(seen.throttled),
            produce: Some(RequestTimes { total_ms: seen.produce_ms + (i % 5) as f64, ..RequestTimes::default() }),
            messages_in_per_s: Some(seen.messages),
            partition_count: Some(6),
            leader_count: Some(6),
            ..BrokerSample::default()
        };
        let sample = |i: i64| Sample {
            at_ms: i * 2000,
            brokers: [(1, broker(i))].into(),
            host_cpu_pressure_percent: Some(seen.pressure),
            ..Sample::default()
        };
        (0..count).map(sample).collect()
    }

    fn load(p99_ms: f64, offered: f64, acknowledged: f64) -> Vec<LoadSample> {
        let second = |i: u32| LoadSample {
            offered_per_s: offered,
            acknowledged_per_s: acknowledged,
            p50_ms: Some(p99_ms / 3.0),
            p99_ms: Some(p99_ms + f64::from(i % 7)),
            ..LoadSample::default()
        };
        (0..30).map(second).collect()
    }

    fn check(before: (Seen, &[LoadSample]), after: (Seen, &[LoadSample]), expected: Conclusion, reason: &str) {
        let context = context();
        let (was, is) = (samples(before.0, 15), samples(after.0, 15));
        let found = proof(
            &Measured { context: Some(&context), samples: &was, load: before.1 },
            &Measured { context: Some(&context), samples: &is, load: after.1 },
        );
        assert_eq!(found.conclusion, expected, "{}", found.reason);
        assert!(found.reason.contains(reason), "{}", found.reason);
    }

    #[test]
    fn a_change_is_improved_unchanged_worse_or_void() {
        use Conclusion::*;
        let (slow, quick) = (load(600.0, 500.0, 500.0), load(20.0, 500.0, 500.0));
        check((SLOW, &slow), (QUICK, &quick), Improved, "p99");
        check((SLOW, &slow), (SLOW, &slow), Unchanged, "p99");
        check((QUICK, &quick), (SLOW, &slow), Worse, "p99");
        // Others made the load: the brokers' own times decide.
        check((SLOW, &[]), (QUICK, &[]), Improved, "produce time");
        check((SLOW, &slow), (QUICK, &load(20.0, 700.0, 700.0)), Void, "the load differs: 500 records/s");
        check((SLOW, &slow), (QUICK, &[]), Void, "did not run after");
        check((SLOW, &slow), (QUICK, &load(20.0, 500.0, 300.0)), Worse, "300 of 500");
        let idle = Seen { messages: 0.0, ..QUICK };
        check((idle, &[]), (idle, &[]), Void, "no load");
    }

    #[test]
    fn a_contended_host_and_a_bound_generator_make_it_void() {
        let quick = load(20.0, 500.0, 500.0);
        let contended = Seen { throttled: 0.0, cpu: 30.0, pressure: 95.0, ..SLOW };
        check((contended, &quick), (QUICK, &quick), Conclusion::Void, "before the change: void: the lab's machine");
        let context = context();
        let mut late = samples(QUICK, 15);
        for sample in &mut late {
            sample.load = Some(LoadSample { generator_bound: true, offered_per_s: 500.0, ..LoadSample::default() });
        }
        let before = Measured { context: Some(&context), samples: &samples(SLOW, 15), load: &quick };
        let found = proof(&before, &Measured { context: Some(&context), samples: &late, load: &quick });
        assert_eq!(found.conclusion, Conclusion::Void, "{}", found.reason);
        assert!(found.reason.starts_with("measured after the change: the load generator"), "{}", found.reason);
    }

    #[test]
    fn too_few_values_prove_nothing() {
        let context = context();
        let (was, is) = (samples(SLOW, 4), samples(QUICK, 4));
        let side = |samples| Measured { context: Some(&context), samples, load: &[] };
        let found = proof(&side(&was), &side(&is));
        assert_eq!(found.conclusion, Conclusion::Void);
        let cpu = found.figures.iter().find(|figure| figure.name.starts_with("CPU")).unwrap();
        assert!(cpu.before.is_some() && cpu.change.is_none() && cpu.verdict.is_none(), "{cpu:?}");
    }
}
