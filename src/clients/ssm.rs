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
    task::{Progress, Ran, Task, now_ms},
};
use crate::aws::Aws;

/// Between two looks at the invocations: Systems Manager allows a few calls a second.
const LOOK: Duration = Duration::from_millis(1000);
/// Between two looks at whether the agents still answer.
const AGENTS_EVERY: Duration = Duration::from_secs(5);
/// Looks at which an agent may be silent before its machine counts as lost.
const SILENT_LOOKS: u32 = 2;
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
}

/// Run Command in one region.
#[derive(Debug)]
pub struct Ssm {
    runtime: Runtime,
    aws: Aws,
    chosen: Chosen,
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
    pub fn new(runtime: Runtime, aws: Aws, chosen: Chosen, bucket: Option<String>) -> Ssm {
        Ssm { runtime, aws, chosen, bucket }
    }

    /// The instances that are online, in the order of their ids.
    ///
    /// # Errors
    /// Systems Manager does not answer, or knows none of them.
    pub fn machines(&self) -> anyhow::Result<Vec<String>> {
        let Chosen { tag, values } = &self.chosen;
        let filter = json!({ "Key": format!("tag:{tag}"), "Values": values });
        let mut online = self.runtime.block_on(self.online(filter))?;
        online.sort_unstable();
        if online.is_empty() {
            bail!(
                "Systems Manager knows no instance in {} that is online and has the tag {tag} with {} \
                 (`aws ssm describe-instance-information` lists those it knows)",
                self.aws.region(),
                values.join(" or ")
            );
        }
        Ok(online)
    }

    async fn online(&self, filter: Value) -> anyhow::Result<Vec<String>> {
        let input = json!({ "Filters": [filter], "MaxResults": 50 });
        let list = self.pages("DescribeInstanceInformation", input, "InstanceInformationList").await?;
        let is_online = |one: &&Value| one["PingStatus"] == "Online";
        Ok(list.iter().filter(is_online).filter_map(|one| one["InstanceId"].as_str()).map(str::to_owned).collect())
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
        let sent = self.aws.ssm("SendCommand", &self.order(tasks, script, within)).await?;
        let id = sent["Command"]["CommandId"].as_str().context("SendCommand answered without an id")?.to_owned();
        let mut seen: BTreeMap<&str, Seen> =
            tasks.iter().map(|task| (task.machine.as_str(), Seen::default())).collect();
        let (begun, mut agents_at) = (Instant::now(), Instant::now());
        let mut cancelled: Option<Instant> = None;
        while seen.values().any(|one| !one.is_over()) {
            // A moment in which nothing can be asked is not the end: what runs, runs on.
            let looked = self.look(&id, &mut seen).await;
            let ended = seen.values().filter(|one| one.is_over()).count();
            tell(Progress::States { running: tasks.len() - ended, ended, of: tasks.len() });
            let is_over = begun.elapsed() > within;
            if cancelled.is_none() && (is_over || stop.load(Ordering::Relaxed)) {
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
            all.push(self.ran(&id, task, seen, asked_ms).await);
        }
        // Whoever was lost may come back: nothing must run on then.
        if all.iter().any(|ran| ran.lost.is_some()) && cancelled.is_none() {
            self.cancel(&id).await?;
        }
        Ok(all)
    }

    fn order(&self, tasks: &[Task], script: &Script, within: Duration) -> Value {
        let machines: Vec<&str> = tasks.iter().map(|task| task.machine.as_str()).collect();
        let mut order = json!({
            "DocumentName": "AWS-RunShellScript",
            "Comment": "kgen",
            "InstanceIds": machines,
            "Parameters": {
                "commands": [script.for_instances(tasks)],
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
        let Ok(online) = self.online(filter).await else { return };
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
        Ok(Chosen { tag: tag.to_owned(), values: vec![value.to_owned()] })
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
