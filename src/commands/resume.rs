//! `kgen resume`: goes on with a demo, a resize or a scale-out that was interrupted, killed or failed.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};

use super::{
    change::{self, Edit, Ready, prepare},
    demo,
    foreign::Elsewhere,
    journal::{Journal, Reached, Step, reached},
    out,
    place::Place,
    proven,
    record::Record,
    working_dir::{WorkingDir, confirmed, ensure_confirmable},
};
use crate::{
    cli::{self, Outcome, Resume, refused},
    files,
    project::Project,
    run::{Listed, Run, find, list},
};

pub fn run(dir: &Path, args: &Resume) -> anyhow::Result<Outcome> {
    let project = Project::open(dir);
    // kgen.toml may be what a killed run has half written; where its runs are does not hang on it.
    let runs = match &project {
        Ok(project) => project.runs_dir(),
        Err(_) => dir.join(".kgen/runs"),
    };
    let found = wanted(&runs, args.run.as_deref()).map_err(refused)?;
    let run = Run::read(&found).map_err(refused)?;
    out::learn_run(&run);
    let listed = list(&runs)?.into_iter().find(|listed| listed.dir == found);
    if listed.as_ref().is_some_and(|listed| listed.is_running) {
        return Err(refused(anyhow!("{} is still going on: wait for it to end, or interrupt it", run.head.id)));
    }
    match run.head.command.as_str() {
        "demo" => again(dir, &run),
        "resize" | "scale-out" => {
            if let Some(elsewhere) = Elsewhere::of(&run) {
                ensure_unfinished(&run)?;
                return Err(elsewhere.refusal(&run.head));
            }
            let Some(reached) = reached(&run) else {
                return Err(refused(anyhow!(
                    "{} ended before it had begun: nothing was changed, run `kgen {}` again",
                    run.head.id,
                    run.head.args.join(" ")
                )));
            };
            change(&project.map_err(refused)?, dir, &found, &reached, args)
        }
        other => Err(refused(anyhow!(
            "{} is a run of `kgen {other}`, which leaves nothing to go on with: run it again (`kgen {}`), or see `kgen report {}`",
            run.head.id,
            run.head.args.join(" "),
            run.head.id
        ))),
    }
}

/// The run that is meant: the newest that can be gone on with, unless one is named.
fn wanted(runs: &Path, name: Option<&str>) -> anyhow::Result<PathBuf> {
    let can_be = |listed: &Listed| {
        let is_whole =
            listed.end.as_ref().is_some_and(|end| !["interrupted", "failed"].contains(&end.outcome.as_str()));
        ["demo", "resize", "scale-out"].contains(&listed.head.command.as_str()) && !is_whole
    };
    let found = find(runs, name, can_be);
    match (found, name) {
        (Ok(dir), _) => Ok(dir),
        (Err(error), Some(_)) => bail!(error),
        (Err(_), None) => bail!(
            "no demo, resize or scale-out in {} was interrupted or has failed (`kgen runs` lists what there is)",
            runs.display()
        ),
    }
}

/// # Errors
/// Refused: there is nothing left to do.
fn ensure_unfinished(run: &Run) -> anyhow::Result<()> {
    let id = &run.head.id;
    match run.end() {
        Some(end) if end.outcome != "interrupted" && end.outcome != "failed" => {
            Err(refused(anyhow!("{id} has come to its end (`kgen report {id}`)")))
        }
        _ => Ok(()),
    }
}

/// A demo is played again from its beginning: its brokers are gone with its lab, and a load that stood still for who knows how
/// long would prove nothing.
fn again(dir: &Path, run: &Run) -> anyhow::Result<Outcome> {
    ensure_unfinished(run)?;
    eprintln!(
        "{}: the lab of a demo ends with it, so it is played again from its beginning; what it left is cleared away, its \
         record stays",
        run.head.id
    );
    let args = std::iter::once("kgen".to_owned()).chain(run.head.args.iter().cloned());
    match <cli::Cli as clap::Parser>::try_parse_from(args).map(|cli| cli.command) {
        Ok(cli::Command::Demo(args)) => demo::run(dir, &args),
        _ => Err(refused(anyhow!("{}: its command line cannot be read; run `kgen demo`", run.head.id))),
    }
}

fn change(project: &Project, dir: &Path, found: &Path, reached: &Reached, args: &Resume) -> anyhow::Result<Outcome> {
    ensure_confirmable(args.yes, "resume")?;
    let _lock = project.lock().map_err(refused)?;
    let wanted = reached.intent.change;
    let place = Place::Environment;
    let name = found.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if reached.step == Step::Proven {
        return Err(refused(anyhow!("{name} has come to its end (`kgen report {name}`)")));
    }
    let working_dir = WorkingDir::open(dir, &args.terraform)?;
    if reached.step == Step::Measuring || reached.step == Step::PutBack {
        // Nothing of it is left, so it is the same as a new one.
        let ready = prepare(project, wanted, &place)?;
        eprintln!("{name} had changed nothing yet");
        eprint!("{}", ready.summary());
        return confirmed_then(args, &ready, "Begin", || {
            let journal = Journal::new(Some(Record::resume(found)?))?;
            proven::play(&ready, &reached.intent, None, &working_dir, &journal, args.json)
        });
    }
    let ready = change::begun(project, wanted, &place, reached.edits.clone())?;
    ensure_ours(project, &ready.edits)?;
    let is_changed = ready.has_begun();
    let state = &ready.cluster;
    eprintln!(
        "{name} ({}) was left while {}; {} is {} with {} brokers of {}",
        wanted.command(),
        doing(reached.step),
        state.name,
        state.state,
        state.broker_count,
        state.broker_type
    );
    if args.undo {
        return undo(&ready, &working_dir, found, is_changed);
    }
    confirmed_then(args, &ready, "Go on with", || {
        let journal = Journal::new(Some(Record::resume(found)?))?;
        proven::play(&ready, &reached.intent, Some(reached), &working_dir, &journal, args.json)
    })
}

fn confirmed_then(
    args: &Resume,
    ready: &Ready,
    verb: &str,
    act: impl FnOnce() -> anyhow::Result<Outcome>,
) -> anyhow::Result<Outcome> {
    let question = format!("{verb} `{}` of {}?", ready.change.command(), ready.cluster.name);
    if args.yes || confirmed(&question)? {
        return act();
    }
    eprintln!("nothing was changed (`kgen resume --undo` puts the files back, as long as the cluster is as it was)");
    Ok(Outcome::Done)
}

/// Puts the files back.
fn undo(ready: &Ready, working_dir: &WorkingDir, found: &Path, is_changed: bool) -> anyhow::Result<Outcome> {
    if let Some(earlier) = working_dir.terraform().earlier() {
        return Err(refused(anyhow!("terraform (process {}) still applies it: wait for it to end", earlier.pid)));
    }
    if is_changed {
        return Err(refused(anyhow!(
            "{} has begun to change, and the files go with it: go on (`kgen resume`), and change it back afterwards where MSK \
             allows that",
            ready.cluster.name
        )));
    }
    ready.put_back()?;
    let journal = Journal::new(Some(Record::resume(found)?))?;
    journal.step(Step::PutBack)?;
    if let Some(record) = journal.record() {
        record.end(&Ok(Outcome::Done), false)?;
    }
    eprintln!("the files are as they were before");
    Ok(Outcome::Done)
}

/// # Errors
/// Refused: somebody has changed a file since.
fn ensure_ours(project: &Project, edits: &[Edit]) -> anyhow::Result<()> {
    for edit in edits {
        let path = project.dir().join(&edit.path);
        let now = files::text(&path)?;
        if now.as_ref() != Some(&edit.after) && now != edit.before {
            return Err(refused(anyhow!(
                "{} was changed since and stays as it is: bring it to where `kgen render --check` and `kgen plan` are content, \
                 then change the cluster again",
                path.display()
            )));
        }
    }
    Ok(())
}

fn doing(step: Step) -> &'static str {
    match step {
        Step::Measuring => "measuring before the change",
        Step::Writing => "the files were changed and the plan was made",
        Step::Applying => "terraform applied the plan",
        Step::Settled => "the brokers were to be measured again",
        Step::Moving => "partitions were moved",
        Step::Moved => "the brokers were to be measured again",
        Step::Proven => "everything was done",
        Step::PutBack => "the files were put back",
    }
}
