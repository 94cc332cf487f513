//! CPU of a broker from what it carries: a non-negative linear model, fitted robustly to the cluster's own minutes and held by
//! published figures where the history cannot tell one kind of load from another.

use serde::{Deserialize, Serialize};

use super::{
    Current,
    history::{History, Point, median},
};

/// Base, bytes in, bytes out, bytes of replication in, messages.
const TERMS: usize = 5;

/// Bytes/s that one vCPU writes; a byte read costs a quarter of a byte written (Google Cloud, "Plan your Kafka cluster size").
const BYTES_A_VCPU: f64 = 20e6;
const READ_SHARE: f64 = 0.25;

/// vCPUs of an idle broker, and of one record; no figure is published, so the history decides early (a design choice).
const IDLE_VCPUS: f64 = 0.05;
const VCPUS_A_MESSAGE: f64 = 2e-6;

/// Minutes of brokers that a fit needs.
const LEAST_POINTS: usize = 20;

/// The highest load has to be so many times the lowest for a history to say what load costs.
const LEAST_SPREAD: f64 = 1.5;

/// Residuals beyond so many deviations count less (Huber's constant).
const HUBER: f64 = 1.345;

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
    /// vCPUs a unit of each term.
    weights: [f64; TERMS],
    basis: Basis,
    /// 90 of 100 residuals are smaller, as a share of the prediction.
    residual: f64,
}

impl Model {
    pub fn fit(current: &Current, history: &History) -> Model {
        let points = history.measured(LEAST_POINTS);
        let prior = prior();
        if points.is_empty() {
            return Model { weights: prior, basis: Basis::Published, residual: 0.5 };
        }
        let loads = points.iter().map(|(point, _)| point.bytes_in + point.bytes_out + point.replication_in);
        let (low, high) = loads.fold((f64::MAX, 0.0_f64), |(low, high), load| (low.min(load), high.max(load)));
        let is_varied = points.len() >= LEAST_POINTS && high >= low * LEAST_SPREAD && high > 0.0;
        let weights = if is_varied { fitted(&points, prior) } else { scaled(&points, prior) };
        let floor = 0.02 * current.vcpus;
        let mut shares: Vec<f64> =
            points.iter().map(|(point, vcpus)| (vcpus - vcpus_of(&weights, point)).abs() / vcpus.max(floor)).collect();
        shares.sort_by(f64::total_cmp);
        let residual = shares[(shares.len() * 9 / 10).min(shares.len() - 1)];
        Model { weights, basis: if is_varied { Basis::Measured } else { Basis::Scaled }, residual }
    }

    /// vCPUs that `point` takes.
    pub fn vcpus(&self, point: &Point) -> f64 {
        vcpus_of(&self.weights, point)
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
fn fitted(points: &[(&Point, f64)], prior: [f64; TERMS]) -> [f64; TERMS] {
    let prior = scaled(points, prior);
    let mut weights = prior;
    for _ in 0..8 {
        let residuals: Vec<f64> = points.iter().map(|(point, vcpus)| vcpus - vcpus_of(&weights, point)).collect();
        let deviation = median(residuals.iter().map(|residual| residual.abs()).collect()).unwrap_or_default() * 1.4826;
        let deviation = deviation.max(1e-6);
        let huber = residuals.iter().map(|residual| (HUBER * deviation / residual.abs().max(1e-12)).min(1.0));
        weights = solved(points, &huber.collect::<Vec<_>>(), prior, deviation * deviation);
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
