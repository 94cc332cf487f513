//! Changes the project's own cluster: edits kgen.toml and the rendered files together, lets terraform apply a plan that
//! contains only this change, and waits for the cluster. Until the cluster itself begins to change, every failure
//! restores the files.

use std::{fs, path::PathBuf, time::Instant};

use anyhow::{Context as _, anyhow, bail};
use serde::{Deserialize, Serialize};

use super::{
    Change, Event, Phase, Timing,
    guard::{ensure_changeable, find, replication},
    journal::{Journal, Step},
    rolling,
};
use crate::{
    aws::{Aws, MskCluster},
    files,
    kafka::{Connection, REACHABLE_WITHIN, admin::Admin},
    outcome::refused,
    project::{Project, WorkingDir, replace_all, unified_diff},
    remedy::{Rendered, Target},
    stack::{Stack, with_volume_gib},
    terraform::{Goal, TerraformError},
    watch::{Place, runtime},
};

/// One file of the project, as it was and as the change makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// Relative to the project folder.
    pub path: PathBuf,
    /// Nothing, where there was no file.
    pub before: Option<String>,
    pub after: String,
}

/// A file that a change edits.
#[derive(Debug, Clone)]
pub struct FileDiff {
    pub file: PathBuf,
    /// A unified diff.
    pub diff: String,
}

/// Replicas that will move to new brokers.
#[derive(Debug, Clone, Copy)]
pub struct Moves {
    /// Roughly.
    pub replicas: u64,
    /// All that there are.
    pub of: u64,
    /// Of each broker, bytes/s.
    pub throttle_bytes_per_s: u64,
}

/// What a change would be.
#[derive(Debug, Clone)]
pub struct Proposal {
    pub change: Change,
    pub cluster: MskCluster,
    pub files: Vec<FileDiff>,
    pub remedy: Rendered,
    /// Of a scale-out.
    pub moves: Option<Moves>,
}

/// A change that was found to be allowed, and has changed nothing yet.
pub struct Ready<'a> {
    project: &'a Project,
    place: &'a Place,
    pub change: Change,
    pub cluster: MskCluster,
    pub bootstrap: String,
    pub edits: Vec<Edit>,
    timing: Timing,
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
    let (changed, with_change) = with_grown_volumes(project, &cluster, changed, with_change)?;
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
    Ok(Ready { project, place, change, cluster, bootstrap, edits, timing: Timing::default() })
}

/// `changed` and the text of kgen.toml with the size that the volumes grew to outside of Terraform: with the old size, the plan
/// of the change would make them smaller, which MSK refuses.
///
/// # Errors
/// Refused: a variable holds the old size.
fn with_grown_volumes(
    project: &Project,
    cluster: &MskCluster,
    changed: Stack,
    text: String,
) -> anyhow::Result<(Stack, String)> {
    let Some(gib) = cluster.volume_gib.filter(|gib| project.stack().is_outgrown_by(*gib)) else {
        return Ok((changed, text));
    };
    if let Some(variable) = project.variable_for("cluster.volume_gib") {
        return Err(refused(anyhow!(
            "the volumes grew to {gib} GiB outside of Terraform, and MSK cannot shrink volumes: set {variable} to {gib}"
        )));
    }
    Ok((changed.with_volumes(gib), with_volume_gib(&text, gib)?))
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
    Ok(Ready { project, place, change, cluster, bootstrap, edits, timing: Timing::default() })
}

impl Ready<'_> {
    pub fn project(&self) -> &Project {
        self.project
    }

    pub fn place(&self) -> &Place {
        self.place
    }

    /// The same, looked at and waited for as `timing` says.
    pub fn timed(self, timing: Timing) -> Self {
        Ready { timing, ..self }
    }

    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// What will change; before it is carried out.
    pub fn proposal(&self, moves: Option<Moves>) -> Proposal {
        let (change, cluster, files) = (self.change, self.cluster.clone(), self.files());
        Proposal { change, cluster, files, remedy: self.rendered(), moves }
    }

    /// What moves to new brokers, when there are `to` of them all.
    ///
    /// # Errors
    /// Refused: no broker answers.
    pub fn moves(&self, to: u32, throttle_bytes_per_s: u64) -> anyhow::Result<Moves> {
        let of: u64 = replication(&self.bootstrap)?.brokers.values().map(|broker| broker.replicas).sum();
        let new = u64::from(to.saturating_sub(self.cluster.broker_count));
        Ok(Moves { replicas: of * new / u64::from(to), of, throttle_bytes_per_s })
    }

    fn files(&self) -> Vec<FileDiff> {
        let file = |edit: &Edit| {
            let file = self.project.dir().join(&edit.path);
            let file = file.strip_prefix("./").unwrap_or(&file).to_owned();
            let name = file.display().to_string();
            let diff = unified_diff((&name, edit.before.as_deref().unwrap_or_default()), (&name, &edit.after));
            FileDiff { file, diff }
        };
        self.edits.iter().map(file).collect()
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
        let stack = self.project.stack();
        let mut rendered = self.change.remedy(stack, &self.cluster).rendered(&target);
        if let Some(gib) = self.cluster.volume_gib.filter(|gib| stack.is_outgrown_by(*gib)) {
            rendered.notes.push(format!(
                "the volumes grew to {gib} GiB outside of Terraform, but kgen.toml says {}: cluster.volume_gib = \
                 {gib} is written too, because MSK cannot shrink volumes",
                stack.cluster().volume_gib
            ));
        }
        rendered
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
        journal: &Journal<'_>,
    ) -> anyhow::Result<Option<Vec<rolling::EndedStep>>> {
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
        let error = match self.applied(working_dir, journal) {
            Ok(steps) => {
                if let Change::BrokerCount(_) = self.change {
                    refresh_outputs(working_dir, journal)?;
                }
                self.settle(journal)?;
                return Ok(Some(steps));
            }
            Err(error) => error,
        };
        journal.end_phase();
        if self.has_begun() {
            journal.see(&Event::FilesStay { cluster: &self.cluster.name });
        } else {
            self.put_back().context("restoring the files")?;
            journal.step(Step::PutBack)?;
            journal.see(&Event::FilesPutBack);
        }
        match error.downcast::<TerraformError>() {
            Ok(error @ TerraformError::Interrupted { .. }) => {
                journal.see(&Event::TerraformStopped { error: &error, goes_on: false });
                Ok(None)
            }
            Ok(error) => Err(error).with_context(|| format!("applying the {}", self.change.name())),
            Err(error) => Err(error),
        }
    }

    /// Whether the cluster is changing or changed; also when it is unknown.
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
    /// Names the files that someone has changed since; those stay.
    pub fn put_back(&self) -> anyhow::Result<()> {
        let mut left = Vec::new();
        for edit in self.edits.iter().rev() {
            let path = self.project.dir().join(&edit.path);
            let now = files::text(&path)?;
            if now == edit.before {
                continue;
            }
            let put_back = match (&edit.before, now.as_ref() == Some(&edit.after)) {
                (_, false) => Err(anyhow!("it was changed by something else in the meantime and was left alone")),
                (Some(before), true) => files::replace_file(&path, before.as_bytes()).map_err(Into::into),
                (None, true) => fs::remove_file(&path).map_err(Into::into),
            };
            if let Err(error) = put_back {
                left.push(format!("{}: {error:#}", path.display()));
            }
        }
        if !left.is_empty() {
            bail!("not restored: {}", left.join("; "));
        }
        Ok(())
    }

    fn applied(&self, working_dir: &WorkingDir, journal: &Journal<'_>) -> anyhow::Result<Vec<rolling::EndedStep>> {
        let cluster = self.await_active(journal)?;
        journal.begin(Phase::Planning);
        let plan = working_dir.plan(Goal::Apply, &mut |seen| journal.see(&Event::Terraform(seen)))?;
        journal.end_phase();
        journal.see(&Event::Planned(&plan));
        // The cluster was changed by other means already, and now the HCL says so too.
        let nothing = plan.changes.resources().next().is_none();
        match self.change.is_reached(&cluster) {
            true if nothing => return Ok(Vec::new()),
            // A run that was stopped between the cluster and what comes along with it.
            true => self.change.ensure_is_rest_of(&plan.changes)?,
            false => self.change.ensure_is_all_of(&plan.changes, &cluster.arn)?,
        }
        journal.step(Step::Applying)?;
        journal.begin(Phase::Applying);
        let steps = rolling::apply(working_dir.terraform(), &plan, self.place, &mut |event| journal.see(event))?;
        journal.end_phase();
        Ok(steps)
    }

    /// Waits for an operation that an earlier run has left running.
    fn await_active(&self, journal: &Journal<'_>) -> anyhow::Result<MskCluster> {
        let runtime = runtime()?;
        let aws = runtime.block_on(self.place.aws(self.project.stack().region()));
        let (started, within) = (Instant::now(), self.timing.operation_within);
        let mut is_waiting = false;
        loop {
            let cluster = runtime.block_on(aws.describe(&self.cluster.arn))?;
            if cluster.is_idle() {
                return Ok(cluster);
            }
            if started.elapsed() > within {
                bail!("{} is still {} after {} h", cluster.name, cluster.state, within.as_secs() / 3600);
            }
            if !std::mem::replace(&mut is_waiting, true) {
                journal.begin(Phase::AwaitingOperation);
            }
            journal.ensure_not_interrupted()?;
            std::thread::sleep(self.timing.look_every);
        }
    }

    /// Waits until the cluster is ACTIVE as it is to be, and every replica is in sync.
    ///
    /// # Errors
    /// It takes too long, or it is interrupted.
    fn settle(&self, journal: &Journal<'_>) -> anyhow::Result<()> {
        journal.begin(Phase::AwaitingSync);
        let runtime = runtime()?;
        let aws = runtime.block_on(self.place.aws(self.project.stack().region()));
        let admin = Admin::connect(&Connection::plain(&self.bootstrap))?;
        let (started, within) = (Instant::now(), self.timing.settle_within);
        while let Some(missing) = self.missing(&runtime, &aws, &admin) {
            if started.elapsed() > within {
                bail!("the {} was applied, but after {} s {missing}", self.change.name(), within.as_secs());
            }
            journal.ensure_not_interrupted()?;
            std::thread::sleep(self.timing.look_every);
        }
        journal.end_phase();
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
                "{} brokers respond and {} partitions are under-replicated",
                replication.brokers.len(),
                replication.under_replicated
            )),
            Err(error) => Some(format!("the brokers do not respond: {error}")),
        }
    }
}

/// Brings outputs up to date that the provider leaves as they were when brokers are added, such as the bootstrap brokers.
///
/// # Errors
/// Terraform failed.
fn refresh_outputs(working_dir: &WorkingDir, journal: &Journal<'_>) -> anyhow::Result<()> {
    journal.begin(Phase::ReadingOutputs);
    let plan = working_dir.plan(Goal::Apply, &mut |seen| journal.see(&Event::TerraformAside(seen)))?;
    if plan.changes.resources().next().is_some() {
        journal.see(&Event::OutputsStay);
    } else if plan.has_changes() {
        working_dir.terraform().apply(&plan, &mut |seen| journal.see(&Event::TerraformAside(seen)))?;
    }
    journal.end_phase();
    Ok(())
}
