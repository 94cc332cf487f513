//! The value of an expression, as far as it can be determined, and the place of each of its strings.

use std::{collections::HashMap, path::PathBuf, rc::Rc};

use super::{
    scope::Scope,
    syntax::{Expr, FileId, Place},
};

/// A value. What is inside of lists and objects is looked at when it is requested: the rest may be undecidable.
#[derive(Debug, Clone)]
pub enum Value<'t> {
    Null,
    Bool(bool),
    Number(f64),
    Text(Text),
    List(Vec<Thunk<'t>>),
    /// Each key once.
    Object(Vec<(Key, Thunk<'t>)>),
    /// An object of which these entries are known; what else is in it is unknown.
    Partial(Vec<(Key, Thunk<'t>)>, Stop),
}

#[derive(Debug, Clone)]
pub struct Text {
    pub text: String,
    pub origin: Origin,
}

/// Where a string comes from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// It is in a file, quotes and all.
    Literal(Place),
    /// It is not written anywhere as such, for this reason.
    Made(&'static str, Option<Place>),
    /// It is all that is in a file of data, which is read at this place.
    Content(FileId, Place),
}

/// The key of an entry, and where it is written, if it is.
#[derive(Debug, Clone)]
pub struct Key {
    pub name: String,
    pub place: Option<Place>,
}

/// A value that may not have been looked at yet.
#[derive(Debug, Clone)]
pub enum Thunk<'t> {
    Now(Value<'t>),
    Later(&'t Expr, Rc<Scope<'t>>),
    /// As a type of Terraform converts it.
    As(Box<Thunk<'t>>, &'t Expr, Rc<Scope<'t>>),
}

/// Why a value is unknown.
#[derive(Debug, Clone, PartialEq)]
pub struct Stop {
    /// A clause about what stands at `place`: `is a call of lookup, which kgen does not evaluate`.
    pub why: String,
    pub place: Option<Place>,
    /// A file that was not read yet and is needed.
    pub needs: Option<Needed>,
    pub cause: Cause,
    /// It is a module that `terraform init` would fetch.
    pub is_remote: bool,
}

/// Whose limit it is that a value is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Files do not tell it, or kgen does not evaluate it.
    Unknown,
    /// Terraform fails here too: `try` continues with its next argument.
    Fails,
    /// It is known only when terraform runs: an attribute of a resource, a data source, an output of another unit.
    Runtime,
}

/// A file that is needed, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needed {
    /// A part of the configuration, in HCL.
    Code(PathBuf),
    /// What a function such as `file` reads.
    Data(PathBuf),
}

impl Stop {
    pub fn at(place: &Place, why: impl Into<String>) -> Stop {
        Stop { why: why.into(), place: Some(place.clone()), needs: None, cause: Cause::Unknown, is_remote: false }
    }

    /// Terraform fails here too.
    pub fn fails(place: &Place, why: impl Into<String>) -> Stop {
        Stop { cause: Cause::Fails, ..Stop::at(place, why) }
    }

    /// It is known when terraform runs.
    pub fn runtime(place: &Place, why: impl Into<String>) -> Stop {
        Stop { cause: Cause::Runtime, ..Stop::at(place, why) }
    }
}

/// `entries` with each key once: of those with one name, the last counts.
pub fn unique<'t>(entries: Vec<(Key, Thunk<'t>)>) -> Vec<(Key, Thunk<'t>)> {
    let mut found: Vec<(Key, Thunk<'t>)> = Vec::with_capacity(entries.len());
    let mut at: HashMap<String, usize> = HashMap::with_capacity(entries.len());
    for entry in entries {
        match at.get(&entry.0.name) {
            Some(known) => found[*known] = entry,
            None => {
                at.insert(entry.0.name.clone(), found.len());
                found.push(entry);
            }
        }
    }
    found
}

/// In front of a path that a function gave: it is not relative to the file that it is used in.
pub const ROOTED: &str = "@/";

/// Whether a string is such a path.
pub fn is_path(text: &str) -> bool {
    text.starts_with(ROOTED)
}

impl<'t> Value<'t> {
    pub fn made(text: impl Into<String>, why: &'static str, place: Option<Place>) -> Value<'t> {
        Value::Text(Text { text: text.into(), origin: Origin::Made(why, place) })
    }

    /// As a condition reads it: Terraform takes the strings "true" and "false" too.
    pub fn truth(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            Value::Text(text) if text.text == "true" => Some(true),
            Value::Text(text) if text.text == "false" => Some(false),
            _ => None,
        }
    }

    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Number(value) => Some(*value),
            Value::Text(text) => text.text.parse().ok(),
            _ => None,
        }
    }

    /// As a template shows it.
    pub fn shown(&self) -> Option<String> {
        match self {
            Value::Text(text) => Some(text.text.clone()),
            Value::Bool(value) => Some(value.to_string()),
            // Terraform shows whole numbers without a point; others are left alone.
            Value::Number(value) if value.fract() == 0.0 && value.abs() < 1e15 => Some(format!("{value:.0}")),
            _ => None,
        }
    }

    /// Whether two values are equal, where that can be determined. Values of different kinds are not compared: types
    /// are not known.
    pub fn equals(&self, other: &Value<'_>) -> Option<bool> {
        match (self, other) {
            (Value::Null, Value::Null) => Some(true),
            (Value::Null, _) | (_, Value::Null) => Some(false),
            (Value::Bool(a), Value::Bool(b)) => Some(a == b),
            (Value::Number(a), Value::Number(b)) => Some(a == b),
            // A path stands for itself: how Terraform writes it depends on where it runs.
            (Value::Text(a), Value::Text(b)) if is_path(&a.text) || is_path(&b.text) => None,
            (Value::Text(a), Value::Text(b)) => Some(a.text == b.text),
            _ => None,
        }
    }
}
