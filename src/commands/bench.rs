//! `kgen bench`: how well `kgen diagnose` names what is wrong, on faults that are made for real. What is right and how it is
//! scored is in `benchmark`.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, anyhow};

use super::documents;
use crate::{
    benchmark::{self, Scores, View},
    benchmark_lab::{self, Measurements, Request, pack, runs_in},
    cli::{
        Outcome,
        bench::{BenchCommand, BenchDiagnose, BenchScore, BenchSize, BenchView},
        lab::T3Mode,
        refused,
    },
    prediction::{self, WORKLOADS},
    project::Project,
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
        BenchCommand::Size(args) => size(&Project::open(project).map_err(refused)?, args),
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

fn size(project: &Project, args: &BenchSize) -> anyhow::Result<Outcome> {
    let (dir, outcome) = match &args.score {
        Some(dir) => (dir.clone(), Outcome::Done),
        None => {
            let wanted = measurements(args, project)?;
            (wanted.out.clone(), benchmark_lab::measure(project, &wanted, &|text| eprintln!("{text}"))?)
        }
    };
    let runs = benchmark_lab::recorded_in(&dir).map_err(refused)?;
    if let Some(dir) = &args.pack {
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        runs.iter().try_for_each(|run| benchmark_lab::pack_measurement(run, dir))?;
    }
    let scores = prediction::score(&runs);
    if scores.measured + scores.void.len() == 0 {
        let none = anyhow!("{} has no measured capacity (`kgen bench size` records them)", dir.display());
        return if args.score.is_some() { Err(refused(none)) } else { Err(none) };
    }
    if args.json {
        documents::print(scores)?;
    } else {
        print!("{}", prediction::markdown(&scores));
    }
    Ok(outcome)
}

fn measurements(args: &BenchSize, project: &Project) -> anyhow::Result<Measurements> {
    let known = || WORKLOADS.iter().map(|workload| workload.name).collect::<Vec<_>>().join(", ");
    let named = |name: &String| {
        prediction::find(name).ok_or_else(|| refused(anyhow!("no workload is called {name}; there are: {}", known())))
    };
    let workloads = match args.workload.is_empty() {
        true => WORKLOADS.iter().collect(),
        false => args.workload.iter().map(named).collect::<Result<_, _>>()?,
    };
    Ok(Measurements {
        workloads,
        shapes: args.shape.clone(),
        scale: args.scale.unwrap_or_else(benchmark_lab::scale_of_shapes),
        within: Duration::from_secs(u64::from(args.max_minutes) * 60),
        out: args.out.clone().unwrap_or_else(|| project.kgen_dir().join("bench-capacities")),
    })
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
