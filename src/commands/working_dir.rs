//! The Terraform working directory of a project, for the commands that drive terraform.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, read},
    termios::{QueueSelector, tcflush},
};

use super::{place::Place, progress::Progress};
use crate::{
    change::Interrupted,
    cli::{Locking, Outcome, TerraformArgs, refused},
    process::Interrupts,
    project::{LockError, Patience, WorkingDir},
    terraform::{Terraform, TerraformError, plan::Plan},
};

/// Bytes of an answer that are read.
const LONGEST_ANSWER: usize = 4096;

/// `terraform/` of a project and its terraform, to read outputs only.
///
/// # Errors
/// Refused: the project has no Terraform, the machine has no terraform, or it would send real credentials to this machine.
pub fn readable(project: &Path, args: &TerraformArgs) -> anyhow::Result<(PathBuf, Terraform)> {
    let (dir, terraform) = WorkingDir::find(project, args.terraform_bin.as_deref()).map_err(refused)?;
    Ok((dir, terraform.with_env(&Place::Environment.env()?)))
}

/// Locks the project. Another kgen is waited for as long as `locking` says, and so is another run of terraform.
///
/// # Errors
/// Refused: the project has no Terraform, the machine has no terraform, or another kgen is at work.
pub fn lock(project: &Path, args: &TerraformArgs, locking: Option<&Locking>) -> anyhow::Result<WorkingDir> {
    let time = locking.map_or(Duration::ZERO, |locking| locking.lock_timeout);
    let waiting = |held: &LockError| eprintln!("waiting at most {time:?}: {held}");
    let patience = locking.map(|_| Patience { time, waiting: &waiting });
    let env = || Place::Environment.env();
    WorkingDir::lock(project, args.terraform_bin.as_deref(), patience, env).map_err(refused)
}

/// As [`lock`], for applying: what is applied must be what kgen.toml says.
pub fn lock_rendered(project: &Path, args: &TerraformArgs, locking: Option<&Locking>) -> anyhow::Result<WorkingDir> {
    let locked = lock(project, args, locking)?;
    locked.check_rendered(project).map_err(refused)?;
    Ok(locked)
}

/// Refuses to continue where nobody can be asked.
pub fn ensure_confirmable(yes: bool, command: &str) -> anyhow::Result<()> {
    if yes || (io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Ok(());
    }
    Err(refused(anyhow!(
        "`kgen {command}` asks for approval before it changes anything, but there is no terminal to ask on: add --yes"
    )))
}

/// Shows a plan and, where it would be applied, the file that it would be applied from.
pub fn show(plan: &Plan, is_applied: bool, progress: &mut Progress) {
    progress.clear();
    progress.line(&plan.changes.to_string());
    if is_applied && plan.has_changes() {
        let here = std::env::current_dir().unwrap_or_default();
        let file = plan.file().strip_prefix(here).unwrap_or(plan.file());
        progress.line(&format!("plan file: {} (SHA-256 {})", file.display(), plan.checksum()));
    }
}

/// Asks on the terminal. Only `yes` is a yes.
///
/// # Errors
/// [`Interrupted`], or there is no answer.
pub fn confirmed(question: &str) -> anyhow::Result<bool> {
    Ok(answer_to(&format!("{question} Type yes: "))? == "yes")
}

/// What is typed after `prompt`, without the spaces around it. What was typed before it is no answer to it.
///
/// # Errors
/// [`Interrupted`], or there is no answer.
pub fn answer_to(prompt: &str) -> anyhow::Result<String> {
    // Who is interrupted here gives back what it has taken, such as the file of its plan.
    let interrupts = Interrupts::hold().context("taking interrupts")?;
    let _ = tcflush(io::stdin(), QueueSelector::IFlush);
    eprint!("{prompt}");
    io::stderr().flush()?;
    let typed = typed_line(&interrupts);
    if typed.is_err() {
        eprintln!();
    }
    typed
}

/// The next line of standard input, as far as it goes.
fn typed_line(interrupts: &Interrupts) -> anyhow::Result<String> {
    const WHAT: &str = "reading the answer";
    let (stdin, look_every) = (io::stdin(), Timespec { tv_sec: 0, tv_nsec: 50_000_000 });
    let (mut line, mut buffer) = (Vec::new(), [0; 256]);
    while !line.contains(&b'\n') && line.len() < LONGEST_ANSWER {
        if interrupts.count() > 0 {
            return Err(Interrupted.into());
        }
        let ready = poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&look_every));
        match ready.and_then(|ready| if ready == 0 { Ok(None) } else { read(&stdin, &mut buffer).map(Some) }) {
            Ok(Some(0)) => break,
            Ok(Some(count)) => line.extend_from_slice(&buffer[..count]),
            Ok(None) | Err(Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error)).context(WHAT),
        }
    }
    // An interrupt counts more than what was typed at the same moment.
    if interrupts.count() > 0 {
        return Err(Interrupted.into());
    }
    Ok(String::from_utf8_lossy(&line).trim().to_owned())
}

/// What a failed terraform command means for how kgen ends.
pub fn ended(error: TerraformError, progress: &mut Progress) -> anyhow::Result<Outcome> {
    progress.clear();
    match error {
        TerraformError::Interrupted { .. } => {
            progress.line(&format!("{error}; run the same kgen command again to continue"));
            Ok(Outcome::Interrupted)
        }
        // Where plans are kept, something is in the way: terraform was not started.
        error @ TerraformError::PlanFile { .. } => Err(refused(error)),
        error => Err(error.into()),
    }
}
