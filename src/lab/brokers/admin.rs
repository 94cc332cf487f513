//! The state of the cluster from Kafka's metadata request: joined brokers, in-sync replicas.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};

use crate::sample::BrokerId;

/// A cluster's metadata, as one broker has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    /// Registered and not fenced.
    pub brokers: BTreeSet<BrokerId>,
    /// Partitions with a replica out of sync, or without a leader.
    pub unsettled: Vec<String>,
    /// Leaders and followers on each broker.
    pub replicas: BTreeMap<BrokerId, u32>,
}

/// Asks the broker at `address`; `None` when it does not answer in time.
pub fn metadata(address: SocketAddr, timeout: Duration) -> Option<Metadata> {
    // librdkafka would keep trying a closed port.
    TcpStream::connect_timeout(&address, timeout.min(Duration::from_millis(500))).ok()?;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address.to_string())
        .set("client.id", "kgen-lab")
        .set("topic.metadata.refresh.interval.ms", "-1")
        .create()
        .ok()?;
    let answer = consumer.fetch_metadata(None, timeout).ok()?;
    let mut metadata =
        Metadata { brokers: answer.brokers().iter().map(|broker| broker.id()).collect(), ..Metadata::default() };
    for topic in answer.topics() {
        for partition in topic.partitions() {
            for replica in partition.replicas() {
                *metadata.replicas.entry(*replica).or_default() += 1;
            }
            if partition.isr().len() < partition.replicas().len() || partition.leader() < 0 {
                metadata.unsettled.push(format!("{}-{}", topic.name(), partition.id()));
            }
        }
    }
    Some(metadata)
}
