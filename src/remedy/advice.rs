//! What only the owners of clients and topics can change.

use serde::Serialize;

use super::Rendered;

/// A change that kgen cannot make itself.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Advice {
    /// What to do, in a sentence.
    pub what: String,
    /// Settings or steps, one each, by Kafka's names.
    pub steps: Vec<String>,
}

impl Advice {
    pub fn new(what: &str, steps: &[&str]) -> Advice {
        Advice { what: what.to_owned(), steps: steps.iter().map(|step| (*step).to_owned()).collect() }
    }

    pub(super) fn rendered(&self) -> Rendered {
        Rendered { summary: self.what.clone(), notes: self.steps.clone(), ..Rendered::default() }
    }
}
