//! Reading a run, whole or torn.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use flate2::read::GzDecoder;
use jiff::Timestamp;
use serde_json::Value;

use super::{End, Entry, Environment, Event, FILE, Found, Head, LoadSecond, Mark, Observed, SCHEMA};
use crate::{
    diagnose::{CONFIDENT, Context, Verdict, is_cause},
    files::own,
    finding_id,
};

/// The id of a run that was read from samples alone.
pub const SAMPLES_ID: &str = "samples";

/// Files of samples without a head, as `kgen watch --json` writes them.
const SAMPLES: &str = "kgen.sample/1";

/// The longest file that is read; a [`Writer`](super::Writer) stops far below.
const MAX_BYTES: u64 = 1 << 30;

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

/// Why there is no run to be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("reading {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is no record of a run: its first line is not of {SCHEMA} or {SAMPLES}", .0.display())]
    NoRun(PathBuf),
    #[error("{} is larger than a record of a run can be", .0.display())]
    TooLarge(PathBuf),
}

impl Run {
    /// Reads a run's folder or its file, compressed where its name ends in `.gz`; also a file of `kgen watch --json`.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(path: &Path) -> Result<Run, ReadError> {
        let path = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
        let failed = |source| ReadError::Io { path: path.clone(), source };
        let file = own::open(&path).map_err(failed)?;
        let mut bytes = Vec::new();
        let is_packed = path.extension().is_some_and(|extension| extension == "gz");
        match is_packed {
            true => GzDecoder::new(file).take(MAX_BYTES + 1).read_to_end(&mut bytes),
            false => file.take(MAX_BYTES + 1).read_to_end(&mut bytes),
        }
        .map_err(failed)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(ReadError::TooLarge(path));
        }
        Run::parse(&String::from_utf8_lossy(&bytes)).ok_or(ReadError::NoRun(path))
    }

    /// The text of a run's file; nothing when it does not begin like one.
    pub fn parse(text: &str) -> Option<Run> {
        let first = text.lines().find(|line| !line.trim().is_empty())?;
        let value: Value = serde_json::from_str(first).ok()?;
        match value.get("schema")?.as_str()? {
            SCHEMA => {
                let head = serde_json::from_value(value).ok()?;
                Some(lines(text, 1, head, |line| serde_json::from_str(line).ok()))
            }
            SAMPLES => {
                let first = observed(first)?;
                let Observed { cluster, .. } = &first.1;
                let environment = Environment {
                    lab_scale: cluster.lab_scale,
                    region: Some(cluster.region.clone()),
                    cluster: Some(cluster.cluster.clone()),
                    ..Environment::default()
                };
                let head = Head {
                    schema: SCHEMA.to_owned(),
                    id: SAMPLES_ID.to_owned(),
                    command: "watch".to_owned(),
                    args: Vec::new(),
                    started: first.0,
                    environment,
                };
                let entry = |line: &str| {
                    let (at, observed) = observed(line)?;
                    Some(Entry { at, event: Event::Sample(Box::new(observed)) })
                };
                Some(lines(text, 0, head, entry))
            }
            _ => None,
        }
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

fn lines(text: &str, skip: usize, head: Head, entry: impl Fn(&str) -> Option<Entry>) -> Run {
    let mut run = Run { head, entries: Vec::new(), is_torn: false, unreadable: Vec::new() };
    let mut wanted = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).skip(skip).peekable();
    while let Some((i, line)) = wanted.next() {
        match entry(line) {
            Some(entry) => run.entries.push(entry),
            None if wanted.peek().is_none() => run.is_torn = true,
            None => run.unreadable.push(i + 1),
        }
    }
    fill_in_verdicts(&mut run.entries);
    run
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
        check(&[weak.clone()], &[Inconclusive]);
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
