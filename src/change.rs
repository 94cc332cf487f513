//! Changes to a running cluster: another broker type, more brokers, the same in Terraform that kgen did not write, and
//! resuming an interrupted change.
//!
//! A request comes in as a value. What happens is reported to an [`Observer`], which also answers the questions that
//! are asked before anything is touched; what came of it is returned as [`ChangeEnd`]. Nothing is printed here.
//!
//! Each step is recorded before it begins ([`journal`]), only a plan that is the change and nothing else is applied, and
//! until the cluster itself begins to change, everything that goes wrong puts the files back ([`own`]).

mod conclusion;
mod event;
mod figures;
pub mod fix;
pub mod foreign;
mod guard;
mod journal;
mod kind;
mod measure;
pub mod moving;
mod own;
mod proven;
pub mod resume;
pub mod rolling;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

pub use conclusion::Concluded;
pub use event::{Event, Observer, Phase, Question, See};
pub use figures::{Figures, LoadFigures};
pub use guard::find;
pub use journal::{Interrupted, Journal, Step};
pub use kind::Change;
pub use measure::{ClusterView, INTERVAL};
pub use own::{Edit, FileDiff, Moves, Proposal, Ready, prepare};
pub use rolling::await_earlier;

use crate::{
    kafka::partitions::Partitions,
    outcome::refused,
    project::{Project, WorkingDir},
    watch::Place,
};
use journal::Intent;

/// A change that is requested.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    pub change: Change,
    /// How long the brokers are measured before the change, and again afterwards.
    pub measure: Duration,
    /// What copying partitions to new brokers may take of each, bytes/s.
    pub throttle_bytes_per_s: u64,
    /// Propose the change, and end there.
    pub dry_run: bool,
}

/// Where a change is made, and with what.
#[derive(Debug, Clone)]
pub struct Site {
    /// The project folder.
    pub dir: PathBuf,
    /// The terraform to use; the default is the one on the PATH.
    pub terraform: Option<PathBuf>,
    pub place: Place,
    pub timing: Timing,
}

impl Site {
    /// The project in `dir`, with AWS or what the environment names in its place.
    pub fn new(dir: &Path, terraform: Option<&Path>) -> Site {
        Site {
            dir: dir.to_owned(),
            terraform: terraform.map(Path::to_owned),
            place: Place::Environment,
            timing: Timing::default(),
        }
    }

    /// # Errors
    /// Refused: the folder holds no project.
    fn project(&self) -> anyhow::Result<Project> {
        Project::open(&self.dir).map_err(refused)
    }

    /// # Errors
    /// Refused: there is no Terraform, no terraform, or another kgen is at work.
    fn lock(&self) -> anyhow::Result<WorkingDir> {
        WorkingDir::lock(&self.dir, self.terraform.as_deref(), None, || self.place.env()).map_err(refused)
    }
}

/// How often a change looks at the cluster, and how long it waits for it.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Between two samples.
    pub interval: Duration,
    /// Between two looks at what is waited for.
    pub look_every: Duration,
    /// What brokers that have just restarted are given before they are measured: compilers and caches are cold.
    pub warm_up: Duration,
    /// How long MSK may take to be ACTIVE with every replica in sync after terraform has ended; in the lab it is at once.
    pub settle_within: Duration,
    /// How long an operation may take that runs already: 15 minutes a broker (MSK Developer Guide) of the largest cluster.
    pub operation_within: Duration,
    /// How long brokers may be too busy, or partitions out of sync, before a batch of partitions is moved.
    pub calm_within: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            interval: INTERVAL,
            look_every: Duration::from_secs(1),
            warm_up: Duration::from_secs(25),
            settle_within: Duration::from_secs(30 * 60),
            operation_within: Duration::from_secs(15 * 3600),
            calm_within: Duration::from_secs(30 * 60),
        }
    }
}

/// What came of a request that was not refused and did not fail.
#[derive(Debug)]
pub enum ChangeEnd {
    /// It was proposed, and that was all that was requested.
    Proposed(Box<Proposal>),
    /// It was proposed and not approved. Nothing was changed.
    Declined,
    /// It was interrupted. The record says where.
    Interrupted,
    /// The files are as they were before the change.
    PutBack,
    Concluded(Box<Concluded>),
}

/// Makes a change: checks that it is allowed, proposes it, asks, and carries it out with measurements before and after.
///
/// # Errors
/// Refused before anything is touched; or what went wrong, and then the record says how far the change came.
pub fn run(request: &Request, site: &Site, observer: &mut dyn Observer) -> anyhow::Result<ChangeEnd> {
    // Before anything is asked of terraform or AWS: a change that can never be made.
    request.change.applied_to(&site.project()?)?;
    let working_dir = site.lock()?;
    working_dir.check_rendered(&site.dir).map_err(refused)?;
    // Another kgen may have changed it until it was locked.
    let project = site.project()?;
    let ready = prepare(&project, request.change, &site.place)?.timed(site.timing);
    let moves = match request.change {
        Change::BrokerType(_) => None,
        Change::BrokerCount(to) => {
            // Before brokers are paid for: someone else's moves would be in the way of ours.
            let partitions = Partitions::of(&ready.bootstrap);
            moving::ensure_alone(&partitions.moving()?.into_keys().collect::<Vec<_>>(), &partitions.throttled()?)?;
            Some(ready.moves(to, request.throttle_bytes_per_s)?)
        }
    };
    let proposal = ready.proposal(moves);
    observer.see(&Event::Proposed(&proposal));
    if request.dry_run {
        return Ok(ChangeEnd::Proposed(Box::new(proposal)));
    }
    let question = Question::Change { change: request.change, cluster: &ready.cluster };
    if !observer.approve(&question)? {
        return Ok(ChangeEnd::Declined);
    }
    let intent = Intent {
        change: request.change,
        measure_s: request.measure.as_secs_f64(),
        throttle_bytes_per_s: request.throttle_bytes_per_s,
    };
    proven::begin(&ready, &intent, &working_dir, site.timing, observer)
}

/// A time as people say it.
pub fn human(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}
