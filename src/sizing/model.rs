//! CPU of a broker from what it carries: a power of a non-negative sum of bytes and records, fitted robustly to the cluster's own
//! minutes and held by published figures where the history cannot tell one kind of load from another.
//!
//! A power, since the same record takes less CPU the more of them there are: threads find more work each time they wake up, and
//! what it needs in the caches.

use serde::{Deserialize, Serialize};

use super::{
    Current,
    history::{History, Point},
};
use crate::statistics::{huber_weight, median, robust_deviation};

/// Base, bytes in, bytes out, bytes of replication in, messages.
const TERMS: usize = 5;

/// Bytes/s that one vCPU writes; a byte read costs a quarter of a byte written (Google Cloud, "Plan your Kafka cluster size").
const BYTES_A_VCPU: f64 = 20e6;
const READ_SHARE: f64 = 0.25;

/// vCPUs of an idle broker, and of one record; no figure is published, so the history decides early (a design choice).
const IDLE_VCPUS: f64 = 0.05;
const VCPUS_A_MESSAGE: f64 = 2e-6;

/// Elasticity of a broker's CPU to its load: the percentage that CPU grows by for one percent more load. No figure is published;
/// it is the one with which histories of the tuning workload of `kgen bench size` predict its capacity on other shapes best
/// (Kafka 4.3.1 in the lab).
const ELASTICITY: f64 = 0.74;

/// How certain that is, standard deviation: the lab's brokers are smaller than those of AWS. Longer histories decide for themselves.
const ELASTICITY_DEVIATION: f64 = 0.04;

/// What is tried: 0.4 to 1 (CPU in proportion to load), in twentieths.
const ELASTICITIES: std::ops::RangeInclusive<u32> = 8..=20;
const ELASTICITY_STEPS: f64 = 20.0;

/// Points that the elasticity is found with, at most; the others add little.
const MOST_POINTS: usize = 5_000;

/// Minutes of brokers that a fit needs.
const LEAST_POINTS: usize = 20;

/// The highest load has to be so many times the lowest for a history to say what load costs.
const LEAST_SPREAD: f64 = 1.5;

/// Where the figures of a prediction come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The cluster's own minutes.
    Measured,
    /// Its minutes, which vary too little to tell idle cost from load: published figures, scaled to them.
    Scaled,
    /// Published figures alone: no CPU was seen.
    Published,
}

#[derive(Debug)]
pub struct Model {
    curve: Curve,
    basis: Basis,
    /// 90 of 100 residuals are smaller, as a share of the prediction.
    residual: f64,
}

/// vCPUs against load.
#[derive(Debug, Clone, Copy)]
struct Curve {
    /// vCPUs a unit of each term, at `middle`.
    weights: [f64; TERMS],
    elasticity: f64,
    /// vCPUs at which the curve is as high as the sum of its terms.
    middle: f64,
}

impl Model {
    pub fn fit(current: &Current, history: &History) -> Model {
        let points = history.measured(LEAST_POINTS);
        let prior = prior();
        if points.is_empty() {
            return Model { curve: Curve::linear(prior), basis: Basis::Published, residual: 0.5 };
        }
        let loads = points.iter().map(|(point, _)| point.bytes_in + point.bytes_out + point.replication_in);
        let (low, high) = loads.fold((f64::MAX, 0.0_f64), |(low, high), load| (low.min(load), high.max(load)));
        let is_varied = points.len() >= LEAST_POINTS && high >= low * LEAST_SPREAD && high > 0.0;
        let curve = if is_varied {
            Curve::fitted(&points, readings(history, points.len()), prior)
        } else {
            Curve::linear(scaled(&points, prior))
        };
        let floor = 0.02 * current.vcpus;
        let mut shares: Vec<f64> =
            points.iter().map(|(point, vcpus)| (vcpus - curve.vcpus(point)).abs() / vcpus.max(floor)).collect();
        shares.sort_by(f64::total_cmp);
        let residual = shares[(shares.len() * 9 / 10).min(shares.len() - 1)];
        Model { curve, basis: if is_varied { Basis::Measured } else { Basis::Scaled }, residual }
    }

    /// vCPUs that `point` takes.
    pub fn vcpus(&self, point: &Point) -> f64 {
        self.curve.vcpus(point)
    }

    pub fn basis(&self) -> Basis {
        self.basis
    }

    /// Half width of the interval, percent of the prediction: the residuals, wider the further it is extrapolated, and never
    /// narrower than what the basis allows.
    pub fn interval_percent(&self, extrapolation: f64) -> f64 {
        let least: f64 = match self.basis {
            Basis::Measured => 0.05,
            Basis::Scaled => 0.25,
            Basis::Published => 0.50,
        };
        self.residual.max(least) * extrapolation.max(1.0) * 100.0
    }

    pub fn notes(&self) -> Vec<String> {
        match self.basis {
            Basis::Measured => Vec::new(),
            Basis::Scaled => vec![
                "the load varies too little to tell what load costs: published figures are scaled to this cluster"
                    .to_owned(),
            ],
            Basis::Published => vec!["no CPU was seen: published figures alone".to_owned()],
        }
    }
}

impl Curve {
    /// CPU in proportion to load.
    fn linear(weights: [f64; TERMS]) -> Curve {
        Curve { weights, elasticity: 1.0, middle: 1.0 }
    }

    /// The most probable elasticity, and the weights that fit best with it.
    fn fitted(points: &[(&Point, f64)], readings: f64, prior: [f64; TERMS]) -> Curve {
        let some: Vec<_> = points.iter().copied().step_by(points.len().div_ceil(MOST_POINTS).max(1)).collect();
        let tried = ELASTICITIES.map(|step| {
            let curve = Curve::with(f64::from(step) / ELASTICITY_STEPS, &some, readings, prior);
            (curve, curve.deviation(&some).max(1e-6))
        });
        let tried: Vec<(Curve, f64)> = tried.collect();
        let least = tried.iter().map(|(_, deviation)| *deviation).fold(f64::MAX, f64::min);
        // Each is as probable as its residuals are if they are normal, and as it was before anything was seen.
        let improbable = |(curve, deviation): &(Curve, f64)| {
            let of_points = readings * (deviation / least).powi(2);
            of_points + ((curve.elasticity - ELASTICITY) / ELASTICITY_DEVIATION).powi(2)
        };
        let best = tried.iter().min_by(|a, b| improbable(a).total_cmp(&improbable(b)));
        Curve::with(best.map_or(1.0, |(curve, _)| curve.elasticity), points, readings, prior)
    }

    /// The best curve of this elasticity: points that lie on one lie on a line once the curve is unbent.
    fn with(elasticity: f64, points: &[(&Point, f64)], readings: f64, prior: [f64; TERMS]) -> Curve {
        let middle =
            median(points.iter().map(|(_, vcpus)| *vcpus).collect()).filter(|vcpus| *vcpus > 0.0).unwrap_or(1.0);
        let unbent = |vcpus: f64| middle * (vcpus / middle).max(0.0).powf(1.0 / elasticity);
        // What an idle broker takes lies on the curve too.
        let [_, bytes_in, bytes_out, replication_in, messages] = scaled(points, prior);
        let prior = [unbent(prior[0]), bytes_in, bytes_out, replication_in, messages];
        let points: Vec<_> = points.iter().map(|(point, vcpus)| (*point, unbent(*vcpus))).collect();
        Curve { weights: fitted(&points, readings, prior), elasticity, middle }
    }

    fn vcpus(&self, point: &Point) -> f64 {
        self.middle * (vcpus_of(&self.weights, point) / self.middle).powf(self.elasticity)
    }

    /// Of the points from the curve, as a share of it.
    fn deviation(&self, points: &[(&Point, f64)]) -> f64 {
        let shares = points.iter().map(|(point, vcpus)| (vcpus / self.vcpus(point) - 1.0).abs());
        robust_deviation(shares.filter(|share| share.is_finite()).collect())
    }
}

/// How many readings `points` of the history are worth: what is seen of a broker within a minute is alike.
fn readings(history: &History, points: usize) -> f64 {
    points as f64 * history.minutes.len() as f64 / history.seen.len().max(1) as f64
}

/// What is published of Kafka's CPU, vCPUs a unit of each term.
fn prior() -> [f64; TERMS] {
    let write = 1.0 / BYTES_A_VCPU;
    // A byte replicated is written here and read at the leader.
    [IDLE_VCPUS, write, write * READ_SHARE, write * (1.0 + READ_SHARE), VCPUS_A_MESSAGE]
}

fn terms(point: &Point) -> [f64; TERMS] {
    [1.0, point.bytes_in, point.bytes_out, point.replication_in, point.messages]
}

fn vcpus_of(weights: &[f64; TERMS], point: &Point) -> f64 {
    terms(point).iter().zip(weights).map(|(term, weight)| term * weight).sum()
}

/// The prior, multiplied so that it passes through the middle of what was seen.
fn scaled(points: &[(&Point, f64)], prior: [f64; TERMS]) -> [f64; TERMS] {
    let ratios = points.iter().map(|(point, vcpus)| vcpus / vcpus_of(&prior, point));
    let ratio = median(ratios.filter(|ratio| ratio.is_finite()).collect()).unwrap_or(1.0);
    prior.map(|weight| weight * ratio)
}

/// Least squares with weights of Huber, each coefficient drawn to the (scaled) prior as a normal distribution around it would:
/// what the minutes decide they decide, and along what they leave open the published proportions hold.
fn fitted(points: &[(&Point, f64)], readings: f64, prior: [f64; TERMS]) -> [f64; TERMS] {
    let prior = scaled(points, prior);
    // Points that are alike decide as little as the readings that they are worth.
    let alike = (points.len() as f64 / readings.max(1.0)).max(1.0);
    let mut weights = prior;
    for _ in 0..8 {
        let residuals: Vec<f64> = points.iter().map(|(point, vcpus)| vcpus - vcpus_of(&weights, point)).collect();
        let deviation = robust_deviation(residuals.iter().map(|residual| residual.abs()).collect()).max(1e-6);
        let huber = residuals.iter().map(|residual| huber_weight(*residual, deviation));
        weights = solved(points, &huber.collect::<Vec<_>>(), prior, deviation * deviation * alike);
    }
    weights
}

/// Coordinate descent, each coefficient kept at zero or above.
fn solved(points: &[(&Point, f64)], counted: &[f64], prior: [f64; TERMS], variance: f64) -> [f64; TERMS] {
    let mut gram = [[0.0; TERMS]; TERMS];
    let mut moment = [0.0; TERMS];
    for ((point, vcpus), count) in points.iter().zip(counted) {
        let terms = terms(point);
        for (i, term) in terms.iter().enumerate() {
            moment[i] += count * term * vcpus;
            for (j, other) in terms.iter().enumerate() {
                gram[i][j] += count * term * other;
            }
        }
    }
    // A coefficient is as uncertain as it is large.
    let pull: [f64; TERMS] = prior.map(|mean| if mean > 0.0 { variance / (mean * mean) } else { 0.0 });
    let mut weights = prior;
    for _ in 0..2_000 {
        for i in 0..TERMS {
            let others: f64 = (0..TERMS).filter(|j| *j != i).map(|j| gram[i][j] * weights[j]).sum();
            let bend = gram[i][i] + pull[i];
            if bend > 0.0 {
                weights[i] = ((moment[i] + pull[i] * prior[i] - others) / bend).max(0.0);
            }
        }
    }
    weights
}
