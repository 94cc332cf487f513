//! Runs of the benchmark as files: those of a folder, and one packed for the tests.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use flate2::{Compression, GzBuilder};

use crate::{
    benchmark::{self, Judged, TRUTH},
    diagnose, edge, prediction,
    run::{Entry, Environment, Event, FILE, Head, Observed, Run},
};

/// The recorded runs of a folder, by name.
///
/// # Errors
/// The folder or a run cannot be read.
pub fn recorded_in(dir: &Path) -> anyhow::Result<Vec<Run>> {
    let entries = fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
    let is_run = |path: &PathBuf| {
        let name = path.to_string_lossy();
        path.join(FILE).is_file() || name.ends_with(".jsonl") || name.ends_with(".jsonl.gz")
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_run).collect();
    paths.sort();
    Ok(paths.iter().map(|path| Run::read(path).map(edge::redacted_run)).collect::<Result<_, _>>()?)
}

/// Those of [`recorded_in`], of which one at least is of the diagnosis benchmark.
///
/// # Errors
/// The folder or a run cannot be read, or there is none.
pub fn runs_in(dir: &Path) -> anyhow::Result<Vec<Run>> {
    let runs = recorded_in(dir)?;
    let is_known = |run: &Run| benchmark::truth_of(run).is_some_and(|truth| benchmark::find(&truth.scenario).is_some());
    match runs.iter().any(is_known) {
        true => Ok(runs),
        false => Err(anyhow!("{} has no run of the benchmark (`kgen bench diagnose` records them)", dir.display())),
    }
}

/// Writes a run's samples and its truth, compressed; the same run gives the same bytes.
///
/// # Errors
/// The file cannot be written.
pub fn pack(run: &Run, judged: &Judged, dir: &Path) -> anyhow::Result<()> {
    let name = format!("{}-{}", judged.truth.scenario, judged.truth.variation.number);
    pack_as(run, &name, TRUTH, dir)
}

/// The same of a measured capacity; a run that is none is left out.
///
/// # Errors
/// The file cannot be written.
pub fn pack_measurement(run: &Run, dir: &Path) -> anyhow::Result<()> {
    let Some(truth) = prediction::truth_of(run) else { return Ok(()) };
    pack_as(run, &truth.name(), prediction::TRUTH, dir)
}

/// Writes a run's samples and the result that is its truth.
fn pack_as(run: &Run, name: &str, truth: &str, dir: &Path) -> anyhow::Result<()> {
    let path = dir.join(format!("{name}.jsonl.gz"));
    let mut lines = Vec::new();
    let mut line = |value: serde_json::Result<String>| -> anyhow::Result<()> {
        lines.extend_from_slice(value.context("writing a run")?.as_bytes());
        lines.push(b'\n');
        Ok(())
    };
    // Nothing of the machine that it was recorded on is needed.
    let environment = Environment {
        lab_scale: run.head.environment.lab_scale,
        kgen: run.head.environment.kgen.clone(),
        ..Default::default()
    };
    line(serde_json::to_string(&Head { args: Vec::new(), environment, ..run.head.clone() }))?;
    for entry in &run.entries {
        match &entry.event {
            Event::Sample(observed) => {
                let cluster = diagnose::Context {
                    arn: None,
                    current_version: None,
                    bootstrap_servers: None,
                    ..observed.cluster.clone()
                };
                let observed = Observed { cluster, verdict: None, findings: Vec::new(), ..(**observed).clone() };
                line(serde_json::to_string(&Entry { at: entry.at, event: Event::Sample(Box::new(observed)) }))?;
            }
            Event::Result(named) if named.name == truth => line(serde_json::to_string(entry))?,
            _ => {}
        }
    }
    let mut packed = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    packed.write_all(&lines).and_then(|()| packed.try_finish()).context("compressing a run")?;
    fs::write(&path, packed.finish().context("compressing a run")?)
        .with_context(|| format!("writing {}", path.display()))
}
