//! A program whose lines are taken as they come, and that lives as long as its standard input is open.

use std::{
    ffi::OsString,
    io::{self, BufRead as _, BufReader, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, TryRecvError, channel},
    thread,
};

use rustix::process::{Pid, Signal, kill_process_group};

/// The longest line that is taken, bytes.
const MOST_LINE: u64 = 256 << 20;
/// Of the last error output that is kept, bytes.
const MOST_ERRORS: usize = 64 << 10;

/// What a program printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Printed {
    Line(String),
    Error(String),
}

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Streamed {
    child: Child,
    stdin: Option<ChildStdin>,
    printed: Receiver<Printed>,
    /// Both outputs have ended.
    is_drained: bool,
}

impl Streamed {
    /// # Errors
    /// It cannot be started.
    pub fn start(program: &Path, args: impl IntoIterator<Item = OsString>) -> io::Result<Streamed> {
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let (sender, printed) = channel();
        let errors = sender.clone();
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let started = Streamed { child, stdin, printed, is_drained: false };
        if let (Some(stdout), Some(stderr)) = (stdout, stderr) {
            let lines = move || read(stdout, &mut |line| sender.send(Printed::Line(line)).is_ok());
            let error_lines = move || read(stderr, &mut |line| errors.send(Printed::Error(line)).is_ok());
            thread::Builder::new().name("stdout".into()).spawn(lines)?;
            thread::Builder::new().name("stderr".into()).spawn(error_lines)?;
        }
        Ok(started)
    }

    /// The next line that is there already.
    pub fn printed(&mut self) -> Option<Printed> {
        match self.printed.try_recv() {
            Ok(printed) => Some(printed),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                self.is_drained = true;
                None
            }
        }
    }

    /// Its exit code once it has ended and all of its output was taken; nothing in it if a signal ended it.
    pub fn ended(&mut self) -> Option<Option<i32>> {
        if !self.is_drained {
            return None;
        }
        self.child.try_wait().ok().flatten().map(|status| status.code())
    }

    /// Closes its standard input.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// Ends it with all that it started.
    pub fn kill(&mut self) {
        if let (Ok(None), Some(group)) = (self.child.try_wait(), Pid::from_raw(self.child.id() as i32)) {
            let _ = kill_process_group(group, Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read(output: impl Read, take: &mut dyn FnMut(String) -> bool) {
    let mut reader = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        match (&mut reader).take(MOST_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let line = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                if !take(line) {
                    return;
                }
            }
        }
    }
}

/// The last of `text` and `line`, as much as is kept of errors.
pub fn append_error(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
    if text.len() > MOST_ERRORS {
        let cut = (text.len() - MOST_ERRORS..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.drain(..cut);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn lines_come_and_the_end_of_input_is_seen() {
        let script = "echo one; echo oh >&2; cat >/dev/null; echo two; exit 3";
        let mut program = Streamed::start(Path::new("sh"), ["-c".into(), script.into()]).unwrap();
        let (mut lines, mut errors, begun) = (Vec::new(), Vec::new(), Instant::now());
        let code = loop {
            assert!(begun.elapsed() < Duration::from_secs(30), "{lines:?}");
            match program.printed() {
                Some(Printed::Line(line)) => lines.push(line),
                Some(Printed::Error(line)) => errors.push(line),
                None => {
                    if let Some(code) = program.ended() {
                        break code;
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            if lines == ["one"] {
                program.close();
            }
        };
        assert_eq!((code, lines, errors), (Some(3), vec!["one".into(), "two".into()], vec!["oh".into()]));
    }

    #[test]
    fn errors_are_kept_to_their_end() {
        let mut text = String::new();
        (0..20_000).for_each(|number| append_error(&mut text, &format!("ü{number}")));
        assert!(text.len() <= MOST_ERRORS && text.ends_with("ü19999\n"));
    }
}
