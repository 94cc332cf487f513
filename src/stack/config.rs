//! kgen.toml: its keys, their defaults, and the rules between them; a file a table.

mod access;
mod client;
mod cluster;
mod network;
mod profile;
mod watch;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use access::{Authentication, KmsKey};
pub use client::{Bucket, Client};
pub use cluster::ClusterTable;
pub use network::Network;
use profile::Profile;
pub use watch::{Alarms, Logs, SnsTopic};

use super::error::{Fault, StackError};

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    /// What the defaults are.
    pub profile: Profile,
    pub region: String,
    pub zones: Vec<String>,
    /// Whether there is a CloudWatch dashboard.
    pub dashboard: bool,
    pub network: Network,
    pub cluster: ClusterTable,
    pub client: Client,
    pub logs: Logs,
    pub alarms: Alarms,
    pub topic: Topic,
    pub load: Load,
    pub tags: BTreeMap<String, String>,
}

/// The topic of the story.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Topic {
    pub name: String,
    pub partitions: u32,
    pub replication_factor: u32,
}

/// The load of the story.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Load {
    /// Records a second.
    pub rate: f64,
    pub duration_s: u64,
    pub record_bytes: u32,
    /// Whether 80 % of the records go to two keys.
    pub hot_keys: bool,
}

/// Tags of a kgen.toml: AWS takes 50 a resource, of which kgen sets three: Name, Project, ManagedBy.
const TAGS_MOST: usize = 47;

/// Records a second, and seconds: far above what one client sends, and a year.
const RATE_MOST: f64 = 1e9;
const DURATION_MOST_S: u64 = 365 * 24 * 60 * 60;

impl Default for Config {
    fn default() -> Config {
        Config {
            profile: Profile::Demo,
            region: "us-west-2".to_owned(),
            zones: ["us-west-2a", "us-west-2b", "us-west-2c"].map(str::to_owned).to_vec(),
            dashboard: false,
            network: Network::default(),
            cluster: ClusterTable::default(),
            client: Client::default(),
            logs: Logs::default(),
            alarms: Alarms::default(),
            topic: Topic::default(),
            load: Load::default(),
            tags: BTreeMap::new(),
        }
    }
}

impl Default for Topic {
    fn default() -> Topic {
        Topic { name: "stress-demo".to_owned(), partitions: 6, replication_factor: 2 }
    }
}

impl Default for Load {
    fn default() -> Load {
        Load { rate: 500.0, duration_s: 600, record_bytes: 1024, hot_keys: false }
    }
}

pub(super) fn parse(text: &str) -> Result<Config, StackError> {
    let syntax = |error: toml::de::Error| StackError::syntax(text, &error);
    let written: toml::Table = toml::from_str(text).map_err(syntax)?;
    if let Some(fault) =
        no_table(&written, &Table::try_from(Config::default()).expect("the defaults have a form in TOML"), "")
    {
        return Err(StackError::fault(text, fault));
    }
    // Read once as it stands, so that an error names its line.
    let _: Config = toml::from_str(text).map_err(syntax)?;
    let config = filled(&written).map_err(syntax)?;
    match config.fault().or_else(|| config.in_vain(&written)) {
        None => Ok(config),
        Some(fault) => Err(StackError::fault(text, fault)),
    }
}

/// The first key that is a table by default and is written as something else. As a list it would be taken for the values of
/// the table's keys, in an order that nobody knows.
fn no_table(written: &Table, defaults: &Table, front: &str) -> Option<Fault> {
    defaults.iter().find_map(|(name, default)| {
        let (default, value) = (default.as_table()?, written.get(name)?);
        let key = format!("{front}{name}");
        match value.as_table() {
            Some(table) => no_table(table, default, &format!("{key}.")),
            None => Fault::some(&key, format!("is a table, not {}: write [{key}] and its keys below it", kind(value))),
        }
    })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) | Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// What is written, over the defaults of the profile that it names. Where a region is written and no zones are, they are
/// a, b and c of the region.
///
/// # Errors
/// If a key has a value that it cannot have.
pub(super) fn filled(written: &toml::Table) -> Result<Config, toml::de::Error> {
    let profile = written.get("profile").cloned().map_or(Ok(Profile::default()), toml::Value::try_into)?;
    let mut config = profile.under(written)?;
    if written.contains_key("region") && !written.contains_key("zones") {
        config.zones = ["a", "b", "c"].map(|zone| format!("{}{zone}", config.region)).to_vec();
    }
    Ok(config)
}

impl Config {
    /// The first rule that is broken.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.place()
            .or_else(|| self.brokers())
            .or_else(|| self.clients())
            .or_else(|| self.watching())
            .or_else(|| self.others())
    }

    /// The first key that was written and that another one makes void.
    pub(super) fn in_vain(&self, written: &toml::Table) -> Option<Fault> {
        let is_express = self.cluster.broker_type.is_express();
        let has_vpc = self.network.vpc_id.is_some();
        let has_subnets = !self.network.own_subnets();
        for (void, table, key, reason) in [
            (is_express, "cluster", "volume_gib", "Express brokers have no volumes: MSK manages their storage"),
            (is_express, "alarms", "disk_percent", "Express brokers have no volumes: MSK manages their storage"),
            (is_express, "alarms", "heap_percent", "MSK publishes no HeapMemoryAfterGC for Express brokers"),
            (is_express, "alarms", "credit_balance", "Express brokers have no CPU credits"),
            (has_vpc, "network", "vpc_cidr", "belongs to the VPC in network.vpc_id: set only one of the two"),
            (has_subnets, "network", "subnet_cidrs", "belong to network.subnet_ids: set only one of the two"),
            (
                !self.logs.cloudwatch,
                "cluster",
                "log_retention_days",
                "applies to CloudWatch Logs, but logs.cloudwatch is false",
            ),
            (
                !self.client.kafka_tools,
                "client",
                "kafka_tools_version",
                "has no effect with client.kafka_tools = false",
            ),
        ] {
            let table_has_key = written.get(table).and_then(toml::Value::as_table).is_some_and(|t| t.contains_key(key));
            if void && table_has_key {
                return Fault::some(&format!("{table}.{key}"), reason);
            }
        }
        None
    }

    fn others(&self) -> Option<Fault> {
        let Config { topic, load, .. } = self;
        let is_word = |text: &str, extra: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
        };
        if !is_word(&topic.name, "._-") || topic.name.len() > 249 || [".", ".."].contains(&topic.name.as_str()) {
            return Fault::some("topic.name", "Kafka takes up to 249 letters, digits, dots, underscores and hyphens");
        }
        if topic.name.starts_with('-') {
            return Fault::some("topic.name", "must not start with a hyphen: commands would treat it as an option");
        }
        if !(1..=100_000).contains(&topic.partitions) {
            return Fault::some("topic.partitions", "must be 1 to 100000");
        }
        if topic.replication_factor == 0 || topic.replication_factor > self.cluster.broker_count {
            let (copies, brokers) = (topic.replication_factor, self.cluster.broker_count);
            return Fault::some(
                "topic.replication_factor",
                format!("{copies} replicas do not fit on {brokers} brokers"),
            );
        }
        if !(load.rate.is_finite() && load.rate > 0.0) {
            return Fault::some("load.rate", "must be above 0 records a second");
        }
        if load.rate > RATE_MOST {
            return Fault::some("load.rate", format!("must be at most {RATE_MOST} records a second"));
        }
        if load.duration_s == 0 {
            return Fault::some("load.duration_s", "must be at least 1 second");
        }
        if load.duration_s > DURATION_MOST_S {
            return Fault::some("load.duration_s", format!("must be at most {DURATION_MOST_S} seconds (one year)"));
        }
        if !(16..=1_000_000).contains(&load.record_bytes) {
            return Fault::some("load.record_bytes", "must be 16 to 1000000 bytes");
        }
        self.tagged()
    }

    /// AWS General Reference, "Tag naming limits and requirements"; lengths are those of characters.
    fn tagged(&self) -> Option<Fault> {
        if self.tags.len() > TAGS_MOST {
            let count = self.tags.len();
            let reason = format!(
                "{count} tags are too many: AWS allows 50 per resource, and kgen sets three of its own (at most \
                 {TAGS_MOST} here)"
            );
            return Fault::some("tags", reason);
        }
        let is_reserved = |key: &str| key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"));
        let tag = self.tags.iter().find(|(key, value)| {
            let (length, of_value) = (key.chars().count(), value.chars().count());
            length == 0 || length > 128 || of_value > 256 || is_reserved(key) || *key == "Name"
        });
        tag.and_then(|(key, _)| {
            Fault::some(
                &format!("tags.{key}"),
                "a tag has a key of 1 to 128 characters, other than Name and aws:…, and a value of up to 256",
            )
        })
    }
}

fn twice(names: &[String]) -> Option<&String> {
    names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)).map(|(_, name)| name)
}

/// Whether `text` is an id such as `vpc-0123abcd`.
fn is_id(text: &str, prefix: &str) -> bool {
    let digits = text.strip_prefix(prefix).unwrap_or_default();
    (8..=17).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_hexdigit())
}

/// Whether `text` is the ARN of something of `service`, in any partition of AWS.
fn is_arn(text: &str, service: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, of, _, _, resource] = parts[..] else { return false };
    arn == "arn"
        && partition.starts_with("aws")
        && of == service
        && !resource.is_empty()
        && text.chars().all(|c| c.is_ascii_graphic() && !"\"'\\${}".contains(c))
}
