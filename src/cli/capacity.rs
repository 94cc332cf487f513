//! Arguments of `capacity`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::{
    catalogue::BrokerType,
    load::{
        keys::Keys,
        payload::Payload,
        producer::{Acks, CODECS},
        sizes::Sizes,
        slo::Slo,
    },
};

/// Find the highest rate that a cluster sustains, by experiment
#[derive(Debug, Args)]
#[command(after_help = "\
Sends load to the cluster, more and more of it, until something fails: an objective, CPU that leaves no room for a broker to be \
away, replication, or a record. Then measures around the answer, and confirms it. The cluster's clients notice.
Exits with 0 if a capacity was found, 4 if not: the load generator was the limit, or there was no time.

With --against (in the lab only) the brokers are then changed to each of these types and searched again, and changed back to the \
first type at the end, also after an error or an interrupt. A table compares the types.

Examples:
  kgen capacity
  kgen capacity --cluster orders --topic load-test --slo p99=20ms --yes
  kgen capacity --survive none --max-minutes 5 --record-size 200 --json --yes
  kgen capacity --against kafka.m5.xlarge,kafka.m7g.large --max-minutes 8")]
pub struct Capacity {
    #[command(flatten)]
    pub brokers: super::load::Brokers,
    /// Topic that the load is sent to [default: the stack's]
    #[arg(long)]
    pub topic: Option<String>,
    /// Objectives that have to hold: p99=50ms,errors=0 (also mean, p50 … p99.99, max)
    #[arg(long, value_name = "NAME=LIMIT,…", default_value = "p99=50ms")]
    pub slo: Slo,
    /// What CPU has to leave room for
    #[arg(long, value_enum, default_value_t)]
    pub survive: Away,
    /// In the lab: search with these broker types as well, and change the brokers back at the end
    #[arg(long, value_name = "TYPE,…", value_delimiter = ',')]
    pub against: Vec<BrokerType>,
    /// End after this many minutes, with what is known; with --against, for each type
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=120))]
    pub max_minutes: u32,
    /// Rounds, as time allows; where CPU is the limit, each is four trials of 35 s. How far they differ is printed
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=10))]
    pub rounds: u8,
    /// First rate, records/s
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub start: u32,
    /// Size of each record's value, bytes [default: the stack's]
    #[arg(long, value_name = "BYTES")]
    pub record_size: Option<Sizes>,
    /// Key of each record, as for `produce` [default: the stack's]
    #[arg(long)]
    pub keys: Option<Keys>,
    /// Value of each record, as for `produce`
    #[arg(long, default_value = "json")]
    pub payload: Payload,
    /// Replicas that must acknowledge a record
    #[arg(long, value_enum, default_value_t = Acks::All)]
    pub acks: Acks,
    /// Compression codec
    #[arg(long, default_value = "none", value_name = "CODEC", value_parser = CODECS)]
    pub compression: String,
    /// Client instances, each with its own connections
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub clients: u16,
    /// Do not ask for approval
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON document (schema kgen.capacity/1)
    #[arg(long)]
    pub json: bool,
}

/// What may be away while the other brokers do its work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Away {
    /// One broker
    #[default]
    Broker,
    /// Nothing
    None,
}

impl Capacity {
    pub fn within(&self) -> Duration {
        Duration::from_secs(u64::from(self.max_minutes) * 60)
    }
}
