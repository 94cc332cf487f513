//! `kgen produce`: sends a load, shows it while it runs, sums it up.

use std::{path::Path, sync::atomic::AtomicBool, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

use super::{
    look::naming,
    out,
    place::{Found, Reached, reached},
    record::{self, Record, environment, telling},
    stopping::Stopping,
};
use crate::{
    change::{ClusterView, INTERVAL},
    cli::{Outcome, load::Produce, refused},
    kafka::{ClusterMetadata, Connection, REACHABLE_WITHIN},
    load::{
        merge::Report,
        part::Part,
        payload::Payload,
        producer::{self, Load, ProducerConfig, Summary, Tick, new_run},
        slo::{Figure, Slo},
    },
    project::Project,
    run::{Environment, Event, Mark},
    text,
    watch::{Marks, News, Place},
};

/// Between two lines of progress where there is no terminal, s.
const LINE_EVERY: f64 = 10.0;

pub fn run(args: Produce, project: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    let (config, found) = config(&args, &project)?;
    config.validate().map_err(refused)?;
    let cluster = config.connection.ensure_reachable(REACHABLE_WITHIN).map_err(refused)?;
    ensure_topics(&config.load.topics, &cluster)?;
    let environment = match &found {
        Some(Found { name, region }) => {
            Environment { cluster: Some(name.clone()), region: Some(region.clone()), ..environment(&project) }
        }
        None => environment(&project),
    };
    let record = record::begin_if_possible(&project, "produce", Some(format!("{:016x}", config.run)), environment);
    let interrupted = record.clone();
    let stopping = Stopping::begin(move || {
        let _ = interrupted.end(&Ok(Outcome::Interrupted), true);
        eprintln!("stopped at once: it is unknown whether the unacknowledged records were written");
    })?;
    record::show(&record, args.json || args.json_stream || args.plain || args.part.is_some());
    let ran = send(&args, &project, &config, found, stopping.flag(), &record);
    let recorded = record.end(&ran, stopping.was_asked());
    let outcome = ran?;
    recorded?;
    Ok(outcome)
}

/// Sends the load while the brokers are watched, and sums it up.
fn send(
    args: &Produce,
    project: &Project,
    config: &ProducerConfig,
    cluster: Option<Found>,
    stop: &AtomicBool,
    record: &Record,
) -> anyhow::Result<Outcome> {
    // Brokers that are named by hand may be those of another cluster than the stack's.
    let is_watched = cluster.is_some();
    let beside = cluster.map(|Found { name, region }| {
        let news = News::new(naming(project, &name, &region), Marks::new(project.stack()));
        let view = ClusterView::of(&name, &region, &Place::Environment, INTERVAL);
        view.beside_telling(record, news, telling(record.clone()))
    });
    if !is_watched {
        record.tell(Event::note("brokers given by --bootstrap-servers are not watched"))?;
    }
    let rate = config
        .load
        .rate
        .mean(config.load.duration)
        .map_or("as many as possible".to_owned(), |rate| format!("{rate} records/s"));
    record.tell(Event::mark(Mark::Onset, format!("{rate} to {}", config.load.topics.join(", "))))?;
    let mut progress = Progress::new(config, args.json_stream || args.part.is_some(), record.clone());
    let summary = producer::run(config, stop, &mut |tick| progress.show(tick))?;
    progress.finish();
    drop(beside);
    let (summary, outcome) = judged(summary, args.slo.as_ref());
    record.result("load", &summary)?;
    record.close();
    if args.json {
        out::document(&summary)?;
    } else if let Some(part) = args.part {
        out::json_line(&Report::of(part, summary)?)?;
    } else if args.json_stream {
        let _ = out::json_line(&summary);
    } else {
        println!("{}", text::load::produced(&summary));
    }
    Ok(outcome)
}

/// # Errors
/// Refused: one of them is not there.
pub fn ensure_topics(topics: &[String], cluster: &ClusterMetadata) -> anyhow::Result<()> {
    match topics.iter().find(|topic| !cluster.topics.contains_key(*topic)) {
        Some(topic) => {
            Err(refused(anyhow::anyhow!("there is no topic `{topic}` (`kgen topic create {topic}` creates it)")))
        }
        None => Ok(()),
    }
}

/// The summary with its objectives judged, and how the command ends.
fn judged(mut summary: Summary, slo: Option<&Slo>) -> (Summary, Outcome) {
    summary.slo = slo.map(|slo| slo.judge_produced(&summary)).unwrap_or_default();
    // Whoever says how many errors are too many does not mean "none".
    let errors_are_judged = slo.is_some_and(|slo| slo.has(Figure::Errors));
    let outcome = match &summary {
        summary if summary.stopped => Outcome::Interrupted,
        summary if !errors_are_judged && summary.failed_total() + summary.unsent + summary.lost_track > 0 => {
            Outcome::RecordsLost
        }
        summary if summary.generator_bound => Outcome::Inconclusive,
        summary if summary.slo.iter().any(|judged| !judged.kept) => Outcome::Missed,
        _ => Outcome::Done,
    };
    (summary, outcome)
}

/// What is sent where, and the cluster if it was looked up.
pub fn config(args: &Produce, project: &Project) -> anyhow::Result<(ProducerConfig, Option<Found>)> {
    ensure_sizes_apply(args)?;
    let Reached { connection, cluster } = reached(&args.brokers, project)?;
    Ok((config_at(args, connection, project)?, cluster))
}

fn ensure_sizes_apply(args: &Produce) -> anyhow::Result<()> {
    if matches!(args.payload, Payload::Lines(_)) && args.record_size.is_some() {
        return Err(refused(anyhow::anyhow!(
            "--record-size applies only to --payload json and random: lines have their own sizes"
        )));
    }
    Ok(())
}

/// What is sent to brokers that are known.
///
/// # Errors
/// Refused: options that do not go together.
pub fn config_at(args: &Produce, connection: Connection, project: &Project) -> anyhow::Result<ProducerConfig> {
    ensure_sizes_apply(args)?;
    let default = Load::of_stack(project.stack());
    let rate = args.rate.clone().unwrap_or(default.rate);
    Ok(ProducerConfig {
        run: args.run_id.unwrap_or_else(new_run),
        load: Load {
            topics: if args.topic.is_empty() { default.topics } else { args.topic.clone() },
            duration: args.duration.or(rate.length()).unwrap_or(default.duration),
            rate,
            max_records: args.records.unwrap_or(u64::MAX),
            record_size: args.record_size.unwrap_or(default.record_size),
            keys: args.keys.unwrap_or(default.keys),
            payload: args.payload.clone(),
            headers: args.headers.clone(),
            seed: args.seed,
        },
        connection,
        acks: args.acks,
        idempotent: args.idempotent,
        transactions: args.transactions,
        compression: args.compression.clone(),
        clients: args.clients,
        part: args.part.unwrap_or(Part::WHOLE),
        start_at: args.start_at,
        runs: project.runs_dir(),
        flush_within: args.flush_within,
    })
}

/// A bar on a terminal, else a line now and then; nothing while a screen shows it. Every second is recorded.
struct Progress {
    record: Record,
    is_recorded: bool,
    bar: Option<ProgressBar>,
    json_stream: bool,
    last_line_s: f64,
    last_failed: u64,
}

impl Progress {
    fn new(config: &ProducerConfig, json_stream: bool, record: Record) -> Self {
        let bar = (!record.is_shown()).then(|| ProgressBar::new(config.load.duration.as_secs().max(1)));
        // It is hidden where there is no terminal, or one that cannot move its cursor: there, lines are printed.
        let bar = bar.filter(|bar| !bar.is_hidden());
        if let Some(bar) = &bar {
            let style = ProgressStyle::with_template("{elapsed_precise} {wide_bar} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_millis(500));
        }
        Progress { record, is_recorded: true, bar, json_stream, last_line_s: 0.0, last_failed: 0 }
    }

    fn show(&mut self, tick: &Tick) {
        if self.json_stream {
            // Whoever read this may have gone; the run continues. What else went wrong is said at its end.
            let _ = out::json_line(tick);
        }
        if let Err(error) = self.record.load(tick)
            && std::mem::take(&mut self.is_recorded)
        {
            self.print(&format!("note: {error:#}"));
        }
        let line = text::load::sent_second(tick);
        for note in &tick.notes {
            self.print(&format!("client: {note}"));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(tick.at_s as u64);
            bar.set_message(line);
        } else if !self.record.is_shown()
            && (tick.at_s - self.last_line_s >= LINE_EVERY - 0.5 || tick.total_failed > self.last_failed)
        {
            self.print(&line);
            self.last_line_s = tick.at_s;
        }
        self.last_failed = tick.total_failed;
    }

    fn print(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(failed: u64, generator_bound: bool, stopped: bool) -> Summary {
        let json = serde_json::json!({
            "schema": "kgen.produce/1", "run": "0", "topic": "t", "stopped": stopped, "duration_s": 10.0, "offered": 1000,
            "acknowledged": 1000 - failed, "failed": { "_MSG_TIMED_OUT": failed }, "unsent": 0, "lost_track": 0,
            "rate_asked": 100.0, "rate_reached": 99.5, "acknowledged_bytes": 0, "late_share": 0.0, "late_queue_full": 0,
            "late_generator": 0, "generator_bound": generator_bound, "cpu_s": 0.1, "ledgers": [], "latency_log": "",
            "response": { "mean_ms": 5, "p50_ms": 5, "p90_ms": 5, "p95_ms": 5, "p99_ms": 40, "p99_9_ms": 50,
                          "p99_99_ms": 60, "max_ms": 60 },
            "service": null, "send_error": null,
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_run_ends_by_what_weighs_most() {
        let check = |summary: Summary, slo: &str, expected: Outcome| {
            let slo = (!slo.is_empty()).then(|| slo.parse::<Slo>().unwrap());
            assert_eq!(judged(summary, slo.as_ref()).1, expected, "{slo:?}");
        };
        check(summary(0, false, false), "", Outcome::Done);
        check(summary(3, false, false), "", Outcome::RecordsLost);
        check(summary(0, false, false), "p99=50ms,errors=0,rate=99", Outcome::Done);
        check(summary(0, false, false), "p99=30ms", Outcome::Missed);
        check(summary(0, false, false), "rate=100", Outcome::Missed);
        check(summary(3, false, false), "errors=5", Outcome::Done);
        check(summary(3, false, false), "errors=0.1%", Outcome::Missed);
        check(summary(3, false, false), "p99=30ms", Outcome::RecordsLost);
        // No figure about the cluster: neither kept nor missed.
        check(summary(0, true, false), "p99=30ms", Outcome::Inconclusive);
        check(summary(3, true, true), "p99=30ms", Outcome::Interrupted);
    }
}
