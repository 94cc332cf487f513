//! docs/from-outside.md: what can be seen without a network path to a broker, made from what the rules declare.

use std::fmt::Write as _;

use crate::{
    benchmark::outside::{NOT_SEPARABLE, SAME_FROM_OUTSIDE},
    catalogue::MonitoringLevel,
    diagnose::{
        RULES, Rule,
        coverage::{Clusters, level, what},
        is_cause,
    },
    sample::Field,
};

const HEAD: &str = "\
# From outside

What `kgen diagnose` can say of a cluster with read-only AWS credentials alone: CloudWatch and the MSK API, without a network
path to a broker. Made by `kgen reference --from-outside` from what the rules declare; a test holds it current. How often it
is right is in [benchmark.md](benchmark.md).

A diagnosis judges the last two complete datapoints and takes the earlier ones for the baseline. It lists which causes it could
assess and which not, why, and what would enable them. `healthy` says how many causes were assessed, and its confidence
follows from that. Without CPU, replication or disk use the verdict is `inconclusive.not-seen`, and so it is where a metric
that this view always has is missing for no known reason.

## What each monitoring level costs

";

const LEVELS: [MonitoringLevel; 4] = [
    MonitoringLevel::Default,
    MonitoringLevel::PerBroker,
    MonitoringLevel::PerTopicPerBroker,
    MonitoringLevel::PerTopicPerPartition,
];

/// The page as Markdown.
pub fn page() -> String {
    let mut text = HEAD.to_owned();
    for level in LEVELS {
        let _ = writeln!(text, "- `{}`{}", level.as_str(), level.price());
    }
    text += "\nCloudWatch bills a metric by the month. Its price depends on the region and on how many metrics the account has, so it is not \
             repeated here. Reading them costs USD 0.01 per 1,000 metrics (GetMetricData), at every level.\n\n## What each level can tell\n\n";
    text += "`yes`: by CloudWatch. `topics API`: with ListTopics, DescribeTopic and DescribeTopicPartitions too (provisioned \
             clusters, Kafka 3.6.0 and later, only while the cluster is ACTIVE). Inside is open monitoring and the Kafka \
             protocol.\n\n| cause | DEFAULT | PER_BROKER | inside | clusters |\n|---|---|---|---|---|\n";
    for rule in RULES.iter().filter(|rule| is_cause(rule.id)) {
        let (free, paid) = (told(rule, MonitoringLevel::Default), told(rule, MonitoringLevel::PerBroker));
        let _ = writeln!(text, "| `{}` | {free} | {paid} | {} | {} |", rule.id, inside(rule), clusters(rule.needs.of));
    }
    text += "\n`PER_TOPIC_PER_BROKER` and `PER_TOPIC_PER_PARTITION` add none of these causes. Lag by partition, at the latter, \
             separates a group that is too slow from one of which a member hangs.\n\n## What looks the same\n\n\
             | causes | what separates them |\n|---|---|\n";
    for (one, other, check) in SAME_FROM_OUTSIDE {
        let _ = writeln!(text, "| `{one}`, `{other}` | {check} |");
    }
    text += "\nA finding names the likelier one, lists the other under `alternatives`, and has the check.\n\n\
             ## What does not show at all\n\n| finding | why |\n|---|---|\n";
    for (name, why) in NOT_SEPARABLE {
        let _ = writeln!(text, "| `{name}` | {why} |");
    }
    text += "\n## What the causes need\n\nAny of the alternatives is enough.\n\n| cause | needs | surer with |\n|---|---|---|\n";
    for rule in RULES.iter().filter(|rule| is_cause(rule.id)) {
        let all = |fields: &&[Field]| fields.iter().map(|field| what(*field)).collect::<Vec<_>>().join(" and ");
        let any = rule.needs.any.iter().map(all).collect::<Vec<_>>().join("; or ");
        let helps = rule.needs.helps.iter().map(|field| what(*field)).collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "| `{}` | {any} | {helps} |", rule.id);
    }
    text += "\nExpress brokers publish no under-replicated partitions, no disk use and no heap: AWS looks after replication and \
             storage there. Causes marked `standard` are not asked of them; throttling (`ProduceThrottleTime`) is, as it \
             shows the throughput limit of their size.\n";
    text
}

/// How a level shows a cause.
fn told(rule: &Rule, at: MonitoringLevel) -> &'static str {
    let by_metrics = |field: &Field| level(*field).is_some_and(|level| level <= at);
    let by_api = |field: &Field| matches!(field, Field::Topics | Field::TopicConfigs | Field::ClusterState);
    let is_there = |test: &dyn Fn(&Field) -> bool| rule.needs.any.iter().any(|fields| fields.iter().all(test));
    match () {
        () if is_there(&by_metrics) => "yes",
        () if is_there(&|field| by_metrics(field) || by_api(field)) => "topics API",
        () => "-",
    }
}

/// Whether open monitoring and the Kafka protocol show it.
fn inside(rule: &Rule) -> &'static str {
    let is_seen = |field: &Field| {
        !matches!(
            field,
            Field::CpuCredits
                | Field::CpuIoWait
                | Field::CpuThrottling
                | Field::Volume
                | Field::NetworkAllowances
                | Field::RequestSize
                | Field::TrafficByTopic
        )
    };
    if rule.needs.any.iter().any(|fields| fields.iter().all(is_seen)) { "yes" } else { "lab only" }
}

fn clusters(of: Clusters) -> &'static str {
    match of {
        Clusters::All => "all",
        Clusters::Provisioned => "standard, express",
        Clusters::Standard => "standard",
        Clusters::Burstable => "standard, T3",
    }
}
