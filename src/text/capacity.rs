//! The answer of `kgen capacity` for a person.

use comfy_table::{CellAlignment, Table};

use super::headline;
use crate::{
    capacity::{Answer, Found, Held, Limit, Round, Trial},
    documents::{Measured, Searched},
};

/// Slowdown of the machine that a trial's line has: this far from none.
const WORTH_SAYING: f64 = 0.1;

/// The answer, its limit and its spread; for several broker types that of each, and a table.
pub fn answer(measured: &Measured) -> String {
    let mut lines = Vec::new();
    for searched in measured.searches() {
        lines.extend(searched.cluster.iter().map(headline));
        lines.extend(one(searched));
    }
    let trials: usize = measured.searches().map(|searched| searched.trials.len()).sum();
    lines.push(format!("trials: {trials}; kgen report {}", measured.run));
    if !measured.against.is_empty() {
        lines.push(String::new());
        lines.extend(table(measured).to_string().lines().map(|line| line.trim_end().to_owned()));
        lines.push(footnote(measured));
    }
    lines.iter().map(|line| line.clone() + "\n").collect()
}

/// What came of one search, in a line.
pub fn found(searched: &Searched) -> String {
    one(searched).swap_remove(0)
}

fn one(searched: &Searched) -> Vec<String> {
    match &searched.found {
        Found::Capacity(answer) => capacity(searched, answer),
        Found::GeneratorBound { at_least_per_s } => vec![match at_least_per_s {
            Some(rate) => format!(
                "no capacity found: the load generator is the limit. The cluster carries {rate:.0} records/s at least \
                 (more --clients, or another machine, send more)"
            ),
            None => "no capacity found: the load generator was late at every rate (is this machine busy?)".to_owned(),
        }],
        Found::Nothing { reason } => vec![format!("no capacity found: {reason}")],
    }
}

fn capacity(searched: &Searched, answer: &Answer) -> Vec<String> {
    let Round { acknowledged_per_s, bytes_per_s, cpu_percent, p99_ms } = answer.carried;
    let mut lines = vec![format!(
        "capacity: {acknowledged_per_s:.0} records/s, {:.2} MB/s acknowledged (p99 {}, CPU of the busiest broker {})",
        bytes_per_s / 1e6,
        number(p99_ms, " ms"),
        number(cpu_percent, " %")
    )];
    lines.push(match (&answer.limit, answer.fails_at_per_s) {
        (Some(limit @ Limit::Cpu { .. }), _) | (Some(limit), None) => format!("  limit: {limit}"),
        (Some(limit), Some(rate)) => format!("  limit, at {rate:.0} records/s: {limit}"),
        (None, _) => "  limit: none was reached in the time".to_owned(),
    });
    lines.push(match answer.rounds.len() {
        1 => "  one round: the spread from run to run is not known".to_owned(),
        rounds => format!("  rounds: {rounds}, whose own answers differ by {:.1} %", answer.spread_percent),
    });
    if let Some(usd) = searched.usd_per_mb_s_month {
        let scale = searched.cluster.as_ref().and_then(|cluster| cluster.lab_scale);
        let lab = scale.map(|scale| {
            format!("; the rate is that of the lab at scale 1:{scale}, so this compares types, and is no figure of AWS")
        });
        lines.push(format!("  USD {usd:.0} a month for each MB/s (brokers, us-east-1{})", lab.unwrap_or_default()));
    }
    lines
}

/// A row for each broker type, in the order in which they were searched.
fn table(measured: &Measured) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["type", "records/s", "MB/s", "USD/month", "USD per MB/s-month", "limit"]);
    for searched in measured.searches() {
        table.add_row(row(searched));
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if i == 0 { 0 } else { 2 }, 0));
        if (1..=4).contains(&i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn row(searched: &Searched) -> [String; 6] {
    let nothing = || "-".to_owned();
    let shown = |value: Option<f64>, digits: usize| value.map_or_else(nothing, |value| format!("{value:.digits$}"));
    let (carried, limit) = match &searched.found {
        Found::Capacity(Answer { carried, limit, .. }) => {
            (Some(carried), limit.as_ref().map_or("none was reached".to_owned(), ToString::to_string))
        }
        Found::GeneratorBound { at_least_per_s: Some(rate) } => {
            (None, format!("the load generator, at {rate:.0} records/s or more"))
        }
        Found::GeneratorBound { at_least_per_s: None } => (None, "the load generator".to_owned()),
        Found::Nothing { reason } => (None, reason.clone()),
    };
    [
        searched.cluster.as_ref().and_then(|cluster| cluster.broker_type.clone()).unwrap_or_else(nothing),
        shown(carried.map(|round| round.acknowledged_per_s), 0),
        shown(carried.map(|round| round.bytes_per_s / 1e6), 2),
        shown(searched.usd_per_month, 0),
        shown(searched.usd_per_mb_s_month, 0),
        limit,
    ]
}

/// What the prices are, and by how much the lab's brokers are smaller.
fn footnote(measured: &Measured) -> String {
    let scale = measured.searches().find_map(|searched| searched.cluster.as_ref()?.lab_scale);
    let lab = scale.map(|scale| {
        format!(" The rates are those of the lab at scale 1:{scale}: they compare types, and are no figures of AWS.")
    });
    format!("Prices: list prices of the brokers, us-east-1.{}", lab.unwrap_or_default())
}

/// What came of a trial, in a line.
pub fn tried(trial: &Trial) -> String {
    let held = match trial.held() {
        Held::Yes => "holds".to_owned(),
        Held::No { limit, is_clear: true } => format!("fails: {limit}"),
        Held::No { limit, is_clear: false } => format!("may fail: {limit}"),
        Held::GeneratorBound => "the load generator was late: nothing is learnt".to_owned(),
    };
    let slowed = trial.slowdown.filter(|slowdown| (slowdown - 1.0).abs() >= WORTH_SAYING).map(|slowdown| {
        format!(
            " (corrected: brokers took {slowdown:.2} times the CPU that the same work usually takes on this machine)"
        )
    });
    format!(
        "{:.0} records/s: {:.0} acknowledged, p99 {}, CPU {}{}; {held}",
        trial.asked_per_s,
        trial.acknowledged_per_s,
        number(trial.p99_ms, " ms"),
        number(trial.cpu_percent, " %"),
        slowed.unwrap_or_default(),
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

    fn searched(broker_type: &str, found: Found) -> Searched {
        let cluster = Context {
            cluster: "orders".to_owned(),
            region: "us-west-2".to_owned(),
            broker_type: Some(broker_type.to_owned()),
            broker_count: 3,
            lab_scale: Some(10.0),
            ..Context::default()
        };
        let (cluster, trials) = (Some(cluster), Vec::new());
        Searched { cluster, found, trials, usd_per_mb_s_month: None, usd_per_month: None }
    }

    fn measured(found: Found) -> Measured {
        Measured { searched: searched("kafka.m5.large", found), run: "r1".to_owned(), against: Vec::new() }
    }

    fn answered(rate: f64) -> Found {
        let round = |acknowledged_per_s| Round {
            acknowledged_per_s,
            bytes_per_s: acknowledged_per_s * 1000.0,
            cpu_percent: Some(58.0),
            p99_ms: Some(12.0),
        };
        Found::Capacity(Answer {
            carried: round(rate),
            rounds: vec![round(rate), round(rate * 1.03)],
            spread_percent: 3.0,
            limit: Some(Limit::Cpu { percent: 60.0, allowed_percent: 60.0 }),
            fails_at_per_s: Some(rate * 1.04),
        })
    }

    #[test]
    fn the_answer_says_rate_limit_spread_and_scale() {
        let mut told = measured(answered(2000.0));
        told.searched.usd_per_mb_s_month = Some(229.95);
        let text = super::answer(&told);
        for expected in [
            "2000 records/s, 2.00 MB/s",
            "limit: CPU: 60 %",
            "rounds: 2, whose own answers differ by 3.0 %",
            "USD 230",
            "scale 1:10",
        ] {
            assert!(text.contains(expected), "no {expected}: {text}");
        }
        assert!(!text.contains("USD/month"), "a table of one type: {text}");
    }

    #[test]
    fn types_are_compared_in_a_table() {
        let mut told = measured(answered(2000.0));
        (told.searched.usd_per_month, told.searched.usd_per_mb_s_month) = (Some(459.9), Some(229.95));
        let mut twice = searched("kafka.m5.xlarge", answered(4100.0));
        (twice.usd_per_month, twice.usd_per_mb_s_month) = (Some(919.8), Some(224.34));
        let late = Found::GeneratorBound { at_least_per_s: Some(5000.0) };
        told.against = vec![twice, searched("kafka.m7g.large", late)];
        let text = super::answer(&told);
        let (_, table) = text.split_once("\n\n").unwrap();
        insta::assert_snapshot!(table);
        assert_eq!(text.matches("cluster orders").count(), 3);
    }

    #[test]
    fn a_generator_that_is_late_is_no_answer() {
        let told = measured(Found::GeneratorBound { at_least_per_s: Some(500.0) });
        assert!(answer(&told).contains("carries 500 records/s at least"));
        let told = measured(Found::Nothing { reason: "no trial was ended".to_owned() });
        assert!(answer(&told).contains("no capacity found: no trial was ended"));
        assert_eq!(found(&told.searched), "no capacity found: no trial was ended");
    }
}
