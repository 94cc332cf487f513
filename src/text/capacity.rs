//! The answer of `kgen capacity` for a person.

use super::headline;
use crate::{
    capacity::{Answer, Found, Held, Round, Trial},
    documents::Measured,
};

/// The answer, its limit and its spread.
pub fn answer(measured: &Measured) -> String {
    let mut lines: Vec<String> = measured.cluster.iter().map(headline).collect();
    match &measured.found {
        Found::Capacity(answer) => lines.extend(capacity(measured, answer)),
        Found::GeneratorBound { at_least_per_s } => lines.push(match at_least_per_s {
            Some(rate) => format!(
                "no capacity found: the load generator is the limit. The cluster carries {rate:.0} records/s at least \
                 (more --clients, or another machine, send more)"
            ),
            None => "no capacity found: the load generator was late at every rate (is this machine busy?)".to_owned(),
        }),
        Found::Nothing { reason } => lines.push(format!("no capacity found: {reason}")),
    }
    lines.push(format!("trials: {}; kgen report {}", measured.trials.len(), measured.run));
    lines.iter().map(|line| line.clone() + "\n").collect()
}

fn capacity(measured: &Measured, answer: &Answer) -> Vec<String> {
    let Round { acknowledged_per_s, bytes_per_s, cpu_percent, p99_ms } = answer.lowest;
    let mut lines = vec![format!(
        "capacity: {acknowledged_per_s:.0} records/s, {:.2} MB/s acknowledged (p99 {}, CPU of the busiest broker {})",
        bytes_per_s / 1e6,
        number(p99_ms, " ms"),
        number(cpu_percent, " %")
    )];
    lines.push(match (&answer.limit, answer.fails_at_per_s) {
        (Some(limit), Some(rate)) => format!("  limit, at {rate:.0} records/s: {limit}"),
        _ => "  limit: none was reached in the time".to_owned(),
    });
    let rounds: Vec<String> = answer.rounds.iter().map(|round| format!("{:.0}", round.acknowledged_per_s)).collect();
    lines.push(match rounds.len() {
        1 => "  one round: the spread from run to run is not known".to_owned(),
        _ => format!("  rounds: {} records/s, spread {:.1} %", rounds.join(", "), answer.spread_percent),
    });
    if let Some(usd) = measured.usd_per_mb_s_month {
        let scale = measured.cluster.as_ref().and_then(|cluster| cluster.lab_scale);
        let lab = scale.map(|scale| {
            format!("; the rate is that of the lab at scale 1:{scale}, so this compares types, and is no figure of AWS")
        });
        lines.push(format!("  USD {usd:.0} a month for each MB/s (brokers, us-east-1{})", lab.unwrap_or_default()));
    }
    lines
}

/// What came of a trial, in a line.
pub fn tried(trial: &Trial) -> String {
    let held = match trial.held() {
        Held::Yes => "holds".to_owned(),
        Held::No { limit, is_clear: true } => format!("fails: {limit}"),
        Held::No { limit, is_clear: false } => format!("may fail: {limit}"),
        Held::GeneratorBound => "the load generator was late: nothing is learnt".to_owned(),
    };
    format!(
        "{:.0} records/s: {:.0} acknowledged, p99 {}, CPU {}; {held}",
        trial.asked_per_s,
        trial.acknowledged_per_s,
        number(trial.p99_ms, " ms"),
        number(trial.cpu_percent, " %"),
    )
}

/// A figure, where it was seen.
fn number(value: Option<f64>, unit: &str) -> String {
    value.map_or("not seen".to_owned(), |value| format!("{value:.1}{unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{capacity::Limit, diagnose::Context};

    fn measured(found: Found) -> Measured {
        let cluster = Context {
            cluster: "orders".to_owned(),
            region: "us-west-2".to_owned(),
            broker_type: Some("kafka.m5.large".to_owned()),
            broker_count: 3,
            lab_scale: Some(10.0),
            ..Context::default()
        };
        Measured { cluster: Some(cluster), found, trials: Vec::new(), usd_per_mb_s_month: None, run: "r1".to_owned() }
    }

    #[test]
    fn the_answer_says_rate_limit_spread_and_scale() {
        let round = |acknowledged_per_s| Round {
            acknowledged_per_s,
            bytes_per_s: acknowledged_per_s * 1000.0,
            cpu_percent: Some(58.0),
            p99_ms: Some(12.0),
        };
        let answer = Answer {
            lowest: round(2000.0),
            rounds: vec![round(2000.0), round(2060.0)],
            spread_percent: 3.0,
            limit: Some(Limit::Cpu { percent: 63.0, allowed_percent: 60.0 }),
            fails_at_per_s: Some(2080.0),
        };
        let mut told = measured(Found::Capacity(answer));
        told.usd_per_mb_s_month = Some(229.95);
        let text = super::answer(&told);
        for expected in
            ["2000 records/s, 2.00 MB/s", "at 2080 records/s: CPU: 63 %", "spread 3.0 %", "USD 230", "scale 1:10"]
        {
            assert!(text.contains(expected), "no {expected}: {text}");
        }
    }

    #[test]
    fn a_generator_that_is_late_is_no_answer() {
        let told = measured(Found::GeneratorBound { at_least_per_s: Some(500.0) });
        assert!(answer(&told).contains("carries 500 records/s at least"));
        let told = measured(Found::Nothing { reason: "no trial was ended".to_owned() });
        assert!(answer(&told).contains("no capacity found: no trial was ended"));
    }
}
