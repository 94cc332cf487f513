//! A recorded run as a live watcher would have judged it, sample by sample.

use std::collections::BTreeMap;

use super::{Kind, Names, Scenario, Truth};
use crate::{
    diagnose::{Context, Diagnosis, Finding, THROTTLED_PERCENT, Verdict, diagnose},
    finding_id,
    run::{Event, Run},
    sample::{BrokerId, Sample},
    statistics::median,
};

pub use crate::diagnose::PRESSURE_PERCENT;

/// Samples that a live watcher looks back on.
pub const LOOK_BACK: usize = 60;

/// Findings that are an answer though they are no cause of trouble: the cluster is left alone for them.
const ANSWERS: [&str; 3] =
    [finding_id::CLUSTER_MAINTENANCE, finding_id::LAB_HOST_CONTENTION, finding_id::CLIENT_GENERATOR_BOUND];

/// What came out of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    pub truth: Truth,
    pub scenario: &'static Scenario,
    /// Why the run counts for nothing.
    pub void: Option<String>,
    /// The first answer after the fault was made; of a control, at any time.
    pub first: Option<Answer>,
    /// Seconds from the fault to the first answer with the true root at its head.
    pub named_after_s: Option<f64>,
    /// The first answer that is right.
    pub named: Option<Answer>,
    /// Causes that were named while nothing was wrong, each once for every time that it appeared.
    pub false_alarms: Vec<&'static str>,
    /// Seconds in which nothing was wrong, and something could have been said.
    pub calm_s: f64,
    /// Samples of the fault, and those of them without any answer.
    pub samples: usize,
    pub inconclusive: usize,
    /// The verdict at the end of the fault, where it is judged once (from outside).
    pub verdict: Option<Verdict>,
}

impl Judged {
    /// Before the first answer.
    pub(super) fn begin(scenario: &'static Scenario, void: Option<String>, truth: Truth) -> Judged {
        Judged {
            truth,
            scenario,
            void,
            first: None,
            named_after_s: None,
            named: None,
            false_alarms: Vec::new(),
            calm_s: 0.0,
            samples: 0,
            inconclusive: 0,
            verdict: None,
        }
    }
}

/// What a diagnosis says that there is.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub id: &'static str,
    pub confidence: f64,
    /// Every finding, the likeliest first.
    pub findings: Vec<&'static str>,
    /// The likeliest finding is the true root.
    pub is_root: bool,
    /// All that is true is found, the root first; of one fault the same.
    pub is_right: bool,
    /// Broker, partition or group are the true ones; `None` where there are none to name.
    pub names_rightly: Option<bool>,
    pub remedy_is_right: bool,
    /// Causes that the finding says look the same in this view.
    pub alternatives: Vec<&'static str>,
}

impl Answer {
    /// Whether a true first answer may be this one, or it names such a one as looking the same.
    pub fn names_truth(&self, scenario: &Scenario) -> bool {
        scenario.may_come_first(self.id) || self.is_either(scenario)
    }

    /// Whether the truth is only among those that look the same.
    pub fn is_either(&self, scenario: &Scenario) -> bool {
        !scenario.may_come_first(self.id) && self.alternatives.iter().any(|id| scenario.may_come_first(id))
    }
}

/// Whether an answer is an alarm: what asks to leave the cluster alone is none.
pub fn is_alarm(id: &str) -> bool {
    !ANSWERS.contains(&id)
}

/// Samples with the cluster as it was then, the load's view among them.
pub fn samples_of(run: &Run) -> Vec<(Context, Sample)> {
    run.samples().map(|observed| (observed.cluster.clone(), observed.sample.clone())).collect()
}

/// The truth of a run; nothing where it is no run of the benchmark.
pub fn truth_of(run: &Run) -> Option<Truth> {
    run.entries.iter().rev().find_map(|entry| match &entry.event {
        Event::Result(named) if named.name == super::TRUTH => serde_json::from_value(named.value.clone()).ok(),
        _ => None,
    })
}

/// Judges a run; nothing where it is no run of the benchmark, or of a scenario that is no more.
pub fn judge(run: &Run) -> Option<Judged> {
    let truth = truth_of(run)?;
    let scenario = super::find(&truth.scenario)?;
    let samples = samples_of(run);
    let mut judged = Judged::begin(scenario, void(scenario, &truth, &samples), truth);
    let (mut before, mut alarm) = (None, None);
    for at in 0..samples.len() {
        let window: Vec<Sample> =
            samples[(at + 1).saturating_sub(LOOK_BACK)..=at].iter().map(|(_, sample)| sample.clone()).collect();
        let (context, sample) = &samples[at];
        let diagnosis = diagnose(context, &window);
        let answer = answer(scenario, &judged.truth, &diagnosis);
        let elapsed_s = before.replace(sample.at_ms).map_or(0.0, |before| (sample.at_ms - before) as f64 / 1000.0);
        // In its first seconds a watcher raises no alarm, right or wrong.
        let says_nothing_yet =
            diagnosis.findings.first().is_some_and(|finding| finding.id == finding_id::INCONCLUSIVE_TOO_FEW_SAMPLES);
        let calm_s = if says_nothing_yet { 0.0 } else { elapsed_s };
        match judged.truth.phase(sample.at_ms) {
            Phase::Calm => {
                judged.calm_s += calm_s;
                judged.alarm(&mut alarm, &answer);
            }
            Phase::Fault if scenario.kind == Kind::Control => {
                judged.calm_s += calm_s;
                judged.samples += 1;
                judged.inconclusive += usize::from(diagnosis.verdict == Verdict::Inconclusive);
                judged.alarm(&mut alarm, &answer);
                judged.first = judged.first.take().or(answer);
            }
            Phase::Fault => {
                judged.samples += 1;
                judged.inconclusive += usize::from(answer.is_none());
                if judged.named_after_s.is_none() && answer.as_ref().is_some_and(|answer| answer.is_root) {
                    let on_ms = judged.truth.on_ms.unwrap_or(sample.at_ms);
                    judged.named_after_s = Some((sample.at_ms - on_ms) as f64 / 1000.0);
                }
                judged.named = judged.named.take().or_else(|| answer.clone().filter(|answer| answer.is_right));
                judged.first = judged.first.take().or(answer);
            }
            Phase::Other => {}
        }
    }
    Some(judged)
}

impl Judged {
    fn alarm(&mut self, held: &mut Option<&'static str>, answer: &Option<Answer>) {
        let alarm = answer.as_ref().map(|answer| answer.id).filter(|id| is_alarm(id));
        if let Some(id) = alarm.filter(|_| alarm != *held) {
            self.false_alarms.push(id);
        }
        *held = alarm;
    }

    /// The first answer is true, and all that is true was found at some time, the root first; of a control, there is no answer.
    /// Of two faults either may be the first to show.
    pub fn is_right(&self) -> bool {
        let is_true = |answer: &Answer| answer.names_truth(self.scenario);
        match self.scenario.kind {
            Kind::Control => self.false_alarms.is_empty(),
            _ => self.first.as_ref().is_some_and(is_true) && self.named.is_some(),
        }
    }
}

/// What a moment of a run is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before the fault.
    Calm,
    Fault,
    /// The fault is being made, or it is over.
    Other,
}

impl Truth {
    pub fn phase(&self, at_ms: i64) -> Phase {
        match (self.asked_ms, self.on_ms, self.off_ms) {
            (Some(asked), ..) if at_ms < asked => Phase::Calm,
            (_, Some(on), Some(off)) if (on..=off).contains(&at_ms) => Phase::Fault,
            _ => Phase::Other,
        }
    }
}

/// What the diagnosis answers, if it is an answer.
pub fn answer(scenario: &Scenario, truth: &Truth, diagnosis: &Diagnosis) -> Option<Answer> {
    let finding = diagnosis.findings.first()?;
    if diagnosis.verdict != Verdict::CauseFound && !ANSWERS.contains(&finding.id) {
        return None;
    }
    let findings: Vec<&'static str> = diagnosis.findings.iter().map(|finding| finding.id).collect();
    let mut rest = findings.iter();
    // Each after the one before it, and the root before all others.
    let is_root = scenario.truth.first() == Some(&finding.id);
    let is_right = is_root && scenario.truth.iter().all(|id| rest.any(|found| found == id));
    Some(Answer {
        id: finding.id,
        confidence: finding.confidence,
        is_root,
        is_right,
        names_rightly: names_rightly(scenario.names, truth, finding),
        remedy_is_right: match kind_of_remedy(finding) {
            Some(kind) => scenario.remedies.contains(&kind.as_str()),
            None => scenario.remedies.is_empty(),
        },
        alternatives: finding.alternatives.clone(),
        findings,
    })
}

fn names_rightly(names: Names, truth: &Truth, finding: &Finding) -> Option<bool> {
    let same = |found: &[String], wanted: &[String]| {
        let mut found: Vec<&String> = found.iter().collect();
        let mut wanted: Vec<&String> = wanted.iter().collect();
        found.sort_unstable();
        wanted.sort_unstable();
        found == wanted
    };
    match names {
        Names::Nothing => None,
        Names::Broker => Some(finding.brokers[..] == truth.broker.into_iter().collect::<Vec<_>>()),
        // The hottest one has to be among those that took most.
        Names::Partitions => Some(finding.partitions.first().is_some_and(|first| truth.partitions.contains(first))),
        Names::Groups => Some(same(&finding.groups, &truth.groups)),
    }
}

/// As JSON has it, such as `resize`.
pub fn kind_of_remedy(finding: &Finding) -> Option<String> {
    let remedy = serde_json::to_value(finding.remedy.as_ref()?).ok()?;
    Some(remedy.get("kind")?.as_str()?.to_owned())
}

/// Why the machine, not the cluster, was measured.
pub fn void(scenario: &Scenario, truth: &Truth, samples: &[(Context, Sample)]) -> Option<String> {
    // What these do to a client counts as pressure.
    if [[finding_id::LAB_HOST_CONTENTION], [finding_id::CLIENT_GENERATOR_BOUND]]
        .iter()
        .any(|truth| scenario.truth == truth)
    {
        return None;
    }
    let of = |phase: Phase| samples.iter().map(|(_, sample)| sample).filter(move |s| truth.phase(s.at_ms) == phase);
    for (phase, words) in [(Phase::Calm, "before the fault"), (Phase::Fault, "during the fault")] {
        let pressure = median(of(phase).filter_map(|sample| sample.host_cpu_pressure_percent).collect());
        let mut throttled: BTreeMap<BrokerId, Vec<f64>> = BTreeMap::new();
        for (id, broker) in of(phase).flat_map(|sample| &sample.brokers) {
            throttled.entry(*id).or_default().extend(broker.cpu_throttled_percent);
        }
        let own = throttled.into_values().filter_map(median).any(|throttled| throttled >= THROTTLED_PERCENT);
        if let Some(pressure) = pressure.filter(|pressure| *pressure > PRESSURE_PERCENT && !own) {
            return Some(format!("CPU pressure of the machine was {pressure:.0} % {words}"));
        }
    }
    (of(Phase::Calm).count() < 3).then(|| "there is no calm before the fault".to_owned())
}
