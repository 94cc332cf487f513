//! `kgen runs`: the recorded runs of a project, and their pruning.

use std::path::Path;

use anyhow::Context as _;

use super::{
    console::{confirmed, ensure_confirmable},
    documents::{self, Pruned, Recorded},
    out,
};
use crate::{
    cli::{Outcome, Runs, RunsAction, refused},
    files::own,
    project::Project,
    run::{Listed, list},
    text::{self, runs::cell},
    visible,
};

pub fn run(args: &Runs, project: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    let folder = project.runs_dir();
    let runs = list(&folder).with_context(|| format!("reading {}", folder.display())).map_err(refused)?;
    runs.iter().filter_map(|listed| listed.head.environment.cluster.as_deref()).for_each(out::learn_cluster);
    match args.action {
        Some(RunsAction::Prune { keep, dry_run, yes, json }) => {
            let (pruned, deleted) = prune(&runs, keep, dry_run, yes)?;
            let ids = pruned.iter().map(|listed| listed.head.id.clone());
            if json {
                documents::print(Pruned { runs: ids.collect(), deleted })?;
            } else {
                let verb = if deleted { "deleted" } else { "would delete" };
                ids.for_each(|id| println!("{verb} {}", visible::line(&id)));
            }
        }
        None if args.json => documents::print(Recorded { runs: runs.iter().map(Into::into).collect() })?,
        None if runs.is_empty() => eprintln!("no run is recorded in {} (`kgen demo` records one)", folder.display()),
        None => println!("{}", text::runs::table(&runs)),
    }
    Ok(Outcome::Done)
}

/// Deletes the oldest runs until `keep` are left. One that still runs stays. Returns them, and whether they are deleted.
fn prune(runs: &[Listed], keep: usize, dry_run: bool, yes: bool) -> anyhow::Result<(Vec<&Listed>, bool)> {
    let oldest = &runs[..runs.len().saturating_sub(keep)];
    let surplus: Vec<&Listed> = oldest.iter().filter(|listed| !listed.is_running).collect();
    let (Some(first), Some(last)) = (surplus.first(), surplus.last()) else {
        eprintln!("nothing to delete: {} runs are recorded", runs.len());
        return Ok((surplus, false));
    };
    if dry_run {
        return Ok((surplus, false));
    }
    ensure_confirmable(yes, "runs prune")?;
    let question = format!("Delete {} runs, {} to {}?", surplus.len(), cell(&first.head.id), cell(&last.head.id));
    if !yes && !confirmed(&question)? {
        eprintln!("nothing was deleted");
        return Ok((Vec::new(), false));
    }
    for listed in &surplus {
        own::remove_folder(&listed.dir).with_context(|| format!("deleting {}", listed.dir.display()))?;
    }
    Ok((surplus, true))
}
