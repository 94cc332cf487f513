//! When each record is due: an absolute schedule that a late caller catches up with.

use std::{fmt, str::FromStr, time::Duration};

use rand::{Rng, SeedableRng, rngs::SmallRng};

/// How fast records become due.
#[derive(Debug, Clone, PartialEq)]
pub enum Rate {
    /// Evenly spaced, records/s.
    Constant(f64),
    /// From one rate to another over the whole duration, records/s.
    Ramp(f64, f64),
    /// One constant rate after another, each for a time of its own.
    Steps(Vec<Step>),
    /// Independent arrivals with this mean, records/s.
    Poisson(f64),
    /// As fast as the cluster takes them: closed loop, a record is due when it is sent.
    Max,
}

/// A constant rate for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Records/s; 0 is a pause.
    pub rate: f64,
    pub length: Duration,
}

/// What `--rate` may be, for messages.
const FORMS: &str = "records/s above 0, `100..900`, `100x30s,500x60s`, `poisson:500` or `max`";

impl Rate {
    /// The mean rate requested in a run of this length, records/s; `None` for [`Rate::Max`].
    pub fn mean(&self, duration: Duration) -> Option<f64> {
        match self {
            Rate::Constant(rate) | Rate::Poisson(rate) => Some(*rate),
            Rate::Ramp(from, to) => Some((from + to) / 2.0),
            Rate::Steps(steps) => {
                let length = duration.min(length(steps));
                let due = due_by(&segments(self), length.as_nanos() as u64);
                Some(due / length.as_secs_f64().max(1e-9))
            }
            Rate::Max => None,
        }
    }

    /// The rate at a moment of a run of this length, records/s; `None` for [`Rate::Max`].
    pub fn at(&self, elapsed: Duration, duration: Duration) -> Option<f64> {
        let rate = match self {
            Rate::Max => return None,
            Rate::Constant(rate) | Rate::Poisson(rate) => *rate,
            Rate::Ramp(from, to) => from + (to - from) * elapsed.as_secs_f64() / duration.as_secs_f64().max(1e-9),
            Rate::Steps(steps) => {
                let mut end = Duration::ZERO;
                let is_on = |step: &&Step| {
                    end += step.length;
                    elapsed < end
                };
                steps.iter().find(is_on).map_or(0.0, |step| step.rate)
            }
        };
        Some(if elapsed < duration { rate } else { 0.0 })
    }

    /// The moments of a run of this length at which the rate changes, its start and its end among them.
    pub fn changes(&self, duration: Duration) -> Vec<Duration> {
        let mut changes = vec![Duration::ZERO];
        if let Rate::Steps(steps) = self {
            let mut end = Duration::ZERO;
            changes.extend(steps.iter().map(|step| {
                end += step.length;
                end
            }));
        }
        changes.push(duration);
        changes
    }

    /// How long the schedule is by itself: only steps have an end.
    pub fn length(&self) -> Option<Duration> {
        match self {
            Rate::Steps(steps) => Some(length(steps)),
            _ => None,
        }
    }
}

fn length(steps: &[Step]) -> Duration {
    steps.iter().fold(Duration::ZERO, |sum, step| sum.saturating_add(step.length))
}

/// Reads `500`, `100..900` (a ramp), `100x30s,500x60s` (steps), `poisson:500` or `max`.
impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |text: &str| format!("`{text}` is not a rate: use {FORMS}");
        let number = |text: &str| match text.trim().parse::<f64>() {
            Ok(rate) if rate.is_finite() && (0.0..=1e8).contains(&rate) => Ok(rate),
            _ => Err(wrong(text)),
        };
        let positive = |text: &str| number(text).and_then(|rate| if rate > 0.0 { Ok(rate) } else { Err(wrong(text)) });
        if text == "max" {
            Ok(Rate::Max)
        } else if let Some(rate) = text.strip_prefix("poisson:") {
            positive(rate).map(Rate::Poisson)
        } else if text.contains('x') {
            let step = |part: &str| {
                let (rate, time) = part.split_once('x').ok_or_else(|| wrong(part))?;
                let (rate, length) = (number(rate).map_err(|_| wrong(part))?, duration(time)?);
                if length.is_zero() { Err(wrong(part)) } else { Ok(Step { rate, length }) }
            };
            let steps = text.split(',').map(step).collect::<Result<Vec<_>, _>>()?;
            if steps.iter().all(|step| step.rate == 0.0) { Err(wrong(text)) } else { Ok(Rate::Steps(steps)) }
        } else if let Some((from, to)) = text.split_once("..") {
            Ok(Rate::Ramp(positive(from)?, positive(to)?))
        } else {
            positive(text).map(Rate::Constant)
        }
    }
}

/// As it is read.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rate::Constant(rate) => write!(f, "{rate}"),
            Rate::Ramp(from, to) => write!(f, "{from}..{to}"),
            Rate::Steps(steps) => {
                let step = |step: &Step| format!("{}x{}s", step.rate, step.length.as_secs_f64());
                f.write_str(&steps.iter().map(step).collect::<Vec<_>>().join(","))
            }
            Rate::Poisson(rate) => write!(f, "poisson:{rate}"),
            Rate::Max => f.write_str("max"),
        }
    }
}

/// Seconds as the seed's script takes them, or with a unit: `500ms`, `90s`, `10m`, `1h`.
///
/// # Errors
/// Says what a duration looks like.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" | "s" => 1.0,
        "ms" => 1e-3,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("`{text}` is not a duration: use seconds, or 500ms, 90s, 10m, 1h")),
    };
    let seconds = number.parse::<f64>().ok().map(|number| number * factor);
    seconds
        .filter(|seconds| *seconds <= 30.0 * 86_400.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("`{text}` is not a duration up to 30 days: use seconds, or 500ms, 90s, 10m, 1h"))
}

/// A stretch of a schedule in which records are evenly spaced.
#[derive(Debug, Clone, Copy)]
struct Segment {
    /// ns after the start.
    from: u64,
    /// Records due before it.
    first: f64,
    /// Records/s.
    rate: f64,
}

/// The stretches of an even schedule; none where arrivals are not even.
fn segments(rate: &Rate) -> Vec<Segment> {
    match rate {
        Rate::Constant(rate) => vec![Segment { from: 0, first: 0.0, rate: *rate }],
        Rate::Steps(steps) => {
            let (mut from, mut first) = (0, 0.0);
            let segment = |step: &Step| {
                let segment = Segment { from, first, rate: step.rate };
                from += step.length.as_nanos() as u64;
                first += step.rate * step.length.as_secs_f64();
                segment
            };
            steps.iter().map(segment).collect()
        }
        _ => Vec::new(),
    }
}

/// Records due before `at`, ns after the start.
fn due_by(segments: &[Segment], at: u64) -> f64 {
    let index = segments.partition_point(|segment| segment.from <= at).saturating_sub(1);
    segments.get(index).map_or(0.0, |segment| segment.first + (at - segment.from) as f64 * segment.rate / 1e9)
}

/// What a [`Pacer`] answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A record has been due since this moment, ns after the start.
    Due(u64),
    /// The next record is due at this moment, ns after the start.
    At(u64),
    /// Every record of the schedule has been sent.
    Over,
}

/// One client's part of the schedule. Times are nanoseconds since the start.
#[derive(Debug)]
pub struct Pacer {
    rate: Rate,
    /// Of an even schedule.
    segments: Vec<Segment>,
    end: u64,
    client: u64,
    clients: u64,
    limit: u64,
    sent: u64,
    due: u64,
    random: SmallRng,
}

impl Pacer {
    /// The part of client number `client` of `clients`; at most `limit` records.
    pub fn new(rate: Rate, duration: Duration, client: u64, clients: u64, limit: u64, seed: u64) -> Self {
        let duration = duration.min(rate.length().unwrap_or(Duration::MAX));
        let end = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let random = SmallRng::seed_from_u64(seed ^ (client << 32) ^ 0x7061_6365);
        let segments = segments(&rate);
        let mut pacer = Pacer { rate, segments, end, client, clients, limit, sent: 0, due: 0, random };
        pacer.due = pacer.due_after(0);
        pacer
    }

    /// Whether a record is due at `now`. Answers the same until [`Pacer::sent`] is called.
    pub fn next(&self, now: u64) -> Next {
        let due = if self.rate == Rate::Max { now } else { self.due };
        if due >= self.end || self.sent >= self.limit {
            Next::Over
        } else if due <= now {
            Next::Due(due)
        } else {
            Next::At(due)
        }
    }

    /// Advances to the record after this one.
    pub fn sent(&mut self) {
        self.sent += 1;
        self.due = self.due_after(self.due);
    }

    /// ns after the start from which nothing is due any more.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Records that are due at `now` and have not been sent.
    pub fn backlog(&self, now: u64) -> u64 {
        let left = self.limit.saturating_sub(self.sent);
        match self.rate {
            Rate::Max => 0,
            _ if self.due > now || self.due >= self.end => 0,
            Rate::Constant(_) | Rate::Steps(_) => {
                // Records of all clients that are due before this moment.
                let due = due_by(&self.segments, now.saturating_add(1).min(self.end)).ceil() as u64;
                let ours = due.saturating_sub(self.client).div_ceil(self.clients);
                ours.saturating_sub(self.sent).min(left)
            }
            // What these owe is known on average only.
            Rate::Poisson(rate) => {
                let waiting = (now.min(self.end) - self.due) as f64 / 1e9 * rate / self.clients as f64;
                (waiting as u64 + 1).min(left)
            }
            Rate::Ramp(from, to) => {
                let seconds = |ns: u64| ns as f64 / 1e9;
                let until = |t: f64| from * t + (to - from) * t * t / (2.0 * seconds(self.end));
                let waiting = (until(seconds(now.min(self.end))) - until(seconds(self.due))) / self.clients as f64;
                (waiting as u64 + 1).min(left)
            }
        }
    }

    fn due_after(&mut self, previous: u64) -> u64 {
        let number = (self.sent * self.clients + self.client) as f64;
        match self.rate {
            Rate::Max => 0,
            // Computed from the start every time: an error of rounding cannot add up.
            Rate::Constant(_) | Rate::Steps(_) => {
                let index = self.segments.partition_point(|segment| segment.first <= number).saturating_sub(1);
                match self.segments.get(index) {
                    Some(segment) if segment.rate > 0.0 => {
                        segment.from + ((number - segment.first) * 1e9 / segment.rate) as u64
                    }
                    // A pause to the end.
                    _ => u64::MAX,
                }
            }
            Rate::Poisson(rate) => {
                let unit: f64 = self.random.random::<f64>();
                previous + (-(1.0 - unit).ln() * self.clients as f64 / rate * 1e9) as u64
            }
            Rate::Ramp(from, to) => {
                let (seconds, slope) = (self.end as f64 / 1e9, to - from);
                // number = from·t + slope·t²/2·seconds, in the form that also stands a slope of zero.
                let root = (from * from + 2.0 * slope / seconds * number).max(0.0).sqrt();
                let due = 2.0 * number / (from + root);
                if due.is_finite() && root > 0.0 { (due * 1e9) as u64 } else { u64::MAX }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records sent by a caller that comes at each of these moments (ms).
    fn check(rate: &str, calls: &[(u64, u64)]) {
        let mut pacer = Pacer::new(rate.parse().unwrap(), Duration::from_secs(2), 0, 1, u64::MAX, 7);
        for &(at_ms, expected) in calls {
            let backlog = pacer.backlog(at_ms * 1_000_000);
            let mut sent = 0;
            while let Next::Due(due) = pacer.next(at_ms * 1_000_000) {
                assert!(due <= at_ms * 1_000_000);
                pacer.sent();
                sent += 1;
            }
            assert_eq!(sent, expected, "{rate} at {at_ms} ms");
            assert_eq!(backlog, expected, "backlog of {rate} at {at_ms} ms");
        }
    }

    #[test]
    fn a_stall_is_caught_up() {
        check("1000", &[(0, 1), (100, 100), (900, 800), (901, 1)]);
        check("1000", &[(5000, 2000), (6000, 0)]);
        check("500", &[(1999, 1000), (2001, 0)]);
    }

    #[test]
    fn steps_follow_each_other_with_pauses_between() {
        check("1000x500ms,0x500ms,100x1s", &[(499, 500), (999, 0), (1000, 1), (1500, 50), (5000, 49)]);
        check("10x1s,30x1s", &[(1000, 11), (1999, 29)]);
        // The duration cuts them short; they do not make it longer.
        check("100x10s", &[(60_000, 200)]);
        check("100x1s,0x9s", &[(60_000, 100)]);
        let mean = |rate: &str, s| rate.parse::<Rate>().unwrap().mean(Duration::from_secs(s)).unwrap();
        assert_eq!(mean("100x30s,500x60s", 90), 33_000.0 / 90.0);
        assert_eq!(mean("100x30s,500x60s", 30), 100.0);
        assert_eq!("1x30s,2x1m".parse::<Rate>().unwrap().length(), Some(Duration::from_secs(90)));
    }

    #[test]
    fn a_rate_is_written_as_it_is_read() {
        for text in ["500", "333.3", "100..900", "100x30s,0x0.5s,500x60s", "poisson:0.1", "max"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in ["", "0", "-1", "x", "100x", "100x0s", "0x10s", "100x30s,", "100x30y", "1..", "poisson:0", "fast"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_read_with_and_without_a_unit() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(duration(text).ok(), expected.map(Duration::from_millis), "{text}");
        };
        check("600", Some(600_000));
        check("10m", Some(600_000));
        check("1h", Some(3_600_000));
        check("1.5s", Some(1500));
        check("5ms", Some(5));
        check("", None);
        check("-1", None);
        check("10 minutes", None);
        check("9999h", None);
    }

    #[test]
    fn a_ramp_sends_what_its_mean_promises() {
        let mut pacer = Pacer::new(Rate::Ramp(100.0, 900.0), Duration::from_secs(10), 0, 1, u64::MAX, 7);
        let mut dues = Vec::new();
        while let Next::Due(due) = pacer.next(u64::MAX - 1) {
            dues.push(due);
            pacer.sent();
        }
        assert_eq!(dues.len(), 5000);
        assert!(dues.is_sorted());
        let first_second = dues.iter().filter(|due| **due < 1_000_000_000).count();
        assert!((139..=141).contains(&first_second), "{first_second}");
    }

    #[test]
    fn arrivals_are_repeatable_and_keep_their_mean() {
        let dues = |seed| {
            let mut pacer = Pacer::new(Rate::Poisson(1000.0), Duration::from_secs(20), 0, 1, u64::MAX, seed);
            let mut dues = Vec::new();
            while let Next::Due(due) = pacer.next(u64::MAX - 1) {
                dues.push(due);
                pacer.sent();
            }
            dues
        };
        assert_eq!(dues(1), dues(1));
        assert_ne!(dues(1), dues(2));
        assert!((19_300..20_700).contains(&dues(1).len()), "{}", dues(1).len());
    }

    #[test]
    fn clients_share_one_schedule() {
        let mut dues = Vec::new();
        for client in 0..3 {
            let mut pacer = Pacer::new(Rate::Constant(300.0), Duration::from_secs(1), client, 3, u64::MAX, 7);
            while let Next::Due(due) = pacer.next(u64::MAX - 1) {
                dues.push(due);
                pacer.sent();
            }
        }
        dues.sort_unstable();
        let alone: Vec<u64> = (0..300).map(|k| (k as f64 * 1e9 / 300.0) as u64).collect();
        assert_eq!(dues, alone);
    }
}
