//! `kgen compare`: two runs side by side.

use std::{io::BufReader, path::Path};

use anyhow::{Context as _, anyhow};
use comfy_table::Table;

use super::documents::{self, ComparedRuns};
use crate::{
    cli::{Outcome, load::Compare, refused},
    comparison::{Comparison, Conclusion, Recorded, compare},
    files::bounded,
    project::Project,
    run::{FILE, find},
    statistics::Estimate,
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
        print(&found);
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

fn print(found: &Comparison) {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["mean of the seconds", "before", "after", "change", "95 % interval", ""]);
    for figure in &found.figures {
        let change = &figure.change;
        let Estimate { value, low, high } = change.difference;
        let percent = change.ratio.map(|ratio| (ratio.value - 1.0) * 100.0);
        table.add_row([
            format!("{}, {}", figure.name, figure.unit),
            format!("{:.2}", change.before),
            format!("{:.2}", change.after),
            percent.map_or(format!("{value:+.2}"), |percent| format!("{value:+.2} ({percent:+.1} %)")),
            format!("{low:+.2} to {high:+.2}"),
            change.verdict.word().to_owned(),
        ]);
    }
    if !found.figures.is_empty() {
        println!("{table}");
    }
    for note in &found.notes {
        println!("note: {note}");
    }
    let said = match found.conclusion {
        Conclusion::Improved => "improved",
        Conclusion::Unchanged => "unchanged: no difference is shown",
        Conclusion::Worse => "worse",
        Conclusion::Mixed => "mixed: partly better and partly worse",
        Conclusion::Void => "void",
    };
    let (before, after) = found.seconds;
    println!("{said} ({before} seconds before, {after} after)");
}
