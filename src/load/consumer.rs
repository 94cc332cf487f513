//! Reads a topic: as a group member, slowed on request, or completely to compare it with a ledger.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, bail};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    config::FromClientConfigAndContext as _,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::{BorrowedMessage, Headers as _},
    types::RDKafkaErrorCode,
};
use serde::{Deserialize, Serialize};

use super::{
    latency::{Quantiles, Times},
    ledger::Ledger,
    pacer,
    payload::{self, Read},
    slo::Judged,
    verify::{Verification, Verifier},
};
use crate::kafka::{Connection, Context, Notes};

/// How long brokers may be silent before a read is given up.
const SILENT_AT_MOST: Duration = Duration::from_secs(60);
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Reads every partition of the ledgers' topics up to where it ends now, and holds it against the ledgers.
///
/// `None` when `stop` was set before the end: then nothing is proven. `on_progress` is given how many records were
/// read and how many there are, at least once a second.
pub fn verify(
    connection: &Connection,
    topics: &[String],
    ledgers: Vec<Ledger>,
    stop: &AtomicBool,
    on_progress: &mut dyn FnMut(u64, u64),
) -> anyhow::Result<Option<Verification>> {
    let mut verifier = Verifier::new(ledgers)?;
    let defaults = [
        ("group.id", "kgen-verify"), // never joined: partitions are assigned by hand
        ("enable.auto.commit", "false"),
        ("enable.partition.eof", "true"),
        ("auto.offset.reset", "error"),
        ("check.crcs", "true"),
        ("queued.max.messages.kbytes", "16384"),
        ("reconnect.backoff.max.ms", "1000"),
    ];
    let config = connection.config(&defaults);
    let consumer = BaseConsumer::from_config_and_context(&config, Context::of(connection, Notes::default()))?;
    consumer.context().authorize(consumer.client())?;
    let mut spans: Vec<BTreeMap<i32, (i64, i64)>> = vec![BTreeMap::new(); topics.len()];
    let (mut total, mut cut) = (0, 0);
    for (index, partition) in partitions(&consumer, topics)? {
        let topic = topics[index].as_str();
        let (low, high) = span(&consumer, topic, partition, stop)
            .with_context(|| format!("reading the end offset of partition {partition} of `{topic}`"))?;
        cut += u64::from(low > 0);
        if high > low {
            total += (high - low) as u64;
            spans[index].insert(partition, (low, high));
        }
    }
    let (mut read, mut heard, mut shown) = (0, Instant::now(), Instant::now());
    // One after the other: the end of a partition is told by its number alone.
    for (index, (topic, spans)) in topics.iter().zip(&spans).enumerate() {
        let mut assignment = TopicPartitionList::new();
        for (partition, (low, _)) in spans {
            assignment.add_partition_offset(topic, *partition, Offset::Offset(*low))?;
        }
        consumer.assign(&assignment).with_context(|| format!("starting to read `{topic}`"))?;
        let mut unfinished: BTreeSet<i32> = spans.keys().copied().collect();
        while !unfinished.is_empty() {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    let (partition, offset) = (message.partition(), message.offset());
                    let end = spans.get(&partition).map_or(0, |(_, end)| *end);
                    // A record of the topic before may still be on its way.
                    if message.topic() == topic {
                        if offset < end {
                            read += 1;
                            let value = message.payload().unwrap_or_default();
                            verifier.record((index, partition), value, stamp_header(&message));
                        }
                        if offset + 1 >= end {
                            unfinished.remove(&partition);
                        }
                    }
                }
                // Also where the last offsets hold no record: those of a transaction's end.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    heard = Instant::now();
                    unfinished.remove(&partition);
                }
                Some(Err(error)) if is_fatal(&error) => {
                    return Err(error).with_context(|| format!("reading `{topic}`"));
                }
                Some(Err(_)) | None if heard.elapsed() > SILENT_AT_MOST => {
                    bail!("reading `{topic}`: its brokers sent nothing for {} s", SILENT_AT_MOST.as_secs())
                }
                Some(Err(_)) | None => {}
            }
            if shown.elapsed() > Duration::from_secs(1) {
                shown = Instant::now();
                on_progress(read, total);
            }
        }
    }
    Ok(Some(verifier.finish(cut)))
}

/// A stretch of a run in which nothing is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stall {
    /// After the start.
    pub from: Duration,
    pub length: Duration,
}

/// Reads `30s@10s`: for 30 s, from 10 s after the start.
impl FromStr for Stall {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (length, from) = text.split_once('@').ok_or_else(|| {
            format!(
                "`{text}` is not a stall: use for example 30s@10s for 30 s, \
                                                        starting after 10 s"
            )
        })?;
        Ok(Stall { from: pacer::duration(from)?, length: pacer::duration(length)? })
    }
}

/// What a plain `kgen consume` does.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerConfig {
    pub connection: Connection,
    pub topics: Vec<String>,
    pub group: String,
    /// Where a group without committed offsets starts: at the first record, or with what comes.
    pub from_beginning: bool,
    /// Ends after so many records.
    pub max_records: u64,
    /// Ends after this time.
    pub duration: Duration,
    /// Waits so long after each record.
    pub delay: Duration,
    /// Reads at most so many records/s.
    pub rate: Option<f64>,
    pub stalls: Vec<Stall>,
}

/// What others may set while a consumer runs.
#[derive(Debug, Default)]
pub struct Commands {
    pub stop: std::sync::Arc<AtomicBool>,
    /// Nothing is read while it is set.
    pub stall: std::sync::Arc<AtomicBool>,
}

/// Names the form of a [`ReadTick`] in JSON.
pub const TICK_SCHEMA: &str = "kgen.consume-second/1";

/// What a consumer did in about one second.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct ReadTick {
    pub schema: &'static str,
    /// Seconds since the start.
    pub at_s: f64,
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Since the start.
    pub read: u64,
    pub read_per_s: f64,
    /// Records behind the ends of this member's partitions; `None` if the ends could not be read.
    pub lag: Option<u64>,
    /// Reading is paused.
    pub stalled: bool,
    /// From the moment a record was due to its reading, ms.
    pub end_to_end_p50_ms: Option<f64>,
    pub end_to_end_p99_ms: Option<f64>,
    pub end_to_end_max_ms: Option<f64>,
    /// What the client library reported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Names the form of a [`Consumed`] in JSON.
pub const SCHEMA: &str = "kgen.consume/1";

/// A complete run of a consumer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Consumed {
    pub schema: String,
    /// Several are separated by commas.
    pub topic: String,
    pub group: String,
    pub duration_s: f64,
    /// Of that time, paused.
    pub stalled_s: f64,
    pub read: u64,
    pub bytes: u64,
    pub read_per_s: f64,
    /// kgen records with a wrong checksum.
    pub corrupted: u64,
    /// At the end.
    pub lag: Option<u64>,
    /// The most of all seconds.
    pub lag_max: Option<u64>,
    /// From the moment a kgen record was due (or the timestamp of any other record) until it is read here; depends on
    /// the clocks of both machines.
    pub end_to_end: Option<Quantiles>,
    #[serde(skip)]
    pub end_to_end_times: Times,
    /// The objectives of the run, and whether they were met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slo: Vec<Judged>,
}

/// Reads until a limit or `stop`. `on_tick` is called about once a second, also while nothing is read.
pub fn run(
    config: &ConsumerConfig,
    commands: &Commands,
    on_tick: &mut dyn FnMut(&ReadTick),
) -> anyhow::Result<Consumed> {
    let reset = if config.from_beginning { "earliest" } else { "latest" };
    let defaults = [
        ("group.id", config.group.as_str()),
        ("auto.offset.reset", reset),
        // A slow reader stays a member: it is meant to be slow.
        ("max.poll.interval.ms", "86400000"),
        ("queued.max.messages.kbytes", "16384"),
        ("reconnect.backoff.max.ms", "1000"),
    ];
    let notes = Notes::default();
    let client_config = config.connection.config(&defaults);
    let context = Context::of(&config.connection, notes.clone());
    let consumer = BaseConsumer::from_config_and_context(&client_config, context)?;
    consumer.context().authorize(consumer.client())?;
    partitions(&consumer, &config.topics)?;
    let names: Vec<&str> = config.topics.iter().map(String::as_str).collect();
    consumer.subscribe(&names).with_context(|| format!("joining group `{}`", config.group))?;
    let started = Instant::now();
    let mut reading = Reading {
        config,
        commands,
        consumer,
        notes,
        on_tick,
        started,
        read: 0,
        bytes: 0,
        corrupted: 0,
        end_to_end: Times::default(),
        second: Times::default(),
        ticked: started,
        ticked_read: 0,
        stalled: Duration::ZERO,
        lag_max: None,
    };
    let mut next = started;
    while reading.goes_on() {
        let stall_from = Instant::now();
        while reading.is_stalled() && reading.goes_on() {
            reading.sleep_until(Instant::now() + Duration::from_millis(50));
        }
        reading.stalled += stall_from.elapsed();
        if reading.poll(Duration::from_millis(100))? {
            let now = Instant::now();
            let mut until = now + config.delay;
            if let Some(rate) = config.rate {
                // After a wait the rate is not made up for: it is the most that is read.
                next = next.max(now) + Duration::from_secs_f64(1.0 / rate);
                until = until.max(next);
            }
            reading.sleep_until(until);
        }
        reading.tick();
    }
    reading.end()
}

/// A consumer at work.
struct Reading<'a> {
    config: &'a ConsumerConfig,
    commands: &'a Commands,
    consumer: BaseConsumer<Context>,
    notes: Notes,
    on_tick: &'a mut dyn FnMut(&ReadTick),
    started: Instant,
    read: u64,
    bytes: u64,
    corrupted: u64,
    end_to_end: Times,
    /// The same since the last tick.
    second: Times,
    ticked: Instant,
    ticked_read: u64,
    stalled: Duration,
    lag_max: Option<u64>,
}

impl Reading<'_> {
    fn goes_on(&self) -> bool {
        self.read < self.config.max_records
            && self.started.elapsed() < self.config.duration
            && !self.commands.stop.load(Ordering::Relaxed)
    }

    fn is_stalled(&self) -> bool {
        let at = self.started.elapsed();
        let planned = |stall: &Stall| (stall.from..stall.from.saturating_add(stall.length)).contains(&at);
        self.commands.stall.load(Ordering::Relaxed) || self.config.stalls.iter().any(planned)
    }

    /// Takes the next record if there is one. Returns whether there was.
    fn poll(&mut self, timeout: Duration) -> anyhow::Result<bool> {
        let Reading { config, consumer, read, bytes, corrupted, end_to_end, second, .. } = self;
        match consumer.poll(timeout) {
            Some(Ok(message)) => {
                *read += 1;
                let value = message.payload().unwrap_or_default();
                *bytes += value.len() as u64;
                let since_ms = match payload::read(value, stamp_header(&message)) {
                    Read::Whole(stamp) => Some(stamp.due_ms as i64),
                    Read::BodyDamaged(_) | Read::StampDamaged => {
                        *corrupted += 1;
                        None
                    }
                    Read::Foreign => message.timestamp().to_millis(),
                };
                if let Some(since_ms) = since_ms {
                    let ms = now_ms().saturating_sub(since_ms).max(0) as u64;
                    end_to_end.record_ns(ms.saturating_mul(1_000_000));
                    second.record_ns(ms.saturating_mul(1_000_000));
                }
                Ok(true)
            }
            Some(Err(error)) if is_fatal(&error) => {
                Err(error).with_context(|| format!("reading `{}`", config.topics.join(",")))
            }
            Some(Err(_)) | None => Ok(false),
        }
    }

    fn sleep_until(&mut self, until: Instant) {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.goes_on() {
                return;
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
            self.tick();
        }
    }

    /// Reports what the last second brought, if one is over.
    fn tick(&mut self) {
        let since = self.ticked.elapsed().as_secs_f64();
        if since < 1.0 {
            return;
        }
        let lag = self.lag();
        self.lag_max = self.lag_max.max(lag);
        let second = std::mem::take(&mut self.second);
        let tick = ReadTick {
            schema: TICK_SCHEMA,
            at_s: self.started.elapsed().as_secs_f64(),
            at_ms: now_ms(),
            read: self.read,
            read_per_s: (self.read - self.ticked_read) as f64 / since,
            lag,
            stalled: self.is_stalled(),
            end_to_end_p50_ms: second.quantile_ms(0.5),
            end_to_end_p99_ms: second.quantile_ms(0.99),
            end_to_end_max_ms: second.quantile_ms(1.0),
            notes: self.notes.take(),
        };
        (self.on_tick)(&tick);
        (self.ticked, self.ticked_read) = (Instant::now(), self.read);
    }

    fn end(mut self) -> anyhow::Result<Consumed> {
        let seconds = self.started.elapsed().as_secs_f64().max(1e-3);
        let lag = self.lag();
        if let Err(error) = self.consumer.commit_consumer_state(rdkafka::consumer::CommitMode::Sync)
            && !is_of_the_group(&error)
        {
            return Err(error).with_context(|| format!("committing the offsets of group `{}`", self.config.group));
        }
        self.lag_max = self.lag_max.max(lag);
        Ok(Consumed {
            schema: SCHEMA.to_owned(),
            topic: self.config.topics.join(","),
            group: self.config.group.clone(),
            duration_s: seconds,
            stalled_s: self.stalled.as_secs_f64(),
            read: self.read,
            bytes: self.bytes,
            read_per_s: self.read as f64 / seconds,
            corrupted: self.corrupted,
            lag,
            lag_max: self.lag_max,
            end_to_end: self.end_to_end.quantiles(),
            end_to_end_times: self.end_to_end,
            slo: Vec::new(),
        })
    }

    /// Records behind the ends of this member's partitions. Two questions to the brokers at most, a second each.
    fn lag(&self) -> Option<u64> {
        const WITHIN: Duration = Duration::from_secs(1);
        let assigned = self.consumer.assignment().ok()?;
        if assigned.count() == 0 {
            return (!self.consumer.assignment_lost() && self.read > 0).then_some(0);
        }
        let ask = |offset: Offset| {
            let mut asked = TopicPartitionList::new();
            for element in assigned.elements() {
                asked.add_partition_offset(element.topic(), element.partition(), offset).ok()?;
            }
            // In ListOffsets -1, which is `End`, means the end, and -2, which is `Beginning`, the first record.
            Some(self.consumer.offsets_for_times(asked, WITHIN).ok()?.to_topic_map())
        };
        let ends = ask(Offset::End)?;
        let positions = self.consumer.position().ok()?.to_topic_map();
        let is_known = |offset: Option<&Offset>| matches!(offset, Some(Offset::Offset(_)));
        // A partition of which nothing was read yet stands where the group has committed, else where a new group starts.
        let mut rest = BTreeMap::new();
        if ends.keys().any(|partition| !is_known(positions.get(partition))) {
            let committed = self.consumer.committed_offsets(assigned.clone(), WITHIN).ok()?;
            let starts = if self.config.from_beginning { ask(Offset::Beginning)? } else { ends.clone() };
            rest.extend(starts);
            rest.extend(committed.to_topic_map().into_iter().filter(|(_, offset)| is_known(Some(offset))));
        }
        let mut lag = 0;
        for (partition, end) in &ends {
            let at = positions.get(partition).filter(|at| is_known(Some(at))).or_else(|| rest.get(partition));
            if let (Offset::Offset(end), Some(Offset::Offset(at))) = (end, at) {
                lag += (end - at).max(0) as u64;
            }
        }
        Some(lag)
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as i64
}

/// The stamp of a record that has it in a header.
fn stamp_header<'a>(message: &'a BorrowedMessage<'_>) -> Option<&'a [u8]> {
    message.headers()?.iter().find(|header| header.key == payload::HEADER)?.value
}

/// The topics' partitions, by the topic's place in `topics`. All topics are requested: asking for one by name may
/// create it.
fn partitions(consumer: &BaseConsumer<Context>, topics: &[String]) -> anyhow::Result<Vec<(usize, i32)>> {
    let metadata = consumer.fetch_metadata(None, ANSWER_WITHIN).context("listing the topics of the brokers")?;
    let mut all = Vec::new();
    for (index, topic) in topics.iter().enumerate() {
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
            bail!("there is no topic `{topic}` (`kgen topic create {topic}` creates it)")
        };
        all.extend(found.partitions().iter().map(|partition| (index, partition.id())));
    }
    Ok(all)
}

/// Where a partition begins and ends now. A leader that has just been elected does not know its end at once
/// (OFFSET_NOT_AVAILABLE), and is asked again.
fn span(
    consumer: &BaseConsumer<Context>,
    topic: &str,
    partition: i32,
    stop: &AtomicBool,
) -> Result<(i64, i64), KafkaError> {
    let asked = Instant::now();
    loop {
        let answer = consumer.fetch_watermarks(topic, partition, ANSWER_WITHIN);
        if answer.is_ok() || asked.elapsed() >= ANSWER_WITHIN || stop.load(Ordering::Relaxed) {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Whether there is nothing to commit, or others of the group read on where it was committed last.
fn is_of_the_group(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let codes = [Code::NoOffset, Code::RebalanceInProgress, Code::IllegalGeneration, Code::UnknownMemberId];
    matches!(error, KafkaError::ConsumerCommit(code) if codes.contains(code))
}

fn is_fatal(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(code) => matches!(
            code,
            Code::Fatal
                | Code::AutoOffsetReset
                | Code::OffsetOutOfRange
                | Code::UnknownTopicOrPartition
                | Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::Authentication
        ),
        None => false,
    }
}

#[cfg(test)]
pub mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::load::payload::Stamp;

    /// A record of kgen as it was read.
    pub struct Record {
        pub topic: String,
        pub partition: i32,
        pub key: Option<Vec<u8>>,
        pub stamp: Stamp,
        pub headers: Vec<(String, Vec<u8>)>,
        /// The value from behind its stamp.
        pub body: Vec<u8>,
    }

    /// Every whole record of kgen in the topics.
    pub fn everything(connection: &Connection, topics: &[String]) -> Vec<Record> {
        let config = connection.config(&[("group.id", "t"), ("enable.partition.eof", "true")]);
        let context = Context::of(connection, Notes::default());
        let consumer = BaseConsumer::from_config_and_context(&config, context).unwrap();
        let mut assignment = TopicPartitionList::new();
        let mut left = 0;
        for (index, partition) in partitions(&consumer, topics).unwrap() {
            assignment.add_partition_offset(&topics[index], partition, Offset::Beginning).unwrap();
            left += 1;
        }
        consumer.assign(&assignment).unwrap();
        let mut records = Vec::new();
        while left > 0 {
            match consumer.poll(Duration::from_secs(20)).expect("the records come") {
                Ok(message) => {
                    let value = message.payload().unwrap_or_default();
                    let header = stamp_header(&message);
                    let Read::Whole(stamp) = payload::read(value, header) else { continue };
                    let headers = message.headers().map_or(Vec::new(), |headers| {
                        headers.iter().map(|h| (h.key.to_owned(), h.value.unwrap_or_default().to_vec())).collect()
                    });
                    // The body of a JSON event begins after its key.
                    let body = value.windows(8).position(|word| word == b"\"value\":").unwrap_or(0);
                    records.push(Record {
                        topic: message.topic().to_owned(),
                        partition: message.partition(),
                        key: message.key().map(<[u8]>::to_vec),
                        stamp,
                        headers,
                        body: value[body..].to_vec(),
                    });
                }
                Err(KafkaError::PartitionEOF(_)) => left -= 1,
                Err(error) => panic!("{error}"),
            }
        }
        records
    }

    fn config(cluster: &MockCluster<'_, rdkafka::producer::DefaultProducerContext>) -> ConsumerConfig {
        ConsumerConfig {
            connection: Connection::plain(cluster.bootstrap_servers()),
            topics: vec!["t".into()],
            group: "g".into(),
            from_beginning: true,
            max_records: u64::MAX,
            duration: Duration::from_secs(30),
            delay: Duration::ZERO,
            rate: None,
            stalls: Vec::new(),
        }
    }

    /// `count` records that kgen did not send, as old as `age`.
    fn fill(config: &ConsumerConfig, count: usize, age: Duration) {
        use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
        let producer: BaseProducer = config.connection.config(&[]).create().unwrap();
        for number in 0..count {
            let record = BaseRecord::<(), _>::to("t").payload("x").partition((number % 2) as i32);
            producer.send(record.timestamp(now_ms() - age.as_millis() as i64)).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();
    }

    #[test]
    fn a_stalled_consumer_falls_behind_and_says_by_how_much() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 2, 1).unwrap();
        let mut config = config(&cluster);
        fill(&config, 200, Duration::from_secs(60));
        config.stalls = vec!["1500ms@0".parse().unwrap()];
        config.max_records = 200;
        let mut ticks = Vec::new();
        let consumed = run(&config, &Commands::default(), &mut |tick| ticks.push(tick.clone())).unwrap();
        assert_eq!((consumed.read, consumed.lag, consumed.corrupted), (200, Some(0), 0), "{consumed:?}");
        assert!((1.4..3.0).contains(&consumed.stalled_s), "{consumed:?}");
        // From the records' own timestamps.
        assert!(consumed.end_to_end.is_some_and(|times| (59_000.0..90_000.0).contains(&times.p50_ms)), "{consumed:?}");
        assert!(ticks.first().is_some_and(|tick| tick.stalled && tick.read == 0), "{ticks:?}");
    }

    #[test]
    fn a_rate_is_the_most_that_is_read_also_after_a_stall() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 2, 1).unwrap();
        let mut config = config(&cluster);
        fill(&config, 500, Duration::ZERO);
        (config.rate, config.max_records) = (Some(100.0), 150);
        let commands = Commands::default();
        let consumed = run(&config, &commands, &mut |_| {}).unwrap();
        assert!(consumed.duration_s >= 1.49 && consumed.read_per_s <= 101.0, "{consumed:?}");
        assert!(consumed.lag.is_some_and(|lag| lag == 350), "{consumed:?}");
        // A group that continues where it was: 350 are left, whatever the partitions hold.
        (config.max_records, config.duration) = (u64::MAX, Duration::from_secs(4));
        commands.stall.store(true, Ordering::Relaxed);
        let stalled = run(&config, &commands, &mut |_| {}).unwrap();
        assert_eq!(stalled.read, 0);
        // Told so from the start it joined nothing.
        assert_eq!(stalled.lag, None);
    }

    #[test]
    fn stalls_are_read() {
        let stall = |from, length| Stall { from: Duration::from_secs(from), length: Duration::from_secs(length) };
        assert_eq!("30s@10s".parse(), Ok(stall(10, 30)));
        assert_eq!("1m@0".parse(), Ok(stall(0, 60)));
        for text in ["", "30s", "@", "30@x"] {
            assert!(text.parse::<Stall>().is_err(), "{text}");
        }
    }
}
