//! The runs of a project.

use std::{
    fs::{self, TryLockError},
    io::{self, BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{End, Entry, Event, FILE, Head};
use crate::{
    files::{
        bounded::{self, Kind},
        own,
    },
    visible,
};

/// The longest first line that is read, and how much of the end.
pub const HEAD_BYTES: u64 = 256 << 10;
const TAIL_BYTES: u64 = 256 << 10;

/// One run, by the first and the last line of its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    pub dir: PathBuf,
    pub head: Head,
    pub end: Option<End>,
    /// When the last thing was written that can be read.
    pub last: Timestamp,
    /// The process that writes it lives.
    pub is_running: bool,
    /// Of the file.
    pub bytes: u64,
}

impl Listed {
    /// How it ended, in a word: such as `done`, `running` or `killed`.
    pub fn outcome(&self) -> &str {
        match &self.end {
            Some(end) => &end.outcome,
            None if self.is_running => "running",
            // A kill or a crash leaves no time to say how it ended.
            None => "killed",
        }
    }

    /// Time from its start to what was written last, s.
    pub fn seconds(&self) -> f64 {
        self.last.duration_since(self.head.started).as_secs_f64()
    }
}

/// The runs in `runs`, the oldest first. Folders without a readable record are left out.
///
/// # Errors
/// The folder is there and cannot be read, or is a link.
pub fn list(runs: &Path) -> io::Result<Vec<Listed>> {
    own::check(runs)?;
    let entries = match fs::read_dir(runs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found: Vec<Listed> = entries.filter_map(|entry| listed(&entry.ok()?.path())).collect();
    found.sort_by(|a, b| (a.head.started, &a.head.id).cmp(&(b.head.started, &b.head.id)));
    Ok(found)
}

/// The folder of the run that `name` means: an id, the beginning of just one, or a path. Without a name, the newest run
/// of which `wanted` holds.
///
/// # Errors
/// Says what is wrong with the name, or that there is no run.
pub fn find(runs: &Path, name: Option<&str>, wanted: impl Fn(&Listed) -> bool) -> Result<PathBuf, String> {
    let all = list(runs).map_err(|error| format!("reading {}: {error}", runs.display()))?;
    let Some(name) = name else {
        let newest = all.iter().rev().find(|listed| wanted(listed));
        return newest
            .map(|listed| listed.dir.clone())
            .ok_or_else(|| format!("no run is recorded in {} (`kgen demo` records one)", runs.display()));
    };
    let path = Path::new(name);
    if path.is_file() || path.join(FILE).symlink_metadata().is_ok() {
        return Ok(path.to_owned());
    }
    if let Some(kind) = path.metadata().ok().and_then(|metadata| Kind::of(metadata.file_type()))
        && kind != Kind::Folder
    {
        return Err(format!("{name} is {kind}, not the record of a run: write it to a file first"));
    }
    recorded(runs, &all, name)
}

/// As [`find`], of the runs in `runs` alone: `name` is no path.
///
/// # Errors
/// As [`find`].
pub fn find_own(runs: &Path, name: Option<&str>, wanted: impl Fn(&Listed) -> bool) -> Result<PathBuf, String> {
    let Some(name) = name else { return find(runs, None, wanted) };
    let all = list(runs).map_err(|error| format!("reading {}: {error}", runs.display()))?;
    recorded(runs, &all, name)
}

fn recorded(runs: &Path, all: &[Listed], name: &str) -> Result<PathBuf, String> {
    let begin: Vec<&Listed> = all.iter().filter(|listed| listed.head.id.starts_with(name)).collect();
    match (begin.iter().find(|listed| listed.head.id == name), &begin[..]) {
        (Some(exact), _) => Ok(exact.dir.clone()),
        (None, [one]) => Ok(one.dir.clone()),
        (None, []) => {
            Err(format!("there is no run {} in {} (`kgen runs` lists them)", visible::line(name), runs.display()))
        }
        (None, several) => {
            let ids: Vec<&str> = several.iter().map(|listed| listed.head.id.as_str()).collect();
            Err(format!("{name} is ambiguous: {}", visible::line(&ids.join(", "))))
        }
    }
}

fn listed(dir: &Path) -> Option<Listed> {
    let file = own::open(&dir.join(FILE)).ok()?;
    let bytes = file.metadata().ok()?.len();
    let mut first = String::new();
    BufReader::new((&file).take(HEAD_BYTES)).read_line(&mut first).ok()?;
    let head: Head = serde_json::from_str(&first).ok()?;
    let tail = bounded::tail(&file, TAIL_BYTES).ok()?;
    let tail = String::from_utf8_lossy(&tail);
    // The last line may be torn; a mark may be dated back, but what follows it is not.
    let last = tail.lines().rev().find_map(|line| serde_json::from_str::<Entry>(line).ok());
    let is_running = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    let end = match last.as_ref().map(|entry| &entry.event) {
        Some(Event::End(end)) => Some(end.clone()),
        _ => None,
    };
    Some(Listed {
        dir: dir.to_owned(),
        last: last.map_or(head.started, |entry| entry.at).max(head.started),
        head,
        end,
        is_running,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Environment, Start, Writer, now};

    fn start(id: &str, second: i64) -> Start {
        Start {
            id: id.into(),
            command: "watch".into(),
            args: Vec::new(),
            started: Timestamp::from_second(1_700_000_000 + second).unwrap(),
            environment: Environment::default(),
        }
    }

    #[test]
    fn runs_are_listed_with_how_they_ended() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(list(&dir.path().join("none")).unwrap(), []);
        let running = Writer::create(dir.path(), start("watch-b", 2)).unwrap();
        let mut ended = Writer::create(dir.path(), start("watch-a", 1)).unwrap();
        let end = End { exit_code: 0, outcome: "done".into(), error: None };
        ended.write(&Entry { at: now(), event: Event::End(end.clone()) }).unwrap();
        drop(ended);
        drop(Writer::create(dir.path(), start("demo-killed", 0)).unwrap());
        fs::create_dir(dir.path().join("8c1f0d92ab34e677")).unwrap();
        let found = list(dir.path()).unwrap();
        let rows: Vec<_> = found.iter().map(|l| (l.head.id.as_str(), l.end.is_some(), l.is_running)).collect();
        assert_eq!(rows, [("demo-killed", false, false), ("watch-a", true, false), ("watch-b", false, true)]);
        drop(running);

        let find = |name: Option<&str>| find(dir.path(), name, |_| true).map(|dir| dir.file_name().unwrap().to_owned());
        assert_eq!(find(None).unwrap(), "watch-b");
        assert_eq!(find(Some("demo")).unwrap(), "demo-killed");
        assert_eq!(find(Some("watch-a")).unwrap(), "watch-a");
        assert_eq!(find(Some("watch")).unwrap_err(), "watch is ambiguous: watch-a, watch-b");
        assert!(find(Some("x")).is_err());
    }
}
