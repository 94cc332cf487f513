//! `kgen report`: a run as one page.

use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::{
    documents::{self, WrittenReport},
    out,
};
use crate::{
    cli::{Outcome, Report, ReportFormat, refused, refused_if_not_begun},
    files::{bounded, own},
    project::Project,
    report::{self, TIMES},
    run::{Run, find},
};

/// The page in a run's folder.
const PAGE: &str = "report.html";
/// The largest log of response times that is read.
const TIMES_BYTES: u64 = 256 << 20;

pub fn run(args: &Report, project: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    let runs = project.runs_dir();
    // A run that has only begun says nothing yet.
    let path = find(&runs, args.run.as_deref(), |_| true).map_err(|error| refused(anyhow!("{error}")))?;
    let run = out::redacted_run(Run::read(&path).map_err(refused)?);
    let times = times(&run, &path, &runs);
    let report = report::Page::of(&run, &times);
    let (text, place) = match args.format {
        ReportFormat::Html => {
            let own = folder(&path).join(PAGE);
            if args.output.is_none() {
                own::check(&own).map_err(refused)?;
            }
            (report.html()?, Some(own))
        }
        ReportFormat::Markdown => (report.markdown(), None),
    };
    match args.output.clone().or(place).filter(|place| place != Path::new("-")) {
        Some(place) => {
            match args.output {
                Some(_) => out::write_file(&place, &text)?,
                None => out::write_own_file(&place, &text).map_err(refused_if_not_begun)?,
            }
            if args.json {
                documents::print(WrittenReport { run: run.head.id.clone(), file: place })?;
            } else {
                println!("{}", place.display());
            }
        }
        None => print!("{text}"),
    }
    Ok(Outcome::Done)
}

/// Writes the page of the run in `dir` into it, and returns its path.
///
/// # Errors
/// The record cannot be read, or the page not be written.
pub fn write_page(dir: &Path) -> anyhow::Result<PathBuf> {
    let run = out::redacted_run(Run::read(dir)?);
    let times = times(&run, dir, dir.parent().unwrap_or(Path::new(".")));
    let place = dir.join(PAGE);
    out::write_own_file(&place, &report::Page::of(&run, &times).html()?)?;
    Ok(place)
}

/// The folder that a report of this run belongs to.
fn folder(path: &Path) -> PathBuf {
    if path.is_dir() { path.to_owned() } else { path.parent().unwrap_or(Path::new("")).to_owned() }
}

/// The log of response times of the run's load: in its own folder, or in that of the load, whose id the run tells.
/// Empty when there is none; the report says so.
fn times(run: &Run, path: &Path, runs: &Path) -> Vec<u8> {
    let load = run.result("load").and_then(|load| load.get("run")?.as_str().map(str::to_owned));
    // Only an id, never a path that a record could name.
    let load = load.filter(|id| id.len() == 16 && id.chars().all(|c| c.is_ascii_hexdigit()));
    let own = folder(path);
    let beside = own.parent().map(Path::to_owned);
    let places = [Some(own), load.as_ref().map(|id| runs.join(id)), load.and_then(|id| Some(beside?.join(id)))];
    let readable = |place: PathBuf| bounded::all(own::open(&place.join(TIMES)).ok()?, TIMES_BYTES).ok();
    places.into_iter().flatten().find_map(readable).unwrap_or_default()
}
