//! Where two values of a resource differ, with terraform's marks for what is sensitive and what is not known yet.

use std::{collections::BTreeSet, fmt};

use serde_json::Value;

/// One attribute that a change makes different.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Such as `broker_node_group_info[0].instance_type`.
    pub path: String,
    pub before: Shown,
    pub after: Shown,
}

/// A value as it may be shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    Absent,
    Known(Value),
    /// Known only after the apply.
    Unknown,
    Sensitive,
}

impl Shown {
    /// Whether it stands for nothing: unset, or an empty text, list or map.
    pub fn is_empty(&self) -> bool {
        match self {
            Shown::Absent => true,
            Shown::Known(Value::String(text)) => text.is_empty(),
            Shown::Known(Value::Array(items)) => items.is_empty(),
            Shown::Known(Value::Object(fields)) => fields.is_empty(),
            _ => false,
        }
    }
}

/// A value with its marks, which terraform keeps in trees beside it.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    pub value: Option<&'a Value>,
    pub sensitive: Option<&'a Value>,
    pub unknown: Option<&'a Value>,
}

impl<'a> Side<'a> {
    /// Where `after` differs from this, in the order of the attributes.
    pub fn differences(self, after: Side<'a>) -> Vec<Difference> {
        let mut found = Vec::new();
        self.compare(after, &mut String::new(), &mut found);
        found
    }

    fn compare(self, after: Side<'a>, path: &mut String, found: &mut Vec<Difference>) {
        let (mine, other) = (self.value.unwrap_or(&Value::Null), after.value.unwrap_or(&Value::Null));
        let unknown = after.unknown == Some(&Value::Bool(true));
        match (mine, other) {
            _ if unknown => found.push(Difference { path: path.clone(), before: self.shown(), after: Shown::Unknown }),
            (Value::Object(a), Value::Object(b)) => {
                let marks = after.unknown.and_then(Value::as_object);
                let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
                keys.extend(marks.into_iter().flatten().filter(|(_, mark)| has_mark(mark)).map(|(key, _)| key));
                let mut seen = BTreeSet::new();
                for key in keys.into_iter().filter(|key| seen.insert(*key)) {
                    let length = path.len();
                    path.push_str(if length == 0 { "" } else { "." });
                    path.push_str(key);
                    self.at(Step::Key(key)).compare(after.at(Step::Key(key)), path, found);
                    path.truncate(length);
                }
            }
            (Value::Array(a), Value::Array(b)) => {
                let marks = after.unknown.and_then(Value::as_array).map_or(0, Vec::len);
                for index in 0..a.len().max(b.len()).max(marks) {
                    let length = path.len();
                    path.push_str(&format!("[{index}]"));
                    self.at(Step::Index(index)).compare(after.at(Step::Index(index)), path, found);
                    path.truncate(length);
                }
            }
            // Where one side has no structure, marks inside the other say nothing that this difference does not.
            _ if mine != other || after.unknown.is_some_and(has_mark) => {
                found.push(Difference { path: path.clone(), before: self.shown(), after: after.shown() });
            }
            _ => {}
        }
    }

    fn at(self, step: Step<'_>) -> Side<'a> {
        let into = |value: Option<&'a Value>| match (value?, step) {
            (Value::Object(fields), Step::Key(key)) => fields.get(key),
            (Value::Array(items), Step::Index(index)) => items.get(index),
            // A mark on the whole is a mark on each part.
            (mark @ Value::Bool(true), _) => Some(mark),
            _ => None,
        };
        Side { value: into(self.value), sensitive: into(self.sensitive), unknown: into(self.unknown) }
    }

    fn shown(self) -> Shown {
        match self.value {
            _ if self.sensitive.is_some_and(has_mark) => Shown::Sensitive,
            None | Some(Value::Null) => Shown::Absent,
            Some(value) => Shown::Known(value.clone()),
        }
    }
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// Whether a tree of marks marks anything.
fn has_mark(marks: &Value) -> bool {
    match marks {
        Value::Bool(mark) => *mark,
        Value::Array(items) => items.iter().any(has_mark),
        Value::Object(fields) => fields.values().any(has_mark),
        _ => false,
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Characters after which a value is cut: enough for an ARN.
        const LIMIT: usize = 100;
        match self {
            Shown::Absent => f.write_str("unset"),
            Shown::Unknown => f.write_str("known after apply"),
            Shown::Sensitive => f.write_str("(sensitive)"),
            Shown::Known(value) => {
                let text = value.to_string();
                match text.char_indices().nth(LIMIT) {
                    Some((end, _)) => write!(f, "{}…", &text[..end]),
                    None => f.write_str(&text),
                }
            }
        }
    }
}
