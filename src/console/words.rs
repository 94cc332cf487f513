//! The events of a change, as text for a person.

use super::Progress;
use crate::{
    change::{Change, Edit, Event, Moves, Phase, Proposal, Question, Step, human, moving::Replicas, rolling::News},
    remedy::PARTITIONS_A_BATCH,
    visible,
};

/// The question in words.
pub fn asked(question: &Question<'_>) -> String {
    match question {
        Question::Change { change: Change::BrokerType(to), cluster } => {
            format!("Change all {} brokers to {to}?", cluster.broker_count)
        }
        Question::Change { change: Change::BrokerCount(to), cluster } => {
            let new = to.saturating_sub(cluster.broker_count);
            format!("Add {new} brokers to {} and move partitions onto them?", cluster.name)
        }
        Question::Resume { change, cluster, is_begun } => {
            let verb = if *is_begun { "Resume" } else { "Begin" };
            format!("{verb} `{}` of {}?", change.command(), cluster.name)
        }
        Question::PutBack { run, files } => format!("Restore {files} files to their state before {run}?"),
        Question::Apply { address } => format!("Apply this to {address}?"),
    }
}

impl Progress {
    /// Shows an event.
    pub fn see(&mut self, event: &Event<'_>) {
        match event {
            Event::Began(phase) => self.phase(name(*phase)),
            Event::PhaseOver => self.clear(),
            Event::Terraform(seen) => self.show(seen),
            Event::TerraformAside(seen) => self.show_diagnostics(seen),
            Event::Planned(plan) => self.plan(plan, true),
            Event::Operation { address, news } => {
                if let Some(text) = step(news) {
                    self.detail(address, &text);
                }
            }
            // Drawn or printed elsewhere.
            Event::Recording(_) | Event::Located(_) => {}
            event => self.line(&line(event)),
        }
    }
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::AwaitingTerraform => "waiting for an earlier terraform",
        Phase::AwaitingOperation => "waiting for the operation that is running on the cluster",
        Phase::Planning => "planning",
        Phase::Applying => "applying",
        Phase::ReadingOutputs => "reading the outputs again",
        Phase::AwaitingSync => "waiting until every partition is in sync",
        Phase::AwaitingCalm => "waiting until brokers have headroom and every partition is in sync",
        Phase::MovingPartitions => "moving partitions",
    }
}

fn step(news: &News) -> Option<String> {
    match news {
        News::Failed { operation, error } => Some(format!("{operation} failed: {error}")),
        News::Lost(error) => Some(format!("the steps of the update cannot be shown: {error}")),
        News::Step { name, broker, brokers, status, time } => {
            let name = match broker {
                Some(id) => format!("broker {id} of {brokers}"),
                None => format!("step {name}"),
            };
            let after = time.map(|time| format!(" after {}", human(time))).unwrap_or_default();
            match status.as_str() {
                "PENDING" | "" => None,
                "IN_PROGRESS" => Some(format!("{name}: updating")),
                "COMPLETED" => Some(format!("{name}: updated{after}")),
                other => Some(format!("{name}: {}{after}", other.to_lowercase().replace('_', " "))),
            }
        }
    }
}

/// An event in one message.
fn line(event: &Event<'_>) -> String {
    match event {
        Event::Note(text) => format!("note: {}", visible::line(text)),
        Event::Proposed(proposal) => summary(proposal),
        Event::NotRecorded(error) => format!("note: {error:#}"),
        Event::Measuring { time, warm_up: None } => format!("measuring for {} s before the change", time.as_secs()),
        Event::Measuring { time, warm_up: Some(warm_up) } => {
            format!("measuring for {} s, after {} s of warming up", time.as_secs(), warm_up.as_secs())
        }
        Event::NotMeasured(error) => format!("note: the brokers are not measured: {error:#}"),
        Event::NotMeasuredAfter { change } => {
            format!("the brokers are {}, but were not measured afterwards", change.reached())
        }
        Event::RemedyMade { time } => {
            format!("done after {} s; checking whether the symptom disappears", time.as_secs())
        }
        Event::EarlierTerraform(_) | Event::EarlierTerraformEnded | Event::TerraformStopped { .. } => terraform(event),
        Event::FilesStay { cluster } => {
            format!("{cluster} has begun to change, so the files keep their changes")
        }
        Event::FilesPutBack => "the files were restored".to_owned(),
        Event::OutputsStay => {
            "note: more has changed in the meantime (`kgen plan` shows it), so the outputs were not refreshed"
                .to_owned()
        }
        Event::Reached { cluster, change, time } => {
            format!("{cluster}: {} after {} s", change.reached(), time.as_secs())
        }
        Event::TypeIs { cluster, to } => format!("{cluster}: {to}"),
        Event::StillMoving(_) | Event::Balanced | Event::Moving { .. } | Event::Batch { .. } | Event::Moved { .. } => {
            moves(event)
        }
        Event::NothingChanged { .. } | Event::LeftAt { .. } | Event::WillResume { .. } | Event::Left { .. } => {
            resumed(event)
        }
        Event::Trail(step) => visible::line(step).into_owned(),
        Event::Edited(written) => {
            let file = written.file.display().to_string();
            let (file, old) = (visible::line(&file), visible::line(written.old));
            let address = written.address.map(|address| format!(" ({})", visible::line(address))).unwrap_or_default();
            format!("{file}:{}: {old} is now {}{address}", written.line, written.to)
        }
        Event::Undone { file } => format!("{} was restored", file.display()),
        Event::Began(_)
        | Event::PhaseOver
        | Event::Terraform(_)
        | Event::TerraformAside(_)
        | Event::Planned(_)
        | Event::Operation { .. }
        | Event::Recording(_)
        | Event::Located(_) => String::new(),
    }
}

fn terraform(event: &Event<'_>) -> String {
    match event {
        Event::EarlierTerraform(earlier) => format!(
            "`{}` (process {}), started earlier, is still running; waiting for it. Ctrl-C only stops the waiting",
            earlier.command_line, earlier.pid
        ),
        Event::EarlierTerraformEnded => "the earlier terraform has ended".to_owned(),
        Event::TerraformStopped { error, goes_on: true } => {
            format!("{error}; run the same kgen command again to continue")
        }
        Event::TerraformStopped { error, .. } => error.to_string(),
        _ => String::new(),
    }
}

fn moves(event: &Event<'_>) -> String {
    match event {
        Event::StillMoving(count) => format!("{count} partitions are still being moved; waiting for them"),
        Event::Balanced => "every broker has its share of the partitions".to_owned(),
        Event::Moving { partitions, bytes_per_s, replicas } => format!(
            "moving replicas of {partitions} partitions, {PARTITIONS_A_BATCH} at a time, at most {} MiB/s per broker: \
             {}",
            bytes_per_s >> 20,
            copies(replicas)
        ),
        Event::Batch { moved, of, batch, time } => {
            format!("{moved} of {of} partitions moved, the last {batch} in {}", human(*time))
        }
        Event::Moved { partitions, time } => {
            format!("{partitions} partitions moved in {}; the throttle was removed", human(*time))
        }
        _ => String::new(),
    }
}

fn copies(replicas: &Replicas) -> String {
    replicas.iter().map(|(id, count)| format!("{count} to broker {id}")).collect::<Vec<_>>().join(", ")
}

fn resumed(event: &Event<'_>) -> String {
    match event {
        Event::NothingChanged { run } => format!("{run} had not changed anything yet"),
        Event::LeftAt { run, change, step, cluster } => format!(
            "{run} ({}) stopped when {}; {} is {} with {} brokers of {}",
            change.command(),
            doing(*step),
            cluster.name,
            cluster.state,
            cluster.broker_count,
            cluster.broker_type
        ),
        Event::WillResume { edits, terraform: None, .. } => format!("this restores {}", files(edits)),
        Event::WillResume { change, edits, terraform: Some(program) } => {
            let (command, files) = (change.command(), files(edits));
            format!("this resumes `{command}`: it edits {files}, and runs {}", program.display())
        }
        Event::Left { run, is_interrupted: true } => format!("interrupted; `kgen resume {run}` continues"),
        Event::Left { run, .. } => {
            format!("once the cause is fixed, `kgen resume {run}` continues from where it stopped")
        }
        _ => String::new(),
    }
}

fn files(edits: &[Edit]) -> String {
    let files: Vec<String> = edits.iter().map(|edit| edit.path.display().to_string()).collect();
    if files.is_empty() { "no file".to_owned() } else { files.join(", ") }
}

fn doing(step: Step) -> &'static str {
    match step {
        Step::Measuring => "it was measuring before the change",
        Step::Writing => "the files were changed and the plan was made",
        Step::Applying => "terraform applied the plan",
        Step::Settled => "the brokers were about to be measured again",
        Step::Moving => "partitions were moved",
        Step::Moved => "the brokers were about to be measured again",
        Step::Proven => "everything was done",
        Step::PutBack => "the files were restored",
    }
}

/// What will change: files, cluster, price, time.
fn summary(proposal: &Proposal) -> String {
    let Proposal { files, remedy, moves, .. } = proposal;
    let notes: String = remedy.notes.iter().map(|note| format!("  {note}\n")).collect();
    let diffs: String = files.iter().map(|file| file.diff.as_str()).collect();
    let moves = moves.map(|Moves { replicas, of, throttle_bytes_per_s }| {
        let mib = throttle_bytes_per_s >> 20;
        format!("\nthen about {replicas} of {of} replicas move onto the new brokers, at most {mib} MiB/s each")
    });
    format!("{}\n{notes}{diffs}{}", remedy.summary, moves.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_step_of_an_operation_is_said_in_words() {
        let said = |name: &str, broker, status: &str, seconds: Option<u64>| {
            let time = seconds.map(Duration::from_secs);
            step(&News::Step { name: name.to_owned(), broker, brokers: 2, status: status.to_owned(), time })
        };
        let first = "INITIALIZE_UPDATE";
        assert_eq!(said(first, None, "IN_PROGRESS", None).as_deref(), Some("step INITIALIZE_UPDATE: updating"));
        assert_eq!(
            said("", Some(1), "COMPLETED", Some(100)).as_deref(),
            Some("broker 1 of 2: updated after 1 min 40 s")
        );
        assert_eq!(said("", Some(2), "FAILED", None).as_deref(), Some("broker 2 of 2: failed"));
        assert_eq!(said("", Some(2), "PENDING", None), None);
        let failed = News::Failed { operation: "UPDATE_BROKER_TYPE".to_owned(), error: "no capacity".to_owned() };
        assert_eq!(step(&failed).as_deref(), Some("UPDATE_BROKER_TYPE failed: no capacity"));
    }
}
