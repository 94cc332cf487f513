//! A program that runs until it is stopped.

use std::{
    ffi::OsString,
    io,
    ops::ControlFlow,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal};

use super::wait::{await_until, pause};
use crate::files::own;

/// A server that was started and is not known to be ready. Dropping it kills it.
#[derive(Debug)]
pub struct StartingServer(Server);

/// A server that was ready once. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    name: String,
    child: Child,
    log: PathBuf,
}

/// What a readiness check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    NotYet,
}

/// Why a server did not come up. Its log stays where it was written.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot start {name} (is it installed and on the PATH?): {source}")]
    Start { name: String, source: io::Error },
    #[error("{name} ended while starting, with {status} (its log is {}){}", log.display(), last_lines(log))]
    Ended { name: String, status: ExitStatus, log: PathBuf },
    #[error("{name} was not ready after {} s (its log is {}){}", waited.as_secs(), log.display(), last_lines(log))]
    TimedOut { name: String, waited: Duration, log: PathBuf },
}

fn last_lines(log: &Path) -> String {
    let text = own::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    match &lines[lines.len().saturating_sub(5)..] {
        [] => String::new(),
        last => format!(":\n{}", last.join("\n")),
    }
}

impl StartingServer {
    /// Starts `program` in `dir` with its output appended to `log`.
    ///
    /// The kernel kills the server when this process dies, however it dies. That is tied to the calling *thread*:
    /// call from one that lives as long as the server should (the main thread, or one kept for it).
    ///
    /// # Errors
    /// [`StartError::Start`] when the log cannot be opened or the program cannot be run.
    pub fn start<A: Into<OsString>>(
        name: &str,
        program: &Path,
        args: impl IntoIterator<Item = A>,
        env: &[(String, String)],
        dir: &Path,
        log: &Path,
    ) -> Result<StartingServer, StartError> {
        let start = || -> io::Result<Child> {
            let log = own::append(log, 0o666)?;
            let mut command = Command::new(program);
            command
                .args(args.into_iter().map(Into::into))
                .envs(env.iter().map(|(name, value)| (name, value)))
                .current_dir(dir)
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log)
                .process_group(0);
            die_with_parent(&mut command);
            command.spawn()
        };
        match start() {
            Ok(child) => Ok(StartingServer(Server { name: name.to_owned(), child, log: log.to_owned() })),
            Err(source) => Err(StartError::Start { name: format!("{name} ({})", program.display()), source }),
        }
    }

    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Asks `check` every 50 ms until it says ready.
    ///
    /// # Errors
    /// Ends at once when the server has ended, and after `timeout`.
    pub fn ready(mut self, timeout: Duration, mut check: impl FnMut() -> Readiness) -> Result<Server, StartError> {
        let server = &mut self.0;
        let (name, log) = (server.name.clone(), server.log.clone());
        let awaited = await_until(timeout, Duration::from_millis(50), || match server.ended() {
            Some(status) => Err(StartError::Ended { name: name.clone(), status, log: log.clone() }),
            None if check() == Readiness::Ready => Ok(ControlFlow::Break(())),
            None => Ok(ControlFlow::Continue(())),
        })?;
        awaited.map_err(|()| StartError::TimedOut { name, waited: timeout, log })?;
        Ok(self.0)
    }
}

impl Server {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends a signal; one that has ended gets none.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none()
            && let Some(pid) = Pid::from_raw(self.child.id() as i32)
        {
            // It may end between the check and here; as an unreaped child its pid is still its own.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Asks it to end (SIGTERM), and kills it after `grace`.
    ///
    /// Returns whether it ended by itself.
    pub fn stop(mut self, grace: Duration) -> bool {
        self.signal(Signal::TERM);
        pause(grace, || self.ended().is_some())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.ended().is_none() {
            // A stopped process (SIGSTOP) takes SIGKILL too.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Has the kernel kill the child when the thread that starts it ends.
#[cfg(target_os = "linux")]
pub(super) fn die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    let tie = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the call above.
        match rustix::process::getppid() == Some(parent) {
            true => Ok(()),
            false => Err(io::Error::other("the parent process has ended")),
        }
    };
    // SAFETY: between fork and exec the closure makes two system calls and allocates only on the error path,
    // where the child gives up at once.
    unsafe { command.pre_exec(tie) };
}

#[cfg(not(target_os = "linux"))]
pub(super) fn die_with_parent(_: &mut Command) {}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str, dir: &Path) -> StartingServer {
        StartingServer::start("sleeper", Path::new("sh"), ["-c", script], &[], dir, &dir.join("log")).unwrap()
    }

    #[test]
    fn a_server_that_ends_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let error =
            start("echo no port; exit 7", dir.path()).ready(Duration::from_secs(60), || Readiness::NotYet).unwrap_err();
        assert!(matches!(error, StartError::Ended { .. }) && error.to_string().ends_with("no port"), "{error}");
    }

    #[test]
    fn a_server_that_ignores_sigterm_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let ready = dir.path().join("ready");
        let script = format!("trap '' TERM; touch {}; while :; do sleep 0.05; done", ready.display());
        let check = || if ready.exists() { Readiness::Ready } else { Readiness::NotYet };
        let server = start(&script, dir.path()).ready(Duration::from_secs(10), check).unwrap();
        let pid = Pid::from_raw(server.pid() as i32).unwrap();
        assert!(!server.stop(Duration::from_millis(100)));
        assert!(rustix::process::test_kill_process(pid).is_err());
    }
}
