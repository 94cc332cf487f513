//! Writes a run, one line per event.

use std::{
    fs::{self, File},
    io::{self, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{Entry, Environment, Event, FILE, Head, SCHEMA};
use crate::files::{bounded, own};

/// Up to this size every sample and every second of load is written; with each such step more, half as many. The file
/// so grows with the logarithm of the time: two hours of three brokers fill the first step, a month the ninth.
const STEP_BYTES: u64 = 16 << 20;

/// Beyond this size only the end is written.
const MAX_BYTES: u64 = 256 << 20;

/// The longest line that is looked for when a run continues.
const LONGEST_LINE: u64 = 8 << 20;

/// What a run begins with.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// See [`new_id`].
    pub id: String,
    pub command: String,
    pub args: Vec<String>,
    pub started: jiff::Timestamp,
    pub environment: Environment,
}

/// The record of a run that continues. Its lock on the file, which ends with the process, shows that.
///
/// Each line is handed to the operating system whole and at once: it outlives this process, though not a loss of power.
#[derive(Debug)]
pub struct Writer {
    file: File,
    dir: PathBuf,
    written: u64,
    step: u64,
    /// Samples and load seconds so far, written or not.
    offered: [u64; 2],
    is_full: bool,
}

impl Writer {
    /// Makes the run's folder in `runs` and writes the head. When there is a run of this id, a number is put after it.
    ///
    /// # Errors
    /// The folder or the file cannot be made.
    pub fn create(runs: &Path, start: Start) -> io::Result<Writer> {
        own::make_folder(runs, 0o777)?;
        let mut number = 1;
        let (id, dir, file) = loop {
            let id = if number == 1 { start.id.clone() } else { format!("{}-{number}", start.id) };
            let dir = runs.join(&id);
            own::make_folder(&dir, 0o700)?;
            match own::create_new(&dir.join(FILE), 0o600) {
                Ok(file) => break (id, dir, file),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 100 => number += 1,
                Err(error) => return Err(error),
            }
        };
        // Where locks are not available, a run that continues looks like one that was killed.
        let _ = file.try_lock();
        let head = Head {
            schema: SCHEMA.to_owned(),
            id,
            command: start.command,
            args: start.args,
            started: start.started,
            environment: start.environment,
        };
        let mut writer = Writer { file, dir, written: 0, step: STEP_BYTES, offered: [0; 2], is_full: false };
        writer.line(&head)?;
        Ok(writer)
    }

    /// Opens the run in `dir` to continue with it. A line that a crash has torn is cut off.
    ///
    /// # Errors
    /// Another process still writes it (`WouldBlock`), or the file cannot be written.
    pub fn resume(dir: &Path) -> io::Result<Writer> {
        let mut file = own::append_existing(&dir.join(FILE))?;
        match file.try_lock() {
            Err(fs::TryLockError::WouldBlock) => {
                return Err(io::Error::new(io::ErrorKind::WouldBlock, "the run is still in progress"));
            }
            // Where locks are not available, it is unknown.
            Ok(()) | Err(fs::TryLockError::Error(_)) => {}
        }
        // Only the last line can be torn, and only the end is read.
        let from = file.metadata()?.len().saturating_sub(LONGEST_LINE);
        file.seek(SeekFrom::Start(from))?;
        let bytes = bounded::all(&mut file, LONGEST_LINE)?;
        let whole = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => from + at as u64 + 1,
            None if from == 0 => 0,
            None => return Err(bounded::Unbounded::TooLarge(LONGEST_LINE).into()),
        };
        file.set_len(whole)?;
        let written = whole;
        Ok(Writer { file, dir: dir.to_owned(), written, step: STEP_BYTES, offered: [0; 2], is_full: false })
    }

    /// The run's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Appends one entry, or leaves it out when the file has grown too large for its kind.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let kind = match &entry.event {
            Event::Sample(_) => Some(0),
            Event::Load(_) => Some(1),
            _ => None,
        };
        if let Some(kind) = kind {
            let every = 1 << (self.written / self.step).min(62);
            self.offered[kind] += 1;
            if !self.offered[kind].is_multiple_of(every) {
                return Ok(());
            }
        }
        if self.written >= self.step * (MAX_BYTES / STEP_BYTES) && !matches!(entry.event, Event::End(_)) {
            if self.is_full {
                return Ok(());
            }
            self.is_full = true;
            return self.line(&Entry { at: entry.at, event: Event::note("the record is full; only its end follows") });
        }
        self.line(entry)
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.written += line.len() as u64;
        Ok(())
    }
}

/// The id of a run that begins now: command and local time, such as `watch-20261125-003853`.
pub fn new_id(command: &str, at: jiff::Timestamp) -> String {
    format!("{command}-{}", at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y%m%d-%H%M%S"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{End, LoadSecond, Run, now};

    fn start() -> Start {
        Start {
            id: "watch-1".into(),
            command: "watch".into(),
            args: vec!["watch".into()],
            started: now(),
            environment: Environment::here(),
        }
    }

    #[test]
    fn two_runs_of_one_second_have_two_folders() {
        let dir = tempfile::tempdir().unwrap();
        let first = Writer::create(dir.path(), start()).unwrap();
        let second = Writer::create(dir.path(), start()).unwrap();
        assert_eq!(first.dir(), dir.path().join("watch-1"));
        assert_eq!(second.dir(), dir.path().join("watch-1-2"));
        assert_eq!(Run::read(second.dir()).unwrap().head.id, "watch-1-2");
    }

    #[test]
    fn a_killed_run_is_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Writer::create(dir.path(), start()).unwrap();
        assert_eq!(Writer::resume(first.dir()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        first.write(&Entry { at: now(), event: Event::note("one") }).unwrap();
        first.file.write_all(b"{\"at\":\"2026-").unwrap();
        let dir = first.dir().to_owned();
        drop(first);
        let mut second = Writer::resume(&dir).unwrap();
        second.write(&Entry { at: now(), event: Event::note("two") }).unwrap();
        let run = Run::read(&dir).unwrap();
        let notes: Vec<&Event> = run.entries.iter().map(|entry| &entry.event).collect();
        assert_eq!(notes, [&Event::note("one"), &Event::note("two")]);
        assert!(!run.is_torn && run.unreadable.is_empty());
    }

    #[test]
    fn a_long_run_is_thinned_and_keeps_what_matters() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(dir.path(), start()).unwrap();
        writer.step = 4000;
        for i in 0..100_000u32 {
            let load = LoadSecond { at_s: f64::from(i), ..LoadSecond::default() };
            writer.write(&Entry { at: now(), event: Event::Load(load) }).unwrap();
            if i == 50_000 {
                writer.write(&Entry { at: now(), event: Event::note("here") }).unwrap();
            }
        }
        let end = End { exit_code: 0, outcome: "done".into(), error: None };
        writer.write(&Entry { at: now(), event: Event::End(end.clone()) }).unwrap();
        assert!(writer.written < 16 * 4000 + 1000, "{}", writer.written);
        let run = Run::read(writer.dir()).unwrap();
        assert_eq!(run.end(), Some(&end));
        assert!(run.entries.iter().any(|entry| entry.event == Event::note("here")));
        let last = run.loads().last().unwrap().1.at_s;
        assert!(last > 90_000.0, "{last}");
    }
}
