//! What a file keeps when it is replaced: owner, group, mode, extended attributes. A file that could not keep them, or
//! must not be written, is refused.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

use rustix::fs::Access;
use xattr::FileExt as _;

use super::bounded::Kind;

/// Why a file is not replaced.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    #[error("it is {0}, not a regular file: replace it with a regular file")]
    NoFile(Kind),
    #[error("it is a broken symbolic link: remove the link, or create the file it points to")]
    BrokenLink,
    #[error(
        "it has {0} hard links, and the others would keep the old contents: turn it into a separate file first (cp -p \
         FILE NEW && mv NEW FILE)"
    )]
    HardLinks(u64),
    #[error("it is read-only (mode {0:04o}): make it writable first (chmod u+w)")]
    ReadOnly(u32),
    #[error("it cannot be written ({0}): change its permissions, or run kgen as a user who can write it")]
    NotWritable(io::Error),
    #[error("its {flag} flag is set: clear it first (chattr -{letter})")]
    Flagged { flag: &'static str, letter: char },
    #[error("{what} cannot be preserved ({source}): run kgen as the file's owner, or edit the file by hand")]
    Lost { what: String, source: io::Error },
}

impl From<NotKept> for io::Error {
    fn from(error: NotKept) -> io::Error {
        io::Error::new(io::ErrorKind::PermissionDenied, error)
    }
}

/// What the file at `path` is besides its contents.
#[derive(Debug)]
pub struct Kept {
    path: PathBuf,
    metadata: Metadata,
}

impl Kept {
    /// `None` where there is no file.
    ///
    /// # Errors
    /// [`NotKept`] inside: the file is not to be replaced.
    pub fn of(path: &Path) -> io::Result<Option<Kept>> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if let Some(kind) = Kind::of(metadata.file_type()) {
            return Err(NotKept::NoFile(kind).into());
        }
        if let Some((flag, letter)) = flag(path) {
            return Err(NotKept::Flagged { flag, letter }.into());
        }
        // Root may write any file; that one is read-only is meant for root too.
        if metadata.mode() & 0o222 == 0 {
            return Err(NotKept::ReadOnly(metadata.mode() & 0o7777).into());
        }
        if let Err(error) = rustix::fs::access(path, Access::WRITE_OK) {
            return Err(NotKept::NotWritable(error.into()).into());
        }
        if metadata.nlink() > 1 {
            return Err(NotKept::HardLinks(metadata.nlink()).into());
        }
        Ok(Some(Kept { path: path.to_owned(), metadata }))
    }

    /// Makes `file` what the old one was.
    ///
    /// # Errors
    /// [`NotKept::Lost`] inside.
    pub fn give_to(&self, file: &File) -> io::Result<()> {
        let (owner, group) = (self.metadata.uid(), self.metadata.gid());
        let now = file.metadata()?;
        if (now.uid(), now.gid()) != (owner, group) {
            let what = format!("its owner and group ({owner}:{group})");
            fchown(file, Some(owner), Some(group)).map_err(|source| NotKept::Lost { what, source })?;
        }
        let mode = self.metadata.mode() & 0o7777;
        let lost_mode = |source| NotKept::Lost { what: format!("its mode ({mode:04o})"), source };
        // After the owner, as a change of owner takes set-user-ID away.
        file.set_permissions(Permissions::from_mode(mode)).map_err(lost_mode)?;
        self.give_attributes(file)?;
        let now = file.metadata()?;
        if now.mode() & 0o7777 != mode {
            return Err(lost_mode(io::Error::other("the file system assigns a different one")).into());
        }
        Ok(())
    }

    /// Access control lists are attributes too.
    fn give_attributes(&self, file: &File) -> io::Result<()> {
        let lost = |name: &OsString, source| NotKept::Lost {
            what: format!("its extended attribute {}", name.to_string_lossy()),
            source,
        };
        let names = supported(xattr::list(&self.path).map(Iterator::collect::<Vec<OsString>>))?.unwrap_or_default();
        for name in &names {
            let Some(value) = xattr::get(&self.path, name).map_err(|source| lost(name, source))? else { continue };
            // Where it is so already, as a label of the folder's, setting it again could only fail.
            if file.get_xattr(name).ok().flatten().as_ref() != Some(&value) {
                file.set_xattr(name, &value).map_err(|source| lost(name, source))?;
            }
        }
        // A folder may give new files an access control list that the old one does not have.
        let given = supported(file.list_xattr().map(Iterator::collect::<Vec<OsString>>))?.unwrap_or_default();
        let is_extra = |name: &&OsString| {
            !names.contains(name) && ["system.", "user."].iter().any(|start| name.to_string_lossy().starts_with(start))
        };
        for name in given.iter().filter(is_extra) {
            file.remove_xattr(name).map_err(|source| lost(name, source))?;
        }
        Ok(())
    }
}

/// Nothing where the file system has no extended attributes.
fn supported<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(error),
    }
}

/// A flag of the file that keeps it from being replaced, by the name and the letter that chattr(1) has for it.
#[cfg(target_os = "linux")]
fn flag(path: &Path) -> Option<(&'static str, char)> {
    use rustix::fs::IFlags;
    // Without flags, or without a way to ask for them, the file system decides when the file is replaced.
    let flags = rustix::fs::ioctl_getflags(super::bounded::open(path).ok()?).ok()?;
    let known = [(IFlags::IMMUTABLE, "immutable", 'i'), (IFlags::APPEND, "append-only", 'a')];
    known.into_iter().find(|(flag, ..)| flags.contains(*flag)).map(|(_, name, letter)| (name, letter))
}

#[cfg(not(target_os = "linux"))]
fn flag(_: &Path) -> Option<(&'static str, char)> {
    None
}

#[cfg(test)]
mod tests {
    use super::{super::replace_file, *};

    fn file(mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        (dir, file)
    }

    #[test]
    fn mode_and_attributes_are_kept() {
        let (_dir, file) = file(0o640);
        let is_supported = xattr::set(&file, "user.kgen", b"\0value").is_ok();
        replace_file(&file, b"new").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
        if is_supported {
            assert_eq!(xattr::get(&file, "user.kgen").unwrap().as_deref(), Some(&b"\0value"[..]));
        }
    }

    #[test]
    fn owner_and_group_are_kept_by_root() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let (_dir, file) = file(0o4750);
        std::os::unix::fs::chown(&file, Some(1234), Some(2345)).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o4750)).unwrap();
        replace_file(&file, b"new").unwrap();
        let now = fs::metadata(&file).unwrap();
        assert_eq!((now.uid(), now.gid(), now.mode() & 0o7777), (1234, 2345, 0o4750));
    }

    #[test]
    fn what_cannot_stay_as_it_was_is_refused() {
        let check = |mode: u32, links: usize, expected: &str| {
            let (dir, file) = file(mode);
            for link in 1..links {
                fs::hard_link(&file, dir.path().join(format!("link{link}"))).unwrap();
            }
            let error = replace_file(&file, b"new").unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
            assert_eq!(fs::read_to_string(&file).unwrap(), "old");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), links, "no temporary file is left");
        };
        check(0o444, 1, "it is read-only (mode 0444)");
        check(0o555, 1, "it is read-only (mode 0555)");
        check(0o644, 3, "it has 3 hard links");
    }

    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        let error = replace_file(&pipe, b"new").unwrap_err().to_string();
        assert!(error.starts_with("it is a named pipe"), "{error}");
    }
}
