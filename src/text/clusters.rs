//! The rows as text that fits the terminal.

use std::io::IsTerminal as _;

use crate::{catalogue::MonitoringLevel, diagnose::Verdict, watch::fleet::Row};

/// Columns where there is no terminal.
const WIDTH: usize = 80;

/// Columns that a verdict needs to stand in the row of its cluster; else it has a line of its own.
const VERDICT_WIDTH: usize = 40;

/// What a cell is cut to where nothing else helps.
const NARROWEST: usize = 8;

/// Columns between two cells.
const GAP: usize = 1;

/// Columns of the terminal, or of a page where there is none.
pub fn width() -> usize {
    let terminal = std::io::stdout().is_terminal().then(ratatui::crossterm::terminal::size);
    terminal.and_then(Result::ok).map_or(WIDTH, |(columns, _)| usize::from(columns).max(WIDTH / 2))
}

/// One column: its heading, and whether it holds numbers.
struct Column {
    heading: &'static str,
    is_number: bool,
    /// What it is cut to first where the row does not fit; numbers are never cut.
    enough: usize,
    cell: fn(&Row) -> String,
}

const fn text(heading: &'static str, enough: usize, cell: fn(&Row) -> String) -> Column {
    Column { heading, is_number: false, enough, cell }
}

const fn number(heading: &'static str, cell: fn(&Row) -> String) -> Column {
    Column { heading, is_number: true, enough: 0, cell }
}

const NAME: Column = text("cluster", 16, |row| row.name.clone());
const REGION: Column = text("region", 9, |row| row.region.clone());
const CALLER: Column = text("account", 8, |row| row.caller.clone().unwrap_or_else(|| "-".to_owned()));

const OTHERS: [Column; 8] = [
    text("brokers", 18, brokers),
    text("state", 8, |row| row.state.clone()),
    text("kafka", 5, |row| row.kafka_version.clone().unwrap_or_else(|| "-".to_owned())),
    text("level", 7, |row| level(row.monitoring_level).to_owned()),
    number("cpu", |row| percent(row.cpu_p95_percent)),
    number("disk", |row| percent(row.disk_p95_percent)),
    number("heap", |row| percent(row.heap_p95_percent)),
    number("USD/mo", |row| row.usd_per_month.map_or("-".to_owned(), |usd| format!("{usd:.0}"))),
];

/// The table for a person, at most `width` columns wide. Every text passes `shown` before it is measured.
pub fn lines(rows: &[Row], width: usize, shown: &dyn Fn(&str) -> String) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let columns = columns(rows);
    let heading: Vec<String> = columns.iter().map(|column| column.heading.to_owned()).collect();
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| columns.iter().map(|column| shown(&(column.cell)(row))).collect()).collect();
    let mut widths: Vec<usize> = (0..columns.len())
        .map(|at| cells.iter().chain([&heading]).map(|cells| cells[at].chars().count()).max().unwrap_or_default())
        .collect();
    shrink(&mut widths, &columns, width);
    let row_width = widths.iter().sum::<usize>() + GAP * (widths.len() - 1);
    let is_beside = row_width + 2 * GAP + VERDICT_WIDTH <= width;
    let mut lines = vec![laid_out(&heading, &widths, &columns, is_beside.then_some("verdict"), width)];
    for (row, cells) in rows.iter().zip(&cells) {
        let verdict = shown(&verdict(row));
        lines.push(laid_out(cells, &widths, &columns, is_beside.then_some(verdict.as_str()), width));
        if !is_beside {
            lines.push(cut(&format!("  {verdict}"), width));
        }
    }
    lines
}

/// Region and account only where they differ.
fn columns(rows: &[Row]) -> Vec<Column> {
    let mut columns = vec![NAME];
    if rows.iter().any(|row| row.region != rows[0].region) {
        columns.push(REGION);
    }
    if rows.iter().any(|row| row.caller != rows[0].caller) {
        columns.push(CALLER);
    }
    columns.extend(OTHERS);
    columns
}

/// Cuts the cell that is furthest above what is enough, until the row fits; then the widest.
fn shrink(widths: &mut [usize], columns: &[Column], width: usize) {
    while widths.iter().sum::<usize>() + GAP * (widths.len() - 1) > width {
        let texts = || (0..columns.len()).filter(|at| !columns[*at].is_number);
        let spare = |at: &usize| widths[*at].saturating_sub(columns[*at].enough);
        let most = texts().filter(|at| spare(at) > 0).max_by_key(spare);
        let cut = most.or_else(|| texts().filter(|at| widths[*at] > NARROWEST).max_by_key(|at| widths[*at]));
        let Some(cut) = cut else { return };
        widths[cut] -= 1;
    }
}

fn laid_out(cells: &[String], widths: &[usize], columns: &[Column], verdict: Option<&str>, width: usize) -> String {
    let padded = cells.iter().zip(widths).zip(columns).map(|((cell, width), column)| {
        let cell = cut(cell, *width);
        if column.is_number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
    });
    let row = padded.collect::<Vec<_>>().join(" ");
    let row = verdict.map_or_else(|| row.clone(), |verdict| format!("{row}  {verdict}"));
    cut(row.trim_end(), width)
}

/// `text` in at most `width` columns, with an ellipsis where something is left out.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

fn brokers(row: &Row) -> String {
    match &row.broker_type {
        Some(broker_type) => format!("{} x {}", row.broker_count, broker_type.trim_start_matches("kafka.")),
        None => row.kind.as_str().to_lowercase(),
    }
}

fn level(level: Option<MonitoringLevel>) -> &'static str {
    match level {
        Some(MonitoringLevel::Default) => "default",
        Some(MonitoringLevel::PerBroker) => "broker",
        Some(MonitoringLevel::PerTopicPerBroker) => "topic",
        Some(MonitoringLevel::PerTopicPerPartition) => "partition",
        None => "-",
    }
}

fn percent(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.0}%"))
}

fn verdict(row: &Row) -> String {
    match (&row.error, row.verdict, &row.finding) {
        (Some(error), ..) => format!("not read: {error}"),
        (None, Some(Verdict::Healthy), _) => match (row.causes_assessed, row.causes) {
            (Some(assessed), Some(causes)) => format!("healthy: {assessed} of {causes} causes assessed"),
            _ => "healthy".to_owned(),
        },
        (None, _, Some(top)) => format!("{}: {}", top.id, top.title),
        (None, _, None) => "inconclusive".to_owned(),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::{
        catalogue::ClusterKind,
        finding_id,
        watch::fleet::{Top, testing},
    };

    pub fn row(name: &str) -> Row {
        Row {
            verdict: Some(Verdict::Healthy),
            causes_assessed: Some(19),
            causes: Some(27),
            datapoints: 180,
            cpu_p95_percent: Some(41.2),
            disk_p95_percent: Some(8.0),
            usd_per_month: Some(459.9),
            ..testing::row(name)
        }
    }

    fn fleet() -> Vec<Row> {
        let top = |id: &str, title: &str| Some(Top { id: id.into(), title: title.into(), confidence: 0.9 });
        vec![
            Row {
                broker_type: Some("kafka.t3.small".to_owned()),
                verdict: Some(Verdict::CauseFound),
                finding: top(finding_id::BROKER_UNDERSIZED, "brokers 1, 2 and 3 use more CPU than their type sustains"),
                cpu_p95_percent: Some(97.4),
                usd_per_month: Some(99.9),
                ..row("orders")
            },
            Row { verdict: None, error: Some("ListNodes is not allowed".to_owned()), ..row("billing") },
            Row {
                broker_type: Some("express.m7g.16xlarge".to_owned()),
                broker_count: 30,
                kind: ClusterKind::Express,
                kafka_version: Some("3.9.x.kraft".to_owned()),
                state: "REBOOTING_BROKER".to_owned(),
                monitoring_level: Some(MonitoringLevel::PerTopicPerPartition),
                verdict: Some(Verdict::Inconclusive),
                finding: top(finding_id::INCONCLUSIVE_NO_DATA, "no datapoints"),
                usd_per_month: None,
                ..row("a-cluster-with-a-name-that-is-as-long-as-msk-allows-it-to-be-xx")
            },
            Row {
                broker_type: None,
                broker_count: 0,
                kind: ClusterKind::Serverless,
                kafka_version: None,
                monitoring_level: None,
                cpu_p95_percent: None,
                disk_p95_percent: None,
                usd_per_month: None,
                ..row("events")
            },
        ]
    }

    fn as_is(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn a_table_fits_80_columns() {
        insta::assert_snapshot!(lines(&fleet(), 80, &as_is).join("\n"));
    }

    #[test]
    fn a_wide_table_has_the_verdict_in_the_row() {
        let mut rows = fleet();
        rows[0].region = "eu-central-1".to_owned();
        rows[1].caller = Some("prod".to_owned());
        insta::assert_snapshot!(lines(&rows, 240, &as_is).join("\n"));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [40, 60, 80, 100, 132, 200] {
            for line in lines(&fleet(), width, &as_is) {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
        assert_eq!(lines(&[], 80, &as_is), [""; 0]);
    }

    #[test]
    fn what_is_hidden_is_hidden_before_it_is_cut() {
        let hide =
            |text: &str| text.replace("a-cluster-with-a-name-that-is-as-long-as-msk-allows-it-to-be-xx", "redacted-1");
        let table = lines(&fleet(), 80, &hide).join("\n");
        assert!(table.contains("redacted-1 ") && !table.contains("a-cluster"), "{table}");
    }
}
