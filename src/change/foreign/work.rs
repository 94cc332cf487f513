//! `--apply`: plans, checks and applies the edit, measures before and afterwards, and records and shows the run.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow, ensure};
use serde::{Deserialize, Serialize};

use super::{ForeignEnd, Request, Written};
use crate::{
    change::{
        Change, Event, Observer, Phase, Question, Site,
        conclusion::{Done, concluded},
        journal::{Interrupted, Journal, Step},
        kind::{BROKER_TYPE, RESOURCE, alone},
        measure::{ClusterView, Stretch, measured, warmed_up},
        rolling,
    },
    diagnose, files,
    locate::Located,
    outcome::refused,
    process::{absolute, shell_word},
    project::{Lock, Project, replace_unchanged},
    record::Record,
    remedy::Rendered,
    run::{self, Environment, Fix, Head, Mark, Run},
    terraform::{
        Goal, Seen, Terraform, TerraformError,
        plan::{Plan, ResourceChange},
    },
    watch::{Marks, Naming, News},
};

/// Name of [`Elsewhere`] in the record.
const ELSEWHERE: &str = "elsewhere";

/// What there is to carry out.
pub struct Work<'a> {
    /// Where the run is recorded.
    pub project: Project,
    pub request: &'a Request,
    pub site: &'a Site,
    pub terraform: &'a Terraform,
    /// No other kgen plans or applies there.
    pub alone: &'a Lock,
    pub located: &'a Located,
    /// The file with its edit.
    pub after: String,
    pub diff: String,
    /// The command that plans it by hand.
    pub plan: String,
}

/// A plan that was allowed, and what was measured before it is applied.
struct Begun<'a> {
    plan: Plan<'a>,
    cluster: diagnose::Context,
    watched: ClusterView,
    /// Nothing, where the brokers cannot be measured.
    before: Option<Stretch>,
}

impl Work<'_> {
    /// # Errors
    /// The plan would do something else, or terraform failed. The record has its end in each case.
    pub fn carry_out(&self, observer: &mut dyn Observer) -> anyhow::Result<ForeignEnd> {
        let Located { region, cluster_name, .. } = self.located.clone();
        let environment = Environment { region, cluster: cluster_name, ..Environment::here() };
        let record = Record::begin_in(&self.project, "resize", environment)?;
        let journal = Journal::new(Some(record.clone()), self.site.timing, observer)?;
        let played = match self.play(&record, &journal) {
            Err(error) if error.is::<Interrupted>() => Ok(ForeignEnd::Interrupted),
            played => played,
        };
        let is_interrupted = matches!(played, Ok(ForeignEnd::Interrupted));
        let outcome = played.as_ref().map(ForeignEnd::outcome).map_err(|error| anyhow!("{error:#}"));
        if let Err(error) = record.end(&outcome, is_interrupted) {
            journal.see(&Event::NotRecorded(&error));
        }
        played
    }

    /// Makes the edit and carries it out when that is wanted; else undoes it.
    fn play(&self, record: &Record, journal: &Journal<'_>) -> anyhow::Result<ForeignEnd> {
        let (edit, to) = (&self.located.edit, self.request.to);
        let (file, old, new) = (absolute(&edit.file), edit.old.clone(), to.to_string());
        record.result(ELSEWHERE, &Elsewhere { file, line: edit.line, old, new, plan: self.plan.clone() })?;
        replace_unchanged(&edit.file, edit.before.as_bytes(), self.after.as_bytes()).map_err(refused)?;
        journal.see(&Event::Edited(&Written { file: &edit.file, line: edit.line, old: &edit.old, to, address: None }));
        let failed = match self.begin(record, journal) {
            Ok(Some(begun)) => return self.finish(begun, record, journal),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        self.undo(journal)?;
        match failed.map(anyhow::Error::downcast::<TerraformError>) {
            None => Ok(ForeignEnd::Declined),
            Some(Ok(error)) => stopped(error, journal),
            Some(Err(error)) => Err(error),
        }
    }

    fn undo(&self, journal: &Journal<'_>) -> anyhow::Result<()> {
        let edit = &self.located.edit;
        replace_unchanged(&edit.file, self.after.as_bytes(), edit.before.as_bytes()).context("undoing the edit")?;
        journal.see(&Event::Undone { file: &edit.file });
        Ok(())
    }

    /// Plans, asks and measures. Nothing, when it is not wanted.
    ///
    /// # Errors
    /// Nothing of the cluster has changed.
    fn begin(&self, record: &Record, journal: &Journal<'_>) -> anyhow::Result<Option<Begun<'_>>> {
        let (plan, cluster) = self.planned(journal)?;
        if !journal.approve(&Question::Apply { address: &self.located.address })? {
            return Ok(None);
        }
        journal.see(&Event::Recording(record));
        let (interval, place) = (self.site.timing.interval, &self.site.place);
        let watched = ClusterView::of(&cluster.cluster, &cluster.region, place, interval);
        journal.see(&Event::Measuring { time: self.request.measure, warm_up: None });
        let before = self.measured(&watched, journal)?;
        let command = self.command();
        let summary = format!("{}: {} instead of {}", cluster.cluster, self.request.to, self.located.edit.old);
        let (kgen, hcl_diff) = (Some(command.clone()), Some(self.diff.clone()));
        let rendered = Rendered { summary, kgen, hcl_diff, ..Rendered::default() };
        journal.tell(run::Event::Remedy(Box::new(Fix { command, rendered })))?;
        journal.step(Step::Applying)?;
        Ok(Some(Begun { plan, cluster, watched, before }))
    }

    /// Plans the edit. Returns what the plan says of the cluster.
    ///
    /// # Errors
    /// The plan does anything but update that cluster's broker type in place.
    fn planned(&self, journal: &Journal<'_>) -> anyhow::Result<(Plan<'_>, diagnose::Context)> {
        journal.begin(Phase::Planning);
        let mut see = |seen: &Seen| journal.see(&Event::Terraform(seen));
        let plan = self.terraform.plan(Goal::Apply, self.alone, &mut see)?;
        journal.end_phase();
        journal.see(&Event::Planned(&plan));
        let other =
            "a resize may only change the broker type; `terraform plan` shows what else would change: apply that first";
        let updated = plan.changes.ensure_updates_in_place(RESOURCE, BROKER_TYPE);
        let updated = updated.map_err(|error| alone(error, other.to_owned()))?;
        let address = &self.located.address;
        let is_meant = updated.address == *address || updated.address.starts_with(&format!("{address}."));
        ensure!(is_meant, "the plan updates {} instead of {address}", updated.address);
        Change::BrokerType(self.request.to).ensure_becomes(&updated.change.after)?;
        let cluster = self.cluster(updated);
        Ok((plan, cluster))
    }

    /// The cluster as the plan has it, and as it will be.
    fn cluster(&self, updated: &ResourceChange) -> diagnose::Context {
        let before = &updated.change.before;
        let text = |key: &str| before[key].as_str().map(str::to_owned);
        let arn = text("arn");
        // arn:PARTITION:kafka:REGION:ACCOUNT:cluster/NAME/ID
        let region = arn.as_deref().and_then(|arn| arn.split(':').nth(3)).map(str::to_owned);
        diagnose::Context {
            cluster: text("cluster_name").or(self.located.cluster_name.clone()).unwrap_or_default(),
            region: region.or(self.located.region.clone()).unwrap_or_default(),
            arn,
            broker_type: Some(self.request.to.to_string()),
            broker_count: before["number_of_broker_nodes"].as_u64().and_then(|n| n.try_into().ok()).unwrap_or(0),
            kafka_version: text("kafka_version"),
            ..diagnose::Context::default()
        }
    }

    /// Applies the plan. What fails from here on may have begun to change the cluster, so the edit stays.
    fn finish(&self, begun: Begun<'_>, record: &Record, journal: &Journal<'_>) -> anyhow::Result<ForeignEnd> {
        let Begun { plan, cluster, watched, before } = begun;
        let marks = Marks::new(self.project.stack()).without_fixed();
        let news = News::new(Naming::of_project(&self.project.terraform_dir()), marks);
        let beside = before.is_some().then(|| watched.beside(record, news));
        journal.begin(Phase::Applying);
        let steps = match rolling::apply(self.terraform, &plan, &self.site.place, &mut |event| journal.see(event)) {
            Ok(steps) => steps,
            // Terraform was not even started.
            Err(error @ TerraformError::OtherPlan { .. }) => {
                journal.end_phase();
                self.undo(journal)?;
                return Err(error.into());
            }
            Err(error) => return stopped(error, journal),
        };
        journal.end_phase();
        journal.step(Step::Settled)?;
        let change = Change::BrokerType(self.request.to);
        journal.tell(run::Event::mark(Mark::Fixed, format!("every broker is {}", self.request.to)))?;
        journal.see(&Event::TypeIs { cluster: &cluster.cluster, to: self.request.to });
        let after = match before.is_some() {
            true => warmed_up(self.request.measure, self.site.timing, journal).and_then(|()| {
                drop(beside);
                self.measured(&watched, journal)
            }),
            false => Ok(None),
        };
        if after.is_err() {
            journal.see(&Event::NotMeasuredAfter { change });
        }
        let after = after?;
        let done = Done { change, steps, moved: None };
        let was = diagnose::Context { broker_type: Some(self.located.edit.old.clone()), ..cluster.clone() };
        let (before, after) =
            (before.unwrap_or_else(|| Stretch::empty(was)), after.unwrap_or_else(|| Stretch::empty(cluster)));
        Ok(ForeignEnd::Concluded(Box::new(concluded(done, Some(before), after, journal)?)))
    }

    /// Measures the brokers, where they can be: terraform may have rights or ways to AWS that kgen has not.
    fn measured(&self, watched: &ClusterView, journal: &Journal<'_>) -> anyhow::Result<Option<Stretch>> {
        match measured(watched, self.request.measure, journal) {
            Ok(stretch) => Ok(Some(stretch)),
            Err(error) if error.is::<Interrupted>() => Err(error),
            Err(error) => {
                journal.see(&Event::NotMeasured(&error));
                Ok(None)
            }
        }
    }

    /// As it was typed, whole: a report is read elsewhere.
    fn command(&self) -> String {
        let Request { dir, cluster, var_files, variables, to, .. } = self.request;
        let cluster = cluster.as_deref().map(|name| format!(" --cluster {name}")).unwrap_or_default();
        let files: String = var_files.iter().map(|file| format!(" --var-file {}", file.display())).collect();
        let given: String = variables.iter().map(|(name, value)| format!(" --var {name}={value}")).collect();
        format!("kgen resize {to} --dir {}{cluster}{files}{given} --apply", dir.display())
    }
}

/// What it means that terraform did not do its work.
///
/// # Errors
/// It was not interrupted.
fn stopped(error: TerraformError, journal: &Journal<'_>) -> anyhow::Result<ForeignEnd> {
    journal.end_phase();
    match error {
        TerraformError::Interrupted { .. } => {
            journal.see(&Event::TerraformStopped { error: &error, goes_on: true });
            Ok(ForeignEnd::Interrupted)
        }
        // Where plans are kept, something is in the way: terraform was not started.
        error @ TerraformError::PlanFile { .. } => Err(refused(error)),
        error => Err(error.into()),
    }
}

/// Whether it is a command as kgen records it, and does nothing else: a record's text is not advised to anyone's shell.
fn is_plan(command: &str) -> bool {
    let terragrunt = command.strip_prefix("cd ").and_then(|rest| rest.strip_suffix(" && terragrunt plan"));
    let program = command.strip_prefix("terraform ").or_else(|| command.strip_prefix("tofu "));
    let terraform = program.and_then(|rest| rest.strip_prefix("-chdir=")).filter(|rest| rest.contains(" plan"));
    let Some(mut rest) = terragrunt.or(terraform) else { return false };
    // Outside of single quotes there are options only, and the quotes of names, as `\'`.
    let plain = |c: char| c.is_ascii_alphanumeric() || " -=".contains(c);
    loop {
        rest = rest.trim_start_matches(plain);
        rest = match (rest.strip_prefix("\\'"), rest.strip_prefix('\'').map(|inside| inside.split_once('\''))) {
            _ if rest.is_empty() => return true,
            (Some(after), _) | (None, Some(Some((_, after)))) => after,
            _ => return false,
        };
    }
}

/// What a run has changed in Terraform that kgen did not write, for those who find it unfinished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Elsewhere {
    file: PathBuf,
    line: usize,
    old: String,
    new: String,
    /// The command that plans what is left.
    plan: String,
}

impl Elsewhere {
    /// That of `run`; nothing if it changed no such Terraform.
    pub fn of(run: &Run) -> Option<Elsewhere> {
        serde_json::from_value(run.result(ELSEWHERE)?.clone()).ok()
    }

    /// Why kgen does not continue with it, and who does.
    pub fn refusal(&self, head: &Head) -> anyhow::Error {
        let Elsewhere { file, line, old, new, plan } = self;
        let again: Vec<String> = head.args.iter().map(|word| shell_word(word)).collect();
        let (id, file_name, again) = (&head.id, file.display(), again.join(" "));
        let text = files::text(file).ok().flatten().unwrap_or_default();
        let plan = if is_plan(plan) { plan } else { "terraform plan" };
        if text.lines().nth(line.saturating_sub(1)).is_some_and(|line| line.contains(old.as_str())) {
            return refused(anyhow!(
                "{id} cannot be resumed: {file_name}:{line} says {old} again; run `kgen {again}` once more"
            ));
        }
        refused(anyhow!(
            "{id} changed Terraform that kgen did not write, so only terraform can continue it: {file_name}:{line} \
             was changed from {old} to {new}; `{plan}` shows what is left to do"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::is_plan;

    #[test]
    fn only_a_plan_is_advised() {
        for (command, is_one) in [
            ("terraform -chdir='infra' plan", true),
            ("terraform -chdir='it'\\''s; x' plan -var-file='a b.tfvars'", true),
            ("cd 'live/prod' && terragrunt plan", true),
            ("tofu -chdir='infra' plan -var='size=it'\\''s'", true),
            ("tofu -chdir='infra' plan -var=$(x)", false),
            ("terraform -chdir='infra' plan; curl x | sh", false),
            ("terraform -chdir='infra' plan -var-file=$(x)", false),
            ("terraform -chdir='infra plan", false),
            ("terraform -chdir='\\'' plan'; curl x | sh; '", false),
            ("cd 'x' && sh evil && terragrunt plan", false),
            ("curl x | sh", false),
            ("", false),
        ] {
            assert_eq!(is_plan(command), is_one, "{command}");
        }
    }
}
