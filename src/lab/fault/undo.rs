//! How to undo a fault, as data, so that the next lab can do it if this one is killed.

use serde::{Deserialize, Serialize};

use crate::{
    kafka::{
        Connection,
        admin::Admin,
        partitions::{Partition, Partitions, Throttled},
        quota,
    },
    lab::brokers::Fleet,
    sample::BrokerId,
};

/// One step back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "undo", rename_all = "snake_case")]
pub enum Undo {
    /// The CPU that the broker's size gives it.
    OwnCpu {
        broker: BrokerId,
    },
    Continue {
        broker: BrokerId,
    },
    /// A broker that may be started again, and is.
    Start {
        broker: BrokerId,
    },
    OwnHeap {
        broker: BrokerId,
    },
    OwnVolume {
        broker: BrokerId,
    },
    OwnDisk {
        broker: BrokerId,
    },
    /// Kafka's own balancing of leaders.
    OwnController,
    TopicSetting {
        topic: String,
        name: String,
        value: Option<String>,
    },
    NoQuota,
    Unthrottle {
        topics: Vec<String>,
        brokers: Vec<BrokerId>,
    },
    /// The order of replicas as it was, and their first ones as leaders.
    Replicas {
        partitions: Vec<(Partition, Vec<BrokerId>)>,
    },
    DeleteTopic {
        topic: String,
    },
}

impl Undo {
    /// Whether it concerns what Kafka keeps on disk, which the end of the lab does not undo.
    pub fn outlives_the_lab(&self) -> bool {
        matches!(
            self,
            Undo::TopicSetting { .. }
                | Undo::NoQuota
                | Undo::Unthrottle { .. }
                | Undo::Replicas { .. }
                | Undo::DeleteTopic { .. }
        )
    }

    /// # Errors
    /// What Kafka or the machine says; what is not there any more counts as undone.
    pub fn carry_out(&self, fleet: &mut Fleet) -> anyhow::Result<()> {
        let partitions = || Partitions::of(&fleet.bootstrap());
        match self {
            Undo::OwnCpu { broker } => fleet.own_cpu(*broker),
            Undo::Continue { broker } => fleet.resume(*broker),
            Undo::Start { broker } => fleet.start_again(*broker),
            Undo::OwnHeap { broker } => fleet.restart_with_heap(*broker, None),
            Undo::OwnVolume { broker } => {
                fleet.stop_one(*broker)?;
                super::volume::unmount(&fleet.data_dir(*broker))?;
                fleet.start_again(*broker)
            }
            Undo::OwnDisk { broker } => fleet.limit_disk(*broker, None),
            Undo::OwnController => fleet.restart_controller(&[]),
            Undo::TopicSetting { topic, name, value } => {
                let partitions = partitions();
                if partitions.has(topic)? {
                    partitions.set_topic(topic, &[(name, value.as_deref())])?;
                }
                Ok(())
            }
            Undo::NoQuota => Ok(quota::limit_producers(&partitions(), None)?),
            Undo::Unthrottle { topics, brokers } => {
                let partitions = partitions();
                let mut there = Vec::new();
                for topic in topics {
                    if partitions.has(topic)? {
                        there.push(topic.clone());
                    }
                }
                Ok(partitions.unthrottle(&Throttled { topics: there, brokers: brokers.clone() })?)
            }
            Undo::Replicas { partitions: due } => {
                let partitions = partitions();
                let placement = partitions.placement()?;
                let due: Vec<(Partition, Vec<BrokerId>)> =
                    due.iter().filter(|(partition, _)| placement.partitions.contains_key(partition)).cloned().collect();
                partitions.begin(&due)?;
                let due: Vec<Partition> = due.into_iter().map(|(partition, _)| partition).collect();
                Ok(partitions.elect_preferred(&due)?)
            }
            Undo::DeleteTopic { topic } => {
                if partitions().has(topic)? {
                    Admin::connect(&Connection::plain(fleet.bootstrap()))?.delete(topic)?;
                }
                Ok(())
            }
        }
    }
}
