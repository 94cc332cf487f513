//! The events and the result of a change, shown.

use super::{
    console::confirmed,
    documents::{self, Prepared, Resized, ScaledOut},
    record,
};
use crate::{
    change::{Change, ChangeEnd, Concluded, Event, FileDiff, Observer, Question},
    cli::Outcome,
    console::{Progress, words::asked},
    text, visible,
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
        ChangeEnd::Proposed(proposal) if json => documents::print(Prepared::from(*proposal))?,
        ChangeEnd::Concluded(concluded) => conclude(*concluded, json)?,
        _ => {}
    }
    Ok(outcome)
}

/// Prints what a change has brought.
///
/// # Errors
/// The document cannot be printed.
pub fn conclude(concluded: Concluded, json: bool) -> anyhow::Result<()> {
    if !json {
        println!("{}", text::change::concluded(&concluded));
        return Ok(());
    }
    let conclusion = text::change::conclusion(&concluded);
    let Concluded { change, was, is, steps, moved, before, after, proof, verdict } = concluded;
    match change {
        Change::BrokerType(_) => {
            documents::print(Resized { cluster: is, steps, before, after, change: proof, verdict, conclusion })
        }
        Change::BrokerCount(to) => documents::print(ScaledOut {
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
    }
}
