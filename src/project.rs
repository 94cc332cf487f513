//! A working directory: kgen.toml, the Terraform rendered from it, and kgen's own files under `.kgen`.
//!
//! Reads and replaces files; what is in them is the business of [`stack`](crate::stack).

mod delivery;
mod folder;
mod lock;
mod replace;
mod repository;
mod terraform_files;
mod working_dir;

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

pub use folder::Disk;
pub use lock::{Lock, LockError};
pub use replace::{replace_all, replace_unchanged};
pub use terraform_files::{Change, FileState, compare, unified_diff};
pub use working_dir::{Patience, WorkingDir};

use crate::{
    files::{bounded, own},
    stack::{
        Stack,
        settings::{self, Override, Setting},
    },
};

/// The folder of kgen's own files.
const KGEN_DIR: &str = ".kgen";

/// A folder, and the stack that its kgen.toml describes.
#[derive(Debug, Clone)]
pub struct Project {
    dir: PathBuf,
    stack: Stack,
    /// What the environment says in the place of kgen.toml.
    overrides: Vec<Override>,
}

impl Project {
    /// Opens the project in `dir`. Without a kgen.toml it is the seed's scenario. A variable `KGEN_…` named after a key
    /// goes before kgen.toml.
    ///
    /// # Errors
    /// If `dir` is no folder, its `.kgen` or something directly in that is a link, or its kgen.toml or the environment
    /// describes no stack.
    pub fn open(dir: &Path) -> anyhow::Result<Project> {
        if !dir.is_dir() {
            bail!("{} is not a folder (choose the project with -C DIR)", dir.display());
        }
        own::check_folder(&dir.join(KGEN_DIR))?;
        let overrides = overrides()?;
        let mut project = Project { dir: dir.to_owned(), stack: Stack::default(), overrides };
        project.stack = match &project.overrides[..] {
            [] => Stack::load(&project.kgen_toml())?,
            overrides => settings::overridden(&project.kgen_toml_text()?, overrides)
                .map_err(|error| error.in_file(&project.kgen_toml()))?,
        };
        Ok(project)
    }

    /// The stack that this project would have with `kgen_toml` as its kgen.toml.
    ///
    /// # Errors
    /// It describes no stack.
    pub fn stack_of(&self, kgen_toml: &str) -> anyhow::Result<Stack> {
        settings::overridden(kgen_toml, &self.overrides).map_err(|error| error.in_file(&self.kgen_toml()).into())
    }

    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Every key of kgen.toml with its value and where that comes from.
    ///
    /// # Errors
    /// If kgen.toml cannot be read.
    pub fn settings(&self) -> anyhow::Result<Vec<Setting>> {
        Ok(settings::settings(&self.stack, &self.kgen_toml_text()?, &self.overrides))
    }

    /// The variable that sets `key` in the place of kgen.toml, if one does.
    pub fn variable_for(&self, key: &str) -> Option<String> {
        self.overrides.iter().find(|set| set.key == key).map(|set| settings::variable(&set.key))
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the Terraform is rendered to.
    pub fn terraform_dir(&self) -> PathBuf {
        self.inside("terraform")
    }

    pub fn kgen_toml(&self) -> PathBuf {
        self.inside("kgen.toml")
    }

    /// Where kgen keeps its own files: runs, the lab's state, the lock.
    pub fn kgen_dir(&self) -> PathBuf {
        self.inside(KGEN_DIR)
    }

    /// Where runs are recorded, a folder each.
    pub fn runs_dir(&self) -> PathBuf {
        self.kgen_dir().join("runs")
    }

    /// A path that reads well in messages: `terraform`, not `./terraform`.
    fn inside(&self, name: &str) -> PathBuf {
        if self.dir == Path::new(".") { name.into() } else { self.dir.join(name) }
    }

    /// Keeps every other kgen from changing this project, until the lock is dropped.
    ///
    /// # Errors
    /// If another one holds it, or the lock file cannot be made.
    pub fn lock(&self) -> anyhow::Result<Lock> {
        Ok(Lock::take(&self.kgen_dir())?)
    }

    /// The text of kgen.toml; empty if there is none.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub fn kgen_toml_text(&self) -> anyhow::Result<String> {
        let path = self.kgen_toml();
        match bounded::text(&path, bounded::KGEN_TOML_BYTES) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
            text => text.with_context(|| format!("reading {}", path.display())),
        }
    }

    /// Checks that the Terraform here is what kgen.toml renders. Terraform that kgen did not make is not judged.
    ///
    /// # Errors
    /// Names the files that differ.
    pub fn check_rendered(&self) -> anyhow::Result<()> {
        let changes = compare(&self.terraform_dir(), &self.stack.render())?;
        let ours = |change: &Change| !matches!(change.state, FileState::New | FileState::Foreign);
        let differ: Vec<String> = changes
            .iter()
            .filter(|change| change.state != FileState::Unchanged)
            .map(|change| change.path.display().to_string())
            .collect();
        if differ.is_empty() || !changes.iter().any(ours) {
            return Ok(());
        }
        let differ = differ.join(", ");
        bail!(
            "{differ}: differs from what kgen.toml renders (`kgen render --check` shows the differences, `kgen \
               render` writes the files)"
        )
    }
}

/// What the environment sets in the place of kgen.toml.
///
/// # Errors
/// A variable is not text, or seems to be one of kgen's and is none.
fn overrides() -> anyhow::Result<Vec<Override>> {
    let mut names: Vec<String> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    names.sort();
    if let Some(error) = names.iter().find_map(|name| settings::misspelt(name)) {
        return Err(error.into());
    }
    let mut overrides = Vec::new();
    for key in settings::keys() {
        let variable = settings::variable(&key);
        match std::env::var(&variable) {
            Ok(text) if !text.is_empty() => overrides.push(Override { key, text }),
            Err(std::env::VarError::NotUnicode(_)) => bail!("{variable} is not valid UTF-8"),
            Ok(_) | Err(std::env::VarError::NotPresent) => {}
        }
    }
    Ok(overrides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_kgen_toml_is_the_default_stack() {
        let dir = tempfile::tempdir().unwrap();
        let project = Project::open(dir.path()).unwrap();
        assert_eq!(project.stack(), &Stack::default());
        assert_eq!(project.kgen_toml_text().unwrap(), "");
        std::fs::write(project.kgen_toml(), "[topic]\npartitions = 9\n").unwrap();
        assert_eq!(Project::open(dir.path()).unwrap().stack().topic().partitions, 9);
        assert!(Project::open(&dir.path().join("none")).is_err());
    }

    #[test]
    fn an_error_names_the_file_and_the_line() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("kgen.toml"), "[cluster]\nbroker_count = 4\n").unwrap();
        let error = Project::open(dir.path()).unwrap_err().to_string();
        let file = dir.path().join("kgen.toml");
        assert!(error.starts_with(&format!("{}:2: cluster.broker_count: ", file.display())), "{error}");
    }
}
