//! A change from its measurement before to its proof afterwards, recorded; the whole of it, or what a killed run has left.

use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::{
    change::{Change, Ready},
    documents::{self, Resized, ScaledOut},
    figures::{Figures, table},
    journal::{Intent, Interrupted, Journal, Reached, Step},
    look::{Opened, collected_with, runtime},
    moving,
    progress::Progress,
    record::{self, Record},
    resize::INTERVAL,
    rolling,
    watching::{Beside, Marks, Watched},
    working_dir::await_earlier,
};
use crate::{
    cli::{Outcome, refused},
    diagnose::{Context, Verdict, diagnose},
    project::WorkingDir,
    proof::{Conclusion, Measured, proof},
    remedy::REASSIGN_BELOW_CPU_PERCENT,
    report::{STRETCHES, Span, Stretches},
    run::{self, Event, Fix, Mark, Observed, Run, now},
    sample::Sample,
};

/// What brokers that have just restarted are given before they are measured: compilers and caches are cold.
const WARM_UP: Duration = Duration::from_secs(25);

/// What was measured, and when.
pub struct Stretch {
    context: Context,
    samples: Vec<Sample>,
    span: Span,
}

impl Stretch {
    /// Nothing was measured of it.
    pub fn empty(context: Context) -> Stretch {
        Stretch { context, samples: Vec::new(), span: Span { from_ms: 0, to_ms: 0 } }
    }

    fn measured(&self) -> Measured<'_> {
        Measured { context: Some(&self.context), samples: &self.samples, load: &[] }
    }
}

/// Begins the record of a change that nobody objects to, and carries it out.
///
/// # Errors
/// What the steps say, or the record cannot be begun.
pub fn begin(
    ready: &Ready,
    intent: &Intent,
    working_dir: &WorkingDir,
    json: bool,
    plain: bool,
) -> anyhow::Result<Outcome> {
    let record = Record::begin(ready.project(), ready.change.name(), None)?;
    record::show(&record, json || plain);
    let journal = Journal::new(Some(record))?;
    journal.intent(intent)?;
    play(ready, intent, None, working_dir, &journal, json)
}

/// Carries the change out from the step that `reached` names, or from its beginning, and says what came of it.
///
/// # Errors
/// What the steps say. The record has its end in each case.
pub fn play(
    ready: &Ready,
    intent: &Intent,
    reached: Option<&Reached>,
    working_dir: &WorkingDir,
    journal: &Journal,
    json: bool,
) -> anyhow::Result<Outcome> {
    let played = steps(ready, intent, reached, working_dir, journal, json);
    let played = match played {
        Err(error) if error.is::<Interrupted>() => Ok(Outcome::Interrupted),
        played => played,
    };
    let was_interrupted = matches!(played, Ok(Outcome::Interrupted));
    if let Some(record) = journal.record() {
        if let Err(error) = record.end(&played, was_interrupted) {
            eprintln!("note: {error:#}");
        }
        if was_interrupted {
            eprintln!("interrupted; `kgen resume {}` goes on", record.id());
        } else if played.is_err() {
            eprintln!("`kgen resume {}` goes on from where it was, once the reason is mended", record.id());
        }
    }
    played
}

fn steps(
    ready: &Ready,
    intent: &Intent,
    reached: Option<&Reached>,
    working_dir: &WorkingDir,
    journal: &Journal,
    json: bool,
) -> anyhow::Result<Outcome> {
    let from = reached.map_or(Step::Measuring, |reached| reached.step);
    let measure = Duration::from_secs_f64(intent.measure_s);
    let watched = Watched::of_stack(ready.project(), ready.place());
    let mut progress = Progress::new();
    let before = match reached.filter(|_| from > Step::Measuring) {
        // What a killed run has measured is in its record.
        Some(reached) => recorded_before(reached, journal)?,
        None => {
            eprintln!("measuring for {} s before the change", measure.as_secs());
            journal.step(Step::Measuring)?;
            let before = measured(&watched, measure, journal)?;
            journal.before(before.span)?;
            Some(before)
        }
    };
    if let (Change::BrokerCount(_), Some(before), true) = (ready.change, &before, from < Step::Applying) {
        ensure_calm(before)?;
    }
    // Between the measurements, which take and tell their own samples.
    let beside = journal.record().map(|record| {
        let marks = Marks::new(ready.project().stack()).without_fixed();
        Beside::start(watched.clone(), record, marks)
    });
    let started = Instant::now();
    let mut done = Done { change: ready.change, steps: Vec::new(), moved: None };
    if from < Step::Settled {
        let (command, rendered) = (ready.change.command(), ready.rendered());
        journal.tell(Event::Remedy(Box::new(Fix { command, rendered })))?;
        await_earlier(working_dir, &mut progress)?;
        let Some(steps) = ready.carry_out(working_dir, journal, &mut progress)? else {
            return Ok(Outcome::Interrupted);
        };
        done.steps = steps;
        let now = ready.change.reached();
        eprintln!("{}: {now} after {} s", ready.cluster.name, started.elapsed().as_secs());
    }
    if let Change::BrokerCount(_) = ready.change
        && from < Step::Moved
    {
        let is_resumed = reached.is_some() && from == Step::Moving;
        journal.step(Step::Moving)?;
        done.moved = Some(moving::onto_all(ready, intent.throttle_bytes_per_s, is_resumed, journal, &mut progress)?);
        journal.step(Step::Moved)?;
    }
    journal.tell(Event::mark(Mark::Fixed, format!("{}, every partition in sync", ready.change.reached())))?;
    warmed_up(measure, journal)?;
    drop(beside);
    let after = measured(&watched, measure, journal)?;
    concluded(done, before, after, journal, json)
}

/// Waits until brokers that have just restarted are warm, to be measured for `measure` then.
///
/// # Errors
/// It is interrupted.
pub fn warmed_up(measure: Duration, journal: &Journal) -> anyhow::Result<()> {
    eprintln!("measuring for {} s, after {} s of warming up", measure.as_secs(), WARM_UP.as_secs());
    let warm = Instant::now();
    while warm.elapsed() < WARM_UP {
        journal.ensure_not_interrupted()?;
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Samples of a cluster, each recorded as it comes.
///
/// # Errors
/// The cluster cannot be sampled, or it is interrupted.
pub fn measured(watched: &Watched, window: Duration, journal: &Journal) -> anyhow::Result<Stretch> {
    runtime()?.block_on(async {
        let Opened { context, source, .. } = watched.open().await?;
        let from_ms = now().as_millisecond();
        let mut so_far: Vec<Sample> = Vec::new();
        let mut seen = |sample: &Sample| {
            if let Some(record) = journal.record() {
                so_far.push(sample.clone());
                let observed = Observed::new(context.clone(), sample.clone(), &diagnose(&context, &so_far));
                record.tell_at(run::at(sample.at_ms), Event::Sample(Box::new(observed)))?;
            }
            journal.ensure_not_interrupted()
        };
        let samples = collected_with(source, window, INTERVAL, &mut seen).await?;
        Ok(Stretch { context, samples, span: Span { from_ms, to_ms: now().as_millisecond() } })
    })
}

/// What the run so far has measured before the change; nothing if it was killed before that was done.
fn recorded_before(reached: &Reached, journal: &Journal) -> anyhow::Result<Option<Stretch>> {
    let (Some(record), Some(span)) = (journal.record(), reached.before) else { return Ok(None) };
    let run = Run::read(record.dir())?;
    let observed: Vec<&Observed> = run.samples().filter(|observed| span.holds(observed.sample.at_ms)).collect();
    let context = observed.last().map(|observed| observed.cluster.clone());
    let samples = observed.into_iter().map(|observed| observed.sample.clone()).collect();
    Ok(context.map(|context| Stretch { context, samples, span }))
}

/// # Errors
/// Refused: the brokers have no room for moving partitions.
fn ensure_calm(before: &Stretch) -> anyhow::Result<()> {
    let cpu = Figures::of("", &before.samples).cpu_percent;
    let limit = f64::from(REASSIGN_BELOW_CPU_PERCENT);
    match cpu.filter(|cpu| *cpu > limit) {
        None => Ok(()),
        Some(cpu) => Err(refused(anyhow!(
            "CPU of the busiest broker is {cpu:.0} %, and AWS advises against moving partitions above {limit:.0} %: nothing \
             was changed; `kgen diagnose` tells whether another broker type mends it, else come back when it is calmer"
        ))),
    }
}

/// What was done, for the conclusion.
pub struct Done {
    pub change: Change,
    pub steps: Vec<rolling::Ended>,
    /// Of a scale-out.
    pub moved: Option<moving::Moved>,
}

/// Says and records what a change has brought.
///
/// # Errors
/// The record cannot be written.
pub fn concluded(
    done: Done,
    before: Option<Stretch>,
    after: Stretch,
    journal: &Journal,
    json: bool,
) -> anyhow::Result<Outcome> {
    let verdict = diagnose(&after.context, &after.samples).verdict;
    // A run that was killed before it had measured anything is compared with nothing.
    let before = before.unwrap_or_else(|| Stretch::empty(after.context.clone()));
    let change = proof(&before.measured(), &after.measured());
    journal.result(STRETCHES, &Stretches { before: before.span, after: after.span })?;
    journal.result("conclusion", &change)?;
    journal.step(Step::Proven)?;
    let of_type =
        |stretch: &Stretch| Figures::of(stretch.context.broker_type.as_deref().unwrap_or("?"), &stretch.samples);
    let (was, is) = (of_type(&before), of_type(&after));
    let Done { change: what, steps, moved } = done;
    let name = match what {
        Change::BrokerType(_) => "resized",
        Change::BrokerCount(_) => "scaled out",
    };
    let conclusion = match (was.has_load() && is.has_load(), verdict) {
        (_, Verdict::CauseFound) => "not recovered: a cause is still found (`kgen diagnose`)".to_owned(),
        (false, _) => format!("{name}; without load before and after, nothing is proven about speed"),
        (true, Verdict::Healthy) if change.conclusion == Conclusion::Worse => {
            format!("{name}: healthy under load, and no better for it")
        }
        (true, Verdict::Healthy) => "recovered: healthy under load".to_owned(),
        (true, Verdict::Inconclusive) => {
            format!("{name}; the measurement afterwards is inconclusive (`kgen diagnose`)")
        }
    };
    if json {
        match what {
            Change::BrokerType(_) => documents::print(Resized {
                cluster: after.context,
                steps,
                before: was,
                after: is,
                change,
                verdict,
                conclusion,
            })?,
            Change::BrokerCount(to) => documents::print(ScaledOut {
                cluster: after.context,
                from: before.context.broker_count,
                to,
                steps,
                moved: moved.unwrap_or_default(),
                before: was,
                after: is,
                change,
                verdict,
                conclusion,
            })?,
        }
    } else {
        let kind = |stretch: &Stretch, figures: &Figures| match what {
            Change::BrokerType(_) => figures.broker_type.clone(),
            Change::BrokerCount(_) => format!("{} × {}", stretch.context.broker_count, figures.broker_type),
        };
        println!("{}\n{conclusion}", table((&kind(&before, &was), &kind(&after, &is)), &change));
    }
    Ok(if verdict == Verdict::CauseFound { Outcome::Unhealthy } else { Outcome::Done })
}
