//! `kgen fix`: applies those remedies of a diagnosis that only need the brokers, each until its symptom is gone.

use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::bail;

use super::{
    changing::Words,
    diagnose::{fixes, text, watched},
    documents::{self, Fixed},
    look::{headline, runtime},
    place::Place,
    record::Record,
    working_dir::{confirmed, ensure_confirmable},
};
use crate::{
    change::{
        Journal, Timing, find,
        moving::{self, described},
    },
    cli::{Fix, Outcome, refused},
    diagnose::{Context, Diagnosis, Verdict, diagnose},
    finding_id,
    kafka::partitions::{Partition, Partitions, Throttled},
    project::Project,
    remedy::{Move, PARTITIONS_A_BATCH, Remedy, Rendered},
    run::{self, Event, Found, Mark},
    sample::Sample,
    visible::line,
};

/// How long the symptom may take to go, once the change is made.
const GONE_WITHIN: Duration = Duration::from_secs(180);
/// How long the brokers are watched for each look at the symptom.
const WATCHED: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What kgen does on the brokers.
enum Act {
    Elect(Vec<Partition>),
    /// Other first replicas, then their election; the sets of replicas stay.
    Reassign(Vec<Move>),
    Unthrottle(Throttled),
}

/// What is done, and the finding that it is for.
struct Chosen {
    act: Act,
    finding: String,
    title: String,
    summary: String,
    rendered: Option<Rendered>,
}

pub fn run(dir: &Path, args: &Fix) -> anyhow::Result<Outcome> {
    if !args.dry_run {
        ensure_confirmable(args.yes, "fix")?;
    }
    let project = Project::open(dir).map_err(refused)?;
    let _lock = project.lock().map_err(refused)?;
    let looked = looked(&project, args.window)?;
    let (context, samples, diagnosis) = &looked;
    let rendered = fixes(context, diagnosis, &project.terraform_dir());
    let (_, bootstrap) = find(&project, &Place::Environment)?;
    let partitions = Partitions::of(&bootstrap);
    let Some(chosen) = chosen(diagnosis, &rendered, &partitions)? else {
        eprint!("{}", text(context, samples, diagnosis, &rendered));
        return nothing(diagnosis, args.json);
    };
    eprintln!("{}: {}\n  fix: {}", chosen.finding, line(&chosen.title), line(&chosen.summary));
    for note in chosen.rendered.iter().flat_map(|fix| fix.notes.iter().chain(&fix.kafka_tools)) {
        eprintln!("    {}", line(note));
    }
    if args.dry_run {
        if args.json {
            documents::print(Fixed {
                finding: Some(chosen.finding),
                action: Some(chosen.summary),
                carried_out: false,
                gone: false,
                seconds: 0,
            })?;
        }
        return Ok(Outcome::Unhealthy);
    }
    if !args.yes && !confirmed(&format!("Do that on {}?", context.cluster))? {
        eprintln!("nothing was changed");
        return Ok(Outcome::Unhealthy);
    }
    let mut words = Words::new(args.yes, args.json);
    let record = Record::begin(&project, "fix", context.lab_scale)?;
    let journal = Journal::new(Some(record), Timing::default(), &mut words)?;
    let played = carried_out(&project, &looked, &chosen, &partitions, &journal);
    let was_interrupted = journal.was_interrupted();
    let outcome = played.as_ref().map(|(outcome, _)| *outcome).map_err(|error| anyhow::anyhow!("{error:#}"));
    if let Some(record) = journal.record() {
        record.end(&outcome, was_interrupted)?;
    }
    if was_interrupted {
        eprintln!("interrupted; run `kgen fix` again to continue");
        return Ok(Outcome::Interrupted);
    }
    let (outcome, seconds) = played?;
    let gone = outcome == Outcome::Done;
    if args.json {
        let Chosen { finding, summary, .. } = chosen;
        let (finding, action) = (Some(finding), Some(summary));
        documents::print(Fixed { finding, action, carried_out: true, gone, seconds })?;
    } else if gone {
        println!("{} is gone {seconds} s after the change", chosen.finding);
    } else {
        println!("{} is still there {seconds} s after the change (`kgen diagnose`)", chosen.finding);
    }
    Ok(outcome)
}

type Looked = (Context, Vec<Sample>, Diagnosis);

fn looked(project: &Project, window: Duration) -> anyhow::Result<Looked> {
    let (context, samples) = runtime()?.block_on(watched(window, project))?;
    let diagnosis = diagnose(&context, &samples);
    Ok((context, samples, diagnosis))
}

/// The first finding that kgen can fix, else a throttle that nobody needs.
fn chosen(
    diagnosis: &Diagnosis,
    rendered: &[Option<Rendered>],
    partitions: &Partitions,
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
        eprintln!(
            "note: {} partitions are being moved ({topic}-{number} is one of them), so their throttle is intended",
            under_way.len()
        );
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

/// Nothing that kgen carries out here; what else there is to do was shown.
fn nothing(diagnosis: &Diagnosis, json: bool) -> anyhow::Result<Outcome> {
    let outcome = match diagnosis.verdict {
        Verdict::Healthy => Outcome::Done,
        Verdict::CauseFound => Outcome::Unhealthy,
        Verdict::Inconclusive => Outcome::Inconclusive,
    };
    let finding = diagnosis.findings.first().filter(|_| diagnosis.verdict == Verdict::CauseFound);
    if json {
        let finding = finding.map(|finding| finding.id.to_owned());
        let gone = outcome == Outcome::Done;
        documents::print(Fixed { finding, action: None, carried_out: false, gone, seconds: 0 })?;
        return Ok(outcome);
    }
    match finding {
        Some(finding) if finding.next_command() == "kgen fix" => {
            println!("nothing was changed: check {} again when no partition is being moved", finding.id);
        }
        Some(finding) => println!("kgen fix cannot fix {}: {}", finding.id, finding.next_command()),
        None if outcome == Outcome::Done => println!("healthy: nothing to fix"),
        None => println!("inconclusive: nothing was changed (`kgen diagnose` says what is missing)"),
    }
    Ok(outcome)
}

/// Applies it, and checks until the symptom is gone. Returns how long that took, s.
fn carried_out(
    project: &Project,
    (context, _, diagnosis): &Looked,
    chosen: &Chosen,
    partitions: &Partitions,
    journal: &Journal<'_>,
) -> anyhow::Result<(Outcome, u64)> {
    for finding in diagnosis.findings.iter().filter(|finding| finding.id == chosen.finding) {
        let found = Found::new(&context.cluster, diagnosis.verdict, finding, chosen.rendered.clone());
        journal.tell(Event::Finding(Box::new(found)))?;
        journal.tell(Event::mark(Mark::Named, format!("{}: {}", finding.id, finding.title)))?;
    }
    let rendered = chosen.rendered.clone().unwrap_or_default();
    journal.tell(Event::Remedy(Box::new(run::Fix { command: "kgen fix".to_owned(), rendered })))?;
    let started = Instant::now();
    match &chosen.act {
        Act::Elect(due) => partitions.elect_preferred(due)?,
        Act::Reassign(moves) => reassign(partitions, moves, journal)?,
        Act::Unthrottle(throttled) => partitions.unthrottle(throttled)?,
    }
    await_made(partitions, &chosen.act, journal)?;
    eprintln!("done after {} s; checking whether the symptom disappears", started.elapsed().as_secs());
    journal.tell(Event::mark(Mark::Fixed, chosen.summary.clone()))?;
    loop {
        journal.ensure_not_interrupted()?;
        let (context, samples, diagnosis) = looked(project, WATCHED)?;
        let is_there = diagnosis.findings.iter().any(|finding| finding.id == chosen.finding);
        if !is_there && diagnosis.verdict != Verdict::Inconclusive {
            eprint!("{}", text(&context, &samples, &diagnosis, &[]));
            let gone = format!("{} is gone ({})", chosen.finding, headline(&context));
            journal.tell(Event::mark(Mark::Verified, gone))?;
            return Ok((Outcome::Done, started.elapsed().as_secs()));
        }
        if started.elapsed() > GONE_WITHIN {
            return Ok((Outcome::Unhealthy, started.elapsed().as_secs()));
        }
    }
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
    let started = Instant::now();
    loop {
        let left = match act {
            Act::Elect(due) => {
                let due: BTreeSet<&Partition> = due.iter().collect();
                partitions.placement()?.not_led_by_preferred().filter(|partition| due.contains(partition)).count()
            }
            Act::Reassign(moves) => {
                let placement = partitions.placement()?;
                let at = |to: &&Move| {
                    let placed = placement.partitions.get(&(to.topic.clone(), to.partition));
                    placed.is_some_and(|placed| placed.replicas != to.replicas)
                };
                moves.iter().filter(at).count()
            }
            Act::Unthrottle(_) => {
                let left = partitions.throttled()?;
                left.topics.len() + left.brokers.len()
            }
        };
        if left == 0 {
            return Ok(());
        }
        journal.ensure_not_interrupted()?;
        if started.elapsed() > GONE_WITHIN {
            bail!("after {} s it is not done for {left} of them", GONE_WITHIN.as_secs());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
