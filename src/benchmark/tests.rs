//! The recorded runs from outside, and with each field taken away.

use std::{fs, path::Path, sync::LazyLock};

use super::{
    Kind, LOOK_BACK, View, find,
    judge::{Phase, samples_of},
    judge_all, minutes, outside, score, truth_of,
    without::without,
};
use crate::{
    diagnose::{Context, Verdict, diagnose},
    finding_id,
    run::Run,
    sample::{Field, Sample},
};

static RUNS: LazyLock<Vec<Run>> = LazyLock::new(|| runs_in("tests/traces"));

/// Runs that were recorded from outside.
static LIVE: LazyLock<Vec<Run>> = LazyLock::new(|| runs_in("tests/traces-outside"));

fn runs_in(folder: &str) -> Vec<Run> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| Run::read(path).unwrap()).collect()
}

#[test]
fn what_shows_outside_is_named_within_two_datapoints() {
    let judged = judge_all(&RUNS, View::Outside);
    let report = score(&judged, View::Outside);
    if std::env::var_os("KGEN_SHOW").is_some() {
        println!("{}", super::markdown(&report));
    }
    let outside = report.outside.unwrap();
    assert!(judged.iter().filter(|(judged, _)| judged.scenario.kind == Kind::Control).count() >= 16);
    let of_controls = judged.iter().filter(|(judged, _)| judged.scenario.kind == Kind::Control);
    let alarms: Vec<_> = of_controls.flat_map(|(judged, _)| &judged.false_alarms).collect();
    assert!(alarms.is_empty(), "{alarms:?}");
    // Floors, measured; the aim is 90 % right and 3 % wrong.
    let percent = |share: super::score::Share| share.percent().unwrap();
    assert!(percent(outside.separable_held_out) >= 92.0 && percent(outside.separable_tuning) >= 96.0, "{outside:?}");
    assert!(percent(outside.wrong_held_out) <= 3.0 && percent(outside.wrong_tuning) <= 3.0, "{outside:?}");
    assert!(report.false_alarms.len() <= 1, "{:?}", report.false_alarms);
}

/// What was measured, and what would be noticed.
#[test]
fn live_runs_from_outside_are_judged_as_they_came_in() {
    let judged = judge_all(&LIVE, View::Outside);
    let report = score(&judged, View::Outside);
    if std::env::var_os("KGEN_SHOW").is_some() {
        println!("{}", super::markdown(&report));
    }
    assert!(report.live == report.runs && report.runs == LIVE.len() && report.runs >= 7, "{report:#?}");
    let outside = report.outside.as_ref().unwrap();
    assert!(outside.separable_tuning.of > 0, "{outside:?}");
    // Two are groups that came with the fault (docs/benchmark.md).
    assert!(report.false_alarms.is_empty() && outside.called_healthy.right <= 2, "{report:#?}");
    assert_eq!((outside.wrong_held_out.right, outside.wrong_tuning.right), (0, 0), "{outside:#?}");
    for (judged, run) in &judged {
        let (calm, all) = minutes::for_baselines(run).unwrap();
        assert!(
            calm.len() >= 5 && all.len() >= calm.len() + 3,
            "{}: {} {}",
            judged.scenario.name,
            calm.len(),
            all.len()
        );
    }
    // They are nothing to a view from inside.
    assert!(judge_all(&LIVE, View::Inside).is_empty());
}

/// Verdicts of a window with each field taken away; those that say `healthy`.
fn healthy_without(name: &str, context: &Context, samples: &[Sample]) -> Vec<String> {
    if diagnose(context, samples).verdict == Verdict::Healthy {
        return Vec::new();
    }
    let healthy = |field: &Field| {
        let (other_context, other) = without(*field, context, samples);
        // A field that nothing had is not taken away.
        let is_less = other != samples || other_context.state != context.state;
        is_less && diagnose(&other_context, &other).verdict == Verdict::Healthy
    };
    Field::ALL.iter().filter(|field| healthy(field)).map(|field| format!("{name} without {field:?}")).collect()
}

#[test]
fn a_fault_is_never_called_healthy_because_a_field_is_missing() {
    let (mut found, mut judged) = (Vec::new(), 0);
    for run in RUNS.iter() {
        let truth = truth_of(run).unwrap();
        // Without the generator's own view a cluster that waits for it is well.
        let is_well = truth.scenario == finding_id::CLIENT_GENERATOR_BOUND;
        if is_well || find(&truth.scenario).unwrap().kind == Kind::Control {
            continue;
        }
        let name = format!("{}-{}", truth.scenario, truth.variation.number);
        let samples = samples_of(run);
        let last = samples.iter().rposition(|(_, sample)| truth.phase(sample.at_ms) == Phase::Fault).unwrap();
        let window: Vec<Sample> =
            samples[(last + 1).saturating_sub(LOOK_BACK)..=last].iter().map(|(_, sample)| sample.clone()).collect();
        found.extend(healthy_without(&format!("inside, {name}"), &samples[last].0, &window));
        let (context, minutes) = outside::reduced(run, outside::CALM_MINUTES, outside::FAULT_MINUTES).unwrap();
        found.extend(healthy_without(&format!("outside, {name}"), &context, &minutes));
        judged += 1;
    }
    for run in LIVE.iter() {
        let truth = truth_of(run).unwrap();
        if find(&truth.scenario).unwrap().kind == Kind::Control {
            continue;
        }
        let name = format!("live, {}-{}", truth.scenario, truth.variation.number);
        let datapoints = minutes::datapoints(run, &truth);
        let is_fault = |(.., phase): &(Context, Sample, Phase)| *phase == Phase::Fault;
        let first = datapoints.iter().position(is_fault).unwrap();
        let last = first + outside::FAULT_MINUTES - 1;
        let window: Vec<Sample> = datapoints[..=last].iter().map(|(_, sample, _)| sample.clone()).collect();
        found.extend(healthy_without(&name, &datapoints[last].0, &window));
    }
    assert!(found.is_empty() && judged >= 140, "{} of {judged} runs:\n{}", found.len(), found.join("\n"));
}
