//! The edge at which kgen prints: redacted if that was asked for, and never in panic over a reader that has gone. While a
//! screen has the terminal, what is printed is held, and released when the terminal is given back.
//!
//! `println!` and its like in the commands are those of `commands.rs`, which come here.

use std::{
    borrow::Cow,
    fmt,
    io::{self, ErrorKind, IsTerminal as _, Write},
    sync::{Mutex, PoisonError},
};

use crate::{
    redact::Redactor,
    run::Entry,
    screen::{ColorChoice, Palette},
};

/// There once `--redact` was given.
static REDACTOR: Mutex<Option<Redactor>> = Mutex::new(None);

/// What `--color` said.
static COLOR: Mutex<ColorChoice> = Mutex::new(ColorChoice::Auto);

/// There while a screen has the terminal.
static HELD: Mutex<Option<Held>> = Mutex::new(None);

/// Messages that are held at most; of more, the latest.
const MESSAGES: usize = 1000;

struct Held {
    results: String,
    messages: std::collections::VecDeque<String>,
    tell: Box<dyn Fn(&str) + Send>,
}

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

/// The same of an entry of a run.
pub fn redacted_entry(entry: Entry) -> Entry {
    if lock(&REDACTOR).is_none() {
        return entry;
    }
    let text = serde_json::to_string(&entry).ok();
    let read = text.and_then(|text| serde_json::from_str(&redacted(&text)).ok());
    // What cannot be redacted is not told.
    read.unwrap_or(Entry { at: entry.at, event: crate::run::Event::Unknown })
}

pub fn color_from_now_on(choice: ColorChoice) {
    *lock(&COLOR) = choice;
}

/// The colours of what is drawn or printed on standard output.
pub fn palette(is_terminal: bool) -> Palette {
    let palette = Palette::choose(*lock(&COLOR), is_terminal, |name| std::env::var(name).ok());
    // Crossterm has an opinion of its own on NO_COLOR.
    ratatui::crossterm::style::force_color_output(palette.is_coloured);
    palette
}

/// The colours of lines on standard output.
pub fn lines_palette() -> Palette {
    palette(io::stdout().is_terminal())
}

/// From now on what is printed is held; `tell` is given each message meanwhile.
pub fn hold(tell: impl Fn(&str) + Send + 'static) {
    *lock(&HELD) = Some(Held { results: String::new(), messages: Default::default(), tell: Box::new(tell) });
}

pub fn is_holding() -> bool {
    lock(&HELD).is_some()
}

/// Prints what was held, messages first, and holds nothing any more.
pub fn release() {
    let Some(held) = lock(&HELD).take() else { return };
    for text in held.messages {
        message(format_args!("{text}"));
    }
    print(format_args!("{}", held.results));
}

/// A message that the screen shows by other means already.
pub fn aside(text: fmt::Arguments<'_>) {
    if !keep(text, false) {
        message(text);
    }
}

/// Holds a message, if messages are held.
fn keep(text: fmt::Arguments<'_>, is_told: bool) -> bool {
    // Redacted before the lock is taken: one lock at a time.
    let text = redacted(&text.to_string()).into_owned();
    let mut held = lock(&HELD);
    let Some(held) = &mut *held else { return false };
    if is_told {
        (held.tell)(text.trim_end());
    }
    held.messages.push_back(text);
    if held.messages.len() > MESSAGES {
        held.messages.pop_front();
    }
    true
}

/// Standard output, for those who must know that nobody reads it any more.
pub fn stdout() -> Edge<io::Stdout> {
    Edge(io::stdout())
}

/// Prints a result. A reader that has seen enough is no error; anything else is kept for [`failure`].
pub fn print(text: fmt::Arguments<'_>) {
    if let Some(held) = &mut *lock(&HELD) {
        held.results += &text.to_string();
        return;
    }
    if let Err(error) = stdout().write_fmt(text)
        && error.kind() != ErrorKind::BrokenPipe
    {
        lock(&FAILED).get_or_insert(error);
    }
}

/// Prints a message. If nobody can read it, there is nobody to tell.
pub fn message(text: fmt::Arguments<'_>) {
    if is_holding() && keep(text, true) {
        return;
    }
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
