//! What an alarm looks at: a metric, or arithmetic on metrics.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use exmex::{Express, FlatEx};

use crate::lab::cloudwatch::{Series, SeriesKey};

/// A value for each period.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    Metric(SeriesKey, Statistic),
    /// An expression and what its names, in alphabetical order, stand for.
    Expression(String, Vec<(String, Query)>),
}

/// How the points of a period become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    Average,
    Sum,
    Maximum,
    Minimum,
    SampleCount,
}

/// Expressions that refer to expressions, at most.
const DEPTH_MAX: usize = 10;

impl Query {
    /// An expression whose names stand for nothing yet.
    ///
    /// # Errors
    /// It is not arithmetic (CloudWatch's functions are not known to the lab).
    pub fn expression(text: &str) -> anyhow::Result<Query> {
        let parsed = FlatEx::<f64>::parse(text)
            .map_err(|error| anyhow::anyhow!("the lab cannot work the expression {text:?}: {error}"))?;
        let unresolved = |name: &String| (name.clone(), Query::Expression(String::new(), Vec::new()));
        Ok(Query::Expression(text.to_owned(), parsed.var_names().iter().map(unresolved).collect()))
    }

    /// The query `id` of `all`, with the names in expressions replaced by what they stand for.
    ///
    /// # Errors
    /// A name that is no query, and expressions that refer to each other.
    pub fn named(id: &str, all: &BTreeMap<String, Query>, depth: usize) -> anyhow::Result<Query> {
        if depth > DEPTH_MAX {
            bail!("the expressions refer to each other");
        }
        match all.get(id).with_context(|| format!("there is no query {id}"))? {
            Query::Expression(text, names) => {
                let resolved = names.iter().map(|(name, _)| Ok((name.clone(), Query::named(name, all, depth + 1)?)));
                Ok(Query::Expression(text.clone(), resolved.collect::<anyhow::Result<_>>()?))
            }
            metric => Ok(metric.clone()),
        }
    }

    /// The value of the period that begins at `from_ms`; `None` when a part of it has no data, or it is no number.
    pub fn value(&self, series: &Series, from_ms: i64, period_ms: i64) -> Option<f64> {
        match self {
            Query::Metric(key, statistic) => statistic.of(&series.between(key, from_ms, from_ms + period_ms)),
            Query::Expression(text, names) => {
                let values: Option<Vec<f64>> =
                    names.iter().map(|(_, query)| query.value(series, from_ms, period_ms)).collect();
                let value = FlatEx::<f64>::parse(text).ok()?.eval(&values?).ok()?;
                value.is_finite().then_some(value)
            }
        }
    }
}

impl Statistic {
    /// # Errors
    /// Percentiles and the like, which the lab does not work.
    pub fn parse(name: &str) -> anyhow::Result<Statistic> {
        Ok(match name {
            "Average" => Statistic::Average,
            "Sum" => Statistic::Sum,
            "Maximum" => Statistic::Maximum,
            "Minimum" => Statistic::Minimum,
            "SampleCount" => Statistic::SampleCount,
            other => bail!("the lab does not work the statistic {other}"),
        })
    }

    fn of(self, points: &[f64]) -> Option<f64> {
        let sum: f64 = points.iter().sum();
        let count = points.len() as f64;
        Some(match self {
            _ if points.is_empty() => return None,
            Statistic::Average => sum / count,
            Statistic::Sum => sum,
            Statistic::Maximum => points.iter().copied().fold(f64::MIN, f64::max),
            Statistic::Minimum => points.iter().copied().fold(f64::MAX, f64::min),
            Statistic::SampleCount => count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statistic_is_of_the_points_there_are() {
        for (name, value) in [("Average", 2.0), ("Sum", 6.0), ("Maximum", 3.0), ("Minimum", 1.0), ("SampleCount", 3.0)]
        {
            let statistic = Statistic::parse(name).unwrap();
            assert_eq!((statistic.of(&[1.0, 3.0, 2.0]), statistic.of(&[])), (Some(value), None), "{name}");
        }
        assert!(Statistic::parse("p99").is_err());
    }

    #[test]
    fn arithmetic_on_metrics_is_worked() {
        let constant = |text: &str| Query::expression(text).unwrap();
        let all: BTreeMap<String, Query> = [
            ("m1".to_owned(), constant("30")),
            ("m2".to_owned(), constant("10")),
            ("share".to_owned(), constant("100 * m1 / (m1 + m2)")),
            ("over".to_owned(), constant("share - 5")),
            ("none".to_owned(), constant("m1 / (m2 - 10)")),
            ("loop".to_owned(), constant("loop + 1")),
            ("lost".to_owned(), constant("m1 + m9")),
        ]
        .into();
        for (id, expected) in [
            ("share", Some(Some(75.0))),
            ("over", Some(Some(70.0))),
            ("none", Some(None)),
            ("loop", None),
            ("lost", None),
        ] {
            let value = Query::named(id, &all, 0).ok().map(|query| query.value(&Series::default(), 0, 60_000));
            assert_eq!(value, expected, "{id}");
        }
        assert!(Query::expression("SUM(METRICS())").is_err());
    }
}
