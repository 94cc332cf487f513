//! One kgen at a time changes a project.

use std::{
    fmt,
    fs::{self, File, TryLockError},
    io::{self, Read as _},
    ops::ControlFlow,
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use rustix::{fs::OFlags, io::Errno};
use serde::{Deserialize, Serialize};

use crate::{process::await_until, terraform::Exclusive};

/// Time between two tries while a lock is waited for.
const TRY_EVERY: Duration = Duration::from_millis(50);

/// Characters of a command line that are shown.
const SHOWN: usize = 160;

/// Bytes of a lock file that are read: more than kgen writes.
const LONGEST: u64 = 4096;

/// Held while a project is changed. The kernel releases it when the process ends, however it ends.
#[derive(Debug)]
#[must_use = "the project is locked only as long as this lives"]
pub struct Lock {
    file: File,
    /// The file says who holds the lock.
    names_holder: bool,
}

/// Terraform is planned and applied under such a lock.
impl Exclusive for Lock {}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("{} is locked by another kgen{}; wait for it to end", path.display(), holder.as_ref().map(|holder| format!(": {holder}")).unwrap_or_default())]
    Held { path: PathBuf, holder: Option<Holder> },
    #[error("{} is {what}, and kgen only locks its own files: remove it", path.display())]
    NotOurs { path: PathBuf, what: &'static str },
    #[error("{doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
}

/// Who holds a lock, and since when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    /// As it was typed: `kgen apply`.
    pub command: String,
    pub since: Timestamp,
}

impl Lock {
    /// Locks the folder itself, and leaves no file in it.
    ///
    /// # Errors
    /// Another kgen holds it, or it cannot be opened.
    pub fn folder(dir: &Path) -> Result<Lock, LockError> {
        let file = File::open(dir).map_err(failed("opening", dir))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { file, names_holder: false }),
            Err(TryLockError::WouldBlock) => {
                Err(LockError::Held { path: dir.to_owned(), holder: Holder::by_kernel(&file) })
            }
            Err(TryLockError::Error(error)) => Err(failed("locking", dir)(error)),
        }
    }

    /// Locks the file `lock` in `kgen_dir`, which is made if it is missing, and writes into it who holds it.
    ///
    /// # Errors
    /// Another kgen holds it, it is not a file of kgen's own, or it cannot be opened.
    pub fn take(kgen_dir: &Path) -> Result<Lock, LockError> {
        fs::create_dir_all(kgen_dir).map_err(failed("creating", kgen_dir))?;
        let path = kgen_dir.join("lock");
        let file = open_own(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = Holder::noted_in(&file).or_else(|| Holder::by_kernel(&file));
                return Err(LockError::Held { path, holder });
            }
            Err(TryLockError::Error(error)) => return Err(failed("locking", &path)(error)),
        }
        let holder = serde_json::to_vec(&Holder::this()).unwrap_or_default();
        file.write_all_at(&holder, 0)
            .and_then(|()| file.set_len(holder.len() as u64))
            .map_err(failed("writing", &path))?;
        Ok(Lock { file, names_holder: true })
    }

    /// Calls `take` until no other kgen holds the lock any more, for at most `patience`. `wait` is called once with who
    /// is waited for.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn within(
        patience: Duration,
        take: impl Fn() -> Result<Lock, LockError>,
        mut wait: impl FnMut(&LockError),
    ) -> Result<Lock, LockError> {
        let mut is_told = patience.is_zero();
        await_until(patience, TRY_EVERY, || match take() {
            Err(held @ LockError::Held { .. }) => {
                if !std::mem::replace(&mut is_told, true) {
                    wait(&held);
                }
                Ok(ControlFlow::Continue(held))
            }
            taken => taken.map(ControlFlow::Break),
        })?
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.names_holder {
            // The next holder writes itself in; until then an old name would mislead.
            let _ = self.file.set_len(0);
        }
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LockError {
    let path = path.to_owned();
    move |source| LockError::Io { doing, path, source }
}

/// Opens a lock file: no link is followed, and only a file with this one name is taken.
fn open_own(path: &Path) -> Result<File, LockError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).custom_flags(flags);
    let not_ours = |what| LockError::NotOurs { path: path.to_owned(), what };
    let file = options.open(path).map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => not_ours("a link"),
        Some(Errno::ISDIR) => not_ours("a folder"),
        _ => failed("opening", path)(error),
    })?;
    let metadata = file.metadata().map_err(failed("reading", path))?;
    match (metadata.is_file(), metadata.nlink()) {
        (false, _) => Err(not_ours("not a regular file")),
        (true, 2..) => Err(not_ours("a file with other names (hard links)")),
        _ => Ok(file),
    }
}

impl Holder {
    fn this() -> Holder {
        let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
        Holder { pid: std::process::id(), command: command(words), since: Timestamp::now() }
    }

    /// Whoever has written itself into `lock`.
    fn noted_in(lock: &File) -> Option<Holder> {
        let mut text = String::new();
        lock.take(LONGEST).read_to_string(&mut text).ok()?;
        let noted: Holder = serde_json::from_str(&text).ok()?;
        // Anybody may have written this file.
        Some(Holder { command: plain(&noted.command), ..noted })
    }

    /// The process that has locked `file`, by what Linux says; nothing where it says nothing.
    fn by_kernel(file: &File) -> Option<Holder> {
        let metadata = file.metadata().ok()?;
        let dev = metadata.dev() as rustix::fs::Dev;
        let id = format!("{:02x}:{:02x}:{}", rustix::fs::major(dev), rustix::fs::minor(dev), metadata.ino());
        let locks = fs::read_to_string("/proc/locks").ok()?;
        // 1: FLOCK  ADVISORY  WRITE 4711 fd:01:1234 0 EOF
        let words = locks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let pid = words.filter(|words| words.get(1) == Some(&"FLOCK") && words.get(5) == Some(&id.as_str()));
        let pid: u32 = pid.filter_map(|words| words[4].parse().ok()).next()?;
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        let command = command(words.map(|word| String::from_utf8_lossy(word).into_owned()));
        Some(Holder { pid, command, since: began(pid)? })
    }
}

/// When a process began, by Linux.
fn began(pid: u32) -> Option<Timestamp> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name, which may hold spaces: field 3 is the first, and field 22 the start in ticks since the machine's own.
    let ticks: f64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let uptime: f64 = fs::read_to_string("/proc/uptime").ok()?.split_whitespace().next()?.parse().ok()?;
    let age = uptime - ticks / rustix::param::clock_ticks_per_second() as f64;
    Timestamp::now().checked_sub(Duration::try_from_secs_f64(age.max(0.0)).ok()?).ok()
}

/// A command line as it is shown, with the program's name in the place of its path.
fn command(mut words: impl Iterator<Item = String>) -> String {
    let program = words.next().unwrap_or_default();
    let name = Path::new(&program).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or(program);
    plain(&std::iter::once(name).chain(words).collect::<Vec<_>>().join(" "))
}

/// `text` on one line and not too long.
fn plain(text: &str) -> String {
    let shown = text.chars().map(|c| if c.is_control() { '?' } else { c });
    let short: String = shown.clone().take(SHOWN).collect();
    if shown.count() > SHOWN { short + "…" } else { short }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since.strftime("%Y-%m-%dT%H:%M:%SZ");
        write!(f, "`{}` (process {}), since {since}", self.command, self.pid)?;
        match Timestamp::now().duration_since(self.since).as_secs() {
            seconds @ 0..120 => write!(f, " ({seconds} s ago)"),
            seconds @ 120.. => write!(f, " ({} min ago)", seconds / 60),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_locked_folder_is_refused_and_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::folder(dir.path()).unwrap();
        let refused = Lock::folder(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("another kgen"), "{refused}");
        if cfg!(target_os = "linux") && fs::read_to_string("/proc/locks").is_ok_and(|locks| locks.contains("FLOCK")) {
            assert!(refused.contains(&format!("(process {}), since 2", std::process::id())), "{refused}");
        }
        drop(first);
        drop(Lock::folder(dir.path()).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_second_lock_is_refused_and_names_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let kgen_dir = dir.path().join(".kgen");
        let first = Lock::take(&kgen_dir).unwrap();
        let holder = match Lock::take(&kgen_dir).unwrap_err() {
            LockError::Held { holder: Some(holder), .. } => holder,
            other => panic!("{other}"),
        };
        assert_eq!((holder.pid, holder.command), (std::process::id(), Holder::this().command));
        assert!(Timestamp::now().duration_since(holder.since).as_secs() < 10, "{}", holder.since);
        drop(first);
        assert_eq!(fs::read_to_string(kgen_dir.join("lock")).unwrap(), "");
        assert!(Lock::take(&kgen_dir).is_ok());
    }

    #[test]
    fn a_lock_is_waited_for_and_who_holds_it_is_said_once() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path()).unwrap();
        let mut told = Vec::new();
        let take = || Lock::take(dir.path());
        let refused = Lock::within(Duration::from_millis(200), take, |held| told.push(held.to_string()));
        assert!(matches!(refused, Err(LockError::Held { .. })));
        assert!(told.len() == 1 && told[0].contains(&format!("(process {})", std::process::id())), "{told:?}");
        let waiting = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| Lock::within(Duration::from_secs(20), take, |_| ()).is_ok());
            std::thread::sleep(Duration::from_millis(100));
            drop(first);
            waiting.join()
        });
        assert!(waiting.unwrap());
    }

    #[test]
    fn only_a_file_of_its_own_is_locked_and_nothing_else_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let (lock, other) = (dir.path().join("lock"), dir.path().join("other"));
        let refusal = || {
            let refused = Lock::take(dir.path()).unwrap_err().to_string();
            fs::remove_file(&lock).or_else(|_| fs::remove_dir(&lock)).unwrap();
            refused
        };
        fs::write(&other, "precious").unwrap();
        symlink(&other, &lock).unwrap();
        assert!(refusal().contains("is a link"));
        symlink(dir.path().join("nowhere"), &lock).unwrap();
        assert!(refusal().contains("is a link"));
        fs::hard_link(&other, &lock).unwrap();
        assert!(refusal().contains("hard links"));
        fs::create_dir(&lock).unwrap();
        assert!(refusal().contains("is a folder"));
        rustix::fs::mknodat(rustix::fs::CWD, &lock, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(refusal().contains("not a regular file"));
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
        assert!(!dir.path().join("nowhere").exists());
    }

    #[test]
    fn what_others_wrote_into_the_lock_is_shown_on_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let held = open_own(&dir.path().join("lock")).unwrap();
        held.try_lock().unwrap();
        for (text, expected) in [
            (r#"{"pid":7,"command":"a\u001b[2J\nb","since":"2026-01-01T00:00:00Z"}"#, "`a?[2J?b` (process 7)"),
            ("process 7\n", "another kgen"),
            ("\u{1b}]0;x\u{7}", "another kgen"),
        ] {
            held.set_len(0).unwrap();
            held.write_all_at(text.as_bytes(), 0).unwrap();
            let refused = Lock::take(dir.path()).unwrap_err().to_string();
            assert!(refused.contains(expected) && !refused.contains(char::is_control), "{refused:?}");
        }
    }
}
