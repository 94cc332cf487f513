//! What else in the repository uses an edited value, and whether the folder can be planned at all.

use std::path::{Path, PathBuf};

use super::{
    Environment, Located, Question, Refusal, clean,
    explore::{View, explored},
    is_below, judge,
    refusal::Finding,
    surroundings::{Calls, around, unnamed, users},
    tree::Folder,
    value::Origin,
};

/// Others that are named.
const MOST_NAMED: usize = 12;

/// Where a cluster of a configuration has its broker type from.
struct Taken {
    address: String,
    file: PathBuf,
    start: usize,
    line: usize,
    text: String,
}

/// Adds notes about who else gets the edit.
///
/// # Errors
/// The folder is a module whose callers decide.
pub fn survey(
    folder: &dyn Folder,
    calls: &Calls<'_>,
    question: &Question<'_>,
    located: &mut Located,
) -> Result<(), Refusal> {
    if !located.is_terragrunt {
        let callers = refuse_a_module(folder, calls, question, located)?;
        located.notes.extend(callers);
    }
    let is_outside = !is_below(&located.edit.file, question.dir);
    let others = users(folder, calls, question.dir, &located.edit.file)?;
    let mut getting = Vec::new();
    for other in &others {
        let taken = taken(folder, other, &[], question).unwrap_or_default();
        for one in taken.iter().filter(|one| is_it(folder, one, located)) {
            getting.push(format!("{} ({})", other.display(), one.address));
        }
    }
    let (file, dir) = (located.edit.file.display(), question.dir.display());
    if !getting.is_empty() {
        located.notes.push(format!("{file} is also used by {}, which also get the new type", named(&getting)));
    } else if is_outside && has_nothing_around(folder, question.dir)? {
        located
            .notes
            .push(format!("{file} is outside {dir}: every other configuration that uses it also gets the new type"));
    } else if is_outside {
        located.notes.push(format!(
            "{file} is outside {dir}; kgen found no other configuration in this repository that uses the type from \
             there"
        ));
    }
    if !calls.unread().is_empty() {
        let names: Vec<String> = calls.unread().iter().map(|path| path.display().to_string()).collect();
        let names = named(&names);
        located.notes.push(format!("not checked, because it cannot be read: whether {names} uses the type from there"));
    }
    beside_the_files_named(folder, question, located);
    Ok(())
}

fn has_nothing_around(folder: &dyn Folder, dir: &Path) -> Result<bool, Refusal> {
    Ok(folder.files_around(dir).map_err(|error| around(dir, &error))?.is_empty())
}

fn named(all: &[String]) -> String {
    match all.len() > MOST_NAMED {
        true => format!("{} and {} more", all[..MOST_NAMED].join(", "), all.len() - MOST_NAMED),
        false => all.join(", "),
    }
}

fn is_it(folder: &dyn Folder, taken: &Taken, located: &Located) -> bool {
    folder.absolute(&taken.file) == folder.absolute(&located.edit.file) && taken.start == located.edit.span.start
}

/// Where the clusters of another configuration, or of this one with other files of variables, have their types from.
fn taken(
    folder: &dyn Folder,
    dir: &Path,
    var_files: &[PathBuf],
    question: &Question<'_>,
) -> Result<Vec<Taken>, Refusal> {
    let environment = match clean(dir) == clean(question.dir) {
        true => question.environment.clone(),
        false => Environment::default(),
    };
    let asked = Question { dir, cluster: None, var_files, environment: &environment, to: question.to };
    explored(folder, &asked, &mut |view: &View<'_>| {
        let mut found = Vec::new();
        for cluster in &view.clusters.found {
            let Ok(text) = &cluster.broker_type else { continue };
            let Origin::Literal(place) = &text.origin else { continue };
            let file = &view.tree.files[place.file];
            found.push(Taken {
                address: cluster.address.clone(),
                file: file.path.clone(),
                start: place.start,
                line: file.line(place.start),
                text: text.text.clone(),
            });
        }
        Ok(found)
    })
}

/// A folder that others call as a module is none to be planned: what its variables are is decided there. Returns a note
/// where it is unknown whether they decide.
fn refuse_a_module(
    folder: &dyn Folder,
    calls: &Calls<'_>,
    question: &Question<'_>,
    located: &Located,
) -> Result<Option<String>, Refusal> {
    let callers = calls.of(question.dir);
    let Some(first) = callers.first() else { return Ok(None) };
    let called = callers.iter().map(|caller| {
        let what = format!("calls {} as a module", question.dir.display());
        Finding { file: Some(caller.file.clone()), line: caller.line, what }
    });
    let by_default = located.choices.iter().filter(|(_, is_default)| *is_default).map(|(finding, _)| finding.clone());
    let by_default: Vec<Finding> = by_default.collect();
    if !by_default.is_empty() {
        let findings = by_default.into_iter().chain(called).collect();
        return Err(Refusal::no_root(&located.address, question, findings, &first.dir));
    }
    // An example shows how a module is called, and is nothing that is run.
    let is_shown = |root: &PathBuf| {
        root.components().any(|part| {
            ["example", "examples", "test", "tests", "fixtures"].iter().any(|name| part.as_os_str() == *name)
        })
    };
    let roots: Vec<PathBuf> = calls.roots(question.dir).into_iter().filter(|root| !is_shown(root)).collect();
    let mut findings: Vec<Finding> = called.collect();
    let mut first_setting = None;
    for root in &roots {
        let taken = taken(folder, root, &[], question).unwrap_or_default();
        if taken.iter().any(|one| is_it(folder, one, located)) {
            return Ok(None);
        }
        for one in taken {
            let what = format!("sets {:?} for {} of {}", one.text, one.address, root.display());
            findings.push(Finding { file: Some(one.file), line: one.line, what });
            first_setting.get_or_insert(root);
        }
    }
    match (first_setting, &roots[..]) {
        (Some(root), _) => Err(Refusal::no_root(&located.address, question, findings, root)),
        (None, []) => Ok(None),
        // What they set is unknown.
        (None, roots) => {
            let names: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
            let dir = question.dir.display();
            Ok(Some(format!("{} calls {dir} as a module and may set another type", named(&names))))
        }
    }
}

/// Which other files of variables leave the type to the value that is edited.
fn beside_the_files_named(folder: &dyn Folder, question: &Question<'_>, located: &mut Located) {
    let Some(last) = question.var_files.last() else { return };
    let home = |path: &Path| path.parent().map(clean);
    let listed = explored(folder, question, &mut |view: &View<'_>| {
        unnamed(view.folder, &view.tree.module(view.root).dir, view.tree, view.inputs)
    });
    let mut getting = Vec::new();
    for other in listed.unwrap_or_default().into_iter().take(MOST_NAMED * 2) {
        // It takes the place of the files in its folder, or of the last.
        let mut files: Vec<PathBuf> =
            question.var_files.iter().filter(|file| home(file) != home(&other)).cloned().collect();
        if files.len() == question.var_files.len() {
            files.retain(|file| file != last);
        }
        files.push(other.clone());
        let taken = taken(folder, question.dir, &files, question).unwrap_or_default();
        let is_meant = |address: &str| judge::addresses(&located.address).any(|known| known == address);
        if taken.iter().any(|one| is_it(folder, one, located) && is_meant(&one.address)) {
            getting.push(other.display().to_string());
        }
    }
    if !getting.is_empty() {
        let (file, line) = (located.edit.file.display(), located.edit.line);
        located.notes.push(format!(
            "{file}:{line} also sets the type with {}: there the cluster gets the new type as well",
            named(&getting)
        ));
    }
}
