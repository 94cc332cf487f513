//! `kgen fix`: applies those remedies of a diagnosis that only need the brokers, each until its symptom is gone.

use std::{path::Path, time::Duration};

use super::{
    changing::Words,
    console::{confirmed, ensure_confirmable},
    diagnose::{fixes, outcome as outcome_of, watched},
    documents::{self, Fixed},
    look::runtime,
    place::Place,
    record::Record,
};
use crate::{
    change::{
        Journal, Observer as _, Timing, find,
        fix::{self, Applied, Chosen, Diagnosed},
    },
    cli::{Fix, Outcome, refused},
    diagnose::{Diagnosis, Verdict, diagnose},
    kafka::partitions::Partitions,
    project::Project,
    text::diagnosis::of_project,
    visible::line,
};

/// How long the brokers are watched for each look at the symptom.
const WATCHED: Duration = Duration::from_secs(20);

pub fn run(dir: &Path, args: &Fix) -> anyhow::Result<Outcome> {
    if !args.dry_run {
        ensure_confirmable(args.yes, "fix")?;
    }
    let project = Project::open(dir).map_err(refused)?;
    let _lock = project.lock().map_err(refused)?;
    let seen = diagnosed(&project, args.window)?;
    let rendered = fixes(&seen.context, &seen.diagnosis, &project.terraform_dir());
    let (_, bootstrap) = find(&project, &Place::Environment)?;
    let partitions = Partitions::of(&bootstrap);
    let mut words = Words::new(args.yes, args.json);
    let chosen = fix::chosen(&seen.diagnosis, &rendered, &partitions, &mut |event| words.see(event))?;
    let Some(chosen) = chosen else {
        eprint!("{}", of_project(&seen.context, &seen.samples, &seen.diagnosis, &rendered));
        return nothing(&seen.diagnosis, args.json);
    };
    propose(&chosen);
    if args.dry_run {
        if args.json {
            documents::print(document(chosen, None))?;
        }
        return Ok(Outcome::Unhealthy);
    }
    if !args.yes && !confirmed(&format!("Do that on {}?", seen.context.cluster))? {
        eprintln!("nothing was changed");
        return Ok(Outcome::Unhealthy);
    }
    let record = Record::begin(&project, "fix", seen.context.lab_scale)?;
    let journal = Journal::new(Some(record), Timing::default(), &mut words)?;
    let applied = fix::apply(&chosen, &seen, &partitions, &journal, || diagnosed(&project, WATCHED));
    let was_interrupted = journal.was_interrupted();
    let ended = applied.as_ref().map(outcome).map_err(|error| anyhow::anyhow!("{error:#}"));
    if let Some(record) = journal.record() {
        record.end(&ended, was_interrupted)?;
    }
    if was_interrupted {
        eprintln!("interrupted; run `kgen fix` again to continue");
        return Ok(Outcome::Interrupted);
    }
    let applied = applied?;
    let outcome = outcome(&applied);
    show(chosen, &applied, args.json)?;
    Ok(outcome)
}

fn diagnosed(project: &Project, window: Duration) -> anyhow::Result<Diagnosed> {
    let (context, samples) = runtime()?.block_on(watched(window, project))?;
    let diagnosis = diagnose(&context, &samples);
    Ok(Diagnosed { context, samples, diagnosis })
}

fn propose(chosen: &Chosen) {
    eprintln!("{}: {}\n  fix: {}", chosen.finding, line(&chosen.title), line(&chosen.summary));
    for note in chosen.rendered.iter().flat_map(|fix| fix.notes.iter().chain(&fix.kafka_tools)) {
        eprintln!("    {}", line(note));
    }
}

fn outcome(applied: &Applied) -> Outcome {
    if applied.gone.is_some() { Outcome::Done } else { Outcome::Unhealthy }
}

fn document(chosen: Chosen, applied: Option<&Applied>) -> Fixed {
    Fixed {
        finding: Some(chosen.finding),
        action: Some(chosen.summary),
        carried_out: applied.is_some(),
        gone: applied.is_some_and(|applied| applied.gone.is_some()),
        seconds: applied.map_or(0, |applied| applied.time.as_secs()),
    }
}

fn show(chosen: Chosen, applied: &Applied, json: bool) -> anyhow::Result<()> {
    if let Some(now) = &applied.gone {
        eprint!("{}", of_project(&now.context, &now.samples, &now.diagnosis, &[]));
    }
    let seconds = applied.time.as_secs();
    if json {
        return documents::print(document(chosen, Some(applied)));
    }
    match applied.gone {
        Some(_) => println!("{} is gone {seconds} s after the change", chosen.finding),
        None => println!("{} is still there {seconds} s after the change (`kgen diagnose`)", chosen.finding),
    }
    Ok(())
}

/// Nothing that kgen carries out here; what else there is to do was shown.
fn nothing(diagnosis: &Diagnosis, json: bool) -> anyhow::Result<Outcome> {
    let outcome = outcome_of(diagnosis.verdict);
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
