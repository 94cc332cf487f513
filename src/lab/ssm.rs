//! Run Command of Systems Manager on the lab's client instances: the instances are the emulator's, the commands are run on
//! this machine, each instance's in a folder of its own and contained as the machine allows.
//!
//! A command has a thread, which starts its scripts and lives as long as they do: they die with it.

mod command;
mod disk;
mod document;
mod emulator;
mod fault;
pub mod harm;
mod instances;
pub mod machine;
mod user_data;

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use self::{
    command::{Command, Invocation, Order, State, information, is_target},
    emulator::Emulator,
    fault::Fault,
    harm::Faults,
    instances::Instance,
    machine::Machine,
};
use crate::{
    files::own,
    lab_api::{FaultOrder, LabFault, LabInstance, SessionOrder},
    process::{Contained, Containment, Script},
};

/// How often running scripts are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How often it is asked whether the instances of running scripts still run.
const INSTANCES_EVERY: Duration = Duration::from_secs(2);
/// Commands that are remembered; SSM keeps them 30 days.
const MOST_COMMANDS: usize = 1000;
/// What is uploaded of an output, bytes.
const MOST_OUTPUT: u64 = 256 << 20;
/// How long an upload may take.
const UPLOAD_WITHIN: Duration = Duration::from_secs(60);
/// Exit code where no shell could be started, as of a shell that finds no program.
const NOT_STARTED: i32 = 127;

/// The calls that the lab answers itself; the emulator has all others, documents and parameters among them.
const CALLS: [&str; 6] = [
    "CancelCommand",
    "DescribeInstanceInformation",
    "GetCommandInvocation",
    "ListCommandInvocations",
    "ListCommands",
    "SendCommand",
];

/// Where the instances' files are, and what their commands find.
#[derive(Debug, Clone)]
pub struct Place {
    /// A folder for each instance goes here. Absolute, as the other paths.
    pub folder: PathBuf,
    /// What is on their PATH before this machine's own.
    pub tools: PathBuf,
    /// This kgen, which is on it too.
    pub kgen: PathBuf,
    /// The lab's endpoint.
    pub endpoint: String,
}

#[cfg(test)]
impl Place {
    /// Below `dir`, with a kgen that does nothing and an endpoint where nobody answers.
    fn without_lab(dir: &Path) -> Place {
        Place {
            folder: dir.join("clients"),
            tools: dir.join("bin"),
            kgen: "/bin/true".into(),
            endpoint: "http://127.0.0.1:1".into(),
        }
    }
}

/// Systems Manager of all regions.
pub struct Ssm {
    place: Place,
    emulator: SocketAddr,
    http: reqwest::Client,
    commands: Mutex<Commands>,
    faults: Mutex<Faults>,
    /// Held while it is decided what becomes of an instance's user data.
    deciding: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Commands {
    by_id: BTreeMap<String, Command>,
    /// The oldest first.
    order: VecDeque<String>,
}

/// The operation that a request's X-Amz-Target names, if the lab answers it.
pub fn operation(target: Option<&str>) -> Option<&'static str> {
    let name = target?.strip_prefix("AmazonSSM.")?;
    CALLS.into_iter().find(|call| *call == name)
}

impl Ssm {
    /// # Errors
    /// No client for the emulator can be made.
    pub fn new(place: Place, emulator: SocketAddr) -> anyhow::Result<Arc<Ssm>> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Arc::new(Ssm {
            place,
            emulator,
            http,
            commands: Mutex::default(),
            faults: Mutex::default(),
            deciding: tokio::sync::Mutex::default(),
        }))
    }

    /// How the instances' commands are held apart, for `kgen lab status`.
    pub fn containment() -> &'static str {
        Containment::here().describe()
    }

    /// Answers a call.
    ///
    /// # Errors
    /// As SSM refuses it.
    pub async fn answer(self: &Arc<Self>, operation: &str, region: &str, input: &Value) -> Result<Value, Fault> {
        match operation {
            "SendCommand" => self.send(region, input).await,
            "DescribeInstanceInformation" => self.describe(region, input).await,
            "GetCommandInvocation" => self.result(region, input),
            "ListCommandInvocations" => self.invocations(region, input),
            "ListCommands" => self.list(region, input),
            "CancelCommand" => self.cancel(region, input),
            _ => Err(Fault::new("InternalServerError", format!("the lab does not imitate {operation}"))),
        }
    }

    /// Begins a fault on the instance that `order` names by its id or its Name tag. Returns those that run.
    ///
    /// # Errors
    /// There is no such instance or fault, or this machine does not allow it.
    pub async fn start_fault(&self, order: &FaultOrder) -> Result<Vec<LabFault>, Fault> {
        let name = order.instance.as_deref().unwrap_or_default();
        let all = self.all(order.region.as_deref().unwrap_or_default()).await?;
        let mut meant = all.iter().filter(|one| {
            one.state == "running" && (one.id == name || one.tags.get("Name").is_some_and(|tag| tag == name))
        });
        let instance = match (meant.next(), meant.next()) {
            (Some(one), None) => &one.id,
            (Some(_), Some(_)) => {
                return Err(Fault::new(
                    "InvalidParameters",
                    format!("several instances are named {name:?}: use an id"),
                ));
            }
            (None, _) => {
                return Err(Fault::new("InvalidInstanceId", format!("no instance {name:?} is running in the lab")));
            }
        };
        let mut faults = self.faults.lock();
        faults.start(order, instance, Timestamp::now())?;
        Ok(faults.shown())
    }

    /// Ends the faults of this id, or all. Returns how many that were.
    pub fn stop_faults(&self, id: Option<&str>) -> usize {
        self.faults.lock().stop(id)
    }

    /// The faults that run.
    pub fn faults(&self) -> Vec<LabFault> {
        self.faults.lock().shown()
    }

    /// The instances that have had a command or a session.
    pub fn seen(&self) -> Vec<LabInstance> {
        user_data::instances(&self.place.folder)
    }

    /// Makes an instance ready for a session that another process opens. Returns the faults that run on it.
    ///
    /// # Errors
    /// It is not online, or its folder cannot be written.
    pub async fn open_session(&self, order: &SessionOrder) -> Result<Vec<LabFault>, Fault> {
        let SessionOrder { instance, region } = order;
        let all = self.all(region).await?;
        let is_off = self.faults.lock().is_off(instance);
        if is_off || !all.iter().any(|one| one.id == *instance && one.is_online()) {
            return Err(Fault::new(
                "TargetNotConnected",
                format!(
                    "{instance} is not online: it does not run, a fault has silenced it, or it has no instance profile"
                ),
            ));
        }
        let failed = |error: io::Error| Fault::new("InternalServerError", format!("preparing {instance}: {error}"));
        let machine = Machine { place: &self.place, id: instance, region };
        self.decide_user_data(machine).await.map_err(failed)?;
        machine.prepare().map_err(failed)?;
        let mut faults = self.faults();
        faults.retain(|fault| fault.instance.as_ref() == Some(instance));
        Ok(faults)
    }

    /// Before its first command or session, whether the instance's user data is carried out.
    async fn decide_user_data(&self, machine: Machine<'_>) -> io::Result<()> {
        let _alone = self.deciding.lock().await;
        let folder = &machine.user_data();
        if user_data::is_decided(folder) {
            return Ok(());
        }
        if Containment::here() == Containment::ProcessGroup {
            return user_data::forgo(folder, "this machine has no namespaces (unshare) in which it could be");
        }
        let script = match instances::user_data(self.emulator(machine.region), machine.id).await {
            Ok(script) => script,
            Err(error) => return user_data::forgo(folder, &format!("{error:#}")),
        };
        match (user_data::obstacle(script.as_deref()), script) {
            (None, Some(script)) => user_data::stage(folder, &self.place.kgen, &script),
            (why, _) => user_data::forgo(folder, why.unwrap_or_default()),
        }
    }

    fn emulator<'a>(&'a self, region: &'a str) -> Emulator<'a> {
        Emulator { http: &self.http, at: self.emulator, region }
    }

    async fn all(&self, region: &str) -> Result<Vec<Instance>, Fault> {
        let listed = instances::list(self.emulator(region)).await;
        listed.map_err(|error| Fault::new("InternalServerError", format!("{error:#}")))
    }

    async fn send(self: &Arc<Self>, region: &str, input: &Value) -> Result<Value, Fault> {
        let id = uuid::Uuid::new_v4().to_string();
        let name = input.get("DocumentName").and_then(Value::as_str).unwrap_or_default();
        let content = document::content(self.emulator(region), name).await?;
        let order = Order::read(input, &content, id.clone(), region, Timestamp::now())?;
        let invocation = |instance: Instance| {
            let dir = self.place.folder.join(&instance.id).join("commands").join(&id);
            Invocation {
                instance,
                state: State::Pending,
                code: None,
                begun: None,
                ended: None,
                stdout: dir.join("stdout"),
                stderr: dir.join("stderr"),
                cancel: false,
            }
        };
        let meant = order.meant(&self.all(region).await?)?;
        let command = Command { order, invocations: meant.into_iter().map(invocation).collect() };
        let shape = command.shape();
        {
            let mut commands = self.commands.lock();
            commands.by_id.insert(id.clone(), command);
            commands.order.push_back(id.clone());
            if commands.order.len() > MOST_COMMANDS
                && let Some(oldest) = commands.order.pop_front()
            {
                commands.by_id.remove(&oldest);
            }
        }
        let (ssm, runtime) = (Arc::clone(self), Handle::current());
        let begin = move || ssm.run(&id, &runtime);
        let name = "ssm-command".to_owned();
        std::thread::Builder::new()
            .name(name)
            .spawn(begin)
            .map_err(|error| Fault::new("InternalServerError", format!("starting the command: {error}")))?;
        Ok(json!({ "Command": shape }))
    }

    async fn describe(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let list = |name: &str| input.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let filters: Vec<Value> = list("Filters").into_iter().chain(list("InstanceInformationFilterList")).collect();
        let all = self.all(region).await?;
        let fits =
            |instance: &&Instance| instance.is_online() && filters.iter().all(|filter| is_target(instance, filter));
        let now = SystemTime::now();
        let faults = self.faults.lock();
        let shape = |instance: &Instance| information(instance, !faults.is_off(&instance.id), now);
        let found: Vec<Value> = all.iter().filter(fits).map(shape).collect();
        Ok(json!({ "InstanceInformationList": found }))
    }

    /// What `read` makes of the command that a call names.
    fn of<T>(
        &self,
        region: &str,
        input: &Value,
        read: impl FnOnce(&mut Command) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let id = input.get("CommandId").and_then(Value::as_str).unwrap_or_default();
        let mut commands = self.commands.lock();
        match commands.by_id.get_mut(id).filter(|command| command.order.region == region) {
            Some(command) => read(command),
            None => Err(Fault::new("InvalidCommandId", format!("there is no command {id:?}"))),
        }
    }

    fn result(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let instance = input.get("InstanceId").and_then(Value::as_str).unwrap_or_default();
        let name = input.get("PluginName").and_then(Value::as_str);
        if name.is_some_and(|name| name != command::PLUGIN) {
            return Err(Fault::new("InvalidPluginName", "the command has no such step"));
        }
        self.of(region, input, |command| {
            let one = command.invocations.iter().find(|one| one.instance.id == instance);
            let missing = || Fault::new("InvocationDoesNotExist", format!("no invocation on {instance:?}"));
            Ok(command.result_shape(one.ok_or_else(missing)?))
        })
    }

    fn invocations(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let id = input.get("CommandId").and_then(Value::as_str);
        let instance = input.get("InstanceId").and_then(Value::as_str);
        let details = input.get("Details").and_then(Value::as_bool).unwrap_or(false);
        let commands = self.commands.lock();
        let is_asked =
            |command: &&Command| command.order.region == region && id.is_none_or(|id| command.order.id == id);
        let shapes = commands.by_id.values().filter(is_asked).flat_map(|command| {
            let fits = |one: &&Invocation| instance.is_none_or(|id| one.instance.id == id);
            command.invocations.iter().filter(fits).map(|one| command.invocation_shape(one, details))
        });
        Ok(json!({ "CommandInvocations": shapes.collect::<Vec<_>>() }))
    }

    fn list(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let id = input.get("CommandId").and_then(Value::as_str);
        let commands = self.commands.lock();
        let is_asked =
            |command: &&Command| command.order.region == region && id.is_none_or(|id| command.order.id == id);
        Ok(json!({ "Commands": commands.by_id.values().filter(is_asked).map(Command::shape).collect::<Vec<_>>() }))
    }

    fn cancel(&self, region: &str, input: &Value) -> Result<Value, Fault> {
        let ids = input.get("InstanceIds").and_then(Value::as_array).cloned().unwrap_or_default();
        self.of(region, input, |command| {
            for one in &mut command.invocations {
                let is_meant = ids.is_empty() || ids.iter().any(|id| id == one.instance.id.as_str());
                if is_meant && !one.state.is_over() {
                    (one.cancel, one.state) = (true, State::Cancelling);
                }
            }
            Ok(json!({}))
        })
    }

    /// Changes the invocation `index` of command `id`, if the lab still remembers it.
    fn change(&self, id: &str, index: usize, change: impl FnOnce(&mut Invocation)) {
        let mut commands = self.commands.lock();
        if let Some(one) = commands.by_id.get_mut(id).and_then(|command| command.invocations.get_mut(index)) {
            change(one);
        }
    }

    fn is_cancelled(&self, id: &str, index: usize) -> bool {
        let commands = self.commands.lock();
        let command = commands.by_id.get(id);
        command.is_none_or(|command| command.invocations.get(index).is_none_or(|one| one.cancel))
    }

    /// Runs a command to its end.
    fn run(&self, id: &str, runtime: &Handle) {
        let Some(command) = self.commands.lock().by_id.get(id).cloned() else { return };
        let total = command.invocations.len();
        let (most, errors_max) = command.order.limits(total);
        let mut waiting: Vec<usize> = (0..total).collect();
        let mut running: Vec<Run> = Vec::new();
        let (mut errors, mut asked, sent) = (0, Instant::now(), Instant::now());
        while !waiting.is_empty() || !running.is_empty() {
            if errors > errors_max {
                waiting.drain(..).for_each(|index| self.change(id, index, |one| one.state = State::Terminated));
            }
            waiting.retain(|index| match self.reach(&command, *index, sent.elapsed()) {
                Reach::Later => true,
                Reach::Never(state) => {
                    self.change(id, *index, |one| one.state = state);
                    errors += usize::from(state.is_error());
                    false
                }
                Reach::Now if running.len() >= most => true,
                Reach::Now => {
                    match self.begin(&command, *index, runtime) {
                        Ok(run) => running.push(run),
                        Err(error) => {
                            let stderr = &command.invocations[*index].stderr;
                            let _ = own::replace(stderr, format!("{error}\n").as_bytes());
                            self.end(&command, *index, State::Failed, Some(NOT_STARTED), runtime);
                            errors += 1;
                        }
                    }
                    false
                }
            });
            if asked.elapsed() > INSTANCES_EVERY {
                self.stop_with_their_instances(&command, &mut running, runtime);
                asked = Instant::now();
            }
            for place in (0..running.len()).rev() {
                let Some((state, code)) = self.ended(&command, &mut running[place]) else { continue };
                let run = running.swap_remove(place);
                self.end(&command, run.index, state, code, runtime);
                errors += usize::from(state.is_error());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Whether the agent of an instance begins a command that was sent so long ago.
    fn reach(&self, command: &Command, index: usize, sent: Duration) -> Reach {
        let instance = &command.invocations[index].instance.id;
        if self.is_cancelled(&command.order.id, index) {
            return Reach::Never(State::Cancelled);
        }
        let faults = self.faults.lock();
        if !faults.is_off(instance) && sent >= faults.delay(instance) {
            return Reach::Now;
        }
        match sent > Duration::from_secs(command.order.delivery_timeout_s) {
            true => Reach::Never(State::Undelivered),
            false => Reach::Later,
        }
    }

    fn begin(&self, command: &Command, index: usize, runtime: &Handle) -> io::Result<Run> {
        let (order, one) = (&command.order, &command.invocations[index]);
        let machine = Machine { place: &self.place, id: &one.instance.id, region: &order.region };
        runtime.block_on(self.decide_user_data(machine))?;
        machine.prepare()?;
        let home = machine.home();
        let dir = one.stdout.parent().unwrap_or(&home);
        own::make_folder(dir, 0o700)?;
        let script = dir.join("script");
        own::replace(&script, order.script.as_bytes())?;
        let (stdout, stderr): (File, File) = (own::create(&one.stdout, 0o600)?, own::create(&one.stderr, 0o600)?);
        let working_dir = order.working_dir.as_deref().unwrap_or(&home);
        let entry = machine.entry(working_dir, dir, &self.faults.lock())?;
        let script = Contained::start(Script { path: &script, stdout, stderr, around: entry.around() })?;
        self.change(&order.id, index, |one| {
            one.begun = Some(Timestamp::now());
            if one.state == State::Pending {
                one.state = State::InProgress;
            }
        });
        Ok(Run { index, script, begun: Instant::now(), is_off: false })
    }

    /// How a script ended, if it has or is to.
    fn ended(&self, command: &Command, run: &mut Run) -> Option<(State, Option<i32>)> {
        if !run.is_off && self.faults.lock().is_off(&command.invocations[run.index].instance.id) {
            run.script.kill();
            run.is_off = true;
        }
        if self.is_cancelled(&command.order.id, run.index) {
            run.script.kill();
            return Some((State::Cancelled, None));
        }
        if run.begun.elapsed() > Duration::from_secs(command.order.execution_timeout_s) {
            run.script.kill();
            return Some((State::TimedOut, None));
        }
        if run.is_off {
            // Nobody is there to tell how it ended: as on AWS, only the time-out ends it.
            return None;
        }
        let code = run.script.ended()?;
        Some((if code == 0 { State::Success } else { State::Failed }, Some(code)))
    }

    /// Kills what runs on instances that were stopped or terminated meanwhile.
    fn stop_with_their_instances(&self, command: &Command, running: &mut [Run], runtime: &Handle) {
        let Ok(all) = runtime.block_on(self.all(&command.order.region)) else { return };
        for run in running {
            let id = &command.invocations[run.index].instance.id;
            if !all.iter().any(|instance| instance.id == *id && instance.state == "running") {
                run.script.kill();
                run.is_off = true;
            }
        }
    }

    fn end(&self, command: &Command, index: usize, state: State, code: Option<i32>, runtime: &Handle) {
        let one = &command.invocations[index];
        for (stream, path) in [("stdout", &one.stdout), ("stderr", &one.stderr)] {
            if let Some((bucket, key)) = command.order.key(&one.instance.id, stream)
                && let Err(error) = runtime.block_on(self.upload(&bucket, &key, path))
            {
                // The agent says so in its own log, and the command stays what it is.
                let _ = own::replace(&path.with_extension("not-uploaded"), format!("{error:#}\n").as_bytes());
            }
        }
        self.change(&command.order.id, index, |one| {
            (one.state, one.code, one.ended) = (state, code, Some(Timestamp::now()));
        });
    }

    async fn upload(&self, bucket: &str, key: &str, path: &Path) -> anyhow::Result<()> {
        use anyhow::Context as _;
        let length = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        if length == 0 {
            return Ok(());
        }
        anyhow::ensure!(length <= MOST_OUTPUT, "an output of {length} bytes is too long");
        let bytes = own::read(path).context("reading the output")?;
        let url = format!("http://{}/{bucket}/{key}", self.emulator);
        let answer =
            self.http.put(url).body(bytes).timeout(UPLOAD_WITHIN).send().await.context("storing the output")?;
        answer.error_for_status().context("storing the output")?;
        Ok(())
    }
}

/// Whether an agent begins a command.
enum Reach {
    Now,
    Later,
    Never(State),
}

/// A script that runs on an instance.
struct Run {
    index: usize,
    script: Contained,
    begun: Instant,
    /// Its instance was stopped or terminated.
    is_off: bool,
}

#[cfg(test)]
mod tests;
