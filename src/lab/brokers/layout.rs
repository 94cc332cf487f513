//! What stands in a fleet's folder: ports, identities, configuration, logs.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
};

use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::{files::replace_file, sample::BrokerId};

/// The node id of the process that is the cluster's KRaft controller.
pub const CONTROLLER_ID: BrokerId = 1000;

const LOG4J: &str = include_str!("../../../lab/log4j2.yaml");
const JMX: &str = include_str!("../../../lab/jmx.yaml");

/// What a fleet keeps for its whole life (`fleet.json`).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Identity {
    /// Kafka's cluster id.
    pub cluster_id: String,
    pub controller_port: u16,
    pub ports: BTreeMap<BrokerId, Ports>,
}

/// A broker's ports on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    pub plaintext: u16,
    /// The JMX exporter inside the broker's process; read by the lab alone.
    pub agent: u16,
    pub jmx: u16,
    pub node: u16,
    /// 0 in the folder of a fleet that was made before there was such a listener; [`Layout::open`] then chooses one.
    #[serde(default)]
    pub tls: u16,
    /// As `tls`.
    #[serde(default)]
    pub scram: u16,
}

/// The folder of one fleet.
#[derive(Debug, Clone)]
pub struct Layout {
    pub dir: PathBuf,
}

impl Layout {
    pub fn node_dir(&self, id: BrokerId) -> PathBuf {
        match id {
            CONTROLLER_ID => self.dir.join("controller"),
            id => self.dir.join(format!("broker-{id}")),
        }
    }

    pub fn data_dir(&self, id: BrokerId) -> PathBuf {
        self.node_dir(id).join("data")
    }

    pub fn log4j(&self) -> PathBuf {
        self.dir.join("log4j2.yaml")
    }

    pub fn jmx(&self) -> PathBuf {
        self.dir.join("jmx.yaml")
    }

    /// Reads the fleet that is there, or makes a new one; either way with ports for brokers 1 to `count`.
    ///
    /// # Errors
    /// The folder cannot be written, or what is in it is not a fleet's.
    pub fn open(&self, count: u32) -> anyhow::Result<Identity> {
        fs::create_dir_all(&self.dir).with_context(|| format!("making {}", self.dir.display()))?;
        replace_file(&self.log4j(), LOG4J.as_bytes()).context("writing the brokers' logging configuration")?;
        replace_file(&self.jmx(), JMX.as_bytes()).context("writing the JMX exporter's configuration")?;
        let path = self.dir.join("fleet.json");
        let mut identity = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Identity { cluster_id: new_uuid(), controller_port: free_ports::<1>()?[0], ports: BTreeMap::new() }
            }
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        for id in 1..=count as BrokerId {
            if let Entry::Vacant(entry) = identity.ports.entry(id) {
                let [plaintext, agent, jmx, node, tls, scram] = free_ports()?;
                entry.insert(Ports { plaintext, agent, jmx, node, tls, scram });
            }
        }
        for ports in identity.ports.values_mut() {
            for port in [&mut ports.tls, &mut ports.scram].into_iter().filter(|port| **port == 0) {
                [*port] = free_ports()?;
            }
        }
        replace_file(&path, &serde_json::to_vec_pretty(&identity)?)
            .with_context(|| format!("writing {}", path.display()))?;
        Ok(identity)
    }

    /// Makes a node's folder, with the identity that `kafka-storage format` would give it, and its configuration.
    ///
    /// Without a `bootstrap.checkpoint` Kafka starts a cluster at its newest metadata version, so no Java program needs
    /// to be run to format a folder.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn prepare(&self, id: BrokerId, identity: &Identity, properties: &Properties) -> anyhow::Result<()> {
        let data = self.data_dir(id);
        fs::create_dir_all(&data).with_context(|| format!("making {}", data.display()))?;
        let meta = data.join("meta.properties");
        if !meta.exists() {
            let (cluster, directory) = (&identity.cluster_id, new_uuid());
            let text = format!("version=1\ncluster.id={cluster}\nnode.id={id}\ndirectory.id={directory}\n");
            replace_file(&meta, text.as_bytes()).with_context(|| format!("writing {}", meta.display()))?;
        }
        let path = self.node_dir(id).join("server.properties");
        replace_file(&path, properties.to_string().as_bytes()).with_context(|| format!("writing {}", path.display()))
    }
}

/// A random id as Kafka writes it: 22 characters, the first no dash (Kafka's own rule for ids on command lines).
fn new_uuid() -> String {
    loop {
        let id = URL_SAFE_NO_PAD.encode(uuid::Uuid::new_v4().as_bytes());
        if !id.starts_with('-') {
            return id;
        }
    }
}

/// Ports that are free now, all different.
fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port on 127.0.0.1")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

pub fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// server.properties: names and values, later ones over earlier.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Properties(BTreeMap<String, String>);

/// What the lab alone decides; a user's value would cut the broker off.
const OWNED: [&str; 17] = [
    "advertised.listeners",
    "broker.id",
    "broker.rack",
    "controller.listener.names",
    "controller.quorum.bootstrap.servers",
    "controller.quorum.voters",
    "inter.broker.listener.name",
    "listener.security.protocol.map",
    "listeners",
    "log.dir",
    "log.dirs",
    "metadata.log.dir",
    "metric.reporters",
    "node.id",
    "process.roles",
    "security.inter.broker.protocol",
    "zookeeper.connect",
];

impl Properties {
    /// What a user wrote for an MSK configuration.
    ///
    /// # Errors
    /// A line that is no `name=value`, and a name that MSK, and so the lab, sets itself.
    pub fn parse(text: &str) -> anyhow::Result<Properties> {
        let mut properties = Properties::default();
        for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())) {
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            ensure!(
                !line.ends_with('\\'),
                "line {number} of the server properties goes on in the next, write it in one"
            );
            let Some((name, value)) = line.split_once(['=', ':']) else {
                bail!("line {number} of the server properties is no name=value: {line:?}");
            };
            let (name, value) = (name.trim(), value.trim());
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            ensure!(
                !name.is_empty() && name.chars().all(plain),
                "line {number} of the server properties: {name:?} is no name"
            );
            ensure!(
                !OWNED.contains(&name) && !name.starts_with("ssl.keystore."),
                "server property {name} cannot be set: MSK decides it"
            );
            properties.set(name, value);
        }
        Ok(properties)
    }

    pub fn set(&mut self, name: &str, value: impl ToString) {
        self.0.insert(name.to_owned(), value.to_string());
    }

    /// These with `other`'s over them.
    pub fn with(mut self, other: &Properties) -> Properties {
        self.0.extend(other.0.clone());
        self
    }
}

impl std::fmt::Display for Properties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|(name, value)| writeln!(f, "{name}={}", value.replace('\\', r"\\")))
    }
}

/// Defaults of MSK for a cluster of `brokers`, and what keeps a small broker small.
pub fn defaults(brokers: u32) -> Properties {
    let mut properties = Properties::default();
    // MSK Developer Guide, "The default Amazon MSK configuration" (for two zones it has 2 and 1).
    properties.set("auto.create.topics.enable", false);
    properties.set("default.replication.factor", brokers.min(3));
    properties.set("min.insync.replicas", if brokers >= 3 { 2 } else { 1 });
    properties.set("num.partitions", 1);
    properties.set("unclean.leader.election.enable", false);
    properties.set("replica.lag.time.max.ms", 30_000);
    properties.set("offsets.topic.replication.factor", brokers.min(3));
    properties.set("transaction.state.log.replication.factor", brokers.min(3));
    properties.set("transaction.state.log.min.isr", if brokers >= 3 { 2 } else { 1 });
    properties.set("share.coordinator.state.topic.replication.factor", brokers.min(3));
    properties.set("share.coordinator.state.topic.min.isr", if brokers >= 3 { 2 } else { 1 });
    // Small brokers with few threads and small buffers: Kafka's own would fill the heap of the scale when idle.
    for (name, value) in [
        ("background.threads", 2),
        ("log.cleaner.dedupe.buffer.size", 4 << 20),
        ("log.cleaner.threads", 1),
        ("num.io.threads", 4),
        ("num.network.threads", 2),
        ("num.recovery.threads.per.data.dir", 1),
        ("num.replica.fetchers", 1),
        // Kafka's own 10 MiB is ten seconds of all that a broker of the lab takes: a replica that was away would be back in sync
        // by one answer, whatever a replication throttle says.
        ("replica.fetch.response.max.bytes", 256 << 10),
        ("offsets.topic.num.partitions", 6),
        ("transaction.state.log.num.partitions", 6),
        ("share.coordinator.state.topic.num.partitions", 6),
        ("group.initial.rebalance.delay.ms", 0),
        // A disk of the lab is a folder: 1 GiB a partition at most.
        ("log.retention.bytes", 1 << 30),
        ("log.segment.bytes", 128 << 20),
        // Kafka looks every 300 s; after a rolling restart that is longer than a demonstration.
        ("leader.imbalance.check.interval.seconds", 15),
    ] {
        properties.set(name, value);
    }
    properties
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_or_refused() {
        for (text, expected) in [
            ("# a\n\nnum.partitions = 3\nlog.retention.hours:1", Ok("log.retention.hours=1\nnum.partitions=3\n")),
            ("a=b=c", Ok("a=b=c\n")),
            (r"a=\u000anode.id=7", Ok("a=\\\\u000anode.id=7\n")),
            ("num.partitions", Err("line 1 of the server properties is no name=value")),
            ("x=1\nlisteners=PLAINTEXT://0.0.0.0:1", Err("server property listeners cannot be set")),
            ("ssl.keystore.key=x", Err("server property ssl.keystore.key cannot be set")),
            ("a b=1", Err("is no name")),
        ] {
            match (Properties::parse(text).map(|properties| properties.to_string()), expected) {
                (Ok(read), Ok(expected)) => assert_eq!(read, expected, "{text}"),
                (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
                (read, _) => panic!("{text}: {read:?}"),
            }
        }
    }

    #[test]
    fn a_fleet_keeps_its_ports_and_adds_new_ones() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout { dir: dir.path().join("fleet") };
        let first = layout.open(2).unwrap();
        let second = layout.open(3).unwrap();
        assert_eq!(first.cluster_id, second.cluster_id);
        assert_eq!(second.ports.len(), 3);
        assert!(first.ports.iter().all(|(id, ports)| second.ports.get(id) == Some(ports)));
    }

    #[test]
    fn a_fleet_from_before_tls_and_scram_is_given_ports_for_them_and_keeps_them() {
        let dir = tempfile::tempdir().unwrap();
        let old = r#"{"cluster_id": "x", "controller_port": 1,
            "ports": {"1": {"plaintext": 2, "agent": 3, "jmx": 4, "node": 5}}}"#;
        fs::write(dir.path().join("fleet.json"), old).unwrap();
        let layout = Layout { dir: dir.path().to_owned() };
        let ports = layout.open(1).unwrap().ports[&1];
        assert_eq!((ports.plaintext, ports.agent, ports.jmx, ports.node), (2, 3, 4, 5));
        assert!(ports.tls != 0 && ports.scram != 0 && ports.tls != ports.scram);
        assert_eq!(layout.open(1).unwrap().ports[&1], ports);
    }
}
