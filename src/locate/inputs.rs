//! What sets the variables of the root module, in Terraform's order of precedence.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    Question,
    syntax::{Expr, FileId, Place, SyntaxError},
    terragrunt::Terragrunt,
    tree::{Folder, Tree, clean},
};

/// What surrounds a run of terraform and bears on variables.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// Variables by their names, without `TF_VAR_`.
    pub variables: Vec<(String, String)>,
    /// Variables that are given with `--var`, by name.
    pub arguments: Vec<(String, String)>,
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
    /// The weakest first: terraform.tfvars, terraform.tfvars.json, *.auto.tfvars, then what stands on the command line.
    pub given: Vec<Given>,
    pub workspace: Option<String>,
    pub terragrunt: Option<Terragrunt>,
    /// Where terraform runs.
    pub root: PathBuf,
    /// The current folder, from the root of the file system.
    pub here: PathBuf,
}

/// What sets variables.
#[derive(Debug, Clone)]
pub enum Given {
    File(FileId),
    /// One variable, in words what gives it, and where that stands.
    Argument {
        name: String,
        value: String,
        by: &'static str,
        place: Option<Place>,
    },
}

pub enum Assigned<'t> {
    File(&'t Expr),
    /// Text that is in no file of variables, and in words where it comes from.
    Text {
        value: String,
        by: &'static str,
        place: Option<Place>,
    },
}

pub const BY_ENVIRONMENT: &str = "is set by an environment variable (TF_VAR_…), which kgen cannot edit";
pub const BY_ARGUMENT: &str = "is given with --var, which kgen cannot edit";

impl Inputs {
    /// Reads the files that terraform takes by itself in `dirs` (the later ones win), then what `extra` gives, then the
    /// files named, then the variables given.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn read(
        tree: &mut Tree,
        folder: &dyn Folder,
        dirs: &[PathBuf],
        extra: Vec<Given>,
        named: &[PathBuf],
        environment: &Environment,
    ) -> Result<Inputs, (PathBuf, SyntaxError)> {
        let root = dirs.first().cloned().unwrap_or_default();
        let here = folder.absolute(&PathBuf::from("."));
        let mut inputs = Inputs { environment: environment.variables.clone(), root, here, ..Inputs::default() };
        let mut paths = Vec::new();
        for dir in dirs {
            let mut names = folder.names(dir).map_err(|error| unreadable(dir, &error))?;
            names.retain(|name| automatic(name).is_some());
            names.sort_by_key(|name| (automatic(name), name.clone()));
            paths.extend(names.iter().map(|name| clean(&dir.join(name))));
        }
        for path in &paths {
            inputs.given.push(Given::File(tree.add(path, folder).map_err(|error| (path.clone(), error))?));
        }
        inputs.given.extend(extra);
        for path in named {
            inputs.given.push(Given::File(tree.add(path, folder).map_err(|error| (path.clone(), error))?));
        }
        for (name, value) in &environment.arguments {
            let (name, value) = (name.clone(), value.clone());
            inputs.given.push(Given::Argument { name, value, by: BY_ARGUMENT, place: None });
        }
        let composed = environment.variables.iter().chain(&environment.arguments);
        for (name, value) in composed.filter(|(_, value)| value.trim_start().starts_with(['{', '[', '"'])) {
            // One that is no expression is a string, or is found to be missing when it is requested.
            let _ = tree.add_argument(&argument_path(name, value), name, value);
        }
        inputs.workspace = environment.workspace_named.clone().or_else(|| environment.workspace_selected.clone());
        Ok(inputs)
    }

    /// Whether the file at `path` is among those that terraform reads.
    pub fn reads(&self, path: &Path, tree: &Tree, folder: &dyn Folder) -> bool {
        let full = folder.absolute(path);
        let is_it = |file: FileId| folder.absolute(&tree.files[file].path) == full;
        self.given.iter().any(|given| matches!(given, Given::File(file) if is_it(*file)))
    }

    /// Whether the variable is given on kgen's own command line, which goes over every file.
    pub fn is_given(&self, name: &str) -> bool {
        let is_it = |given: &Given| matches!(given, Given::Argument { name: known, by, .. } if known == name && *by == BY_ARGUMENT);
        self.given.iter().any(is_it)
    }

    /// Whether a file is one of those that were named.
    pub fn is_named(&self, file: FileId, tree: &Tree, question: &Question<'_>) -> bool {
        question.var_files.contains(&tree.files[file].path)
    }

    /// What sets the variable `name`, if anything but its default does.
    pub fn assigned<'t>(&self, name: &str, tree: &'t Tree) -> Option<Assigned<'t>> {
        let by_given = |given: &Given| match given {
            Given::File(file) => tree.files[*file].body.attribute(name).map(Assigned::File),
            Given::Argument { name: known, value, by, place } if known == name => {
                Some(Assigned::Text { value: value.clone(), by, place: place.clone() })
            }
            Given::Argument { .. } => None,
        };
        self.given.iter().rev().find_map(by_given).or_else(|| {
            let (_, value) = self.environment.iter().find(|(known, _)| known == name)?;
            Some(Assigned::Text { value: value.clone(), by: BY_ENVIRONMENT, place: None })
        })
    }
}

/// Stands for the path of a composed value that is given on a command line or by the environment.
pub fn argument_path(name: &str, value: &str) -> PathBuf {
    PathBuf::from(format!("<{name} = {value}>"))
}

fn unreadable(path: &Path, error: &io::Error) -> (PathBuf, SyntaxError) {
    (path.to_owned(), SyntaxError::unreadable(error))
}

/// The rank of a file that terraform reads by itself.
pub fn automatic(name: &str) -> Option<u8> {
    match name {
        "terraform.tfvars" => Some(0),
        "terraform.tfvars.json" => Some(1),
        _ if name.ends_with(".auto.tfvars") || name.ends_with(".auto.tfvars.json") => Some(2),
        _ => None,
    }
}
