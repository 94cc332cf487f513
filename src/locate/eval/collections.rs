//! What is taken from lists and objects, `for` expressions, and conversion to the type of a variable.

use std::{collections::BTreeSet, rc::Rc};

use super::{
    super::syntax::For, Answer, Eval, Expr, Key, Kind, Origin, Place, Scope, Step, Stop, Text, Thunk, Value, unique,
};

/// Entries that a `for` expression may go through.
const MOST_ENTRIES: usize = 1000;

impl<'t> Eval<'t> {
    /// Takes `steps` from `value`.
    pub(super) fn walk(&self, value: Value<'t>, steps: &'t [Step], place: &Place, scope: &Rc<Scope<'t>>) -> Answer<'t> {
        let Some((step, rest)) = steps.split_first() else { return Ok(value) };
        let (wanted, deciders) = match step {
            Step::Name(name) => (name.clone(), BTreeSet::new()),
            Step::Splat => return self.splat(value, rest, place, scope),
            Step::NameSplat => {
                let names = rest.iter().take_while(|step| matches!(step, Step::Name(_))).count();
                let list = self.splat(value, &rest[..names], place, scope)?;
                return self.walk(list, &rest[names..], place, scope);
            }
            Step::Index(index) => {
                let (wanted, deciders) = self.deciding(|| self.value(index, scope));
                let wanted = wanted.inspect_err(|_| self.look_into(&value, 0));
                match wanted?.shown() {
                    Some(wanted) => (wanted, deciders),
                    None => return Err(Stop::at(&index.place, "is neither a key nor an index")),
                }
            }
        };
        let found = match &value {
            Value::Object(entries) => {
                self.chosen(place, deciders, || self.keys_but(entries, &wanted));
                entries.iter().find(|(key, _)| key.name == wanted).map(|(_, value)| value)
            }
            Value::Partial(entries, stop) => {
                self.chosen(place, deciders, || self.keys_but(entries, &wanted));
                match entries.iter().find(|(key, _)| key.name == wanted) {
                    Some((_, value)) => Some(value),
                    None => return Err(stop.clone()),
                }
            }
            Value::List(items) => {
                self.chosen(place, deciders, || format!("the list has {} items", items.len()));
                wanted.parse().ok().and_then(|index: usize| items.get(index))
            }
            Value::Null => return Err(Stop::fails(place, format!("takes {wanted} from null"))),
            _ => {
                return Err(Stop::fails(
                    place,
                    format!("takes {wanted} from something that is not a list, map or object"),
                ));
            }
        };
        match found {
            Some(found) => self.walk(self.force(found)?, rest, place, scope),
            None => Err(Stop::fails(place, format!("names {wanted}, which does not exist"))),
        }
    }

    /// The same steps from each item; from what is no list, a list of one.
    fn splat(&self, value: Value<'t>, rest: &'t [Step], place: &Place, scope: &Rc<Scope<'t>>) -> Answer<'t> {
        let items = match value {
            Value::List(items) => items,
            Value::Null => Vec::new(),
            other => vec![Thunk::Now(other)],
        };
        let walked = items.iter().map(|item| Ok(Thunk::Now(self.walk(self.force(item)?, rest, place, scope)?)));
        Ok(Value::List(walked.collect::<Result<_, Stop>>()?))
    }

    pub(super) fn for_each(&self, expr: &'t For, place: &Place, scope: &Rc<Scope<'t>>) -> Answer<'t> {
        if expr.grouping {
            return Err(Stop::at(place, "groups by key (…), which kgen does not follow"));
        }
        let entries: Vec<(Value<'t>, Thunk<'t>)> = match self.value(&expr.collection, scope)? {
            Value::Object(mut entries) => {
                // Terraform goes through a map in the order of its keys, however it is written.
                entries.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
                let key = |key: Key| Value::made(key.name, "is the key of a map", key.place);
                entries.into_iter().map(|(name, value)| (key(name), value)).collect()
            }
            Value::List(items) => {
                items.into_iter().enumerate().map(|(at, item)| (Value::Number(at as f64), item)).collect()
            }
            Value::Partial(_, stop) => return Err(stop),
            Value::Null => return Err(Stop::fails(&expr.collection.place, "is null, not a list, map or object")),
            _ => return Err(Stop::at(&expr.collection.place, "is not a list, map or object")),
        };
        if entries.len() > MOST_ENTRIES {
            return Err(Stop::at(place, "goes through too many entries"));
        }
        let (mut list, mut object) = (Vec::new(), Vec::new());
        for (key, value) in entries {
            let mut inner = scope.with_name(&expr.value_name, self.force(&value)?);
            if let Some(name) = &expr.key_name {
                inner = inner.with_name(name, key);
            }
            let inner = Rc::new(inner);
            if let Some(condition) = &expr.condition {
                let (truth, deciders) = self.deciding(|| self.value(condition, &inner));
                self.chosen(&condition.place, deciders, || "with another value it would keep other entries".to_owned());
                match truth?.truth() {
                    Some(true) => {}
                    Some(false) => continue,
                    None => return Err(Stop::at(&condition.place, "is neither true nor false")),
                }
            }
            match &expr.key {
                Some(key) => object.push((self.key(key, &inner)?, Thunk::Later(&expr.value, inner))),
                None => list.push(Thunk::Later(&expr.value, inner)),
            }
        }
        Ok(if expr.key.is_some() { Value::Object(unique(object)) } else { Value::List(list) })
    }

    /// `value` as Terraform converts it to the type `kind` of a variable; defaults of optional attributes come in.
    pub(super) fn converted(&self, value: Value<'t>, kind: &'t Expr, scope: &Rc<Scope<'t>>) -> Answer<'t> {
        let each = |thunk: Thunk<'t>, kind: &'t Expr| Thunk::As(Box::new(thunk), kind, scope.clone());
        match (&kind.kind, value) {
            (_, Value::Null) => Ok(Value::Null),
            (Kind::Reference { root, steps }, value) if steps.is_empty() => Ok(primitive(root, value)),
            (Kind::String(name), _) if name.contains("optional(") => {
                Err(Stop::at(&kind.place, "has optional attributes, which kgen does not follow in JSON"))
            }
            (Kind::String(name), value) => Ok(primitive(name, value)),
            (Kind::Call { name, arguments, .. }, value) => match (name.as_str(), arguments.first(), value) {
                ("optional", Some(inner), value) => self.converted(value, inner, scope),
                ("map", Some(inner), Value::Object(entries)) => {
                    Ok(Value::Object(entries.into_iter().map(|(key, value)| (key, each(value, inner))).collect()))
                }
                ("map", Some(inner), Value::Partial(entries, stop)) => {
                    let entries = entries.into_iter().map(|(key, value)| (key, each(value, inner)));
                    Ok(Value::Partial(entries.collect(), stop))
                }
                ("list", Some(inner), Value::List(items)) => {
                    Ok(Value::List(items.into_iter().map(|item| each(item, inner)).collect()))
                }
                ("set", Some(inner), Value::List(items)) => {
                    let items: Vec<Thunk<'t>> = items.into_iter().map(|item| each(item, inner)).collect();
                    // Of other things than strings the order is not known, but seldom matters.
                    let ordered = self.as_set(items.clone());
                    Ok(Value::List(ordered.ok().flatten().unwrap_or(items)))
                }
                ("object", Some(Expr { kind: Kind::Object(fields), .. }), Value::Object(entries)) => {
                    let mut converted = Vec::new();
                    for (key, kind) in fields {
                        let Kind::Fixed(name) = &key.kind else { continue };
                        let given = entries.iter().find(|(key, _)| key.name == *name);
                        let given = match given {
                            Some((_, value)) if is_optional(kind).is_some() => {
                                match self.aside(|| self.force(value)) {
                                    // Given as null, an optional attribute has its default.
                                    Ok(Value::Null) => None,
                                    _ => given,
                                }
                            }
                            _ => given,
                        };
                        let value = match (given, is_optional(kind)) {
                            (Some((_, value)), _) => each(value.clone(), kind),
                            (None, Some(Some(default))) => each(Thunk::Later(default, scope.clone()), kind),
                            (None, Some(None)) => Thunk::Now(Value::Null),
                            (None, None) => continue,
                        };
                        let key = Key { name: name.clone(), place: Some(key.place.clone()) };
                        converted.push((key, value));
                    }
                    Ok(Value::Object(converted))
                }
                (_, _, value) => Ok(value),
            },
            (_, value) => Ok(value),
        }
    }
}

/// The default of an optional attribute, if the type says it is one.
fn is_optional(kind: &Expr) -> Option<Option<&Expr>> {
    match &kind.kind {
        Kind::Call { name, arguments, .. } if name == "optional" => Some(arguments.get(1)),
        _ => None,
    }
}

fn primitive<'t>(name: &str, value: Value<'t>) -> Value<'t> {
    match (name, &value) {
        ("string", Value::Bool(_) | Value::Number(_)) => match value.shown() {
            Some(text) => Value::Text(Text { text, origin: Origin::Made("is not a string where it is set", None) }),
            None => value,
        },
        ("number", Value::Text(_)) => value.number().map_or(value, Value::Number),
        ("bool", Value::Text(_)) => value.truth().map_or(value, Value::Bool),
        _ => value,
    }
}
