//! Files that are read if they are there, and replaced whole or not at all.

pub mod own;

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

/// The text of a file; nothing where there is none.
///
/// # Errors
/// It is there and cannot be read.
pub fn text(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

/// New contents of a file, written and synced beside it. Dropped without [`Staged::commit`], nothing has happened.
#[derive(Debug)]
pub struct Staged {
    file: tempfile::NamedTempFile,
    path: PathBuf,
}

impl Staged {
    /// Writes `bytes` beside `path`, with the permissions of what is there.
    ///
    /// # Errors
    /// Whatever the file system says; nothing is left behind.
    pub fn new(path: &Path, bytes: &[u8]) -> std::io::Result<Staged> {
        // A link stays a link: what it points to is replaced.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let mut file = tempfile::NamedTempFile::new_in(dir_of(&path))?;
        file.write_all(bytes)?;
        let permissions = match fs::metadata(&path) {
            Ok(metadata) => metadata.permissions(),
            Err(_) => PermissionsExt::from_mode(0o644),
        };
        file.as_file().set_permissions(permissions)?;
        file.as_file().sync_all()?;
        Ok(Staged { file, path })
    }

    /// Puts the new contents in the place of the old.
    ///
    /// # Errors
    /// Whatever the file system says; the old file is then untouched.
    pub fn commit(self) -> std::io::Result<()> {
        self.file.persist(&self.path)?;
        File::open(dir_of(&self.path))?.sync_all()
    }
}

/// Writes `bytes` to `path` whole or not at all: beside it, synced, renamed. Keeps the permissions of what was there.
///
/// # Errors
/// Whatever the file system says; the old file is then untouched.
pub fn replace_file(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    Staged::new(path, bytes)?.commit()
}

fn dir_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_keeps_its_mode_and_its_link() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("real"), dir.path().join("link"));
        std::fs::write(&file, "old").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace_file(&link, b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        assert!(link.is_symlink());
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
