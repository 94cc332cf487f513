//! How large records are.

use std::{fmt, str::FromStr};

/// Bytes of a record's value, or how they are spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sizes {
    Fixed(usize),
    /// Evenly from the one to the other.
    Uniform(usize, usize),
    /// The normal distribution, cut off where a value can be no smaller.
    Normal {
        mean: f64,
        deviation: f64,
    },
}

/// The largest value, bytes: what a topic of MSK may be set to take at most is far below.
const LARGEST: usize = 64 << 20;

impl Sizes {
    /// The size that the share `quantile` (0 to 1) of the values does not exceed.
    pub fn at(self, quantile: f64) -> usize {
        match self {
            Sizes::Fixed(size) => size,
            Sizes::Uniform(from, to) => from + ((to - from + 1) as f64 * quantile.clamp(0.0, 1.0)) as usize,
            Sizes::Normal { mean, deviation } => (mean + deviation * normal(quantile)).round().max(0.0) as usize,
        }
    }

    /// The smallest size requested.
    pub fn smallest(self) -> usize {
        match self {
            Sizes::Fixed(size) | Sizes::Uniform(size, _) => size,
            Sizes::Normal { mean, .. } => mean as usize,
        }
    }

    pub fn mean(self) -> f64 {
        match self {
            Sizes::Fixed(size) => size as f64,
            Sizes::Uniform(from, to) => (from + to) as f64 / 2.0,
            Sizes::Normal { mean, .. } => mean,
        }
    }

    pub fn is_fixed(self) -> bool {
        matches!(self, Sizes::Fixed(_))
    }
}

/// The normal distribution's value at `quantile`, in standard deviations; exact to 0.00045 of them (Abramowitz and
/// Stegun, 26.2.23).
fn normal(quantile: f64) -> f64 {
    let tail = quantile.min(1.0 - quantile).max(1e-9);
    let t = (-2.0 * tail.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let value = t - above / below;
    if quantile < 0.5 { -value } else { value }
}

/// Reads `1024`, `uniform:100..2000` or `normal:1024:200` (mean and standard deviation).
impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a size: use bytes, uniform:100..2000 or normal:1024:200");
        let size = |text: &str| text.parse::<usize>().ok().filter(|size| *size <= LARGEST).ok_or_else(wrong);
        if let Some(range) = text.strip_prefix("uniform:") {
            let (from, to) = range.split_once("..").ok_or_else(wrong)?;
            let (from, to) = (size(from)?, size(to)?);
            if from <= to { Ok(Sizes::Uniform(from, to)) } else { Err(wrong()) }
        } else if let Some(shape) = text.strip_prefix("normal:") {
            let (mean, deviation) = shape.split_once(':').ok_or_else(wrong)?;
            Ok(Sizes::Normal { mean: size(mean)? as f64, deviation: size(deviation)? as f64 })
        } else {
            size(text).map(Sizes::Fixed)
        }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sizes::Fixed(size) => write!(f, "{size}"),
            Sizes::Uniform(from, to) => write!(f, "uniform:{from}..{to}"),
            Sizes::Normal { mean, deviation } => write!(f, "normal:{mean}:{deviation}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean and standard deviation of the sizes at 1000 quantiles.
    fn check(text: &str, mean: f64, deviation: f64) {
        let sizes: Sizes = text.parse().unwrap();
        assert_eq!(sizes.to_string(), text);
        let all: Vec<f64> = (0..1000).map(|k| sizes.at((f64::from(k) + 0.5) / 1000.0) as f64).collect();
        let found = all.iter().sum::<f64>() / 1000.0;
        let spread = (all.iter().map(|size| (size - found).powi(2)).sum::<f64>() / 1000.0).sqrt();
        assert!(
            (found - mean).abs() < mean / 100.0 && (spread - deviation).abs() <= deviation / 50.0,
            "{found} {spread}"
        );
        assert!((sizes.mean() - mean).abs() < 1.0);
        assert!(all.is_sorted());
    }

    #[test]
    fn sizes_are_spread_as_asked() {
        check("1024", 1024.0, 0.0);
        check("uniform:100..2000", 1050.0, 1901.0 / 12f64.sqrt());
        check("normal:1024:200", 1024.0, 200.0);
        let uniform: Sizes = "uniform:1..2".parse().unwrap();
        assert_eq!((uniform.at(0.0), uniform.at(0.49), uniform.at(0.51), uniform.at(0.999)), (1, 1, 2, 2));
    }

    #[test]
    fn a_wrong_size_is_refused() {
        for text in ["", "-1", "1k", "uniform:5", "uniform:9..1", "normal:100", "normal:100:-1", "999999999999"] {
            assert!(text.parse::<Sizes>().is_err(), "{text}");
        }
    }
}
