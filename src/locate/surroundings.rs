//! The repository around a configuration: files of variables that terraform may be given, and who calls its modules.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use regex::Regex;

use super::{
    Question, Refusal,
    inputs::Inputs,
    refusal::{Finding, Setting},
    syntax::{Expr, File, Kind, is_assignments},
    terragrunt,
    tree::{Folder, MOST_BYTES, Tree, clean, is_configuration},
};

/// Configurations that are evaluated to learn whether they take a value from a file, too.
const MOST_EVALUATED: usize = 60;

static SOURCE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"\bsource\s*=\s*"([^"]*)""#).ok());

/// Files of variables that terraform takes only when they are named: in the folder, below it, and beside it in the
/// repository where they are not another configuration's.
///
/// # Errors
/// There may be some where it cannot look.
pub fn unnamed(folder: &dyn Folder, dir: &Path, tree: &Tree, inputs: &Inputs) -> Result<Vec<PathBuf>, Refusal> {
    let not_read = |error| Refusal::not_read(dir, &error);
    let mut files = folder.assignments_below(dir).map_err(not_read)?;
    let around = folder.files_around(dir).map_err(|error| around(dir, &error))?;
    files.extend(around.into_iter().filter(|path| is_assignments(path)));
    files.retain(|path| !inputs.reads(path, tree, folder));
    Ok(files)
}

/// The refusal where a repository cannot be looked through.
pub fn around(dir: &Path, error: &io::Error) -> Refusal {
    let what = format!("some files near {} cannot be read: {error}", dir.display());
    Refusal {
        advice: "files there may set its broker type: make them readable, or run kgen as a user who can read them"
            .to_owned(),
        ..Refusal::plain(&what)
    }
}

/// What of `files` sets one of `variables`.
///
/// # Errors
/// One that names such a variable cannot be read.
pub fn settings(
    folder: &dyn Folder,
    dir: &Path,
    files: &[PathBuf],
    variables: &BTreeSet<String>,
    is_type: impl Fn(&str) -> bool,
) -> Result<Vec<Setting>, Refusal> {
    let mut found = Vec::new();
    let mut owners = Owners { folder, dir: folder.absolute(dir), declared: BTreeMap::new(), below: BTreeMap::new() };
    for path in files {
        let bytes = folder.read(path).map_err(|error| Refusal::not_read(path, &error))?;
        let text = String::from_utf8_lossy(&bytes);
        let named: Vec<&String> = variables.iter().filter(|name| text.contains(name.as_str())).collect();
        if named.is_empty() || named.iter().all(|name| owners.owns(path, name)) {
            continue;
        }
        let file = File::parse(0, path, &bytes).map_err(|error| Refusal::broken(path, &error))?;
        for name in named {
            let Some(value) = file.body.attribute(name) else { continue };
            if owners.owns(path, name) || (is_type(name) && is_of_something_else(value)) {
                continue;
            }
            let (file, line) = (path.clone(), file.line(value.place.start));
            found.push(Setting { file, line, variable: name.clone() });
        }
    }
    Ok(found)
}

/// Whether a value for a broker type is that of another service, `db.r5.large` for one.
fn is_of_something_else(value: &Expr) -> bool {
    let Kind::String(text) = &value.kind else { return false };
    !text.starts_with("kafka.") && !text.starts_with("express.") && text.contains('.')
}

/// Which folders declare a variable of their own, and so have files of variables of their own.
struct Owners<'a> {
    folder: &'a dyn Folder,
    /// From the root of the file system.
    dir: PathBuf,
    /// What the folders with configurations declare: the text of their files.
    declared: BTreeMap<PathBuf, String>,
    /// The folders with files of interest below one.
    below: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
}

impl Owners<'_> {
    /// Whether the file of variables at `path` belongs to another configuration that declares `name`.
    fn owns(&mut self, path: &Path, name: &str) -> bool {
        let mut above: Vec<PathBuf> = path.ancestors().skip(1).map(clean).collect();
        above.dedup();
        // Folders that hold the file and not this configuration, the innermost first.
        let full = |folder: &Path| self.folder.absolute(folder);
        let is_inside = full(path.parent().unwrap_or(path)).starts_with(&self.dir);
        let own: Vec<PathBuf> = above.into_iter().take_while(|folder| !self.dir.starts_with(full(folder))).collect();
        let Some(outermost) = own.last().cloned() else {
            return self.declares(path.parent().unwrap_or(path), name, true);
        };
        if own.iter().any(|folder| self.declares(folder, name, false)) {
            return true;
        }
        if is_inside {
            return false;
        }
        let reader = self.folder;
        let folders = self.below.entry(outermost).or_insert_with_key(|outermost| {
            // Without an owner, a file counts as this configuration's.
            reader
                .files_below(outermost)
                .unwrap_or_default()
                .iter()
                .filter_map(|path| path.parent().map(clean))
                .collect()
        });
        folders.clone().iter().any(|folder| self.declares(folder, name, false))
    }

    /// `is_outer`: the folder holds this configuration's, which itself does not count.
    fn declares(&mut self, folder: &Path, name: &str, is_outer: bool) -> bool {
        let folder = clean(folder);
        if is_outer && self.folder.absolute(&folder) == self.dir {
            return false;
        }
        let reader = self.folder;
        let text = self.declared.entry(folder).or_insert_with_key(|folder| {
            let names = reader.names(folder).unwrap_or_default();
            let names = names.iter().filter(|name| is_configuration(name));
            let read = names.filter_map(|name| reader.read(&folder.join(name)).ok());
            read.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
        });
        text.contains(&format!("variable \"{name}\"")) || text.contains(&format!("variable {name} "))
    }
}

/// A call of a module, as far as its text shows.
#[derive(Debug, Clone)]
struct Call {
    caller: PathBuf,
    file: PathBuf,
    line: usize,
    callee: Callee,
}

#[derive(Debug, Clone)]
enum Callee {
    /// From the root of the file system.
    Folder(PathBuf),
    /// Begins with something that only Terragrunt knows.
    EndsWith(PathBuf),
}

/// Who calls which module in the repository.
pub struct Calls<'a> {
    folder: &'a dyn Folder,
    calls: Vec<Call>,
    /// Files that may call it and cannot be read.
    unread: Vec<PathBuf>,
}

/// A folder that calls a module, and where it does.
#[derive(Debug, Clone)]
pub struct Caller {
    pub dir: PathBuf,
    pub file: PathBuf,
    pub line: usize,
}

impl<'a> Calls<'a> {
    /// Reads the repository that `dir` is in.
    ///
    /// # Errors
    /// There may be files where it cannot look, or there is too much.
    pub fn read(folder: &'a dyn Folder, dir: &Path) -> Result<Calls<'a>, Refusal> {
        let mut files = folder.files_below(dir).map_err(|error| Refusal::not_read(dir, &error))?;
        files.extend(folder.files_around(dir).map_err(|error| around(dir, &error))?);
        let (mut calls, mut unread, mut length) = (Vec::new(), Vec::new(), 0);
        for file in files {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let is_unit = name.ends_with(".hcl") && !name.starts_with('.') && !name.ends_with(".tftest.hcl");
            if !is_configuration(&name) && !is_unit {
                continue;
            }
            let Ok(bytes) = folder.read(&file) else {
                unread.push(file);
                continue;
            };
            length += bytes.len();
            if length > MOST_BYTES {
                let most = format!("they are larger than {} MiB, the most that kgen reads", MOST_BYTES >> 20);
                return Err(around(dir, &io::Error::other(most)));
            }
            let text = String::from_utf8_lossy(&bytes);
            let caller = clean(file.parent().unwrap_or(Path::new(".")));
            let Some(pattern) = SOURCE.as_ref() else { continue };
            for found in pattern.captures_iter(&text) {
                let Some(source) = found.get(1) else { continue };
                let start = text[..source.start()].rfind('\n').map_or(0, |at| at + 1);
                if ["#", "//"].iter().any(|mark| text[start..].trim_start().starts_with(mark)) {
                    continue;
                }
                let Some(callee) = called(folder, &caller, source.as_str(), is_unit) else { continue };
                let line = 1 + text[..source.start()].matches('\n').count();
                calls.push(Call { caller: caller.clone(), file: file.clone(), line, callee });
            }
        }
        Ok(Calls { folder, calls, unread })
    }

    /// Files that may call a module and cannot be read.
    pub fn unread(&self) -> &[PathBuf] {
        &self.unread
    }

    /// Who calls the module in `dir` itself.
    pub fn of(&self, dir: &Path) -> Vec<Caller> {
        let dir = self.folder.absolute(dir);
        let is_it = |call: &&Call| match &call.callee {
            Callee::Folder(callee) => *callee == dir,
            Callee::EndsWith(end) => dir.ends_with(end),
        };
        let callers = self.calls.iter().filter(is_it).filter(|call| self.folder.absolute(&call.caller) != dir);
        callers.map(|call| Caller { dir: call.caller.clone(), file: call.file.clone(), line: call.line }).collect()
    }

    /// The configurations that come, over any number of calls, to the module in `dir`, and are not called themselves.
    pub fn roots(&self, dir: &Path) -> BTreeSet<PathBuf> {
        let (mut found, mut open, mut seen) = (BTreeSet::new(), vec![clean(dir)], BTreeSet::new());
        while let Some(at) = open.pop() {
            let callers = self.of(&at);
            if callers.is_empty() && at != clean(dir) {
                found.insert(at.clone());
            }
            for caller in callers {
                if seen.insert(caller.dir.clone()) {
                    open.push(caller.dir);
                }
            }
        }
        found
    }
}

fn called(folder: &dyn Folder, caller: &Path, source: &str, is_unit: bool) -> Option<Callee> {
    let source = source.split('?').next().unwrap_or_default();
    let is_local = source.starts_with("./") || source.starts_with("../") || source == "." || source == "..";
    match source.rsplit_once('}') {
        _ if is_local => Some(Callee::Folder(folder.absolute(&clean(&caller.join(source.replace("//", "/")))))),
        Some((_, end)) if is_unit && end.len() > 1 => {
            let end: PathBuf =
                end.replace("//", "/").split('/').filter(|part| !["", ".", ".."].contains(part)).collect();
            (end.components().count() > 0).then_some(Callee::EndsWith(end))
        }
        _ => None,
    }
}

/// Configurations beside `dir` that may take a value from `file`: those that call its folder, and, where it is no
/// configuration itself, the units and configurations at its side and below.
///
/// # Errors
/// There may be some where it cannot look.
pub fn users(folder: &dyn Folder, calls: &Calls<'_>, dir: &Path, file: &Path) -> Result<Vec<PathBuf>, Refusal> {
    let home = clean(file.parent().unwrap_or(Path::new(".")));
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut found = calls.roots(&home);
    if !is_configuration(&name) {
        // A file of data, or one of Terragrunt that units below it include.
        for path in folder.files_below(&home).map_err(|error| Refusal::not_read(&home, &error))? {
            let is_unit = path.file_name().is_some_and(|name| name == terragrunt::FILE);
            if let Some(parent) = path.parent().filter(|_| is_unit) {
                found.insert(clean(parent));
            }
        }
    }
    let (dir, home) = (folder.absolute(dir), folder.absolute(&home));
    let is_other = |root: &PathBuf| ![&dir, &home].contains(&&folder.absolute(root));
    Ok(found.into_iter().filter(is_other).take(MOST_EVALUATED).collect())
}

/// Broker types that are in the files of the folder, with file and line.
pub fn literals(folder: &dyn Folder, question: &Question<'_>) -> Vec<Finding> {
    static TYPE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"\b(?:kafka|express)\.[a-z][a-z0-9]*\.[a-z0-9]*(?:large|small|medium|micro)\b").ok()
    });
    let Some(pattern) = TYPE.as_ref() else { return Vec::new() };
    let (mut found, mut length) = (Vec::new(), 0);
    // A help for a person: what cannot be read is left out.
    for path in folder.files_below(question.dir).unwrap_or_default() {
        let Ok(bytes) = folder.read(&path) else { continue };
        length += bytes.len();
        if length > MOST_BYTES {
            break;
        }
        for (at, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            let is_comment = ["#", "//"].iter().any(|start| line.trim_start().starts_with(start));
            if let Some(literal) = pattern.find(line).filter(|_| !is_comment) {
                found.push(Finding { file: Some(path.clone()), line: at + 1, what: literal.as_str().to_owned() });
            }
        }
    }
    found
}
