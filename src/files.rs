//! Reads files within limits, and replaces them completely or not at all.

pub mod bounded;
mod kept;
mod leftovers;

pub mod own;

use std::{
    fs::{self, File, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

pub use kept::NotKept;
pub use leftovers::remove_leftovers;

use kept::Kept;

/// The text of a file; nothing where there is none.
///
/// # Errors
/// It is there and cannot be read, or is larger than a file of text is.
pub fn text(path: &Path) -> anyhow::Result<Option<String>> {
    match bounded::text(path, bounded::TEXT_BYTES) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

/// What the system says of links that lead in a circle.
const LOOP: i32 = rustix::io::Errno::LOOP.raw_os_error();

/// New contents of a file, written and synced beside it. Dropped without [`Staged::commit`], nothing has happened.
#[derive(Debug)]
pub struct Staged {
    file: tempfile::NamedTempFile,
    path: PathBuf,
    /// The folder, opened while nothing has changed yet.
    dir: File,
    sync: fn(&File) -> io::Result<()>,
}

/// Why new contents did not come into the place of the old, or perhaps do not stay there.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The old file is untouched.
    #[error(transparent)]
    NotReplaced(io::Error),
    /// The new file is there.
    #[error("it has its new contents, but a power loss may still undo them: syncing its folder failed ({0})")]
    NotSynced(io::Error),
}

impl Staged {
    /// Writes `bytes` beside `path`, with the owner, group, mode and extended attributes of what is there. A new file gets
    /// what the umask leaves. What killed runs have left in the folder is removed.
    ///
    /// # Errors
    /// [`NotKept`] inside, or whatever the file system says; nothing is left behind.
    pub fn new(path: &Path, bytes: &[u8]) -> io::Result<Staged> {
        let (path, kept) = replaceable(path)?;
        let folder = dir_of(&path);
        let dir = File::open(folder)?;
        remove_leftovers(folder);
        let mode = if kept.is_some() { 0o600 } else { 0o666 };
        let mut file = leftovers::temporary(folder, mode)?;
        file.write_all(bytes)?;
        if let Some(kept) = kept {
            kept.give_to(file.as_file())?;
        }
        file.as_file().sync_all()?;
        Ok(Staged { file, path, dir, sync: sync_folder })
    }

    /// Puts the new contents in the place of the old.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub fn commit(self) -> Result<(), CommitError> {
        self.file.persist(&self.path).map_err(|error| CommitError::NotReplaced(error.error))?;
        (self.sync)(&self.dir).map_err(CommitError::NotSynced)
    }

    /// With another way to sync the folder.
    #[cfg(test)]
    pub fn with_sync(self, sync: fn(&File) -> io::Result<()>) -> Staged {
        Staged { sync, ..self }
    }
}

impl From<CommitError> for io::Error {
    fn from(error: CommitError) -> io::Error {
        match error {
            CommitError::NotReplaced(error) => error,
            error @ CommitError::NotSynced(_) => io::Error::other(error),
        }
    }
}

/// Writes `bytes` to `path` whole or not at all: beside it, synced, renamed. Keeps what [`Staged::new`] keeps.
///
/// # Errors
/// [`NotKept`] or [`CommitError`] inside, or whatever the file system says. The old file is then untouched, except where
/// the error says that it is not.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    Ok(Staged::new(path, bytes)?.commit()?)
}

/// Checks that the file at `path`, if there is one, may be replaced. Changes nothing.
///
/// # Errors
/// [`NotKept`] inside, or whatever the file system says.
pub fn ensure_replaceable(path: &Path) -> io::Result<()> {
    replaceable(path).map(drop)
}

/// The file that `path` leads to, and what it keeps: a link stays a link, and what it points to is replaced.
fn replaceable(path: &Path) -> io::Result<(PathBuf, Option<Kept>)> {
    let path = match path.canonicalize() {
        Ok(path) => path,
        Err(error) if error.kind() == ErrorKind::NotFound && !path.is_symlink() => path.to_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(LOOP) => {
            return Err(NotKept::BrokenLink.into());
        }
        Err(error) => return Err(error),
    };
    let kept = Kept::of(&path)?;
    Ok((path, kept))
}

/// Whether `error` says that a file is not one that kgen replaces or reads, so that nothing was begun.
pub fn is_refusal(error: &anyhow::Error) -> bool {
    let inner = |cause: &(dyn std::error::Error + 'static)| {
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner
            .is_some_and(|inner| inner.is::<NotKept>() || inner.is::<bounded::Unbounded>() || inner.is::<own::NotOwn>())
    };
    error.chain().any(inner)
}

/// `mode` as far as the umask of this process allows it, for what is made by other means than [`Staged`].
pub fn permitted(mode: u32) -> Permissions {
    Permissions::from_mode(mode & !umask())
}

fn umask() -> u32 {
    // Asking the kernel would mean to set it, for all threads. Linux shows it here; elsewhere the usual one is taken.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let shown = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    shown.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o022)
}

/// Some file systems have no folders that could be synced, and say so.
fn sync_folder(dir: &File) -> io::Result<()> {
    match dir.sync_all() {
        Err(error) if [ErrorKind::InvalidInput, ErrorKind::Unsupported].contains(&error.kind()) => Ok(()),
        synced => synced,
    }
}

fn dir_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_keeps_its_mode_and_its_link() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace_file(&link, b"new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(link.is_symlink());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert!(replace_file(&link, b"new").unwrap_err().to_string().starts_with("it is a broken symbolic link"));
        assert!(link.is_symlink());
    }

    #[test]
    fn a_folder_that_cannot_be_synced_is_said_with_the_file_new() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "old").unwrap();
        let staged = Staged::new(&file, b"new").unwrap().with_sync(|_| Err(io::Error::other("no room")));
        let error = staged.commit().unwrap_err();
        assert!(matches!(error, CommitError::NotSynced(_)), "{error}");
        assert!(error.to_string().starts_with("it has its new contents"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    }
}
