//! Runs that were recorded from outside, datapoint by datapoint: what `kgen diagnose --source cloudwatch` reads, in minutes
//! that may be short. Judged as they came in, up to two complete datapoints of the fault.

use super::{
    Kind, Truth, answer,
    baselines::LASTING,
    judge::{Answer, Judged, Phase, is_alarm, samples_of, void},
    outside::FAULT_MINUTES,
    truth_of,
};
use crate::{
    diagnose::{Context, Verdict, diagnose},
    run::Run,
    sample::{Sample, Source},
};

/// Datapoints before the fault, and complete ones of it, that a run is recorded with. Five of the fault are for the
/// baselines, whose alarms ask for five.
pub const CALM: usize = 8;
pub const FAULT: usize = LASTING;

/// What one datapoint covers where nothing else is said, and what it counts as, s.
const MINUTE_S: f64 = 60.0;

/// Whether a run was recorded from outside.
pub fn is_outside(run: &Run) -> bool {
    run.samples().next().is_some_and(|observed| observed.sample.source == Source::CloudWatch)
}

/// Whether the whole datapoint that begins at `at_ms` is of the calm or of the fault.
pub fn phase(truth: &Truth, at_ms: i64, period_s: f64) -> Phase {
    let last_ms = at_ms.saturating_add((period_s * 1000.0) as i64).saturating_sub(1);
    match (truth.phase(at_ms), truth.phase(last_ms)) {
        (first, last) if first == last => first,
        _ => Phase::Other,
    }
}

/// Length of the datapoints of a cluster, s.
pub fn period_s(cluster: &Context) -> f64 {
    cluster.period_s.unwrap_or(MINUTE_S)
}

/// The datapoints of a run in their order, with the cluster as it was when each came and what it is of. One that came again
/// is as it came first: what is said later does not change what was said.
pub(super) fn datapoints(run: &Run, truth: &Truth) -> Vec<(Context, Sample, Phase)> {
    let mut datapoints: Vec<(Context, Sample, Phase)> = Vec::new();
    for (context, sample) in samples_of(run) {
        if datapoints.last().is_none_or(|(_, last, _)| last.at_ms < sample.at_ms) {
            let looked = sample.protocol_at_ms.map(|at_ms| truth.phase(at_ms));
            let phase = match phase(truth, sample.at_ms, period_s(&context)) {
                // The topics API is of the moment, two datapoints later than the metrics.
                Phase::Calm if looked.is_some_and(|looked| looked != Phase::Calm) => Phase::Other,
                phase => phase,
            };
            datapoints.push((context, sample, phase));
        }
    }
    datapoints
}

/// Judges a run that was recorded from outside; nothing where it is no run of the benchmark or has no datapoint of its fault.
pub fn judge(run: &Run) -> Option<Judged> {
    let truth = truth_of(run)?;
    let scenario = super::find(&truth.scenario)?;
    let datapoints = datapoints(run, &truth);
    let mut judged = Judged::begin(scenario, void(scenario, &truth, &samples_of(run)), truth);
    let samples: Vec<Sample> = datapoints.iter().map(|(_, sample, _)| sample.clone()).collect();
    let mut alarm = None;
    for (at, (context, _, phase)) in datapoints.iter().enumerate() {
        let diagnosis = diagnose(context, &samples[..=at]);
        let answer = answer(scenario, &judged.truth, &diagnosis);
        match phase {
            Phase::Calm => judged.calm_datapoint(&mut alarm, &answer),
            Phase::Fault if judged.samples < FAULT_MINUTES => {
                judged.samples += 1;
                judged.verdict = Some(diagnosis.verdict);
                judged.fault_datapoint(&mut alarm, answer);
            }
            Phase::Fault | Phase::Other => {}
        }
    }
    judged.verdict.is_some().then_some(judged)
}

impl Judged {
    fn calm_datapoint(&mut self, held: &mut Option<&'static str>, answer: &Option<Answer>) {
        self.calm_s += MINUTE_S;
        let alarm = answer.as_ref().map(|answer| answer.id).filter(|id| is_alarm(id));
        self.false_alarms.extend(alarm.filter(|_| alarm != *held));
        *held = alarm;
    }

    fn fault_datapoint(&mut self, alarm: &mut Option<&'static str>, answer: Option<Answer>) {
        if self.scenario.kind == Kind::Control {
            self.inconclusive += usize::from(self.verdict == Some(Verdict::Inconclusive));
            self.calm_datapoint(alarm, &answer);
        } else {
            self.inconclusive += usize::from(answer.is_none());
            let is_true = |found: &Answer| found.names_truth(self.scenario);
            if self.named.is_none() && answer.as_ref().is_some_and(is_true) {
                self.named = answer.clone();
                self.named_after_s = Some(self.samples as f64 * MINUTE_S);
            }
        }
        self.first = self.first.take().or(answer);
    }
}

/// What a baseline is given: the calm datapoints, and those of the calm and the fault.
pub fn for_baselines(run: &Run) -> Option<(Vec<Sample>, Vec<Sample>)> {
    let datapoints = datapoints(run, &truth_of(run)?);
    let of = |wanted: Phase| datapoints.iter().filter(move |(.., phase)| *phase == wanted).map(|(_, s, _)| s.clone());
    let calm: Vec<Sample> = of(Phase::Calm).collect();
    let all = calm.iter().cloned().chain(of(Phase::Fault).take(LASTING)).collect();
    Some((calm, all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        benchmark::{TRUTH, Variation},
        run::{Entry, Environment, Event, Head, Observed, SCHEMA, at},
        sample::{BrokerSample, BrokerState},
    };

    const PERIOD_MS: i64 = 5000;

    /// Short minutes of three brokers, whose CPU is high from the `from`th on; the fault begins in the middle of the seventh.
    fn run(scenario: &str, from: i64) -> Run {
        let cluster = Context {
            broker_count: 3,
            broker_type: Some("kafka.m5.large".into()),
            period_s: Some(PERIOD_MS as f64 / 1000.0),
            ..Context::default()
        };
        let broker = |n: i64| BrokerSample {
            state: BrokerState::Serving,
            cpu_user_percent: Some(if n >= from { 95.0 } else { 12.0 }),
            cpu_system_percent: Some(2.0),
            under_replicated_partitions: Some(0),
            disk_used_percent: Some(20.0),
            ..BrokerSample::default()
        };
        let sample = |n: i64| Sample {
            at_ms: n * PERIOD_MS,
            source: Source::CloudWatch,
            brokers: (1..=3).map(|id| (id, broker(n))).collect(),
            ..Sample::default()
        };
        let entry = |n: i64| {
            let observed =
                Observed { cluster: cluster.clone(), sample: sample(n), verdict: None, findings: Vec::new() };
            Entry { at: at(n * PERIOD_MS), event: Event::Sample(Box::new(observed)) }
        };
        // One comes again, with another value: it was judged by then.
        let mut entries: Vec<Entry> = (0..12).chain([11]).map(entry).collect();
        let onset_ms = 6 * PERIOD_MS + PERIOD_MS / 2;
        let truth = Truth {
            scenario: scenario.to_owned(),
            variation: Variation::of(scenario, 1, 3, 10.0),
            asked_ms: Some(onset_ms),
            on_ms: Some(onset_ms),
            off_ms: Some(12 * PERIOD_MS),
            ..Truth::default()
        };
        entries.push(Entry { at: at(99_000), event: Event::result(TRUTH, &truth).unwrap() });
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
    fn a_datapoint_counts_for_the_fault_when_all_of_it_is_of_the_fault() {
        let truth = truth_of(&run("broker.undersized", 7)).unwrap();
        let of = |n: i64| phase(&truth, n * PERIOD_MS, 5.0);
        assert_eq!([of(0), of(5), of(6), of(7), of(11)], {
            use Phase::{Calm, Fault, Other};
            [Calm, Calm, Other, Fault, Fault]
        });
        // It goes on until after the fault was taken back.
        assert_eq!(of(12), Phase::Other);
    }

    #[test]
    fn a_fault_is_named_within_two_of_its_datapoints_or_not_at_all() {
        let judged = judge(&run("broker.undersized", 7)).unwrap();
        assert!(judged.is_right() && judged.false_alarms.is_empty(), "{judged:#?}");
        assert_eq!((judged.named_after_s, judged.calm_s, judged.samples), (Some(120.0), 360.0, 2));
        let late = judge(&run("broker.undersized", 9)).unwrap();
        assert!(!late.is_right() && late.first.is_none() && late.samples == 2, "{late:#?}");
        let wrong = judge(&run("disk.full", 7)).unwrap();
        assert!(!wrong.is_right() && wrong.first.is_some_and(|first| first.id == "broker.undersized"));
    }

    #[test]
    fn what_is_named_in_the_calm_or_in_a_control_is_a_false_alarm() {
        let early = judge(&run("broker.undersized", 3)).unwrap();
        assert_eq!(early.false_alarms, ["broker.undersized"]);
        let control = judge(&run("healthy", 7)).unwrap();
        assert!(!control.is_right() && control.false_alarms == ["broker.undersized"], "{control:#?}");
        assert!(judge(&run("healthy", 99)).unwrap().is_right());
    }

    #[test]
    fn topics_that_were_read_while_the_fault_was_made_are_not_of_the_calm() {
        let mut run = run("broker.undersized", 7);
        for entry in &mut run.entries {
            if let Event::Sample(observed) = &mut entry.event {
                observed.sample.protocol_at_ms = Some(observed.sample.at_ms + 3 * PERIOD_MS);
            }
        }
        let (calm, all) = for_baselines(&run).unwrap();
        assert_eq!((calm.len(), all.len()), (4, 9));
    }

    #[test]
    fn baselines_get_five_datapoints_of_the_fault() {
        let (calm, all) = for_baselines(&run("broker.undersized", 7)).unwrap();
        assert_eq!((calm.len(), all.len()), (6, 11));
    }
}
