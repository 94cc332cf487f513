//! Terraform's files as they are on the disk.

use std::{
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::repository::{self, ensure_few, not_utf8};
use crate::{
    files::bounded,
    locate::{Folder, clean, is_assignments},
};

/// Folders below a working directory in which files of variables are looked for.
const DEEPEST: usize = 4;

/// What terraform may read, by the end of its name. A file of these kinds that kgen cannot read is never passed over.
const KINDS: [&[u8]; 7] = [b".tf", b".tf.json", b".tfvars", b".tfvars.json", b".hcl", b".tofu", b".tofu.json"];

/// The disk.
#[derive(Debug)]
pub struct Disk;

impl Folder for Disk {
    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for (count, entry) in std::fs::read_dir(dir)?.enumerate() {
            let entry = entry?;
            ensure_few(count, dir)?;
            let name = entry.file_name();
            let is_terraforms = KINDS.iter().any(|kind| name.as_bytes().ends_with(kind));
            // A link counts as what it leads to. Terraform itself passes over folders, and stops at everything else that it
            // cannot read: so does kgen, when it comes to read it.
            if !entry.path().is_file() && (!is_terraforms || entry.file_type()?.is_dir()) {
                continue;
            }
            match name.into_string() {
                Ok(name) => names.push(name),
                Err(name) if is_terraforms => return Err(not_utf8(&dir.join(name))),
                Err(_) => {}
            }
        }
        Ok(names)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        bounded::read(path, bounded::TEXT_BYTES)
    }

    fn assignments_below(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let hidden =
            |entry: &walkdir::DirEntry| entry.depth() > 0 && entry.file_name().to_string_lossy().starts_with('.');
        let entries = walkdir::WalkDir::new(dir).max_depth(DEEPEST).sort_by_file_name().into_iter();
        let mut paths = Vec::new();
        for (count, entry) in entries.filter_entry(|entry| !hidden(entry)).enumerate() {
            let entry = entry.map_err(io::Error::from)?;
            ensure_few(count, dir)?;
            if is_assignments(entry.path()) && !entry.file_type().is_dir() {
                if entry.file_name().to_str().is_none() {
                    return Err(not_utf8(entry.path()));
                }
                paths.push(clean(entry.path()));
            }
        }
        Ok(paths)
    }

    fn folders(&self, dir: &Path) -> io::Result<Vec<String>> {
        repository::folders(dir)
    }

    fn files_below(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        repository::files_below(dir)
    }

    fn files_around(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        repository::files_around(dir)
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        repository::absolute(path)
    }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn what_cannot_be_read_has_a_name_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("main.tf"), "").unwrap();
        symlink("nowhere", at("broken.tf")).unwrap();
        symlink("loop.tf", at("loop.tf")).unwrap();
        symlink("nowhere", at("other")).unwrap();
        fs::create_dir(at("folder.tf")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe.tfvars"), rustix::fs::Mode::RWXU).unwrap();
        let mut names = Disk.names(dir.path()).unwrap();
        names.sort();
        assert_eq!(names, ["broken.tf", "loop.tf", "main.tf", "pipe.tfvars"]);
        assert_eq!(Disk.assignments_below(dir.path()).unwrap(), [at("pipe.tfvars")]);
        for name in ["broken.tf", "loop.tf", "pipe.tfvars"] {
            assert!(Disk.read(&at(name)).is_err(), "{name}");
        }
    }

    #[test]
    fn a_name_that_is_not_utf8_is_an_error_where_it_counts() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(OsStr::from_bytes(b"\xff.txt")), "").unwrap();
        assert_eq!(Disk.names(dir.path()).unwrap(), [""; 0]);
        fs::write(dir.path().join(OsStr::from_bytes(b"\xff.tf")), "").unwrap();
        assert!(Disk.names(dir.path()).unwrap_err().to_string().contains("is not UTF-8"));
    }
}
