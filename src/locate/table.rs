//! A tree of files without a disk.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use super::{
    syntax::is_assignments,
    tree::{Folder, clean},
};

/// Files by path.
#[derive(Debug, Default)]
pub struct Table(pub BTreeMap<PathBuf, Vec<u8>>);

impl Folder for Table {
    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        let dir = clean(dir);
        let inside = |path: &&PathBuf| dir == Path::new(".") || path.starts_with(&dir);
        if !self.0.keys().any(|path| inside(&path)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let here = self.0.keys().filter(|path| clean(path.parent().unwrap_or(Path::new(""))) == dir);
        Ok(here.map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned()).collect())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.get(&clean(path)).cloned().ok_or(io::ErrorKind::NotFound.into())
    }

    fn assignments_below(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let dir = clean(dir);
        let below = |path: &&PathBuf| (dir == Path::new(".") || path.starts_with(&dir)) && is_assignments(path);
        Ok(self.0.keys().filter(below).cloned().collect())
    }
}
