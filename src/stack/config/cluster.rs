//! `[cluster]`: the brokers and their storage.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{
    Config,
    access::{Authentication, ClientBroker, KmsKey},
};
use crate::{
    catalogue::{BrokerType, Family, KafkaVersion, MonitoringLevel},
    stack::error::Fault,
};

/// The MSK cluster.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterTable {
    /// Also the name, or the start of it, of everything else that needs one.
    pub name: String,
    pub broker_type: BrokerType,
    /// A multiple of the number of zones.
    pub broker_count: u32,
    pub kafka_version: KafkaVersion,
    /// EBS volume of each broker. Express brokers have none.
    pub volume_gib: u32,
    /// Storage throughput of each broker, MiB/s; what EBS gives unless it is set.
    pub provisioned_throughput_mib_per_s: Option<u32>,
    /// Size up to which MSK itself grows a volume that fills up.
    pub autoscaling_max_gib: Option<u32>,
    /// Use of a volume at which MSK grows it, percent.
    pub autoscaling_target_percent: u32,
    /// Whether MSK moves older records to its low-cost tier.
    pub tiered_storage: bool,
    pub monitoring: MonitoringLevel,
    /// Whether brokers serve the Prometheus endpoints of the JMX and the node exporter.
    pub open_monitoring: bool,
    pub log_retention_days: u32,
    /// What the volumes of the brokers are encrypted with.
    pub kms_key: KmsKey,
    /// Whether clients may connect without encryption.
    pub client_broker: ClientBroker,
    pub authentication: Vec<Authentication>,
    /// AWS Private CAs whose certificates clients of the authentication `tls` show.
    pub certificate_authority_arns: Vec<String>,
    /// Users of the authentication `scram`, each with a secret and a password that AWS makes up.
    pub scram_users: Vec<String>,
    /// Secrets of further users, which are there.
    pub scram_secret_arns: Vec<String>,
    /// Configuration of the brokers, in place of the defaults where the key is the same.
    pub server_properties: BTreeMap<String, ServerProperty>,
}

/// A value of server.properties, as TOML writes it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(untagged, expecting = "a string, a number or a boolean")]
pub enum ServerProperty {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
}

/// Properties of a configuration that Express brokers take (MSK Developer Guide, "Custom MSK Express broker
/// configurations", static configurations).
const EXPRESS_PROPERTIES: [&str; 26] = [
    "allow.everyone.if.no.acl.found",
    "auto.create.topics.enable",
    "compression.type",
    "connections.max.idle.ms",
    "delete.topic.enable",
    "group.initial.rebalance.delay.ms",
    "group.max.session.timeout.ms",
    "leader.imbalance.per.broker.percentage",
    "log.cleanup.policy",
    "log.message.timestamp.after.max.ms",
    "log.message.timestamp.before.max.ms",
    "log.message.timestamp.type",
    "log.retention.bytes",
    "log.retention.ms",
    "max.connections.per.ip",
    "max.incremental.fetch.session.cache.slots",
    "message.max.bytes",
    "num.partitions",
    "offsets.retention.minutes",
    "replica.fetch.max.bytes",
    "replica.selector.class",
    "socket.receive.buffer.bytes",
    "socket.request.max.bytes",
    "socket.send.buffer.bytes",
    "transaction.max.timeout.ms",
    "transactional.id.expiration.ms",
];

/// Replicas of every topic on Express brokers; MSK takes no other number (MSK Developer Guide, "Express brokers
/// read-only configurations").
const EXPRESS_REPLICAS: u32 = 3;

/// Least and default storage throughput that can be provisioned, MiB/s, and the least volume for it, GiB (MSK Developer
/// Guide, "Manage storage throughput for Standard brokers").
const THROUGHPUT_LEAST_MIB_PER_S: u32 = 250;
const THROUGHPUT_LEAST_VOLUME_GIB: u32 = 10;

/// Largest volume of a broker, GiB (MSK quota).
const VOLUME_MOST_GIB: u32 = 16384;

impl Default for ClusterTable {
    fn default() -> ClusterTable {
        ClusterTable {
            name: "kgen-demo".to_owned(),
            broker_type: BrokerType::T3_SMALL,
            broker_count: 3,
            kafka_version: KafkaVersion::DEFAULT,
            volume_gib: 100,
            provisioned_throughput_mib_per_s: None,
            autoscaling_max_gib: None,
            autoscaling_target_percent: 60,
            tiered_storage: false,
            monitoring: MonitoringLevel::PerBroker,
            open_monitoring: true,
            log_retention_days: 7,
            kms_key: KmsKey::Aws,
            client_broker: ClientBroker::TlsPlaintext,
            authentication: vec![Authentication::None],
            certificate_authority_arns: Vec::new(),
            scram_users: Vec::new(),
            scram_secret_arns: Vec::new(),
            server_properties: BTreeMap::new(),
        }
    }
}

impl ClusterTable {
    pub fn authenticates(&self, by: Authentication) -> bool {
        self.authentication.contains(&by)
    }

    /// Whether brokers listen without encryption.
    pub fn has_plaintext(&self) -> bool {
        self.client_broker != ClientBroker::Tls
    }

    /// Whether brokers listen with TLS and no SASL.
    pub fn has_tls(&self) -> bool {
        let without_sasl = [Authentication::None, Authentication::Tls].iter().any(|by| self.authenticates(*by));
        self.client_broker != ClientBroker::Plaintext && without_sasl
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

impl Config {
    /// The first rule of the cluster that is broken.
    pub(super) fn brokers(&self) -> Option<Fault> {
        self.sizes().or_else(|| self.express()).or_else(|| self.storage()).or_else(|| self.access()).or_else(|| {
            // What CloudWatch Logs takes, up to a year.
            if ![1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365].contains(&self.cluster.log_retention_days) {
                let reason = "CloudWatch Logs keeps logs 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180 or 365 days";
                return Fault::some("cluster.log_retention_days", reason);
            }
            self.properties()
        })
    }

    fn sizes(&self) -> Option<Fault> {
        let cluster = &self.cluster;
        let is_name = |name: &str| {
            (1..=50).contains(&name.len())
                && name.starts_with(|c: char| c.is_ascii_alphanumeric())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        if !is_name(&cluster.name) {
            return Fault::some(
                "cluster.name",
                "needs 1 to 50 letters, digits and hyphens, and must not start with a \
                                                hyphen",
            );
        }
        if let Err(error) = cluster.kafka_version.check_sold_with(cluster.broker_type) {
            return Fault::some("cluster.kafka_version", error.to_string());
        }
        let (count, zones) = (cluster.broker_count, self.zones.len());
        if count == 0 || !(count as usize).is_multiple_of(zones) {
            return Fault::some(
                "cluster.broker_count",
                format!("{count} brokers cannot be spread evenly over {zones} zones: MSK needs a multiple of {zones}"),
            );
        }
        // MSK quota: 30 brokers in a ZooKeeper-mode cluster, 60 in a KRaft one.
        let most = if cluster.kafka_version.is_kraft() { 60 } else { 30 };
        if count > most {
            return Fault::some(
                "cluster.broker_count",
                format!("{count} brokers are more than the {most} that MSK allows in a cluster"),
            );
        }
        None
    }

    /// What Express brokers do not have.
    fn express(&self) -> Option<Fault> {
        let cluster = &self.cluster;
        if !cluster.broker_type.is_express() {
            return None;
        }
        let managed = |key: &str| Fault::some(key, "Express brokers have no volumes: MSK manages their storage");
        if self.zones.len() != 3 {
            return Fault::some("zones", "Express brokers need three zones");
        }
        if cluster.provisioned_throughput_mib_per_s.is_some() {
            return managed("cluster.provisioned_throughput_mib_per_s");
        }
        if cluster.autoscaling_max_gib.is_some() {
            return managed("cluster.autoscaling_max_gib");
        }
        if cluster.tiered_storage {
            return managed("cluster.tiered_storage");
        }
        if self.topic.replication_factor != EXPRESS_REPLICAS {
            return Fault::some(
                "topic.replication_factor",
                format!("topics on Express brokers have {EXPRESS_REPLICAS} replicas"),
            );
        }
        let fixed = cluster.server_properties.keys().find(|key| !EXPRESS_PROPERTIES.contains(&key.as_str()));
        fixed.and_then(|key| {
            Fault::some(
                &format!("cluster.server_properties.{key}"),
                format!("Express brokers do not accept this property (they accept {})", EXPRESS_PROPERTIES.join(", ")),
            )
        })
    }

    fn storage(&self) -> Option<Fault> {
        let cluster = &self.cluster;
        if !(1..=VOLUME_MOST_GIB).contains(&cluster.volume_gib) {
            return Fault::some("cluster.volume_gib", format!("a broker's volume has 1 to {VOLUME_MOST_GIB} GiB"));
        }
        if let Some(asked) = cluster.provisioned_throughput_mib_per_s {
            let key = "cluster.provisioned_throughput_mib_per_s";
            let broker_type = cluster.broker_type;
            let Some(most) = broker_type.provisioned_throughput_max_mib_per_s else {
                return Fault::some(
                    key,
                    format!(
                        "MSK cannot provision throughput for {broker_type} (only for kafka.m5.4xlarge, \
                         kafka.m7g.2xlarge and larger)"
                    ),
                );
            };
            if cluster.volume_gib < THROUGHPUT_LEAST_VOLUME_GIB {
                return Fault::some(key, format!("needs cluster.volume_gib of {THROUGHPUT_LEAST_VOLUME_GIB} or more"));
            }
            if asked < THROUGHPUT_LEAST_MIB_PER_S || f64::from(asked) > most {
                return Fault::some(
                    key,
                    format!("{broker_type} allows {THROUGHPUT_LEAST_MIB_PER_S} to {most} MiB/s, not {asked}"),
                );
            }
        }
        if let Some(most) = cluster.autoscaling_max_gib
            && !(cluster.volume_gib + 1..=VOLUME_MOST_GIB).contains(&most)
        {
            return Fault::some(
                "cluster.autoscaling_max_gib",
                format!("{most} must be above cluster.volume_gib and at most {VOLUME_MOST_GIB}"),
            );
        }
        // MSK Developer Guide, "Auto-scaling policy details".
        if !(10..=80).contains(&cluster.autoscaling_target_percent) {
            return Fault::some("cluster.autoscaling_target_percent", "must be 10 to 80 percent");
        }
        self.tiers()
    }

    fn tiers(&self) -> Option<Fault> {
        let cluster = &self.cluster;
        if !cluster.tiered_storage {
            return None;
        }
        // MSK Developer Guide, "Requirements for tiered storage".
        if cluster.broker_type.family == Family::T3 {
            return Fault::some("cluster.tiered_storage", "MSK has no tiered storage for kafka.t3.small");
        }
        if !cluster.kafka_version.has_tiered_storage() {
            return Fault::some(
                "cluster.tiered_storage",
                format!("needs Kafka 3.6.0 or later, not {}", cluster.kafka_version),
            );
        }
        match cluster.server_properties.get("log.cleanup.policy") {
            Some(policy) if policy.to_string() != "delete" => Fault::some(
                "cluster.server_properties.log.cleanup.policy",
                "with tiered storage MSK only allows delete (a topic without tiering can be compacted with its own \
                 setting)",
            ),
            _ => None,
        }
    }

    fn properties(&self) -> Option<Fault> {
        let is_key = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        let broken = self.cluster.server_properties.iter().find(|(key, value)| {
            let value = value.to_string();
            !is_key(key) || value.contains(char::is_control) || value.ends_with('\\')
        });
        broken.and_then(|(key, _)| {
            Fault::some(
                &format!("cluster.server_properties.{key}"),
                "a property has a name of letters, digits and dots, and a value on one line that does not end in a \
                 backslash",
            )
        })
    }
}
