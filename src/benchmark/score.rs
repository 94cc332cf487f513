//! Many judged runs as figures.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Judged, Kind, Part, SCENARIOS, Truth,
    baselines::{BASELINES, Baseline, LASTING},
    judge::{LOOK_BACK, PRESSURE_PERCENT, Phase, judge, samples_of},
    minutes, outside,
};
use crate::{diagnose::Verdict, run::Run, sample::Sample};

/// What the runs come to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Scores {
    pub view: View,
    /// Runs that count.
    pub runs: usize,
    /// Of those, recorded from outside; the others are reduced to what an outside view would hold of them.
    #[serde(skip_serializing_if = "is_zero")]
    pub live: usize,
    /// Of those, recorded on a machine that was busy with other work too.
    #[serde(skip_serializing_if = "is_zero")]
    pub busy: usize,
    /// Scenarios among them.
    pub scenarios: usize,
    /// Runs on a machine that was busy with other work: they count for nothing.
    pub void: Vec<Voided>,
    pub held_out: Share,
    pub tuning: Share,
    /// Of the runs with the right cause: broker, partitions or groups are the true ones.
    pub names: Share,
    /// Of the runs with the right cause: the kind of remedy is one that is right.
    pub remedies: Share,
    /// Causes that were named while nothing was wrong.
    pub false_alarms: Vec<FalseAlarm>,
    /// Time in which nothing was wrong and something could have been said, s.
    pub calm_s: f64,
    /// A fault that was never named counts as one that takes longer than all others.
    pub time_to_name: Times,
    /// Of faults that have to be named within 15 s.
    pub time_to_name_hard: Times,
    /// Mean squared difference of stated confidence and outcome, over the runs with an answer.
    pub brier: Option<f64>,
    /// Share of the samples of faults without an answer.
    pub inconclusive: Share,
    /// Answers by scenario: how often each was the first; `-` is none.
    pub confusion: BTreeMap<String, BTreeMap<String, usize>>,
    pub baselines: Vec<BaselineScore>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outside: Option<OutsideScore>,
    pub each: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Voided {
    pub scenario: String,
    pub variation: u32,
    pub why: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct FalseAlarm {
    pub scenario: String,
    pub variation: u32,
    pub id: String,
}

/// A number and its total.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Share {
    pub right: usize,
    pub of: usize,
}

/// Seconds; nothing where so many were never named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Times {
    pub p50_s: Option<f64>,
    pub p95_s: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct BaselineScore {
    pub name: &'static str,
    pub source: &'static str,
    pub held_out: Share,
    pub tuning: Share,
    /// Answers while nothing was wrong, once for every time that one appeared.
    pub false_alarms: usize,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Row {
    pub scenario: String,
    pub variation: u32,
    pub held_out: bool,
    pub answer: Option<String>,
    pub right: bool,
    pub names_rightly: Option<bool>,
    pub remedy_is_right: Option<bool>,
    pub named_after_s: Option<f64>,
    /// A fault at whose end, seen from outside, nothing was said.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub called_healthy: bool,
}

impl Share {
    fn add(&mut self, right: bool) {
        self.of += 1;
        self.right += usize::from(right);
    }

    pub fn percent(&self) -> Option<f64> {
        (self.of > 0).then(|| self.right as f64 / self.of as f64 * 100.0)
    }
}

impl BaselineScore {
    /// Adds what `baseline` answers in one run.
    fn add(&mut self, baseline: &Baseline, judged: &Judged, run: &Run, view: View) {
        let (answers, alarms) = match view {
            View::Inside => baseline_answers(run, &judged.truth, baseline.answer),
            View::Outside => outside_answers(run, baseline.answer),
        };
        let right = match answers.first() {
            Some(first) => judged.scenario.may_come_first(first),
            None => judged.scenario.truth.is_empty(),
        };
        match judged.scenario.part(judged.truth.variation.number) {
            Part::Tuning => self.tuning.add(right),
            Part::HeldOut => self.held_out.add(right),
        }
        self.false_alarms += alarms + if judged.scenario.truth.is_empty() { answers.len() } else { 0 };
    }
}

/// Where the runs are seen from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// Prometheus and the Kafka protocol, every two seconds.
    #[default]
    Inside,
    /// CloudWatch and the MSK API: minutes.
    Outside,
}

/// What only the view from outside is scored for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct OutsideScore {
    /// Right first causes of the scenarios that can be seen from outside, controls among them.
    pub separable_held_out: Share,
    pub separable_tuning: Share,
    /// Of those: another cause was named first. What is neither right nor wrong was inconclusive.
    pub wrong_held_out: Share,
    pub wrong_tuning: Share,
    /// Faults of which nothing was said: they were called healthy.
    pub called_healthy: Share,
    /// Right answers, of those with one, that name the true cause only as one that looks the same, with the check that decides.
    pub either: Share,
}

/// Judges the runs, in the order of the scenarios; those of something else than the benchmark are left out.
pub fn judge_all(runs: &[Run], view: View) -> Vec<(Judged, &Run)> {
    let mut judged: Vec<(Judged, &Run)> = runs.iter().filter_map(|run| Some((judge_in(run, view)?, run))).collect();
    let place = |judged: &Judged| SCENARIOS.iter().position(|row| row.name == judged.scenario.name);
    judged.sort_by_key(|(judged, _)| (place(judged), judged.truth.variation.number));
    judged
}

/// Judges one run; nothing where it is none of the benchmark, or was recorded from outside and is to be seen from inside.
pub fn judge_in(run: &Run, view: View) -> Option<Judged> {
    match (view, minutes::is_outside(run)) {
        (View::Inside, false) => judge(run),
        (View::Inside, true) => None,
        (View::Outside, false) => outside::judge(run),
        (View::Outside, true) => minutes::judge(run),
    }
}

/// Scores judged runs.
pub fn score(judged: &[(Judged, &Run)], view: View) -> Scores {
    let mut report = Scores { view, outside: outside_score(judged, view), ..Scores::default() };
    let (mut squares, mut times, mut hard) = (Vec::new(), Vec::new(), Vec::new());
    let mut baselines: Vec<BaselineScore> = baselines_of(view)
        .map(|baseline| BaselineScore {
            name: baseline.name,
            source: baseline.source,
            held_out: Share::default(),
            tuning: Share::default(),
            false_alarms: 0,
        })
        .collect();
    for (judged, run) in judged {
        let (scenario, variation) = (judged.scenario.name.to_owned(), judged.truth.variation.number);
        if let Some(why) = &judged.void {
            report.void.push(Voided { scenario, variation, why: why.clone() });
            continue;
        }
        report.runs += 1;
        report.live += usize::from(minutes::is_outside(run));
        report.busy += usize::from(judged.truth.pressure_percent > Some(PRESSURE_PERCENT));
        let (part, right) = (judged.scenario.part(judged.truth.variation.number), judged.is_right());
        match part {
            Part::Tuning => report.tuning.add(right),
            Part::HeldOut => report.held_out.add(right),
        }
        let first = judged.first.as_ref();
        if let Some(answer) = first {
            squares.push((answer.confidence - f64::from(u8::from(right))).powi(2));
        }
        let named = judged.named.as_ref().filter(|_| right);
        if let Some(answer) = named {
            report.remedies.add(answer.remedy_is_right);
            if let Some(names_rightly) = answer.names_rightly {
                report.names.add(names_rightly);
            }
        }
        if !judged.scenario.truth.is_empty() {
            report.inconclusive.right += judged.inconclusive;
            report.inconclusive.of += judged.samples;
            let after_s = judged.named_after_s.unwrap_or(f64::INFINITY);
            times.push(after_s);
            hard.extend((judged.scenario.kind == Kind::Hard).then_some(after_s));
        }
        report.calm_s += judged.calm_s;
        report.false_alarms.extend(judged.false_alarms.iter().map(|id| FalseAlarm {
            scenario: scenario.clone(),
            variation,
            id: (*id).to_owned(),
        }));
        let said = first.map_or("-", |answer| answer.id).to_owned();
        *report.confusion.entry(scenario.clone()).or_default().entry(said).or_default() += 1;
        baselines_of(view).zip(&mut baselines).for_each(|(baseline, score)| score.add(baseline, judged, run, view));
        report.each.push(Row {
            scenario,
            variation,
            held_out: part == Part::HeldOut,
            answer: first.map(|answer| answer.id.to_owned()),
            right,
            names_rightly: named.and_then(|answer| answer.names_rightly),
            remedy_is_right: named.map(|answer| answer.remedy_is_right),
            named_after_s: judged.named_after_s,
            called_healthy: judged.scenario.kind != Kind::Control && judged.verdict == Some(Verdict::Healthy),
        });
    }
    report.scenarios = report.confusion.len();
    report.brier = (!squares.is_empty()).then(|| squares.iter().sum::<f64>() / squares.len() as f64);
    report.time_to_name = quantiles(times);
    report.time_to_name_hard = quantiles(hard);
    report.baselines = baselines;
    report
}

/// The baselines that can answer in this view.
fn baselines_of(view: View) -> impl Iterator<Item = &'static Baseline> {
    BASELINES.iter().filter(move |baseline| view == View::Inside || baseline.is_from_outside)
}

fn outside_score(judged: &[(Judged, &Run)], view: View) -> Option<OutsideScore> {
    let mut score = OutsideScore::default();
    for (judged, _) in judged {
        if view == View::Inside || judged.void.is_some() || !outside::is_separable(judged.scenario) {
            continue;
        }
        let right = judged.is_right();
        // In a control every cause is wrong; of a fault each that is neither there nor named as looking the same.
        let wrong = match judged.scenario.kind {
            Kind::Control => !judged.false_alarms.is_empty(),
            _ => judged.first.as_ref().is_some_and(|answer| !answer.names_truth(judged.scenario)),
        };
        let (rights, wrongs) = match judged.scenario.part(judged.truth.variation.number) {
            Part::HeldOut => (&mut score.separable_held_out, &mut score.wrong_held_out),
            Part::Tuning => (&mut score.separable_tuning, &mut score.wrong_tuning),
        };
        rights.add(right);
        wrongs.add(wrong);
        if judged.scenario.kind != Kind::Control {
            score.called_healthy.add(judged.verdict == Some(Verdict::Healthy));
        }
        if let Some(answer) = judged.first.as_ref().filter(|_| right) {
            score.either.add(answer.is_either(judged.scenario));
        }
    }
    (view == View::Outside).then_some(score)
}

/// What a baseline says from outside once the fault has lasted for as long as its alarms ask for, and in the calm before.
fn outside_answers(run: &Run, answer: fn(&[Sample]) -> Option<&'static str>) -> (Vec<&'static str>, usize) {
    let minutes = if minutes::is_outside(run) {
        minutes::for_baselines(run)
    } else {
        let reduced = outside::reduced(run, outside::CALM_MINUTES, LASTING);
        reduced.map(|(_, samples)| (samples[..outside::CALM_MINUTES].to_vec(), samples))
    };
    let Some((calm, samples)) = minutes else { return (Vec::new(), 0) };
    (answer(&samples).into_iter().collect(), usize::from(answer(&calm).is_some()))
}

/// What a baseline says of the fault given what the diagnosis is given, each answer when it appears, and how often it said anything before it.
fn baseline_answers(
    run: &Run,
    truth: &Truth,
    answer: fn(&[Sample]) -> Option<&'static str>,
) -> (Vec<&'static str>, usize) {
    let samples: Vec<Sample> = samples_of(run).into_iter().map(|(_, sample)| sample).collect();
    let (mut said, mut alarms, mut held) = (Vec::new(), 0, None);
    for at in 0..samples.len() {
        let now = answer(&samples[(at + 1).saturating_sub(LOOK_BACK)..=at]);
        let is_new = now.is_some() && now != held;
        match truth.phase(samples[at].at_ms) {
            Phase::Calm => alarms += usize::from(is_new),
            // What was said before is still said.
            Phase::Fault if is_new || said.is_empty() => said.extend(now),
            _ => {}
        }
        held = now;
    }
    (said, alarms)
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn quantiles(mut seconds: Vec<f64>) -> Times {
    seconds.sort_by(f64::total_cmp);
    let at = |share: f64| seconds.get(((seconds.len() as f64 * share).ceil() as usize).saturating_sub(1)).copied();
    let at = |share: f64| at(share).filter(|seconds| seconds.is_finite());
    Times { p50_s: at(0.5), p95_s: at(0.95) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        benchmark::Variation,
        diagnose::Context,
        run::{Entry, Environment, Event, Head, Observed, SCHEMA, at},
        sample::{BrokerSample, BrokerState, Probe},
    };

    /// Three brokers, of which the second is gone from `on` to `off`; the machine's CPU pressure all the time.
    fn run(scenario: &str, number: u32, on: Option<i64>, seconds: i64, pressure: f64) -> Run {
        let context = Context { broker_count: 3, broker_type: Some("kafka.m5.large".into()), ..Context::default() };
        let mut entries: Vec<Entry> = (0..seconds)
            .map(|second| {
                let is_down = on.is_some_and(|on| second >= on);
                let well = BrokerSample {
                    state: BrokerState::Serving,
                    cpu_user_percent: Some(20.0 + (second % 3) as f64),
                    cpu_system_percent: Some(3.0),
                    cpu_throttled_percent: Some(0.0),
                    partition_count: Some(6),
                    under_replicated_partitions: Some(if is_down { 4 } else { 0 }),
                    probe: Some(Probe::Answered(1.0)),
                    ..BrokerSample::default()
                };
                let gone = BrokerSample { probe: Some(Probe::Refused), ..BrokerSample::default() };
                let second_one = if is_down { gone } else { well.clone() };
                let sample = Sample {
                    at_ms: second * 1000,
                    brokers: [(1, well.clone()), (2, second_one), (3, well)].into(),
                    host_cpu_pressure_percent: Some(pressure),
                    ..Sample::default()
                };
                let observed = Observed { cluster: context.clone(), sample, verdict: None, findings: Vec::new() };
                Entry { at: at(second * 1000), event: Event::Sample(Box::new(observed)) }
            })
            .collect();
        let truth = Truth {
            scenario: scenario.to_owned(),
            variation: Variation::of(scenario, number, 3, 15.0),
            asked_ms: Some(on.unwrap_or(30) * 1000),
            on_ms: Some(on.unwrap_or(30) * 1000),
            off_ms: Some((seconds - 1) * 1000),
            broker: on.map(|_| 2),
            ..Truth::default()
        };
        entries.push(Entry { at: at(seconds * 1000), event: Event::result(super::super::TRUTH, &truth).unwrap() });
        let head = Head {
            schema: SCHEMA.to_owned(),
            id: "x".into(),
            command: "bench".into(),
            args: Vec::new(),
            started: at(0),
            environment: Environment::default(),
        };
        Run { head, entries, is_torn: false, unreadable: Vec::new() }
    }

    #[test]
    fn runs_are_scored_by_part_and_the_void_ones_not() {
        let runs = [
            run("broker.down", 1, Some(30), 60, 5.0),
            run("broker.down", 4, Some(30), 60, 5.0),
            run("broker.down", 5, Some(30), 60, 90.0),
            run("healthy", 2, None, 60, 5.0),
        ];
        let report = score(&judge_all(&runs, View::Inside), View::Inside);
        assert_eq!((report.runs, report.void.len()), (3, 1), "{report:#?}");
        assert_eq!((report.tuning, report.held_out), (Share { right: 2, of: 2 }, Share { right: 1, of: 1 }));
        assert_eq!((report.names, report.false_alarms.len()), (Share { right: 2, of: 2 }, 0));
        assert!(report.time_to_name.p95_s.is_some_and(|s| s <= 15.0), "{report:#?}");
        assert_eq!(report.confusion["broker.down"]["broker.down"], 2);
        assert!(report.brier.is_some_and(|brier| brier < 0.1));
        let seed = report.baselines.iter().find(|baseline| baseline.name == "seed rule").unwrap();
        assert_eq!((seed.held_out, seed.tuning), (Share { right: 0, of: 1 }, Share { right: 1, of: 2 }));
        let grafana = report.baselines.iter().find(|baseline| baseline.name.starts_with("Grafana")).unwrap();
        assert_eq!(grafana.held_out, Share { right: 1, of: 1 });
        let text = super::super::markdown(&report);
        assert!(text.contains("| broker.down |") && text.contains("CPU pressure"), "{text}");
    }

    #[test]
    fn a_fault_that_is_never_named_takes_longer_than_all_others() {
        let runs = [run("broker.down", 1, Some(30), 60, 5.0), run("broker.hung", 1, Some(30), 60, 5.0)];
        let times = score(&judge_all(&runs, View::Inside), View::Inside).time_to_name;
        assert!(times.p50_s.is_some_and(|s| s <= 15.0) && times.p95_s.is_none(), "{times:?}");
    }

    #[test]
    fn of_two_faults_both_have_to_be_found() {
        // What is seen is the first of them alone.
        let report = score(
            &judge_all(&[run("broker.down+broker.undersized", 1, Some(30), 60, 5.0)], View::Inside),
            View::Inside,
        );
        assert_eq!((report.tuning, report.names.of), (Share { right: 0, of: 1 }, 0));
        let row = crate::benchmark::find("broker.down+broker.undersized").unwrap();
        assert!(row.may_come_first("broker.undersized") && !row.may_come_first("broker.hung"));
        let consequence = crate::benchmark::find("replication.min-isr-blocked").unwrap();
        assert!(!consequence.may_come_first("replication.min-isr-blocked"));
    }

    #[test]
    fn a_wrong_first_answer_is_wrong_though_the_right_one_follows() {
        // The same samples, called something else.
        let report = score(&judge_all(&[run("broker.hung", 1, Some(30), 60, 5.0)], View::Inside), View::Inside);
        assert_eq!(report.tuning, Share { right: 0, of: 1 });
        assert_eq!(report.confusion["broker.hung"]["broker.down"], 1);
        assert_eq!(report.names.of, 0);
    }
}
