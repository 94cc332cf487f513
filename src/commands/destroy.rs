//! `kgen destroy`: destroys what apply created.

use std::path::Path;

use super::{
    console::{confirmed, ensure_confirmable},
    documents::{self, Destroyed},
    progress::Progress,
    working_dir,
};
use crate::{
    change::await_earlier,
    cli::{Destroy, Outcome},
    terraform::{Goal, price},
};

pub fn run(project: &Path, args: &Destroy) -> anyhow::Result<Outcome> {
    ensure_confirmable(args.yes || args.dry_run, "destroy")?;
    // What is destroyed is what the state holds, whether or not kgen.toml has changed since.
    let working_dir = working_dir::lock(project, &args.terraform, Some(&args.locking))?;
    let mut progress = Progress::new();
    await_earlier(&working_dir, &mut |event| progress.see(event))?;

    progress.phase("planning");
    let plan = match working_dir.plan(Goal::Destroy, &mut |seen| progress.show(seen)) {
        Ok(plan) => plan,
        Err(error) => return progress.failed(error),
    };
    progress.plan(&plan, !args.dry_run);
    price(&plan.changes).iter().for_each(|line| progress.line(line));
    if plan.has_changes() && !args.dry_run {
        let (_, _, count) = plan.changes.totals();
        if !args.yes && !confirmed(&format!("Destroy these {count} resources, with all data in them?"))? {
            progress.line("nothing was changed");
            return Ok(Outcome::Done);
        }
        progress.phase("destroying");
        if let Err(error) = working_dir.terraform().apply(&plan, &mut |seen| progress.show(seen)) {
            return progress.failed(error);
        }
        progress.clear();
    }
    if args.json {
        documents::print(Destroyed {
            destroyed: plan.has_changes() && !args.dry_run,
            changes: (&plan.changes).into(),
            resources: progress.ended().to_vec(),
        })?;
    }
    Ok(Outcome::Done)
}
