//! The samples to be judged, and the queries that rules need.

use std::{cell::OnceCell, collections::BTreeSet};

use super::{Context, Coverage, Evidence, coverage, seen};
use crate::{
    catalogue::BrokerType,
    remedy::{Remedy, Resize, ScaleOut},
    sample::{BrokerId, BrokerSample, BrokerState, Field, Probe, Sample, Source},
    sizing::{Advice, Question, size},
    statistics::median,
};

/// Far more brokers than MSK has in a cluster.
const MOST_BROKERS: u32 = 1000;

/// CPU above which a broker has no room for another one's leaders, percent (MSK best practices).
pub const CPU_PERCENT: f64 = 60.0;

/// Share of throttled periods that a healthy broker stays far below, percent. Measured: 0 to 3 when healthy, 60 to 100
/// when CPU is short.
pub const THROTTLED_PERCENT: f64 = 20.0;

/// How long something must last to count, seconds: bursts and a JVM that warms up are shorter.
const LASTING_S: f64 = 15.0;

/// How long a broker that has just begun to serve is not judged, seconds.
const WARM_UP_S: f64 = 20.0;

/// Windows in which something must be seen to count; CloudWatch's are a minute each.
const LASTING_SAMPLES: usize = 3;
pub const LASTING_MINUTES: usize = 2;

/// Share of the windows that must show what counts as lasting.
const LASTING_SHARE: f64 = 0.8;

/// Produce times are slow when they are this many times those of the calm before, and at least [`SLOW_AT_LEAST_MS`].
const SLOW_TIMES: f64 = 3.0;
const SLOW_AT_LEAST_MS: f64 = 10.0;

/// Slow in any case, ms: five times what three healthy brokers showed with `acks=all`.
pub const SLOW_MS: f64 = 20.0;

/// Probes of a Kafka port in a row that must agree.
const PROBES: usize = 3;

/// Samples of one cluster.
pub struct Window<'a> {
    pub context: &'a Context,
    samples: &'a [Sample],
    /// Index in `samples` at which the recent part begins.
    recent: usize,
    /// The fields that are seen, and what of the causes can be assessed; worked out when first requested.
    seen: OnceCell<BTreeSet<Field>>,
    coverage: OnceCell<Coverage>,
}

impl<'a> Window<'a> {
    pub fn new(context: &'a Context, samples: &'a [Sample]) -> Window<'a> {
        let mut window = Window { context, samples, recent: 0, seen: OnceCell::new(), coverage: OnceCell::new() };
        let least = window.least_samples();
        if let Some(last) = samples.last() {
            let is_recent = |sample: &Sample| sample.at_ms > last.at_ms.saturating_sub((LASTING_S * 1000.0) as i64);
            // CloudWatch's datapoints are a minute each: the last of them are the recent part, however old.
            let since = if window.is_cloudwatch() { None } else { samples.iter().position(is_recent) };
            window.recent = since.unwrap_or(samples.len()).min(samples.len().saturating_sub(least));
        }
        window
    }

    /// Whether the recent samples hold `field`, for enough of the brokers.
    pub fn sees(&self, field: Field) -> bool {
        self.seen.get_or_init(|| seen::all(self)).contains(&field)
    }

    pub fn coverage(&self) -> &Coverage {
        self.coverage.get_or_init(|| coverage::of(self))
    }

    pub fn is_cloudwatch(&self) -> bool {
        self.samples.last().is_some_and(|sample| sample.source == Source::CloudWatch)
    }

    pub fn is_lab(&self) -> bool {
        self.context.lab_scale.is_some()
    }

    fn least_samples(&self) -> usize {
        if self.is_cloudwatch() { LASTING_MINUTES } else { LASTING_SAMPLES }
    }

    /// Every sample, oldest first.
    pub fn all(&self) -> &'a [Sample] {
        self.samples
    }

    /// The part that is judged: long enough for a burst not to fill it.
    pub fn recent(&self) -> &'a [Sample] {
        &self.samples[self.recent..]
    }

    /// What is lacking for a judgement: seconds, and samples with a CPU value of some broker.
    pub fn lacking(&self) -> Option<(f64, usize)> {
        let with_cpu: Vec<_> = self
            .samples
            .iter()
            .filter(|sample| sample.brokers.values().any(|broker| broker.cpu_percent().is_some()))
            .collect();
        // Only gaps is another matter: then it is not time that is lacking.
        let counted: Vec<_> = if with_cpu.is_empty() { self.samples.iter().collect() } else { with_cpu };
        let interval_ms = match counted.as_slice() {
            [.., before, last] => last.at_ms - before.at_ms,
            _ => 0,
        };
        let span_s = match counted.as_slice() {
            [first, .., last] => (last.at_ms - first.at_ms + interval_ms) as f64 / 1000.0,
            _ => 0.0,
        };
        let seconds = if self.is_cloudwatch() { 0.0 } else { LASTING_S - span_s };
        let samples = self.least_samples().saturating_sub(counted.len());
        (seconds > 0.0 || samples > 0).then_some((seconds.max(0.0), samples))
    }

    /// The brokers that the cluster should have, and any other seen.
    pub fn brokers(&self) -> Vec<BrokerId> {
        // A record may say anything; no cluster has more.
        let count = self.context.broker_count.min(MOST_BROKERS);
        let seen = |samples: &[Sample]| -> BTreeSet<BrokerId> {
            samples.iter().flat_map(|sample| sample.brokers.keys().copied()).collect()
        };
        let mut ids = self.context.broker_ids.clone();
        let all = seen(self.samples);
        // Without a list the ids that were seen are it, if they are enough: MSK removes brokers from the middle too.
        if ids.is_empty() && all.len() >= count as usize {
            ids.extend(all);
        } else if ids.is_empty() {
            ids.extend(1..=count as BrokerId);
        }
        ids.extend(seen(self.recent()));
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Brokers that did not serve in the recent part, or have only just begun to.
    pub fn not_serving(&self) -> Vec<(BrokerId, BrokerState)> {
        let Some(last) = self.samples.last() else { return Vec::new() };
        let since = |sample: &&Sample| (last.at_ms - sample.at_ms) as f64 / 1000.0 <= WARM_UP_S;
        let not_serving = |id: BrokerId| {
            let judged = self.samples.iter().enumerate().filter(|(i, sample)| *i >= self.recent || since(sample));
            let last_gap =
                judged.map(|(_, sample)| state_of(sample, id)).rfind(|state| *state != BrokerState::Serving)?;
            let now = state_of(last, id);
            // One that serves again is warming up.
            Some((
                id,
                if now == BrokerState::Serving && last_gap == BrokerState::Unreachable {
                    BrokerState::Starting
                } else {
                    last_gap
                },
            ))
        };
        // A minute without CloudWatch datapoints is for `no_data` to tell.
        if self.is_cloudwatch() {
            return Vec::new();
        }
        self.brokers().into_iter().filter_map(not_serving).collect()
    }

    /// Whether the last probes of broker `id`'s Kafka port all came out as `probe`, and it gave no metrics.
    pub fn probed_as(&self, id: BrokerId, probe: Probe) -> bool {
        let seen = self.samples.iter().rev().filter_map(|sample| {
            let broker = sample.brokers.get(&id)?;
            Some((broker.state, broker.probe?))
        });
        let last: Vec<_> = seen.take(PROBES).collect();
        last.len() == PROBES && last.iter().all(|(state, seen)| *seen == probe && *state == BrokerState::Unreachable)
    }

    /// Whether broker `id` is not reached now.
    pub fn is_unreachable(&self, id: BrokerId) -> bool {
        self.samples.last().is_some_and(|sample| state_of(sample, id) == BrokerState::Unreachable)
    }

    /// Brokers that CloudWatch has nothing of while partitions of the others are under-replicated, and how many those are now.
    /// Nothing where most brokers publish nothing: then it is CloudWatch that lacks.
    pub fn unpublished(&self) -> Option<(Vec<BrokerId>, u64)> {
        let lacking = |sample: &Sample| -> u64 {
            sample.brokers.values().filter_map(|broker| broker.under_replicated_partitions).sum()
        };
        let least = self.recent().iter().map(lacking).min().filter(|least| *least > 0 && self.is_cloudwatch())?;
        let all = self.brokers();
        let gone = |id: &BrokerId| self.recent().iter().all(|sample| state_of(sample, *id) == BrokerState::Unreachable);
        let brokers: Vec<BrokerId> = all.iter().copied().filter(gone).collect();
        let is_few = !brokers.is_empty() && brokers.len() * 2 < all.len();
        is_few.then(|| (brokers, self.recent().last().map_or(least, lacking)))
    }

    /// Values of broker `id` in the recent part.
    pub fn values(&self, id: BrokerId, value: impl Fn(&BrokerSample) -> Option<f64>) -> Vec<f64> {
        self.recent().iter().filter_map(|sample| value(sample.brokers.get(&id)?)).collect()
    }

    /// Median of the recent values. Of CloudWatch's two datapoints it is the lower, so that one bad minute changes nothing.
    pub fn median(&self, id: BrokerId, value: impl Fn(&BrokerSample) -> Option<f64>) -> Option<f64> {
        let values = self.values(id, value);
        if self.is_cloudwatch() { values.into_iter().min_by(f64::total_cmp) } else { median(values) }
    }

    /// Median of broker `id`'s values before the recent part; nothing where that is too short to be a baseline.
    pub fn before(&self, id: BrokerId, value: impl Fn(&BrokerSample) -> Option<f64>) -> Option<f64> {
        let before = &self.samples[..self.recent];
        let values: Vec<f64> = before.iter().filter_map(|sample| value(sample.brokers.get(&id)?)).collect();
        if values.len() < self.least_samples() { None } else { median(values) }
    }

    /// Median over the brokers of their medians.
    pub fn typical(&self, value: impl Fn(&BrokerSample) -> Option<f64>) -> Option<f64> {
        median(self.brokers().into_iter().filter_map(|id| self.median(id, &value)).collect())
    }

    /// Whether the value of broker `id` was above `threshold` for the whole recent part, save a window or two.
    pub fn lasts_above(&self, id: BrokerId, threshold: f64, value: impl Fn(&BrokerSample) -> Option<f64>) -> bool {
        let values = self.values(id, value);
        let above = values.iter().filter(|value| **value > threshold).count();
        values.len() >= self.least_samples() && above as f64 >= values.len() as f64 * LASTING_SHARE
    }

    /// Produce time of broker `id` in the calm before the recent part, ms.
    fn calm_produce_ms(&self, id: BrokerId) -> Option<f64> {
        let calm = |broker: &BrokerSample| {
            broker.cpu_percent().is_some_and(|cpu| cpu < CPU_PERCENT)
                && broker.cpu_throttled_percent.is_none_or(|throttled| throttled < 5.0)
        };
        let before = self.samples[..self.recent].iter().filter_map(|sample| sample.brokers.get(&id));
        let times: Vec<f64> =
            before.filter(|broker| calm(broker)).filter_map(|broker| Some(broker.produce?.total_ms)).collect();
        if times.len() < self.least_samples() { None } else { median(times) }
    }

    /// Throttled CPU periods of the broker that is held back most, percent.
    pub fn most_throttled(&self) -> Option<f64> {
        let throttled =
            self.brokers().into_iter().filter_map(|id| self.median(id, |broker| broker.cpu_throttled_percent));
        throttled.max_by(f64::total_cmp)
    }

    /// What makes produce requests of broker `id` slow, if they are: the time against a threshold.
    pub fn slow_produce(&self, id: BrokerId) -> Option<Evidence> {
        let total = self.median(id, |broker| Some(broker.produce?.total_ms))?;
        if let Some(calm) = self.calm_produce_ms(id)
            && total >= (calm * SLOW_TIMES).max(SLOW_AT_LEAST_MS)
        {
            let text =
                format!("broker {id}: produce requests take {total:.0} ms, {calm:.1} ms before{}", self.parts(id));
            return Some(Evidence::measured(text, total, (calm * SLOW_TIMES).max(SLOW_AT_LEAST_MS)));
        }
        (total >= SLOW_MS).then(|| {
            Evidence::measured(
                format!("broker {id}: produce requests take {total:.0} ms{}", self.parts(id)),
                total,
                SLOW_MS,
            )
        })
    }

    /// Where produce requests spend their time.
    fn parts(&self, id: BrokerId) -> String {
        let part = |name: &str, value: Option<f64>| value.map(|ms| format!("{name} {ms:.1}"));
        let parts: Vec<String> = [
            part("queue", self.median(id, |broker| broker.produce?.queue_ms)),
            part("local", self.median(id, |broker| broker.produce?.local_ms)),
            part("remote", self.median(id, |broker| broker.produce?.remote_ms)),
        ]
        .into_iter()
        .flatten()
        .collect();
        if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
    }

    /// `MemoryUsed`, which is shown because people look at it, and is no cause.
    pub fn memory_note(&self) -> Option<Evidence> {
        // Of an unknown type the memory is a guess.
        self.context.known_type()?;
        let used = self.typical(BrokerSample::memory_percent)?;
        let text = format!(
            "MemoryUsed is {used:.0} % of the broker's memory, but it includes page cache, so it is no \
                            evidence"
        );
        Some(Evidence::seen(text, used))
    }

    /// vCPUs of the real broker type that 100 % CPU stands for.
    ///
    /// A T3 broker of the lab has only its baseline, unless the lab works with credits.
    pub fn vcpus(&self) -> Option<f64> {
        let broker_type = self.context.known_type()?;
        let with_credits = self.typical(|broker| broker.cpu_credit_balance).is_some();
        let whole = f64::from(broker_type.vcpus);
        Some(if self.is_lab() && !with_credits { broker_type.sustained_vcpus() } else { whole })
    }

    /// The larger broker type that sizing names for the load of the window, else the next larger one, as a remedy, with what is
    /// used now.
    pub fn next_larger(&self, reason: &str, demand_is_higher: bool) -> Option<Remedy> {
        let named = self.sized();
        self.larger_that(|to| named.is_none_or(|named| *to == named), reason, demand_is_higher)
    }

    /// The larger broker type that `kgen size` would name, if the number of brokers stays.
    fn sized(&self) -> Option<BrokerType> {
        let current = self.context.current()?;
        let Advice::Change { shape, .. } = size(&current, self.recent(), &Question::usual()).ok()?.advice else {
            return None;
        };
        let is_larger = shape.brokers == current.brokers && current.broker_type.larger().contains(&shape.broker_type);
        is_larger.then_some(shape.broker_type)
    }

    /// The next larger broker type that `fits` as a remedy, with what is used now.
    pub fn larger_that(
        &self,
        fits: impl Fn(&BrokerType) -> bool,
        reason: &str,
        demand_is_higher: bool,
    ) -> Option<Remedy> {
        let from = self.context.known_type()?;
        let used = self.typical(BrokerSample::cpu_percent).zip(self.vcpus()).map(|(cpu, vcpus)| cpu / 100.0 * vcpus);
        Some(Remedy::Resize(Resize {
            from,
            to: from.larger().into_iter().find(fits)?,
            brokers: self.context.broker_count,
            reason: reason.to_owned(),
            vcpus_used: used,
            demand_is_higher,
        }))
    }

    /// More brokers of the same type as a remedy for CPU, where there is no larger one: as many as leave [`CPU_PERCENT`] with
    /// one broker away.
    pub fn more_brokers(&self) -> Option<Remedy> {
        let used = self.typical(BrokerSample::cpu_percent)? * f64::from(self.context.broker_count);
        let of_type = self.context.known_type()?;
        let reason = format!("{of_type} is the largest of its family, and the load needs more CPU");
        self.more_brokers_that(|to| used / f64::from(to - 1) <= CPU_PERCENT, reason)
    }

    /// As many more brokers of the same type as are `enough`, in steps of the zones.
    pub fn more_brokers_that(&self, enough: impl Fn(u32) -> bool, reason: String) -> Option<Remedy> {
        let from = self.context.broker_count;
        // MSK has brokers in two or three zones, as many in each.
        let zones = if from.is_multiple_of(3) { 3 } else { 2 };
        let to = (1..=from).map(|step| from + step * zones).find(|to| enough(*to))?;
        Some(Remedy::ScaleOut(ScaleOut { from, to, broker_type: self.context.known_type(), reason }))
    }

    /// Acknowledged against offered records, when a load generator was seen to fall behind.
    pub fn load_evidence(&self) -> Option<Evidence> {
        let loads: Vec<_> = self.recent().iter().filter_map(|sample| sample.load).collect();
        let mean = |value: fn(&crate::sample::LoadSample) -> f64| {
            (!loads.is_empty()).then(|| loads.iter().map(value).sum::<f64>() / loads.len() as f64)
        };
        let (offered, acknowledged) = (mean(|load| load.offered_per_s)?, mean(|load| load.acknowledged_per_s)?);
        (acknowledged < offered * 0.97).then(|| {
            let text = format!("{acknowledged:.0} of {offered:.0} offered records/s are acknowledged");
            Evidence::measured(text, acknowledged, offered)
        })
    }
}

/// The state of a broker in a sample; one that is not in it is not reached. One whose Kafka port answers serves, though its
/// metrics were not available.
fn state_of(sample: &Sample, id: BrokerId) -> BrokerState {
    match sample.brokers.get(&id) {
        None => BrokerState::Unreachable,
        Some(broker) if broker.state == BrokerState::Unreachable && broker.round_trip_ms().is_some() => {
            BrokerState::Serving
        }
        Some(broker) => broker.state,
    }
}

/// `broker 2` or `brokers 1, 3`.
pub fn names(brokers: &[BrokerId]) -> String {
    let ids: Vec<String> = brokers.iter().map(ToString::to_string).collect();
    format!("broker{} {}", if ids.len() == 1 { "" } else { "s" }, ids.join(", "))
}

/// Time that produce requests wait for followers, ms. CloudWatch has no metric of it: it is what is left of the whole time.
pub fn remote_ms(broker: &BrokerSample) -> Option<f64> {
    let times = broker.produce?;
    times.remote_ms.or_else(|| Some((times.total_ms - times.local_ms? - times.queue_ms.unwrap_or(0.0)).max(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::{Verdict, diagnose},
        sample::RequestTimes,
    };

    /// Minutes of CloudWatch, each with its CPU and produce time.
    fn minutes(values: &[(f64, f64)]) -> Vec<Sample> {
        let broker = |(cpu, total_ms): (f64, f64)| BrokerSample {
            state: BrokerState::Serving,
            cpu_user_percent: Some(cpu),
            cpu_system_percent: Some(0.0),
            under_replicated_partitions: Some(0),
            disk_used_percent: Some(20.0),
            heap_after_gc_percent: Some(30.0),
            under_min_isr_partitions: Some(0),
            partition_count: Some(12),
            connections_created_per_s: Some(0.5),
            bytes_in_per_s: Some(1e6),
            bytes_out_per_s: Some(0.0),
            messages_in_per_s: Some(1000.0),
            produce: Some(RequestTimes {
                total_ms,
                local_ms: Some(total_ms / 2.0),
                throttle_ms: Some(0.0),
                ..RequestTimes::default()
            }),
            ..BrokerSample::default()
        };
        let sample = |(n, values): (usize, &(f64, f64))| Sample {
            at_ms: n as i64 * 60_000,
            source: Source::CloudWatch,
            brokers: (1..=3).map(|id| (id, broker(*values))).collect(),
            ..Sample::default()
        };
        values.iter().enumerate().map(sample).collect()
    }

    #[test]
    fn two_bad_minutes_after_ten_calm_ones_are_the_recent_part() {
        let context = Context { broker_type: Some("kafka.t3.small".into()), broker_count: 3, ..Context::default() };
        let (calm, bad) = ((12.0, 4.0), (86.0, 900.0));
        let first = |samples: &[Sample]| {
            let found = diagnose(&context, samples);
            (found.verdict, found.findings.first().map(|finding| finding.id))
        };
        let mut samples = minutes(&[[calm; 10].as_slice(), &[bad; 2]].concat());
        let window = Window::new(&context, &samples);
        assert_eq!((window.recent().len(), window.all().len()), (2, 12));
        assert_eq!(window.calm_produce_ms(1), Some(4.0), "the earlier minutes are the baseline");
        assert_eq!(first(&samples), (Verdict::CauseFound, Some("broker.undersized")));
        samples.pop();
        assert_eq!(first(&samples), (Verdict::Healthy, Some("healthy")), "one bad minute does not last");
        assert_eq!(Window::new(&context, &samples[..1]).recent().len(), 1);
        assert!(Window::new(&context, &[]).recent().is_empty());
    }
}
