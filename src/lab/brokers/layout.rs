//! What is in a fleet's folder: ports, identities, configuration, logs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::ports::Reserved;
use crate::{files::own, sample::BrokerId};

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

impl Identity {
    /// The fleet that `path` records; nothing where there is no such file.
    ///
    /// # Errors
    /// It cannot be read, or it holds what no lab has written.
    fn read(path: &Path) -> anyhow::Result<Option<Identity>> {
        let text = match own::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        let identity: Identity =
            serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))?;
        // It is in the names of control groups and in configuration files.
        let id = &identity.cluster_id;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        ensure!(
            (1..=22).contains(&id.len()) && id.bytes().all(is_plain),
            "{} was not written by a kgen lab: cluster_id is {id:?} (delete the cluster, or run `kgen lab down \
             --purge`)",
            path.display()
        );
        let stray = identity.ports.keys().find(|id| !(1..CONTROLLER_ID).contains(*id));
        if let Some(stray) = stray {
            bail!("{} was not written by a kgen lab: there is no broker {stray}", path.display());
        }
        Ok(Some(identity))
    }

    fn all_ports(&self) -> Vec<u16> {
        let of_brokers = self.ports.values().flat_map(|ports| ports.all());
        of_brokers.chain([self.controller_port]).filter(|port| *port > 0).collect()
    }

    /// Chooses what is missing for the brokers `ids`, and a new port for each that is there twice.
    fn complete(&mut self, ids: &[BrokerId], reserved: &mut Reserved) -> anyhow::Result<()> {
        for id in ids {
            self.ports.entry(*id).or_insert(NO_PORTS);
        }
        let mut seen = BTreeSet::new();
        let of_brokers = self.ports.values_mut().flat_map(|ports| ports.all_mut());
        let mut missing: Vec<&mut u16> = std::iter::once(&mut self.controller_port)
            .chain(of_brokers)
            .filter_map(|port| (*port == 0 || !seen.insert(*port)).then_some(port))
            .collect();
        for port in &mut missing {
            **port = loop {
                let chosen = reserved.choose()?;
                // One of this fleet's whose broker does not run now.
                if seen.insert(chosen) {
                    break chosen;
                }
            };
        }
        Ok(())
    }
}

/// Of a broker for which none are chosen yet.
const NO_PORTS: Ports = Ports { plaintext: 0, agent: 0, jmx: 0, node: 0, tls: 0, scram: 0 };

impl Ports {
    pub fn all(&self) -> [u16; 6] {
        [self.plaintext, self.agent, self.jmx, self.node, self.tls, self.scram]
    }

    fn all_mut(&mut self) -> [&mut u16; 6] {
        [&mut self.plaintext, &mut self.agent, &mut self.jmx, &mut self.node, &mut self.tls, &mut self.scram]
    }
}

/// The file of a fleet's [`Identity`].
const RECORD: &str = "fleet.json";

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

    /// Reads the fleet that is there, or makes a new one; either way with ports for the brokers `ids`, which are held.
    ///
    /// # Errors
    /// The folder cannot be written, or what is in it is not a fleet's.
    pub fn open(&self, ids: &[BrokerId]) -> anyhow::Result<(Identity, Reserved)> {
        /// Fleets of one lab are opened on threads of their own, and each must see what the one before has chosen.
        static CHOOSING: Mutex<()> = Mutex::new(());
        // Kafka would follow a link and write where it leads.
        own::check_tree(&self.dir).with_context(|| format!("looking at {}", self.dir.display()))?;
        own::make_folder(&self.dir, 0o777).with_context(|| format!("making {}", self.dir.display()))?;
        own::replace(&self.log4j(), LOG4J.as_bytes()).context("writing the brokers' logging configuration")?;
        own::replace(&self.jmx(), JMX.as_bytes()).context("writing the JMX exporter's configuration")?;
        let _choosing = CHOOSING.lock();
        let mut reserved = Reserved::without(self.ports_of_others());
        let path = self.record();
        let mut identity = match Identity::read(&path)? {
            Some(identity) => identity,
            None => Identity { cluster_id: new_uuid(), controller_port: 0, ports: BTreeMap::new() },
        };
        reserved.hold(&identity.all_ports());
        identity.complete(ids, &mut reserved)?;
        own::replace(&path, &serde_json::to_vec_pretty(&identity)?)
            .with_context(|| format!("writing {}", path.display()))?;
        Ok((identity, reserved))
    }

    fn record(&self) -> PathBuf {
        self.dir.join(RECORD)
    }

    /// Ports of the fleets in the folders beside this one.
    fn ports_of_others(&self) -> BTreeSet<u16> {
        let beside = self.dir.parent().and_then(|clusters| fs::read_dir(clusters).ok());
        let beside = beside.into_iter().flatten().flatten().map(|entry| entry.path()).filter(|dir| *dir != self.dir);
        // One that cannot be read does not start either, and keeps nobody from starting.
        beside.filter_map(|dir| Identity::read(&dir.join(RECORD)).ok()?).flat_map(|fleet| fleet.all_ports()).collect()
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
        own::make_folder(&data, 0o777).with_context(|| format!("making {}", data.display()))?;
        let meta = data.join("meta.properties");
        if !meta.exists() {
            let (cluster, directory) = (&identity.cluster_id, new_uuid());
            let text = format!("version=1\ncluster.id={cluster}\nnode.id={id}\ndirectory.id={directory}\n");
            own::replace(&meta, text.as_bytes()).with_context(|| format!("writing {}", meta.display()))?;
        }
        let path = self.node_dir(id).join("server.properties");
        own::replace(&path, properties.to_string().as_bytes()).with_context(|| format!("writing {}", path.display()))
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
                "line {number} of the server properties continues on the next line: write it on one line"
            );
            let Some((name, value)) = line.split_once(['=', ':']) else {
                bail!("line {number} of the server properties is not name=value: {line:?}");
            };
            let (name, value) = (name.trim(), value.trim());
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            ensure!(
                !name.is_empty() && name.chars().all(plain),
                "line {number} of the server properties: {name:?} is not a property name"
            );
            ensure!(
                !OWNED.contains(&name) && !name.starts_with("ssl.keystore."),
                "server property {name} cannot be set: MSK manages it"
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
        // Kafka's own 60 s are not enough on a machine that does much else: the broker would end.
        ("initial.broker.registration.timeout.ms", 300_000),
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
            ("num.partitions", Err("line 1 of the server properties is not name=value")),
            ("x=1\nlisteners=PLAINTEXT://0.0.0.0:1", Err("server property listeners cannot be set")),
            ("ssl.keystore.key=x", Err("server property ssl.keystore.key cannot be set")),
            ("a b=1", Err("is not a property name")),
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
        let (first, _) = layout.open(&[1, 2]).unwrap();
        let (second, _) = layout.open(&[1, 2, 3]).unwrap();
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
        let ports = layout.open(&[1]).unwrap().0.ports[&1];
        assert_eq!((ports.plaintext, ports.agent, ports.jmx, ports.node), (2, 3, 4, 5));
        assert!(ports.tls != 0 && ports.scram != 0 && ports.tls != ports.scram);
        assert_eq!(layout.open(&[1]).unwrap().0.ports[&1], ports);
    }

    #[test]
    fn fleets_that_are_opened_at_once_have_no_port_in_common() {
        let dir = tempfile::tempdir().unwrap();
        let open = |number: u32| {
            Layout { dir: dir.path().join(format!("clusters/{number}")) }.open(&[1, 2, 3, 4, 5, 6]).unwrap()
        };
        let fleets: Vec<(Identity, Reserved)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|number| scope.spawn(move || open(number))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let ports: Vec<u16> = fleets.iter().flat_map(|(fleet, _)| fleet.all_ports()).collect();
        assert_eq!(ports.len(), 4 * (6 * 6 + 1));
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len());
        for port in ports {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            let address = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, port));
            assert!(socket.bind(&address.into()).is_err(), "{port} is not held");
        }
    }

    #[test]
    fn a_port_that_a_fleet_has_twice_is_chosen_anew() {
        let dir = tempfile::tempdir().unwrap();
        let broken = r#"{"cluster_id": "x", "controller_port": 1, "ports": {
            "1": {"plaintext": 2, "agent": 3, "jmx": 4, "node": 5, "tls": 6, "scram": 7},
            "2": {"plaintext": 3, "agent": 8, "jmx": 9, "node": 1, "tls": 10, "scram": 11}}}"#;
        fs::write(dir.path().join("fleet.json"), broken).unwrap();
        let (fleet, _) = Layout { dir: dir.path().to_owned() }.open(&[1, 2]).unwrap();
        assert_eq!(fleet.all_ports().into_iter().collect::<BTreeSet<_>>().len(), 13);
        assert_eq!((fleet.controller_port, fleet.ports[&1].agent, fleet.ports[&2].agent), (1, 3, 8));
    }

    #[test]
    fn a_folder_that_no_lab_has_written_is_refused() {
        for (record, words) in [
            (r#"{"cluster_id": "../../x", "controller_port": 1, "ports": {}}"#, "cluster_id is \"../../x\""),
            (r#"{"cluster_id": "x\nlog.dirs=/", "controller_port": 1, "ports": {}}"#, "was not written by a kgen lab"),
            (
                r#"{"cluster_id": "x", "controller_port": 1, "ports": {"-1": {"plaintext": 2, "agent": 3, "jmx": 4,
              "node": 5}}}"#,
                "there is no broker -1",
            ),
            ("garbage", "reading "),
        ] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("fleet.json"), record).unwrap();
            let error = Layout { dir: dir.path().to_owned() }.open(&[1]).unwrap_err();
            assert!(format!("{error:#}").contains(words), "{error:#}");
        }
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(dir.path().join("broker-1")).unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("broker-1/data")).unwrap();
        let error = Layout { dir: dir.path().to_owned() }.open(&[1]).unwrap_err();
        assert!(format!("{error:#}").contains("broker-1/data is a symbolic link"), "{error:#}");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
