//! `kgen resume`: goes on with a demo, a resize or a scale-out that was interrupted, killed or failed.
//!
//! A record is somebody's text: what it asks for is checked ([`recorded`]), shown, and asked about before it is done.

mod recorded;

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};

use super::{
    change::{self, Edit, Ready, prepare},
    foreign::Elsewhere,
    journal::{self, Journal, Reached, Step, reached},
    out,
    place::Place,
    proven,
    record::Record,
    working_dir::{self, confirmed, ensure_confirmable},
};
use crate::{
    cli::{Outcome, Resume, refused},
    files::{self, own},
    process::shell_word,
    project::{Project, WorkingDir},
    run::{Listed, Run, find_own, list},
    terraform::Terraform,
};

pub fn run(dir: &Path, args: &Resume) -> anyhow::Result<Outcome> {
    own::check_folder(&dir.join(".kgen")).map_err(refused)?;
    let project = Project::open(dir);
    // kgen.toml may be what a killed run has half written; where its runs are does not hang on it.
    let runs = match &project {
        Ok(project) => project.runs_dir(),
        Err(_) => dir.join(".kgen/runs"),
    };
    let found = wanted(&runs, args.run.as_deref()).map_err(refused)?;
    let run = Run::read(&found).map_err(refused)?;
    out::learn_run(&run);
    if !run.head.has_plain_id() {
        let named = found.display();
        return Err(refused(anyhow!(
            "{named} was not recorded by kgen: its id is {:?}; nothing was changed",
            run.head.id
        )));
    }
    let listed = list(&runs)?.into_iter().find(|listed| listed.dir == found);
    if listed.as_ref().is_some_and(|listed| listed.is_running) {
        return Err(refused(anyhow!("{} is still going on: wait for it to end, or interrupt it", run.head.id)));
    }
    match run.head.command.as_str() {
        "demo" => again(dir, &run, args),
        "resize" | "scale-out" => {
            if let Some(elsewhere) = Elsewhere::of(&run) {
                ensure_unfinished(&run)?;
                return Err(elsewhere.refusal(&run.head));
            }
            let Some(reached) = reached(&run) else {
                return Err(refused(anyhow!(
                    "{} ended before it had begun: nothing was changed, run `kgen {}` again",
                    run.head.id,
                    recorded::command_line(&run.head)
                )));
            };
            change(&project.map_err(refused)?, dir, &found, &reached, args)
        }
        other => Err(refused(anyhow!(
            "{} is a run of `kgen {}`, which leaves nothing to go on with: run it again (`kgen {}`), or see `kgen report {}`",
            run.head.id,
            shell_word(other),
            recorded::command_line(&run.head),
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
    let found = find_own(runs, name, can_be);
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
fn again(dir: &Path, run: &Run, args: &Resume) -> anyhow::Result<Outcome> {
    ensure_unfinished(run)?;
    let (demo, dropped) = recorded::demo(&run.head, &args.terraform, args.json).map_err(refused)?;
    ensure_confirmable(args.yes, "resume")?;
    let program = Terraform::find(demo.terraform.terraform_bin.as_deref()).map_err(refused)?;
    eprintln!(
        "{}: the lab of a demo ends with it, so it is played again from its beginning; what it left is cleared away, its \
         record stays",
        run.head.id
    );
    if !dropped.is_empty() {
        eprintln!("note: {} of the recorded command line counts only when given again", dropped.join(", "));
    }
    let command = recorded::demo_command(&demo);
    eprintln!("this runs `{command}` in {}, with {} as terraform", dir.display(), program.display());
    if !args.yes && !confirmed(&format!("Play {} again?", run.head.id))? {
        eprintln!("nothing was done");
        return Ok(Outcome::Done);
    }
    super::demo::run(dir, &demo)
}

fn change(project: &Project, dir: &Path, found: &Path, reached: &Reached, args: &Resume) -> anyhow::Result<Outcome> {
    let name = found.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let foreign =
        |error| refused(anyhow!("{name} was not recorded by kgen in this project: {error:#}; nothing was changed"));
    recorded::check(project, reached).map_err(foreign)?;
    ensure_confirmable(args.yes, "resume")?;
    let wanted = reached.intent.change;
    let place = Place::Environment;
    if reached.step == Step::Proven {
        return Err(refused(anyhow!("{name} has come to its end (`kgen report {name}`)")));
    }
    let working_dir = working_dir::lock(dir, &args.terraform, None)?;
    // Another kgen may have resumed it before the project was locked.
    if journal::reached(&Run::read(found).map_err(refused)?).as_ref() != Some(reached) {
        return Err(refused(anyhow!("{name} has gone on meanwhile: run `kgen resume` again")));
    }
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
    show(&ready, &working_dir, args.undo);
    if args.undo {
        ensure_undoable(&ready, &working_dir, is_changed)?;
        let question = format!("Put {} files back as they were before {name}?", ready.edits.len());
        if !args.yes && !confirmed(&question)? {
            eprintln!("nothing was changed");
            return Ok(Outcome::Done);
        }
        return undo(&ready, found);
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

/// Says which files are edited and which program is started.
fn show(ready: &Ready, working_dir: &WorkingDir, is_undone: bool) {
    let files: Vec<String> = ready.edits.iter().map(|edit| edit.path.display().to_string()).collect();
    let files = if files.is_empty() { "no file".to_owned() } else { files.join(", ") };
    if is_undone {
        eprintln!("this puts {files} back as before");
        return;
    }
    let (command, terraform) = (ready.change.command(), working_dir.terraform());
    eprintln!("this goes on with `{command}`: edits {files}, and runs {}", terraform.program().display());
}

/// # Errors
/// Refused: terraform is at work, or the cluster has begun to change.
fn ensure_undoable(ready: &Ready, working_dir: &WorkingDir, is_changed: bool) -> anyhow::Result<()> {
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
    Ok(())
}

/// Puts the files back.
fn undo(ready: &Ready, found: &Path) -> anyhow::Result<Outcome> {
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
