//! Reads a configuration and finds its clusters, repeating until all needed files have been read.

use std::path::{Path, PathBuf};

use super::{
    Question, Refusal,
    clusters::{self, Clusters},
    eval::Eval,
    inputs::Inputs,
    refusal::{Finding, quoted_path},
    syntax::Place,
    terragrunt::{self, Source, Terragrunt},
    tree::{Folder, Tree, clean, is_absent, is_configuration},
    uses_tofu,
    value::{Needed, Stop},
};

/// Files that may be found to be needed while evaluating; more are taken for a circle.
const MOST_ROUNDS: usize = 50;

/// A configuration that was read, and the clusters in it.
pub struct View<'v> {
    pub folder: &'v dyn Folder,
    pub question: &'v Question<'v>,
    pub tree: &'v Tree,
    pub inputs: &'v Inputs,
    pub clusters: &'v Clusters,
    /// Index of the root module.
    pub root: usize,
    pub region: Option<String>,
    pub is_terragrunt: bool,
    pub is_tofu: bool,
}

enum Failure {
    Refused(Refusal),
    /// A file is missing; the refusal is for when it does not help.
    Needs(Needed, Box<Refusal>),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::Refused(refusal)
    }
}

/// Reads the configuration and looks at it.
///
/// # Errors
/// It cannot be read, or `look` refuses.
pub fn explored<T>(
    folder: &dyn Folder,
    question: &Question<'_>,
    look: &mut dyn FnMut(&View<'_>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let mut tree = Tree::default();
    let unit =
        Terragrunt::find(&mut tree, question.dir, folder).map_err(|(path, error)| Refusal::broken(&path, &error))?;
    let mut needed: Vec<Needed> = Vec::new();
    for _ in 0..MOST_ROUNDS {
        let needs = match attempt(&mut tree, unit.as_ref(), folder, question, look) {
            Ok(found) => return Ok(found),
            Err(Failure::Needs(needs, refusal)) if needed.contains(&needs) => return Err(*refusal),
            Err(Failure::Needs(needs, _)) => needs,
            Err(Failure::Refused(refusal)) => return Err(refusal),
        };
        match &needs {
            Needed::Data(path) => tree.add_data(path, folder).map_err(|error| Refusal::not_read(path, &error))?,
            Needed::Code(path) => match folder.read(path) {
                Err(error) if is_absent(&error) => tree.add_absent(path),
                _ => drop(tree.add(path, folder).map_err(|error| Refusal::broken(path, &error))?),
            },
        }
        needed.push(needs);
    }
    Err(Refusal::plain("the configuration reads too many files for kgen to follow"))
}

fn attempt<T>(
    tree: &mut Tree,
    unit: Option<&Terragrunt>,
    folder: &dyn Folder,
    question: &Question<'_>,
    look: &mut dyn FnMut(&View<'_>) -> Result<T, Refusal>,
) -> Result<T, Failure> {
    let names = folder.names(question.dir).map_err(|error| Refusal::unreadable(question.dir, &error))?;
    refuse_what_is_not_followed(&names, question)?;
    let here = Inputs { here: folder.absolute(Path::new(".")), root: question.dir.to_owned(), ..Inputs::default() };
    let (root_dir, remote) = match unit {
        None => (question.dir.to_owned(), None),
        Some(unit) => {
            let eval_inputs = Inputs { terragrunt: Some(unit.clone()), ..here };
            let eval = Eval::new(tree, &eval_inputs);
            let source = terragrunt::source(&eval, unit)
                .map_err(|stop| failure(tree, question, "the unit's module is unknown", &stop))?;
            placed(folder, question, source)
        }
    };
    let root = tree.read_root(&root_dir, folder).map_err(|error| Refusal::unreadable(&root_dir, &error))?;
    // Terragrunt copies the unit's files over the module's, so they win.
    let mut dirs = vec![root_dir.clone(), question.dir.to_owned()];
    dirs.dedup();
    let inputs = read_inputs(tree, unit, folder, question, &dirs, root)?;
    if let Some(broken) = tree.broken() {
        let refusal = Refusal::broken(&broken.path, &broken.error);
        let valid = format!("terraform -chdir={} validate", quoted_path(&root_dir));
        return Err(if broken.error.is_unreadable() { refusal } else { refusal.next(valid) }.into());
    }
    let eval = Eval::new(tree, &inputs);
    let told = "the clusters are unknown";
    let clusters = match &remote {
        Some((remote, place)) => of_remote(tree, &eval, question, remote, place)?,
        None => clusters::clusters(&eval, root).map_err(|stop| failure(tree, question, told, &stop))?,
    };
    let missing = clusters.found.iter().filter_map(|cluster| cluster.broker_type.as_ref().err());
    if let Some(stop) = missing.clone().find(|stop| stop.needs.is_some()) {
        return Err(failure(tree, question, "a file is missing", stop));
    }
    let region = clusters::region(&eval, root);
    let view = View {
        folder,
        question,
        tree,
        inputs: &inputs,
        clusters: &clusters,
        root,
        region,
        is_terragrunt: unit.is_some(),
        is_tofu: uses_tofu(folder, &root_dir),
    };
    Ok(look(&view)?)
}

/// The folder of a unit's module, and, where it was not fetched, what is named and where.
fn placed(folder: &dyn Folder, question: &Question<'_>, source: Source) -> (PathBuf, Option<(String, Place)>) {
    match source {
        Source::Here => (question.dir.to_owned(), None),
        Source::Folder(dir) => (dir, None),
        Source::Cached(text, place, folders) => {
            // One that cannot be read may be the one that is used.
            let has_files = |dir: &PathBuf| match folder.names(dir) {
                Ok(names) => names.iter().any(|name| is_configuration(name)),
                Err(error) => !is_absent(&error),
            };
            let found: Vec<PathBuf> = folders.into_iter().filter(has_files).collect();
            match &found[..] {
                [only] => (only.clone(), None),
                // Of several it is not known which is the one that is used now.
                _ => (question.dir.to_owned(), Some((text, place))),
            }
        }
    }
}

fn read_inputs(
    tree: &mut Tree,
    unit: Option<&Terragrunt>,
    folder: &dyn Folder,
    question: &Question<'_>,
    dirs: &[PathBuf],
    root: usize,
) -> Result<Inputs, Failure> {
    let broken = |(path, error): (PathBuf, _)| Refusal::broken(&path, &error);
    let mut inputs =
        Inputs::read(tree, folder, dirs, Vec::new(), question.var_files, question.environment).map_err(broken)?;
    inputs.terragrunt = unit.cloned();
    if let Some(unit) = unit {
        let eval = Eval::new(tree, &inputs);
        // A unit's files are copied to where terraform runs.
        let reversed: Vec<PathBuf> = dirs.iter().rev().cloned().collect();
        let extra = terragrunt::extra(&eval, unit, &reversed)
            .map_err(|stop| failure(tree, question, "the unit's extra arguments are unknown", &stop))?;
        inputs = Inputs::read(tree, folder, dirs, extra, question.var_files, question.environment).map_err(broken)?;
        inputs.terragrunt = Some(unit.clone());
    }
    // Which workspaces there are, and which is selected, is then not a matter of files here.
    if tree.module(root).is_cloud {
        inputs.workspace = question.environment.workspace_named.clone();
    }
    Ok(inputs)
}

/// The cluster of a unit whose module is not on this machine, if the module is a known one.
fn of_remote(
    tree: &Tree,
    eval: &Eval<'_>,
    question: &Question<'_>,
    remote: &str,
    place: &Place,
) -> Result<Clusters, Failure> {
    if let Some(cluster) = clusters::of_unit(eval, remote, place) {
        return Ok(Clusters { found: vec![cluster], others: Vec::new() });
    }
    let why = "is a module that kgen does not know and that is missing from .terragrunt-cache, or in it several times";
    let refusal = Refusal {
        findings: vec![Finding::of_stop(tree, &Stop::at(place, why))],
        advice: "download the module, so that kgen can read it; or edit the input that sets its broker type by hand"
            .to_owned(),
        ..Refusal::plain("the unit's module cannot be followed")
    };
    Err(refusal.next(format!("cd {} && terragrunt init", quoted_path(question.dir))).into())
}

/// A stop as the refusal that it leads to.
fn failure(tree: &Tree, question: &Question<'_>, what: &str, stop: &Stop) -> Failure {
    let mut refusal = Refusal::plain(what);
    refusal.findings.push(Finding::of_stop(tree, stop));
    if stop.is_remote {
        refusal = refusal.next(question.terraform("init"));
    }
    match &stop.needs {
        Some(needs) => Failure::Needs(needs.clone(), Box::new(refusal)),
        None => Failure::Refused(refusal),
    }
}

fn refuse_what_is_not_followed(names: &[String], question: &Question<'_>) -> Result<(), Refusal> {
    if names.iter().any(|name| name == "terragrunt.stack.hcl" || name == "terragrunt.hcl.json") {
        return Err(Refusal::plain(&format!(
            "{} contains a Terragrunt stack, or a unit in JSON, which kgen does not support: choose the folder of a \
             unit",
            clean(question.dir).display()
        )));
    }
    if let Some(hidden) = &question.environment.hidden_arguments {
        return Err(Refusal::plain(&format!(
            "{hidden} sets variables on every terraform command line, and kgen cannot edit it"
        )));
    }
    Ok(())
}
