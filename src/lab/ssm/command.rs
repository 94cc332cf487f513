//! A command of Systems Manager and its invocations, as values: who is meant, what state all of it has, and the shapes of the
//! API (botocore's service model of SSM, 2014-11-06).

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::SystemTime,
};

use jiff::{Timestamp, Unit};
use serde_json::{Map, Value, json};

use super::{document, fault::Fault, instances::Instance};

/// Characters of a command's output that GetCommandInvocation returns (Systems Manager API Reference).
pub const OUTPUT_MAX: usize = 24_000;
/// Characters that ListCommandInvocations returns with `Details`.
pub const PLUGIN_OUTPUT_MAX: usize = 2500;
/// Instances, or targets, that one command may name.
const MOST_NAMED: usize = 50;
/// Characters of the script of one command: what a document may have.
const MOST_SCRIPT: usize = 64 << 10;

/// The step of a document, and its folder below a bucket's prefix.
pub const PLUGIN: &str = "aws:runShellScript";
const FOLDER: &str = "awsrunShellScript";

/// Where a command's output goes beside the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    pub name: String,
    pub prefix: String,
}

/// What a command was asked to do.
#[derive(Debug, Clone)]
pub struct Order {
    pub id: String,
    pub region: String,
    pub document: String,
    /// Name of the document's step.
    pub step: String,
    pub comment: String,
    pub parameters: Value,
    pub script: String,
    pub working_dir: Option<PathBuf>,
    /// Seconds that the script may run.
    pub execution_timeout_s: u64,
    /// Seconds that the agent may take to begin.
    pub delivery_timeout_s: u64,
    pub instance_ids: Vec<String>,
    pub targets: Value,
    pub bucket: Option<Bucket>,
    pub max_concurrency: String,
    pub max_errors: String,
    pub requested: Timestamp,
}

/// How far an invocation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Pending,
    InProgress,
    Success,
    Failed,
    TimedOut,
    Cancelled,
    Cancelling,
    /// Never begun, because others had failed.
    Terminated,
    /// Never begun, because the agent did not answer in time.
    Undelivered,
}

impl State {
    /// As CommandInvocationStatus and as StatusDetails.
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            State::Pending => ("Pending", "Pending"),
            State::InProgress => ("InProgress", "InProgress"),
            State::Success => ("Success", "Success"),
            State::Failed => ("Failed", "Failed"),
            State::TimedOut => ("TimedOut", "ExecutionTimedOut"),
            State::Cancelled => ("Cancelled", "Cancelled"),
            State::Cancelling => ("Cancelling", "Cancelling"),
            State::Terminated => ("Failed", "Terminated"),
            State::Undelivered => ("TimedOut", "DeliveryTimedOut"),
        }
    }

    pub fn is_over(self) -> bool {
        !matches!(self, State::Pending | State::InProgress | State::Cancelling)
    }

    /// Whether it counts towards `MaxErrors`.
    pub fn is_error(self) -> bool {
        matches!(self, State::Failed | State::TimedOut | State::Undelivered)
    }
}

/// A command on one instance.
#[derive(Debug, Clone)]
pub struct Invocation {
    pub instance: Instance,
    pub state: State,
    /// The script's exit code.
    pub code: Option<i32>,
    pub begun: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    /// Where its output is kept.
    pub stdout: PathBuf,
    pub stderr: PathBuf,
    pub cancel: bool,
}

/// A command with its invocations.
#[derive(Debug, Clone)]
pub struct Command {
    pub order: Order,
    pub invocations: Vec<Invocation>,
}

fn text(input: &Value, name: &str) -> Option<String> {
    input.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// Strings of a list.
fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

impl Order {
    /// Reads a SendCommand for a document with this content.
    ///
    /// # Errors
    /// As SSM refuses it.
    pub fn read(
        input: &Value,
        content: &Value,
        id: String,
        region: &str,
        requested: Timestamp,
    ) -> Result<Order, Fault> {
        let parameters = input.get("Parameters").cloned().unwrap_or_else(|| json!({}));
        let step = document::step(content, &parameters)?;
        if step.script.trim().is_empty() || step.script.len() > MOST_SCRIPT {
            let message = format!("a script must have 1 to {MOST_SCRIPT} characters");
            return Err(Fault::new("InvalidParameters", message));
        }
        let seconds = |value: Option<&Value>, default: u64| match value {
            None => Ok(default),
            Some(value) => {
                let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
                // Limits of TimeoutSeconds and of executionTimeout.
                number.filter(|number| (1..=172_800).contains(number)).ok_or_else(|| {
                    Fault::new("InvalidParameters", format!("{value} is not a number of seconds from 1 to 172800"))
                })
            }
        };
        let limit = |name: &str, default: &str| {
            let value = text(input, name).unwrap_or_else(|| default.to_owned());
            match of_total(&value, 100) {
                Some(_) => Ok(value),
                None => Err(Fault::new(
                    "InvalidParameters",
                    format!("{name} {value:?} is neither a number nor a percentage"),
                )),
            }
        };
        let bucket = text(input, "OutputS3BucketName").map(|name| {
            let prefix = text(input, "OutputS3KeyPrefix").unwrap_or_default();
            Bucket { name, prefix: prefix.trim_matches('/').to_owned() }
        });
        Ok(Order {
            id,
            region: region.to_owned(),
            document: text(input, "DocumentName").unwrap_or_default(),
            step: step.name,
            comment: text(input, "Comment").unwrap_or_default(),
            script: step.script,
            working_dir: step.working_dir.map(PathBuf::from),
            execution_timeout_s: seconds(step.timeout.as_ref(), 3600)?,
            delivery_timeout_s: seconds(input.get("TimeoutSeconds"), 3600)?,
            instance_ids: texts(input.get("InstanceIds")),
            targets: input.get("Targets").cloned().unwrap_or_else(|| json!([])),
            parameters,
            bucket,
            max_concurrency: limit("MaxConcurrency", "50")?,
            max_errors: limit("MaxErrors", "0")?,
            requested,
        })
    }

    /// The instances that are meant.
    ///
    /// # Errors
    /// As SSM refuses it: an instance by its id that is not there, too many, none named.
    pub fn meant(&self, all: &[Instance]) -> Result<Vec<Instance>, Fault> {
        let targets = self.targets.as_array().map(Vec::as_slice).unwrap_or_default();
        if self.instance_ids.len() > MOST_NAMED || targets.len() > 5 {
            let message = format!("a command names up to {MOST_NAMED} instances, or 5 targets");
            return Err(Fault::new("InvalidParameters", message));
        }
        if self.instance_ids.is_empty() == targets.is_empty() {
            return Err(Fault::new("InvalidParameters", "give either InstanceIds or Targets"));
        }
        let unique: BTreeSet<&String> = self.instance_ids.iter().collect();
        if unique.len() < self.instance_ids.len() {
            return Err(Fault::new("DuplicateInstanceId", "an instance is named twice"));
        }
        if let Some(id) = self.instance_ids.iter().find(|id| !all.iter().any(|one| one.id == **id && one.is_online())) {
            return Err(Fault::new("InvalidInstanceId", format!("instance {id} is not in a valid state for account")));
        }
        let is_meant = |instance: &&Instance| match targets {
            [] => self.instance_ids.contains(&instance.id),
            targets => instance.is_online() && targets.iter().all(|target| is_target(instance, target)),
        };
        Ok(all.iter().filter(is_meant).cloned().collect())
    }

    /// How many may run at a time, and how many may fail before no more begin; of `total`.
    pub fn limits(&self, total: usize) -> (usize, usize) {
        let concurrency = of_total(&self.max_concurrency, total).unwrap_or(1).max(1);
        (concurrency, of_total(&self.max_errors, total).unwrap_or(0))
    }

    /// The object that an instance's `stdout` or `stderr` becomes.
    pub fn key(&self, instance: &str, stream: &str) -> Option<(String, String)> {
        let bucket = self.bucket.as_ref()?;
        let prefix = if bucket.prefix.is_empty() { String::new() } else { format!("{}/", bucket.prefix) };
        Some((bucket.name.clone(), format!("{prefix}{}/{instance}/{FOLDER}/{}/{stream}", self.id, self.step)))
    }

    fn url(&self, instance: &str, stream: &str) -> String {
        match self.key(instance, stream) {
            Some((bucket, key)) => format!("https://s3.{}.amazonaws.com/{bucket}/{key}", self.region),
            None => String::new(),
        }
    }
}

/// `30` or `10%` of `total`, rounded up as SSM does, so that a percentage of something is at least one; `0%` is none.
fn of_total(text: &str, total: usize) -> Option<usize> {
    match text.strip_suffix('%') {
        None => text.parse().ok(),
        Some(percent) => {
            let percent: usize = percent.parse().ok().filter(|percent| *percent <= 100)?;
            Some((total * percent).div_ceil(100))
        }
    }
}

/// Whether a target or a filter means an instance: `tag:KEY`, `tag-key` or `InstanceIds`.
pub fn is_target(instance: &Instance, target: &Value) -> bool {
    let key = target.get("Key").or_else(|| target.get("key")).and_then(Value::as_str).unwrap_or_default();
    let values = texts(target.get("Values").or_else(|| target.get("valueSet")));
    match key.strip_prefix("tag:") {
        Some(tag) => instance.tags.get(tag).is_some_and(|value| values.contains(value)),
        None if key == "tag-key" => values.iter().any(|tag| instance.tags.contains_key(tag)),
        None if key == "InstanceIds" || key.eq_ignore_ascii_case("instanceids") => values.contains(&instance.id),
        None => false,
    }
}

/// The first characters of a file.
fn head(path: &Path, most: usize) -> String {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    if let Ok(file) = crate::files::own::open(path) {
        // A character has four bytes at most.
        let _ = file.take(most as u64 * 4).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).chars().take(most).collect()
}

fn epoch_s(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

/// ISO 8601 as GetCommandInvocation has it.
fn iso(at: Option<Timestamp>) -> String {
    let rounded = |at: Timestamp| at.round(Unit::Millisecond).unwrap_or(at).to_string();
    at.map(rounded).unwrap_or_default()
}

impl Command {
    pub fn state(&self) -> &'static str {
        let is = |state: State| self.invocations.iter().any(|one| one.state == state);
        let all = |of: fn(State) -> bool| self.invocations.iter().all(|one| of(one.state));
        if self.invocations.is_empty() {
            "Success"
        } else if is(State::Cancelling) {
            "Cancelling"
        } else if all(|state| state == State::Pending) {
            "Pending"
        } else if !all(State::is_over) {
            "InProgress"
        } else if is(State::Failed) || is(State::Terminated) {
            "Failed"
        } else if is(State::TimedOut) || is(State::Undelivered) {
            "TimedOut"
        } else if is(State::Cancelled) {
            "Cancelled"
        } else {
            "Success"
        }
    }

    /// The shape Command.
    pub fn shape(&self) -> Value {
        let order = &self.order;
        let count = |of: fn(State) -> bool| self.invocations.iter().filter(|one| of(one.state)).count();
        let seconds = order.delivery_timeout_s + order.execution_timeout_s;
        json!({
            "CommandId": order.id,
            "DocumentName": order.document,
            "DocumentVersion": "$DEFAULT",
            "Comment": order.comment,
            "ExpiresAfter": epoch_s(order.requested) + seconds as f64,
            "Parameters": order.parameters,
            "InstanceIds": order.instance_ids,
            "Targets": order.targets,
            "RequestedDateTime": epoch_s(order.requested),
            "Status": self.state(),
            "StatusDetails": self.state(),
            "OutputS3Region": order.region,
            "OutputS3BucketName": order.bucket.as_ref().map_or("", |bucket| &bucket.name),
            "OutputS3KeyPrefix": order.bucket.as_ref().map_or("", |bucket| &bucket.prefix),
            "MaxConcurrency": order.max_concurrency,
            "MaxErrors": order.max_errors,
            "TargetCount": self.invocations.len(),
            "CompletedCount": count(State::is_over),
            "ErrorCount": count(State::is_error),
            "DeliveryTimedOutCount": count(|state| state == State::Undelivered),
            "ServiceRole": "",
            "TimeoutSeconds": order.delivery_timeout_s,
        })
    }

    /// The shape CommandInvocation; with its plugin if `details`.
    pub fn invocation_shape(&self, one: &Invocation, details: bool) -> Value {
        let (status, status_details) = one.state.names();
        let order = &self.order;
        let mut plugins = Vec::new();
        if details {
            let mut plugin = Map::new();
            let mut put = |name: &str, value: Value| plugin.insert(name.to_owned(), value);
            put("Name", PLUGIN.into());
            // A plugin is never "Cancelling".
            put("Status", if one.state == State::Cancelling { "InProgress".into() } else { status.into() });
            put("StatusDetails", status_details.into());
            put("ResponseCode", one.code.unwrap_or(-1).into());
            put("Output", head(&one.stdout, PLUGIN_OUTPUT_MAX).into());
            put("StandardOutputUrl", order.url(&one.instance.id, "stdout").into());
            put("StandardErrorUrl", order.url(&one.instance.id, "stderr").into());
            for (name, at) in [("ResponseStartDateTime", one.begun), ("ResponseFinishDateTime", one.ended)] {
                if let Some(at) = at {
                    put(name, epoch_s(at).into());
                }
            }
            plugins.push(Value::Object(plugin));
        }
        json!({
            "CommandId": order.id,
            "InstanceId": one.instance.id,
            "InstanceName": "",
            "Comment": order.comment,
            "DocumentName": order.document,
            "DocumentVersion": "$DEFAULT",
            "RequestedDateTime": epoch_s(order.requested),
            "Status": status,
            "StatusDetails": status_details,
            "StandardOutputUrl": order.url(&one.instance.id, "stdout"),
            "StandardErrorUrl": order.url(&one.instance.id, "stderr"),
            "CommandPlugins": plugins,
            "ServiceRole": "",
        })
    }

    /// The answer of GetCommandInvocation. Output comes with the end, as from SSM.
    pub fn result_shape(&self, one: &Invocation) -> Value {
        let (status, status_details) = one.state.names();
        let order = &self.order;
        let output = |path: &Path| if one.state.is_over() { head(path, OUTPUT_MAX) } else { String::new() };
        let elapsed = match (one.begun, one.ended) {
            (Some(begun), Some(ended)) => {
                format!("PT{:.3}S", (ended.as_millisecond() - begun.as_millisecond()) as f64 / 1000.0)
            }
            _ => String::new(),
        };
        json!({
            "CommandId": order.id,
            "InstanceId": one.instance.id,
            "Comment": order.comment,
            "DocumentName": order.document,
            "DocumentVersion": "$DEFAULT",
            "PluginName": PLUGIN,
            "ResponseCode": one.code.unwrap_or(-1),
            "ExecutionStartDateTime": iso(one.begun),
            "ExecutionElapsedTime": elapsed,
            "ExecutionEndDateTime": iso(one.ended),
            "Status": status,
            "StatusDetails": status_details,
            "StandardOutputContent": output(&one.stdout),
            "StandardOutputUrl": order.url(&one.instance.id, "stdout"),
            "StandardErrorContent": output(&one.stderr),
            "StandardErrorUrl": order.url(&one.instance.id, "stderr"),
        })
    }
}

/// The shape InstanceInformation; whether its agent answers.
pub fn information(instance: &Instance, answers: bool, now: SystemTime) -> Value {
    let now = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
    json!({
        "InstanceId": instance.id,
        "PingStatus": if answers { "Online" } else { "ConnectionLost" },
        "LastPingDateTime": epoch_s(now),
        // Made up, as the rest of what the lab says of a machine that is not there.
        "AgentVersion": "3.3.0.0",
        "IsLatestVersion": true,
        "PlatformType": "Linux",
        "PlatformName": "kgen lab",
        "PlatformVersion": "1",
        "ResourceType": "EC2Instance",
        "IPAddress": instance.address,
        "ComputerName": format!("{}.lab.internal", instance.id),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(id: &str, state: &str, tag: &str) -> Instance {
        let tags = [("role".to_owned(), tag.to_owned())].into();
        Instance { id: id.into(), state: state.into(), address: "10.0.0.1".into(), profile: Some("p".into()), tags }
    }

    fn order(input: Value) -> Result<Order, Fault> {
        let mut whole = json!({ "DocumentName": "AWS-RunShellScript", "Parameters": { "commands": ["true"] } });
        whole.as_object_mut().unwrap().extend(input.as_object().unwrap().clone());
        let http = reqwest::Client::new();
        let emulator =
            super::super::emulator::Emulator { http: &http, at: ([127, 0, 0, 1], 1).into(), region: "us-west-2" };
        let content = futures::executor::block_on(document::content(emulator, document::BUILT_IN))?;
        Order::read(&whole, &content, "c".into(), "us-west-2", Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn targets_are_those_that_are_online_and_carry_the_tag() {
        let all = [
            instance("i-1", "running", "client"),
            instance("i-2", "stopped", "client"),
            instance("i-3", "running", "other"),
            Instance { profile: None, ..instance("i-4", "running", "client") },
        ];
        let check = |input: Value, expected: Result<&[&str], &str>| {
            let found = order(input.clone()).and_then(|order| order.meant(&all));
            let found = found.map(|list| list.into_iter().map(|one| one.id).collect::<Vec<_>>());
            match expected {
                Ok(ids) => assert_eq!(found.unwrap(), ids, "{input}"),
                Err(code) => assert_eq!(found.unwrap_err().code, code, "{input}"),
            }
        };
        let tag = |values: Value| json!({ "Targets": [{ "Key": "tag:role", "Values": values }] });
        check(tag(json!(["client"])), Ok(&["i-1"]));
        check(tag(json!(["client", "other"])), Ok(&["i-1", "i-3"]));
        check(tag(json!(["nobody"])), Ok(&[]));
        check(json!({ "InstanceIds": ["i-3"] }), Ok(&["i-3"]));
        check(json!({ "InstanceIds": ["i-2"] }), Err("InvalidInstanceId"));
        check(json!({ "InstanceIds": ["i-9"] }), Err("InvalidInstanceId"));
        check(json!({ "InstanceIds": ["i-1", "i-1"] }), Err("DuplicateInstanceId"));
        check(json!({}), Err("InvalidParameters"));
        check(json!({ "InstanceIds": ["i-1"], "Parameters": {} }), Err("InvalidParameters"));
        check(json!({ "InstanceIds": ["i-1"], "MaxErrors": "many" }), Err("InvalidParameters"));
    }

    #[test]
    fn limits_are_numbers_or_shares() {
        let check = |concurrency: &str, errors: &str, expected: (usize, usize)| {
            let input = json!({ "InstanceIds": ["i"], "MaxConcurrency": concurrency, "MaxErrors": errors });
            assert_eq!(order(input).unwrap().limits(30), expected, "{concurrency} {errors}");
        };
        check("7", "2", (7, 2));
        check("10%", "0%", (3, 0));
        check("1%", "100%", (1, 30));
        check("0", "0", (1, 0));
        assert_eq!(order(json!({ "InstanceIds": ["i"] })).unwrap().limits(80), (50, 0));
    }

    #[test]
    fn a_command_is_what_its_invocations_are() {
        use State::{Cancelled, Cancelling, Failed, InProgress, Pending, Success, Terminated, TimedOut, Undelivered};
        let check = |states: &[State], expected: &str| {
            let invocation = |state: &State| Invocation {
                instance: instance("i-1", "running", "client"),
                state: *state,
                code: None,
                begun: None,
                ended: None,
                stdout: PathBuf::new(),
                stderr: PathBuf::new(),
                cancel: false,
            };
            let order = order(json!({ "InstanceIds": ["i-1"] })).unwrap();
            let command = Command { order, invocations: states.iter().map(invocation).collect() };
            assert_eq!(command.state(), expected, "{states:?}");
        };
        check(&[], "Success");
        check(&[Pending, Pending], "Pending");
        check(&[Success, Pending], "InProgress");
        check(&[Success, InProgress, Failed], "InProgress");
        check(&[Success, Cancelling], "Cancelling");
        check(&[Success, Failed, Cancelled], "Failed");
        check(&[Success, Terminated], "Failed");
        check(&[Success, TimedOut], "TimedOut");
        check(&[Success, Undelivered], "TimedOut");
        check(&[Success, Cancelled], "Cancelled");
        check(&[Success, Success], "Success");
    }
}
