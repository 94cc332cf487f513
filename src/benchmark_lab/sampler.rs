//! Who samples the brokers while a run is recorded.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{
    INTERVAL, outside,
    recording::{Come, LiveView},
};
use crate::{
    change::ClusterView,
    project::Project,
    run::{Event, Observed},
    watch::{Background, Place, Watcher, runtime},
};

/// Time between two samples where a capacity is measured, as in `kgen capacity`.
pub const INTERVAL_OF_TRIALS: Duration = Duration::from_secs(1);

/// Samples of the brokers, on a thread of its own. Dropping it ends it.
pub enum Sampler {
    Inside { _background: Background },
    Outside { stop: Arc<AtomicBool>, thread: Option<JoinHandle<()>> },
}

impl Sampler {
    /// Begins to pass on samples of the cluster of `project`, or why there are none any more.
    pub fn start((project, place): (&Project, &Place), view: LiveView, sender: Sender<Come>) -> Sampler {
        let (project, place) = (project.clone(), place.clone());
        match view {
            LiveView::Inside => Sampler::inside(project, place, INTERVAL, sender),
            LiveView::Outside { since_ms, period } => Sampler::outside(project, place, (since_ms, period), sender),
        }
    }

    /// The same from inside, every `interval`.
    pub fn inside(project: Project, place: Place, interval: Duration, sender: Sender<Come>) -> Sampler {
        let failures = sender.clone();
        let stack = project.stack();
        let view = ClusterView::of(&stack.cluster().name, stack.region(), &place, interval);
        let open = async move || view.open().await;
        let tell = move |_, event, _: &_| match event {
            Event::Sample(observed) => {
                let Observed { cluster, sample, .. } = *observed;
                Ok(sender.send(Come::Sample(Box::new((cluster, sample))))?)
            }
            _ => Ok(()),
        };
        let background = Background::start(
            open,
            interval,
            move |cluster| Watcher::new(cluster, Box::new(tell)),
            move |error| drop(failures.send(Come::Failed(error))),
        );
        Sampler::Inside { _background: background }
    }

    fn outside(project: Project, place: Place, of: (i64, Duration), sender: Sender<Come>) -> Sampler {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let tell = |come| sender.send(come).is_ok();
            let watched =
                runtime().and_then(|runtime| runtime.block_on(outside::watch((&project, &place), of, &tell, &stopped)));
            if let Err(error) = watched {
                tell(Come::Failed(error));
            }
        });
        Sampler::Outside { stop, thread: Some(thread) }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        if let Sampler::Outside { stop, thread } = self {
            stop.store(true, Ordering::SeqCst);
            if let Some(thread) = thread.take() {
                let _ = thread.join();
            }
        }
    }
}
