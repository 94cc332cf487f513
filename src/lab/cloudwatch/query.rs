//! What an alarm looks at, and what GetMetricData asks for: a metric, or arithmetic on metrics.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use exmex::{Express, FlatEx};

use super::{SeriesId, Statistic, Store};

/// A value for each period.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    Metric(SeriesId, Statistic),
    /// An expression and what its names, in alphabetical order, stand for.
    Expression(String, Vec<(String, Query)>),
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
            .map_err(|error| anyhow::anyhow!("the lab does not compute the expression {text:?}: {error}"))?;
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

    /// Names of all that a resolved query is made of.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Query::Metric(..) => Vec::new(),
            Query::Expression(_, names) => {
                names.iter().flat_map(|(name, query)| [vec![name.as_str()], query.names()].concat()).collect()
            }
        }
    }

    /// The value of the period that begins at `from_ms`; `None` when a part of it has no data, or it is not a number.
    pub fn value(&self, series: &Store, from_ms: i64, period_ms: i64) -> Option<f64> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
            let value = Query::named(id, &all, 0).ok().map(|query| query.value(&Store::default(), 0, 60_000));
            assert_eq!(value, expected, "{id}");
        }
        assert!(Query::expression("SUM(METRICS())").is_err());
    }
}
