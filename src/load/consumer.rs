//! Reads a topic: as a group member, slowed if asked, or whole to hold it against a ledger.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, bail};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    config::FromClientConfigAndContext as _,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    types::RDKafkaErrorCode,
};
use serde::{Deserialize, Serialize};

use super::{
    latency::{Quantiles, Times},
    ledger::Ledger,
    payload::{self, Read},
    verify::{Verification, Verifier},
};
use crate::kafka::{Connection, Context, Notes};

/// How long brokers may be silent before a read is given up.
const SILENT_AT_MOST: Duration = Duration::from_secs(60);
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Reads every partition of the ledgers' topic up to where it ends now, and holds it against the ledgers.
///
/// `None` when `stop` was set before the end: then nothing is proven. `on_progress` is given how many records were
/// read and how many there are, at least once a second.
pub fn verify(
    connection: &Connection,
    topic: &str,
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
    let consumer = BaseConsumer::from_config_and_context(&config, Context::new(Notes::default()))?;
    let mut ends = BTreeMap::new();
    let (mut total, mut cut) = (0, 0);
    let mut assignment = TopicPartitionList::new();
    for partition in partitions(&consumer, topic)? {
        let (low, high) = consumer
            .fetch_watermarks(topic, partition, ANSWER_WITHIN)
            .with_context(|| format!("asking for the end of partition {partition} of `{topic}`"))?;
        cut += u64::from(low > 0);
        if high > low {
            total += (high - low) as u64;
            ends.insert(partition, high);
            assignment.add_partition_offset(topic, partition, Offset::Offset(low))?;
        }
    }
    consumer.assign(&assignment).with_context(|| format!("starting to read `{topic}`"))?;
    let (mut read, mut heard, mut shown) = (0, Instant::now(), Instant::now());
    let mut unfinished: BTreeSet<i32> = ends.keys().copied().collect();
    while !unfinished.is_empty() {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                heard = Instant::now();
                let (partition, end) = (message.partition(), ends.get(&message.partition()).copied().unwrap_or(0));
                if message.offset() < end {
                    read += 1;
                    verifier.record(partition, message.payload().unwrap_or_default());
                }
                if message.offset() + 1 >= end {
                    unfinished.remove(&partition);
                }
            }
            // Also where the last offsets hold no record: those of a transaction's end.
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                heard = Instant::now();
                unfinished.remove(&partition);
            }
            Some(Err(error)) if is_fatal(&error) => return Err(error).with_context(|| format!("reading `{topic}`")),
            Some(Err(_)) | None if heard.elapsed() > SILENT_AT_MOST => {
                bail!("reading `{topic}`: nothing came from its brokers for {} s", SILENT_AT_MOST.as_secs())
            }
            Some(Err(_)) | None => {}
        }
        if shown.elapsed() > Duration::from_secs(1) {
            shown = Instant::now();
            on_progress(read, total);
        }
    }
    Ok(Some(verifier.finish(cut)))
}

/// What a plain `kgen consume` does.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerConfig {
    pub connection: Connection,
    pub topic: String,
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
}

/// How far a consumer is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Progress {
    pub at_s: f64,
    pub read: u64,
    pub read_per_s: f64,
    /// Records behind the ends of the partitions that this member has; `None` when they could not be asked.
    pub lag: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Names the form of a [`Consumed`] in JSON.
pub const SCHEMA: &str = "kgen.consume/1";

/// A whole run of a consumer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Consumed {
    pub schema: String,
    pub topic: String,
    pub group: String,
    pub duration_s: f64,
    pub read: u64,
    pub bytes: u64,
    pub read_per_s: f64,
    pub lag: Option<u64>,
    /// From the moment a record of kgen was due to its reading here: both machines' clocks count.
    pub end_to_end: Option<Quantiles>,
}

/// Reads until a limit or `stop`. `on_progress` is called about once a second.
pub fn run(
    config: &ConsumerConfig,
    stop: &AtomicBool,
    on_progress: &mut dyn FnMut(&Progress),
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
    let consumer = BaseConsumer::from_config_and_context(&client_config, Context::new(notes.clone()))?;
    partitions(&consumer, &config.topic)?;
    consumer.subscribe(&[&config.topic]).with_context(|| format!("joining group `{}`", config.group))?;
    let started = Instant::now();
    let (mut read, mut bytes, mut end_to_end) = (0u64, 0u64, Times::default());
    let (mut shown, mut shown_read) = (started, 0u64);
    while read < config.max_records && started.elapsed() < config.duration && !stop.load(Ordering::Relaxed) {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                read += 1;
                let value = message.payload().unwrap_or_default();
                bytes += value.len() as u64;
                if let Read::Whole(stamp) = payload::read(value)
                    && let Ok(now) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)
                {
                    end_to_end.record_ns((now.as_millis() as u64).saturating_sub(stamp.due_ms) * 1_000_000);
                }
                drop(message);
                let mut until = Instant::now() + config.delay;
                if let Some(rate) = config.rate {
                    until = until.max(started + Duration::from_secs_f64(read as f64 / rate));
                }
                while Instant::now() < until && !stop.load(Ordering::Relaxed) && started.elapsed() < config.duration {
                    std::thread::sleep((until - Instant::now()).min(Duration::from_millis(50)));
                }
            }
            Some(Err(error)) if is_fatal(&error) => {
                return Err(error).with_context(|| format!("reading `{}`", config.topic));
            }
            Some(Err(_)) | None => {}
        }
        let since = shown.elapsed().as_secs_f64();
        if since >= 1.0 {
            on_progress(&Progress {
                at_s: started.elapsed().as_secs_f64(),
                read,
                read_per_s: (read - shown_read) as f64 / since,
                lag: lag(&consumer),
                notes: notes.take(),
            });
            (shown, shown_read) = (Instant::now(), read);
        }
    }
    let seconds = started.elapsed().as_secs_f64().max(1e-3);
    let lag = lag(&consumer);
    if let Err(error) = consumer.commit_consumer_state(rdkafka::consumer::CommitMode::Sync)
        && !matches!(error, KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset))
    {
        return Err(error).with_context(|| format!("committing the offsets of group `{}`", config.group));
    }
    Ok(Consumed {
        schema: SCHEMA.to_owned(),
        topic: config.topic.clone(),
        group: config.group.clone(),
        duration_s: seconds,
        read,
        bytes,
        read_per_s: read as f64 / seconds,
        lag,
        end_to_end: end_to_end.quantiles(),
    })
}

/// Ids of the topic's partitions. All topics are asked for: asking for one by name may create it.
fn partitions(consumer: &BaseConsumer<Context>, topic: &str) -> anyhow::Result<Vec<i32>> {
    let metadata = consumer.fetch_metadata(None, ANSWER_WITHIN).context("asking the brokers for their topics")?;
    match metadata.topics().iter().find(|found| found.name() == topic) {
        Some(found) => Ok(found.partitions().iter().map(|partition| partition.id()).collect()),
        None => bail!("there is no topic `{topic}` (`kgen topic create {topic}` makes it)"),
    }
}

fn lag(consumer: &BaseConsumer<Context>) -> Option<u64> {
    let positions = consumer.position().ok()?;
    let mut lag = 0;
    for element in positions.elements() {
        let (low, high) =
            consumer.fetch_watermarks(element.topic(), element.partition(), Duration::from_secs(1)).ok()?;
        let position = match element.offset() {
            Offset::Offset(offset) => offset,
            _ => low,
        };
        lag += (high - position).max(0) as u64;
    }
    Some(lag)
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
