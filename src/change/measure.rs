//! Measures the brokers of a cluster before and after a change, and watches them in between.

use std::time::{Duration, Instant};

use super::{Event, Journal, Ready, Timing, journal::Reached};
use crate::{
    diagnose::{Context, diagnose},
    edge,
    outcome::refused,
    proof::Measured,
    record::Record,
    report::Span,
    run::{self, Observed, Run, now},
    sample::Sample,
    watch::{self, Background, News, Opened, Place, Target, Tell, Watcher, collected_with, runtime},
};

/// Time between two samples.
pub const INTERVAL: Duration = Duration::from_secs(2);

/// Time between two looks at whether a warm-up was interrupted.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A cluster, and how it is looked at.
#[derive(Debug, Clone)]
pub struct ClusterView {
    pub request: watch::Request,
    pub place: Place,
}

impl ClusterView {
    /// The cluster of a change.
    pub fn of_stack(ready: &Ready<'_>) -> ClusterView {
        let stack = ready.project().stack();
        let (cluster, region) = (stack.cluster().name.clone(), stack.region().to_owned());
        ClusterView::of(&cluster, &region, ready.place(), ready.timing().interval)
    }

    /// The cluster of this name, by its best view.
    pub fn of(cluster: &str, region: &str, place: &Place, interval: Duration) -> ClusterView {
        let target = Target::known(cluster, region);
        let request = watch::Request::best(target, interval);
        ClusterView { request, place: place.clone() }
    }

    /// # Errors
    /// Refused: the cluster or a source of its metrics cannot be found.
    pub async fn open(&self) -> anyhow::Result<Opened> {
        self.request.target.name().into_iter().for_each(edge::learn_cluster);
        let opened = watch::open(&self.request, &self.place).await.map_err(refused)?;
        edge::learn_context(&opened.context);
        Ok(opened)
    }

    /// Watches it on a thread of its own, into `record`, until what is returned is dropped.
    pub fn beside(&self, record: &Record, news: News) -> Background {
        let told = record.clone();
        self.beside_telling(record, news, Box::new(move |at, event, _| told.tell_at(at, event)))
    }

    /// As [`ClusterView::beside`], with each event to `tell`. The record says why the cluster cannot be watched.
    pub fn beside_telling(&self, record: &Record, news: News, tell: Tell) -> Background {
        let (view, failed) = (self.clone(), record.clone());
        Background::start(
            async move || view.open().await,
            self.request.interval,
            move |cluster| Watcher::new(cluster, tell).with_news(news),
            move |error| {
                let _ = failed.tell(run::Event::note(format!("the brokers are not being watched: {error:#}")));
            },
        )
    }
}

/// What was measured, and when.
pub struct Stretch {
    pub(super) context: Context,
    pub(super) samples: Vec<Sample>,
    pub(super) span: Span,
}

impl Stretch {
    /// Nothing was measured of it.
    pub fn empty(context: Context) -> Stretch {
        Stretch { context, samples: Vec::new(), span: Span { from_ms: 0, to_ms: 0 } }
    }

    pub(super) fn measured(&self) -> Measured<'_> {
        Measured { context: Some(&self.context), samples: &self.samples, load: &[] }
    }
}

/// Waits until brokers that have just restarted are warm, to be measured for `measure` then.
///
/// # Errors
/// It is interrupted.
pub fn warmed_up(measure: Duration, timing: Timing, journal: &Journal<'_>) -> anyhow::Result<()> {
    journal.see(&Event::Measuring { time: measure, warm_up: Some(timing.warm_up) });
    let warm = Instant::now();
    while warm.elapsed() < timing.warm_up {
        journal.ensure_not_interrupted()?;
        std::thread::sleep(LOOK_EVERY.min(timing.warm_up));
    }
    Ok(())
}

/// Samples of a cluster, each recorded as it comes.
///
/// # Errors
/// The cluster cannot be sampled, or it is interrupted.
pub fn measured(watched: &ClusterView, window: Duration, journal: &Journal<'_>) -> anyhow::Result<Stretch> {
    runtime()?.block_on(async {
        let Opened { context, source, notes, .. } = watched.open().await?;
        notes.into_iter().for_each(|note| journal.see(&Event::Note(note)));
        let from_ms = now().as_millisecond();
        let mut so_far: Vec<Sample> = Vec::new();
        let mut seen = |sample: &Sample| {
            if let Some(record) = journal.record() {
                so_far.push(sample.clone());
                let observed = Observed::new(context.clone(), sample.clone(), &diagnose(&context, &so_far));
                record.tell_at(run::at(sample.at_ms), run::Event::Sample(Box::new(observed)))?;
            }
            journal.ensure_not_interrupted()
        };
        let samples = collected_with(source, window, watched.request.interval, &mut seen).await?;
        Ok(Stretch { context, samples, span: Span { from_ms, to_ms: now().as_millisecond() } })
    })
}

/// What the run so far has measured before the change; nothing if it was killed before that was done.
pub(super) fn recorded_before(reached: &Reached, journal: &Journal<'_>) -> anyhow::Result<Option<Stretch>> {
    let (Some(record), Some(span)) = (journal.record(), reached.before) else { return Ok(None) };
    let run = Run::read(record.dir())?;
    let observed: Vec<&Observed> = run.samples().filter(|observed| span.holds(observed.sample.at_ms)).collect();
    let context = observed.last().map(|observed| observed.cluster.clone());
    let samples = observed.into_iter().map(|observed| observed.sample.clone()).collect();
    Ok(context.map(|context| Stretch { context, samples, span }))
}
