//! The process that holds the lock on a file, to check a process id from a file that anyone may have written.

use std::{
    fs, io,
    os::unix::{ffi::OsStringExt as _, fs::MetadataExt as _},
    path::Path,
};

/// A process that holds the lock on a file now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub pid: u32,
    /// The words of its command line.
    pub words: Vec<String>,
}

impl Holder {
    /// The process that holds the lock on the open file at `path` through one of its descriptors, as far as this user may
    /// see it. One that a child has inherited counts for both; the first found is returned.
    pub fn of(path: &Path) -> Option<Holder> {
        let wanted = identity(path)?;
        let processes = fs::read_dir("/proc").ok()?.flatten();
        let mut pids: Vec<u32> = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        pids.sort_unstable();
        pids.into_iter().find(|pid| holds(*pid, wanted)).map(Holder::named)
    }

    /// The process `pid`, if it holds the lock on the file at `path`.
    pub fn checked(pid: u32, path: &Path) -> Option<Holder> {
        holds(pid, identity(path)?).then(|| Holder::named(pid))
    }

    fn named(pid: u32) -> Holder {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        let words = words.map(|word| std::ffi::OsString::from_vec(word.to_vec()).to_string_lossy().into_owned());
        Holder { pid, words: words.collect() }
    }

    /// Its command line, for a person.
    pub fn command_line(&self) -> String {
        self.words.iter().map(|word| super::shell_word(word)).collect::<Vec<_>>().join(" ")
    }

    /// Asks the process to end (SIGTERM), if it still is the one that holds the lock on `path` and `is_meant` holds of it.
    /// No other process is ever signalled, even when the process id has been given to another meanwhile.
    ///
    /// Returns whether it was asked.
    ///
    /// # Errors
    /// It belongs to another user.
    pub fn terminate(pid: u32, path: &Path, is_meant: impl Fn(&Holder) -> bool) -> io::Result<bool> {
        terminate(pid, || Holder::checked(pid, path).is_some_and(|holder| is_meant(&holder)))
    }
}

/// Asks `pid` to end if, while nothing else can have its number, it is the one that is meant.
#[cfg(target_os = "linux")]
fn terminate(pid: u32, is_meant: impl Fn() -> bool) -> io::Result<bool> {
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(false) };
    // It stands for this very process, whatever becomes of its number.
    let process = match pidfd_open(id, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(rustix::io::Errno::SRCH) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    if !is_meant() {
        return Ok(false);
    }
    match pidfd_send_signal(&process, Signal::TERM) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::SRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Nobody: what holds a lock is not known here.
#[cfg(not(target_os = "linux"))]
fn terminate(_: u32, _: impl Fn() -> bool) -> io::Result<bool> {
    Ok(false)
}

/// Device and inode.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some((metadata.dev(), metadata.ino()))
}

/// Whether `pid` has the file open by a descriptor that holds a lock of flock(2), by proc_pid_fdinfo(5).
fn holds(pid: u32, wanted: (u64, u64)) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors.filter(|entry| fs::metadata(entry.path()).is_ok_and(|file| (file.dev(), file.ino()) == wanted)).any(
        |entry| {
            let info = Path::new("/proc").join(pid.to_string()).join("fdinfo").join(entry.file_name());
            let info = fs::read_to_string(info).unwrap_or_default();
            info.lines().any(|line| line.starts_with("lock:") && line.contains("FLOCK") && line.contains("WRITE"))
        },
    )
}

#[cfg(test)]
mod tests {
    use std::{fs::File, process::Command};

    use super::*;

    #[test]
    fn only_who_holds_the_lock_is_named_and_signalled() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let own = std::process::id();
        let file = File::create(&path).unwrap();
        assert_eq!((Holder::of(&path), Holder::checked(own, &path)), (None, None));
        file.try_lock().unwrap();
        assert_eq!(Holder::checked(own, &path).unwrap().pid, own);
        assert_eq!(Holder::of(&path).unwrap().pid, own);
        assert!(!Holder::checked(own, &path).unwrap().words.is_empty());

        let mut other = Command::new("sleep").arg("30").spawn().unwrap();
        assert_eq!(Holder::checked(other.id(), &path), None);
        assert!(!Holder::terminate(other.id(), &path, |_| true).unwrap());
        assert!(!Holder::terminate(own, &path, |_| false).unwrap());
        for nobody in [0, 4_194_305, u32::MAX] {
            assert!(!Holder::terminate(nobody, &path, |_| true).unwrap_or(false));
        }
        assert!(other.try_wait().unwrap().is_none(), "it was not signalled");
        other.kill().unwrap();
        other.wait().unwrap();
        drop(file);
        assert_eq!(Holder::of(&path), None);
    }

    #[test]
    fn a_holder_is_asked_to_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let file = File::create(&path).unwrap();
        file.try_lock().unwrap();
        // The child has the descriptor as its standard input, and with it the lock.
        let mut child = Command::new("sleep").arg("30").stdin(file).spawn().unwrap();
        let is_sleep = |holder: &Holder| holder.words == ["sleep", "30"];
        assert!(Holder::of(&path).is_some_and(|holder| is_sleep(&holder) && holder.command_line() == "sleep 30"));
        assert!(Holder::terminate(child.id(), &path, is_sleep).unwrap());
        assert!(!child.wait().unwrap().success());
        assert!(!Holder::terminate(child.id(), &path, is_sleep).unwrap());
    }
}
