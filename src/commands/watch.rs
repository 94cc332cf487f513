//! `kgen watch`: every broker, each interval: drawn, as lines, or as JSON.

use std::{io, path::Path, time::Duration};

use anyhow::anyhow;
use tokio::time::{self, Instant};

use super::{
    look::{INSIDE_INTERVAL, Opened, open_named, runtime},
    out,
    record::{self, Record, telling},
};
use crate::{
    cli::{Outcome, Watch, refused},
    metrics::Source,
    process::Interrupts,
    project::Project,
    run::{Entry, Environment, Event},
    screen::{Lines, Quit},
    text::headline,
    watch::{self, Line, Marks, Naming, News, Watchable, Watcher},
};

/// Time between two looks whether the user wants to leave.
const LEFT_EVERY: Duration = Duration::from_millis(100);

pub fn run(args: &Watch, project: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    runtime()?.block_on(watch(args, &project))
}

async fn watch(args: &Watch, project: &Project) -> anyhow::Result<Outcome> {
    let (opened, naming) = open_named(&args.look, project).await?;
    let interval = interval(args.look.interval, &opened)?;
    let interrupts = Interrupts::hold()?;
    let context = &opened.context;
    let record = record::begin_if_possible(project, "watch", None, Environment::with(context));
    let mut output =
        Output { json: args.json, record: record.clone(), lines: Lines::new(record.head(), out::lines_palette()) };
    record::show(&record, args.json || args.plain);
    if !record.is_shown() {
        eprintln!("watching {}", headline(context));
    }
    let watched = watched(args, project, (opened, naming), interval, &record, &interrupts, &mut output).await;
    let recorded = record.end(&watched, interrupts.count() > 0);
    if !args.json {
        // What went wrong is kept at the edge.
        let _ = output.lines.summary().iter().try_for_each(out::line);
    }
    let outcome = watched?;
    recorded?;
    Ok(outcome)
}

/// Time between two samples: what is requested, if the view has new ones as often.
///
/// # Errors
/// Refused: CloudWatch has none so soon, and each read costs.
fn interval(asked: Option<Duration>, opened: &Opened) -> anyhow::Result<Duration> {
    let Source::CloudWatch(source) = &opened.source else { return Ok(asked.unwrap_or(INSIDE_INTERVAL)) };
    let period = source.timing().period;
    let a_reading = source.requests_a_reading();
    let an_hour = |interval: Duration| a_reading.usd() * 3600.0 / interval.as_secs_f64();
    let Some(asked) = asked.filter(|asked| *asked < period) else {
        let interval = asked.unwrap_or(period);
        eprintln!("{} metrics every {} s: USD {:.2} an hour", a_reading.metrics, interval.as_secs(), an_hour(interval));
        return Ok(interval);
    };
    Err(refused(anyhow!(
        "CloudWatch has a new datapoint every {0} s, so --interval {1}s would cost USD {2:.2} an hour and --interval \
         {0}s shows the same for USD {3:.2} ({4} metrics per sample)",
        period.as_secs_f64(),
        asked.as_secs_f64(),
        an_hour(asked),
        an_hour(period),
        a_reading.metrics,
    )))
}

async fn watched(
    args: &Watch,
    project: &Project,
    (opened, naming): (Opened, Naming),
    interval: Duration,
    record: &Record,
    interrupts: &Interrupts,
    output: &mut Output,
) -> anyhow::Result<Outcome> {
    let Opened { aws, context, source, .. } = opened;
    let end = args.duration.map(|duration| Instant::now() + duration + interval);
    let cluster = Watchable { aws, context, status: source.status() };
    let mut samples = source.stream(interval);
    let news = News::new(naming, Marks::new(project.stack()));
    let mut watcher = Watcher::new(cluster, telling(record.clone())).with_news(news);
    let mut left = time::interval(LEFT_EVERY);
    loop {
        let received = tokio::select! {
            received = samples.recv() => received,
            () = ended(end) => return Ok(Outcome::Done),
            _ = left.tick() => {
                if interrupts.count() > 0 {
                    return Ok(Outcome::Interrupted);
                }
                match record.left() {
                    Some(Quit::Left) => return Ok(Outcome::Done),
                    _ => continue,
                }
            }
        };
        let Some(sample) = received else { return Ok(Outcome::Done) };
        for entry in watcher.take(sample.map_err(watch::ended)?).await? {
            match output.show(entry) {
                // The reader of the pipe has what it wanted.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Outcome::Done),
                shown => shown?,
            }
        }
    }
}

async fn ended(end: Option<Instant>) {
    match end {
        Some(end) => time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// What goes to standard output.
struct Output {
    json: bool,
    record: Record,
    lines: Lines,
}

impl Output {
    fn show(&mut self, entry: Entry) -> io::Result<()> {
        // Notes have gone to standard error already.
        if matches!(entry.event, Event::Note { .. }) {
            return Ok(());
        }
        if self.json {
            return match &entry.event {
                Event::Sample(observed) => out::json_line(&Line::of(observed)),
                _ => Ok(()),
            };
        }
        let lines = self.lines.of(&out::redacted_entry(entry));
        if self.record.is_shown() { Ok(()) } else { lines.iter().try_for_each(out::line) }
    }
}
