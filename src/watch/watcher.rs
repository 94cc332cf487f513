//! Samples of a cluster as they come: judged, and passed on with everything that is new.

use std::{
    collections::{BTreeSet, VecDeque},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{Marks, Opened, fixes, open::refresh, runtime};
use crate::{
    aws::Aws,
    diagnose::{Context, diagnose},
    finding_id,
    run::{self, Entry, Event, Found, Observed},
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

/// Judges each sample of a cluster together with those before it, and reads the cluster's state again now and then.
pub struct Watcher {
    aws: Aws,
    context: Context,
    tell: Tell,
    /// Where the HCL change of a fix is read from.
    terraform_dir: PathBuf,
    samples: VecDeque<Sample>,
    state_read: Instant,
    held: BTreeSet<&'static str>,
    marks: Marks,
}

impl Watcher {
    pub fn new(aws: Aws, context: Context, terraform_dir: PathBuf, marks: Marks, tell: Tell) -> Watcher {
        Watcher {
            aws,
            context,
            tell,
            terraform_dir,
            samples: VecDeque::new(),
            state_read: Instant::now(),
            held: BTreeSet::new(),
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
        // CloudWatch gives the same minute until the next one is complete.
        if self.samples.back().is_none_or(|last| last.at_ms != sample.at_ms) {
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
        let told = diagnosis.findings.iter().map(|finding| finding.id).filter(|id| *id != TOO_FEW);
        let holds: BTreeSet<&'static str> = told.collect();
        if !holds.is_subset(&self.held) {
            let fixes = fixes(&self.context, &diagnosis, &self.terraform_dir);
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
        watcher: impl FnOnce(Aws, Context) -> Watcher + Send + 'static,
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
    watcher: impl FnOnce(Aws, Context) -> Watcher,
) -> anyhow::Result<()> {
    let Opened { aws, context, source, .. } = open().await?;
    let mut watcher = watcher(aws, context);
    let mut samples = source.stream(interval);
    while let Some(sample) = samples.recv().await {
        watcher.take(sample?).await?;
    }
    Ok(())
}

/// Returns once `flag` is set.
async fn set(flag: &AtomicBool) {
    while !flag.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
