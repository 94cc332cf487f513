//! The inputs of terraform in a folder that kgen did not write: variables, variable files, the workspace, the program.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::anyhow;

use super::Request;
use crate::{
    change::{Event, Observer, Site},
    files,
    locate::{Environment, Folder as _, Located, Question, clean, is_assignments},
    outcome::refused,
    process::{absolute, shell_quoted},
    project::Disk,
    terraform::Terraform,
};

/// What of the environment bears on a run of terraform in `dir`.
///
/// # Errors
/// The selected workspace cannot be read.
pub fn environment(dir: &Path, request: &Request) -> anyhow::Result<Environment> {
    let variables = env::vars_os().filter_map(|(name, value)| {
        Some((name.to_str()?.strip_prefix("TF_VAR_")?.to_owned(), value.to_string_lossy().into_owned()))
    });
    let hidden = env::vars_os().find(|(name, value)| {
        name.to_string_lossy().starts_with("TF_CLI_ARGS") && value.to_string_lossy().contains("-var")
    });
    // Terraform keeps the name of the workspace in its data folder; without a name there, it is the default one.
    let data = env::var_os("TF_DATA_DIR").map_or(dir.join(".terraform"), |data| dir.join(data));
    let selected = match files::text(&data.join("environment"))? {
        Some(name) => Some(name.trim().to_owned()),
        None if data.is_dir() => Some("default".to_owned()),
        None => None,
    };
    Ok(Environment {
        variables: variables.collect(),
        arguments: request.variables.clone(),
        hidden_arguments: hidden.map(|(name, _)| name.to_string_lossy().into_owned()),
        workspace_named: env::var("TF_WORKSPACE").ok().filter(|name| !name.is_empty()),
        workspace_selected: selected,
    })
}

/// The files that are named, where they are: relative to the current folder, else to `dir`.
pub fn var_files(dir: &Path, named: &[PathBuf], observer: &mut dyn Observer) -> anyhow::Result<Vec<PathBuf>> {
    let mut find = |path: &PathBuf| {
        let inside = clean(&dir.join(path));
        match (path.exists(), inside.exists()) {
            (true, _) => Ok(clean(path)),
            (false, true) => {
                let note = format!("--var-file {} is taken from {}", path.display(), dir.display());
                observer.see(&Event::Note(note));
                Ok(inside)
            }
            (false, false) => Err(anyhow!(
                "--var-file is relative to the current folder, which has no file {}; {} does not exist either{}",
                path.display(),
                inside.display(),
                beside(dir)
            )),
        }
    };
    named.iter().map(&mut find).collect()
}

/// The files of variables that there are, in words, where they can be listed.
fn beside(dir: &Path) -> String {
    let (below, around) = (Disk.files_below(dir).unwrap_or_default(), Disk.files_around(dir).unwrap_or_default());
    let files = below.into_iter().chain(around);
    let names: Vec<String> =
        files.filter(|path| is_assignments(path)).take(10).map(|path| path.display().to_string()).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("; variable files here: {}", names.join(", ")),
    }
}

/// The terraform for the folder. Plan and log are in Terraform's own data folder there, which nobody commits.
pub fn terraform(question: &Question<'_>, located: &Located, site: &Site) -> anyhow::Result<Terraform> {
    let dir = question.dir;
    let program = Terraform::find(site.terraform.as_deref()).map_err(refused)?;
    if located.is_tofu && program.file_stem().is_none_or(|name| !name.to_string_lossy().contains("tofu")) {
        return Err(refused(anyhow!(
            "{} has files that only OpenTofu reads, and {} is not OpenTofu: use --terraform-bin tofu",
            dir.display(),
            program.display()
        )));
    }
    let terraform = Terraform::new(&program, dir, &dir.join(".terraform/kgen"))
        .with_var_files(question.var_files)
        .with_variables(&question.environment.arguments)
        .with_env(&site.place.env()?);
    if let Some(earlier) = terraform.earlier() {
        return Err(refused(anyhow!(
            "`{}` (process {}), started earlier, is still running in {}: wait for it to end",
            earlier.command_line,
            earlier.pid,
            dir.display()
        )));
    }
    Ok(terraform)
}

/// The command that shows what the edit does.
pub fn next(question: &Question<'_>, located: &Located) -> String {
    let quoted = |path: &Path| shell_quoted(&path.to_string_lossy());
    if located.is_terragrunt {
        return format!("cd {} && terragrunt plan", quoted(question.dir));
    }
    let program = if located.is_tofu { "tofu" } else { "terraform" };
    // With -chdir, terraform takes other paths from there.
    let files = question.var_files.iter().map(|path| format!(" -var-file={}", quoted(&absolute(path))));
    let given = question.environment.arguments.iter();
    let given = given.map(|(name, value)| format!(" -var={}", shell_quoted(&format!("{name}={value}"))));
    format!("{program} -chdir={} plan{}", quoted(question.dir), files.chain(given).collect::<String>())
}
