//! The content of a record: a stamp for verification, and a body that was created beforehand.
//!
//! The stamp names run, producer and sequence and carries two CRC-32 sums, of the stamp and of the body, so that sending
//! a record touches the stamp alone. A JSON record has the stamp as its first fields, in fixed places; a binary one starts
//! with it ([`MAGIC`]); a line of a file is sent as it is, with the binary stamp in the header [`HEADER`].

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context as _, ensure};
use rand::{Rng, RngCore, SeedableRng, rngs::SmallRng, seq::SliceRandom as _};

use super::{keys::KEY_LEN, sizes::Sizes};

/// What bodies are made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// A JSON event: `event_id`, `crc`, `timestamp`, `key`, `value`, `padding`.
    Json,
    /// Random bytes, of which the share `repeated` (0 to 1) is a repeated one.
    Random { repeated: f64 },
    /// Lines of this file, sampled if there are many.
    Lines(PathBuf),
}

/// Reads `json`, `random`, `random:PERCENT` (of bytes that compress away) or `lines:FILE`.
impl FromStr for Payload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a payload: use json, random, random:50 (percent that compresses away) or \
                     lines:FILE"
            )
        };
        match text.split_once(':').unwrap_or((text, "0")) {
            ("json", "0") => Ok(Payload::Json),
            ("random", percent) => match percent.parse::<f64>() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Payload::Random { repeated: percent / 100.0 }),
                _ => Err(wrong()),
            },
            ("lines", path) if text.len() > "lines:".len() => Ok(Payload::Lines(path.into())),
            _ => Err(wrong()),
        }
    }
}

/// As it is read.
impl std::fmt::Display for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Payload::Json => f.write_str("json"),
            Payload::Random { repeated } => write!(f, "random:{}", repeated * 100.0),
            Payload::Lines(path) => write!(f, "lines:{}", path.display()),
        }
    }
}

impl Payload {
    /// Where its records have their stamp.
    pub fn form(&self) -> Form {
        match self {
            Payload::Json => Form::Json,
            Payload::Random { .. } => Form::Binary,
            Payload::Lines(_) => Form::Header,
        }
    }
}

/// Where a record has its stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// In the first fields of a JSON object.
    Json,
    /// In the first bytes of the value.
    Binary,
    /// In the header [`HEADER`]; the value is the body alone.
    Header,
}

/// A value without its stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    pub bytes: Box<[u8]>,
    /// CRC-32 of what follows the stamp.
    crc: u32,
}

/// The values of a load, each without its stamp: record after record takes the next one, the first again after the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bodies {
    pub form: Form,
    pub all: Vec<Body>,
}

/// Together at least so large, so that a codec does not find a value again: gzip looks back 32 KiB, snappy and LZ4 64 KiB.
const BODIES_BYTES: usize = 256 << 10;
/// The fewest and the most bodies of a load, and the fewest where sizes are spread.
const BODIES: (usize, usize) = (16, 4096);
const FEWEST_SIZES: usize = 256;
/// A sample of a file has at most so many lines and bytes.
const MOST_LINES: usize = 4096;
const MOST_LINE_BYTES: usize = 16 << 20;

impl Bodies {
    /// The values of a load of this kind. The same seed gives the same ones, in the same order.
    ///
    /// # Errors
    /// The file of lines cannot be read, or has none.
    pub fn make(payload: &Payload, sizes: Sizes, seed: u64) -> anyhow::Result<Self> {
        let (form, mut random) = (payload.form(), SmallRng::seed_from_u64(seed ^ 0x626f_6479));
        let all = match payload {
            Payload::Lines(path) => sampled(path, &mut random)?
                .into_iter()
                .map(|line| Body { crc: crc32fast::hash(&line), bytes: line })
                .collect(),
            Payload::Json | Payload::Random { .. } => {
                let fewest = if sizes.is_fixed() { BODIES.0 } else { FEWEST_SIZES };
                let count = (BODIES_BYTES as f64 / sizes.mean().max(1.0)) as usize;
                let count = count.clamp(fewest, BODIES.1);
                // One of each size, at equal steps of the distribution, in an order of chance.
                let mut lengths: Vec<usize> =
                    (0..count).map(|k| sizes.at((k as f64 + 0.5) / count as f64).max(form.min_size())).collect();
                lengths.shuffle(&mut random);
                lengths.into_iter().map(|length| Body::make(payload, length, &mut random)).collect()
            }
        };
        Ok(Bodies { form, all })
    }

    /// Bytes of a value on average.
    pub fn mean_size(&self) -> usize {
        self.all.iter().map(|body| body.bytes.len()).sum::<usize>() / self.all.len().max(1)
    }

    pub fn largest(&self) -> usize {
        self.all.iter().map(|body| body.bytes.len()).max().unwrap_or(0)
    }
}

/// Lines of a file that are not empty: all, or a sample in which each has the same chance, in the order of the file.
fn sampled(path: &Path, random: &mut SmallRng) -> anyhow::Result<Vec<Box<[u8]>>> {
    let reading = || format!("reading the lines of {}", path.display());
    let mut file = BufReader::new(crate::files::bounded::open(path).with_context(reading)?);
    let mut kept: Vec<(usize, Box<[u8]>)> = Vec::new();
    let (mut seen, mut line) = (0, Vec::new());
    loop {
        line.clear();
        let most = MOST_LINE_BYTES as u64 / 16;
        if (&mut file).take(most).read_until(b'\n', &mut line).with_context(reading)? == 0 {
            break;
        }
        ensure!(
            line.ends_with(b"\n") || (line.len() as u64) < most,
            "a line of {} is longer than {most} bytes: --payload lines expects one record per line",
            path.display()
        );
        let text = line.trim_ascii_end();
        if text.is_empty() {
            continue;
        }
        seen += 1;
        if kept.len() < MOST_LINES {
            kept.push((seen, text.into()));
        } else {
            let place = random.random_range(0..seen);
            if let Some(old) = kept.get_mut(place) {
                *old = (seen, text.into());
            }
        }
    }
    ensure!(!kept.is_empty(), "{} has only empty lines", path.display());
    let mut bytes = 0;
    kept.retain(|(_, line)| {
        bytes += line.len();
        bytes <= MOST_LINE_BYTES
    });
    kept.sort_unstable_by_key(|(number, _)| *number);
    Ok(kept.into_iter().map(|(_, line)| line).collect())
}

/// Who sent a record, and when it was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub run: u64,
    pub producer: u16,
    pub sequence: u64,
    /// Milliseconds since the Unix epoch.
    pub due_ms: u64,
}

/// What a value turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// Whole, as it was sent.
    Whole(Stamp),
    /// The stamp can be trusted, the body cannot.
    BodyDamaged(Stamp),
    /// Looks like one of ours, but its stamp is damaged.
    StampDamaged,
    /// Not sent by kgen.
    Foreign,
}

const MAGIC: [u8; 4] = *b"KGN1";
/// The record header that has the stamp where the value is someone else's.
pub const HEADER: &str = "kgen";
/// magic, run, sequence, due_ms, producer, body crc, stamp crc
pub const BINARY_HEAD: usize = 4 + 8 + 8 + 8 + 2 + 4 + 4;

const TEMPLATE: &[u8] =
    br#"{"event_id":"0000000000000000-0000-000000000000","crc":"0000000000000000","timestamp":0000000000000,"key":null          ,"#;
const RUN_AT: usize = 13;
const PRODUCER_AT: usize = RUN_AT + 17;
const SEQUENCE_AT: usize = PRODUCER_AT + 5;
const CRC_AT: usize = SEQUENCE_AT + 12 + 9;
const TIME_AT: usize = CRC_AT + 16 + 14;
const KEY_AT: usize = TIME_AT + 13 + 7;
/// What a JSON body needs besides its padding.
const JSON_BODY: usize = br#""value":000.000,"padding":""}"#.len();

impl Body {
    fn make(payload: &Payload, size: usize, random: &mut SmallRng) -> Body {
        let mut bytes = Vec::with_capacity(size);
        let head = payload.form().head();
        if let Payload::Random { repeated } = payload {
            bytes.resize(size, b'k');
            // In pieces, so that every part of a record compresses alike.
            for piece in bytes[head..].chunks_mut(64) {
                let different = (piece.len() as f64 * (1.0 - repeated)).round() as usize;
                random.fill_bytes(&mut piece[..different]);
            }
            bytes[..4].copy_from_slice(&MAGIC);
        } else {
            const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            bytes.extend_from_slice(TEMPLATE);
            let value = random.random_range(100_000..1_000_000u32);
            bytes.extend_from_slice(format!(r#""value":{}.{:03},"padding":""#, value / 1000, value % 1000).as_bytes());
            while bytes.len() + 2 < size {
                bytes.push(ALPHABET[random.random_range(0..64)]);
            }
            bytes.extend_from_slice(br#""}"#);
        }
        let crc = crc32fast::hash(&bytes[head..]);
        if payload.form() == Form::Json {
            write_hex(&mut bytes[CRC_AT + 8..CRC_AT + 16], u64::from(crc));
        } else {
            bytes[30..34].copy_from_slice(&crc.to_le_bytes());
        }
        Body { bytes: bytes.into_boxed_slice(), crc }
    }
}

impl Form {
    /// The smallest record, bytes.
    pub fn min_size(self) -> usize {
        match self {
            Form::Json => TEMPLATE.len() + JSON_BODY,
            Form::Binary => BINARY_HEAD,
            Form::Header => 0,
        }
    }

    /// Writes `stamp` and `key` into a copy of a [`Body`]; not for [`Form::Header`], which leaves it as it is.
    pub fn stamp(self, record: &mut [u8], stamp: &Stamp, key: Option<&[u8; KEY_LEN]>) {
        match self {
            Form::Json => {
                write_hex(&mut record[RUN_AT..RUN_AT + 16], stamp.run);
                write_hex(&mut record[PRODUCER_AT..PRODUCER_AT + 4], u64::from(stamp.producer));
                write_hex(&mut record[SEQUENCE_AT..SEQUENCE_AT + 12], stamp.sequence);
                write_decimal(&mut record[TIME_AT..TIME_AT + 13], stamp.due_ms);
                if let Some(key) = key {
                    record[KEY_AT] = b'"';
                    record[KEY_AT + 1..KEY_AT + 1 + KEY_LEN].copy_from_slice(key);
                    record[KEY_AT + 1 + KEY_LEN] = b'"';
                }
                let crc = json_head_crc(record);
                write_hex(&mut record[CRC_AT..CRC_AT + 8], u64::from(crc));
            }
            Form::Binary => stamp.write(&mut record[..BINARY_HEAD]),
            Form::Header => {}
        }
    }

    fn head(self) -> usize {
        match self {
            Form::Json => TEMPLATE.len(),
            Form::Binary => BINARY_HEAD,
            Form::Header => 0,
        }
    }
}

impl Stamp {
    /// The stamp of `body` as the header [`HEADER`] has it.
    pub fn header(&self, body: &Body) -> [u8; BINARY_HEAD] {
        let mut head = [0; BINARY_HEAD];
        head[..4].copy_from_slice(&MAGIC);
        head[30..34].copy_from_slice(&body.crc.to_le_bytes());
        self.write(&mut head);
        head
    }

    /// Writes all but what a body has already: [`MAGIC`] and the sum of the body.
    fn write(&self, head: &mut [u8]) {
        head[4..12].copy_from_slice(&self.run.to_le_bytes());
        head[12..20].copy_from_slice(&self.sequence.to_le_bytes());
        head[20..28].copy_from_slice(&self.due_ms.to_le_bytes());
        head[28..30].copy_from_slice(&self.producer.to_le_bytes());
        let crc = crc32fast::hash(&head[..34]);
        head[34..38].copy_from_slice(&crc.to_le_bytes());
    }
}

/// Reads a record's stamp and proves its sums. `header` is the value of its header [`HEADER`].
pub fn read(record: &[u8], header: Option<&[u8]>) -> Read {
    if let Some(head) = header {
        return if head.len() == BINARY_HEAD && head.starts_with(&MAGIC) {
            read_binary(head, record)
        } else {
            Read::StampDamaged
        };
    }
    if record.starts_with(&MAGIC) {
        match record.split_at_checked(BINARY_HEAD) {
            Some((head, body)) => read_binary(head, body),
            None => Read::StampDamaged,
        }
    } else if record.starts_with(&TEMPLATE[..RUN_AT]) && record.len() >= TEMPLATE.len() {
        read_json(record)
    } else {
        Read::Foreign
    }
}

fn read_binary(head: &[u8], body: &[u8]) -> Read {
    let four = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let eight = |at: usize| u64::from(four(at)) | u64::from(four(at + 4)) << 32;
    if crc32fast::hash(&head[..34]) != four(34) {
        return Read::StampDamaged;
    }
    let producer = u16::from_le_bytes([head[28], head[29]]);
    let stamp = Stamp { run: eight(4), producer, sequence: eight(12), due_ms: eight(20) };
    if crc32fast::hash(body) == four(30) { Read::Whole(stamp) } else { Read::BodyDamaged(stamp) }
}

fn read_json(record: &[u8]) -> Read {
    if record.get(CRC_AT - 7..CRC_AT) != Some(br#""crc":""#.as_slice()) {
        return Read::Foreign;
    }
    let body = &record[TEMPLATE.len()..];
    let read = || {
        let stamp = Stamp {
            run: number(&record[RUN_AT..RUN_AT + 16], 16)?,
            producer: number(&record[PRODUCER_AT..PRODUCER_AT + 4], 16)? as u16,
            sequence: number(&record[SEQUENCE_AT..SEQUENCE_AT + 12], 16)?,
            due_ms: number(&record[TIME_AT..TIME_AT + 13], 10)?,
        };
        let head = number(&record[CRC_AT..CRC_AT + 8], 16)?;
        Some((stamp, head, number(&record[CRC_AT + 8..CRC_AT + 16], 16)?))
    };
    match read() {
        Some((stamp, head, sum)) if head == u64::from(json_head_crc(record)) => {
            if u64::from(crc32fast::hash(body)) == sum { Read::Whole(stamp) } else { Read::BodyDamaged(stamp) }
        }
        _ => Read::StampDamaged,
    }
}

fn json_head_crc(record: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&record[..CRC_AT]);
    crc.update(&record[CRC_AT + 8..TEMPLATE.len()]);
    crc.finalize()
}

fn write_hex(to: &mut [u8], mut value: u64) {
    for digit in to.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
}

fn write_decimal(to: &mut [u8], mut value: u64) {
    for digit in to.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

fn number(text: &[u8], radix: u32) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(text).ok()?, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::keys;

    const STAMP: Stamp =
        Stamp { run: 0xfeed_0123_4567_89ab, producer: 3, sequence: 1 << 40, due_ms: 1_764_000_000_123 };

    fn record(payload: &str, size: usize) -> Box<[u8]> {
        let payload: Payload = payload.parse().unwrap();
        let bodies = Bodies::make(&payload, Sizes::Fixed(size), 9).unwrap();
        let mut record = bodies.all[0].bytes.clone();
        bodies.form.stamp(&mut record, &STAMP, Some(&keys::key(7)));
        record
    }

    #[test]
    fn a_damaged_byte_is_found_wherever_it_is() {
        for payload in ["json", "random", "random:50"] {
            for size in [0, 100, 1024] {
                let whole = record(payload, size);
                assert_eq!(read(&whole, None), Read::Whole(STAMP), "{payload} {size}");
                for at in 0..whole.len() {
                    let mut damaged = whole.clone();
                    damaged[at] ^= 1;
                    assert_ne!(read(&damaged, None), Read::Whole(STAMP), "{payload} {size}: byte {at}");
                }
                assert_ne!(read(&whole[..whole.len() - 1], None), Read::Whole(STAMP));
            }
        }
    }

    #[test]
    fn a_json_record_is_json_of_its_size() {
        for size in [200, 1024] {
            let record = record("json", size);
            assert_eq!(record.len(), size);
            let value: serde_json::Value = serde_json::from_slice(&record).unwrap();
            assert_eq!(value["key"], "key-00000007");
            assert_eq!(value["timestamp"], 1_764_000_000_123u64);
            assert!(value["value"].is_f64());
        }
        let mut keyless = Bodies::make(&Payload::Json, Sizes::Fixed(200), 1).unwrap().all[0].bytes.clone();
        Form::Json.stamp(&mut keyless, &STAMP, None);
        let value: serde_json::Value = serde_json::from_slice(&keyless).unwrap();
        assert_eq!(value["key"], serde_json::Value::Null);
    }

    #[test]
    fn what_others_sent_is_foreign() {
        for foreign in ["", "{}", "KGN", r#"{"event_id":"5c1e","value":1}"#] {
            assert_eq!(read(foreign.as_bytes(), None), Read::Foreign, "{foreign}");
        }
    }

    #[test]
    fn bodies_follow_from_the_seed_and_have_the_sizes_asked_for() {
        let make = |payload: &str, sizes: &str, seed| {
            Bodies::make(&payload.parse().unwrap(), sizes.parse().unwrap(), seed).unwrap()
        };
        for payload in ["json", "random:30"] {
            assert_eq!(make(payload, "normal:600:100", 1), make(payload, "normal:600:100", 1));
            assert_ne!(make(payload, "600", 1), make(payload, "600", 2));
        }
        let check = |bodies: Bodies, least: usize, most: usize, mean: usize, sizes: usize| {
            let mut lengths: Vec<usize> = bodies.all.iter().map(|body| body.bytes.len()).collect();
            assert!(!lengths.is_sorted() || sizes == 1);
            lengths.sort_unstable();
            lengths.dedup();
            assert!(lengths[0] >= least && lengths[lengths.len() - 1] <= most, "{lengths:?}");
            assert!(lengths.len() >= sizes && bodies.mean_size().abs_diff(mean) <= mean / 50, "{}", bodies.mean_size());
        };
        check(make("random", "1024", 1), 1024, 1024, 1024, 1);
        check(make("random", "uniform:100..2000", 1), 100, 2000, 1050, 200);
        check(make("json", "uniform:200..2000", 1), 200, 2000, 1100, 200);
        check(make("random", "normal:10240:1000", 1), 7000, 13_500, 10_240, 200);
        // A small one is no smaller than its stamp.
        check(make("random", "normal:60:40", 1), BINARY_HEAD, 230, 67, 50);
        // Far enough apart that no codec finds one again.
        for size in ["100", "1024", "100000"] {
            let bodies = make("random", size, 1);
            assert!(bodies.all.len() * bodies.mean_size() > 128 << 10, "{size}");
        }
    }

    #[test]
    fn lines_of_a_file_are_sent_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        let read_lines = |text: &str, seed| {
            std::fs::write(&path, text).unwrap();
            Bodies::make(&Payload::Lines(path.clone()), Sizes::Fixed(1024), seed)
        };
        let bodies = read_lines("{\"a\":1}\r\n\n  second \nlast", 1).unwrap();
        let texts: Vec<&[u8]> = bodies.all.iter().map(|body| &*body.bytes).collect();
        assert_eq!(texts, [&b"{\"a\":1}"[..], b"  second", b"last"]);
        let body = &bodies.all[0];
        let header = STAMP.header(body);
        assert_eq!(read(&body.bytes, Some(&header)), Read::Whole(STAMP));
        assert_eq!(read(b"{\"a\":2}", Some(&header)), Read::BodyDamaged(STAMP));
        for at in 0..header.len() {
            let mut damaged = header;
            damaged[at] ^= 1;
            assert_eq!(read(&body.bytes, Some(&damaged)), Read::StampDamaged, "byte {at}");
        }
        let many: String = (0..50_000).map(|n| format!("line {n}\n")).collect();
        let (one, two) = (read_lines(&many, 1).unwrap(), read_lines(&many, 2).unwrap());
        assert_eq!(one.all.len(), MOST_LINES);
        assert_eq!(one, read_lines(&many, 1).unwrap());
        assert_ne!(one, two);
        // From everywhere in the file: the mean number of a sample is near the middle.
        let number = |body: &Body| std::str::from_utf8(&body.bytes[5..]).unwrap().parse::<f64>().unwrap();
        let mean = one.all.iter().map(number).sum::<f64>() / MOST_LINES as f64;
        assert!((mean - 25_000.0).abs() < 1500.0, "{mean}");
        assert!(read_lines("\n \n", 1).is_err());
        let error = Bodies::make(&Payload::Lines(dir.path().join("none")), Sizes::Fixed(1), 1).unwrap_err();
        assert!(format!("{error:#}").contains("none"), "{error:#}");
        assert!(read_lines(&"x".repeat(2 << 20), 1).is_err());
    }
}
