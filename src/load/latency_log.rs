//! Response times second by second in the HdrHistogram V2 interval log, written and read.

use std::str::Lines;

use anyhow::{Context as _, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::{
    Histogram,
    serialization::{Deserializer, Serializer as _, V2DeflateSerializer, V2Serializer},
};

use super::latency::Times;

/// The longest histogram in a log that is read, base64: a full one has some 64 KiB.
const MOST_ENCODED: usize = 1 << 20;

/// An interval of a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// Since the start of the log.
    pub from_s: f64,
    pub length_s: f64,
    pub times: Times,
}

/// The lines before the first interval of a run that began at `start_s`, seconds since the Unix epoch.
pub fn head(start_s: f64) -> String {
    format!(
        "#[Response times from the due moment, microseconds; Interval_Max is in milliseconds]\n\
         #[Histogram log format version 1.2]\n\
         #[StartTime: {start_s:.3} (seconds since epoch)]\n#[BaseTime: {start_s:.3} (seconds since epoch)]\n\
         \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
    )
}

/// The line of one interval, with its end.
pub fn line(from_s: f64, length_s: f64, times: &Times) -> anyhow::Result<String> {
    let max = times.histogram().max() as f64 / 1000.0;
    Ok(format!("{from_s:.3},{length_s:.3},{max:.3},{}\n", encoded(times)?))
}

/// `times` as HdrHistogram V2, base64.
pub fn encoded(times: &Times) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let histogram = times.histogram();
    V2DeflateSerializer::new().serialize(histogram, &mut bytes).or_else(|_| {
        bytes.clear();
        V2Serializer::new().serialize(histogram, &mut bytes).map_err(|error| anyhow::anyhow!("{error:?}"))
    })?;
    Ok(STANDARD.encode(&bytes))
}

/// What [`encoded`] wrote.
///
/// # Errors
/// It is no histogram, or one with other bounds than kgen's.
pub fn decoded(text: &str) -> anyhow::Result<Times> {
    ensure!(text.len() <= MOST_ENCODED, "a histogram of {} characters is too long", text.len());
    let bytes = STANDARD.decode(text).context("a histogram is not base64")?;
    let histogram: Histogram<u64> =
        Deserializer::new().deserialize(&mut &bytes[..]).map_err(|error| anyhow::anyhow!("a histogram: {error:?}"))?;
    Times::of(histogram).context("a histogram has other bounds than those of kgen")
}

/// Reads a log, interval by interval: a histogram has 190 KiB in memory, so a whole log is never held.
///
/// # Errors
/// It does not begin like one.
pub fn read(log: &str) -> anyhow::Result<Intervals<'_>> {
    let mut lines = log.lines();
    loop {
        match lines.next() {
            Some(line) if line.starts_with('#') => {}
            Some(line) if line.starts_with('"') => return Ok(Intervals { lines }),
            _ => bail!("it does not begin like a log of histograms"),
        }
    }
}

/// The intervals of a log, in its order.
#[derive(Debug, Clone)]
pub struct Intervals<'a> {
    lines: Lines<'a>,
}

impl Iterator for Intervals<'_> {
    type Item = anyhow::Result<Interval>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.lines.next()?;
        let read = || {
            let columns: Vec<&str> = line.split(',').collect();
            let [from, length, _max, histogram] = columns[..] else { bail!("a line has not four columns") };
            let number = |text: &str| {
                let number = text.parse::<f64>().ok().filter(|number| (0.0..1e8).contains(number));
                number.with_context(|| format!("{text:?} is no time of an interval"))
            };
            Ok(Interval { from_s: number(from)?, length_s: number(length)?, times: decoded(histogram)? })
        };
        Some(read())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let (mut log, mut written) = (head(1000.5), Vec::new());
        for second in 0..5_u64 {
            let mut times = Times::default();
            (0..second * 100).for_each(|n| times.record_ns(n * n * 1_000));
            log += &line(second as f64, 1.0, &times).unwrap();
            written.push(Interval { from_s: second as f64, length_s: 1.0, times });
        }
        let again: Vec<Interval> = read(&log).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(again, written);
        assert_eq!(crate::load::latency::tests::logged(log.as_bytes()).len(), 1000);
    }

    #[test]
    fn what_is_no_log_is_refused() {
        assert!(read("").is_err() && read("x").is_err() && read("#[x]\n").is_err());
        let foreign = {
            let mut bytes = Vec::new();
            V2Serializer::new().serialize(&Histogram::<u64>::new_with_bounds(1, 1000, 2).unwrap(), &mut bytes).unwrap();
            STANDARD.encode(bytes)
        };
        for rest in ["1,1,1", "x,1,1,AAAA", "1,1,1,AAAA", "1,1,1,%", "-1,1,1,AAAA", &format!("1,1,1,{foreign}")] {
            let log = head(0.0) + rest;
            assert!(read(&log).unwrap().any(|interval| interval.is_err()), "{rest}");
        }
    }
}
