//! `kgen produce`: sends a load, shows it while it runs, sums it up.

use std::{path::Path, sync::atomic::AtomicBool, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

use super::{
    look::naming,
    out,
    place::Found,
    record::{self, Record, environment, telling},
    stopping::Stopping,
};
use crate::{
    change::{ClusterView, INTERVAL},
    cli::{Outcome, load::Produce, refused},
    kafka::REACHABLE_WITHIN,
    load::{
        ending,
        merge::PartReport,
        producer::{self, ProducerConfig, Tick},
    },
    project::Project,
    run::{Environment, Event, Mark},
    selection::load::{ensure_topics, producer_config},
    text,
    watch::{Marks, News, Place},
};

/// Between two lines of progress where there is no terminal, s.
const LINE_EVERY: f64 = 10.0;

pub fn run(args: Produce, project: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    let (config, found) = producer_config(&args, &project)?;
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
    let mut summary = producer::run(config, stop, &mut |tick| progress.show(tick))?;
    progress.finish();
    drop(beside);
    summary.slo = args.slo.as_ref().map(|slo| slo.judge_produced(&summary)).unwrap_or_default();
    let outcome = ending::of_produced(&summary, args.slo.as_ref());
    record.result("load", &summary)?;
    record.close();
    if args.json {
        out::document(&summary)?;
    } else if let Some(part) = args.part {
        out::json_line(&PartReport::of(part, summary)?)?;
    } else if args.json_stream {
        let _ = out::json_line(&summary);
    } else {
        println!("{}", text::load::produced(&summary));
    }
    Ok(outcome)
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
