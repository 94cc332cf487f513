//! Kafka versions that MSK offers, and which broker types they are sold with.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};

use super::{BrokerType, Family};

/// A Kafka version as MSK names it, such as `3.9.x` or `3.9.x.kraft`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct KafkaVersion(&'static str);

/// Text that is no version on offer.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not a Kafka version that MSK offers (use one of {})", OFFERED.join(", "))]
pub struct UnknownKafkaVersion {
    pub text: String,
}

/// Why a broker type is not sold with a Kafka version.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum VersionError {
    #[error(
        "{broker_type} exists only with ZooKeeper-mode Kafka, and {version} is KRaft (use 3.9.x, or an m5 or m7g \
         type; MSK migrates a running cluster from ZooKeeper only after its type has been changed and its ZooKeeper \
         access turned off)"
    )]
    NeedsZooKeeper { broker_type: BrokerType, version: KafkaVersion },
    #[error("{broker_type} is not available with Kafka {version} (Express brokers need 3.6.0, 3.8.x or 3.9.x.kraft)")]
    NotForExpress { broker_type: BrokerType, version: KafkaVersion },
}

/// MSK Developer Guide, "Supported Apache Kafka versions", without those past their end of support.
const OFFERED: [&str; 11] = [
    "3.4.0",
    "3.5.1",
    "3.6.0",
    "3.7.x",
    "3.7.x.kraft",
    "3.8.x",
    "3.8.x.kraft",
    "3.9.x",
    "3.9.x.kraft",
    "4.0.x.kraft",
    "4.1.x.kraft",
];

impl KafkaVersion {
    /// The newest version that MSK sells kafka.t3.small with.
    pub const DEFAULT: KafkaVersion = KafkaVersion("3.9.x");

    pub fn all() -> impl Iterator<Item = KafkaVersion> {
        OFFERED.into_iter().map(KafkaVersion)
    }

    pub fn as_str(&self) -> &'static str {
        self.0
    }

    pub fn is_kraft(&self) -> bool {
        self.0.ends_with(".kraft")
    }

    /// Whether MSK has tiered storage with this version: from 3.6.0 on (MSK Developer Guide, "Requirements for tiered storage").
    pub fn has_tiered_storage(&self) -> bool {
        let place = |version: &str| OFFERED.iter().position(|offered| *offered == version);
        place(self.0) >= place("3.6.0")
    }

    /// Checks that MSK sells `broker_type` with this version.
    ///
    /// # Errors
    /// kafka.t3.small exists in ZooKeeper mode only; Express types only with the versions they were launched for.
    pub fn check_sold_with(&self, broker_type: BrokerType) -> Result<(), VersionError> {
        match broker_type.family {
            Family::T3 if self.is_kraft() => Err(VersionError::NeedsZooKeeper { broker_type, version: *self }),
            Family::ExpressM7g if !["3.6.0", "3.8.x", "3.9.x.kraft"].contains(&self.0) => {
                Err(VersionError::NotForExpress { broker_type, version: *self })
            }
            _ => Ok(()),
        }
    }
}

impl FromStr for KafkaVersion {
    type Err = UnknownKafkaVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        OFFERED
            .into_iter()
            .find(|offered| *offered == text)
            .map(KafkaVersion)
            .ok_or_else(|| UnknownKafkaVersion { text: text.to_owned() })
    }
}

impl fmt::Display for KafkaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl From<KafkaVersion> for String {
    fn from(version: KafkaVersion) -> String {
        version.0.to_owned()
    }
}

// Derived, it would ask for input that lives for ever, because of the `&'static str` inside.
impl<'de> Deserialize<'de> for KafkaVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl TryFrom<String> for KafkaVersion {
    type Error = UnknownKafkaVersion;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t3_is_sold_in_zookeeper_mode_only() {
        for (version, broker_type, sold) in [
            ("3.9.x", "kafka.t3.small", true),
            ("3.9.x.kraft", "kafka.t3.small", false),
            ("4.0.x.kraft", "kafka.m5.large", true),
            ("3.9.x", "express.m7g.large", false),
            ("3.8.x", "express.m7g.large", true),
        ] {
            let version: KafkaVersion = version.parse().unwrap();
            assert_eq!(version.check_sold_with(broker_type.parse().unwrap()).is_ok(), sold, "{version} {broker_type}");
        }
    }

    #[test]
    fn tiered_storage_begins_with_3_6() {
        for (version, expected) in [("3.4.0", false), ("3.5.1", false), ("3.6.0", true), ("4.1.x.kraft", true)] {
            assert_eq!(version.parse::<KafkaVersion>().unwrap().has_tiered_storage(), expected, "{version}");
        }
    }
}
