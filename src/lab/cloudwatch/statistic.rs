//! How the values of a period become one.

use anyhow::bail;

/// A statistic of CloudWatch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Statistic {
    Average,
    Sum,
    Maximum,
    Minimum,
    SampleCount,
    /// `p99.9`: 0 to 100.
    Percentile(f64),
}

impl Statistic {
    /// # Errors
    /// Names the statistic: trimmed means and the like, which the lab does not compute.
    pub fn parse(name: &str) -> anyhow::Result<Statistic> {
        let percentile = |text: &str| text.parse().ok().filter(|p: &f64| (0.0..=100.0).contains(p));
        Ok(match name {
            "Average" => Statistic::Average,
            "Sum" => Statistic::Sum,
            "Maximum" => Statistic::Maximum,
            "Minimum" => Statistic::Minimum,
            "SampleCount" => Statistic::SampleCount,
            other => match other.strip_prefix('p').and_then(percentile) {
                Some(percentile) => Statistic::Percentile(percentile),
                None => bail!("the lab does not compute the statistic {other:?}"),
            },
        })
    }

    /// The statistic of `points`; nothing of none.
    pub fn of(self, points: &[f64]) -> Option<f64> {
        let sum: f64 = points.iter().sum();
        let count = points.len() as f64;
        Some(match self {
            _ if points.is_empty() => return None,
            Statistic::Average => sum / count,
            Statistic::Sum => sum,
            Statistic::Maximum => points.iter().copied().fold(f64::MIN, f64::max),
            Statistic::Minimum => points.iter().copied().fold(f64::MAX, f64::min),
            Statistic::SampleCount => count,
            Statistic::Percentile(percentile) => {
                let mut sorted = points.to_vec();
                sorted.sort_by(f64::total_cmp);
                let at = percentile / 100.0 * (count - 1.0);
                let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
                low + (high - low) * at.fract()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statistic_is_of_the_points_there_are() {
        for (name, value) in [
            ("Average", 2.0),
            ("Sum", 6.0),
            ("Maximum", 3.0),
            ("Minimum", 1.0),
            ("SampleCount", 3.0),
            ("p50", 2.0),
            ("p75", 2.5),
            ("p100", 3.0),
        ] {
            let statistic = Statistic::parse(name).unwrap();
            assert_eq!((statistic.of(&[1.0, 3.0, 2.0]), statistic.of(&[])), (Some(value), None), "{name}");
        }
        assert!(["tm90", "p101", "pp", "average", ""].iter().all(|name| Statistic::parse(name).is_err()));
    }
}
