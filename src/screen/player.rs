//! A recorded run, played again. Pure: time advances by what it is given.

use std::time::Duration;

use crate::run::{Entry, Run};

/// Speeds that a replay goes between.
pub const SLOWEST: f64 = 0.125;
pub const FASTEST: f64 = 1024.0;

/// A run and how far it has been played.
pub struct Player<'a> {
    run: &'a Run,
    /// When each entry is played, seconds since the run began. A mark that is dated back comes when it was written.
    times: Vec<f64>,
    next: usize,
    pub at: f64,
    pub speed: f64,
}

impl<'a> Player<'a> {
    pub fn new(run: &'a Run, speed: f64) -> Player<'a> {
        let mut latest = 0.0;
        let times = run.entries.iter().map(|entry| {
            latest = f64::max(latest, run.seconds_at(entry.at.as_millisecond()));
            latest
        });
        Player { run, times: times.collect(), next: 0, at: 0.0, speed: speed.clamp(SLOWEST, FASTEST) }
    }

    /// Seconds from the run's beginning to its end.
    pub fn length(&self) -> f64 {
        self.times.last().copied().unwrap_or(0.0)
    }

    pub fn is_over(&self) -> bool {
        self.next == self.times.len()
    }

    /// Lets `elapsed` go by, and returns what happens in it.
    pub fn advance(&mut self, elapsed: Duration) -> &'a [Entry] {
        self.at = (self.at + elapsed.as_secs_f64() * self.speed).min(self.length());
        self.up_to_now()
    }

    /// Real time until the next entry, at this speed; nothing when it is over.
    pub fn until_next(&self) -> Option<Duration> {
        let next = self.times.get(self.next)?;
        Some(Duration::from_secs_f64(((next - self.at) / self.speed).max(0.0)))
    }

    /// Goes so many seconds on, or back. Going back starts again: `true`, and all that is returned is to be told again.
    pub fn seek(&mut self, seconds: f64) -> (bool, &'a [Entry]) {
        let to = (self.at + seconds).clamp(0.0, self.length());
        let is_back = to < self.at;
        if is_back {
            self.next = 0;
        }
        self.at = to;
        (is_back, self.up_to_now())
    }

    pub fn faster(&mut self) {
        self.speed = (self.speed * 2.0).min(FASTEST);
    }

    pub fn slower(&mut self) {
        self.speed = (self.speed / 2.0).max(SLOWEST);
    }

    fn up_to_now(&mut self) -> &'a [Entry] {
        let from = self.next;
        // The entry that is due now is not missed by a rounding error.
        while self.times.get(self.next).is_some_and(|at| *at <= self.at + 1e-9) {
            self.next += 1;
        }
        &self.run.entries[from..self.next]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        let head = r#"{"schema":"kgen.run/1","id":"r","command":"watch","args":[],"started":"2026-11-25T01:00:00Z","environment":{}}"#;
        let note =
            |s: u32, text: &str| format!(r#"{{"at":"2026-11-25T01:00:{s:02}Z","event":"note","text":"{text}"}}"#);
        // The third is dated back.
        let notes = [note(1, "a"), note(10, "b"), note(4, "c"), note(20, "d")];
        Run::parse(&format!("{head}\n{}\n", notes.join("\n"))).unwrap()
    }

    #[test]
    fn a_run_is_played_at_its_speed() {
        let run = run();
        let mut player = Player::new(&run, 2.0);
        let mut told = Vec::new();
        for _ in 0..11 {
            told.push(player.advance(Duration::from_secs(1)).len());
        }
        assert_eq!(told, [1, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0]);
        assert!(player.is_over() && player.until_next().is_none());
        assert!((player.at - 20.0).abs() < 1e-6);
    }

    #[test]
    fn going_back_tells_the_run_again() {
        let run = run();
        let mut player = Player::new(&run, 1.0);
        assert_eq!(player.seek(f64::INFINITY).1.len(), 4);
        let (is_back, told) = player.seek(-12.0);
        assert!(is_back);
        assert_eq!((told.len(), player.at.round()), (1, 8.0));
        assert_eq!(player.until_next(), Some(Duration::from_secs(2)));
        let (is_back, told) = player.seek(1.0);
        assert_eq!((is_back, told.len()), (false, 0));
        assert_eq!(player.seek(f64::NEG_INFINITY).1.len(), 0);
    }

    #[test]
    fn a_run_of_nothing_is_over() {
        let mut run = run();
        run.entries.clear();
        let mut player = Player::new(&run, 1.0);
        assert!(player.is_over());
        assert_eq!((player.advance(Duration::from_secs(1)).len(), player.length()), (0, 0.0));
    }
}
