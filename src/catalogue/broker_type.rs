//! Broker types, their sizes and prices, and the changes between them that MSK allows.

use std::{cmp::Reverse, fmt, ops::Deref, str::FromStr, sync::LazyLock};

use serde::{Deserialize, Deserializer, Serialize};

use super::migration::{Present, express_refusal};

/// Hours in a month, as AWS's price calculator counts them.
pub const HOURS_A_MONTH: f64 = 730.0;

/// A broker type in the catalogue, such as `kafka.m5.large` (`instance_type` in HCL).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, schemars::JsonSchema)]
#[serde(into = "String")]
pub struct BrokerType(&'static str);

/// The figures of one broker type. Reached from a [`BrokerType`] by dereferencing it.
#[derive(Debug, Deserialize)]
pub struct Spec {
    #[serde(rename = "broker_type")]
    name: String,
    pub family: Family,
    pub cpu_architecture: String,
    pub vcpus: u32,
    pub memory_mib: u64,
    pub network_baseline_gbit_per_s: Option<f64>,
    pub ebs_baseline_mb_per_s: Option<f64>,
    /// Partitions, leaders and followers, that one broker should hold (MSK best practices).
    pub partitions_recommended: u32,
    /// Partitions a broker may hold for MSK to accept configuration updates and smaller types (MSK best practices).
    pub partitions_max_for_updates: u32,
    credits_earned_per_hour: Option<f64>,
    credits_max: Option<f64>,
    baseline_percent_per_vcpu: Option<f64>,
    /// Price of one broker in us-east-1, USD an hour, without storage.
    pub usd_per_broker_hour: f64,
    /// Highest provisioned storage throughput, MiB/s; absent where MSK offers none.
    pub provisioned_throughput_max_mib_per_s: Option<f64>,
    /// What clients may write to one Express broker for as long as they like, MB/s (MSK Developer Guide, "Amazon MSK quota").
    pub express_ingress_mb_per_s: Option<f64>,
    /// What clients may read from one Express broker, likewise.
    pub express_egress_mb_per_s: Option<f64>,
}

/// The families between which MSK tells types apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Family {
    #[serde(rename = "t3")]
    T3,
    #[serde(rename = "m5")]
    M5,
    #[serde(rename = "m7g")]
    M7g,
    #[serde(rename = "express.m7g")]
    ExpressM7g,
}

/// CPU credits of a burstable type (EC2 User Guide, burstable performance instances).
///
/// One credit is one vCPU at 100 % for one minute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Credits {
    pub earned_per_hour: f64,
    pub max: f64,
    /// What a broker without credits may use of each vCPU, percent.
    pub baseline_percent: f64,
}

/// Text that names no broker type of the catalogue.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{text:?} is not an MSK broker type{}", hint.as_ref().map(|h| format!("; did you mean {h}?")).unwrap_or_default())]
pub struct UnknownBrokerType {
    pub text: String,
    pub hint: Option<BrokerType>,
}

/// Why MSK would refuse to change a cluster from one broker type to another.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum TransitionError {
    #[error("the brokers already are {0}")]
    Unchanged(BrokerType),
    #[error(
        "MSK cannot change brokers back to {0}: T3 brokers can only be changed to other types (choose an m5 or \
             m7g type)"
    )]
    ToT3(BrokerType),
    #[error("{}", across_classes(*.from, *.to))]
    AcrossClasses { from: BrokerType, to: BrokerType },
    #[error("{partitions} partitions on a broker are more than the {max} that MSK allows for a change to {to}")]
    TooManyPartitions { to: BrokerType, partitions: u32, max: u32 },
}

fn across_classes(from: BrokerType, to: BrokerType) -> String {
    match to.is_express() {
        true => {
            let present = Present { broker_type: from.as_str(), ..Present::default() };
            express_refusal(from.as_str(), to.as_str(), &present.conditions_of_express())
        }
        false => format!("MSK does not change {from} to {to}: it cannot change from Express brokers to Standard ones"),
    }
}

static SPECS: LazyLock<Vec<Spec>> = LazyLock::new(|| {
    csv::Reader::from_reader(&include_bytes!("../../data/broker-types.csv")[..])
        .deserialize()
        .collect::<Result<_, _>>()
        .expect("the embedded broker types are well formed (tested below)")
});

impl BrokerType {
    /// Price of so many brokers in us-east-1, USD a month, without storage.
    pub fn usd_per_month(self, brokers: u32) -> f64 {
        self.usd_per_broker_hour * f64::from(brokers) * HOURS_A_MONTH
    }

    /// The type of the story's undersized cluster.
    pub const T3_SMALL: BrokerType = BrokerType("kafka.t3.small");
    /// The type that AWS's own example moves a t3.small to.
    pub const M5_LARGE: BrokerType = BrokerType("kafka.m5.large");

    /// Every type of the catalogue, in its order: by class, family and size.
    pub fn all() -> impl Iterator<Item = BrokerType> {
        SPECS.iter().map(|spec| BrokerType(&spec.name))
    }

    pub fn as_str(&self) -> &'static str {
        self.0
    }

    /// Credits, for burstable types only.
    pub fn credits(&self) -> Option<Credits> {
        Some(Credits {
            earned_per_hour: self.credits_earned_per_hour?,
            max: self.credits_max?,
            baseline_percent: self.baseline_percent_per_vcpu?,
        })
    }

    /// vCPUs that a broker of this type can use for as long as it likes: all of them, or the baseline of a burstable type.
    pub fn sustained_vcpus(&self) -> f64 {
        let share = self.credits().map_or(1.0, |credits| credits.baseline_percent / 100.0);
        f64::from(self.vcpus) * share
    }

    pub fn is_express(&self) -> bool {
        self.family == Family::ExpressM7g
    }

    /// Checks that MSK changes a cluster from this type to `to` in place.
    ///
    /// `partitions` is the largest number of partitions on one broker, where it is known.
    ///
    /// # Errors
    /// The rule that MSK would refuse by (MSK Developer Guide, "Update the cluster broker size").
    pub fn check_change_to(&self, to: BrokerType, partitions: Option<u32>) -> Result<(), TransitionError> {
        if *self == to {
            return Err(TransitionError::Unchanged(to));
        }
        if to.family == Family::T3 {
            return Err(TransitionError::ToT3(to));
        }
        if self.is_express() != to.is_express() {
            return Err(TransitionError::AcrossClasses { from: *self, to });
        }
        match partitions {
            Some(partitions) if partitions > to.partitions_max_for_updates => {
                Err(TransitionError::TooManyPartitions { to, partitions, max: to.partitions_max_for_updates })
            }
            _ => Ok(()),
        }
    }

    /// The types to move to when this one is too small, the next first: larger sizes of its family, or of M5 out of T3.
    pub fn larger(&self) -> Vec<BrokerType> {
        let (family, vcpus) = match self.family {
            Family::T3 => (Family::M5, 0),
            family => (family, self.vcpus),
        };
        let is_larger = |other: &BrokerType| other.family == family && other.vcpus > vcpus;
        let mut larger: Vec<BrokerType> = BrokerType::all().filter(is_larger).collect();
        larger.sort_by_key(|other| other.vcpus);
        larger
    }

    /// The first of [`BrokerType::larger`]; nothing for the largest size of a family.
    pub fn next_larger(&self) -> Option<BrokerType> {
        self.larger().first().copied()
    }
}

impl Deref for BrokerType {
    type Target = Spec;

    fn deref(&self) -> &Spec {
        SPECS.iter().find(|spec| spec.name == self.0).expect("a BrokerType is made from a row of the catalogue")
    }
}

impl FromStr for BrokerType {
    type Err = UnknownBrokerType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(known) = BrokerType::all().find(|known| known.0 == text) {
            return Ok(known);
        }
        let hint = BrokerType::all()
            .map(|known| (known, similarity(known.0, text)))
            .filter(|(_, similarity)| *similarity > 0.75)
            .min_by_key(|(_, similarity)| Reverse((similarity * 1000.0) as u32))
            .map(|(known, _)| known);
        Err(UnknownBrokerType { text: text.to_owned(), hint })
    }
}

/// How alike two names are, 0 to 1; a missing `kafka.` in front counts for nothing.
fn similarity(known: &str, text: &str) -> f64 {
    let ratio = |a: &str, b: &str| f64::from(similar::TextDiff::from_chars(a, b).ratio());
    ratio(known, text).max(ratio(known, &format!("kafka.{text}")))
}

impl fmt::Display for BrokerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl fmt::Debug for BrokerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl From<BrokerType> for String {
    fn from(broker_type: BrokerType) -> String {
        broker_type.0.to_owned()
    }
}

// Derived, it would ask for input that lives for ever, because of the `&'static str` inside.
impl<'de> Deserialize<'de> for BrokerType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl TryFrom<String> for BrokerType {
    type Error = UnknownBrokerType;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(text: &str) -> BrokerType {
        text.parse().unwrap()
    }

    #[test]
    fn every_row_is_read() {
        assert_eq!(BrokerType::all().count(), 23);
        assert_eq!(BrokerType::T3_SMALL.memory_mib, 2048);
        assert_eq!(BrokerType::T3_SMALL.sustained_vcpus(), 0.4);
        assert_eq!(BrokerType::M5_LARGE.sustained_vcpus(), 2.0);
    }

    #[test]
    fn a_slip_gets_a_hint() {
        for (text, hint) in [
            ("m5.large", Some("kafka.m5.large")),
            ("kafka.m5.lrage", Some("kafka.m5.large")),
            ("kafka.t3.smal", Some("kafka.t3.small")),
            ("t3.small", Some("kafka.t3.small")),
            ("", None),
            ("banana", None),
        ] {
            let error = text.parse::<BrokerType>().unwrap_err();
            assert_eq!(error.hint.map(|hint| hint.as_str()), hint, "{text}");
        }
    }

    #[test]
    fn only_changes_that_msk_makes_are_allowed() {
        for (from, to, partitions, allowed) in [
            ("kafka.t3.small", "kafka.m5.large", None, true),
            ("kafka.t3.small", "kafka.m7g.large", None, true),
            ("kafka.m5.large", "kafka.m5.xlarge", Some(1500), true),
            ("kafka.m5.large", "kafka.m5.large", None, false),
            ("kafka.m5.large", "kafka.t3.small", None, false),
            ("kafka.m5.large", "express.m7g.large", None, false),
            ("kafka.m5.2xlarge", "kafka.m5.large", Some(1501), false),
        ] {
            assert_eq!(known(from).check_change_to(known(to), partitions).is_ok(), allowed, "{from} to {to}");
        }
    }

    #[test]
    fn the_next_larger_type_leaves_the_t3_family() {
        for (from, to) in [
            ("kafka.t3.small", Some("kafka.m5.large")),
            ("kafka.m5.large", Some("kafka.m5.xlarge")),
            ("kafka.m7g.16xlarge", None),
        ] {
            assert_eq!(known(from).next_larger().map(|t| t.as_str()), to);
        }
        let larger: Vec<&str> = known("kafka.m7g.2xlarge").larger().iter().map(BrokerType::as_str).collect();
        let names = ["kafka.m7g.4xlarge", "kafka.m7g.8xlarge", "kafka.m7g.12xlarge", "kafka.m7g.16xlarge"];
        assert_eq!(larger, names);
    }
}
