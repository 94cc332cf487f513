//! When each record is due: an absolute schedule that a late caller catches up with.

use std::{str::FromStr, time::Duration};

use rand::{Rng, SeedableRng, rngs::SmallRng};

/// How fast records become due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// Evenly spaced, records/s.
    Constant(f64),
    /// From one rate to another over the whole duration, records/s.
    Ramp(f64, f64),
    /// Independent arrivals with this mean, records/s.
    Poisson(f64),
    /// As fast as the cluster takes them: closed loop, a record is due when it is sent.
    Max,
}

impl Rate {
    /// The mean rate asked for, records/s; `None` for [`Rate::Max`].
    pub fn mean(self) -> Option<f64> {
        match self {
            Rate::Constant(rate) | Rate::Poisson(rate) => Some(rate),
            Rate::Ramp(from, to) => Some((from + to) / 2.0),
            Rate::Max => None,
        }
    }
}

/// Reads `500`, `100..900` (a ramp), `poisson:500` or `max`.
impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let positive = |text: &str| match text.trim().parse::<f64>() {
            Ok(rate) if rate.is_finite() && rate > 0.0 && rate <= 1e8 => Ok(rate),
            _ => Err(format!("`{text}` is no rate: give records/s above 0, `100..900`, `poisson:500` or `max`")),
        };
        if text == "max" {
            Ok(Rate::Max)
        } else if let Some(rate) = text.strip_prefix("poisson:") {
            positive(rate).map(Rate::Poisson)
        } else if let Some((from, to)) = text.split_once("..") {
            Ok(Rate::Ramp(positive(from)?, positive(to)?))
        } else {
            positive(text).map(Rate::Constant)
        }
    }
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
        let end = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let random = SmallRng::seed_from_u64(seed ^ (client << 32) ^ 0x7061_6365);
        let mut pacer = Pacer { rate, end, client, clients, limit, sent: 0, due: 0, random };
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

    /// Goes on to the record after this one.
    pub fn sent(&mut self) {
        self.sent += 1;
        self.due = self.due_after(self.due);
    }

    /// Records that are due at `now` and have not been sent.
    pub fn backlog(&self, now: u64) -> u64 {
        let left = self.limit.saturating_sub(self.sent);
        match self.rate {
            Rate::Max => 0,
            _ if self.due > now || self.due >= self.end => 0,
            Rate::Constant(rate) => {
                // Records of all clients that are due before this moment.
                let due = (now.saturating_add(1).min(self.end) as f64 * rate / 1e9).ceil() as u64;
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
            Rate::Constant(rate) => (number * 1e9 / rate) as u64,
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
