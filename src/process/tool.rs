//! A program run to its end.

use std::{
    ffi::OsString,
    fmt,
    io::{self, PipeReader, Read as _},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use duct::{Expression, Handle};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::files::bounded::Bytes;

/// How long a program may take that is only asked what it is, as for its version. Java needs several seconds while a lab has
/// the processor.
pub const PROBE: Duration = Duration::from_secs(15);

/// The most that is kept of each output of a program. Terraform's description of a plan has some MiB.
const MOST_OUTPUT: u64 = 256 << 20;

/// How often a program is looked at whose output is read.
const LOOK: Duration = Duration::from_millis(20);

/// A program and the folder it runs in; its commands are built from this.
#[derive(Debug, Clone)]
pub struct Tool {
    program: PathBuf,
    dir: PathBuf,
    env: Vec<(OsString, OsString)>,
    /// Its standard input; nothing is there to be read where it is empty.
    input: Vec<u8>,
    /// How long [`Tool::run`] waits for its end; nothing for as long as it takes.
    within: Option<Duration>,
}

/// How a program ended.
#[derive(Debug)]
pub struct Finished {
    pub command_line: String,
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A program that could not be run, or that failed.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error("cannot start {program} (is it installed and on the PATH?): {source}")]
    Start { program: String, source: std::io::Error },
    #[error("`{command_line}` ended with {}{}", ended(.code), tail(.stderr))]
    Failed { command_line: String, code: Option<i32>, stderr: String },
    #[error(
        "`{command_line}` did not end within {} s and was stopped: run it by hand to see what it is waiting for",
        within.as_secs()
    )]
    TimedOut { command_line: String, within: Duration },
    #[error("`{command_line}` printed more than {}, and was stopped", Bytes(MOST_OUTPUT))]
    TooMuch { command_line: String },
}

fn ended(code: &Option<i32>) -> String {
    code.map_or("a signal".to_owned(), |code| format!("exit code {code}"))
}

fn tail(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.trim_end().lines().collect();
    match &lines[lines.len().saturating_sub(12)..] {
        [] => String::new(),
        last => format!(":\n{}", last.join("\n")),
    }
}

impl Tool {
    pub fn new(program: impl Into<PathBuf>, dir: impl Into<PathBuf>) -> Tool {
        Tool { program: program.into(), dir: dir.into(), env: Vec::new(), input: Vec::new(), within: None }
    }

    /// This tool with one more variable in its environment.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Tool {
        self.env.push((name.into(), value.into()));
        self
    }

    /// This tool with `input` as its standard input.
    pub fn input(self, input: impl Into<Vec<u8>>) -> Tool {
        Tool { input: input.into(), ..self }
    }

    pub fn program(&self) -> &Path {
        &self.program
    }

    /// This tool, stopped with all that it started when a run takes longer than `within`. For questions only: what changes
    /// something must be left to come to its end.
    pub fn within(self, within: Duration) -> Tool {
        Tool { within: Some(within), ..self }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The command as a person would type it.
    pub fn command_line(&self, args: &[OsString]) -> String {
        let words = std::iter::once(self.program.as_os_str()).chain(args.iter().map(OsString::as_os_str));
        words.map(|word| shell_word(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
    }

    /// The command as a duct expression, in its own process group.
    pub fn expression(&self, args: &[OsString]) -> Expression {
        let command = duct::cmd(self.program.as_os_str(), args).dir(&self.dir).unchecked();
        let command = match self.input.is_empty() {
            true => command.stdin_null(),
            false => command.stdin_bytes(self.input.clone()),
        };
        self.env.iter().fold(command, |command, (name, value)| command.env(name, value)).before_spawn(|command| {
            command.process_group(0);
            Ok(())
        })
    }

    /// Runs to the end, whatever the exit code.
    ///
    /// # Errors
    /// [`ToolError::Start`], [`ToolError::TimedOut`] and [`ToolError::TooMuch`] only.
    pub fn run<A: Into<OsString>>(&self, args: impl IntoIterator<Item = A>) -> Result<Finished, ToolError> {
        let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        let command_line = self.command_line(&args);
        let timed_out =
            |within| ToolError::TimedOut { command_line: command_line.clone(), within: Duration::max(within, LOOK) };
        let deadline = self.within.map(|within| (within, Instant::now() + within));
        let started = || -> io::Result<_> {
            let ((stdout, stdout_of_child), (stderr, stderr_of_child)) = (io::pipe()?, io::pipe()?);
            let handle = self.expression(&args).stdout_file(stdout_of_child).stderr_file(stderr_of_child).start()?;
            Ok((handle, captured(stdout), captured(stderr)))
        };
        let (handle, stdout, stderr) = started().map_err(|source| self.not_started(source))?;
        let mut outputs = [Capture::Running(stdout), Capture::Running(stderr)];
        while !outputs.iter_mut().all(Capture::has_ended) {
            if outputs.iter().any(|output| matches!(output, Capture::TooMuch)) {
                stop(&handle);
                return Err(ToolError::TooMuch { command_line });
            }
            if let Some((within, _)) = deadline.filter(|(_, at)| Instant::now() > *at) {
                stop(&handle);
                return Err(timed_out(within));
            }
        }
        let status = match deadline {
            None => handle.wait().map(Some),
            Some((_, at)) => handle.wait_deadline(at),
        };
        let Some(output) = status.map_err(|source| self.not_started(source))? else {
            stop(&handle);
            return Err(timed_out(self.within.unwrap_or_default()));
        };
        let code = output.status.code();
        let [stdout, stderr] = outputs.map(Capture::text);
        Ok(Finished { command_line: self.command_line(&args), code, stdout, stderr })
    }

    /// Puts the program in this process's place, with its terminal and its signals. Returns only if that failed.
    pub fn exec<A: Into<OsString>>(&self, args: impl IntoIterator<Item = A>) -> ToolError {
        let mut command = std::process::Command::new(&self.program);
        command.args(args.into_iter().map(Into::into)).current_dir(&self.dir);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        self.not_started(command.exec())
    }

    pub(super) fn not_started(&self, source: std::io::Error) -> ToolError {
        ToolError::Start { program: self.program.display().to_string(), source }
    }

    /// Runs to the end and returns standard output.
    ///
    /// # Errors
    /// Also an exit code other than 0, with the last lines of standard error.
    pub fn stdout<A: Into<OsString>>(&self, args: impl IntoIterator<Item = A>) -> Result<String, ToolError> {
        let finished = self.run(args)?;
        if finished.code == Some(0) { Ok(finished.stdout) } else { Err(finished.into()) }
    }
}

/// Kills a program with its children: one that was left behind would hold the pipes.
fn stop(handle: &Handle) {
    if let Some(group) = handle.pids().first().and_then(|pid| Pid::from_raw(*pid as i32)) {
        // It may have ended just now.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = handle.wait_timeout(Duration::from_secs(2));
}

/// One output of a program, which a thread reads.
#[derive(Debug)]
enum Capture {
    Running(Receiver<Option<Vec<u8>>>),
    Ended(Vec<u8>),
    /// More than [`MOST_OUTPUT`].
    TooMuch,
}

impl Capture {
    /// Waits a moment for its end.
    fn has_ended(&mut self) -> bool {
        if let Capture::Running(output) = self {
            match output.recv_timeout(LOOK) {
                Ok(Some(bytes)) => *self = Capture::Ended(bytes),
                Ok(None) => *self = Capture::TooMuch,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => *self = Capture::Ended(Vec::new()),
            }
        }
        matches!(self, Capture::Ended(_))
    }

    fn text(self) -> String {
        match self {
            Capture::Ended(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Capture::Running(_) | Capture::TooMuch => String::new(),
        }
    }
}

/// What comes through a pipe until its end; nothing when that is more than [`MOST_OUTPUT`].
fn captured(pipe: PipeReader) -> Receiver<Option<Vec<u8>>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is what there is.
        let _ = pipe.take(MOST_OUTPUT + 1).read_to_end(&mut bytes);
        let fits = bytes.len() as u64 <= MOST_OUTPUT;
        // Nobody listens any more when the time was up.
        let _ = sender.send(fits.then_some(bytes));
    });
    receiver
}

impl From<Finished> for ToolError {
    fn from(finished: Finished) -> ToolError {
        ToolError::Failed { command_line: finished.command_line, code: finished.code, stderr: finished.stderr }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.display())
    }
}

/// `text` in single quotes, as a POSIX shell takes it.
pub fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `path` for a program that runs in another folder than this process.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// A word as a POSIX shell takes it, quoted only where it must be.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { shell_quoted(word) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_quotes_the_command_and_its_last_words() {
        let error = Tool::new("sh", ".").stdout(["-c", "echo oh no >&2; exit 3"]).unwrap_err();
        assert_eq!(error.to_string(), "`sh -c 'echo oh no >&2; exit 3'` ended with exit code 3:\noh no");
    }

    #[test]
    fn both_outputs_are_read_to_their_end() {
        let finished = Tool::new("sh", ".")
            .run(["-c", "head -c 300000 /dev/zero | tr '\\0' o; head -c 300000 /dev/zero | tr '\\0' e >&2; exit 5"])
            .unwrap();
        assert_eq!((finished.code, finished.stdout.len(), finished.stderr.len()), (Some(5), 300_000, 300_000));
    }

    #[test]
    fn a_program_that_hangs_is_stopped_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let begun = Instant::now();
        for script in ["sleep 60", "sleep 60 & echo $! > pid; exit 0", "exec >&- 2>&-; sleep 60"] {
            let tool = Tool::new("sh", dir.path()).within(Duration::from_millis(300));
            let error = tool.run(["-c", script]).unwrap_err();
            assert!(matches!(error, ToolError::TimedOut { .. }), "{script}: {error}");
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        let pid = std::fs::read_to_string(dir.path().join("pid")).unwrap().trim().parse().unwrap();
        let is_there = || rustix::process::test_kill_process(Pid::from_raw(pid).unwrap()).is_ok();
        let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        for _ in 0..200 {
            if !is_there() || state().contains(") Z") {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the child of a stopped program still runs");
    }

    #[test]
    fn output_without_end_is_stopped() {
        let error = Tool::new("sh", ".").run(["-c", "cat /dev/zero"]).unwrap_err();
        assert!(matches!(error, ToolError::TooMuch { .. }), "{error}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Tool::new("no-such-program", ".").run(["x"]).unwrap_err();
        assert!(error.to_string().starts_with("cannot start no-such-program (is it installed"), "{error}");
    }
}
