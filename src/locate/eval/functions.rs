//! Functions of Terraform: which are evaluated, and those that pick one of several values.
//!
//! A string that a function passes on keeps its place, so that it can be replaced; a string that a function creates has
//! none.

use std::rc::Rc;

use super::{
    super::{terragrunt, value::is_path},
    Answer, Cause, Eval, Expr, Key, Place, Scope, Space, Stop, Thunk, Value, unique,
};

/// A call that is being evaluated.
pub(super) struct Call<'t, 'c> {
    pub name: &'c str,
    pub arguments: Vec<Thunk<'t>>,
    pub place: &'c Place,
    pub scope: &'c Rc<Scope<'t>>,
}

impl<'t> Eval<'t> {
    pub(super) fn call(
        &self,
        name: &str,
        arguments: &'t [Expr],
        expands: bool,
        place: &Place,
        scope: &Rc<Scope<'t>>,
    ) -> Answer<'t> {
        if let Space::Terragrunt { .. } = &scope.space
            && let Some(answer) = terragrunt::call(self, name, arguments, place, scope)
        {
            return answer;
        }
        let mut given: Vec<Thunk<'t>> =
            arguments.iter().map(|argument| Thunk::Later(argument, scope.clone())).collect();
        if expands && let Some(last) = given.pop() {
            match self.force(&last)? {
                Value::List(items) => given.extend(items),
                _ => return Err(Stop::at(place, "expands (…) something that is not a list")),
            }
        }
        let name = name.strip_prefix("core::").unwrap_or(name);
        let call = Call { name, arguments: given, place, scope };
        let found = self
            .picked(&call)
            .or_else(|| self.listed(&call))
            .or_else(|| self.written(&call))
            .or_else(|| self.read(&call));
        found.unwrap_or_else(|| {
            // What the arguments hold may be what it picks from.
            for argument in &call.arguments {
                if let Ok(value) = self.force(argument) {
                    self.look_into(&value, 0);
                }
            }
            Err(Stop::at(place, format!("is a call of {name}(), which kgen does not evaluate")))
        })
    }

    /// Functions that pick one of several values.
    fn picked(&self, call: &Call<'t, '_>) -> Option<Answer<'t>> {
        let arguments = &call.arguments[..];
        Some(match (call.name, arguments) {
            ("try", [_, ..]) => self.try_each(call),
            ("can", [tried]) => match self.aside(|| self.deep(tried)) {
                Ok(()) => Ok(Value::Bool(true)),
                Err(stop) if stop.cause == Cause::Fails => Ok(Value::Bool(false)),
                Err(stop) => Err(stop),
            },
            ("coalesce", [_, ..]) => self.coalesce(call),
            ("coalescelist", [_, ..]) => self.coalesce_list(call),
            ("lookup", [map, key]) => self.lookup(map, key, None, call),
            ("lookup", [map, key, default]) => self.lookup(map, key, Some(default), call),
            ("merge", _) => self.merge(call),
            ("sensitive" | "nonsensitive" | "ephemeralasnull", [value]) => self.force(value),
            _ => return None,
        })
    }

    /// Whether a value can be determined as far as it goes.
    fn deep(&self, thunk: &Thunk<'t>) -> Result<(), Stop> {
        match self.force(thunk)? {
            Value::List(items) => items.iter().try_for_each(|item| self.deep(item)),
            Value::Object(entries) => entries.iter().try_for_each(|(_, value)| self.deep(value)),
            Value::Partial(_, stop) => Err(stop),
            _ => Ok(()),
        }
    }

    /// The first argument that terraform can evaluate. One that kgen cannot evaluate is not passed over.
    fn try_each(&self, call: &Call<'t, '_>) -> Answer<'t> {
        let mut last = Stop::fails(call.place, "has no argument that can be evaluated");
        for argument in &call.arguments {
            let length = self.trail.borrow().len();
            match self.force(argument).and_then(|value| self.deep(&Thunk::Now(value.clone())).map(|()| value)) {
                Ok(value) => return Ok(value),
                Err(stop) if stop.cause == Cause::Fails => {
                    self.trail.borrow_mut().truncate(length);
                    last = stop;
                }
                Err(stop) => {
                    self.look_at_all(&call.arguments);
                    return Err(stop);
                }
            }
        }
        Err(last)
    }

    fn look_at_all(&self, arguments: &[Thunk<'t>]) {
        for argument in arguments {
            self.aside(|| {
                if let Ok(value) = self.force(argument) {
                    self.look_into(&value, 0);
                }
            });
        }
    }

    /// The first argument that is neither null nor empty.
    fn coalesce(&self, call: &Call<'t, '_>) -> Answer<'t> {
        for argument in &call.arguments {
            let length = self.trail.borrow().len();
            match self.force(argument) {
                Ok(Value::Null) => {}
                Ok(Value::Text(text)) if text.text.is_empty() => {}
                Ok(value) => return Ok(value),
                Err(stop) => {
                    self.look_at_all(&call.arguments);
                    return Err(stop);
                }
            }
            self.trail.borrow_mut().truncate(length);
        }
        Err(Stop::fails(call.place, "has only null or empty arguments"))
    }

    fn coalesce_list(&self, call: &Call<'t, '_>) -> Answer<'t> {
        for argument in &call.arguments {
            match self.force(argument)? {
                Value::List(items) if items.is_empty() => {}
                value => return Ok(value),
            }
        }
        Err(Stop::fails(call.place, "has only empty arguments"))
    }

    fn lookup(&self, map: &Thunk<'t>, key: &Thunk<'t>, default: Option<&Thunk<'t>>, call: &Call<'t, '_>) -> Answer<'t> {
        let (wanted, deciders) = self.deciding(|| self.force(key));
        let map = self.force(map);
        let looked_at = || {
            map.iter().for_each(|value| self.look_into(value, 0));
            default.iter().for_each(|default| drop(self.force(default)));
        };
        let wanted = match wanted.map(|value| value.shown()) {
            Ok(Some(wanted)) => wanted,
            Ok(None) => return Err(Stop::at(call.place, "looks up a key that is not a string")),
            Err(stop) => {
                looked_at();
                return Err(Stop { why: self.because("looks up an unknown key", &stop), ..stop });
            }
        };
        let map = match map {
            Ok(map) => map,
            Err(stop) => {
                default.iter().for_each(|default| drop(self.force(default)));
                return Err(stop);
            }
        };
        let (entries, rest) = match &map {
            Value::Object(entries) => (entries, None),
            Value::Partial(entries, stop) => (entries, Some(stop)),
            _ => return Err(Stop::at(call.place, "looks up a key in something that is not a map")),
        };
        self.chosen(call.place, deciders, || self.keys_but(entries, &wanted));
        match (entries.iter().find(|(key, _)| key.name == wanted), rest, default) {
            (Some((_, value)), ..) => self.force(value),
            (None, Some(stop), _) => Err(stop.clone()),
            (None, None, Some(default)) => self.force(default),
            (None, None, None) => Err(Stop::fails(call.place, format!("names {wanted}, which does not exist"))),
        }
    }

    /// What else there is to be picked, in words.
    pub(super) fn keys_but(&self, entries: &[(Key, Thunk<'t>)], taken: &str) -> String {
        const MOST: usize = 6;
        let shown = |(key, value): &(Key, Thunk<'t>)| match self.aside(|| self.force(value)) {
            Ok(Value::Text(text)) if !is_path(&text.text) => format!("{} ({})", key.name, text.text),
            _ => key.name.clone(),
        };
        let others = entries.iter().filter(|(key, _)| key.name != taken);
        let mut names: Vec<String> = others.clone().take(MOST).map(shown).collect();
        if others.count() > MOST {
            names.push("…".to_owned());
        }
        match names.is_empty() {
            true => format!("{taken} is the only entry"),
            false => format!("the other entries are {}", names.join(", ")),
        }
    }

    /// Of entries with one name the last counts, so what stands before an argument that is unknown is unknown.
    fn merge(&self, call: &Call<'t, '_>) -> Answer<'t> {
        let mut parts = Vec::new();
        let mut rest = None;
        for argument in call.arguments.iter().rev() {
            match self.force(argument) {
                Ok(Value::Null) => {}
                Ok(Value::Object(entries)) => parts.push(entries),
                Ok(Value::Partial(entries, stop)) => {
                    parts.push(entries);
                    rest = Some(stop);
                    break;
                }
                Ok(_) => return Err(Stop::at(call.place, "merges something that is not a map")),
                Err(stop) if stop.needs.is_some() => return Err(stop),
                Err(stop) => {
                    rest = Some(stop);
                    break;
                }
            }
        }
        let entries = unique(parts.into_iter().rev().flatten().collect());
        match rest {
            None => Ok(Value::Object(entries)),
            Some(stop) if entries.is_empty() => {
                self.look_at_all(&call.arguments);
                Err(stop)
            }
            Some(stop) => Ok(Value::Partial(entries, stop)),
        }
    }
}

impl<'t> Call<'t, '_> {
    pub fn stop(&self, why: impl Into<String>) -> Stop {
        Stop::at(self.place, why)
    }
}
