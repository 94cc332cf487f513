//! Replicas and leaders of partitions, and how to change them: reassignment, election, replication throttle.
//!
//! librdkafka has no call for most of it, so these requests are made here ([`wire`](super::wire)), in versions that every
//! Kafka from 2.4 to 4.x takes. Only plaintext listeners are reached.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::{
    ResponseError,
    messages::{
        AlterPartitionReassignmentsRequest, DescribeConfigsRequest, ElectLeadersRequest,
        IncrementalAlterConfigsRequest, ListPartitionReassignmentsRequest, MetadataRequest, TopicName,
        alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic},
        describe_configs_request::DescribeConfigsResource,
        elect_leaders_request::TopicPartitions,
        incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
    },
    protocol::StrBytes,
};

use super::wire::{self, RequestError, settled};
use crate::sample::BrokerId;

/// How long the controller may take for what it is asked, ms.
const TIMEOUT_MS: i32 = 20_000;

/// Kinds of resources, and of changes of a setting (Kafka protocol, IncrementalAlterConfigs).
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
/// Where a setting comes from: given to this topic, or to this broker while it runs (Kafka protocol, DescribeConfigs).
const OF_THIS_TOPIC: i8 = 1;
const OF_THIS_BROKER: i8 = 2;

/// Rates of the throttle, bytes/s, settings of brokers.
const RATES: [&str; 2] = ["leader.replication.throttled.rate", "follower.replication.throttled.rate"];
/// Replicas that are throttled, `partition:broker,…`, settings of topics.
const REPLICAS: [&str; 2] = ["leader.replication.throttled.replicas", "follower.replication.throttled.replicas"];

/// The partitions of one cluster.
#[derive(Debug, Clone)]
pub struct Partitions {
    bootstrap: Vec<String>,
}

/// Every broker and every partition, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// `host:port` of the broker that takes changes.
    pub controller: String,
    pub brokers: BTreeMap<BrokerId, Member>,
    /// By topic and number.
    pub partitions: BTreeMap<Partition, Placed>,
}

/// A broker that is a member now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// `host:port`.
    pub address: String,
    /// `broker.rack`.
    pub zone: Option<String>,
}

/// A topic's name, and the number of one of its partitions.
pub type Partition = (String, i32);

/// Where one partition is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placed {
    pub leader: Option<BrokerId>,
    /// The preferred leader first.
    pub replicas: Vec<BrokerId>,
    pub in_sync: Vec<BrokerId>,
}

/// A reassignment that runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moving {
    pub adding: Vec<BrokerId>,
    pub removing: Vec<BrokerId>,
}

/// What has a replication throttle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Throttled {
    pub topics: Vec<String>,
    pub brokers: Vec<BrokerId>,
}

impl Throttled {
    pub fn is_none(&self) -> bool {
        self.topics.is_empty() && self.brokers.is_empty()
    }
}

impl Placement {
    /// Partitions that lack a leader or a replica in sync.
    pub fn not_whole(&self) -> impl Iterator<Item = &Partition> {
        self.partitions
            .iter()
            .filter(|(_, placed)| placed.leader.is_none() || placed.in_sync.len() < placed.replicas.len())
            .map(|(partition, _)| partition)
    }

    /// Partitions whose first replica is in sync and does not lead.
    pub fn not_led_by_preferred(&self) -> impl Iterator<Item = &Partition> {
        self.partitions
            .iter()
            .filter(|(_, placed)| {
                placed
                    .replicas
                    .first()
                    .is_some_and(|first| placed.in_sync.contains(first) && placed.leader != Some(*first))
            })
            .map(|(partition, _)| partition)
    }
}

impl Partitions {
    /// `bootstrap` is `host:port,host:port`; nothing is asked yet.
    pub fn of(bootstrap: &str) -> Partitions {
        Partitions { bootstrap: bootstrap.split(',').map(|server| server.trim().to_owned()).collect() }
    }

    /// # Errors
    /// No broker answers.
    pub fn placement(&self) -> Result<Placement, RequestError> {
        let request = MetadataRequest::default().with_topics(None).with_allow_auto_topic_creation(false);
        let answer = wire::ask(&self.bootstrap, 9, &request)?;
        let brokers: BTreeMap<BrokerId, Member> = answer
            .brokers
            .iter()
            .map(|broker| {
                let zone = broker.rack.as_ref().map(ToString::to_string);
                (broker.node_id.0, Member { address: format!("{}:{}", broker.host.as_str(), broker.port), zone })
            })
            .collect();
        let mut partitions = BTreeMap::new();
        for topic in &answer.topics {
            let Some(name) = &topic.name else { continue };
            for partition in &topic.partitions {
                let ids = |nodes: &[kafka_protocol::messages::BrokerId]| nodes.iter().map(|id| id.0).collect();
                let placed = Placed {
                    leader: (partition.leader_id.0 >= 0).then_some(partition.leader_id.0),
                    replicas: ids(&partition.replica_nodes),
                    in_sync: ids(&partition.isr_nodes),
                };
                partitions.insert((name.to_string(), partition.partition_index), placed);
            }
        }
        // With KRaft any broker passes changes on to the controller, and Kafka names one of them here.
        let controller = brokers.get(&answer.controller_id.0).or_else(|| brokers.values().next());
        let controller = controller.map_or_else(|| self.bootstrap[0].clone(), |member| member.address.clone());
        Ok(Placement { controller, brokers, partitions })
    }

    /// Begins to move partitions to these replicas.
    ///
    /// # Errors
    /// The controller refuses one of them; others may have begun.
    pub fn begin(&self, moves: &[(Partition, Vec<BrokerId>)]) -> Result<(), RequestError> {
        let to = moves.iter().map(|(partition, replicas)| (partition.clone(), Some(replicas.clone())));
        self.reassign("move", to.collect())
    }

    /// Gives up moves that run: their partitions stay where they were.
    ///
    /// # Errors
    /// The controller refuses; one that has ended in between counts as given up.
    pub fn cancel(&self, moves: impl IntoIterator<Item = Partition>) -> Result<(), RequestError> {
        self.reassign("give up moving", moves.into_iter().map(|partition| (partition, None)).collect())
    }

    fn reassign(&self, verb: &str, to: Vec<(Partition, Option<Vec<BrokerId>>)>) -> Result<(), RequestError> {
        let mut topics: BTreeMap<String, Vec<ReassignablePartition>> = BTreeMap::new();
        for ((topic, number), replicas) in to {
            let replicas = replicas.map(|ids| ids.into_iter().map(Into::into).collect());
            let partition = ReassignablePartition::default().with_partition_index(number).with_replicas(replicas);
            topics.entry(topic).or_default().push(partition);
        }
        if topics.is_empty() {
            return Ok(());
        }
        let topics = topics.into_iter().map(|(topic, partitions)| {
            ReassignableTopic::default().with_name(topic_name(&topic)).with_partitions(partitions)
        });
        let request =
            AlterPartitionReassignmentsRequest::default().with_timeout_ms(TIMEOUT_MS).with_topics(topics.collect());
        let answer = wire::call(&self.placement()?.controller, 0, &request)?;
        settled(answer.error_code, answer.error_message.as_ref(), || format!("{verb} partitions"))?;
        for topic in &answer.responses {
            for partition in &topic.partitions {
                if ResponseError::try_from_code(partition.error_code) == Some(ResponseError::NoReassignmentInProgress) {
                    continue;
                }
                settled(partition.error_code, partition.error_message.as_ref(), || {
                    format!("{verb} {}-{}", topic.name.as_str(), partition.partition_index)
                })?;
            }
        }
        Ok(())
    }

    /// The moves that run now, whoever began them.
    ///
    /// # Errors
    /// No broker answers, or it refuses.
    pub fn moving(&self) -> Result<BTreeMap<Partition, Moving>, RequestError> {
        let request = ListPartitionReassignmentsRequest::default().with_timeout_ms(TIMEOUT_MS).with_topics(None);
        let answer = wire::call(&self.placement()?.controller, 0, &request)?;
        settled(answer.error_code, answer.error_message.as_ref(), || "list what is moved".to_owned())?;
        let mut found = BTreeMap::new();
        for topic in &answer.topics {
            for partition in &topic.partitions {
                let ids = |nodes: &[kafka_protocol::messages::BrokerId]| nodes.iter().map(|id| id.0).collect();
                let moving =
                    Moving { adding: ids(&partition.adding_replicas), removing: ids(&partition.removing_replicas) };
                found.insert((topic.name.to_string(), partition.partition_index), moving);
            }
        }
        Ok(found)
    }

    /// Makes the first replica of each of these partitions its leader, where it is in sync.
    ///
    /// # Errors
    /// No broker answers, or the controller refuses one.
    pub fn elect_preferred(&self, partitions: &[Partition]) -> Result<(), RequestError> {
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for (topic, number) in partitions {
            topics.entry(topic).or_default().push(*number);
        }
        if topics.is_empty() {
            return Ok(());
        }
        let topics = topics
            .into_iter()
            .map(|(topic, numbers)| TopicPartitions::default().with_topic(topic_name(topic)).with_partitions(numbers));
        let request = ElectLeadersRequest::default()
            .with_election_type(0)
            .with_timeout_ms(TIMEOUT_MS)
            .with_topic_partitions(Some(topics.collect()));
        let answer = wire::call(&self.placement()?.controller, 2, &request)?;
        settled(answer.error_code, None, || "elect preferred leaders".to_owned())?;
        for topic in &answer.replica_election_results {
            for partition in &topic.partition_result {
                // It leads already; or its first replica is behind, and then another leads for good reason.
                let fine = [ResponseError::ElectionNotNeeded, ResponseError::PreferredLeaderNotAvailable];
                if ResponseError::try_from_code(partition.error_code).is_some_and(|error| fine.contains(&error)) {
                    continue;
                }
                settled(partition.error_code, partition.error_message.as_ref(), || {
                    format!("elect the preferred leader of {}-{}", topic.topic.as_str(), partition.partition_id)
                })?;
            }
        }
        Ok(())
    }

    /// Topics and brokers with a replication throttle.
    ///
    /// # Errors
    /// No broker answers, or it refuses.
    pub fn throttled(&self) -> Result<Throttled, RequestError> {
        let placement = self.placement()?;
        let topics: BTreeSet<&String> = placement.partitions.keys().map(|(topic, _)| topic).collect();
        let asked = topics.iter().map(|topic| resource(TOPIC, topic, &REPLICAS)).collect();
        let mut found = Throttled { topics: set(&placement.controller, asked, OF_THIS_TOPIC)?, ..Throttled::default() };
        // A broker answers for itself alone.
        for (id, member) in &placement.brokers {
            let asked = vec![resource(BROKER, &id.to_string(), &RATES)];
            if !set(&member.address, asked, OF_THIS_BROKER)?.is_empty() {
                found.brokers.push(*id);
            }
        }
        Ok(found)
    }

    /// Holds the replication to the new replicas of `moves` back, to `bytes_per_s` on each broker.
    ///
    /// # Errors
    /// No broker answers, or one refuses; part of it may be set then.
    pub fn throttle(&self, moves: &[(Partition, Vec<BrokerId>)], bytes_per_s: u64) -> Result<(), RequestError> {
        let placement = self.placement()?;
        let mut topics: BTreeMap<&str, [Vec<String>; 2]> = BTreeMap::new();
        for (partition, replicas) in moves {
            let Some(placed) = placement.partitions.get(partition) else { continue };
            let (topic, number) = partition;
            let [leaders, followers] = topics.entry(topic).or_default();
            leaders.extend(placed.replicas.iter().map(|id| format!("{number}:{id}")));
            let new = replicas.iter().filter(|id| !placed.replicas.contains(id));
            followers.extend(new.map(|id| format!("{number}:{id}")));
        }
        self.set_rates(&placement, bytes_per_s)?;
        let altered = topics.into_iter().map(|(topic, [leaders, followers])| {
            let lists = [leaders.join(","), followers.join(",")];
            altered(TOPIC, topic, [0, 1].map(|side| change(REPLICAS[side], SET, Some(&lists[side]))))
        });
        alter(&placement.controller, altered.collect())
    }

    /// Takes the throttle off.
    ///
    /// # Errors
    /// No broker answers, or one refuses.
    pub fn unthrottle(&self, throttled: &Throttled) -> Result<(), RequestError> {
        let placement = self.placement()?;
        let topics =
            throttled.topics.iter().map(|topic| altered(TOPIC, topic, REPLICAS.map(|name| change(name, DELETE, None))));
        alter(&placement.controller, topics.collect())?;
        for id in &throttled.brokers {
            // A broker that is gone has taken its throttle along.
            let Some(member) = placement.brokers.get(id) else { continue };
            let changes = RATES.map(|name| change(name, DELETE, None));
            alter(&member.address, vec![altered(BROKER, &id.to_string(), changes)])?;
        }
        Ok(())
    }

    /// Whether there is such a topic.
    ///
    /// # Errors
    /// No broker answers.
    pub fn has(&self, topic: &str) -> Result<bool, RequestError> {
        Ok(self.placement()?.partitions.keys().any(|(name, _)| name == topic))
    }

    /// A setting that was given to the topic itself.
    ///
    /// # Errors
    /// No broker answers, or it refuses.
    pub fn topic_setting(&self, topic: &str, name: &str) -> Result<Option<String>, RequestError> {
        let asked = DescribeConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(topic.to_owned().into())
            .with_configuration_keys(Some(vec![name.to_owned().into()]));
        let answer = wire::ask(&self.bootstrap, 4, &DescribeConfigsRequest::default().with_resources(vec![asked]))?;
        let mut found = None;
        for result in &answer.results {
            settled(result.error_code, result.error_message.as_ref(), || format!("show the settings of {topic}"))?;
            let own = result.configs.iter().filter(|config| config.config_source == OF_THIS_TOPIC);
            found = own.filter_map(|config| config.value.as_ref()).map(ToString::to_string).next().or(found);
        }
        Ok(found)
    }

    /// Gives a topic settings; those without a value are taken away, and the cluster's apply again.
    ///
    /// # Errors
    /// No broker answers, or the controller refuses.
    pub fn set_topic(&self, topic: &str, settings: &[(&str, Option<&str>)]) -> Result<(), RequestError> {
        let changes =
            settings.iter().map(|(name, value)| change(name, if value.is_some() { SET } else { DELETE }, *value));
        alter(&self.placement()?.controller, vec![altered(TOPIC, topic, changes)])
    }

    /// Holds all replication of a topic back, to `bytes_per_s` on each broker. In-sync replicas are not held back.
    ///
    /// # Errors
    /// No broker answers, or one refuses; part of it may be set then.
    pub fn throttle_whole(&self, topic: &str, bytes_per_s: u64) -> Result<(), RequestError> {
        self.set_topic(topic, &REPLICAS.map(|name| (name, Some("*"))))?;
        self.set_rates(&self.placement()?, bytes_per_s)
    }

    fn set_rates(&self, placement: &Placement, bytes_per_s: u64) -> Result<(), RequestError> {
        let rate = bytes_per_s.to_string();
        for (id, member) in &placement.brokers {
            let wanted = RATES.map(|name| change(name, SET, Some(&rate)));
            alter(&member.address, vec![altered(BROKER, &id.to_string(), wanted)])?;
        }
        Ok(())
    }
}

/// The names of those resources that have one of the settings requested, from `source`.
fn set(address: &str, resources: Vec<DescribeConfigsResource>, source: i8) -> Result<Vec<String>, RequestError> {
    if resources.is_empty() {
        return Ok(Vec::new());
    }
    let answer = wire::call(address, 4, &DescribeConfigsRequest::default().with_resources(resources))?;
    let mut found = Vec::new();
    for result in &answer.results {
        let name = result.resource_name.to_string();
        settled(result.error_code, result.error_message.as_ref(), || format!("show the settings of {name}"))?;
        let is_set = |value: &Option<StrBytes>| value.as_ref().is_some_and(|value| !value.is_empty());
        if result.configs.iter().any(|config| config.config_source == source && is_set(&config.value)) {
            found.push(name);
        }
    }
    Ok(found)
}

fn alter(address: &str, resources: Vec<AlterConfigsResource>) -> Result<(), RequestError> {
    if resources.is_empty() {
        return Ok(());
    }
    let answer = wire::call(address, 1, &IncrementalAlterConfigsRequest::default().with_resources(resources))?;
    for result in &answer.responses {
        settled(result.error_code, result.error_message.as_ref(), || {
            format!("change the settings of {}", result.resource_name.as_str())
        })?;
    }
    Ok(())
}

fn resource(kind: i8, name: &str, keys: &[&'static str]) -> DescribeConfigsResource {
    DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(name.to_owned().into())
        .with_configuration_keys(Some(keys.iter().map(|key| StrBytes::from_static_str(key)).collect()))
}

fn altered(kind: i8, name: &str, changes: impl IntoIterator<Item = AlterableConfig>) -> AlterConfigsResource {
    AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(name.to_owned().into())
        .with_configs(changes.into_iter().collect())
}

fn change(name: &str, operation: i8, value: Option<&str>) -> AlterableConfig {
    AlterableConfig::default()
        .with_name(name.to_owned().into())
        .with_config_operation(operation)
        .with_value(value.map(|value| value.to_owned().into()))
}

fn topic_name(name: &str) -> TopicName {
    StrBytes::from_string(name.to_owned()).into()
}
