//! The causes that a view can assess: the needs of each rule compared with the content of the samples.

use serde::Serialize;

use super::{ClusterKind, Kind, RULES, Rule, seen::is_asked, window::Window};
use crate::{
    catalogue::{Metric, MonitoringLevel},
    sample::Field,
};

/// What a rule needs to be able to say yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Alternatives: all fields of one of them are enough. Without any, the rule needs no data of the cluster.
    pub any: &'static [&'static [Field]],
    /// Fields that make the finding surer or say more.
    pub helps: &'static [Field],
    /// The clusters that can have the cause.
    pub of: Clusters,
}

/// Kinds of clusters that can have a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clusters {
    All,
    /// Standard and Express brokers.
    Provisioned,
    /// Standard brokers: Express and serverless have no volumes or replicas of their own to look after.
    Standard,
    /// Standard brokers of a T3 type.
    Burstable,
}

/// Which causes were assessed, and why the others were not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Coverage {
    /// Ids of the causes that the samples can show or rule out.
    pub assessed: Vec<&'static str>,
    pub not_assessed: Vec<NotAssessed>,
    /// Ids of the causes that this kind of cluster cannot have.
    pub not_applicable: Vec<&'static str>,
}

/// A cause that could not be assessed.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct NotAssessed {
    /// Such as `client.quota-throttled`.
    pub id: &'static str,
    /// The data that is missing for the closest way to assess it.
    pub lacking: Vec<Lacking>,
    /// Data that this view has for every such cluster is missing, and nothing says why.
    pub unexplained: bool,
}

/// A field that the samples do not contain.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Lacking {
    pub field: Field,
    /// What it is, such as `time that produce requests are throttled (ProduceThrottleTime)`.
    pub what: String,
    /// Why it is missing.
    pub reason: String,
    /// What would make it available; `None` if nothing would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable: Option<String>,
}

/// Fields that Express brokers publish no metric of (MSK Developer Guide, metrics for Express brokers).
const UNPUBLISHED_BY_EXPRESS: [Field; 8] = [
    Field::Replication,
    Field::MinIsr,
    Field::DiskUsed,
    Field::HeapAfterGc,
    Field::CpuCredits,
    Field::CpuIoWait,
    Field::NetworkAllowances,
    Field::Volume,
];

/// Why a field is not there.
struct Gap {
    reason: String,
    enable: Option<String>,
    is_explained: bool,
}

/// What of the causes the window can assess; [`Window::coverage`] keeps it.
pub fn of(window: &Window) -> Coverage {
    let mut coverage = Coverage::default();
    for rule in RULES.iter().filter(|rule| rule.kind == Kind::Cause) {
        if !applies(window, rule.needs.of) {
            coverage.not_applicable.push(rule.id);
            continue;
        }
        match not_assessed(window, rule) {
            None => coverage.assessed.push(rule.id),
            Some(lacking) => coverage.not_assessed.push(lacking),
        }
    }
    coverage
}

fn applies(window: &Window, clusters: Clusters) -> bool {
    let kind = window.context.kind.unwrap_or(ClusterKind::Standard);
    match clusters {
        Clusters::All => true,
        Clusters::Provisioned => kind != ClusterKind::Serverless,
        Clusters::Standard => kind == ClusterKind::Standard,
        // Of an unknown type it is not known.
        Clusters::Burstable => {
            kind == ClusterKind::Standard && window.context.known_type().is_none_or(|t| t.credits().is_some())
        }
    }
}

fn not_assessed(window: &Window, rule: &Rule) -> Option<NotAssessed> {
    let lacks = |fields: &&'static [Field]| -> Vec<Field> {
        fields.iter().copied().filter(|field| !window.sees(*field)).collect()
    };
    let alternatives: Vec<Vec<Field>> = rule.needs.any.iter().map(lacks).collect();
    if alternatives.iter().any(Vec::is_empty) {
        return None;
    }
    let is_unexplained = |fields: &Vec<Field>| fields.iter().all(|field| !gap(window, *field).is_explained);
    let nearest = alternatives.iter().min_by_key(|fields| fields.len())?;
    let lacking = nearest.iter().map(|field| {
        let Gap { reason, enable, .. } = gap(window, *field);
        Lacking { field: *field, what: what(*field), reason, enable }
    });
    Some(NotAssessed { id: rule.id, lacking: lacking.collect(), unexplained: alternatives.iter().any(is_unexplained) })
}

/// Why `field` is not there, as far as is known.
fn gap(window: &Window, field: Field) -> Gap {
    let explained = |reason: &str, enable: Option<&str>| Gap {
        reason: reason.to_owned(),
        enable: enable.map(str::to_owned),
        is_explained: true,
    };
    if let Some(said) = window.context.unavailable.iter().find(|said| said.field == field) {
        return explained(&said.reason, said.enable.as_deref());
    }
    if !window.is_cloudwatch() {
        return match field {
            _ if is_of_protocol(field) && !is_asked(window) => explained(
                "the Kafka protocol was not used",
                Some("run kgen where it can reach the brokers' Kafka port, with credentials that the brokers accept"),
            ),
            Field::CpuCredits | Field::Volume | Field::NetworkAllowances => {
                explained("published only in CloudWatch", Some("--source cloudwatch"))
            }
            Field::HeapAfterGc if !collections_are_published(window) => {
                explained("the brokers' exporter does not publish garbage collections", None)
            }
            Field::Load => explained("no load generator is running here", None),
            Field::TrafficByTopic | Field::RequestSize | Field::CpuIoWait | Field::ReplicationTraffic => {
                explained("not read from the Prometheus endpoints", None)
            }
            _ => Gap { reason: "not published".to_owned(), enable: None, is_explained: false },
        };
    }
    let Some(level) = level(field) else {
        return match field {
            Field::Topics | Field::TopicConfigs => explained(
                "the topics API was not read",
                Some(
                    "allow kafka:ListTopics, kafka:DescribeTopic and kafka:DescribeTopicPartitions (Kafka 3.6 or later)",
                ),
            ),
            _ => explained(
                "CloudWatch has no such metric",
                Some("watch from inside the VPC (open monitoring, the Kafka protocol)"),
            ),
        };
    };
    let is_express = window.context.kind == Some(ClusterKind::Express);
    if is_express && UNPUBLISHED_BY_EXPRESS.contains(&field) {
        return explained("Express brokers do not publish it", None);
    }
    let published = window.context.monitoring_level.unwrap_or_else(|| level_by_metrics(window));
    if level > published {
        let enable = format!("set the monitoring level to {}{}", level.as_str(), level.price());
        let reason = format!("not published at monitoring level {}", published.as_str());
        return Gap { reason, enable: Some(enable), is_explained: true };
    }
    // Of these MSK publishes nothing for some clusters and brokers, so their absence alone says nothing.
    let is_rare = matches!(
        field,
        Field::RequestSize
            | Field::TrafficByTopic
            | Field::Volume
            | Field::CpuIoWait
            | Field::NetworkAllowances
            | Field::ReplicationTraffic
            | Field::CpuCredits
    );
    let reason = match field {
        Field::GroupLag => {
            "no lag is published although records are read: MSK publishes the lag only of groups that are STABLE or \
             EMPTY and commit offsets"
                .to_owned()
        }
        _ => "no datapoints".to_owned(),
    };
    Gap { reason, enable: None, is_explained: is_rare }
}

fn collections_are_published(window: &Window) -> bool {
    window.all().iter().flat_map(|sample| sample.brokers.values()).any(|broker| broker.gc_percent.is_some())
}

fn is_of_protocol(field: Field) -> bool {
    matches!(
        field,
        Field::Topics
            | Field::TopicConfigs
            | Field::PartitionRates
            | Field::GroupLag
            | Field::GroupMembers
            | Field::Probe
    )
}

/// The monitoring level by what was published: PER_BROKER if anything is there that begins with it.
fn level_by_metrics(window: &Window) -> MonitoringLevel {
    let begins_with = |field: &Field| level(*field) == Some(MonitoringLevel::PerBroker) && window.sees(*field);
    let is_idle =
        window.recent().iter().flat_map(|sample| sample.brokers.values()).all(|b| b.bytes_in_per_s < Some(1.0));
    let telling = [Field::ConnectionRate, Field::ReplicationTraffic, Field::Volume];
    let of_requests = [Field::ProduceParts, Field::ProduceThrottle];
    // A broker without requests holds their times in name only.
    if telling.iter().any(begins_with) || (!is_idle && of_requests.iter().any(begins_with)) {
        MonitoringLevel::PerBroker
    } else {
        MonitoringLevel::Default
    }
}

/// CloudWatch's metrics of a field; any of them is enough. Empty where it has none.
pub fn metrics(field: Field) -> &'static [&'static str] {
    match field {
        Field::Cpu => &["CpuUser", "CpuSystem"],
        Field::CpuCredits => &["CPUCreditBalance"],
        Field::CpuIoWait => &["CpuIoWait"],
        Field::HeapAfterGc => &["HeapMemoryAfterGC"],
        Field::Memory => &["MemoryUsed"],
        Field::ProduceTime => &["ProduceTotalTimeMsMean"],
        Field::ProduceParts => &["ProduceLocalTimeMsMean", "ProduceRequestQueueTimeMsMean"],
        Field::RequestSize => &["RequestBytesMean"],
        Field::ProduceThrottle => &["ProduceThrottleTime"],
        Field::FollowerFetchTime => &["FetchFollowerLocalTimeMsMean"],
        Field::Traffic => &["BytesInPerSec", "BytesOutPerSec", "MessagesInPerSec"],
        Field::TrafficByTopic => &["BytesInPerSec"],
        Field::ReplicationTraffic => &["ReplicationBytesInPerSec"],
        Field::Replication => &["UnderReplicatedPartitions"],
        Field::MinIsr => &["UnderMinIsrPartitionCount"],
        Field::PartitionCounts => &["PartitionCount"],
        Field::LeaderCounts => &["LeaderCount"],
        Field::DiskUsed => &["KafkaDataLogsDiskUsed"],
        Field::Volume => &["VolumeQueueLength", "VolumeTotalWriteTime", "VolumeWriteOps"],
        Field::Connections => &["ConnectionCount", "ClientConnectionCount"],
        Field::ConnectionRate => &["ConnectionCreationRate"],
        Field::NetworkAllowances => &["TrafficShaping", "BwInAllowanceExceeded", "BwOutAllowanceExceeded"],
        Field::GroupLag => &["MaxOffsetLag", "SumOffsetLag"],
        Field::CpuThrottling
        | Field::ProduceRate
        | Field::Topics
        | Field::TopicConfigs
        | Field::PartitionRates
        | Field::GroupMembers
        | Field::Probe
        | Field::ClusterState
        | Field::Load => &[],
    }
}

/// The monitoring level at which MSK publishes the first metric of a field; `None` where CloudWatch has none.
pub fn level(field: Field) -> Option<MonitoringLevel> {
    let of = |name: &&str| Metric::all().iter().filter(|metric| metric.name == **name).map(|metric| metric.level).min();
    metrics(field).iter().filter_map(of).min()
}

/// A field in words.
pub fn what(field: Field) -> String {
    let words = match field {
        Field::Cpu => "CPU",
        Field::CpuThrottling => "CPU throttled by a limit",
        Field::CpuCredits => "CPU credits",
        Field::CpuIoWait => "CPU time spent waiting for the disk",
        Field::HeapAfterGc => "heap after collection",
        Field::Memory => "memory",
        Field::ProduceTime => "time of produce requests",
        Field::ProduceParts => "where produce requests spend their time",
        Field::ProduceRate => "produce requests per second",
        Field::RequestSize => "size of requests",
        Field::ProduceThrottle => "time that produce requests are throttled",
        Field::FollowerFetchTime => "time of followers' fetches",
        Field::Traffic => "traffic by broker",
        Field::TrafficByTopic => "traffic by topic",
        Field::ReplicationTraffic => "replication traffic",
        Field::Replication => "under-replicated partitions",
        Field::MinIsr => "partitions below min.insync.replicas",
        Field::PartitionCounts => "partitions by broker",
        Field::LeaderCounts => "leaders by broker",
        Field::DiskUsed => "disk use",
        Field::Volume => "queue and times of the volume",
        Field::Connections => "open connections",
        Field::ConnectionRate => "new connections per second",
        Field::NetworkAllowances => "network allowances exceeded",
        Field::Topics => "leaders and replicas of partitions",
        Field::TopicConfigs => "topic configuration",
        Field::PartitionRates => "records per second by partition",
        Field::GroupLag => "lag of consumer groups",
        Field::GroupMembers => "state and members of consumer groups",
        Field::Probe => "responses from the Kafka port",
        Field::ClusterState => "state of the cluster",
        Field::Load => "the load generator's own view",
    };
    let names = metrics(field);
    if names.is_empty() { words.to_owned() } else { format!("{words} ({})", names.join(", ")) }
}

impl Coverage {
    /// Causes that this kind of cluster can have.
    pub fn of(&self) -> usize {
        self.assessed.len() + self.not_assessed.len()
    }

    /// Such as `19 of 22 causes assessed`.
    pub fn summary(&self) -> String {
        format!("{} of {} causes assessed", self.assessed.len(), self.of())
    }

    /// Share of the causes that were assessed, 0 to 1.
    pub fn share(&self) -> f64 {
        if self.of() == 0 { 0.0 } else { self.assessed.len() as f64 / self.of() as f64 }
    }

    /// Coverage for a person: the summary, then a line for each thing that is lacking with the causes that it would decide.
    /// Only the summary where all was seen.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.summary()];
        let mut told: Vec<(&Lacking, Vec<&'static str>)> = Vec::new();
        for cause in &self.not_assessed {
            for lacking in &cause.lacking {
                match told.iter_mut().find(|(known, _)| known.field == lacking.field) {
                    Some((_, causes)) => causes.push(cause.id),
                    None => told.push((lacking, vec![cause.id])),
                }
            }
        }
        for (lacking, causes) in told {
            let enable = lacking.enable.as_ref().map_or(String::new(), |enable| format!("; to enable it: {enable}"));
            lines.push(format!(
                "not observed: {}, so not assessed: {} ({}{enable})",
                lacking.what,
                causes.join(", "),
                lacking.reason
            ));
        }
        lines
    }
}
