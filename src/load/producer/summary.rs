//! A run in figures: a [`Tick`] each second, a [`Summary`] at the end.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::{
    ProducerConfig,
    worker::{ClientEnd, Interval},
};
use crate::{
    files::own,
    load::{
        latency::{Quantiles, Times},
        latency_log,
        part::Start,
        slo::Judged,
    },
    sample::LoadSample,
};

/// Names the form of a [`Summary`] in JSON.
pub const SCHEMA: &str = "kgen.produce/1";
/// Share of records sent late from which a run says more about the generator than about the cluster.
const GENERATOR_BOUND_FROM: f64 = 0.001;

/// Names the form of a [`Tick`] in JSON.
pub const TICK_SCHEMA: &str = "kgen.produce-second/1";

/// What happened in about one second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Tick {
    pub schema: &'static str,
    /// Seconds since the start.
    pub at_s: f64,
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    #[serde(flatten)]
    pub sample: LoadSample,
    /// The longest time from due to acknowledged, ms.
    pub max_ms: Option<f64>,
    /// From sent to acknowledged, ms.
    pub service_p50_ms: Option<f64>,
    pub service_p99_ms: Option<f64>,
    /// From due to sent, ms.
    pub send_error_p99_ms: Option<f64>,
    /// Since the start.
    pub total_offered: u64,
    pub total_acknowledged: u64,
    pub total_failed: u64,
    /// Response times of the records that were acknowledged in it.
    #[serde(skip)]
    pub response: Times,
    /// What the client library reported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl From<&Tick> for LoadSample {
    fn from(tick: &Tick) -> Self {
        tick.sample
    }
}

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Summary {
    pub schema: String,
    /// 16 hexadecimal digits; the name of the run's folder.
    pub run: String,
    /// Several are separated by commas.
    pub topic: String,
    /// The run was stopped before its schedule was over.
    pub stopped: bool,
    /// From the first due moment to the end of the schedule, or to where it was stopped.
    pub duration_s: f64,
    /// Records that were due.
    pub offered: u64,
    pub acknowledged: u64,
    /// Failed, by Kafka's name of the error; names with a leading `_` are the client's own.
    pub failed: BTreeMap<String, u64>,
    /// Due but never sent: there was no space in the client until the run was given up.
    pub unsent: u64,
    /// Records that the client library lost track of: 0.
    pub lost_track: u64,
    /// Records/s; `None` for `max`.
    pub rate_asked: Option<f64>,
    /// Acknowledged records/s, until the end of the schedule or the last response, whichever was later.
    pub rate_reached: f64,
    /// Values only, without keys and framing.
    pub acknowledged_bytes: u64,
    /// From the moment a record was due to its acknowledgement.
    pub response: Option<Quantiles>,
    /// From the moment it was sent.
    pub service: Option<Quantiles>,
    /// From due to sent: how well the generator kept its own schedule.
    pub send_error: Option<Quantiles>,
    /// Share of records sent more than 100 ms late, or never (0 to 1).
    pub late_share: f64,
    /// Sent late, or never, because the client's memory for records in flight was full.
    pub late_queue_full: u64,
    /// Sent late because the generator itself was late.
    pub late_generator: u64,
    /// More than one in a thousand records was sent late or never, so the figures say little about the cluster.
    pub generator_bound: bool,
    /// CPU that this process used, s: all its threads, so also those that do not send.
    pub cpu_s: f64,
    /// One for each client.
    pub ledgers: Vec<PathBuf>,
    /// Response times each second, an HdrHistogram V2 log.
    pub latency_log: PathBuf,
    /// Of [`Summary::service`] and [`Summary::send_error`].
    #[serde(skip)]
    pub service_times: Times,
    #[serde(skip)]
    pub send_error_times: Times,
    /// How the agreed start was met, if there was one.
    #[serde(skip)]
    pub start: Option<Start>,
    /// What was asked of the run, and whether it was kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slo: Vec<Judged>,
}

impl Summary {
    pub fn failed_total(&self) -> u64 {
        self.failed.values().sum()
    }
}

/// Adds up what the clients report.
pub struct Tally {
    rate_asked: Option<f64>,
    topic: String,
    started_at: SystemTime,
    waiting: Vec<Option<Interval>>,
    ended: Vec<ClientEnd>,
    total: Interval,
    log: BufWriter<File>,
    log_path: PathBuf,
    cpu_before: f64,
}

impl Tally {
    pub fn new(config: &ProducerConfig, dir: &Path, started_at: SystemTime) -> anyhow::Result<Self> {
        let log_path = dir.join("latency.hlog");
        let log = own::create(&log_path, 0o666).with_context(|| format!("starting {}", log_path.display()))?;
        let mut log = BufWriter::new(log);
        let start = started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        log.write_all(latency_log::head(start).as_bytes())?;
        Ok(Tally {
            rate_asked: config.load.rate.mean(config.load.duration).map(|rate| config.part.share(rate)),
            topic: config.load.topics.join(","),
            started_at,
            waiting: (0..config.clients).map(|_| None).collect(),
            ended: Vec::new(),
            total: Interval::default(),
            log,
            log_path,
            cpu_before: cpu_s(),
        })
    }

    /// Takes a client's interval. Returns a tick when every client's is there.
    pub fn take(&mut self, client: u16, interval: Interval, notes: Vec<String>) -> Option<Tick> {
        let place = &mut self.waiting[usize::from(client)];
        match place {
            Some(waiting) => add(waiting, &interval),
            None => *place = Some(interval),
        }
        if self.waiting.iter().any(Option::is_none) {
            return None;
        }
        let mut all = Interval { from: u64::MAX, ..Interval::default() };
        for interval in self.waiting.iter_mut().filter_map(Option::take) {
            add(&mut all, &interval);
        }
        add(&mut self.total, &all);
        // A log that cannot be written must not end a run; `finish` reports it.
        let _ = self.write_log(&all);
        let seconds = (all.to.saturating_sub(all.from) as f64 / 1e9).max(1e-3);
        let failed: u64 = all.failed.values().sum();
        let since_epoch = self.started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Some(Tick {
            schema: TICK_SCHEMA,
            at_s: all.to as f64 / 1e9,
            at_ms: (since_epoch + Duration::from_nanos(all.to)).as_millis() as i64,
            sample: LoadSample {
                offered_per_s: all.offered as f64 / seconds,
                acknowledged_per_s: all.acknowledged as f64 / seconds,
                failed_per_s: failed as f64 / seconds,
                outstanding: all.outstanding,
                p50_ms: all.response.quantile_ms(0.5),
                p99_ms: all.response.quantile_ms(0.99),
                generator_bound: all.late_queue + all.late_self > 0,
            },
            max_ms: all.response.quantile_ms(1.0),
            service_p50_ms: all.service.quantile_ms(0.5),
            service_p99_ms: all.service.quantile_ms(0.99),
            send_error_p99_ms: all.send_error.quantile_ms(0.99),
            total_offered: self.total.offered,
            total_acknowledged: self.total.acknowledged,
            total_failed: self.total.failed.values().sum(),
            response: all.response,
            notes,
        })
    }

    pub fn ended(&mut self, ended: ClientEnd) {
        self.ended.push(ended);
    }

    pub fn finish(mut self, run: u64, stopped: bool) -> anyhow::Result<Summary> {
        // Clients do not end together: what the last of them told is in the log as well.
        let mut rest = Interval { from: u64::MAX, ..Interval::default() };
        for interval in std::mem::take(&mut self.waiting).into_iter().flatten() {
            add(&mut rest, &interval);
        }
        if rest.from <= rest.to {
            add(&mut self.total, &rest);
            self.write_log(&rest).with_context(|| format!("writing {}", self.log_path.display()))?;
        }
        self.log.flush().with_context(|| format!("writing {}", self.log_path.display()))?;
        let total = self.total;
        let schedule_end = self.ended.iter().map(|ended| ended.schedule_end).max().unwrap_or(0);
        let last_answer = self.ended.iter().map(|ended| ended.last_answer).max().unwrap_or(0);
        let measured = (schedule_end.max(last_answer) as f64 / 1e9).max(1e-3);
        let unsent = self.ended.iter().map(|ended| ended.unsent).sum();
        // What found no room to the end is later than any other; what was left over by a stop is not.
        let never = if stopped { 0 } else { unsent };
        let late_share = (total.late_queue + total.late_self + never) as f64 / (total.sent + never).max(1) as f64;
        Ok(Summary {
            schema: SCHEMA.to_owned(),
            run: format!("{run:016x}"),
            topic: self.topic,
            stopped,
            duration_s: schedule_end as f64 / 1e9,
            offered: total.offered,
            acknowledged: total.acknowledged,
            failed: total.failed.iter().map(|(code, count)| ((*code).to_owned(), *count)).collect(),
            unsent,
            lost_track: self.ended.iter().map(|ended| ended.lost_track).sum(),
            rate_asked: self.rate_asked,
            rate_reached: total.acknowledged as f64 / measured,
            acknowledged_bytes: total.bytes,
            response: total.response.quantiles(),
            service: total.service.quantiles(),
            send_error: total.send_error.quantiles(),
            late_share,
            late_queue_full: total.late_queue + never,
            late_generator: total.late_self,
            generator_bound: late_share > GENERATOR_BOUND_FROM,
            cpu_s: cpu_s() - self.cpu_before,
            ledgers: self.ended.into_iter().map(|ended| ended.ledger).filter(|path| path.is_file()).collect(),
            latency_log: self.log_path,
            service_times: total.service,
            send_error_times: total.send_error,
            start: None,
            slo: Vec::new(),
        })
    }

    fn write_log(&mut self, interval: &Interval) -> anyhow::Result<()> {
        let (from, length) = (interval.from as f64 / 1e9, (interval.to - interval.from) as f64 / 1e9);
        let line = latency_log::line(from, length, &interval.response)?;
        self.log.write_all(line.as_bytes())?;
        Ok(())
    }
}

fn add(to: &mut Interval, from: &Interval) {
    to.from = to.from.min(from.from);
    to.to = to.to.max(from.to);
    to.offered += from.offered;
    to.sent += from.sent;
    to.acknowledged += from.acknowledged;
    for (code, count) in &from.failed {
        *to.failed.entry(code).or_default() += count;
    }
    to.bytes += from.bytes;
    to.late_queue += from.late_queue;
    to.late_self += from.late_self;
    // Several clients' intervals lie beside each other; one client's two lie after each other and the later holds.
    to.outstanding += from.outstanding;
    let times: [(&mut Times, &Times); 3] =
        [(&mut to.response, &from.response), (&mut to.service, &from.service), (&mut to.send_error, &from.send_error)];
    for (to, from) in times {
        to.add(from);
    }
}

/// CPU time of this process so far, s.
fn cpu_s() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
