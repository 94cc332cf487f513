//! One machine's part of a load that several machines send, and the instant at which all of them start.
//!
//! The schedule is that of one machine with as many clients as all machines have together. Machine `i` of `N` with `k`
//! clients runs the clients `i`, `i + N`, `i + 2N`, … of `N · k`, so it sends every record whose index is `i` modulo `N`.

use std::{
    str::FromStr,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

/// Most machines of one load.
pub const MOST_MACHINES: u16 = 50;

/// How far ahead of, or behind, a machine's own clock the agreed start may be. Beyond it that clock, or the driver's, is wrong.
const START_AHEAD_MAX: Duration = Duration::from_secs(600);
const START_BEHIND_MAX: Duration = Duration::from_secs(60);

/// Part `index` of `of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Part {
    /// From 0.
    pub index: u16,
    pub of: u16,
}

impl Part {
    /// The whole load.
    pub const WHOLE: Part = Part { index: 0, of: 1 };

    /// The number of this machine's client `client` among all clients of the load.
    pub fn producer(self, client: u16) -> u16 {
        client * self.of + self.index
    }

    /// How many clients all machines have together, if each has `clients`.
    pub fn producers(self, clients: u16) -> u16 {
        clients * self.of
    }

    /// This machine's share of a rate.
    pub fn share(self, rate: f64) -> f64 {
        rate / f64::from(self.of)
    }
}

/// Reads `3/10`: the fourth of ten.
impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (index, of) = text.split_once('/')?;
            Some(Part { index: index.parse().ok()?, of: of.parse().ok()? })
        };
        let is_valid = |part: &Part| part.index < part.of && part.of <= MOST_MACHINES;
        read().filter(is_valid).ok_or_else(|| {
            format!(
                "`{text}` is no part of a load: use INDEX/COUNT with an index from 0 and up to {MOST_MACHINES} parts"
            )
        })
    }
}

/// How a machine met the agreed start, by its own clock.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Start {
    /// Milliseconds since the Unix epoch.
    pub at_ms: f64,
    /// How much later than agreed that was, ms.
    pub late_ms: f64,
}

/// The agreed start is too far from this machine's clock.
#[derive(Debug, thiserror::Error)]
#[error(
    "the agreed start is {seconds:.0} s {direction} by this machine's clock: that clock is wrong, or the command came too late"
)]
pub struct ClockOff {
    seconds: f64,
    direction: &'static str,
}

/// How long to wait at `now` for the start at `agreed`.
///
/// # Errors
/// [`ClockOff`].
pub fn until_start(agreed: SystemTime, now: SystemTime) -> Result<Duration, ClockOff> {
    match agreed.duration_since(now) {
        Ok(ahead) if ahead > START_AHEAD_MAX => Err(ClockOff { seconds: ahead.as_secs_f64(), direction: "ahead" }),
        Ok(ahead) => Ok(ahead),
        Err(behind) if behind.duration() > START_BEHIND_MAX => {
            Err(ClockOff { seconds: behind.duration().as_secs_f64(), direction: "in the past" })
        }
        Err(_) => Ok(Duration::ZERO),
    }
}

/// Waits for the start at `agreed`. `None` when `stop` is set before it: then there is no start.
///
/// # Errors
/// [`ClockOff`].
pub fn await_start(agreed: SystemTime, stop: &AtomicBool) -> Result<Option<Start>, ClockOff> {
    loop {
        let wait = until_start(agreed, SystemTime::now())?;
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if wait.is_zero() {
            break;
        }
        // Short, so that a stop, or a clock that is set meanwhile, is noticed.
        std::thread::sleep(wait.min(Duration::from_millis(100)));
    }
    let now = SystemTime::now();
    let late = now.duration_since(agreed).unwrap_or_default();
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(Some(Start { at_ms: since_epoch.as_secs_f64() * 1000.0, late_ms: late.as_secs_f64() * 1000.0 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::pacer::{Next, Pacer};

    #[test]
    fn parts_are_read() {
        for (text, expected) in [
            ("0/1", Some(Part::WHOLE)),
            ("9/10", Some(Part { index: 9, of: 10 })),
            ("10/10", None),
            ("0/0", None),
            ("0/51", None),
            ("-1/2", None),
            ("1", None),
            ("", None),
        ] {
            assert_eq!(text.parse::<Part>().ok(), expected, "{text}");
        }
    }

    /// Due moments of these machines with `clients` each, by their global client.
    fn dues(rate: &str, machines: u16, clients: u16, limit: u64) -> Vec<(u16, Vec<u64>)> {
        let mut all = Vec::new();
        for index in 0..machines {
            let part = Part { index, of: machines };
            for client in 0..clients {
                let (number, of) = (u64::from(part.producer(client)), u64::from(part.producers(clients)));
                let limit = if limit == u64::MAX { limit } else { limit / of + u64::from(number < limit % of) };
                let mut pacer = Pacer::new(rate.parse().unwrap(), Duration::from_secs(2), number, of, limit, 7);
                let mut dues = Vec::new();
                while let Next::Due(due) = pacer.next(u64::MAX - 1) {
                    dues.push(due);
                    pacer.sent();
                }
                all.push((part.producer(client), dues));
            }
        }
        all.sort_unstable();
        all
    }

    #[test]
    fn the_parts_together_are_the_schedule_of_one_machine() {
        for rate in ["5000", "333.3", "100..900", "1000x500ms,0x500ms,100x1s", "poisson:700"] {
            for (machines, clients) in [(1, 1), (3, 1), (10, 1), (7, 3), (50, 2)] {
                // Client by client, arrivals by chance included.
                let one = dues(rate, 1, machines * clients, u64::MAX);
                assert_eq!(dues(rate, machines, clients, u64::MAX), one, "{rate} on {machines} × {clients}");
                if rate.starts_with("poisson") {
                    continue;
                }
                // And record by record: index n of the schedule is sent by machine n modulo N.
                let mut union: Vec<u64> = one.iter().flat_map(|(_, dues)| dues.iter().copied()).collect();
                union.sort_unstable();
                let alone = dues(rate, 1, 1, u64::MAX).remove(0).1;
                assert_eq!(union, alone, "{rate} on {machines} × {clients}");
                for (producer, dues) in &one {
                    let every = usize::from(machines * clients);
                    let expected: Vec<u64> =
                        alone.iter().copied().skip(usize::from(*producer)).step_by(every).collect();
                    assert_eq!(dues, &expected, "{rate} {producer}");
                }
            }
        }
        let limited: usize = dues("5000", 7, 3, 1000).iter().map(|(_, dues)| dues.len()).sum();
        assert_eq!(limited, 1000);
    }

    #[test]
    fn every_producer_belongs_to_one_machine() {
        let mut numbers: Vec<u16> = (0..10)
            .flat_map(|index| (0..3).map(move |client| (Part { index, of: 10 }).producer(client)))
            .inspect(|number| assert!(*number < 30))
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..30).collect::<Vec<_>>());
    }

    #[test]
    fn a_start_far_from_the_clock_is_refused() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let second = Duration::from_secs(1);
        assert_eq!(until_start(now + second * 5, now).unwrap(), second * 5);
        assert_eq!(until_start(now - second * 2, now).unwrap(), Duration::ZERO);
        let ahead = until_start(now + second * 3600, now).unwrap_err().to_string();
        assert!(ahead.contains("3600 s ahead"), "{ahead}");
        let behind = until_start(now - second * 3600, now).unwrap_err().to_string();
        assert!(behind.contains("3600 s in the past"), "{behind}");
    }
}
