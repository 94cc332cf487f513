//! What a resize and a scale-out share: a change of one value of kgen.toml that Terraform carries out on the running cluster.
//!
//! kgen.toml and the rendered files are changed together, terraform applies a plan that is this change and nothing else, and
//! the cluster is waited for. Until the cluster itself begins to change, everything that goes wrong puts the files back.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    documents::{Prepared, PreparedFile, PreparedMoves},
    journal::{Journal, Step},
    look::runtime,
    place::{self, Place},
    progress::Progress,
    rolling,
    working_dir::show,
};
use crate::{
    aws::{Aws, Cluster},
    catalogue::BrokerType,
    cli::refused,
    files,
    kafka::{
        Connection, REACHABLE_WITHIN,
        admin::{Admin, Replication},
    },
    project::{Project, WorkingDir, replace_all, unified_diff},
    remedy::{Remedy, Rendered, Resize, ScaleOut, Target},
    stack::{Stack, with_broker_count, with_broker_type},
    terraform::{
        Goal, TerraformError,
        plan::{Action, Changes},
    },
};

/// The resource that is changed, and the attribute that a change of the broker type changes of it.
pub const RESOURCE: &str = "aws_msk_cluster";
pub const BROKER_TYPE: &str = "broker_node_group_info[0].instance_type";
const BROKER_COUNT: &str = "number_of_broker_nodes";

/// What new brokers bring with them: their alarms, and their lines in the dashboard.
const ALONG_WITH_BROKERS: [(&str, Action); 2] =
    [("aws_cloudwatch_metric_alarm", Action::Create), ("aws_cloudwatch_dashboard", Action::Update)];

/// How long MSK may take to be ACTIVE with every replica in sync after terraform has ended; in the lab it is at once.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// How long an operation may take that runs already: 15 minutes a broker (MSK Developer Guide) of the largest cluster.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(15 * 3600);

/// What is changed, and what it will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what", content = "to")]
pub enum Change {
    BrokerType(BrokerType),
    BrokerCount(u32),
}

impl Change {
    /// As it is typed.
    pub fn command(self) -> String {
        match self {
            Change::BrokerType(to) => format!("kgen resize {to}"),
            Change::BrokerCount(to) => format!("kgen scale-out {to}"),
        }
    }

    /// The command's name.
    pub fn name(self) -> &'static str {
        match self {
            Change::BrokerType(_) => "resize",
            Change::BrokerCount(_) => "scale-out",
        }
    }

    /// Checks what can be told from kgen.toml and the environment alone, and returns the stack as it will be.
    ///
    /// # Errors
    /// Refused, with the reason.
    pub fn applied_to(self, project: &Project) -> anyhow::Result<Stack> {
        let (key, command) = match self {
            Change::BrokerType(_) => ("cluster.broker_type", self.name()),
            Change::BrokerCount(_) => ("cluster.broker_count", self.name()),
        };
        if let Some(variable) = project.variable_for(key) {
            return Err(refused(anyhow!(
                "{variable} goes before what a {command} writes to kgen.toml (unset {variable})"
            )));
        }
        match self {
            Change::BrokerType(to) => project.stack().resized(to).map_err(refused),
            Change::BrokerCount(to) => project.stack().scaled_out(to).map_err(refused),
        }
    }

    /// The text of a kgen.toml with the change in it.
    ///
    /// # Errors
    /// It is not TOML.
    pub fn written_to(self, kgen_toml: &str) -> anyhow::Result<String> {
        Ok(match self {
            Change::BrokerType(to) => with_broker_type(kgen_toml, to)?,
            Change::BrokerCount(to) => with_broker_count(kgen_toml, to)?,
        })
    }

    /// The cluster is as it is to be.
    pub fn is_reached(self, cluster: &Cluster) -> bool {
        match self {
            Change::BrokerType(to) => cluster.broker_type == to.as_str(),
            Change::BrokerCount(to) => cluster.broker_count == to,
        }
    }

    /// What the cluster is or will be, in words.
    pub fn reached(self) -> String {
        match self {
            Change::BrokerType(to) => to.to_string(),
            Change::BrokerCount(to) => format!("{to} brokers"),
        }
    }

    /// # Errors
    /// The plan does anything but make this change of the cluster `arn`.
    fn ensure_is_all_of(self, changes: &Changes, arn: &str) -> anyhow::Result<()> {
        let (found, may) = match self {
            Change::BrokerType(_) => {
                (changes.ensure_updates_in_place(RESOURCE, BROKER_TYPE), "the broker type and nothing else")
            }
            Change::BrokerCount(_) => (
                changes.ensure_updates_with(RESOURCE, BROKER_COUNT, &ALONG_WITH_BROKERS),
                "the number of brokers, their alarms and their dashboard, and nothing else",
            ),
        };
        let name = self.name();
        let updated =
            found.with_context(|| format!("a {name} may change {may}; `kgen plan` shows the rest, apply it first"))?;
        let planned = updated.change.before["arn"].as_str().unwrap_or(arn);
        ensure!(planned == arn, "the plan updates {planned}, and the {name} is of {arn}");
        self.ensure_becomes(&updated.change.after)
    }

    /// Checks that a cluster with these values, as terraform has them, is as this change makes it.
    ///
    /// # Errors
    /// It is not.
    pub fn ensure_becomes(self, after: &Value) -> anyhow::Result<()> {
        let (found, is_it) = match self {
            Change::BrokerType(to) => {
                let found = &after["broker_node_group_info"][0]["instance_type"];
                (found, found.as_str() == Some(to.as_str()))
            }
            Change::BrokerCount(to) => {
                let found = &after["number_of_broker_nodes"];
                (found, found.as_u64() == Some(to.into()))
            }
        };
        ensure!(is_it, "the plan makes it {found}, and what was approved is {}", self.reached());
        Ok(())
    }

    /// What is left to do when the cluster itself is changed.
    fn ensure_is_rest_of(self, changes: &Changes) -> anyhow::Result<()> {
        let along: &[(&str, Action)] = match self {
            Change::BrokerType(_) => &[],
            Change::BrokerCount(_) => &ALONG_WITH_BROKERS,
        };
        let name = self.name();
        changes.ensure_only(along).with_context(|| {
            format!(
                "the cluster is changed, and more than the {name} is left to do; `kgen plan` shows it, apply it first"
            )
        })
    }

    fn remedy(self, stack: &Stack, cluster: &Cluster) -> Remedy {
        let reason = "asked for".to_owned();
        match self {
            Change::BrokerType(to) => Remedy::Resize(Resize {
                from: stack.broker_type(),
                to,
                brokers: cluster.broker_count,
                reason,
                vcpus_used: None,
                demand_is_higher: false,
            }),
            Change::BrokerCount(to) => Remedy::ScaleOut(ScaleOut {
                from: cluster.broker_count,
                to,
                broker_type: cluster.broker_type.parse().ok(),
                reason,
            }),
        }
    }
}

/// One file of the project, as it was and as the change makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// Relative to the project folder.
    pub path: PathBuf,
    /// Nothing, where there was no file.
    pub before: Option<String>,
    pub after: String,
}

/// A change that was found to be allowed, and has changed nothing yet.
pub struct Ready<'a> {
    project: &'a Project,
    place: &'a Place,
    pub change: Change,
    pub cluster: Cluster,
    pub bootstrap: String,
    pub edits: Vec<Edit>,
}

/// Checks that the project's cluster can be changed so.
///
/// # Errors
/// Refused, with the reason: the change, the cluster's state, too many partitions, replicas that are not in sync.
pub fn prepare<'a>(project: &'a Project, change: Change, place: &'a Place) -> anyhow::Result<Ready<'a>> {
    let changed = change.applied_to(project)?;
    let (cluster, bootstrap) = find(project, place)?;
    ensure_changeable(&cluster, &replication(&bootstrap)?, change)?;
    let with_change = change.written_to(&project.kgen_toml_text()?)?;
    let mut files = vec![(PathBuf::from("kgen.toml"), with_change)];
    files.extend(changed.render().files().map(|(name, text)| (PathBuf::from("terraform").join(name), text.to_owned())));
    let mut edits = Vec::new();
    for (path, after) in files {
        let place = project.dir().join(&path);
        let before = files::text(&place).map_err(refused)?;
        if before.as_ref() != Some(&after) {
            // Found before anything is measured or asked.
            files::ensure_replaceable(&place)
                .with_context(|| format!("replacing {}", place.display()))
                .map_err(refused)?;
            edits.push(Edit { path, before, after });
        }
    }
    Ok(Ready { project, place, change, cluster, bootstrap, edits })
}

/// A change whose `edits` were begun by a run that did not come to its end.
///
/// # Errors
/// Refused: the cluster is not to be found.
pub fn begun<'a>(
    project: &'a Project,
    change: Change,
    place: &'a Place,
    edits: Vec<Edit>,
) -> anyhow::Result<Ready<'a>> {
    let (cluster, bootstrap) = find(project, place)?;
    Ok(Ready { project, place, change, cluster, bootstrap, edits })
}

/// The project's cluster and its plaintext bootstrap brokers.
///
/// # Errors
/// Refused: the cluster is not to be found.
pub fn find(project: &Project, place: &Place) -> anyhow::Result<(Cluster, String)> {
    let stack = project.stack();
    let found = runtime()?.block_on(async {
        let aws = place.aws(stack.region()).await;
        place::cluster(&aws, &stack.cluster().name).await
    });
    found.map_err(refused)
}

/// Checks that MSK would make the change of `cluster`, replicated like this, now.
///
/// # Errors
/// Refused, with the reason.
pub fn ensure_changeable(cluster: &Cluster, replication: &Replication, change: Change) -> anyhow::Result<()> {
    let name = &cluster.name;
    ensure_active(cluster)?;
    let partitions = replication.brokers.values().map(|broker| broker.replicas).max().unwrap_or(0);
    match (change, cluster.broker_type.parse::<BrokerType>()) {
        (Change::BrokerType(to), Ok(now)) if now != to => {
            let partitions = u32::try_from(partitions).unwrap_or(u32::MAX);
            now.check_change_to(to, Some(partitions)).map_err(refused)?;
        }
        (Change::BrokerCount(to), _) if cluster.broker_count > to => {
            return Err(refused(anyhow!(
                "{name} has {} brokers already, and none are taken away",
                cluster.broker_count
            )));
        }
        _ => {}
    }
    if !replication.is_whole(cluster.broker_count as usize) {
        let why = match change {
            Change::BrokerType(_) => "restarting brokers now would take more replicas away",
            Change::BrokerCount(_) => "moving partitions now would make it worse",
        };
        return Err(refused(anyhow!(
            "{} partitions of {name} are under-replicated and {} are offline: {why}; wait until all are in sync \
             (`kgen topic describe`, `kgen diagnose`)",
            replication.under_replicated,
            replication.offline
        )));
    }
    Ok(())
}

/// # Errors
/// Refused: MSK changes nothing now.
pub fn ensure_active(cluster: &Cluster) -> anyhow::Result<()> {
    if cluster.is_idle() {
        return Ok(());
    }
    Err(refused(anyhow!(
        "cluster {} is {}: MSK changes the brokers of an ACTIVE cluster with no operation running; wait for it",
        cluster.name,
        cluster.state
    )))
}

/// # Errors
/// Refused: no broker answers.
pub fn replication(bootstrap: &str) -> anyhow::Result<Replication> {
    let connection = Connection::plain(bootstrap);
    connection.ensure_reachable(REACHABLE_WITHIN).map_err(refused)?;
    Ok(Admin::connect(&connection)?.replication(REACHABLE_WITHIN)?)
}

impl Ready<'_> {
    pub fn project(&self) -> &Project {
        self.project
    }

    pub fn place(&self) -> &Place {
        self.place
    }

    /// What will change: files, cluster, price, time.
    pub fn summary(&self) -> String {
        let rendered = self.rendered();
        let notes: String = rendered.notes.iter().map(|note| format!("  {note}\n")).collect();
        let diffs: String = self.files().into_iter().map(|file| file.diff).collect();
        format!("{}\n{notes}{diffs}\n", rendered.summary)
    }

    fn files(&self) -> Vec<PreparedFile> {
        let file = |edit: &Edit| {
            let file = self.project.dir().join(&edit.path);
            let file = file.strip_prefix("./").unwrap_or(&file).to_owned();
            let name = file.display().to_string();
            let diff = unified_diff((&name, edit.before.as_deref().unwrap_or_default()), (&name, &edit.after));
            PreparedFile { file, diff }
        };
        self.edits.iter().map(file).collect()
    }

    /// What a dry run prints as JSON.
    pub fn prepared(&self, moves: Option<PreparedMoves>) -> Prepared {
        Prepared {
            cluster: Some(self.cluster.name.clone()),
            written: false,
            files: self.files(),
            remedy: Some(self.rendered()),
            moves,
            notes: Vec::new(),
            next: self.change.command(),
        }
    }

    /// The change as a remedy with every value filled in; before it is carried out.
    pub fn rendered(&self) -> Rendered {
        let msk_tf = files::text(&self.project.terraform_dir().join("msk.tf")).ok().flatten();
        let target = Target {
            arn: Some(&self.cluster.arn),
            current_version: Some(&self.cluster.current_version),
            region: self.project.stack().region(),
            bootstrap_servers: Some(&self.bootstrap),
            msk_tf: msk_tf.as_deref(),
        };
        self.change.remedy(self.project.stack(), &self.cluster).rendered(&target)
    }

    /// Rewrites the files, applies a plan that is this change and nothing else, and waits until all is in sync.
    /// When anything goes wrong before the cluster begins to change, the files are put back. Returns the steps of the rolling
    /// update that were seen to end; nothing when it was interrupted.
    ///
    /// # Errors
    /// The plan would change something else; terraform failed; the cluster did not settle.
    pub fn carry_out(
        &self,
        working_dir: &WorkingDir,
        journal: &Journal,
        progress: &mut Progress,
    ) -> anyhow::Result<Option<Vec<rolling::Ended>>> {
        journal.edits(&self.edits)?;
        journal.step(Step::Writing)?;
        let files: Vec<(PathBuf, Vec<u8>)> = self
            .edits
            .iter()
            .map(|edit| (self.project.dir().join(&edit.path), edit.after.as_bytes().to_vec()))
            .collect();
        // What a killed run has written already is not written again, and is put back all the same.
        let unwritten = files.into_iter().filter(|(path, bytes)| {
            files::bounded::read(path, files::bounded::TEXT_BYTES).ok().as_ref() != Some(bytes)
        });
        // Putting back goes by the edits, which also know what an earlier run has written.
        drop(replace_all(&unwritten.collect::<Vec<_>>())?);
        let error = match self.applied(working_dir, journal, progress) {
            Ok(steps) => {
                if let Change::BrokerCount(_) = self.change {
                    self.refresh_outputs(working_dir, progress)?;
                }
                self.settle(journal, progress)?;
                return Ok(Some(steps));
            }
            Err(error) => error,
        };
        progress.clear();
        if self.has_begun() {
            let name = &self.cluster.name;
            progress.line(&format!("{name} has begun to change, so the files stay as they are changed"));
        } else {
            self.put_back().context("putting the files back")?;
            journal.step(Step::PutBack)?;
            progress.line("the files are as they were before");
        }
        match error.downcast::<TerraformError>() {
            Ok(error @ TerraformError::Interrupted { .. }) => {
                progress.line(&format!("{error}"));
                Ok(None)
            }
            Ok(error) => Err(error).with_context(|| format!("applying the {}", self.change.name())),
            Err(error) => Err(error),
        }
    }

    /// Whether the cluster is changing or changed; also when nobody can tell.
    pub fn has_begun(&self) -> bool {
        let described = runtime().and_then(|runtime| {
            let described = runtime.block_on(async {
                let aws = self.place.aws(self.project.stack().region()).await;
                aws.describe(&self.cluster.arn).await
            });
            Ok(described?)
        });
        !described.is_ok_and(|now| now.is_idle() && !self.change.is_reached(&now))
    }

    /// Every file as it was, if it holds what the change has made of it.
    ///
    /// # Errors
    /// Names the files that somebody has changed since; those stay.
    pub fn put_back(&self) -> anyhow::Result<()> {
        let mut left = Vec::new();
        for edit in self.edits.iter().rev() {
            let path = self.project.dir().join(&edit.path);
            let now = files::text(&path)?;
            if now == edit.before {
                continue;
            }
            let put_back = match (&edit.before, now.as_ref() == Some(&edit.after)) {
                (_, false) => Err(anyhow!("it was changed in between and stays as it is")),
                (Some(before), true) => files::replace_file(&path, before.as_bytes()).map_err(Into::into),
                (None, true) => std::fs::remove_file(&path).map_err(Into::into),
            };
            if let Err(error) = put_back {
                left.push(format!("{}: {error:#}", path.display()));
            }
        }
        if !left.is_empty() {
            bail!("not put back: {}", left.join("; "));
        }
        Ok(())
    }

    fn applied(
        &self,
        working_dir: &WorkingDir,
        journal: &Journal,
        progress: &mut Progress,
    ) -> anyhow::Result<Vec<rolling::Ended>> {
        let cluster = self.await_active(journal, progress)?;
        progress.phase("planning");
        let plan = working_dir.plan(Goal::Apply, &mut |seen| progress.show(seen))?;
        show(&plan, true, progress);
        // The cluster was changed by other means already, and now the HCL says so too.
        let nothing = plan.changes.resources().next().is_none();
        match self.change.is_reached(&cluster) {
            true if nothing => return Ok(Vec::new()),
            // A run that was stopped between the cluster and what comes along with it.
            true => self.change.ensure_is_rest_of(&plan.changes)?,
            false => self.change.ensure_is_all_of(&plan.changes, &cluster.arn)?,
        }
        journal.step(Step::Applying)?;
        progress.phase("applying");
        let steps = rolling::apply(working_dir.terraform(), &plan, self.place, progress)?;
        progress.clear();
        Ok(steps)
    }

    /// Brings outputs up to date that the provider leaves as they were when brokers are added, such as the bootstrap brokers.
    ///
    /// # Errors
    /// Terraform failed.
    fn refresh_outputs(&self, working_dir: &WorkingDir, progress: &mut Progress) -> anyhow::Result<()> {
        progress.phase("reading the outputs again");
        let plan = working_dir.plan(Goal::Apply, &mut |seen| progress.show_diagnostics(seen))?;
        if plan.changes.resources().next().is_some() {
            progress.line("note: more has changed meanwhile (`kgen plan` shows it), so the outputs stay as they were");
        } else if plan.has_changes() {
            working_dir.terraform().apply(&plan, &mut |seen| progress.show_diagnostics(seen))?;
        }
        progress.clear();
        Ok(())
    }

    /// Waits for an operation that an earlier run has left running.
    fn await_active(&self, journal: &Journal, progress: &mut Progress) -> anyhow::Result<Cluster> {
        let runtime = runtime()?;
        let aws = runtime.block_on(self.place.aws(self.project.stack().region()));
        let started = Instant::now();
        loop {
            let cluster = runtime.block_on(aws.describe(&self.cluster.arn))?;
            if cluster.is_idle() {
                return Ok(cluster);
            }
            if started.elapsed() > OPERATION_TIMEOUT {
                bail!("{} is still {} after {} h", cluster.name, cluster.state, OPERATION_TIMEOUT.as_secs() / 3600);
            }
            progress.phase("waiting for the operation that runs on the cluster");
            journal.ensure_not_interrupted()?;
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// Waits until the cluster is ACTIVE as it is to be, and every replica is in sync.
    ///
    /// # Errors
    /// It takes too long, or it is interrupted.
    fn settle(&self, journal: &Journal, progress: &mut Progress) -> anyhow::Result<()> {
        progress.phase("waiting until every partition is in sync");
        let runtime = runtime()?;
        let aws = runtime.block_on(self.place.aws(self.project.stack().region()));
        let admin = Admin::connect(&Connection::plain(&self.bootstrap))?;
        let started = Instant::now();
        while let Some(missing) = self.missing(&runtime, &aws, &admin) {
            if started.elapsed() > SETTLE_TIMEOUT {
                bail!("the {} was applied, but after {} s {missing}", self.change.name(), SETTLE_TIMEOUT.as_secs());
            }
            journal.ensure_not_interrupted()?;
            std::thread::sleep(Duration::from_secs(1));
        }
        progress.clear();
        journal.step(Step::Settled)
    }

    fn missing(&self, runtime: &tokio::runtime::Runtime, aws: &Aws, admin: &Admin) -> Option<String> {
        let cluster = match runtime.block_on(aws.describe(&self.cluster.arn)) {
            Ok(cluster) => cluster,
            Err(error) => return Some(format!("the cluster cannot be described: {error}")),
        };
        if cluster.state != "ACTIVE" || !self.change.is_reached(&cluster) {
            let (count, broker_type) = (cluster.broker_count, &cluster.broker_type);
            return Some(format!("the cluster is {} with {count} brokers of {broker_type}", cluster.state));
        }
        match admin.replication(REACHABLE_WITHIN) {
            Ok(replication) if replication.is_whole(cluster.broker_count as usize) => None,
            Ok(replication) => Some(format!(
                "{} brokers answer and {} partitions are under-replicated",
                replication.brokers.len(),
                replication.under_replicated
            )),
            Err(error) => Some(format!("the brokers do not answer: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_is_the_change_that_was_approved_of_the_cluster_that_was_meant() {
        let values = |broker_type: &str, brokers: u32| {
            json!({"arn": "arn:one", "number_of_broker_nodes": brokers,
                   "broker_node_group_info": [{"instance_type": broker_type}]})
        };
        let judged = |change: Change, after: Value, arn: &str| {
            let change_of = json!({"actions": ["update"], "before": values("kafka.t3.small", 3), "after": after});
            let cluster = json!({"address": "c", "mode": "managed", "type": RESOURCE, "change": change_of});
            let plan = Changes::parse(&json!({"complete": true, "resource_changes": [cluster]}).to_string()).unwrap();
            change.ensure_is_all_of(&plan, arn).map_err(|error| error.to_string())
        };
        let (large, six) = (Change::BrokerType("kafka.m5.large".parse().unwrap()), Change::BrokerCount(6));
        assert_eq!(judged(large, values("kafka.m5.large", 3), "arn:one"), Ok(()));
        assert_eq!(judged(six, values("kafka.t3.small", 6), "arn:one"), Ok(()));
        for (change, after, arn, expected) in [
            (large, values("kafka.m5.xlarge", 3), "arn:one", "what was approved is kafka.m5.large"),
            (six, values("kafka.t3.small", 9), "arn:one", "what was approved is 6 brokers"),
            (large, values("kafka.m5.large", 3), "arn:two", "the resize is of arn:two"),
            (large, values("kafka.t3.small", 6), "arn:one", "the broker type and nothing else"),
        ] {
            let refused = judged(change, after, arn).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
