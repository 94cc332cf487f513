//! kgen's own files: no symbolic link is followed on the way to them.
//!
//! A project folder may come from someone else, and a link in it could make kgen read or overwrite a file anywhere. So
//! from `.kgen` on, no component of a path may be a link, and a file must be a regular file. The way to the project
//! folder, kgen.toml and `terraform/` are the user's and may be links. Of a path without `.kgen`, such as a run in
//! another folder, the last component alone must not be a link when it is written.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Component, Path, PathBuf},
};

use super::bounded;
use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, mkdirat, openat, statat, unlinkat},
    io::Errno,
};

/// The folder below which everything is kgen's own.
const OWN: &str = ".kgen";

/// Where kgen keeps its files in a Terraform folder that it did not write: `.terraform/kgen`.
const ELSEWHERE: [&str; 2] = [".terraform", "kgen"];

/// Bytes of a file of state that [`read`] takes at most.
const READ_MAX: u64 = 256 << 20;

/// Why a path is not one of kgen's own files.
#[derive(Debug, thiserror::Error)]
pub enum NotOwn {
    #[error(
        "{} is a symbolic link, and kgen does not follow links to its own files: remove the link, or replace it with \
         the file it points to",
        .0.display()
    )]
    Link(PathBuf),
    #[error("{} is not a regular file, as kgen needs here: remove it", .0.display())]
    NotAFile(PathBuf),
    #[error("{} is not a folder: remove it", .0.display())]
    NotAFolder(PathBuf),
    #[error("{} leads outside its folder", .0.display())]
    LeadsOut(PathBuf),
}

impl From<NotOwn> for io::Error {
    fn from(error: NotOwn) -> io::Error {
        io::Error::new(ErrorKind::InvalidInput, error)
    }
}

/// Opens a file for reading. Outside of `.kgen`, a link is followed.
///
/// # Errors
/// [`NotOwn`], or what the file system says.
pub fn open(path: &Path) -> io::Result<File> {
    match own_part(path).is_some() {
        true => opened(path, OFlags::RDONLY, 0),
        false => bounded::open(path),
    }
}

/// Reads a file. Outside of `.kgen`, a link is followed.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    bounded::all(open(path)?, READ_MAX)
}

/// Opens a file for writing, empty; made with `mode` if there is none.
///
/// # Errors
/// As [`open`].
pub fn create(path: &Path, mode: u32) -> io::Result<File> {
    let file = opened(path, OFlags::WRONLY | OFlags::CREATE, mode)?;
    // Only now is it known to be a file of kgen's.
    file.set_len(0)?;
    Ok(file)
}

/// Makes a file for writing.
///
/// # Errors
/// As [`open`]; `AlreadyExists` when there is one.
pub fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    opened(path, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL, mode)
}

/// Opens a file for reading and for appending; made with `mode` if there is none.
///
/// # Errors
/// As [`open`].
pub fn append(path: &Path, mode: u32) -> io::Result<File> {
    opened(path, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE, mode)
}

/// Opens a file that is there for reading and for appending.
///
/// # Errors
/// As [`open`].
pub fn append_existing(path: &Path) -> io::Result<File> {
    opened(path, OFlags::RDWR | OFlags::APPEND, 0)
}

/// Opens a file to be locked, with what is in it; made if there is none.
///
/// # Errors
/// As [`open`].
pub fn lockable(path: &Path) -> io::Result<File> {
    opened(path, OFlags::RDWR | OFlags::CREATE, 0o666)
}

/// Replaces a file whole or not at all.
///
/// # Errors
/// As [`open`]; the old file is then untouched.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match kind(path)? {
        None | Some(FileType::RegularFile) => super::replace_file(path, bytes),
        Some(_) => Err(NotOwn::NotAFile(path.to_owned()).into()),
    }
}

/// Makes a folder with `mode`, and those above it that are missing.
///
/// # Errors
/// As [`open`].
pub fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    let (base, parts) = split(path)?;
    fs::create_dir_all(&base)?;
    let (mut at, mut dir) = (base.clone(), folder(CWD, base.as_os_str(), &base, OFlags::empty())?);
    for (index, part) in parts.iter().enumerate() {
        at.push(part);
        let mode = if index + 1 == parts.len() { mode } else { 0o777 };
        match mkdirat(&dir, *part, Mode::from_raw_mode(mode as _)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        dir = folder(&dir, part, &at, OFlags::NOFOLLOW)?;
    }
    Ok(())
}

/// Removes a file, which may be missing. A link itself is removed, not what it points to.
///
/// # Errors
/// As [`open`].
pub fn remove_file(path: &Path) -> io::Result<()> {
    let removed = parent(path).and_then(|(dir, name)| Ok(unlinkat(&dir, name, AtFlags::empty())?));
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a folder and all that is in it; it may be missing. Links in it are removed, not what they point to.
///
/// # Errors
/// As [`open`].
pub fn remove_folder(path: &Path) -> io::Result<()> {
    match kind(path)? {
        None => Ok(()),
        Some(FileType::Directory) => fs::remove_dir_all(path),
        Some(_) => Err(NotOwn::NotAFolder(path.to_owned()).into()),
    }
}

/// Checks that no component of `path` from `.kgen` on is a link. It may be missing.
///
/// # Errors
/// As [`open`].
pub fn check(path: &Path) -> io::Result<()> {
    kind(path).map(drop)
}

/// Checks the folder `path` as [`check`] does, and that nothing directly in it is a link. It may be missing.
///
/// # Errors
/// As [`open`].
pub fn check_folder(path: &Path) -> io::Result<()> {
    match kind(path)? {
        None => return Ok(()),
        Some(FileType::Directory) => {}
        Some(_) => return Err(NotOwn::NotAFolder(path.to_owned()).into()),
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_symlink() {
            return Err(NotOwn::Link(entry.path()).into());
        }
    }
    Ok(())
}

/// As [`check_folder`], for everything below the folder: for those that other programs write in.
///
/// # Errors
/// As [`open`].
pub fn check_tree(path: &Path) -> io::Result<()> {
    check_folder(path)?;
    for entry in walkdir::WalkDir::new(path).min_depth(1) {
        match entry {
            Ok(entry) if entry.path_is_symlink() => return Err(NotOwn::Link(entry.into_path()).into()),
            Ok(_) => {}
            Err(error) => match error.into_io_error() {
                // What a program removes meanwhile is no longer there to be followed.
                Some(error) if error.kind() == ErrorKind::NotFound => {}
                Some(error) => return Err(error),
                None => {}
            },
        }
    }
    Ok(())
}

/// The type of what is at `path`; nothing where there is nothing.
fn kind(path: &Path) -> io::Result<Option<FileType>> {
    let found = parent(path).and_then(|(dir, name)| Ok(statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?));
    match found.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::Symlink) => Err(NotOwn::Link(path.to_owned()).into()),
        Ok(kind) => Ok(Some(kind)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn opened(path: &Path, flags: OFlags, mode: u32) -> io::Result<File> {
    let (dir, name) = parent(path)?;
    // Opening a named pipe must not wait for whoever is at its other end.
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = openat(&dir, name, flags, Mode::from_raw_mode(mode as _))
        .map_err(|error| reason(&dir, name, path, FileType::RegularFile, error))?;
    match FileType::from_raw_mode(fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(File::from(file)),
        _ => Err(NotOwn::NotAFile(path.to_owned()).into()),
    }
}

/// The folder that `path` is in, reached without a link, and its name there.
fn parent(path: &Path) -> io::Result<(OwnedFd, &OsStr)> {
    let (base, parts) = split(path)?;
    let (name, folders) = parts.split_last().ok_or_else(|| NotOwn::LeadsOut(path.to_owned()))?;
    let (mut at, mut dir) = (base.clone(), folder(CWD, base.as_os_str(), &base, OFlags::empty())?);
    for part in folders {
        at.push(part);
        dir = folder(&dir, part, &at, OFlags::NOFOLLOW)?;
    }
    Ok((dir, name))
}

fn folder(dir: impl rustix::fd::AsFd, name: &OsStr, at: &Path, follow: OFlags) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | follow;
    openat(&dir, name, flags, Mode::empty()).map_err(|error| reason(&dir, name, at, FileType::Directory, error))
}

/// Why `name` in `dir`, which is `at`, could not be opened as a `wanted`.
fn reason(dir: impl rustix::fd::AsFd, name: &OsStr, at: &Path, wanted: FileType, error: Errno) -> io::Error {
    let found = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| FileType::from_raw_mode(stat.st_mode));
    match found {
        // Before the own part, a link may lead nowhere.
        Ok(FileType::Symlink) if [Errno::LOOP, Errno::NOTDIR, Errno::MLINK].contains(&error) => {
            NotOwn::Link(at.to_owned()).into()
        }
        Ok(found) if found != wanted && wanted == FileType::Directory => NotOwn::NotAFolder(at.to_owned()).into(),
        Ok(found) if found != wanted && error != Errno::EXIST => NotOwn::NotAFile(at.to_owned()).into(),
        _ => error.into(),
    }
}

/// What comes before the part of `path` that is kgen's own, and that part. Without `.kgen` it is the last component.
fn split(path: &Path) -> io::Result<(PathBuf, Vec<&OsStr>)> {
    let components: Vec<Component> = path.components().collect();
    let from = own_part(path).unwrap_or(components.len().saturating_sub(1));
    let base: PathBuf = components[..from].iter().collect();
    let part = |component: &Component<'_>| matches!(component, Component::Normal(_));
    if !components[from..].iter().all(part) {
        return Err(NotOwn::LeadsOut(path.to_owned()).into());
    }
    let base = if base.as_os_str().is_empty() { PathBuf::from(".") } else { base };
    Ok((base, path.iter().skip(from).collect()))
}

/// The index of the component from which on `path` is kgen's own.
fn own_part(path: &Path) -> Option<usize> {
    let components: Vec<&OsStr> = path.components().map(Component::as_os_str).collect();
    let own = components.iter().position(|name| *name == OWN);
    let elsewhere = components.windows(2).position(|pair| pair[0] == ELSEWHERE[0] && pair[1] == ELSEWHERE[1]);
    own.or(elsewhere.map(|at| at + 1))
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, os::unix::fs::symlink};

    use super::*;

    /// A project with a victim beside it, and what a hostile folder could hold.
    struct Scene(tempfile::TempDir);

    impl Scene {
        fn new() -> Scene {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("project")).unwrap();
            fs::create_dir(dir.path().join("elsewhere")).unwrap();
            fs::write(dir.path().join("elsewhere/victim"), "untouched").unwrap();
            Scene(dir)
        }

        fn own(&self, name: &str) -> PathBuf {
            let own = self.0.path().join("project/.kgen");
            if name.is_empty() { own } else { own.join(name) }
        }

        fn victim(&self) -> PathBuf {
            self.0.path().join("elsewhere/victim")
        }

        #[track_caller]
        fn ensure_untouched(&self) {
            assert_eq!(fs::read_to_string(self.victim()).unwrap(), "untouched");
            assert_eq!(fs::read_dir(self.0.path().join("elsewhere")).unwrap().count(), 1);
        }
    }

    #[track_caller]
    fn ensure_refused<T>(result: io::Result<T>, words: &str) {
        let error = result.err().expect("it is refused").to_string();
        assert!(error.contains(words), "{error}");
    }

    type Way = fn(&Path) -> io::Result<()>;

    const WAYS: [(&str, Way); 9] = [
        ("open", |path| open(path).map(drop)),
        ("read", |path| read(path).map(drop)),
        ("create", |path| create(path, 0o600).map(drop)),
        ("append", |path| append(path, 0o600).map(drop)),
        ("append_existing", |path| append_existing(path).map(drop)),
        ("lockable", |path| lockable(path).map(drop)),
        ("replace", |path| replace(path, b"new")),
        ("check", check),
        ("remove_folder", remove_folder),
    ];

    #[test]
    fn a_link_in_any_place_is_refused_and_not_followed() {
        for (name, way) in WAYS {
            let scene = Scene::new();
            fs::create_dir_all(scene.own("runs")).unwrap();
            symlink(scene.victim(), scene.own("runs/file")).unwrap();
            symlink(scene.victim().parent().unwrap(), scene.own("lab")).unwrap();
            ensure_refused(way(&scene.own("runs/file")), "file is a symbolic link");
            ensure_refused(way(&scene.own("lab/victim")), "lab is a symbolic link");
            ensure_refused(way(&scene.own("runs/../lab/victim")), "leads outside its folder");
            scene.ensure_untouched();
            assert!(scene.own("runs/file").is_symlink(), "{name}");
        }
    }

    #[test]
    fn the_folder_itself_may_not_be_a_link_but_the_way_to_it_may() {
        for (_, way) in WAYS {
            let scene = Scene::new();
            symlink(scene.victim().parent().unwrap(), scene.own("")).unwrap();
            ensure_refused(way(&scene.own("victim")), ".kgen is a symbolic link");
            scene.ensure_untouched();
        }
        let scene = Scene::new();
        symlink("project", scene.0.path().join("link")).unwrap();
        let file = scene.0.path().join("link/.kgen/runs/file");
        make_folder(file.parent().unwrap(), 0o700).unwrap();
        create(&file, 0o600).unwrap().write_all(b"own").unwrap();
        append(&file, 0o600).unwrap().write_all(b" file").unwrap();
        assert_eq!(read(&scene.own("runs/file")).unwrap(), b"own file");
        replace(&file, b"other").unwrap();
        assert_eq!(read(&file).unwrap(), b"other");
        remove_file(&file).unwrap();
        remove_file(&file).unwrap();
        assert_eq!(open(&file).unwrap_err().kind(), ErrorKind::NotFound);
        remove_folder(&scene.own("")).unwrap();
        remove_folder(&scene.own("")).unwrap();
    }

    #[test]
    fn folders_are_not_made_through_a_link() {
        let scene = Scene::new();
        fs::create_dir(scene.own("")).unwrap();
        symlink(scene.victim().parent().unwrap(), scene.own("runs")).unwrap();
        ensure_refused(make_folder(&scene.own("runs/one"), 0o700), "runs is a symbolic link");
        fs::write(scene.own("file"), "").unwrap();
        ensure_refused(make_folder(&scene.own("file/one"), 0o700), "file is not a folder");
        ensure_refused(check_folder(&scene.own("")), "runs is a symbolic link");
        fs::remove_file(scene.own("runs")).unwrap();
        check_folder(&scene.own("")).unwrap();
        fs::create_dir(scene.own("deep")).unwrap();
        symlink(scene.victim(), scene.own("deep/link")).unwrap();
        check_folder(&scene.own("")).unwrap();
        ensure_refused(check_tree(&scene.own("")), "deep/link is a symbolic link");
        scene.ensure_untouched();
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        for (_, way) in &WAYS[..7] {
            let scene = Scene::new();
            fs::create_dir(scene.own("")).unwrap();
            let pipe = scene.own("pipe");
            rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
            ensure_refused(way(&pipe), "pipe is not a regular file");
        }
    }

    #[test]
    fn of_another_path_the_last_component_is_no_link_when_it_is_written() {
        let scene = Scene::new();
        let link = scene.0.path().join("project/report.html");
        symlink(scene.victim(), &link).unwrap();
        ensure_refused(replace(&link, b"new"), "report.html is a symbolic link");
        ensure_refused(create(&link, 0o600), "report.html is a symbolic link");
        assert_eq!(read(&link).unwrap(), b"untouched");
        let elsewhere = scene.0.path().join("project/.terraform/kgen");
        fs::create_dir(elsewhere.parent().unwrap()).unwrap();
        symlink(scene.victim().parent().unwrap(), &elsewhere).unwrap();
        ensure_refused(append(&elsewhere.join("terraform.jsonl"), 0o600), "kgen is a symbolic link");
        scene.ensure_untouched();
    }
}
