//! kgen's own temporary files: how they are named, and how those of killed runs are removed.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    time::Duration,
};

use rustix::process::{Pid, geteuid, test_kill_process};
use tempfile::NamedTempFile;

/// Every temporary file is called `.kgen-PID-RANDOM.tmp`: hidden, and of no kind that terraform reads.
const PREFIX: &str = ".kgen-";
const SUFFIX: &str = ".tmp";

/// A temporary file is older than this only when its run was killed: it lives for as long as one write takes.
const OLD: Duration = Duration::from_secs(60 * 60);

/// A new temporary file in `dir`, with `mode` as far as the umask allows it. It is locked while this process has it.
///
/// # Errors
/// Whatever the file system says.
pub fn temporary(dir: &Path, mode: u32) -> io::Result<NamedTempFile> {
    let file = tempfile::Builder::new()
        .prefix(&format!("{PREFIX}{}-", std::process::id()))
        .suffix(SUFFIX)
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(dir)?;
    // Where there are no locks, age alone tells a leftover.
    let _ = file.as_file().try_lock();
    Ok(file)
}

/// Removes temporary files that killed runs of kgen have left in `dir`. Only files with kgen's name, of this user, that no
/// process has locked, and whose process is gone or that are an hour old. What cannot be removed is left.
pub fn remove_leftovers(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(process_of)
            && is_left(&entry.path(), pid).unwrap_or(false)
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The process in the name of a temporary file, if the name is one of kgen's.
fn process_of(name: &str) -> Option<Pid> {
    let (pid, random) = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split_once('-')?;
    let is_random = !random.is_empty() && random.chars().all(|c| c.is_ascii_alphanumeric());
    if is_random { Pid::from_raw(pid.parse().ok().filter(|pid| *pid > 0)?) } else { None }
}

fn is_left(path: &Path, pid: Pid) -> io::Result<bool> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_file() || metadata.uid() != geteuid().as_raw() {
        return Ok(false);
    }
    let is_old = metadata.modified()?.elapsed().is_ok_and(|age| age > OLD);
    let is_gone = pid.as_raw_nonzero().get() as u32 != std::process::id()
        && test_kill_process(pid).is_err_and(|error| error == rustix::io::Errno::SRCH);
    // The process may run where this one cannot see it, as in another container.
    let is_unlocked = File::open(path)?.try_lock().is_ok();
    Ok((is_old || is_gone) && is_unlocked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_kgens_own_names_are_known() {
        for (name, expected) in [
            (".kgen-12-aB3xYz.tmp", Some(12)),
            (".kgen-12-.tmp", None),
            (".kgen--aB3.tmp", None),
            (".kgen-0-aB3.tmp", None),
            (".kgen--1-aB3.tmp", None),
            (".kgen-x-aB3.tmp", None),
            (".kgen-12-a.b.tmp", None),
            (".kgen-12-aB3.tf", None),
            ("kgen-12-aB3.tmp", None),
            (".tmpaB3xYz", None),
        ] {
            assert_eq!(process_of(name).map(|pid| pid.as_raw_nonzero().get()), expected, "{name}");
        }
    }

    #[test]
    fn what_a_killed_run_left_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let (gone, own) = (child.id(), std::process::id());
        let make = |name: String| fs::write(dir.path().join(name), "x").unwrap();
        make(format!(".kgen-{gone}-aaaaaa.tmp"));
        make(format!(".kgen-{own}-bbbbbb.tmp"));
        make(format!(".kgen-{gone}-cccccc.tf"));
        make(".tmpabcdef".to_owned());
        fs::create_dir(dir.path().join(format!(".kgen-{gone}-dddddd.tmp"))).unwrap();
        let locked = dir.path().join(format!(".kgen-{gone}-eeeeee.tmp"));
        fs::write(&locked, "x").unwrap();
        let held = File::open(&locked).unwrap();
        held.try_lock().unwrap();
        remove_leftovers(dir.path());
        let mut left: Vec<String> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        let mut expected = vec![
            format!(".kgen-{own}-bbbbbb.tmp"),
            format!(".kgen-{gone}-cccccc.tf"),
            format!(".kgen-{gone}-dddddd.tmp"),
            format!(".kgen-{gone}-eeeeee.tmp"),
            ".tmpabcdef".to_owned(),
        ];
        expected.sort();
        assert_eq!(left, expected);
    }

    #[test]
    fn a_file_in_use_is_not_a_leftover() {
        let dir = tempfile::tempdir().unwrap();
        let file = temporary(dir.path(), 0o666).unwrap();
        remove_leftovers(dir.path());
        assert!(file.path().exists());
        assert!(file.path().to_str().unwrap().ends_with(".tmp"));
    }
}
