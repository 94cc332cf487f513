//! The real Kafka brokers of one cluster: processes, their folders, rolling changes.
//!
//! Nothing here decides whether a change is allowed; the control plane has done so.

mod admin;
mod archive;
mod controller;
mod harm;
mod layout;
mod node;
mod ports;
mod rolling;

pub use ports::free_port;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use axum::Router;
use parking_lot::Mutex;
use rustix::process::Signal;
use tokio::{runtime::Runtime, sync::watch};

use self::{
    controller::Controller,
    layout::{CONTROLLER_ID, Identity, Layout, Properties, local},
    ports::Reserved,
};
use super::{
    exporter,
    hardware::{BrokerSize, Hardware, machine_cores, machine_memory_mib},
    install::{Classes, Kafka, ensure_system},
    limits::Means,
    readings::{BrokerReadings, ControllerPid, FleetReading, read_forever},
    tls::Certificates,
};
use crate::{
    catalogue::BrokerType,
    kafka::scram::{self, Credential},
    process::{Server, StartingServer},
    sample::BrokerId,
};

/// What a fleet of brokers is started from.
#[derive(Debug, Clone)]
pub struct FleetConfig {
    pub cluster_name: String,
    /// Data, configuration and logs of the brokers; reused when it holds a fleet already.
    pub dir: PathBuf,
    pub broker_type: BrokerType,
    /// Availability zones, one a client subnet; broker i is in zone (i - 1) mod len.
    pub zones: Vec<String>,
    pub broker_count: u32,
    /// Ids of the brokers that were here before; empty for a new fleet, whose ids are 1 to the count.
    pub ids: Vec<BrokerId>,
    pub volume_gib: u32,
    /// server.properties of the MSK configuration, as the user wrote them; may be empty.
    pub server_properties: String,
    /// What the TLS listeners show; without it there are none.
    pub certificates: Option<Certificates>,
    pub machine: Arc<Machine>,
}

/// What every fleet on this machine shares.
#[derive(Debug, Clone)]
pub struct Machine {
    pub kafka: Kafka,
    pub hardware: Hardware,
    pub means: Means,
}

impl Machine {
    /// Looks at this machine, and fetches what is missing; `say` is called before.
    ///
    /// # Errors
    /// This is not Linux, there is no Java, or Kafka can be neither found nor fetched.
    pub fn prepare(hardware: Option<Hardware>, say: &dyn Fn(&str)) -> anyhow::Result<Machine> {
        ensure_system(std::env::consts::OS)?;
        let means = Means::detect();
        means.clean_up();
        let hardware = hardware.unwrap_or_else(|| Hardware::for_machine(machine_cores()));
        let mut kafka = Kafka::find_or_fetch(say)?;
        if let Some(archive) = kafka.archive().filter(|archive| archive.is_file()) {
            kafka.classes = Classes::Shared(archive);
        }
        Ok(Machine { kafka, hardware, means })
    }

    /// Makes the archive of classes that lets brokers start in half the CPU time, if it is not there; takes 10 s.
    ///
    /// That it cannot be made is only told to `say`.
    pub fn speed_up(&mut self, say: &dyn Fn(&str)) {
        let Some(archive) = self.kafka.archive().filter(|_| self.kafka.classes == Classes::Jars) else { return };
        say(&format!("preparing faster broker starts (done once) in {}", archive.display()));
        match archive::make(&self.kafka, &archive) {
            Ok(()) => self.kafka.classes = Classes::Shared(archive),
            Err(error) => say(&format!(
                "brokers will start more slowly, because their classes could not be archived: \
                                        {error:#}"
            )),
        }
    }
}

/// Where one broker is reached; the same for the broker's whole life.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerEndpoints {
    pub id: BrokerId,
    pub zone: String,
    pub plaintext: SocketAddr,
    pub tls: Option<SocketAddr>,
    /// TLS with user and password.
    pub scram: Option<SocketAddr>,
    /// Prometheus endpoint of the JMX exporter, as MSK's port 11001.
    pub jmx: SocketAddr,
    /// Prometheus endpoint of the node metrics, as MSK's port 11002.
    pub node: SocketAddr,
}

/// One broker as `GET /_lab/status` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerStatus {
    pub endpoints: BrokerEndpoints,
    /// `None` when it does not run.
    pub pid: Option<u32>,
    pub broker_type: BrokerType,
    pub size: BrokerSize,
}

/// Running brokers. All calls block; the thread that calls [`Fleet::start`] must live as long as the fleet, and makes
/// all other calls (the kernel ties the brokers' lives to it).
pub struct Fleet {
    config: FleetConfig,
    layout: Layout,
    identity: Identity,
    /// Its ports.
    reserved: Reserved,
    // Before the runtime, so that brokers end while their readings still are taken.
    brokers: BTreeMap<BrokerId, Broker>,
    /// Brokers that could not be started at the last attempt.
    retries: BTreeMap<BrokerId, Retry>,
    controller: Controller,
    /// Brokers that a fault keeps from being started again.
    down: BTreeSet<BrokerId>,
    /// Heaps that a fault gives to brokers, MiB.
    heaps: BTreeMap<BrokerId, u64>,
    watched: Arc<Mutex<BTreeMap<BrokerId, Arc<BrokerReadings>>>>,
    readings: watch::Receiver<Arc<FleetReading>>,
    client: reqwest::Client,
    runtime: Option<Runtime>,
}

struct Broker {
    broker_type: BrokerType,
    size: BrokerSize,
    watched: Arc<BrokerReadings>,
    server: Option<Server>,
}

/// Users are in the cluster's metadata; the module is only named.
const SCRAM_LOGIN: &str = "org.apache.kafka.common.security.scram.ScramLoginModule required;";

/// When a broker that could not be started, such as one whose disk is full, is tried again.
struct Retry {
    at: Instant,
    wait: Duration,
}

/// Between the first two attempts to start a broker; twice as long each time, up to the longest. A JVM that starts takes a
/// core that the other brokers need.
const RETRY_FIRST: Duration = Duration::from_secs(2);
const RETRY_LONGEST: Duration = Duration::from_secs(30);

/// How long a broker may take to hand over its partitions and end, before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(30);

/// How long a question to a broker may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);

impl Fleet {
    /// Starts the controller and every broker, and returns when all of them serve.
    ///
    /// # Errors
    /// With Kafka's own words when a process ended, and the log's place. Nothing is left running then.
    pub fn start(config: FleetConfig) -> anyhow::Result<Fleet> {
        ensure!(!config.zones.is_empty() && config.broker_count > 0, "a cluster has at least one zone and one broker");
        let user = Properties::parse(&config.server_properties)?;
        // Java runs in the broker's own folder.
        let dir = std::path::absolute(&config.dir).with_context(|| format!("resolving {}", config.dir.display()))?;
        let layout = Layout { dir };
        let ids = match &config.ids[..] {
            [] => (1..=config.broker_count as BrokerId).collect(),
            ids => ids.to_vec(),
        };
        let (identity, reserved) = layout.open(&ids)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("kgen-readings")
            .enable_all()
            .build()
            .context("starting the lab's readings")?;
        let (sender, readings) = watch::channel(Arc::default());
        let watched = Arc::default();
        let controller_pid = ControllerPid::default();
        let reading =
            read_forever(config.cluster_name.clone(), Arc::clone(&watched), Arc::clone(&controller_pid), sender);
        runtime.spawn(reading);
        let mut fleet = Fleet {
            config,
            layout,
            identity,
            reserved,
            brokers: BTreeMap::new(),
            retries: BTreeMap::new(),
            controller: Controller::new(controller_pid),
            down: BTreeSet::new(),
            heaps: BTreeMap::new(),
            watched,
            readings,
            client: reqwest::Client::builder().no_proxy().build().context("creating an HTTP client")?,
            runtime: Some(runtime),
        };
        fleet.start_controller(&user)?;
        fleet.start_brokers(ids, &user)?;
        Ok(fleet)
    }

    pub fn endpoints(&self) -> Vec<BrokerEndpoints> {
        self.brokers.keys().map(|id| self.endpoint(*id)).collect()
    }

    pub fn status(&self) -> Vec<BrokerStatus> {
        let status = |(id, broker): (&BrokerId, &Broker)| BrokerStatus {
            endpoints: self.endpoint(*id),
            pid: broker.server.as_ref().map(Server::pid),
            broker_type: broker.broker_type,
            size: broker.size.clone(),
        };
        self.brokers.iter().map(status).collect()
    }

    /// What is read of the brokers every 2.5 s; for CloudWatch and the alarms.
    pub fn readings(&self) -> watch::Receiver<Arc<FleetReading>> {
        self.readings.clone()
    }

    /// `host:port` of each broker's plaintext listener.
    pub fn bootstrap_servers(&self) -> Vec<String> {
        self.brokers.keys().map(|id| self.address(*id).to_string()).collect()
    }

    /// Adds brokers until there are `count`.
    ///
    /// # Errors
    /// As [`Fleet::start`]; the brokers that were there continue.
    pub fn add_brokers(&mut self, count: u32) -> anyhow::Result<()> {
        let user = Properties::parse(&self.config.server_properties)?;
        let newest = self.brokers.keys().copied().max().unwrap_or(0);
        let new: Vec<BrokerId> = (newest + 1..).take((count as usize).saturating_sub(self.brokers.len())).collect();
        let all: Vec<BrokerId> = self.brokers.keys().copied().chain(new.iter().copied()).collect();
        let (identity, reserved) = self.layout.open(&all)?;
        self.identity = identity;
        self.reserved.add(reserved);
        self.config.broker_count = self.config.broker_count.max(count);
        self.start_brokers(new, &user)
    }

    /// Stops brokers for good. They must hold no partitions.
    pub fn remove_brokers(&mut self, ids: &[BrokerId], step: &mut dyn FnMut(BrokerId, bool)) {
        for id in ids {
            step(*id, false);
            if let Some(mut broker) = self.brokers.remove(id) {
                broker.watched.release();
                if let Some(server) = broker.server.take() {
                    server.stop(STOP_GRACE);
                }
                broker.watched.ended();
            }
            self.watched.lock().remove(id);
            self.config.broker_count -= 1;
            step(*id, true);
        }
    }

    /// Gives every broker a volume of this size; brokers continue, as they do on MSK.
    pub fn grow_volumes(&mut self, gib: u32) {
        self.config.volume_gib = gib;
        self.brokers.values().for_each(|broker| broker.watched.resized(self.volume_bytes()));
    }

    /// Starts again the brokers, and the controller, that ended by themselves, as MSK would; call it now and then.
    ///
    /// Returns the brokers that had ended. Until it is called the fleet continues without them. A broker that cannot be
    /// started is tried again by later calls, at growing intervals.
    ///
    /// # Errors
    /// One of them cannot be started again; the others run.
    pub fn revive(&mut self) -> anyhow::Result<Vec<BrokerId>> {
        let user = Properties::parse(&self.config.server_properties)?;
        self.revive_with(&user)
    }

    fn revive_with(&mut self, user: &Properties) -> anyhow::Result<Vec<BrokerId>> {
        if self.controller.has_ended() {
            self.start_controller(user)?;
        }
        let now = Instant::now();
        let is_due = |id: &BrokerId| self.retries.get(id).is_none_or(|retry| retry.at <= now);
        let ended = |broker: &mut Broker| broker.server.as_mut().is_none_or(|server| server.ended().is_some());
        let dead = self.brokers.iter_mut().filter_map(|(id, b)| (ended(b) && is_due(id)).then_some(*id));
        let dead = dead.collect::<Vec<BrokerId>>();
        let (down, dead): (Vec<_>, Vec<_>) = dead.into_iter().partition(|id| self.down.contains(id));
        for id in down {
            self.kill(id)?;
        }
        self.start_brokers(dead.clone(), user)?;
        Ok(dead)
    }

    /// Largest number of partitions (leaders and followers) on one broker.
    ///
    /// # Errors
    /// No broker answers.
    pub fn max_partitions_per_broker(&self) -> anyhow::Result<u32> {
        let metadata = self.metadata().context("no broker reports the number of partitions")?;
        Ok(metadata.replicas.values().copied().max().unwrap_or(0))
    }

    /// Has the brokers take over users of SASL/SCRAM.
    ///
    /// # Errors
    /// No broker takes them, in the words of the last.
    pub fn alter_users(&self, credentials: &[Credential]) -> anyhow::Result<()> {
        scram::alter(&self.bootstrap_servers(), credentials).context("changing the users of SASL/SCRAM")
    }

    /// Stops every broker, then the controller.
    pub fn stop(mut self) {
        self.shut_down();
    }

    fn shut_down(&mut self) {
        for broker in self.brokers.values_mut() {
            broker.watched.release();
            if let Some(server) = &mut broker.server {
                server.signal(Signal::TERM);
            }
        }
        for broker in self.brokers.values_mut() {
            if let Some(server) = broker.server.take() {
                server.stop(STOP_GRACE);
            }
            broker.watched.ended();
        }
        self.controller.stop(STOP_GRACE);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    fn endpoint(&self, id: BrokerId) -> BrokerEndpoints {
        let ports = self.identity.ports[&id];
        BrokerEndpoints {
            id,
            zone: self.zone(id).to_owned(),
            plaintext: local(ports.plaintext),
            tls: self.config.certificates.as_ref().map(|_| local(ports.tls)),
            scram: self.config.certificates.as_ref().map(|_| local(ports.scram)),
            jmx: local(ports.jmx),
            node: local(ports.node),
        }
    }

    fn zone(&self, id: BrokerId) -> &str {
        &self.config.zones[(id - 1) as usize % self.config.zones.len()]
    }

    fn volume_bytes(&self) -> u64 {
        let scale = self.config.machine.hardware.scale;
        (f64::from(self.config.volume_gib) / scale * f64::from(1 << 30)) as u64
    }

    fn size(&self) -> BrokerSize {
        let machine = &self.config.machine;
        machine.hardware.size(self.config.broker_type, self.config.broker_count, machine_memory_mib())
    }

    /// Properties of a node: MSK's defaults, the user's over them, and over both what makes it this node.
    fn properties(&self, id: BrokerId, user: &Properties) -> Properties {
        let mut own = Properties::default();
        let controller = self.identity.controller_port;
        own.set("node.id", id);
        own.set("log.dirs", self.layout.data_dir(id).display());
        own.set("controller.quorum.voters", format!("{CONTROLLER_ID}@127.0.0.1:{controller}"));
        own.set("controller.listener.names", "CONTROLLER");
        own.set("listener.security.protocol.map", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SCRAM:SASL_SSL");
        match self.identity.ports.get(&id) {
            Some(ports) => {
                own.set("process.roles", "broker");
                let mut listeners = format!("PLAINTEXT://127.0.0.1:{}", ports.plaintext);
                if let Some(certificates) = &self.config.certificates {
                    listeners += &format!(",SSL://127.0.0.1:{},SCRAM://127.0.0.1:{}", ports.tls, ports.scram);
                    own.set("ssl.keystore.type", "PEM");
                    own.set("ssl.keystore.location", certificates.keystore.display());
                    // Network threads are a listener's own; these have few clients.
                    own.set("listener.name.ssl.num.network.threads", 1);
                    own.set("listener.name.scram.num.network.threads", 1);
                    own.set("listener.name.scram.sasl.enabled.mechanisms", "SCRAM-SHA-512");
                    own.set("listener.name.scram.scram-sha-512.sasl.jaas.config", SCRAM_LOGIN);
                }
                own.set("listeners", listeners);
                own.set("broker.rack", self.zone(id));
            }
            None => {
                own.set("process.roles", "controller");
                own.set("listeners", format!("CONTROLLER://127.0.0.1:{controller}"));
            }
        }
        layout::defaults(self.config.broker_count).with(user).with(&own)
    }

    fn start_controller(&mut self, user: &Properties) -> anyhow::Result<()> {
        let properties = self.properties(CONTROLLER_ID, user);
        self.controller.start(&self.config.machine.kafka, &self.layout, &self.identity, &properties)
    }

    /// Starts brokers side by side at full CPU, waits until all serve, and then holds them to their size.
    ///
    /// One that cannot be started does not keep the others from it; the first error is returned at the end.
    fn start_brokers(&mut self, ids: Vec<BrokerId>, user: &Properties) -> anyhow::Result<()> {
        let size = self.size();
        let launched: Vec<_> = ids.into_iter().map(|id| (id, self.launch(id, &size, user))).collect();
        let of_controller = self.properties(CONTROLLER_ID, user);
        let mut failed = None;
        let mut serving = Vec::new();
        for (id, server) in launched {
            let address = self.address(id);
            let serves = || {
                // Without it no broker ever serves, and nobody else looks after it meanwhile. One that does not start is tried again.
                if self.controller.is_due() {
                    let kafka = &self.config.machine.kafka;
                    let _ = self.controller.start(kafka, &self.layout, &self.identity, &of_controller);
                }
                admin::metadata(address, ASK_TIMEOUT).is_some_and(|metadata| metadata.brokers.contains(&id))
            };
            let ready = server.and_then(|server| node::ready(server, &self.layout, id, serves));
            match (ready, self.brokers.get_mut(&id)) {
                (Ok(server), Some(broker)) => {
                    broker.server = Some(server);
                    self.retries.remove(&id);
                    serving.push(id);
                }
                (Ok(_), None) => {}
                (Err(error), broker) => {
                    if let Some(broker) = broker {
                        broker.watched.ended();
                    }
                    let wait = self.retries.get(&id).map_or(RETRY_FIRST, |retry| (retry.wait * 2).min(RETRY_LONGEST));
                    self.retries.insert(id, Retry { at: Instant::now() + wait, wait });
                    failed.get_or_insert(error);
                }
            }
        }
        for id in serving {
            self.brokers[&id].watched.settle().with_context(|| format!("limiting the CPU of broker {id}"))?;
        }
        failed.map_or(Ok(()), Err)
    }

    /// Starts the process of one broker, at full CPU, and notes the broker.
    fn launch(&mut self, id: BrokerId, size: &BrokerSize, user: &Properties) -> anyhow::Result<StartingServer> {
        let machine = self.config.machine.clone();
        self.down.remove(&id);
        self.layout.prepare(id, &self.identity, &self.properties(id, user))?;
        let watched = self.watched(id, size)?;
        let ports = self.identity.ports[&id];
        if self.brokers.get(&id).is_some_and(|broker| broker.broker_type != self.config.broker_type) {
            // Another type is another machine: what a fault did to the one before is over.
            self.heaps.remove(&id);
        }
        let heap_mib = self.heaps.get(&id).copied().unwrap_or(size.heap_mib);
        let server = node::start(&machine.kafka, &self.layout, id, heap_mib, Some(ports))?;
        // Named after the process: the limit of the one before it may be lifted only now, and would take this one with it.
        let limit = machine
            .means
            .limit(&format!("{}-broker-{id}-{}", &self.identity.cluster_id, server.pid()), server.pid())
            .with_context(|| format!("limiting broker {id} by {}", machine.means))?;
        limit
            .set_memory(size.memory_mib << 20)
            .with_context(|| format!("limiting the memory of broker {id} to {} MiB", size.memory_mib))?;
        watched.started(self.config.broker_type, size.clone(), machine.hardware, Arc::new(limit));
        let broker = Broker { broker_type: self.config.broker_type, size: size.clone(), watched, server: None };
        self.brokers.insert(id, broker);
        Ok(server)
    }

    /// Metadata of the first broker that answers.
    fn metadata(&self) -> Option<admin::Metadata> {
        self.brokers.keys().find_map(|id| admin::metadata(self.address(*id), ASK_TIMEOUT))
    }

    /// The broker's readings and its two endpoints, which outlive its processes.
    fn watched(&mut self, id: BrokerId, size: &BrokerSize) -> anyhow::Result<Arc<BrokerReadings>> {
        let known = Arc::clone(&self.watched);
        let mut all = known.lock();
        if let Some(watched) = all.get(&id) {
            return Ok(watched.clone());
        }
        let ports = self.identity.ports[&id];
        let watched = Arc::new(BrokerReadings::new(
            local(ports.agent),
            ports.plaintext,
            self.client.clone(),
            self.layout.data_dir(id),
            self.volume_bytes(),
            self.config.broker_type,
            size.clone(),
        ));
        self.serve(ports.node, exporter::node_router(watched.clone()))
            .with_context(|| format!("serving the node metrics of broker {id}"))?;
        self.serve(ports.jmx, exporter::jmx_router(watched.clone()))
            .with_context(|| format!("serving the JMX metrics of broker {id}"))?;
        all.insert(id, watched.clone());
        Ok(watched)
    }

    fn serve(&mut self, port: u16, router: Router) -> anyhow::Result<()> {
        let listener = self.reserved.listener(port).with_context(|| format!("listening on 127.0.0.1:{port}"))?;
        listener.set_nonblocking(true)?;
        let runtime = self.runtime.as_ref().expect("it is removed only when the fleet ends");
        let _in_runtime = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        // It ends with the runtime, and has no errors before.
        runtime.spawn(async move { axum::serve(listener, router).await });
        Ok(())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.shut_down();
    }
}

#[cfg(test)]
mod tests;
