//! Terragrunt: the module that a unit is made of, and the inputs that it and the files it includes give.
//!
//! Followed are `inputs`, `locals`, `include`, `find_in_parent_folders`, `read_terragrunt_config` and the functions that
//! name folders. Everything else is a [`Stop`].

use std::{
    io,
    path::{Path, PathBuf},
    rc::Rc,
};

use super::{
    eval::Eval,
    scope::{Scope, Space},
    syntax::{Block, Expr, FileId, Kind, Place, Step, SyntaxError},
    tree::{Folder, Tree, clean},
    value::{Key, Stop, Thunk, Value},
};

pub const FILE: &str = "terragrunt.hcl";

/// In front of a path that a function gave: it is not relative to the file that it is used in.
const ROOTED: &str = "@/";

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
}

impl Terragrunt {
    /// The unit in `dir`, if it is one.
    ///
    /// # Errors
    /// Its terragrunt.hcl cannot be read.
    pub fn find(
        tree: &mut Tree,
        dir: &Path,
        folder: &dyn Folder,
    ) -> Result<Option<Terragrunt>, (PathBuf, SyntaxError)> {
        let path = clean(&dir.join(FILE));
        match folder.read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // Why it cannot be read is said below.
            Ok(_) | Err(_) => {}
        }
        let file = tree.add(&path, folder).map_err(|error| (path, error))?;
        let mut parents = Vec::new();
        let mut at = dir.to_owned();
        while parents.len() < MOST_PARENTS {
            let Ok(names) = folder.names(&at) else { break };
            parents.push((at.clone(), names));
            if folder.names(&at.join(".git")).is_ok() {
                break;
            }
            let above = clean(&at.join(".."));
            if above == at {
                break;
            }
            at = above;
        }
        let repository = parents.last().map_or(dir, |(dir, _)| dir).to_owned();
        Ok(Some(Terragrunt { file, dir: dir.to_owned(), repository, parents }))
    }

    fn scope<'t>(&self, file: FileId) -> Rc<Scope<'t>> {
        scope(file, &self.dir)
    }
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
    /// A module that is not on this machine, and where it is named.
    Remote(String, Place),
}

/// The module of the unit: as it says itself, else as the last file says that it includes.
///
/// # Errors
/// It cannot be told.
pub fn source(eval: &Eval<'_>, unit: &Terragrunt) -> Result<Source, Stop> {
    for file in chain(eval, unit)? {
        for block in eval.tree.files[file].body.blocks("terraform") {
            if let Some(extra) = block.body.blocks("extra_arguments").find(|extra| sets_variables(extra)) {
                return Err(Stop::at(&extra.place, "adds arguments that set variables, which kgen does not follow"));
            }
            let Some(source) = block.body.attribute("source") else { continue };
            let Value::Text(text) = eval.aside(|| eval.value(source, &unit.scope(file)))? else {
                return Err(Stop::at(&source.place, "is no source of a module"));
            };
            let text = text.text;
            if let Some(rooted) = text.strip_prefix(ROOTED) {
                return Ok(Source::Folder(clean(Path::new(&rooted.replace("//", "/")))));
            }
            return Ok(match text.starts_with('.') {
                // `a//b` is the folder b of what is at a.
                true => Source::Folder(clean(&unit.dir.join(text.replace("//", "/")))),
                false => Source::Remote(text, source.place.clone()),
            });
        }
    }
    Ok(Source::Here)
}

/// The unit's file, and those that it includes; what comes first counts.
fn chain(eval: &Eval<'_>, unit: &Terragrunt) -> Result<Vec<FileId>, Stop> {
    let included = includes(eval, unit)?.into_iter().rev().map(|(_, file)| file);
    Ok([unit.file].into_iter().chain(included).collect())
}

/// Whether extra arguments may set variables of the module.
fn sets_variables(extra: &Block) -> bool {
    let lists = ["required_var_files", "optional_var_files", "env_vars"];
    lists.iter().any(|name| extra.body.attribute(name).is_some())
        || extra.body.attribute("arguments").is_some_and(mentions_variables)
}

fn mentions_variables(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::List(items) => items.iter().any(mentions_variables),
        Kind::String(text) => text.starts_with("-var") || text.starts_with("--var"),
        _ => true,
    }
}

/// The files that the unit includes, by name, in their order.
fn includes<'t>(eval: &Eval<'t>, unit: &Terragrunt) -> Result<Vec<(String, FileId)>, Stop> {
    let mut found = Vec::new();
    for block in eval.tree.files[unit.file].body.blocks("include") {
        let name = block.labels.first().cloned().unwrap_or_default();
        let Some(path) = block.body.attribute("path") else {
            return Err(Stop::at(&block.place, "includes a file and does not say which"));
        };
        let strategy = block.body.attribute("merge_strategy").map(|value| &value.kind);
        match strategy {
            None => {}
            Some(Kind::String(how)) if how == "shallow" => {}
            Some(Kind::String(how)) if how == "no_merge" => continue,
            Some(_) => return Err(Stop::at(&block.place, "merges deeply, which kgen does not follow")),
        }
        found.push((name, file_at(eval, path, &unit.scope(unit.file), &unit.dir)?));
    }
    Ok(found)
}

/// The file that `path` names, if it was read.
fn file_at<'t>(eval: &Eval<'t>, path: &'t Expr, scope: &Rc<Scope<'t>>, dir: &Path) -> Result<FileId, Stop> {
    let text = match eval.aside(|| eval.value(path, scope))? {
        Value::Text(text) => text.text,
        _ => return Err(Stop::at(&path.place, "is no path")),
    };
    let full = match text.strip_prefix(ROOTED) {
        Some(rooted) => clean(Path::new(rooted)),
        None => clean(&dir.join(&text)),
    };
    match eval.tree.files.iter().position(|file| file.path == full) {
        Some(file) => Ok(file),
        None => Err(Stop {
            why: format!("names {}, which cannot be read", full.display()),
            place: Some(path.place.clone()),
            needs: Some(full),
        }),
    }
}

/// What the unit gives for the module's variable `name`: its own input, else that of the last file included that has it.
///
/// # Errors
/// It cannot be told whether there is one.
pub fn input<'t>(eval: &Eval<'t>, name: &str) -> Result<Option<Value<'t>>, Stop> {
    let Some(unit) = &eval.inputs.terragrunt else { return Ok(None) };
    for file in chain(eval, unit)? {
        let Some(inputs) = eval.tree.files[file].body.attribute("inputs") else { continue };
        let Value::Object(entries) = eval.value(inputs, &unit.scope(file))? else {
            return Err(Stop::at(&inputs.place, "is no object"));
        };
        if let Some((key, value)) = entries.iter().find(|(key, _)| key.name == name) {
            let place = key.place.clone().unwrap_or(inputs.place.clone());
            eval.follow(&place, format!("input {name}"));
            return eval.force(value).map(Some);
        }
    }
    Ok(None)
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
        return Err(Stop::at(place, "is no name of Terragrunt"));
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
        ("include", [Step::Name(name), rest @ ..]) => {
            let unit = eval.inputs.terragrunt.as_ref().ok_or_else(|| Stop::at(place, "is outside of a unit"))?;
            match includes(eval, unit)?.into_iter().find(|(known, _)| known == name) {
                Some((_, included)) => Ok((exposed(eval, included, dir), rest)),
                None => Err(Stop::at(place, "is no include of this unit")),
            }
        }
        ("dependency", _) => Err(Stop::at(place, "is an output of another unit")),
        _ => Err(Stop::at(place, "is known to terragrunt alone")),
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

/// The functions of Terragrunt that are followed; nothing for any other.
pub fn call<'t>(
    eval: &Eval<'t>,
    name: &str,
    arguments: &'t [Expr],
    place: &Place,
    scope: &Rc<Scope<'t>>,
) -> Option<Result<Value<'t>, Stop>> {
    let Space::Terragrunt { dir, .. } = &scope.space else { return None };
    let unit = eval.inputs.terragrunt.as_ref()?;
    let rooted = |path: &Path| Ok(Value::made(format!("{ROOTED}{}", path.display()), "is a path", Some(place.clone())));
    match (name, arguments) {
        ("get_terragrunt_dir" | "get_original_terragrunt_dir", []) => Some(rooted(dir)),
        ("get_repo_root", []) => Some(rooted(&unit.repository)),
        ("find_in_parent_folders", [] | [_]) => Some(parent_file(eval, unit, arguments.first(), dir, place, scope)),
        ("dirname", [path]) => Some(eval.value(path, scope).and_then(|value| match value.shown() {
            Some(text) => {
                let path = text.strip_prefix(ROOTED).unwrap_or(&text);
                let above = clean(Path::new(path).parent().unwrap_or(Path::new("")));
                match text.starts_with(ROOTED) {
                    true => rooted(&above),
                    false => Ok(Value::made(above.display().to_string(), "is a path", Some(place.clone()))),
                }
            }
            None => Err(Stop::at(place, "is no path")),
        })),
        ("read_terragrunt_config", [path, ..]) => Some(file_at(eval, path, scope, dir).map(|file| {
            let above = eval.tree.files[file].path.parent().unwrap_or(Path::new(".")).to_owned();
            exposed(eval, file, &above)
        })),
        _ => None,
    }
}

fn parent_file<'t>(
    eval: &Eval<'t>,
    unit: &Terragrunt,
    name: Option<&'t Expr>,
    dir: &Path,
    place: &Place,
    scope: &Rc<Scope<'t>>,
) -> Result<Value<'t>, Stop> {
    let wanted = match name {
        Some(name) => match eval.value(name, scope)?.shown() {
            Some(text) => text,
            None => return Err(Stop::at(place, "is no name of a file")),
        },
        None => FILE.to_owned(),
    };
    let above = unit.parents.iter().skip_while(|(known, _)| known != dir).skip(1);
    for (parent, names) in above {
        if names.contains(&wanted) {
            let path = clean(&parent.join(&wanted));
            return Ok(Value::made(format!("{ROOTED}{}", path.display()), "is a path", Some(place.clone())));
        }
    }
    Err(Stop::at(place, format!("looks for {wanted} in the folders above, and there is none")))
}
