//! One string of one file, replaced.

use std::{
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
            replacement: file.quoted(new),
            before: file.text.clone(),
        }
    }

    /// The whole file afterwards.
    pub fn after(&self) -> String {
        let mut text = self.before.clone();
        text.replace_range(self.span.clone(), &self.replacement);
        text
    }
}

/// A folder as it is after an edit.
pub struct Changed<'a> {
    pub folder: &'a dyn Folder,
    pub edit: &'a Edit,
}

impl Folder for Changed<'_> {
    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.folder.names(dir)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path == self.edit.file {
            true => Ok(self.edit.after().into_bytes()),
            false => self.folder.read(path),
        }
    }

    fn assignments_below(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.folder.assignments_below(dir)
    }
}
