//! Evaluates expressions as far as the files allow, and remembers where strings stand. What it cannot know is a
//! [`Stop`], never a guess.

mod choices;
mod collections;
mod files;
mod functions;
mod lists;
mod operators;
mod references;
mod strings;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    inputs::Inputs,
    scope::{Repetition, Scope, Space},
    syntax::{Block, Body, Expr, Kind, Part, Place, Step, Syntax},
    terragrunt,
    tree::Tree,
    value::{Cause, Key, Origin, Stop, Text, Thunk, Value, unique},
};
pub use choices::{Choice, Decider};
pub use files::{led_to, rooted};

/// References within references; more are taken for a circle.
const DEEPEST: usize = 100;

/// Expressions looked at for one question.
const MOST_STEPS: usize = 200_000;

pub struct Eval<'t> {
    pub tree: &'t Tree,
    pub inputs: &'t Inputs,
    depth: Cell<usize>,
    steps: Cell<usize>,
    /// What was followed on the way to the last value, in words with their place.
    trail: RefCell<Vec<(Place, String)>>,
    /// Strings that were met, also in what could not be evaluated.
    seen: RefCell<BTreeSet<Place>>,
    /// Variables of the root module that were requested.
    asked: RefCell<BTreeSet<String>>,
    /// What of the surroundings had a part in the values since this was taken.
    deciders: RefCell<BTreeSet<Decider>>,
    choices: RefCell<Vec<Choice>>,
    /// Whether `each` or `count.index` was requested.
    repeated: Cell<bool>,
    /// Variables with validations that were requested, by the place of each, with the scope that they are in.
    validated: RefCell<BTreeMap<Place, (&'t Body, Rc<Scope<'t>>)>>,
}

/// What was met while a value was looked for.
#[derive(Debug, Default, Clone)]
pub struct Met {
    pub trail: Vec<(Place, String)>,
    pub strings: BTreeSet<Place>,
    pub variables: BTreeSet<String>,
    pub choices: Vec<Choice>,
    /// It depends on which one it is of those that `count` or `for_each` makes.
    pub is_of_each: bool,
}

type Answer<'t> = Result<Value<'t>, Stop>;

impl<'t> Eval<'t> {
    pub fn new(tree: &'t Tree, inputs: &'t Inputs) -> Eval<'t> {
        Eval {
            tree,
            inputs,
            depth: Cell::new(0),
            steps: Cell::new(0),
            trail: RefCell::default(),
            seen: RefCell::default(),
            asked: RefCell::default(),
            deciders: RefCell::default(),
            choices: RefCell::default(),
            repeated: Cell::default(),
            validated: RefCell::default(),
        }
    }

    /// What was met since the last call.
    pub fn met(&self) -> Met {
        self.steps.set(0);
        self.deciders.take();
        Met {
            trail: self.trail.take(),
            strings: self.seen.take(),
            variables: self.asked.take(),
            choices: self.choices.take(),
            is_of_each: self.repeated.take(),
        }
    }

    /// Variables with validations that were requested since the last call, and where.
    pub fn validated(&self) -> Vec<(&'t Body, Rc<Scope<'t>>)> {
        self.validated.take().into_values().collect()
    }

    pub fn value(&self, expr: &'t Expr, scope: &Rc<Scope<'t>>) -> Answer<'t> {
        self.steps.set(self.steps.get() + 1);
        if self.depth.get() > DEEPEST || self.steps.get() > MOST_STEPS {
            return Err(Stop::at(&expr.place, "refers to itself, or is too complex to follow"));
        }
        self.depth.set(self.depth.get() + 1);
        let answer = self.evaluated(expr, scope);
        self.depth.set(self.depth.get() - 1);
        answer
    }

    fn evaluated(&self, expr: &'t Expr, scope: &Rc<Scope<'t>>) -> Answer<'t> {
        let place = &expr.place;
        match &expr.kind {
            Kind::Null => Ok(Value::Null),
            Kind::Bool(value) => Ok(Value::Bool(*value)),
            Kind::Number(value) => Ok(Value::Number(*value)),
            Kind::String(text) if self.tree.files[place.file].syntax == Syntax::Argument => {
                Ok(Value::made(text.clone(), "is not in any file", None))
            }
            Kind::String(text) => {
                self.seen.borrow_mut().insert(place.clone());
                Ok(Value::Text(Text { text: text.clone(), origin: Origin::Literal(place.clone()) }))
            }
            Kind::Fixed(text) => {
                self.seen.borrow_mut().insert(place.clone());
                Ok(Value::made(text.clone(), "is part of a template in JSON", Some(place.clone())))
            }
            Kind::Template(parts) => self.template(parts, place, scope),
            Kind::List(items) => Ok(Value::List(items.iter().map(|item| Thunk::Later(item, scope.clone())).collect())),
            Kind::Object(items) => {
                let mut entries = Vec::new();
                for (key, value) in items {
                    entries.push((self.key(key, scope)?, Thunk::Later(value, scope.clone())));
                }
                Ok(Value::Object(unique(entries)))
            }
            Kind::Reference { root, steps } => self.reference(root, steps, place, scope),
            Kind::Access { base, steps } => {
                let value = self.value(base, scope)?;
                self.walk(value, steps, place, scope)
            }
            Kind::Conditional { condition, yes, no } => self.conditional(condition, yes, no, place, scope),
            Kind::Not(inner) => match self.value(inner, scope)?.truth() {
                Some(truth) => Ok(Value::Bool(!truth)),
                None => Err(Stop::at(place, "is neither true nor false")),
            },
            Kind::Negative(inner) => match self.value(inner, scope)?.number() {
                Some(number) => Ok(Value::Number(-number)),
                None => Err(Stop::at(place, "is not a number")),
            },
            Kind::Binary { operator, left, right } => self.operation(*operator, left, right, place, scope),
            Kind::Call { name, arguments, expands } => self.call(name, arguments, *expands, place, scope),
            Kind::For(expr) => self.for_each(expr, place, scope),
            Kind::Other(what) => Err(Stop::at(place, format!("is {what}, which kgen does not evaluate"))),
        }
    }

    /// Meets the strings in lists and objects.
    pub fn look_into(&self, value: &Value<'t>, depth: usize) {
        if depth > 4 {
            return;
        }
        let inner: Vec<&Thunk<'t>> = match value {
            Value::List(items) => items.iter().collect(),
            Value::Object(entries) | Value::Partial(entries, _) => entries.iter().map(|(_, value)| value).collect(),
            _ => Vec::new(),
        };
        for thunk in inner {
            if let Ok(value) = self.force(thunk) {
                self.look_into(&value, depth + 1);
            }
        }
    }

    fn template(&self, parts: &'t [Part], place: &Place, scope: &Rc<Scope<'t>>) -> Answer<'t> {
        // Alone in its quotes, a reference keeps what it is.
        if let [Part::Value(only)] = parts {
            return self.value(only, scope);
        }
        let mut whole = String::new();
        for part in parts {
            match part {
                Part::Text(text) => whole.push_str(text),
                Part::Value(expr) => match self.value(expr, scope)?.shown() {
                    Some(text) => whole.push_str(&text),
                    None => return Err(Stop::at(&expr.place, "cannot be put into a string")),
                },
            }
        }
        Ok(Value::made(whole, "is composed of parts", Some(place.clone())))
    }

    fn key(&self, key: &'t Expr, scope: &Rc<Scope<'t>>) -> Result<Key, Stop> {
        let place = Some(key.place.clone());
        match &key.kind {
            Kind::Fixed(name) => Ok(Key { name: name.clone(), place }),
            _ => match self.aside(|| self.value(key, scope))?.shown() {
                Some(name) => Ok(Key { name, place }),
                None => Err(Stop::at(&key.place, "is an unknown key")),
            },
        }
    }

    pub fn force(&self, thunk: &Thunk<'t>) -> Answer<'t> {
        match thunk {
            Thunk::Now(value) => Ok(value.clone()),
            Thunk::Later(expr, scope) => self.value(expr, scope),
            Thunk::As(inner, kind, scope) => {
                let value = self.force(inner)?;
                self.converted(value, kind, scope)
            }
        }
    }

    /// Evaluates something beside the way to the value: what it follows is not on the trail.
    pub fn aside<T>(&self, evaluate: impl FnOnce() -> T) -> T {
        let length = self.trail.borrow().len();
        let answer = evaluate();
        self.trail.borrow_mut().truncate(length);
        answer
    }

    pub fn follow(&self, place: &Place, what: String) {
        self.trail.borrow_mut().push((place.clone(), what));
    }

    /// `what: REASON`, with the place of the reason.
    pub fn because(&self, what: &str, stop: &Stop) -> String {
        match &stop.place {
            Some(place) => format!("{what}: {} {}", self.quoted(place), stop.why),
            None => format!("{what}: {}", stop.why),
        }
    }

    /// What stands at `place`, on one line, with file and line.
    pub fn quoted(&self, place: &Place) -> String {
        let file = &self.tree.files[place.file];
        format!("`{}` ({}:{})", file.short(place, 60), file.path.display(), file.line(place.start))
    }

    /// The repetitions of a block, in the order of their keys; nothing where there are none of it.
    pub fn repetitions(&self, block: &'t Block, scope: &Rc<Scope<'t>>) -> Vec<Repetition<'t>> {
        if let Some(count) = block.body.attribute("count") {
            return match self.count(count, scope) {
                Ok(count) => (0..count).map(Repetition::Count).collect(),
                Err(stop) => vec![Repetition::Unknown(stop)],
            };
        }
        let Some(each) = block.body.attribute("for_each") else { return vec![Repetition::None] };
        let unknown = |stop: Stop| vec![Repetition::Unknown(stop)];
        match self.value(each, scope) {
            Ok(Value::Object(entries)) => {
                let mut entries = entries;
                entries.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
                entries.into_iter().map(|(key, value)| Repetition::Each(key, value)).collect()
            }
            // A set, written as toset([…]) or by the type of a variable: its strings are its keys.
            Ok(Value::List(items)) => {
                let mut keys = BTreeMap::new();
                for item in &items {
                    match self.force(item).map(|value| value.shown()) {
                        Ok(Some(name)) => keys.insert(name.clone(), name),
                        Ok(None) => return unknown(Stop::at(&each.place, "has keys that are not strings")),
                        Err(stop) => return unknown(stop),
                    };
                }
                let repetition = |name: String| {
                    let value = Value::made(name.clone(), "is a key of for_each", Some(each.place.clone()));
                    Repetition::Each(Key { name, place: None }, Thunk::Now(value))
                };
                keys.into_values().map(repetition).collect()
            }
            Ok(Value::Partial(_, stop)) | Err(stop) => unknown(stop),
            Ok(_) => unknown(Stop::at(&each.place, "is neither a map nor a set")),
        }
    }

    /// How many `count` makes. One that is 0 or 1 by an undecidable condition counts as 1: there is no other to be confused with.
    fn count(&self, count: &'t Expr, scope: &Rc<Scope<'t>>) -> Result<usize, Stop> {
        let most = match &count.kind {
            Kind::Conditional { yes, no, .. } => {
                let both = [yes, no].map(|branch| self.value(branch, scope).ok().and_then(|value| value.number()));
                both.into_iter().collect::<Option<Vec<f64>>>().map(|both| both.into_iter().fold(0.0, f64::max))
            }
            _ => None,
        };
        match self.value(count, scope) {
            Ok(value) => match value.number() {
                Some(number) if number >= 0.0 && number.fract() == 0.0 && number < 1000.0 => Ok(number as usize),
                _ => Err(Stop::at(&count.place, "is not a count")),
            },
            Err(_) if most == Some(1.0) => Ok(1),
            Err(stop) => Err(stop),
        }
    }
}
