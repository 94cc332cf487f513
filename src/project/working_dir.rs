//! `terraform/` of a project, to plan and apply in.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::bail;

use super::{Lock, LockError, Project};
use crate::{
    files::own,
    terraform::{Exclusive, Goal, Terraform, TerraformError, Watch, plan::Plan},
};

/// The Terraform working directory of a project. While this lives, no other kgen plans or applies there.
#[derive(Debug)]
pub struct WorkingDir {
    terraform: Terraform,
    /// Two projects may share a working directory, and `resize --dir` works without a project.
    _locks: [Lock; 2],
}

impl Exclusive for WorkingDir {}

/// How long another kgen is waited for, and who is told that it is.
pub struct Patience<'a> {
    pub time: Duration,
    pub waiting: &'a dyn Fn(&LockError),
}

impl WorkingDir {
    /// The folder `terraform/` of `project` and its terraform: `program`, or the one on the PATH. Nothing is locked.
    ///
    /// # Errors
    /// The project has no Terraform, or the machine has no terraform.
    pub fn find(project: &Path, program: Option<&Path>) -> anyhow::Result<(PathBuf, Terraform)> {
        let dir = project.join("terraform");
        for own in [project.join(".kgen"), project.join(".kgen/terraform")] {
            own::check_folder(&own)?;
        }
        if !has_configuration(&dir) {
            bail!(
                "there is no Terraform in {} (run `kgen render` first, or name the project folder with -C)",
                dir.strip_prefix(".").unwrap_or(&dir).display()
            );
        }
        let program = Terraform::find(program)?;
        let terraform = Terraform::new(&program, &dir, &project.join(".kgen/terraform"));
        Ok((dir, terraform))
    }

    /// Locks `terraform/` of `project`. With `patience`, another kgen is waited for so long, and so is another run of
    /// terraform. `env` gives what terraform gets on top of kgen's own environment; it is called under the lock.
    ///
    /// # Errors
    /// As [`WorkingDir::find`]; another kgen is at work; what `env` says.
    pub fn lock(
        project: &Path,
        program: Option<&Path>,
        patience: Option<Patience<'_>>,
        env: impl FnOnce() -> anyhow::Result<Vec<(String, String)>>,
    ) -> anyhow::Result<WorkingDir> {
        let (dir, terraform) = WorkingDir::find(project, program)?;
        let time = patience.as_ref().map_or(Duration::ZERO, |patience| patience.time);
        let wait = |held: &LockError| patience.iter().for_each(|patience| (patience.waiting)(held));
        let own = project.strip_prefix(".").unwrap_or(project).join(".kgen");
        let project = Lock::within(time, || Lock::take(&own), wait)?;
        let folder = Lock::within(time, || Lock::folder(&dir), wait)?;
        let terraform = terraform.with_env(&env()?);
        let terraform = match patience {
            Some(_) => terraform.with_lock_timeout(time),
            None => terraform,
        };
        Ok(WorkingDir { terraform, _locks: [project, folder] })
    }

    /// Checks that what would be applied in `project` is what its kgen.toml says; while it is locked.
    ///
    /// # Errors
    /// Names the files that differ.
    pub fn check_rendered(&self, project: &Path) -> anyhow::Result<()> {
        Project::open(project).and_then(|project| project.check_rendered())
    }

    pub fn terraform(&self) -> &Terraform {
        &self.terraform
    }

    /// Plans here.
    ///
    /// # Errors
    /// See [`TerraformError`].
    pub fn plan(&self, goal: Goal, watch: Watch<'_>) -> Result<Plan<'_>, TerraformError> {
        self.terraform.plan(goal, self, watch)
    }
}

fn has_configuration(dir: &Path) -> bool {
    let is_configuration = |name: &str| name.ends_with(".tf") || name.ends_with(".tf.json") || name.ends_with(".tofu");
    fs::read_dir(dir).is_ok_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|e| is_configuration(&e.file_name().to_string_lossy())))
    })
}
