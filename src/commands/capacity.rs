//! `kgen capacity`: the highest rate that a cluster sustains, by experiment.

use std::{path::Path, time::Duration};

use anyhow::anyhow;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    documents::{self, Document},
    place::{Found as Cluster, Reached, reached},
    produce::ensure_topics,
    record::{self, Record, environment},
    stopping::Stopping,
    watching::{naming, telling},
};
use crate::{
    capacity::{Answer, Found, Held, Round, Step, Trial},
    change::ClusterView,
    cli::{Capacity, Outcome, capacity::Away, refused},
    console::{confirmed, ensure_confirmable},
    diagnose::Context,
    experiment::{self, Happened, Request, Seen},
    kafka::{Connection, REACHABLE_WITHIN},
    load::{
        pacer::Rate,
        part::Part,
        producer::{Load, ProducerConfig, new_run},
    },
    project::Project,
    run::{Environment, Event},
    text::headline,
    visible,
    watch::{Marks, News, Place},
};

/// Time between two samples of the brokers.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long a trial waits for outstanding answers.
const FLUSH_WITHIN: Duration = Duration::from_secs(10);

/// `kgen capacity --json`, and the result `capacity` of its run.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Measured {
    /// The cluster as it was seen last.
    cluster: Option<Context>,
    #[serde(flatten)]
    found: Found,
    /// In the order in which they were made; each is a load of its own.
    trials: Vec<Trial>,
    /// Price of the brokers for each MB/s of values that they sustain, a month (us-east-1 list price); `null` without an answer
    /// or for an unknown type. In the lab: the price of the real type over the rate of the scaled one, no figure of AWS.
    usd_per_mb_s_month: Option<f64>,
    /// The run, for `replay` and `report`.
    run: String,
}

impl Document for Measured {
    const SCHEMA: &'static str = "kgen.capacity/1";
}

pub fn run(args: &Capacity, project: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    let Reached { connection, cluster } = reached(&args.brokers, &project)?;
    let cluster = cluster.ok_or_else(|| {
        refused(anyhow!("the brokers' CPU is needed, and --bootstrap-servers names none to watch: use --cluster"))
    })?;
    let mut producer = producer(args, &project, connection)?;
    let topics = &producer.load.topics;
    ensure_topics(topics, &producer.connection.ensure_reachable(REACHABLE_WITHIN).map_err(refused)?)?;
    ask(args, &cluster.name)?;
    let environment = Environment {
        cluster: Some(cluster.name.clone()),
        region: Some(cluster.region.clone()),
        ..environment(&project)
    };
    let record = record::begin_if_possible(&project, "capacity", None, environment);
    if !record.dir().as_os_str().is_empty() {
        producer.runs = record.dir().join("trials");
    }
    let request = Request {
        producer,
        slo: args.slo.clone(),
        survive_broker: args.survive == Away::Broker,
        start_per_s: f64::from(args.start),
        rounds: usize::from(args.rounds),
        within: args.within(),
    };
    let interrupted = record.clone();
    let stopping = Stopping::begin(move || _ = interrupted.end(&Ok(Outcome::Interrupted), true))?;
    record::show(&record, args.json);
    let searched = search(&request, &project, cluster, &stopping, &record);
    let recorded =
        record.end(&searched.as_ref().map(outcome).map_err(|error| anyhow!("{error:#}")), stopping.was_asked());
    let measured = searched?;
    recorded?;
    if stopping.was_asked() {
        return Ok(Outcome::Interrupted);
    }
    let outcome = outcome(&measured);
    if args.json {
        documents::print(measured)?;
    } else {
        print!("{}", text(&measured));
    }
    Ok(outcome)
}

/// The load of the trials, but for its rate and duration.
///
/// # Errors
/// Refused: settings that do not go together.
fn producer(args: &Capacity, project: &Project, connection: Connection) -> anyhow::Result<ProducerConfig> {
    let default = Load::of_stack(project.stack());
    let load = Load {
        topics: args.topic.clone().map_or(default.topics.clone(), |topic| vec![topic]),
        rate: Rate::Constant(1.0),
        record_size: args.record_size.unwrap_or(default.record_size),
        keys: args.keys.unwrap_or(default.keys),
        payload: args.payload.clone(),
        ..default
    };
    let producer = ProducerConfig {
        run: new_run(),
        load,
        connection,
        acks: args.acks,
        idempotent: false,
        transactions: None,
        compression: args.compression.clone(),
        clients: args.clients,
        part: Part::WHOLE,
        start_at: None,
        runs: project.runs_dir(),
        flush_within: FLUSH_WITHIN,
    };
    producer.validate().map_err(refused)?;
    Ok(producer)
}

/// Nobody's cluster is loaded to its limit without being asked.
fn ask(args: &Capacity, cluster: &str) -> anyhow::Result<()> {
    ensure_confirmable(args.yes, "capacity")?;
    let question = format!(
        "Load {} to its limit for up to {} minutes? Its clients will notice.",
        visible::line(cluster),
        args.max_minutes
    );
    if args.yes || confirmed(&question)? { Ok(()) } else { Err(refused(anyhow!("nothing was sent"))) }
}

fn search(
    request: &Request,
    project: &Project,
    cluster: Cluster,
    stopping: &Stopping,
    record: &Record,
) -> anyhow::Result<Measured> {
    let Cluster { name, region } = cluster;
    let seen = Seen::default();
    let (tap, mut tell) = (seen.clone(), telling(record.clone()));
    let news = News::new(naming(project, &name, &region), Marks::new(project.stack()));
    let view = ClusterView::of(&name, &region, &Place::Environment, INTERVAL);
    let beside = view.beside_telling(
        record,
        news,
        Box::new(move |at, event, diagnosis| {
            if let Event::Sample(observed) = &event {
                tap.add(observed);
            }
            tell(at, event, diagnosis)
        }),
    );
    let ran = experiment::search(request, &seen, stopping.flag(), &mut |happened| told(happened, record));
    drop(beside);
    let (found, trials) = ran?;
    let cluster = seen.cluster();
    let usd_per_mb_s_month = match (&found, &cluster) {
        (Found::Capacity(answer), Some(context)) => price(context, answer),
        _ => None,
    };
    let measured = Measured { cluster, found, trials, usd_per_mb_s_month, run: record.id().to_owned() };
    record.result("capacity", &measured)?;
    record.close();
    Ok(measured)
}

fn price(context: &Context, answer: &Answer) -> Option<f64> {
    let month = context.known_type()?.usd_per_month(context.broker_count);
    let mb = answer.lowest.bytes_per_s / 1e6;
    (mb > 0.0).then(|| month / mb)
}

/// Into the record, and a line for whoever waits.
fn told(happened: Happened<'_>, record: &Record) -> anyhow::Result<()> {
    let line = match happened {
        Happened::Second(tick) => return record.load(tick),
        Happened::Begun(Step::Warm(rate)) => format!("warming up with {rate:.0} records/s"),
        Happened::Begun(Step::Confirm(rate)) => format!("confirming {rate:.0} records/s"),
        Happened::Begun(Step::Try(_) | Step::Done) => return Ok(()),
        Happened::Ended(trial) => tried(trial),
    };
    if !record.is_shown() {
        eprintln!("{line}");
    }
    record.tell(Event::note(line))
}

fn tried(trial: &Trial) -> String {
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

fn number(value: Option<f64>, unit: &str) -> String {
    value.map_or("not seen".to_owned(), |value| format!("{value:.1}{unit}"))
}

fn outcome(measured: &Measured) -> Outcome {
    match measured.found {
        Found::Capacity(_) => Outcome::Done,
        Found::GeneratorBound { .. } | Found::Nothing { .. } => Outcome::Inconclusive,
    }
}

fn text(measured: &Measured) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::Limit;

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
        let mut told = measured(Found::Capacity(answer.clone()));
        told.usd_per_mb_s_month = price(told.cluster.as_ref().unwrap(), &answer);
        // 3 x 0.21 x 730 over 2 MB/s.
        assert!((told.usd_per_mb_s_month.unwrap() - 229.95).abs() < 0.01);
        let text = text(&told);
        for expected in ["2000 records/s, 2.00 MB/s", "at 2080 records/s: CPU: 63 %", "spread 3.0 %", "scale 1:10"] {
            assert!(text.contains(expected), "no {expected}: {text}");
        }
        assert_eq!(outcome(&told), Outcome::Done);
    }

    #[test]
    fn a_generator_that_is_late_is_no_answer() {
        let told = measured(Found::GeneratorBound { at_least_per_s: Some(500.0) });
        assert_eq!(outcome(&told), Outcome::Inconclusive);
        assert!(text(&told).contains("carries 500 records/s at least"));
        let told = measured(Found::Nothing { reason: "no trial was ended".to_owned() });
        assert!(text(&told).contains("no capacity found: no trial was ended"));
    }
}
