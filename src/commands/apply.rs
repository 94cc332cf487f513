//! `kgen apply`: applies terraform/.

use std::path::Path;

use super::{
    console::{confirmed, ensure_confirmable},
    documents::{self, Applied},
    place::Place,
    plan::notes,
    progress::Progress,
    working_dir,
};
use crate::{
    change::{await_earlier, rolling},
    cli::{Apply, Outcome, refused},
    project::Project,
    terraform::{Goal, Terraform, plan::Plan, price},
};

pub fn run(project: &Path, args: &Apply) -> anyhow::Result<Outcome> {
    ensure_confirmable(args.yes || args.dry_run, "apply")?;
    let working_dir = working_dir::lock_rendered(project, &args.terraform, Some(&args.locking))?;
    let terraform = working_dir.terraform();
    let mut progress = Progress::new();
    await_earlier(&working_dir, &mut |event| progress.see(event))?;

    let without_kgen = Project::open(project).map_err(refused)?.deliver_own()?;
    progress.phase("planning");
    let plan = match working_dir.plan(Goal::Apply, &mut |seen| progress.show(seen)) {
        Ok(plan) => plan,
        Err(error) => return progress.failed(error),
    };
    progress.plan(&plan, !args.dry_run);
    let refusals = plan.changes.obstacles().into_iter().filter(|obstacle| obstacle.is_certain);
    let refusals: Vec<String> = refusals.map(|obstacle| obstacle.text).collect();
    if !refusals.is_empty() && !args.dry_run {
        return Err(refused(anyhow::anyhow!("nothing was changed: {}", refusals.join("; "))));
    }
    without_kgen.iter().chain(&notes(project, &plan.changes)).for_each(|note| progress.line(&format!("note: {note}")));
    price(&plan.changes).iter().for_each(|line| progress.line(line));
    let mut steps = Vec::new();
    if plan.has_changes() && !args.dry_run {
        if !args.yes && !confirmed("Apply these changes?")? {
            progress.line("nothing was changed");
            return Ok(Outcome::Done);
        }
        progress.phase("applying");
        match rolling::apply(terraform, &plan, &Place::Environment, &mut |event| progress.see(event)) {
            Ok(ended) => steps = ended,
            Err(error) => return progress.failed(error),
        }
        progress.clear();
    }
    if args.json {
        let applied = plan.has_changes() && !args.dry_run;
        documents::print(summary(terraform, &plan, applied, &progress, steps)?)?;
    }
    Ok(Outcome::Done)
}

fn summary(
    terraform: &Terraform,
    plan: &Plan<'_>,
    applied: bool,
    progress: &Progress,
    steps: Vec<rolling::EndedStep>,
) -> anyhow::Result<Applied> {
    let outputs = terraform
        .output()?
        .into_iter()
        .filter(|(_, output)| !output.sensitive)
        .map(|(name, output)| (name, output.value))
        .collect();
    Ok(Applied { applied, changes: (&plan.changes).into(), resources: progress.ended().to_vec(), steps, outputs })
}
