//! Machines reached through Run Command of Systems Manager.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{
    script::Script,
    task::{EndedBy, Progress, Ran, Task, now_ms},
};
use crate::aws::{Aws, AwsError};

/// Between two looks at the invocations: Systems Manager allows a few calls a second.
const LOOK: Duration = Duration::from_millis(1000);
/// Between two looks at whether the agents still answer.
const AGENTS_EVERY: Duration = Duration::from_secs(5);
/// Looks at which an agent may be silent before its machine counts as lost.
const SILENT_LOOKS: u32 = 2;
/// How long a load that was asked to end may take, to flush and to report.
const REPORT_WITHIN: Duration = Duration::from_secs(45);
/// How long a cancelled command may take to end.
const END_WITHIN: Duration = Duration::from_secs(30);
/// How long the agent may take to begin (the least that Systems Manager takes).
const DELIVERED_WITHIN_S: u64 = 30;
/// Characters of output that the API returns; what is longer is read from the bucket (Systems Manager API Reference).
const OUTPUT_MAX: usize = 24_000;
/// Bytes of an output in the bucket.
const MOST_OUTPUT: usize = 256 << 20;
/// How long the agent may take to put an output into the bucket.
const STORED_WITHIN: Duration = Duration::from_secs(20);
/// Pages of one listing.
const MOST_PAGES: usize = 20;

/// Which instances are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Name of a tag, without `tag:`.
    pub tag: String,
    /// One of these.
    pub values: Vec<String>,
    /// How many there are, where that is known.
    pub count: Option<usize>,
}

/// Run Command in one region.
#[derive(Debug)]
pub struct Ssm {
    runtime: Runtime,
    aws: Aws,
    chosen: Chosen,
    /// The stack's document, if it has one; otherwise AWS's own.
    document: Option<String>,
    /// For outputs that are longer than the API returns.
    bucket: Option<String>,
}

/// What is known of one invocation.
#[derive(Debug, Default)]
struct Seen {
    /// When its end was seen, ms since the epoch.
    answered_ms: Option<f64>,
    status: String,
    silent_looks: u32,
    lost: Option<String>,
}

impl Seen {
    fn is_over(&self) -> bool {
        self.answered_ms.is_some() || self.lost.is_some()
    }
}

impl Ssm {
    /// Uses AWS's own document, which runs as root.
    pub fn new(runtime: Runtime, aws: Aws, chosen: Chosen, bucket: Option<String>) -> Ssm {
        Ssm { runtime, aws, chosen, document: None, bucket }
    }

    /// Uses the document `name`, if there is one, and the bucket that is the default of its parameter `bucket`, unless another was
    /// named.
    ///
    /// # Errors
    /// Systems Manager does not answer, or may not be asked.
    pub fn with_document(mut self, name: &str, bucket: &str) -> anyhow::Result<Ssm> {
        let asked = json!({ "Name": name });
        let found = match self.runtime.block_on(self.aws.ssm("GetDocument", &asked)) {
            Ok(found) => found,
            Err(AwsError::Api { code, .. }) if code == "InvalidDocument" => return Ok(self),
            Err(error) => return Err(anyhow!(error).context(format!("looking up the document {name}"))),
        };
        let content = found["Content"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let content = content.with_context(|| format!("the document {name} is not JSON"))?;
        let of_the_stack = content["parameters"][bucket]["default"].as_str().map(str::to_owned);
        self.bucket = self.bucket.or(of_the_stack);
        self.document = Some(name.to_owned());
        Ok(self)
    }

    pub fn is_lab(&self) -> bool {
        self.runtime.block_on(self.aws.lab()).is_some()
    }

    /// The instances that are online, in the order of their ids.
    ///
    /// # Errors
    /// Systems Manager does not answer, knows none of them, or some of them are not online.
    pub fn machines(&self) -> anyhow::Result<Vec<String>> {
        let Chosen { tag, values, count } = &self.chosen;
        let filter = json!({ "Key": format!("tag:{tag}"), "Values": values });
        let (mut online, silent) = self.runtime.block_on(self.known(filter))?;
        online.sort_unstable();
        if online.is_empty() && silent.is_empty() {
            bail!(
                "Systems Manager knows no instance in {} that is online and has the tag {tag} with {} \
                 (`aws ssm describe-instance-information` lists those it knows)",
                self.aws.region(),
                values.join(" or ")
            );
        }
        let missing = count.map_or(silent.len(), |count| count.saturating_sub(online.len()));
        if missing > 0 {
            let silent = match &silent[..] {
                [] => "the others are not known to Systems Manager".to_owned(),
                silent => format!("the agents of these do not respond to Systems Manager: {}", silent.join(", ")),
            };
            bail!("{} of {} client instances are online: {silent}", online.len(), online.len() + missing);
        }
        Ok(online)
    }

    /// The instances that are online, and those that are not.
    async fn known(&self, filter: Value) -> anyhow::Result<(Vec<String>, Vec<String>)> {
        let input = json!({ "Filters": [filter], "MaxResults": 50 });
        let list = self.pages("DescribeInstanceInformation", input, "InstanceInformationList").await?;
        let (online, silent): (Vec<&Value>, Vec<&Value>) = list.iter().partition(|one| one["PingStatus"] == "Online");
        let ids =
            |list: Vec<&Value>| list.iter().filter_map(|one| one["InstanceId"].as_str()).map(str::to_owned).collect();
        Ok((ids(online), ids(silent)))
    }

    /// All pages of a listing.
    async fn pages(&self, operation: &'static str, mut input: Value, name: &str) -> anyhow::Result<Vec<Value>> {
        let mut all = Vec::new();
        for _ in 0..MOST_PAGES {
            let mut page = self.aws.ssm(operation, &input).await?;
            if let Some(Value::Array(items)) = page.get_mut(name).map(Value::take) {
                all.extend(items);
            }
            match page.get("NextToken").and_then(Value::as_str).filter(|token| !token.is_empty()) {
                Some(token) => input["NextToken"] = token.into(),
                None => return Ok(all),
            }
        }
        bail!("{operation} gives more than {MOST_PAGES} pages")
    }

    /// As `Engine::run`.
    pub fn run(
        &self,
        tasks: &[Task],
        script: &Script,
        within: Duration,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(Progress),
    ) -> anyhow::Result<Vec<Ran>> {
        self.runtime.block_on(self.run_all(tasks, script, within, stop, tell))
    }

    async fn run_all(
        &self,
        tasks: &[Task],
        script: &Script,
        within: Duration,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(Progress),
    ) -> anyhow::Result<Vec<Ran>> {
        let asked_ms = now_ms();
        let id = self.send(tasks, script, within).await?;
        let mut seen: BTreeMap<&str, Seen> =
            tasks.iter().map(|task| (task.machine.as_str(), Seen::default())).collect();
        let (begun, mut agents_at) = (Instant::now(), Instant::now());
        let (mut asked_to_end, mut cancelled) = (None::<Instant>, None::<Instant>);
        let mut ended_by = None;
        while seen.values().any(|one| !one.is_over()) {
            // A moment in which nothing can be asked is not the end: what runs, runs on.
            let looked = self.look(&id, &mut seen).await;
            let ended = seen.values().filter(|one| one.is_over()).count();
            tell(Progress::States { running: tasks.len() - ended, ended, of: tasks.len() });
            if ended_by.is_none() && stop.load(Ordering::Relaxed) {
                ended_by = Some(EndedBy::Interrupt);
                let is_under_way = |task: &&Task| seen.get(task.machine.as_str()).is_some_and(|one| !one.is_over());
                let left: Vec<Task> = tasks.iter().filter(is_under_way).cloned().collect();
                asked_to_end = self.ask_to_end(&left, script).await.then(Instant::now);
            }
            if ended_by.is_none() && begun.elapsed() > within {
                ended_by = Some(EndedBy::TimeOut);
            }
            let has_had_time = asked_to_end.is_none_or(|at| at.elapsed() > REPORT_WITHIN);
            if cancelled.is_none() && ended_by.is_some() && has_had_time {
                self.cancel(&id).await?;
                cancelled = Some(Instant::now());
            }
            if cancelled.is_some_and(|at| at.elapsed() > END_WITHIN) {
                give_up(&mut seen, looked.err());
            } else if agents_at.elapsed() > AGENTS_EVERY {
                agents_at = Instant::now();
                self.look_at_agents(&mut seen).await;
            }
            if seen.values().any(|one| !one.is_over()) {
                tokio::time::sleep(LOOK).await;
            }
        }
        let mut all = Vec::new();
        for task in tasks {
            let seen = seen.remove(task.machine.as_str()).unwrap_or_default();
            all.push(Ran { ended_by, ..self.ran(&id, task, seen, asked_ms).await });
        }
        // Whoever was lost may come back: nothing must run on then.
        if all.iter().any(|ran| ran.lost.is_some()) && cancelled.is_none() {
            self.cancel(&id).await?;
        }
        Ok(all)
    }

    /// Returns the id of the command.
    async fn send(&self, tasks: &[Task], script: &Script, within: Duration) -> anyhow::Result<String> {
        let sent = self.aws.ssm("SendCommand", &self.order(tasks, script, within)).await?;
        Ok(sent["Command"]["CommandId"].as_str().context("SendCommand answered without an id")?.to_owned())
    }

    /// Whether the programs of `script` were asked to end in order.
    async fn ask_to_end(&self, tasks: &[Task], script: &Script) -> bool {
        let Some(stop) = script.stop.as_ref().filter(|_| !tasks.is_empty()) else { return false };
        self.send(tasks, stop, REPORT_WITHIN).await.is_ok()
    }

    fn order(&self, tasks: &[Task], script: &Script, within: Duration) -> Value {
        let machines: Vec<&str> = tasks.iter().map(|task| task.machine.as_str()).collect();
        let (document, parameter) = match &self.document {
            Some(name) => (name.as_str(), "script"),
            None => ("AWS-RunShellScript", "commands"),
        };
        let mut order = json!({
            "DocumentName": document,
            "Comment": "kgen",
            "InstanceIds": machines,
            "Parameters": {
                parameter: [script.for_instances(tasks)],
                "executionTimeout": [(within.as_secs() + 1).to_string()],
            },
            "TimeoutSeconds": DELIVERED_WITHIN_S,
            // The defaults run 50 at a time and begin no more after the first that fails.
            "MaxConcurrency": machines.len().to_string(),
            "MaxErrors": "100%",
        });
        if let Some(bucket) = &self.bucket {
            order["OutputS3BucketName"] = bucket.as_str().into();
            order["OutputS3KeyPrefix"] = script.prefix.as_str().into();
        }
        order
    }

    async fn cancel(&self, id: &str) -> anyhow::Result<()> {
        self.aws
            .ssm("CancelCommand", &json!({ "CommandId": id }))
            .await
            .context("cancelling the load: it may run on until its time is over (`aws ssm cancel-command` ends it)")?;
        Ok(())
    }

    async fn look(&self, id: &str, seen: &mut BTreeMap<&str, Seen>) -> anyhow::Result<()> {
        let list =
            self.pages("ListCommandInvocations", json!({ "CommandId": id, "MaxResults": 50 }), "CommandInvocations");
        for one in list.await? {
            let Some(seen) = one["InstanceId"].as_str().and_then(|id| seen.get_mut(id)) else { continue };
            let status = one["Status"].as_str().unwrap_or_default();
            seen.status = one["StatusDetails"].as_str().unwrap_or(status).to_owned();
            if !["Pending", "InProgress", "Delayed", "Cancelling"].contains(&status) {
                seen.answered_ms.get_or_insert_with(now_ms);
            }
        }
        Ok(())
    }

    /// Notes whose agent no longer answers.
    async fn look_at_agents(&self, seen: &mut BTreeMap<&str, Seen>) {
        let waiting: Vec<String> =
            seen.iter().filter(|(_, one)| !one.is_over()).map(|(id, _)| (*id).to_owned()).collect();
        let filter = json!({ "Key": "InstanceIds", "Values": waiting });
        let Ok((online, _)) = self.known(filter).await else { return };
        for (id, one) in seen.iter_mut().filter(|(_, one)| !one.is_over()) {
            one.silent_looks = if online.iter().any(|there| there == id) { 0 } else { one.silent_looks + 1 };
            if one.silent_looks >= SILENT_LOOKS {
                one.lost = Some(format!("its agent no longer answers Systems Manager (last state {})", one.status));
            }
        }
    }

    async fn ran(&self, id: &str, task: &Task, seen: Seen, asked_ms: f64) -> Ran {
        let mut ran = Ran {
            machine: task.machine.clone(),
            code: None,
            stdout: String::new(),
            stderr: String::new(),
            lost: seen.lost,
            ended_by: None,
            asked_ms,
            answered_ms: seen.answered_ms.unwrap_or_else(now_ms),
        };
        if ran.lost.is_some() {
            return ran;
        }
        match self.collected(id, &task.machine).await {
            Ok((code, stdout, stderr)) => {
                (ran.code, ran.stdout) = (code, stdout);
                ran.stderr = if stderr.is_empty() { format!("Run Command says {}", seen.status) } else { stderr };
            }
            Err(error) => ran.lost = Some(format!("its output cannot be read: {error:#}")),
        }
        ran
    }

    /// Exit code and outputs of an invocation that is over.
    async fn collected(&self, id: &str, machine: &str) -> anyhow::Result<(Option<i32>, String, String)> {
        let asked = json!({ "CommandId": id, "InstanceId": machine });
        let found = self.aws.ssm("GetCommandInvocation", &asked).await?;
        let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        let code = found["ResponseCode"].as_i64().filter(|code| *code >= 0).and_then(|code| i32::try_from(code).ok());
        let mut stdout = text("StandardOutputContent");
        // A text that was cut may end in words that say so.
        if stdout.chars().count() + 100 >= OUTPUT_MAX {
            stdout = self.stored(&text("StandardOutputUrl")).await?;
        }
        Ok((code, stdout, text("StandardErrorContent")))
    }

    /// The output that the agent put into the bucket.
    async fn stored(&self, url: &str) -> anyhow::Result<String> {
        let bucket = self.bucket.as_deref().with_context(|| {
            format!("it is longer than the {OUTPUT_MAX} characters that Systems Manager returns: name a bucket with --results-bucket")
        })?;
        let key = key(url, bucket).with_context(|| format!("it is said to be at {url:?}, which is not in {bucket}"))?;
        let begun = Instant::now();
        loop {
            match self.aws.object(bucket, key, MOST_OUTPUT).await {
                Ok(bytes) => return String::from_utf8(bytes).context("it is not text"),
                Err(error) if begun.elapsed() > STORED_WITHIN || error.is_denied() => {
                    return Err(anyhow!(error).context(format!("reading s3://{bucket}/{key}")));
                }
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }
}

fn give_up(seen: &mut BTreeMap<&str, Seen>, error: Option<anyhow::Error>) {
    let why = error.map(|error| format!(": {error:#}")).unwrap_or_default();
    for one in seen.values_mut().filter(|one| !one.is_over()) {
        one.lost = Some(format!("it did not end {} s after it was cancelled{why}", END_WITHIN.as_secs()));
    }
}

/// The key in an URL of `bucket`, by path or by host.
fn key<'a>(url: &'a str, bucket: &str) -> Option<&'a str> {
    let (host, path) = url.split_once("://")?.1.split_once('/')?;
    let by_path = path.strip_prefix(bucket).and_then(|rest| rest.strip_prefix('/'));
    let by_host = host.strip_prefix(bucket).is_some_and(|rest| rest.starts_with('.')).then_some(path);
    by_path.or(by_host).filter(|key| !key.is_empty())
}

impl Chosen {
    /// Reads `KEY=VALUE`.
    ///
    /// # Errors
    /// It is not of this form.
    pub fn read(text: &str) -> anyhow::Result<Chosen> {
        let (tag, value) = text.split_once('=').with_context(|| format!("{text:?} is not KEY=VALUE"))?;
        ensure!(!tag.is_empty() && !value.is_empty(), "{text:?} is not KEY=VALUE");
        Ok(Chosen { tag: tag.to_owned(), values: vec![value.to_owned()], count: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_read_from_both_forms_of_url() {
        for (url, expected) in [
            ("https://s3.us-west-2.amazonaws.com/b/kgen/r/stdout", Some("kgen/r/stdout")),
            ("https://b.s3.us-west-2.amazonaws.com/kgen/r/stdout", Some("kgen/r/stdout")),
            ("https://s3.us-west-2.amazonaws.com/other/kgen", None),
            ("https://s3.us-west-2.amazonaws.com/b/", None),
            ("", None),
        ] {
            assert_eq!(key(url, "b"), expected, "{url}");
        }
    }
}
