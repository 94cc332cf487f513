//! The highest rate that a cluster sustains, found by trying rates. Pure: a [`Search`] names the rate to try next and takes what
//! the trial showed.
//!
//! A bracket of one rate that holds and one that does not is found first, then halved, then the lower end is confirmed by a
//! longer trial. Further rounds do that again around the answer, since a cluster that was cold, and noise, can mislead one round.
//! The answer is the lowest of the confirmed rates, as they were acknowledged.

use serde::{Deserialize, Serialize};

mod trial;
mod warm;

pub use trial::{Held, Limit, Trial, cpu_allowed_percent, undisturbed_percent};
use warm::{Next, WarmUp};

/// A bracket this narrow is not halved again, upper end over lower (a design choice: the spread allowed is 5 %).
const NARROW: f64 = 1.04;

/// The next rate over one that holds, while CPU says nothing; and the least that it is raised by.
const RAISE: f64 = 4.0;
const LEAST_RAISE: f64 = 1.25;

/// A new round tries this much more than the answer before.
const WIDEN: f64 = 1.12;

/// After a confirmation that failed, the rate is lowered by this factor.
const LOWER: f64 = 0.94;

/// Trials of one round: a search that does not end is a bug, or a cluster that changes as it is searched.
const MOST_TRIALS: usize = 60;

/// Share of the time that warming may take.
const MOST_WARM: f64 = 0.3;

/// Below this no rate is tried, records/s.
const LEAST_PER_S: f64 = 1.0;

/// What is searched for, and in what time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    /// The first rate, records/s.
    pub start_per_s: f64,
    /// Rounds at most; the first is never left out.
    pub rounds: usize,
    /// How long a trial takes, s, and one that confirms.
    pub trial_s: f64,
    pub confirm_s: f64,
    /// For all of it, s.
    pub within_s: f64,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// A rate that warms the cluster; only the last of these counts.
    Warm(f64),
    Try(f64),
    /// For longer.
    Confirm(f64),
    Done,
}

/// A rate that was confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Round {
    /// Records/s, as acknowledged.
    pub acknowledged_per_s: f64,
    /// Bytes/s of values, likewise.
    pub bytes_per_s: f64,
    /// CPU of the busiest broker, percent.
    pub cpu_percent: Option<f64>,
    pub p99_ms: Option<f64>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "found")]
pub enum Found {
    /// The highest rate, the lowest of all rounds.
    Capacity(Answer),
    /// The load generator was the limit: the cluster can do more.
    GeneratorBound {
        /// The highest rate that held, records/s as acknowledged; `None` if none did.
        at_least_per_s: Option<f64>,
    },
    /// No rate was confirmed.
    Nothing { reason: String },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Answer {
    #[serde(flatten)]
    pub lowest: Round,
    pub rounds: Vec<Round>,
    /// Highest round over the lowest, percent of the lowest; 0 for one round.
    pub spread_percent: f64,
    /// What keeps the cluster from more, by the failed trial that is nearest above the answer.
    pub limit: Option<Limit>,
    /// The rate of that trial, records/s.
    pub fails_at_per_s: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Warm,
    Bracket,
    Halve,
    Confirm,
    Done,
}

#[derive(Debug)]
pub struct Search {
    goal: Goal,
    phase: Phase,
    warm: WarmUp,
    /// The rate that is tried.
    rate: f64,
    /// Holds, and fails, records/s.
    low: Option<f64>,
    high: Option<f64>,
    /// Trials of this rate so far: held, failed.
    votes: (u32, u32),
    rounds: Vec<Round>,
    trials: Vec<Trial>,
    of_round: usize,
    generator_bound: bool,
}

impl Search {
    pub fn new(goal: Goal) -> Search {
        Search {
            goal,
            phase: Phase::Warm,
            warm: WarmUp::default(),
            rate: goal.start_per_s.max(LEAST_PER_S),
            low: None,
            high: None,
            votes: (0, 0),
            rounds: Vec::new(),
            trials: Vec::new(),
            of_round: 0,
            generator_bound: false,
        }
    }

    /// What to do after `elapsed_s`.
    pub fn next(&mut self, elapsed_s: f64) -> Step {
        let left_s = self.goal.within_s - elapsed_s;
        if left_s < self.goal.confirm_s || self.of_round >= MOST_TRIALS {
            self.phase = Phase::Done;
        } else if left_s < self.goal.confirm_s + 2.0 * self.goal.trial_s {
            // What time is left is for a confirmation of what is known.
            match (self.phase, self.low) {
                (Phase::Bracket | Phase::Halve, Some(low)) if self.rounds.is_empty() => self.go(Phase::Confirm, low),
                (Phase::Bracket | Phase::Halve, _) => self.phase = Phase::Done,
                _ => {}
            }
        }
        if self.phase == Phase::Warm && elapsed_s > self.goal.within_s * MOST_WARM {
            self.phase = Phase::Bracket;
        }
        match self.phase {
            Phase::Warm => Step::Warm(self.rate),
            Phase::Bracket | Phase::Halve => Step::Try(self.rate),
            Phase::Confirm => Step::Confirm(self.rate),
            Phase::Done => Step::Done,
        }
    }

    /// Takes what the step showed that [`Search::next`] named.
    pub fn take(&mut self, trial: Trial) {
        if self.phase == Phase::Warm {
            match self.warm.next(&trial) {
                Next::Warm(rate) => {
                    self.rate = rate;
                    return;
                }
                Next::From(rate) => return self.go(Phase::Bracket, rate),
                Next::Counts => self.phase = Phase::Bracket,
            }
        }
        self.of_round += 1;
        let held = trial.held();
        self.trials.push(trial.clone());
        match held {
            Held::Yes => self.holds(&trial),
            // Nothing is learnt of the cluster from a load that was not sent; twice is no accident.
            Held::GeneratorBound if self.votes.1 > 0 => (self.generator_bound, self.phase) = (true, Phase::Done),
            Held::GeneratorBound => self.votes.1 += 1,
            Held::No { is_clear, .. } => {
                self.votes.1 += 1;
                // A failure that is not clear is noise until it is seen twice; two that held outvote it.
                if is_clear || self.votes.1 >= 2 {
                    self.fails();
                }
            }
        }
    }

    /// Every trial that counted, in order.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    fn go(&mut self, phase: Phase, rate: f64) {
        (self.phase, self.rate, self.votes) = (phase, rate, (0, 0));
    }

    fn holds(&mut self, trial: &Trial) {
        self.votes.0 += 1;
        // After a failure of the same rate, one that held decides nothing.
        if self.votes.0 <= self.votes.1 {
            return;
        }
        match self.phase {
            Phase::Confirm => self.confirmed(trial),
            Phase::Bracket if self.high.is_none() => {
                self.low = Some(self.rate);
                let raise = trial.room().map_or(RAISE, |room| (room * 0.9).clamp(LEAST_RAISE, RAISE));
                self.go(Phase::Bracket, self.rate * raise);
            }
            _ => {
                self.low = Some(self.rate);
                self.halve();
            }
        }
    }

    fn fails(&mut self) {
        let rate = self.rate;
        self.high = Some(self.high.map_or(rate, |high| high.min(rate)));
        match (self.phase, self.low) {
            (Phase::Confirm, _) => {
                self.low = None;
                self.go(Phase::Confirm, rate * LOWER);
            }
            (_, Some(_)) => self.halve(),
            (_, None) if rate / RAISE < LEAST_PER_S => self.phase = Phase::Done,
            (_, None) => self.go(Phase::Bracket, rate / RAISE),
        }
    }

    fn halve(&mut self) {
        match (self.low, self.high) {
            (Some(low), Some(high)) if high / low > NARROW => self.go(Phase::Halve, (low * high).sqrt()),
            (Some(low), _) => self.go(Phase::Confirm, low),
            (None, _) => self.go(Phase::Bracket, self.rate / RAISE),
        }
    }

    fn confirmed(&mut self, trial: &Trial) {
        let rate = self.rate;
        self.rounds.push(Round {
            // Never more than was asked for, which a backlog from before could make of it.
            acknowledged_per_s: trial.acknowledged_per_s.min(trial.asked_per_s),
            bytes_per_s: trial.bytes_per_s,
            cpu_percent: trial.cpu_percent,
            p99_ms: trial.p99_ms,
        });
        self.of_round = 0;
        (self.low, self.high) = (Some(rate), None);
        match self.rounds.len() < self.goal.rounds {
            true => self.go(Phase::Bracket, rate * WIDEN),
            false => self.phase = Phase::Done,
        }
    }

    /// What is known when it is over.
    pub fn found(&self) -> Found {
        let lowest = self.rounds.iter().min_by(|a, b| a.acknowledged_per_s.total_cmp(&b.acknowledged_per_s));
        let Some(lowest) = lowest.copied() else { return self.found_nothing() };
        let highest = self.rounds.iter().map(|round| round.acknowledged_per_s).fold(0.0, f64::max);
        let failed = self.trials.iter().filter_map(|trial| match trial.held() {
            Held::No { limit, .. } if trial.asked_per_s > lowest.acknowledged_per_s => Some((trial.asked_per_s, limit)),
            _ => None,
        });
        let nearest = failed.min_by(|a, b| a.0.total_cmp(&b.0));
        if nearest.is_none() && self.generator_bound {
            return self.found_nothing();
        }
        Found::Capacity(Answer {
            lowest,
            rounds: self.rounds.clone(),
            spread_percent: (highest / lowest.acknowledged_per_s - 1.0) * 100.0,
            fails_at_per_s: nearest.as_ref().map(|(rate, _)| *rate),
            limit: nearest.map(|(_, limit)| limit),
        })
    }

    fn found_nothing(&self) -> Found {
        if self.generator_bound {
            let held = self.trials.iter().filter(|trial| trial.held() == Held::Yes);
            let at_least_per_s = held.map(|trial| trial.acknowledged_per_s).reduce(f64::max);
            return Found::GeneratorBound { at_least_per_s };
        }
        let reason = match (self.low, self.trials.last().map(Trial::held)) {
            (Some(low), _) => format!("{low:.0} records/s held once, and there was no time to confirm it"),
            (None, Some(Held::No { limit, .. })) => format!("no rate that was tried held: {limit}"),
            (None, Some(Held::GeneratorBound)) => {
                "the load generator was late in the last trial, which says nothing of the cluster".to_owned()
            }
            (None, _) => "no trial was ended".to_owned(),
        };
        Found::Nothing { reason }
    }
}

#[cfg(test)]
mod tests;
