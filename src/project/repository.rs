//! What of a repository may bear on a configuration in it: the files below a folder, and those beside it.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use walkdir::{DirEntry, WalkDir};

use crate::locate::{clean, is_of_interest};

/// Folders within folders that are looked into.
const DEEPEST: usize = 10;

/// Files and folders that are looked at.
const MOST_ENTRIES: usize = 100_000;

/// Folders above a working directory in which the root of the repository is looked for.
const MOST_PARENTS: usize = 20;

/// Folders that hold what others have written.
const OTHERS: [&str; 3] = ["node_modules", "vendor", "target"];

/// Names of the folders in `dir`.
pub fn folders(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.path().is_dir() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    names.sort();
    Ok(names)
}

/// Files of interest in `dir` and below it.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    walked(dir, &|_| false)
}

/// Files of interest of the repository that `dir` is in, outside of `dir`, each named from where `dir` is named.
pub fn files_around(dir: &Path) -> Vec<PathBuf> {
    let Ok(here) = fs::canonicalize(dir) else { return Vec::new() };
    let Some(root) = root_of(&here) else { return Vec::new() };
    let files = walked(&root, &|folder| folder == here);
    files.iter().map(|file| named_from(dir, &here, file)).collect()
}

/// A file with as few steps up as possible; in full, where a link leads elsewhere.
fn named_from(dir: &Path, here: &Path, file: &Path) -> PathBuf {
    let mut named = clean(dir);
    for above in here.ancestors() {
        if let Ok(rest) = file.strip_prefix(above) {
            return match fs::canonicalize(&named).is_ok_and(|leads| leads == above) {
                true => clean(&named.join(rest)),
                false => file.to_owned(),
            };
        }
        named = clean(&named.join(".."));
    }
    file.to_owned()
}

/// `path` from the root of the file system, without links where it is there.
pub fn absolute(path: &Path) -> PathBuf {
    fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

fn walked(dir: &Path, is_left_out: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let name = |entry: &DirEntry| entry.file_name().to_string_lossy().into_owned();
    let is_meant = |entry: &DirEntry| {
        let is_hidden = name(entry).starts_with('.') || OTHERS.contains(&name(entry).as_str());
        entry.depth() == 0 || !(is_hidden || entry.file_type().is_dir() && is_left_out(entry.path()))
    };
    let entries = WalkDir::new(dir).max_depth(DEEPEST).sort_by_file_name().into_iter().filter_entry(is_meant);
    let files = entries.take(MOST_ENTRIES).filter_map(Result::ok).filter(|entry| entry.path().is_file());
    files.map(|entry| clean(entry.path())).filter(|path| is_of_interest(path)).collect()
}

/// The root of the repository, if there is one above `here`. Without a repository it is the folder that kgen was started
/// in, or the one above, where that is nobody else's.
fn root_of(here: &Path) -> Option<PathBuf> {
    let repository = here.ancestors().take(MOST_PARENTS).find(|at| at.join(".git").exists());
    if let Some(root) = repository {
        return (root != here).then(|| root.to_owned());
    }
    let started = env::current_dir().ok().and_then(|dir| fs::canonicalize(dir).ok());
    match started.filter(|started| here != started && here.starts_with(started)) {
        Some(started) => (!is_everybodys(&started)).then_some(started),
        None => here.parent().filter(|above| !is_everybodys(above)).map(Path::to_owned),
    }
}

/// Whether a folder holds what does not belong together: the root, the one for temporary files, somebody's home.
fn is_everybodys(dir: &Path) -> bool {
    let home = env::var_os("HOME").map(PathBuf::from);
    let is_it = |other: PathBuf| fs::canonicalize(other).is_ok_and(|other| other == dir);
    dir.parent().is_none() || is_it(env::temp_dir()) || home.is_some_and(is_it) || dir == Path::new("/tmp")
}
