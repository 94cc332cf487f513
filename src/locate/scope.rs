//! Where an expression is evaluated: in which call of which module, in which repetition of it, with which names bound.

use std::{path::PathBuf, rc::Rc};

use super::{
    syntax::{Body, FileId},
    tree::dotted,
    value::{Key, Stop, Thunk, Value},
};

#[derive(Debug, Clone)]
pub struct Scope<'t> {
    pub space: Space<'t>,
    pub repetition: Repetition<'t>,
    /// Names of `for` expressions and dynamic blocks, the innermost last.
    pub names: Vec<(String, Value<'t>)>,
}

#[derive(Debug, Clone)]
pub enum Space<'t> {
    Module {
        module: usize,
        /// Names of the calls that lead here, with dots between; empty for the root.
        key: String,
        /// As Terraform writes it: `module.a["x"].module.b`; empty for the root.
        address: String,
        /// The call's arguments, and where they are evaluated. Nothing for the root.
        caller: Option<(&'t Body, Rc<Scope<'t>>)>,
    },
    /// A file of Terragrunt; paths in it are relative to `dir`.
    Terragrunt { file: FileId, dir: PathBuf },
}

/// Which one of those that `count` or `for_each` makes.
#[derive(Debug, Clone)]
pub enum Repetition<'t> {
    /// There is no such argument.
    None,
    Count(usize),
    Each(Key, Thunk<'t>),
    /// It is unknown which there are.
    Unknown(Stop),
}

impl<'t> Scope<'t> {
    /// Outside of any repetition, with no names bound.
    pub fn of(space: Space<'t>) -> Rc<Scope<'t>> {
        Rc::new(Scope { space, repetition: Repetition::None, names: Vec::new() })
    }

    /// The scope of the root module `module`.
    pub fn root(module: usize) -> Rc<Scope<'t>> {
        Scope::of(Space::Module { module, key: String::new(), address: String::new(), caller: None })
    }

    pub fn repeated(&self, repetition: Repetition<'t>) -> Rc<Scope<'t>> {
        Rc::new(Scope { repetition, ..self.clone() })
    }

    pub fn with_name(&self, name: &str, value: Value<'t>) -> Scope<'t> {
        let mut scope = self.clone();
        scope.names.push((name.to_owned(), value));
        scope
    }

    pub fn name(&self, name: &str) -> Option<&Value<'t>> {
        self.names.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The address of what is called `name` inside of the module instance.
    pub fn address_of(&self, name: &str) -> String {
        match &self.space {
            Space::Module { address, .. } => dotted(address, name),
            Space::Terragrunt { .. } => name.to_owned(),
        }
    }

    /// Which one of a call's it is.
    pub fn calling(&self) -> Option<&Repetition<'t>> {
        match &self.space {
            Space::Module { caller: Some((_, caller)), .. } => Some(&caller.repetition),
            _ => None,
        }
    }

    /// Whether it is made by the repetition of a call that an index of `wanted` names.
    pub fn is_repetition(&self, wanted: &str) -> bool {
        match self.calling() {
            Some(Repetition::Count(index)) => index.to_string() == wanted,
            Some(Repetition::Each(key, _)) => key.name == wanted,
            _ => false,
        }
    }

    pub fn key(&self) -> &str {
        match &self.space {
            Space::Module { key, .. } => key,
            Space::Terragrunt { .. } => "",
        }
    }
}

impl Repetition<'_> {
    /// Why it is unknown which there are.
    pub fn unknown(&self) -> Option<&Stop> {
        match self {
            Repetition::Unknown(stop) => Some(stop),
            _ => None,
        }
    }

    /// What an address ends with: `[0]`, `["key"]` or nothing.
    pub fn suffix(&self) -> String {
        match self {
            Repetition::None => String::new(),
            Repetition::Count(index) => format!("[{index}]"),
            Repetition::Each(key, _) => format!("[{:?}]", key.name),
            Repetition::Unknown(_) => "[?]".to_owned(),
        }
    }
}
