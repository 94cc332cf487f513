//! Checks whether every acknowledged record is there, once, intact and in order.
//!
//! Memory: a bit for each sequence seen, one for each that the ledger calls acknowledged, one for each that failed, and a
//! number for each partition and producer, however the records are spread: 100 million records are 24 to 36 MiB. Order is judged within a partition and producer, which covers every key in it.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::{
    ledger::{Bits, Ledger},
    payload::{self, Read},
};

/// Examples of each kind that are kept.
const EXAMPLES: usize = 10;

/// Holds records against the ledgers of one run.
#[derive(Debug)]
pub struct Verifier {
    run: u64,
    producers: BTreeMap<u16, Producer>,
    /// By topic, partition and producer.
    newest: HashMap<(usize, i32, u16), u64>,
    found: Verification,
}

#[derive(Debug)]
struct Producer {
    ledger: Ledger,
    seen: Bits,
}

/// What was proven.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Verification {
    /// Records that were read, from any sender.
    pub read: u64,
    /// Not of this run.
    pub foreign: u64,
    /// The figures of the ledger: handed to the client, acknowledged, failed, and unknown because of a crash.
    pub offered: u64,
    pub acknowledged: u64,
    pub failed: u64,
    pub unknown: u64,
    /// Acknowledged, but not in the topic.
    pub lost: u64,
    /// In the topic more than once: every copy after the first.
    pub duplicates: u64,
    /// Behind a later record of the same producer in the same partition.
    pub reordered: u64,
    /// Stamp or body differ from what was sent.
    pub corrupted: u64,
    /// Failed with an error, but in the topic nevertheless. Kafka allows this.
    pub failed_but_there: u64,
    /// In the topic, but their outcome is not in the ledger.
    pub unknown_but_there: u64,
    /// The ledger was closed by its producer.
    pub ledger_complete: bool,
    /// Partitions whose beginning retention has deleted: missing records may have been there.
    pub partitions_cut: u64,
    /// Some of the lost: producer and sequence.
    pub lost_examples: Vec<(u16, u64)>,
}

impl Verification {
    /// Nothing that was acknowledged is lost, duplicated, reordered or damaged.
    pub fn is_whole(&self) -> bool {
        self.lost + self.duplicates + self.reordered + self.corrupted == 0
    }
}

impl Verifier {
    /// `ledgers` are those of one run.
    ///
    /// # Errors
    /// When there is none, or they belong to several runs or topics.
    pub fn new(ledgers: Vec<Ledger>) -> anyhow::Result<Self> {
        let Some(first) = ledgers.first() else { anyhow::bail!("there is no ledger to verify against") };
        let (run, topic) = (first.run, first.topic.clone());
        let mut found = Verification { ledger_complete: true, ..Verification::default() };
        let mut producers = BTreeMap::new();
        for ledger in ledgers {
            anyhow::ensure!(ledger.run == run && ledger.topic == topic, "the ledgers belong to different runs");
            found.offered += ledger.offered;
            found.acknowledged += ledger.acknowledged.len();
            found.failed += ledger.failed.values().map(Bits::len).sum::<u64>();
            found.unknown += ledger.unknown();
            found.ledger_complete &= ledger.complete;
            producers.insert(ledger.producer, Producer { ledger, seen: Bits::default() });
        }
        Ok(Verifier { run, producers, newest: HashMap::new(), found })
    }

    /// Takes the next record of a partition, with its header [`payload::HEADER`] if it has one. Records of a partition come
    /// in the order of their offsets.
    pub fn record(&mut self, (topic, partition): (usize, i32), value: &[u8], header: Option<&[u8]>) {
        self.found.read += 1;
        let stamp = match payload::read(value, header) {
            Read::Whole(stamp) => stamp,
            Read::BodyDamaged(stamp) => {
                self.found.corrupted += u64::from(stamp.run == self.run);
                stamp
            }
            // Whose it was is unknown, so it is held against this run.
            Read::StampDamaged => {
                self.found.corrupted += 1;
                return;
            }
            Read::Foreign => {
                self.found.foreign += 1;
                return;
            }
        };
        let producer = if stamp.run == self.run { self.producers.get_mut(&stamp.producer) } else { None };
        let Some(producer) = producer else {
            self.found.foreign += 1;
            return;
        };
        if !producer.seen.insert(stamp.sequence) {
            self.found.duplicates += 1;
            return;
        }
        match self.newest.entry((topic, partition, stamp.producer)) {
            std::collections::hash_map::Entry::Occupied(entry) if *entry.get() > stamp.sequence => {
                self.found.reordered += 1;
            }
            entry => {
                entry.insert_entry(stamp.sequence);
            }
        }
    }

    /// The result; `partitions_cut` partitions no longer start at offset 0.
    pub fn finish(mut self, partitions_cut: u64) -> Verification {
        self.found.partitions_cut = partitions_cut;
        for (number, Producer { ledger, seen }) in &self.producers {
            let there = ledger.acknowledged.in_both(seen);
            self.found.lost += ledger.acknowledged.len() - there;
            let examples = ledger.acknowledged.missing_in(seen, EXAMPLES - self.found.lost_examples.len());
            self.found.lost_examples.extend(examples.into_iter().map(|sequence| (*number, sequence)));
            let failed_there = ledger.failed.values().map(|failed| failed.in_both(seen)).sum::<u64>();
            self.found.failed_but_there += failed_there;
            self.found.unknown_but_there += seen.len() - there - failed_there;
        }
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{
        payload::{Bodies, Payload, Stamp},
        sizes::Sizes,
    };

    fn value(run: u64, sequence: u64) -> Box<[u8]> {
        let bodies = Bodies::make(&Payload::Random { repeated: 0.0 }, Sizes::Fixed(60), 1).unwrap();
        let mut value = bodies.all[sequence as usize % 10].bytes.clone();
        bodies.form.stamp(&mut value, &Stamp { run, producer: 0, sequence, due_ms: 0 }, None);
        value
    }

    fn bits(first: u64, last: u64) -> Bits {
        let mut bits = Bits::default();
        bits.insert_range(first, last);
        bits
    }

    /// Ten records, 0 to 7 acknowledged, 8 failed, 9 unknown; `topic` is what two partitions hold.
    fn check(topic: &[(i32, u64)], expected: impl Fn(&mut Verification)) {
        let (acknowledged, failed) = (bits(0, 7), bits(8, 8));
        let ledger = Ledger {
            run: 5,
            producer: 0,
            topic: "t".into(),
            offered: 10,
            acknowledged,
            failed: [("_MSG_TIMED_OUT".to_owned(), failed)].into(),
            complete: false,
        };
        let mut verifier = Verifier::new(vec![ledger]).unwrap();
        topic.iter().for_each(|(partition, sequence)| verifier.record((0, *partition), &value(5, *sequence), None));
        verifier.record((0, 0), &value(6, 1), None);
        verifier.record((0, 0), b"hello", None);
        let mut wanted = Verification {
            read: topic.len() as u64 + 2,
            foreign: 2,
            offered: 10,
            acknowledged: 8,
            failed: 1,
            unknown: 1,
            ..Verification::default()
        };
        expected(&mut wanted);
        assert_eq!(verifier.finish(0), wanted, "{topic:?}");
    }

    #[test]
    fn every_kind_of_harm_is_told_apart() {
        let whole = [(0, 0), (1, 1), (0, 2), (1, 3), (0, 4), (1, 5), (0, 6), (1, 7)];
        check(&whole, |_| {});
        check(&whole[1..], |v| (v.lost, v.lost_examples) = (1, vec![(0, 0)]));
        check(&[&whole[..], &[(0, 6)]].concat(), |v| v.duplicates = 1);
        check(&[&whole[..], &[(0, 8)]].concat(), |v| v.failed_but_there = 1);
        check(&[&whole[..], &[(0, 9)]].concat(), |v| v.unknown_but_there = 1);
        let mut swapped = whole;
        swapped.swap(0, 2);
        check(&swapped, |v| v.reordered = 1);
        // Partitions have no order among them.
        swapped = whole;
        swapped.swap(0, 1);
        check(&swapped, |_| {});
    }

    #[test]
    fn a_damaged_record_is_corrupted_and_not_lost() {
        let acknowledged = bits(0, 0);
        let failed = BTreeMap::new();
        let ledger =
            Ledger { run: 5, producer: 0, topic: "t".into(), offered: 1, acknowledged, failed, complete: true };
        let mut verifier = Verifier::new(vec![ledger]).unwrap();
        let mut damaged = value(5, 0);
        damaged[59] ^= 1;
        verifier.record((0, 0), &damaged, None);
        let found = verifier.finish(0);
        assert_eq!((found.corrupted, found.lost, found.is_whole()), (1, 0, false));
    }

    /// A hundred million records of four producers, every third failed, so that no two neighbours have the same end; the
    /// topic lacks seven of them and has five twice.
    #[test]
    fn a_hundred_million_records_are_held_in_a_bit_or_three_each() {
        const EACH: u64 = 25_000_000;
        let (mut acknowledged, mut failed) = (Bits::default(), Bits::default());
        let third = 0x9249_2492_4924_9249_u64; // bits 0, 3, 6, …, 63
        for word in 0..EACH / 64 {
            acknowledged.insert_word(word * 64, !third);
            failed.insert_word(word * 64, third);
        }
        let (before, offered) = (acknowledged.len(), acknowledged.len() + failed.len());
        let ledgers = (0..4).map(|producer| Ledger {
            run: 5,
            producer,
            topic: "t".into(),
            offered,
            acknowledged: acknowledged.clone(),
            failed: [("NOT_LEADER_FOR_PARTITION".to_owned(), failed.clone())].into(),
            complete: true,
        });
        let mut verifier = Verifier::new(ledgers.collect()).unwrap();
        let lost = acknowledged.missing_in(&failed, 7);
        for (number, producer) in &mut verifier.producers {
            producer.seen = acknowledged.clone();
            if *number == 2 {
                lost.iter().for_each(|sequence| producer.seen.remove(*sequence));
            }
        }
        let bytes: usize = verifier
            .producers
            .values()
            .map(|Producer { ledger, seen }| {
                seen.bytes() + ledger.acknowledged.bytes() + ledger.failed.values().map(Bits::bytes).sum::<usize>()
            })
            .sum();
        assert!(bytes < 40 << 20, "{} MiB", bytes >> 20);
        let found = verifier.finish(0);
        assert_eq!((found.acknowledged, found.lost, found.lost_examples.len()), (4 * before, 7, 7));
        assert_eq!((found.failed, found.failed_but_there, found.unknown_but_there), (4 * failed.len(), 0, 0));
        assert_eq!(found.offered, 4 * (EACH / 64 * 64));
    }
}
