//! A program run to its end.

use std::{
    ffi::OsString,
    fmt,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
};

use duct::Expression;

/// A program and the folder it runs in; its commands are built from this.
#[derive(Debug, Clone)]
pub struct Tool {
    program: PathBuf,
    dir: PathBuf,
    env: Vec<(OsString, OsString)>,
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
        Tool { program: program.into(), dir: dir.into(), env: Vec::new() }
    }

    /// This tool with one more variable in its environment.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Tool {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn program(&self) -> &Path {
        &self.program
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The command as a person would type it.
    pub fn command_line(&self, args: &[OsString]) -> String {
        let words = std::iter::once(self.program.as_os_str()).chain(args.iter().map(OsString::as_os_str));
        words.map(|word| shell_word(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
    }

    /// The command as a duct expression, in its own process group and with no standard input.
    pub fn expression(&self, args: &[OsString]) -> Expression {
        let command = duct::cmd(self.program.as_os_str(), args).dir(&self.dir).stdin_null().unchecked();
        self.env.iter().fold(command, |command, (name, value)| command.env(name, value)).before_spawn(|command| {
            command.process_group(0);
            Ok(())
        })
    }

    /// Runs to the end, whatever the exit code.
    ///
    /// # Errors
    /// [`ToolError::Start`] only.
    pub fn run<A: Into<OsString>>(&self, args: impl IntoIterator<Item = A>) -> Result<Finished, ToolError> {
        let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        let output = self
            .expression(&args)
            .stdout_capture()
            .stderr_capture()
            .run()
            .map_err(|source| self.not_started(source))?;
        Ok(Finished {
            command_line: self.command_line(&args),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
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
    fn a_missing_program_is_named() {
        let error = Tool::new("no-such-program", ".").run(["x"]).unwrap_err();
        assert!(error.to_string().starts_with("cannot start no-such-program (is it installed"), "{error}");
    }
}
