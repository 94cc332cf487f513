//! The record of the demo in .kgen/runs of the outer project, where it stays.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    rc::Rc,
};

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    cli::{Demo, Outcome, lab::LabUp},
    commands::lab::hardware,
    project::Project,
    run::{End, Entry, Environment, Event, Start, Writer, masked, new_id, now},
};

/// Written while it happens, from every part of the demo.
#[derive(Clone)]
pub struct Record {
    writer: Rc<RefCell<Writer>>,
    dir: PathBuf,
}

impl Record {
    /// # Errors
    /// The run's folder or its file cannot be made.
    pub fn begin(outer: &Project, args: &Demo) -> anyhow::Result<Record> {
        let started = now();
        let lab = hardware(&LabUp { port: 0, scale: None, t3: args.t3 });
        let stack = outer.stack();
        let start = Start {
            id: new_id("demo", started),
            command: "demo".to_owned(),
            args: masked(std::env::args().skip(1)),
            started,
            environment: Environment {
                lab_scale: Some(lab.scale),
                region: Some(stack.region().to_owned()),
                cluster: Some(stack.cluster().name.clone()),
                ..Environment::here()
            },
        };
        let runs = outer.runs_dir();
        let writer =
            Writer::create(&runs, start).with_context(|| format!("recording the run in {}", runs.display()))?;
        let dir = writer.dir().to_owned();
        Ok(Record { writer: Rc::new(RefCell::new(writer)), dir })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// # Errors
    /// The record cannot be written.
    pub fn tell(&self, event: Event) -> anyhow::Result<()> {
        self.tell_at(now(), event)
    }

    /// # Errors
    /// The record cannot be written.
    pub fn tell_at(&self, at: Timestamp, event: Event) -> anyhow::Result<()> {
        let written = self.writer.borrow_mut().write(&Entry { at, event });
        written.with_context(|| format!("writing {}", self.dir.display()))
    }

    /// # Errors
    /// The record cannot be written.
    pub fn result(&self, name: &str, value: &impl Serialize) -> anyhow::Result<()> {
        self.tell(Event::result(name, value)?)
    }

    /// The last line, whatever the outcome was.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn end(&self, played: &anyhow::Result<Outcome>, was_interrupted: bool) -> anyhow::Result<()> {
        let (exit_code, outcome, error) = match played {
            _ if was_interrupted => (Outcome::Interrupted.code(), "interrupted", None),
            Ok(outcome) => (outcome.code(), word(*outcome), None),
            Err(error) => (1, "failed", Some(format!("{error:#}"))),
        };
        self.tell(Event::End(End { exit_code, outcome: outcome.to_owned(), error }))
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Differs => "differs",
        Outcome::Lacking => "lacking",
        Outcome::Changes => "changes",
        Outcome::Unhealthy => "unhealthy",
        Outcome::Inconclusive => "inconclusive",
        Outcome::RecordsLost => "records_lost",
        Outcome::Interrupted => "interrupted",
    }
}
