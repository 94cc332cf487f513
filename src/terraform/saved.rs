//! The file of a saved plan: created for one run, verified before it is applied, removed by its owner.
//!
//! Anyone who can write to it as this user could also replace terraform itself; this protects against other runs of
//! kgen, other users, and mistakes.

use std::{
    fmt,
    fs::{self, DirBuilder, File},
    io::{self, ErrorKind, Read as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::{fs::OFlags, io::Errno};
use sha2::{Digest as _, Sha256};

const BEGIN: &str = "plan-";
const END: &str = ".tfplan";

/// Letters of the part of its name that nobody can guess.
const RANDOM: usize = 16;

/// What a saved plan holds, so that it is known again. Displayed in hexadecimal, as `sha256sum` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum([u8; 32]);

/// A file for one plan. It is removed when this is dropped.
#[derive(Debug)]
pub struct PlanFile {
    path: PathBuf,
    /// Locked as long as the plan is in use.
    _open: File,
}

impl PlanFile {
    /// A new, empty file in `dir` that only this user can read.
    pub fn create(dir: &Path) -> io::Result<PlanFile> {
        let random = &uuid::Uuid::new_v4().simple().to_string()[..RANDOM];
        let path = dir.join(format!("{BEGIN}{random}{END}"));
        // Terraform writes into it, so that its mode stays.
        let open = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        let file = PlanFile { path, _open: open };
        file._open.try_lock()?;
        Ok(file)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The checksum of what the file holds now.
    ///
    /// # Errors
    /// What is wrong with it, in words that follow its name.
    pub fn checksum(&self) -> Result<Checksum, String> {
        let unreadable = |error: io::Error| match (error.kind(), Errno::from_io_error(&error)) {
            (ErrorKind::NotFound, _) => "no longer exists".to_owned(),
            (_, Some(Errno::LOOP)) => "was replaced by a link".to_owned(),
            _ => format!("cannot be read ({error})"),
        };
        let mut file = open_no_link(&self.path).map_err(unreadable)?;
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Err("was replaced by something that is not a file".to_owned());
        }
        let (mut digest, mut buffer) = (Sha256::new(), [0; 64 << 10]);
        loop {
            match file.read(&mut buffer).map_err(unreadable)? {
                0 => return Ok(Checksum(digest.finalize().into())),
                read => digest.update(&buffer[..read]),
            }
        }
    }

    /// Checks that the file still holds what has this checksum.
    ///
    /// # Errors
    /// What is wrong with it, in words that follow its name.
    pub fn ensure_is(&self, expected: &Checksum) -> Result<(), String> {
        let found = self.checksum()?;
        if found == *expected {
            return Ok(());
        }
        Err(format!("was changed (its SHA-256 was {expected} and is {found})"))
    }
}

impl Drop for PlanFile {
    fn drop(&mut self) {
        // A later run removes what cannot be removed now.
        let _ = fs::remove_file(&self.path);
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Makes `dir`, for this user only; of one that is there it is made sure.
///
/// # Errors
/// It is a link or no folder, or what the file system says.
pub fn private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).or_else(|error| match error.kind() {
        ErrorKind::AlreadyExists => Ok(()),
        _ => Err(error),
    })?;
    let metadata = fs::symlink_metadata(dir)?;
    if metadata.is_symlink() {
        return Err(io::Error::other("is a symbolic link, but kgen keeps its plans in a real folder: remove the link"));
    }
    if !metadata.is_dir() {
        return Err(io::Error::other("is not a folder: remove it"));
    }
    match metadata.permissions().mode() & 0o077 {
        0 => Ok(()),
        _ => fs::set_permissions(dir, PermissionsExt::from_mode(0o700)),
    }
}

/// Removes the plans in `dir` that nobody uses: of runs that were killed, and of kgen before each run had its own.
pub fn remove_left(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let path = entry.path();
        if name.to_str().is_some_and(is_plan) && !is_in_use(&path) {
            // One that stays does no harm: no run takes the file of another.
            let _ = fs::remove_file(path);
        }
    }
}

fn is_plan(name: &str) -> bool {
    let random = name.strip_prefix(BEGIN).and_then(|name| name.strip_suffix(END));
    name == "plan.tfplan"
        || random.is_some_and(|part| part.len() == RANDOM && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Opens a file to read it. Follows no link and does not wait at a pipe.
fn open_no_link(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    File::options().read(true).custom_flags(flags).open(path)
}

/// Nobody uses a link, or anything else that is not a file: only its name is removed.
fn is_in_use(path: &Path) -> bool {
    let Ok(file) = open_no_link(path) else { return false };
    matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_plan_file_is_private_and_gone_with_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("a/state");
        private_dir(&state).unwrap();
        let (one, two) = (PlanFile::create(&state).unwrap(), PlanFile::create(&state).unwrap());
        assert_ne!(one.path(), two.path());
        assert_eq!(fs::metadata(one.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
        drop((one, two));
        assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
    }

    #[test]
    fn any_other_content_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let file = PlanFile::create(dir.path()).unwrap();
        let other = dir.path().join("other");
        fs::write(file.path(), "the plan").unwrap();
        fs::write(&other, "the plan").unwrap();
        let sum = file.checksum().unwrap();
        file.ensure_is(&sum).unwrap();
        let replaced = |what: &dyn Fn(), expected: &str| {
            what();
            let how = file.ensure_is(&sum).unwrap_err();
            assert!(how.contains(expected), "{how}");
            fs::remove_file(file.path()).or_else(|_| fs::remove_dir(file.path())).unwrap_or_default();
            fs::write(file.path(), "the plan").unwrap();
            file.ensure_is(&sum).unwrap();
        };
        replaced(&|| fs::write(file.path(), "the plaN").unwrap(), "was changed");
        replaced(&|| fs::write(file.path(), "").unwrap(), "was changed");
        replaced(&|| fs::remove_file(file.path()).unwrap(), "no longer exists");
        let put = |make: &dyn Fn()| {
            fs::remove_file(file.path()).unwrap();
            make();
        };
        replaced(&|| put(&|| symlink(&other, file.path()).unwrap()), "a link");
        replaced(&|| put(&|| fs::create_dir(file.path()).unwrap()), "not a file");
        let fifo = || {
            let kind = rustix::fs::FileType::Fifo;
            rustix::fs::mknodat(rustix::fs::CWD, file.path(), kind, 0o600.into(), 0).unwrap();
        };
        replaced(&|| put(&fifo), "not a file");
    }

    #[test]
    fn only_plans_that_nobody_uses_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let used = PlanFile::create(dir.path()).unwrap();
        let at = |name: &str| dir.path().join(name);
        let kept = ["plan-0.tfplan", "plan-0123456789abcdeg.tfplan", "my.tfplan", "terraform.jsonl", "target"];
        kept.iter()
            .chain(&["plan-0123456789abcdef.tfplan", "plan.tfplan"])
            .for_each(|name| fs::write(at(name), "").unwrap());
        symlink(at("target"), at("plan-aaaaaaaaaaaaaaaa.tfplan")).unwrap();
        remove_left(dir.path());
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        let mut expected: Vec<_> = kept.iter().map(|name| at(name)).chain([used.path().to_owned()]).collect();
        left.sort();
        expected.sort();
        assert_eq!(left, expected);
    }

    #[test]
    fn a_state_folder_that_is_a_link_is_refused_and_an_open_one_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::create_dir(&real).unwrap();
        fs::set_permissions(&real, PermissionsExt::from_mode(0o777)).unwrap();
        symlink(&real, &link).unwrap();
        assert!(private_dir(&link).unwrap_err().to_string().contains("is a symbolic link"));
        private_dir(&real).unwrap();
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
