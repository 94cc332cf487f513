//! A load that is sent on a thread of its own, while its owner does something else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use anyhow::{Context as _, anyhow};

use super::producer::{self, ProducerConfig, Summary, Tick};

/// A load that is being sent. Dropping it ends the load.
pub struct Sending {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<anyhow::Result<Summary>>>,
}

impl Sending {
    /// Begins to send. `tick` is called once a second, on the thread that sends.
    pub fn start(config: ProducerConfig, mut tick: impl FnMut(&Tick) + Send + 'static) -> Sending {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || producer::run(&config, &stopped, &mut tick));
        Sending { stop, thread: Some(thread) }
    }

    /// Whether it has ended by itself: it is over, or it failed.
    pub fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends the load and waits for its last answers.
    ///
    /// # Errors
    /// It had failed.
    pub fn end(mut self) -> anyhow::Result<Summary> {
        self.stop.store(true, Ordering::SeqCst);
        let thread = self.thread.take().context("the load has ended before")?;
        thread.join().map_err(|_| anyhow!("the load generator panicked"))?
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::{
        kafka::Connection,
        load::{keys::Keys, pacer::Rate, payload::Payload, producer::Load, sizes::Sizes},
    };

    fn config(bootstrap_servers: String, runs: &std::path::Path) -> ProducerConfig {
        let load = Load {
            topics: vec!["t".to_owned()],
            rate: Rate::Constant(200.0),
            duration: Duration::from_secs(600),
            max_records: u64::MAX,
            record_size: Sizes::Fixed(200),
            keys: Keys::UNIFORM,
            payload: Payload::Json,
            headers: Vec::new(),
            seed: 1,
        };
        let connection = Connection { bootstrap_servers, settings: BTreeMap::new(), iam_region: None };
        ProducerConfig::idempotent(load, connection, runs.to_owned(), Duration::from_secs(10))
    }

    #[test]
    fn a_load_goes_on_until_its_owner_ends_it_and_every_record_has_its_answer() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (sender, ticks) = std::sync::mpsc::channel();
        let sending = Sending::start(config(cluster.bootstrap_servers(), dir.path()), move |tick| {
            let _ = sender.send(tick.total_acknowledged);
        });
        let acknowledged = ticks.iter().find(|acknowledged| *acknowledged > 0).unwrap();
        assert!(!sending.is_over());
        let summary = sending.end().unwrap();
        assert!(summary.stopped && summary.acknowledged >= acknowledged, "{summary:?}");
        assert_eq!((summary.failed_total(), summary.lost_track), (0, 0));
    }

    #[test]
    fn a_load_that_cannot_begin_is_over_and_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let config = ProducerConfig { clients: 0, ..config("127.0.0.1:1".to_owned(), dir.path()) };
        let error = Sending::start(config, |_| {}).end().unwrap_err();
        assert!(error.to_string().contains("at least one client"), "{error:#}");
    }
}
