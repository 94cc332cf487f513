//! `--apply`: the edit, planned, guarded, applied, and measured before and afterwards; recorded and drawn as it happens.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    cli::{Look, Outcome, Resize, refused},
    commands::{
        change::{BROKER_TYPE, Change, RESOURCE},
        journal::{Interrupted, Journal, Step},
        place::Place,
        progress::Progress,
        proven::{Done, Stretch, concluded, measured, warmed_up},
        record::{self, Record},
        resize::own_look,
        rolling,
        watching::{Beside, Marks, Watched},
        working_dir::{confirmed, ended, show},
    },
    diagnose, files,
    locate::Located,
    process::{absolute, shell_word},
    project::{Lock, Project, replace_unchanged},
    remedy::Rendered,
    run::{Environment, Event, Fix, Head, Mark, Run},
    terraform::{
        Goal, Terraform, TerraformError,
        plan::{Plan, ResourceChange},
    },
};

/// Name of [`Elsewhere`] in the record.
const ELSEWHERE: &str = "elsewhere";

/// What there is to carry out.
pub struct Work<'a> {
    /// Where the run is recorded.
    pub project: Project,
    pub args: &'a Resize,
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
    watched: Watched,
    journal: Journal,
    /// Nothing, where the brokers cannot be measured.
    before: Option<Stretch>,
}

impl Work<'_> {
    /// # Errors
    /// The plan would do something else, or terraform failed. The record has its end in each case.
    pub fn carry_out(&self) -> anyhow::Result<Outcome> {
        let Located { region, cluster_name, .. } = self.located.clone();
        let environment = Environment { region, cluster: cluster_name, ..Environment::here() };
        let record = Record::begin_in(&self.project, "resize", environment)?;
        let played = match self.play(&record) {
            Err(error) if error.is::<Interrupted>() => Ok(Outcome::Interrupted),
            played => played,
        };
        let was_interrupted = matches!(played, Ok(Outcome::Interrupted));
        if let Err(error) = record.end(&played, was_interrupted) {
            eprintln!("note: {error:#}");
        }
        played
    }

    /// Makes the edit and carries it out when that is wanted; else undoes it.
    fn play(&self, record: &Record) -> anyhow::Result<Outcome> {
        let (edit, to) = (&self.located.edit, self.args.broker_type);
        let name = edit.file.display();
        let (file, old, new) = (absolute(&edit.file), edit.old.clone(), to.to_string());
        record.result(ELSEWHERE, &Elsewhere { file, line: edit.line, old, new, plan: self.plan.clone() })?;
        replace_unchanged(&edit.file, edit.before.as_bytes(), self.after.as_bytes()).map_err(refused)?;
        eprintln!("{name}:{}: {} is now {to}", edit.line, edit.old);
        let failed = match self.begin(record) {
            Ok(Some(begun)) => return self.finish(begun, record),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        self.undo()?;
        match failed.map(anyhow::Error::downcast::<TerraformError>) {
            None => Ok(Outcome::Done),
            Some(Ok(error)) => ended(error, &mut Progress::new()),
            Some(Err(error)) => Err(error),
        }
    }

    fn undo(&self) -> anyhow::Result<()> {
        let edit = &self.located.edit;
        replace_unchanged(&edit.file, self.after.as_bytes(), edit.before.as_bytes()).context("undoing the edit")?;
        eprintln!("{} is as it was before", edit.file.display());
        Ok(())
    }

    /// Plans, asks and measures. Nothing, when it is not wanted.
    ///
    /// # Errors
    /// Nothing of the cluster has changed.
    fn begin(&self, record: &Record) -> anyhow::Result<Option<Begun<'_>>> {
        let (plan, cluster) = self.planned()?;
        if !self.args.yes && !confirmed(&format!("Apply this to {}?", self.located.address))? {
            return Ok(None);
        }
        let journal = Journal::new(Some(record.clone()))?;
        record::show(record, self.args.json || self.args.plain);
        let named = (Some(cluster.cluster.clone()), Some(cluster.region.clone()));
        let look = Look { cluster: named.0, region: named.1, ..own_look() };
        let watched = Watched { project: self.project.clone(), look, place: Place::Environment };
        eprintln!("measuring for {} s before the change", self.args.measure.as_secs());
        let before = self.measured(&watched, &journal)?;
        let command = self.command();
        let summary = format!("{}: {} instead of {}", cluster.cluster, self.args.broker_type, self.located.edit.old);
        let (kgen, hcl_diff) = (Some(command.clone()), Some(self.diff.clone()));
        let rendered = Rendered { summary, kgen, hcl_diff, ..Rendered::default() };
        journal.tell(Event::Remedy(Box::new(Fix { command, rendered })))?;
        journal.step(Step::Applying)?;
        Ok(Some(Begun { plan, cluster, watched, journal, before }))
    }

    /// Plans the edit. Returns what the plan says of the cluster.
    ///
    /// # Errors
    /// The plan does anything but update that cluster's broker type in place.
    fn planned(&self) -> anyhow::Result<(Plan<'_>, diagnose::Context)> {
        let mut progress = Progress::new();
        progress.phase("planning");
        let plan = self.terraform.plan(Goal::Apply, self.alone, &mut |seen| progress.show(seen))?;
        show(&plan, true, &mut progress);
        let other =
            "a resize may change the broker type and nothing else; `terraform plan` shows the rest, apply it first";
        let updated = plan.changes.ensure_updates_in_place(RESOURCE, BROKER_TYPE).context(other)?;
        let address = &self.located.address;
        let is_meant = updated.address == *address || updated.address.starts_with(&format!("{address}."));
        ensure!(is_meant, "the plan updates {}, and {address} was meant", updated.address);
        Change::BrokerType(self.args.broker_type).ensure_becomes(&updated.change.after)?;
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
            broker_type: Some(self.args.broker_type.to_string()),
            broker_count: before["number_of_broker_nodes"].as_u64().and_then(|n| n.try_into().ok()).unwrap_or(0),
            kafka_version: text("kafka_version"),
            ..diagnose::Context::default()
        }
    }

    /// Applies the plan. What fails from here on may have begun to change the cluster, so the edit stays.
    fn finish(&self, begun: Begun<'_>, record: &Record) -> anyhow::Result<Outcome> {
        let Begun { plan, cluster, watched, journal, before } = begun;
        let mut progress = Progress::new();
        let marks = Marks::new(self.project.stack()).without_fixed();
        let beside = before.is_some().then(|| Beside::start(watched.clone(), record, marks));
        progress.phase("applying");
        let steps = match rolling::apply(self.terraform, &plan, &Place::Environment, &mut progress) {
            Ok(steps) => steps,
            // Terraform was not even started.
            Err(error @ TerraformError::OtherPlan { .. }) => {
                progress.clear();
                self.undo()?;
                return Err(error.into());
            }
            Err(error) => return ended(error, &mut progress),
        };
        progress.clear();
        journal.step(Step::Settled)?;
        let to = self.args.broker_type;
        journal.tell(Event::mark(Mark::Fixed, format!("every broker is {to}")))?;
        eprintln!("{}: {to}", cluster.cluster);
        let after = match before.is_some() {
            true => warmed_up(self.args.measure, &journal).and_then(|()| {
                drop(beside);
                self.measured(&watched, &journal)
            }),
            false => Ok(None),
        };
        if after.is_err() {
            eprintln!("the brokers are {to}, and were not measured afterwards");
        }
        let after = after?;
        let done = Done { change: Change::BrokerType(to), steps, moved: None };
        let was = diagnose::Context { broker_type: Some(self.located.edit.old.clone()), ..cluster.clone() };
        let (before, after) =
            (before.unwrap_or_else(|| Stretch::empty(was)), after.unwrap_or_else(|| Stretch::empty(cluster)));
        concluded(done, Some(before), after, &journal, self.args.json)
    }

    /// Measures the brokers, where they can be: terraform may have rights or ways to AWS that kgen has not.
    fn measured(&self, watched: &Watched, journal: &Journal) -> anyhow::Result<Option<Stretch>> {
        match measured(watched, self.args.measure, journal) {
            Ok(stretch) => Ok(Some(stretch)),
            Err(error) if error.is::<Interrupted>() => Err(error),
            Err(error) => {
                eprintln!("note: the brokers are not measured: {error:#}");
                Ok(None)
            }
        }
    }

    /// As it was typed, whole: a report is read elsewhere.
    fn command(&self) -> String {
        let args = &self.args;
        let dir = args.dir.as_deref().map(|dir| dir.display().to_string()).unwrap_or_default();
        let cluster = args.cluster.as_deref().map(|name| format!(" --cluster {name}")).unwrap_or_default();
        let files: String = args.var_file.iter().map(|file| format!(" --var-file {}", file.display())).collect();
        let given: String = args.var.iter().map(|(name, value)| format!(" --var {name}={value}")).collect();
        format!("kgen resize {} --dir {dir}{cluster}{files}{given} --apply", args.broker_type)
    }
}

/// Whether it is a command as kgen records it, and does nothing else: a record's text is not advised to anybody's shell.
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

    /// Why kgen does not go on with it, and who does.
    pub fn refusal(&self, head: &Head) -> anyhow::Error {
        let Elsewhere { file, line, old, new, plan } = self;
        let again: Vec<String> = head.args.iter().map(|word| shell_word(word)).collect();
        let (id, file_name, again) = (&head.id, file.display(), again.join(" "));
        let text = files::text(file).ok().flatten().unwrap_or_default();
        let plan = if is_plan(plan) { plan } else { "terraform plan" };
        if text.lines().nth(line.saturating_sub(1)).is_some_and(|line| line.contains(old.as_str())) {
            return refused(anyhow!(
                "{id} has left nothing to go on with: {file_name}:{line} says {old} again; run `kgen {again}` once more"
            ));
        }
        refused(anyhow!(
            "{id} changed Terraform that kgen did not write, and there terraform alone goes on: {file_name}:{line} was \
             changed from {old} to {new}; `{plan}` shows what is left to do"
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
