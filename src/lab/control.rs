//! The running control plane: decisions are saved, then performed by crews, whose reports lead to new decisions.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::Context;
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::{
    catalogue::MonitoringLevel,
    files::{bounded, own},
    kafka::scram::Credential,
    lab::{
        cluster::{Action, Call, ClusterState, ControlPlane, CrewReport, EmulatedCluster, Kind, Moment, Refusal},
        crew::{Assignment, Crew, FaultCall, NOT_RUNNING, Task},
        topics::{TopicCall, Topics},
    },
    lab_api::{LabAnswered, LabBroker, LabFault, LabOutage, LabStatus, OutageKind},
    process::pause,
    sample::BrokerId,
};

/// Of the state file; a cluster with its configuration takes some KiB.
const STATE_BYTES: u64 = 64 << 20;

/// What brokers are given to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What brokers are given to start with a fault, or without it again.
const FAULT_TIMEOUT: Duration = Duration::from_secs(300);

/// The number that the state file opens with; raised when an older kgen could not read it.
const SCHEMA: u32 = 1;

/// The state file.
const STATE: &str = "control-plane.json";

/// What a lab is made of.
pub struct LabConfig {
    /// Folder of `control-plane.json` and of the brokers.
    pub state_dir: PathBuf,
    /// How clusters are run: with [`FleetCrew`](super::crew::run_fleet).
    pub crew: Crew,
    /// What `/_lab/status` shows of the machine, without clusters.
    pub facts: LabStatus,
}

pub struct Lab {
    config: LabConfig,
    /// Replaced whole by each decision, so that readers never wait for the disk.
    plane: RwLock<Arc<ControlPlane>>,
    /// Held while a decision is made and saved.
    deciding: Mutex<()>,
    crews: Mutex<HashMap<String, Member>>,
    /// What crews show of their brokers, by cluster.
    details: Mutex<HashMap<String, BTreeMap<BrokerId, LabBroker>>>,
    /// What crews show of faults, by cluster.
    faults: Mutex<HashMap<String, Vec<LabFault>>>,
    denied: Mutex<BTreeSet<String>>,
    outages: Mutex<Vec<LabOutage>>,
    answered: Mutex<LabAnswered>,
    /// What went wrong where nobody could be told; shown by `/_lab/status`.
    problem: Mutex<Option<String>>,
}

struct Member {
    tasks: mpsc::Sender<Task>,
    thread: JoinHandle<()>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    schema: u32,
    control_plane: ControlPlane,
}

impl Lab {
    /// Opens the lab in its folder, and starts the brokers of the clusters that it held before.
    ///
    /// # Errors
    /// When the state file is there and cannot be read, or cannot be written.
    pub fn open(config: LabConfig) -> anyhow::Result<Arc<Lab>> {
        let path = config.state_dir.join(STATE);
        own::make_folder(&config.state_dir, 0o777)
            .with_context(|| format!("creating the folder {}", config.state_dir.display()))?;
        let plane = saved(&config.state_dir)?;
        let lab = Arc::new(Lab {
            config,
            plane: RwLock::new(Arc::new(plane)),
            deciding: Mutex::new(()),
            crews: Mutex::default(),
            details: Mutex::default(),
            faults: Mutex::default(),
            denied: Mutex::default(),
            outages: Mutex::default(),
            answered: Mutex::default(),
            problem: Mutex::default(),
        });
        lab.resume().with_context(|| format!("writing {}", path.display()))?;
        Ok(lab)
    }

    fn resume(self: &Arc<Self>) -> std::io::Result<()> {
        let _deciding = self.deciding.lock();
        let mut plane = ControlPlane::clone(&self.plane());
        let actions = plane.resume(&call(String::new()));
        self.save(&plane)?;
        self.replace(plane);
        actions.into_iter().for_each(|action| self.carry_out(action));
        Ok(())
    }

    /// What is known now.
    pub fn plane(&self) -> Arc<ControlPlane> {
        self.plane.read().clone()
    }

    /// Makes a decision, saves it, and has it carried out. Blocks for the disk.
    ///
    /// # Errors
    /// The decision's own refusal; 500 when it could not be saved. Nothing has changed then.
    pub fn decide<T>(
        self: &Arc<Self>,
        decide: impl FnOnce(&mut ControlPlane) -> Result<(T, Option<Action>), Refusal>,
    ) -> Result<T, Refusal> {
        let _deciding = self.deciding.lock();
        let before = self.plane();
        let mut plane = ControlPlane::clone(&before);
        let (answer, action) = decide(&mut plane)?;
        if plane != *before {
            self.save(&plane).map_err(|error| Refusal::internal(format!("the lab cannot save its state: {error}")))?;
            self.replace(plane);
        }
        if let Some(action) = action {
            self.carry_out(action);
        }
        Ok(answer)
    }

    /// The largest number of partitions on one broker of a cluster; none where no broker serves.
    ///
    /// # Errors
    /// 503 when the brokers of an ACTIVE cluster do not say.
    pub async fn partitions(&self, arn: &str) -> Result<Option<u32>, Refusal> {
        if self.plane().cluster(arn)?.state != ClusterState::Active {
            return Ok(None);
        }
        self.ask(arn, "counting partitions", Task::MaxPartitions).await.map(Some)
    }

    /// Reads or changes a cluster's topics.
    ///
    /// # Errors
    /// 503 with what the brokers, or their crew, say.
    pub async fn topics(&self, arn: &str, call: TopicCall) -> Result<Topics, Refusal> {
        match self.told(arn, ANSWER_TIMEOUT, |answer| Task::Topics(call, answer)).await {
            Ok(said) => said.map_err(|reason| Refusal::new(Kind::Unavailable, reason)),
            Err(reason) => Err(Refusal::new(Kind::Unavailable, reason)),
        }
    }

    /// Actions of IAM that are denied, for tests.
    pub fn denied(&self) -> BTreeSet<String> {
        self.denied.lock().clone()
    }

    /// Denies these actions, such as `kafka:ListTopics`, and no others from now on.
    pub fn deny(&self, actions: BTreeSet<String>) {
        *self.denied.lock() = actions;
    }

    /// Whose calls are refused, for tests.
    pub fn outages(&self) -> Vec<LabOutage> {
        self.outages.lock().clone()
    }

    /// Refuses the calls that match one of `outages`, and no others from now on.
    pub fn refuse(&self, outages: Vec<LabOutage>) {
        *self.outages.lock() = outages;
    }

    /// How a call that is signed with `key` for `region` is refused, if it is.
    pub fn outage(&self, key: &str, region: &str) -> Option<OutageKind> {
        let matches = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted == is);
        let outages = self.outages.lock();
        let mut of_call = outages.iter().filter(|outage| matches(&outage.key, key) && matches(&outage.region, region));
        of_call.next().map(|outage| outage.kind)
    }

    /// What CloudWatch was asked since the start.
    pub fn answered(&self) -> LabAnswered {
        *self.answered.lock()
    }

    /// Counts a call of CloudWatch that is answered, with the metrics that it asks for.
    pub fn count(&self, operation: &str, metrics: usize) {
        let mut answered = self.answered.lock();
        match operation {
            "GetMetricData" => {
                answered.get_metric_data_calls += 1;
                answered.metrics += metrics as u64;
            }
            "ListMetrics" => answered.list_metrics_calls += 1,
            _ => {}
        }
    }

    /// Has a cluster's brokers take over users of SASL/SCRAM.
    ///
    /// # Errors
    /// 503 when they do not.
    pub async fn alter_users(&self, arn: &str, credentials: Vec<Credential>) -> Result<(), Refusal> {
        if credentials.is_empty() {
            return Ok(());
        }
        self.ask(arn, "changing users", |answer| Task::AlterUsers(credentials, answer)).await
    }

    /// Makes a fault on a cluster, or takes faults back. Returns those that run then.
    ///
    /// # Errors
    /// 400 with what the brokers' crew says; 503 when it does not say anything.
    pub async fn fault(&self, arn: &str, call: FaultCall) -> Result<Vec<LabFault>, Refusal> {
        match self.told(arn, FAULT_TIMEOUT, |answer| Task::Fault(call, answer)).await {
            Ok(said) => said.map_err(Refusal::bad),
            Err(reason) => Err(Refusal::new(Kind::Unavailable, reason)),
        }
    }

    /// What a cluster's crew says to a task; `what` it is for is in the refusal.
    async fn ask<T>(
        &self,
        arn: &str,
        what: &str,
        task: impl FnOnce(oneshot::Sender<Result<T, String>>) -> Task,
    ) -> Result<T, Refusal> {
        let said = self.told(arn, ANSWER_TIMEOUT, task).await.map_err(str::to_owned).flatten();
        said.map_err(|reason| Refusal::new(Kind::Unavailable, format!("{what}: {reason}")))
    }

    /// Gives a cluster's crew a task and waits for what it says; the error is why it says nothing.
    async fn told<T>(
        &self,
        arn: &str,
        within: Duration,
        task: impl FnOnce(oneshot::Sender<Result<T, String>>) -> Task,
    ) -> Result<Result<T, String>, &'static str> {
        let (ask, answer) = oneshot::channel();
        if self.crews.lock().get(arn).is_none_or(|member| member.tasks.send(task(ask)).is_err()) {
            return Err(NOT_RUNNING);
        }
        match tokio::time::timeout(within, answer).await {
            Ok(Ok(said)) => Ok(said),
            _ => Err("the brokers did not respond in time"),
        }
    }

    /// The faults that run on a cluster.
    pub fn faults(&self, arn: &str) -> Vec<LabFault> {
        self.faults.lock().get(arn).cloned().unwrap_or_default()
    }

    /// What the program around the lab adds to the status.
    pub fn facts(&self) -> &LabStatus {
        &self.config.facts
    }

    /// What the crew shows of a cluster's brokers.
    pub fn details(&self, arn: &str) -> BTreeMap<BrokerId, LabBroker> {
        self.details.lock().get(arn).cloned().unwrap_or_default()
    }

    pub fn problem(&self) -> Option<String> {
        self.problem.lock().clone()
    }

    /// Stops every broker, waiting for running work no longer than `patience`. Clusters are there again at the next
    /// [`Lab::open`].
    ///
    /// # Errors
    /// When work was still running at the end; the brokers concerned die with this process.
    pub fn stop(&self, patience: Duration) -> anyhow::Result<()> {
        let asked = Instant::now();
        let members: Vec<_> = self.crews.lock().drain().collect();
        // Without senders the tasks end, all crews at once.
        let threads: Vec<_> = members.into_iter().map(|(arn, member)| (arn, member.thread)).collect();
        for (arn, thread) in threads {
            let has_ended = pause(patience.saturating_sub(asked.elapsed()), || thread.is_finished());
            anyhow::ensure!(has_ended, "the brokers of {arn} were still busy after {patience:?}");
        }
        Ok(())
    }

    fn save(&self, plane: &ControlPlane) -> std::io::Result<()> {
        let saved = Saved { schema: SCHEMA, control_plane: plane.clone() };
        own::replace(&self.config.state_dir.join(STATE), &serde_json::to_vec_pretty(&saved)?)
    }

    fn replace(&self, plane: ControlPlane) {
        *self.plane.write() = Arc::new(plane);
    }

    /// Hands an action to the cluster's crew, which is made if there is none. Called while deciding.
    fn carry_out(self: &Arc<Self>, action: Action) {
        let arn = action.cluster;
        let Ok(dir) = self.plane().cluster(&arn).map(EmulatedCluster::dir) else { return };
        let dir = self.config.state_dir.join(dir);
        let mut crews = self.crews.lock();
        // A crew whose thread has ended cannot take the job, and is recreated.
        if crews.get(&arn).is_none_or(|member| member.thread.is_finished()) {
            match self.hire(&arn, dir) {
                Ok(member) => crews.insert(arn.clone(), member),
                Err(error) => {
                    drop(crews);
                    return self.take_in(&arn, CrewReport::Lost, Some(format!("starting a thread: {error}")));
                }
            };
        }
        if let Some(member) = crews.get(&arn)
            && member.tasks.send(Task::Job(action.job)).is_err()
        {
            drop(crews);
            self.take_in(&arn, CrewReport::Lost, None);
        }
    }

    /// Starts the thread of a cluster.
    fn hire(self: &Arc<Self>, arn: &str, dir: PathBuf) -> std::io::Result<Member> {
        let (tasks, taken) = mpsc::channel();
        let (lab, arn, crew) = (self.clone(), arn.to_owned(), self.config.crew.clone());
        let thread = std::thread::Builder::new().name("brokers".to_owned()).spawn(move || {
            let reporter = (lab.clone(), arn.clone());
            let report = Box::new(move |report| reporter.0.record(&reporter.1, report));
            let shown = (lab.clone(), arn.clone());
            let show = Box::new(move |brokers: Vec<LabBroker>| {
                let brokers = brokers.into_iter().map(|broker| (broker.id, broker)).collect();
                shown.0.details.lock().insert(shown.1.clone(), brokers);
            });
            let faulty = (lab.clone(), arn.clone());
            let show_faults = Box::new(move |faults: Vec<LabFault>| {
                faulty.0.faults.lock().insert(faulty.1.clone(), faults);
            });
            let region = lab.plane().cluster(&arn).map(|cluster| cluster.region.clone()).unwrap_or_default();
            let known = (lab.clone(), arn.clone());
            let level = Box::new(move || {
                let level = |cluster: &EmulatedCluster| cluster.provisioned.enhanced_monitoring;
                known.0.plane().cluster(&known.1).map(level).unwrap_or(MonitoringLevel::Default)
            });
            let assignment = Assignment { dir, tasks: taken, report, show, show_faults, region, level };
            let work = AssertUnwindSafe(|| crew(assignment));
            if catch_unwind(work).is_err() {
                lab.record(&arn, CrewReport::Lost);
            }
        })?;
        Ok(Member { tasks, thread })
    }

    /// What a crew reports, from its thread.
    fn record(&self, arn: &str, report: CrewReport) {
        let _deciding = self.deciding.lock();
        let gone = matches!(report, CrewReport::Deleted(Ok(())));
        self.take_in(arn, report, None);
        if gone {
            // Its tasks end with the sender.
            self.crews.lock().remove(arn);
            self.details.lock().remove(arn);
            self.faults.lock().remove(arn);
        }
    }

    /// Decides on a report; called while deciding. What happened has happened, so it counts even if it is not saved.
    fn take_in(&self, arn: &str, report: CrewReport, problem: Option<String>) {
        let mut plane = ControlPlane::clone(&self.plane());
        plane.record(arn, report, &call(String::new()));
        let saved = self.save(&plane);
        self.replace(plane);
        let problem = problem.or(saved.err().map(|error| format!("saving the lab's state: {error}")));
        if problem.is_some() {
            *self.problem.lock() = problem;
        }
    }
}

/// What the state file in `dir` says; `None` if there is none.
///
/// # Errors
/// It cannot be read, or it says what no lab has written: then nothing of it counts.
pub fn saved(dir: &Path) -> anyhow::Result<ControlPlane> {
    const ADVICE: &str = "move it away to start with an empty lab (`kgen lab down --purge` deletes the old clusters)";
    let path = dir.join(STATE);
    let bytes = match own::open(&path).and_then(|file| bounded::all(file, STATE_BYTES)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(ControlPlane::default()),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let saved: Saved =
        serde_json::from_slice(&bytes).with_context(|| format!("reading {} ({ADVICE})", path.display()))?;
    anyhow::ensure!(
        saved.schema == SCHEMA,
        "{} has schema {}, but this version of kgen reads {SCHEMA}: use the kgen that wrote it, or {ADVICE}",
        path.display(),
        saved.schema
    );
    let checked = saved.control_plane.ensure_plausible();
    checked.with_context(|| format!("{} was not written by a kgen lab; {ADVICE}", path.display()))?;
    Ok(saved.control_plane)
}

/// A call at this moment.
pub fn call(region: String) -> Call {
    let now = Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap_or(Timestamp::UNIX_EPOCH);
    Call { region, at: Moment(now), id: uuid::Uuid::new_v4() }
}
