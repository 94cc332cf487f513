//! `kgen compare`: two runs side by side.

use std::{io::BufReader, path::Path};

use anyhow::{Context as _, anyhow};

use super::documents::{self, ComparedRuns};
use crate::{
    cli::{Outcome, load::Compare, refused},
    comparison::{Conclusion, Recorded, compare},
    files::bounded,
    project::Project,
    run::{FILE, find},
    text,
};

/// Of the intervals: the same runs give the same ones.
const SEED: u64 = 1;

pub fn run(args: &Compare, project: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    let before = read(&args.before, &project).map_err(refused)?;
    let after = read(&args.after, &project).map_err(refused)?;
    let found = compare(&before, &after, args.skip.as_secs_f64(), SEED);
    let outcome = match found.conclusion {
        Conclusion::Improved | Conclusion::Unchanged => Outcome::Done,
        Conclusion::Worse | Conclusion::Mixed => Outcome::Missed,
        Conclusion::Void => Outcome::Inconclusive,
    };
    if args.json {
        documents::print(ComparedRuns { before: &args.before, after: &args.after, comparison: &found })?;
    } else {
        println!("{}", text::comparison::comparison(&found));
    }
    Ok(outcome)
}

/// The run with this id, in this folder, or the stream in this file.
fn read(named: &Path, project: &Project) -> anyhow::Result<Recorded> {
    let text = named.to_string_lossy();
    let path = match named.is_file() {
        true => named.to_owned(),
        false => find(&project.runs_dir(), Some(&text), |_| true).map_err(|reason| anyhow!(reason))?,
    };
    let path = if path.is_dir() { path.join(FILE) } else { path };
    let run = bounded::open(&path).and_then(|file| Recorded::read(BufReader::new(file)));
    let run = run.with_context(|| format!("reading {}", path.display()))?;
    if run.is_empty() {
        return Err(anyhow!(
            "{} has no load data: it is neither a record of `kgen produce` nor the output of its --json-stream",
            path.display()
        ));
    }
    Ok(run)
}
