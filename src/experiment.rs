//! Trials on a real cluster: a load at one rate after the other, the brokers beside it, and what both say together.
//!
//! [`capacity`](crate::capacity) decides which rate is next; here it is sent and looked at. In the lab the same is done with other
//! broker types: [`types`] has their order, [`brokers`] changes them.

mod brokers;
mod pace;
mod price;
mod types;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};

pub use brokers::LabBrokers;
pub use pace::Pace;
pub use price::{usd_per_mb_s_month, usd_per_month};
pub use types::{Ended, Types, with_each};

use crate::{
    capacity::{Found, Goal, Search, Step, Trial, corrected_percent, cpu_allowed_percent},
    diagnose::{Context, Verdict, diagnose},
    load::{
        latency::Times,
        pacer::Rate,
        producer::{self, ProducerConfig, Summary, Tick, new_run},
        slo::{Judged, Slo},
    },
    process::pause,
    run::{Observed, now},
    sample::{BrokerId, BrokerSample, Sample},
    statistics::mean,
};

/// Seconds at the start of a trial that do not count: connections, batches and queues find their level.
const SETTLE_S: f64 = 5.0;

/// How late the tick of a trial's last second may come, s: a sixth of a percent of the seconds that count.
const TICK_LATE_S: f64 = 0.015;

/// How long a trial takes, and one that confirms, with the time in which it settles.
const TRIAL: Duration = Duration::from_secs(15);
const CONFIRM: Duration = Duration::from_secs(35);

/// Longest wait between two trials for replicas to be in sync again.
const QUIET_WITHIN: Duration = Duration::from_secs(10);

/// Longest wait for the first sample of the brokers.
const SEEN_WITHIN: Duration = Duration::from_secs(60);

/// What the diagnosis of a trial looks back on, ms: the calm before it too.
const LOOK_BACK_MS: i64 = 60_000;

/// Share of records that the generator sent late, from which p99 is a figure of the generator (a design choice).
const LATE_SHARE: f64 = 0.01;

/// What is searched, and with which load.
#[derive(Debug, Clone)]
pub struct Request {
    /// Rate and duration are those of the trials.
    pub producer: ProducerConfig,
    pub slo: Slo,
    /// CPU has to leave room for one broker to be away.
    pub survive_broker: bool,
    pub start_per_s: f64,
    pub rounds: usize,
    pub within: Duration,
    /// Of this machine: the brokers of a lab run on it.
    pub pace: Pace,
}

/// What whoever watches the brokers has seen, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<Observed>>>);

/// What happens, for whoever shows it.
#[derive(Debug)]
pub enum Happened<'a> {
    Begun(Step),
    Second(&'a Tick),
    Ended(&'a Trial),
}

/// Receives what happens.
pub type Observer<'a> = &'a mut dyn FnMut(Happened<'_>) -> anyhow::Result<()>;

impl Seen {
    pub fn add(&self, observed: &Observed) {
        self.all().push(observed.clone());
    }

    /// The cluster, and its samples since `from_ms` (ms since the epoch).
    fn since(&self, from_ms: i64) -> Option<(Context, Vec<Sample>)> {
        let all = self.all();
        let context = all.last()?.cluster.clone();
        let samples = all.iter().filter(|of| of.sample.at_ms >= from_ms).map(|of| of.sample.clone());
        Some((context, samples.collect()))
    }

    /// What was seen from `from_ms` to before `until_ms`, ms since the epoch.
    pub fn between(&self, from_ms: i64, until_ms: i64) -> Vec<Observed> {
        let is_of = |of: &&Observed| (from_ms..until_ms).contains(&of.sample.at_ms);
        self.all().iter().filter(is_of).cloned().collect()
    }

    /// The cluster as it was seen last.
    pub fn cluster(&self) -> Option<Context> {
        self.all().last().map(|of| of.cluster.clone())
    }

    fn all(&self) -> MutexGuard<'_, Vec<Observed>> {
        self.0.lock()
    }
}

/// Searches the highest rate that the cluster sustains. Ends early, with what is known, once `stop` is set.
///
/// # Errors
/// The brokers are not seen, the load cannot be sent, or the observer fails.
pub fn search(
    request: &Request,
    seen: &Seen,
    stop: &AtomicBool,
    observer: Observer<'_>,
) -> anyhow::Result<(Found, Vec<Trial>)> {
    await_brokers(seen, stop)?;
    let began = Instant::now();
    let mut search = Search::new(Goal {
        start_per_s: request.start_per_s,
        rounds: request.rounds,
        // Answers and replicas are waited for as well.
        trial_s: TRIAL.as_secs_f64() + 3.0,
        confirm_s: CONFIRM.as_secs_f64() + 3.0,
        within_s: request.within.as_secs_f64(),
    });
    while !stop.load(Ordering::Relaxed) {
        let step = search.next(began.elapsed().as_secs_f64());
        let (rate, duration) = match step {
            Step::Warm(rate) | Step::Try(rate) => (rate, TRIAL),
            Step::Confirm(rate) => (rate, CONFIRM),
            Step::Done => break,
        };
        observer(Happened::Begun(step))?;
        let trial = trial(request, rate, duration, seen, stop, observer)?;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        observer(Happened::Ended(&trial))?;
        search.take(trial);
        await_sync(seen, stop);
    }
    Ok((search.found(), search.trials().to_vec()))
}

fn await_brokers(seen: &Seen, stop: &AtomicBool) -> anyhow::Result<()> {
    anyhow::ensure!(
        pause(SEEN_WITHIN, || seen.cluster().is_some() || stop.load(Ordering::Relaxed)),
        "no sample of the brokers came within {} s, and without their CPU there is no capacity to be found",
        SEEN_WITHIN.as_secs()
    );
    Ok(())
}

fn await_sync(seen: &Seen, stop: &AtomicBool) {
    let is_behind = || seen.all().last().and_then(|of| out_of_sync(&of.sample)).is_some_and(|count| count > 0);
    pause(QUIET_WITHIN, || !is_behind() || stop.load(Ordering::Relaxed));
}

/// Sends the load at one rate, and sums up what came of it.
fn trial(
    request: &Request,
    rate: f64,
    duration: Duration,
    seen: &Seen,
    stop: &AtomicBool,
    observer: Observer<'_>,
) -> anyhow::Result<Trial> {
    let mut config = ProducerConfig { run: new_run(), ..request.producer.clone() };
    (config.load.rate, config.load.duration) = (Rate::Constant(rate), duration);
    let (mut measured, mut from_ms) = (Measured::default(), None);
    let mut failed = None;
    let summary = producer::run(&config, stop, &mut |tick| {
        // Once sending has ended, seconds go by in which only the last batches are waited for.
        if tick.at_s >= SETTLE_S && tick.at_s <= duration.as_secs_f64() + TICK_LATE_S {
            from_ms.get_or_insert(tick.at_ms);
            measured.add(tick);
        }
        if let Err(error) = observer(Happened::Second(tick)) {
            failed = Some(error);
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    let mut trial = measured.trial(&summary, &request.slo, rate);
    if let Some((from_ms, (context, samples))) = from_ms.and_then(|ms| Some((ms, seen.since(ms - LOOK_BACK_MS)?))) {
        look_at(&mut trial, &context, &samples, from_ms, request.survive_broker);
        if context.lab_scale.is_some() {
            trial.slowdown = request.pace.slowdown(from_ms, now().as_millisecond());
            trial.cpu_percent = trial.cpu_percent.map(|cpu| corrected_percent(cpu, trial.slowdown));
        }
    }
    Ok(trial)
}

/// The part of a trial that counts: from one tick to another, whose distance need not be a second on a busy machine.
#[derive(Default)]
struct Measured {
    /// Seconds since the start, and records acknowledged until then.
    first: Option<(f64, u64)>,
    last: Option<(f64, u64)>,
    response: Times,
}

impl Measured {
    fn add(&mut self, tick: &Tick) {
        let now = (tick.at_s, tick.total_acknowledged);
        if self.first.is_none() {
            self.first = Some(now);
            return;
        }
        self.last = Some(now);
        self.response.add(&tick.response);
    }

    fn acknowledged_per_s(&self) -> f64 {
        match (self.first, self.last) {
            (Some((from_s, before)), Some((to_s, after))) if to_s > from_s => (after - before) as f64 / (to_s - from_s),
            _ => 0.0,
        }
    }

    fn trial(&self, summary: &Summary, slo: &Slo, rate: f64) -> Trial {
        let acknowledged_per_s = self.acknowledged_per_s();
        let response = self.response.quantiles();
        let record_bytes = summary.acknowledged_bytes as f64 / summary.acknowledged.max(1) as f64;
        let of_measured = Summary { response, rate_reached: acknowledged_per_s, ..summary.clone() };
        let missed = slo.judge_produced(&of_measured).iter().filter(|judged| !judged.kept).map(over).collect();
        Trial {
            asked_per_s: rate,
            acknowledged_per_s,
            bytes_per_s: acknowledged_per_s * record_bytes,
            failed: summary.failed_total() + summary.lost_track,
            generator_bound: summary.late_generator as f64 > summary.offered as f64 * LATE_SHARE,
            p99_ms: response.map(|response| response.p99_ms),
            missed,
            ..Trial::default()
        }
    }
}

/// An objective that was missed, and by which factor.
fn over(judged: &Judged) -> (String, f64) {
    let factor = match judged.reached {
        Some(reached) if judged.objective.starts_with("rate") => judged.limit / reached.max(f64::MIN_POSITIVE),
        Some(reached) => reached / judged.limit.max(f64::MIN_POSITIVE),
        // Nothing was acknowledged.
        None => f64::MAX,
    };
    (judged.objective.clone(), factor)
}

/// Adds what the brokers showed since `from_ms`; the samples before are the calm that the diagnosis compares with.
fn look_at(trial: &mut Trial, context: &Context, samples: &[Sample], from_ms: i64, survive_broker: bool) {
    let during: Vec<&Sample> = samples.iter().filter(|sample| sample.at_ms >= from_ms).collect();
    let cpu = |id: &BrokerId| {
        let of_broker = during.iter().filter_map(|sample| sample.brokers.get(id));
        mean(of_broker.filter_map(BrokerSample::cpu_percent))
    };
    let ids = || during.iter().flat_map(|sample| sample.brokers.keys());
    trial.cpu_percent = ids().filter_map(cpu).reduce(f64::max);
    let brokers = during.last().map_or(0, |sample| sample.brokers.len());
    let credits = during.iter().flat_map(|sample| sample.brokers.values()).any(|b| b.cpu_credit_balance.is_some());
    trial.cpu_allowed_percent = allowed(context, brokers, survive_broker, credits);
    trial.out_of_sync = during.last().and_then(|sample| out_of_sync(sample));
    let diagnosis = diagnose(context, samples);
    let named = diagnosis.findings.first().filter(|_| diagnosis.verdict == Verdict::CauseFound);
    trial.cause = named.map(|finding| finding.id.to_owned());
}

/// CPU that a broker may use, percent of its vCPUs: so much that the others can do its work; of a broker on credits, of what it
/// earns.
fn allowed(context: &Context, brokers: usize, survive_broker: bool, on_credits: bool) -> f64 {
    let earned = context
        .known_type()
        .filter(|_| on_credits)
        .map_or(1.0, |known| known.sustained_vcpus() / f64::from(known.vcpus));
    cpu_allowed_percent(brokers, survive_broker) * earned
}

fn out_of_sync(sample: &Sample) -> Option<u64> {
    sample.brokers.values().filter_map(|broker| broker.under_replicated_partitions).reduce(|a, b| a + b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at_ms: i64, cpu: [f64; 3], behind: u64) -> Sample {
        let broker = |cpu: f64| BrokerSample {
            cpu_user_percent: Some(cpu),
            cpu_system_percent: Some(0.0),
            under_replicated_partitions: Some(behind),
            ..BrokerSample::default()
        };
        let brokers = cpu.iter().enumerate().map(|(n, cpu)| (n as BrokerId + 1, broker(*cpu))).collect();
        Sample { at_ms, brokers, ..Sample::default() }
    }

    #[test]
    fn cpu_is_that_of_the_busiest_broker_while_the_load_counts() {
        let context = Context { broker_type: Some("kafka.m5.large".to_owned()), ..Context::default() };
        let samples =
            [sample(0, [99.0; 3], 3), sample(1000, [30.0, 50.0, 10.0], 0), sample(2000, [30.0, 54.0, 90.0], 1)];
        let mut trial = Trial::default();
        look_at(&mut trial, &context, &samples, 1000, true);
        assert_eq!((trial.cpu_percent, trial.out_of_sync), (Some(52.0), Some(3)));
        assert!((trial.cpu_allowed_percent - 60.0).abs() < 1e-9, "the 60 % of three brokers");
        look_at(&mut trial, &context, &samples, 5000, true);
        assert_eq!((trial.cpu_percent, trial.out_of_sync), (None, None), "what was not seen is not zero");
    }

    #[test]
    fn a_broker_on_credits_is_allowed_what_it_earns() {
        let t3 = Context { broker_type: Some("kafka.t3.small".to_owned()), ..Context::default() };
        for (survive, credits, expected) in
            [(true, false, 60.0), (true, true, 12.0), (false, true, 18.0), (false, false, 90.0)]
        {
            let found = allowed(&t3, 3, survive, credits);
            assert!((found - expected).abs() < 1e-9, "{survive} {credits}: {found}");
        }
        assert_eq!(allowed(&t3, 1, true, false), 90.0);
    }

    #[test]
    fn the_rate_is_that_of_the_time_and_not_the_mean_of_uneven_seconds() {
        let measured = Measured { first: Some((5.0, 500)), last: Some((15.0, 1500)), ..Measured::default() };
        assert_eq!(measured.acknowledged_per_s(), 100.0);
        assert_eq!(Measured { last: None, ..measured }.acknowledged_per_s(), 0.0);
    }

    #[test]
    fn an_objective_is_missed_by_a_factor() {
        let judged =
            |objective: &str, reached, limit| Judged { objective: objective.to_owned(), reached, limit, kept: false };
        assert_eq!(over(&judged("p99=50ms", Some(100.0), 50.0)).1, 2.0);
        assert_eq!(over(&judged("rate=500", Some(250.0), 500.0)).1, 2.0);
        assert_eq!(over(&judged("p99=50ms", None, 50.0)).1, f64::MAX);
    }
}
