//! A load sent from many machines: through Run Command of Systems Manager, or over ssh. Every machine sends its part of one
//! schedule from one agreed instant; what they report is merged exactly ([`crate::load::merge`]).

mod engine;
mod hosts;
mod preflight;
mod script;
mod ssm;
mod task;
mod traffic;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, anyhow};
use serde::de::DeserializeOwned;

pub use self::{
    engine::Engine,
    hosts::{Hosts, SECOND_SCHEMA},
    ssm::{Chosen, Ssm},
    task::Progress,
    traffic::Demand,
};
use self::{
    script::Script,
    task::{EndedBy, Ran, Task},
    traffic::{Network, Traffic},
};
use crate::{
    files::own,
    load::{
        merge::{self, Clock, Machine, Merged, PartEnd, PartReport, Silence},
        mix::{self, Expected, MixMachine, MixReport, Mixed},
        part::MOST_MACHINES,
    },
    outcome::refused,
};

/// How long the questions before a load may take.
const PREFLIGHT_WITHIN: Duration = Duration::from_secs(60);
/// What the machines are given beyond the load and its flush: to connect, to hand over, to upload.
const HAND_OVER: Duration = Duration::from_secs(90);

/// What every machine is given to do.
#[derive(Debug, Clone)]
pub struct Work {
    /// Name of the load, 16 hexadecimal digits.
    pub run: String,
    /// Of `kgen`, without what tells the parts apart.
    pub arguments: Vec<String>,
    /// A file beside it: its name and its text.
    pub file: Option<(String, String)>,
    /// Of the load, from its start.
    pub duration: Duration,
    /// What comes after it before a machine can report.
    pub end_within: Duration,
    /// How far ahead the agreed start is: every machine must have the command by then.
    pub start_in: Duration,
    /// What it means for the network.
    pub demand: Demand,
}

/// A load of one producer for many machines.
#[derive(Debug, Clone)]
pub struct Order {
    pub work: Work,
    pub topic: String,
    /// Of all machines together, records/s.
    pub rate_asked: Option<f64>,
    /// Where ledgers and histograms go.
    pub folder: PathBuf,
}

/// A load of several producers and consumer groups for many machines.
#[derive(Debug, Clone)]
pub struct MixOrder {
    pub work: Work,
    pub producers: Vec<Expected>,
    pub groups: Vec<String>,
    /// The folders of the producers' runs go here.
    pub runs: PathBuf,
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
    /// What a person should know before it starts.
    Note(String),
    Progress(Progress),
}

/// Sends `order` from the machines of `engine`, and merges what they report into `order.folder`. `None` when `stop` was set
/// before anything was sent.
///
/// # Errors
/// Refused, with nothing sent: no machines, or they are not ready, by name. Afterwards: the results cannot be written.
pub fn produce(
    engine: &Engine,
    order: &Order,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Event),
) -> anyhow::Result<Option<Merged>> {
    let Some(answers) = run(engine, &order.work, stop, tell)? else { return Ok(None) };
    let machine = |answer: Answer| {
        let ended = match report::<PartReport>(&answer.ran.stdout, merge::REPORT_SCHEMA) {
            Some(report) => PartEnd::Reported(Box::new(report)),
            None => {
                let (why, reason) = silence(&answer.ran);
                PartEnd::Silent(why, reason)
            }
        };
        Machine { name: answer.ran.machine, clock: answer.clock, ended }
    };
    let machines: Vec<Machine> = answers.into_iter().map(machine).collect();
    let ledgers: Vec<_> =
        machines.iter().filter_map(|machine| machine.ended.report()).map(|one| one.ledgers.clone()).collect();
    let mut log = Vec::new();
    let merged = merge::merge(&order.work.run, &order.topic, order.rate_asked, machines, &mut log)?;
    keep(&order.folder, ledgers, &log)?;
    Ok(Some(merged))
}

/// As [`produce`], a mix.
///
/// # Errors
/// As [`produce`].
pub fn load(
    engine: &Engine,
    order: &MixOrder,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Event),
) -> anyhow::Result<Option<Mixed>> {
    let Some(answers) = run(engine, &order.work, stop, tell)? else { return Ok(None) };
    let machine = |answer: Answer| {
        let read = report::<MixReport>(&answer.ran.stdout, mix::REPORT_SCHEMA);
        let ended = read.map(Box::new).ok_or_else(|| silence(&answer.ran));
        MixMachine { name: answer.ran.machine, clock: answer.clock, ended }
    };
    keep_mix(order, answers.into_iter().map(machine).collect()).map(Some)
}

/// Merges a mix, and writes the ledgers and histograms of its producers.
///
/// # Errors
/// They cannot be written.
pub fn keep_mix(order: &MixOrder, machines: Vec<MixMachine>) -> anyhow::Result<Mixed> {
    let mut ledgers: BTreeMap<String, Vec<Texts>> = BTreeMap::new();
    for report in machines.iter().filter_map(|machine| machine.ended.as_ref().ok()) {
        for (name, report) in &report.producers {
            ledgers.entry(name.clone()).or_default().push(report.ledgers.clone());
        }
    }
    let (mixed, mut logs) = mix::merged(&order.work.run, &order.producers, &order.groups, machines)?;
    for expected in &order.producers {
        let log = logs.remove(&expected.run).unwrap_or_default();
        keep(&order.runs.join(&expected.run), ledgers.remove(&expected.name).unwrap_or_default(), &log)?;
    }
    Ok(mixed)
}

/// How the script ended on a machine whose clock was read before.
struct Answer {
    ran: Ran,
    clock: Option<Clock>,
}

/// Asks whether all machines are ready, and has them do the work.
fn run(
    engine: &Engine,
    work: &Work,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Event),
) -> anyhow::Result<Option<Vec<Answer>>> {
    let names = engine.machines().map_err(refused)?;
    if names.is_empty() || names.len() > usize::from(MOST_MACHINES) {
        return Err(refused(anyhow!("{} machines are there: a load takes 1 to {MOST_MACHINES}", names.len())));
    }
    let tasks: Vec<Task> = (0..).zip(names).map(|(part, machine)| Task { machine, part }).collect();
    let asked = engine.run(&tasks, &Script::preflight(), PREFLIGHT_WITHIN, stop, &mut |_| ()).map_err(refused)?;
    if stop.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let ready = preflight::judge(&asked, work.duration).map_err(refused)?;
    ensure_carried(engine, work, &tasks, &ready.products, tell).map_err(refused)?;
    tell(Event::Ready { machines: tasks.len(), version: ready.version, start_in: work.start_in });
    let start = SystemTime::now() + work.start_in;
    let script = Script::load(work, tasks.len(), start);
    let within = work.start_in + work.duration + work.end_within + HAND_OVER;
    let ran = engine.run(&tasks, &script, within, stop, &mut |progress| tell(Event::Progress(progress)))?;
    Ok(Some(ran.into_iter().zip(ready.clocks).map(|(ran, clock)| Answer { ran, clock }).collect()))
}

/// Whether the network of the machines carries the load.
///
/// # Errors
/// It does not, by name and figures.
fn ensure_carried(
    engine: &Engine,
    work: &Work,
    tasks: &[Task],
    products: &[Option<String>],
    tell: &mut dyn FnMut(Event),
) -> anyhow::Result<()> {
    let Demand { senders, groups, instance_type, beyond_baseline } = &work.demand;
    let network =
        Network { instance_type: instance_type.clone(), is_lab: engine.is_lab(), beyond_baseline: *beyond_baseline };
    let names = tasks.iter().map(|task| task.machine.as_str());
    let machines: Vec<_> = names.zip(products.iter().cloned()).collect();
    let compared = Traffic::of(senders, groups, tasks.len()).compare(&network, &machines);
    compared.notes.into_iter().for_each(|note| tell(Event::Note(note)));
    match compared.over {
        Some(over) => Err(anyhow!("nothing was sent, because the network does not carry it: {over}")),
        None => Ok(()),
    }
}

/// Texts of ledgers by the names of their files.
type Texts = BTreeMap<String, String>;

/// Writes the ledgers and the merged log of a run.
fn keep(folder: &Path, ledgers: Vec<Texts>, log: &[u8]) -> anyhow::Result<()> {
    let writing = || format!("writing the results to {}", folder.display());
    own::make_folder(folder, 0o777).with_context(writing)?;
    for (name, text) in ledgers.into_iter().flatten() {
        // Only names that `merge` accepts; what it did not accept is not this run's.
        let number = name.strip_prefix("ledger-").and_then(|number| number.parse::<u16>().ok());
        if let Some(number) = number {
            own::replace(&folder.join(format!("ledger-{number}")), text.as_bytes()).with_context(writing)?;
        }
    }
    own::replace(&folder.join("latency.hlog"), log).with_context(writing)
}

/// The report of form `schema`, which is the last line.
fn report<R: DeserializeOwned>(stdout: &str, schema: &str) -> Option<R> {
    #[derive(serde::Deserialize)]
    struct Form {
        schema: String,
    }
    let line = stdout.trim_end().lines().next_back()?;
    let form: Form = serde_json::from_str(line).ok()?;
    if form.schema == schema { serde_json::from_str(line).ok() } else { None }
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
    // What ended by itself before it was ended from here says so by its code.
    let is_own_code = ran.code.is_some_and(|code| code < 128);
    match ran.ended_by {
        Some(EndedBy::Interrupt) if !is_own_code => {
            return (Silence::Stopped, says("the load was interrupted before this machine could report"));
        }
        Some(EndedBy::TimeOut) if !is_own_code => {
            return (Silence::Stopped, says("it had not ended when its time was over"));
        }
        _ => {}
    }
    match ran.code {
        Some(2) => (Silence::Refused, says("kgen refused to begin")),
        Some(code) => (Silence::Died, says(&format!("kgen ended with exit code {code}"))),
        None => (Silence::Died, says("kgen was killed")),
    }
}

#[cfg(test)]
mod tests;
