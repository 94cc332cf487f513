//! Many measurements as figures.

use serde::Serialize;

use super::{FORMULAS, Span, Truth, Workload, find, truth_of};
use crate::{
    capacity::{Found, Limit, corrected_percent, cpu_allowed_percent},
    diagnose::Context,
    run::{Event, Run},
    sample::Sample,
    sizing::{self, Growth, Question, Shape, Survive},
};

/// Loads at which the advice is judged, between none and the most that a measured shape carries.
const LOADS: u32 = 20;

/// How good the predictions are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct PredictionScores {
    /// Pairs of workload and shape whose capacity was found.
    pub measured: usize,
    /// Predictions of held-out workloads.
    pub held_out: Errors,
    /// Those that models may be tuned on.
    pub tuning: Errors,
    /// Published formulas, on the same predictions.
    pub formulas: Vec<FormulaErrors>,
    /// Whether the cheapest measured shape that is predicted to carry a load carries it; held-out workloads.
    pub advice: AdviceScore,
    /// Measurements that found no capacity: they count for nothing.
    pub void: Vec<Voided>,
    pub each: Vec<Prediction>,
}

/// Errors of predictions, percent of what was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Errors {
    pub predictions: usize,
    /// Of the absolute errors; `None` where there is no prediction.
    pub median_percent: Option<f64>,
    pub p95_percent: Option<f64>,
    /// The median with its sign: above 0, too much is predicted.
    pub bias_percent: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct FormulaErrors {
    pub name: String,
    pub held_out: Errors,
    pub tuning: Errors,
}

/// Loads from little to the most that any measured shape carries, each with the shape that a prediction would choose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct AdviceScore {
    pub cases: usize,
    /// The chosen shape carries the load, by its measured capacity.
    pub carried: usize,
    /// Cases in which there is a cheaper shape.
    pub with_cheaper: usize,
    /// The next cheaper shape does not carry the load.
    pub cheaper_fails: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Voided {
    pub workload: String,
    pub shape: Shape,
    pub why: String,
}

/// A capacity that was predicted from the history of another shape.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Prediction {
    pub workload: String,
    pub held_out: bool,
    /// The shape whose history it is made from.
    pub from: Shape,
    /// Which of the histories of that shape, from 0.
    pub history: usize,
    pub to: Shape,
    pub predicted_per_s: f64,
    pub measured_per_s: f64,
    /// Predicted over measured, less 1, percent.
    pub error_percent: f64,
    /// What kept the measured shape from more.
    pub limit: Option<Limit>,
    /// By each formula, records/s; `None` where it has no figure.
    pub formulas: Vec<Option<f64>>,
}

impl Prediction {
    /// Those of the shape's own history count for the advice only.
    pub fn is_of_another_shape(&self) -> bool {
        self.from != self.to
    }
}

/// A run whose capacity was found.
struct Measured<'a> {
    run: &'a Run,
    truth: Truth,
    workload: &'static Workload,
    per_s: f64,
    limit: Option<Limit>,
}

/// Predicts each measured capacity from the histories of the same workload on each shape.
pub fn score(runs: &[Run]) -> PredictionScores {
    let (mut measured, mut void) = (Vec::new(), Vec::new());
    for run in runs {
        let Some(truth) = truth_of(run) else { continue };
        let Some(workload) = find(&truth.workload) else { continue };
        match why_void(&truth) {
            Some(why) => void.push(Voided { workload: truth.workload, shape: truth.shape, why }),
            None => measured.extend(found(run, truth, workload)),
        }
    }
    let each: Vec<Prediction> = measured.iter().flat_map(|to| predictions(&measured, to)).collect();
    let of = |held_out: bool| {
        each.iter().filter(move |prediction| prediction.held_out == held_out && prediction.is_of_another_shape())
    };
    PredictionScores {
        measured: measured.len(),
        held_out: errors(of(true).map(|prediction| prediction.error_percent)),
        tuning: errors(of(false).map(|prediction| prediction.error_percent)),
        formulas: formulas(&of(true).collect::<Vec<_>>(), &of(false).collect::<Vec<_>>()),
        advice: advice(&measured, &each),
        void,
        each,
    }
}

fn why_void(truth: &Truth) -> Option<String> {
    match &truth.found {
        Found::Capacity(_) => None,
        Found::GeneratorBound { .. } => Some("the load generator was the limit".to_owned()),
        Found::Nothing { reason } => Some(reason.clone()),
    }
}

fn found<'a>(run: &'a Run, truth: Truth, workload: &'static Workload) -> Option<Measured<'a>> {
    let Found::Capacity(answer) = &truth.found else { return None };
    let (per_s, limit) = (answer.carried.acknowledged_per_s, answer.limit.clone());
    Some(Measured { run, truth, workload, per_s, limit })
}

fn predictions(all: &[Measured<'_>], to: &Measured<'_>) -> Vec<Prediction> {
    let is_alike =
        |from: &&Measured<'_>| from.workload.name == to.workload.name && from.truth.lab_scale == to.truth.lab_scale;
    let histories = all
        .iter()
        .filter(is_alike)
        .flat_map(|from| from.truth.histories.iter().enumerate().map(move |(number, spans)| (from, number, spans)));
    histories.filter_map(|(from, number, spans)| prediction(from, number, spans, to)).collect()
}

fn prediction(from: &Measured<'_>, number: usize, spans: &[Span], to: &Measured<'_>) -> Option<Prediction> {
    let (context, samples) = history(from.run, spans)?;
    let carried = sizing::carried(&context.current()?, &samples, to.truth.shape, &question(to.truth.shape)).ok()?;
    let bytes_a_record = bytes_a_record(&samples)?;
    let by_formula = FORMULAS.iter().map(|formula| {
        let mb_per_s = (formula.ingress_mb_per_s)(&to.truth.shape, to.workload)?;
        Some(mb_per_s * 1e6 / to.truth.lab_scale / bytes_a_record)
    });
    Some(Prediction {
        workload: to.workload.name.to_owned(),
        held_out: !to.workload.is_tuning,
        from: from.truth.shape,
        history: number,
        to: to.truth.shape,
        predicted_per_s: carried.messages_per_s,
        measured_per_s: to.per_s,
        error_percent: error_percent(carried.messages_per_s, to.per_s),
        limit: to.limit.clone(),
        formulas: by_formula.collect(),
    })
}

/// What `kgen capacity` measured: all brokers are there, and have so much CPU that the others can do the work of one.
fn question(shape: Shape) -> Question {
    Question {
        growth: Growth::Percent(0.0),
        survive: Survive::None,
        target_cpu: cpu_allowed_percent(shape.brokers as usize, true),
        exclude: Vec::new(),
    }
}

fn history(run: &Run, spans: &[Span]) -> Option<(Context, Vec<Sample>)> {
    let mut context = None;
    let mut samples = Vec::new();
    for entry in &run.entries {
        let Event::Sample(observed) = &entry.event else { continue };
        if let Some(span) = spans.iter().find(|span| span.contains(observed.sample.at_ms)) {
            context = Some(observed.cluster.clone());
            let mut sample = observed.sample.clone();
            for broker in sample.brokers.values_mut() {
                for cpu in [&mut broker.cpu_user_percent, &mut broker.cpu_system_percent] {
                    *cpu = cpu.map(|cpu| corrected_percent(cpu, span.slowdown));
                }
            }
            samples.push(sample);
        }
    }
    Some((context?, samples))
}

/// Bytes that a record has for the brokers: compressed, with its share of a batch's header.
fn bytes_a_record(samples: &[Sample]) -> Option<f64> {
    let brokers = || samples.iter().flat_map(|sample| sample.brokers.values());
    let bytes: f64 = brokers().filter_map(|broker| broker.bytes_in_per_s).sum();
    let records: f64 = brokers().filter_map(|broker| broker.messages_in_per_s).sum();
    (records > 0.0).then(|| bytes / records)
}

fn error_percent(predicted: f64, measured: f64) -> f64 {
    (predicted / measured.max(f64::MIN_POSITIVE) - 1.0) * 100.0
}

fn errors(percent: impl Iterator<Item = f64>) -> Errors {
    let mut signed: Vec<f64> = percent.collect();
    signed.sort_by(f64::total_cmp);
    let mut absolute: Vec<f64> = signed.iter().map(|error| error.abs()).collect();
    absolute.sort_by(f64::total_cmp);
    Errors {
        predictions: signed.len(),
        median_percent: quantile(&absolute, 0.5),
        p95_percent: quantile(&absolute, 0.95),
        bias_percent: quantile(&signed, 0.5),
    }
}

/// The smallest value that so great a share of all is not above.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

fn formulas(held_out: &[&Prediction], tuning: &[&Prediction]) -> Vec<FormulaErrors> {
    let of = |index: usize, predictions: &[&Prediction]| {
        let by = |prediction: &&Prediction| {
            Some(error_percent((*prediction.formulas.get(index)?)?, prediction.measured_per_s))
        };
        errors(predictions.iter().filter_map(by))
    };
    let named = FORMULAS.iter().enumerate().map(|(index, formula)| FormulaErrors {
        name: formula.name.to_owned(),
        held_out: of(index, held_out),
        tuning: of(index, tuning),
    });
    named.collect()
}

/// What each history of a held-out workload would lead to, over the loads that its measured shapes carry.
fn advice(measured: &[Measured<'_>], each: &[Prediction]) -> AdviceScore {
    let mut score = AdviceScore::default();
    for from in measured.iter().filter(|from| !from.workload.is_tuning) {
        let of_workload = || measured.iter().filter(|other| other.workload.name == from.workload.name);
        let most = of_workload().map(|other| other.per_s).fold(0.0, f64::max);
        for history in 0..from.truth.histories.len() {
            let is_made_from = |prediction: &&Prediction| {
                prediction.workload == from.workload.name
                    && prediction.from == from.truth.shape
                    && prediction.history == history
            };
            let mut shapes: Vec<Choice> = each
                .iter()
                .filter(is_made_from)
                .map(|made| Choice::new(made.to, made.predicted_per_s, made.measured_per_s))
                .collect();
            shapes.sort_by(|a, b| a.usd.total_cmp(&b.usd).then(a.predicted_per_s.total_cmp(&b.predicted_per_s)));
            for load in 1..=LOADS {
                score.add(&shapes, most * f64::from(load) / f64::from(LOADS));
            }
        }
    }
    score
}

/// A shape that could be chosen.
struct Choice {
    usd: f64,
    predicted_per_s: f64,
    measured_per_s: f64,
}

impl Choice {
    fn new(shape: Shape, predicted_per_s: f64, measured_per_s: f64) -> Choice {
        Choice { usd: shape.broker_type.usd_per_month(shape.brokers), predicted_per_s, measured_per_s }
    }
}

impl AdviceScore {
    /// Judges what is chosen for `load` of `shapes`, the cheapest first.
    fn add(&mut self, shapes: &[Choice], load: f64) {
        let Some(chosen) = shapes.iter().find(|shape| shape.predicted_per_s >= load) else { return };
        self.cases += 1;
        self.carried += usize::from(chosen.measured_per_s >= load);
        let cheaper = shapes.iter().rev().find(|shape| shape.usd < chosen.usd);
        if let Some(cheaper) = cheaper {
            self.with_cheaper += 1;
            self.cheaper_fails += usize::from(cheaper.measured_per_s < load);
        }
    }
}
