//! A cluster that is watched on a thread of its own, by work that waits for what is seen of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use parking_lot::{Condvar, Mutex};

use super::{Background, Beginning, LatestLoad, Opened, Watcher};
use crate::{
    diagnose::{Context, Diagnosis, diagnose},
    run::{Event, now},
    sample::Sample,
};

/// How a cluster is watched.
pub struct Following {
    /// Time between two samples.
    pub interval: Duration,
    /// Samples that are judged together.
    pub look_back: usize,
    /// What the load has seen last, for each sample.
    pub load: LatestLoad,
    /// Receives each sample, with its verdict, and each note, on the thread that watches.
    pub tell: Box<dyn FnMut(Timestamp, Event) -> anyhow::Result<()> + Send>,
}

/// A cluster that is being watched. Dropping it ends the watch.
pub struct Session {
    shared: Arc<Shared>,
    begin: Beginning,
    /// Samples that were waited for.
    awaited: u64,
    _background: Background,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    context: Context,
    /// Since the beginning.
    samples: Vec<Sample>,
    diagnosis: Option<Diagnosis>,
    /// Samples that came at all.
    count: u64,
    failed: Option<anyhow::Error>,
}

impl Shared {
    /// Keeps a sample that was judged, unless it is of before the beginning.
    fn take(&self, event: &Event, diagnosis: &Diagnosis, begin: &Beginning) {
        let Event::Sample(observed) = event else { return };
        let mut seen = self.seen.lock();
        if observed.sample.at_ms >= begin.at_ms() {
            seen.samples.push(observed.sample.clone());
            seen.diagnosis = Some(diagnosis.clone());
        }
        seen.context = observed.cluster.clone();
        seen.count += 1;
        self.changed.notify_all();
    }

    fn fail(&self, error: anyhow::Error) {
        self.seen.lock().failed = Some(error);
        self.changed.notify_all();
    }
}

impl Session {
    /// Starts to watch the cluster that `open` opens.
    pub fn start(open: impl AsyncFnOnce() -> anyhow::Result<Opened> + Send + 'static, following: Following) -> Session {
        let (shared, begin) = (Arc::<Shared>::default(), Beginning::default());
        let Following { interval, look_back, load, mut tell } = following;
        let (taking, failing, began) = (Arc::clone(&shared), Arc::clone(&shared), begin.clone());
        let background = Background::start(
            open,
            interval,
            move |cluster| {
                let from = began.clone();
                let tell = Box::new(move |at, event: Event, diagnosis: &Diagnosis| {
                    tell(at, event.clone())?;
                    taking.take(&event, diagnosis, &from);
                    Ok(())
                });
                Watcher::new(cluster, tell).with_load(load).with_window(look_back, began)
            },
            move |error| failing.fail(error),
        );
        Session { shared, begin, awaited: 0, _background: background }
    }

    /// Waits for the next sample, at most `patience`. Returns whether one came.
    ///
    /// # Errors
    /// The cluster cannot be watched, or no longer.
    pub fn next(&mut self, patience: Duration) -> anyhow::Result<bool> {
        let end = Instant::now() + patience;
        let mut seen = self.shared.seen.lock();
        loop {
            if let Some(error) = seen.failed.take() {
                return Err(error.context("watching the brokers"));
            }
            if seen.count > self.awaited {
                self.awaited = seen.count;
                return Ok(true);
            }
            if self.shared.changed.wait_until(&mut seen, end).timed_out() {
                return Ok(false);
            }
        }
    }

    /// The cluster as it was at the newest sample.
    pub fn context(&self) -> Context {
        self.shared.seen.lock().context.clone()
    }

    /// What the samples since the beginning say, as far as they are judged together.
    pub fn diagnosis(&self) -> Diagnosis {
        let seen = self.shared.seen.lock();
        seen.diagnosis.clone().unwrap_or_else(|| diagnose(&seen.context, &[]))
    }

    /// The newest sample since the beginning.
    pub fn newest(&self) -> Option<Sample> {
        self.shared.seen.lock().samples.last().cloned()
    }

    /// The samples since the beginning that are not older than `window`, by the newest.
    pub fn samples(&self, window: Duration) -> Vec<Sample> {
        let seen = self.shared.seen.lock();
        let Some(last) = seen.samples.last() else { return Vec::new() };
        let from = last.at_ms - window.as_millis() as i64;
        seen.samples.iter().filter(|sample| sample.at_ms >= from).cloned().collect()
    }

    /// The samples since `from_ms` and the beginning.
    pub fn samples_since(&self, from_ms: i64) -> Vec<Sample> {
        let seen = self.shared.seen.lock();
        seen.samples.iter().filter(|sample| sample.at_ms >= from_ms).cloned().collect()
    }

    /// Starts again: nothing is judged by the samples so far, which are of another cluster than there is now.
    pub fn forget(&mut self) {
        let mut seen = self.shared.seen.lock();
        self.begin.move_to(now().as_millisecond());
        seen.samples.clear();
        seen.diagnosis = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::Verdict,
        run::Observed,
        sample::{BrokerSample, BrokerState},
    };

    fn event(at_ms: i64) -> (Event, Diagnosis) {
        let broker = BrokerSample { state: BrokerState::Serving, ..BrokerSample::default() };
        let sample = Sample { at_ms, brokers: [(1, broker)].into(), ..Sample::default() };
        let context = Context { cluster: "orders".to_owned(), ..Context::default() };
        let diagnosis = diagnose(&context, std::slice::from_ref(&sample));
        (Event::Sample(Box::new(Observed::new(context, sample, &diagnosis))), diagnosis)
    }

    fn session() -> Session {
        let none = async || Err(anyhow::anyhow!("no cluster"));
        let following = Following {
            interval: Duration::from_secs(1),
            look_back: 5,
            load: Box::new(|| None),
            tell: Box::new(|_, _| Ok(())),
        };
        Session::start(none, following)
    }

    #[test]
    fn a_cluster_that_cannot_be_opened_ends_the_wait() {
        let error = session().next(Duration::from_secs(20)).unwrap_err();
        assert_eq!(format!("{error:#}"), "watching the brokers: no cluster");
    }

    #[test]
    fn each_sample_is_awaited_once_and_forgotten_ones_judge_nothing() {
        let mut session = session();
        assert!(session.next(Duration::from_secs(20)).is_err());
        let take = |session: &Session, at_ms| {
            let (event, diagnosis) = event(at_ms);
            session.shared.take(&event, &diagnosis, &session.begin);
        };
        let start = now().as_millisecond();
        take(&session, start - 2000);
        assert!(session.next(Duration::ZERO).unwrap());
        assert!(!session.next(Duration::ZERO).unwrap());
        assert_eq!((session.context().cluster.as_str(), session.samples(Duration::from_secs(9)).len()), ("orders", 1));
        session.forget();
        assert_eq!((session.newest(), session.samples_since(0).len()), (None, 0));
        // It was seen before, and comes late: awaited, but not judged.
        take(&session, start - 1000);
        assert!(session.next(Duration::ZERO).unwrap() && session.newest().is_none());
        assert_eq!(session.diagnosis().verdict, Verdict::Inconclusive);
        let later = now().as_millisecond() + 1000;
        take(&session, later);
        assert_eq!(session.newest().map(|sample| sample.at_ms), Some(later));
    }
}
