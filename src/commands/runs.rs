//! `kgen runs`: the recorded runs of a project, and their pruning.

use std::path::Path;

use anyhow::Context as _;
use comfy_table::Table;

use super::{
    documents::{self, Pruned, Recorded, RecordedRun},
    out,
    working_dir::{confirmed, ensure_confirmable},
};
use crate::{
    cli::{Outcome, Runs, RunsAction, refused},
    files::own,
    project::Project,
    run::{Head, Listed, list},
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
        None if args.json => documents::print(Recorded { runs: runs.iter().map(document).collect() })?,
        None if runs.is_empty() => eprintln!("no run is recorded in {} (`kgen demo` records one)", folder.display()),
        None => print(&runs),
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

fn outcome(listed: &Listed) -> &str {
    match &listed.end {
        Some(end) => &end.outcome,
        None if listed.is_running => "running",
        // A kill or a crash leaves no time to say how it ended.
        None => "killed",
    }
}

fn seconds(listed: &Listed) -> f64 {
    listed.last.duration_since(listed.head.started).as_secs_f64()
}

fn document(listed: &Listed) -> RecordedRun {
    let Head { id, command, args, started, environment, .. } = listed.head.clone();
    RecordedRun {
        id,
        command,
        args,
        started: started.to_string(),
        duration_s: seconds(listed),
        outcome: outcome(listed).to_owned(),
        exit_code: listed.end.as_ref().map(|end| end.exit_code),
        cluster: environment.cluster,
        lab_scale: environment.lab_scale,
        dir: listed.dir.clone(),
        bytes: listed.bytes,
    }
}

fn print(runs: &[Listed]) {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["run", "command", "started", "duration", "outcome", "cluster"]);
    for listed in runs {
        let started = listed.head.started.to_zoned(jiff::tz::TimeZone::system());
        table.add_row([
            cell(&listed.head.id),
            cell(&listed.head.command),
            started.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            format!("{:.0} s", seconds(listed)),
            cell(outcome(listed)),
            cell(listed.head.environment.cluster.as_deref().unwrap_or("-")),
        ]);
    }
    println!("{table}");
}

/// What a record says, which may be someone else's: a line break in it would begin a row.
fn cell(text: &str) -> String {
    visible::line(text).into_owned()
}
