//! The objectives of a run, and whether they were met.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{consumer::Consumed, latency::Quantiles, merge::Merged, pacer, producer::Summary};

/// One figure of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    Mean,
    P50,
    P90,
    P95,
    P99,
    P999,
    P9999,
    Max,
    /// Records that failed, or were due and never sent; of a consumer, damaged ones.
    Errors,
    /// Records/s acknowledged, or read.
    Rate,
    /// The most records that a consumer was behind.
    Lag,
}

/// Their names, in the order of the messages.
const NAMES: [(&str, Figure); 11] = [
    ("mean", Figure::Mean),
    ("p50", Figure::P50),
    ("p90", Figure::P90),
    ("p95", Figure::P95),
    ("p99", Figure::P99),
    ("p99.9", Figure::P999),
    ("p99.99", Figure::P9999),
    ("max", Figure::Max),
    ("errors", Figure::Errors),
    ("rate", Figure::Rate),
    ("lag", Figure::Lag),
];

/// A figure and its limit: at least for a rate, at most for all others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    pub figure: Figure,
    /// ms for times, a count, or records/s.
    pub limit: f64,
    /// The limit is a share of the records, 0 to 1.
    pub is_share: bool,
}

/// Objectives of a run, such as `p99=50ms,errors=0`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Slo(pub Vec<Objective>);

/// An objective and whether a run met it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Judged {
    /// As given: `p99=50ms`.
    pub objective: String,
    /// The measured value: ms for times, otherwise a count, a share (0 to 1) or records/s; `None` if nothing was
    /// measured, which counts as missed.
    pub reached: Option<f64>,
    pub limit: f64,
    pub kept: bool,
}

impl Figure {
    fn is_time(self) -> bool {
        !matches!(self, Figure::Errors | Figure::Rate | Figure::Lag)
    }

    fn of(self, times: Option<&Quantiles>) -> Option<f64> {
        let times = times?;
        Some(match self {
            Figure::Mean => times.mean_ms,
            Figure::P50 => times.p50_ms,
            Figure::P90 => times.p90_ms,
            Figure::P95 => times.p95_ms,
            Figure::P99 => times.p99_ms,
            Figure::P999 => times.p99_9_ms,
            Figure::P9999 => times.p99_99_ms,
            Figure::Max => times.max_ms,
            Figure::Errors | Figure::Rate | Figure::Lag => return None,
        })
    }
}

impl Slo {
    pub fn has(&self, figure: Figure) -> bool {
        self.0.iter().any(|objective| objective.figure == figure)
    }

    /// Holds a producer's run against the objectives. Times are response times, from due to acknowledged.
    pub fn judge_produced(&self, run: &Summary) -> Vec<Judged> {
        let errors = run.failed_total() + run.unsent + run.lost_track;
        self.judge_sent(errors, run.offered, run.rate_reached, run.response.as_ref())
    }

    /// As [`Slo::judge_produced`], for a load that several machines sent.
    pub fn judge_merged(&self, run: &Merged) -> Vec<Judged> {
        let errors = run.failed_total() + run.unsent + run.lost_track;
        self.judge_sent(errors, run.offered, run.rate_reached, run.response.as_ref())
    }

    fn judge_sent(&self, errors: u64, offered: u64, rate_reached: f64, response: Option<&Quantiles>) -> Vec<Judged> {
        self.judged(|figure| match figure {
            Figure::Errors => Some((errors as f64, offered)),
            Figure::Rate => Some((rate_reached, 0)),
            Figure::Lag => None,
            time => time.of(response).map(|ms| (ms, 0)),
        })
    }

    /// Holds a consumer's run against the objectives. Times are end to end, from due to read.
    pub fn judge_consumed(&self, run: &Consumed) -> Vec<Judged> {
        self.judged(|figure| match figure {
            Figure::Errors => Some((run.corrupted as f64, run.read)),
            Figure::Rate => Some((run.read_per_s, 0)),
            Figure::Lag => run.lag_max.map(|lag| (lag as f64, 0)),
            time => time.of(run.end_to_end.as_ref()).map(|ms| (ms, 0)),
        })
    }

    /// `reached` gives a figure's value and, for counts, of how many.
    fn judged(&self, reached: impl Fn(Figure) -> Option<(f64, u64)>) -> Vec<Judged> {
        let judge = |objective: &Objective| {
            let reached = reached(objective.figure).map(|(value, of)| {
                // Of no records, nothing is a share.
                if objective.is_share { value / of.max(1) as f64 } else { value }
            });
            let kept = reached.is_some_and(|reached| match objective.figure {
                Figure::Rate => reached >= objective.limit,
                _ => reached <= objective.limit,
            });
            Judged { objective: objective.to_string(), reached, limit: objective.limit, kept }
        };
        self.0.iter().map(judge).collect()
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, figure)| *figure == self.figure).map_or("", |(name, _)| *name);
        match self {
            Objective { is_share: true, limit, .. } => write!(f, "{name}={}%", limit * 100.0),
            Objective { figure, limit, .. } if figure.is_time() => write!(f, "{name}={limit}ms"),
            Objective { limit, .. } => write!(f, "{name}={limit}"),
        }
    }
}

/// Reads `p99=50ms,errors=0,rate=499`; a time without a unit is in seconds, `errors=0.1%` a share.
impl FromStr for Slo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(objective).collect::<Result<_, _>>().map(Slo)
    }
}

fn objective(text: &str) -> Result<Objective, String> {
    let names = || NAMES.map(|(name, _)| name).join(", ");
    let (name, limit) =
        text.split_once('=').ok_or_else(|| format!("`{text}` is not an objective: use NAME=LIMIT with {}", names()))?;
    let (_, figure) = NAMES
        .into_iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| format!("there is no figure `{name}`: use {}", names()))?;
    let number = |text: &str| {
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        number.ok_or_else(|| format!("`{text}` is not a limit for {name}"))
    };
    let (limit, is_share) = match limit.strip_suffix('%') {
        _ if figure.is_time() => (pacer::duration(limit)?.as_secs_f64() * 1000.0, false),
        Some(percent) if figure == Figure::Errors => (number(percent)? / 100.0, true),
        _ => (number(limit)?, false),
    };
    Ok(Objective { figure, limit, is_share })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The objectives in words, and which of them a run keeps: 1000 records, 2 of them failed, 499.5/s, p99 40 ms.
    fn check(text: &str, expected: &[(&str, bool)]) {
        let quantiles = Quantiles {
            mean_ms: 6.0,
            p50_ms: 5.0,
            p90_ms: 10.0,
            p95_ms: 20.0,
            p99_ms: 40.0,
            p99_9_ms: 80.0,
            p99_99_ms: 90.0,
            max_ms: 100.0,
        };
        let reached = |figure: Figure| match figure {
            Figure::Errors => Some((2.0, 1000)),
            Figure::Rate => Some((499.5, 0)),
            Figure::Lag => None,
            time => time.of(Some(&quantiles)).map(|ms| (ms, 0)),
        };
        let judged = text.parse::<Slo>().unwrap().judged(reached);
        let found: Vec<_> = judged.iter().map(|judged| (judged.objective.as_str(), judged.kept)).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn objectives_are_held_against_a_run() {
        check("p99=50ms", &[("p99=50ms", true)]);
        check("p99=40ms,p99.9=79.5ms", &[("p99=40ms", true), ("p99.9=79.5ms", false)]);
        check("max=1s,mean=5ms", &[("max=1000ms", true), ("mean=5ms", false)]);
        check(
            "errors=0,errors=2,errors=0.1%,errors=1%",
            &[("errors=0", false), ("errors=2", true), ("errors=0.1%", false), ("errors=1%", true)],
        );
        check("rate=499,rate=500", &[("rate=499", true), ("rate=500", false)]);
        // What was not measured is not kept.
        check("lag=1000000", &[("lag=1000000", false)]);
    }

    #[test]
    fn what_is_no_objective_is_refused() {
        for text in ["", "p99", "p98=5ms", "p99=fast", "rate=-1", "rate=50%", "errors=x", "p99=50ms,", "lag=NaN"] {
            assert!(text.parse::<Slo>().is_err(), "{text}");
        }
    }
}
