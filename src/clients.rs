//! A load sent from many machines: through Run Command of Systems Manager, or over ssh. Every machine sends its part of one
//! schedule from one agreed instant; what they report is merged exactly ([`crate::load::merge`]).

mod engine;
mod hosts;
mod preflight;
mod script;
mod ssm;
mod task;

use std::{
    path::PathBuf,
    sync::atomic::AtomicBool,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, anyhow};

pub use self::{
    engine::Engine,
    hosts::Hosts,
    ssm::{Chosen, Ssm},
    task::Progress,
};
use self::{
    script::Script,
    task::{Ran, Task},
};
use crate::{
    files::own,
    load::{
        merge::{self, Clock, Ended, Machine, Merged, REPORT_SCHEMA, Report, Silence},
        part::MOST_MACHINES,
    },
    outcome::refused,
};

/// How long the questions before a load may take.
const PREFLIGHT_WITHIN: Duration = Duration::from_secs(60);
/// What the machines are given beyond the load and its flush: to connect, to hand over, to upload.
const HAND_OVER: Duration = Duration::from_secs(90);

/// A load for many machines.
#[derive(Debug, Clone)]
pub struct Order {
    /// Name of the run, 16 hexadecimal digits.
    pub run: String,
    pub topic: String,
    /// Of all machines together, records/s.
    pub rate_asked: Option<f64>,
    /// Of `kgen`, without what tells the parts apart.
    pub arguments: Vec<String>,
    pub duration: Duration,
    pub flush_within: Duration,
    /// How far ahead the agreed start is: every machine must have the command by then.
    pub start_in: Duration,
    /// Where ledgers and histograms go.
    pub folder: PathBuf,
}

/// What happens meanwhile.
#[derive(Debug)]
pub enum Event {
    /// These machines are there and agree.
    Ready {
        machines: usize,
        version: String,
        start_in: Duration,
    },
    Progress(Progress),
}

/// Sends `order` from the machines of `engine`, and merges what they report into `order.folder`.
///
/// # Errors
/// Refused, with nothing sent: no machines, or they are not ready, by name. Afterwards: the results cannot be written.
pub fn produce(
    engine: &Engine,
    order: &Order,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Event),
) -> anyhow::Result<Merged> {
    let names = engine.machines().map_err(refused)?;
    if names.is_empty() || names.len() > usize::from(MOST_MACHINES) {
        return Err(refused(anyhow!("{} machines are there: a load takes 1 to {MOST_MACHINES}", names.len())));
    }
    let tasks: Vec<Task> = (0..).zip(names).map(|(part, machine)| Task { machine, part }).collect();
    let asked = engine.run(&tasks, &Script::preflight(), PREFLIGHT_WITHIN, stop, &mut |_| ()).map_err(refused)?;
    let ready = preflight::judge(&asked, order.duration).map_err(refused)?;
    tell(Event::Ready { machines: tasks.len(), version: ready.version, start_in: order.start_in });
    let start = SystemTime::now() + order.start_in;
    let script = Script::load(&order.run, &order.arguments, tasks.len(), start);
    let within = order.start_in + order.duration + order.flush_within * 2 + HAND_OVER;
    let ran = engine.run(&tasks, &script, within, stop, &mut |progress| tell(Event::Progress(progress)))?;
    let machines = ran.into_iter().zip(ready.clocks).map(|(ran, clock)| machine(ran, clock)).collect();
    keep(order, machines)
}

/// Writes what the machines reported, and merges it.
fn keep(order: &Order, machines: Vec<Machine>) -> anyhow::Result<Merged> {
    let writing = || format!("writing the results to {}", order.folder.display());
    own::make_folder(&order.folder, 0o777).with_context(writing)?;
    let mut log = Vec::new();
    let texts: Vec<_> = machines
        .iter()
        .filter_map(|machine| machine.ended.report())
        .flat_map(|report| report.ledgers.clone())
        .collect();
    let merged = merge::merge(&order.run, &order.topic, order.rate_asked, machines, &mut log)?;
    for (name, text) in texts {
        // Only names that `merge` accepts; what it did not accept is not this run's.
        let number = name.strip_prefix("ledger-").and_then(|number| number.parse::<u16>().ok());
        if let Some(number) = number {
            own::replace(&order.folder.join(format!("ledger-{number}")), text.as_bytes()).with_context(writing)?;
        }
    }
    own::replace(&order.folder.join("latency.hlog"), &log).with_context(writing)?;
    Ok(merged)
}

/// What a machine came to, from how its script ended.
fn machine(ran: Ran, clock: Option<Clock>) -> Machine {
    let ended = match report(&ran.stdout) {
        Some(report) => Ended::Reported(Box::new(report)),
        None => {
            let (why, reason) = silence(&ran);
            Ended::Silent(why, reason)
        }
    };
    Machine { name: ran.machine, clock, ended }
}

/// The report, which is the last line.
fn report(stdout: &str) -> Option<Report> {
    let line = stdout.trim_end().lines().next_back()?;
    let report: Report = serde_json::from_str(line).ok()?;
    (report.schema == REPORT_SCHEMA).then_some(report)
}

/// Why there is no report, and in whose words.
fn silence(ran: &Ran) -> (Silence, String) {
    let last = ran.stderr.trim_end().lines().next_back().unwrap_or_default().to_owned();
    let says = |text: &str| if last.is_empty() { text.to_owned() } else { format!("{text}: {last}") };
    if let Some(lost) = &ran.lost {
        return (Silence::LostContact, lost.clone());
    }
    if ran.stderr.contains("No space left on device") {
        return (Silence::DiskFull, last);
    }
    match ran.code {
        Some(2) => (Silence::Refused, says("kgen refused to begin")),
        Some(code) => (Silence::Died, says(&format!("kgen ended with exit code {code}"))),
        None => (Silence::Died, says("kgen was killed")),
    }
}

#[cfg(test)]
mod tests;
