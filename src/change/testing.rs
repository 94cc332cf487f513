//! A project with a control plane without brokers, brokers without Kafka and a stub terraform: tests a change from the
//! question to the proof in less than a second.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{
    Change, ChangeEnd, Edit, Event, Observer, Question, Request, Site, Timing,
    journal::{self, Intent, Journal, Step},
    prepare,
    resume::{Found, find},
};
use crate::{
    catalogue::BrokerType,
    kafka::testing::{Brokers, MockKafka as Kafka},
    lab::{
        cluster::{ClusterState, ControlPlane, CrewReport, EmulatedCluster, Endpoints, Job, Update, Work},
        control::{Lab, LabConfig, call},
        crew::{Assignment, Task},
        server::serve,
        service::Running,
    },
    lab_api::LabStatus,
    project::Project,
    record::Record,
    report::Span,
    run::{Run, now},
    watch::{Place, runtime},
};

/// How long anything may take, so that a test that fails ends.
const LONGEST: Duration = Duration::from_secs(120);

/// Zones of the cluster.
const ZONES: usize = 3;

/// Everything that a change works on.
pub struct World {
    folder: tempfile::TempDir,
    pub brokers: Brokers,
    lab: Arc<Lab>,
    endpoint: String,
    pub arn: String,
    /// While it is set, operations of the cluster do not end.
    pub is_held: Arc<AtomicBool>,
    stop: Option<oneshot::Sender<()>>,
    server: Option<thread::JoinHandle<()>>,
    pub timing: Timing,
}

impl World {
    /// A cluster of three t3.small brokers that kgen.toml and `terraform/` describe, with a topic of six partitions.
    pub fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let brokers = Brokers::start(9, 3);
        brokers.cluster().create("orders", 6, &[1, 2, 3]);
        let is_held = Arc::new(AtomicBool::new(false));
        let crew = Crew {
            addresses: (1..=9).map(|id| brokers.address(id)).collect(),
            kafka: brokers.shared(),
            is_held: Arc::clone(&is_held),
        };
        let lab = Lab::open(LabConfig {
            state_dir: folder.path().join("lab"),
            crew: Arc::new(move |assignment| crew.run(assignment)),
            facts: LabStatus { scale: Some(4.0), ..LabStatus::default() },
        });
        let lab = lab.unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = Arc::clone(&lab);
        let server = thread::spawn(move || {
            let ended = async move {
                let _ = stopped.await;
            };
            runtime().unwrap().block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let metrics = Arc::new(crate::lab::cloudwatch::Metrics::of_minutes());
                serve(listener, ended, served, address, metrics, None).await.unwrap();
            });
        });
        let endpoint = format!("http://{address}");
        let (stop, server, arn) = (Some(stop), Some(server), String::new());
        let timing = Timing {
            interval: Duration::from_millis(20),
            look_every: Duration::from_millis(5),
            warm_up: Duration::ZERO,
            settle_within: LONGEST,
            operation_within: LONGEST,
            calm_within: LONGEST,
        };
        let mut world = World { folder, brokers, lab, endpoint, arn, is_held, stop, server, timing };
        world.render();
        world.create();
        world.terraform_updates();
        world
    }

    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    pub fn project(&self) -> Project {
        Project::open(&self.dir()).unwrap()
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir().join(name)).unwrap_or_default()
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.dir().join(name), text).unwrap();
    }

    fn render(&self) {
        fs::create_dir_all(self.dir().join("terraform/.terraform")).unwrap();
        fs::create_dir_all(self.dir().join("stub")).unwrap();
        self.write("terraform/.terraform.lock.hcl", "");
        let project = self.project();
        for (name, text) in project.stack().render().files() {
            self.write(&format!("terraform/{name}"), text);
        }
    }

    fn create(&mut self) {
        let (project, region) = (self.project(), self.region());
        let (name, volume_gib) = (&project.stack().cluster().name, project.stack().cluster().volume_gib as i32);
        runtime().unwrap().block_on(async {
            let aws = self.place().aws(&region).await;
            aws.create_lab_cluster(name, "kafka.t3.small", ZONES as i32, volume_gib).await.unwrap();
        });
        self.arn = self.lab.plane().all_clusters()[0].arn.clone();
        self.await_state(ClusterState::Active);
    }

    fn region(&self) -> String {
        self.project().stack().region().to_owned()
    }

    pub fn place(&self) -> Place {
        let running = Running { pid: std::process::id(), endpoint: self.endpoint.clone() };
        Place::Lab { running, env: Vec::new() }
    }

    pub fn site(&self) -> Site {
        let terraform = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/change/testing/terraform.sh");
        Site { dir: self.dir(), terraform: Some(terraform), place: self.place(), timing: self.timing }
    }

    /// The cluster as the control plane has it.
    pub fn cluster(&self) -> EmulatedCluster {
        self.lab.plane().cluster(&self.arn).unwrap().clone()
    }

    pub fn broker_type(&self) -> String {
        self.cluster().provisioned.broker_node_group_info.instance_type.to_string()
    }

    pub fn await_state(&self, state: ClusterState) {
        let started = Instant::now();
        while self.cluster().state != state {
            assert!(started.elapsed() < LONGEST, "the cluster is {:?}", self.cluster().state);
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Has the control plane begin an update.
    pub fn update(&self, update: Update) {
        let arn = self.arn.clone();
        let decide = |plane: &mut ControlPlane| {
            let (_, action) = plane.update(&arn, None, update, None, &call(String::new()))?;
            Ok(((), action))
        };
        self.lab.decide(decide).unwrap();
    }

    /// The same, to its end.
    pub fn updated(&self, update: Update) {
        self.update(update);
        self.await_state(ClusterState::Active);
    }

    /// What terraform's plan says of the cluster, with these values after it.
    pub fn planned(&self, broker_type: &str, brokers: u32) -> Value {
        let values = |broker_type: &str, brokers: u32| {
            json!({"arn": self.arn, "number_of_broker_nodes": brokers,
                   "broker_node_group_info": [{"instance_type": broker_type}]})
        };
        let before = values(&self.broker_type(), self.cluster().provisioned.number_of_broker_nodes);
        json!({"address": "aws_msk_cluster.main", "mode": "managed", "type": "aws_msk_cluster",
               "change": {"actions": ["update"], "before": before, "after": values(broker_type, brokers)}})
    }

    /// Terraform plans this.
    pub fn terraform_plans(&self, resources: &[Value]) {
        self.write("stub/plan.json", &json!({"complete": true, "resource_changes": resources}).to_string());
    }

    /// Terraform plans and applies what kgen's own HCL would be planned as, a resize to m5.large.
    fn terraform_updates(&self) {
        self.terraform_plans(&[self.planned("kafka.m5.large", 3)]);
        self.terraform_applies(&self.call("type", &json!({"targetInstanceType": "kafka.m5.large"})));
    }

    /// The same, a scale-out to six brokers with their alarms.
    pub fn terraform_adds_brokers(&self) {
        let alarm = json!({"address": "aws_cloudwatch_metric_alarm.cpu[\"4\"]", "mode": "managed",
                           "type": "aws_cloudwatch_metric_alarm", "change": {"actions": ["create"]}});
        self.terraform_plans(&[self.planned("kafka.t3.small", 6), alarm]);
        self.terraform_applies(&self.call("count", &json!({"targetNumberOfBrokerNodes": 6})));
    }

    /// What terraform's apply does, in bash.
    pub fn terraform_applies(&self, script: &str) {
        self.write("stub/apply.sh", script);
    }

    /// A call of the control plane that names the version that the cluster has now, as terraform's plan has read it. Fails as
    /// terraform does where it is refused.
    pub fn call(&self, what: &str, change: &Value) -> String {
        let mut body = change.clone();
        body["currentVersion"] = self.cluster().version.into();
        let (host, body) = (self.endpoint.trim_start_matches("http://"), body.to_string());
        let arn = utf8_percent_encode(&self.arn, NON_ALPHANUMERIC);
        let port = host.rsplit(':').next().unwrap();
        let event = |kind: &str| json!({"type": kind, "hook": {"resource": {"addr": "aws_msk_cluster.main"}, "action": "update"}});
        let refused = json!({"type": "diagnostic", "diagnostic":
            {"severity": "error", "summary": "updating MSK Cluster: BadRequestException", "detail": ""}});
        format!(
            "echo '{started}'\nexec 3<>/dev/tcp/127.0.0.1/{port}\n\
             printf 'PUT /v1/clusters/%s/nodes/{what} HTTP/1.1\\r\\nhost: {host}\\r\\nconnection: close\\r\\n\
             authorization: AWS4-HMAC-SHA256 Credential=lab/20261124/{region}/kafka/aws4_request, Signature=0\\r\\n\
             content-type: application/json\\r\\ncontent-length: {length}\\r\\n\\r\\n%s' '{arn}' '{body}' >&3\n\
             answer=$(cat <&3)\n\
             case \"$answer\" in *'HTTP/1.1 200'*) touch ../stub/applied ;; *) echo '{refused}'; exit 1 ;; esac\n",
            started = event("apply_start"),
            region = self.region(),
            length = body.len(),
        )
    }

    /// Commands of terraform so far.
    pub fn calls(&self) -> Vec<String> {
        self.read("stub/calls").lines().map(str::to_owned).collect()
    }

    pub fn run(&self, change: Change, seen: &mut Seen) -> anyhow::Result<ChangeEnd> {
        super::run(&self.request(change), &self.site(), seen)
    }

    pub fn request(&self, change: Change) -> Request {
        Request { change, measure: Duration::from_millis(20), throttle_bytes_per_s: 20 << 20, dry_run: false }
    }

    /// The only run that is recorded.
    pub fn recorded(&self) -> Run {
        let runs: Vec<_> = fs::read_dir(self.project().runs_dir()).unwrap().map(|run| run.unwrap().path()).collect();
        assert_eq!(runs.len(), 1, "{runs:?}");
        Run::read(&runs[0]).unwrap()
    }

    pub fn has_record(&self) -> bool {
        fs::read_dir(self.project().runs_dir()).is_ok_and(|mut runs| runs.next().is_some())
    }

    /// The step that the recorded change has come to.
    pub fn step(&self) -> Step {
        journal::reached(&self.recorded()).unwrap().step
    }

    /// How the recorded run ended.
    pub fn end(&self) -> String {
        self.recorded().end().map(|end| end.outcome.clone()).unwrap_or_default()
    }

    /// Leaves what a kgen leaves that was killed at `step` of `change`.
    pub fn left_at(&self, change: Change, step: Step) -> Vec<Edit> {
        let (project, place, mut seen) = (self.project(), self.place(), Seen::default());
        let ready = prepare(&project, change, &place).unwrap();
        let record = Record::begin(&project, change.name(), None).unwrap();
        let journal = Journal::new(Some(record), self.timing, &mut seen).unwrap();
        let (measure_s, throttle_bytes_per_s) = (0.02, 20 << 20);
        journal.intent(&Intent { change, measure_s, throttle_bytes_per_s }).unwrap();
        journal.step(Step::Measuring).unwrap();
        if step == Step::Measuring {
            return Vec::new();
        }
        let now = now().as_millisecond();
        journal.before(Span { from_ms: now, to_ms: now }).unwrap();
        journal.edits(&ready.edits).unwrap();
        journal.step(step).unwrap();
        if step != Step::PutBack {
            ready.edits.iter().for_each(|edit| self.write(edit.path.to_str().unwrap(), &edit.after));
        }
        ready.edits.clone()
    }

    /// Resumes the run that was left.
    pub fn resume(&self, undo: bool, seen: &mut Seen) -> anyhow::Result<ChangeEnd> {
        match find(&self.site(), None)? {
            Found::Change(left) => left.resume(undo, &self.site(), seen),
            Found::Demo(_) => panic!("no demo was left"),
        }
    }

    /// kgen.toml and `terraform/` are as they were before any change.
    pub fn is_as_before(&self) -> bool {
        let project = self.project();
        project.stack().broker_type() == BrokerType::T3_SMALL
            && project.stack().cluster().broker_count == 3
            && project.check_rendered().is_ok()
    }

    /// kgen.toml and `terraform/` are as `change` makes them.
    pub fn is_written(&self, change: Change) -> bool {
        let project = self.project();
        let is_set = match change {
            Change::BrokerType(to) => project.stack().broker_type() == to,
            Change::BrokerCount(to) => project.stack().cluster().broker_count == to,
        };
        is_set && project.check_rendered().is_ok()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.is_held.store(false, Ordering::SeqCst);
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.server.take().map(thread::JoinHandle::join);
        let _ = self.lab.stop(LONGEST);
    }
}

/// Makes the changes that the control plane decides on, of brokers without Kafka.
struct Crew {
    addresses: Vec<std::net::SocketAddr>,
    kafka: Arc<Mutex<Kafka>>,
    is_held: Arc<AtomicBool>,
}

impl Crew {
    fn run(&self, assignment: Assignment) {
        let mut brokers: Vec<Endpoints> = Vec::new();
        for task in assignment.tasks {
            match task {
                Task::Job(Job::Start(config)) => {
                    brokers = (1..=config.broker_count).map(|id| self.broker(id)).collect();
                    (assignment.report)(CrewReport::Started(Ok(brokers.clone())));
                }
                Task::Job(Job::Operate { operation, work }) => {
                    while self.is_held.load(Ordering::SeqCst) {
                        thread::sleep(Duration::from_millis(2));
                    }
                    if let Work::AddBrokers(count) = work {
                        brokers = (1..=count).map(|id| self.broker(id)).collect();
                        self.kafka.lock().unwrap().members = count as usize;
                    }
                    for id in brokers.iter().map(|broker| broker.id) {
                        (assignment.report)(CrewReport::Step { operation: operation.clone(), broker: id, done: true });
                    }
                    (assignment.report)(CrewReport::Operated { operation, result: Ok(brokers.clone()) });
                }
                Task::MaxPartitions(answer) => answer.send(Ok(6)).unwrap_or_default(),
                _ => {}
            }
        }
    }

    fn broker(&self, id: u32) -> Endpoints {
        let plaintext = self.addresses[id as usize - 1];
        let zone = ["a", "b", "c"][(id as usize - 1) % ZONES].to_owned();
        // Nothing listens there, so brokers are seen by the Kafka protocol alone.
        let none = ([127, 0, 0, 1], 1).into();
        Endpoints { id: id as i32, zone, plaintext, tls: None, scram: None, jmx: none, node: none }
    }
}

/// What a test does in the middle of a change.
type Act = Box<dyn Fn()>;

/// What was seen of a change, and how questions were answered.
#[derive(Default)]
pub struct Seen {
    /// Events without their values, and what they are about.
    pub events: Vec<String>,
    pub questions: Vec<String>,
    /// Questions are answered with no.
    pub declines: bool,
    /// The change is interrupted when an event begins so.
    pub interrupts_at: Option<&'static str>,
    is_interrupting: bool,
    /// What is done when an event begins so.
    pub acts: Vec<(&'static str, Act)>,
}

impl Seen {
    pub fn declining() -> Seen {
        Seen { declines: true, ..Seen::default() }
    }

    pub fn interrupting_at(event: &'static str) -> Seen {
        Seen { interrupts_at: Some(event), ..Seen::default() }
    }

    /// The same, which does `act` when an event begins with `event`.
    pub fn doing(mut self, event: &'static str, act: impl Fn() + 'static) -> Seen {
        self.acts.push((event, Box::new(act)));
        self
    }

    /// Whether an event begins so.
    pub fn has(&self, event: &str) -> bool {
        self.events.iter().any(|seen| seen.starts_with(event))
    }
}

impl Observer for Seen {
    fn see(&mut self, event: &Event<'_>) {
        // Drawn many times a second.
        if let Event::Terraform(_) | Event::TerraformAside(_) = event {
            return;
        }
        let event = format!("{event:?}");
        self.is_interrupting |= self.interrupts_at.is_some_and(|at| event.starts_with(at));
        self.acts.iter().filter(|(at, _)| event.starts_with(at)).for_each(|(_, act)| act());
        self.events.push(event);
    }

    fn approve(&mut self, question: &Question<'_>) -> anyhow::Result<bool> {
        self.questions.push(format!("{question:?}"));
        Ok(!self.declines)
    }

    fn is_interrupting(&self) -> bool {
        self.is_interrupting
    }
}
