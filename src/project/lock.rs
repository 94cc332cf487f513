//! One kgen at a time changes a project.

use std::{
    fs::File,
    io::{Read, Seek, Write},
    path::Path,
};

use anyhow::{Context, bail};
use fs4::{FileExt, TryLockError};

/// Held while a project is changed. The kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
#[must_use = "the project is locked only as long as this lives"]
pub struct Lock(#[expect(dead_code, reason = "it is the open file that holds the lock")] File);

impl Lock {
    /// Locks the folder itself, and leaves no file in it.
    ///
    /// # Errors
    /// Another kgen holds it, or it cannot be opened.
    pub fn folder(dir: &Path) -> anyhow::Result<Lock> {
        let file = File::open(dir).with_context(|| format!("opening {}", dir.display()))?;
        match FileExt::try_lock(&file) {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => {
                bail!("another kgen is changing files in {}; wait for it to end", dir.display())
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", dir.display())),
        }
    }

    pub fn take(kgen_dir: &Path) -> anyhow::Result<Lock> {
        std::fs::create_dir_all(kgen_dir).with_context(|| format!("creating {}", kgen_dir.display()))?;
        let path = kgen_dir.join("lock");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("opening {}", path.display()))?;
        match FileExt::try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who it is only helps the message.
                let _ = file.read_to_string(&mut holder);
                bail!("another kgen ({}) is changing this project; wait for it to end", holder.trim());
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("locking {}", path.display()));
            }
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "process {}", std::process::id()))
            .with_context(|| format!("writing {}", path.display()))?;
        Ok(Lock(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_folder_is_refused_and_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::folder(dir.path()).unwrap();
        assert!(Lock::folder(dir.path()).unwrap_err().to_string().contains("another kgen"));
        drop(first);
        drop(Lock::folder(dir.path()).unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_second_lock_is_refused_and_names_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let kgen_dir = dir.path().join(".kgen");
        let first = Lock::take(&kgen_dir).unwrap();
        let error = Lock::take(&kgen_dir).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("another kgen (process {}) is changing this project; wait for it to end", std::process::id())
        );
        drop(first);
        assert!(Lock::take(&kgen_dir).is_ok());
    }
}
