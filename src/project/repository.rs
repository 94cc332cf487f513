//! The files of a repository that may affect a configuration in it: those below a folder, and those next to it.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use walkdir::{DirEntry, WalkDir};

use crate::locate::{clean, is_assignments, is_of_interest};

/// Folders within folders that are looked into.
const DEEPEST: usize = 10;

/// Files and folders that are looked at below a folder; nobody's configuration has as many.
const MOST_ENTRIES: usize = 200_000;

/// Folders above a working directory in which the root of the repository is looked for.
const MOST_PARENTS: usize = 20;

/// Folders that hold what others have written, or nothing of a repository.
const OTHERS: [&str; 4] = ["node_modules", "vendor", "target", "lost+found"];

/// Names of the folders in `dir`.
pub fn folders(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for (count, entry) in fs::read_dir(dir)?.enumerate() {
        let entry = entry?;
        ensure_few(count, dir)?;
        if entry.path().is_dir() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    names.sort();
    Ok(names)
}

/// Files of interest in `dir` and below it.
pub fn files_below(dir: &Path) -> io::Result<Vec<PathBuf>> {
    walked(dir, &|_| false)
}

/// Files of interest of the repository that `dir` is in, outside of `dir`, each named from where `dir` is named.
pub fn files_around(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let here = fs::canonicalize(dir)?;
    let Some(root) = root_of(&here) else { return Ok(Vec::new()) };
    let files = walked(&root, &|folder| folder == here)?;
    Ok(files.iter().map(|file| named_from(dir, &here, file)).collect())
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

/// Also those that cannot be read: whoever reads them says so. A link counts as what it leads to, where that is no folder.
fn walked(dir: &Path, is_left_out: &dyn Fn(&Path) -> bool) -> io::Result<Vec<PathBuf>> {
    let name = |entry: &DirEntry| entry.file_name().to_string_lossy().into_owned();
    let is_meant = |entry: &DirEntry| {
        let is_hidden = name(entry).starts_with('.') || OTHERS.contains(&name(entry).as_str());
        entry.depth() == 0 || !(is_hidden || entry.file_type().is_dir() && is_left_out(entry.path()))
    };
    let entries = WalkDir::new(dir).max_depth(DEEPEST).sort_by_file_name().into_iter().filter_entry(is_meant);
    let mut files = Vec::new();
    for (count, entry) in entries.enumerate() {
        let entry = entry.map_err(io::Error::from)?;
        ensure_few(count, dir)?;
        if !is_of_interest(entry.path()) || entry.path().is_dir() {
            continue;
        }
        if is_assignments(entry.path()) && entry.file_name().to_str().is_none() {
            return Err(not_utf8(entry.path()));
        }
        files.push(clean(entry.path()));
    }
    Ok(files)
}

/// # Errors
/// There are too many files and folders in `dir`.
pub fn ensure_few(count: usize, dir: &Path) -> io::Result<()> {
    match count < MOST_ENTRIES {
        true => Ok(()),
        false => {
            let what = format!("{} contains more than {MOST_ENTRIES} files: choose a smaller folder", dir.display());
            Err(io::Error::new(io::ErrorKind::InvalidInput, what))
        }
    }
}

/// Of a file that counts, and has a name that kgen cannot say.
pub fn not_utf8(path: &Path) -> io::Error {
    let what = format!("the name of {} is not UTF-8: rename the file", path.display());
    io::Error::new(io::ErrorKind::InvalidData, what)
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

/// Whether a folder holds what does not belong together: the root, the one for temporary files, someone's home.
fn is_everybodys(dir: &Path) -> bool {
    let home = env::var_os("HOME").map(PathBuf::from);
    let is_it = |other: PathBuf| fs::canonicalize(other).is_ok_and(|other| other == dir);
    dir.parent().is_none() || is_it(env::temp_dir()) || home.is_some_and(is_it) || dir == Path::new("/tmp")
}

#[cfg(test)]
mod tests {
    use std::{
        ffi::OsStr,
        os::unix::{ffi::OsStrExt as _, fs::symlink},
    };

    use super::*;

    #[test]
    fn what_cannot_be_read_is_listed_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let at = |name: &str| root.join(name);
        for folder in [".git", "infra/folder.tf", "envs", "vendor"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        fs::write(at("infra/main.tf"), "").unwrap();
        fs::write(at("vendor/main.tf"), "").unwrap();
        symlink("nowhere", at("infra/broken.yaml")).unwrap();
        symlink("../envs", at("infra/link.tf")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("envs/pipe.tfvars"), rustix::fs::Mode::RWXU).unwrap();
        assert_eq!(files_below(&at("infra")).unwrap(), [at("infra/broken.yaml"), at("infra/main.tf")]);
        assert_eq!(files_around(&at("infra")).unwrap(), [at("envs/pipe.tfvars")]);
        fs::write(at("envs").join(OsStr::from_bytes(b"\xff.tfvars")), "").unwrap();
        assert!(files_around(&at("infra")).unwrap_err().to_string().contains("is not UTF-8"));
        assert!(files_below(&at("infra/gone")).is_err());
    }
}
