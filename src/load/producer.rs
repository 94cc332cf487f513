//! Sends a load and reports its outcome.

mod in_flight;
mod native;
mod summary;
mod worker;

use std::{
    fmt,
    path::PathBuf,
    str::FromStr,
    sync::{Arc, atomic::AtomicBool, mpsc},
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context as _;

pub use summary::{SCHEMA, Summary, TICK_SCHEMA, Tick};

use self::{
    in_flight::Places,
    native::Native,
    summary::Tally,
    worker::{ClientInterval, Worker},
};
use super::{
    keys::Keys,
    ledger::LedgerWriter,
    pacer::{self, Rate},
    part::{self, Part},
    payload::{Bodies, Payload},
    sizes::Sizes,
};
use crate::{
    kafka::{Connection, Notes},
    stack::Stack,
};

/// What is sent, independent of where to.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Each gets every n-th record.
    pub topics: Vec<String>,
    pub rate: Rate,
    pub duration: Duration,
    /// Ends the run early; `u64::MAX` for no limit.
    pub max_records: u64,
    /// Bytes of a record's value; lines of a file have their own.
    pub record_size: Sizes,
    pub keys: Keys,
    pub payload: Payload,
    /// What every record has besides its stamp.
    pub headers: Vec<(String, String)>,
    /// The same seed draws the same keys, bodies and arrivals.
    pub seed: u64,
}

impl Load {
    /// The load that the stack describes, for as long as it says.
    pub fn of_stack(stack: &Stack) -> Load {
        let load = stack.load_settings();
        Load {
            topics: vec![stack.topic().name.clone()],
            rate: Rate::Constant(load.rate),
            duration: Duration::from_secs(load.duration_s),
            max_records: u64::MAX,
            record_size: Sizes::Fixed(load.record_bytes as usize),
            keys: if load.hot_keys { Keys::HOT } else { Keys::UNIFORM },
            payload: Payload::Json,
            headers: Vec::new(),
            seed: 1,
        }
    }
}

/// Where and how a [`Load`] is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct ProducerConfig {
    /// See [`new_run`].
    pub run: u64,
    pub load: Load,
    pub connection: Connection,
    pub acks: Acks,
    /// No duplicates and no reordering by the client's own retries; needs `acks=all`.
    pub idempotent: bool,
    /// Records are sent in transactions, and count as acknowledged when theirs is committed.
    pub transactions: Option<Commit>,
    /// librdkafka's name of the codec: `none`, `gzip`, ….
    pub compression: String,
    /// Client instances, each with its own connections and its share of the rate.
    pub clients: u16,
    /// What this machine sends of the load.
    pub part: Part,
    /// When to begin; at once if there is none.
    pub start_at: Option<SystemTime>,
    /// Where the runs are; this one gets a folder of its own in it.
    pub runs: PathBuf,
    /// How long the end of a run waits for answers before it gives up what is outstanding.
    pub flush_within: Duration,
}

/// When a transaction is committed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Commit {
    /// After so many records.
    Records(u64),
    /// So long after its first record.
    Every(Duration),
}

/// Reads a number of records, or a time with its unit.
impl FromStr for Commit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a transaction size: use a number of records, or a time such as 500ms");
        match text.parse::<u64>() {
            Ok(0) => Err(wrong()),
            Ok(records) => Ok(Commit::Records(records)),
            Err(_) => match pacer::duration(text).map_err(|_| wrong())? {
                time if time.is_zero() => Err(wrong()),
                time => Ok(Commit::Every(time)),
            },
        }
    }
}

/// As it is read.
impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Commit::Records(records) => write!(f, "{records}"),
            Commit::Every(time) => write!(f, "{}ms", time.as_secs_f64() * 1000.0),
        }
    }
}

/// Headers that a load may have.
pub const MOST_HEADERS: usize = 32;

/// An id for a run; its folder is named so, in 16 hexadecimal digits.
pub fn new_run() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
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

/// Memory for records that are due or on their way, shared by the clients; it is taken at the start.
const IN_FLIGHT_BYTES: usize = 24 << 20;
/// The same for `--rate max`, where nothing waits to be sent: enough to keep the brokers busy, and little enough to stay
/// in the processor's cache. With 24 MiB, records of 10 KB cost a quarter more CPU.
const IN_FLIGHT_BYTES_MAX: usize = 6 << 20;

impl ProducerConfig {
    /// A new run of `load` that loses and repeats nothing: idempotent, acks=all, one client, no compression.
    pub fn idempotent(load: Load, connection: Connection, runs: PathBuf, flush_within: Duration) -> ProducerConfig {
        ProducerConfig {
            run: new_run(),
            load,
            connection,
            acks: Acks::All,
            idempotent: true,
            transactions: None,
            compression: "none".to_owned(),
            clients: 1,
            part: Part::WHOLE,
            start_at: None,
            runs,
            flush_within,
        }
    }

    /// Records that one client may have due or on their way; more wait, and their latency counts.
    pub fn in_flight(&self, bodies: &Bodies) -> usize {
        // About 200 bytes of librdkafka's and ours belong to each.
        let bytes = match self.load.rate {
            Rate::Max => IN_FLIGHT_BYTES_MAX,
            _ => (IN_FLIGHT_BYTES / usize::from(self.clients.max(1))).max(IN_FLIGHT_BYTES_MAX),
        };
        (bytes / (bodies.mean_size() + 200)).clamp(64, 100_000)
    }

    /// # Errors
    /// When records are too small for their stamp or the settings contradict each other.
    pub fn validate(&self) -> anyhow::Result<()> {
        let (smallest, size) = (self.load.payload.form().min_size(), self.load.record_size);
        anyhow::ensure!(
            size.smallest() >= smallest,
            "a record of {} bytes is too small: run, producer, sequence and checksums need {smallest} \
             (--payload random needs {})",
            size.smallest(),
            Payload::Random { repeated: 0.0 }.form().min_size(),
        );
        let replicated = self.acks == Acks::All;
        anyhow::ensure!(!self.idempotent || replicated, "an idempotent producer needs --acks all");
        anyhow::ensure!(self.transactions.is_none() || replicated, "a transactional producer needs --acks all");
        anyhow::ensure!(self.clients > 0, "at least one client is needed");
        anyhow::ensure!(
            u32::from(self.clients) * u32::from(self.part.of) <= u32::from(u16::MAX),
            "{} machines with {} clients each are too many",
            self.part.of,
            self.clients
        );
        anyhow::ensure!(!self.load.topics.is_empty(), "at least one topic is needed");
        let mut topics = self.load.topics.clone();
        topics.sort_unstable();
        topics.dedup();
        anyhow::ensure!(topics.len() == self.load.topics.len(), "a topic is given twice");
        anyhow::ensure!(self.load.headers.len() <= MOST_HEADERS, "a record can have at most {MOST_HEADERS} headers");
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
    let load = &config.load;
    let bodies = Arc::new(Bodies::make(&load.payload, load.record_size, load.seed)?);
    let dir = config.runs.join(format!("{:016x}", config.run));
    let notes = Notes::default();
    let mut clients = Vec::new();
    for client in 0..config.clients {
        let producer = config.part.producer(client);
        let id = format!("kgen-{:016x}-{producer}", config.run);
        let settings = settings(config, &bodies, &id);
        let native = Native::new(&config.connection, &settings, &load.topics, &load.headers, notes.clone())?;
        if config.transactions.is_some() {
            native.init_transactions(TRANSACTIONS_WITHIN).map_err(|refusal| {
                let reason = notes.cause().unwrap_or_default();
                anyhow::anyhow!("the brokers do not support transactions: {} {reason}", refusal.code.name())
            })?;
        }
        let ledger = LedgerWriter::create(&dir, config.run, producer, &load.topics.join(","))?;
        clients.push((native, ledger, Places::of(config, &bodies)));
    }
    let (reports, inbox) = mpsc::channel();
    let start = config.start_at.map(|at| part::await_start(at, stop)).transpose()?.flatten();
    let mut config = config.clone();
    if config.start_at.is_some() && start.is_none() {
        // Without a start nothing of the schedule is due.
        config.load.max_records = 0;
    }
    let config = &config;
    let (started, started_at) = (Instant::now(), SystemTime::now());
    let mut tally = Tally::new(config, &dir, started_at)?;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0u16..)
            .zip(clients)
            .map(|(client, (native, ledger, places))| {
                let worker = Worker::new(config, client, native, ledger, places, (started, started_at));
                let reports = reports.clone();
                std::thread::Builder::new()
                    .name(format!("produce-{client}"))
                    .spawn_scoped(scope, move || worker.run(stop, &reports))
                    .context("starting a producer thread")
            })
            .collect::<Result<_, _>>()?;
        drop(reports);
        while let Ok(ClientInterval { client, interval }) = inbox.recv() {
            if let Some(tick) = tally.take(client, interval, notes.take()) {
                on_tick(&tick);
            }
        }
        for worker in workers {
            let ended = worker.join().map_err(|_| anyhow::anyhow!("a producer thread panicked"))?;
            tally.ended(ended.with_context(|| {
                format!(
                    "the run ended early; `kgen consume --verify {:016x}` checks the records in its ledger",
                    config.run
                )
            })?);
        }
        anyhow::Ok(())
    })?;
    let summary = tally.finish(config.run, stop.load(std::sync::atomic::Ordering::Relaxed))?;
    Ok(Summary { start, ..summary })
}

/// The values of `compression.type` that librdkafka takes (its CONFIGURATION.md).
pub const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// How long the brokers may take to make a producer a transactional one.
const TRANSACTIONS_WITHIN: Duration = Duration::from_secs(30);

fn settings<'a>(config: &'a ProducerConfig, bodies: &Bodies, id: &'a str) -> Vec<(&'static str, &'a str)> {
    let mut settings = vec![
        ("acks", config.acks.setting()),
        // A transactional producer is one.
        ("enable.idempotence", if config.idempotent || config.transactions.is_some() { "true" } else { "false" }),
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
    if config.idempotent && config.transactions.is_none() {
        // With more, a broker that refuses one request refuses those behind it for their sequence; librdkafka then
        // continues under a new epoch on all partitions, and what was in flight elsewhere may be there twice (its issue
        // 4953).
        settings.push(("max.in.flight.requests.per.connection", "1"));
    }
    if config.transactions.is_some() {
        settings.push(("transactional.id", id));
        // librdkafka gives records up after this time at the latest, and refuses more than that.
        settings.push(("transaction.timeout.ms", "120000"));
    }
    if bodies.largest() > 900_000 {
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
        let load = Load {
            topics: vec!["t".into()],
            rate: Rate::Constant(2000.0),
            duration: Duration::from_secs(2),
            max_records: u64::MAX,
            record_size: Sizes::Fixed(200),
            keys: Keys::Hot { share: 0.8, hot: 2, of: 100 },
            payload: Payload::Json,
            headers: Vec::new(),
            seed: 1,
        };
        let connection = Connection { bootstrap_servers, settings, iam_region: None };
        let config = ProducerConfig::idempotent(load, connection, runs.to_owned(), Duration::from_secs(10));
        ProducerConfig { clients: 2, ..config }
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
        let verify = |ledgers| {
            consumer::verify(&config.connection, &config.load.topics, ledgers, &stop, &mut |_, _| {}).unwrap().unwrap()
        };
        let found = verify(ledgers.clone());
        assert!(found.is_whole() && found.read == 4000 && found.ledger_complete, "{found:?}");
        // A ledger that claims one record more is caught.
        let mut liar = ledgers;
        liar[0].acknowledged.insert(1_000_000);
        assert_eq!(verify(liar).lost_examples, [(0, 1_000_000)]);
    }

    #[test]
    fn records_of_every_codec_are_written_and_read() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 2, 1).unwrap();
        let dir = tempfile::tempdir().unwrap();
        for codec in CODECS {
            let mut config = config(cluster.bootstrap_servers(), dir.path());
            (config.compression, config.clients, config.load.max_records) = (codec.to_owned(), 1, 200);
            let stop = AtomicBool::new(false);
            let summary = run(&config, &stop, &mut |_| {}).unwrap();
            let ledgers = Ledger::read_run(&dir.path().join(&summary.run)).unwrap();
            let found = consumer::verify(&config.connection, &config.load.topics, ledgers, &stop, &mut |_, _| {});
            let found = found.unwrap().unwrap();
            assert_eq!((summary.acknowledged, found.is_whole()), (200, true), "{codec}: {found:?}");
        }
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
    fn what_the_client_does_not_take_is_counted_too() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 2, 1).unwrap();
        let dir = tempfile::tempdir().unwrap();
        // One topic, whose records are handed over together; and with a header, each by itself.
        for headers in [vec![], vec![("a".to_owned(), "b".to_owned())]] {
            let mut config = config(cluster.bootstrap_servers(), dir.path());
            (config.clients, config.idempotent, config.load.max_records) = (1, false, 1000);
            (config.load.rate, config.load.headers) = (Rate::Max, headers);
            config.load.record_size = "uniform:200..1799".parse().unwrap();
            config.connection.settings.insert("message.max.bytes".into(), "1000".into());
            let summary = run(&config, &AtomicBool::new(false), &mut |_| {}).unwrap();
            let refused = summary.failed["MSG_SIZE_TOO_LARGE"];
            assert_eq!(
                (summary.failed_total(), summary.acknowledged, summary.lost_track),
                (refused, 1000 - refused, 0)
            );
            // Those above 1000 bytes, less what frames a record: a little more than half.
            assert!((500..650).contains(&refused), "{refused}");
            let ledger = &Ledger::read_run(&dir.path().join(&summary.run)).unwrap()[0];
            assert_eq!((ledger.failed["MSG_SIZE_TOO_LARGE"].len(), ledger.complete), (refused, true));
        }
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

    #[test]
    fn a_run_that_is_stopped_has_sent_all_that_was_due() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(cluster.bootstrap_servers(), dir.path());
        (config.load.rate, config.load.duration) = (Rate::Constant(500.0), Duration::from_secs(60));
        for _ in 0..3 {
            config.run = new_run();
            let stop = AtomicBool::new(false);
            let summary = run(&config, &stop, &mut |_| stop.store(true, Ordering::Relaxed)).unwrap();
            assert!(summary.stopped && summary.acknowledged > 0, "{summary:?}");
            assert_eq!((summary.unsent, summary.acknowledged), (0, summary.offered), "{summary:?}");
        }
    }

    #[test]
    fn a_run_that_is_stopped_while_it_waits_sends_nothing() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(cluster.bootstrap_servers(), dir.path());
        (config.load.rate, config.load.duration) = (Rate::Constant(100_000.0), Duration::from_secs(60));
        config.start_at = Some(SystemTime::now() + Duration::from_secs(60));
        let summary = run(&config, &AtomicBool::new(true), &mut |_| ()).unwrap();
        assert_eq!((summary.offered, summary.acknowledged, summary.start), (0, 0, None), "{summary:?}");
        assert!(summary.stopped);
    }

    #[test]
    fn a_broker_that_is_gone_for_a_while_weighs_on_every_record_that_was_due() {
        const RATE: u64 = 500;
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(cluster.bootstrap_servers(), dir.path());
        (config.clients, config.load.rate) = (1, Rate::Constant(RATE as f64));
        config.load.duration = Duration::from_secs(5);
        for (name, value) in [("reconnect.backoff.ms", "20"), ("reconnect.backoff.max.ms", "50")] {
            config.connection.settings.insert(name.into(), value.into());
        }
        let (summary, gone) = std::thread::scope(|scope| {
            let producing = scope.spawn(|| run(&config, &AtomicBool::new(false), &mut |_| {}).unwrap());
            std::thread::sleep(Duration::from_secs(1));
            cluster.broker_down(1).unwrap();
            let began = Instant::now();
            std::thread::sleep(Duration::from_secs(2));
            cluster.broker_up(1).unwrap();
            let gone = began.elapsed();
            (producing.join().unwrap(), gone)
        });
        assert_eq!((summary.offered, summary.acknowledged), (5 * RATE, 5 * RATE), "{summary:?}");
        let log = std::fs::read(&summary.latency_log).unwrap();
        let times = crate::load::latency::tests::logged(&log);
        let over = |ms: u64| times.len() - times.count_between(0, ms * 1000);
        // Records that were due more than half a second before the broker came back waited for that half second at least.
        let half_second = (gone.as_secs_f64() - 0.5) * RATE as f64;
        assert!(over(500) as f64 > half_second * 0.95, "{} of {half_second}: {summary:?}", over(500));
        let response = summary.response.unwrap();
        assert!(response.max_ms >= gone.as_secs_f64() * 1000.0 * 0.95, "{response:?} {gone:?}");
        // A median from the send alone would hide it, as most records went before and after.
        assert!(response.p90_ms > 500.0, "{response:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_load() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 3, 1).unwrap();
        cluster.create_topic("u", 3, 1).unwrap();
        let dir = tempfile::tempdir().unwrap();
        // Key, size and body of every record by its sequence, of the newest run in the topics.
        let sent = |seed: u64, rate: Rate| {
            let mut config = config(cluster.bootstrap_servers(), dir.path());
            (config.clients, config.load.seed, config.load.rate) = (1, seed, rate);
            config.load.topics = vec!["t".into(), "u".into()];
            config.load.max_records = 1500;
            config.load.record_size = "uniform:200..900".parse().unwrap();
            config.load.keys = "zipf:50:1".parse().unwrap();
            config.load.headers = vec![("source".into(), "kgen-test".into())];
            let summary = run(&config, &AtomicBool::new(false), &mut |_| {}).unwrap();
            assert_eq!((summary.acknowledged, summary.topic.as_str()), (1500, "t,u"));
            let mut records = consumer::tests::everything(&config.connection, &config.load.topics);
            records.retain(|record| record.stamp.run == config.run);
            records.sort_by_key(|record| record.stamp.sequence);
            assert_eq!(records.len(), 1500);
            assert!(records.iter().all(|record| record.headers == [("source".to_owned(), b"kgen-test".to_vec())]));
            assert!(records.iter().all(|record| (record.topic == "t") == (record.stamp.sequence % 2 == 0)));
            records
                .into_iter()
                .map(|record| (record.topic, record.partition, record.key, record.body))
                .collect::<Vec<_>>()
        };
        let once = sent(1, Rate::Constant(1000.0));
        // How fast it is sent, and so which records are on their way together, changes nothing.
        assert_eq!(once, sent(1, Rate::Max));
        assert_ne!(once, sent(2, Rate::Max));
    }

    #[test]
    fn an_idempotent_producer_has_one_request_in_flight() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config("127.0.0.1:1".to_owned(), dir.path());
        let in_flight = |config: &ProducerConfig| {
            let bodies = Bodies::make(&config.load.payload, config.load.record_size, 1).unwrap();
            let settings = settings(config, &bodies, "id");
            settings
                .iter()
                .find(|(name, _)| *name == "max.in.flight.requests.per.connection")
                .map(|(_, n)| n.to_string())
        };
        config.idempotent = true;
        assert_eq!(in_flight(&config).as_deref(), Some("1"));
        config.idempotent = false;
        assert_eq!(in_flight(&config), None);
    }

    #[test]
    fn a_transaction_counts_when_it_is_committed() {
        let cluster = MockCluster::new(3).unwrap();
        cluster.create_topic("t", 3, 3).unwrap();
        let dir = tempfile::tempdir().unwrap();
        for commit in [Commit::Records(100), Commit::Every(Duration::from_millis(100))] {
            let mut config = config(cluster.bootstrap_servers(), dir.path());
            (config.transactions, config.load.duration) = (Some(commit), Duration::from_secs(1));
            let summary = run(&config, &AtomicBool::new(false), &mut |_| {}).unwrap();
            assert_eq!((summary.offered, summary.acknowledged, summary.lost_track), (2000, 2000, 0), "{summary:?}");
            let ledgers = Ledger::read_run(&dir.path().join(&summary.run)).unwrap();
            assert!(ledgers.iter().all(|ledger| ledger.complete && ledger.acknowledged.len() == 1000), "{commit:?}");
            if let Commit::Every(time) = commit {
                // A record that was due when its transaction began waited for its end.
                let max = summary.response.unwrap().max_ms;
                assert!(max >= time.as_secs_f64() * 1000.0 * 0.9, "{max}");
            }
        }
    }

    #[test]
    fn an_aborted_transaction_fails_as_a_whole() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(cluster.bootstrap_servers(), dir.path());
        (config.clients, config.load.max_records) = (1, 300);
        config.transactions = Some(Commit::Records(100));
        let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
        cluster.request_errors(RDKafkaApiKey::Produce, &[refused]);
        let summary = run(&config, &AtomicBool::new(false), &mut |_| {}).unwrap();
        let failed = summary.failed_total();
        assert!((1..=100).contains(&failed) && summary.acknowledged == 300 - failed, "{summary:?}");
        assert!(summary.failed.contains_key("MSG_SIZE_TOO_LARGE"), "{summary:?}");
        let ledger = &Ledger::read_run(&dir.path().join(&summary.run)).unwrap()[0];
        assert_eq!((ledger.acknowledged.len(), ledger.unknown(), ledger.complete), (300 - failed, 0, true));
    }

    #[test]
    fn a_generator_that_cannot_keep_up_says_so() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(cluster.bootstrap_servers(), dir.path());
        // More than any machine sends, and more than there is memory for: a broker answers after half a second.
        cluster.broker_round_trip_time(1, Duration::from_millis(500)).unwrap();
        config.load.record_size = Sizes::Fixed(100_000);
        (config.load.rate, config.clients, config.idempotent) = (Rate::Constant(20_000.0), 1, false);
        (config.load.duration, config.flush_within) = (Duration::from_secs(1), Duration::from_millis(500));
        let summary = run(&config, &AtomicBool::new(false), &mut |_| {}).unwrap();
        assert!(summary.generator_bound && summary.late_queue_full > 0 && summary.unsent > 0, "{summary:?}");
        assert_eq!(summary.acknowledged + summary.failed_total() + summary.unsent, summary.offered, "{summary:?}");
    }

    #[test]
    fn no_record_costs_an_allocation() {
        use crate::load::producer::worker::Worker;
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 6, 1).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut counts = Vec::new();
        for records in [20_000, 120_000] {
            let mut config = config(cluster.bootstrap_servers(), dir.path());
            (config.clients, config.idempotent, config.load.max_records) = (1, false, records);
            (config.load.rate, config.load.duration) = (Rate::Max, Duration::from_secs(60));
            let bodies = Arc::new(Bodies::make(&config.load.payload, config.load.record_size, 1).unwrap());
            let settings = settings(&config, &bodies, "");
            let native =
                Native::new(&config.connection, &settings, &config.load.topics, &[], Notes::default()).unwrap();
            let ledger = LedgerWriter::create(&dir.path().join(records.to_string()), 1, 0, "t").unwrap();
            let places = Places::of(&config, &bodies);
            let worker = Worker::new(&config, 0, native, ledger, places, (Instant::now(), SystemTime::now()));
            let (reports, inbox) = mpsc::channel();
            let before = crate::testing::allocations();
            let ended = worker.run(&AtomicBool::new(false), &reports).unwrap();
            // Of this thread alone, and without what librdkafka takes from malloc itself.
            counts.push(crate::testing::allocations() - before);
            assert_eq!(ended.lost_track, 0);
            drop((reports, inbox));
        }
        // The places for records in flight are made once; besides them there are blocks of the ledger and reports by
        // the second.
        let more = counts[1].saturating_sub(counts[0]);
        assert!(more < 20_000, "100,000 more records cost {more} more allocations ({counts:?})");
    }
}
