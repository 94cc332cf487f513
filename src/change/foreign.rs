//! Changes the broker type in Terraform that kgen did not write. Edits one value, and applies it only on request and if
//! the plan contains only that change ([`work`]).

mod all;
pub mod branch;
mod checks;
mod given;
mod work;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, anyhow};

pub use self::work::Elsewhere;
use self::{
    checks::{asked, checked, leads_outside},
    given::{environment, next, terraform, var_files},
    work::Work,
};
use super::{Concluded, Event, FileDiff, Observer, Site};
use crate::{
    catalogue::BrokerType,
    edge,
    locate::{Environment, Located, Question, clean, locate},
    outcome::{Outcome, refused},
    project::{Disk, Lock, Project, replace_unchanged, unified_diff},
    stack::{Provenance, provenance},
    visible,
};

/// A change of broker type that is requested in a folder of Terraform.
#[derive(Debug, Clone)]
pub struct Request {
    pub dir: PathBuf,
    /// Which cluster: its address, resource name or cluster_name.
    pub cluster: Option<String>,
    /// Files that terraform is given with `-var-file`, in this order.
    pub var_files: Vec<PathBuf>,
    /// What terraform is given with `-var`.
    pub variables: Vec<(String, String)>,
    /// Every cluster of the folder.
    pub all: bool,
    /// Plan and apply the edit.
    pub apply: bool,
    /// Locate and check, and end there.
    pub dry_run: bool,
    pub to: BrokerType,
    /// How long the brokers are measured before the change, and again afterwards.
    pub measure: Duration,
}

/// What came of a request that was not refused and did not fail.
#[derive(Debug)]
pub enum ForeignEnd {
    /// Located, and written where that was requested.
    Edited(Box<Edited>),
    /// The plan was not approved, and the edit was undone.
    Declined,
    Interrupted,
    Concluded(Box<Concluded>),
}

impl ForeignEnd {
    /// How a command ends that ended so.
    pub fn outcome(&self) -> Outcome {
        match self {
            ForeignEnd::Interrupted => Outcome::Interrupted,
            ForeignEnd::Concluded(concluded) => concluded.outcome(),
            ForeignEnd::Edited(_) | ForeignEnd::Declined => Outcome::Done,
        }
    }
}

/// What is edited.
#[derive(Debug, Clone)]
pub struct Edited {
    pub cluster: Option<String>,
    pub written: bool,
    pub files: Vec<FileDiff>,
    /// What was not checked, and other notes.
    pub notes: Vec<String>,
    /// The command that plans it.
    pub next: String,
    /// The resource that the plan should update; nothing where there are several.
    pub address: Option<String>,
}

/// An edit that is located and checked, and written nowhere.
#[derive(Debug, Clone)]
pub struct Planned {
    pub edited: Edited,
    pub located: Located,
}

/// A value that was edited.
#[derive(Debug)]
pub struct Written<'a> {
    pub file: &'a Path,
    pub line: usize,
    pub old: &'a str,
    pub to: BrokerType,
    /// The resource that it is for, where there are several.
    pub address: Option<&'a str>,
}

/// Makes the change that `request` asks for. The run of an apply is recorded in the project of `site`.
///
/// # Errors
/// Refused before anything is touched; or what went wrong, and then the record says how far the change came.
pub fn run(request: &Request, site: &Site, observer: &mut dyn Observer) -> anyhow::Result<ForeignEnd> {
    let dir = clean(&request.dir);
    // Held from the first look to the end of an apply: the plan that is applied is of these files.
    let whole = fs::canonicalize(&dir).ok().filter(|_| !request.dry_run);
    let alone = whole.as_deref().filter(|dir| dir.is_dir()).map(Lock::folder).transpose().map_err(refused)?;
    let asked = Asked::of(dir, request, observer)?;
    let question = asked.question();
    if request.all {
        return all::run(&question, request, site, observer);
    }
    let Planned { edited, located } = asked.planned(site, observer)?;
    if request.dry_run {
        return Ok(ForeignEnd::Edited(Box::new(edited)));
    }
    let _beside = lock_beside(&located, whole.as_deref())?;
    if !request.apply {
        write(&located, request.to, observer)?;
        return Ok(ForeignEnd::Edited(Box::new(Edited { written: true, ..edited })));
    }
    // Looked for before the edit, which would otherwise be for nothing.
    let terraform = &terraform(&question, &located, site)?;
    let project = Project::open(&site.dir).map_err(refused)?;
    let alone = alone.as_ref().with_context(|| format!("{} cannot be locked", asked.dir.display())).map_err(refused)?;
    let diff = edited.files.into_iter().map(|file| file.diff).collect();
    let (located, after, plan) = (&located, located.edit.after(), edited.next);
    Work { project, request, site, terraform, alone, located, after, diff, plan }.carry_out(observer)
}

/// Locates and checks the change that `request` asks for. Changes nothing.
///
/// # Errors
/// Refused: it is unknown what to edit, or MSK would not make the change.
pub fn plan(request: &Request, site: &Site, observer: &mut dyn Observer) -> anyhow::Result<Planned> {
    Asked::of(clean(&request.dir), request, observer)?.planned(site, observer)
}

/// A request with what is read for it.
struct Asked<'a> {
    request: &'a Request,
    dir: PathBuf,
    environment: Environment,
    var_files: Vec<PathBuf>,
}

impl<'a> Asked<'a> {
    fn of(dir: PathBuf, request: &'a Request, observer: &mut dyn Observer) -> anyhow::Result<Asked<'a>> {
        let environment = environment(&dir, request).map_err(refused)?;
        let var_files = var_files(&dir, &request.var_files, observer).map_err(refused)?;
        Ok(Asked { request, dir, environment, var_files })
    }

    fn question(&self) -> Question<'_> {
        let Asked { request, dir, environment, var_files } = self;
        Question { dir, cluster: request.cluster.as_deref(), var_files, environment, to: request.to.as_str() }
    }

    /// Locates the edit, checks it and shows it.
    fn planned(&self, site: &Site, observer: &mut dyn Observer) -> anyhow::Result<Planned> {
        let question = self.question();
        let located = located(&question)?;
        let unchecked = unchecked(&located, &question, self.request, site)?;
        let edited = show(&question, &located, unchecked, observer);
        Ok(Planned { edited, located })
    }
}

/// The value to edit.
fn located(question: &Question<'_>) -> anyhow::Result<Located> {
    let mut located = locate(&Disk, question).map_err(refused)?;
    located.notes.extend(leads_outside(question.dir, &located)?);
    located.cluster_name.iter().for_each(|name| edge::learn_cluster(name));
    if provenance(&located.edit.before) != Provenance::Foreign {
        return Err(refused(anyhow!(
            "{} is rendered by kgen: omit --dir, and use -C to name the folder that contains kgen.toml",
            located.edit.file.display()
        )));
    }
    Ok(located)
}

/// What could not be checked.
///
/// # Errors
/// Refused: the change is none that MSK makes, or none that can be applied here.
fn unchecked(
    located: &Located,
    question: &Question<'_>,
    request: &Request,
    site: &Site,
) -> anyhow::Result<Vec<String>> {
    let mut unchecked = checked(located, request.to).map_err(refused)?;
    unchecked.extend(asked(located, request.to, &site.place)?);
    if request.apply && located.is_terragrunt {
        let dir = question.dir.display();
        return Err(refused(anyhow!(
            "{dir} is managed by Terragrunt: omit --apply, and apply the change with Terragrunt"
        )));
    }
    Ok(unchecked)
}

/// Reports how the value was found and what would be edited.
fn show(question: &Question<'_>, located: &Located, unchecked: Vec<String>, observer: &mut dyn Observer) -> Edited {
    let edit = &located.edit;
    located.trail.iter().for_each(|step| observer.see(&Event::Trail(step)));
    let name = visible::line(&edit.file.display().to_string()).into_owned();
    let diff = unified_diff((&name, &edit.before), (&name, &edit.after()));
    let edited = Edited {
        cluster: located.cluster_name.clone(),
        written: false,
        files: vec![FileDiff { file: edit.file.clone(), diff }],
        notes: located.notes.iter().cloned().chain(unchecked).collect(),
        next: next(question, located),
        address: Some(located.address.clone()),
    };
    observer.see(&Event::Located(&edited));
    edited
}

/// Locks the folder of the file, where that is another than `whole`: a module may lie elsewhere, and be called from there too.
fn lock_beside(located: &Located, whole: Option<&Path>) -> anyhow::Result<Option<Lock>> {
    let file = &located.edit.file;
    let real =
        fs::canonicalize(file).with_context(|| format!("finding {}", visible::line(&file.display().to_string())))?;
    real.parent().filter(|parent| Some(*parent) != whole).map(Lock::folder).transpose().map_err(refused)
}

fn write(located: &Located, to: BrokerType, observer: &mut dyn Observer) -> anyhow::Result<()> {
    let edit = &located.edit;
    replace_unchanged(&edit.file, edit.before.as_bytes(), edit.after().as_bytes()).map_err(refused)?;
    observer.see(&Event::Edited(&Written { file: &edit.file, line: edit.line, old: &edit.old, to, address: None }));
    Ok(())
}
