//! Where in anyone's Terraform the broker type of a cluster is set: the bytes to replace, or why that is unknown.
//!
//! Values in, values out: files come through a [`Folder`], the environment as a value. What it finds out it finds by
//! evaluating the configuration as far as the files allow; what they do not contain is refused, never guessed
//! (docs/resize.md).

mod clusters;
mod edit;
mod eval;
mod explore;
mod inputs;
mod judge;
mod refusal;
mod scope;
mod surroundings;
mod survey;
mod syntax;
#[cfg(any(test, fuzzing))]
pub mod table;
mod terragrunt;
mod tree;
mod value;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use edit::{Edit, applied};
pub use inputs::Environment;
pub use refusal::Refusal;
#[cfg(test)]
use syntax::File;
pub use syntax::is_assignments;
pub use tree::{Folder, clean, is_of_interest};

use edit::Changed;
use explore::explored;
use judge::judged;
use refusal::{quoted, quoted_path};
use surroundings::Calls;
use syntax::Place;
use tree::Tree;

/// What is requested.
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
    /// The cluster's name, if the files contain it.
    pub cluster_name: Option<String>,
    pub kafka_version: Option<String>,
    /// The region of the AWS provider, if the files contain it.
    pub region: Option<String>,
    /// What was followed, from the cluster to the value: file and line, and what is there.
    pub trail: Vec<String>,
    /// What else there is to know.
    pub notes: Vec<String>,
    pub is_terragrunt: bool,
    /// It has files that OpenTofu alone reads.
    pub is_tofu: bool,
    /// Address and broker type of every other cluster.
    others: Vec<(String, String)>,
    /// What was chosen by something that other runs may have otherwise: where, in words, and whether by a default.
    choices: Vec<(refusal::Finding, bool)>,
    /// A condition that the type does not meet.
    unmet: Option<Refusal>,
    /// Conditions of which it is unknown whether the type meets them, in words.
    undecided: Vec<String>,
}

/// Which of the clusters are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// The one that is named, or the only one.
    One,
    All,
}

/// Finds the edit that sets the broker type, and checks it: with it, the cluster has the new type, and every other
/// cluster what it had.
///
/// # Errors
/// It is unknown, or there is nothing to change.
pub fn locate(folder: &dyn Folder, question: &Question<'_>) -> Result<Located, Refusal> {
    let mut found = proven(folder, question, Which::One)?;
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        _ => Err(Refusal::plain("more than one edit would be needed")),
    }
}

/// Finds the edits that set the broker type of every cluster, each place once, and checks them.
///
/// # Errors
/// One of them is unknown, or there is nothing to change.
pub fn locate_all(folder: &dyn Folder, question: &Question<'_>) -> Result<Vec<Located>, Refusal> {
    proven(folder, question, Which::All)
}

fn proven(folder: &dyn Folder, question: &Question<'_>, which: Which) -> Result<Vec<Located>, Refusal> {
    let helped = |refusal: Refusal| {
        let mut plan = question.terraform("plan");
        if uses_tofu(folder, question.dir) {
            plan = plan.replacen("terraform", "tofu", 1);
        }
        if folder.read(&question.dir.join(terragrunt::FILE)).is_ok() {
            plan = format!("cd {} && terragrunt plan", quoted_path(question.dir));
        }
        refusal.with_literals(surroundings::literals(folder, question), plan)
    };
    let found = located(folder, question, which).map_err(helped)?;
    let (same, mut changing): (Vec<Located>, Vec<Located>) =
        found.into_iter().partition(|located| located.edit.old == question.to);
    if changing.is_empty() {
        return Err(match same.first() {
            Some(located) => Refusal::unchanged(located, question.to),
            None => helped(Refusal::plain("there is no cluster")),
        });
    }
    check(folder, question, which, &same, &mut changing).map_err(helped)?;
    let calls = Calls::read(folder, question.dir).map_err(helped)?;
    for located in &mut changing {
        survey::survey(folder, &calls, question, located).map_err(helped)?;
        located.notes.extend(same.iter().map(|other| format!("{} already is {}", other.address, question.to)));
    }
    let mut distinct: Vec<Located> = Vec::new();
    for located in changing {
        match distinct.iter_mut().find(|known| known.edit.is_at(&located.edit)) {
            Some(known) => known.address = format!("{}, {}", known.address, located.address),
            None => distinct.push(located),
        }
    }
    Ok(distinct)
}

fn located(folder: &dyn Folder, question: &Question<'_>, which: Which) -> Result<Vec<Located>, Refusal> {
    explored(folder, question, &mut |view| {
        let chosen = judge::chosen(view, which)?;
        chosen.into_iter().map(|cluster| judged(view, cluster, which)).collect()
    })
}

/// Checks that the edits do what they are for, and what the configuration says of the new type.
fn check(
    folder: &dyn Folder,
    question: &Question<'_>,
    which: Which,
    same: &[Located],
    changing: &mut [Located],
) -> Result<(), Refusal> {
    let Some(first) = changing.first().cloned() else { return Ok(()) };
    let edits: Vec<&Edit> = changing.iter().map(|located| &located.edit).collect();
    let changed = Changed::new(folder, &edits);
    let after =
        located(&changed, question, which).map_err(|refusal| Refusal::not_proven(&first, &refusal.summary()))?;
    let other = || {
        Refusal::not_proven(
            &first,
            "with this edit, the configuration would evaluate to something other \
                                                than the requested type",
        )
    };
    if after.len() != same.len() + changing.len() {
        return Err(other());
    }
    for located in &mut *changing {
        let becomes = after.iter().find(|becomes| becomes.address == located.address);
        let Some(becomes) = becomes.filter(|becomes| becomes.edit.old == question.to) else { return Err(other()) };
        if which == Which::One && becomes.others != located.others {
            return Err(other());
        }
        if let Some(unmet) = &becomes.unmet {
            return Err(unmet.clone());
        }
        located.notes.extend(becomes.undecided.iter().cloned());
    }
    Ok(())
}

impl Question<'_> {
    /// The command that asks this again, with more on its command line.
    fn command(&self, more: &str) -> String {
        let cluster = match self.cluster {
            Some(name) if !more.contains("--cluster") => format!(" --cluster {}", quoted(name)),
            _ => String::new(),
        };
        let files: String = self.var_files.iter().map(|path| format!(" --var-file {}", quoted_path(path))).collect();
        let given = self.environment.arguments.iter();
        let given: String =
            given.map(|(name, value)| format!(" --var {}", quoted(&format!("{name}={value}")))).collect();
        format!("kgen resize {} --dir {}{cluster}{files}{given}{more}", self.to, quoted_path(self.dir))
    }

    /// A command of terraform on the folder.
    fn terraform(&self, command: &str) -> String {
        format!("terraform -chdir={} {command}", quoted_path(self.dir))
    }
}

/// Whether the folder has files that OpenTofu alone reads.
fn uses_tofu(folder: &dyn Folder, dir: &Path) -> bool {
    folder.names(dir).unwrap_or_default().iter().any(|name| tree::is_tofu(name))
}

fn is_below(file: &Path, dir: &Path) -> bool {
    let dir = clean(dir);
    match dir == Path::new(".") {
        true => !file.starts_with("..") && !file.is_absolute(),
        false => file.starts_with(&dir),
    }
}

fn at(tree: &Tree, place: &Place) -> String {
    let file = &tree.files[place.file];
    format!("{}:{}", file.path.display(), file.line(place.start))
}
