//! Several producers and consumer groups as one load: run together on one machine, and merged from several.

mod seconds;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, anyhow, ensure};
pub use seconds::{Rates, Seconds};
use serde::{Deserialize, Serialize};

use super::{
    consumer::{self, Commands, Consumed, ConsumerConfig, ReadTick},
    latency::{Quantiles, Times},
    latency_log,
    merge::{self, Clock, Machine, Merged, PartEnd, PartReport, Silence, Standing},
    part::Part,
    producer::{self, ProducerConfig, Summary, Tick},
    slo::Judged,
};

/// Names the form of a [`MixReport`] in JSON.
pub const REPORT_SCHEMA: &str = "kgen.load-part/1";
/// Names the form of a [`Mixed`] in JSON.
pub const SCHEMA: &str = "kgen.load/1";

/// Between two looks at whether producers have ended and readers have read all.
const LOOK: Duration = Duration::from_millis(50);
/// How long the producers of one machine alone are given until they start.
const READY_WITHIN: Duration = Duration::from_secs(1);
/// How far ahead of its start a producer is made.
const MADE_AHEAD: Duration = Duration::from_secs(5);

/// One producer of a mix.
#[derive(Debug, Clone)]
pub struct Sending {
    pub name: String,
    /// After the start of the load.
    pub after: Duration,
    pub config: ProducerConfig,
}

/// A consumer group of a mix.
#[derive(Debug, Clone)]
pub struct Group {
    pub name: String,
    pub after: Duration,
    /// On each machine.
    pub members: u16,
    pub config: ConsumerConfig,
}

/// What one machine runs.
#[derive(Debug, Clone)]
pub struct Mix {
    pub part: Part,
    pub start_at: Option<SystemTime>,
    /// How long groups without a duration go on after the last producer, unless they have read all before.
    pub drain: Duration,
    pub senders: Vec<Sending>,
    pub groups: Vec<Group>,
}

/// A second of a producer, or of a member of a group.
#[derive(Debug)]
pub enum Second {
    Sent(String, Box<Tick>),
    Read(String, u16, Box<ReadTick>),
}

/// What one machine hands back of its part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MixReport {
    pub schema: String,
    pub part: Part,
    /// By the names of the producers.
    pub producers: BTreeMap<String, PartReport>,
    /// By the names of the groups.
    pub groups: BTreeMap<String, GroupReport>,
}

/// The members of a group on one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GroupReport {
    /// One for each member that ended in order.
    pub members: Vec<Consumed>,
    /// Why others did not.
    pub failed: Vec<String>,
    /// From due to read, all members: HdrHistogram V2, base64.
    pub end_to_end: String,
}

/// Runs the mix until all of it is over or `stop` is set.
///
/// # Errors
/// A producer cannot begin or end; all others are stopped then.
pub fn run(mix: &Mix, stop: &Arc<AtomicBool>, tell: &mut dyn FnMut(Second)) -> anyhow::Result<MixReport> {
    let start = mix.start_at.unwrap_or_else(|| SystemTime::now() + READY_WITHIN);
    let (seconds, told) = channel();
    let enough = Arc::new(AtomicBool::new(false));
    thread::scope(|scope| {
        let mut senders = Vec::new();
        for sending in &mix.senders {
            let seconds = seconds.clone();
            let begin = move || send(sending, start, stop, &seconds);
            senders.push((sending, thread::Builder::new().name(sending.name.clone()).spawn_scoped(scope, begin)?));
        }
        let mut members = Vec::new();
        for group in &mix.groups {
            for member in 0..group.members {
                let (seconds, enough) = (seconds.clone(), Arc::clone(&enough));
                let begin = move || read((group, member), start, stop, &enough, &seconds);
                members.push((group, thread::Builder::new().name(group.name.clone()).spawn_scoped(scope, begin)?));
            }
        }
        drop(seconds);
        await_senders(mix, &senders, &members, stop, &enough, &told, tell);
        let produced: Vec<_> = senders.into_iter().map(|(sending, thread)| (sending, joined(thread))).collect();
        // Whatever goes wrong with one ends the others, which must not outlive this.
        if produced.iter().any(|(_, ended)| ended.is_err()) {
            stop.store(true, Ordering::SeqCst);
        }
        let read = members.into_iter().map(|(group, thread)| (group.name.as_str(), joined(thread))).collect();
        report(mix.part, produced, read)
    })
}

fn joined<T>(thread: ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    thread.join().unwrap_or_else(|_| Err(anyhow!("its thread panicked")))
}

type Threads<'scope, 'a, W, T> = [(&'a W, ScopedJoinHandle<'scope, anyhow::Result<T>>)];

/// Passes seconds on until all producers have ended and the groups have read all, or have had their time.
fn await_senders(
    mix: &Mix,
    senders: &Threads<'_, '_, Sending, Summary>,
    members: &Threads<'_, '_, Group, Consumed>,
    stop: &AtomicBool,
    enough: &AtomicBool,
    told: &Receiver<Second>,
    tell: &mut dyn FnMut(Second),
) {
    let mut lags: BTreeMap<(String, u16), Option<u64>> = BTreeMap::new();
    let mut all_sent: Option<Instant> = None;
    loop {
        while let Ok(second) = told.try_recv() {
            if let Second::Read(name, member, tick) = &second {
                lags.insert((name.clone(), *member), tick.lag);
            }
            tell(second);
        }
        if senders.iter().all(|(_, thread)| thread.is_finished()) && !mix.senders.is_empty() {
            let since = *all_sent.get_or_insert_with(Instant::now);
            // Lags are those of before the last record until a second has passed.
            let is_read = since.elapsed() > Duration::from_secs(2) && have_read_all(mix, &lags);
            if is_read || since.elapsed() > mix.drain {
                enough.store(true, Ordering::SeqCst);
            }
        }
        // One that failed takes the others with it.
        if senders.iter().any(|(_, thread)| thread.is_finished()) && stop.load(Ordering::Relaxed) {
            enough.store(true, Ordering::SeqCst);
        }
        let all_over = senders.iter().all(|(_, thread)| thread.is_finished())
            && members.iter().all(|(_, thread)| thread.is_finished());
        if all_over {
            while let Ok(second) = told.try_recv() {
                tell(second);
            }
            return;
        }
        thread::sleep(LOOK);
    }
}

/// Whether each group that does not end by itself has read all: a member without partitions knows no lag, the others none.
fn have_read_all(mix: &Mix, lags: &BTreeMap<(String, u16), Option<u64>>) -> bool {
    mix.groups.iter().filter(|group| group.config.duration == Duration::MAX).all(|group| {
        let of_group = || lags.iter().filter(|((name, _), _)| *name == group.name).map(|(_, lag)| *lag);
        of_group().any(|lag| lag == Some(0)) && of_group().all(|lag| lag.is_none_or(|lag| lag == 0))
    })
}

fn send(sending: &Sending, start: SystemTime, stop: &AtomicBool, seconds: &Sender<Second>) -> anyhow::Result<Summary> {
    let at = start + sending.after;
    await_instant(at.checked_sub(MADE_AHEAD).unwrap_or(at), &[stop]);
    let config = ProducerConfig { start_at: Some(at), ..sending.config.clone() };
    let mut tell = |tick: &Tick| drop(seconds.send(Second::Sent(sending.name.clone(), Box::new(tick.clone()))));
    let sent = producer::run(&config, stop, &mut tell);
    if sent.is_err() {
        stop.store(true, Ordering::SeqCst);
    }
    sent.with_context(|| format!("producer {}", sending.name))
}

fn read(
    (group, member): (&Group, u16),
    start: SystemTime,
    stop: &Arc<AtomicBool>,
    enough: &Arc<AtomicBool>,
    seconds: &Sender<Second>,
) -> anyhow::Result<Consumed> {
    await_instant(start + group.after, &[stop, enough]);
    let ends_itself = group.config.duration < Duration::MAX;
    let commands = Commands { stop: Arc::new(AtomicBool::new(false)), ..Commands::default() };
    let flag = Arc::clone(&commands.stop);
    let mut tell = |tick: &ReadTick| {
        drop(seconds.send(Second::Read(group.name.clone(), member, Box::new(tick.clone()))));
    };
    let is_over = AtomicBool::new(false);
    let is_over = &is_over;
    thread::scope(|scope| {
        let watch = move || {
            while !is_over.load(Ordering::Relaxed) {
                if stop.load(Ordering::Relaxed) || (!ends_itself && enough.load(Ordering::Relaxed)) {
                    flag.store(true, Ordering::Relaxed);
                }
                thread::sleep(LOOK);
            }
        };
        thread::Builder::new().name("watch".into()).spawn_scoped(scope, watch)?;
        let read = consumer::run(&group.config, &commands, &mut tell);
        is_over.store(true, Ordering::Relaxed);
        read.with_context(|| format!("group {}", group.name))
    })
}

/// Sleeps until `at`, or until one of `flags` is set.
fn await_instant(at: SystemTime, flags: &[&AtomicBool]) {
    while let Ok(left) = at.duration_since(SystemTime::now()) {
        if left.is_zero() || flags.iter().any(|flag| flag.load(Ordering::Relaxed)) {
            return;
        }
        thread::sleep(left.min(LOOK));
    }
}

fn report(
    part: Part,
    produced: Vec<(&Sending, anyhow::Result<Summary>)>,
    read: Vec<(&str, anyhow::Result<Consumed>)>,
) -> anyhow::Result<MixReport> {
    let mut producers = BTreeMap::new();
    for (sending, summary) in produced {
        producers.insert(sending.name.clone(), PartReport::of(part, summary?)?);
    }
    let mut all: BTreeMap<String, (GroupReport, Times)> = BTreeMap::new();
    for (name, consumed) in read {
        let (group, times) = match all.entry(name.to_owned()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let none = GroupReport { members: Vec::new(), failed: Vec::new(), end_to_end: String::new() };
                entry.insert((none, Times::default()))
            }
        };
        match consumed {
            Ok(consumed) => {
                times.add(&consumed.end_to_end_times);
                group.members.push(consumed);
            }
            Err(error) => group.failed.push(format!("{error:#}")),
        }
    }
    let mut groups = BTreeMap::new();
    for (name, (group, times)) in all {
        groups.insert(name, GroupReport { end_to_end: latency_log::encoded(&times)?, ..group });
    }
    Ok(MixReport { schema: REPORT_SCHEMA.to_owned(), part, producers, groups })
}

/// A mix that one machine or several ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Mixed {
    pub schema: String,
    /// The name of the load; each producer has a run of its own.
    pub run: String,
    /// The worst of all producers and groups.
    pub standing: Standing,
    pub stopped: bool,
    pub producers: Vec<MixedProducer>,
    pub groups: Vec<MixedGroup>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MixedProducer {
    pub name: String,
    #[serde(flatten)]
    pub result: Merged,
}

/// A consumer group of all machines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MixedGroup {
    pub name: String,
    pub group: String,
    pub topic: String,
    pub standing: Standing,
    /// Members that ended in order, on all machines.
    pub members: usize,
    /// Machines without a report, and members that failed; with the machine.
    pub faults: Vec<GroupFault>,
    /// The longest of the members', s.
    pub duration_s: f64,
    pub read: u64,
    pub bytes: u64,
    /// Sum of the members'.
    pub read_per_s: f64,
    pub corrupted: u64,
    /// Of all members at their end; `None` if one could not read it.
    pub lag: Option<u64>,
    pub lag_max: Option<u64>,
    /// From due to read: the sum of the members' histograms. It compares clocks of different machines.
    pub end_to_end: Option<Quantiles>,
    /// By how much the clocks of two of the machines may differ, ms: every figure of `end_to_end` is uncertain by it. Zero on one
    /// machine; `None` if a clock could not be read, or the producers were not on these machines.
    pub clock_uncertainty_ms: Option<f64>,
    /// What was asked of the group, and whether it was kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slo: Vec<Judged>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GroupFault {
    pub machine: String,
    /// Why the machine did not report; `None` where single members failed.
    pub why: Option<Silence>,
    pub reason: String,
}

/// One machine of a mix.
#[derive(Debug, Clone)]
pub struct MixMachine {
    pub name: String,
    pub clock: Option<Clock>,
    pub ended: Result<Box<MixReport>, (Silence, String)>,
}

/// A producer as the driver knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    pub name: String,
    pub run: String,
    pub topic: String,
    pub rate_asked: Option<f64>,
}

/// What of a merged mix is written to files: by the run of a producer, its merged log.
pub type Logs = BTreeMap<String, Vec<u8>>;

/// Puts the machines of a load together. Returns the merged logs as well.
///
/// # Errors
/// There are no machines. What a machine says is its own fault.
pub fn merged(
    run: &str,
    producers: &[Expected],
    groups: &[String],
    machines: Vec<MixMachine>,
) -> anyhow::Result<(Mixed, Logs)> {
    ensure!(!machines.is_empty(), "a load needs a machine");
    let of = u16::try_from(machines.len()).context("too many machines")?;
    let machines: Vec<MixMachine> =
        (0..).zip(machines).map(|(index, machine)| checked(machine, Part { index, of })).collect();
    let (mut results, mut logs) = (Vec::new(), Logs::new());
    for expected in producers {
        let mut log = Vec::new();
        let parts = machines.iter().map(|machine| of_producer(machine, &expected.name)).collect();
        let result = merge::merge(&expected.run, &expected.topic, expected.rate_asked, parts, &mut log)?;
        logs.insert(expected.run.clone(), log);
        results.push(MixedProducer { name: expected.name.clone(), result });
    }
    let clocks = clock_uncertainty_ms(&machines).filter(|_| !producers.is_empty());
    let mut groups: Vec<MixedGroup> = groups.iter().map(|name| group(name, &machines, clocks)).collect();
    groups.iter_mut().for_each(|group| group.ensure_it_read(producers, &results));
    let standings = results.iter().map(|one| one.result.standing).chain(groups.iter().map(|one| one.standing));
    Ok((
        Mixed {
            schema: SCHEMA.to_owned(),
            run: run.to_owned(),
            standing: standings.max().unwrap_or(Standing::Void),
            stopped: results.iter().any(|one| one.result.stopped),
            producers: results,
            groups,
        },
        logs,
    ))
}

fn checked(machine: MixMachine, part: Part) -> MixMachine {
    match &machine.ended {
        Ok(report) if report.schema != REPORT_SCHEMA || report.part != part => {
            let reason = format!("its report is of part {}/{}", report.part.index, report.part.of);
            MixMachine { ended: Err((Silence::Mistaken, reason)), ..machine }
        }
        _ => machine,
    }
}

fn of_producer(machine: &MixMachine, name: &str) -> Machine {
    let ended = match &machine.ended {
        Err((why, reason)) => PartEnd::Silent(*why, reason.clone()),
        Ok(report) => match report.producers.get(name) {
            Some(report) => PartEnd::Reported(Box::new(report.clone())),
            None => PartEnd::Silent(Silence::Mistaken, format!("its report has no producer {name}")),
        },
    };
    Machine { name: machine.name.clone(), clock: machine.clock, ended }
}

/// By how much two of the clocks may differ; `None` if one was not read.
fn clock_uncertainty_ms(machines: &[MixMachine]) -> Option<f64> {
    if machines.len() == 1 {
        return Some(0.0);
    }
    let clocks: Vec<Clock> = machines.iter().map(|machine| machine.clock).collect::<Option<_>>()?;
    let most = clocks.iter().map(|clock| clock.most_ms).reduce(f64::max)?;
    let least = clocks.iter().map(|clock| clock.least_ms).reduce(f64::min)?;
    Some(most - least)
}

fn group(name: &str, machines: &[MixMachine], clock_uncertainty_ms: Option<f64>) -> MixedGroup {
    let mut faults = Vec::new();
    let mut members: Vec<&Consumed> = Vec::new();
    let mut times = Times::default();
    for machine in machines {
        let mut fault = |why, reason: String| faults.push(GroupFault { machine: machine.name.clone(), why, reason });
        let report = match &machine.ended {
            Err((why, reason)) => {
                fault(Some(*why), reason.clone());
                continue;
            }
            Ok(report) => report.groups.get(name),
        };
        let Some(report) = report else {
            fault(Some(Silence::Mistaken), format!("its report has no group {name}"));
            continue;
        };
        report.failed.iter().for_each(|reason| fault(None, reason.clone()));
        match latency_log::decoded(&report.end_to_end) {
            Ok(read) => times.add(&read),
            Err(error) => {
                fault(Some(Silence::Mistaken), format!("{error:#}"));
                continue;
            }
        }
        members.extend(&report.members);
    }
    let sum = |of: fn(&Consumed) -> u64| members.iter().map(|one| of(one)).sum();
    let standing = match (faults.is_empty(), members.is_empty()) {
        (_, true) => Standing::Void,
        (true, false) => Standing::Whole,
        (false, false) => Standing::Partial,
    };
    MixedGroup {
        name: name.to_owned(),
        group: members.first().map(|one| one.group.clone()).unwrap_or_default(),
        topic: members.first().map(|one| one.topic.clone()).unwrap_or_default(),
        standing,
        members: members.len(),
        duration_s: members.iter().map(|one| one.duration_s).fold(0.0, f64::max),
        read: sum(|one| one.read),
        bytes: sum(|one| one.bytes),
        read_per_s: members.iter().fold(0.0, |all, one| all + one.read_per_s),
        corrupted: sum(|one| one.corrupted),
        lag: members.iter().map(|one| one.lag).sum(),
        lag_max: members.iter().filter_map(|one| one.lag_max).max(),
        end_to_end: times.quantiles(),
        clock_uncertainty_ms,
        slo: Vec::new(),
        faults,
    }
}

impl MixedGroup {
    /// A group that read nothing of what was sent to its topics says nothing about reading.
    fn ensure_it_read(&mut self, producers: &[Expected], results: &[MixedProducer]) {
        let is_of_topic = |topic: &str| self.topic.split(',').any(|own| topic.split(',').any(|sent| sent == own));
        let sent = producers.iter().zip(results).filter(|(expected, _)| is_of_topic(&expected.topic));
        let acknowledged: u64 = sent.map(|(_, one)| one.result.acknowledged).sum();
        if self.read == 0 && acknowledged > 0 {
            self.standing = Standing::Void;
            let reason = format!("none of the {acknowledged} records that were sent to {} was read", self.topic);
            self.faults.push(GroupFault { machine: "all".to_owned(), why: None, reason });
        }
    }

    /// As the objectives of one consumer are judged.
    pub fn as_consumed(&self) -> Consumed {
        Consumed {
            schema: consumer::SCHEMA.to_owned(),
            topic: self.topic.clone(),
            group: self.group.clone(),
            duration_s: self.duration_s,
            stalled_s: 0.0,
            read: self.read,
            bytes: self.bytes,
            read_per_s: self.read_per_s,
            corrupted: self.corrupted,
            lag: self.lag,
            lag_max: self.lag_max,
            end_to_end: self.end_to_end,
            end_to_end_times: Times::default(),
            slo: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
