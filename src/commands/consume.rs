//! `kgen consume`: reads a topic, or proves a run.

use std::path::{Path, PathBuf};

use comfy_table::Table;
use serde::Serialize;

use super::{place::connection, produce::stop_on_signals};
use crate::{
    cli::{Outcome, load::Consume, refused},
    kafka::{Connection, REACHABLE_WITHIN},
    load::{
        consumer::{self, ConsumerConfig},
        ledger::Ledger,
        verify::Verification,
    },
    project::Project,
    stack::Stack,
};

/// `kgen consume --verify RUN --json`.
#[derive(Serialize, schemars::JsonSchema)]
pub struct Document<'a> {
    schema: &'static str,
    topic: &'a str,
    /// Nothing is lost, duplicated, reordered or corrupted.
    whole: bool,
    #[serde(flatten)]
    found: &'a Verification,
}

impl Document<'_> {
    pub const SCHEMA: &'static str = "kgen.verify/1";
}

/// Between two lines of progress, s.
const LINE_EVERY: f64 = 10.0;

pub fn run(args: Consume, project: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    let connection = connection(&args.brokers, project.stack())?;
    match &args.verify {
        Some(ledger) => verify(&args, connection, &found(ledger, &project)),
        None => consume(args, connection, project.stack()),
    }
}

/// A run's id means its folder.
fn found(ledger: &Path, project: &Project) -> PathBuf {
    let run = project.runs_dir().join(ledger);
    if run.is_dir() { run } else { ledger.to_owned() }
}

fn verify(args: &Consume, connection: Connection, path: &Path) -> anyhow::Result<Outcome> {
    let ledgers = Ledger::read_run(path).map_err(refused)?;
    let topic = args.topic.clone().unwrap_or_else(|| ledgers[0].topic.clone());
    connection.ensure_reachable(REACHABLE_WITHIN).map_err(refused)?;
    let stop = stop_on_signals()?;
    let mut seconds = 0.0;
    let found = consumer::verify(&connection, &topic, ledgers, &stop, &mut |read, total| {
        seconds += 1.0;
        if seconds % LINE_EVERY == 0.0 {
            eprintln!("{read} of {total} records read");
        }
    })?;
    let Some(found) = found else { return Ok(Outcome::Interrupted) };
    if args.json {
        let document = Document { schema: Document::SCHEMA, topic: &topic, whole: found.is_whole(), found: &found };
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        print(&topic, &found);
    }
    Ok(match &found {
        found if found.is_whole() => Outcome::Done,
        // What retention deleted can be neither shown nor missed.
        found if found.partitions_cut > 0 && found.duplicates + found.reordered + found.corrupted == 0 => {
            Outcome::Inconclusive
        }
        _ => Outcome::RecordsLost,
    })
}

fn print(topic: &str, found: &Verification) {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    let mut row = |name: &str, count: u64| {
        table.add_row([name.to_owned(), count.to_string()]);
    };
    row("records read", found.read);
    row("of other runs", found.foreign);
    row("acknowledged", found.acknowledged);
    row("lost", found.lost);
    row("duplicates", found.duplicates);
    row("reordered", found.reordered);
    row("corrupted", found.corrupted);
    row("reported as failed", found.failed);
    row("  there nevertheless", found.failed_but_there);
    row("unknown to the ledger", found.unknown);
    row("  there", found.unknown_but_there);
    println!("topic {topic}\n{table}");
    if !found.ledger_complete {
        println!("the ledger was not closed: its producer did not end by itself");
    }
    if found.partitions_cut > 0 {
        println!(
            "retention has deleted the beginning of {} partitions: what is lost may have been there",
            found.partitions_cut
        );
    }
    for (producer, sequence) in &found.lost_examples {
        println!("lost: producer {producer}, sequence {sequence}");
    }
}

fn consume(args: Consume, connection: Connection, stack: &Stack) -> anyhow::Result<Outcome> {
    let config = ConsumerConfig {
        connection,
        topic: args.topic.unwrap_or_else(|| stack.topic().name.clone()),
        group: args.group,
        from_beginning: args.from == "beginning",
        max_records: args.max.unwrap_or(u64::MAX),
        duration: args.duration.unwrap_or(std::time::Duration::MAX),
        delay: args.delay,
        rate: args.rate,
    };
    let (cluster, topic) = (config.connection.ensure_reachable(REACHABLE_WITHIN).map_err(refused)?, &config.topic);
    if !cluster.topics.contains_key(topic) {
        return Err(refused(anyhow::anyhow!("there is no topic `{topic}` (`kgen topic create {topic}` makes it)")));
    }
    let stop = stop_on_signals()?;
    let mut shown = 0.0;
    let consumed = consumer::run(&config, &stop, &mut |progress| {
        for note in &progress.notes {
            eprintln!("client: {note}");
        }
        if progress.at_s - shown >= LINE_EVERY - 0.5 {
            let lag = progress.lag.map_or("unknown".to_owned(), |lag| lag.to_string());
            eprintln!(
                "{:.0} s: {} records read, {:.0} records/s, lag {lag}",
                progress.at_s, progress.read, progress.read_per_s
            );
            shown = progress.at_s;
        }
    })?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&consumed)?);
    } else {
        let lag = consumed.lag.map_or("unknown".to_owned(), |lag| lag.to_string());
        println!(
            "{} records ({} bytes) in {:.1} s, {:.1} records/s, lag {lag}",
            consumed.read, consumed.bytes, consumed.duration_s, consumed.read_per_s
        );
        if let Some(times) = consumed.end_to_end {
            println!("end to end: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", times.p50_ms, times.p99_ms, times.max_ms);
        }
    }
    let stopped = stop.load(std::sync::atomic::Ordering::Relaxed);
    Ok(if stopped { Outcome::Interrupted } else { Outcome::Done })
}
