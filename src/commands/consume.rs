//! `kgen consume`: reads a topic, or verifies a run.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context as _;

use super::{out, place::connection, stopping::Stopping};
use crate::{
    cli::{Outcome, load::Consume, refused},
    documents::Verified,
    kafka::{Connection, REACHABLE_WITHIN},
    load::{
        consumer::{self, Commands, ReadTick},
        ending,
        ledger::Ledger,
    },
    project::Project,
    selection::load::{consumer_config, ensure_topics},
    stack::Stack,
    text,
};

/// Between two lines of progress, s.
const LINE_EVERY: f64 = 10.0;

pub fn run(args: Consume, project: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    let connection = connection(&args.brokers, &project)?;
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
    let topics = match &args.topic[..] {
        [] => ledgers[0].topic.split(',').map(str::to_owned).collect(),
        named => named.to_vec(),
    };
    let topic = topics.join(",");
    connection.ensure_reachable(REACHABLE_WITHIN).map_err(refused)?;
    let stopping = Stopping::begin(|| ())?;
    let mut seconds = 0.0;
    let found = consumer::verify(&connection, &topics, ledgers, stopping.flag(), &mut |read, total| {
        seconds += 1.0;
        if seconds % LINE_EVERY == 0.0 {
            eprintln!("{read} of {total} records read");
        }
    })?;
    let Some(found) = found else { return Ok(Outcome::Interrupted) };
    if args.json {
        let document = Verified { schema: Verified::SCHEMA, topic: &topic, whole: found.is_whole(), found: &found };
        out::document(&document)?;
    } else {
        println!("{}", text::load::verification(&topic, &found));
    }
    Ok(ending::of_verified(&found))
}

fn consume(args: Consume, connection: Connection, stack: &Stack) -> anyhow::Result<Outcome> {
    let config = consumer_config(&args, connection, stack);
    let cluster = config.connection.ensure_reachable(REACHABLE_WITHIN).map_err(refused)?;
    ensure_topics(&config.topics, &cluster)?;
    let stopping = Stopping::begin(|| ())?;
    let commands = Commands { stop: Arc::clone(stopping.flag()), ..Commands::default() };
    toggle_on_usr1(&commands.stall)?;
    let mut shown = Shown { json_stream: args.json_stream, at_s: 0.0, stalled: false };
    let mut consumed = consumer::run(&config, &commands, &mut |tick| shown.show(tick))?;
    consumed.slo = args.slo.as_ref().map(|slo| slo.judge_consumed(&consumed)).unwrap_or_default();
    if args.json {
        out::document(&consumed)?;
    } else if args.json_stream {
        let _ = out::json_line(&consumed);
    } else {
        println!("{}", text::load::consumed(&consumed));
    }
    Ok(ending::of_consumed(&consumed, commands.stop.load(Ordering::Relaxed)))
}

/// Turns `stall` over with every SIGUSR1.
fn toggle_on_usr1(stall: &Arc<AtomicBool>) -> anyhow::Result<()> {
    let mut signals =
        signal_hook::iterator::Signals::new([signal_hook::consts::SIGUSR1]).context("listening for signals")?;
    let stall = Arc::clone(stall);
    let toggle = move || {
        for _ in signals.forever() {
            stall.fetch_xor(true, Ordering::Relaxed);
        }
    };
    // It ends with the program.
    std::thread::Builder::new().name("usr1".into()).spawn(toggle).context("listening for signals")?;
    Ok(())
}

/// What was shown last.
struct Shown {
    json_stream: bool,
    at_s: f64,
    stalled: bool,
}

impl Shown {
    fn show(&mut self, tick: &ReadTick) {
        if self.json_stream {
            // As in `kgen produce`.
            let _ = out::json_line(tick);
        }
        for note in &tick.notes {
            eprintln!("client: {note}");
        }
        if tick.at_s - self.at_s < LINE_EVERY - 0.5 && tick.stalled == self.stalled {
            return;
        }
        eprintln!("{}", text::load::read_second(tick));
        (self.at_s, self.stalled) = (tick.at_s, tick.stalled);
    }
}
