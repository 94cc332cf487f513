//! The time before a search, in which a cluster gets warm: a JVM that has just begun takes several times the CPU, and a search
//! would find the capacity of a cold cluster.

use super::{
    RAISE,
    trial::{Held, Trial},
};

/// Share of the CPU that is allowed from which a load warms a cluster (a design choice).
const WARMS_FROM: f64 = 0.6;

/// CPU over that of the trial before, at the same rate, from which it has stopped falling.
const STEADY: f64 = 0.95;

/// A rate that does not warm is raised by this at least, and aims at this share of the room that CPU shows.
const LEAST_RAISE: f64 = 1.5;
const OF_ROOM: f64 = 0.8;

/// Trials at most.
const MOST_TRIALS: u32 = 12;

/// What was seen so far.
#[derive(Debug, Default)]
pub struct WarmUp {
    /// CPU of the trial before, percent, if it had the same rate.
    before: Option<f64>,
    /// The rate that was held last, records/s.
    held: Option<f64>,
    trials: u32,
}

/// What follows a trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Next {
    /// This rate warms further, records/s.
    Warm(f64),
    /// The cluster is warm, or CPU does not tell: the trial counts.
    Counts,
    /// The load could not be sent, so the trial does not count. The search begins at this rate.
    From(f64),
}

impl WarmUp {
    /// What follows `trial`.
    pub fn next(&mut self, trial: &Trial) -> Next {
        self.trials += 1;
        let (rate, held) = (trial.asked_per_s, trial.held());
        match held {
            Held::GeneratorBound => return Next::From(self.held.unwrap_or(rate)),
            Held::Yes => self.held = Some(rate),
            Held::No { .. } => {}
        }
        let cpu = trial.cpu_percent.filter(|_| held.is_but_for_cpu() && self.trials < MOST_TRIALS);
        let Some(cpu) = cpu else { return Next::Counts };
        if cpu < trial.cpu_allowed_percent * WARMS_FROM {
            self.before = None;
            return Next::Warm(rate * trial.room().map_or(RAISE, |room| (room * OF_ROOM).clamp(LEAST_RAISE, RAISE)));
        }
        match self.before.replace(cpu) {
            Some(before) if cpu >= before * STEADY => Next::Counts,
            _ => Next::Warm(rate),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(asked_per_s: f64, cpu: f64) -> Trial {
        Trial {
            asked_per_s,
            acknowledged_per_s: asked_per_s,
            cpu_percent: Some(cpu),
            cpu_allowed_percent: 60.0,
            ..Trial::default()
        }
    }

    #[test]
    fn the_rate_rises_to_one_that_warms_and_stays_until_cpu_no_longer_falls() {
        let mut warm = WarmUp::default();
        assert_eq!(warm.next(&trial(100.0, 30.0)), Next::Warm(160.0));
        assert_eq!(warm.next(&trial(160.0, 1.0)), Next::Warm(640.0), "CPU says nothing");
        assert_eq!(warm.next(&trial(640.0, 50.0)), Next::Warm(640.0));
        assert_eq!(warm.next(&trial(640.0, 42.0)), Next::Warm(640.0), "it still falls");
        assert_eq!(warm.next(&trial(640.0, 41.0)), Next::Counts);
    }

    #[test]
    fn a_cluster_that_is_too_busy_while_it_is_cold_is_given_time() {
        let mut warm = WarmUp::default();
        assert_eq!(warm.next(&trial(500.0, 95.0)), Next::Warm(500.0));
        assert_eq!(warm.next(&trial(500.0, 70.0)), Next::Warm(500.0));
        assert_eq!(warm.next(&trial(500.0, 68.0)), Next::Counts);
    }

    #[test]
    fn without_cpu_or_with_another_limit_there_is_nothing_to_wait_for() {
        assert_eq!(WarmUp::default().next(&Trial { cpu_percent: None, ..trial(100.0, 1.0) }), Next::Counts);
        assert_eq!(WarmUp::default().next(&Trial { failed: 3, ..trial(100.0, 40.0) }), Next::Counts);
        let mut warm = WarmUp::default();
        assert!((0..MOST_TRIALS).any(|_| warm.next(&trial(100.0, 5.0)) == Next::Counts), "it ends");
    }

    #[test]
    fn a_load_that_could_not_be_sent_leads_back_to_the_one_that_was() {
        let late = |rate| Trial { generator_bound: true, ..trial(rate, 10.0) };
        let mut warm = WarmUp::default();
        assert_eq!(warm.next(&trial(400.0, 10.0)), Next::Warm(1600.0));
        assert_eq!(warm.next(&late(1600.0)), Next::From(400.0));
        assert_eq!(WarmUp::default().next(&late(100.0)), Next::From(100.0));
    }
}
