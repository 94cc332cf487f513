//! Response times by their distribution, from the log that `kgen produce` writes (`latency.hlog`, HdrHistogram V2).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hdrhistogram::{
    Histogram,
    serialization::{
        Deserializer,
        interval_log::{IntervalLogIterator, LogEntry},
    },
};

use super::scale::Axis;

/// Response times of about one second.
#[derive(Debug, Clone)]
pub struct Second {
    /// When it ended, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Times that were recorded, µs, and how often each was. Far smaller than a histogram, which has room for all.
    recorded: Vec<(u64, u64)>,
}

/// The longest log that is read, and the longest line: a histogram of three digits over an hour is far smaller.
const MAX_LINES: usize = 1 << 18;
const MAX_LINE_BYTES: usize = 1 << 20;
/// The largest histogram that is read: one of three digits over an hour has 23,000 counts.
const MAX_COUNTS: usize = 1 << 16;
/// The most times of a log, of all seconds together: three days of a varied load have as many.
const MAX_RECORDED: usize = 32 << 20;
/// The longest response time that a log can hold, µs: one hour, as the load generator has it.
const MAX_US: u64 = 3_600_000_000;

/// Quantiles that are put into words.
const TOLD: [(f64, &str); 5] = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"), (1.0, "max")];

/// Reads a log as far as it is whole: the last line of a run that was killed is often torn.
pub fn parse(log: &[u8]) -> Vec<Second> {
    let mut deserializer = Deserializer::new();
    let mut base = Duration::ZERO;
    let (mut seconds, mut recorded) = (Vec::new(), 0);
    // Line by line, so that one that is damaged does not hide those after it.
    for line in log.split(|byte| *byte == b'\n').take(MAX_LINES).filter(|line| line.len() <= MAX_LINE_BYTES) {
        let mut whole = line.to_vec();
        whole.push(b'\n');
        match IntervalLogIterator::new(&whole).next() {
            Some(Ok(LogEntry::BaseTime(time))) => base = time,
            Some(Ok(LogEntry::Interval(interval))) => {
                let end =
                    base.checked_add(interval.start_timestamp()).and_then(|at| at.checked_add(interval.duration()));
                let Some(times) = decoded(interval.encoded_histogram(), &mut deserializer) else { continue };
                // No load generator writes such a histogram, and a log of them would take all memory.
                if times.distinct_values() > MAX_COUNTS || recorded > MAX_RECORDED {
                    break;
                }
                let second = end.and_then(|end| second(&times, end));
                recorded += second.as_ref().map_or(0, |second| second.recorded.len());
                seconds.extend(second);
            }
            _ => {}
        }
    }
    seconds
}

fn decoded(encoded: &str, deserializer: &mut Deserializer) -> Option<Histogram<u64>> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    deserializer.deserialize(&mut bytes.as_slice()).ok()
}

fn second(times: &Histogram<u64>, end: Duration) -> Option<Second> {
    let at = SystemTime::UNIX_EPOCH.checked_add(end)?.duration_since(UNIX_EPOCH).ok()?;
    let recorded = times.iter_recorded().map(|value| (value.value_iterated_to(), value.count_at_value())).collect();
    Some(Second { at_ms: i64::try_from(at.as_millis()).ok()?, recorded })
}

/// All times of `seconds` that lie within the stretch; `None` when there are none.
pub fn within(seconds: &[Second], from_ms: i64, to_ms: i64) -> Option<Histogram<u64>> {
    let mut all = Histogram::new_with_bounds(1, MAX_US, 3).ok()?;
    for second in seconds.iter().filter(|second| second.at_ms > from_ms && second.at_ms <= to_ms) {
        // A value beyond the bounds of ours counts as the longest.
        for (value, count) in &second.recorded {
            all.saturating_record_n((*value).max(1), *count);
        }
    }
    (!all.is_empty()).then_some(all)
}

/// The distribution as points: how many nines of all records (1 is 90 %, 2 is 99 %), and their time, ms. It ends where
/// one record is all that is left.
pub fn by_nines(times: &Histogram<u64>) -> Vec<(f64, Option<f64>)> {
    let most = most_nines(times);
    let steps = 20.0;
    let count = (most * steps).floor() as usize;
    let at = |i: usize| {
        let nines = i as f64 / steps;
        let quantile = 1.0 - 10f64.powf(-nines);
        (nines, Some(times.value_at_quantile(quantile) as f64 / 1000.0))
    };
    (0..=count).map(at).collect()
}

/// How many nines the records of `times` can tell apart.
fn most_nines(times: &Histogram<u64>) -> f64 {
    (times.len().max(1) as f64).log10().clamp(1.0, 6.0)
}

/// An axis for all of these.
pub fn axis<'a>(all: impl Iterator<Item = &'a Histogram<u64>>) -> Axis {
    Axis::nines(all.map(most_nines).fold(1.0, f64::max))
}

/// Quantiles with their names, ms.
pub fn quantiles(times: &Histogram<u64>) -> Vec<(&'static str, f64)> {
    TOLD.iter().map(|(quantile, name)| (*name, times.value_at_quantile(*quantile) as f64 / 1000.0)).collect()
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};

    use super::*;

    fn line(from_s: f64, values: &[u64]) -> String {
        use base64::Engine as _;
        let mut histogram = Histogram::<u64>::new_with_bounds(1, MAX_US, 3).unwrap();
        values.iter().for_each(|value| histogram.record(*value).unwrap());
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&histogram, &mut bytes).unwrap();
        format!("{from_s:.3},1.000,5.0,{}\n", base64::engine::general_purpose::STANDARD.encode(bytes))
    }

    fn log() -> String {
        let head = "#[Histogram log format version 1.2]\n#[BaseTime: 1000.000 (seconds since epoch)]\n\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n";
        format!("{head}{}{}", line(0.0, &[1000, 2000]), line(1.0, &[4000]))
    }

    #[test]
    fn a_log_is_read_by_its_seconds() {
        let seconds = parse(log().as_bytes());
        assert_eq!(seconds.iter().map(|second| second.at_ms).collect::<Vec<_>>(), [1_001_000, 1_002_000]);
        let all = within(&seconds, 1_000_000, 1_002_000).unwrap();
        assert_eq!(all.len(), 3);
        assert!((3999..4010).contains(&all.max()));
        assert!(within(&seconds, 1_002_000, 1_009_000).is_none());
    }

    #[test]
    fn what_is_torn_or_damaged_is_left_out() {
        let log = log();
        for cut in 0..log.len() {
            assert!(parse(&log.as_bytes()[..cut]).len() <= 2);
        }
        assert_eq!(parse(&log.as_bytes()[..log.len() - 20]).len(), 1);
        let damaged = format!("{}0.0,1.0,1.0,!!!\n{}", log, line(2.0, &[1]));
        assert_eq!(parse(damaged.as_bytes()).len(), 3);
        assert!(parse(b"\xff\xfe,,,\n1,2,3,AAAA\n").is_empty());
    }

    #[test]
    fn the_distribution_ends_where_one_record_is_left() {
        let mut times = Histogram::<u64>::new_with_bounds(1, MAX_US, 3).unwrap();
        (1..=1000u64).for_each(|ms| times.record(ms * 1000).unwrap());
        let points = by_nines(&times);
        let at = |i: usize| (points[i].0, points[i].1.unwrap().round());
        assert_eq!((at(0), at(20), at(60)), ((0.0, 1.0), (1.0, 900.0), (3.0, 999.0)));
        assert_eq!(points.len(), 61);
        assert_eq!(quantiles(&times)[4].1.round(), 1000.0);
    }
}
