//! Reads files that kgen did not write: only regular files, and only up to a maximum size.
//!
//! A named pipe or a device would keep a reader waiting, or never end. Every path that a person or a stranger chose is
//! opened here.

use std::{
    fmt,
    fs::{File, FileType},
    io::{self, BufRead, Read, Seek as _, SeekFrom},
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::fs::OFlags;

/// Most bytes of a kgen.toml; the longest that renders has a few thousand.
pub const KGEN_TOML_BYTES: u64 = 1 << 20;

/// Most bytes of a file that a person or a small program wrote: Terraform, variables, targets, manifests.
pub const TEXT_BYTES: u64 = 8 << 20;

/// Why a file is not read, although it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unbounded {
    #[error("it is {0}, not a regular file")]
    NoFile(Kind),
    #[error("it is larger than {}, the most that kgen reads here", Bytes(*.0))]
    TooLarge(u64),
    #[error("line {line} is longer than {}, the most that kgen reads here", Bytes(*.most))]
    LongLine { line: usize, most: u64 },
    #[error("it has more than {most} {what}, the most that kgen reads here")]
    TooMany { what: &'static str, most: usize },
}

/// What a path leads to in place of a regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    BrokenLink,
    Folder,
    Pipe,
    Socket,
    Device,
    Other,
}

/// A number of bytes, for a person: `8 MiB`.
#[derive(Debug, Clone, Copy)]
pub struct Bytes(pub u64);

/// Opens a regular file to be read. Never waits for another process, as opening a named pipe does.
///
/// # Errors
/// [`Unbounded::NoFile`] inside, or what the file system says.
pub fn open(path: &Path) -> io::Result<File> {
    // Looked at first: opening a device may act on it.
    match std::fs::metadata(path) {
        Ok(metadata) => ensure_regular(metadata.file_type())?,
        // It was meant to be there, so it does not count as absent.
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => {
            return Err(Unbounded::NoFile(Kind::BrokenLink).into());
        }
        Err(error) => return Err(error),
    }
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits() as i32).open(path)?;
    // Looked at again: another file may have taken its place.
    ensure_regular(file.metadata()?.file_type())?;
    Ok(file)
}

/// The bytes of a regular file.
///
/// # Errors
/// [`Unbounded`] inside, or what the file system says.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    all(open(path)?, most)
}

/// The text of a regular file.
///
/// # Errors
/// It is not UTF-8, or as [`read`].
pub fn text(path: &Path, most: u64) -> io::Result<String> {
    let not_utf8 = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not valid UTF-8");
    String::from_utf8(read(path, most)?).map_err(not_utf8)
}

/// All that `source` gives.
///
/// # Errors
/// [`Unbounded::TooLarge`] inside, or what the source says.
pub fn all(source: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(Unbounded::TooLarge(most).into());
    }
    Ok(bytes)
}

/// The last bytes of a file, at most `most` of them.
///
/// # Errors
/// What the file system says.
pub fn tail(mut file: &File, most: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    // It may grow meanwhile.
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The lines of a source that may be long or endless.
#[derive(Debug)]
pub struct Lines<R> {
    source: R,
    line: Vec<u8>,
    number: usize,
    read: u64,
    longest: u64,
    most: u64,
}

impl<R: BufRead> Lines<R> {
    /// Lines of at most `longest` bytes, `most` bytes in all.
    pub fn new(source: R, longest: u64, most: u64) -> Lines<R> {
        Lines { source, line: Vec::new(), number: 0, read: 0, longest, most }
    }

    /// The next line with its number, counted from 1, and without its line break. Nothing at the end.
    ///
    /// # Errors
    /// [`Unbounded`] inside, or what the source says.
    pub fn next_line(&mut self) -> io::Result<Option<(usize, &[u8])>> {
        self.line.clear();
        self.number += 1;
        let read = (&mut self.source).take(self.longest.saturating_add(1)).read_until(b'\n', &mut self.line)?;
        self.read += read as u64;
        if read == 0 {
            return Ok(None);
        }
        if read as u64 > self.longest {
            return Err(Unbounded::LongLine { line: self.number, most: self.longest }.into());
        }
        if self.read > self.most {
            return Err(Unbounded::TooLarge(self.most).into());
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        Ok(Some((self.number, line.strip_suffix(b"\r").unwrap_or(line))))
    }
}

fn ensure_regular(file_type: FileType) -> io::Result<()> {
    match Kind::of(file_type) {
        None => Ok(()),
        Some(kind) => Err(Unbounded::NoFile(kind).into()),
    }
}

impl Kind {
    /// Nothing for a regular file.
    pub fn of(file_type: FileType) -> Option<Kind> {
        Some(match file_type {
            regular if regular.is_file() => return None,
            folder if folder.is_dir() => Kind::Folder,
            pipe if pipe.is_fifo() => Kind::Pipe,
            socket if socket.is_socket() => Kind::Socket,
            device if device.is_char_device() || device.is_block_device() => Kind::Device,
            _ => Kind::Other,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::BrokenLink => "a broken symbolic link",
            Kind::Folder => "a folder",
            Kind::Pipe => "a named pipe",
            Kind::Socket => "a socket",
            Kind::Device => "a device",
            Kind::Other => "something else",
        })
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1 << 20 => write!(f, "{} MiB", bytes >> 20),
            bytes if bytes >= 1 << 10 => write!(f, "{} KiB", bytes >> 10),
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}

impl Unbounded {
    /// What of these `error` is, if it is one.
    pub fn of(error: &io::Error) -> Option<Unbounded> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl From<Unbounded> for io::Error {
    fn from(error: Unbounded) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "text").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::RWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("zero")).unwrap();
        std::os::unix::fs::symlink("nowhere", at("broken")).unwrap();
        for (name, expected) in [
            ("file", "text"),
            ("link", "text"),
            (".", "it is a folder, not a regular file"),
            ("pipe", "it is a named pipe, not a regular file"),
            ("socket", "it is a socket, not a regular file"),
            ("zero", "it is a device, not a regular file"),
            ("broken", "it is a broken symbolic link, not a regular file"),
        ] {
            let found = text(&at(name), 10).unwrap_or_else(|error| error.to_string());
            assert_eq!(found, expected, "{name}");
        }
        assert_eq!(text(&at("none"), 10).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn no_more_is_read_than_allowed() {
        assert_eq!(all(&b"12345"[..], 5).unwrap(), b"12345");
        let error = all(io::repeat(0), 2 << 20).unwrap_err();
        assert_eq!(error.to_string(), "it is larger than 2 MiB, the most that kgen reads here");
    }

    #[test]
    fn lines_are_bounded_each_and_together() {
        let check = |text: &str, expected: &[&str], error: Option<&str>| {
            let (mut lines, mut found) = (Lines::new(text.as_bytes(), 4, 10), Vec::new());
            let ended = loop {
                match lines.next_line() {
                    Ok(Some((_, line))) => found.push(String::from_utf8(line.to_vec()).unwrap()),
                    Ok(None) => break None,
                    Err(error) => break Some(error.to_string()),
                }
            };
            assert_eq!(found, expected, "{text:?}");
            assert_eq!(ended.is_some(), error.is_some(), "{text:?}: {ended:?}");
            assert!(ended.is_none_or(|ended| ended.contains(error.unwrap_or_default())), "{text:?}");
        };
        check("", &[], None);
        check("a\r\n\nb", &["a", "", "b"], None);
        check("abc\nabcde\n", &["abc"], Some("line 2 is longer than 4 bytes"));
        check("abc\nabc\nabc\n", &["abc", "abc"], Some("it is larger than 10 bytes"));
    }
}
