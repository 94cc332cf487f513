//! The Terraform working directory of a project, for the commands that drive terraform.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};

use super::{place::Place, progress::Progress};
use crate::{
    cli::{Outcome, TerraformArgs, refused},
    files::own,
    project::Project,
    terraform::{Terraform, TerraformError},
};

/// `terraform/` of a project, and where kgen keeps its plan and its log.
#[derive(Debug)]
pub struct WorkingDir {
    dir: PathBuf,
    terraform: Terraform,
}

impl WorkingDir {
    /// # Errors
    /// Refused: the project has no Terraform, or the machine has no terraform.
    pub fn open(project: &Path, args: &TerraformArgs) -> anyhow::Result<WorkingDir> {
        WorkingDir::open_in(project, args, &Place::Environment)
    }

    /// As [`WorkingDir::open`], with terraform pointed at `place`.
    pub fn open_in(project: &Path, args: &TerraformArgs, place: &Place) -> anyhow::Result<WorkingDir> {
        let dir = project.join("terraform");
        let own = project.join(".kgen");
        for own in [&own, &own.join("terraform")] {
            own::check_folder(own).map_err(refused)?;
        }
        if !has_configuration(&dir) {
            return Err(refused(anyhow!(
                "there is no Terraform in {} (run `kgen render` first, or name the project folder with -C)",
                dir.strip_prefix(".").unwrap_or(&dir).display()
            )));
        }
        let program = Terraform::find(args.terraform_bin.as_deref()).map_err(refused)?;
        let terraform = Terraform::new(&program, &dir, &project.join(".kgen/terraform")).with_env(place.env());
        Ok(WorkingDir { dir, terraform })
    }

    /// As [`WorkingDir::open`], for applying: what is applied must be what kgen.toml says.
    pub fn open_rendered(project: &Path, args: &TerraformArgs) -> anyhow::Result<WorkingDir> {
        let opened = WorkingDir::open(project, args)?;
        Project::open(project).and_then(|project| project.check_rendered()).map_err(refused)?;
        Ok(opened)
    }

    pub fn terraform(&self) -> &Terraform {
        &self.terraform
    }

    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Waits for a terraform that a killed kgen left at work here, showing what it does.
    pub fn await_earlier(&self, progress: &mut Progress) -> anyhow::Result<()> {
        let Some(earlier) = self.terraform.earlier() else { return Ok(()) };
        progress.line(&format!(
            "`{}` (process {}), started earlier, is still running; waiting for it. Ctrl-C ends the waiting only",
            earlier.command_line, earlier.pid
        ));
        progress.phase("waiting for an earlier terraform");
        self.terraform.follow(&earlier, &mut |seen| progress.show(seen)).context("following an earlier terraform")?;
        progress.line("the earlier terraform has ended");
        Ok(())
    }
}

fn has_configuration(dir: &Path) -> bool {
    let is_configuration = |name: &str| name.ends_with(".tf") || name.ends_with(".tf.json") || name.ends_with(".tofu");
    std::fs::read_dir(dir).is_ok_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|e| is_configuration(&e.file_name().to_string_lossy())))
    })
}

/// Refuses to go on where nobody can be asked.
pub fn ensure_confirmable(yes: bool, command: &str) -> anyhow::Result<()> {
    if yes || (io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Ok(());
    }
    Err(refused(anyhow!(
        "`kgen {command}` asks before it changes anything, and there is no terminal to ask on: add --yes"
    )))
}

/// Asks on the terminal. Only `yes` is a yes.
pub fn confirmed(question: &str) -> anyhow::Result<bool> {
    Ok(answer_to(&format!("{question} Type yes: "))? == "yes")
}

/// What is typed after `prompt`, without the spaces around it.
pub fn answer_to(prompt: &str) -> anyhow::Result<String> {
    eprint!("{prompt}");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("reading the answer")?;
    Ok(answer.trim().to_owned())
}

/// What a failed terraform command means for how kgen ends.
pub fn ended(error: TerraformError, progress: &mut Progress) -> anyhow::Result<Outcome> {
    progress.clear();
    match error {
        TerraformError::Interrupted { .. } => {
            progress.line(&format!("{error}; the same kgen command goes on from there"));
            Ok(Outcome::Interrupted)
        }
        error => Err(error.into()),
    }
}
