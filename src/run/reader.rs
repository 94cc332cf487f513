//! Reads a run, complete or cut off.

use std::{
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    time::Duration,
};

use flate2::read::GzDecoder;
use jiff::Timestamp;
use serde_json::Value;

use super::{End, Entry, Environment, Event, FILE, Found, Head, LoadSecond, Mark, Observed, SCHEMA, list::HEAD_BYTES};
use crate::{
    diagnose::{CONFIDENT, Context, Verdict, is_cause},
    files::{
        bounded::{Lines, Unbounded},
        own,
    },
    finding_id,
    sample::{BrokerId, BrokerSample},
};

/// The id of a run that was read from samples alone.
pub const SAMPLES_ID: &str = "samples";

/// Files of samples without a head, as `kgen watch --json` writes them.
const SAMPLES: &str = "kgen.sample/1";

/// The longest file that is read, unpacked: a [`Writer`](super::Writer) stops a little below.
const MAX_BYTES: u64 = 272 << 20;

/// The longest line; those of kgen's own records stay below 1 MiB.
const MAX_LINE_BYTES: u64 = 4 << 20;

/// The most lines: a second of load is the shortest that is written often, and a full record holds a million of them.
const MAX_LINES: usize = 2_000_000;

const TOO_MANY_LINES: Unbounded = Unbounded::TooMany { what: "lines", most: MAX_LINES };

/// About the most memory that a run may take, bytes. A full record of kgen's own takes two thirds of it.
const MAX_WEIGHT: usize = 1 << 30;

/// About the most memory that all but samples and seconds of load may take: results, findings, notes.
const MAX_OTHER_WEIGHT: usize = 256 << 20;

/// The most bytes in lines that cannot be read. A crash leaves one such line.
const MAX_UNREADABLE: usize = 32 << 20;

/// A run as far as it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub head: Head,
    /// In the order in which they were written.
    pub entries: Vec<Entry>,
    /// The last line was torn, as by a crash, and left out.
    pub is_torn: bool,
    /// Other lines that could not be read, by number.
    pub unreadable: Vec<usize>,
}

/// The schema of a record in a later form than this kgen reads.
#[derive(Debug, thiserror::Error)]
#[error("schema {0} is newer than {SCHEMA}")]
struct NewerForm(String);

/// Whether `schema` names a form of the same kind as one that is read here.
fn is_other_form(schema: &str) -> bool {
    let kind = |schema: &str| schema.split_once('/').map(|(kind, _)| kind.to_owned());
    [SCHEMA, SAMPLES].iter().any(|known| kind(known) == kind(schema))
}

/// Why there is no run to be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("reading {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is not the record of a run: its first line has neither schema {SCHEMA} nor {SAMPLES}", .0.display())]
    NoRun(PathBuf),
    #[error("{}: a newer kgen wrote this record ({schema}; this one reads {SCHEMA} and {SAMPLES}): use that kgen", path.display())]
    Newer { path: PathBuf, schema: String },
    #[error("{} is larger than the record of a run can be: {why}", path.display())]
    TooLarge { path: PathBuf, why: String },
}

impl Run {
    /// Reads a run's folder or its file, compressed where its name ends in `.gz`; also a file of `kgen watch --json`.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(path: &Path) -> Result<Run, ReadError> {
        let path = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
        let failed = |source: io::Error| match Unbounded::of(&source) {
            Some(Unbounded::NoFile(_)) | None => {
                match source.get_ref().and_then(|inner| inner.downcast_ref::<NewerForm>()) {
                    Some(NewerForm(schema)) => ReadError::Newer { path: path.clone(), schema: schema.clone() },
                    None => ReadError::Io { path: path.clone(), source },
                }
            }
            Some(too_large) => ReadError::TooLarge { path: path.clone(), why: too_large.to_string() },
        };
        let file = BufReader::new(own::open(&path).map_err(failed)?);
        let is_packed = path.extension().is_some_and(|extension| extension == "gz");
        let run = match is_packed {
            true => Run::of(BufReader::new(GzDecoder::new(file))),
            false => Run::of(file),
        };
        match run {
            Ok(Some(run)) => Ok(run),
            Ok(None) => Err(ReadError::NoRun(path)),
            Err(error) => Err(failed(error)),
        }
    }

    /// The text of a run's file; nothing when it does not begin like one.
    #[cfg(any(test, fuzzing))]
    pub fn parse(text: &str) -> Option<Run> {
        Run::of(text.as_bytes()).ok()?
    }

    fn of(source: impl BufRead) -> io::Result<Option<Run>> {
        let mut lines = Lines::new(source, MAX_LINE_BYTES, MAX_BYTES);
        let first = loop {
            match lines.next_line()? {
                None => return Ok(None),
                Some((number, _)) if number > MAX_LINES => return Err(TOO_MANY_LINES.into()),
                Some((number, line)) if !line.trim_ascii().is_empty() => {
                    break (number, String::from_utf8_lossy(line).into_owned());
                }
                Some(_) => {}
            }
        };
        let value: Value = match serde_json::from_str(&first.1) {
            Ok(value) => value,
            Err(_) => return Ok(None),
        };
        let is_samples = value.get("schema").and_then(Value::as_str) == Some(SAMPLES);
        let (head, entry): (_, fn(&str) -> Option<Entry>) = match value.get("schema").and_then(Value::as_str) {
            Some(SCHEMA) if first.1.len() as u64 > HEAD_BYTES => {
                return Err(Unbounded::LongLine { line: first.0, most: HEAD_BYTES }.into());
            }
            Some(SCHEMA) => (serde_json::from_value(value).ok(), |line| serde_json::from_str(line).ok()),
            Some(SAMPLES) => (head_of_samples(&first.1), |line| {
                let (at, observed) = observed(line)?;
                Some(Entry { at, event: Event::Sample(Box::new(observed)) })
            }),
            Some(other) if is_other_form(other) => return Err(io::Error::other(NewerForm(other.to_owned()))),
            _ => return Ok(None),
        };
        let Some(head) = head else { return Ok(None) };
        let mut reading = Reading::new(head);
        if is_samples {
            reading.take(first.0, &first.1, entry)?;
        }
        while let Some((number, line)) = lines.next_line()? {
            if number > MAX_LINES {
                return Err(TOO_MANY_LINES.into());
            }
            reading.take(number, &String::from_utf8_lossy(line), entry)?;
        }
        Ok(Some(reading.ended()))
    }

    /// Samples, with the cluster as it was then.
    pub fn samples(&self) -> impl Iterator<Item = &Observed> {
        self.entries.iter().filter_map(|entry| match &entry.event {
            Event::Sample(observed) => Some(&**observed),
            _ => None,
        })
    }

    /// Seconds of load.
    pub fn loads(&self) -> impl Iterator<Item = (Timestamp, &LoadSecond)> {
        self.entries.iter().filter_map(|entry| match &entry.event {
            Event::Load(second) => Some((entry.at, second)),
            _ => None,
        })
    }

    /// Marks with their times and texts.
    pub fn marks(&self) -> impl Iterator<Item = (Timestamp, Mark, &str)> {
        self.entries.iter().filter_map(|entry| match &entry.event {
            Event::Mark(marked) => Some((entry.at, marked.mark, marked.text.as_str())),
            _ => None,
        })
    }

    /// Findings, each when it appeared.
    pub fn findings(&self) -> impl Iterator<Item = (Timestamp, &Found)> {
        self.entries.iter().filter_map(|entry| match &entry.event {
            Event::Finding(found) => Some((entry.at, &**found)),
            _ => None,
        })
    }

    /// The result of this name that was written last.
    pub fn result(&self, name: &str) -> Option<&Value> {
        self.entries.iter().rev().find_map(|entry| match &entry.event {
            Event::Result(named) if named.name == name => Some(&named.value),
            _ => None,
        })
    }

    /// The verdict that was written last.
    pub fn verdict(&self) -> Option<Verdict> {
        self.entries.iter().rev().find_map(|entry| match &entry.event {
            Event::Sample(observed) => observed.verdict,
            Event::Finding(found) => found.verdict,
            _ => None,
        })
    }

    /// How it ended; nothing when it still runs or was killed.
    pub fn end(&self) -> Option<&End> {
        self.entries.iter().rev().find_map(|entry| match &entry.event {
            Event::End(end) => Some(end),
            _ => None,
        })
    }

    /// The cluster as the last sample had it.
    pub fn cluster(&self) -> Option<&Context> {
        self.samples().last().map(|observed| &observed.cluster)
    }

    /// Seconds from its beginning to `at_ms`, milliseconds since the epoch.
    pub fn seconds_at(&self, at_ms: i64) -> f64 {
        at_ms.saturating_sub(self.head.started.as_millisecond()) as f64 / 1000.0
    }

    /// From its beginning to the last thing that was written.
    pub fn duration(&self) -> Duration {
        let last = self.entries.iter().map(|entry| entry.at).max().unwrap_or(self.head.started);
        Duration::try_from(last.duration_since(self.head.started)).unwrap_or_default()
    }
}

fn observed(line: &str) -> Option<(Timestamp, Observed)> {
    let observed: Observed = serde_json::from_str(line).ok()?;
    Some((Timestamp::from_millisecond(observed.sample.at_ms).ok()?, observed))
}

/// Of a file of samples, which has none: as its first sample says.
fn head_of_samples(first: &str) -> Option<Head> {
    let first = observed(first)?;
    let Observed { cluster, .. } = &first.1;
    let environment = Environment {
        lab_scale: cluster.lab_scale,
        region: Some(cluster.region.clone()),
        cluster: Some(cluster.cluster.clone()),
        ..Environment::default()
    };
    Some(Head {
        schema: SCHEMA.to_owned(),
        id: SAMPLES_ID.to_owned(),
        command: "watch".to_owned(),
        args: Vec::new(),
        started: first.0,
        environment,
    })
}

/// A run as far as it is read.
struct Reading {
    run: Run,
    /// See [`MAX_WEIGHT`], [`MAX_OTHER_WEIGHT`], [`MAX_UNREADABLE`].
    weight: usize,
    other_weight: usize,
    unreadable: usize,
    /// The line before could not be read; it is torn if it is the last.
    failed: Option<usize>,
}

impl Reading {
    fn new(head: Head) -> Reading {
        let run = Run { head, entries: Vec::new(), is_torn: false, unreadable: Vec::new() };
        Reading { run, weight: 0, other_weight: 0, unreadable: 0, failed: None }
    }

    fn take(&mut self, number: usize, line: &str, entry: fn(&str) -> Option<Entry>) -> io::Result<()> {
        if line.trim().is_empty() {
            return Ok(());
        }
        self.run.unreadable.extend(self.failed.take());
        let Some(entry) = entry(line) else {
            self.failed = Some(number);
            self.unreadable += line.len();
            if self.unreadable > MAX_UNREADABLE {
                return Err(Unbounded::TooMany { what: "bytes in unreadable lines", most: MAX_UNREADABLE }.into());
            }
            return Ok(());
        };
        let weight = weight(&entry, line);
        self.weight += weight;
        if !matches!(entry.event, Event::Sample(_) | Event::Load(_)) {
            self.other_weight += weight;
        }
        for (weight, most) in [(self.weight, MAX_WEIGHT), (self.other_weight, MAX_OTHER_WEIGHT)] {
            if weight > most {
                return Err(Unbounded::TooLarge(most as u64).into());
            }
        }
        self.run.entries.push(entry);
        Ok(())
    }

    fn ended(mut self) -> Run {
        fill_in_verdicts(&mut self.run.entries);
        Run { is_torn: self.failed.is_some(), ..self.run }
    }
}

/// About the memory that `entry` takes, which was read from `line`. What is short in JSON may be long in memory.
fn weight(entry: &Entry, line: &str) -> usize {
    // The smallest list and the smallest object, and an item of one with the room that it has to grow (measured).
    let of_byte = |byte| match byte {
        b'[' => 128,
        b'{' => 256,
        b',' | b':' => 64,
        _ => 0,
    };
    let items = match &entry.event {
        Event::Sample(observed) => {
            // The nodes of the map are half full when its keys come in their order.
            let brokers = 2 * observed.sample.brokers.len() * size_of::<(BrokerId, BrokerSample)>();
            size_of::<Observed>() + brokers + observed.findings.len() * 64
        }
        Event::Load(_) | Event::End(_) => 0,
        _ => line.bytes().map(of_byte).sum(),
    };
    size_of::<Entry>() + line.len() + items
}

/// Older records have no verdict with a finding: it is that of the sample before it, or follows from the first of the
/// findings that were told together, which is the likeliest.
fn fill_in_verdicts(entries: &mut [Entry]) {
    let mut latest = None;
    for entry in entries {
        match &mut entry.event {
            Event::Sample(observed) => latest = observed.verdict,
            Event::Finding(found) => {
                let verdict = found.verdict.or(latest).unwrap_or_else(|| verdict_by_first(found));
                found.verdict = Some(verdict);
                latest = Some(verdict);
            }
            _ => {}
        }
    }
}

fn verdict_by_first(found: &Found) -> Verdict {
    match found.id.as_str() {
        finding_id::HEALTHY => Verdict::Healthy,
        id if is_cause(id) && found.confidence >= CONFIDENT => Verdict::CauseFound,
        _ => Verdict::Inconclusive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: &str = r#"{"schema":"kgen.run/1","id":"watch-1","command":"watch","args":["watch"],"started":"2026-11-25T01:00:00Z","environment":{"kgen":"0.1.0","lab_scale":4.0}}"#;
    const NOTE: &str = r#"{"at":"2026-11-25T01:00:01.5Z","event":"note","text":"one"}"#;
    const END: &str = r#"{"at":"2026-11-25T01:00:09Z","event":"end","exit_code":0,"outcome":"done"}"#;

    #[test]
    fn an_older_record_has_the_verdict_of_the_likeliest_finding() {
        let entry = |event: &str| format!(r#"{{"at":"2026-11-25T01:00:02Z","event":{event}}}"#);
        let finding = |id: &str, confidence: f64, more: &str| {
            entry(&format!(r#""finding","id":"{id}","confidence":{confidence}{more}"#))
        };
        let sample = |more: &str| {
            let cluster = r#"{"cluster":"demo","region":"us-west-2","broker_count":3}"#;
            entry(&format!(
                r#""sample","cluster":{cluster},"sample":{{"at_ms":1,"source":"prometheus","brokers":{{}}}}{more}"#
            ))
        };
        let check = |entries: &[String], expected: &[Verdict]| {
            let run = Run::parse(&[&[HEAD.to_owned()], entries].concat().join("\n")).unwrap();
            let verdicts: Vec<_> = run.findings().filter_map(|(_, found)| found.verdict).collect();
            assert_eq!((&verdicts[..], run.unreadable.len(), run.is_torn), (expected, 0, false), "{entries:?}");
            assert_eq!(run.verdict(), expected.last().copied(), "{entries:?}");
        };
        use Verdict::{CauseFound, Healthy, Inconclusive};
        let (sure, weak) = (finding("disk.filling", 0.9, ""), finding("broker.undersized", 0.4, ""));
        check(&[sample(""), sure.clone(), weak.clone()], &[CauseFound, CauseFound]);
        check(std::slice::from_ref(&weak), &[Inconclusive]);
        // A gate and a symptom are no cause, however sure they are.
        check(&[finding("cluster.maintenance", 0.95, "")], &[Inconclusive]);
        check(&[sure.clone(), sample(""), finding("healthy", 0.9, "")], &[CauseFound, Healthy]);
        // What the diagnosis has said counts.
        check(&[sample(r#","verdict":"inconclusive""#), sure], &[Inconclusive]);
        check(&[finding("broker.undersized", 0.4, r#","verdict":"cause_found""#), weak], &[CauseFound, CauseFound]);
    }

    #[test]
    fn a_torn_last_line_is_left_out() {
        let check = |text: String, entries: usize, torn: bool, unreadable: &[usize]| {
            let run = Run::parse(&text).unwrap();
            assert_eq!((run.entries.len(), run.is_torn), (entries, torn), "{text}");
            assert_eq!(run.unreadable, unreadable, "{text}");
        };
        check(format!("{HEAD}\n"), 0, false, &[]);
        check(format!("{HEAD}\n{NOTE}\n{END}\n"), 2, false, &[]);
        check(format!("{HEAD}\n{NOTE}\n{}", &END[..30]), 1, true, &[]);
        check(format!("{HEAD}\n{}\n{END}\n", &NOTE[..20]), 1, false, &[2]);
        assert_eq!(Run::parse(&format!("{HEAD}\n{NOTE}\n{END}\n")).unwrap().duration(), Duration::from_secs(9));
        for text in ["", "\n", "{}", "no", &HEAD[..50], r#"{"schema":"kgen.run/2"}"#] {
            assert_eq!(Run::parse(text), None, "{text}");
        }
    }

    #[test]
    fn samples_of_watch_are_a_run_too() {
        let line = r#"{"schema":"kgen.sample/1","cluster":{"cluster":"c","region":"r","arn":null,"current_version":null,"broker_type":null,"broker_count":1,"kafka_version":null,"state":null,"active_operation":null,"lab_scale":4.0},"sample":{"at_ms":1700000000000,"source":"prometheus","brokers":{"1":{"state":"serving"}}}}"#;
        let run = Run::parse(&format!("{line}\n{line}\n")).unwrap();
        assert_eq!((run.samples().count(), run.head.environment.lab_scale), (2, Some(4.0)));
        assert_eq!(run.samples().next().unwrap().sample.brokers.len(), 1);
    }

    #[test]
    fn what_no_record_can_be_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let check = |name: &str, text: &[u8], expected: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            let error = Run::read(&path).unwrap_err().to_string();
            assert!(error.contains("larger than the record of a run can be") && error.contains(expected), "{error}");
        };
        let with = |line: &str| format!("{HEAD}\n{line}\n").into_bytes();
        check("line.jsonl", &with(&" x".repeat(3 << 20)), "line 2 is longer than 4 MiB");
        let args = format!("[{}\"\"]", "\"\",".repeat(100_000));
        let head = HEAD.replace(r#"["watch"]"#, &args);
        check("head.jsonl", head.as_bytes(), "line 1 is longer than 256 KiB");
        check("lines.jsonl", &with(&"x\n".repeat(2_000_001)), "more than 2000000 lines");
        let value = format!("[{}0]", "0,".repeat(1 << 20));
        let result = format!(r#"{{"at":"2026-11-25T01:00:01Z","event":"result","name":"x","value":{value}}}"#);
        check("results.jsonl", &with(&format!("{result}\n").repeat(5)), "256 MiB");
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, &with(&"\0".repeat(20 << 20))).unwrap();
        check("packed.jsonl.gz", &packed.finish().unwrap(), "line 2 is longer than 4 MiB");
        check("unreadable.jsonl", &with(&format!("{}\n", "x".repeat(1 << 20)).repeat(33)), "unreadable lines");
    }

    proptest! {
        /// A file cut off anywhere is read up to there, or is none.
        #[test]
        fn a_file_cut_anywhere_is_read(cut in 0usize..(HEAD.len() + NOTE.len() + END.len() + 3)) {
            let text = format!("{HEAD}\n{NOTE}\n{END}\n");
            let run = Run::parse(&text[..cut]);
            prop_assert_eq!(run.is_some(), cut >= HEAD.len());
            if let Some(run) = run {
                prop_assert!(run.unreadable.is_empty());
            }
        }
    }
}
