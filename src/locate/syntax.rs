//! Terraform's files as a tree in which every value knows its bytes: one form for HCL and for its JSON variant.

mod hcl;
mod json;

use std::{ops::Range, path::Path};

/// A file that was read, and what is in it.
#[derive(Debug)]
pub struct File {
    pub path: std::path::PathBuf,
    pub text: String,
    pub syntax: Syntax,
    pub body: Body,
    /// Where each line but the first begins.
    lines: Vec<usize>,
}

/// How a string is quoted in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    Hcl,
    Json,
}

/// Index of a file in the [`Tree`](super::tree::Tree) that it belongs to.
pub type FileId = usize;

/// Bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: FileId,
    pub start: usize,
    pub end: usize,
}

#[derive(Debug, Clone, Default)]
pub struct Body {
    pub attributes: Vec<Attribute>,
    pub blocks: Vec<Block>,
}

#[derive(Debug, Clone)]
pub struct Attribute {
    pub name: String,
    pub value: Expr,
}

#[derive(Debug, Clone)]
pub struct Block {
    pub keyword: String,
    pub labels: Vec<String>,
    pub place: Place,
    pub body: Body,
}

/// An expression and its bytes.
#[derive(Debug, Clone)]
pub struct Expr {
    pub place: Place,
    pub kind: Kind,
}

#[derive(Debug, Clone)]
pub enum Kind {
    Null,
    Bool(bool),
    Number(f64),
    /// A quoted string without interpolations, which stands in the file as such and can be replaced.
    String(String),
    /// A string that is part of something else (a template in JSON), or no quoted string (a key): it cannot be replaced.
    Fixed(String),
    Template(Vec<Part>),
    List(Vec<Expr>),
    Object(Vec<(Expr, Expr)>),
    /// A name and what is taken from it: `var.a["b"]`.
    Reference {
        root: String,
        steps: Vec<Step>,
    },
    /// What is taken from a value that is no name: `{ … }[var.a]`.
    Access {
        base: Box<Expr>,
        steps: Vec<Step>,
    },
    Conditional {
        condition: Box<Expr>,
        yes: Box<Expr>,
        no: Box<Expr>,
    },
    Not(Box<Expr>),
    Negative(Box<Expr>),
    Binary {
        operator: Operator,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Call {
        name: String,
        arguments: Vec<Expr>,
    },
    For(Box<For>),
    /// Anything that is not followed, in words.
    Other(&'static str),
}

#[derive(Debug, Clone)]
pub enum Part {
    Text(String),
    Value(Expr),
}

#[derive(Debug, Clone)]
pub enum Step {
    Name(String),
    Index(Expr),
    Splat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    And,
    Or,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
    Plus,
    Minus,
    Times,
    Other,
}

#[derive(Debug, Clone)]
pub struct For {
    pub key_name: Option<String>,
    pub value_name: String,
    pub collection: Expr,
    /// Set for an object.
    pub key: Option<Expr>,
    pub value: Expr,
    pub condition: Option<Expr>,
    pub grouping: bool,
}

/// A file that cannot be read as what its name says.
#[derive(Debug, Clone, thiserror::Error, PartialEq)]
#[error("line {line}, column {column}: {message}")]
pub struct SyntaxError {
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl SyntaxError {
    /// Of a file that is there and gives no text; it has no line.
    pub fn unreadable(error: &std::io::Error) -> SyntaxError {
        SyntaxError { line: 0, column: 0, message: format!("cannot be read: {error}") }
    }

    pub fn is_unreadable(&self) -> bool {
        self.line == 0
    }
}

impl File {
    /// Reads `bytes` as the Terraform file `path`, in JSON where its name ends so.
    ///
    /// # Errors
    /// Where it is no UTF-8, no HCL, no JSON.
    pub fn parse(id: FileId, path: &Path, bytes: &[u8]) -> Result<File, SyntaxError> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(error) => {
                let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned();
                let (line, column) = position(&before, before.len());
                return Err(SyntaxError { line, column, message: "not UTF-8".to_owned() });
            }
        };
        let syntax = match path.extension().is_some_and(|extension| extension == "json") {
            true => Syntax::Json,
            false => Syntax::Hcl,
        };
        // Terraform accepts a byte order mark, the parsers do not.
        let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let body = match syntax {
            Syntax::Hcl => hcl::parse(id, &text[mark..], mark),
            // What is assigned to variables is taken as it stands; in a configuration, a string is a template.
            Syntax::Json => json::parse(id, &text[mark..], mark, !is_assignments(path)),
        }?;
        let lines = text.match_indices('\n').map(|(at, _)| at + 1).collect();
        Ok(File { path: path.to_owned(), text, syntax, body, lines })
    }

    pub fn line(&self, offset: usize) -> usize {
        1 + self.lines.partition_point(|start| *start <= offset)
    }

    pub fn text_at(&self, place: &Place) -> &str {
        &self.text[place.start..place.end]
    }

    /// What stands at `place`, on one line, cut after `most` characters.
    pub fn short(&self, place: &Place, most: usize) -> String {
        let text = self.text_at(place).split_whitespace().collect::<Vec<_>>().join(" ");
        match text.char_indices().nth(most) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text,
        }
    }

    /// `text` as a string in the syntax of this file, with its quotes.
    pub fn quoted(&self, text: &str) -> String {
        match self.syntax {
            Syntax::Hcl => format!("\"{}\"", crate::hcl::escape(text)),
            Syntax::Json => serde_json::Value::from(text).to_string(),
        }
    }

    /// Every string of the file that stands there as such, with the name of the attribute that it belongs to.
    #[cfg(test)]
    pub fn strings(&self) -> Vec<(&str, &Expr)> {
        let mut found = Vec::new();
        collect(&self.body, &mut found);
        found
    }
}

#[cfg(test)]
fn collect<'a>(body: &'a Body, found: &mut Vec<(&'a str, &'a Expr)>) {
    for attribute in &body.attributes {
        strings_in(&attribute.name, &attribute.value, found);
    }
    for block in &body.blocks {
        collect(&block.body, found);
    }
}

#[cfg(test)]
fn strings_in<'a>(name: &'a str, expr: &'a Expr, found: &mut Vec<(&'a str, &'a Expr)>) {
    match &expr.kind {
        Kind::String(_) => found.push((name, expr)),
        Kind::List(items) => items.iter().for_each(|item| strings_in(name, item, found)),
        Kind::Object(items) => items.iter().for_each(|(key, value)| match &key.kind {
            Kind::Fixed(key) => strings_in(key, value, found),
            _ => strings_in(name, value, found),
        }),
        Kind::Conditional { condition, yes, no } => {
            [condition, yes, no].into_iter().for_each(|branch| strings_in(name, branch, found));
        }
        Kind::Call { arguments, .. } => arguments.iter().for_each(|argument| strings_in(name, argument, found)),
        Kind::Binary { left, right, .. } => {
            [left, right].into_iter().for_each(|operand| strings_in(name, operand, found));
        }
        _ => {}
    }
}

impl Body {
    /// The last attribute called `name`; a valid file has no other.
    pub fn attribute(&self, name: &str) -> Option<&Expr> {
        self.attributes.iter().rev().find(|attribute| attribute.name == name).map(|attribute| &attribute.value)
    }

    pub fn blocks<'a>(&'a self, keyword: &'a str) -> impl Iterator<Item = &'a Block> {
        self.blocks.iter().filter(move |block| block.keyword == keyword)
    }
}

impl Place {
    pub fn new(file: FileId, span: Range<usize>) -> Place {
        Place { file, start: span.start, end: span.end }
    }
}

/// Whether a file holds values of variables, by its name.
pub fn is_assignments(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.ends_with(".tfvars") || name.ends_with(".tfvars.json")
}

/// Line and column, counted from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rfind('\n').map_or(0, |at| at + 1);
    (1 + before.matches('\n').count(), 1 + before[line..].chars().count())
}
