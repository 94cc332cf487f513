//! Values that depend on something that may differ in other runs of terraform: the default of a variable, an
//! environment variable, the workspace.

use std::{collections::BTreeSet, rc::Rc};

use super::{Answer, Eval, Expr, Place, Scope, Stop};

/// Something that a run of terraform may be given otherwise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decider {
    /// `variable stage, "dev" by default (main.tf:3)`.
    pub what: String,
    /// Its value, as it is written.
    pub value: String,
    /// The variable of the root module, if it is one.
    pub variable: Option<String>,
    /// It is the default of a variable.
    pub is_default: bool,
}

/// One value chosen among others.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// What chooses.
    pub place: Place,
    pub deciders: BTreeSet<Decider>,
    /// What else could have been chosen, in words.
    pub others: String,
}

impl<'t> Eval<'t> {
    /// Evaluates something that decides on a value, beside the way to it. Returns what of the surroundings it depends on.
    pub fn deciding<T>(&self, evaluate: impl FnOnce() -> T) -> (T, BTreeSet<Decider>) {
        let before = self.deciders.take();
        let answer = self.aside(evaluate);
        let found = self.deciders.replace(before);
        self.deciders.borrow_mut().extend(found.iter().cloned());
        (answer, found)
    }

    pub fn decided_by(&self, decider: Decider) {
        self.deciders.borrow_mut().insert(decider);
    }

    /// Notes a choice, if it is one that could have come out otherwise.
    pub fn chosen(&self, place: &Place, deciders: BTreeSet<Decider>, others: impl FnOnce() -> String) {
        if !deciders.is_empty() {
            let choice = Choice { place: place.clone(), deciders, others: others() };
            let mut choices = self.choices.borrow_mut();
            if !choices.contains(&choice) {
                choices.push(choice);
            }
        }
    }

    pub(super) fn conditional(
        &self,
        condition: &'t Expr,
        yes: &'t Expr,
        no: &'t Expr,
        place: &Place,
        scope: &Rc<Scope<'t>>,
    ) -> Answer<'t> {
        let (chosen, deciders) = self.deciding(|| self.value(condition, scope));
        let chosen = chosen
            .and_then(|value| value.truth().ok_or_else(|| Stop::at(&condition.place, "is neither true nor false")));
        let (taken, other) = match chosen {
            Ok(true) => (yes, no),
            Ok(false) => (no, yes),
            Err(stop) => {
                // Both are looked at all the same, so that it is known which strings may be meant.
                [yes, no].into_iter().for_each(|branch| drop(self.value(branch, scope)));
                let why = self.because("depends on an unknown condition", &stop);
                return Err(Stop { why, place: Some(place.clone()), ..stop });
            }
        };
        self.chosen(&condition.place, deciders, || format!("the other branch is {}", self.quoted(&other.place)));
        self.value(taken, scope)
    }
}
