//! The CloudWatch metrics of MSK: names, units, monitoring levels and dimensions.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::ClusterKind;

/// One metric of the namespace `AWS/Kafka` under one set of dimensions.
#[derive(Debug, Deserialize)]
pub struct Metric {
    pub name: String,
    /// As CloudWatch spells it, such as `Bytes/Second`.
    pub unit: String,
    pub level: MonitoringLevel,
    #[serde(rename = "dimensions")]
    dimension_list: String,
    #[serde(rename = "clusters")]
    cluster_list: String,
}

/// Enhanced monitoring levels; each includes those before it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MonitoringLevel {
    Default,
    /// The seed's level: `ProduceLocalTimeMsMean` begins here.
    #[default]
    PerBroker,
    PerTopicPerBroker,
    PerTopicPerPartition,
}

static METRICS: LazyLock<Vec<Metric>> = LazyLock::new(|| {
    csv::Reader::from_reader(&include_bytes!("../../data/metrics.csv")[..])
        .deserialize()
        .collect::<Result<_, _>>()
        .expect("the embedded metrics are well formed (tested below)")
});

impl Metric {
    pub const NAMESPACE: &'static str = "AWS/Kafka";

    pub fn all() -> &'static [Metric] {
        &METRICS
    }

    /// The metric `name` with exactly the dimensions `Cluster Name` and `Broker ID`.
    pub fn per_broker(name: &str) -> Option<&'static Metric> {
        METRICS.iter().find(|metric| metric.name == name && metric.dimensions().eq(["Cluster Name", "Broker ID"]))
    }

    /// Names of the dimensions, in the order that MSK documents.
    pub fn dimensions(&self) -> impl Iterator<Item = &str> {
        self.dimension_list.split("; ")
    }

    /// Whether clusters of `kind` publish it.
    pub fn is_of(&self, kind: ClusterKind) -> bool {
        self.cluster_list.split("; ").any(|cluster| cluster == kind.as_str())
    }
}

/// Where the price of a metric stands: it depends on the region and on how many there are (MSK Developer Guide, "Amazon MSK
/// metrics": those of DEFAULT are free, the others are priced there).
const PRICES: &str = "https://aws.amazon.com/cloudwatch/pricing/";

impl MonitoringLevel {
    /// What the level costs, in words that follow its name: DEFAULT is free, and every metric above it is billed by CloudWatch.
    pub fn price(self) -> String {
        let more = Metric::all().iter().filter(|metric| metric.level == self).count();
        let of_each = match self {
            MonitoringLevel::Default => return " (free)".to_owned(),
            MonitoringLevel::PerBroker => "broker",
            MonitoringLevel::PerTopicPerBroker => "topic and broker",
            MonitoringLevel::PerTopicPerPartition => "group and partition",
        };
        format!(" (paid: {more} more metrics for each {of_each}; prices: {PRICES})")
    }

    /// The value of `enhanced_monitoring`.
    pub fn as_str(&self) -> &'static str {
        match self {
            MonitoringLevel::Default => "DEFAULT",
            MonitoringLevel::PerBroker => "PER_BROKER",
            MonitoringLevel::PerTopicPerBroker => "PER_TOPIC_PER_BROKER",
            MonitoringLevel::PerTopicPerPartition => "PER_TOPIC_PER_PARTITION",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_carry_level_and_dimensions() {
        assert_eq!(Metric::per_broker("CpuUser").unwrap().level, MonitoringLevel::Default);
        assert_eq!(Metric::per_broker("ProduceLocalTimeMsMean").unwrap().level, MonitoringLevel::PerBroker);
        assert!(Metric::per_broker("CpuUsr").is_none());
        assert!(Metric::all().len() > 100);
        // A word that is not a kind would be a metric that nobody publishes.
        let kinds = [ClusterKind::Standard, ClusterKind::Express, ClusterKind::Serverless];
        for metric in Metric::all() {
            let known = kinds.iter().filter(|kind| metric.is_of(**kind)).count();
            assert_eq!(known, metric.cluster_list.split("; ").count(), "{}", metric.name);
        }
        assert!(!Metric::per_broker("CpuIoWait").unwrap().is_of(ClusterKind::Express));
    }
}
