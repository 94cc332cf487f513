//! Topics and replication, by the admin client.

use std::{collections::BTreeMap, time::Duration};

use futures::executor::block_on;
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    config::FromClientConfigAndContext as _,
    error::KafkaError,
    types::RDKafkaErrorCode,
};
use serde::Serialize;

use super::{ClusterMetadata, ConnectError, Connection, Context, Notes};
use crate::sample::BrokerId;

/// How long a broker may take for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Why a topic was not made, shown or removed.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    #[error("topic `{0}` already exists (`kgen topic describe {0}` shows it; --if-not-exists accepts it)")]
    Exists(String),
    #[error("there is no topic `{0}` (`kgen topic create {0}` creates it)")]
    Missing(String),
    #[error(
        "topic `{topic}` cannot have {replication_factor} replicas: only {brokers} brokers respond (start more, or \
         lower --replication-factor)"
    )]
    TooFewBrokers { topic: String, replication_factor: i32, brokers: usize },
    #[error("topic `{topic}`: the brokers returned {code}: {text}")]
    Refused { topic: String, code: String, text: String },
    #[error("querying the brokers for {asked}: {source}")]
    Broker { asked: String, source: KafkaError },
}

/// A topic to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    pub name: String,
    pub partitions: i32,
    pub replication_factor: i32,
    /// Topic settings by Kafka's names, such as `min.insync.replicas`.
    pub configs: BTreeMap<String, String>,
}

impl TopicSpec {
    /// Checks what can be determined without creating it.
    ///
    /// # Errors
    /// The cluster has it, or too few brokers for it.
    pub fn check(&self, cluster: &ClusterMetadata) -> Result<(), TopicError> {
        if cluster.topics.contains_key(&self.name) {
            return Err(TopicError::Exists(self.name.clone()));
        }
        self.check_replicas(cluster.brokers.len())
    }

    fn check_replicas(&self, brokers: usize) -> Result<(), TopicError> {
        let (topic, replication_factor) = (self.name.clone(), self.replication_factor);
        if usize::try_from(replication_factor).is_ok_and(|replicas| replicas > brokers) {
            return Err(TopicError::TooFewBrokers { topic, replication_factor, brokers });
        }
        Ok(())
    }
}

/// A topic as the brokers have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Topic {
    pub name: String,
    pub partitions: Vec<Partition>,
    /// Settings that differ from the cluster's; empty when they could not be read.
    pub configs: BTreeMap<String, String>,
}

/// One partition of a [`Topic`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Partition {
    pub id: i32,
    /// `None` while it has none.
    pub leader: Option<BrokerId>,
    pub replicas: Vec<BrokerId>,
    pub in_sync_replicas: Vec<BrokerId>,
    /// First existing offset, and the offset of the next record; `None` without a leader.
    pub offsets: Option<(i64, i64)>,
}

/// How well the cluster's partitions are replicated now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Replication {
    pub partitions: u64,
    /// Partitions with fewer in-sync replicas than replicas, the offline ones among them.
    pub under_replicated: u64,
    /// Partitions without a leader.
    pub offline: u64,
    pub brokers: BTreeMap<BrokerId, BrokerPartitions>,
}

/// What one broker has to do with partitions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct BrokerPartitions {
    pub leaders: u64,
    pub replicas: u64,
    pub in_sync: u64,
}

impl Replication {
    /// Every partition has a leader and all its replicas, and `brokers` brokers answer.
    pub fn is_whole(&self, brokers: usize) -> bool {
        self.under_replicated == 0 && self.offline == 0 && self.brokers.len() >= brokers
    }
}

/// A connection for administration. It reconnects by itself when brokers come and go, so it may be kept.
pub struct Admin {
    client: AdminClient<Context>,
}

impl Admin {
    /// Makes the client; nothing is asked yet.
    pub fn connect(connection: &Connection) -> Result<Self, ConnectError> {
        // A broker that restarts is to be tried again soon.
        let config = connection.config(&[("reconnect.backoff.max.ms", "1000"), ("log.connection.close", "false")]);
        let client = AdminClient::from_config_and_context(&config, Context::of(connection, Notes::default()))?;
        client.inner().context().authorize(client.inner())?;
        Ok(Admin { client })
    }

    /// Makes a topic and waits until the brokers have it.
    pub fn create(&self, spec: &TopicSpec) -> Result<(), TopicError> {
        self.create_on(spec, TopicReplication::Fixed(spec.replication_factor))
    }

    /// Likewise, with as many leaders and as many followers on every broker, as far as the number of partitions allows: where the
    /// brokers choose, with fewer replicas than zones, some get two followers of a topic and others none.
    pub fn create_even(&self, spec: &TopicSpec) -> Result<(), TopicError> {
        let brokers: Vec<BrokerId> = self.replication(ANSWER_WITHIN)?.brokers.into_keys().collect();
        spec.check_replicas(brokers.len())?;
        let replicas = even_replicas(&brokers, spec.partitions, spec.replication_factor);
        let replicas: Vec<&[BrokerId]> = replicas.iter().map(Vec::as_slice).collect();
        self.create_on(spec, TopicReplication::Variable(&replicas))
    }

    fn create_on(&self, spec: &TopicSpec, replication: TopicReplication<'_>) -> Result<(), TopicError> {
        let mut topic = NewTopic::new(&spec.name, spec.partitions, replication);
        for (name, value) in &spec.configs {
            topic = topic.set(name, value);
        }
        let results = block_on(self.client.create_topics([&topic], &options()));
        match settled(results, &spec.name)? {
            Ok(()) => Ok(()),
            Err(RDKafkaErrorCode::TopicAlreadyExists) => Err(TopicError::Exists(spec.name.clone())),
            Err(RDKafkaErrorCode::InvalidReplicationFactor) => Err(TopicError::TooFewBrokers {
                topic: spec.name.clone(),
                replication_factor: spec.replication_factor,
                brokers: self.replication(ANSWER_WITHIN).map_or(0, |replication| replication.brokers.len()),
            }),
            Err(code) => Err(refused(&spec.name, code)),
        }
    }

    /// Removes a topic and every record in it.
    pub fn delete(&self, name: &str) -> Result<(), TopicError> {
        let results = block_on(self.client.delete_topics(&[name], &options()));
        match settled(results, name)? {
            Ok(()) => Ok(()),
            Err(RDKafkaErrorCode::UnknownTopicOrPartition) => Err(TopicError::Missing(name.to_owned())),
            Err(code) => Err(refused(name, code)),
        }
    }

    /// The topic with its partitions, offsets and settings.
    pub fn describe(&self, name: &str) -> Result<Topic, TopicError> {
        let client = self.client.inner();
        // All topics are requested: asking for one by name may create it.
        let metadata = client.fetch_metadata(None, ANSWER_WITHIN).map_err(|source| broker(name, source))?;
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
            return Err(TopicError::Missing(name.to_owned()));
        };
        let mut partitions: Vec<Partition> = topic
            .partitions()
            .iter()
            .map(|partition| {
                let leader = (partition.leader() >= 0).then(|| partition.leader());
                let offsets = leader.and_then(|_| client.fetch_watermarks(name, partition.id(), ANSWER_WITHIN).ok());
                Partition {
                    id: partition.id(),
                    leader,
                    replicas: partition.replicas().to_vec(),
                    in_sync_replicas: partition.isr().to_vec(),
                    offsets,
                }
            })
            .collect();
        partitions.sort_by_key(|partition| partition.id);
        Ok(Topic { name: name.to_owned(), partitions, configs: self.configs(name) })
    }

    /// Reads how every partition of the cluster is replicated.
    pub fn replication(&self, within: Duration) -> Result<Replication, TopicError> {
        let metadata = self.client.inner().fetch_metadata(None, within);
        let metadata = metadata.map_err(|source| broker("replication", source))?;
        let mut replication = Replication::default();
        for broker in metadata.brokers() {
            replication.brokers.insert(broker.id(), BrokerPartitions::default());
        }
        for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
            replication.partitions += 1;
            replication.under_replicated += u64::from(partition.isr().len() < partition.replicas().len());
            replication.offline += u64::from(partition.leader() < 0);
            // Brokers that do not answer are left out of `brokers`: they are the ones to wait for.
            for (id, of) in &mut replication.brokers {
                of.leaders += u64::from(partition.leader() == *id);
                of.replicas += u64::from(partition.replicas().contains(id));
                of.in_sync += u64::from(partition.isr().contains(id));
            }
        }
        Ok(replication)
    }

    fn configs(&self, name: &str) -> BTreeMap<String, String> {
        use rdkafka::admin::ConfigSource;
        let described = block_on(self.client.describe_configs([&ResourceSpecifier::Topic(name)], &options()));
        let resources = described.unwrap_or_default().into_iter().flatten();
        resources
            .flat_map(|resource| resource.entries)
            .filter(|entry| matches!(entry.source, ConfigSource::DynamicTopic))
            .filter_map(|entry| Some((entry.name, entry.value?)))
            .collect()
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER_WITHIN)).operation_timeout(Some(ANSWER_WITHIN))
}

fn broker(asked: &str, source: KafkaError) -> TopicError {
    TopicError::Broker { asked: asked.to_owned(), source }
}

fn refused(topic: &str, code: RDKafkaErrorCode) -> TopicError {
    TopicError::Refused { topic: topic.to_owned(), code: format!("{code:?}"), text: code.to_string() }
}

/// Replicas of each partition, the leader first: partitions go round the brokers, and so do the replicas of each.
fn even_replicas(brokers: &[BrokerId], partitions: i32, replication_factor: i32) -> Vec<Vec<BrokerId>> {
    let round = |first: i32| brokers.iter().copied().cycle().skip(first as usize % brokers.len().max(1));
    (0..partitions).map(|first| round(first).take(replication_factor as usize).collect()).collect()
}

/// The one result of a request about one topic.
fn settled(
    results: Result<Vec<rdkafka::admin::TopicResult>, KafkaError>,
    topic: &str,
) -> Result<Result<(), RDKafkaErrorCode>, TopicError> {
    let results = results.map_err(|source| broker(topic, source))?;
    match results.into_iter().next() {
        Some(Ok(_)) => Ok(Ok(())),
        Some(Err((_, code))) => Ok(Err(code)),
        None => Err(broker(topic, KafkaError::Canceled)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_broker_leads_and_follows_as_often() {
        let replicas = even_replicas(&[1, 2, 3, 4, 5, 6], 12, 2);
        for broker in 1..=6 {
            let leads = replicas.iter().filter(|of| of[0] == broker).count();
            let follows = replicas.iter().filter(|of| of[1] == broker).count();
            assert_eq!((leads, follows), (2, 2), "broker {broker}: {replicas:?}");
        }
        assert_eq!(even_replicas(&[4, 9], 3, 2), [[4, 9], [9, 4], [4, 9]]);
    }
}
