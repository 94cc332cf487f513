//! What reading may cost: how often a round can be, and when it cannot be at all.

use std::time::Duration;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// Seconds of a day.
const DAY_S: f64 = 24.0 * 3600.0;

/// The longest time between two rounds at which this still is watching.
const SLOWEST: Duration = Duration::from_secs(3600);

/// What was spent today, by the clock of UTC.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    day: Option<Date>,
    usd: f64,
}

/// Whether a round may be read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decision {
    /// It may, and the next one after this time.
    Read { next: Duration },
    /// Not today: the day's money is spent.
    Wait { until: Timestamp },
    /// Never: not even a round an hour can be paid.
    TooDear { usd_per_day: f64 },
}

impl Spent {
    /// Decides on a round that costs `usd`.
    pub fn decide(&self, now: Timestamp, usd: f64, interval: Duration, max_usd_per_day: f64) -> Decision {
        let paid = Duration::from_secs_f64((usd / max_usd_per_day * DAY_S).clamp(0.0, 1e9));
        if paid > SLOWEST {
            return Decision::TooDear { usd_per_day: usd * DAY_S / SLOWEST.as_secs_f64() };
        }
        let today = day(now);
        let spent = if self.day == Some(today) { self.usd } else { 0.0 };
        let tomorrow = today.tomorrow().ok().and_then(|day| day.to_zoned(TimeZone::UTC).ok());
        match tomorrow {
            // A thousandth of a cent is no reason to stop.
            Some(tomorrow) if spent + usd > max_usd_per_day + 1e-5 => Decision::Wait { until: tomorrow.timestamp() },
            _ => Decision::Read { next: interval.max(paid) },
        }
    }

    /// Adds what was spent.
    pub fn add(&mut self, now: Timestamp, usd: f64) {
        let today = day(now);
        if self.day != Some(today) {
            *self = Spent { day: Some(today), usd: 0.0 };
        }
        self.usd += usd;
    }

    /// What was spent today, USD.
    pub fn today(&self, now: Timestamp) -> f64 {
        if self.day == Some(day(now)) { self.usd } else { 0.0 }
    }
}

fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(300);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn rounds_are_as_often_as_is_asked_or_as_can_be_paid() {
        let spent = Spent::default();
        let decide = |usd| spent.decide(at("2026-12-01T10:00:00Z"), usd, INTERVAL, 5.0);
        // 288 rounds a day for less than USD 5.
        assert_eq!(decide(0.01), Decision::Read { next: INTERVAL });
        assert_eq!(decide(0.05), Decision::Read { next: Duration::from_secs(864) });
        assert!(matches!(decide(0.30), Decision::TooDear { usd_per_day } if (usd_per_day - 7.2).abs() < 1e-9));
    }

    #[test]
    fn a_day_never_costs_more_whatever_is_restarted() {
        let (mut spent, mut now, mut paid) = (Spent::default(), at("2026-12-01T00:00:00Z"), 0.0);
        // Restarted after every round, so that no interval is kept.
        while let Decision::Read { .. } = spent.decide(now, 0.07, INTERVAL, 5.0) {
            spent.add(now, 0.07);
            paid += 0.07;
            now += Duration::from_secs(1);
        }
        assert!(paid <= 5.0 + 1e-5 && paid > 4.9, "{paid}");
        let tomorrow = at("2026-12-02T00:00:00Z");
        assert_eq!(spent.decide(now, 0.07, INTERVAL, 5.0), Decision::Wait { until: tomorrow });
        assert!(matches!(spent.decide(tomorrow, 0.07, INTERVAL, 5.0), Decision::Read { .. }));
        assert_eq!(spent.today(tomorrow), 0.0);
    }
}
