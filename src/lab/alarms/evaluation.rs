//! From the values of the last periods to a state, as CloudWatch documents it ("Evaluating an alarm", "Configuring how
//! CloudWatch alarms treat missing data").

use std::fmt;

use anyhow::bail;
use aws_sdk_cloudwatch::types::StateValue;

/// M of N: the alarm goes off when `datapoints_to_alarm` of the last `periods` breach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    pub periods: usize,
    pub datapoints_to_alarm: usize,
    pub threshold: f64,
    pub comparison: Comparison,
    pub missing: Missing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// What a period without data counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// `missing`: no data at all is insufficient data.
    Insufficient,
    Ignore,
    Breaching,
    NotBreaching,
}

/// Periods looked at beyond those evaluated, in case some of them have no data. CloudWatch's own number is not
/// documented; its examples have 5 for 3.
const EXTRA_PERIODS: usize = 2;

impl Rule {
    /// How many of the last periods are looked at.
    pub fn range(&self) -> usize {
        self.periods + EXTRA_PERIODS
    }

    /// The state after `values`, the oldest first; `current` is kept where missing data is to be ignored.
    pub fn state(&self, values: &[Option<f64>], current: &StateValue) -> StateValue {
        // The most recent that have data; what they lack of the periods is filled in by the treatment.
        let real: Vec<f64> = values.iter().rev().flatten().take(self.periods).copied().collect();
        let lacking = self.periods - real.len();
        let breaching = real.iter().filter(|value| self.breaches(**value)).count();
        if breaching >= self.datapoints_to_alarm {
            return StateValue::Alarm;
        }
        let cannot_alarm = breaching + lacking < self.datapoints_to_alarm;
        match self.missing {
            Missing::NotBreaching => StateValue::Ok,
            Missing::Breaching if cannot_alarm => StateValue::Ok,
            Missing::Breaching => StateValue::Alarm,
            Missing::Ignore if cannot_alarm => StateValue::Ok,
            Missing::Ignore => current.clone(),
            Missing::Insufficient if real.is_empty() => StateValue::InsufficientData,
            Missing::Insufficient if breaching == real.len() => StateValue::Alarm,
            Missing::Insufficient => StateValue::Ok,
        }
    }

    fn breaches(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::Greater => value > self.threshold,
            Comparison::GreaterOrEqual => value >= self.threshold,
            Comparison::Less => value < self.threshold,
            Comparison::LessOrEqual => value <= self.threshold,
        }
    }
}

impl Missing {
    /// # Errors
    /// A word that CloudWatch does not know.
    pub fn parse(word: &str) -> anyhow::Result<Missing> {
        Ok(match word {
            "missing" => Missing::Insufficient,
            "ignore" => Missing::Ignore,
            "breaching" => Missing::Breaching,
            "notBreaching" => Missing::NotBreaching,
            other => bail!("missing data cannot be treated as {other:?}"),
        })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `values`: X breaches, 0 does not, - is missing. `expected`: states for missing, ignore, breaching, notBreaching
    /// (A alarm, O ok, I insufficient data, R retained).
    fn check(m: usize, n: usize, values: &str, expected: &str) {
        let values: Vec<Option<f64>> = values
            .chars()
            .map(|c| match c {
                'X' => Some(9.0),
                '0' => Some(1.0),
                _ => None,
            })
            .collect();
        let retained = StateValue::from("RETAINED");
        for (missing, expected) in [Missing::Insufficient, Missing::Ignore, Missing::Breaching, Missing::NotBreaching]
            .into_iter()
            .zip(expected.chars())
        {
            let rule =
                Rule { periods: n, datapoints_to_alarm: m, threshold: 5.0, comparison: Comparison::Greater, missing };
            let state = match rule.state(&values, &retained) {
                StateValue::Alarm => 'A',
                StateValue::Ok => 'O',
                StateValue::InsufficientData => 'I',
                _ => 'R',
            };
            assert_eq!(state, expected, "{m} of {n}, {values:?}, {missing:?}");
        }
    }

    #[test]
    fn three_of_three() {
        check(3, 3, "0-X-X", "OOOO");
        check(3, 3, "0----", "OOOO");
        check(3, 3, "-----", "IRAO");
        check(3, 3, "0XX-X", "AAAA");
        check(3, 3, "--XX-", "ARAO");
        check(3, 3, "----X", "ARAO");
        check(3, 3, "00XXX", "AAAA");
        check(3, 3, "XXX00", "OOOO");
    }

    #[test]
    fn two_of_three() {
        check(2, 3, "0-X-X", "AAAA");
        check(2, 3, "00X0X", "AAAA");
        check(2, 3, "0-X--", "ORAO");
        check(2, 3, "----0", "ORAO");
    }

    #[test]
    fn a_threshold_counts_as_its_operator_says() {
        for (comparison, breaches) in [
            (Comparison::Greater, [false, false, true]),
            (Comparison::GreaterOrEqual, [false, true, true]),
            (Comparison::Less, [true, false, false]),
            (Comparison::LessOrEqual, [true, true, false]),
        ] {
            let rule =
                Rule { periods: 1, datapoints_to_alarm: 1, threshold: 5.0, comparison, missing: Missing::Insufficient };
            assert_eq!([4.0, 5.0, 6.0].map(|value| rule.breaches(value)), breaches, "{comparison}");
        }
    }
}
