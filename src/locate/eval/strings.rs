//! Functions of strings, and conversions of single values.

use regex::Regex;

use super::{super::value::is_path, Answer, Eval, Key, Origin, Stop, Text, Thunk, Value, functions::Call};

const MADE: &str = "is the result of a function";

impl<'t> Eval<'t> {
    pub(super) fn written(&self, call: &Call<'t, '_>) -> Option<Answer<'t>> {
        Some(match (call.name, &call.arguments[..]) {
            ("tostring", [value]) => self.force(value).and_then(|value| match value {
                Value::Text(_) | Value::Null => Ok(value),
                other => self.made(other.shown(), call),
            }),
            ("tonumber", [value]) => self.force(value).and_then(|value| match value {
                Value::Null => Ok(value),
                other => other.number().map(Value::Number).ok_or_else(|| Stop::fails(call.place, "is not a number")),
            }),
            ("tobool", [value]) => self.force(value).and_then(|value| match value {
                Value::Null => Ok(value),
                other => {
                    other.truth().map(Value::Bool).ok_or_else(|| Stop::fails(call.place, "is neither true nor false"))
                }
            }),
            // What these leave as it is can still be replaced where it stands: with the new value they are asked again.
            ("lower", [text]) => self.kept(text, call, |text| text.to_lowercase()),
            ("upper", [text]) => self.kept(text, call, |text| text.to_uppercase()),
            ("trimspace", [text]) => self.kept(text, call, |text| text.trim().to_owned()),
            ("chomp", [text]) => self.kept(text, call, |text| text.trim_end_matches(['\n', '\r']).to_owned()),
            ("trimprefix", [text, prefix]) => self.with(prefix, call, |prefix| {
                self.kept(text, call, |text| text.strip_prefix(prefix).unwrap_or(text).to_owned())
            }),
            ("trimsuffix", [text, suffix]) => self.with(suffix, call, |suffix| {
                self.kept(text, call, |text| text.strip_suffix(suffix).unwrap_or(text).to_owned())
            }),
            ("title", [text]) => self.with(text, call, |text| self.made(Some(title(text)), call)),
            ("format", [pattern, rest @ ..]) => self.with(pattern, call, |pattern| self.format(pattern, rest, call)),
            ("join", [between, lists @ ..]) => self.with(between, call, |between| self.join(between, lists, call)),
            ("split", [at, text]) => self.with(at, call, |at| self.with(text, call, |text| split(at, text, call))),
            ("replace", [text, old, new]) => self.with(text, call, |text| {
                self.with(old, call, |old| self.with(new, call, |new| self.replace(text, old, new, call)))
            }),
            ("substr", [text, from, length]) => self.with(text, call, |text| self.substr(text, from, length, call)),
            ("startswith", [text, part]) => self.compared(text, part, call, |text, part| text.starts_with(part)),
            ("endswith", [text, part]) => self.compared(text, part, call, |text, part| text.ends_with(part)),
            ("strcontains", [text, part]) => self.compared(text, part, call, |text, part| text.contains(part)),
            ("regex", [pattern, text]) => {
                self.with(pattern, call, |pattern| self.with(text, call, |text| matched(pattern, text, call)))
            }
            ("regexall", [pattern, text]) => {
                self.with(pattern, call, |pattern| self.with(text, call, |text| all_matched(pattern, text, call)))
            }
            ("abs" | "ceil" | "floor", [number]) => self.force(number).and_then(|value| {
                let number = value.number().ok_or_else(|| call.stop("gets something that is not a number"))?;
                Ok(Value::Number(match call.name {
                    "abs" => number.abs(),
                    "ceil" => number.ceil(),
                    _ => number.floor(),
                }))
            }),
            _ => return None,
        })
    }

    fn made(&self, text: Option<String>, call: &Call<'t, '_>) -> Answer<'t> {
        match text {
            Some(text) => Ok(Value::made(text, MADE, Some(call.place.clone()))),
            None => Err(call.stop("gets something that is not a string")),
        }
    }

    /// Hands on the text of an argument.
    pub(super) fn with<T>(
        &self,
        thunk: &Thunk<'t>,
        call: &Call<'t, '_>,
        then: impl FnOnce(&str) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        match self.force(thunk)? {
            Value::Null => Err(Stop::fails(call.place, "gets null instead of a string")),
            value => match value.shown() {
                Some(text) if is_path(&text) => Err(call.stop("splits a path, which kgen does not follow")),
                Some(text) => then(&text),
                None => Err(call.stop("gets something that is not a string")),
            },
        }
    }

    /// A string that is made from another, and is still to be replaced where that stands.
    fn kept(&self, thunk: &Thunk<'t>, call: &Call<'t, '_>, change: impl Fn(&str) -> String) -> Answer<'t> {
        let value = self.force(thunk)?;
        match &value {
            Value::Text(Text { text, origin: Origin::Literal(place) }) if !is_path(text) => {
                Ok(Value::Text(Text { text: change(text), origin: Origin::Literal(place.clone()) }))
            }
            _ => self.with(&Thunk::Now(value), call, |text| self.made(Some(change(text)), call)),
        }
    }

    fn compared(
        &self,
        text: &Thunk<'t>,
        part: &Thunk<'t>,
        call: &Call<'t, '_>,
        compare: impl FnOnce(&str, &str) -> bool,
    ) -> Answer<'t> {
        self.with(text, call, |text| self.with(part, call, |part| Ok(Value::Bool(compare(text, part)))))
    }

    fn format(&self, pattern: &str, rest: &[Thunk<'t>], call: &Call<'t, '_>) -> Answer<'t> {
        let mut rest = rest.iter();
        let (mut whole, mut chars) = (String::new(), pattern.chars());
        while let Some(c) = chars.next() {
            if c != '%' {
                whole.push(c);
                continue;
            }
            match chars.next() {
                Some('%') => whole.push('%'),
                Some('s' | 'v' | 'd') => {
                    let argument = rest.next().ok_or_else(|| Stop::fails(call.place, "has too few arguments"))?;
                    self.with(argument, call, |text| {
                        whole.push_str(text);
                        Ok(())
                    })?;
                }
                _ => return Err(call.stop("has a verb that kgen does not evaluate")),
            }
        }
        match (rest.next(), pattern) {
            (Some(_), _) => Err(Stop::fails(call.place, "has too many arguments")),
            (None, _) => self.made(Some(whole), call),
        }
    }

    fn join(&self, between: &str, lists: &[Thunk<'t>], call: &Call<'t, '_>) -> Answer<'t> {
        let mut parts = Vec::new();
        for list in lists {
            for item in self.items(list, call)? {
                self.with(&item, call, |text| {
                    parts.push(text.to_owned());
                    Ok(())
                })?;
            }
        }
        self.made(Some(parts.join(between)), call)
    }

    fn replace(&self, text: &str, old: &str, new: &str, call: &Call<'t, '_>) -> Answer<'t> {
        let pattern = old.strip_prefix('/').and_then(|old| old.strip_suffix('/')).filter(|_| old.len() > 1);
        match pattern {
            None => self.made(Some(text.replace(old, new)), call),
            Some(_) if new.contains('$') => Err(call.stop("replaces with groups, which kgen does not evaluate")),
            Some(pattern) => {
                let pattern = expression(pattern, call)?;
                self.made(Some(pattern.replace_all(text, regex::NoExpand(new)).into_owned()), call)
            }
        }
    }

    fn substr(&self, text: &str, from: &Thunk<'t>, length: &Thunk<'t>, call: &Call<'t, '_>) -> Answer<'t> {
        let number = |thunk| Ok::<_, Stop>(self.force(thunk)?.number().filter(|number| number.fract() == 0.0));
        let (Some(from), Some(length)) = (number(from)?, number(length)?) else {
            return Err(call.stop("gets an index that is not a whole number"));
        };
        let characters: Vec<char> = text.chars().collect();
        let start = if from < 0.0 { (characters.len() as f64 + from).max(0.0) } else { from } as usize;
        let length = if length < 0.0 { usize::MAX } else { length as usize };
        self.made(Some(characters.into_iter().skip(start).take(length).collect()), call)
    }
}

fn title(text: &str) -> String {
    let mut is_first = true;
    let upper = |c: char| {
        let shown: String = if is_first { c.to_uppercase().collect() } else { c.to_string() };
        is_first = !c.is_alphanumeric();
        shown
    };
    text.chars().map(upper).collect()
}

fn split<'t>(at: &str, text: &str, call: &Call<'t, '_>) -> Answer<'t> {
    let part = |part: &str| Thunk::Now(Value::made(part, MADE, Some(call.place.clone())));
    Ok(Value::List(match at.is_empty() {
        true => text.chars().map(|c| part(&c.to_string())).collect(),
        false => text.split(at).map(part).collect(),
    }))
}

fn expression(pattern: &str, call: &Call<'_, '_>) -> Result<Regex, Stop> {
    Regex::new(pattern).map_err(|_| call.stop("has a pattern that kgen does not support"))
}

/// What a match comes to: the whole, or its groups as a list or, with names, an object.
fn captured<'t>(pattern: &Regex, found: &regex::Captures<'_>, call: &Call<'t, '_>) -> Value<'t> {
    let value = |part: Option<regex::Match<'_>>| match part {
        Some(part) => Value::made(part.as_str(), MADE, Some(call.place.clone())),
        None => Value::Null,
    };
    if pattern.captures_len() == 1 {
        return value(found.get(0));
    }
    let names: Vec<Option<&str>> = pattern.capture_names().skip(1).collect();
    match names.iter().all(Option::is_some) {
        true => Value::Object(
            names
                .into_iter()
                .flatten()
                .map(|name| (Key { name: name.to_owned(), place: None }, Thunk::Now(value(found.name(name)))))
                .collect(),
        ),
        false => Value::List(found.iter().skip(1).map(|part| Thunk::Now(value(part))).collect()),
    }
}

fn matched<'t>(pattern: &str, text: &str, call: &Call<'t, '_>) -> Answer<'t> {
    let pattern = expression(pattern, call)?;
    match pattern.captures(text) {
        Some(found) => Ok(captured(&pattern, &found, call)),
        None => Err(Stop::fails(call.place, "has a pattern that does not match")),
    }
}

fn all_matched<'t>(pattern: &str, text: &str, call: &Call<'t, '_>) -> Answer<'t> {
    let pattern = expression(pattern, call)?;
    Ok(Value::List(pattern.captures_iter(text).map(|found| Thunk::Now(captured(&pattern, &found, call))).collect()))
}
