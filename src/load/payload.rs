//! What is in a record: a stamp that proves it, then a body that was made beforehand.
//!
//! The stamp is at the start of the value. It names run, producer and sequence and carries two CRC-32 sums, of the
//! stamp and of the body, so that sending a record touches the stamp alone. A JSON record has the stamp as its first
//! fields, in fixed places; a binary one starts with [`MAGIC`].

use std::str::FromStr;

use rand::{Rng, RngCore, SeedableRng, rngs::SmallRng};

use super::keys::KEY_LEN;

/// What bodies are made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Payload {
    /// A JSON event: `event_id`, `crc`, `timestamp`, `key`, `value`, `padding`.
    Json,
    /// Random bytes, of which the share `repeated` (0 to 1) is a repeated one.
    Random { repeated: f64 },
}

/// Reads `json`, `random` or `random:PERCENT` (of bytes that compress away).
impl FromStr for Payload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no payload: use json, random or random:50 (percent that compresses away)");
        match text.split_once(':').unwrap_or((text, "0")) {
            ("json", "0") => Ok(Payload::Json),
            ("random", percent) => match percent.parse::<f64>() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Payload::Random { repeated: percent / 100.0 }),
                _ => Err(wrong()),
            },
            _ => Err(wrong()),
        }
    }
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
/// magic, run, sequence, due_ms, producer, body crc, stamp crc
const BINARY_HEAD: usize = 4 + 8 + 8 + 8 + 2 + 4 + 4;

const TEMPLATE: &[u8] =
    br#"{"event_id":"0000000000000000-0000-000000000000","crc":"0000000000000000","timestamp":0000000000000,"key":null          ,"#;
const RUN_AT: usize = 13;
const PRODUCER_AT: usize = RUN_AT + 17;
const SEQUENCE_AT: usize = PRODUCER_AT + 5;
const CRC_AT: usize = SEQUENCE_AT + 12 + 9;
const TIME_AT: usize = CRC_AT + 16 + 14;
const KEY_AT: usize = TIME_AT + 13 + 7;
/// What a JSON body needs beside its padding.
const JSON_BODY: usize = br#""value":000.000,"padding":""}"#.len();

impl Payload {
    /// The smallest record, bytes.
    pub fn min_size(self) -> usize {
        match self {
            Payload::Json => TEMPLATE.len() + JSON_BODY,
            Payload::Random { .. } => BINARY_HEAD,
        }
    }

    /// A record of `size` bytes (at least [`Payload::min_size`]) without its stamp; `seed` tells bodies apart.
    pub fn prepared(self, size: usize, seed: u64) -> Box<[u8]> {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut bytes = Vec::with_capacity(size);
        match self {
            Payload::Json => {
                const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
                bytes.extend_from_slice(TEMPLATE);
                let value = random.random_range(100_000..1_000_000u32);
                bytes.extend_from_slice(
                    format!(r#""value":{}.{:03},"padding":""#, value / 1000, value % 1000).as_bytes(),
                );
                while bytes.len() + 2 < size {
                    bytes.push(ALPHABET[random.random_range(0..64)]);
                }
                bytes.extend_from_slice(br#""}"#);
            }
            Payload::Random { repeated } => {
                bytes.resize(size, b'k');
                // In pieces, so that every part of a record compresses alike.
                for piece in bytes[BINARY_HEAD..].chunks_mut(64) {
                    let different = (piece.len() as f64 * (1.0 - repeated)).round() as usize;
                    random.fill_bytes(&mut piece[..different]);
                }
                bytes[..4].copy_from_slice(&MAGIC);
            }
        }
        let (head, body) = bytes.split_at_mut(self.head());
        let crc = crc32fast::hash(body);
        match self {
            Payload::Json => write_hex(&mut head[CRC_AT + 8..CRC_AT + 16], u64::from(crc)),
            Payload::Random { .. } => head[30..34].copy_from_slice(&crc.to_le_bytes()),
        }
        bytes.into_boxed_slice()
    }

    /// Writes `stamp` and `key` into a prepared record.
    pub fn stamp(self, record: &mut [u8], stamp: &Stamp, key: Option<&[u8; KEY_LEN]>) {
        match self {
            Payload::Json => {
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
            Payload::Random { .. } => {
                record[4..12].copy_from_slice(&stamp.run.to_le_bytes());
                record[12..20].copy_from_slice(&stamp.sequence.to_le_bytes());
                record[20..28].copy_from_slice(&stamp.due_ms.to_le_bytes());
                record[28..30].copy_from_slice(&stamp.producer.to_le_bytes());
                let crc = crc32fast::hash(&record[..34]);
                record[34..38].copy_from_slice(&crc.to_le_bytes());
            }
        }
    }

    fn head(self) -> usize {
        match self {
            Payload::Json => TEMPLATE.len(),
            Payload::Random { .. } => BINARY_HEAD,
        }
    }
}

/// Reads a record's stamp and proves its sums.
pub fn read(record: &[u8]) -> Read {
    if record.starts_with(&MAGIC) {
        let Some((head, body)) = record.split_at_checked(BINARY_HEAD) else { return Read::StampDamaged };
        let four = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let eight = |at: usize| u64::from(four(at)) | u64::from(four(at + 4)) << 32;
        if crc32fast::hash(&head[..34]) != four(34) {
            return Read::StampDamaged;
        }
        let producer = u16::from_le_bytes([head[28], head[29]]);
        let stamp = Stamp { run: eight(4), producer, sequence: eight(12), due_ms: eight(20) };
        if crc32fast::hash(body) == four(30) { Read::Whole(stamp) } else { Read::BodyDamaged(stamp) }
    } else if record.starts_with(&TEMPLATE[..RUN_AT]) && record.len() >= TEMPLATE.len() {
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
    } else {
        Read::Foreign
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
        let mut record = payload.prepared(size.max(payload.min_size()), 9);
        payload.stamp(&mut record, &STAMP, Some(&keys::key(7)));
        record
    }

    #[test]
    fn a_damaged_byte_is_found_wherever_it_is() {
        for payload in ["json", "random", "random:50"] {
            for size in [0, 100, 1024] {
                let whole = record(payload, size);
                assert_eq!(read(&whole), Read::Whole(STAMP), "{payload} {size}");
                for at in 0..whole.len() {
                    let mut damaged = whole.clone();
                    damaged[at] ^= 1;
                    assert_ne!(read(&damaged), Read::Whole(STAMP), "{payload} {size}: byte {at}");
                }
                assert_ne!(read(&whole[..whole.len() - 1]), Read::Whole(STAMP));
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
        let mut keyless = Payload::Json.prepared(200, 1);
        Payload::Json.stamp(&mut keyless, &STAMP, None);
        let value: serde_json::Value = serde_json::from_slice(&keyless).unwrap();
        assert_eq!(value["key"], serde_json::Value::Null);
    }

    #[test]
    fn what_others_sent_is_foreign() {
        for foreign in ["", "{}", "KGN", r#"{"event_id":"5c1e","value":1}"#] {
            assert_eq!(read(foreign.as_bytes()), Read::Foreign, "{foreign}");
        }
    }
}
