//! Terraform's files as they are on the disk.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::repository;
use crate::locate::{Folder, is_assignments};

/// Folders below a working directory in which files of variables are looked for.
const DEEPEST: usize = 4;

/// The disk.
#[derive(Debug)]
pub struct Disk;

impl Folder for Disk {
    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            // A link counts as what it leads to.
            if entry.path().is_file() {
                names.extend(entry.file_name().into_string().ok());
            }
        }
        Ok(names)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn assignments_below(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let hidden =
            |entry: &walkdir::DirEntry| entry.depth() > 0 && entry.file_name().to_string_lossy().starts_with('.');
        let entries = walkdir::WalkDir::new(dir).max_depth(DEEPEST).sort_by_file_name().into_iter();
        let entries = entries.filter_entry(|entry| !hidden(entry)).filter_map(Result::ok);
        Ok(entries.map(|entry| crate::locate::clean(entry.path())).filter(|path| is_assignments(path)).collect())
    }

    fn folders(&self, dir: &Path) -> io::Result<Vec<String>> {
        repository::folders(dir)
    }

    fn files_below(&self, dir: &Path) -> Vec<PathBuf> {
        repository::files_below(dir)
    }

    fn files_around(&self, dir: &Path) -> Vec<PathBuf> {
        repository::files_around(dir)
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        repository::absolute(path)
    }
}
