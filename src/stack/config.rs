//! kgen.toml: its keys, their defaults, and the rules between them.

use std::{collections::BTreeMap, fmt, net::Ipv4Addr, str::FromStr};

use serde::{Deserialize, Serialize};

use super::error::{Fault, StackError};
use crate::catalogue::{BrokerType, KafkaVersion, MonitoringLevel};

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    pub region: String,
    pub zones: Vec<String>,
    pub network: Network,
    pub cluster: Cluster,
    pub client: Client,
    pub alarms: Alarms,
    pub topic: Topic,
    pub load: Load,
    pub tags: BTreeMap<String, String>,
}

/// The VPC: a public subnet in each zone.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    pub vpc_cidr: Cidr,
    /// One a zone, in the order of the zones.
    pub subnet_cidrs: Vec<Cidr>,
}

/// The MSK cluster.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Also the name, or the start of it, of everything else that needs one.
    pub name: String,
    pub broker_type: BrokerType,
    /// A multiple of the number of zones.
    pub broker_count: u32,
    pub kafka_version: KafkaVersion,
    /// EBS volume of each broker.
    pub volume_gib: u32,
    pub monitoring: MonitoringLevel,
    pub log_retention_days: u32,
    /// Configuration of the brokers, in place of the defaults where the key is the same.
    pub server_properties: BTreeMap<String, ServerProperty>,
}

/// A value of server.properties, as TOML writes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "a string, a number or a boolean")]
pub enum ServerProperty {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
}

/// The EC2 instance inside the VPC from which load is sent.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Client {
    pub instance_type: String,
    pub volume_gib: u32,
    /// Version of the Kafka command-line tools under /opt/kafka.
    pub kafka_tools_version: String,
    /// Where the instance fetches kgen from when it first starts: an https URL of an executable for Linux on x86-64.
    pub kgen_url: Option<String>,
    /// SHA-256 of that executable, in hexadecimal.
    pub kgen_sha256: Option<String>,
}

/// When the alarms of a broker go off.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Alarms {
    /// CpuUser + CpuSystem (MSK best practices: below 60).
    pub cpu_percent: f64,
    /// MemoryUsed of MemoryUsed + MemoryFree: what the seed watches; no cause by itself.
    pub memory_percent: f64,
    /// HeapMemoryAfterGC (MSK best practices: 60).
    pub heap_percent: f64,
    /// CPUCreditBalance; 576 is full on a kafka.t3.small.
    pub credit_balance: f64,
    /// KafkaDataLogsDiskUsed (MSK best practices: 85).
    pub disk_percent: f64,
    pub period_s: u32,
    pub evaluation_periods: u32,
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

/// A block of IPv4 addresses, such as `10.0.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Cidr {
    address: Ipv4Addr,
    prefix: u8,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            region: "us-west-2".to_owned(),
            zones: ["us-west-2a", "us-west-2b", "us-west-2c"].map(str::to_owned).to_vec(),
            network: Network::default(),
            cluster: Cluster::default(),
            client: Client::default(),
            alarms: Alarms::default(),
            topic: Topic::default(),
            load: Load::default(),
            tags: BTreeMap::new(),
        }
    }
}

impl Default for Network {
    fn default() -> Network {
        let cidr = |second, prefix| Cidr { address: Ipv4Addr::new(10, 0, second, 0), prefix };
        Network { vpc_cidr: cidr(0, 16), subnet_cidrs: vec![cidr(1, 24), cidr(2, 24), cidr(3, 24)] }
    }
}

impl Default for Cluster {
    fn default() -> Cluster {
        Cluster {
            name: "kgen-demo".to_owned(),
            broker_type: BrokerType::T3_SMALL,
            broker_count: 3,
            kafka_version: KafkaVersion::DEFAULT,
            volume_gib: 100,
            monitoring: MonitoringLevel::PerBroker,
            log_retention_days: 7,
            server_properties: BTreeMap::new(),
        }
    }
}

impl Default for Client {
    fn default() -> Client {
        Client {
            instance_type: "t3.small".to_owned(),
            volume_gib: 20,
            kafka_tools_version: "3.9.1".to_owned(),
            kgen_url: None,
            kgen_sha256: None,
        }
    }
}

impl Default for Alarms {
    fn default() -> Alarms {
        Alarms {
            cpu_percent: 60.0,
            memory_percent: 90.0,
            heap_percent: 60.0,
            credit_balance: 100.0,
            disk_percent: 85.0,
            period_s: 60,
            evaluation_periods: 2,
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

impl fmt::Display for ServerProperty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerProperty::Bool(value) => write!(f, "{value}"),
            ServerProperty::Integer(value) => write!(f, "{value}"),
            ServerProperty::Float(value) => write!(f, "{value}"),
            ServerProperty::Text(value) => f.write_str(value),
        }
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Cidr, String> {
        let example = || format!("{text:?} is not a block of IPv4 addresses, such as 10.0.0.0/16");
        let (address, prefix) = text.split_once('/').ok_or_else(example)?;
        let cidr =
            Cidr { address: address.parse().map_err(|_| example())?, prefix: prefix.parse().map_err(|_| example())? };
        if !(16..=28).contains(&cidr.prefix) {
            return Err(format!("{text} is not between /16 and /28, the sizes that a VPC and its subnets can have"));
        }
        let first = Ipv4Addr::from(cidr.first());
        if first != cidr.address {
            return Err(format!("{text} does not start at its first address ({first}/{})", cidr.prefix));
        }
        Ok(cidr)
    }
}

impl TryFrom<String> for Cidr {
    type Error = String;

    fn try_from(text: String) -> Result<Cidr, String> {
        text.parse()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Cidr {
    fn first(&self) -> u32 {
        u32::from(self.address) & (u32::MAX << (32 - self.prefix))
    }

    fn last(&self) -> u32 {
        self.first() | (u32::MAX >> self.prefix)
    }

    fn contains(&self, other: &Cidr) -> bool {
        self.first() <= other.first() && other.last() <= self.last()
    }

    fn overlaps(&self, other: &Cidr) -> bool {
        self.first() <= other.last() && other.first() <= self.last()
    }
}

pub(super) fn parse(text: &str) -> Result<Config, StackError> {
    let mut config: Config = toml::from_str(text).map_err(|error| StackError::syntax(text, &error))?;
    let written: toml::Table = toml::from_str(text).map_err(|error| StackError::syntax(text, &error))?;
    if written.contains_key("region") && !written.contains_key("zones") {
        config.zones = ["a", "b", "c"].map(|zone| format!("{}{zone}", config.region)).to_vec();
    }
    match config.fault() {
        None => Ok(config),
        Some(fault) => Err(StackError::fault(text, fault)),
    }
}

impl Config {
    /// The first rule that is broken.
    fn fault(&self) -> Option<Fault> {
        self.place().or_else(|| self.brokers()).or_else(|| self.others())
    }

    fn place(&self) -> Option<Fault> {
        let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if !is_name(&self.region) || !self.region.ends_with(|c: char| c.is_ascii_digit()) {
            return Fault::some("region", format!("{:?} is not the name of a region, such as us-west-2", self.region));
        }
        if !(2..=3).contains(&self.zones.len()) {
            return Fault::some("zones", format!("MSK spreads brokers over 2 or 3 zones, not {}", self.zones.len()));
        }
        if let Some(zone) = self.zones.iter().find(|zone| !is_name(zone) || !zone.starts_with(&self.region)) {
            return Fault::some("zones", format!("{zone:?} is not a zone of {}", self.region));
        }
        if let Some(zone) = twice(&self.zones) {
            return Fault::some("zones", format!("{zone} is named twice"));
        }
        let Network { vpc_cidr, subnet_cidrs } = &self.network;
        if subnet_cidrs.len() != self.zones.len() {
            let (subnets, zones) = (subnet_cidrs.len(), self.zones.len());
            return Fault::some(
                "network.subnet_cidrs",
                format!("{subnets} subnets for {zones} zones: give one a zone"),
            );
        }
        if let Some(outside) = subnet_cidrs.iter().find(|subnet| !vpc_cidr.contains(subnet)) {
            return Fault::some("network.subnet_cidrs", format!("{outside} is not inside the VPC's {vpc_cidr}"));
        }
        let mut pairs =
            subnet_cidrs.iter().enumerate().flat_map(|(at, a)| subnet_cidrs[..at].iter().map(move |b| (a, b)));
        pairs
            .find(|(a, b)| a.overlaps(b))
            .and_then(|(a, b)| Fault::some("network.subnet_cidrs", format!("{a} and {b} overlap")))
    }

    fn brokers(&self) -> Option<Fault> {
        let cluster = &self.cluster;
        let is_name = |name: &str| {
            (1..=50).contains(&name.len())
                && name.starts_with(|c: char| c.is_ascii_alphanumeric())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        if !is_name(&cluster.name) {
            return Fault::some("cluster.name", "needs 1 to 50 letters, digits and hyphens, and no hyphen first");
        }
        if cluster.broker_type.is_express() {
            let reason =
                "Express brokers are not rendered yet: they have no volume to size and no monitoring of the disk";
            return Fault::some("cluster.broker_type", reason);
        }
        if let Err(error) = cluster.kafka_version.check_sold_with(cluster.broker_type) {
            return Fault::some("cluster.kafka_version", error.to_string());
        }
        let (count, zones) = (cluster.broker_count, self.zones.len());
        if count == 0 || !(count as usize).is_multiple_of(zones) {
            return Fault::some(
                "cluster.broker_count",
                format!("{count} brokers cannot be spread evenly over {zones} zones: MSK takes a multiple of {zones}"),
            );
        }
        // MSK quota: 30 brokers in a ZooKeeper-mode cluster, 60 in a KRaft one.
        let most = if cluster.kafka_version.is_kraft() { 60 } else { 30 };
        if count > most {
            return Fault::some(
                "cluster.broker_count",
                format!("{count} brokers are more than MSK's {most} a cluster"),
            );
        }
        if !(1..=16384).contains(&cluster.volume_gib) {
            return Fault::some("cluster.volume_gib", "a broker's volume has 1 to 16384 GiB");
        }
        // What CloudWatch Logs takes, up to a year.
        if ![1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365].contains(&cluster.log_retention_days) {
            let reason = "CloudWatch Logs keeps logs 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180 or 365 days";
            return Fault::some("cluster.log_retention_days", reason);
        }
        let is_key = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        let broken = cluster.server_properties.iter().find(|(key, value)| {
            let value = value.to_string();
            !is_key(key) || value.contains(char::is_control) || value.ends_with('\\')
        });
        broken.and_then(|(key, _)| {
            Fault::some(
                &format!("cluster.server_properties.{key}"),
                "a property is a name of letters, digits and dots, and a value on one line that ends in no backslash",
            )
        })
    }

    fn others(&self) -> Option<Fault> {
        let Config { client, alarms, topic, load, .. } = self;
        let is_word = |text: &str, extra: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
        };
        if !is_word(&client.instance_type, ".-") || !client.instance_type.contains('.') {
            return Fault::some("client.instance_type", format!("{:?} is no EC2 instance type", client.instance_type));
        }
        // The Amazon Linux image is given by its architecture: EC2 marks its own processors with a g after the generation.
        let family = client.instance_type.split('.').next().unwrap_or_default();
        if family.trim_start_matches(|c: char| c.is_ascii_alphabetic()).contains('g') {
            let reason =
                format!("{} has a Graviton processor, and the client's image is for x86-64", client.instance_type);
            return Fault::some("client.instance_type", reason);
        }
        if !(8..=1024).contains(&client.volume_gib) {
            return Fault::some("client.volume_gib", "the client needs 8 to 1024 GiB");
        }
        if !is_word(&client.kafka_tools_version, ".") {
            return Fault::some("client.kafka_tools_version", "is no version of Apache Kafka, such as 3.9.1");
        }
        match (&client.kgen_url, &client.kgen_sha256) {
            (None, None) => {}
            (Some(url), _) if !url.starts_with("https://") || !url.chars().all(|c| c.is_ascii_graphic()) => {
                return Fault::some("client.kgen_url", "must be an https:// URL");
            }
            (Some(_), Some(sum)) if sum.len() == 64 && sum.chars().all(|c| c.is_ascii_hexdigit()) => {}
            (Some(_), Some(_)) => return Fault::some("client.kgen_sha256", "is not 64 hexadecimal digits"),
            (Some(_), None) => {
                return Fault::some("client.kgen_url", "needs client.kgen_sha256 beside it (`sha256sum kgen`)");
            }
            (None, Some(_)) => return Fault::some("client.kgen_sha256", "needs client.kgen_url beside it"),
        }
        for (key, value, most) in [
            ("alarms.cpu_percent", alarms.cpu_percent, 100.0),
            ("alarms.memory_percent", alarms.memory_percent, 100.0),
            ("alarms.heap_percent", alarms.heap_percent, 100.0),
            ("alarms.disk_percent", alarms.disk_percent, 100.0),
            ("alarms.credit_balance", alarms.credit_balance, 576.0),
        ] {
            if !(value > 0.0 && value <= most) {
                return Fault::some(key, format!("{value} is not above 0 and at most {most}"));
            }
        }
        if alarms.period_s == 0 || !alarms.period_s.is_multiple_of(60) || alarms.period_s > 3600 {
            return Fault::some("alarms.period_s", "MSK's data points come every minute: 60 to 3600, in steps of 60");
        }
        if !(1..=24).contains(&alarms.evaluation_periods) {
            return Fault::some("alarms.evaluation_periods", "must be 1 to 24");
        }
        if !is_word(&topic.name, "._-") || topic.name.len() > 249 || [".", ".."].contains(&topic.name.as_str()) {
            return Fault::some("topic.name", "Kafka takes up to 249 letters, digits, dots, underscores and hyphens");
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
        if load.duration_s == 0 {
            return Fault::some("load.duration_s", "must be at least 1 second");
        }
        if !(16..=1_000_000).contains(&load.record_bytes) {
            return Fault::some("load.record_bytes", "must be 16 to 1000000 bytes");
        }
        // The `aws:` prefix is reserved (AWS tagging rules), and Name is set for each resource.
        let tag = self.tags.iter().find(|(key, value)| {
            key.is_empty() || key.len() > 128 || value.len() > 256 || key.starts_with("aws:") || *key == "Name"
        });
        tag.and_then(|(key, _)| {
            Fault::some(
                &format!("tags.{key}"),
                "a tag has a key of 1 to 128 characters, not Name and not aws:…, and a value of up to 256",
            )
        })
    }
}

fn twice(names: &[String]) -> Option<&String> {
    names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)).map(|(_, name)| name)
}
