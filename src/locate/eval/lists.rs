//! Functions of lists, sets and maps.

use std::collections::BTreeMap;

use super::{Answer, Eval, Key, Stop, Thunk, Value, functions::Call, unique};

/// Items that a function may make.
const MOST_ITEMS: usize = 1000;

impl<'t> Eval<'t> {
    pub(super) fn listed(&self, call: &Call<'t, '_>) -> Option<Answer<'t>> {
        Some(match (call.name, &call.arguments[..]) {
            ("keys", [map]) => self.sorted_entries(map, call).map(|entries| {
                let name = |(key, _): (Key, Thunk<'t>)| Value::made(key.name, "is the key of a map", key.place);
                Value::List(entries.into_iter().map(name).map(Thunk::Now).collect())
            }),
            ("values", [map]) => self
                .sorted_entries(map, call)
                .map(|entries| Value::List(entries.into_iter().map(|(_, value)| value).collect())),
            ("length", [value]) => self.length(value, call),
            ("element", [list, index]) => self.element(list, index, call),
            ("one", [list]) => self.items(list, call).and_then(|items| match &items[..] {
                [] => Ok(Value::Null),
                [only] => self.force(only),
                _ => Err(Stop::fails(call.place, "has more than one item")),
            }),
            ("toset", [list]) => self.items(list, call).and_then(|items| self.set(items, call)),
            ("tolist", [list]) => self.items(list, call).map(Value::List),
            ("tomap", [map]) => self.force(map).and_then(|value| match value {
                Value::Object(_) | Value::Partial(..) | Value::Null => Ok(value),
                _ => Err(call.stop("is not a map")),
            }),
            ("concat", lists) => self.concat(lists, call),
            ("flatten", [list]) => {
                let mut flat = Vec::new();
                self.flatten(list, call, &mut flat, 0).map(|()| Value::List(flat))
            }
            ("distinct", [list]) => self.items(list, call).and_then(|items| self.distinct(items, call)),
            ("compact", [list]) => self.items(list, call).and_then(|items| self.compact(items)),
            ("reverse", [list]) => self.items(list, call).map(|items| Value::List(items.into_iter().rev().collect())),
            ("sort", [list]) => self.items(list, call).and_then(|items| self.sorted(items, call)),
            ("slice", [list, from, to]) => self.slice(list, from, to, call),
            ("contains", [list, wanted]) => self.contains(list, wanted, call),
            ("index", [list, wanted]) => self.index(list, wanted, call),
            ("alltrue", [list]) => self.truths(list, call, true),
            ("anytrue", [list]) => self.truths(list, call, false),
            ("zipmap", [keys, values]) => self.zipmap(keys, values, call),
            ("range", bounds) => self.range(bounds, call),
            ("setunion", lists) => self.concat(lists, call).and_then(|value| match value {
                Value::List(items) => self.set(items, call),
                other => Ok(other),
            }),
            ("max" | "min" | "sum", numbers) => self.reduced(numbers, call),
            _ => return None,
        })
    }

    pub(super) fn items(&self, list: &Thunk<'t>, call: &Call<'t, '_>) -> Result<Vec<Thunk<'t>>, Stop> {
        match self.force(list)? {
            Value::List(items) => Ok(items),
            Value::Null => Err(Stop::fails(call.place, "gets null instead of a list")),
            _ => Err(call.stop("gets something that is not a list")),
        }
    }

    /// The entries of a map in the order in which Terraform has them.
    fn sorted_entries(&self, map: &Thunk<'t>, call: &Call<'t, '_>) -> Result<Vec<(Key, Thunk<'t>)>, Stop> {
        match self.force(map)? {
            Value::Object(mut entries) => {
                entries.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
                Ok(entries)
            }
            Value::Partial(_, stop) => Err(stop),
            Value::Null => Err(Stop::fails(call.place, "gets null instead of a map")),
            _ => Err(call.stop("is given something that is not a map")),
        }
    }

    fn length(&self, value: &Thunk<'t>, call: &Call<'t, '_>) -> Answer<'t> {
        use unicode_segmentation::UnicodeSegmentation as _;
        let length = match self.force(value)? {
            Value::List(items) => items.len(),
            Value::Object(entries) => entries.len(),
            Value::Text(text) => text.text.graphemes(true).count(),
            Value::Partial(_, stop) => return Err(stop),
            Value::Null => return Err(Stop::fails(call.place, "gets null")),
            _ => return Err(call.stop("gets something that has no length")),
        };
        Ok(Value::Number(length as f64))
    }

    fn element(&self, list: &Thunk<'t>, index: &Thunk<'t>, call: &Call<'t, '_>) -> Answer<'t> {
        let items = self.items(list, call)?;
        let (index, deciders) = self.deciding(|| self.force(index));
        let index = index?.number().filter(|index| index.fract() == 0.0 && *index >= 0.0);
        let Some(index) = index else { return Err(call.stop("gets an index that is not a whole number")) };
        if items.is_empty() {
            return Err(Stop::fails(call.place, "takes an element of an empty list"));
        }
        self.chosen(call.place, deciders, || format!("the list has {} elements", items.len()));
        self.force(&items[index as usize % items.len()])
    }

    /// As a set: strings in their order, each once.
    pub(super) fn set(&self, items: Vec<Thunk<'t>>, call: &Call<'t, '_>) -> Answer<'t> {
        match self.as_set(items)? {
            Some(items) => Ok(Value::List(items)),
            None => Err(call.stop("creates a set of values other than strings, whose order kgen does not know")),
        }
    }

    /// Nothing, where the order of the set is not known.
    pub(super) fn as_set(&self, items: Vec<Thunk<'t>>) -> Result<Option<Vec<Thunk<'t>>>, Stop> {
        if items.len() < 2 {
            return Ok(Some(items));
        }
        let mut found = BTreeMap::new();
        for item in items {
            match self.force(&item)? {
                Value::Text(text) => found.entry(text.text.clone()).or_insert(Thunk::Now(Value::Text(text))),
                _ => return Ok(None),
            };
        }
        Ok(Some(found.into_values().collect()))
    }

    fn concat(&self, lists: &[Thunk<'t>], call: &Call<'t, '_>) -> Answer<'t> {
        let mut all = Vec::new();
        for list in lists {
            all.extend(self.items(list, call)?);
        }
        Ok(Value::List(all))
    }

    fn flatten(
        &self,
        list: &Thunk<'t>,
        call: &Call<'t, '_>,
        flat: &mut Vec<Thunk<'t>>,
        depth: usize,
    ) -> Result<(), Stop> {
        if depth > 10 || flat.len() > MOST_ITEMS {
            return Err(call.stop("has too many values to follow"));
        }
        for item in self.items(list, call)? {
            match self.force(&item)? {
                Value::List(_) => self.flatten(&item, call, flat, depth + 1)?,
                value => flat.push(Thunk::Now(value)),
            }
        }
        Ok(())
    }

    fn distinct(&self, items: Vec<Thunk<'t>>, call: &Call<'t, '_>) -> Answer<'t> {
        let mut found: Vec<Value<'t>> = Vec::new();
        for item in items {
            let value = self.force(&item)?;
            let mut is_known = false;
            for known in &found {
                is_known |= known.equals(&value).ok_or_else(|| call.stop("compares composed values"))?;
            }
            if !is_known {
                found.push(value);
            }
        }
        Ok(Value::List(found.into_iter().map(Thunk::Now).collect()))
    }

    fn compact(&self, items: Vec<Thunk<'t>>) -> Answer<'t> {
        let mut kept = Vec::new();
        for item in items {
            match self.force(&item)? {
                Value::Null => {}
                Value::Text(text) if text.text.is_empty() => {}
                value => kept.push(Thunk::Now(value)),
            }
        }
        Ok(Value::List(kept))
    }

    fn sorted(&self, items: Vec<Thunk<'t>>, call: &Call<'t, '_>) -> Answer<'t> {
        let mut texts = Vec::new();
        for item in items {
            match self.force(&item)? {
                Value::Text(text) => texts.push(text),
                _ => return Err(call.stop("sorts values other than strings")),
            }
        }
        texts.sort_by(|a, b| a.text.cmp(&b.text));
        Ok(Value::List(texts.into_iter().map(|text| Thunk::Now(Value::Text(text))).collect()))
    }

    fn whole(&self, thunk: &Thunk<'t>, call: &Call<'t, '_>) -> Result<usize, Stop> {
        let number = self.aside(|| self.force(thunk))?.number();
        let number = number.filter(|number| number.fract() == 0.0 && (0.0..1e6).contains(number));
        number.map(|number| number as usize).ok_or_else(|| call.stop("gets an index that is not a whole number"))
    }

    fn slice(&self, list: &Thunk<'t>, from: &Thunk<'t>, to: &Thunk<'t>, call: &Call<'t, '_>) -> Answer<'t> {
        let items = self.items(list, call)?;
        let (from, to) = (self.whole(from, call)?, self.whole(to, call)?);
        match items.get(from..to) {
            Some(part) => Ok(Value::List(part.to_vec())),
            None => Err(Stop::fails(call.place, "slices beyond the end of its list")),
        }
    }

    fn contains(&self, list: &Thunk<'t>, wanted: &Thunk<'t>, call: &Call<'t, '_>) -> Answer<'t> {
        let wanted = self.force(wanted)?;
        let mut undecided = None;
        for item in self.items(list, call)? {
            match self.force(&item).map(|item| item.equals(&wanted)) {
                Ok(Some(true)) => return Ok(Value::Bool(true)),
                Ok(Some(false)) => {}
                Ok(None) => undecided = Some(call.stop("compares values of different or composed types")),
                Err(stop) => undecided = Some(stop),
            }
        }
        undecided.map_or(Ok(Value::Bool(false)), Err)
    }

    fn index(&self, list: &Thunk<'t>, wanted: &Thunk<'t>, call: &Call<'t, '_>) -> Answer<'t> {
        let wanted = self.force(wanted)?;
        for (at, item) in self.items(list, call)?.iter().enumerate() {
            match self.force(item)?.equals(&wanted) {
                Some(true) => return Ok(Value::Number(at as f64)),
                Some(false) => {}
                None => return Err(call.stop("compares values of different or composed types")),
            }
        }
        Err(Stop::fails(call.place, "looks for an item that does not exist"))
    }

    /// Whether all (or any) are true; one that decides is enough.
    fn truths(&self, list: &Thunk<'t>, call: &Call<'t, '_>, all: bool) -> Answer<'t> {
        let mut undecided = None;
        for item in self.items(list, call)? {
            match self.force(&item).map(|value| value.truth()) {
                Ok(Some(truth)) if truth != all => return Ok(Value::Bool(!all)),
                Ok(Some(_)) => {}
                Ok(None) => undecided = Some(call.stop("has an item that is neither true nor false")),
                Err(stop) => undecided = Some(stop),
            }
        }
        undecided.map_or(Ok(Value::Bool(all)), Err)
    }

    fn zipmap(&self, keys: &Thunk<'t>, values: &Thunk<'t>, call: &Call<'t, '_>) -> Answer<'t> {
        let (keys, values) = (self.items(keys, call)?, self.items(values, call)?);
        if keys.len() != values.len() {
            return Err(Stop::fails(call.place, "has lists of different lengths"));
        }
        let mut entries = Vec::new();
        for (key, value) in keys.iter().zip(values) {
            let name =
                self.aside(|| self.force(key))?.shown().ok_or_else(|| call.stop("has a key that is not a string"))?;
            entries.push((Key { name, place: None }, value));
        }
        Ok(Value::Object(unique(entries)))
    }

    fn range(&self, bounds: &[Thunk<'t>], call: &Call<'t, '_>) -> Answer<'t> {
        let (from, to) = match bounds {
            [to] => (0, self.whole(to, call)?),
            [from, to] => (self.whole(from, call)?, self.whole(to, call)?),
            _ => return Err(call.stop("is a range with a step, which kgen does not evaluate")),
        };
        if to.saturating_sub(from) > MOST_ITEMS || to < from {
            return Err(call.stop("is a range that kgen does not evaluate"));
        }
        Ok(Value::List((from..to).map(|number| Thunk::Now(Value::Number(number as f64))).collect()))
    }

    fn reduced(&self, given: &[Thunk<'t>], call: &Call<'t, '_>) -> Answer<'t> {
        let items = match (call.name, given) {
            ("sum", [list]) => self.items(list, call)?,
            ("sum", _) => return Err(call.stop("does not get exactly one list")),
            _ => given.to_vec(),
        };
        let mut numbers = Vec::new();
        for item in &items {
            numbers.push(self.force(item)?.number().ok_or_else(|| call.stop("gets something that is not a number"))?);
        }
        let reduced = numbers.into_iter().reduce(|a, b| match call.name {
            "max" => a.max(b),
            "min" => a.min(b),
            _ => a + b,
        });
        reduced.map(Value::Number).ok_or_else(|| Stop::fails(call.place, "gets no arguments"))
    }
}
