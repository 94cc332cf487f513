//! What all producers and groups of a mix do in a second, from the newest second of each.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Second;
use crate::load::{consumer::ReadTick, producer::Tick};

/// The newest second of each producer and member.
#[derive(Debug, Default)]
pub struct Seconds {
    sent: BTreeMap<String, Tick>,
    read: BTreeMap<(String, u16), ReadTick>,
}

/// Records a second, of all producers and groups together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rates {
    pub offered_per_s: f64,
    pub acknowledged_per_s: f64,
    pub read_per_s: f64,
}

impl Seconds {
    /// Takes a second in place of the one before it, and returns what the client reported in it.
    pub fn take(&mut self, second: Second) -> Vec<String> {
        match second {
            Second::Sent(name, tick) => {
                let notes = tick.notes.clone();
                self.sent.insert(name, *tick);
                notes
            }
            Second::Read(name, member, tick) => {
                let notes = tick.notes.clone();
                self.read.insert((name, member), *tick);
                notes
            }
        }
    }

    /// The rates of the newest seconds.
    pub fn rates(&self) -> Rates {
        Rates {
            offered_per_s: self.sent.values().map(|tick| tick.sample.offered_per_s).sum(),
            acknowledged_per_s: self.sent.values().map(|tick| tick.sample.acknowledged_per_s).sum(),
            read_per_s: self.read.values().map(|tick| tick.read_per_s).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::consumer::TICK_SCHEMA;

    fn read(read_per_s: f64, notes: &[&str]) -> Box<ReadTick> {
        Box::new(ReadTick {
            schema: TICK_SCHEMA,
            at_s: 1.0,
            at_ms: 0,
            read: 0,
            read_per_s,
            lag: None,
            stalled: false,
            end_to_end_p50_ms: None,
            end_to_end_p99_ms: None,
            end_to_end_max_ms: None,
            notes: notes.iter().map(|note| (*note).to_owned()).collect(),
        })
    }

    #[test]
    fn a_newer_second_takes_the_place_of_the_one_before() {
        let mut seconds = Seconds::default();
        assert!(seconds.take(Second::Read("a".to_owned(), 0, read(5.0, &[]))).is_empty());
        seconds.take(Second::Read("a".to_owned(), 1, read(7.0, &[])));
        let notes = seconds.take(Second::Read("a".to_owned(), 0, read(6.0, &["a broker is away"])));
        assert_eq!(notes, ["a broker is away"]);
        assert_eq!(seconds.rates(), Rates { offered_per_s: 0.0, acknowledged_per_s: 0.0, read_per_s: 13.0 });
    }
}
