//! The page of a recorded run: what it is made of, and its place in the run's folder.

use std::path::{Path, PathBuf};

use crate::{
    edge,
    files::{bounded, own},
    report::{self, TIMES},
    run::Run,
};

/// The page in a run's folder.
const PAGE: &str = "report.html";
/// The largest log of response times that is read.
const TIMES_BYTES: u64 = 256 << 20;

/// Writes the page of the run in `dir` into it, and returns its path.
///
/// # Errors
/// The record cannot be read, or the page not be written.
pub fn write(dir: &Path) -> anyhow::Result<PathBuf> {
    let run = edge::redacted_run(Run::read(dir)?);
    let times = times(&run, dir, dir.parent().unwrap_or(Path::new(".")));
    let place = dir.join(PAGE);
    edge::write_own_file(&place, &report::Page::of(&run, &times).html()?)?;
    Ok(place)
}

/// Where the page of the run at `path` belongs.
pub fn place(path: &Path) -> PathBuf {
    folder(path).join(PAGE)
}

/// The folder that a report of this run belongs to.
fn folder(path: &Path) -> PathBuf {
    if path.is_dir() { path.to_owned() } else { path.parent().unwrap_or(Path::new("")).to_owned() }
}

/// The log of response times of the run's load: in its own folder, or in that of the load, whose id the run tells.
/// Empty when there is none; the report says so.
pub fn times(run: &Run, path: &Path, runs: &Path) -> Vec<u8> {
    let load = run.result("load").and_then(|load| load.get("run")?.as_str().map(str::to_owned));
    // Only an id, never a path that a record could name.
    let load = load.filter(|id| id.len() == 16 && id.chars().all(|c| c.is_ascii_hexdigit()));
    let own = folder(path);
    let beside = own.parent().map(Path::to_owned);
    let places = [Some(own), load.as_ref().map(|id| runs.join(id)), load.and_then(|id| Some(beside?.join(id)))];
    let readable = |place: PathBuf| bounded::all(own::open(&place.join(TIMES)).ok()?, TIMES_BYTES).ok();
    places.into_iter().flatten().find_map(readable).unwrap_or_default()
}
