//! Replaces several files together, and restores them together.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};

use crate::files::{CommitError, Staged, bounded};

/// What files held before [`replace_all`], so that it can be undone.
#[derive(Debug)]
#[must_use = "drop it when the change stands"]
pub struct Restore(Vec<Replaced>);

#[derive(Debug)]
struct Replaced {
    path: PathBuf,
    /// Nothing, where there was no file.
    before: Option<Vec<u8>>,
    after: Vec<u8>,
}

/// Replaces every file, or none.
///
/// All are written beside their places first, so that a full disk, a file that is not to be replaced or a folder that may
/// not be written is found before anything changes; then they are renamed, and if one cannot be, or its folder cannot be
/// synced, it and those before it are put back. A machine that stops between two renames leaves each file whole, but some
/// old and some new.
///
/// # Errors
/// Whatever the file system says, with the file it said it of.
pub fn replace_all(files: &[(PathBuf, Vec<u8>)]) -> anyhow::Result<Restore> {
    let mut staged = Vec::new();
    for (path, bytes) in files {
        let before = read(path).with_context(|| format!("reading {}", path.display()))?;
        let stage = staged_at(path, bytes)?;
        staged.push((stage, Replaced { path: path.clone(), before, after: bytes.clone() }));
    }
    commit_all(staged)
}

fn commit_all(staged: Vec<(Staged, Replaced)>) -> anyhow::Result<Restore> {
    let mut done = Restore(Vec::new());
    for (stage, replaced) in staged {
        let path = replaced.path.clone();
        let error = match stage.commit() {
            Ok(()) => {
                done.0.push(replaced);
                continue;
            }
            Err(CommitError::NotReplaced(error)) => anyhow::Error::from(error),
            Err(CommitError::NotSynced(error)) => {
                done.0.push(replaced);
                anyhow!("syncing its folder failed ({error})")
            }
        };
        let error = error.context(format!("replacing {}", path.display()));
        return Err(match done.restore() {
            Ok(()) => error.context("no file was changed"),
            Err(undo) => error.context(format!("some files could not be restored ({undo:#})")),
        });
    }
    Ok(done)
}

fn staged_at(path: &Path, bytes: &[u8]) -> anyhow::Result<Staged> {
    Staged::new(path, bytes).with_context(|| format!("replacing {}", path.display()))
}

/// Replaces one file, if it still holds `before` when the new one is written beside it and synced.
///
/// # Errors
/// It was changed in between, or what the file system says; the file is then as it was, unless the error says otherwise.
pub fn replace_unchanged(path: &Path, before: &[u8], after: &[u8]) -> anyhow::Result<()> {
    let stage = staged_at(path, after)?;
    let now = read(path).with_context(|| format!("reading {}", path.display()))?;
    if now.as_deref() != Some(before) {
        bail!("{} was changed by something else in the meantime and was left alone; run this again", path.display());
    }
    let replaced = Replaced { path: path.to_owned(), before: now, after: after.to_vec() };
    drop(commit_all(vec![(stage, replaced)])?);
    Ok(())
}

impl Restore {
    /// Puts every file back as it was. One that someone has changed since is left alone.
    ///
    /// # Errors
    /// Names every file that is not as it was, after all others were put back.
    pub fn restore(self) -> anyhow::Result<()> {
        let mut left = Vec::new();
        for Replaced { path, before, after } in self.0.into_iter().rev() {
            let put_back = match read(&path) {
                Ok(now) if now.as_ref() == Some(&after) => match before {
                    Some(bytes) => put_back(&path, &bytes),
                    None => fs::remove_file(&path),
                },
                Ok(_) => Err(io::Error::other("it was changed by something else in the meantime and was left alone")),
                Err(error) => Err(error),
            };
            if let Err(error) = put_back {
                left.push(format!("{}: {error}", path.display()));
            }
        }
        if !left.is_empty() {
            bail!("not restored: {}", left.join("; "));
        }
        Ok(())
    }
}

/// The old contents count as put back even if the folder cannot be synced: that is why they are.
fn put_back(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match Staged::new(path, bytes)?.commit() {
        Err(CommitError::NotReplaced(error)) => Err(error),
        Ok(()) | Err(CommitError::NotSynced(_)) => Ok(()),
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match bounded::read(path, bounded::TEXT_BYTES) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("old"), dir.path().join("new"));
        fs::write(&old, "before").unwrap();
        (dir, old, new)
    }

    #[test]
    fn all_are_replaced_and_put_back() {
        let (_dir, old, new) = folder();
        let restore = replace_all(&[(old.clone(), b"after".to_vec()), (new.clone(), b"after".to_vec())]).unwrap();
        assert_eq!((fs::read(&old).unwrap(), fs::read(&new).unwrap()), (b"after".to_vec(), b"after".to_vec()));
        restore.restore().unwrap();
        assert_eq!(fs::read(&old).unwrap(), b"before");
        assert!(!new.exists());
    }

    #[test]
    fn a_file_that_is_not_as_expected_is_not_replaced() {
        let (_dir, old, _) = folder();
        let error = replace_unchanged(&old, b"other", b"after").unwrap_err().to_string();
        assert!(error.contains("changed by something else"), "{error}");
        assert_eq!(fs::read(&old).unwrap(), b"before");
        replace_unchanged(&old, b"before", b"after").unwrap();
        assert_eq!(fs::read(&old).unwrap(), b"after");
    }

    #[test]
    fn one_that_fails_leaves_all_as_they_were() {
        let (dir, old, new) = folder();
        let nowhere = dir.path().join("no folder/file");
        let error = replace_all(&[(old.clone(), b"after".to_vec()), (nowhere, b"after".to_vec())]).unwrap_err();
        assert!(format!("{error:#}").contains("no folder/file"), "{error:#}");
        assert_eq!(fs::read(&old).unwrap(), b"before");

        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
        assert!(!new.exists());
    }

    #[test]
    fn a_rename_that_fails_puts_back_those_before_it() {
        let (dir, old, new) = folder();
        let stage = |path: &Path, before: Option<&[u8]>| {
            let replaced =
                Replaced { path: path.to_owned(), before: before.map(<[u8]>::to_vec), after: b"after".to_vec() };
            (Staged::new(path, b"after").unwrap(), replaced)
        };
        let staged = vec![stage(&old, Some(b"before")), stage(&new, None)];
        // A folder appears where the second file should go.
        fs::create_dir(&new).unwrap();
        let error = format!("{:#}", commit_all(staged).unwrap_err());
        assert!(error.starts_with(&format!("no file was changed: replacing {}: ", new.display())), "{error}");
        assert_eq!(fs::read(&old).unwrap(), b"before");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no temporary file is left");
    }

    #[test]
    fn a_folder_that_cannot_be_synced_puts_every_file_back() {
        let (dir, old, new) = folder();
        let stage = |path: &Path, before: Option<&[u8]>, sync: fn(&fs::File) -> io::Result<()>| {
            let replaced =
                Replaced { path: path.to_owned(), before: before.map(<[u8]>::to_vec), after: b"after".to_vec() };
            (Staged::new(path, b"after").unwrap().with_sync(sync), replaced)
        };
        let fails = |_: &fs::File| Err(io::Error::other("I/O error"));
        let staged = vec![stage(&old, Some(b"before"), |_| Ok(())), stage(&new, None, fails)];
        let error = format!("{:#}", commit_all(staged).unwrap_err());
        let expected =
            format!("no file was changed: replacing {}: syncing its folder failed (I/O error)", new.display());
        assert_eq!(error, expected);
        assert_eq!(fs::read(&old).unwrap(), b"before");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "the new file is gone again");
    }

    #[test]
    fn a_file_changed_in_between_is_left_alone() {
        let (_dir, old, new) = folder();
        let restore = replace_all(&[(old.clone(), b"after".to_vec()), (new.clone(), b"after".to_vec())]).unwrap();
        fs::write(&old, "somebody's").unwrap();
        let error = restore.restore().unwrap_err().to_string();
        assert!(error.contains("changed by something else"), "{error}");
        assert_eq!(fs::read(&old).unwrap(), b"somebody's");
        assert!(!new.exists(), "the other is put back all the same");
    }
}
