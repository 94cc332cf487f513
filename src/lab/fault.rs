//! Faults of the lab as data: for each scenario the actions on brokers, topics and clients, and their requirements.
//!
//! Pure, but for the look at the machine. [`carry`] carries them out. The next fault is a row of [`FAULTS`]; a harm that no
//! fault has yet, a variant of [`Act`].

mod abilities;
pub mod carry;
pub mod connections;
mod network;
mod undo;
mod volume;

pub use abilities::Abilities;
pub use network::clean_up as clean_up_network;
pub use volume::{clean_up as clean_up_volumes, is_mounted, unmount};

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::finding_id;

/// A scenario that the lab can make.
#[derive(Debug)]
pub struct Fault {
    /// The scenario, which is also the finding that is right.
    pub id: &'static str,
    /// What is done, as a fragment.
    pub does: &'static str,
    pub hits: Hits,
    /// What is done at a strength: 1 is the middle, more is worse.
    acts: fn(f64) -> Vec<Act>,
}

/// Whom a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hits {
    /// One broker, which may be chosen.
    Broker,
    /// The cluster as a whole.
    Cluster,
    /// Clients: brokers are well.
    Clients,
}

/// One thing that is done. Figures without a source of their own are those of the measured scenarios, made for the lab's
/// smaller brokers.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// The brokers are as large as this share of their type, and their CPU is counted by that; a restart ends it.
    Shrink {
        share: f64,
    },
    /// A broker may use no more than this share of the CPU that it has; a restart ends it.
    HoldBack {
        share: f64,
    },
    /// The CPU credits of all brokers are gone.
    SpendCredits,
    /// SIGSTOP.
    Pause,
    /// SIGKILL, and not started again.
    Kill,
    /// SIGKILL, and started again.
    Restart,
    /// The broker is started with this heap; a change of its type ends it.
    Heap {
        mib: u64,
    },
    /// The broker's data is on a file system of its own with so much left; the broker is not started again if it ends.
    SmallVolume {
        free_mib: u64,
    },
    /// The kernel holds the broker's writes to its disk back.
    SlowVolume {
        bytes_per_s: u64,
        writes_per_s: u64,
    },
    /// All that goes to and from the broker shares so much, both ways together; a change of its type ends it.
    Bandwidth {
        bits_per_s: u64,
    },
    /// Every partition that the broker leads is led by another replica, and Kafka does not give it back.
    LeadersAway,
    /// The broker is the first replica of every partition of the topic, and leads them.
    LeadersHere,
    /// A setting of the topic.
    TopicSetting {
        name: &'static str,
        value: String,
    },
    /// `min.insync.replicas` is the number of replicas.
    NoSpareReplica,
    /// What each broker takes from one client.
    ProducerQuota {
        bytes_per_s: f64,
    },
    /// A replication throttle on every replica of the topic, as a reassignment leaves it behind.
    ReplicationThrottle {
        bytes_per_s: u64,
    },
    /// A topic that takes each broker beyond the partitions of its type by this factor.
    Partitions {
        times: f64,
    },
    Client(Client),
    /// A rolling restart by the control plane. It ends by itself.
    Maintenance,
}

/// A program that the lab runs beside the brokers until the fault is stopped.
#[derive(Debug, Clone, PartialEq)]
pub enum Client {
    Produce(Producing),
    Consume(Consuming),
    /// New connections a second over all brokers, and how many stay open.
    Connect {
        per_s: u32,
        held: u32,
    },
    /// Busy loops, so many for each core of the machine.
    Burn {
        per_core: u32,
    },
}

/// A producer of a fault.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Producing {
    /// Records/s, as a [`Rate`](crate::load::pacer::Rate) is written.
    pub rate: String,
    pub record_bytes: Option<u32>,
    /// As [`Keys`](crate::load::keys::Keys) are written.
    pub keys: Option<&'static str>,
    /// Values that no codec makes smaller.
    pub has_random_values: bool,
    /// Of librdkafka.
    pub settings: &'static [(&'static str, &'static str)],
    /// Limit of its CPU, cores.
    pub cores: Option<f64>,
}

/// Consumers of a fault.
#[derive(Debug, Clone, PartialEq)]
pub struct Consuming {
    /// Each group has this name with a number, and one member.
    pub group: &'static str,
    pub groups: u32,
    /// Time for each record.
    pub delay: Duration,
    /// When they stop to read, and stay in the group.
    pub stalled_after: Option<Duration>,
    /// Read what comes from now on, not what is there.
    pub from_end: bool,
}

/// A program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    pub path: PathBuf,
    pub args: Vec<String>,
}

/// What the programs of a client are, for the brokers at the first text and the topic of the second. The lab's caller decides that.
pub type ClientPrograms = Arc<dyn Fn(&Client, &str, &str) -> anyhow::Result<Vec<Program>> + Send + Sync>;

/// What a machine must have for an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    Root,
    Program(&'static str),
    /// Control groups that hold back writes to the disk where the data lies.
    DiskLimit,
    /// Queueing disciplines and classifiers of the kernel: `htb`, `tbf`, `u32`.
    Shaping,
}

/// The strength of a fault that is asked for without one.
const MIDDLE: f64 = 1.0;

/// How strong a fault may be asked to be.
pub const STRENGTHS: std::ops::RangeInclusive<f64> = 0.1..=10.0;

/// Every scenario that can be made, in the order of the findings.
pub static FAULTS: &[Fault] = &[
    Fault {
        id: finding_id::HEALTHY,
        does: "records arrive in bursts: 3 s of heavy load, 7 s of light load",
        hits: Hits::Clients,
        acts: |s| {
            let bursts: Vec<String> = (0..360).map(|_| format!("{:.0}x3s,10x7s", 1000.0 * s)).collect();
            vec![produce(Producing { rate: bursts.join(","), record_bytes: Some(500), ..Producing::default() })]
        },
    },
    Fault {
        id: finding_id::BROKER_UNDERSIZED,
        does: "every broker has a fifth of the CPU of its type",
        hits: Hits::Cluster,
        acts: |s| vec![Act::Shrink { share: 0.2 / s }],
    },
    Fault {
        id: finding_id::BROKER_CPU_CREDITS_EXHAUSTED,
        does: "the CPU credits of every broker are used up (T3 types in a lab with --t3 credits)",
        hits: Hits::Cluster,
        acts: |_| vec![Act::SpendCredits],
    },
    Fault {
        id: finding_id::BROKER_DEGRADED,
        does: "one broker is limited to a fifth of its CPU",
        hits: Hits::Broker,
        acts: |s| vec![Act::HoldBack { share: 0.2 / s }],
    },
    Fault {
        id: finding_id::PARTITION_HOT_KEY,
        does: "a producer sends 80 % of its records with 2 keys",
        hits: Hits::Clients,
        acts: |s| {
            let keys = Some("hot:80:2:1000");
            vec![produce(Producing { rate: per_s(900.0 * s), record_bytes: Some(500), keys, ..Producing::default() })]
        },
    },
    Fault {
        id: finding_id::LEADERS_NOT_PREFERRED,
        does: "other brokers lead the partitions of one broker, and Kafka's own balancing is off",
        hits: Hits::Broker,
        acts: |_| vec![Act::LeadersAway],
    },
    Fault {
        id: finding_id::LEADERS_PLACEMENT_SKEW,
        does: "one broker has the first replica of every partition of the topic",
        hits: Hits::Broker,
        acts: |_| vec![Act::LeadersHere],
    },
    Fault {
        id: finding_id::BROKER_DOWN,
        does: "a broker is killed and stays down",
        hits: Hits::Broker,
        acts: |_| vec![Act::Kill],
    },
    Fault {
        id: finding_id::BROKER_HUNG,
        does: "a broker is frozen (SIGSTOP)",
        hits: Hits::Broker,
        acts: |_| vec![Act::Pause],
    },
    Fault {
        id: finding_id::CONSUMER_SLOW,
        does: "a consumer needs 20 ms for each record",
        hits: Hits::Clients,
        acts: |s| vec![consume(Consuming { delay: Duration::from_millis((20.0 * s).round() as u64), ..READING })],
    },
    Fault {
        id: finding_id::CONSUMER_STALLED,
        does: "a consumer stops reading after 3 s",
        hits: Hits::Clients,
        acts: |_| {
            let stalled_after = Some(Duration::from_secs(3));
            vec![consume(Consuming { group: "stalled", stalled_after, ..READING })]
        },
    },
    Fault {
        id: finding_id::CLIENT_TINY_BATCHES,
        does: "a producer sends each record of 100 B in its own request",
        hits: Hits::Clients,
        acts: |s| {
            vec![produce(Producing {
                rate: per_s(1500.0 * s),
                record_bytes: Some(100),
                has_random_values: true,
                settings: &[("linger.ms", "0"), ("batch.num.messages", "1")],
                ..Producing::default()
            })]
        },
    },
    Fault {
        id: finding_id::CLIENT_CONNECTION_STORM,
        does: "clients open 120 new connections per second and keep 1500 of them open",
        hits: Hits::Clients,
        acts: |s| vec![Act::Client(Client::Connect { per_s: (120.0 * s) as u32, held: 1500 })],
    },
    Fault {
        id: finding_id::CLUSTER_TOO_MANY_PARTITIONS,
        does: "a topic exceeds the number of partitions recommended for the brokers' type",
        hits: Hits::Cluster,
        acts: |s| vec![Act::Partitions { times: 1.1 * s.max(1.0) }],
    },
    Fault {
        id: finding_id::DISK_FILLING,
        does: "a broker's data is on a small volume with 90 MiB left",
        hits: Hits::Broker,
        acts: |s| vec![Act::SmallVolume { free_mib: (90.0 / s) as u64 }],
    },
    Fault {
        id: finding_id::DISK_FULL,
        does: "a broker's data is on a small volume with 10 MiB left",
        hits: Hits::Broker,
        acts: |s| vec![Act::SmallVolume { free_mib: (10.0 / s) as u64 }],
    },
    Fault {
        id: finding_id::DISK_SLOW,
        does: "a broker's disk is limited to 20 writes per second, and each is waited for",
        hits: Hits::Broker,
        acts: |s| {
            vec![
                Act::TopicSetting { name: "flush.messages", value: "50".to_owned() },
                Act::SlowVolume { bytes_per_s: (200_000.0 / s) as u64, writes_per_s: (20.0 / s).max(1.0) as u64 },
            ]
        },
    },
    Fault {
        id: finding_id::NETWORK_CONSTRAINED,
        does: "a broker's network is limited to 2 Mbit/s",
        hits: Hits::Broker,
        acts: |s| vec![Act::Bandwidth { bits_per_s: (2_000_000.0 / s) as u64 }],
    },
    Fault {
        id: finding_id::NETWORK_EGRESS_FANOUT,
        does: "four consumer groups read all records",
        hits: Hits::Clients,
        acts: |_| vec![consume(Consuming { group: "fanout", groups: 4, from_end: true, ..READING })],
    },
    Fault {
        id: finding_id::BROKER_HEAP_PRESSURE,
        does: "a broker has a heap of 45 MiB",
        hits: Hits::Broker,
        // Measured: 85 to 95 % full after collection at 46 MiB, 75 % and hardly collected at 52; 40 MiB are alive.
        acts: |s| vec![Act::Heap { mib: (45.0 / s.clamp(0.98, 1.02)).round() as u64 }],
    },
    Fault {
        id: finding_id::REPLICATION_THROTTLED,
        does: "a replication throttle is left behind while a broker is restarted",
        hits: Hits::Broker,
        acts: |s| vec![Act::ReplicationThrottle { bytes_per_s: (2000.0 / s) as u64 }, Act::Restart],
    },
    Fault {
        id: finding_id::REPLICATION_MIN_ISR_BLOCKED,
        does: "the topic requires all replicas, and a broker is killed and stays down",
        hits: Hits::Broker,
        acts: |_| vec![Act::NoSpareReplica, Act::Kill],
    },
    Fault {
        id: finding_id::CLIENT_GENERATOR_BOUND,
        does: "a load generator is limited to 4 % of a core",
        hits: Hits::Clients,
        acts: |s| {
            let (rate, cores) = (per_s(20_000.0), Some(0.04 / s));
            vec![produce(Producing { rate, record_bytes: Some(500), cores, ..Producing::default() })]
        },
    },
    Fault {
        id: finding_id::CLUSTER_MAINTENANCE,
        does: "the control plane restarts one broker after another",
        hits: Hits::Cluster,
        acts: |_| vec![Act::Maintenance],
    },
    Fault {
        id: finding_id::CLIENT_QUOTA_THROTTLED,
        does: "a broker accepts 40 kB/s from a client",
        hits: Hits::Clients,
        acts: |s| vec![Act::ProducerQuota { bytes_per_s: (40_000.0 / s).round() }],
    },
    Fault {
        id: finding_id::LAB_HOST_CONTENTION,
        does: "four busy loops for each core of the machine",
        hits: Hits::Cluster,
        acts: |s| vec![Act::Client(Client::Burn { per_core: (4.0 * s).ceil() as u32 })],
    },
];

/// The fault of a scenario.
pub fn find(id: &str) -> Option<&'static Fault> {
    FAULTS.iter().find(|fault| fault.id == id)
}

fn per_s(rate: f64) -> String {
    format!("{rate:.0}")
}

/// A group that reads all at once.
const READING: Consuming =
    Consuming { group: "slow", groups: 1, delay: Duration::ZERO, stalled_after: None, from_end: false };

fn produce(producing: Producing) -> Act {
    Act::Client(Client::Produce(producing))
}

fn consume(consuming: Consuming) -> Act {
    Act::Client(Client::Consume(consuming))
}

impl Fault {
    pub fn acts(&self, strength: f64) -> Vec<Act> {
        (self.acts)(strength)
    }

    /// Why this machine does not allow it, if it does not.
    pub fn obstacle(&self, abilities: &Abilities) -> Option<String> {
        let acts = self.acts(MIDDLE);
        acts.iter().flat_map(Act::needs).find_map(|need| abilities.lack(*need))
    }

    /// Whether it is about one topic.
    pub fn needs_topic(&self) -> bool {
        self.acts(MIDDLE).iter().any(Act::needs_topic)
    }
}

impl Act {
    fn needs(&self) -> &'static [Need] {
        match self {
            Act::SmallVolume { .. } => {
                &[Need::Root, Need::Program("mkfs.ext4"), Need::Program("mount"), Need::Program("umount")]
            }
            Act::SlowVolume { .. } => &[Need::DiskLimit],
            Act::Bandwidth { .. } => &[Need::Root, Need::Program("tc"), Need::Shaping],
            _ => &[],
        }
    }

    fn needs_topic(&self) -> bool {
        matches!(
            self,
            Act::LeadersHere
                | Act::TopicSetting { .. }
                | Act::NoSpareReplica
                | Act::ReplicationThrottle { .. }
                | Act::Client(Client::Produce(_) | Client::Consume(_))
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fault_is_one_of_a_kind_and_does_something() {
        let ids: BTreeSet<_> = FAULTS.iter().map(|fault| fault.id).collect();
        assert_eq!(ids.len(), FAULTS.len());
        assert!(FAULTS.len() >= 26);
        for fault in FAULTS {
            assert!(!fault.does.is_empty() && !fault.acts(1.0).is_empty(), "{}", fault.id);
            assert!(find(fault.id).is_some_and(|found| std::ptr::eq(found, fault)), "{}", fault.id);
        }
        assert!(find("broker.bewitched").is_none());
    }

    #[test]
    fn a_stronger_fault_is_a_worse_one() {
        let share = |s| match find("broker.undersized").unwrap().acts(s)[..] {
            [Act::Shrink { share }] => share,
            ref other => panic!("{other:?}"),
        };
        assert!(share(1.3) < share(1.0) && share(1.0) < share(0.7));
        let rate = |s| match &find("client.tiny-batches").unwrap().acts(s)[..] {
            [Act::Client(Client::Produce(Producing { rate, .. }))] => rate.parse::<u32>().unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!((rate(1.0), rate(2.0)), (1500, 3000));
    }

    #[test]
    fn what_a_machine_lacks_is_said() {
        let nothing = Abilities::default();
        for (id, lacking) in [
            ("disk.full", Some("needs root")),
            ("network.constrained", Some("needs root")),
            ("disk.slow", Some("control groups")),
            ("broker.hung", None),
            ("client.tiny-batches", None),
        ] {
            let obstacle = find(id).unwrap().obstacle(&nothing);
            assert_eq!(obstacle.is_some(), lacking.is_some(), "{id}: {obstacle:?}");
            let text = obstacle.unwrap_or_default();
            assert!(lacking.is_none_or(|words| text.contains(words)), "{id}: {text}");
        }
    }

    #[test]
    fn what_is_about_a_topic_needs_one() {
        assert!(find("consumer.slow").unwrap().needs_topic() && !find("broker.down").unwrap().needs_topic());
    }
}
