//! One string of one file, replaced.

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    syntax::{File, Place},
    tree::Folder,
};

/// The bytes of a value and what they become. Everything else of the file stays.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// The bytes of the value, quotes included.
    pub span: Range<usize>,
    /// The value now.
    pub old: String,
    /// What the bytes become.
    replacement: String,
    /// The whole file now.
    pub before: String,
}

impl Edit {
    /// `place` of `file`, which holds `old`, to become the string `new`.
    pub fn new(file: &File, place: &Place, old: &str, new: &str) -> Edit {
        Edit {
            file: file.path.clone(),
            line: file.line(place.start),
            span: place.start..place.end,
            old: old.to_owned(),
            replacement: file.quoted(new, place),
            before: file.text.clone(),
        }
    }

    /// The whole file afterwards.
    pub fn after(&self) -> String {
        let mut text = self.before.clone();
        text.replace_range(self.span.clone(), &self.replacement);
        text
    }

    /// Whether it is of the same bytes.
    pub fn is_at(&self, other: &Edit) -> bool {
        self.file == other.file && self.span == other.span
    }
}

/// Files as they are and as they become with all of `edits`, each file once.
pub fn applied(edits: &[&Edit]) -> Vec<(PathBuf, String, String)> {
    let mut files: BTreeMap<&PathBuf, Vec<&Edit>> = BTreeMap::new();
    for edit in edits {
        let of_file = files.entry(&edit.file).or_default();
        if !of_file.iter().any(|known| known.is_at(edit)) {
            of_file.push(edit);
        }
    }
    let mut found = Vec::new();
    for (file, mut edits) in files {
        // From the end, so that what stands before keeps its place.
        edits.sort_by_key(|edit| std::cmp::Reverse(edit.span.start));
        let before = edits.first().map(|edit| edit.before.clone()).unwrap_or_default();
        let mut after = before.clone();
        edits.iter().for_each(|edit| after.replace_range(edit.span.clone(), &edit.replacement));
        found.push((file.clone(), before, after));
    }
    found
}

/// A folder as it is after edits.
pub struct Changed<'a> {
    folder: &'a dyn Folder,
    files: BTreeMap<PathBuf, String>,
}

impl<'a> Changed<'a> {
    pub fn new(folder: &'a dyn Folder, edits: &[&Edit]) -> Changed<'a> {
        Changed { folder, files: applied(edits).into_iter().map(|(file, _, after)| (file, after)).collect() }
    }
}

impl Folder for Changed<'_> {
    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.folder.names(dir)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.files.get(path) {
            Some(text) => Ok(text.clone().into_bytes()),
            None => self.folder.read(path),
        }
    }

    fn assignments_below(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.folder.assignments_below(dir)
    }

    fn folders(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.folder.folders(dir)
    }

    fn files_below(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.folder.files_below(dir)
    }

    fn files_around(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.folder.files_around(dir)
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        self.folder.absolute(path)
    }
}
