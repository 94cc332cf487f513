//! The threads that run brokers: one a cluster, which lives as long as its brokers do.
//!
//! A crew performs tasks one after another and reports the results. What they mean for the cluster is decided in
//! [`cluster`](super::cluster).

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use anyhow::Context as _;
use tokio::sync::{oneshot, watch};

use crate::{
    catalogue::MonitoringLevel,
    files::own,
    kafka::scram::Credential,
    lab::{
        Say,
        brokers::{BrokerEndpoints, Fleet, FleetConfig, Machine},
        cluster::{CrewReport, Endpoints, Job, Start, Work},
        fault::{ClientPrograms, carry::Faults, unmount},
        monitoring::Monitoring,
        tls::Certificates,
        topics::{self, TopicCall, Topics},
    },
    lab_api::{FaultOrder, LabBroker, LabFault},
    sample::BrokerId,
};

/// The body of a cluster's thread. Ends when the tasks do, and then leaves no broker running.
pub type Crew = Arc<dyn Fn(Assignment) + Send + Sync>;

/// What a crew is given.
pub struct Assignment {
    /// The folder of the cluster's brokers.
    pub dir: PathBuf,
    pub tasks: Receiver<Task>,
    pub report: Box<dyn Fn(CrewReport) + Send>,
    /// Takes what `/_lab/status` shows of brokers, without their places and endpoints.
    pub show: Box<dyn Fn(Vec<LabBroker>) + Send>,
    /// Takes what `/_lab/status` shows of faults.
    pub show_faults: Box<dyn Fn(Vec<LabFault>) + Send>,
    /// Region of the cluster, whose CloudWatch gets its metrics.
    pub region: String,
    /// The cluster's enhanced monitoring as it is now.
    pub level: Box<dyn Fn() -> MonitoringLevel + Send>,
}

pub enum Task {
    Job(Job),
    /// Largest number of partitions on one broker.
    MaxPartitions(oneshot::Sender<Result<u32, String>>),
    /// The topics API.
    Topics(TopicCall, oneshot::Sender<Result<Topics, String>>),
    /// Users of SASL/SCRAM.
    AlterUsers(Vec<Credential>, oneshot::Sender<Result<(), String>>),
    /// A fault is made or undone; the answer is what runs then.
    Fault(FaultCall, oneshot::Sender<Result<Vec<LabFault>, String>>),
}

/// What is to be done about faults.
#[derive(Debug, Clone, PartialEq)]
pub enum FaultCall {
    Start(FaultOrder),
    /// The one of this id, or all.
    Stop(Option<String>),
}

/// What is said where brokers are needed and there are none.
pub const NOT_RUNNING: &str = "the cluster's brokers are not running";

/// How often a crew without a task looks after its brokers.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// The crew of a cluster of real Kafka brokers, and what all clusters share.
pub struct FleetCrew {
    pub machine: Arc<Machine>,
    pub certificates: Certificates,
    pub monitoring: Monitoring,
    pub client_programs: ClientPrograms,
    pub say: Say,
}

impl FleetCrew {
    pub fn run(&self, assignment: Assignment) {
        let Assignment { dir, tasks, report, show, show_faults, region, level } = assignment;
        let mut fleet: Option<Fleet> = None;
        let mut faults: Option<Faults> = None;
        let (levels, watched_level) = watch::channel(level());
        loop {
            let task = match tasks.recv_timeout(LOOK_AFTER) {
                Ok(task) => Some(task),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            match task {
                Some(Task::Job(Job::Start(start))) if start.serverless => report(CrewReport::Started(Ok(Vec::new()))),
                Some(Task::Job(Job::Start(start))) => {
                    let name = start.cluster_name.clone();
                    let started = Fleet::start(config(start, dir.clone(), &self.certificates, &self.machine));
                    if let Ok(fleet) = &started {
                        self.monitoring.watch(&region, &name, fleet, watched_level.clone());
                    }
                    report(CrewReport::Started(told(&started, endpoints)));
                    fleet = started.ok();
                    faults = fleet.as_mut().map(|fleet| {
                        Faults::open(dir.join("faults"), Arc::clone(&self.client_programs), fleet, &*self.say)
                    });
                }
                Some(Task::Job(Job::Operate { operation, work })) => {
                    let gets_machines = matches!(work, Work::ChangeType(_));
                    let step = &mut |broker: BrokerId, done: bool| {
                        if let Some(faults) = faults.as_mut().filter(|_| gets_machines && !done) {
                            faults.leave_machine_of(broker);
                        }
                        report(CrewReport::Step { operation: operation.clone(), broker, done });
                    };
                    let result = fleet.as_mut().context(NOT_RUNNING).and_then(|fleet| carry_out(fleet, work, step));
                    let result = told(&result, |()| fleet.as_ref().map(endpoints).unwrap_or_default());
                    report(CrewReport::Operated { operation, result });
                }
                Some(Task::Job(Job::Delete)) => {
                    end(fleet.take(), faults.take(), &*self.say);
                    report(CrewReport::Deleted(remove(&dir)));
                }
                Some(Task::MaxPartitions(answer)) => {
                    let partitions = fleet.as_ref().context(NOT_RUNNING).and_then(Fleet::max_partitions_per_broker);
                    // Whoever asked may have gone away meanwhile.
                    let _ = answer.send(told(&partitions, |partitions| *partitions));
                }
                Some(Task::Topics(call, answer)) => {
                    let asked = fleet.as_ref().context(NOT_RUNNING);
                    let topics = asked.and_then(|fleet| topics::carry_out(&fleet.bootstrap_servers(), call));
                    let _ = answer.send(told(&topics, Topics::clone));
                }
                Some(Task::AlterUsers(credentials, answer)) => {
                    let altered = fleet.as_ref().context(NOT_RUNNING).and_then(|fleet| fleet.alter_users(&credentials));
                    let _ = answer.send(told(&altered, |()| ()));
                }
                Some(Task::Fault(call, answer)) => {
                    let done = match fleet.as_mut().zip(faults.as_mut()) {
                        Some((fleet, faults)) => match &call {
                            FaultCall::Start(order) => faults.start(fleet, order),
                            FaultCall::Stop(id) => faults.stop(fleet, id.as_deref()),
                        },
                        None => Err(anyhow::anyhow!(NOT_RUNNING)),
                    };
                    let shown = faults.as_ref().map(Faults::shown).unwrap_or_default();
                    // Whoever was answered and asks for the status finds it there.
                    show_faults(shown.clone());
                    // Whoever asked may have gone away meanwhile.
                    let _ = answer.send(told(&done, |()| shown));
                }
                // A broker that ended by itself is started again, as MSK does.
                None => match fleet.as_mut().map(Fleet::revive) {
                    Some(Ok(revived)) if !revived.is_empty() => {
                        (self.say)(&format!("brokers {revived:?} had exited and were restarted"))
                    }
                    Some(Err(error)) => (self.say)(&format!("a broker that had exited cannot be restarted: {error:#}")),
                    _ => {}
                },
            }
            levels.send_replace(level());
            if let Some((fleet, faults)) = fleet.as_ref().zip(faults.as_mut()) {
                faults.look_after(fleet, &*self.say);
            }
            show_faults(faults.as_ref().map(Faults::shown).unwrap_or_default());
            show(fleet.as_ref().map(shown).unwrap_or_default());
        }
        end(fleet, faults, &*self.say);
    }
}

/// Takes faults back and stops the brokers.
fn end(fleet: Option<Fleet>, faults: Option<Faults>, say: &dyn Fn(&str)) {
    let Some(mut fleet) = fleet else { return };
    if let Some(mut faults) = faults {
        faults.end(&mut fleet, say);
    }
    let volumes: Vec<PathBuf> = fleet.ids().into_iter().map(|id| fleet.data_dir(id)).collect();
    fleet.stop();
    for volume in volumes {
        if let Err(error) = unmount(&volume) {
            say(&format!("{} stays a separate volume until the next `kgen lab up`: {error:#}", volume.display()));
        }
    }
}

fn shown(fleet: &Fleet) -> Vec<LabBroker> {
    let shown = fleet.status().into_iter().map(|status| LabBroker {
        id: status.endpoints.id,
        pid: status.pid,
        broker_type: status.broker_type.to_string(),
        cores: Some(status.size.cores),
        baseline_cores: Some(status.size.baseline_cores),
        heap_mib: Some(status.size.heap_mib),
        memory_mib: Some(status.size.memory_mib),
        note: status.size.note,
        ..LabBroker::default()
    });
    shown.collect()
}

fn config(start: Start, dir: PathBuf, certificates: &Certificates, machine: &Arc<Machine>) -> FleetConfig {
    FleetConfig {
        machine: machine.clone(),
        // Every fleet has the listener; the control plane names it to those whose cluster has TLS.
        certificates: Some(certificates.clone()),
        cluster_name: start.cluster_name,
        dir,
        broker_type: start.broker_type,
        zones: start.zones,
        broker_count: start.broker_count,
        ids: start.ids,
        volume_gib: start.volume_gib,
        server_properties: start.server_properties,
    }
}

fn carry_out(fleet: &mut Fleet, work: Work, step: &mut dyn FnMut(i32, bool)) -> anyhow::Result<()> {
    match work {
        Work::ChangeType(to) => fleet.change_type(to, step),
        Work::AddBrokers(count) => fleet.add_brokers(count),
        Work::RemoveBrokers(ids) => {
            fleet.remove_brokers(&ids, step);
            Ok(())
        }
        Work::Configure(server_properties) => fleet.configure(&server_properties, step),
        Work::Reboot(brokers) => fleet.reboot(&brokers, step),
        Work::GrowVolumes(gib) => {
            fleet.grow_volumes(gib);
            Ok(())
        }
        Work::Nothing => Ok(()),
    }
}

fn endpoints(fleet: &Fleet) -> Vec<Endpoints> {
    fleet.endpoints().into_iter().map(Endpoints::from).collect()
}

impl From<BrokerEndpoints> for Endpoints {
    fn from(broker: BrokerEndpoints) -> Endpoints {
        Endpoints {
            id: broker.id,
            zone: broker.zone,
            plaintext: broker.plaintext,
            tls: broker.tls,
            scram: broker.scram,
            jmx: broker.jmx,
            node: broker.node,
        }
    }
}

/// A result as it is shown to users of the API.
fn told<T, U>(result: &anyhow::Result<T>, success: impl FnOnce(&T) -> U) -> Result<U, String> {
    result.as_ref().map(success).map_err(|error| format!("{error:#}"))
}

/// Removes the folder of a cluster, if there is one.
pub fn remove(dir: &Path) -> Result<(), String> {
    own::remove_folder(dir).map_err(|error| format!("removing {}: {error}", dir.display()))
}
