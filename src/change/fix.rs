//! Remedies that need only the brokers: elections of leaders, other orders of replicas, throttles that were left behind.

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use anyhow::bail;

use super::{
    Event, Journal, See,
    moving::{self, described},
};
use crate::{
    diagnose::{Context, Diagnosis, Verdict},
    finding_id,
    kafka::partitions::{Partition, Partitions, Throttled},
    process::await_until,
    remedy::{Move, PARTITIONS_A_BATCH, Remedy, Rendered},
    run::{self, Found, Mark},
    sample::Sample,
};

/// How long the symptom may take to disappear, once the change is made.
const GONE_WITHIN: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What kgen does on the brokers.
#[derive(Debug)]
enum Act {
    Elect(Vec<Partition>),
    /// Other first replicas, then their election; the sets of replicas stay.
    Reassign(Vec<Move>),
    Unthrottle(Throttled),
}

/// What is done, and the finding that it is for.
#[derive(Debug)]
pub struct Chosen {
    act: Act,
    /// Id of the finding.
    pub finding: String,
    pub title: String,
    pub summary: String,
    pub rendered: Option<Rendered>,
}

/// A cluster that was diagnosed.
#[derive(Debug)]
pub struct Diagnosed {
    pub context: Context,
    pub samples: Vec<Sample>,
    pub diagnosis: Diagnosis,
}

/// What a remedy has brought.
#[derive(Debug)]
pub struct Applied {
    /// The last diagnosis, which has not the finding any more; nothing while it is still there.
    pub gone: Option<Diagnosed>,
    /// From the change to that.
    pub time: Duration,
}

/// Applies it, and diagnoses with `look` until the symptom is gone.
///
/// # Errors
/// The brokers refuse or do not respond, the cluster cannot be diagnosed, or it is interrupted.
pub fn apply(
    chosen: &Chosen,
    seen: &Diagnosed,
    partitions: &Partitions,
    journal: &Journal<'_>,
    mut look: impl FnMut() -> anyhow::Result<Diagnosed>,
) -> anyhow::Result<Applied> {
    record_cause(chosen, seen, journal)?;
    let started = Instant::now();
    match &chosen.act {
        Act::Elect(due) => partitions.elect_preferred(due)?,
        Act::Reassign(moves) => reassign(partitions, moves, journal)?,
        Act::Unthrottle(throttled) => partitions.unthrottle(throttled)?,
    }
    await_made(partitions, &chosen.act, journal)?;
    journal.see(&Event::RemedyMade { time: started.elapsed() });
    journal.tell(run::Event::mark(Mark::Fixed, chosen.summary.clone()))?;
    loop {
        journal.ensure_not_interrupted()?;
        let now = look()?;
        let is_there = now.diagnosis.findings.iter().any(|finding| finding.id == chosen.finding);
        if !is_there && now.diagnosis.verdict != Verdict::Inconclusive {
            journal.tell(run::Event::mark(Mark::Verified, format!("{} is gone", chosen.finding)))?;
            return Ok(Applied { gone: Some(now), time: started.elapsed() });
        }
        if started.elapsed() > GONE_WITHIN {
            return Ok(Applied { gone: None, time: started.elapsed() });
        }
    }
}

fn record_cause(chosen: &Chosen, seen: &Diagnosed, journal: &Journal<'_>) -> anyhow::Result<()> {
    let Diagnosed { context, diagnosis, .. } = seen;
    for finding in diagnosis.findings.iter().filter(|finding| finding.id == chosen.finding) {
        let found = Found::new(&context.cluster, diagnosis.verdict, finding, chosen.rendered.clone());
        journal.tell(run::Event::Finding(Box::new(found)))?;
        journal.tell(run::Event::mark(Mark::Named, format!("{}: {}", finding.id, finding.title)))?;
    }
    let rendered = chosen.rendered.clone().unwrap_or_default();
    journal.tell(run::Event::Remedy(Box::new(run::Fix { command: "kgen fix".to_owned(), rendered })))
}

/// Returns what to do about the first finding that kgen can fix, else about a throttle that nobody needs.
///
/// # Errors
/// The brokers do not respond.
pub fn chosen(
    diagnosis: &Diagnosis,
    rendered: &[Option<Rendered>],
    partitions: &Partitions,
    see: See<'_>,
) -> anyhow::Result<Option<Chosen>> {
    let (under_way, throttled) = (partitions.moving()?, partitions.throttled()?);
    for (finding, rendered) in diagnosis.findings.iter().zip(rendered) {
        let act = match &finding.remedy {
            Some(Remedy::ElectLeaders(_)) => {
                Act::Elect(partitions.placement()?.not_led_by_preferred().cloned().collect())
            }
            Some(Remedy::Reassign(reassign)) if under_way.is_empty() => Act::Reassign(reassign.moves.clone()),
            Some(Remedy::RemoveThrottle(_)) if under_way.is_empty() => Act::Unthrottle(throttled.clone()),
            _ => continue,
        };
        return Ok(Some(Chosen {
            act,
            finding: finding.id.to_owned(),
            title: finding.title.clone(),
            summary: rendered.as_ref().map(|fix| fix.summary.clone()).unwrap_or_default(),
            rendered: rendered.clone(),
        }));
    }
    if let Some((topic, number)) = under_way.keys().next() {
        see(&Event::Note(format!(
            "{} partitions are being moved ({topic}-{number} is one of them), so their throttle is intended",
            under_way.len()
        )));
        return Ok(None);
    }
    if throttled.is_none() {
        return Ok(None);
    }
    Ok(Some(Chosen {
        finding: finding_id::REPLICATION_THROTTLED.to_owned(),
        title: "a replication throttle was left behind; it would keep replicas that fall behind from catching up"
            .to_owned(),
        summary: format!("remove the replication throttle of {}", described(&throttled)),
        act: Act::Unthrottle(throttled),
        rendered: None,
    }))
}

/// Gives partitions other first replicas, in batches, and elects them.
fn reassign(partitions: &Partitions, moves: &[Move], journal: &Journal<'_>) -> anyhow::Result<()> {
    let all = moving::targets(moves);
    let placement = partitions.placement()?;
    if let Some((topic, number)) = placement.not_whole().next() {
        bail!("{topic}-{number} is under-replicated: wait until every partition is in sync (`kgen diagnose`)");
    }
    for batch in all.chunks(PARTITIONS_A_BATCH as usize) {
        journal.ensure_not_interrupted()?;
        moving::move_batch(partitions, batch, journal)?;
    }
    moving::elect(partitions, &all, journal.look_every())
}

/// Waits until the brokers show what was done.
fn await_made(partitions: &Partitions, act: &Act, journal: &Journal<'_>) -> anyhow::Result<()> {
    let made = await_until(GONE_WITHIN, LOOK_EVERY, || {
        let left = left_of(act, partitions)?;
        if left == 0 {
            return Ok(ControlFlow::Break(()));
        }
        journal.ensure_not_interrupted()?;
        anyhow::Ok(ControlFlow::Continue(left))
    });
    made?.or_else(|left| bail!("after {} s it is not done for {left} of them", GONE_WITHIN.as_secs()))
}

/// How much of it the brokers do not show yet.
fn left_of(act: &Act, partitions: &Partitions) -> anyhow::Result<usize> {
    Ok(match act {
        Act::Elect(due) => {
            let due: BTreeSet<&Partition> = due.iter().collect();
            partitions.placement()?.not_led_by_preferred().filter(|partition| due.contains(partition)).count()
        }
        Act::Reassign(moves) => {
            let placement = partitions.placement()?;
            let is_elsewhere = |to: &&Move| {
                let placed = placement.partitions.get(&(to.topic.clone(), to.partition));
                placed.is_some_and(|placed| placed.replicas != to.replicas)
            };
            moves.iter().filter(is_elsewhere).count()
        }
        Act::Unthrottle(_) => {
            let left = partitions.throttled()?;
            left.topics.len() + left.brokers.len()
        }
    })
}
