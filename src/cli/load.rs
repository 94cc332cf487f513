//! Arguments of `topic`, `produce` and `consume`.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use clap::{Args, Subcommand, ValueEnum};

use super::Which;
use crate::{
    kafka::Security,
    load::{
        consumer::Stall,
        keys::Keys,
        pacer::{Rate, duration},
        part::Part,
        payload::Payload,
        producer::{Acks, CODECS, Commit},
        sizes::Sizes,
        slo::Slo,
    },
};

/// The cluster, and how to connect to it.
#[derive(Debug, Clone, Args)]
pub struct Brokers {
    /// Bootstrap brokers, host:port,host:port [default: those of the cluster, from the MSK API]
    #[arg(long, value_name = "HOSTS", env = "KGEN_BOOTSTRAP_SERVERS")]
    pub bootstrap_servers: Option<String>,
    #[command(flatten)]
    pub which: Which,
    /// Security of the connection [default: plaintext]
    #[arg(long, value_enum, env = "KGEN_SECURITY")]
    pub security: Option<Security>,
    /// Client setting by librdkafka's name, such as linger.ms=0 or ssl.ca.location=FILE; overrides all others
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = pair)]
    pub set: Vec<(String, String)>,
}

/// Create, describe or delete a topic
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kgen topic create stress-demo --partitions 6 --replication-factor 2 --bootstrap-servers HOST:9092
  kgen topic describe stress-demo --json
  kgen topic delete stress-demo --yes")]
pub struct Topic {
    #[command(subcommand)]
    pub action: TopicAction,
}

#[derive(Debug, Subcommand)]
pub enum TopicAction {
    /// Create a topic
    #[command(after_help = "\
Examples:
  kgen topic create
  kgen topic create --dry-run
  kgen topic create orders --partitions 12 --replication-factor 3 --config min.insync.replicas=2")]
    Create {
        /// Topic name [default: the stack's]
        topic: Option<String>,
        /// Number of partitions [default: the stack's]
        #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// Replicas of each partition [default: the stack's]
        #[arg(long, value_parser = clap::value_parser!(i32).range(1..=32767))]
        replication_factor: Option<i32>,
        /// Topic setting by Kafka's name, such as min.insync.replicas=1
        #[arg(long = "config", value_name = "NAME=VALUE", value_parser = pair)]
        configs: Vec<(String, String)>,
        /// Succeed if the topic already exists
        #[arg(long)]
        if_not_exists: bool,
        /// Show what would be created without creating it
        #[arg(long)]
        dry_run: bool,
        /// Print one JSON document (schema kgen.topic-change/1)
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        brokers: Brokers,
    },
    /// Show partitions, leaders, replicas and offsets
    #[command(after_help = "Examples:\n  kgen topic describe\n  kgen topic describe orders --json")]
    Describe {
        /// Topic name [default: the stack's]
        topic: Option<String>,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        brokers: Brokers,
    },
    /// Delete a topic and every record in it
    #[command(
        after_help = "Examples:\n  kgen topic delete orders --dry-run\n  kgen topic delete orders\n  kgen topic delete orders --yes"
    )]
    Delete {
        /// Name of the topic
        topic: String,
        /// Show what would be deleted without deleting it
        #[arg(long)]
        dry_run: bool,
        /// Do not ask for approval
        #[arg(long, short)]
        yes: bool,
        /// Print one JSON document (schema kgen.topic-change/1)
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        brokers: Brokers,
    },
}

impl Topic {
    /// The brokers that are named.
    pub fn brokers(&self) -> &Brokers {
        match &self.action {
            TopicAction::Create { brokers, .. }
            | TopicAction::Describe { brokers, .. }
            | TopicAction::Delete { brokers, .. } => brokers,
        }
    }
}

/// Send records at a steady rate and measure each from the moment it was due
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kgen produce --bootstrap-servers HOST:9092 --topic stress-demo --rate 500 --duration 600
  kgen produce --bootstrap-servers HOST:9092 --keys hot --duration 10m --json
  kgen produce --bootstrap-servers HOST:9092 --rate max --record-size 100 --set linger.ms=20
  kgen produce --bootstrap-servers HOST:9092 --rate 100x30s,2000x60s --slo p99=50ms,errors=0
  kgen produce --bootstrap-servers HOST:9098 --security iam --topic a,b --transactions 500ms
  kgen produce --on clients --rate 200000 --duration 10m
  kgen produce --hosts FILE --bootstrap-servers HOST:9092 --rate 50000")]
pub struct Produce {
    #[command(flatten)]
    pub brokers: Brokers,
    /// Topics, used in turn: a,b [default: the stack's]
    #[arg(long, value_name = "TOPIC,…", value_delimiter = ',')]
    pub topic: Vec<String>,
    /// Records/s: 500, 100..900 (ramp), 100x30s,500x1m (steps), poisson:500, or max [default: the stack's]
    #[arg(long, visible_alias = "ramp", visible_alias = "steps")]
    pub rate: Option<Rate>,
    /// Duration: seconds, or 90s, 10m, 1h [default: the stack's]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Stop after this many records
    #[arg(long, value_name = "N")]
    pub records: Option<u64>,
    /// Size of each record's value, bytes: 1024, uniform:100..2000, or normal:MEAN:DEVIATION [default: the stack's]
    #[arg(long, value_name = "BYTES")]
    pub record_size: Option<Sizes>,
    /// Key of each record: none, uniform:KEYS, hot (80 % to 2 keys), hot:PERCENT:HOT:KEYS, zipf:KEYS:EXPONENT [default: the
    /// stack's]
    #[arg(long)]
    pub keys: Option<Keys>,
    /// Value of each record: json, random, random:PERCENT (of bytes that compress away), or lines:FILE (one record per line)
    #[arg(long, default_value = "json")]
    pub payload: Payload,
    /// Header of each record; may be repeated
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = pair)]
    pub headers: Vec<(String, String)>,
    /// Replicas that must acknowledge a record
    #[arg(long, value_enum, default_value_t = Acks::All)]
    pub acks: Acks,
    /// Use the idempotent producer: retries cause no duplicates and no reordering
    #[arg(long)]
    pub idempotent: bool,
    /// Send in transactions of this many records or this length: 1000, 500ms; a record counts when its transaction is
    /// committed
    #[arg(long, value_name = "SIZE", num_args = 0..=1, default_missing_value = "100ms")]
    pub transactions: Option<Commit>,
    /// Compression codec
    #[arg(long, default_value = "none", value_name = "CODEC", value_parser = CODECS)]
    pub compression: String,
    /// Client instances, each with its own connections
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub clients: u16,
    /// Seed of the load; the same seed gives the same load
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How long to wait for outstanding acknowledgements at the end
    #[arg(long, value_name = "TIME", default_value = "30", value_parser = duration)]
    pub flush_within: Duration,
    /// Objectives: p99=50ms,errors=0,rate=499 (also mean, p50 … p99.99, max); exit code 6 if one is missed
    #[arg(long, value_name = "NAME=LIMIT,…")]
    pub slo: Option<Slo>,
    #[command(flatten)]
    pub machines: Machines,
    /// Send part INDEX (from 0) of COUNT of this load, for a load that several machines send; the last line on stdout is
    /// the report that is merged with theirs (schema kgen.produce-part/1)
    #[arg(long, value_name = "INDEX/COUNT", requires = "run_id", conflicts_with_all = ["json", "slo", "on", "hosts"])]
    pub part: Option<Part>,
    /// Start at this instant instead of at once: milliseconds since 1970, or 2026-12-01T10:00:00Z
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub start_at: Option<SystemTime>,
    /// Id of the run, 16 hexadecimal digits, the same for all parts
    #[arg(long, value_name = "RUN", value_parser = run_id)]
    pub run_id: Option<u64>,
    /// Print one JSON document at the end
    #[arg(long)]
    pub json: bool,
    /// Print a JSON line every second
    #[arg(long, conflicts_with = "json")]
    pub json_stream: bool,
    /// Print lines instead of the live screen
    #[arg(long)]
    pub plain: bool,
}

/// Machines other than this one.
#[derive(Debug, Clone, Args)]
pub struct Machines {
    /// Run it on the client instances, through Run Command of Systems Manager, and merge what they report
    #[arg(long, value_enum, value_name = "WHERE")]
    pub on: Option<On>,
    /// Run it on the hosts in FILE, one a line, through ssh, and merge what they report
    #[arg(long, value_name = "FILE", conflicts_with = "on")]
    pub hosts: Option<PathBuf>,
    /// Tag of the client instances [default: the Name tags of the stack's]
    #[arg(long, value_name = "KEY=VALUE", requires = "on")]
    pub client_tag: Option<String>,
    /// S3 bucket for reports longer than the 24,000 characters that Systems Manager returns [default: the stack's]
    #[arg(long, value_name = "BUCKET", requires = "on")]
    pub results_bucket: Option<String>,
    /// Send more than the network baseline of the machines' instance type; bursts above it last for minutes
    #[arg(long)]
    pub beyond_baseline: bool,
    /// Time until all machines start together
    #[arg(long, value_name = "TIME", default_value = "10", value_parser = duration)]
    pub start_in: Duration,
}

impl Machines {
    pub fn are_named(&self) -> bool {
        self.on.is_some() || self.hosts.is_some()
    }
}

/// Where a load runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum On {
    /// On the client instances
    Clients,
}

/// Read a topic, or verify that it holds every acknowledged record of a run
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kgen consume --bootstrap-servers HOST:9092 --topic stress-demo --max 1000
  kgen consume --bootstrap-servers HOST:9092 --rate 100 --delay 5ms --duration 10m
  kgen consume --bootstrap-servers HOST:9092 --stall 30s@10s --duration 60 --slo p99=40s
  kgen consume --on clients --group billing --duration 10m
  kgen consume --bootstrap-servers HOST:9092 --verify 8c1f0d92ab34e677")]
pub struct Consume {
    #[command(flatten)]
    pub brokers: Brokers,
    /// Topics: a,b [default: the stack's, or with --verify the ledger's]
    #[arg(long, value_name = "TOPIC,…", value_delimiter = ',')]
    pub topic: Vec<String>,
    /// Verify that every record acknowledged in this run's ledger is there: a run id, its folder, or a ledger file
    #[arg(long, value_name = "RUN|PATH", conflicts_with_all = ["group", "from", "max", "duration", "delay", "rate", "stalls", "slo", "json_stream", "on", "hosts"])]
    pub verify: Option<PathBuf>,
    /// Consumer group
    #[arg(long, default_value = "kgen")]
    pub group: String,
    /// Where a new consumer group starts
    #[arg(long, default_value = "beginning", value_parser = ["beginning", "end"])]
    pub from: String,
    /// Stop after this many records
    #[arg(long, value_name = "N", conflicts_with_all = ["on", "hosts"])]
    pub max: Option<u64>,
    /// Stop after this time
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Time to wait after each record: seconds, or 5ms
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "0")]
    pub delay: Duration,
    /// Read at most this many records/s
    #[arg(long, value_parser = positive)]
    pub rate: Option<f64>,
    /// Pause reading: 30s@10s pauses for 30 s after 10 s; may be repeated. The signal USR1 pauses and continues
    #[arg(long = "stall", value_name = "LENGTH@START")]
    pub stalls: Vec<Stall>,
    /// Objectives: p99=2s,lag=5000,rate=100 (times are from due to read); exit code 6 if one is missed
    #[arg(long, value_name = "NAME=LIMIT,…")]
    pub slo: Option<Slo>,
    #[command(flatten)]
    pub machines: Machines,
    /// Print one JSON document at the end
    #[arg(long)]
    pub json: bool,
    /// Print a JSON line every second
    #[arg(long, conflicts_with_all = ["json", "on", "hosts"])]
    pub json_stream: bool,
}

/// Run several producers and consumer groups as one load, described in a file
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kgen load mix.toml
  kgen load mix.toml --bootstrap-servers HOST:9092 --json
  kgen load mix.toml --on clients

A [[producer]] has the options of `kgen produce`, a [[consumer]] those of `kgen consume`:
  [[producer]]
  name = \"orders\"
  topic = \"orders\"
  rate = \"2000\"
  duration = \"10m\"
  [[consumer]]
  group = \"billing\"
  topic = \"orders\"
  members = 2
  after = \"30s\"
  slo = \"lag=5000\"")]
pub struct Load {
    /// File that describes the load, TOML
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub brokers: Brokers,
    #[command(flatten)]
    pub machines: Machines,
    /// Run part INDEX (from 0) of COUNT of this load; the last line on stdout is the report that is merged with those of the
    /// other machines (schema kgen.load-part/1)
    #[arg(long, value_name = "INDEX/COUNT", requires = "run_id", conflicts_with_all = ["json", "on", "hosts"])]
    pub part: Option<Part>,
    /// Start at this instant instead of at once: milliseconds since 1970, or 2026-12-01T10:00:00Z
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub start_at: Option<SystemTime>,
    /// Id of the load, 16 hexadecimal digits, the same for all parts
    #[arg(long, value_name = "RUN", value_parser = run_id)]
    pub run_id: Option<u64>,
    /// Print one JSON document at the end
    #[arg(long)]
    pub json: bool,
}

/// Compare two runs of a load, with 95 % confidence intervals
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kgen compare 8c1f0d92ab34e677 91aa07d3c04be512
  kgen compare before.jsonl after.jsonl --json")]
pub struct Compare {
    /// Earlier run: its id, its folder, or the output of `--json-stream` of produce or consume
    pub before: PathBuf,
    /// Later run
    pub after: PathBuf,
    /// Ignore the first part of each run, while connections open and caches fill
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "0")]
    pub skip: Duration,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not NAME=VALUE")),
    }
}

/// A moment of the wall clock.
fn instant(text: &str) -> Result<SystemTime, String> {
    let wrong = || format!("`{text}` is no instant: use milliseconds since 1970, or 2026-12-01T10:00:00Z");
    match text.parse::<u64>() {
        // Up to the year 9999.
        Ok(ms) if ms < 253_402_300_800_000 => Ok(SystemTime::UNIX_EPOCH + Duration::from_millis(ms)),
        Ok(_) => Err(wrong()),
        Err(_) => text.parse::<jiff::Timestamp>().map(SystemTime::from).map_err(|_| wrong()),
    }
}

fn run_id(text: &str) -> Result<u64, String> {
    let is_id = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = is_id.then(|| u64::from_str_radix(text, 16).ok()).flatten();
    id.ok_or_else(|| format!("`{text}` is no id of a run: 16 hexadecimal digits"))
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err(format!("`{text}` is not a rate above 0")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_and_ids_are_read() {
        let at = |ms| Some(SystemTime::UNIX_EPOCH + Duration::from_millis(ms));
        for (text, expected) in [
            ("1790000000123", at(1_790_000_000_123)),
            ("2026-12-01T10:00:00.5Z", at(1_796_119_200_500)),
            ("999999999999999999", None),
            ("tomorrow", None),
            ("", None),
        ] {
            assert_eq!(instant(text).ok(), expected, "{text}");
        }
        assert_eq!(run_id("00000000000000ff"), Ok(255));
        assert!(run_id("ff").is_err() && run_id("+0000000000000ff").is_err());
    }
}
