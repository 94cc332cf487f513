//! A program whose output goes to a file that is read while it grows, so that the program can outlive its reader.
//!
//! The file is locked through the very descriptor that the program writes to. The lock ends with the last of its
//! holders, so it shows whether the program still runs even when the process that started it was killed.

use std::{
    ffi::OsString,
    fs::{File, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use duct::{Handle, unix::HandleExt};
use serde::{Deserialize, Serialize};

use super::{Holder, Tool, ToolError};
use crate::files::own;

/// Above this size, in bytes, a log is put aside before the next program writes to it.
const LOG_LIMIT: u64 = 8 << 20;

/// How long a log may stay locked after its program has ended. A process that another thread forks has a copy of every
/// descriptor, and with it the lock, until it executes its own program.
const FORKS_WITHIN: Duration = Duration::from_secs(2);
/// Bytes of output that are taken in one go, and the longest line.
const MOST_AT_ONCE: usize = 16 << 20;

/// A running program with its output in a log. Dropping it leaves the program running.
#[derive(Debug)]
pub struct Logged {
    handle: Handle,
    output: Tail,
    running: Running,
}

/// A program that writes, or wrote, to a log: what to tell a person about it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Running {
    pub pid: u32,
    pub command_line: String,
    /// Where its output begins in the log, bytes.
    offset: u64,
    #[serde(skip)]
    log: PathBuf,
}

/// Why a program was not started.
#[derive(Debug, thiserror::Error)]
pub enum LoggedError {
    #[error("`{}` (process {}) is still running", .0.command_line, .0.pid)]
    Busy(Running),
    #[error("writing {}: {source}", path.display())]
    Log { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Tool(#[from] ToolError),
}

impl Logged {
    /// Starts `tool` with `args`, its output and its errors appended to `log`. The folder of the log is made, for this
    /// user only.
    ///
    /// # Errors
    /// [`LoggedError::Busy`] while another program writes to the same log.
    pub fn start(tool: &Tool, args: &[OsString], log: &Path) -> Result<Logged, LoggedError> {
        let at = |source| LoggedError::Log { path: log.to_owned(), source };
        if let Some(dir) = log.parent() {
            own::make_folder(dir, 0o700).map_err(at)?;
        }
        let mut file = open_for_append(log).map_err(at)?;
        lock(&file, log)?;
        if file.metadata().map_err(at)?.len() > LOG_LIMIT {
            std::fs::rename(log, log.with_extension("old")).map_err(at)?;
            file = open_for_append(log).map_err(at)?;
            lock(&file, log)?;
        }
        let offset = file.metadata().map_err(at)?.len();
        // What it says is of the program before; a reader must not take it for this one.
        own::remove_file(&record(log)).map_err(at)?;
        let output = Tail::new(own::open(log).map_err(at)?, offset);
        let handle = tool
            .expression(args)
            .stderr_to_stdout()
            .stdout_file(file)
            .start()
            .map_err(|source| tool.not_started(source))?;
        let pid = handle.pids().first().copied().unwrap_or_default();
        let running = Running { pid, command_line: tool.command_line(args), offset, log: log.to_owned() };
        if let Ok(json) = serde_json::to_vec(&running) {
            // The program runs already. Without the record it is only harder to report if this process is killed.
            let _ = own::replace(&record(log), &json);
        }
        Ok(Logged { handle, output, running })
    }

    pub fn running(&self) -> &Running {
        &self.running
    }

    /// Sends SIGINT to the program alone, not to its children.
    pub fn interrupt(&self) {
        // It may have ended, which is what was requested.
        let _ = self.handle.send_signal(signal_hook::consts::SIGINT);
    }

    /// Whether it has ended: its exit code, or `None` inside when a signal ended it.
    ///
    /// # Errors
    /// The operating system cannot know.
    pub fn ended(&self) -> io::Result<Option<Option<i32>>> {
        Ok(self.handle.try_wait()?.map(|output| output.status.code()))
    }

    /// The lines that were completed since the last call. After the end also a last line without a line break.
    pub fn lines(&mut self) -> Vec<String> {
        let ended = matches!(self.ended(), Ok(Some(_)) | Err(_));
        self.output.lines(ended)
    }
}

impl Running {
    /// The program that writes to `log` now, if there is one; started by this process or by one that is gone.
    pub fn on(log: &Path) -> Option<Running> {
        if !is_locked(log) {
            return None;
        }
        Some(Running::recorded(log).unwrap_or_else(|| Running::unrecorded(log)))
    }

    /// The program that the record names, if it does write to `log`: the record is a file like any other.
    fn recorded(log: &Path) -> Option<Running> {
        let running: Running = serde_json::from_slice(&own::read(&record(log)).ok()?).ok()?;
        Holder::checked(running.pid, log)?;
        Some(Running { log: log.to_owned(), ..running })
    }

    /// What the system reports about a program that no record names.
    fn unrecorded(log: &Path) -> Running {
        let (pid, command_line) = match Holder::of(log) {
            Some(holder) => (holder.pid, holder.command_line()),
            None => (0, "a program of another user".to_owned()),
        };
        Running { pid, command_line, offset: 0, log: log.to_owned() }
    }

    /// Its process id; nothing where the system does not report it.
    pub fn known_pid(&self) -> Option<u32> {
        Some(self.pid).filter(|pid| *pid > 0)
    }

    /// Whether it has ended.
    pub fn ended(&self) -> bool {
        !is_locked(&self.log)
    }

    /// Its output, from the beginning.
    ///
    /// # Errors
    /// The log cannot be opened.
    pub fn output(&self) -> io::Result<Tail> {
        Ok(Tail::new(own::open(&self.log)?, self.offset))
    }
}

/// The lines of a file that grows.
#[derive(Debug)]
pub struct Tail {
    file: File,
    offset: u64,
    partial: Vec<u8>,
}

impl Tail {
    fn new(file: File, offset: u64) -> Tail {
        Tail { file, offset, partial: Vec::new() }
    }

    /// The lines completed since the last call; with `last`, also one without a line break.
    pub fn lines(&mut self, last: bool) -> Vec<String> {
        let mut buffer = [0; 16 << 10];
        // An error is taken for the end of what is there: what could not be read now is read by the next call. So is what
        // would be too much at once.
        let mut is_more = false;
        while let Ok(read @ 1..) = self.file.read_at(&mut buffer, self.offset) {
            self.partial.extend_from_slice(&buffer[..read]);
            self.offset += read as u64;
            is_more = self.partial.len() >= MOST_AT_ONCE;
            if is_more && !last {
                break;
            }
        }
        let complete = match self.partial.iter().rposition(|&byte| byte == b'\n') {
            _ if last => self.partial.len(),
            Some(end) => end + 1,
            // A line without an end is cut.
            None if is_more => self.partial.len(),
            None => 0,
        };
        let complete: Vec<u8> = self.partial.drain(..complete).collect();
        String::from_utf8_lossy(&complete).lines().map(str::to_owned).collect()
    }
}

fn open_for_append(log: &Path) -> io::Result<File> {
    own::append(log, 0o600)
}

fn lock(file: &File, log: &Path) -> Result<(), LoggedError> {
    let since = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(source)) => return Err(LoggedError::Log { path: log.to_owned(), source }),
            Err(TryLockError::WouldBlock) => {}
        }
        let recorded = Running::recorded(log);
        if recorded.is_some() || since.elapsed() >= FORKS_WITHIN {
            return Err(LoggedError::Busy(recorded.or_else(|| Running::on(log)).unwrap_or_else(|| Running {
                pid: 0,
                command_line: "a program that has just ended".into(),
                offset: 0,
                log: log.to_owned(),
            })));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A shared lock is tried, and given back at once: two who ask do not see each other.
fn is_locked(log: &Path) -> bool {
    let Ok(file) = own::open(log) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

fn record(log: &Path) -> PathBuf {
    log.with_extension("running.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, dir: &Path) -> Result<Logged, LoggedError> {
        Logged::start(&Tool::new("sh", dir), &["-c".into(), script.into()], &dir.join("logs/log"))
    }

    fn until(mut holds: impl FnMut() -> bool) {
        let started = Instant::now();
        while !holds() {
            assert!(started.elapsed() < Duration::from_secs(20), "this never came to hold");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_log_has_one_writer_and_outlives_its_reader() {
        let dir = tempfile::tempdir().unwrap();
        let go = dir.path().join("go");
        let script = "echo one; until [ -e go ]; do sleep 0.02; done; printf two";
        let first = sh(script, dir.path()).unwrap();
        let pid = first.running().pid;
        drop(first);
        let Err(LoggedError::Busy(running)) = sh("true", dir.path()) else { panic!("two writers") };
        assert_eq!(running.pid, pid);
        assert!(running.command_line.starts_with("sh -c 'echo one"), "{}", running.command_line);
        let mut output = running.output().unwrap();
        let mut lines = Vec::new();
        until(|| {
            lines.extend(output.lines(false));
            !lines.is_empty()
        });
        std::fs::write(go, "").unwrap();
        until(|| running.ended());
        lines.extend(output.lines(true));
        assert_eq!(lines, ["one", "two"]);
    }

    #[test]
    fn a_record_that_names_another_process_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let run = sh("sleep 30", dir.path()).unwrap();
        let (log, pid) = (dir.path().join("logs/log"), run.running().pid);
        let mut other = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let named = |pid: u32| format!(r#"{{"pid": {pid}, "command_line": "terraform apply", "offset": 0}}"#);
        for text in [named(other.id()), named(1), named(0), "garbage".to_owned(), String::new()] {
            std::fs::write(record(&log), text).unwrap();
            let found = Running::on(&log).unwrap();
            assert_eq!(found.known_pid(), Some(pid));
            assert!(found.command_line.contains("sleep 30"), "{}", found.command_line);
        }
        run.interrupt();
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn a_lock_that_outlives_its_program_for_a_moment_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let first = sh("true", dir.path()).unwrap();
        until(|| first.ended().unwrap().is_some() && first.running().ended());
        // What a process does that was forked while the log was open and has not executed its program yet.
        let copy = open_for_append(&dir.path().join("logs/log")).unwrap();
        copy.lock().unwrap();
        let parted = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            drop(copy);
        });
        let second = sh("echo second", dir.path());
        parted.join().unwrap();
        let mut second = second.unwrap();
        until(|| second.ended().unwrap().is_some());
        assert_eq!(second.lines(), ["second"]);
    }

    #[test]
    fn a_second_program_is_read_from_its_own_start() {
        let dir = tempfile::tempdir().unwrap();
        for word in ["first", "second"] {
            let mut run = sh(&format!("echo {word}; exit 3"), dir.path()).unwrap();
            until(|| run.ended().unwrap().is_some());
            assert_eq!((run.ended().unwrap(), run.lines()), (Some(Some(3)), vec![word.to_owned()]));
        }
    }
}
