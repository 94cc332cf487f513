//! Whether two series of per-second values differ, and by how much.
//!
//! Values of neighbouring seconds are alike (a queue that is long stays long for a while), so the usual interval for a
//! difference of means, which takes them for independent, would be far too narrow. Here whole stretches of a series are
//! drawn instead of single values: the circular block bootstrap of Politis and Romano (1992). How long the stretches are
//! follows from each series' own autocorrelation, by the rule of Politis and White (2004) as corrected by Patton,
//! Politis and White (2009). Nothing is assumed about the shape of the distribution, which latencies would not have.

use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde::Serialize;

/// The fewest values of a series that say anything about how they vary.
pub const FEWEST: usize = 10;
/// How often each series is drawn again: the ends of the interval then move by about 2 % of its width from seed to
/// seed.
const RESAMPLES: usize = 4000;
/// What the interval leaves out at each end.
const TAIL: f64 = 0.025;

/// Which direction is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// As for a latency.
    Lower,
    /// As for a throughput.
    Higher,
}

/// What a change comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Improved,
    /// The interval contains "no difference": none is shown, which does not prove that there is none.
    Unchanged,
    Worse,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Improved => "improved",
            Verdict::Unchanged => "unchanged",
            Verdict::Worse => "worse",
        }
    }
}

/// A value with the interval that contains the true value in 95 of 100 cases.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Estimate {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// How a mean changed between two series.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Change {
    /// Mean of the series before, in its own unit.
    pub before: f64,
    /// Mean of the series after.
    pub after: f64,
    /// After minus before.
    pub difference: Estimate,
    /// After over before; `None` when before is not well above zero.
    pub ratio: Option<Estimate>,
    pub verdict: Verdict,
}

/// `None` when there are no values.
pub fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.into_iter().fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// The middle value, or the mean of the two middle ones; `None` when there are no values.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

/// Standard deviation of what is normal, by the median of its absolute values: outliers have no part in it.
pub fn robust_deviation(absolute: Vec<f64>) -> f64 {
    median(absolute).unwrap_or_default() * 1.4826
}

/// Residuals beyond so many deviations count less (Huber's constant).
const HUBER: f64 = 1.345;

/// How much a residual counts in a robust fit, at most 1 (Huber's weights).
pub fn huber_weight(residual: f64, deviation: f64) -> f64 {
    (HUBER * deviation / residual.abs().max(1e-12)).min(1.0)
}

/// The change of the mean from `before` to `after`, values of successive seconds. The same seed gives the same interval.
///
/// Values that are not finite were not seen and are left out. Returns `None` when fewer than [`FEWEST`] are left of
/// either.
pub fn change(before: &[f64], after: &[f64], better: Better, seed: u64) -> Option<Change> {
    resampled(before, after, better, seed, RESAMPLES)
}

fn resampled(before: &[f64], after: &[f64], better: Better, seed: u64, times: usize) -> Option<Change> {
    let (before, after) = (Series::new(before)?, Series::new(after)?);
    let mut random = SmallRng::seed_from_u64(seed);
    let draws: Vec<(f64, f64)> =
        (0..times).map(|_| (before.drawn_mean(&mut random), after.drawn_mean(&mut random))).collect();
    let difference = estimate(after.mean - before.mean, draws.iter().map(|(before, after)| after - before));
    let positive = before.mean > 0.0 && draws.iter().all(|(before, _)| *before > 0.0);
    let ratio = positive.then(|| {
        let drawn = draws.iter().map(|(before, after)| after / before);
        estimate(after.mean / before.mean, drawn)
    });
    let verdict = match (difference.low > 0.0, difference.high < 0.0, better) {
        (true, _, Better::Higher) | (_, true, Better::Lower) => Verdict::Improved,
        (true, _, Better::Lower) | (_, true, Better::Higher) => Verdict::Worse,
        (false, false, _) => Verdict::Unchanged,
    };
    Some(Change { before: before.mean, after: after.mean, difference, ratio, verdict })
}

fn estimate(value: f64, drawn: impl Iterator<Item = f64>) -> Estimate {
    let mut drawn: Vec<f64> = drawn.collect();
    drawn.sort_by(f64::total_cmp);
    let at = |share: f64| drawn[((drawn.len() - 1) as f64 * share).round() as usize];
    Estimate { value, low: at(TAIL), high: at(1.0 - TAIL) }
}

/// A series that is long enough, ready to be drawn from.
struct Series {
    /// Sums of the first n values, of the series twice in a row: a block may run over the end into the beginning.
    sums: Vec<f64>,
    length: usize,
    block: usize,
    mean: f64,
}

impl Series {
    fn new(values: &[f64]) -> Option<Self> {
        let values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        if values.len() < FEWEST {
            return None;
        }
        let mut sums = vec![0.0];
        let mut sum = 0.0;
        for value in values.iter().chain(&values) {
            sum += value;
            sums.push(sum);
        }
        let (length, mean) = (values.len(), values.iter().sum::<f64>() / values.len() as f64);
        Some(Series { sums, length, block: block_length(&values, mean), mean })
    }

    /// The mean of a series of the same length made of blocks of this one.
    fn drawn_mean(&self, random: &mut SmallRng) -> f64 {
        let (mut sum, mut left) = (0.0, self.length);
        while left > 0 {
            let block = self.block.min(left);
            let from = random.random_range(0..self.length);
            sum += self.sums[from + block] - self.sums[from];
            left -= block;
        }
        // Blocks are drawn about the mean of this series, not about the true one, which makes them vary too little by a
        // factor of 1 - block/length.
        let widened = (1.0 / (1.0 - self.block as f64 / self.length as f64)).sqrt();
        self.mean + (sum / self.length as f64 - self.mean) * widened
    }
}

/// How long the blocks have to be, by the rule of Politis and White; 1 where neighbours are independent.
fn block_length(values: &[f64], mean: f64) -> usize {
    let n = values.len();
    let count = n as f64;
    let covariance = |lag: usize| -> f64 {
        let pairs = values.iter().zip(&values[lag..]);
        pairs.map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>() / count
    };
    let variance = covariance(0);
    if variance <= 0.0 {
        return 1;
    }
    // The lag after which a whole row of correlations is no longer told from zero.
    let row = 5.max(count.log10().sqrt().ceil() as usize);
    let most = (count.sqrt().ceil() as usize + row).min(n - 1);
    let insignificant = 2.0 * (count.log10() / count).sqrt();
    let correlations: Vec<f64> = (0..=most).map(|lag| covariance(lag) / variance).collect();
    let lag = (0..most).find(|lag| {
        let following = &correlations[lag + 1..(lag + 1 + row).min(most + 1)];
        following.iter().all(|correlation| correlation.abs() < insignificant)
    });
    let window = (2 * lag.unwrap_or(most)).clamp(1, most);
    let weight = |lag: usize| {
        let share = lag as f64 / window as f64;
        if share <= 0.5 { 1.0 } else { 2.0 * (1.0 - share) }
    };
    let mut spectrum = variance;
    let mut curvature = 0.0;
    for (lag, correlation) in correlations.iter().enumerate().take(window + 1).skip(1) {
        let weighted = 2.0 * weight(lag) * correlation * variance;
        spectrum += weighted;
        curvature += weighted * lag as f64;
    }
    let longest = (3.0 * count.sqrt()).min(count / 3.0).ceil();
    let best = (2.0 * curvature * curvature / (4.0 / 3.0 * spectrum * spectrum)).cbrt() * count.cbrt();
    // A spectrum of zero at frequency zero has no best length: NaN and infinity become the longest.
    if best.is_finite() { best.ceil().clamp(1.0, longest) as usize } else { longest as usize }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` values about `mean`, each like the one before it by `correlation`.
    fn series(n: usize, mean: f64, spread: f64, correlation: f64, seed: u64) -> Vec<f64> {
        let mut random = SmallRng::seed_from_u64(seed);
        // Twelve uniform draws make a normal one, near enough.
        let mut normal = || (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
        let mut now = normal();
        (0..n)
            .map(|_| {
                now = correlation * now + (1.0 - correlation * correlation).sqrt() * normal();
                mean + spread * now
            })
            .collect()
    }

    #[test]
    fn a_change_is_told_from_none() {
        let check = |before: f64, after: f64, correlation: f64, better: Better, expected: Verdict| {
            let (before, after) = (series(120, before, 10.0, correlation, 1), series(120, after, 10.0, correlation, 2));
            let change = change(&before, &after, better, 7).unwrap();
            assert_eq!(change.verdict, expected, "{change:?}");
            assert!(
                change.difference.low <= change.difference.value && change.difference.value <= change.difference.high
            );
        };
        check(100.0, 100.0, 0.0, Better::Lower, Verdict::Unchanged);
        check(100.0, 100.0, 0.8, Better::Lower, Verdict::Unchanged);
        check(100.0, 120.0, 0.0, Better::Lower, Verdict::Worse);
        check(100.0, 120.0, 0.0, Better::Higher, Verdict::Improved);
        check(100.0, 80.0, 0.5, Better::Lower, Verdict::Improved);
        check(100.0, 80.0, 0.5, Better::Higher, Verdict::Worse);
        // Three times the standard error of independent values: nothing, when neighbours are alike.
        check(100.0, 103.9, 0.95, Better::Lower, Verdict::Unchanged);
    }

    #[test]
    fn ratio_and_difference_are_those_of_the_means() {
        let change = change(&[2.0; 10], &[3.0; 12], Better::Lower, 1).unwrap();
        assert_eq!((change.before, change.after), (2.0, 3.0));
        assert_eq!(change.difference, Estimate { value: 1.0, low: 1.0, high: 1.0 });
        assert_eq!(change.ratio, Some(Estimate { value: 1.5, low: 1.5, high: 1.5 }));
        assert_eq!(change.verdict, Verdict::Worse);
    }

    #[test]
    fn what_says_nothing_gives_nothing() {
        assert_eq!(change(&[1.0; 9], &[1.0; 100], Better::Lower, 1), None);
        assert_eq!(change(&[1.0; 100], &[], Better::Lower, 1), None);
        let mut holes = vec![f64::NAN; 50];
        assert_eq!(change(&holes, &holes, Better::Lower, 1), None);
        holes.extend([1.0; 10]);
        assert_eq!(change(&holes, &holes, Better::Lower, 1).unwrap().verdict, Verdict::Unchanged);
        // No share of nothing.
        assert_eq!(change(&[0.0; 10], &[1.0; 10], Better::Lower, 1).unwrap().ratio, None);
    }

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let (before, after) = (series(60, 5.0, 1.0, 0.6, 1), series(60, 5.5, 1.0, 0.6, 2));
        assert_eq!(change(&before, &after, Better::Lower, 3), change(&before, &after, Better::Lower, 3));
        assert_ne!(change(&before, &after, Better::Lower, 3), change(&before, &after, Better::Lower, 4));
    }

    #[test]
    fn blocks_are_longer_where_neighbours_are_more_alike() {
        let length = |correlation| {
            let values = series(300, 0.0, 1.0, correlation, 5);
            block_length(&values, values.iter().sum::<f64>() / 300.0)
        };
        let (none, some, much) = (length(0.0), length(0.5), length(0.9));
        assert!(none <= 4 && none < some && some < much && much <= 52, "{none} {some} {much}");
    }

    #[test]
    fn an_interval_holds_the_truth_about_as_often_as_it_says() {
        // For independent values it would hold it in half of the cases at a correlation of 0.8: the variance of the
        // mean is (1 + 0.8)/(1 - 0.8) = 9 times theirs, and 1.96/3 standard errors hold 49 %.
        for (n, correlation, at_least) in [(60, 0.0, 90), (120, 0.5, 88), (240, 0.8, 85)] {
            let holds = |seed: u64| {
                let series = |seed| series(n, 50.0, 5.0, correlation, seed);
                let change = resampled(&series(2 * seed), &series(2 * seed + 1), Better::Lower, seed, 300).unwrap();
                change.verdict == Verdict::Unchanged
            };
            let covered = (0..100).filter(|seed| holds(*seed)).count();
            assert!(covered >= at_least, "{n} values, correlation {correlation}: {covered} %");
        }
    }
}
