//! `kgen plan`: what apply would change.

use std::path::Path;

use super::{
    documents::{self, Planned},
    progress::Progress,
    working_dir::{self, ended},
};
use crate::{
    change::await_earlier,
    cli::{Outcome, Plan},
    terraform::Goal,
};

pub fn run(project: &Path, args: &Plan) -> anyhow::Result<Outcome> {
    let working_dir = working_dir::lock(project, &args.terraform, Some(&args.locking))?;
    let mut progress = Progress::new();
    await_earlier(&working_dir, &mut |event| progress.see(event))?;
    progress.phase("planning");
    let plan = match working_dir.plan(Goal::Apply, &mut |seen| progress.show(seen)) {
        Ok(plan) => plan,
        Err(error) => return ended(error, &mut progress),
    };
    progress.clear();
    if args.json {
        documents::print(Planned { changes: (&plan.changes).into() })?;
    } else {
        println!("{}", plan.changes);
    }
    Ok(if args.detailed_exitcode && plan.has_changes() { Outcome::Changes } else { Outcome::Done })
}
