//! The topics of a cluster as MSK's topics API shows and changes them, by the Kafka protocol.

use std::collections::BTreeMap;

use anyhow::Context as _;

use crate::kafka::{
    Connection,
    admin::{Admin, TopicSpec},
    partitions::{Partition, Partitions, Placed},
};

/// What is asked of a cluster's topics.
#[derive(Debug, Clone, PartialEq)]
pub enum TopicCall {
    /// Every topic's partitions, and the configuration of the one that is named.
    Read(Option<String>),
    Create(TopicSpec),
    Configure(String, BTreeMap<String, String>),
    Delete(String),
}

/// Topics as the brokers have them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Topics {
    pub partitions: BTreeMap<Partition, Placed>,
    /// Settings that differ from the cluster's.
    pub configs: BTreeMap<String, String>,
}

/// Carries `call` out through the brokers at `bootstrap_servers`. Returns the topics as they were before a change.
///
/// # Errors
/// No broker answers, or the brokers refuse.
pub fn carry_out(bootstrap_servers: &[String], call: TopicCall) -> anyhow::Result<Topics> {
    let bootstrap = bootstrap_servers.join(",");
    let partitions = Partitions::of(&bootstrap);
    let admin = || Admin::connect(&Connection::plain(&bootstrap));
    let mut topics = Topics { partitions: partitions.placement()?.partitions, ..Topics::default() };
    match call {
        TopicCall::Read(None) => {}
        TopicCall::Read(Some(name)) if topics.has(&name) => topics.configs = admin()?.describe(&name)?.configs,
        TopicCall::Read(Some(_)) => {}
        TopicCall::Create(spec) => admin()?.create(&spec).with_context(|| format!("creating topic {}", spec.name))?,
        TopicCall::Delete(name) => admin()?.delete(&name).with_context(|| format!("deleting topic {name}"))?,
        TopicCall::Configure(name, configs) => {
            let settings: Vec<(&str, Option<&str>)> =
                configs.iter().map(|(name, value)| (name.as_str(), Some(value.as_str()))).collect();
            partitions.set_topic(&name, &settings).with_context(|| format!("configuring topic {name}"))?;
        }
    }
    Ok(topics)
}

impl Topics {
    pub fn has(&self, topic: &str) -> bool {
        self.of(topic).next().is_some()
    }

    /// The partitions of one topic, by number.
    pub fn of<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = (i32, &'a Placed)> {
        let from = (topic.to_owned(), i32::MIN);
        self.partitions
            .range(from..)
            .take_while(move |((name, _), _)| name == topic)
            .map(|((_, number), placed)| (*number, placed))
    }

    /// Names, each once.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.partitions.keys().map(|(name, _)| name.as_str()).collect();
        names.dedup();
        names
    }
}
