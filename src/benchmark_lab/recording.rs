//! A run of the benchmark as it is written: what the brokers and the load show, each as it comes.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use anyhow::bail;

use super::Request;
use crate::{
    benchmark::{LOOK_BACK, Scenario, TRUTH, Truth, View, answer, minutes},
    diagnose::{Context, diagnose},
    edge,
    files::{bounded, own},
    lab::exporter::host_cpu_pressure_percent,
    run::{self, Entry, Event, Mark, Observed, Writer, now},
    sample::{LoadSample, Sample},
};

/// How long a fault goes on at least, and after it was first named rightly.
const FAULT_AT_LEAST: Duration = Duration::from_secs(12);
const NAMED_FOR: Duration = Duration::from_secs(6);
/// How long datapoints may be late, beside what they cover and CloudWatch's delay of two of them.
const LATE: Duration = Duration::from_secs(40);

/// What comes from the threads that look and load.
pub enum Come {
    Sample(Box<(Context, Sample)>),
    Tick(Box<LoadSample>),
    Failed(anyhow::Error),
}

/// A run that is being written.
pub struct Recording {
    writer: Writer,
    inbox: Receiver<Come>,
    /// The cluster and its samples as a live watcher has them now.
    cluster: Context,
    window: VecDeque<Sample>,
    /// What the load saw last.
    load: Option<LoadSample>,
    /// The output of a generator that is the fault itself: then its view counts.
    pub generator: Option<PathBuf>,
    pub truth: Truth,
    view: LiveView,
    /// CPU pressure of the machine at each datapoint, percent.
    pressure: Vec<f64>,
}

/// How a run is seen while it is recorded.
#[derive(Debug, Clone, Copy)]
pub enum LiveView {
    Inside,
    /// Datapoints that begin at `since_ms` or later, of this length.
    Outside {
        since_ms: i64,
        period: Duration,
    },
}

impl LiveView {
    /// How the runs of `request` are seen from now on.
    pub fn of(request: &Request) -> LiveView {
        match request.view {
            View::Inside => LiveView::Inside,
            View::Outside => LiveView::Outside { since_ms: now().as_millisecond(), period: request.period },
        }
    }
}

impl Recording {
    pub fn new(writer: Writer, inbox: Receiver<Come>, truth: Truth, view: LiveView) -> Recording {
        Recording {
            writer,
            inbox,
            cluster: Context::default(),
            window: VecDeque::new(),
            load: None,
            generator: None,
            truth,
            view,
            pressure: Vec::new(),
        }
    }

    /// The folder of the run.
    pub fn dir(&self) -> &Path {
        self.writer.dir()
    }

    fn write(&mut self, at: jiff::Timestamp, event: Event) -> anyhow::Result<()> {
        Ok(self.writer.write(&edge::redacted_entry(Entry { at, event }))?)
    }

    /// Records the calm: for `time`, or as many datapoints as a run has.
    pub fn take_calm(&mut self, time: Duration) -> anyhow::Result<()> {
        match self.view {
            LiveView::Inside => self.take(time),
            LiveView::Outside { since_ms, period } => self.take_datapoints(since_ms, minutes::CALM, period),
        }
    }

    /// Records the fault: until it has been named, and no longer than `time`, or as many datapoints as a run has.
    pub fn take_fault(&mut self, scenario: &Scenario, time: Duration) -> anyhow::Result<()> {
        match self.view {
            LiveView::Inside => self.take_until_named(scenario, time),
            LiveView::Outside { period, .. } => {
                let on_ms = self.truth.on_ms.unwrap_or_default();
                self.take_datapoints(on_ms, minutes::FAULT, period)
            }
        }
    }

    /// Records until `count` datapoints have come that begin at `since_ms` or later.
    fn take_datapoints(&mut self, since_ms: i64, count: usize, period: Duration) -> anyhow::Result<()> {
        // One that it began in does not count, and CloudWatch is two of them late.
        let end = Instant::now() + period * (count as u32 + 3) + LATE;
        let mut taken = 0;
        while taken < count {
            if !self.take_sample(end)? {
                bail!("{taken} of {count} datapoints came in time");
            }
            taken += usize::from(self.window.back().is_some_and(|sample| sample.at_ms >= since_ms));
        }
        Ok(())
    }

    /// Records what comes within `time`.
    fn take(&mut self, time: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        while self.take_sample(end)? {}
        Ok(())
    }

    /// Records a fault until it has been named rightly for a while, and no longer than `time`. Samples of the time in which
    /// it was being made lie in the inbox still; they name nothing.
    fn take_until_named(&mut self, scenario: &Scenario, time: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut end = began + time;
        let mut is_named = false;
        while self.take_sample(end)? {
            if !is_named && self.is_named(scenario) {
                is_named = true;
                end = end.min((began + FAULT_AT_LEAST).max(Instant::now() + NAMED_FOR));
            }
        }
        Ok(())
    }

    /// Whether the newest sample is of the fault and leads to the right answer.
    fn is_named(&self, scenario: &Scenario) -> bool {
        let newest_ms = self.window.back().map(|sample| sample.at_ms);
        let window: Vec<Sample> = self.window.iter().cloned().collect();
        newest_ms >= self.truth.on_ms
            && answer(scenario, &self.truth, &diagnose(&self.cluster, &window)).is_some_and(|answer| answer.is_right)
    }

    /// Records the next sample; false when none came before `end`.
    fn take_sample(&mut self, end: Instant) -> anyhow::Result<bool> {
        loop {
            let come = match self.inbox.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(come) => come,
                Err(RecvTimeoutError::Timeout) => return Ok(false),
                Err(RecvTimeoutError::Disconnected) => bail!("neither samples nor load come any more"),
            };
            match come {
                Come::Tick(load) => self.load = Some(*load),
                Come::Failed(error) => return Err(error.context("watching the brokers")),
                Come::Sample(seen) => {
                    let (cluster, sample) = *seen;
                    let generator = self.generator.as_ref().and_then(|log| newest_tick(log));
                    let sample = match self.view {
                        LiveView::Inside => Sample { load: generator.or(self.load), ..sample },
                        // What the generator sees is not seen from outside.
                        LiveView::Outside { .. } => sample,
                    };
                    self.pressure.extend(host_cpu_pressure_percent());
                    self.window.push_back(sample.clone());
                    if self.window.len() > LOOK_BACK {
                        self.window.pop_front();
                    }
                    self.cluster = cluster.clone();
                    let observed = Observed { cluster, sample, verdict: None, findings: Vec::new() };
                    let at = run::at(observed.sample.at_ms);
                    self.write(at, Event::Sample(Box::new(observed)))?;
                    return Ok(true);
                }
            }
        }
    }

    pub fn mark(&mut self, text: String) -> anyhow::Result<()> {
        self.write(now(), Event::mark(Mark::Onset, text))
    }

    pub fn finish(&mut self) -> anyhow::Result<()> {
        if matches!(self.view, LiveView::Outside { .. }) && !self.pressure.is_empty() {
            self.truth.pressure_percent = Some(self.pressure.iter().sum::<f64>() / self.pressure.len() as f64);
        }
        self.write(now(), Event::result(TRUTH, &self.truth)?)?;
        let end = run::End { exit_code: 0, outcome: "done".to_owned(), error: None };
        self.write(now(), Event::End(end))
    }
}

/// How much of the end of a generator's output is read: many seconds.
const TICKS_BYTES: u64 = 64 << 10;

/// The last whole second that a generator has told of.
fn newest_tick(log: &Path) -> Option<LoadSample> {
    let text = bounded::tail(&own::open(log).ok()?, TICKS_BYTES).ok()?;
    String::from_utf8_lossy(&text).lines().rev().find_map(|line| serde_json::from_str(line).ok())
}
