//! A complete change, from the first measurement to the proof, with its record; or the rest of an interrupted one.

use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::{
    Change, ChangeEnd, Event, Figures, Observer, Ready, Timing,
    conclusion::{Done, concluded},
    journal::{Intent, Interrupted, Journal, Reached, Step},
    measure::{ClusterView, Stretch, measured, recorded_before, warmed_up},
    moving, rolling,
};
use crate::{
    outcome::{Outcome, refused},
    project::WorkingDir,
    record::Record,
    remedy::REASSIGN_BELOW_CPU_PERCENT,
    run::{self, Fix, Mark},
    watch::{Marks, Naming, News},
};

/// Begins the record of a change that was approved, and carries it out.
///
/// # Errors
/// What the steps say, or the record cannot be begun.
pub fn begin(
    ready: &Ready<'_>,
    intent: &Intent,
    working_dir: &WorkingDir,
    timing: Timing,
    observer: &mut dyn Observer,
) -> anyhow::Result<ChangeEnd> {
    let record = Record::begin(ready.project(), ready.change.name(), None)?;
    observer.see(&Event::Recording(&record));
    let journal = Journal::new(Some(record), timing, observer)?;
    journal.intent(intent)?;
    play(ready, intent, None, working_dir, &journal)
}

/// Carries the change out from the step that `reached` names, or from its beginning, and returns what came of it.
///
/// # Errors
/// What the steps say. The record has its end in each case.
pub fn play(
    ready: &Ready<'_>,
    intent: &Intent,
    reached: Option<&Reached>,
    working_dir: &WorkingDir,
    journal: &Journal<'_>,
) -> anyhow::Result<ChangeEnd> {
    let played = match steps(ready, intent, reached, working_dir, journal) {
        Err(error) if error.is::<Interrupted>() => Ok(ChangeEnd::Interrupted),
        played => played,
    };
    ended(journal, &played);
    if let Some(record) = journal.record() {
        let is_interrupted = matches!(played, Ok(ChangeEnd::Interrupted));
        if is_interrupted || played.is_err() {
            journal.see(&Event::Left { run: record.id(), is_interrupted });
        }
    }
    played
}

/// Writes the end of the record, where there is one.
pub fn ended(journal: &Journal<'_>, played: &anyhow::Result<ChangeEnd>) {
    let Some(record) = journal.record() else { return };
    let outcome = match played {
        Ok(ended) => Ok(ended.outcome()),
        Err(error) => Err(anyhow!("{error:#}")),
    };
    if let Err(error) = record.end(&outcome, matches!(played, Ok(ChangeEnd::Interrupted))) {
        journal.see(&Event::NotRecorded(&error));
    }
}

impl ChangeEnd {
    /// How a command ends that ended so.
    pub fn outcome(&self) -> Outcome {
        match self {
            ChangeEnd::Interrupted => Outcome::Interrupted,
            ChangeEnd::Concluded(concluded) => concluded.outcome(),
            ChangeEnd::Proposed(_) | ChangeEnd::Declined | ChangeEnd::PutBack => Outcome::Done,
        }
    }
}

fn steps(
    ready: &Ready<'_>,
    intent: &Intent,
    reached: Option<&Reached>,
    working_dir: &WorkingDir,
    journal: &Journal<'_>,
) -> anyhow::Result<ChangeEnd> {
    let from = reached.map_or(Step::Measuring, |reached| reached.step);
    let time = Duration::from_secs_f64(intent.measure_s);
    let watched = ClusterView::of_stack(ready);
    let before = measured_before(&watched, time, reached, journal)?;
    if let (Change::BrokerCount(_), Some(before), true) = (ready.change, &before, from < Step::Applying) {
        ensure_calm(before)?;
    }
    // Between the measurements, which take and tell their own samples.
    let beside = journal.record().map(|record| {
        let marks = Marks::new(ready.project().stack()).without_fixed();
        watched.beside(record, News::new(Naming::of_project(&ready.project().terraform_dir()), marks))
    });
    let mut done = Done { change: ready.change, steps: Vec::new(), moved: None };
    if from < Step::Settled {
        let Some(steps) = applied(ready, working_dir, journal)? else { return Ok(ChangeEnd::Interrupted) };
        done.steps = steps;
    }
    if let Change::BrokerCount(_) = ready.change
        && from < Step::Moved
    {
        let is_resumed = reached.is_some() && from == Step::Moving;
        journal.step(Step::Moving)?;
        done.moved = Some(moving::onto_all(ready, intent.throttle_bytes_per_s, is_resumed, journal)?);
        journal.step(Step::Moved)?;
    }
    journal.tell(run::Event::mark(Mark::Fixed, format!("{}, every partition in sync", ready.change.reached())))?;
    warmed_up(time, ready.timing(), journal)?;
    drop(beside);
    let after = measured(&watched, time, journal)?;
    Ok(ChangeEnd::Concluded(Box::new(concluded(done, before, after, journal)?)))
}

/// What was measured before the change: now, or by the run that is resumed.
fn measured_before(
    watched: &ClusterView,
    time: Duration,
    reached: Option<&Reached>,
    journal: &Journal<'_>,
) -> anyhow::Result<Option<Stretch>> {
    // What a killed run has measured is in its record.
    if let Some(reached) = reached.filter(|reached| reached.step > Step::Measuring) {
        return recorded_before(reached, journal);
    }
    journal.see(&Event::Measuring { time, warm_up: None });
    journal.step(Step::Measuring)?;
    let before = measured(watched, time, journal)?;
    journal.before(before.span)?;
    Ok(Some(before))
}

/// Makes the change of the cluster itself. Nothing, when terraform was interrupted.
fn applied(
    ready: &Ready<'_>,
    working_dir: &WorkingDir,
    journal: &Journal<'_>,
) -> anyhow::Result<Option<Vec<rolling::EndedStep>>> {
    let started = Instant::now();
    let (command, rendered) = (ready.change.command(), ready.rendered());
    journal.tell(run::Event::Remedy(Box::new(Fix { command, rendered })))?;
    rolling::await_earlier(working_dir, &mut |event| journal.see(event))?;
    let steps = ready.carry_out(working_dir, journal)?;
    if steps.is_some() {
        let (cluster, change, time) = (ready.cluster.name.as_str(), ready.change, started.elapsed());
        journal.see(&Event::Reached { cluster, change, time });
    }
    Ok(steps)
}

/// # Errors
/// Refused: the brokers have no room for moving partitions.
fn ensure_calm(before: &Stretch) -> anyhow::Result<()> {
    let cpu = Figures::of("", &before.samples).cpu_percent;
    let limit = f64::from(REASSIGN_BELOW_CPU_PERCENT);
    match cpu.filter(|cpu| *cpu > limit) {
        None => Ok(()),
        Some(cpu) => Err(refused(anyhow!(
            "CPU of the busiest broker is {cpu:.0} %, and AWS advises against moving partitions above {limit:.0} %: \
             nothing was changed; `kgen diagnose` shows whether another broker type would help, otherwise try again \
             under less load"
        ))),
    }
}
