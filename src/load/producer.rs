//! Sends a load and says what became of it.

mod native;
mod summary;
mod worker;

use std::{
    path::PathBuf,
    sync::{atomic::AtomicBool, mpsc},
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context as _;

pub use summary::{SCHEMA, Summary, Tick};

use self::{
    native::Native,
    summary::Tally,
    worker::{Report, Worker},
};
use super::{keys::Keys, ledger::LedgerWriter, pacer::Rate, payload::Payload};
use crate::kafka::{Connection, Notes};

/// What is sent, independent of where to.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    pub topic: String,
    pub rate: Rate,
    pub duration: Duration,
    /// Ends the run early; `u64::MAX` for no limit.
    pub max_records: u64,
    /// Bytes of a record's value.
    pub record_size: usize,
    pub keys: Keys,
    pub payload: Payload,
    /// The same seed draws the same keys, bodies and arrivals.
    pub seed: u64,
}

/// Where and how a [`Load`] is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct ProducerConfig {
    pub load: Load,
    pub connection: Connection,
    pub acks: Acks,
    /// No duplicates and no reordering by the client's own retries; needs `acks=all`.
    pub idempotent: bool,
    /// librdkafka's name of the codec: `none`, `gzip`, ….
    pub compression: String,
    /// Client instances, each with its own connections and its share of the rate.
    pub clients: u16,
    /// Where the runs are; this one gets a folder of its own in it.
    pub runs: PathBuf,
    /// How long the end of a run waits for answers before it gives up what is outstanding.
    pub flush_within: Duration,
}

/// Which replicas have to have a record before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Acks {
    All,
    #[value(name = "1")]
    Leader,
    #[value(name = "0")]
    None,
}

impl Acks {
    fn setting(self) -> &'static str {
        match self {
            Acks::All => "all",
            Acks::Leader => "1",
            Acks::None => "0",
        }
    }
}

/// Memory for records that are due or on their way, per client.
const IN_FLIGHT_BYTES: usize = 24 << 20;
/// The same for `--rate max`, where nothing waits to be sent: enough to keep the brokers busy, and little enough to stay
/// in the processor's cache. With 24 MiB, records of 10 KB cost a quarter more CPU.
const IN_FLIGHT_BYTES_MAX: usize = 6 << 20;

impl ProducerConfig {
    /// Records that one client may have due or on their way; more wait, and their latency counts.
    pub fn in_flight(&self) -> usize {
        // About 200 bytes of librdkafka's and ours belong to each.
        let bytes = if self.load.rate == Rate::Max { IN_FLIGHT_BYTES_MAX } else { IN_FLIGHT_BYTES };
        (bytes / (self.load.record_size + 200)).clamp(64, 100_000)
    }

    /// # Errors
    /// When the record is too small for its stamp or the settings contradict each other.
    pub fn validate(&self) -> anyhow::Result<()> {
        let smallest = self.load.payload.min_size();
        anyhow::ensure!(
            self.load.record_size >= smallest,
            "a record of {} bytes is too small: run, producer, sequence and checksums need {smallest} \
             (--payload random needs {})",
            self.load.record_size,
            Payload::Random { repeated: 0.0 }.min_size(),
        );
        anyhow::ensure!(!self.idempotent || self.acks == Acks::All, "an idempotent producer needs --acks all");
        anyhow::ensure!(self.clients > 0, "at least one client is needed");
        Ok(())
    }
}

/// Sends the load until it is over or `stop` is set, then waits (bounded) for outstanding answers.
///
/// `on_tick` is called on this thread about once a second. Ends in at most the load's duration and twice
/// `flush_within`, plus what the brokers' last answers take.
///
/// # Errors
/// Bad settings and ledgers that cannot be written. Records that the brokers refuse are no error: they are counted.
pub fn run(config: &ProducerConfig, stop: &AtomicBool, on_tick: &mut dyn FnMut(&Tick)) -> anyhow::Result<Summary> {
    config.validate()?;
    let run = uuid::Uuid::new_v4().as_u64_pair().0;
    let dir = config.runs.join(format!("{run:016x}"));
    let notes = Notes::default();
    let mut clients = Vec::new();
    for client in 0..config.clients {
        let native = Native::new(&config.connection, &settings(config), &config.load.topic, notes.clone())?;
        clients.push((native, LedgerWriter::create(&dir, run, client, &config.load.topic)?));
    }
    let (reports, inbox) = mpsc::channel();
    let (started, started_at) = (Instant::now(), SystemTime::now());
    let mut tally = Tally::new(config, &dir, started_at)?;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0u16..)
            .zip(clients)
            .map(|(client, (native, ledger))| {
                let worker = Worker::new(config, run, client, native, ledger, (started, started_at));
                let reports = reports.clone();
                std::thread::Builder::new()
                    .name(format!("produce-{client}"))
                    .spawn_scoped(scope, move || worker.run(stop, &reports))
                    .context("starting a producer thread")
            })
            .collect::<Result<_, _>>()?;
        drop(reports);
        while let Ok(Report { client, interval }) = inbox.recv() {
            if let Some(tick) = tally.take(client, interval, notes.take()) {
                on_tick(&tick);
            }
        }
        for worker in workers {
            let ended = worker.join().map_err(|_| anyhow::anyhow!("a producer thread panicked"))??;
            tally.ended(ended);
        }
        anyhow::Ok(())
    })?;
    tally.finish(run, stop.load(std::sync::atomic::Ordering::Relaxed))
}

fn settings(config: &ProducerConfig) -> Vec<(&'static str, &str)> {
    let mut settings = vec![
        ("acks", config.acks.setting()),
        ("enable.idempotence", if config.idempotent { "true" } else { "false" }),
        ("compression.type", config.compression.as_str()),
        // As the Java clients do, so that a key goes to the same partition from both.
        ("partitioner", "murmur2_random"),
        // Only the slots of a worker limit what is in flight.
        ("queue.buffering.max.messages", "10000000"),
        ("queue.buffering.max.kbytes", "2097151"),
        // Java's delivery.timeout.ms.
        ("message.timeout.ms", "120000"),
        // A broker that restarts is to be found again soon.
        ("reconnect.backoff.max.ms", "1000"),
        ("log.connection.close", "false"),
    ];
    // Values are sent from where they are instead of being copied into the request first. Not with TLS: OpenSSL would
    // encrypt each of them, and each bit of framing between them, on its own.
    let protocol = config.connection.settings.get("security.protocol").map_or("plaintext", String::as_str);
    if !protocol.to_ascii_lowercase().contains("ssl") {
        settings.push(("message.copy.max.bytes", "1000"));
    }
    if config.load.record_size > 900_000 {
        settings.push(("message.max.bytes", "100000000"));
    }
    settings
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::atomic::Ordering};

    use rdkafka::{mocking::MockCluster, types::RDKafkaApiKey, types::RDKafkaRespErr};

    use super::*;
    use crate::load::{consumer, ledger::Ledger};

    fn config(bootstrap_servers: String, runs: &std::path::Path) -> ProducerConfig {
        let settings: BTreeMap<_, _> = [("linger.ms".to_owned(), "1".to_owned())].into();
        ProducerConfig {
            load: Load {
                topic: "t".into(),
                rate: Rate::Constant(2000.0),
                duration: Duration::from_secs(2),
                max_records: u64::MAX,
                record_size: 200,
                keys: Keys::Hot { share: 0.8, hot: 2, of: 100 },
                payload: Payload::Json,
                seed: 1,
            },
            connection: Connection { bootstrap_servers, settings },
            acks: Acks::All,
            idempotent: true,
            compression: "none".into(),
            clients: 2,
            runs: runs.to_owned(),
            flush_within: Duration::from_secs(10),
        }
    }

    #[test]
    fn what_is_acknowledged_is_proven_to_be_there() {
        let cluster = MockCluster::new(3).unwrap();
        cluster.create_topic("t", 6, 2).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let config = config(cluster.bootstrap_servers(), dir.path());
        let stop = AtomicBool::new(false);
        let mut ticks = Vec::new();
        let summary = run(&config, &stop, &mut |tick| ticks.push(tick.clone())).unwrap();
        assert_eq!((summary.offered, summary.acknowledged, summary.lost_track), (4000, 4000, 0), "{summary:?}");
        // The last tick may come before the last answer; the summary has them all.
        assert!(ticks.is_sorted_by_key(|tick| tick.total_acknowledged), "{ticks:?}");
        assert!(ticks.last().is_some_and(|tick| (3000..=4000).contains(&tick.total_acknowledged)), "{ticks:?}");
        let ledgers = Ledger::read_run(&dir.path().join(&summary.run)).unwrap();
        assert_eq!(ledgers.iter().map(|ledger| ledger.acknowledged.len()).sum::<u64>(), 4000);
        let verify =
            |ledgers| consumer::verify(&config.connection, "t", ledgers, &stop, &mut |_, _| {}).unwrap().unwrap();
        let found = verify(ledgers.clone());
        assert!(found.is_whole() && found.read == 4000 && found.ledger_complete, "{found:?}");
        // A ledger that claims one record more is caught.
        let mut liar = ledgers;
        liar[0].acknowledged.insert(1_000_000, 1_000_000);
        assert_eq!(verify(liar).lost_examples, [(0, 1_000_000)]);
    }

    #[test]
    fn a_refused_record_is_counted_by_its_code() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(cluster.bootstrap_servers(), dir.path());
        (config.clients, config.idempotent, config.load.max_records) = (1, false, 5);
        config.connection.settings.insert("linger.ms".into(), "500".into());
        cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED]);
        let summary = run(&config, &AtomicBool::new(false), &mut |_| {}).unwrap();
        assert_eq!(summary.failed, [("TOPIC_AUTHORIZATION_FAILED".to_owned(), 5)].into());
        let ledger = &Ledger::read_run(&dir.path().join(&summary.run)).unwrap()[0];
        assert_eq!((ledger.failed["TOPIC_AUTHORIZATION_FAILED"].len(), ledger.complete), (5, true));
    }

    #[test]
    fn a_stopped_run_ends_soon_though_no_broker_answers() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(cluster.bootstrap_servers(), dir.path());
        (config.clients, config.load.duration) = (1, Duration::from_secs(60));
        config.flush_within = Duration::from_secs(1);
        cluster.broker_down(1).unwrap();
        let (stop, started) = (AtomicBool::new(false), Instant::now());
        let summary = run(&config, &stop, &mut |_| stop.store(true, Ordering::Relaxed)).unwrap();
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        assert!(summary.stopped && summary.acknowledged == 0 && summary.lost_track == 0);
        assert_eq!(summary.failed_total() + summary.unsent, summary.offered, "{summary:?}");
    }
}
