//! The progress of a change, written to its record before each step, so that an interrupted change can be resumed.

use std::{cell::RefCell, time::Duration};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::{Change, Edit, Event, Observer, Phase, Question, Timing};
use crate::{
    process::Interrupts,
    record::Record,
    report::Span,
    run::{self, Run},
};

/// Names of results in the record.
const INTENT: &str = "intent";
const STEP: &str = "step";
const EDITS: &str = "edits";
const BEFORE: &str = "before_stretch";

/// What was requested, enough to continue without its command line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    #[serde(flatten)]
    pub change: Change,
    /// How long the brokers are measured before and afterwards, s.
    pub measure_s: f64,
    /// What replication to new brokers may take, bytes/s on each.
    pub throttle_bytes_per_s: u64,
}

/// Where a change is. Each is recorded when it begins, except for the last three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Nothing is changed.
    Measuring,
    /// kgen.toml and the rendered files are being replaced; a plan is made.
    Writing,
    /// Terraform applies the plan.
    Applying,
    /// The cluster is changed and in sync.
    Settled,
    /// Partitions are moved, with a throttle.
    Moving,
    /// They are where they belong, and the throttle is gone.
    Moved,
    /// Nothing is left to do.
    Proven,
    /// The files are as they were before, and so is the cluster.
    PutBack,
}

/// Writes the steps of one change, and tells them to its observer.
pub struct Journal<'a> {
    /// The demo tells its own story.
    record: Option<Record>,
    interrupts: Interrupts,
    observer: RefCell<&'a mut dyn Observer>,
    look_every: Duration,
}

/// Ctrl-C, SIGTERM or SIGHUP.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

impl<'a> Journal<'a> {
    /// # Errors
    /// Signals cannot be taken.
    pub fn new(record: Option<Record>, timing: Timing, observer: &'a mut dyn Observer) -> anyhow::Result<Journal<'a>> {
        let interrupts = Interrupts::hold().context("taking interrupts")?;
        Ok(Journal { record, interrupts, observer: RefCell::new(observer), look_every: timing.look_every })
    }

    /// Time between two looks at what is waited for.
    pub fn look_every(&self) -> Duration {
        self.look_every
    }

    /// Notifies the observer of what has happened.
    pub fn see(&self, event: &Event<'_>) {
        self.observer.borrow_mut().see(event);
    }

    /// Asks the observer.
    ///
    /// # Errors
    /// [`Interrupted`], or there is no answer.
    pub fn approve(&self, question: &Question<'_>) -> anyhow::Result<bool> {
        self.observer.borrow_mut().approve(question)
    }

    pub fn begin(&self, phase: Phase) {
        self.see(&Event::Began(phase));
    }

    pub fn end_phase(&self) {
        self.see(&Event::PhaseOver);
    }

    /// Where it is written; nothing in a demo.
    pub fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// # Errors
    /// The record cannot be written; then the step is not begun.
    pub fn step(&self, step: Step) -> anyhow::Result<()> {
        self.result(STEP, &step)
    }

    /// What was requested.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn intent(&self, intent: &Intent) -> anyhow::Result<()> {
        self.result(INTENT, intent)
    }

    /// Every file that is going to be changed, with both its texts.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn edits(&self, edits: &[Edit]) -> anyhow::Result<()> {
        self.result(EDITS, &edits)
    }

    /// When the brokers were measured before the change.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn before(&self, span: Span) -> anyhow::Result<()> {
        self.result(BEFORE, &span)
    }

    /// Notifies the record, where there is one.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn tell(&self, event: run::Event) -> anyhow::Result<()> {
        self.record.as_ref().map_or(Ok(()), |record| record.tell(event))
    }

    /// # Errors
    /// The record cannot be written.
    pub fn result(&self, name: &str, value: &impl Serialize) -> anyhow::Result<()> {
        self.record.as_ref().map_or(Ok(()), |record| record.result(name, value))
    }

    /// A signal came since this was made, or the observer wants an end.
    pub fn was_interrupted(&self) -> bool {
        self.interrupts.count() > 0 || self.observer.borrow().is_interrupting()
    }

    /// # Errors
    /// [`Interrupted`].
    pub fn ensure_not_interrupted(&self) -> anyhow::Result<()> {
        if self.was_interrupted() { Err(Interrupted.into()) } else { Ok(()) }
    }
}

/// What a record says of a change that did not come to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Reached {
    pub intent: Intent,
    pub step: Step,
    pub edits: Vec<Edit>,
    /// What was measured before the change.
    pub before: Option<Span>,
}

/// Reads how far the change of `run` has come; nothing when it is not the record of a change, or of one that kgen before 0.1
/// has written.
pub fn reached(run: &Run) -> Option<Reached> {
    fn read<T: serde::de::DeserializeOwned>(run: &Run, name: &str) -> Option<T> {
        serde_json::from_value(run.result(name)?.clone()).ok()
    }
    Some(Reached {
        intent: read(run, INTENT)?,
        step: read(run, STEP).unwrap_or(Step::Measuring),
        edits: read(run, EDITS).unwrap_or_default(),
        before: read(run, BEFORE),
    })
}
