//! The answer of `kgen size` for a person: what to do, what it costs and saves, and how certain that is, before the figures.

use comfy_table::{CellAlignment, Table};
use jiff::Timestamp;

use super::headline;
use crate::{
    documents::Sized,
    sizing::{Advice, Forecast, Judged, Question, Reaches, Resource, Sizing, Survive},
    visible,
};

/// Rows of shapes in the table, beside the present one: the answer is to fit on a screen.
const MOST_ROWS: usize = 5;

/// The answer, in the width of the terminal.
pub fn answer(sized: &Sized, question: &Question) -> String {
    let Sized { cluster: context, sizing, next, run } = sized;
    let mut lines = vec![headline(context), peak(sizing), String::new()];
    lines.extend(advice(sizing));
    lines.push(certainty(sizing));
    lines.extend(sizing.forecast.iter().map(|forecast| reaches(forecast, question)));
    if !next.is_empty() {
        lines.push("  next:".to_owned());
        lines.extend(next.iter().map(|command| format!("    {}", visible::line(command))));
    }
    lines.extend(sizing.certainty.notes.iter().map(|note| format!("  note: {}", visible::line(note))));
    lines.push(String::new());
    lines.push(format!("Percent of each limit at the peak{} (! is the nearest):", away(question)));
    lines.push(table(sizing).to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n"));
    let fitting = fitting(sizing).len();
    if fitting > MOST_ROWS {
        lines.push(format!("  {} more shapes fit and cost more (--json lists them)", fitting - MOST_ROWS));
    }
    let rejected = rejected(sizing);
    if !rejected.is_empty() {
        lines.push("Rejected:".to_owned());
        lines.extend(rejected);
    }
    let lab =
        if context.lab_scale.is_some() { " Traffic in the lab is smaller than on AWS, and so are they." } else { "" };
    lines.push(format!(
        "CPU (limit {} %) is predicted from this cluster's minutes; the rest is computed.{lab} Prices: brokers, us-east-1.",
        question.target_cpu
    ));
    lines.push(format!("The history as a chart, and every shape: kgen report {run}"));
    lines.iter().map(|line| wrapped(line) + "\n").collect()
}

/// A line in the width of the terminal; commands and the table as they are.
fn wrapped(line: &str) -> String {
    if line.starts_with("    ") || line.contains('\n') {
        return line.to_owned();
    }
    let indent = if line.starts_with("  ") { "    " } else { "" };
    textwrap::fill(line, textwrap::Options::with_termwidth().subsequent_indent(indent))
}

/// Shapes that do not fit, by what they lack; those of the other class of brokers have one reason.
fn rejected(sizing: &Sizing) -> Vec<String> {
    let is_express = sizing.current.shape.broker_type.is_express();
    let is_own_class = |judged: &&Judged| judged.shape.broker_type.is_express() == is_express;
    let rejected = || sizing.shapes.iter().filter(|judged| !judged.fits && judged.shape != sizing.current.shape);
    let over = |resource: Resource| {
        let of_resource = rejected().filter(is_own_class).filter(move |judged| judged.over == Some(resource));
        let shapes: Vec<String> = of_resource
            .map(|judged| format!("{} {:.0} %", judged.shape, judged.used(resource).unwrap_or_default()))
            .collect();
        (!shapes.is_empty()).then(|| format!("  {}: {}", resource.name(), shapes.join(", ")))
    };
    let mut lines: Vec<String> = Resource::ALL.into_iter().filter_map(over).collect();
    let refused = rejected().filter(is_own_class).filter(|judged| judged.over.is_none());
    lines.extend(refused.map(|judged| format!("  {}: {}", judged.shape, judged.reason.as_deref().unwrap_or_default())));
    let others = rejected().filter(|judged| !is_own_class(judged)).count();
    if others > 0 {
        let (other, this) = if is_express { ("Standard", "an Express") } else { ("Express", "a Standard") };
        lines.push(format!("  {other} ({others} types): {this} cluster does not become one by a change of type"));
    }
    lines
}

/// The shapes that fit, the cheapest first, without the present one.
fn fitting(sizing: &Sizing) -> Vec<&Judged> {
    let is_other = |judged: &&Judged| judged.fits && judged.shape != sizing.current.shape;
    let mut fitting: Vec<&Judged> = sizing.shapes.iter().filter(is_other).collect();
    fitting.sort_by(|a, b| a.usd_per_month.total_cmp(&b.usd_per_month));
    fitting
}

fn peak(sizing: &Sizing) -> String {
    let peak = &sizing.peak;
    let percent =
        |name: &str, value: Option<f64>| value.map(|value| format!(", {name} {value:.0} %")).unwrap_or_default();
    format!(
        "peak of {:.1} days: {:.1} MB/s in, {:.1} MB/s out, {:.0} records/s{}{}",
        sizing.certainty.days,
        peak.bytes_in_per_s / 1e6,
        peak.bytes_out_per_s / 1e6,
        peak.messages_per_s,
        percent("CPU", peak.cpu_percent),
        percent("disk", peak.disk_percent),
    )
}

fn advice(sizing: &Sizing) -> Vec<String> {
    let now = &sizing.current;
    match &sizing.advice {
        Advice::Keep => vec![
            format!("keep {}: it fits, and no other shape is cheaper by 10 %", now.shape),
            format!("  why not fewer brokers: {}", sizing.count_bound),
        ],
        Advice::Nothing { reason } => vec![format!("no recommendation: {reason}")],
        Advice::Change { shape, saving_usd_per_month } => {
            let cost = match *saving_usd_per_month {
                saving if saving >= 0.0 => {
                    format!("saves USD {saving:.0} a month ({:.0} %)", saving / now.usd_per_month * 100.0)
                }
                more => format!("costs USD {:.0} more a month", -more),
            };
            let mut lines = vec![format!("change {} to {shape}: {cost}", now.shape)];
            lines.extend(now.reason.as_ref().map(|reason| format!("  why: {reason}")));
            lines.push(format!("  why not fewer brokers: {}", sizing.count_bound));
            if shape.brokers < now.shape.brokers {
                lines.push(
                    "  before brokers are removed, move their partitions to the others (MSK refuses otherwise)"
                        .to_owned(),
                );
            }
            lines
        }
    }
}

fn certainty(sizing: &Sizing) -> String {
    let certainty = &sizing.certainty;
    format!(
        "  certainty: predicted CPU is right within ±{:.0} % in 9 of 10 cases ({} minutes)",
        certainty.interval_percent, certainty.minutes
    )
}

/// Such as `disk full in 57 days: 2027-01-26 (2027-01-10 to 2027-03-03), if the trend continues`.
fn reaches(forecast: &Forecast, question: &Question) -> String {
    let what = match forecast.what {
        Reaches::DiskFull => "disk full".to_owned(),
        Reaches::TargetCpu => format!("{} % CPU", question.target_cpu),
    };
    let date = |ms: i64| {
        Timestamp::from_millisecond(ms).map_or("unknown".to_owned(), |at| at.strftime("%Y-%m-%d").to_string())
    };
    let latest = forecast.latest_at_ms.map_or("more than a year".to_owned(), date);
    format!(
        "  {what} in {:.0} days: {} ({} to {latest}), if the trend continues",
        forecast.days,
        date(forecast.at_ms),
        date(forecast.earliest_at_ms)
    )
}

fn away(question: &Question) -> &'static str {
    match question.survive {
        Survive::Broker => " with one broker away",
        Survive::Zone => " with one zone away",
        Survive::None => "",
    }
}

/// The present shape and those that fit, the cheapest first.
fn table(sizing: &Sizing) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    let rows: Vec<&Judged> =
        std::iter::once(&sizing.current).chain(fitting(sizing).into_iter().take(MOST_ROWS)).collect();
    let is_seen = |resource: &Resource| rows.iter().any(|judged| judged.used(*resource).is_some());
    let columns: Vec<Resource> = Resource::ALL.into_iter().filter(is_seen).collect();
    let head = std::iter::once("").chain(columns.iter().map(|column| heading(*column))).chain(["USD/month", "change"]);
    table.set_header(head);
    for judged in rows {
        table.add_row(row(sizing, judged, &columns));
    }
    for column in table.column_iter_mut().skip(1) {
        // One space between two columns: all limits of a cluster with IAM clients fit in 80 columns.
        column.set_cell_alignment(CellAlignment::Right);
        column.set_padding((1, 0));
    }
    table
}

fn heading(resource: Resource) -> &'static str {
    match resource {
        Resource::Network => "net",
        Resource::Partitions => "parts",
        Resource::Connections => "conns",
        other => other.name(),
    }
}

fn row(sizing: &Sizing, judged: &Judged, columns: &[Resource]) -> Vec<String> {
    let mark = match judged {
        judged if judged.shape == sizing.current.shape => "now",
        judged if sizing.is_chosen(judged) => ">",
        _ => "",
    };
    let difference = judged.usd_per_month - sizing.current.usd_per_month;
    let difference = if difference == 0.0 { String::new() } else { format!("{difference:+.0}") };
    std::iter::once(format!("{mark:>3} {}", judged.shape))
        .chain(columns.iter().map(|column| judged.cell(*column)))
        .chain([format!("{:.0}", judged.usd_per_month), difference])
        .collect()
}
