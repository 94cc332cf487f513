//! The events and the result of a change, shown.

use super::{
    console::confirmed,
    documents::{self, Prepared, PreparedFile, PreparedMoves, Resized, ScaledOut},
    record,
};
use crate::{
    change::{Change, ChangeEnd, Concluded, Event, FileDiff, Moves, Observer, Proposal, Question},
    cli::Outcome,
    console::{Progress, words::asked},
    diagnose::Verdict,
    text::proof::table,
    visible,
};

/// Says what happens, and asks.
pub struct Words {
    pub progress: Progress,
    /// Every question is answered with yes.
    yes: bool,
    /// Documents are alone on standard output.
    json: bool,
    /// Nothing is drawn.
    plain: bool,
}

impl Words {
    pub fn new(yes: bool, json: bool) -> Words {
        Words { progress: Progress::new(), yes, json, plain: json }
    }

    /// The same, which draws nothing if `is_plain`.
    pub fn plain(self, is_plain: bool) -> Words {
        Words { plain: self.plain || is_plain, ..self }
    }
}

impl Observer for Words {
    fn see(&mut self, event: &Event<'_>) {
        match event {
            Event::Recording(run) => {
                record::show(run, self.plain);
                // A screen shows by itself what continues.
                self.progress = Progress::new();
            }
            Event::Located(edited) => {
                for FileDiff { diff, .. } in &edited.files {
                    if self.json { eprint!("{diff}") } else { print!("{diff}") }
                }
                edited.notes.iter().for_each(|note| eprintln!("note: {}", visible::line(note)));
            }
            event => self.progress.see(event),
        }
    }

    fn approve(&mut self, question: &Question<'_>) -> anyhow::Result<bool> {
        if self.yes || confirmed(&asked(question))? {
            return Ok(true);
        }
        match question {
            Question::Resume { .. } => eprintln!(
                "nothing was changed (`kgen resume --undo` restores the files, as long as the cluster has not changed)"
            ),
            Question::Apply { .. } => {}
            Question::Change { .. } | Question::PutBack { .. } => eprintln!("nothing was changed"),
        }
        Ok(false)
    }
}

/// Shows what came of a change, and returns how the command ends.
///
/// # Errors
/// The document cannot be printed.
pub fn show(ended: ChangeEnd, json: bool) -> anyhow::Result<Outcome> {
    let outcome = ended.outcome();
    match ended {
        ChangeEnd::Proposed(proposal) if json => documents::print(prepared(*proposal))?,
        ChangeEnd::Concluded(concluded) => conclude(*concluded, json)?,
        _ => {}
    }
    Ok(outcome)
}

/// What a dry run prints as JSON.
fn prepared(proposal: Proposal) -> Prepared {
    let moves = proposal.moves.map(|Moves { replicas, of, throttle_bytes_per_s }| PreparedMoves {
        replicas,
        of,
        throttle_bytes_per_s,
    });
    Prepared {
        cluster: Some(proposal.cluster.name),
        written: false,
        files: prepared_files(proposal.files),
        remedy: Some(proposal.remedy),
        moves,
        notes: Vec::new(),
        next: proposal.change.command(),
    }
}

pub fn prepared_files(files: Vec<FileDiff>) -> Vec<PreparedFile> {
    files.into_iter().map(|FileDiff { file, diff }| PreparedFile { file, diff }).collect()
}

/// Prints what a change has brought.
///
/// # Errors
/// The document cannot be printed.
pub fn conclude(concluded: Concluded, json: bool) -> anyhow::Result<()> {
    let conclusion = conclusion(&concluded);
    let Concluded { change, was, is, steps, moved, before, after, proof, verdict } = concluded;
    match (json, change) {
        (true, Change::BrokerType(_)) => {
            documents::print(Resized { cluster: is, steps, before, after, change: proof, verdict, conclusion })
        }
        (true, Change::BrokerCount(to)) => documents::print(ScaledOut {
            cluster: is,
            from: was.broker_count,
            to,
            steps,
            moved: moved.unwrap_or_default(),
            before,
            after,
            change: proof,
            verdict,
            conclusion,
        }),
        (false, _) => {
            let kind = |brokers: u32, broker_type: &str| match change {
                Change::BrokerType(_) => broker_type.to_owned(),
                Change::BrokerCount(_) => format!("{brokers} × {broker_type}"),
            };
            let (from, to) = (kind(was.broker_count, &before.broker_type), kind(is.broker_count, &after.broker_type));
            println!("{}\n{conclusion}", table((&from, &to), &proof));
            Ok(())
        }
    }
}

fn conclusion(concluded: &Concluded) -> String {
    let name = match concluded.change {
        Change::BrokerType(_) => "resized",
        Change::BrokerCount(_) => "scaled out",
    };
    match (concluded.has_load(), concluded.verdict) {
        (_, Verdict::CauseFound) => "not recovered: there is still a cause (`kgen diagnose`)".to_owned(),
        (false, _) => format!("{name}; without load before and after, nothing is proven about speed"),
        (true, Verdict::Healthy) if concluded.is_worse() => {
            format!("{name}: healthy under load, but not measurably better")
        }
        (true, Verdict::Healthy) => "recovered: healthy under load".to_owned(),
        (true, Verdict::Inconclusive) => {
            format!("{name}; the measurement afterwards is inconclusive (`kgen diagnose`)")
        }
    }
}
