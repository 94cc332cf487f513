//! The edge at which kgen prints: redacted if that was asked for, and never in panic over a reader that has gone.
//!
//! `println!` and its like in the commands are those of `commands.rs`, which come here.

use std::{
    borrow::Cow,
    fmt,
    io::{self, ErrorKind, Write},
    sync::{Mutex, PoisonError},
};

use crate::redact::Redactor;

/// There once `--redact` was given.
static REDACTOR: Mutex<Option<Redactor>> = Mutex::new(None);

/// Why a result could not be printed whole.
static FAILED: Mutex<Option<io::Error>> = Mutex::new(None);

/// From now on everything that is printed, or passed through [`redacted`], is redacted. `hosts` count as host names.
pub fn redact_from_now_on(hosts: impl IntoIterator<Item = String>) {
    *lock(&REDACTOR) = Some(Redactor::new(hosts));
}

/// `text` as it may leave kgen: what is written to a run or a report has to come through here.
pub fn redacted(text: &str) -> Cow<'_, str> {
    match lock(&REDACTOR).as_mut() {
        Some(redactor) => Cow::Owned(redactor.redact(text)),
        None => Cow::Borrowed(text),
    }
}

/// Standard output, for those who must know that nobody reads it any more.
pub fn stdout() -> Edge<io::Stdout> {
    Edge(io::stdout())
}

/// Prints a result. A reader that has seen enough is no error; anything else is kept for [`failure`].
pub fn print(text: fmt::Arguments<'_>) {
    if let Err(error) = stdout().write_fmt(text)
        && error.kind() != ErrorKind::BrokenPipe
    {
        lock(&FAILED).get_or_insert(error);
    }
}

/// Prints a message. If nobody can read it, there is nobody to tell.
pub fn message(text: fmt::Arguments<'_>) {
    let _ = Edge(io::stderr()).write_fmt(text);
}

/// Why something that was to be printed is not there, if so: a full disk behind a `>`.
pub fn failure() -> Option<io::Error> {
    lock(&FAILED).take()
}

/// Writes whole texts: what is formatted is redacted in one piece.
pub struct Edge<W>(W);

impl<W: Write> Write for Edge<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(redacted(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        self.write_all(text.to_string().as_bytes())?;
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
