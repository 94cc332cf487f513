//! A topic, and what became of one.

use comfy_table::Table;

use crate::{
    documents::{TopicChange, TopicOutcome},
    kafka::admin::Topic,
    visible::line,
};

/// Its settings, and a row for each partition.
pub fn described(topic: &Topic) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["partition", "leader", "replicas", "in sync", "first offset", "next offset"]);
    let ids = |ids: &[i32]| ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    for partition in &topic.partitions {
        let (first, next) = partition.offsets.map_or((None, None), |(first, next)| (Some(first), Some(next)));
        let or_none = |number: Option<i64>| number.map_or("none".to_owned(), |number| number.to_string());
        table.add_row([
            partition.id.to_string(),
            or_none(partition.leader.map(i64::from)),
            ids(&partition.replicas),
            ids(&partition.in_sync_replicas),
            or_none(first),
            or_none(next),
        ]);
    }
    let heading = format!("topic {}: {} partitions", line(&topic.name), topic.partitions.len());
    let configs = topic.configs.iter().map(|(name, value)| format!("{}={}", line(name), line(value)));
    [heading].into_iter().chain(configs).chain([table.to_string()]).collect::<Vec<_>>().join("\n")
}

/// What became of a topic, in a line.
pub fn change(change: &TopicChange) -> String {
    let TopicChange { topic, partitions, replication_factor, outcome } = change;
    let replicas = replication_factor.map(|replicas| format!(", {replicas} replicas each")).unwrap_or_default();
    match outcome {
        TopicOutcome::Created => format!("created topic {topic}: {partitions} partitions{replicas}"),
        TopicOutcome::WouldCreate => format!("would create topic {topic}: {partitions} partitions{replicas}"),
        TopicOutcome::Exists => format!("topic {topic} already exists"),
        TopicOutcome::Deleted => format!("deleted topic {topic}"),
        TopicOutcome::WouldDelete => {
            format!("would delete topic {topic}: {partitions} partitions and every record in them")
        }
    }
}
