//! Arguments of `topic`, `produce` and `consume`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::Which;
use crate::{
    kafka::Security,
    load::{
        consumer::Stall,
        keys::Keys,
        pacer::{Rate, duration},
        payload::Payload,
        producer::{Acks, Commit},
        sizes::Sizes,
        slo::Slo,
    },
};

/// Which cluster, and how to talk to it.
#[derive(Debug, Clone, Args)]
pub struct Brokers {
    /// Bootstrap brokers, host:port,host:port [default: those of the cluster, from the MSK API]
    #[arg(long, value_name = "HOSTS", env = "KGEN_BOOTSTRAP_SERVERS")]
    pub bootstrap_servers: Option<String>,
    #[command(flatten)]
    pub which: Which,
    /// How the brokers are talked to; plaintext unless given
    #[arg(long, value_enum, env = "KGEN_SECURITY")]
    pub security: Option<Security>,
    /// Client setting by librdkafka's name, such as linger.ms=0 or ssl.ca.location=FILE; wins over all others
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
        /// Name of the topic; the stack's unless named
        topic: Option<String>,
        /// Number of partitions; the stack's unless given
        #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// Replicas of each partition; the stack's unless given
        #[arg(long, value_parser = clap::value_parser!(i32).range(1..=32767))]
        replication_factor: Option<i32>,
        /// Topic setting by Kafka's name, such as min.insync.replicas=1
        #[arg(long = "config", value_name = "NAME=VALUE", value_parser = pair)]
        configs: Vec<(String, String)>,
        /// Accept that the topic is there already
        #[arg(long)]
        if_not_exists: bool,
        /// Show what would be created, and create nothing
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
        /// Name of the topic; the stack's unless named
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
        /// Show what would be deleted, and delete nothing
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
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

/// Send records at a steady rate and measure from the moment each was due
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kgen produce --bootstrap-servers HOST:9092 --topic stress-demo --rate 500 --duration 600
  kgen produce --bootstrap-servers HOST:9092 --keys hot --duration 10m --json
  kgen produce --bootstrap-servers HOST:9092 --rate max --record-size 100 --set linger.ms=20
  kgen produce --bootstrap-servers HOST:9092 --rate 100x30s,2000x60s --slo p99=50ms,errors=0
  kgen produce --bootstrap-servers HOST:9098 --security iam --topic a,b --transactions 500ms")]
pub struct Produce {
    #[command(flatten)]
    pub brokers: Brokers,
    /// Topics, by turns: a,b; the stack's unless named
    #[arg(long, value_name = "TOPIC,…", value_delimiter = ',')]
    pub topic: Vec<String>,
    /// Records/s: 500, 100..900 (a ramp), 100x30s,500x1m (steps), poisson:500, or max; the stack's unless given
    #[arg(long, visible_alias = "ramp", visible_alias = "steps")]
    pub rate: Option<Rate>,
    /// How long: seconds, or 90s, 10m, 1h; the stack's unless given
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// End after so many records
    #[arg(long, value_name = "N")]
    pub records: Option<u64>,
    /// Bytes of each record's value: 1024, uniform:100..2000, or normal:MEAN:DEVIATION; the stack's unless given
    #[arg(long, value_name = "BYTES")]
    pub record_size: Option<Sizes>,
    /// Key of each record: none, uniform:KEYS, hot (80 % to 2 keys), hot:PERCENT:HOT:KEYS, zipf:KEYS:EXPONENT;
    /// the stack's unless given
    #[arg(long)]
    pub keys: Option<Keys>,
    /// Value of each record: json, random, random:PERCENT (of bytes that compress away), or lines:FILE (a record a line)
    #[arg(long, default_value = "json")]
    pub payload: Payload,
    /// Header of each record; again for more
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = pair)]
    pub headers: Vec<(String, String)>,
    /// Which replicas must have a record
    #[arg(long, value_enum, default_value_t = Acks::All)]
    pub acks: Acks,
    /// Rule out duplicates and reordering by retries
    #[arg(long)]
    pub idempotent: bool,
    /// Send in transactions of so many records, or so long: 1000, 500ms; 100ms unless said; a record counts when its own is
    /// committed
    #[arg(long, value_name = "SIZE", num_args = 0..=1, default_missing_value = "100ms")]
    pub transactions: Option<Commit>,
    /// Compression codec
    #[arg(long, default_value = "none")]
    pub compression: String,
    /// Client instances, each with its own connections
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub clients: u16,
    /// The same seed gives the same load
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How long the end waits for outstanding answers
    #[arg(long, value_name = "TIME", default_value = "30", value_parser = duration)]
    pub flush_within: Duration,
    /// What the run has to keep: p99=50ms,errors=0,rate=499 (also mean, p50 … p99.99, max); else the exit code is 6
    #[arg(long, value_name = "NAME=LIMIT,…")]
    pub slo: Option<Slo>,
    /// Print one JSON document at the end
    #[arg(long)]
    pub json: bool,
    /// Print a JSON line each second
    #[arg(long, conflicts_with = "json")]
    pub json_stream: bool,
    /// Print lines, draw nothing
    #[arg(long)]
    pub plain: bool,
}

/// Read a topic, or prove a run's ledger against it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kgen consume --bootstrap-servers HOST:9092 --topic stress-demo --max 1000
  kgen consume --bootstrap-servers HOST:9092 --rate 100 --delay 5ms --duration 10m
  kgen consume --bootstrap-servers HOST:9092 --stall 30s@10s --duration 60 --slo p99=40s
  kgen consume --bootstrap-servers HOST:9092 --verify 8c1f0d92ab34e677")]
pub struct Consume {
    #[command(flatten)]
    pub brokers: Brokers,
    /// Topics: a,b; the stack's unless named; with --verify, the ledger's own unless named
    #[arg(long, value_name = "TOPIC,…", value_delimiter = ',')]
    pub topic: Vec<String>,
    /// Prove that what this run's ledger calls acknowledged is there: a run id, its folder, or a ledger file
    #[arg(long, value_name = "RUN|PATH", conflicts_with_all = ["group", "from", "max", "duration", "delay", "rate", "stalls", "slo", "json_stream"])]
    pub verify: Option<PathBuf>,
    /// Consumer group
    #[arg(long, default_value = "kgen")]
    pub group: String,
    /// Where a new group starts
    #[arg(long, default_value = "beginning", value_parser = ["beginning", "end"])]
    pub from: String,
    /// End after so many records
    #[arg(long, value_name = "N")]
    pub max: Option<u64>,
    /// End after this time
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Wait so long after each record: seconds, or 5ms
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "0")]
    pub delay: Duration,
    /// Read at most so many records/s
    #[arg(long, value_parser = positive)]
    pub rate: Option<f64>,
    /// Read nothing for a while: 30s@10s is 30 s from 10 s on; again for more. The signal USR1 stalls and continues
    #[arg(long = "stall", value_name = "LENGTH@START")]
    pub stalls: Vec<Stall>,
    /// What the run has to keep: p99=2s,lag=5000,rate=100 (times are from due to read); else the exit code is 6
    #[arg(long, value_name = "NAME=LIMIT,…")]
    pub slo: Option<Slo>,
    /// Print one JSON document at the end
    #[arg(long)]
    pub json: bool,
    /// Print a JSON line each second
    #[arg(long, conflicts_with = "json")]
    pub json_stream: bool,
}

/// Compare two runs: what changed, with the interval that holds the change in 95 of 100 cases
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kgen compare 8c1f0d92ab34e677 91aa07d3c04be512
  kgen compare before.jsonl after.jsonl --json")]
pub struct Compare {
    /// The run before: its id, its folder, or what `--json-stream` of produce or consume printed
    pub before: PathBuf,
    /// The run after
    pub after: PathBuf,
    /// Leave out the first seconds of each run: connections are made and caches filled
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

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err(format!("`{text}` is no rate above 0")),
    }
}
