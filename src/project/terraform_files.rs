//! Compares the rendered files with those on disk.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::Serialize;

use crate::{
    files::{
        self,
        bounded::{self, Unbounded},
    },
    stack::{Provenance, Rendered, provenance},
    visible,
};

/// How an existing file differs from what kgen renders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    Unchanged,
    /// It does not exist yet.
    New,
    /// As an earlier render left it.
    Outdated,
    /// Edited since kgen rendered it.
    Edited,
    /// Not made by kgen.
    Foreign,
    /// Rendered by kgen, but no longer part of the stack. Terraform would still read it.
    Stale,
}

/// One file of the Terraform folder.
#[derive(Debug, Clone)]
pub struct Change {
    pub path: PathBuf,
    pub state: FileState,
    /// What is there.
    pub before: String,
    /// What is rendered; empty for a stale file.
    pub after: String,
}

/// Compares `rendered` with the files in `dir`, in the order of their names.
///
/// # Errors
/// If a file or the folder is there and cannot be read.
pub fn compare(dir: &Path, rendered: &Rendered) -> anyhow::Result<Vec<Change>> {
    let mut changes = Vec::new();
    for (name, after) in rendered.files() {
        let path = dir.join(name);
        let before = files::text(&path)?;
        let state = match &before {
            None => FileState::New,
            Some(before) if before == after => FileState::Unchanged,
            Some(before) => match provenance(before) {
                Provenance::Kgen => FileState::Outdated,
                Provenance::Edited => FileState::Edited,
                Provenance::Foreign => FileState::Foreign,
            },
        };
        changes.push(Change { path, state, before: before.unwrap_or_default(), after: after.to_owned() });
    }
    for path in others(dir, rendered)? {
        if let Some(before) = text_of_ours(&path)?
            && provenance(&before) != Provenance::Foreign
        {
            changes.push(Change { path, state: FileState::Stale, before, after: String::new() });
        }
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(changes)
}

impl Change {
    /// What people did to the file would be lost by writing it.
    pub fn overwrites_work(&self) -> bool {
        matches!(self.state, FileState::Edited | FileState::Foreign)
    }

    /// Whether rendering writes the file.
    pub fn is_written(&self) -> bool {
        !matches!(self.state, FileState::Unchanged | FileState::Stale)
    }

    /// Unified diff, from what is there to what is rendered. Empty if they are equal.
    pub fn diff(&self) -> String {
        let name = self.path.display().to_string();
        let old = if self.state == FileState::New { "/dev/null".to_owned() } else { name.clone() };
        let new = if self.state == FileState::Stale { "/dev/null".to_owned() } else { name };
        unified_diff((&old, &self.before), (&new, &self.after))
    }
}

/// Unified diff between two texts, each with its name. Empty if they are equal.
pub fn unified_diff((old, before): (&str, &str), (new, after): (&str, &str)) -> String {
    let (old, new) = (visible::line(old), visible::line(new));
    similar::TextDiff::from_lines(before, after).unified_diff().context_radius(3).header(&old, &new).to_string()
}

/// The text of a file that kgen may have rendered. One that is no text, or too long, is none of kgen's.
///
/// # Errors
/// It cannot be read, so that terraform could not read it either.
fn text_of_ours(path: &Path) -> anyhow::Result<Option<String>> {
    match bounded::text(path, bounded::TEXT_BYTES) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) if matches!(Unbounded::of(&error), Some(Unbounded::TooLarge(_))) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

/// Files of `dir` that `rendered` does not name.
fn others(dir: &Path, rendered: &Rendered) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("reading {}", dir.display())),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("reading {}", dir.display()))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // State and plans may be large, and are Terraform's.
        let is_source = [".tf", ".sh", ".tfvars"].iter().any(|ext| name.ends_with(ext));
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_source && rendered.get(&name).is_none() && !is_folder {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Stack;

    #[test]
    fn every_state_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let older = Stack::parse("[cluster]\nbroker_count = 6\n").unwrap().render();
        for (name, text) in older.files() {
            fs::write(dir.join(name), text).unwrap();
        }
        fs::write(dir.join("iam.tf"), format!("{}# mine\n", older.get("iam.tf").unwrap())).unwrap();
        fs::write(dir.join("logs.tf"), "# written by hand\n").unwrap();
        fs::write(dir.join("old.tf"), older.get("network.tf").unwrap()).unwrap();
        fs::write(dir.join("mine.tf"), "# written by hand\n").unwrap();
        fs::remove_file(dir.join("outputs.tf")).unwrap();

        let changes = compare(dir, &Stack::default().render()).unwrap();
        let state = |name: &str| changes.iter().find(|change| change.path == dir.join(name)).map(|change| change.state);
        for (name, expected) in [
            ("network.tf", Some(FileState::Unchanged)),
            ("outputs.tf", Some(FileState::New)),
            ("msk.tf", Some(FileState::Outdated)),
            ("iam.tf", Some(FileState::Edited)),
            ("logs.tf", Some(FileState::Foreign)),
            ("old.tf", Some(FileState::Stale)),
            ("mine.tf", None),
        ] {
            assert_eq!(state(name), expected, "{name}");
        }
        let msk = changes.iter().find(|change| change.path == dir.join("msk.tf")).unwrap();
        assert!(
            msk.diff().contains("-  number_of_broker_nodes = 6\n+  number_of_broker_nodes = 3\n"),
            "{}",
            msk.diff()
        );
    }
}
