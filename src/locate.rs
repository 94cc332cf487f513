//! Where in anybody's Terraform the broker type of a cluster is set: the bytes to replace, or why that cannot be told.
//!
//! Values in, values out: files come through a [`Folder`], the environment as a value. What it finds out it finds by
//! evaluating the configuration as far as files tell; what they do not tell is refused, never guessed (docs/resize.md).

mod clusters;
mod edit;
mod eval;
mod inputs;
mod refusal;
mod scope;
mod syntax;
#[cfg(any(test, fuzzing))]
pub mod table;
mod terragrunt;
mod tree;
mod value;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use edit::Edit;
pub use inputs::Environment;
pub use refusal::Refusal;
#[cfg(test)]
use syntax::File;
pub use syntax::is_assignments;
pub use tree::{Folder, clean};

use clusters::{Cluster, Clusters};
use eval::Eval;
use inputs::Inputs;
use refusal::Finding;
use terragrunt::{Source, Terragrunt};
use tree::Tree;
use value::{Origin, Stop};

/// Files that may be found to be needed while evaluating; more are taken for a circle.
const MOST_ROUNDS: usize = 50;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The working directory: the root module, or a unit of Terragrunt.
    pub dir: &'a Path,
    /// Address, resource name or cluster name.
    pub cluster: Option<&'a str>,
    /// Files as `-var-file` names them, in their order.
    pub var_files: &'a [PathBuf],
    pub environment: &'a Environment,
    /// The broker type that is to be set.
    pub to: &'a str,
}

/// Where the broker type is set.
#[derive(Debug, Clone)]
pub struct Located {
    pub edit: Edit,
    /// The address of the cluster, or of the module call that makes it.
    pub address: String,
    /// The cluster's name, where files tell.
    pub cluster_name: Option<String>,
    pub kafka_version: Option<String>,
    /// The region of the AWS provider, where files tell.
    pub region: Option<String>,
    /// What was followed, from the cluster to the value: file and line, and what stands there.
    pub trail: Vec<String>,
    /// What else there is to know.
    pub notes: Vec<String>,
    pub is_terragrunt: bool,
    /// Address and broker type of every other cluster.
    others: Vec<(String, String)>,
}

/// Finds the edit that sets the broker type, and checks it: with it, the cluster has the new type, and every other
/// cluster what it had.
///
/// # Errors
/// It cannot be told, or there is nothing to change.
pub fn locate(folder: &dyn Folder, question: &Question<'_>) -> Result<Located, Refusal> {
    let located = found(folder, question)?;
    if located.edit.old == question.to {
        return Err(Refusal::unchanged(&located, question.to));
    }
    let changed = edit::Changed { folder, edit: &located.edit };
    let after = found(&changed, question).map_err(|refusal| Refusal::not_proven(&located, &refusal.to_string()))?;
    if after.edit.old != question.to || after.address != located.address || after.others != located.others {
        return Err(Refusal::not_proven(
            &located,
            "with it, the configuration comes to something else than was asked for",
        ));
    }
    Ok(located)
}

/// Reads and evaluates, again and again while a file is found to be needed.
fn found(folder: &dyn Folder, question: &Question<'_>) -> Result<Located, Refusal> {
    let mut tree = Tree::default();
    let unit =
        Terragrunt::find(&mut tree, question.dir, folder).map_err(|(path, error)| Refusal::broken(&path, &error))?;
    let mut needed: Vec<PathBuf> = Vec::new();
    for _ in 0..MOST_ROUNDS {
        let needs = match attempt(&mut tree, unit.as_ref(), folder, question) {
            Ok(located) => return Ok(located),
            Err(Failure::Needs(path, refusal)) if needed.contains(&path) => return Err(refusal),
            Err(Failure::Needs(path, _)) => path,
            Err(Failure::Refused(refusal)) => return Err(refusal),
        };
        tree.add(&needs, folder).map_err(|error| Refusal::broken(&needs, &error))?;
        needed.push(needs);
    }
    Err(Refusal::plain("the configuration reads too many files to be followed"))
}

enum Failure {
    Refused(Refusal),
    /// A file is missing; the refusal is for when it does not help.
    Needs(PathBuf, Refusal),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::Refused(refusal)
    }
}

fn attempt(
    tree: &mut Tree,
    unit: Option<&Terragrunt>,
    folder: &dyn Folder,
    question: &Question<'_>,
) -> Result<Located, Failure> {
    let names = folder.names(question.dir).map_err(|error| Refusal::unreadable(question.dir, &error))?;
    refuse_what_is_not_followed(&names, question)?;
    let source = match unit {
        None => Source::Here,
        Some(unit) => {
            let inputs = Inputs { terragrunt: Some(unit.clone()), ..Inputs::default() };
            let eval = Eval::new(tree, &inputs);
            terragrunt::source(&eval, unit).map_err(|stop| failure(tree, "the unit's module cannot be told", &stop))?
        }
    };
    let root_dir = match &source {
        Source::Folder(dir) => dir.clone(),
        Source::Here | Source::Remote(..) => question.dir.to_owned(),
    };
    let root = tree.read_root(&root_dir, folder).map_err(|error| Refusal::unreadable(&root_dir, &error))?;
    if let Some((path, why)) = tree.unreadable() {
        return Err(Refusal::unread(path, why).into());
    }
    // Terragrunt copies the unit's files over the module's, so they win.
    let mut dirs = vec![root_dir.clone(), question.dir.to_owned()];
    dirs.dedup();
    let mut inputs = Inputs::read(tree, folder, &dirs, question.var_files, question.environment)
        .map_err(|(path, error)| Refusal::broken(&path, &error))?;
    inputs.terragrunt = unit.cloned();
    // Which workspaces there are, and which is selected, is then not a matter of files here.
    if tree.module(root).is_cloud {
        inputs.workspace = question.environment.workspace_named.clone();
    }
    if let Some(broken) = tree.module(root).broken.iter().find(|broken| broken.may_matter) {
        return Err(Refusal::broken(&broken.path, &broken.error).into());
    }
    let eval = Eval::new(tree, &inputs);
    let clusters = match &source {
        Source::Remote(remote, place) => match clusters::of_unit(&eval, remote, place) {
            Some(cluster) => Clusters { found: vec![cluster], others: Vec::new() },
            None => {
                let stop = Stop::at(place, "is a module that is not on this machine and that kgen does not know");
                return Err(failure(tree, "the unit's module cannot be followed", &stop));
            }
        },
        _ => clusters::clusters(&eval, root).map_err(|stop| failure(tree, "the clusters cannot be told", &stop))?,
    };
    if let Some(stop) =
        clusters.found.iter().filter_map(|cluster| cluster.broker_type.as_ref().err()).find(|stop| stop.needs.is_some())
    {
        return Err(failure(tree, "a file is missing", stop));
    }
    let chosen = chosen(tree, &clusters, question)?;
    let region = clusters::region(&eval, root);
    Ok(judged(tree, &inputs, &clusters, chosen, question, unit.is_some(), region)?)
}

/// A stop as the refusal that it leads to.
fn failure(tree: &Tree, what: &str, stop: &Stop) -> Failure {
    let mut refusal = Refusal::plain(what);
    refusal.findings.push(Finding::of_stop(tree, stop));
    match &stop.needs {
        Some(path) => Failure::Needs(path.clone(), refusal),
        None => Failure::Refused(refusal),
    }
}

fn refuse_what_is_not_followed(names: &[String], question: &Question<'_>) -> Result<(), Refusal> {
    let find = |end: &str| names.iter().find(|name| name.ends_with(end));
    if let Some(name) = find(".tofu").or_else(|| find(".tofu.json")) {
        return Err(Refusal::plain(&format!(
            "{} is for OpenTofu alone, and kgen does not read such files",
            question.dir.join(name).display()
        )));
    }
    if names.iter().any(|name| name == "terragrunt.stack.hcl" || name == "terragrunt.hcl.json") {
        return Err(Refusal::plain(
            "a stack of Terragrunt, or one in JSON, is not followed: name the folder of a unit",
        ));
    }
    if let Some(hidden) = &question.environment.hidden_arguments {
        return Err(Refusal::plain(&format!(
            "{hidden} sets variables on every command line of terraform, and kgen cannot edit it"
        )));
    }
    Ok(())
}

/// The cluster that is meant.
fn chosen<'c>(tree: &Tree, clusters: &'c Clusters, question: &Question<'_>) -> Result<&'c Cluster, Refusal> {
    let all = &clusters.found;
    let matching: Vec<&Cluster> = match question.cluster {
        None => all.iter().collect(),
        Some(name) => {
            let exact: Vec<&Cluster> = all.iter().filter(|cluster| cluster.address == name).collect();
            let is_named = |cluster: &&Cluster| {
                let resource = cluster.address.rsplit('.').next().unwrap_or_default();
                cluster.name.as_deref() == Some(name)
                    || cluster.address.ends_with(&format!(".{name}"))
                    || resource.split('[').next() == Some(name)
            };
            if exact.is_empty() { all.iter().filter(is_named).collect() } else { exact }
        }
    };
    match matching[..] {
        [only] => Ok(only),
        [] => Err(Refusal::no_cluster(tree, clusters, question)),
        _ => Err(Refusal::several(tree, &matching)),
    }
}

/// The edit for `cluster`, if nothing speaks against it.
fn judged(
    tree: &Tree,
    inputs: &Inputs,
    clusters: &Clusters,
    cluster: &Cluster,
    question: &Question<'_>,
    is_terragrunt: bool,
    region: Option<String>,
) -> Result<Located, Refusal> {
    let refuse = |what: &str, stop: &Stop| Refusal::of_cluster(tree, cluster, what, stop);
    let text = cluster.broker_type.as_ref().map_err(|stop| refuse("its broker type cannot be told", stop))?;
    if let Some(stop) = &cluster.uncertain {
        return Err(refuse("it cannot be told how many of it there are", stop));
    }
    if let Some(place) = &cluster.ignored {
        let stop = Stop::at(place, "tells terraform to take no notice of the broker type");
        return Err(refuse("a changed broker type would not be applied", &stop));
    }
    let place = match &text.origin {
        Origin::Literal(place) => place,
        Origin::Made(why, place) => {
            let stop = Stop { why: (*why).to_owned(), place: place.clone(), needs: None };
            return Err(refuse(
                &format!("its broker type, {:?}, is not written as one string that could be replaced", text.text),
                &stop,
            ));
        }
    };
    if tree.files[place.file]
        .path
        .components()
        .any(|part| [".terraform", ".terragrunt-cache"].iter().any(|name| part.as_os_str() == *name))
    {
        let stop = Stop::at(place, "is in a copy of a module that the next init overwrites");
        return Err(refuse("its broker type is set inside of a module that is not in this repository", &stop));
    }
    let sharing: Vec<&Cluster> = clusters
        .found
        .iter()
        .filter(|other| !std::ptr::eq(*other, cluster) && other.met.strings.contains(place))
        .collect();
    if !sharing.is_empty() {
        return Err(Refusal::shared(tree, cluster, place, &sharing));
    }
    if question.var_files.is_empty() {
        refuse_unnamed_files(tree, inputs, cluster)?;
    }
    let edit = Edit::new(&tree.files[place.file], place, &text.text, question.to);
    let mut notes = Vec::new();
    if !is_below(&edit.file, question.dir) {
        notes.push(format!(
            "{} is outside of {}: every other configuration that uses it gets the new type too",
            edit.file.display(),
            question.dir.display()
        ));
    }
    let shown = |other: &Cluster| match &other.broker_type {
        Ok(text) => text.text.clone(),
        Err(stop) => stop.why.clone(),
    };
    let others = clusters.found.iter().filter(|other| !std::ptr::eq(*other, cluster));
    let mut trail = vec![format!("{} {}", at(tree, &cluster.place), cluster.address)];
    trail.extend(cluster.met.trail.iter().map(|(place, what)| format!("{} {what}", at(tree, place))));
    Ok(Located {
        edit,
        address: cluster.address.clone(),
        cluster_name: cluster.name.clone(),
        kafka_version: cluster.kafka_version.clone(),
        region,
        trail,
        notes,
        is_terragrunt,
        others: others.map(|other| (other.address.clone(), shown(other))).collect(),
    })
}

/// A file of variables that terraform reads only when it is named may well be named each time.
fn refuse_unnamed_files(tree: &Tree, inputs: &Inputs, cluster: &Cluster) -> Result<(), Refusal> {
    let mut findings = Vec::new();
    for file in &inputs.unused {
        let file = &tree.files[*file];
        let set = cluster.met.variables.iter().find_map(|name| Some((name, file.body.attribute(name)?)));
        if let Some((name, value)) = set {
            findings.push(Finding::at(
                tree,
                &value.place,
                format!("sets {name} when this file is named with -var-file"),
            ));
        }
    }
    match findings.is_empty() {
        true => Ok(()),
        false => Err(Refusal::unnamed_files(cluster, findings)),
    }
}

fn is_below(file: &Path, dir: &Path) -> bool {
    let dir = clean(dir);
    match dir == Path::new(".") {
        true => !file.starts_with("..") && !file.is_absolute(),
        false => file.starts_with(&dir),
    }
}

fn at(tree: &Tree, place: &syntax::Place) -> String {
    let file = &tree.files[place.file];
    format!("{}:{}", file.path.display(), file.line(place.start))
}
