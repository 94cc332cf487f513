//! One rate, tried for a while: what it showed, and whether the cluster holds it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Acknowledged over offered below which a load is not carried; above the second it is not clear (a design choice).
const CARRIED: f64 = 0.99;
const CLEARLY_NOT_CARRIED: f64 = 0.95;

/// CPU over what is allowed from which a failure is clear.
const CLEARLY_ABOVE: f64 = 1.15;

/// CPU from which a broker is taken to be at its end, percent: more load does not show any more.
const FULL_PERCENT: f64 = 95.0;

/// An objective missed by this factor is missed clearly.
const CLEARLY_MISSED: f64 = 2.0;

/// CPU that the brokers may have that are left when one is away, percent. While all three of three are there, that is the 60 % of
/// MSK's best practices.
const MOST_CPU_PERCENT: f64 = 90.0;

/// CPU that each of `brokers` may have, percent of its vCPUs: so much that the others can do its work, if they have to.
pub fn cpu_allowed_percent(brokers: usize, survive_broker: bool) -> f64 {
    let left = if survive_broker && brokers > 1 { (brokers - 1) as f64 / brokers as f64 } else { 1.0 };
    MOST_CPU_PERCENT * left
}

/// CPU of a broker that took `slowdown` times as much for its work as usual, as it usually is, percent.
pub fn corrected_percent(cpu_percent: f64, slowdown: Option<f64>) -> f64 {
    cpu_percent / slowdown.unwrap_or(1.0)
}

/// What a trial showed; the time before the load had settled is not in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Trial {
    /// Records/s that were to be sent.
    pub asked_per_s: f64,
    pub acknowledged_per_s: f64,
    /// Bytes/s of values that were acknowledged.
    pub bytes_per_s: f64,
    /// Records that were given up.
    pub failed: u64,
    /// The machine that sends was late; the cluster had no part in it.
    pub generator_bound: bool,
    pub p99_ms: Option<f64>,
    /// Objectives that were missed: as asked, and what was reached over the limit.
    pub missed: Vec<(String, f64)>,
    /// CPU of the busiest broker, the mean of the trial, percent; `None` where it was not seen. In the lab it is
    /// corrected for the pace of the machine.
    pub cpu_percent: Option<f64>,
    /// In the lab: how many times as much CPU time brokers took for their work as they usually take on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowdown: Option<f64>,
    /// What that may be, so that the rest can do the work of a broker that is away: less where the broker lives on credits.
    pub cpu_allowed_percent: f64,
    /// Partitions with replicas out of sync at the end; `None` where it was not seen.
    pub out_of_sync: Option<u64>,
    /// What `kgen diagnose` makes of the trial: the id of its first finding, if that is a cause.
    pub cause: Option<String>,
}

/// Whether a cluster holds a rate.
#[derive(Debug, Clone, PartialEq)]
pub enum Held {
    Yes,
    /// `is_clear`: no noise explains it.
    No {
        limit: Limit,
        is_clear: bool,
    },
    /// Nothing was learnt.
    GeneratorBound,
}

impl Held {
    /// Whether the rate holds, or fails by CPU alone.
    pub fn is_but_for_cpu(&self) -> bool {
        matches!(self, Held::Yes | Held::No { limit: Limit::Cpu { .. }, .. })
    }
}

/// What a rate fails by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Limit {
    /// Records were given up.
    Errors { failed: u64 },
    /// CPU leaves no room for a broker that is away.
    Cpu { percent: f64, allowed_percent: f64 },
    /// Replicas fell out of sync.
    Replication { partitions: u64 },
    /// Fewer records were acknowledged than sent. `cause`: what the diagnosis names.
    Throughput { cause: Option<String> },
    /// An objective was missed, likewise.
    Objective { objective: String, cause: Option<String> },
}

impl Trial {
    pub fn held(&self) -> Held {
        let cpu = if self.is_full() { self.seen_percent() } else { self.cpu_percent };
        let cpu = cpu.filter(|cpu| *cpu > self.cpu_allowed_percent);
        match (self.held_but_for_cpu(), cpu) {
            (Held::No { limit: Limit::Errors { failed }, is_clear }, _) => {
                Held::No { limit: Limit::Errors { failed }, is_clear }
            }
            // A busy cluster answers late, which holds the generator up too.
            (_, Some(percent)) => Held::No {
                limit: Limit::Cpu { percent, allowed_percent: self.cpu_allowed_percent },
                is_clear: percent > self.cpu_allowed_percent * CLEARLY_ABOVE,
            },
            (held, None) => held,
        }
    }

    /// The same, whatever CPU it takes.
    pub fn held_but_for_cpu(&self) -> Held {
        let carried = self.acknowledged_per_s / self.asked_per_s.max(f64::MIN_POSITIVE);
        let no = |limit, is_clear| Held::No { limit, is_clear };
        match self.out_of_sync {
            _ if self.failed > 0 => no(Limit::Errors { failed: self.failed }, true),
            _ if self.generator_bound => Held::GeneratorBound,
            Some(partitions) if partitions > 0 => no(Limit::Replication { partitions }, false),
            _ if carried < CARRIED => {
                no(Limit::Throughput { cause: self.cause.clone() }, carried < CLEARLY_NOT_CARRIED)
            }
            _ => self.objectives(),
        }
    }

    /// Whether the busiest broker is at its end: it has no CPU left, whatever the machine would give at another time.
    pub fn is_full(&self) -> bool {
        self.seen_percent().is_some_and(|cpu| cpu >= FULL_PERCENT)
    }

    /// CPU of the busiest broker without the correction, percent.
    fn seen_percent(&self) -> Option<f64> {
        Some(self.cpu_percent? * self.slowdown.unwrap_or(1.0))
    }

    fn objectives(&self) -> Held {
        let Some((objective, over)) = self.missed.iter().max_by(|a, b| a.1.total_cmp(&b.1)) else { return Held::Yes };
        let limit = Limit::Objective { objective: objective.clone(), cause: self.cause.clone() };
        Held::No { limit, is_clear: *over > CLEARLY_MISSED }
    }

    /// How many times the load CPU has room for; `None` where it says nothing.
    pub fn room(&self) -> Option<f64> {
        self.cpu_percent.filter(|cpu| *cpu > 2.0).map(|cpu| self.cpu_allowed_percent / cpu)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |f: &mut fmt::Formatter<'_>, cause: &Option<String>| match cause {
            Some(cause) => write!(f, " ({cause})"),
            None => Ok(()),
        };
        match self {
            Limit::Errors { failed } => write!(f, "errors: {failed} records failed"),
            Limit::Cpu { percent, allowed_percent } if percent.round() > allowed_percent.round() => {
                write!(f, "CPU: {percent:.0} %, and {allowed_percent:.0} % leaves room for a broker that is away")
            }
            Limit::Cpu { allowed_percent, .. } => {
                write!(f, "CPU: {allowed_percent:.0} %, the most that leaves room for a broker that is away")
            }
            Limit::Replication { partitions } => write!(f, "replication: {partitions} partitions out of sync"),
            Limit::Throughput { cause } => {
                write!(f, "throughput: fewer records are acknowledged than sent")?;
                named(f, cause)
            }
            Limit::Objective { objective, cause } => {
                write!(f, "latency: {objective} is missed")?;
                named(f, cause)
            }
        }
    }
}
