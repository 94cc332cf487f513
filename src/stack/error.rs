//! Errors in a kgen.toml, with the line and the key.

use std::path::{Path, PathBuf};

use crate::{
    catalogue::{BrokerType, TransitionError, VersionError},
    visible,
};

/// Why there is no stack.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    #[error("reading {}: {error}", path.display())]
    Unreadable { path: PathBuf, error: std::io::Error },
    /// Not TOML, a key that is not known, or a value that its key cannot have.
    #[error("{}:{line}:{column}: {}", path.display(), visible::line(message))]
    Syntax { path: PathBuf, line: usize, column: usize, message: String },
    /// Values that do not go together; the line is absent when the key was left to its default.
    #[error("{}{}: {fault}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
    Invalid { path: PathBuf, line: Option<usize>, fault: Fault },
    /// A variable in the place of a key.
    #[error("{variable}: {}", visible::line(message))]
    Environment { variable: String, message: String },
}

/// A rule that a value breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", visible::line(key), visible::line(reason))]
pub struct Fault {
    /// With the table in front: `cluster.broker_count`.
    pub key: String,
    pub reason: String,
}

/// Why a resize is refused before anything is touched.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ResizeError {
    #[error(transparent)]
    Transition(#[from] TransitionError),
    #[error(transparent)]
    Version(#[from] VersionError),
    #[error("{0}")]
    ToExpress(String),
    /// A setting that the present type has and the other one has not, such as provisioned throughput.
    #[error("kgen.toml does not fit {broker_type}: {fault}")]
    Rule { broker_type: BrokerType, fault: Fault },
}

/// Why brokers are not added.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ScaleOutError {
    #[error("{asked} brokers are not more than the current {now} (`kgen resize TYPE` changes their type)")]
    NotMore { now: u32, asked: u32 },
    #[error("{0}")]
    Rule(Fault),
}

impl Fault {
    /// Always `Some`, as the rules are written as "the first that is broken".
    pub(super) fn some(key: &str, reason: impl Into<String>) -> Option<Fault> {
        Some(Fault { key: key.to_owned(), reason: reason.into() })
    }
}

impl StackError {
    pub fn in_file(self, file: &Path) -> StackError {
        let file = file.to_owned();
        match self {
            StackError::Unreadable { error, .. } => StackError::Unreadable { path: file, error },
            StackError::Syntax { line, column, message, .. } => {
                StackError::Syntax { path: file, line, column, message }
            }
            StackError::Invalid { line, fault, .. } => StackError::Invalid { path: file, line, fault },
            error @ StackError::Environment { .. } => error,
        }
    }

    pub(super) fn syntax(text: &str, error: &toml::de::Error) -> StackError {
        let offset = error.span().map_or(0, |span| span.start);
        let before = &text[..offset.min(text.len())];
        let column = 1 + before.rsplit('\n').next().unwrap_or_default().chars().count();
        let message = error.message().lines().collect::<Vec<_>>().join(" ");
        let message = format!("{message}{}", hint(&message));
        StackError::Syntax { path: "kgen.toml".into(), line: line_at(text, offset), column, message }
    }

    pub(super) fn fault(text: &str, fault: Fault) -> StackError {
        StackError::Invalid { path: "kgen.toml".into(), line: line_of(text, &fault.key), fault }
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text[..offset.min(text.len())].matches('\n').count()
}

/// The line where a key is set; of its table, when the table does not set it.
pub(super) fn line_of(text: &str, key: &str) -> Option<usize> {
    let document = toml_edit::Document::parse(text).ok()?;
    let mut table: &dyn toml_edit::TableLike = document.as_table();
    let mut parts = key.splitn(3, '.').peekable();
    while let Some(part) = parts.next() {
        let (found, item) = table.get_key_value(part)?;
        if parts.peek().is_none() {
            return found.span().map(|span| line_at(text, span.start));
        }
        table = item.as_table_like()?;
    }
    None
}

/// `unknown field `broker_typ`, expected one of `name`, …` gets the key that was probably meant.
fn hint(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let (true, Some(wrong)) = (message.starts_with("unknown field"), quoted.next()) else {
        return String::new();
    };
    let likeness = |known: &&str| (similar::TextDiff::from_chars(wrong, *known).ratio() * 1000.0) as u32;
    match quoted.max_by_key(likeness) {
        Some(known) if likeness(&known) > 600 => format!("; did you mean `{known}`?"),
        _ => String::new(),
    }
}
