//! The topics API of MSK: topics, their partitions and configuration, with no network path to a broker.
//!
//! It is available for provisioned clusters with Kafka 3.6.0 or later in state ACTIVE, and its data is updated about
//! every minute (MSK Developer Guide, "Topic Operations").

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{Action, Aws, AwsError, ClusterInfo, ClusterState, Paging, configuration::properties};
use crate::{
    catalogue::ClusterKind,
    sample::{BrokerId, PartitionSample},
};

/// A topic as ListTopics has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    pub partitions: u32,
    pub replication_factor: u32,
    /// Replicas that are not in sync.
    pub out_of_sync: u32,
}

/// Why MSK does not offer the topics API for a cluster as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicsError {
    #[error("the topics API is not available for serverless clusters")]
    Serverless,
    #[error("the topics API needs Kafka 3.6.0 or later, but the cluster runs {0}")]
    KafkaVersion(String),
    #[error("the topics API works only while a cluster is ACTIVE, and this one is {0}")]
    State(ClusterState),
}

impl TopicsError {
    /// What would make the topics API available.
    pub fn enable(&self) -> Option<&'static str> {
        match self {
            TopicsError::Serverless => None,
            TopicsError::KafkaVersion(_) => Some("update the cluster to Kafka 3.6.0 or later"),
            TopicsError::State(_) => Some("try again when the cluster is ACTIVE"),
        }
    }
}

impl ClusterInfo {
    /// Whether MSK offers the topics API for this cluster as it is.
    ///
    /// # Errors
    /// The requirement that is not met.
    pub fn offers_topics(&self) -> Result<(), TopicsError> {
        if self.kind == ClusterKind::Serverless {
            return Err(TopicsError::Serverless);
        }
        if let Some(version) = self.kafka_version.as_ref().filter(|version| is_before_3_6(version)) {
            return Err(TopicsError::KafkaVersion(version.clone()));
        }
        match &self.state {
            ClusterState::Active => Ok(()),
            other => Err(TopicsError::State(other.clone())),
        }
    }
}

fn is_before_3_6(version: &str) -> bool {
    let mut parts = version.split('.').map_while(|part| part.parse::<u32>().ok());
    match (parts.next(), parts.next()) {
        (Some(major), Some(minor)) => (major, minor) < (3, 6),
        _ => false,
    }
}

impl Aws {
    /// The topics of the cluster `arn`, by name; at most `most`.
    ///
    /// # Errors
    /// Why the API gave no answer.
    pub async fn topics(&self, arn: &str, most: usize) -> Result<Vec<Topic>, AwsError> {
        let mut listed = self.kafka()?.list_topics().cluster_arn(arn).max_results(100).into_paginator().send();
        let (mut topics, mut paging) = (Vec::new(), Paging::of(Action::ListTopics));
        while let Some(page) = paging.bounded(listed.next()).await? {
            let page = page.map_err(|error| self.failed(Action::ListTopics, error))?;
            let count = |number: Option<i32>| number.and_then(|number| number.try_into().ok()).unwrap_or_default();
            let found = page.topics.unwrap_or_default().into_iter();
            topics.extend(found.filter_map(|topic| {
                Some(Topic {
                    name: topic.topic_name?,
                    partitions: count(topic.partition_count),
                    replication_factor: count(topic.replication_factor),
                    out_of_sync: count(topic.out_of_sync_replica_count),
                })
            }));
            if topics.len() >= most {
                break;
            }
        }
        topics.truncate(most);
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        topics.dedup_by(|a, b| a.name == b.name);
        Ok(topics)
    }

    /// The configuration of `topic`: what is set for it.
    ///
    /// # Errors
    /// Why the API gave no usable answer.
    pub async fn topic_config(&self, arn: &str, topic: &str) -> Result<BTreeMap<String, String>, AwsError> {
        const ACTION: Action = Action::DescribeTopic;
        let answer = self.kafka()?.describe_topic().cluster_arn(arn).topic_name(topic).send().await;
        let configs = answer.map_err(|error| self.failed(ACTION, error))?.configs.unwrap_or_default();
        let decoded = BASE64_STANDARD.decode(configs.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let text = decoded.ok_or(AwsError::Incomplete { action: ACTION.name(), what: "readable configs" })?;
        Ok(properties(&text))
    }

    /// Leader, replicas and in-sync replicas of every partition of `topic`, in order of their numbers.
    ///
    /// # Errors
    /// Why the API gave no usable answer.
    pub async fn topic_partitions(&self, arn: &str, topic: &str) -> Result<Vec<PartitionSample>, AwsError> {
        const ACTION: Action = Action::DescribeTopicPartitions;
        let request = self.kafka()?.describe_topic_partitions().cluster_arn(arn).topic_name(topic).max_results(100);
        let mut listed = request.into_paginator().send();
        let (mut partitions, mut paging) = (BTreeMap::new(), Paging::of(ACTION));
        while let Some(page) = paging.bounded(listed.next()).await? {
            let page = page.map_err(|error| self.failed(ACTION, error))?;
            for partition in page.partitions.unwrap_or_default() {
                let Some(number) = partition.partition else { continue };
                // -1 stands for none.
                let leader = partition.leader.filter(|leader| *leader >= 0).map(|leader| leader as BrokerId);
                let found = PartitionSample {
                    leader,
                    replicas: partition.replicas.unwrap_or_default(),
                    in_sync: partition.isr.unwrap_or_default(),
                    records_per_s: None,
                };
                partitions.insert(number, found);
            }
        }
        // What stands at place n of a TopicSample is partition n.
        let is_whole = partitions.keys().copied().eq(0..partitions.len() as i32);
        match is_whole {
            true => Ok(partitions.into_values().collect()),
            false => Err(AwsError::Incomplete { action: ACTION.name(), what: "some of the partitions" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_before_3_6_have_no_topics_api() {
        for (version, before) in
            [("2.8.1", true), ("3.5.1", true), ("3.6.0", false), ("3.9.x.kraft", false), ("4.1.x", false)]
        {
            assert_eq!(is_before_3_6(version), before, "{version}");
        }
    }
}
