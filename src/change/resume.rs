//! Finds what an interrupted, killed or failed run left to do, from its record, checks it, and resumes or undoes it.
//!
//! A record is untrusted text: the change in it is checked ([`recorded`]), shown, and approved before it is applied.

mod recorded;

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};

use super::{
    ChangeEnd, Edit, Event, Observer, Question, Ready, Site,
    foreign::Elsewhere,
    journal::{self, Journal, Reached, Step},
    own, prepare, proven,
};
use crate::{
    edge,
    files::{self, own as own_files},
    outcome::{Outcome, refused},
    process::shell_word,
    project::{Project, WorkingDir},
    record::Record,
    run::{Listed, Run, find_own, list},
};

/// A run that can be resumed.
#[derive(Debug)]
pub enum Found {
    /// Its lab is gone, so it is played again from its beginning.
    Demo(Box<Run>),
    Change(Box<Left>),
}

/// A change that did not come to its end.
#[derive(Debug)]
pub struct Left {
    dir: PathBuf,
    project: Project,
    reached: Reached,
}

/// Finds the run to resume in the project of `site`: the newest that can be, unless one is named.
///
/// # Errors
/// Refused: there is none, it is still running, it has come to its end, or it was not recorded by kgen in this project.
pub fn find(site: &Site, named: Option<&str>) -> anyhow::Result<Found> {
    let dir = &site.dir;
    own_files::check_folder(&dir.join(".kgen")).map_err(refused)?;
    let project = Project::open(dir);
    // kgen.toml may be what a killed run has half written; where its runs are does not hang on it.
    let runs = match &project {
        Ok(project) => project.runs_dir(),
        Err(_) => dir.join(".kgen/runs"),
    };
    let found = wanted(&runs, named).map_err(refused)?;
    let run = Run::read(&found).map_err(refused)?;
    edge::learn_run(&run);
    if !run.head.has_plain_id() {
        let named = found.display();
        return Err(refused(anyhow!(
            "{named} was not recorded by kgen: its id is {:?}; nothing was changed",
            run.head.id
        )));
    }
    let listed = list(&runs)?.into_iter().find(|listed| listed.dir == found);
    if listed.as_ref().is_some_and(|listed| listed.is_running) {
        return Err(refused(anyhow!("{} is still running: wait for it to end, or interrupt it", run.head.id)));
    }
    match run.head.command.as_str() {
        "demo" => {
            ensure_unfinished(&run)?;
            Ok(Found::Demo(Box::new(run)))
        }
        "resize" | "scale-out" => left(project, found, &run).map(|left| Found::Change(Box::new(left))),
        other => Err(refused(anyhow!(
            "{} is a run of `kgen {}`, which cannot be resumed: run it again (`kgen {}`), or see `kgen report {}`",
            run.head.id,
            shell_word(other),
            recorded::command_line(&run.head),
            run.head.id
        ))),
    }
}

/// The change that `run`, recorded in `dir`, has left.
fn left(project: anyhow::Result<Project>, dir: PathBuf, run: &Run) -> anyhow::Result<Left> {
    if let Some(elsewhere) = Elsewhere::of(run) {
        ensure_unfinished(run)?;
        return Err(elsewhere.refusal(&run.head));
    }
    let Some(reached) = journal::reached(run) else {
        return Err(refused(anyhow!(
            "{} ended before it started: nothing was changed; run `kgen {}` again",
            run.head.id,
            recorded::command_line(&run.head)
        )));
    };
    let left = Left { dir, project: project.map_err(refused)?, reached };
    let name = left.name();
    recorded::check(&left.project, &left.reached).map_err(|error| {
        refused(anyhow!("{name} was not recorded by kgen in this project: {error:#}; nothing was changed"))
    })?;
    Ok(left)
}

/// The run that is meant: the newest that can be resumed, unless one is named.
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
            "no demo, resize or scale-out in {} was interrupted or has failed (`kgen runs` lists the recorded runs)",
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
            Err(refused(anyhow!("{id} is complete (`kgen report {id}`)")))
        }
        _ => Ok(()),
    }
}

impl Left {
    /// The id of its run.
    pub fn name(&self) -> String {
        self.dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Resumes the change from the step that it reached; with `undo`, restores the files instead.
    ///
    /// # Errors
    /// Refused before anything is touched; or what went wrong, and then the record says how far the change came.
    pub fn resume(&self, undo: bool, site: &Site, observer: &mut dyn Observer) -> anyhow::Result<ChangeEnd> {
        let (name, step) = (self.name(), self.reached.step);
        if step == Step::Proven {
            return Err(refused(anyhow!("{name} is complete (`kgen report {name}`)")));
        }
        let working_dir = site.lock()?;
        // Another kgen may have resumed it before the project was locked.
        if journal::reached(&Run::read(&self.dir).map_err(refused)?).as_ref() != Some(&self.reached) {
            return Err(refused(anyhow!("{name} has continued in the meantime: run `kgen resume` again")));
        }
        if step == Step::Measuring || step == Step::PutBack {
            return self.begin_again(&working_dir, site, observer);
        }
        let change = self.reached.intent.change;
        let ready = own::begun(&self.project, change, &site.place, self.reached.edits.clone())?.timed(site.timing);
        ensure_ours(&self.project, &ready.edits)?;
        let is_changed = ready.has_begun();
        observer.see(&Event::LeftAt { run: &name, change, step, cluster: &ready.cluster });
        let terraform = Some(working_dir.terraform().program()).filter(|_| !undo);
        observer.see(&Event::WillResume { change, edits: &ready.edits, terraform });
        if undo {
            ensure_undoable(&ready, &working_dir, is_changed)?;
            let question = Question::PutBack { run: &name, files: ready.edits.len() };
            return if observer.approve(&question)? {
                self.undo(&ready, site, observer)
            } else {
                Ok(ChangeEnd::Declined)
            };
        }
        self.play(&ready, Some(&self.reached), &working_dir, site, observer)
    }

    /// Nothing of it is left, so it is the same as a new one.
    fn begin_again(
        &self,
        working_dir: &WorkingDir,
        site: &Site,
        observer: &mut dyn Observer,
    ) -> anyhow::Result<ChangeEnd> {
        let ready = prepare(&self.project, self.reached.intent.change, &site.place)?.timed(site.timing);
        observer.see(&Event::NothingChanged { run: &self.name() });
        observer.see(&Event::Proposed(&ready.proposal(None)));
        self.play(&ready, None, working_dir, site, observer)
    }

    fn play(
        &self,
        ready: &Ready<'_>,
        reached: Option<&Reached>,
        working_dir: &WorkingDir,
        site: &Site,
        observer: &mut dyn Observer,
    ) -> anyhow::Result<ChangeEnd> {
        let (change, cluster, is_begun) = (ready.change, &ready.cluster, reached.is_some());
        if !observer.approve(&Question::Resume { change, cluster, is_begun })? {
            return Ok(ChangeEnd::Declined);
        }
        let journal = Journal::new(Some(Record::resume(&self.dir)?), site.timing, observer)?;
        proven::play(ready, &self.reached.intent, reached, working_dir, &journal)
    }

    /// Puts the files back.
    fn undo(&self, ready: &Ready<'_>, site: &Site, observer: &mut dyn Observer) -> anyhow::Result<ChangeEnd> {
        ready.put_back()?;
        let journal = Journal::new(Some(Record::resume(&self.dir)?), site.timing, observer)?;
        journal.step(Step::PutBack)?;
        if let Some(record) = journal.record() {
            record.end(&Ok(Outcome::Done), false)?;
        }
        journal.see(&Event::FilesPutBack);
        Ok(ChangeEnd::PutBack)
    }
}

/// # Errors
/// Refused: terraform is at work, or the cluster has begun to change.
fn ensure_undoable(ready: &Ready<'_>, working_dir: &WorkingDir, is_changed: bool) -> anyhow::Result<()> {
    if let Some(earlier) = working_dir.terraform().earlier() {
        return Err(refused(anyhow!("terraform (process {}) is still applying it: wait for it to end", earlier.pid)));
    }
    if is_changed {
        return Err(refused(anyhow!(
            "{} has begun to change, so the files must match: continue (`kgen resume`), and change it back afterwards \
             if MSK allows that",
            ready.cluster.name
        )));
    }
    Ok(())
}

/// # Errors
/// Refused: someone has changed a file since.
fn ensure_ours(project: &Project, edits: &[Edit]) -> anyhow::Result<()> {
    for edit in edits {
        let path = project.dir().join(&edit.path);
        let now = files::text(&path)?;
        if now.as_ref() != Some(&edit.after) && now != edit.before {
            return Err(refused(anyhow!(
                "{} has been changed since and was left alone: edit it until `kgen render --check` and `kgen plan` \
                 report no differences, then change the cluster again",
                path.display()
            )));
        }
    }
    Ok(())
}
