//! Which key a record gets.

use std::{fmt, str::FromStr};

use rand::{Rng, SeedableRng, rngs::SmallRng};

/// How keys are spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Keys {
    /// No key: the client spreads records over the partitions.
    None,
    /// Evenly over this many keys.
    Uniform(u32),
    /// `share` (0 to 1) of the records go to the first `hot` keys, the rest evenly to the others.
    Hot { share: f64, hot: u32, of: u32 },
    /// Zipf's law: the k-th key comes with a weight of 1/k^exponent.
    Zipf { of: u32, exponent: f64 },
}

impl Keys {
    /// Evenly over the default number of keys.
    pub const UNIFORM: Keys = Keys::Uniform(DEFAULT_KEYS);
    /// 80 % to 2 keys, as the seed's producer can do.
    pub const HOT: Keys = Keys::Hot { share: 0.8, hot: 2, of: DEFAULT_KEYS };
}

/// Keys that are used when no number is given.
const DEFAULT_KEYS: u32 = 1000;
/// The most keys: the Zipf table holds 8 bytes for each.
const MAX_KEYS: u32 = 10_000_000;

/// Reads `none`, `uniform[:KEYS]`, `hot[:PERCENT:HOT[:KEYS]]` (80 % to 2 keys), `zipf[:KEYS[:EXPONENT]]`.
impl FromStr for Keys {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a key distribution: use none, uniform:1000, hot, hot:80:2:1000 or zipf:1000:1.1 (up \
                 to {MAX_KEYS} keys)"
            )
        };
        let mut parts = text.split(':');
        let kind = parts.next().unwrap_or_default();
        let numbers = parts.map(|part| part.parse::<f64>().map_err(|_| wrong())).collect::<Result<Vec<_>, _>>()?;
        let count = |index: usize, default: u32| match numbers.get(index) {
            None => Ok(default),
            Some(n) if n.fract() == 0.0 && *n >= 1.0 && *n <= MAX_KEYS as f64 => Ok(*n as u32),
            Some(_) => Err(wrong()),
        };
        match (kind, numbers.len()) {
            ("none", 0) => Ok(Keys::None),
            ("uniform", 0..=1) => Ok(Keys::Uniform(count(0, DEFAULT_KEYS)?)),
            ("hot", 0 | 2 | 3) => {
                let share = numbers.first().copied().unwrap_or(80.0) / 100.0;
                let (hot, of) = (count(1, 2)?, count(2, DEFAULT_KEYS)?);
                if (0.0..=1.0).contains(&share) && hot < of { Ok(Keys::Hot { share, hot, of }) } else { Err(wrong()) }
            }
            ("zipf", 0..=2) => {
                let exponent = numbers.get(1).copied().unwrap_or(1.0);
                if !(0.0..=10.0).contains(&exponent) {
                    return Err(wrong());
                }
                Ok(Keys::Zipf { of: count(0, DEFAULT_KEYS)?, exponent })
            }
            _ => Err(wrong()),
        }
    }
}

/// As it is read.
impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Keys::None => f.write_str("none"),
            Keys::Uniform(of) => write!(f, "uniform:{of}"),
            Keys::Hot { share, hot, of } => write!(f, "hot:{}:{hot}:{of}", share * 100.0),
            Keys::Zipf { of, exponent } => write!(f, "zipf:{of}:{exponent}"),
        }
    }
}

/// Draws keys: the same seed, the same keys.
#[derive(Debug)]
pub struct KeySource {
    keys: Keys,
    cumulative: Vec<f64>,
    random: SmallRng,
}

impl KeySource {
    pub fn new(keys: Keys, seed: u64) -> Self {
        let mut cumulative = Vec::new();
        if let Keys::Zipf { of, exponent } = keys {
            let mut sum = 0.0;
            cumulative.extend((1..=of).map(|k| {
                sum += f64::from(k).powf(-exponent);
                sum
            }));
        }
        KeySource { keys, cumulative, random: SmallRng::seed_from_u64(seed ^ 0x6b65_7973) }
    }

    /// The number of the next record's key.
    pub fn draw(&mut self) -> Option<u32> {
        match self.keys {
            Keys::None => None,
            Keys::Uniform(of) => Some(self.random.random_range(0..of)),
            Keys::Hot { share, hot, of } => Some(if self.random.random::<f64>() < share {
                self.random.random_range(0..hot)
            } else {
                self.random.random_range(hot..of)
            }),
            Keys::Zipf { of, .. } => {
                let total = self.cumulative.last().copied().unwrap_or(0.0);
                let point = self.random.random::<f64>() * total;
                Some((self.cumulative.partition_point(|sum| *sum <= point) as u32).min(of - 1))
            }
        }
    }
}

/// Bytes of a key.
pub const KEY_LEN: usize = 12;

/// The key with this number: `key-00000042`.
pub fn key(number: u32) -> [u8; KEY_LEN] {
    let mut key = *b"key-00000000";
    let mut rest = number;
    for digit in key[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_as_they_are_read() {
        for text in ["none", "uniform:7", "hot:80:2:1000", "zipf:1000:1.1"] {
            assert_eq!(text.parse::<Keys>().unwrap().to_string(), text);
        }
    }

    /// The share of 100,000 draws that goes to the first `first` keys, percent.
    fn check(keys: &str, first: u32, expected_percent: f64) {
        let mut source = KeySource::new(keys.parse().unwrap(), 42);
        let drawn = (0..100_000).filter(|_| source.draw().unwrap() < first).count();
        let percent = drawn as f64 / 1000.0;
        assert!((percent - expected_percent).abs() < 1.0, "{keys}: {percent} %");
    }

    #[test]
    fn keys_are_spread_as_asked() {
        check("uniform:10", 5, 50.0);
        check("hot", 2, 80.0);
        check("hot:80:2:1000", 1, 40.0);
        check("hot:50:1:3", 1, 50.0);
        check("zipf:2:1", 1, 66.67); // weights 1 and 1/2
        check("zipf:4:0", 1, 25.0);
    }

    #[test]
    fn a_wrong_spread_is_refused() {
        for text in ["", "hot:80", "hot:180:2", "hot:80:5:5", "uniform:0", "uniform:x", "zipf:10:-1", "warm"] {
            assert!(text.parse::<Keys>().is_err(), "{text}");
        }
    }

    #[test]
    fn keys_have_one_length() {
        assert_eq!(&key(42), b"key-00000042");
        assert_eq!(&key(MAX_KEYS - 1), b"key-09999999");
    }
}
