//! `kgen render`: kgen.toml to terraform/.

use std::{fs, path::Path};

use anyhow::{Context, anyhow};

use super::documents::{self, RenderedFile, RenderedFiles};
use crate::{
    cli::{Outcome, Render, refused, refused_if_not_begun},
    files,
    project::{Change, FileState, Project, compare, replace_all},
    visible,
};

pub fn run(args: &Render, project_dir: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project_dir).map_err(refused)?;
    let dir = args.out.clone().unwrap_or_else(|| project.terraform_dir());
    let rendered = project.stack().render();
    if args.check {
        let changes = compare(&dir, &rendered).map_err(refused)?;
        show(&changes, args, Change::diff)?;
        let same = changes.iter().all(|change| change.state == FileState::Unchanged);
        return Ok(if same { Outcome::Done } else { Outcome::Differs });
    }

    let _lock = project.lock().map_err(refused)?;
    let changes = compare(&dir, &rendered).map_err(refused)?;
    let edited: Vec<&Change> = changes.iter().filter(|change| change.overwrites_work()).collect();
    if !edited.is_empty() && !args.force {
        let names: Vec<String> = edited.iter().map(|change| shown(&change.path)).collect();
        edited.iter().for_each(|change| eprint!("{}", change.diff()));
        let what = "edited since kgen wrote it, so nothing was written; move the change above into kgen.toml, or use \
                    --force to discard it";
        return Err(refused(anyhow!("{}: {what}", names.join(", "))));
    }

    fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    files::remove_leftovers(&dir);
    let written: Vec<_> = changes
        .iter()
        .filter(|change| change.is_written())
        .map(|change| (change.path.clone(), change.after.clone().into_bytes()))
        .collect();
    // What was there needs no putting back: all files are written, or none is.
    drop(replace_all(&written).map_err(refused_if_not_begun)?);
    for stale in changes.iter().filter(|change| change.state == FileState::Stale) {
        eprintln!("note: {} is no longer rendered, but terraform still reads it; delete it", shown(&stale.path));
    }
    if written.is_empty() {
        eprintln!("{} is up to date", dir.display());
    }
    show(&changes, args, |change| match change.state {
        FileState::Unchanged | FileState::Stale => String::new(),
        FileState::New => format!("wrote {}\n", shown(&change.path)),
        FileState::Outdated | FileState::Edited | FileState::Foreign => format!("rewrote {}\n", shown(&change.path)),
    })?;
    Ok(Outcome::Done)
}

/// A path on one line: names of files may hold line breaks.
fn shown(path: &Path) -> String {
    visible::line(&path.display().to_string()).into_owned()
}

/// Prints each change as `line` says it, or all of them as JSON.
fn show(changes: &[Change], args: &Render, line: impl Fn(&Change) -> String) -> anyhow::Result<()> {
    if !args.json {
        print!("{}", changes.iter().map(line).collect::<String>());
        return Ok(());
    }
    documents::print(RenderedFiles { files: changes.iter().map(rendered_file).collect() })
}

fn rendered_file(change: &Change) -> RenderedFile<'_> {
    RenderedFile { file: &change.path, state: change.state, diff: change.diff() }
}
