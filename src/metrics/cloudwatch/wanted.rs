//! Which series a cluster is asked for, and what it cannot give. Values in, values out.

use std::collections::BTreeSet;

use super::{
    minutes::{Key, Of, Series},
    table::{Only, Row, Scope, TABLE},
};
use crate::{
    catalogue::{ClusterKind, Metric, MonitoringLevel},
    sample::{BrokerId, Field, Unavailable},
};

/// Fields that nothing outside the cluster's network shows, with what is meant.
const NOT_PUBLISHED: [(Field, &str); 4] = [
    (Field::ProduceRate, "CloudWatch has no number of produce requests"),
    (Field::PartitionRates, "CloudWatch has no end offsets of partitions"),
    (Field::GroupMembers, "CloudWatch has neither state nor members of consumer groups"),
    (Field::Probe, "the brokers' Kafka ports are not tried from outside"),
];

/// Metrics that alone do not answer for their field: gp3 volumes have no burst credits.
const ASIDE: [&str; 1] = ["BurstBalance"];

/// What is known of a cluster before anything is read.
#[derive(Debug, Clone)]
pub struct Shape {
    pub name: String,
    pub kind: ClusterKind,
    pub level: MonitoringLevel,
    pub brokers: Vec<BrokerId>,
    pub is_burstable: bool,
    pub knows_memory: bool,
}

/// What ListMetrics found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovered {
    /// Consumer group and topic.
    pub groups: BTreeSet<(String, String)>,
    /// Broker and topic.
    pub topics: BTreeSet<(BrokerId, String)>,
    /// Topics of a serverless cluster.
    pub cluster_topics: BTreeSet<String>,
    /// Broker and kind of authentication.
    pub authentications: BTreeSet<(BrokerId, String)>,
}

impl Discovered {
    /// Whether CloudWatch lists no series of the cluster at all.
    pub fn is_empty(&self) -> bool {
        *self == Discovered::default()
    }
}

/// Whether MSK publishes `row` for clusters of this kind and level.
pub fn is_published(row: &Row, shape: &Shape) -> bool {
    let fits = |metric: &&Metric| metric.name == row.name && metric.is_of(shape.kind);
    let for_kind = Metric::all().iter().any(|metric| fits(&metric));
    let is_asked = match row.only {
        Only::All => true,
        Only::Burstable => shape.is_burstable,
        Only::UnknownMemory => !shape.knows_memory,
    };
    // A serverless cluster publishes by topic, and by consumer group and topic.
    let has_scope = shape.kind != ClusterKind::Serverless || matches!(row.scope, Scope::BrokerTopic | Scope::Group);
    for_kind && has_scope && row.level <= shape.level && is_asked
}

/// Every series that is asked for.
pub fn series(shape: &Shape, discovered: &Discovered) -> Vec<Key> {
    let rows = TABLE.iter().enumerate().filter(|(_, row)| is_published(row, shape));
    let of = |row: &Row| -> Vec<Of> {
        let part = |(id, part): &(BrokerId, String)| Of::PartOfBroker(*id, part.clone());
        match row.scope {
            Scope::Cluster => vec![Of::Cluster],
            Scope::Broker => shape.brokers.iter().map(|id| Of::Broker(*id)).collect(),
            Scope::BrokerAuthentication => discovered.authentications.iter().map(part).collect(),
            Scope::BrokerTopic if shape.kind == ClusterKind::Serverless => {
                discovered.cluster_topics.iter().map(|topic| Of::Topic(topic.clone())).collect()
            }
            Scope::BrokerTopic => discovered.topics.iter().map(part).collect(),
            Scope::Group => {
                let group =
                    |(group, topic): &(String, String)| Of::Group { group: group.clone(), topic: topic.clone() };
                discovered.groups.iter().map(group).collect()
            }
        }
    };
    rows.flat_map(|(n, row)| of(row).into_iter().map(move |of| Key { row: n, of })).collect()
}

/// What this cluster does not publish, whatever is read, and what would change that.
pub fn unavailable(shape: &Shape) -> Vec<Unavailable> {
    let fields: BTreeSet<Field> = TABLE.iter().map(|row| row.field).collect();
    let by_topic_alone = |field: &Field| shape.kind == ClusterKind::Serverless && *field == Field::TrafficByTopic;
    let lacking = fields.into_iter().filter_map(|field| match by_topic_alone(&field) {
        true => Some(Unavailable { field, reason: "published by topic, and not by broker".to_owned(), enable: None }),
        false => lacking(field, shape),
    });
    let never = NOT_PUBLISHED.map(|(field, reason)| Unavailable {
        field,
        reason: reason.to_owned(),
        enable: Some("run kgen where it reaches the brokers (--source prometheus)".to_owned()),
    });
    lacking.chain(never).collect()
}

/// Why no metric of `field` is published; `None` if one is.
fn lacking(field: Field, shape: &Shape) -> Option<Unavailable> {
    let rows: Vec<&Row> = TABLE.iter().filter(|row| row.field == field && !ASIDE.contains(&row.name)).collect();
    if rows.iter().any(|row| is_published(row, shape)) {
        return None;
    }
    let at_most = |level: MonitoringLevel| Shape { level, ..shape.clone() };
    let published_at = |level: MonitoringLevel| rows.iter().any(|row| is_published(row, &at_most(level)));
    let levels =
        [MonitoringLevel::PerBroker, MonitoringLevel::PerTopicPerBroker, MonitoringLevel::PerTopicPerPartition];
    let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
    let names = names.join(", ");
    Some(match levels.into_iter().find(|level| published_at(*level)) {
        Some(level) => Unavailable {
            field,
            reason: format!("{names}: not published at monitoring level {}", shape.level.as_str()),
            enable: Some(format!("set the monitoring level to {}{}", level.as_str(), level.price())),
        },
        // Credits are no lack of a type that earns none.
        None if rows.iter().all(|row| row.only == Only::Burstable) && shape.kind == ClusterKind::Standard => {
            return None;
        }
        None => Unavailable {
            field,
            reason: format!("{names}: not published for {} clusters", shape.kind.as_str()),
            enable: None,
        },
    })
}

/// Fields of which every broker lacks every datapoint though MSK publishes them for this cluster.
pub fn empty(shape: &Shape, read: &Series) -> Vec<Unavailable> {
    let is_by_broker =
        |row: &&Row| row.scope == Scope::Broker && !ASIDE.contains(&row.name) && is_published(row, shape);
    let fields: BTreeSet<Field> = TABLE.iter().filter(is_by_broker).map(|row| row.field).collect();
    let is_empty = |field: &Field| {
        let of_field = |row: &Row| row.field == *field && !ASIDE.contains(&row.name);
        let mut rows = TABLE.iter().enumerate().filter(|(_, row)| of_field(row));
        rows.all(|(n, _)| !read.has(n))
    };
    let reason = |field: Field| {
        let of_field = |row: &&Row| row.field == field && !ASIDE.contains(&row.name);
        let rows = TABLE.iter().filter(of_field).filter(|row| is_published(row, shape));
        let names: Vec<&str> = rows.map(|row| row.name).collect();
        format!("CloudWatch has no datapoint of {} in the time that was read", names.join(", "))
    };
    let empty = fields.into_iter().filter(is_empty);
    empty.map(|field| Unavailable { field, reason: reason(field), enable: None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(kind: ClusterKind, level: MonitoringLevel) -> Shape {
        Shape { name: "orders".to_owned(), kind, level, brokers: vec![1, 2, 4], is_burstable: true, knows_memory: true }
    }

    fn names(shape: &Shape) -> BTreeSet<&'static str> {
        series(shape, &Discovered::default()).iter().map(|key| key.metric().name).collect()
    }

    #[test]
    fn only_what_a_cluster_publishes_is_asked_for() {
        let default = names(&shape(ClusterKind::Standard, MonitoringLevel::Default));
        assert!(default.contains("CPUCreditBalance") && default.contains("OfflinePartitionsCount"));
        assert!(!default.contains("ProduceLocalTimeMsMean") && !default.contains("MemoryCached"));
        let per_broker = names(&shape(ClusterKind::Standard, MonitoringLevel::PerBroker));
        assert!(per_broker.contains("VolumeWriteOps") && per_broker.is_superset(&default));
        let express = names(&shape(ClusterKind::Express, MonitoringLevel::PerBroker));
        for lacking in
            ["UnderReplicatedPartitions", "HeapMemoryAfterGC", "KafkaDataLogsDiskUsed", "CpuIoWait", "VolumeWriteOps"]
        {
            assert!(!express.contains(lacking), "{lacking}");
        }
        assert!(express.contains("CpuUser") && express.contains("ProduceThrottleTime"));
        assert!(names(&shape(ClusterKind::Serverless, MonitoringLevel::Default)).is_empty());
        let known = Shape {
            is_burstable: false,
            knows_memory: false,
            ..shape(ClusterKind::Standard, MonitoringLevel::Default)
        };
        assert!(!names(&known).contains("CPUCreditBalance") && names(&known).contains("MemoryCached"));
    }

    #[test]
    fn brokers_are_asked_by_their_ids_and_the_rest_by_what_was_found() {
        let found = Discovered {
            groups: [("billing".to_owned(), "orders".to_owned())].into(),
            topics: [(4, "orders".to_owned())].into(),
            cluster_topics: ["orders".to_owned()].into(),
            authentications: [(1, "IAM".to_owned())].into(),
        };
        let keys = series(&shape(ClusterKind::Standard, MonitoringLevel::Default), &found);
        let cpu: Vec<&Of> = keys.iter().filter(|key| key.metric().name == "CpuUser").map(|key| &key.of).collect();
        assert_eq!(cpu, [&Of::Broker(1), &Of::Broker(2), &Of::Broker(4)]);
        assert_eq!(keys.iter().filter(|key| key.metric().scope == Scope::Group).count(), 4);
        let serverless = series(&shape(ClusterKind::Serverless, MonitoringLevel::Default), &found);
        let lags = serverless.iter().filter(|key| matches!(key.of, Of::Group { .. })).count();
        // RollingEstimatedTimeLagMax is not among those of serverless clusters.
        assert_eq!((lags, serverless.len()), (3, 4));
    }

    #[test]
    fn what_is_not_published_says_why_and_what_would_help() {
        let of = |shape: &Shape, field: Field| unavailable(shape).into_iter().find(|lack| lack.field == field);
        let default = shape(ClusterKind::Standard, MonitoringLevel::Default);
        let parts = of(&default, Field::ProduceParts).unwrap();
        assert!(parts.reason.ends_with("not published at monitoring level DEFAULT"), "{}", parts.reason);
        let enable = parts.enable.as_deref().unwrap_or_default();
        assert!(enable.starts_with("set the monitoring level to PER_BROKER (paid: 61 more metrics"), "{enable}");
        assert!(enable.contains("https://aws.amazon.com/cloudwatch/pricing/"), "{enable}");
        // Traffic shaping is there at DEFAULT; burst balance alone says too little of a volume.
        assert_eq!((of(&default, Field::NetworkAllowances), of(&default, Field::Cpu)), (None, None));
        let volume = of(&default, Field::Volume).unwrap();
        assert!(volume.reason.starts_with("VolumeQueueLength, ") && !volume.reason.contains("BurstBalance"));
        let express = shape(ClusterKind::Express, MonitoringLevel::PerBroker);
        let disk = of(&express, Field::DiskUsed).unwrap();
        assert_eq!(
            (disk.reason.as_str(), disk.enable),
            ("KafkaDataLogsDiskUsed: not published for Express clusters", None)
        );
        let large = Shape { is_burstable: false, ..default };
        assert_eq!(of(&large, Field::CpuCredits), None);
        assert!(of(&large, Field::Probe).unwrap().enable.is_some());
        assert!(of(&shape(ClusterKind::Serverless, MonitoringLevel::Default), Field::Cpu).is_some());
    }

    #[test]
    fn a_field_without_any_datapoint_is_named() {
        let shape = shape(ClusterKind::Standard, MonitoringLevel::Default);
        let mut read = Series::default();
        for key in series(&shape, &Discovered::default()) {
            if key.metric().field != Field::CpuIoWait {
                read.add(&key, [(0, 1.0)].into_iter());
            }
        }
        let lacking = empty(&shape, &read);
        assert_eq!(lacking.iter().map(|lack| lack.field).collect::<Vec<_>>(), [Field::CpuIoWait]);
    }
}
