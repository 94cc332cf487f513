//! Moves partitions onto new brokers: in batches, within AWS's limits and with a throttle, which is always removed.
//!
//! The moves are computed from the current placement of the partitions, so an interrupted run can be resumed by doing
//! the same again.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail};
use serde::Serialize;

use super::{Event, Figures, Journal, Phase, Ready, human, measure::ClusterView};
use crate::{
    kafka::partitions::{Partition, Partitions, Placement, Throttled},
    outcome::refused,
    process::await_until,
    remedy::{Brokers, Move, PARTITIONS_A_BATCH, REASSIGN_BELOW_CPU_PERCENT, received, spread},
    run,
    watch::{collected, runtime},
};

/// How long one batch may take: 10 partitions of 100 GiB at 20 MiB/s.
const BATCH_WITHIN: Duration = Duration::from_secs(16 * 3600);
/// How long brokers may be asked without success in the middle of a batch.
const SILENCE: Duration = Duration::from_secs(120);
/// How long an election, and the end of a throttle, may take to be seen.
const ELECTED_WITHIN: Duration = Duration::from_secs(30);
const FREED_WITHIN: Duration = Duration::from_secs(30);

/// Replicas that each broker gets.
pub type Replicas = BTreeMap<i32, usize>;

/// What was moved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Moved {
    pub partitions: usize,
    /// Replicas that each broker got.
    pub replicas: Replicas,
    pub batches: usize,
    pub seconds: u64,
}

/// Topics that MSK looks after itself (MSK Developer Guide, "Troubleshoot your cluster": the canary).
fn is_of_msk(topic: &str) -> bool {
    topic.starts_with("__amazon_msk_")
}

/// The moves that give every broker its share.
fn wanted(placement: &Placement) -> (Vec<Move>, Vec<Move>) {
    let brokers: Brokers = placement.brokers.iter().map(|(id, member)| (*id, member.zone.clone())).collect();
    let placed: Vec<Move> = placement
        .partitions
        .iter()
        .filter(|((topic, _), _)| !is_of_msk(topic))
        .map(|((topic, number), placed)| Move {
            topic: topic.clone(),
            partition: *number,
            replicas: placed.replicas.clone(),
        })
        .collect();
    let moves = spread(&brokers, &placed);
    (placed, moves)
}

/// Moves partitions until every broker has its share. `is_resumed`: moves and a throttle that are found are taken for those of
/// a run that was killed.
///
/// # Errors
/// Refused: someone else moves partitions. A limit does not come to hold, brokers refuse, it is interrupted;
/// then what runs is given up and the throttle is gone.
pub fn onto_all(ready: &Ready, bytes_per_s: u64, is_resumed: bool, journal: &Journal<'_>) -> anyhow::Result<Moved> {
    let partitions = Partitions::of(&ready.bootstrap);
    let started = Instant::now();
    let (under_way, throttled) = (partitions.moving()?, partitions.throttled()?);
    if !is_resumed {
        ensure_alone(&under_way.into_keys().collect::<Vec<_>>(), &throttled)?;
    } else if !under_way.is_empty() {
        journal.see(&Event::StillMoving(under_way.len()));
        await_batch(&partitions, &under_way.into_keys().collect(), journal)?;
    }
    let (placed, moves) = wanted(&partitions.placement()?);
    let replicas = received(&placed, &moves);
    let mut moved = Moved { partitions: moves.len(), replicas, ..Moved::default() };
    let all = targets(&moves);
    let carried_out = match moves.is_empty() {
        true => {
            journal.see(&Event::Balanced);
            Ok(())
        }
        false => {
            journal.see(&Event::Moving { partitions: moves.len(), bytes_per_s, replicas: &moved.replicas });
            partitions
                .throttle(&all, bytes_per_s)
                .map_err(anyhow::Error::from)
                .and_then(|()| batches(ready, &partitions, &all, &mut moved, journal))
        }
    };
    journal.end_phase();
    let freed = freed(&partitions, &all, throttled, carried_out.is_err(), journal.look_every());
    carried_out.map_err(|error| match &freed {
        Ok(()) => error,
        Err(left) => error.context(format!("the throttle is still set ({left:#}); `kgen fix` removes it")),
    })?;
    freed.context("removing the throttle (`kgen fix` does that too)")?;
    elect(&partitions, &all, journal.look_every())?;
    moved.seconds = started.elapsed().as_secs();
    if !moves.is_empty() {
        journal.see(&Event::Moved { partitions: moved.partitions, time: started.elapsed() });
    }
    Ok(moved)
}

/// # Errors
/// Refused: someone moves partitions or has left a throttle.
pub fn ensure_alone(under_way: &[Partition], throttled: &Throttled) -> anyhow::Result<()> {
    if let Some((topic, number)) = under_way.first() {
        return Err(refused(anyhow!(
            "{} partitions are already being moved ({topic}-{number} is one of them): wait for that; \
             kafka-reassign-partitions.sh --list shows them",
            under_way.len()
        )));
    }
    if !throttled.is_none() {
        return Err(refused(anyhow!(
            "a replication throttle is set ({}), maybe for someone's reassignment: `kgen fix` removes it",
            described(throttled)
        )));
    }
    Ok(())
}

/// What has a throttle, in words.
pub fn described(throttled: &Throttled) -> String {
    let brokers = throttled.brokers.iter().map(|id| format!("broker {id}"));
    let topics = throttled.topics.iter().map(|topic| format!("topic {topic}"));
    brokers.chain(topics).collect::<Vec<_>>().join(", ")
}

fn batches(
    ready: &Ready,
    partitions: &Partitions,
    all: &[(Partition, Vec<i32>)],
    moved: &mut Moved,
    journal: &Journal<'_>,
) -> anyhow::Result<()> {
    let mut done = 0;
    for batch in all.chunks(PARTITIONS_A_BATCH as usize) {
        journal.begin(Phase::AwaitingCalm);
        await_calm(ready, partitions, journal)?;
        journal.begin(Phase::MovingPartitions);
        let started = Instant::now();
        move_batch(partitions, batch, journal)?;
        done += batch.len();
        moved.batches += 1;
        let time = started.elapsed();
        journal.see(&Event::Batch { moved: done, of: all.len(), batch: batch.len(), time });
        let text = format!("{done} of {} partitions moved, the last {} in {}", all.len(), batch.len(), human(time));
        journal.tell(run::Event::note(text))?;
    }
    Ok(())
}

/// Waits until no partition lacks a replica and no broker is above the CPU at which AWS advises against moving.
fn await_calm(ready: &Ready, partitions: &Partitions, journal: &Journal<'_>) -> anyhow::Result<()> {
    let limit = f64::from(REASSIGN_BELOW_CPU_PERCENT);
    let within = ready.timing().calm_within;
    let calm = await_until(within, journal.look_every(), || {
        journal.ensure_not_interrupted()?;
        let behind = partitions.placement()?.not_whole().count();
        if behind > 0 {
            return anyhow::Ok(ControlFlow::Continue(format!("{behind} partitions are under-replicated")));
        }
        Ok(match cpu_percent(ready)?.filter(|cpu| *cpu > limit) {
            None => ControlFlow::Break(()),
            Some(cpu) => ControlFlow::Continue(format!("CPU of the busiest broker is {cpu:.0} %, above {limit:.0} %")),
        })
    });
    calm?.or_else(|why| bail!("no partition is moved: for {} {why}", human(within)))
}

/// CPU of the busiest broker, percent of its capacity; `None` where no source has it.
fn cpu_percent(ready: &Ready) -> anyhow::Result<Option<f64>> {
    let interval = ready.timing().interval;
    let samples = runtime()?.block_on(async {
        let opened = ClusterView::of_stack(ready).open().await?;
        collected(opened.source, interval * 2, interval).await
    })?;
    Ok(Figures::of("", &samples).cpu_percent)
}

/// What `moves` requests from Kafka.
pub fn targets(moves: &[Move]) -> Vec<(Partition, Vec<i32>)> {
    moves.iter().map(|to| ((to.topic.clone(), to.partition), to.replicas.clone())).collect()
}

/// Moves `batch`, and comes back when that is done.
///
/// # Errors
/// Brokers refuse or fall silent, it takes too long, it is interrupted.
pub fn move_batch(
    partitions: &Partitions,
    batch: &[(Partition, Vec<i32>)],
    journal: &Journal<'_>,
) -> anyhow::Result<()> {
    partitions.begin(batch)?;
    await_batch(partitions, &batch.iter().map(|(partition, _)| partition.clone()).collect(), journal)
}

/// Waits until none of `batch` is being moved any more.
fn await_batch(partitions: &Partitions, batch: &BTreeSet<Partition>, journal: &Journal<'_>) -> anyhow::Result<()> {
    let mut heard = Instant::now();
    let moved = await_until(BATCH_WITHIN, journal.look_every(), || {
        journal.ensure_not_interrupted()?;
        match partitions.moving() {
            Ok(moving) if moving.keys().all(|partition| !batch.contains(partition)) => {
                return Ok(ControlFlow::Break(()));
            }
            Ok(_) => heard = Instant::now(),
            // A broker that restarts is asked again.
            Err(error) if heard.elapsed() > SILENCE => return Err(error.into()),
            Err(_) => {}
        }
        anyhow::Ok(ControlFlow::Continue(()))
    });
    moved?.or_else(|()| {
        bail!(
            "{} partitions have not moved after {}: is --throttle lower than the rate of writes?",
            batch.len(),
            human(BATCH_WITHIN)
        )
    })
}

/// Takes the throttle off; when the moves have failed, those that run are given up first.
fn freed(
    partitions: &Partitions,
    all: &[(Partition, Vec<i32>)],
    found: Throttled,
    has_failed: bool,
    look_every: Duration,
) -> anyhow::Result<()> {
    if has_failed {
        let ours: BTreeSet<&Partition> = all.iter().map(|(partition, _)| partition).collect();
        let running = partitions.moving()?.into_keys().filter(|partition| ours.contains(partition));
        partitions.cancel(running.collect::<Vec<_>>())?;
    }
    let topics = all.iter().map(|((topic, _), _)| topic.clone()).chain(found.topics).collect::<BTreeSet<_>>();
    let brokers = partitions.placement()?.brokers.into_keys().collect();
    partitions.unthrottle(&Throttled { topics: topics.into_iter().collect(), brokers })?;
    // A broker shows the change when it has read it from the controller, and a busy one does so later.
    let seen = await_until(FREED_WITHIN, look_every, || {
        let left = partitions.throttled()?;
        anyhow::Ok(if left.is_none() { ControlFlow::Break(()) } else { ControlFlow::Continue(left) })
    });
    seen?.or_else(|left| bail!("still throttled: {}", described(&left)))
}

/// Lets the first replicas of what was moved lead.
pub fn elect(partitions: &Partitions, all: &[(Partition, Vec<i32>)], look_every: Duration) -> anyhow::Result<()> {
    let moved: BTreeSet<&Partition> = all.iter().map(|(partition, _)| partition).collect();
    let started = Instant::now();
    while started.elapsed() < ELECTED_WITHIN {
        let placement = partitions.placement()?;
        let due: Vec<Partition> =
            placement.not_led_by_preferred().filter(|partition| moved.contains(partition)).cloned().collect();
        if due.is_empty() {
            return Ok(());
        }
        partitions.elect_preferred(&due)?;
        std::thread::sleep(look_every);
    }
    // Leaders that stay where they are do no harm that would be worth failing for; `kgen diagnose` names them.
    Ok(())
}
