//! When a limit is reached, if the trend of the daily peaks continues.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Current,
    history::{DAY_MS, History, Minute},
};
use crate::statistics::median;

/// Days with data that a trend needs.
const LEAST_DAYS: usize = 5;

/// Beyond this a date says nothing, days.
const HORIZON_DAYS: f64 = 365.0;

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reaches {
    /// The fullest data volume is full.
    DiskFull,
    /// The busiest broker is at the target CPU.
    TargetCpu,
}

/// When a limit is reached: by the middle of the slopes between all pairs of days, and by the ends of the interval that holds
/// 80 of 100 of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Forecast {
    pub what: Reaches,
    /// From the last minute of the history.
    pub days: f64,
    /// Ms since the epoch, as are the next two.
    pub at_ms: i64,
    pub earliest_at_ms: i64,
    /// `None`: not within a year.
    pub latest_at_ms: Option<i64>,
}

pub fn forecast(current: &Current, history: &History, target_cpu: f64) -> Vec<Forecast> {
    let disk = current.volume_gib.and_then(|_| of(history, Reaches::DiskFull, 100.0, |minute| minute.disk_percent));
    let cpu = of(history, Reaches::TargetCpu, target_cpu, |minute| minute.cpu_percent);
    disk.into_iter().chain(cpu).collect()
}

/// How far ahead `--growth auto` plans, days (a design choice: a quarter).
pub const AHEAD_DAYS: f64 = 90.0;

/// Growth of the daily peaks of what clients write, [`AHEAD_DAYS`] ahead, percent; not below 0. Nothing without a trend.
pub fn percent(history: &History) -> Option<f64> {
    let trend = Trend::of(history, |minute| Some(minute.total(|point| point.bytes_in)))?;
    (trend.now > 0.0).then(|| (trend.slope(0.5) * AHEAD_DAYS / trend.now * 100.0).max(0.0))
}

fn of(history: &History, what: Reaches, limit: f64, value: fn(&Minute) -> Option<f64>) -> Option<Forecast> {
    let trend = Trend::of(history, value)?;
    let until = |share: f64| {
        let slope = trend.slope(share);
        (slope > 0.0).then(|| ((limit - trend.now) / slope).max(0.0)).filter(|days| *days <= HORIZON_DAYS)
    };
    let last_ms = history.minutes.last()?.at_ms;
    let at_ms = |days: f64| last_ms + (days * DAY_MS as f64) as i64;
    let days = until(0.5)?;
    Some(Forecast {
        what,
        days,
        at_ms: at_ms(days),
        earliest_at_ms: at_ms(until(0.9)?),
        latest_at_ms: until(0.1).map(at_ms),
    })
}

/// The daily peaks as a line, by Theil and Sen: a day of a load test or of silence changes few of the slopes.
struct Trend {
    /// Between every pair of days, a day, in order.
    slopes: Vec<f64>,
    /// The line on the last day.
    now: f64,
}

impl Trend {
    fn of(history: &History, value: fn(&Minute) -> Option<f64>) -> Option<Trend> {
        let mut peaks: BTreeMap<i64, f64> = BTreeMap::new();
        for minute in &history.minutes {
            if let Some(value) = value(minute) {
                let peak = peaks.entry(minute.at_ms.div_euclid(DAY_MS)).or_insert(value);
                *peak = peak.max(value);
            }
        }
        let days: Vec<(i64, f64)> = peaks.into_iter().collect();
        if days.len() < LEAST_DAYS {
            return None;
        }
        let mut slopes: Vec<f64> = Vec::new();
        for (n, (day, value)) in days.iter().enumerate() {
            slopes.extend(days[n + 1..].iter().map(|(later, then)| (then - value) / (later - day) as f64));
        }
        slopes.sort_by(f64::total_cmp);
        let last = days.last()?.0;
        let trend = Trend { slopes, now: 0.0 };
        let slope = trend.slope(0.5);
        let now = median(days.iter().map(|(day, value)| value + slope * (last - day) as f64).collect())?;
        Some(Trend { now, ..trend })
    }

    /// The slope that so many of all are below.
    fn slope(&self, share: f64) -> f64 {
        self.slopes[((self.slopes.len() - 1) as f64 * share).round() as usize]
    }
}
