//! `kgen size`: the cheapest broker type and count that carry a cluster's load.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use comfy_table::{CellAlignment, Table};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    documents::{self, Document},
    look::{headline, open_named, recorded, runtime},
    working_dir::{confirmed, ensure_confirmable},
};
use crate::{
    cli::{Look, Outcome, Size, SourceChoice, refused},
    diagnose::Context,
    metrics::Source,
    process::shell_word,
    project::Project,
    sample::Sample,
    sizing::{Advice, Current, Judged, Question, Reaches, Resource, Shape, Sizing, size},
    visible,
};

/// A read that costs more is only made after asking, USD.
const ASK_ABOVE_USD: f64 = 1.0;

/// Rows of shapes in the table.
const MOST_ROWS: usize = 8;

/// `kgen size --json`.
#[derive(Serialize, JsonSchema)]
pub struct Sized {
    cluster: Context,
    #[serde(flatten)]
    sizing: Sizing,
    /// Commands that carry out the advice, in order.
    next: Vec<String>,
}

impl Document for Sized {
    const SCHEMA: &'static str = "kgen.size/1";
}

pub fn run(args: &Size, project: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    let (context, samples) = match &args.from {
        Some(file) => recorded(file)?,
        None => runtime()?.block_on(history(args, &project))?,
    };
    let current = current(&context).map_err(refused)?;
    let question = Question {
        growth: args.growth,
        survive: args.survive,
        target_cpu: f64::from(args.target_cpu),
        exclude: args.exclude.clone(),
    };
    let sizing = match size(&current, &samples, &question) {
        Ok(sizing) => sizing,
        Err(error) => {
            eprintln!("error: {}: {error}", headline(&context));
            return Ok(Outcome::Inconclusive);
        }
    };
    let is_own = args.from.is_none() && args.which.cluster.is_none()
        || project.kgen_toml().exists() && context.cluster == project.stack().cluster().name;
    let next = next(args, &context, &sizing, is_own);
    let outcome = match sizing.advice {
        Advice::Keep => Outcome::Done,
        Advice::Change { .. } => Outcome::Unhealthy,
        Advice::Nothing { .. } => Outcome::Inconclusive,
    };
    if args.json {
        documents::print(Sized { cluster: context, sizing, next })?;
    } else {
        print!("{}", text(&context, &sizing, &question, &next));
    }
    Ok(outcome)
}

/// The minutes of the last days, from CloudWatch.
async fn history(args: &Size, project: &Project) -> anyhow::Result<(Context, Vec<Sample>)> {
    let look = Look {
        cluster: args.which.cluster.clone(),
        region: args.which.region.clone(),
        source: SourceChoice::Cloudwatch,
        ..Look::default()
    };
    let (opened, _) = open_named(&look, project).await?;
    let Source::CloudWatch(mut source) = opened.source else {
        return Err(anyhow!("CloudWatch was asked for, and another source was opened"));
    };
    let now = Timestamp::now().as_millisecond();
    let from = now - i64::from(args.days) * 86_400_000;
    let requests = source.requests(from, now);
    eprintln!(
        "reading {} days of {} from CloudWatch: {} metrics, USD {:.3}",
        args.days,
        headline(&opened.context),
        requests.metrics,
        requests.usd()
    );
    if requests.usd() > ASK_ABOVE_USD {
        ensure_confirmable(args.yes, "size")?;
        if !args.yes && !confirmed(&format!("Read CloudWatch for USD {:.2}?", requests.usd()))? {
            return Err(refused(anyhow!("nothing was read")));
        }
    }
    // Never more than what was shown.
    source.set_limit_usd(Some(requests.usd()));
    let samples = source.between(from, now).await.context("reading CloudWatch")?;
    Ok((opened.context, samples))
}

/// The cluster as the model needs it.
fn current(context: &Context) -> anyhow::Result<Current> {
    let broker_type = context.known_type().with_context(|| {
        let known = context.broker_type.as_deref().unwrap_or("unknown");
        format!(
            "the brokers of {} are {}, a type that the catalogue does not have",
            visible::line(&context.cluster),
            visible::line(known)
        )
    })?;
    let in_lab = context.lab_scale.is_some();
    Ok(Current {
        broker_type,
        brokers: context.broker_count,
        // MSK has brokers in two or three zones, as many in each.
        zones: if context.broker_count.is_multiple_of(3) { 3 } else { 2 },
        volume_gib: context.volume_gib,
        volume_mib_per_s: None,
        // A T3 broker of the lab has its baseline alone.
        vcpus: if in_lab { broker_type.sustained_vcpus() } else { f64::from(broker_type.vcpus) },
        since_ms: None,
    })
}

/// What carries out the advice.
fn next(args: &Size, context: &Context, sizing: &Sizing, is_own: bool) -> Vec<String> {
    let Advice::Change { shape, .. } = &sizing.advice else { return Vec::new() };
    let now = sizing.current.shape;
    let mut commands = Vec::new();
    let arn = context.arn.as_deref().map_or("ARN".to_owned(), shell_word);
    let region = shell_word(&context.region);
    let aws = |command: &str, option: String| {
        format!(
            "aws kafka {command} --cluster-arn {arn} --current-version \"$(aws kafka describe-cluster-v2 --cluster-arn {arn} \
             --query ClusterInfo.CurrentVersion --output text --region {region})\" {option} --region {region}"
        )
    };
    if shape.broker_type != now.broker_type {
        commands.push(match &args.dir {
            Some(dir) => format!("kgen resize {} --dir {}", shape.broker_type, shell_word(&dir.to_string_lossy())),
            None if is_own => format!("kgen resize {}", shape.broker_type),
            None => aws("update-broker-type", format!("--target-instance-type {}", shape.broker_type)),
        });
    }
    if shape.brokers > now.brokers {
        commands.push(match is_own && args.dir.is_none() {
            true => format!("kgen scale-out {}", shape.brokers),
            false => aws("update-broker-count", format!("--target-number-of-broker-nodes {}", shape.brokers)),
        });
    }
    if shape.brokers < now.brokers {
        // kgen removes no brokers: partitions have to be moved away first.
        commands.push(aws("update-broker-count", format!("--target-number-of-broker-nodes {}", shape.brokers)));
    }
    commands
}

fn text(context: &Context, sizing: &Sizing, question: &Question, next: &[String]) -> String {
    let mut lines = vec![headline(context), peak(sizing)];
    lines.push(String::new());
    lines.extend(advice(sizing));
    lines.extend(certainty(sizing));
    lines.extend(forecast(sizing, question));
    if !next.is_empty() {
        lines.push("  next:".to_owned());
        lines.extend(next.iter().map(|command| format!("    {}", visible::line(command))));
    }
    lines.push(String::new());
    lines.push(format!("At the peak{}, percent of each limit (CPU: of {} %):", away(question), question.target_cpu));
    lines.push(table(sizing).to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n"));
    let fitting = fitting(sizing).len();
    if fitting > MOST_ROWS {
        lines.push(format!("  {} more shapes fit and cost more (--json lists them)", fitting - MOST_ROWS));
    }
    let rejected = rejected(sizing);
    if !rejected.is_empty() {
        lines.push(String::new());
        lines.push("Rejected:".to_owned());
        lines.extend(rejected);
    }
    lines.push(String::new());
    let lab = if context.lab_scale.is_some() { " Traffic in the lab is smaller than on AWS: so are they." } else { "" };
    lines.push(format!(
        "CPU is predicted from this cluster's minutes; network, volume, partitions and disk are computed.{lab} ! marks the limit \
         that is nearest."
    ));
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

/// Shapes that do not fit, and why; those of the other class of brokers have one reason.
fn rejected(sizing: &Sizing) -> Vec<String> {
    let is_express = sizing.current.shape.broker_type.is_express();
    let rejected = || sizing.shapes.iter().filter(|judged| !judged.fits && judged.shape != sizing.current.shape);
    let of_class = rejected().filter(|judged| judged.shape.broker_type.is_express() == is_express);
    let mut lines: Vec<String> = of_class
        .map(|judged| format!("  {}: {}", judged.shape, judged.reason.as_deref().unwrap_or_default()))
        .collect();
    let others = rejected().filter(|judged| judged.shape.broker_type.is_express() != is_express).count();
    if others > 0 {
        let (other, this) = if is_express { ("Standard", "Express") } else { ("Express", "Standard") };
        lines.push(
            format!("  {other} brokers ({others} types): an {this} cluster does not become one by a change of type")
                .replace("an Standard", "a Standard"),
        );
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
        Advice::Keep => vec![format!("keep {}: it fits, and no other shape is cheaper by 10 %", now.shape)],
        Advice::Nothing { reason } => vec![format!("no recommendation: {reason}")],
        Advice::Change { shape, saving_usd_per_month } => {
            let cost = match *saving_usd_per_month {
                saving if saving >= 0.0 => format!("saves USD {saving:.0} a month"),
                more => format!("costs USD {:.0} more a month", -more),
            };
            let mut lines = vec![format!("change {} to {shape}: {cost}", now.shape)];
            lines.extend(now.reason.as_ref().map(|reason| format!("  now: {reason}")));
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

fn certainty(sizing: &Sizing) -> Vec<String> {
    let certainty = &sizing.certainty;
    let mut lines = vec![format!(
        "  certainty: predicted CPU is right within ±{:.0} % in 9 of 10 cases ({} minutes)",
        certainty.interval_percent, certainty.minutes
    )];
    lines.extend(certainty.notes.iter().map(|note| format!("  note: {note}")));
    lines
}

fn forecast(sizing: &Sizing, question: &Question) -> Vec<String> {
    let line = |forecast: &crate::sizing::Forecast| {
        let what = match forecast.what {
            Reaches::DiskFull => "disk full".to_owned(),
            Reaches::TargetCpu => format!("{} % CPU", question.target_cpu),
        };
        let latest = forecast.latest_days.map_or("more than a year".to_owned(), |days| format!("{days:.0} days"));
        format!("  {what} in {:.0} days at this trend ({:.0} days to {latest})", forecast.days, forecast.earliest_days)
    };
    sizing.forecast.iter().map(line).collect()
}

fn away(question: &Question) -> &'static str {
    use crate::sizing::Survive;
    match question.survive {
        Survive::Broker => " with one broker away",
        Survive::Zone => " with one zone away",
        Survive::None => "",
    }
}

/// The present shape and those that fit, the cheapest first.
fn table(sizing: &Sizing) -> Table {
    const COLUMNS: [Resource; 6] =
        [Resource::Cpu, Resource::Network, Resource::Volume, Resource::Partitions, Resource::Disk, Resource::Quota];
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    let rows: Vec<&Judged> =
        std::iter::once(&sizing.current).chain(fitting(sizing).into_iter().take(MOST_ROWS)).collect();
    let is_seen = |resource: &Resource| rows.iter().any(|judged| used(judged, *resource).is_some());
    let columns: Vec<Resource> = COLUMNS.into_iter().filter(is_seen).collect();
    let head = std::iter::once("").chain(columns.iter().map(|column| heading(*column))).chain(["USD/month", "change"]);
    table.set_header(head);
    for judged in rows {
        table.add_row(row(sizing, judged, &columns));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn heading(resource: Resource) -> &'static str {
    match resource {
        Resource::Network => "net",
        Resource::Partitions => "parts",
        other => other.name(),
    }
}

fn row(sizing: &Sizing, judged: &Judged, columns: &[Resource]) -> Vec<String> {
    let chosen: Option<Shape> = match sizing.advice {
        Advice::Change { shape, .. } => Some(shape),
        _ => None,
    };
    let mark = match judged.shape {
        shape if shape == sizing.current.shape => "now",
        shape if Some(shape) == chosen => ">",
        _ => "",
    };
    // The limit that binds has a mark.
    let cell = |resource: &Resource| match used(judged, *resource) {
        Some(percent) if judged.binding == Some(*resource) => format!("{percent:.0}!"),
        Some(percent) => format!("{percent:.0}"),
        None => "-".to_owned(),
    };
    let difference = judged.usd_per_month - sizing.current.usd_per_month;
    let difference = if difference == 0.0 { String::new() } else { format!("{difference:+.0}") };
    std::iter::once(format!("{mark:>3} {}", judged.shape))
        .chain(columns.iter().map(cell))
        .chain([format!("{:.0}", judged.usd_per_month), difference])
        .collect()
}

fn used(judged: &Judged, resource: Resource) -> Option<f64> {
    judged.uses.iter().find(|used| used.resource == resource).map(|used| used.percent_after_loss)
}
