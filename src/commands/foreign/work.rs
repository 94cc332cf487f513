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
        record::Record,
        resize::own_look,
        rolling,
        watching::{Beside, Marks, Watched},
        working_dir::{confirmed, ended},
    },
    diagnose, files,
    locate::Located,
    process::absolute,
    project::{Project, replace_unchanged},
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
    pub located: &'a Located,
    /// The file with its edit.
    pub after: String,
    pub diff: String,
    /// The command that plans it by hand.
    pub plan: String,
}

/// A plan that was allowed, and what was measured before it is applied.
struct Begun {
    plan: Plan,
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
        replace_unchanged(&edit.file, self.after.as_bytes(), edit.before.as_bytes()).context("undoing the edit")?;
        eprintln!("{name} is as it was before");
        match failed.map(anyhow::Error::downcast::<TerraformError>) {
            None => Ok(Outcome::Done),
            Some(Ok(error)) => ended(error, &mut Progress::new()),
            Some(Err(error)) => Err(error),
        }
    }

    /// Plans, asks and measures. Nothing, when it is not wanted.
    ///
    /// # Errors
    /// Nothing of the cluster has changed.
    fn begin(&self, record: &Record) -> anyhow::Result<Option<Begun>> {
        let (plan, cluster) = self.planned()?;
        if !self.args.yes && !confirmed(&format!("Apply this to {}?", self.located.address))? {
            return Ok(None);
        }
        let journal = Journal::new(Some(record.clone()))?;
        record.show(self.args.json || self.args.plain);
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
    fn planned(&self) -> anyhow::Result<(Plan, diagnose::Context)> {
        let mut progress = Progress::new();
        progress.phase("planning");
        let plan = self.terraform.plan(Goal::Apply, &mut |seen| progress.show(seen))?;
        progress.clear();
        progress.line(&plan.changes.to_string());
        let other =
            "a resize may change the broker type and nothing else; `terraform plan` shows the rest, apply it first";
        let updated = plan.changes.ensure_updates_in_place(RESOURCE, BROKER_TYPE).context(other)?;
        let address = &self.located.address;
        let is_meant = updated.address == *address || updated.address.starts_with(&format!("{address}."));
        ensure!(is_meant, "the plan updates {}, and {address} was meant", updated.address);
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
    fn finish(&self, begun: Begun, record: &Record) -> anyhow::Result<Outcome> {
        let Begun { plan, cluster, watched, journal, before } = begun;
        let mut progress = Progress::new();
        let marks = Marks::new(self.project.stack()).without_fixed();
        let beside = before.is_some().then(|| Beside::start(watched.clone(), record, marks));
        progress.phase("applying");
        let steps = match rolling::apply(self.terraform, &plan, &Place::Environment, &mut progress) {
            Ok(steps) => steps,
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
        format!("kgen resize {} --dir {dir}{cluster}{files} --apply", args.broker_type)
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
        let (id, file_name, again) = (&head.id, file.display(), head.args.join(" "));
        let text = files::text(file).ok().flatten().unwrap_or_default();
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
