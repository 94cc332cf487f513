//! A tree of files without a disk.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use super::{
    syntax::is_assignments,
    tree::{Folder, clean, is_of_interest},
};

/// Files by path.
#[derive(Debug, Default)]
pub struct Table(pub BTreeMap<PathBuf, Vec<u8>>);

/// Where the table is taken to lie.
const AT: &str = "/repository";

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

    fn folders(&self, dir: &Path) -> io::Result<Vec<String>> {
        let dir = clean(dir);
        let below = self.0.keys().filter_map(|path| match dir == Path::new(".") {
            true => Some(path.as_path()),
            false => path.strip_prefix(&dir).ok(),
        });
        let first = |path: &Path| {
            let mut parts = path.components();
            let name = parts.next()?.as_os_str().to_string_lossy().into_owned();
            parts.next().map(|_| name)
        };
        let names: std::collections::BTreeSet<String> = below.filter_map(first).collect();
        Ok(names.into_iter().collect())
    }

    fn files_below(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let dir = clean(dir);
        Ok(self.visible().filter(|path| dir == Path::new(".") || path.starts_with(&dir)).cloned().collect())
    }

    fn files_around(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let dir = clean(dir);
        Ok(self.visible().filter(|path| dir != Path::new(".") && !path.starts_with(&dir)).cloned().collect())
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        clean(&Path::new(AT).join(path))
    }
}

impl Table {
    /// Files of interest that are in no hidden folder.
    fn visible(&self) -> impl Iterator<Item = &PathBuf> {
        let is_hidden = |path: &Path| path.components().any(|part| part.as_os_str().to_string_lossy().starts_with('.'));
        self.0.keys().filter(move |path| is_of_interest(path) && !is_hidden(path))
    }
}
