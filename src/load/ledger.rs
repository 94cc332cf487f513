//! The outcome of every record of a run: one file per producer, appended to during the run.
//!
//! The file is text. Its first line names the run; then come blocks, each closed by a line `= CRC`:
//!
//! ```text
//! + offered 1500                   sequences below 1500 were handed to the client
//! + ack 0-1209 1300                acknowledged
//! + fail _MSG_TIMED_OUT 1210-1212  given up with this Kafka error
//! + end                            nothing follows: every record is accounted for
//! = 5b1f0c22
//! ```
//!
//! A block whose sum is wrong or missing was torn by a crash; it and what follows count for nothing, and what it would
//! have said is *unknown*. Nothing is claimed that the file system was not given.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::File,
    io::{BufRead, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use crate::files::own;

/// Sequence numbers in one bitmap block.
const BLOCK: u64 = 1 << 16;
/// Failures that are kept before a block is written early.
const MAX_PENDING_FAILURES: usize = 4096;

/// The longest line, and the longest block, of a ledger that is read: far more than a quarter of a second can fill.
const MAX_LINE: u64 = 64 << 20;

/// The most blocks of bits of all ledgers that are read together, 512 MiB: four billion records without a gap.
const MOST_BLOCKS: usize = 1 << 16;

/// A set of sequence numbers, dense in places: 8 KiB for each 65,536 that it touches, however they lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bits {
    blocks: BTreeMap<u64, Box<[u64; (BLOCK / 64) as usize]>>,
    len: u64,
}

impl Bits {
    /// Returns whether `number` was not in the set before.
    pub fn insert(&mut self, number: u64) -> bool {
        let block = self.blocks.entry(number / BLOCK).or_insert_with(|| Box::new([0; (BLOCK / 64) as usize]));
        let word = &mut block[(number % BLOCK / 64) as usize];
        let bit = 1 << (number % 64);
        let new = *word & bit == 0;
        *word |= bit;
        self.len += u64::from(new);
        new
    }

    /// Adds `first` to `last`, both included.
    pub fn insert_range(&mut self, first: u64, last: u64) {
        let mut at = first;
        while at <= last {
            let end = last.min(at | (BLOCK - 1));
            let block = self.blocks.entry(at / BLOCK).or_insert_with(|| Box::new([0; (BLOCK / 64) as usize]));
            while at <= end {
                let to = end.min(at | 63);
                let mask = (u64::MAX >> (63 - (to - at))) << (at % 64);
                let word = &mut block[(at % BLOCK / 64) as usize];
                self.len += u64::from((mask & !*word).count_ones());
                *word |= mask;
                at = match to.checked_add(1) {
                    Some(next) => next,
                    None => return,
                };
            }
        }
    }

    /// How many numbers are in both sets.
    pub fn in_both(&self, other: &Bits) -> u64 {
        let blocks = self.blocks.iter().filter_map(|(number, block)| Some((block, other.blocks.get(number)?)));
        blocks
            .map(|(one, two)| one.iter().zip(two.iter()).map(|(a, b)| u64::from((a & b).count_ones())).sum::<u64>())
            .sum()
    }

    /// The first `most` numbers of this set that are not in `other`, in order.
    pub fn missing_in(&self, other: &Bits, most: usize) -> Vec<u64> {
        let mut found = Vec::new();
        for (number, block) in &self.blocks {
            let there = other.blocks.get(number);
            for (index, word) in block.iter().enumerate() {
                let mut missing = word & !there.map_or(0, |there| there[index]);
                while missing != 0 {
                    if found.len() == most {
                        return found;
                    }
                    found.push(number * BLOCK + index as u64 * 64 + u64::from(missing.trailing_zeros()));
                    missing &= missing - 1;
                }
            }
        }
        found
    }

    #[cfg(test)]
    pub fn contains(&self, number: u64) -> bool {
        let block = self.blocks.get(&(number / BLOCK));
        block.is_some_and(|block| block[(number % BLOCK / 64) as usize] & 1 << (number % 64) != 0)
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// What the set takes, without the tree that its blocks hang in.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.blocks.len() * BLOCK as usize / 8
    }

    /// Adds the numbers `first` to `first + 63` whose bit in `word` is set; `first` is a multiple of 64.
    #[cfg(test)]
    pub fn insert_word(&mut self, first: u64, word: u64) {
        let block = self.blocks.entry(first / BLOCK).or_insert_with(|| Box::new([0; (BLOCK / 64) as usize]));
        let place = &mut block[(first % BLOCK / 64) as usize];
        self.len += u64::from((word & !*place).count_ones());
        *place |= word;
    }

    #[cfg(test)]
    pub fn remove(&mut self, number: u64) {
        if self.contains(number)
            && let Some(block) = self.blocks.get_mut(&(number / BLOCK))
        {
            block[(number % BLOCK / 64) as usize] &= !(1 << (number % 64));
            self.len -= 1;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn clear(&mut self) {
        self.blocks.clear();
        self.len = 0;
    }

    /// The set as ranges, first to last, both included, in order.
    pub fn ranges(&self) -> Ranges {
        let mut ranges = Ranges::default();
        for (number, block) in &self.blocks {
            for (index, &word) in block.iter().enumerate() {
                let base = number * BLOCK + index as u64 * 64;
                let (mut rest, mut at) = (word, 0);
                while rest != 0 {
                    let zeros = rest.trailing_zeros();
                    rest >>= zeros;
                    at += zeros;
                    let ones = rest.trailing_ones();
                    ranges.insert(base + u64::from(at), base + u64::from(at + ones) - 1);
                    rest = rest.checked_shr(ones).unwrap_or(0);
                    at += ones;
                }
            }
        }
        ranges
    }
}

/// A set of sequence numbers as ranges that neither touch nor overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Adds `first` to `last`, both included.
    pub fn insert(&mut self, mut first: u64, mut last: u64) {
        if let Some((&before, &end)) = self.0.range(..=first).next_back()
            && end.saturating_add(1) >= first
        {
            (first, last) = (before, last.max(end));
        }
        while let Some((&after, &end)) = self.0.range(first..=last.saturating_add(1)).next() {
            self.0.remove(&after);
            last = last.max(end);
        }
        self.0.insert(first, last);
    }

    #[cfg(test)]
    pub fn contains(&self, number: u64) -> bool {
        self.0.range(..=number).next_back().is_some_and(|(_, last)| *last >= number)
    }

    /// How many numbers are in the set.
    #[cfg(test)]
    pub fn len(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// First and last of each range, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|(first, last)| (*first, *last))
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (first, last) in self.iter() {
            let _ = if first == last { write!(text, " {first}") } else { write!(text, " {first}-{last}") };
        }
        text
    }
}

/// Writes one producer's ledger.
#[derive(Debug)]
pub struct LedgerWriter {
    file: File,
    path: PathBuf,
    acknowledged: Bits,
    failed: BTreeMap<String, Ranges>,
    pending_failures: usize,
    offered: u64,
    written: u64,
}

impl LedgerWriter {
    /// Starts the ledger of `producer` in `dir`, which is made if need be.
    pub fn create(dir: &Path, run: u64, producer: u16, topic: &str) -> anyhow::Result<Self> {
        let path = dir.join(format!("ledger-{producer}"));
        let attempt = || {
            own::make_folder(dir, 0o777)?;
            let mut file = own::create_new(&path, 0o666)?;
            file.write_all(format!("kgen-ledger/1 {run:016x} {producer} {topic}\n").as_bytes())?;
            Ok::<_, std::io::Error>(file)
        };
        let file = attempt().with_context(|| format!("starting the ledger {}", path.display()))?;
        let (acknowledged, failed) = (Bits::default(), BTreeMap::new());
        Ok(LedgerWriter { file, path, acknowledged, failed, pending_failures: 0, offered: 0, written: 0 })
    }

    pub fn acknowledged(&mut self, sequence: u64) {
        self.acknowledged.insert(sequence);
    }

    /// `code` is Kafka's name for the error.
    pub fn failed(&mut self, sequence: u64, code: &str) {
        match self.failed.get_mut(code) {
            Some(ranges) => ranges.insert(sequence, sequence),
            None => {
                let mut ranges = Ranges::default();
                ranges.insert(sequence, sequence);
                self.failed.insert(code.to_owned(), ranges);
            }
        }
        self.pending_failures += 1;
    }

    /// Whether so much is pending that [`LedgerWriter::write`] should be called now.
    pub fn is_full(&self) -> bool {
        self.pending_failures >= MAX_PENDING_FAILURES
    }

    /// Appends what was noted since the last time; `offered` sequences have been handed to the client in all.
    pub fn write(&mut self, offered: u64) -> anyhow::Result<()> {
        self.offered = offered;
        self.block(false)
    }

    /// Appends the last block and syncs the file. Every sequence below `offered` must have been noted.
    pub fn close(mut self, offered: u64) -> anyhow::Result<PathBuf> {
        self.offered = offered;
        self.block(true)?;
        self.file.sync_all().with_context(|| format!("syncing the ledger {}", self.path.display()))?;
        Ok(self.path)
    }

    fn block(&mut self, end: bool) -> anyhow::Result<()> {
        let mut text = String::new();
        if self.offered > self.written {
            let _ = writeln!(text, "+ offered {}", self.offered);
        }
        if !self.acknowledged.is_empty() {
            let _ = writeln!(text, "+ ack{}", self.acknowledged.ranges().text());
        }
        for (code, ranges) in &self.failed {
            let _ = writeln!(text, "+ fail {code}{}", ranges.text());
        }
        if end {
            text.push_str("+ end\n");
        }
        if text.is_empty() {
            return Ok(());
        }
        let sum = crc32fast::hash(text.as_bytes());
        let _ = writeln!(text, "= {sum:08x}");
        self.file.write_all(text.as_bytes()).with_context(|| format!("writing the ledger {}", self.path.display()))?;
        self.acknowledged.clear();
        self.failed.clear();
        self.pending_failures = 0;
        self.written = self.offered;
        Ok(())
    }
}

/// One producer's ledger, as read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    pub run: u64,
    pub producer: u16,
    pub topic: String,
    /// Sequences below this were handed to the client.
    pub offered: u64,
    pub acknowledged: Bits,
    pub failed: BTreeMap<String, Bits>,
    /// The producer ended as it should: every record is acknowledged or failed.
    pub complete: bool,
}

impl Ledger {
    /// Reads one file. What a crash tore off is left out, and the ledger is then not `complete`.
    fn read(path: &Path, room: &mut Room) -> anyhow::Result<Self> {
        let reading = || format!("reading the ledger {}", path.display());
        Self::parse(BufReader::new(own::open(path).with_context(reading)?), room).with_context(reading)
    }

    /// Reads every ledger of a run's folder, or the one file.
    pub fn read_run(path: &Path) -> anyhow::Result<Vec<Self>> {
        let mut room = Room(MOST_BLOCKS);
        if !path.is_dir() {
            return Ok(vec![Self::read(path, &mut room)?]);
        }
        let mut ledgers = Vec::new();
        for entry in std::fs::read_dir(path).with_context(|| format!("reading the run {}", path.display()))? {
            let entry = entry.with_context(|| format!("reading the run {}", path.display()))?;
            if entry.file_name().to_string_lossy().starts_with("ledger-") {
                ledgers.push(Self::read(&entry.path(), &mut room)?);
            }
        }
        if ledgers.is_empty() {
            bail!("the run {} has no ledger", path.display());
        }
        ledgers.sort_by_key(|ledger| ledger.producer);
        Ok(ledgers)
    }

    /// Sequences that the ledger says nothing of though they were handed to the client.
    pub fn unknown(&self) -> u64 {
        let settled = self.acknowledged.len() + self.failed.values().map(Bits::len).sum::<u64>();
        self.offered.saturating_sub(settled)
    }

    fn parse(mut file: impl BufRead, room: &mut Room) -> anyhow::Result<Self> {
        let mut line = Vec::new();
        let mut next = |line: &mut Vec<u8>| {
            line.clear();
            (&mut file).take(MAX_LINE).read_until(b'\n', line)
        };
        next(&mut line)?;
        let head = std::str::from_utf8(&line).unwrap_or_default().trim_end().to_owned();
        let mut words = head.split(' ');
        let (Some("kgen-ledger/1"), Some(run), Some(producer), Some(topic)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            bail!("it is not a kgen ledger");
        };
        let mut ledger = Ledger {
            run: u64::from_str_radix(run, 16).context("the run in its first line")?,
            producer: producer.parse().context("the producer in its first line")?,
            topic: topic.to_owned(),
            offered: 0,
            acknowledged: Bits::default(),
            failed: BTreeMap::new(),
            complete: false,
        };
        let mut block = Vec::new();
        while next(&mut line)? > 0 && block.len() as u64 <= MAX_LINE {
            if let Some(sum) = line.strip_prefix(b"= ") {
                let expected = format!("{:08x}\n", crc32fast::hash(&block));
                if sum != expected.as_bytes() {
                    break;
                }
                ledger.take(std::str::from_utf8(&block).context("a block of it")?, room)?;
                block.clear();
            } else {
                block.extend_from_slice(&line);
            }
        }
        Ok(ledger)
    }

    fn take(&mut self, block: &str, room: &mut Room) -> anyhow::Result<()> {
        for line in block.lines() {
            let mut words = line.split(' ').skip(1);
            match words.next() {
                Some("offered") => self.offered = words.next().unwrap_or_default().parse().context(line.to_owned())?,
                Some("ack") => add(&mut self.acknowledged, words, room)?,
                Some("fail") => {
                    let code = words.next().unwrap_or_default();
                    add(self.failed.entry(code.to_owned()).or_default(), words, room)?;
                }
                Some("end") => self.complete = true,
                _ => bail!("this version of kgen cannot read `{line}`"),
            }
        }
        Ok(())
    }
}

/// Blocks of bits that the ledgers which are read may still fill.
#[derive(Debug)]
struct Room(usize);

fn add<'a>(numbers: &mut Bits, words: impl Iterator<Item = &'a str>, room: &mut Room) -> anyhow::Result<()> {
    for word in words {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let (first, last): (u64, u64) =
            (first.parse().context(word.to_owned())?, last.parse().context(word.to_owned())?);
        if last >= MOST_BLOCKS as u64 * BLOCK {
            bail!("the sequence {last} exceeds the {} records that kgen can verify", MOST_BLOCKS as u64 * BLOCK);
        }
        let blocks = first.min(last) / BLOCK..=last / BLOCK;
        let there = numbers.blocks.range(blocks.clone()).count();
        room.0 = match room.0.checked_sub(blocks.count() - there) {
            Some(left) => left,
            None => bail!("the ledgers exceed the {} MiB that kgen can verify", MOST_BLOCKS >> 7),
        };
        numbers.insert_range(first, last);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_join_what_touches() {
        let check = |inserted: &[(u64, u64)], expected: &[(u64, u64)]| {
            let mut ranges = Ranges::default();
            inserted.iter().for_each(|(first, last)| ranges.insert(*first, *last));
            assert_eq!(ranges.iter().collect::<Vec<_>>(), expected, "{inserted:?}");
        };
        check(&[(1, 1), (3, 3), (2, 2)], &[(1, 3)]);
        check(&[(5, 9), (1, 2), (7, 12)], &[(1, 2), (5, 12)]);
        check(&[(1, 2), (4, 5), (7, 8), (0, 9)], &[(0, 9)]);
        check(&[(0, 9), (3, 4)], &[(0, 9)]);
        check(&[(u64::MAX, u64::MAX), (0, 0)], &[(0, 0), (u64::MAX, u64::MAX)]);
    }

    proptest! {
        #[test]
        fn bits_and_ranges_hold_what_was_put_in(numbers in prop::collection::vec(0u64..200_000, 0..300)) {
            let (mut bits, mut ranges) = (Bits::default(), Ranges::default());
            for number in &numbers {
                bits.insert(*number);
                ranges.insert(*number, *number);
            }
            let distinct: std::collections::BTreeSet<u64> = numbers.iter().copied().collect();
            prop_assert_eq!(bits.len(), distinct.len() as u64);
            prop_assert_eq!(bits.ranges(), ranges.clone());
            prop_assert_eq!(ranges.len(), distinct.len() as u64);
            prop_assert!(distinct.iter().all(|number| bits.contains(*number) && ranges.contains(*number)));
            let mut filled = Bits::default();
            ranges.iter().for_each(|(first, last)| filled.insert_range(first, last));
            prop_assert_eq!(&filled, &bits);
        }

        #[test]
        fn sets_are_held_against_each_other(one in ranges(), two in ranges()) {
            let bits = |ranges: &[(u64, u64)]| {
                let mut bits = Bits::default();
                ranges.iter().for_each(|(first, length)| bits.insert_range(*first, first + length));
                bits
            };
            let plain = |ranges: &[(u64, u64)]| -> std::collections::BTreeSet<u64> {
                ranges.iter().flat_map(|(first, length)| *first..=first + length).collect()
            };
            let (a, b, c, d) = (bits(&one), bits(&two), plain(&one), plain(&two));
            prop_assert_eq!(a.len(), c.len() as u64);
            prop_assert_eq!(a.in_both(&b), c.intersection(&d).count() as u64);
            prop_assert_eq!(a.missing_in(&b, 5), c.difference(&d).copied().take(5).collect::<Vec<_>>());
        }

        #[test]
        fn a_ledger_torn_anywhere_claims_only_what_it_was_given(cut in 0usize..400) {
            let dir = tempfile::tempdir().unwrap();
            let path = written(dir.path());
            let bytes = std::fs::read(&path).unwrap();
            let whole = Ledger::parse(&*bytes, &mut Room(MOST_BLOCKS)).unwrap();
            if let Ok(torn) = Ledger::parse(&bytes[..bytes.len().saturating_sub(cut)], &mut Room(MOST_BLOCKS)) {
                prop_assert_eq!(torn.complete, cut == 0);
                prop_assert_eq!(torn.acknowledged.in_both(&whole.acknowledged), torn.acknowledged.len());
                prop_assert!(torn.offered <= whole.offered);
            }
        }
    }

    #[test]
    fn a_ledger_that_would_fill_the_memory_is_refused() {
        let read = |lines: &str| {
            let sum = crc32fast::hash(lines.as_bytes());
            let text = format!("kgen-ledger/1 1f 0 topic\n{lines}= {sum:08x}\n");
            format!("{:#}", Ledger::parse(text.as_bytes(), &mut Room(8)).unwrap_err())
        };
        assert!(read("+ ack 0-18446744073709551615\n").contains("records that kgen can verify"));
        let scattered: String = (0..9).map(|at| format!(" {}", at * BLOCK)).collect();
        assert!(read(&format!("+ ack{scattered}\n")).contains("MiB that kgen can verify"));
    }

    fn ranges() -> impl Strategy<Value = Vec<(u64, u64)>> {
        prop::collection::vec((0u64..150_000, 0u64..300), 0..20)
    }

    fn written(dir: &Path) -> PathBuf {
        let mut writer = LedgerWriter::create(dir, 0xabc, 2, "stress-demo").unwrap();
        (0..500).filter(|n| n % 100 != 7).for_each(|n| writer.acknowledged(n));
        writer.write(500).unwrap();
        writer.write(500).unwrap();
        writer.failed(7, "_MSG_TIMED_OUT");
        (107..500).step_by(100).for_each(|n| writer.failed(n, "NOT_ENOUGH_REPLICAS"));
        (500..70_000).rev().for_each(|n| writer.acknowledged(n));
        writer.close(70_000).unwrap()
    }

    #[test]
    fn a_ledger_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::read(&written(dir.path()), &mut Room(MOST_BLOCKS)).unwrap();
        assert_eq!((ledger.run, ledger.producer, ledger.topic.as_str()), (0xabc, 2, "stress-demo"));
        assert!(ledger.complete);
        assert_eq!(ledger.acknowledged.len(), 70_000 - 5);
        assert_eq!(ledger.failed["NOT_ENOUGH_REPLICAS"].len(), 4);
        assert!(ledger.failed["_MSG_TIMED_OUT"].contains(7));
        assert_eq!(ledger.unknown(), 0);
        assert_eq!(Ledger::read_run(dir.path()).unwrap(), [ledger]);
        // Ranges, not records.
        assert!(std::fs::metadata(dir.path().join("ledger-2")).unwrap().len() < 300);
    }

    #[test]
    fn a_changed_block_counts_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let text = std::fs::read_to_string(&path).unwrap().replacen("ack 0-6", "ack 0-9", 1);
        let ledger = Ledger::parse(text.as_bytes(), &mut Room(MOST_BLOCKS)).unwrap();
        assert_eq!((ledger.acknowledged.len(), ledger.complete), (0, false));
        assert!(Ledger::parse(&b"something else"[..], &mut Room(MOST_BLOCKS)).is_err());
    }
}
