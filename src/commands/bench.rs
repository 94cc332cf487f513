//! `kgen bench`: how well `kgen diagnose` names what is wrong, on faults that are made for real. What is right and how it is
//! scored is in `benchmark`.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use flate2::{Compression, GzBuilder};

use super::{documents, out};
use crate::{
    benchmark::{self, Judged, Scores, TRUTH, View},
    benchmark_lab::{self, Request},
    cli::{
        Outcome,
        bench::{BenchCommand, BenchDiagnose, BenchScore, BenchView},
        lab::T3Mode,
        refused,
    },
    project::Project,
    run::{Entry, Event, FILE, Head, Observed, Run},
};

pub fn run(project: &Path, command: &BenchCommand) -> anyhow::Result<Outcome> {
    match command {
        BenchCommand::Diagnose(args) => {
            let project = Project::open(project).map_err(refused)?;
            let view = view(args.view);
            let folder = if view == View::Outside { "bench-outside" } else { "bench-runs" };
            let out = args.out.clone().unwrap_or_else(|| project.kgen_dir().join(folder));
            let outcome = benchmark_lab::play(&project, &request(args, out.clone()), &|text| eprintln!("{text}"))?;
            let runs = runs_in(&out)?;
            show(&benchmark::score(&benchmark::judge_all(&runs, view), view), args.json)?;
            Ok(outcome)
        }
        BenchCommand::Score(args) => score(args),
    }
}

fn request(args: &BenchDiagnose, out: PathBuf) -> Request {
    Request {
        scenarios: args.scenario.clone(),
        first: args.first,
        last: args.variations,
        view: view(args.view),
        period: Duration::from_secs(args.metrics_period),
        fault_within: Duration::from_secs(u64::from(args.seconds)),
        broker_type: args.broker_type.clone(),
        t3_credits: args.t3 == T3Mode::Credits,
        out,
    }
}

fn score(args: &BenchScore) -> anyhow::Result<Outcome> {
    let runs = runs_in(&args.dir).map_err(refused)?;
    let view = view(args.view);
    let judged = benchmark::judge_all(&runs, view);
    if let Some(dir) = &args.pack {
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        for (judged, run) in judged.iter().filter(|(judged, _)| judged.void.is_none()) {
            pack(run, judged, dir)?;
        }
    }
    show(&benchmark::score(&judged, view), args.json)?;
    Ok(Outcome::Done)
}

fn view(view: BenchView) -> View {
    match view {
        BenchView::Inside => View::Inside,
        BenchView::Outside => View::Outside,
    }
}

fn show(report: &Scores, json: bool) -> anyhow::Result<()> {
    if json {
        return documents::print(report.clone());
    }
    print!("{}", benchmark::markdown(report));
    Ok(())
}

/// The recorded runs of a folder, by name.
///
/// # Errors
/// The folder or a run cannot be read, or there is none.
fn runs_in(dir: &Path) -> anyhow::Result<Vec<Run>> {
    let entries = fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
    let is_run = |path: &PathBuf| {
        let name = path.to_string_lossy();
        path.join(FILE).is_file() || name.ends_with(".jsonl") || name.ends_with(".jsonl.gz")
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_run).collect();
    paths.sort();
    let runs: Vec<Run> = paths.iter().map(|path| Run::read(path).map(out::redacted_run)).collect::<Result<_, _>>()?;
    let is_known = |run: &Run| benchmark::truth_of(run).is_some_and(|truth| benchmark::find(&truth.scenario).is_some());
    match runs.iter().any(is_known) {
        true => Ok(runs),
        false => Err(anyhow!("{} has no run of the benchmark (`kgen bench diagnose` records them)", dir.display())),
    }
}

/// Writes a run's samples and its truth, compressed; the same run gives the same bytes.
fn pack(run: &Run, judged: &Judged, dir: &Path) -> anyhow::Result<()> {
    let path = dir.join(format!("{}-{}.jsonl.gz", judged.truth.scenario, judged.truth.variation.number));
    let mut lines = Vec::new();
    let mut line = |value: serde_json::Result<String>| -> anyhow::Result<()> {
        lines.extend_from_slice(value.context("writing a run")?.as_bytes());
        lines.push(b'\n');
        Ok(())
    };
    // Nothing of the machine that it was recorded on is needed.
    let environment = crate::run::Environment {
        lab_scale: run.head.environment.lab_scale,
        kgen: run.head.environment.kgen.clone(),
        ..Default::default()
    };
    line(serde_json::to_string(&Head { args: Vec::new(), environment, ..run.head.clone() }))?;
    for entry in &run.entries {
        match &entry.event {
            Event::Sample(observed) => {
                let cluster = crate::diagnose::Context {
                    arn: None,
                    current_version: None,
                    bootstrap_servers: None,
                    ..observed.cluster.clone()
                };
                let observed = Observed { cluster, verdict: None, findings: Vec::new(), ..(**observed).clone() };
                line(serde_json::to_string(&Entry { at: entry.at, event: Event::Sample(Box::new(observed)) }))?;
            }
            Event::Result(named) if named.name == TRUTH => line(serde_json::to_string(entry))?,
            _ => {}
        }
    }
    let mut packed = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    packed.write_all(&lines).and_then(|()| packed.try_finish()).context("compressing a run")?;
    fs::write(&path, packed.finish().context("compressing a run")?)
        .with_context(|| format!("writing {}", path.display()))
}
