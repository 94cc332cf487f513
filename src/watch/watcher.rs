//! Samples of a cluster as they come: judged, and passed on with everything that is new.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{Marks, Naming, Opened, collect::ended, fixes, open::refresh, runtime};
use crate::{
    aws::Aws,
    diagnose::{Context, Diagnosis, diagnose},
    finding_id,
    metrics::Status,
    run::{self, Covered, Entry, Event, Found, Observed},
    sample::{LoadSample, Sample},
};

/// Samples that the running diagnosis looks back on.
const LOOK_BACK: usize = 60;

/// Time between two looks at the control plane.
const STATE_EVERY: Duration = Duration::from_secs(5);

/// Found at the beginning of every watch, so it is no news.
const TOO_FEW: &str = finding_id::INCONCLUSIVE_TOO_FEW_SAMPLES;

/// Receives what happens, when, and what the samples so far say.
pub type Tell = Box<dyn FnMut(Timestamp, Event, &Diagnosis) -> anyhow::Result<()> + Send>;

/// Returns what a load has seen last; nothing while there is none.
pub type LatestLoad = Box<dyn FnMut() -> Option<LoadSample> + Send>;

/// What is watched, beside its samples.
pub struct Watchable {
    pub aws: Aws,
    pub context: Context,
    /// Of a source outside.
    pub status: Option<Status>,
}

/// Judges each sample of a cluster together with those before it, and reads the cluster's state again now and then.
pub struct Watcher {
    cluster: Watchable,
    tell: Tell,
    /// Samples that are judged together.
    look_back: usize,
    samples: VecDeque<Sample>,
    /// What they say.
    diagnosis: Diagnosis,
    state_read: Instant,
    news: Option<News>,
    load: Option<LatestLoad>,
    begin: Beginning,
}

/// What has been told of a cluster already, so that only what is new is told.
pub struct News {
    naming: Naming,
    marks: Marks,
    held: BTreeSet<&'static str>,
    covered: Option<Covered>,
}

/// When the samples began that are judged together. Whoever has a copy may move it: then the cluster's state is read again.
#[derive(Debug, Clone, Default)]
pub struct Beginning(Arc<AtomicI64>);

impl Beginning {
    /// Moves the beginning to `at_ms`.
    pub fn move_to(&self, at_ms: i64) {
        self.0.store(at_ms, Ordering::SeqCst);
    }

    pub fn at_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl News {
    pub fn new(naming: Naming, marks: Marks) -> News {
        News { naming, marks, held: BTreeSet::new(), covered: None }
    }

    /// The findings and marks that the newest sample adds.
    fn of(&mut self, context: &Context, sample: &Sample, diagnosis: &Diagnosis) -> Vec<Event> {
        let marks = self.marks.of(context, sample, diagnosis);
        let told = diagnosis.findings.iter().map(|finding| finding.id).filter(|id| *id != TOO_FEW);
        let holds: BTreeSet<&'static str> = told.collect();
        let mut events = Vec::new();
        let is_too_early = diagnosis.findings.first().is_some_and(|finding| finding.id == TOO_FEW);
        let covered = Covered::new(&diagnosis.coverage);
        if !is_too_early && self.covered.as_ref() != Some(&covered) {
            events.push(Event::Coverage(covered.clone()));
            self.covered = Some(covered);
        }
        if !holds.is_subset(&self.held) {
            let fixes = fixes(context, diagnosis, &self.naming);
            let new = diagnosis
                .findings
                .iter()
                .zip(fixes)
                .filter(|(finding, _)| holds.contains(finding.id) && !self.held.contains(finding.id));
            let found = new.map(|(finding, fix)| Found::new(&context.cluster, diagnosis.verdict, finding, fix));
            events.extend(found.map(|found| Event::Finding(Box::new(found))));
        }
        self.held = holds;
        events.extend(marks);
        events
    }
}

impl Watcher {
    /// Watches without telling findings or marks: see [`Watcher::with_news`].
    pub fn new(cluster: Watchable, tell: Tell) -> Watcher {
        Watcher {
            diagnosis: diagnose(&cluster.context, &[]),
            cluster,
            tell,
            look_back: LOOK_BACK,
            samples: VecDeque::new(),
            state_read: Instant::now(),
            news: None,
            load: None,
            begin: Beginning::default(),
        }
    }

    /// Tells each finding and mark when it is new.
    pub fn with_news(self, news: News) -> Watcher {
        Watcher { news: Some(news), ..self }
    }

    /// Puts into each sample what the load has seen last.
    pub fn with_load(self, load: LatestLoad) -> Watcher {
        Watcher { load: Some(load), ..self }
    }

    /// Judges so many samples together at most, and none of before `begin`.
    pub fn with_window(self, look_back: usize, begin: Beginning) -> Watcher {
        Watcher { look_back, begin, ..self }
    }

    /// Judges a sample and passes it on with all that is new. Returns what was passed on, which is nothing for a sample
    /// that was there before.
    ///
    /// # Errors
    /// The receiver fails.
    pub async fn take(&mut self, mut sample: Sample) -> anyhow::Result<Vec<Entry>> {
        let mut events = self.refreshed().await;
        sample.cluster_state = self.cluster.context.state.clone();
        if let Some(load) = self.load.as_mut().and_then(|load| load()) {
            sample.load = Some(load);
        }
        let at = run::at(sample.at_ms);
        self.ask_status(&mut events);
        // CloudWatch gives a minute again when more of it has arrived.
        if let Some(known) = self.samples.iter_mut().find(|known| known.at_ms == sample.at_ms) {
            *known = sample;
        } else {
            self.samples.push_back(sample);
            if self.samples.len() > self.look_back {
                self.samples.pop_front();
            }
            events.extend(self.judged());
        }
        let mut told = Vec::with_capacity(events.len());
        for event in events {
            (self.tell)(at, event.clone(), &self.diagnosis)?;
            told.push(Entry { at, event });
        }
        Ok(told)
    }

    /// What the source knows beside the samples.
    fn ask_status(&mut self, events: &mut Vec<Event>) {
        let Some(status) = &self.cluster.status else { return };
        let context = &mut self.cluster.context;
        (context.unavailable, context.broker_ids) = (status.unavailable(), status.broker_ids());
        events.extend(status.take_notes().into_iter().map(Event::note));
    }

    /// Reads the cluster's state when that is due. Metrics go on while the control plane does not answer.
    async fn refreshed(&mut self) -> Vec<Event> {
        let begin_ms = self.begin.at_ms();
        let before = self.samples.len();
        self.samples.retain(|sample| sample.at_ms >= begin_ms);
        let has_moved = self.samples.len() < before;
        if self.state_read.elapsed() < STATE_EVERY && !has_moved {
            return Vec::new();
        }
        let refreshed = refresh(&self.cluster.aws, &mut self.cluster.context).await;
        self.state_read = Instant::now();
        refreshed.err().map(|error| Event::note(error.to_string())).into_iter().collect()
    }

    /// What the newest sample adds.
    fn judged(&mut self) -> Vec<Event> {
        let context = &self.cluster.context;
        self.diagnosis = diagnose(context, self.samples.make_contiguous());
        let Some(sample) = self.samples.back() else { return Vec::new() };
        let observed = Observed::new(context.clone(), sample.clone(), &self.diagnosis);
        let mut events = vec![Event::Sample(Box::new(observed))];
        if let Some(news) = &mut self.news {
            events.extend(news.of(context, sample, &self.diagnosis));
        }
        events
    }
}

/// A cluster that is watched on a thread of its own during other work. Dropping it ends the watch.
pub struct Background {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts to watch the cluster that `open` opens, a sample each `interval`. Calls `failed` when the cluster cannot be
    /// watched, or no longer.
    pub fn start(
        open: impl AsyncFnOnce() -> anyhow::Result<Opened> + Send + 'static,
        interval: Duration,
        watcher: impl FnOnce(Watchable) -> Watcher + Send + 'static,
        failed: impl FnOnce(anyhow::Error) + Send + 'static,
    ) -> Background {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let ended = runtime().and_then(|runtime| {
                runtime.block_on(async {
                    tokio::select! {
                        ended = watch(open, interval, watcher) => ended,
                        () = set(&stopped) => Ok(()),
                    }
                })
            });
            ended.unwrap_or_else(failed);
        });
        Background { stop, thread: Some(thread) }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn watch(
    open: impl AsyncFnOnce() -> anyhow::Result<Opened>,
    interval: Duration,
    watcher: impl FnOnce(Watchable) -> Watcher,
) -> anyhow::Result<()> {
    let Opened { aws, context, source, .. } = open().await?;
    let mut watcher = watcher(Watchable { aws, context, status: source.status() });
    let mut samples = source.stream(interval);
    while let Some(sample) = samples.recv().await {
        watcher.take(sample.map_err(ended)?).await?;
    }
    Ok(())
}

/// Returns once `flag` is set.
async fn set(flag: &AtomicBool) {
    while !flag.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
