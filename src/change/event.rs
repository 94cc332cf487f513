//! Events during a change, as values: the observer turns them into text and pictures.

use std::{path::Path, time::Duration};

use super::{Change, Edit, Proposal, journal::Step, moving::Replicas, rolling};
use crate::{
    aws::MskCluster,
    catalogue::BrokerType,
    process::Running,
    record::Record,
    terraform::{Seen, TerraformError, plan::Plan},
};

/// Watches a change, and answers its questions.
pub trait Observer {
    /// Takes what has happened.
    fn see(&mut self, event: &Event<'_>);

    /// Whether what was proposed is to be done.
    ///
    /// # Errors
    /// [`Interrupted`](super::Interrupted), or there is no answer.
    fn approve(&mut self, question: &Question<'_>) -> anyhow::Result<bool>;

    /// Whether the change is to be interrupted, as by a signal.
    fn is_interrupting(&self) -> bool {
        false
    }
}

/// Takes what has happened, where nothing is asked.
pub type See<'a> = &'a mut dyn FnMut(&Event<'_>);

/// What is asked before anything is touched.
#[derive(Debug)]
pub enum Question<'a> {
    /// Begin the change?
    Change { change: Change, cluster: &'a MskCluster },
    /// Resume the change of a run, or begin it again where it had changed nothing?
    Resume { change: Change, cluster: &'a MskCluster, is_begun: bool },
    /// Restore so many files to their state before the run?
    PutBack { run: &'a str, files: usize },
    /// Apply the plan to this resource?
    Apply { address: &'a str },
}

/// What continues for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    AwaitingTerraform,
    AwaitingOperation,
    Planning,
    Applying,
    ReadingOutputs,
    AwaitingSync,
    AwaitingCalm,
    MovingPartitions,
}

/// Something that has happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// Something to know that has no kind of its own.
    Note(String),
    /// What the change would be.
    Proposed(&'a Proposal),
    /// A record of the run is being written from now on.
    Recording(&'a Record),
    /// The record lacks its end.
    NotRecorded(&'a anyhow::Error),
    Began(Phase),
    /// The phase that began last is over.
    PhaseOver,
    /// The brokers are measured for `time`, before the change, or after it and `warm_up`.
    Measuring {
        time: Duration,
        warm_up: Option<Duration>,
    },
    /// The brokers cannot be measured, and the change continues.
    NotMeasured(&'a anyhow::Error),
    /// A terraform that an earlier kgen has started is still running.
    EarlierTerraform(&'a Running),
    EarlierTerraformEnded,
    /// What is about to be applied, if it is allowed.
    Planned(&'a Plan<'a>),
    Terraform(&'a Seen),
    /// As `Terraform`, of a run of which only what goes wrong matters.
    TerraformAside(&'a Seen),
    /// News of an operation that terraform waits for; `address` is that of the cluster's resource.
    Operation {
        address: &'a str,
        news: &'a rolling::News,
    },
    /// Terraform was interrupted, and has stopped. With `goes_on`, the same command continues from there.
    TerraformStopped {
        error: &'a TerraformError,
        goes_on: bool,
    },
    /// The cluster has begun to change, so the files stay as they are changed.
    FilesStay {
        cluster: &'a str,
    },
    /// Files are as they were before the change.
    FilesPutBack,
    /// Outputs were left as they are, because more has changed meanwhile.
    OutputsStay,
    /// The cluster is as it is to be.
    Reached {
        cluster: &'a str,
        change: Change,
        time: Duration,
    },
    /// The same, of a cluster in Terraform that kgen did not write.
    TypeIs {
        cluster: &'a str,
        to: BrokerType,
    },
    /// So many partitions are still being moved by the run that is resumed.
    StillMoving(usize),
    /// Every broker has its share of the partitions.
    Balanced,
    Moving {
        partitions: usize,
        bytes_per_s: u64,
        replicas: &'a Replicas,
    },
    Batch {
        moved: usize,
        of: usize,
        batch: usize,
        time: Duration,
    },
    Moved {
        partitions: usize,
        time: Duration,
    },
    /// The run that is resumed had changed nothing.
    NothingChanged {
        run: &'a str,
    },
    /// Where the run that is resumed was left, and the cluster now.
    LeftAt {
        run: &'a str,
        change: Change,
        step: Step,
        cluster: &'a MskCluster,
    },
    /// What resuming will do: put the files of `edits` back, or edit them and run `terraform`.
    WillResume {
        change: Change,
        edits: &'a [Edit],
        terraform: Option<&'a Path>,
    },
    /// The run ended before its change did.
    Left {
        run: &'a str,
        is_interrupted: bool,
    },
    /// A step on the way from the cluster to the value that sets its type.
    Trail(&'a str),
    /// What would be edited in Terraform that kgen did not write.
    Located(&'a super::foreign::Edited),
    /// A value was edited in Terraform that kgen did not write.
    Edited(&'a super::foreign::Written<'a>),
    /// That edit was undone.
    Undone {
        file: &'a Path,
    },
    /// A remedy that needs only the brokers was applied, and its symptom is awaited to disappear.
    RemedyMade {
        time: Duration,
    },
    /// Every broker has the new type, and they were not measured afterwards.
    NotMeasuredAfter {
        change: Change,
    },
}
