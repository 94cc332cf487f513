//! Starts faults on one cluster's brokers, and undoes them.
//!
//! Everything that is done leaves an [`Undo`], or a child that ends with the lab. What outlives the lab is written down
//! before it is done, for the lab that comes after one that was killed.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, bail, ensure};

use super::{
    Abilities, Act, Client, ClientPrograms, Fault, Hits, Producing, Program, STRENGTHS, find, network::Shaping,
    undo::Undo, volume,
};
use crate::{
    files::own,
    kafka::{
        Connection,
        admin::{Admin, TopicSpec},
        partitions::{Partition, Partitions},
        quota,
    },
    lab::{
        brokers::Fleet,
        limits::{DiskLimit, Limit},
    },
    lab_api::{FaultOrder, LabClient, LabFault},
    process::{Readiness, Server, StartingServer},
    sample::BrokerId,
};

/// How long a client must run to have been started: one that cannot do what it is told ends before.
const CLIENT_STARTED: Duration = Duration::from_secs(1);
/// What a client may take to end by itself.
const CLIENT_GRACE: Duration = Duration::from_secs(3);

/// The topic of [`Act::Partitions`].
const MANY: &str = "kgen-fault-partitions";

/// A broker with Kafka's own balancing of leaders would undo what [`Act::LeadersAway`] does.
const NO_BALANCING: [(&str, &str); 1] = [("auto.leader.rebalance.enable", "false")];

/// The faults of one cluster.
pub struct Faults {
    /// The folder of the clients and of what is written down.
    dir: PathBuf,
    programs: ClientPrograms,
    running: Vec<Running>,
}

struct Running {
    fault: &'static Fault,
    order: FaultOrder,
    since: jiff::Timestamp,
    undo: Vec<Undo>,
    clients: Vec<Beside>,
    shaping: Option<(BrokerId, Shaping)>,
}

/// A client of a fault.
struct Beside {
    command: String,
    log: PathBuf,
    server: Server,
    /// Lifted when it is dropped.
    _limit: Option<Limit>,
}

impl Beside {
    fn shown(&self) -> LabClient {
        let (command, pid) = (self.command.clone(), self.server.pid());
        LabClient { command, pid, log: self.log.to_string_lossy().into_owned() }
    }
}

impl Faults {
    /// The faults of the cluster in `dir`, whose clients are `programs`; undoes what a lab before left behind there, and tells
    /// `say` what it cannot.
    pub fn open(dir: PathBuf, programs: ClientPrograms, fleet: &mut Fleet, say: &dyn Fn(&str)) -> Faults {
        let faults = Faults { dir, programs, running: Vec::new() };
        let left: Vec<Undo> =
            own::read(&faults.record()).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        // Nothing else is ever written down.
        for undo in left.iter().rev().filter(|undo| undo.outlives_the_lab()) {
            if let Err(error) = undo.carry_out(fleet) {
                say(&format!("a fault of the previous lab was not undone: {error:#}"));
            }
        }
        let _ = own::remove_file(&faults.record());
        faults
    }

    fn record(&self) -> PathBuf {
        self.dir.join("faults.json")
    }

    /// Makes the fault.
    ///
    /// # Errors
    /// No such fault, it runs already, this machine does not allow it, or a step fails; then all of it is undone.
    pub fn start(&mut self, fleet: &mut Fleet, order: &FaultOrder) -> anyhow::Result<()> {
        let fault = find(&order.id)
            .with_context(|| format!("there is no fault {} (`kgen lab fault list` shows them)", order.id))?;
        ensure!(
            STRENGTHS.contains(&order.strength),
            "a strength is between {} and {}",
            STRENGTHS.start(),
            STRENGTHS.end()
        );
        ensure!(
            !self.running.iter().any(|running| running.fault.id == fault.id),
            "{} is already active (`kgen lab fault stop {}` ends it)",
            fault.id,
            fault.id
        );
        if let Some(why) = fault.obstacle(&Abilities::detect(&fleet.machine().means, &self.dir)) {
            bail!("{} cannot be started on this machine: it {why}", fault.id);
        }
        let brokers = fleet.ids();
        let broker = match (fault.hits, order.broker) {
            (Hits::Broker, Some(broker)) if brokers.contains(&broker) => Some(broker),
            (Hits::Broker, Some(broker)) => bail!("there is no broker {broker}: there are {brokers:?}"),
            (Hits::Broker, None) => brokers.get(1).or(brokers.first()).copied(),
            (_, Some(_)) => bail!("{} does not affect a single broker: omit --broker", fault.id),
            (_, None) => None,
        };
        let topic = match (&order.topic, fault.needs_topic()) {
            (Some(topic), true) => {
                let there = Partitions::of(&fleet.bootstrap()).has(topic)?;
                ensure!(there, "there is no topic {topic} (`kgen topic create {topic}` creates it)");
                topic.clone()
            }
            (None, true) => bail!("{} affects a topic: name it with --topic", fault.id),
            (_, false) => String::new(),
        };
        own::make_folder(&self.dir, 0o777).with_context(|| format!("making {}", self.dir.display()))?;
        let order = FaultOrder { broker, ..order.clone() };
        let since = jiff::Timestamp::now();
        self.running.push(Running { fault, order, since, undo: Vec::new(), clients: Vec::new(), shaping: None });
        for act in fault.acts(self.last().order.strength) {
            if let Err(error) = self.carry_out(fleet, &act, broker, &topic) {
                let error = error.context(format!("making {}", fault.id));
                return match self.stop(fleet, Some(fault.id)) {
                    Ok(()) => Err(error),
                    Err(left) => Err(error.context(format!("and it was not undone: {left:#}"))),
                };
            }
        }
        Ok(())
    }

    /// Undoes the fault of this id, or all of them, the newest first.
    ///
    /// # Errors
    /// Not this fault runs; or something is not undone, after the rest was.
    pub fn stop(&mut self, fleet: &mut Fleet, id: Option<&str>) -> anyhow::Result<()> {
        let due = |running: &Running| id.is_none_or(|id| running.fault.id == id);
        ensure!(id.is_none() || self.running.iter().any(due), "{} is not active", id.unwrap_or_default());
        let mut failed = Vec::new();
        while let Some(at) = self.running.iter().rposition(due) {
            let running = self.running.remove(at);
            for client in running.clients {
                client.server.stop(CLIENT_GRACE);
            }
            drop(running.shaping);
            for undo in running.undo.iter().rev() {
                if let Err(error) = undo.carry_out(fleet) {
                    failed.push(format!("{}: {error:#}", running.fault.id));
                }
            }
        }
        self.write_down()?;
        ensure!(failed.is_empty(), "not everything was undone: {}", failed.join("; "));
        Ok(())
    }

    /// Before the brokers end: what they would end badly with is undone, and what outlives them.
    pub fn end(&mut self, fleet: &mut Fleet, say: &dyn Fn(&str)) {
        for running in &mut self.running {
            // Brokers that are about to end are not started for it.
            running.undo.retain(|undo| undo.outlives_the_lab() || matches!(undo, Undo::Continue { .. }));
            // Kafka's own answers come from brokers that run.
            running.undo.sort_by_key(|undo| matches!(undo, Undo::Continue { .. }));
        }
        if let Err(error) = self.stop(fleet, None) {
            say(&format!("a fault was not undone: {error:#}"));
        }
    }

    /// Looks after what has to follow the brokers; call it now and then.
    pub fn look_after(&mut self, fleet: &Fleet, say: &dyn Fn(&str)) {
        for (broker, shaping) in self.running.iter_mut().filter_map(|running| running.shaping.as_mut()) {
            if let Err(error) = shaping.follow(fleet.pid(*broker)) {
                say(&format!("the network of broker {broker}: {error:#}"));
            }
            if let Some(packets) = shaping.packets() {
                fleet.shaped(*broker, packets);
            }
        }
    }

    /// The broker gets another machine: what was done to the network of the one before is over. Its CPU and heap the broker's
    /// start sees to.
    pub fn leave_machine_of(&mut self, broker: BrokerId) {
        for running in &mut self.running {
            running.shaping.take_if(|(shaped, _)| *shaped == broker);
        }
    }

    /// What runs, as `/_lab/status` shows it.
    pub fn shown(&self) -> Vec<LabFault> {
        let shown = self.running.iter().map(|running| LabFault {
            id: running.fault.id.to_owned(),
            does: running.fault.does.to_owned(),
            broker: running.order.broker,
            topic: running.order.topic.clone(),
            strength: running.order.strength,
            since: running.since.to_string(),
            clients: running.clients.iter().map(Beside::shown).collect(),
            instance: None,
        });
        shown.collect()
    }

    fn last(&mut self) -> &mut Running {
        self.running.last_mut().expect("it was pushed by the caller")
    }

    /// Notes what takes a step back, on disk too where that outlives the lab. Called before the step is made.
    fn note(&mut self, undo: Undo) -> anyhow::Result<()> {
        self.last().undo.push(undo);
        self.write_down()
    }

    fn write_down(&self) -> anyhow::Result<()> {
        let due: Vec<&Undo> =
            self.running.iter().flat_map(|running| &running.undo).filter(|undo| undo.outlives_the_lab()).collect();
        let path = self.record();
        if due.is_empty() {
            let _ = own::remove_file(&path);
            return Ok(());
        }
        own::replace(&path, &serde_json::to_vec_pretty(&due)?).with_context(|| format!("writing {}", path.display()))
    }

    fn carry_out(&mut self, fleet: &mut Fleet, act: &Act, broker: Option<BrokerId>, topic: &str) -> anyhow::Result<()> {
        let one = || broker.context("it is about a broker");
        let partitions = Partitions::of(&fleet.bootstrap());
        match act {
            Act::Shrink { share } => {
                for broker in fleet.ids() {
                    self.note(Undo::OwnCpu { broker })?;
                    fleet.shrink(broker, *share)?;
                }
            }
            Act::HoldBack { share } => {
                self.note(Undo::OwnCpu { broker: one()? })?;
                fleet.hold_back(one()?, *share)?;
            }
            Act::SpendCredits => fleet.spend_credits()?,
            Act::Pause => {
                self.note(Undo::Continue { broker: one()? })?;
                fleet.pause(one()?)?;
            }
            Act::Kill => {
                self.note(Undo::Start { broker: one()? })?;
                fleet.keep_down(one()?);
                fleet.kill(one()?)?;
            }
            Act::Restart => {
                self.note(Undo::Start { broker: one()? })?;
                fleet.kill(one()?)?;
                fleet.start_again(one()?)?;
            }
            Act::Heap { mib } => {
                self.note(Undo::OwnHeap { broker: one()? })?;
                fleet.restart_with_heap(one()?, Some(*mib))?;
            }
            Act::SmallVolume { free_mib } => {
                self.note(Undo::OwnVolume { broker: one()? })?;
                fleet.stop_one(one()?)?;
                volume::mount(&fleet.data_dir(one()?), *free_mib)?;
                fleet.start_again(one()?)?;
                fleet.keep_down(one()?);
            }
            Act::SlowVolume { bytes_per_s, writes_per_s } => {
                self.note(Undo::OwnDisk { broker: one()? })?;
                let limit = DiskLimit { bytes_per_s: *bytes_per_s, writes_per_s: *writes_per_s };
                fleet.limit_disk(one()?, Some(limit))?;
            }
            Act::Bandwidth { bits_per_s } => self.shape(fleet, one()?, *bits_per_s)?,
            Act::LeadersAway => self.leaders_away(fleet, &partitions, one()?)?,
            Act::LeadersHere => self.leaders_here(&partitions, one()?, topic)?,
            Act::TopicSetting { name, value } => self.set_topic(&partitions, topic, name, value)?,
            Act::NoSpareReplica => self.no_spare_replica(&partitions, topic)?,
            Act::ProducerQuota { bytes_per_s } => {
                self.note(Undo::NoQuota)?;
                quota::limit_producers(&partitions, Some(*bytes_per_s))?;
            }
            Act::ReplicationThrottle { bytes_per_s } => {
                self.note(Undo::Unthrottle { topics: vec![topic.to_owned()], brokers: fleet.ids() })?;
                partitions.throttle_whole(topic, *bytes_per_s)?;
            }
            Act::Partitions { times } => self.many_partitions(fleet, *times)?,
            Act::Client(client) => self.run_client(fleet, client, topic)?,
            Act::Maintenance => bail!("maintenance is the control plane's"),
        }
        Ok(())
    }

    /// Lets other brokers lead what `broker` leads, without Kafka's own balancing.
    fn leaders_away(&mut self, fleet: &mut Fleet, partitions: &Partitions, broker: BrokerId) -> anyhow::Result<()> {
        self.note(Undo::OwnController)?;
        fleet.restart_controller(&NO_BALANCING)?;
        let first = |replicas: &[BrokerId]| replicas.first() == Some(&broker) && replicas.len() > 1;
        let own: Vec<(Partition, Vec<BrokerId>)> = partitions
            .placement()?
            .partitions
            .into_iter()
            .filter(|(_, placed)| first(&placed.replicas))
            .map(|(partition, placed)| (partition, placed.replicas))
            .collect();
        self.note(Undo::Replicas { partitions: own.clone() })?;
        // Another replica is made the first, leads, and leads on when it is the first no more.
        let others: Vec<_> = own.iter().map(|(p, replicas)| (p.clone(), turned(replicas))).collect();
        partitions.begin(&others)?;
        let due: Vec<Partition> = own.iter().map(|(partition, _)| partition.clone()).collect();
        partitions.elect_preferred(&due)?;
        partitions.begin(&own)?;
        Ok(())
    }

    /// Makes `broker` the first replica and the leader of every partition of the topic.
    fn leaders_here(&mut self, partitions: &Partitions, broker: BrokerId, topic: &str) -> anyhow::Result<()> {
        let of_topic: Vec<(Partition, Vec<BrokerId>)> = partitions
            .placement()?
            .partitions
            .into_iter()
            .filter(|((name, _), _)| name == topic)
            .map(|(partition, placed)| (partition, placed.replicas))
            .collect();
        self.note(Undo::Replicas { partitions: of_topic.clone() })?;
        let gathered: Vec<_> = of_topic.iter().map(|(p, replicas)| (p.clone(), led_by(replicas, broker))).collect();
        partitions.begin(&gathered)?;
        let due: Vec<Partition> = gathered.into_iter().map(|(partition, _)| partition).collect();
        partitions.elect_preferred(&due)?;
        Ok(())
    }

    fn shape(&mut self, fleet: &Fleet, broker: BrokerId, bits_per_s: u64) -> anyhow::Result<()> {
        let port = |id: BrokerId| fleet.address(id).port();
        let peers = fleet.ids().into_iter().filter(|id| *id != broker).map(port).collect();
        let shaping = Shaping::start(port(broker), fleet.pid(broker), peers, bits_per_s)?;
        self.last().shaping = Some((broker, shaping));
        Ok(())
    }

    fn no_spare_replica(&mut self, partitions: &Partitions, topic: &str) -> anyhow::Result<()> {
        let placement = partitions.placement()?;
        let replicas = placement.partitions.iter().filter(|((name, _), _)| name == topic);
        let replicas = replicas.map(|(_, placed)| placed.replicas.len()).max().unwrap_or(1);
        self.set_topic(partitions, topic, "min.insync.replicas", &replicas.to_string())
    }

    fn many_partitions(&mut self, fleet: &Fleet, times: f64) -> anyhow::Result<()> {
        let brokers = fleet.ids().len() as f64;
        let replicas = fleet.ids().len().min(3);
        let each = f64::from(fleet.broker_type().partitions_recommended) * times;
        let spec = TopicSpec {
            name: MANY.to_owned(),
            partitions: (each * brokers / replicas as f64).ceil() as i32,
            replication_factor: replicas as i32,
            configs: Default::default(),
        };
        self.note(Undo::DeleteTopic { topic: MANY.to_owned() })?;
        Admin::connect(&Connection::plain(fleet.bootstrap()))?.create(&spec)?;
        Ok(())
    }

    fn set_topic(&mut self, partitions: &Partitions, topic: &str, name: &str, value: &str) -> anyhow::Result<()> {
        let before = partitions.topic_setting(topic, name)?;
        self.note(Undo::TopicSetting { topic: topic.to_owned(), name: name.to_owned(), value: before })?;
        Ok(partitions.set_topic(topic, &[(name, Some(value))])?)
    }

    /// Starts the programs of a client. They end with the thread that starts them, which is the brokers' own.
    fn run_client(&mut self, fleet: &Fleet, client: &Client, topic: &str) -> anyhow::Result<()> {
        let mut programs = (self.programs)(client, &fleet.bootstrap(), topic)?;
        for program in &mut programs {
            program.args.splice(0..0, ["-C".to_owned(), self.dir.to_string_lossy().into_owned()]);
        }
        if let Client::Burn { per_core } = client {
            let loops = *per_core as usize * crate::lab::hardware::machine_cores();
            let busy = || Program { path: "sh".into(), args: vec!["-c".to_owned(), "while :; do :; done".to_owned()] };
            programs.extend((0..loops).map(|_| busy()));
        }
        for Program { path, args } in programs {
            let number = self.running.iter().map(|running| running.clients.len()).sum::<usize>() + 1;
            let id = self.last().fault.id;
            let log = self.dir.join(format!("{id}-{number}.log"));
            let _ = own::remove_file(&log);
            let command = std::iter::once(path.to_string_lossy().into_owned()).chain(args.iter().cloned());
            let command = command.collect::<Vec<_>>().join(" ");
            // A client of a fault speaks to the brokers alone.
            let starting = StartingServer::start(id, &path, args, &[], &self.dir, &log)?;
            let server = starting.ready(CLIENT_GRACE, || Readiness::Ready)?;
            let limit = match client {
                Client::Produce(Producing { cores: Some(cores), .. }) => {
                    let limit = fleet.machine().means.limit(&format!("client-{number}"), server.pid());
                    let limit = limit.with_context(|| format!("limiting the client of {id}"))?;
                    limit.set_cores(Some(*cores)).with_context(|| format!("limiting the client of {id}"))?;
                    Some(limit)
                }
                _ => None,
            };
            self.last().clients.push(Beside { command, log, server, _limit: limit });
        }
        std::thread::sleep(CLIENT_STARTED);
        for client in &mut self.last().clients {
            if let Some(status) = client.server.ended() {
                let said = own::read(&client.log).unwrap_or_default();
                let said = String::from_utf8_lossy(&said);
                bail!("`{}` has ended with {status}: {}", client.command, said.trim_end());
            }
        }
        Ok(())
    }
}

/// The replicas with the second in the place of the first.
fn turned(replicas: &[BrokerId]) -> Vec<BrokerId> {
    let mut turned = replicas.to_vec();
    turned.rotate_left(1);
    turned
}

/// The replicas with `broker` as the first: moved to the front where it is one of them, in the first one's place where not.
fn led_by(replicas: &[BrokerId], broker: BrokerId) -> Vec<BrokerId> {
    let others = replicas.iter().copied().filter(|id| *id != broker);
    std::iter::once(broker).chain(others).take(replicas.len()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaders_are_gathered_and_turned() {
        assert_eq!(turned(&[1, 2, 3]), [2, 3, 1]);
        assert_eq!(turned(&[1]), [1]);
        for (replicas, expected) in [(&[2, 3, 1][..], &[1, 2, 3][..]), (&[2, 3], &[1, 2]), (&[1, 3], &[1, 3])] {
            assert_eq!(led_by(replicas, 1), expected, "{replicas:?}");
        }
    }

    #[test]
    fn what_kafka_keeps_outlives_the_lab() {
        assert!(Undo::NoQuota.outlives_the_lab());
        assert!(!Undo::Continue { broker: 1 }.outlives_the_lab());
        let text = r#"[{"undo":"topic_setting","topic":"t","name":"flush.messages","value":null}]"#;
        let read: Vec<Undo> = serde_json::from_str(text).unwrap();
        assert_eq!(read, [Undo::TopicSetting { topic: "t".into(), name: "flush.messages".into(), value: None }]);
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
}
