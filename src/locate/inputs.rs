//! What sets the variables of the root module, in Terraform's order of precedence.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    syntax::{Expr, FileId, SyntaxError},
    terragrunt::Terragrunt,
    tree::{Folder, Tree, clean},
};

/// What surrounds a run of terraform and bears on variables.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// Variables by their names, without `TF_VAR_`.
    pub variables: Vec<(String, String)>,
    /// Arguments that `TF_CLI_ARGS` or its kind adds to each command line and that set variables.
    pub hidden_arguments: Option<String>,
    /// The workspace that `TF_WORKSPACE` names.
    pub workspace_named: Option<String>,
    /// The workspace that was selected in the working directory: `default` after init.
    pub workspace_selected: Option<String>,
}

#[derive(Debug, Default)]
pub struct Inputs {
    pub environment: Vec<(String, String)>,
    /// The weakest first: terraform.tfvars, terraform.tfvars.json, *.auto.tfvars, those named.
    pub files: Vec<FileId>,
    /// Files of variables that are there and that terraform reads only when they are named.
    pub unused: Vec<FileId>,
    pub workspace: Option<String>,
    pub terragrunt: Option<Terragrunt>,
}

pub enum Assigned<'t> {
    File(&'t Expr),
    Environment(String),
}

impl Inputs {
    /// Reads the files that terraform takes by itself in `dirs` (the later ones win), and then those named.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn read(
        tree: &mut Tree,
        folder: &dyn Folder,
        dirs: &[PathBuf],
        named: &[PathBuf],
        environment: &Environment,
    ) -> Result<Inputs, (PathBuf, SyntaxError)> {
        let mut paths = Vec::new();
        for dir in dirs {
            let mut names = folder.names(dir).map_err(|error| unreadable(dir, &error))?;
            names.retain(|name| automatic(name).is_some());
            names.sort_by_key(|name| (automatic(name), name.clone()));
            paths.extend(names.iter().map(|name| clean(&dir.join(name))));
        }
        paths.extend(named.iter().cloned());
        let mut files = Vec::new();
        for path in &paths {
            files.push(tree.add(path, folder).map_err(|error| (path.clone(), error))?);
        }
        let mut unused = Vec::new();
        // Files that are named leave no question which count.
        let below = dirs.first().filter(|_| named.is_empty());
        for path in below
            .map_or(Ok(Vec::new()), |dir| folder.assignments_below(dir).map_err(|error| unreadable(dir, &error)))?
        {
            if paths.contains(&path) {
                continue;
            }
            // One that is no file of variables sets nothing that could be compared.
            match (tree.add(&path, folder), folder.read(&path)) {
                (Ok(file), _) => unused.push(file),
                (Err(_), Ok(_)) => {}
                (Err(_), Err(error)) => return Err(unreadable(&path, &error)),
            }
        }
        let workspace = environment.workspace_named.clone().or_else(|| environment.workspace_selected.clone());
        Ok(Inputs { environment: environment.variables.clone(), files, unused, workspace, terragrunt: None })
    }

    /// What sets the variable `name`, if anything but its default does.
    pub fn assigned<'t>(&self, name: &str, tree: &'t Tree) -> Option<Assigned<'t>> {
        let in_file = |file: &FileId| tree.files[*file].body.attribute(name);
        self.files.iter().rev().find_map(in_file).map(Assigned::File).or_else(|| {
            let set = self.environment.iter().find(|(known, _)| known == name);
            set.map(|(_, value)| Assigned::Environment(value.clone()))
        })
    }
}

fn unreadable(path: &Path, error: &io::Error) -> (PathBuf, SyntaxError) {
    (path.to_owned(), SyntaxError::unreadable(error))
}

/// The rank of a file that terraform reads by itself.
fn automatic(name: &str) -> Option<u8> {
    match name {
        "terraform.tfvars" => Some(0),
        "terraform.tfvars.json" => Some(1),
        _ if name.ends_with(".auto.tfvars") || name.ends_with(".auto.tfvars.json") => Some(2),
        _ => None,
    }
}
