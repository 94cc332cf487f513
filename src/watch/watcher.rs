//! Samples of a cluster as they come: judged, and passed on with everything that is new.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{Marks, Naming, Opened, collect::ended, fixes, open::refresh, runtime};
use crate::{
    aws::Aws,
    diagnose::{Context, diagnose},
    finding_id,
    metrics::Status,
    run::{self, Covered, Entry, Event, Found, Observed},
    sample::Sample,
};

/// Samples that the running diagnosis looks back on.
const LOOK_BACK: usize = 60;

/// Time between two looks at the control plane.
pub const STATE_EVERY: Duration = Duration::from_secs(5);

/// Found at the beginning of every watch, so it is no news.
const TOO_FEW: &str = finding_id::INCONCLUSIVE_TOO_FEW_SAMPLES;

/// Receives what happens, and when.
pub type Tell = Box<dyn FnMut(Timestamp, Event) -> anyhow::Result<()> + Send>;

/// What is watched, beside its samples.
pub struct Watchable {
    pub aws: Aws,
    pub context: Context,
    /// Of a source outside.
    pub status: Option<Status>,
}

/// Judges each sample of a cluster together with those before it, and reads the cluster's state again now and then.
pub struct Watcher {
    aws: Aws,
    context: Context,
    /// Of a source outside.
    status: Option<Status>,
    tell: Tell,
    naming: Naming,
    samples: VecDeque<Sample>,
    state_read: Instant,
    held: BTreeSet<&'static str>,
    covered: Option<Covered>,
    marks: Marks,
}

impl Watcher {
    pub fn new(cluster: Watchable, naming: Naming, marks: Marks, tell: Tell) -> Watcher {
        let Watchable { aws, context, status } = cluster;
        Watcher {
            aws,
            context,
            status,
            tell,
            naming,
            samples: VecDeque::new(),
            state_read: Instant::now(),
            held: BTreeSet::new(),
            covered: None,
            marks,
        }
    }

    /// Judges a sample and passes it on with all that is new. Returns what was passed on, which is nothing for a sample
    /// that was there before.
    ///
    /// # Errors
    /// The receiver fails.
    pub async fn take(&mut self, mut sample: Sample) -> anyhow::Result<Vec<Entry>> {
        let mut events = self.refreshed().await;
        sample.cluster_state = self.context.state.clone();
        let at = run::at(sample.at_ms);
        self.ask_status(&mut events);
        // CloudWatch gives a minute again when more of it has arrived.
        if let Some(known) = self.samples.iter_mut().find(|known| known.at_ms == sample.at_ms) {
            *known = sample;
        } else {
            self.samples.push_back(sample);
            if self.samples.len() > LOOK_BACK {
                self.samples.pop_front();
            }
            events.extend(self.judged());
        }
        let mut told = Vec::with_capacity(events.len());
        for event in events {
            (self.tell)(at, event.clone())?;
            told.push(Entry { at, event });
        }
        Ok(told)
    }

    /// What the source knows beside the samples.
    fn ask_status(&mut self, events: &mut Vec<Event>) {
        let Some(status) = &self.status else { return };
        (self.context.unavailable, self.context.broker_ids) = (status.unavailable(), status.broker_ids());
        events.extend(status.take_notes().into_iter().map(Event::note));
    }

    /// Reads the cluster's state when that is due. Metrics go on while the control plane does not answer.
    async fn refreshed(&mut self) -> Vec<Event> {
        if self.state_read.elapsed() < STATE_EVERY {
            return Vec::new();
        }
        let refreshed = refresh(&self.aws, &mut self.context).await;
        self.state_read = Instant::now();
        refreshed.err().map(|error| Event::note(error.to_string())).into_iter().collect()
    }

    /// What the newest sample adds.
    fn judged(&mut self) -> Vec<Event> {
        let diagnosis = diagnose(&self.context, self.samples.make_contiguous());
        let Some(sample) = self.samples.back() else { return Vec::new() };
        let marks = self.marks.of(&self.context, sample, &diagnosis);
        let observed = Observed::new(self.context.clone(), sample.clone(), &diagnosis);
        let mut events = vec![Event::Sample(Box::new(observed))];
        let is_too_early = diagnosis.findings.first().is_some_and(|finding| finding.id == TOO_FEW);
        let covered = Some(Covered::new(&diagnosis.coverage));
        if covered != self.covered && !is_too_early {
            events.extend(covered.clone().map(Event::Coverage));
            self.covered = covered;
        }
        let told = diagnosis.findings.iter().map(|finding| finding.id).filter(|id| *id != TOO_FEW);
        let holds: BTreeSet<&'static str> = told.collect();
        if !holds.is_subset(&self.held) {
            let fixes = fixes(&self.context, &diagnosis, &self.naming);
            let new = diagnosis
                .findings
                .iter()
                .zip(fixes)
                .filter(|(finding, _)| holds.contains(finding.id) && !self.held.contains(finding.id));
            let found = new.map(|(finding, fix)| Found::new(&self.context.cluster, diagnosis.verdict, finding, fix));
            events.extend(found.map(|found| Event::Finding(Box::new(found))));
        }
        self.held = holds;
        events.extend(marks);
        events
    }
}

/// A cluster that is watched on a thread of its own while something else goes on. Dropping it ends the watch.
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
