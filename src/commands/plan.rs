//! `kgen plan`: what apply would change.

use std::path::Path;

use super::{
    documents::{self, Planned},
    progress::Progress,
    working_dir,
};
use crate::{
    change::await_earlier,
    cli::{Outcome, Plan, refused},
    project::Project,
    terraform::{Goal, plan::Changes},
};

/// What of a plan MSK would refuse, and what of kgen.toml Terraform would not do.
pub fn notes(project: &Path, changes: &Changes) -> Vec<String> {
    let obstacles = changes.obstacles().into_iter().map(|obstacle| obstacle.text);
    let stack = Project::open(project).ok();
    let ignored = stack.zip(changes.volume_gib()).and_then(|(project, gib)| project.stack().volume_without_effect(gib));
    obstacles.chain(ignored).collect()
}

pub fn run(project: &Path, args: &Plan) -> anyhow::Result<Outcome> {
    let working_dir = working_dir::lock(project, &args.terraform, Some(&args.locking))?;
    let mut progress = Progress::new();
    await_earlier(&working_dir, &mut |event| progress.see(event))?;
    let without_kgen = Project::open(project).map_err(refused)?.deliver_own()?;
    progress.phase("planning");
    let plan = match working_dir.plan(Goal::Apply, &mut |seen| progress.show(seen)) {
        Ok(plan) => plan,
        Err(error) => return progress.failed(error),
    };
    progress.clear();
    without_kgen.iter().chain(&notes(project, &plan.changes)).for_each(|note| progress.line(&format!("note: {note}")));
    if args.json {
        documents::print(Planned { changes: (&plan.changes).into() })?;
    } else {
        println!("{}", plan.changes);
    }
    Ok(if args.detailed_exitcode && plan.has_changes() { Outcome::Changes } else { Outcome::Done })
}
