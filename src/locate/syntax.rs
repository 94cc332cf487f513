//! Terraform's files as a tree in which every value knows its bytes: one form for HCL and for its JSON variant.

mod hcl;
mod json;
mod yaml;

use std::{ops::Range, path::Path};

/// A file that was read, and what is in it.
#[derive(Debug)]
pub struct File {
    pub path: std::path::PathBuf,
    pub text: String,
    pub syntax: Syntax,
    pub body: Body,
    /// Read by a function of the configuration, and not as a part of it: [`File::document`] is what is in it.
    pub is_data: bool,
    /// Where each line but the first begins.
    lines: Vec<usize>,
}

/// How a string is quoted in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    Hcl,
    Json,
    Yaml,
    /// No file: text of the command line or the environment, which cannot be edited.
    Argument,
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
    /// A quoted string without interpolations, which is in the file as such and can be replaced.
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
        /// The last argument is a list of arguments: `f(x...)`.
        expands: bool,
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
    /// `[*]`: all that follows is taken from each.
    Splat,
    /// `.*`: the names that follow are taken from each.
    NameSplat,
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
    Divide,
    Modulo,
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
    fn new(path: &Path, text: String, syntax: Syntax, body: Body) -> File {
        let lines = text.match_indices('\n').map(|(at, _)| at + 1).collect();
        File { path: path.to_owned(), text, syntax, body, is_data: false, lines }
    }

    /// Reads `bytes` as the Terraform file `path`, in JSON where its name ends so.
    ///
    /// # Errors
    /// Where it is no UTF-8, no HCL, no JSON.
    pub fn parse(id: FileId, path: &Path, bytes: &[u8]) -> Result<File, SyntaxError> {
        let text = decoded(bytes)?;
        let syntax = match path.extension().is_some_and(|extension| extension == "json") {
            true => Syntax::Json,
            false => Syntax::Hcl,
        };
        let mark = mark(&text);
        let body = match syntax {
            // What is assigned to variables is taken as it stands; in a configuration, a string is a template.
            Syntax::Json => json::parse(id, &text[mark..], mark, !is_assignments(path)),
            _ => hcl::parse(id, &text[mark..], mark),
        }?;
        Ok(File::new(path, text, syntax, body))
    }

    /// Reads `bytes` as a file that a function of the configuration reads: JSON by its name, else YAML.
    ///
    /// # Errors
    /// Where it is no UTF-8, no JSON, no YAML.
    pub fn data(id: FileId, path: &Path, bytes: &[u8]) -> Result<File, SyntaxError> {
        let text = decoded(bytes)?;
        let mark = mark(&text);
        let (syntax, value) = match path.extension().is_some_and(|extension| extension == "json") {
            true => (Syntax::Json, json::document(id, &text[mark..], mark)?),
            false => (Syntax::Yaml, yaml::parse(id, &text[mark..], mark)?),
        };
        let body = Body { attributes: vec![Attribute { name: String::new(), value }], blocks: Vec::new() };
        Ok(File { is_data: true, ..File::new(path, text, syntax, body) })
    }

    /// `name = text` as it is given on a command line, where `text` is an expression.
    ///
    /// # Errors
    /// It is no expression.
    pub fn argument(id: FileId, given: &Path, name: &str, text: &str) -> Result<File, SyntaxError> {
        let text = format!("{name} = {text}\n");
        let body = hcl::parse(id, &text, 0)?;
        Ok(File::new(given, text, Syntax::Argument, body))
    }

    /// The value that a file of data holds.
    pub fn document(&self) -> Option<&Expr> {
        self.body.attributes.first().filter(|_| self.is_data).map(|attribute| &attribute.value)
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

    /// `text` as a string in the syntax of this file, with its quotes, instead of what stands at `place`.
    pub fn quoted(&self, text: &str, place: &Place) -> String {
        match self.syntax {
            Syntax::Hcl | Syntax::Argument => format!("\"{}\"", crate::hcl::escape(text)),
            Syntax::Json => serde_json::Value::from(text).to_string(),
            Syntax::Yaml => yaml::quoted(text, self.text_at(place)),
        }
    }

    /// Every string of the file that is there as such, with the name of the attribute that it belongs to.
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

fn decoded(bytes: &[u8]) -> Result<String, SyntaxError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned();
        let (line, column) = position(&before, before.len());
        SyntaxError { line, column, message: "not UTF-8".to_owned() }
    })
}

/// The length of a byte order mark: Terraform accepts one, the parsers do not.
fn mark(text: &str) -> usize {
    if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 }
}

/// Line and column, counted from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rfind('\n').map_or(0, |at| at + 1);
    (1 + before.matches('\n').count(), 1 + before[line..].chars().count())
}
