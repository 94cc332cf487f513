//! The Terraform working directory that the arguments select, for the commands that drive terraform.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::place::Place;
use crate::{
    cli::{Locking, TerraformArgs, refused},
    edge,
    project::{LockError, Patience, WorkingDir},
    terraform::Terraform,
};

/// `terraform/` of a project and its terraform, to read outputs only.
///
/// # Errors
/// Refused: the project has no Terraform, the machine has no terraform, or it would send real credentials to this machine.
pub fn readable(project: &Path, args: &TerraformArgs) -> anyhow::Result<(PathBuf, Terraform)> {
    let (dir, terraform) = WorkingDir::find(project, args.terraform_bin.as_deref()).map_err(refused)?;
    Ok((dir, terraform.with_env(&Place::Environment.env()?)))
}

/// Locks the project. Another kgen is waited for as long as `locking` says, and so is another run of terraform.
///
/// # Errors
/// Refused: the project has no Terraform, the machine has no terraform, or another kgen is at work.
pub fn lock(project: &Path, args: &TerraformArgs, locking: Option<&Locking>) -> anyhow::Result<WorkingDir> {
    let time = locking.map_or(Duration::ZERO, |locking| locking.lock_timeout);
    let waiting = |held: &LockError| edge::message(format_args!("waiting at most {time:?}: {held}\n"));
    let patience = locking.map(|_| Patience { time, waiting: &waiting });
    let env = || Place::Environment.env();
    WorkingDir::lock(project, args.terraform_bin.as_deref(), patience, env).map_err(refused)
}

/// As [`lock`], for applying: what is applied must be what kgen.toml says.
pub fn lock_rendered(project: &Path, args: &TerraformArgs, locking: Option<&Locking>) -> anyhow::Result<WorkingDir> {
    let locked = lock(project, args, locking)?;
    locked.check_rendered(project).map_err(refused)?;
    Ok(locked)
}
