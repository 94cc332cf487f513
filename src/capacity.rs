//! The highest rate that a cluster sustains, found by trying rates. Pure: a [`Search`] names the rate to try next and takes what
//! the trial showed.
//!
//! CPU is a figure that varies from trial to trial, so no single trial decides by it: a curve through all of them says at which rate
//! it is what it may be, and longer trials around that rate make it certain. What else a rate can fail by is seen in a trial or is
//! not: a bracket of one rate that holds and one that does not is halved, and the lower end is confirmed by a longer trial. Further
//! rounds do the same around the answer, since a cluster that was cold, and noise, can mislead one round.

use serde::{Deserialize, Serialize};

use crate::statistics::mean;

mod curve;
mod trial;
mod warm;

use curve::{Crossing, Curve};
pub use trial::{Held, Limit, Trial, corrected_percent, cpu_allowed_percent};
use warm::{Next, WarmUp};

/// A bracket this narrow is not halved again, upper end over lower (a design choice: the spread allowed is 5 %).
const NARROW: f64 = 1.04;

/// The next rate over one that holds, while CPU says nothing; and the least that it is raised by.
const RAISE: f64 = 4.0;
const LEAST_RAISE: f64 = 1.25;

/// A new round tries this much more than the answer before.
const WIDEN: f64 = 1.12;

/// Trials of a round in which CPU is the limit: one says little of it.
const CPU_TRIALS: usize = 4;

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

/// A rate that was confirmed; by several trials, where CPU is the limit: the means of them, and the highest p99.
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
    /// The highest rate.
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
    /// The answer: where CPU is the limit, the rate at which all trials together say that it is reached; otherwise the lowest of the
    /// rounds. Never more than was acknowledged.
    #[serde(flatten)]
    pub carried: Round,
    pub rounds: Vec<Round>,
    /// Highest round over the lowest, percent of the lowest; 0 for one round. Where CPU is the limit, by the rate that each round
    /// alone would have for an answer.
    pub spread_percent: f64,
    /// What keeps the cluster from more.
    pub limit: Option<Limit>,
    /// The rate of the failed trial that is nearest above the answer, records/s.
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

/// A round that is over.
#[derive(Debug, Clone, Copy)]
struct Ended {
    round: Round,
    /// The highest rate that was confirmed, as acknowledged, records/s.
    most_per_s: f64,
    /// What it alone would have for an answer, records/s.
    per_s: f64,
    by_cpu: bool,
}

#[derive(Debug)]
pub struct Search {
    goal: Goal,
    phase: Phase,
    warm: WarmUp,
    /// The rate that is tried.
    rate: f64,
    /// Holds, and fails by anything but CPU, records/s.
    low: Option<f64>,
    high: Option<f64>,
    /// Trials of this rate so far: held, failed.
    votes: (u32, u32),
    curve: Curve,
    /// CPU that a broker may have, percent.
    cpu_allowed_percent: f64,
    /// Confirmations of this round.
    confirmed: Vec<Trial>,
    rounds: Vec<Ended>,
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
            curve: Curve::default(),
            cpu_allowed_percent: 0.0,
            confirmed: Vec::new(),
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
                (Phase::Bracket | Phase::Halve, Some(low)) if self.rounds.is_empty() => {
                    self.go(Phase::Confirm, self.crossing().map_or(low, |crossing| crossing.per_s.min(low)));
                }
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
            Phase::Done => {
                self.end_round();
                Step::Done
            }
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
        let held = self.held(&trial);
        self.trials.push(trial.clone());
        match held {
            Held::Yes => self.holds(trial),
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

    /// Whether the rate holds but for CPU, of which the curve decides; where the brokers are at their end, it fails.
    fn held(&mut self, trial: &Trial) -> Held {
        let held = trial.held();
        if !held.is_but_for_cpu() || matches!(trial.held_but_for_cpu(), Held::No { .. }) {
            return held;
        }
        self.cpu_allowed_percent = trial.cpu_allowed_percent;
        let seconds = if self.phase == Phase::Confirm { self.goal.confirm_s } else { self.goal.trial_s };
        if self.curve.add(trial, seconds) { Held::Yes } else { held }
    }

    /// Where CPU is the limit; `None` where it was not seen.
    fn crossing(&self) -> Option<Crossing> {
        self.curve.crossing(self.cpu_allowed_percent)
    }

    /// The same, unless a lower rate fails by something else.
    fn crossing_first(&self) -> Option<Crossing> {
        self.crossing().filter(|crossing| self.high.is_none_or(|high| crossing.per_s < high))
    }

    fn go(&mut self, phase: Phase, rate: f64) {
        (self.phase, self.rate, self.votes) = (phase, rate, (0, 0));
    }

    fn holds(&mut self, trial: Trial) {
        self.votes.0 += 1;
        // After a failure of the same rate, one that held decides nothing.
        if self.votes.0 <= self.votes.1 {
            return;
        }
        if self.phase == Phase::Confirm {
            return self.confirmed(trial);
        }
        self.low = Some(self.rate);
        self.onward(&trial);
    }

    fn fails(&mut self) {
        let rate = self.rate;
        self.high = Some(self.high.map_or(rate, |high| high.min(rate)));
        match (self.phase, self.low) {
            (Phase::Confirm, _) => {
                self.low = None;
                self.go(Phase::Confirm, rate * LOWER);
            }
            (_, Some(low)) => self.halve(low),
            (_, None) if rate / RAISE < LEAST_PER_S => self.phase = Phase::Done,
            (_, None) => self.go(Phase::Bracket, rate / RAISE),
        }
    }

    /// From a rate that holds but for CPU.
    fn onward(&mut self, trial: &Trial) {
        match self.crossing_first() {
            // CPU is the limit, and known well enough to be measured around it.
            Some(Crossing { per_s, .. }) if per_s <= self.rate * LEAST_RAISE => self.go(Phase::Confirm, per_s),
            _ if self.high.is_some() => self.halve(self.rate),
            _ => {
                let raise = trial.room().map_or(RAISE, |room| (room * 0.9).clamp(LEAST_RAISE, RAISE));
                self.go(Phase::Bracket, self.rate * raise);
            }
        }
    }

    /// Tries between what holds and what fails, and not more than CPU lets through.
    fn halve(&mut self, low: f64) {
        let most = self.crossing().map_or(f64::MAX, |crossing| crossing.per_s);
        match self.high {
            Some(high) if high / low > NARROW && most > low => self.go(Phase::Halve, (low * high).sqrt().min(most)),
            _ => self.go(Phase::Confirm, low.min(most)),
        }
    }

    fn confirmed(&mut self, trial: Trial) {
        self.confirmed.push(trial);
        match self.crossing_first() {
            Some(crossing) => {
                self.low = Some(self.rate);
                if self.confirmed.len() >= CPU_TRIALS {
                    self.end_round();
                }
                // Never far above what held, nor near to what failed.
                let most = self.high.map_or(f64::MAX, |high| high * LOWER).min(self.rate * LEAST_RAISE);
                self.next_round(Phase::Confirm, crossing.per_s.min(most));
            }
            None => {
                let rate = self.rate;
                self.end_round();
                (self.low, self.high) = (Some(rate), None);
                self.next_round(Phase::Bracket, rate * WIDEN);
            }
        }
    }

    fn next_round(&mut self, phase: Phase, rate: f64) {
        if self.rounds.len() < self.goal.rounds { self.go(phase, rate) } else { self.phase = Phase::Done }
    }

    /// Ends a round that has a confirmation.
    fn end_round(&mut self) {
        let confirmed = std::mem::take(&mut self.confirmed);
        let mean = |of: fn(&Trial) -> Option<f64>| mean(confirmed.iter().filter_map(of));
        // Never more than was asked for, which a backlog from before could make of it.
        let acknowledged = |trial: &Trial| Some(trial.acknowledged_per_s.min(trial.asked_per_s));
        let most_per_s = confirmed.iter().filter_map(acknowledged).fold(0.0, f64::max);
        let (Some(acknowledged_per_s), Some(bytes_per_s)) = (mean(acknowledged), mean(|trial| Some(trial.bytes_per_s)))
        else {
            return;
        };
        let round = Round {
            acknowledged_per_s,
            bytes_per_s,
            cpu_percent: mean(|trial| trial.cpu_percent),
            p99_ms: confirmed.iter().filter_map(|trial| trial.p99_ms).reduce(f64::max),
        };
        let by_cpu = self.crossing_first().is_some();
        let alone = self.curve.crossing_of_last(confirmed.len(), self.cpu_allowed_percent).filter(|_| by_cpu);
        self.rounds.push(Ended { round, most_per_s, per_s: alone.unwrap_or(acknowledged_per_s), by_cpu });
        self.of_round = 0;
    }

    /// What is known when it is over.
    pub fn found(&self) -> Found {
        let Some((carried, limit_of_cpu)) = self.carried() else { return self.found_nothing() };
        let failed = self.trials.iter().filter_map(|trial| match trial.held() {
            Held::No { limit, .. } if trial.asked_per_s > carried.acknowledged_per_s => {
                Some((trial.asked_per_s, limit))
            }
            _ => None,
        });
        let nearest = failed.min_by(|a, b| a.0.total_cmp(&b.0));
        if nearest.is_none() && limit_of_cpu.is_none() && self.generator_bound {
            return self.found_nothing();
        }
        let each = || self.rounds.iter().map(|ended| ended.per_s);
        let (lowest, highest) = (each().fold(f64::MAX, f64::min), each().fold(0.0, f64::max));
        Found::Capacity(Answer {
            carried,
            rounds: self.rounds.iter().map(|ended| ended.round).collect(),
            spread_percent: (highest / lowest - 1.0) * 100.0,
            fails_at_per_s: nearest.as_ref().map(|(rate, _)| *rate),
            limit: limit_of_cpu.or(nearest.map(|(_, limit)| limit)),
        })
    }

    /// The answer, and the limit if that is CPU.
    fn carried(&self) -> Option<(Round, Option<Limit>)> {
        let of = |by_cpu: bool| self.rounds.iter().filter(move |ended| ended.by_cpu == by_cpu);
        let most = of(true).max_by(|a, b| a.most_per_s.total_cmp(&b.most_per_s));
        let by_cpu = most.zip(self.crossing()).map(|(Ended { round, most_per_s, .. }, crossing)| {
            let per_s = crossing.per_s.min(*most_per_s);
            let bytes_per_s = round.bytes_per_s * per_s / round.acknowledged_per_s;
            let cpu = self.cpu_allowed_percent * crossing.share_at(per_s);
            Round { acknowledged_per_s: per_s, bytes_per_s, cpu_percent: Some(cpu), p99_ms: round.p99_ms }
        });
        let lowest =
            of(false).map(|ended| ended.round).min_by(|a, b| a.acknowledged_per_s.total_cmp(&b.acknowledged_per_s));
        match (lowest, by_cpu) {
            (Some(lowest), Some(by_cpu)) if lowest.acknowledged_per_s <= by_cpu.acknowledged_per_s => {
                Some((lowest, None))
            }
            (_, Some(by_cpu)) => {
                let allowed_percent = self.cpu_allowed_percent;
                Some((by_cpu, Some(Limit::Cpu { percent: by_cpu.cpu_percent?, allowed_percent })))
            }
            (lowest, None) => lowest.map(|lowest| (lowest, None)),
        }
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
