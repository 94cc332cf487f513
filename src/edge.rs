//! The edge: all output of kgen, and every text file that a command writes, passes through here.
//!
//! Here a text is redacted, if that was requested, and what could control a terminal is made visible; kgen's own
//! colours are put around a text only afterwards ([`styled`]). A write that fails is kept for [`failure`], so that the
//! command does not end with 0. While a screen has the terminal, what is printed is held, and released when the
//! terminal is restored.
//!
//! `println!` and its like in the commands are those of `commands.rs`, which come here. No other module prints.

use std::{
    borrow::Cow,
    collections::VecDeque,
    fmt,
    io::{self, ErrorKind, IsTerminal as _, Write},
    path::Path,
};

use anyhow::Context as _;
use parking_lot::{Mutex, MutexGuard};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    alert::{Content, Message, Subject},
    diagnose::Context,
    files::{self, own},
    outcome::refused_if_not_begun,
    redact::Redactor,
    run::{Entry, Event, Head, Run},
    screen::{ColorChoice, Palette, TextLine},
    visible,
};

/// Messages that are held at most; of more, the latest.
const MESSAGES: usize = 1000;

/// What was printed meanwhile, as it will leave.
struct Held {
    results: String,
    messages: VecDeque<String>,
    tell: Box<dyn Fn(&str) + Send>,
}

/// How this process prints. It is what everything that prints shares, down to a panic's hook, so it is the one static of kgen
/// besides what signals need. Nothing that is called while it is locked comes back here.
static EDGE: Mutex<Edge> = Mutex::new(Edge { redactor: None, color: ColorChoice::Auto, held: None, failure: None });

struct Edge {
    /// There once `--redact` was given.
    redactor: Option<Redactor>,
    /// What `--color` said.
    color: ColorChoice,
    /// There while a screen has the terminal.
    held: Option<Held>,
    /// Why a result could not be printed whole, or a file not be written.
    failure: Option<anyhow::Error>,
}

/// From now on everything that leaves is redacted.
pub fn redact_from_now_on() {
    edge().redactor.get_or_insert_default();
}

/// These count as names of hosts in what is redacted.
pub fn learn_hosts(names: impl IntoIterator<Item = String>) {
    if let Some(redactor) = edge().redactor.as_mut() {
        names.into_iter().for_each(|name| redactor.learn_host(&name));
    }
}

/// The host names in a list such as `b-1:9092,b-2:9092`.
pub fn learn_servers(servers: &str) {
    let host = |server: &str| server.rsplit_once(':').map_or(server, |(host, _)| host).trim().to_owned();
    learn_hosts(servers.split(',').map(host));
}

/// This is the name of a cluster in what is redacted.
pub fn learn_cluster(name: &str) {
    if let Some(redactor) = edge().redactor.as_mut() {
        redactor.learn_cluster(name);
    }
}

/// The names in what is known of a cluster.
pub fn learn_context(context: &Context) {
    learn_cluster(&context.cluster);
    context.bootstrap_servers.iter().for_each(|servers| learn_servers(servers));
}

/// The names in a run. They identify its cluster also where they are in front of the place that tells them.
pub fn learn_run(run: &Run) {
    run.head.environment.cluster.iter().for_each(|name| learn_cluster(name));
    run.samples().for_each(|observed| learn_context(&observed.cluster));
}

/// `run` as it may be shown: with a stand-in for everything that identifies its cluster, if that was requested.
pub fn redacted_run(mut run: Run) -> Run {
    if edge().redactor.is_none() {
        return run;
    }
    learn_run(&run);
    run.head = redacted_head(run.head);
    run.entries = run.entries.into_iter().map(redacted_entry).collect();
    run
}

/// `text` with stand-ins, if that was requested.
pub fn redacted(text: &str) -> Cow<'_, str> {
    match edge().redactor.as_mut() {
        Some(redactor) => Cow::Owned(redactor.redact(text)),
        None => Cow::Borrowed(text),
    }
}

/// The same of the head of a run.
pub fn redacted_head(head: Head) -> Head {
    let at_worst = Head { id: String::new(), args: Vec::new(), environment: Default::default(), ..head.clone() };
    redacted_value(head).unwrap_or(at_worst)
}

/// The same of an entry of a run.
pub fn redacted_entry(entry: Entry) -> Entry {
    let at = entry.at;
    // What cannot be redacted is not told.
    redacted_value(entry).unwrap_or(Entry { at, event: Event::Unknown })
}

/// A message of the guard as it may be sent to somebody. What cannot be redacted is left out.
pub fn redacted_message(message: Message) -> Message {
    let (name, id) = ("[redacted]".to_owned(), "[redacted]".to_owned());
    let at_worst = Message {
        object: String::new(),
        subject: Subject { id, name, region: message.subject.region.clone(), caller: None },
        content: Content::default(),
        ..message.clone()
    };
    // Hashes are of nobody, and who gets a message twice knows it by them.
    let (id, alert) = (message.id.clone(), message.alert.clone());
    Message { id, alert, ..redacted_value(message).unwrap_or(at_worst) }
}

/// The same of every text in a value; nothing where what is left is no such value.
fn redacted_value<T: Serialize + DeserializeOwned>(value: T) -> Option<T> {
    let mut edge = edge();
    let Some(redactor) = edge.redactor.as_mut() else { return Some(value) };
    let mut document = serde_json::to_value(&value).ok()?;
    redactor.redact_json(&mut document);
    serde_json::from_value(document).ok()
}

/// `text` as it may leave kgen.
pub fn leaving(text: &str) -> String {
    visible::text(&redacted(text)).into_owned()
}

/// A document in one line as it may leave kgen.
///
/// # Errors
/// It has no form in JSON.
pub fn leaving_json(document: &impl Serialize) -> serde_json::Result<String> {
    Ok(visible::json(&redacted_document(document)?.to_string()).into_owned())
}

/// A document whose texts are redacted, in the form that it is printed in.
fn redacted_document(document: &impl Serialize) -> serde_json::Result<Document> {
    let text = serde_json::to_string(document)?;
    let mut edge = edge();
    let Some(redactor) = edge.redactor.as_mut() else { return Ok(Document::AsItIs(text)) };
    let mut value = serde_json::from_str(&text)?;
    redactor.redact_json(&mut value);
    Ok(Document::Redacted(value))
}

enum Document {
    AsItIs(String),
    Redacted(serde_json::Value),
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Document::AsItIs(text) => f.write_str(text),
            Document::Redacted(value) => value.fmt(f),
        }
    }
}

pub fn color_from_now_on(choice: ColorChoice) {
    edge().color = choice;
}

/// The colours of what is drawn or printed on standard output.
pub fn palette(is_terminal: bool) -> Palette {
    let palette = Palette::choose(edge().color, is_terminal, |name| std::env::var(name).ok());
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
    edge().held = Some(Held { results: String::new(), messages: VecDeque::new(), tell: Box::new(tell) });
}

pub fn is_holding() -> bool {
    edge().held.is_some()
}

/// Prints what was held, messages first, and holds nothing any more.
pub fn release() {
    let Some(held) = edge().held.take() else { return };
    held.messages.iter().for_each(|text| say(text));
    keep_failure(put(&held.results));
}

/// A message that the screen shows by other means already.
pub fn aside(text: fmt::Arguments<'_>) {
    let text = leaving(&text.to_string());
    if !held(&text, false) {
        say(&text);
    }
}

/// Holds a message, if messages are held.
fn held(text: &str, is_told: bool) -> bool {
    let mut edge = edge();
    let Some(held) = &mut edge.held else { return false };
    if is_told {
        (held.tell)(text.trim_end());
    }
    held.messages.push_back(text.to_owned());
    if held.messages.len() > MESSAGES {
        held.messages.pop_front();
    }
    true
}

/// Prints a result. A reader that has seen enough is no error; anything else is kept for [`failure`].
pub fn print(text: fmt::Arguments<'_>) {
    keep_failure(put(&leaving(&text.to_string())));
}

/// Prints a document for programs.
///
/// # Errors
/// It cannot be written as JSON, which only a map with keys that are no text would bring about.
pub fn document(document: &impl Serialize) -> anyhow::Result<()> {
    let text = match redacted_document(document)? {
        Document::AsItIs(_) => serde_json::to_string_pretty(document)?,
        Document::Redacted(value) => format!("{value:#}"),
    };
    keep_failure(put(&(visible::json(&text) + "\n")));
    Ok(())
}

/// Prints a document in one line, of many.
///
/// # Errors
/// Nobody reads it any more, or it cannot be written: also kept for [`failure`].
pub fn json_line(document: &impl Serialize) -> io::Result<()> {
    kept(put(&(leaving_json(document)? + "\n")))
}

/// Prints a line with its colour.
///
/// # Errors
/// As [`json_line`].
pub fn line(line: &TextLine) -> io::Result<()> {
    kept(put(&(line.styled(leaving) + "\n")))
}

/// Prints a message. If nobody can read it, there is nobody to tell.
pub fn message(text: fmt::Arguments<'_>) {
    let text = leaving(&text.to_string());
    if !held(&text, true) {
        say(&text);
    }
}

/// Replaces a file by `text`, as it may leave kgen.
///
/// # Errors
/// It cannot be written; what was there is untouched.
pub fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    let written = files::replace_file(path, leaving(text).as_bytes());
    written.with_context(|| format!("writing {}", path.display())).map_err(refused_if_not_begun)
}

/// As [`write_file`], of a file that is kgen's own.
///
/// # Errors
/// It cannot be written, or something else is in its place.
pub fn write_own_file(path: &Path, text: &str) -> anyhow::Result<()> {
    own::replace(path, leaving(text).as_bytes()).with_context(|| format!("writing {}", path.display()))
}

/// Something was not written, and the command continues: it does not end with 0.
pub fn failed(error: anyhow::Error) {
    edge().failure.get_or_insert(error);
}

/// Why something that was to be printed or written is not there, if so: a full disk behind a `>`.
pub fn failure() -> Option<anyhow::Error> {
    edge().failure.take()
}

/// Writes to standard output what may leave as it is, or holds it.
fn put(text: &str) -> io::Result<()> {
    if let Some(held) = &mut edge().held {
        held.results += text;
        return Ok(());
    }
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes to standard error what may leave as it is.
fn say(text: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Keeps a failure that is not about a reader that has gone.
fn kept(written: io::Result<()>) -> io::Result<()> {
    if let Err(error) = &written
        && error.kind() != ErrorKind::BrokenPipe
    {
        // An error of the system cannot be copied, but its number can.
        let copy =
            error.raw_os_error().map_or_else(|| io::Error::other(error.to_string()), io::Error::from_raw_os_error);
        failed(anyhow::Error::new(copy).context("printing the result"));
    }
    written
}

fn keep_failure(written: io::Result<()>) {
    let _ = kept(written);
}

fn edge() -> MutexGuard<'static, Edge> {
    EDGE.lock()
}
