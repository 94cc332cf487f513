//! Terragrunt: the module of a unit, and the inputs from it and its included files.
//!
//! Followed are `inputs`, `locals`, `include`, `read_terragrunt_config`, `extra_arguments`, the cache of modules and the
//! functions that name folders. Everything else is a [`Stop`].

mod arguments;
mod functions;

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

pub use arguments::extra;
pub use functions::call;

use super::{
    eval::{Eval, led_to},
    scope::{Scope, Space},
    syntax::{Block, Expr, FileId, Kind, Place, Step, SyntaxError},
    tree::{Data, Folder, Tree, clean, is_absent},
    value::{Key, Needed, Stop, Thunk, Value, unique},
};

pub const FILE: &str = "terragrunt.hcl";

/// Where Terragrunt keeps the modules that it has fetched, in the unit's folder.
const CACHE: &str = ".terragrunt-cache";

/// Folders above a unit that are looked into.
const MOST_PARENTS: usize = 12;

/// A unit: a folder with a terragrunt.hcl.
#[derive(Debug, Clone)]
pub struct Terragrunt {
    file: FileId,
    dir: PathBuf,
    repository: PathBuf,
    /// The folders from the unit's up, with the names of their files.
    parents: Vec<(PathBuf, Vec<String>)>,
    /// The folder above these that could not be read, if one could not.
    unread: Option<PathBuf>,
    /// Folders in the cache: one for each module that was fetched.
    cached: Vec<PathBuf>,
}

impl Terragrunt {
    /// The unit in `dir`, if it is one.
    ///
    /// # Errors
    /// Its terragrunt.hcl or its cache cannot be read.
    pub fn find(
        tree: &mut Tree,
        dir: &Path,
        folder: &dyn Folder,
    ) -> Result<Option<Terragrunt>, (PathBuf, SyntaxError)> {
        let path = clean(&dir.join(FILE));
        if folder.read(&path).is_err_and(|error| is_absent(&error)) {
            return Ok(None);
        }
        let file = tree.add(&path, folder).map_err(|error| (path, error))?;
        let (mut parents, mut unread) = (Vec::new(), None);
        let mut at = dir.to_owned();
        while parents.len() < MOST_PARENTS {
            let names = match folder.names(&at) {
                Ok(names) => names,
                Err(error) => {
                    unread = Some(at).filter(|_| !is_absent(&error));
                    break;
                }
            };
            let is_root = names.iter().any(|name| name == ".git") || folder.names(&at.join(".git")).is_ok();
            parents.push((at.clone(), names));
            let above = clean(&at.join(".."));
            if is_root || above == at {
                break;
            }
            at = above;
        }
        let repository = parents.last().map_or(dir, |(dir, _)| dir).to_owned();
        let cached = cache(&dir.join(CACHE), folder)?;
        Ok(Some(Terragrunt { file, dir: dir.to_owned(), repository, parents, unread, cached }))
    }

    fn scope<'t>(&self, file: FileId) -> Rc<Scope<'t>> {
        scope(file, &self.dir)
    }
}

/// The folders that a cache holds modules in.
fn cache(dir: &Path, folder: &dyn Folder) -> Result<Vec<PathBuf>, (PathBuf, SyntaxError)> {
    let folders = |dir: &Path| match folder.folders(dir) {
        Err(error) if !is_absent(&error) => Err((dir.to_owned(), SyntaxError::unreadable(&error))),
        names => Ok(names.unwrap_or_default().iter().map(|name| clean(&dir.join(name))).collect::<Vec<_>>()),
    };
    let mut found = Vec::new();
    for outer in folders(dir)? {
        found.extend(folders(&outer)?);
    }
    Ok(found)
}

fn scope<'t>(file: FileId, dir: &Path) -> Rc<Scope<'t>> {
    Scope::of(Space::Terragrunt { file, dir: dir.to_owned() })
}

/// The module that a unit is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// The unit's own folder.
    Here,
    Folder(PathBuf),
    /// What Terragrunt has fetched: one of these folders, if there are several of different versions.
    Cached(String, Place, Vec<PathBuf>),
}

/// The module of the unit: as it says itself, else as the last file says that it includes.
///
/// # Errors
/// It is unknown.
pub fn source(eval: &Eval<'_>, unit: &Terragrunt) -> Result<Source, Stop> {
    for (file, _) in chain(eval, unit)? {
        let body = &eval.tree.files[file].body;
        if let Some(made) = body.blocks("generate").find(|block| makes_brokers(eval, block)) {
            return Err(Stop::at(&made.place, "generates a file that names MSK, which kgen does not follow"));
        }
        for block in body.blocks("terraform") {
            let Some(source) = block.body.attribute("source") else { continue };
            let Value::Text(text) = eval.aside(|| eval.value(source, &unit.scope(file)))? else {
                return Err(Stop::at(&source.place, "is not the source of a module"));
            };
            let text = text.text;
            let bare = text.split('?').next().unwrap_or_default().replace("//", "/");
            // `a//b` is the folder b of what is at a.
            let local = led_to(&bare).or_else(|| text.starts_with('.').then(|| clean(&unit.dir.join(&bare))));
            return Ok(match local {
                Some(dir) => Source::Folder(dir),
                None => {
                    let folders = cached(unit, &text);
                    Source::Cached(text, source.place.clone(), folders)
                }
            });
        }
    }
    Ok(Source::Here)
}

fn makes_brokers(eval: &Eval<'_>, block: &Block) -> bool {
    let text = eval.tree.files[block.place.file].text_at(&block.place);
    ["aws_msk", "kafka.", "instance_type"].iter().any(|word| text.contains(word))
}

/// The folders in which the module of `source` may be in the cache.
fn cached(unit: &Terragrunt, source: &str) -> Vec<PathBuf> {
    let (bare, _) = source.split_once('?').unwrap_or((source, ""));
    let after_scheme = bare.find("://").map_or(0, |at| at + 3);
    let inside = bare[after_scheme..].split_once("//").map_or("", |(_, inside)| inside);
    unit.cached.iter().map(|dir| clean(&dir.join(inside))).collect()
}

/// The unit's file, and those that it includes; what comes first counts. With each, whether it is merged deeply.
fn chain(eval: &Eval<'_>, unit: &Terragrunt) -> Result<Vec<(FileId, bool)>, Stop> {
    let included = includes(eval, unit)?.into_iter().rev().filter(|include| include.is_merged);
    Ok([(unit.file, false)].into_iter().chain(included.map(|include| (include.file, include.is_deep))).collect())
}

/// A file that a unit includes.
struct Include {
    name: String,
    file: FileId,
    is_merged: bool,
    is_deep: bool,
}

/// The files that the unit includes, in their order.
fn includes<'t>(eval: &Eval<'t>, unit: &Terragrunt) -> Result<Vec<Include>, Stop> {
    let mut found = Vec::new();
    for block in eval.tree.files[unit.file].body.blocks("include") {
        let name = block.labels.first().cloned().unwrap_or_default();
        let Some(path) = block.body.attribute("path") else {
            return Err(Stop::at(&block.place, "includes a file without naming it"));
        };
        let strategy = match block.body.attribute("merge_strategy") {
            None => "shallow".to_owned(),
            Some(value) => eval.aside(|| eval.value(value, &unit.scope(unit.file)))?.shown().unwrap_or_default(),
        };
        let (is_merged, is_deep) = match strategy.as_str() {
            "no_merge" => (false, false),
            "shallow" => (true, false),
            "deep" | "deep_map_only" => (true, true),
            _ => return Err(Stop::at(&block.place, "merges in a way that kgen does not support")),
        };
        let file = file_at(eval, path, &unit.scope(unit.file), &unit.dir)?;
        found.push(Include { name, file, is_merged, is_deep });
    }
    Ok(found)
}

/// The file that `path` names, if it was read.
fn file_at<'t>(eval: &Eval<'t>, path: &'t Expr, scope: &Rc<Scope<'t>>, dir: &Path) -> Result<FileId, Stop> {
    let (text, deciders) = eval.deciding(|| eval.value(path, scope));
    let text = match text? {
        Value::Text(text) => text.text,
        _ => return Err(Stop::at(&path.place, "is not a path")),
    };
    let full = led_to(&text).unwrap_or_else(|| clean(&dir.join(&text)));
    eval.chosen(&path.place, deciders, || "with another value another file would be read".to_owned());
    match eval.tree.known(&full) {
        Some(file) => Ok(file),
        None if matches!(eval.tree.data(&full), Some(Data::Absent)) => {
            Err(Stop::fails(&path.place, format!("names {}, which does not exist", full.display())))
        }
        None => Err(Stop {
            needs: Some(Needed::Code(full.clone())),
            ..Stop::at(&path.place, format!("names {}, which cannot be read", full.display()))
        }),
    }
}

/// What the unit gives for the module's variable `name`: its own input, else that of the last file included that has it.
///
/// # Errors
/// It is unknown whether there is one.
pub fn input<'t>(eval: &Eval<'t>, name: &str) -> Result<Option<Value<'t>>, Stop> {
    let Some(unit) = &eval.inputs.terragrunt else { return Ok(None) };
    let mut found: Option<Value<'t>> = None;
    for (file, is_deep) in chain(eval, unit)? {
        if found.is_some() && !is_deep {
            continue;
        }
        let Some(inputs) = eval.tree.files[file].body.attribute("inputs") else { continue };
        let length = found.is_some();
        let value = eval.value(inputs, &unit.scope(file))?;
        let (entries, rest) = match value {
            Value::Object(entries) => (entries, None),
            Value::Partial(entries, stop) => (entries, Some(stop)),
            _ => return Err(Stop::at(&inputs.place, "is not an object")),
        };
        match (entries.iter().find(|(key, _)| key.name == name), rest) {
            (Some((key, value)), _) => {
                let place = key.place.clone().unwrap_or(inputs.place.clone());
                if !length {
                    eval.follow(&place, format!("input {name}"));
                }
                let value = eval.force(value)?;
                found = Some(match found {
                    Some(over) => deep(eval, value, over, 0)?,
                    None => value,
                });
            }
            (None, Some(stop)) => return Err(stop),
            (None, None) => {}
        }
    }
    Ok(found)
}

/// `over` merged into `base`, maps within maps too, lists one after the other.
fn deep<'t>(eval: &Eval<'t>, base: Value<'t>, over: Value<'t>, depth: usize) -> Result<Value<'t>, Stop> {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) if depth < 16 => {
            let mut entries = base.clone();
            for (key, value) in over {
                let below = base.iter().find(|(known, _)| known.name == key.name);
                let value = match below {
                    Some((_, below)) => Thunk::Now(deep(eval, eval.force(below)?, eval.force(&value)?, depth + 1)?),
                    None => value,
                };
                entries.push((key, value));
            }
            Ok(Value::Object(unique(entries)))
        }
        (Value::List(base), Value::List(over)) => Ok(Value::List(base.into_iter().chain(over).collect())),
        (_, over) => Ok(over),
    }
}

/// What a name of Terragrunt stands for, and the steps that are still to be taken from it.
pub fn reference<'t>(
    eval: &Eval<'t>,
    root: &str,
    steps: &'t [Step],
    place: &Place,
    scope: &Rc<Scope<'t>>,
) -> Result<(Value<'t>, &'t [Step]), Stop> {
    let Space::Terragrunt { file, dir } = &scope.space else {
        return Err(Stop::at(place, "is not a Terragrunt name"));
    };
    match (root, steps) {
        ("local", [Step::Name(name), rest @ ..]) => {
            let locals = eval.tree.files[*file].body.blocks("locals");
            match locals.filter_map(|block| block.body.attribute(name)).next() {
                Some(value) => {
                    eval.follow(&value.place, format!("local {name}"));
                    let bare = Scope { names: Vec::new(), ..(**scope).clone() };
                    Ok((eval.value(value, &Rc::new(bare))?, rest))
                }
                None => Err(Stop::at(place, "is a local that is not set")),
            }
        }
        ("include", steps) => {
            let unit = eval.inputs.terragrunt.as_ref().ok_or_else(|| Stop::at(place, "is outside a unit"))?;
            let includes = includes(eval, unit)?;
            // An include without a name is named by nothing: `include.locals.x`.
            let (name, rest) = match steps {
                [Step::Name(name), rest @ ..] if includes.iter().any(|include| include.name == *name) => {
                    (name.as_str(), rest)
                }
                steps => ("", steps),
            };
            match includes.into_iter().find(|include| include.name == name) {
                Some(include) => Ok((exposed(eval, include.file, dir), rest)),
                None => Err(Stop::at(place, "is not an include of this unit")),
            }
        }
        ("dependency", _) => Err(Stop::runtime(place, "is an output of another unit")),
        _ => Err(Stop::at(place, "is only known to terragrunt")),
    }
}

/// A file of Terragrunt as a value: its locals and its inputs.
fn exposed<'t>(eval: &Eval<'t>, file: FileId, dir: &Path) -> Value<'t> {
    let scope = scope(file, dir);
    let body = &eval.tree.files[file].body;
    let key = |name: &str, place: &Place| Key { name: name.to_owned(), place: Some(place.clone()) };
    let locals = body.blocks("locals").flat_map(|block| &block.body.attributes);
    let locals = locals.map(|local| (key(&local.name, &local.value.place), Thunk::Later(&local.value, scope.clone())));
    let mut entries =
        vec![(Key { name: "locals".to_owned(), place: None }, Thunk::Now(Value::Object(locals.collect())))];
    if let Some(inputs) = body.attribute("inputs") {
        entries.push((key("inputs", &inputs.place), Thunk::Later(inputs, scope)));
    }
    Value::Object(entries)
}

/// Strings of a list that is written out.
fn words(expr: &Expr) -> Vec<String> {
    match &expr.kind {
        Kind::List(items) => items.iter().flat_map(words).collect(),
        Kind::String(text) | Kind::Fixed(text) => vec![text.clone()],
        _ => Vec::new(),
    }
}
