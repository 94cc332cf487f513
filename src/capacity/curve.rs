//! CPU against rate, over all trials of a search: the rate at which CPU is what it may be, and how certain that is.
//!
//! CPU of one trial is a reading with noise, on a busy machine a tenth of it and more. What one trial says of a rate is therefore
//! little, and what all of them say together is much.

use super::trial::Trial;
use crate::statistics::{huber_weight, robust_deviation};

/// CPU grows with this power of the rate, before anything was seen, and the deviation of that. Less than 1: the more records there
/// are, the more of them each request has. Measured in the lab (docs/size.md); as wide as 1 (in proportion) needs it.
const POWER: f64 = 0.7;
const POWER_DEVIATION: f64 = 0.2;

/// What a cluster may have, whatever the trials say.
const POWERS: std::ops::RangeInclusive<f64> = 0.3..=1.3;

/// Deviation of the CPU of half a minute, a share, before anything was seen, and how many readings that is worth.
const NOISE: f64 = 0.05;
const NOISE_READINGS: f64 = 4.0;
const READING_S: f64 = 30.0;

/// Rates beyond this factor of the answer say little of the curve there, since it is none of one power all along.
const NEAR: f64 = 2.0;

#[derive(Debug, Clone, Default)]
pub struct Curve {
    points: Vec<Point>,
}

#[derive(Debug, Clone, Copy)]
struct Point {
    /// Logarithm of records/s, as acknowledged.
    rate: f64,
    /// Logarithm of percent of CPU.
    cpu: f64,
    /// In readings.
    weight: f64,
}

/// Where the curve is as high as CPU may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crossing {
    /// Records/s.
    pub per_s: f64,
    /// Standard error of it, a share.
    pub error: f64,
    /// CPU grows with this power of the rate.
    power: f64,
}

impl Curve {
    /// Adds a trial of `seconds`; false if it says nothing of the curve: no CPU was seen, or the brokers are at their end.
    pub fn add(&mut self, trial: &Trial, seconds: f64) -> bool {
        let per_s = trial.acknowledged_per_s.min(trial.asked_per_s);
        let cpu = trial.cpu_percent.filter(|cpu| *cpu > 0.1 && per_s > 0.0 && !trial.is_full());
        self.points.extend(cpu.map(|cpu| Point { rate: per_s.ln(), cpu: cpu.ln(), weight: seconds / READING_S }));
        cpu.is_some()
    }

    /// The rate at which CPU is `percent`; nothing where no CPU was seen.
    pub fn crossing(&self, percent: f64) -> Option<Crossing> {
        let all = self.fitted(&self.points, percent)?;
        let is_near = |point: &&Point| (point.rate - all.per_s.ln()).abs() < NEAR.ln();
        let near: Vec<Point> = self.points.iter().filter(is_near).copied().collect();
        self.fitted(&near, percent).or(Some(all))
    }

    /// The same by the last `count` trials alone, with the power of all.
    pub fn crossing_of_last(&self, count: usize, percent: f64) -> Option<f64> {
        let power = self.crossing(percent)?.power;
        let last = &self.points[self.points.len().saturating_sub(count)..];
        let (rate, cpu) = middle(last, &vec![1.0; last.len()])?;
        Some((rate + (percent.ln() - cpu) / power).exp())
    }

    fn fitted(&self, points: &[Point], percent: f64) -> Option<Crossing> {
        let mut counted = vec![1.0; points.len()];
        let (mut line, mut noise) = (None, NOISE);
        for _ in 0..5 {
            let (rate, cpu) = middle(points, &counted)?;
            let sum = |of: &dyn Fn(&Point) -> f64| -> f64 {
                points.iter().zip(&counted).map(|(point, count)| point.weight * count * of(point)).sum()
            };
            let (certain, before) = (1.0 / (noise * noise), 1.0 / (POWER_DEVIATION * POWER_DEVIATION));
            let bend = sum(&|point| (point.rate - rate).powi(2)) * certain + before;
            let moment = sum(&|point| (point.rate - rate) * (point.cpu - cpu)) * certain + POWER * before;
            let power = (moment / bend).clamp(*POWERS.start(), *POWERS.end());
            let residuals: Vec<f64> = points
                .iter()
                .map(|point| (point.cpu - cpu - power * (point.rate - rate)).abs() * point.weight.sqrt())
                .collect();
            let seen = robust_deviation(residuals.clone());
            let readings = points.len() as f64;
            noise = ((NOISE_READINGS * NOISE * NOISE + readings * seen * seen) / (NOISE_READINGS + readings)).sqrt();
            let (at, weight) = (rate + (percent.ln() - cpu) / power, sum(&|_| 1.0));
            let variance = noise * noise / weight + (at - rate).powi(2) / bend;
            line = Some(Crossing { per_s: at.exp(), error: variance.sqrt() / power, power });
            counted = residuals.iter().map(|residual| huber_weight(*residual, noise)).collect();
        }
        line
    }
}

impl Crossing {
    /// CPU at a rate, as a share of that at the crossing.
    pub fn share_at(&self, per_s: f64) -> f64 {
        (per_s / self.per_s).powf(self.power)
    }
}

/// Mean rate and CPU.
fn middle(points: &[Point], counted: &[f64]) -> Option<(f64, f64)> {
    let weight: f64 = points.iter().zip(counted).map(|(point, count)| point.weight * count).sum();
    let mean = |of: fn(&Point) -> f64| -> f64 {
        points.iter().zip(counted).map(|(point, count)| point.weight * count * of(point)).sum::<f64>() / weight
    };
    (weight > 0.0).then(|| (mean(|point| point.rate), mean(|point| point.cpu)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CPU is 60 % at 6,000 records/s.
    fn trial(per_s: f64, power: f64, noise: f64) -> Trial {
        let cpu = 60.0 * (per_s / 6000.0).powf(power) * noise;
        Trial { asked_per_s: per_s, acknowledged_per_s: per_s, cpu_percent: Some(cpu), ..Trial::default() }
    }

    fn curve(power: f64, trials: &[(f64, f64)]) -> Curve {
        let mut curve = Curve::default();
        for (per_s, noise) in trials {
            assert!(curve.add(&trial(*per_s, power, *noise), READING_S));
        }
        curve
    }

    #[test]
    fn the_rate_is_found_whatever_the_power_and_the_more_certainly_the_more_was_seen() {
        for power in [0.45, 0.7, 1.0] {
            let trials = [3000.0, 4500.0, 5600.0, 6100.0].map(|per_s| (per_s, 1.0));
            let few = curve(power, &trials).crossing(60.0).unwrap();
            assert!((few.per_s / 6000.0 - 1.0).abs() < 0.02, "{power}: {few:?}");
            let many = curve(power, &trials.repeat(4)).crossing(60.0).unwrap();
            assert!(many.error < few.error * 0.6, "{power}: {few:?} {many:?}");
        }
    }

    #[test]
    fn noise_evens_out_and_one_reading_that_is_far_off_has_no_part_in_it() {
        let wobbly = [(5000.0, 1.08), (5500.0, 0.93), (5800.0, 1.05), (6100.0, 0.94), (6000.0, 1.06), (6000.0, 0.94)];
        let found = curve(0.65, &wobbly).crossing(60.0).unwrap();
        assert!((found.per_s / 6000.0 - 1.0).abs() < 0.03, "{found:?}");
        let disturbed = [&wobbly[..], &[(6000.0, 1.5)]].concat();
        let found = curve(0.65, &disturbed).crossing(60.0).unwrap();
        assert!((found.per_s / 6000.0 - 1.0).abs() < 0.06, "{found:?}");
    }

    #[test]
    fn what_was_not_seen_and_brokers_at_their_end_say_nothing() {
        let mut curve = Curve::default();
        let good = trial(5000.0, 1.0, 1.0);
        for nothing in [
            Trial { cpu_percent: None, ..good.clone() },
            Trial { cpu_percent: Some(99.0), ..good.clone() },
            Trial { cpu_percent: Some(55.0), slowdown: Some(1.8), ..good.clone() },
            Trial { acknowledged_per_s: 0.0, ..good },
        ] {
            assert!(!curve.add(&nothing, READING_S), "{nothing:?}");
        }
        assert_eq!(curve.crossing(60.0), None);
        assert_eq!(curve.crossing_of_last(3, 60.0), None);
    }

    #[test]
    fn a_round_has_a_rate_of_its_own() {
        let of_round = [(5000.0, 1.0), (6000.0, 1.0), (6000.0, 1.1), (6000.0, 1.1)];
        let curve = curve(0.7, &of_round);
        let all = curve.crossing(60.0).unwrap().per_s;
        let last = curve.crossing_of_last(2, 60.0).unwrap();
        assert!(last < all && last < 5500.0, "{last} {all}");
    }
}
