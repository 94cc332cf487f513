//! Questions on the terminal.

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, anyhow};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, read},
    termios::{QueueSelector, tcflush},
};

use crate::{change::Interrupted, edge, outcome::refused, process::Interrupts};

/// Bytes of an answer that are read.
const LONGEST_ANSWER: usize = 4096;

/// Refuses to continue where nobody can be asked.
pub fn ensure_confirmable(yes: bool, command: &str) -> anyhow::Result<()> {
    if yes || (io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Ok(());
    }
    Err(refused(anyhow!(
        "`kgen {command}` asks for approval before it changes anything, but there is no terminal to ask on: add --yes"
    )))
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
    edge::message(format_args!("{prompt}"));
    io::stderr().flush()?;
    let typed = typed_line(&interrupts);
    if typed.is_err() {
        edge::message(format_args!("\n"));
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
