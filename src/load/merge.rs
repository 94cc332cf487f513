//! The results of several machines as one: histograms added bucket by bucket, counts summed, and what makes the whole less
//! than it should be, by machine.
//!
//! Percentiles are never averaged: they are read from the sum of the histograms. A run is
//!
//! - **void** when a machine did not send its part as agreed: it started more than [`LATE_MS`] late, its clock is certainly
//!   off by more than that, or it could not keep its own schedule; or when no machine reported;
//! - **partial** when a machine did not report: the figures are those of the others;
//! - **whole** otherwise.

use std::{
    collections::BTreeMap,
    io,
    iter::Peekable,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use crate::files::own;

use super::{
    latency::{Quantiles, Times},
    latency_log::{self, Intervals},
    part::{Part, Start},
    producer::Summary,
    slo::Judged,
};

/// Names the form of a [`PartReport`] in JSON.
pub const REPORT_SCHEMA: &str = "kgen.produce-part/1";
/// Names the form of a [`Merged`] in JSON.
pub const SCHEMA: &str = "kgen.produce-clients/1";

/// From here on a machine started late, ms.
pub const LATE_MS: f64 = 50.0;

/// What one machine hands back of a load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Report")] // as in the published schemas
pub struct PartReport {
    pub schema: String,
    pub part: Part,
    pub start: Option<Start>,
    /// Its own figures. The files that it names are on that machine.
    pub summary: Summary,
    /// Response times each second, an HdrHistogram V2 log.
    pub latency_log: String,
    /// Times of the whole run from sent to acknowledged, and from due to sent: HdrHistogram V2, base64.
    pub service: String,
    pub send_error: String,
    /// The texts of its ledgers, by the names of their files.
    pub ledgers: BTreeMap<String, String>,
}

impl PartReport {
    /// What this machine hands back, with the files that `summary` names.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn of(part: Part, summary: Summary) -> anyhow::Result<PartReport> {
        let text = |path: &Path| {
            let bytes = own::read(path).with_context(|| format!("reading {}", path.display()))?;
            String::from_utf8(bytes).with_context(|| format!("reading {}", path.display()))
        };
        let ledger = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok((name, text(path)?))
        };
        Ok(PartReport {
            schema: REPORT_SCHEMA.to_owned(),
            part,
            start: summary.start,
            latency_log: text(&summary.latency_log)?,
            service: latency_log::encoded(&summary.service_times)?,
            send_error: latency_log::encoded(&summary.send_error_times)?,
            ledgers: summary.ledgers.iter().map(ledger).collect::<anyhow::Result<_>>()?,
            summary,
        })
    }
}

/// By how much the clock of a machine is ahead of the driver's, as far as asking it tells.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Clock {
    /// At least so far ahead, ms; below zero it may be behind.
    pub least_ms: f64,
    /// At most, ms.
    pub most_ms: f64,
}

impl Clock {
    /// From a reading of the machine's clock that was asked for at `asked` and known at `answered`; ms of the driver's clock.
    pub fn read(reading: f64, asked: f64, answered: f64) -> Clock {
        Clock { least_ms: reading - answered, most_ms: reading - asked }
    }

    /// How far off it certainly is, ms; zero when it may be right.
    pub fn certainly_off_ms(self) -> f64 {
        self.least_ms.max(-self.most_ms).max(0.0)
    }
}

/// Why a machine did not report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Silence {
    /// Its kgen refused to begin: no way to the brokers, a wrong clock, no such topic.
    Refused,
    /// Its kgen, or the machine, ended before it could report.
    Died,
    DiskFull,
    /// The load was stopped before it could report.
    Stopped,
    /// Nothing is known of it.
    LostContact,
    /// What it reported is not the part that it was given.
    Mistaken,
}

/// What one machine came to.
#[derive(Debug, Clone)]
pub enum PartEnd {
    Reported(Box<PartReport>),
    Silent(Silence, String),
}

/// One machine of a load.
#[derive(Debug, Clone)]
pub struct Machine {
    /// An instance id, or a host.
    pub name: String,
    pub clock: Option<Clock>,
    pub ended: PartEnd,
}

/// What is wrong with the part of a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Fault {
    StartedLate { late_ms: f64 },
    ClockOff { at_least_ms: f64 },
    GeneratorBound { late_share: f64 },
    Stopped,
    Silent { why: Silence, reason: String },
}

/// How far the figures are those of the load that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Whole,
    /// Figures of the machines that reported only.
    Partial,
    /// No figure about the cluster.
    Void,
}

/// One machine in the result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Share {
    pub machine: String,
    pub part: Part,
    pub faults: Vec<Fault>,
    pub start: Option<Start>,
    pub clock: Option<Clock>,
    /// Of the machines that reported.
    pub offered: Option<u64>,
    pub acknowledged: Option<u64>,
    pub response: Option<Quantiles>,
}

/// A load that several machines sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Merged {
    pub schema: String,
    /// The name of the run's folder, on the driver as on the machines.
    pub run: String,
    pub topic: String,
    pub standing: Standing,
    pub stopped: bool,
    pub machines: Vec<Share>,
    pub reported: u16,
    /// The longest of the machines', s.
    pub duration_s: f64,
    /// Sums over the machines that reported.
    pub offered: u64,
    pub acknowledged: u64,
    pub failed: BTreeMap<String, u64>,
    pub unsent: u64,
    pub lost_track: u64,
    pub acknowledged_bytes: u64,
    /// Of all machines together, records/s; `None` for `max`.
    pub rate_asked: Option<f64>,
    /// What the machines that reported really offered, and got acknowledged.
    pub rate_offered: f64,
    pub rate_reached: f64,
    /// From the sum of the machines' histograms; each machine measures by its own clock.
    pub response: Option<Quantiles>,
    pub service: Option<Quantiles>,
    pub send_error: Option<Quantiles>,
    /// Between the first start and the last, each by its own clock, ms.
    pub start_spread_ms: Option<f64>,
    pub generator_bound: bool,
    /// What was asked of the run, and whether it was kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slo: Vec<Judged>,
}

impl Merged {
    pub fn failed_total(&self) -> u64 {
        self.failed.values().sum()
    }
}

/// Puts the machines of run `run` together, in the order of their parts, and writes the merged seconds to `log`.
///
/// # Errors
/// There are no machines, or `log` cannot be written. What a machine says is never an error: it is that machine's fault.
pub fn merge(
    run: &str,
    topic: &str,
    rate_asked: Option<f64>,
    machines: Vec<Machine>,
    log: &mut dyn io::Write,
) -> anyhow::Result<Merged> {
    let of = u16::try_from(machines.len()).ok().filter(|of| *of > 0).context("a load needs 1 to 65535 machines")?;
    let machines: Vec<(Part, Machine)> = (0..of)
        .map(|index| Part { index, of })
        .zip(machines)
        .map(|(part, machine)| (part, checked(machine, part, run)))
        .collect();
    let reports: Vec<&PartReport> = machines.iter().filter_map(|(_, machine)| machine.ended.report()).collect();
    let seconds = merge_seconds(&reports, log)?;
    let shares: Vec<Share> = machines.iter().map(|(part, machine)| share(*part, machine)).collect();
    let mut merged = sums(&reports);
    let times = |of: fn(&PartReport) -> &str| -> Times {
        let mut all = Times::default();
        // Every one of them was decoded before, in `checked`.
        reports.iter().filter_map(|report| latency_log::decoded(of(report)).ok()).for_each(|times| all.add(&times));
        all
    };
    merged.run = run.to_owned();
    merged.topic = topic.to_owned();
    merged.rate_asked = rate_asked;
    merged.response = seconds.quantiles();
    merged.service = times(|report| &report.service).quantiles();
    merged.send_error = times(|report| &report.send_error).quantiles();
    merged.start_spread_ms = spread(&reports);
    merged.standing = standing(&shares);
    merged.machines = shares;
    Ok(merged)
}

impl PartEnd {
    pub fn report(&self) -> Option<&PartReport> {
        match self {
            PartEnd::Reported(report) => Some(report),
            PartEnd::Silent(..) => None,
        }
    }
}

/// The machine, whose report counts only if it is of this part and can be read.
fn checked(machine: Machine, part: Part, run: &str) -> Machine {
    let wrong = machine.ended.report().and_then(|report| check(report, part, run).err());
    match wrong {
        Some(error) => Machine { ended: PartEnd::Silent(Silence::Mistaken, format!("{error:#}")), ..machine },
        None => machine,
    }
}

fn check(report: &PartReport, part: Part, run: &str) -> anyhow::Result<()> {
    ensure!(report.schema == REPORT_SCHEMA, "its report has the form {:?}", report.schema);
    ensure!(report.part == part, "it sent part {}/{}", report.part.index, report.part.of);
    ensure!(report.summary.run == run, "its report is of run {}", report.summary.run);
    for name in report.ledgers.keys() {
        let producer = name.strip_prefix("ledger-").and_then(|number| number.parse::<u16>().ok());
        ensure!(producer.is_some_and(|number| number % part.of == part.index), "{name:?} is not a ledger of its part");
    }
    latency_log::decoded(&report.service).context("its service times")?;
    latency_log::decoded(&report.send_error).context("its send errors")?;
    let mut logged = 0;
    for interval in latency_log::read(&report.latency_log).context("its latency log")? {
        logged += interval.context("its latency log")?.times.count();
    }
    let acknowledged = report.summary.acknowledged;
    ensure!(logged == acknowledged, "its latency log holds {logged} times of {acknowledged} acknowledged records");
    Ok(())
}

/// Adds the histograms of each second and writes it. Returns those of all seconds.
fn merge_seconds(reports: &[&PartReport], log: &mut dyn io::Write) -> anyhow::Result<Times> {
    let begun = reports.iter().filter_map(|report| report.start).map(|start| start.at_ms).reduce(f64::min);
    log.write_all(latency_log::head(begun.unwrap_or(0.0) / 1000.0).as_bytes())?;
    let mut open: Vec<Peekable<_>> = Vec::new();
    for report in reports {
        open.push(seconds(latency_log::read(&report.latency_log)?).peekable());
    }
    let mut all = Times::default();
    while let Some(second) = open.iter_mut().filter_map(|intervals| Some(intervals.peek()?.0)).min() {
        let mut times = Times::default();
        for intervals in &mut open {
            while let Some((_, added)) = intervals.next_if(|(of, _)| *of == second) {
                times.add(&added);
            }
        }
        log.write_all(latency_log::line(second as f64, 1.0, &times)?.as_bytes())?;
        all.add(&times);
    }
    Ok(all)
}

/// The second of the run that most of each interval is in, and its times. Intervals end a moment after their second.
fn seconds(intervals: Intervals<'_>) -> impl Iterator<Item = (u64, Times)> {
    let mut last = 0;
    intervals.filter_map(Result::ok).map(move |interval| {
        // A log that goes back in time is taken in its order.
        last = ((interval.from_s + interval.length_s / 2.0) as u64).max(last);
        (last, interval.times)
    })
}

fn share(part: Part, machine: &Machine) -> Share {
    let report = machine.ended.report();
    let mut faults = Vec::new();
    if let Some(clock) = machine.clock.filter(|clock| clock.certainly_off_ms() > LATE_MS) {
        faults.push(Fault::ClockOff { at_least_ms: clock.certainly_off_ms() });
    }
    match &machine.ended {
        PartEnd::Silent(why, reason) => faults.push(Fault::Silent { why: *why, reason: reason.clone() }),
        PartEnd::Reported(report) => {
            let late_ms = report.start.map_or(0.0, |start| start.late_ms);
            if late_ms > LATE_MS {
                faults.push(Fault::StartedLate { late_ms });
            }
            if report.summary.generator_bound {
                faults.push(Fault::GeneratorBound { late_share: report.summary.late_share });
            }
            if report.summary.stopped {
                faults.push(Fault::Stopped);
            }
        }
    }
    Share {
        machine: machine.name.clone(),
        part,
        faults,
        start: report.and_then(|report| report.start),
        clock: machine.clock,
        offered: report.map(|report| report.summary.offered),
        acknowledged: report.map(|report| report.summary.acknowledged),
        response: report.and_then(|report| report.summary.response),
    }
}

fn standing(shares: &[Share]) -> Standing {
    if shares.iter().all(|share| share.offered.is_none()) {
        return Standing::Void;
    }
    let of = |fault: &Fault| match fault {
        Fault::StartedLate { .. } | Fault::ClockOff { .. } | Fault::GeneratorBound { .. } => Standing::Void,
        Fault::Stopped | Fault::Silent { .. } => Standing::Partial,
    };
    // What a machine without a report had of a wrong clock is in no figure.
    let counted = |share: &&Share| share.offered.is_some();
    let void = shares.iter().filter(counted).flat_map(|share| &share.faults).map(of).max();
    let missing = shares.iter().any(|share| share.offered.is_none()).then_some(Standing::Partial);
    void.max(missing).unwrap_or(Standing::Whole)
}

fn spread(reports: &[&PartReport]) -> Option<f64> {
    let starts = || reports.iter().filter_map(|report| report.start).map(|start| start.at_ms);
    Some(starts().reduce(f64::max)? - starts().reduce(f64::min)?)
}

fn sums(reports: &[&PartReport]) -> Merged {
    let sum = |of: fn(&Summary) -> u64| reports.iter().map(|report| of(&report.summary)).sum();
    let mut failed = BTreeMap::new();
    for (code, count) in reports.iter().flat_map(|report| &report.summary.failed) {
        *failed.entry(code.clone()).or_default() += count;
    }
    let offered_per_s = |summary: &Summary| summary.offered as f64 / summary.duration_s.max(1e-3);
    Merged {
        schema: SCHEMA.to_owned(),
        run: String::new(),
        topic: String::new(),
        standing: Standing::Void,
        stopped: reports.iter().any(|report| report.summary.stopped),
        machines: Vec::new(),
        reported: reports.len() as u16,
        duration_s: reports.iter().map(|report| report.summary.duration_s).fold(0.0, f64::max),
        offered: sum(|summary| summary.offered),
        acknowledged: sum(|summary| summary.acknowledged),
        failed,
        unsent: sum(|summary| summary.unsent),
        lost_track: sum(|summary| summary.lost_track),
        acknowledged_bytes: sum(|summary| summary.acknowledged_bytes),
        rate_asked: None,
        // From 0.0: the sum of no rates would be -0.0.
        rate_offered: reports.iter().fold(0.0, |all, report| all + offered_per_s(&report.summary)),
        rate_reached: reports.iter().fold(0.0, |all, report| all + report.summary.rate_reached),
        response: None,
        service: None,
        send_error: None,
        start_spread_ms: None,
        generator_bound: reports.iter().any(|report| report.summary.generator_bound),
        slo: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
