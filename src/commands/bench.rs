//! `kgen bench`: how well `kgen diagnose` names what is wrong, on faults that are made for real. What is right and how it is
//! scored is in `benchmark`.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;

use super::documents;
use crate::{
    benchmark::{self, Scores, View},
    benchmark_lab::{self, Request, pack, runs_in},
    cli::{
        Outcome,
        bench::{BenchCommand, BenchDiagnose, BenchScore, BenchView},
        lab::T3Mode,
        refused,
    },
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
