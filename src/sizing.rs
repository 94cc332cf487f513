//! From the history of a cluster to the cheapest shape (broker type and count) that carries its load with headroom. Pure.
//!
//! CPU is predicted by a model that is fitted to the cluster's own minutes ([`model`]); network, volume and partitions follow
//! from replication and the catalogue ([`shape`]); dates follow from the trend of the daily peaks ([`growth`]).

mod growth;
mod history;
mod model;
mod shape;

use serde::{Deserialize, Serialize};

pub use growth::{Forecast, Reaches};
pub use history::{DAY_MS, Exclude, Peak};
pub use model::Basis;
pub use shape::{Judged, Resource, Shape};

use crate::{catalogue::BrokerType, sample::Sample};
use history::History;
use model::Model;

/// A saving below this share of the present price is no reason for a change (a design choice).
pub const LEAST_SAVING: f64 = 0.10;

/// Prices that differ by less than this factor count as the same, for the reason of [`LEAST_SAVING`].
const SAME_PRICE: f64 = 1.0 + LEAST_SAVING;

/// Days of history without which a cluster is not called oversized: a weekly peak may be missing (a design choice).
pub const LEAST_DAYS_FOR_SAVING: f64 = 7.0;

/// Points of the history that an answer carries, for a chart.
const CHART_POINTS: usize = 300;

/// CPU at which clients may have been held back, percent (a design choice).
const SATURATED_PERCENT: f64 = 85.0;

/// Between these multiples of the peak it is searched what a shape carries, by so many halvings.
const CARRIED_TIMES: (f64, f64) = (1e-3, 1e4);
const CARRIED_HALVINGS: u32 = 40;

/// The cluster as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Current {
    pub broker_type: BrokerType,
    pub brokers: u32,
    /// Availability zones: the number of brokers is a multiple of it.
    pub zones: u32,
    /// The zones were not seen, and follow from the number of brokers.
    pub zones_assumed: bool,
    /// Clients authenticate by IAM, whose connections MSK limits.
    pub uses_iam: bool,
    /// Storage of one broker, GiB; `None` for Express.
    pub volume_gib: Option<u32>,
    /// Provisioned storage throughput of one broker, MiB/s; `None` where none is provisioned.
    pub volume_mib_per_s: Option<f64>,
    /// vCPUs that 100 % CPU stands for; the lab's T3 brokers have less than their type.
    pub vcpus: f64,
    /// When the present type began, ms since the epoch: earlier minutes do not describe its CPU.
    pub since_ms: Option<i64>,
}

/// What is asked of the shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub growth: Growth,
    pub survive: Survive,
    /// Highest CPU, percent, while what it has to survive is away.
    pub target_cpu: f64,
    /// Spans that do not count, such as a load test.
    pub exclude: Vec<Exclude>,
}

/// Load to plan for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Growth {
    /// So much above the peak that was seen.
    Percent(f64),
    /// As the trend of the daily peaks has it in [`growth::AHEAD_DAYS`] days; nothing where there is no trend.
    Auto,
}

/// What may be away while the rest carries the load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Survive {
    /// One broker: a rolling update
    #[default]
    Broker,
    /// One availability zone
    Zone,
    /// Nothing
    None,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Sizing {
    /// The present shape, judged like the others.
    pub current: Judged,
    /// What to do.
    pub advice: Advice,
    /// A row for each broker type: the cheapest count that fits, or why none does.
    pub shapes: Vec<Judged>,
    pub peak: Peak,
    pub certainty: Certainty,
    /// Load that was planned for, percent above the peak.
    pub growth_percent: f64,
    /// When limits are reached if the trend continues.
    pub forecast: Vec<Forecast>,
    /// What keeps the recommended shape from having fewer brokers.
    pub count_bound: String,
    /// The history, for a chart: maxima of equal spans, oldest first.
    pub history: Vec<Seen>,
}

/// The highest values of a span of the history.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Seen {
    /// The start of the span, ms since the epoch.
    pub at_ms: i64,
    /// From clients, bytes/s over all brokers.
    pub bytes_in_per_s: f64,
    /// To clients, likewise.
    pub bytes_out_per_s: f64,
    /// CPU of the busiest broker, percent; `None` where it does not describe the present type.
    pub cpu_percent: Option<f64>,
}

/// A cheaper shape that carries the load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Saving {
    pub shape: Shape,
    pub usd_per_month: f64,
    /// Of the present price, percent.
    pub percent: f64,
}

impl Question {
    /// As `kgen size` asks where nothing is said.
    pub fn usual() -> Question {
        Question { growth: Growth::Percent(0.0), survive: Survive::default(), target_cpu: 60.0, exclude: Vec::new() }
    }
}

impl Sizing {
    /// Whether this is the shape to change to.
    pub fn is_chosen(&self, judged: &Judged) -> bool {
        matches!(self.advice, Advice::Change { shape, .. } if shape == judged.shape)
    }

    /// Returns what the cluster could save, if it has been seen for [`LEAST_DAYS_FOR_SAVING`], the present shape fits, and the
    /// saving is worth a change.
    pub fn saving(&self) -> Option<Saving> {
        let Advice::Change { shape, saving_usd_per_month } = self.advice else { return None };
        let share = saving_usd_per_month / self.current.usd_per_month;
        let is_seen = self.certainty.days >= LEAST_DAYS_FOR_SAVING - 0.1
            && self.certainty.days_with_data as f64 >= LEAST_DAYS_FOR_SAVING;
        (is_seen && self.current.fits && share >= LEAST_SAVING).then_some(Saving {
            shape,
            usd_per_month: saving_usd_per_month,
            percent: share * 100.0,
        })
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Advice {
    /// The present shape fits, and no other is cheaper by [`LEAST_SAVING`].
    Keep,
    /// Change to this shape.
    Change { shape: Shape, saving_usd_per_month: f64 },
    /// No shape that this cluster can become fits.
    Nothing { reason: String },
}

/// How far the answer can be trusted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Certainty {
    /// Whether CPU is predicted from this cluster's minutes or from published figures.
    pub basis: Basis,
    /// Minutes that counted.
    pub minutes: usize,
    /// Days between the first and the last of them.
    pub days: f64,
    /// Days (UTC) that have any of them.
    pub days_with_data: usize,
    /// Half width of the interval around the predicted CPU of the recommended shape, percent of the prediction, 90 of 100.
    pub interval_percent: f64,
    /// Load of a broker in the recommended shape over the highest that was seen of one.
    pub extrapolation: f64,
    /// What to know before relying on it.
    pub notes: Vec<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum SizingError {
    #[error("the history holds no minute with traffic of every broker")]
    NoHistory,
    #[error("every minute of the history is excluded")]
    AllExcluded,
}

/// Answers `question` from `samples`, oldest first.
///
/// # Errors
/// There is nothing to answer from.
pub fn size(current: &Current, samples: &[Sample], question: &Question) -> Result<Sizing, SizingError> {
    let history = History::new(current, samples, &question.exclude)?;
    let model = Model::fit(current, &history);
    let growth_percent = match question.growth {
        Growth::Percent(percent) => percent,
        Growth::Auto => growth::percent(&history).unwrap_or_default(),
    };
    let judge = shape::Judge::new(current, &history, &model, question, growth_percent);
    let now = judge.judge(Shape { broker_type: current.broker_type, brokers: current.brokers });
    let shapes: Vec<Judged> = BrokerType::all().map(|broker_type| judge.best_of(broker_type)).collect();
    let advice = advice(&now, &shapes);
    let chosen = match &advice {
        Advice::Change { shape, .. } => shapes.iter().find(|judged| judged.shape == *shape).unwrap_or(&now),
        Advice::Keep | Advice::Nothing { .. } => &now,
    };
    let certainty = certainty(&history, &model, &judge, chosen);
    let forecast = growth::forecast(current, &history, question.target_cpu);
    let count_bound = judge.count_bound(chosen.shape);
    Ok(Sizing {
        advice,
        certainty,
        growth_percent,
        forecast,
        count_bound,
        history: chart(&history),
        peak: history.peak(),
        current: now,
        shapes,
    })
}

/// What a shape carries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Carried {
    /// Times the peak of the history.
    pub times_peak: f64,
    pub messages_per_s: f64,
    /// What keeps it from more.
    pub binding: Resource,
}

/// Returns the highest multiple of the peak that `shape` carries, by the same rules as [`size`], whatever the cluster may be
/// changed to.
///
/// # Errors
/// There is nothing to answer from.
pub fn carried(
    current: &Current,
    samples: &[Sample],
    shape: Shape,
    question: &Question,
) -> Result<Carried, SizingError> {
    let history = History::new(current, samples, &question.exclude)?;
    let model = Model::fit(current, &history);
    let fullest = |times: f64| {
        let judge = shape::Judge::new(current, &history, &model, question, (times - 1.0) * 100.0);
        let uses = judge.judge(shape).uses.into_iter().filter(|of| of.resource.follows_load());
        uses.max_by(|a, b| a.percent_after_loss.total_cmp(&b.percent_after_loss))
    };
    let (mut low, mut high) = CARRIED_TIMES;
    for _ in 0..CARRIED_HALVINGS {
        let middle = (low * high).sqrt();
        match fullest(middle) {
            Some(of) if of.percent_after_loss > 100.0 => high = middle,
            _ => low = middle,
        }
    }
    let binding = fullest(low).map(|of| of.resource).ok_or(SizingError::NoHistory)?;
    Ok(Carried { times_peak: low, messages_per_s: history.peak().messages_per_s * low, binding })
}

/// Maxima of at most [`CHART_POINTS`] equal spans.
fn chart(history: &History) -> Vec<Seen> {
    let (Some(first), Some(last)) = (history.seen.first(), history.seen.last()) else { return Vec::new() };
    let span_ms = ((last.at_ms - first.at_ms) / CHART_POINTS as i64 + 1).max(1);
    let of_span = |at_ms: i64| (at_ms - first.at_ms) / span_ms;
    let spans = history.seen.chunk_by(|a, b| of_span(a.at_ms) == of_span(b.at_ms));
    let seen = |minutes: &[history::Minute]| Seen {
        at_ms: first.at_ms + of_span(minutes[0].at_ms) * span_ms,
        bytes_in_per_s: minutes.iter().map(|minute| minute.total(|point| point.bytes_in)).fold(0.0, f64::max),
        bytes_out_per_s: minutes.iter().map(|minute| minute.total(|point| point.bytes_out)).fold(0.0, f64::max),
        cpu_percent: minutes.iter().filter_map(|minute| minute.cpu_percent).reduce(f64::max),
    };
    spans.map(seen).collect()
}

fn advice(now: &Judged, shapes: &[Judged]) -> Advice {
    let fitting = || shapes.iter().filter(|judged| judged.fits);
    let least = fitting().map(|judged| judged.usd_per_month).fold(f64::INFINITY, f64::min);
    // Of shapes that cost about the same, the smallest change: as many brokers, then the family that the type's larger sizes
    // are of.
    let change = |judged: &Judged| {
        let (from, to) = (now.shape.broker_type, judged.shape.broker_type);
        let leaves_family = to.family != from.family && !from.larger().contains(&to);
        (judged.shape.brokers != now.shape.brokers, leaves_family, judged.shape.brokers)
    };
    let cheapest = fitting()
        .filter(|judged| judged.usd_per_month <= least * SAME_PRICE)
        .min_by(|a, b| change(a).cmp(&change(b)).then(a.usd_per_month.total_cmp(&b.usd_per_month)));
    let Some(cheapest) = cheapest else {
        if now.fits {
            return Advice::Keep;
        }
        return Advice::Nothing { reason: "no shape that this cluster can become carries the load".to_owned() };
    };
    let saving = now.usd_per_month - cheapest.usd_per_month;
    if now.fits && (cheapest.shape == now.shape || saving < now.usd_per_month * LEAST_SAVING) {
        return Advice::Keep;
    }
    Advice::Change { shape: cheapest.shape, saving_usd_per_month: saving }
}

fn certainty(history: &History, model: &Model, judge: &shape::Judge, chosen: &Judged) -> Certainty {
    let extrapolation = judge.extrapolation(chosen.shape);
    let mut notes = history.notes();
    notes.extend(judge.notes(chosen));
    if extrapolation > 1.5 {
        notes.push(format!("the recommended brokers carry {extrapolation:.1} times the load that was seen of one"));
    }
    if history.peak().cpu_percent.is_some_and(|cpu| cpu >= SATURATED_PERCENT) {
        notes.push("the brokers were at their limit at the peak: the true demand may be higher".to_owned());
    }
    if history.days() < 7.0 {
        notes.push(format!("{:.1} days of history: a weekly peak may be missing", history.days()));
    }
    notes.extend(model.notes());
    Certainty {
        basis: model.basis(),
        minutes: history.minutes.len(),
        days: history.days(),
        days_with_data: history.days_with_data(),
        interval_percent: model.interval_percent(extrapolation),
        extrapolation,
        notes,
    }
}

#[cfg(test)]
mod tests;
