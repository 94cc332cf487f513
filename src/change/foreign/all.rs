//! `--all`: changes all clusters of the folder at once, wherever their types are set. Only edits files; terraform is
//! not run.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, ensure};

use super::{Edited, ForeignEnd, Request, Written, asked, checked, leads_outside, next};
use crate::{
    catalogue::BrokerType,
    change::{Event, FileDiff, Observer, Site},
    edge, files,
    locate::{Edit, Located, Question, applied, locate_all},
    outcome::refused,
    project::{Disk, Lock, LockError, replace_all, unified_diff},
    stack::{Provenance, provenance},
    visible,
};

/// A file with all of its edits.
struct Changed {
    file: PathBuf,
    before: String,
    after: String,
    diff: String,
}

pub fn run(
    question: &Question<'_>,
    request: &Request,
    site: &Site,
    observer: &mut dyn Observer,
) -> anyhow::Result<ForeignEnd> {
    let found = located(question)?;
    let files = changed(&found);
    if let Some(rendered) = files.iter().find(|changed| provenance(&changed.before) != Provenance::Foreign) {
        return Err(refused(anyhow!("{} is rendered by kgen: omit --dir", rendered.file.display())));
    }
    let notes = notes(&found, request.to, site)?;
    found.iter().flat_map(|located| &located.trail).for_each(|step| observer.see(&Event::Trail(step)));
    let diffs = files.iter().map(|changed| FileDiff { file: changed.file.clone(), diff: changed.diff.clone() });
    let edited = Edited {
        cluster: None,
        written: false,
        files: diffs.collect(),
        notes,
        next: found.first().map(|first| next(question, first)).unwrap_or_default(),
        address: None,
    };
    observer.see(&Event::Located(&edited));
    if request.dry_run {
        return Ok(ForeignEnd::Edited(Box::new(edited)));
    }
    write(question, &files).map_err(refused)?;
    for located in &found {
        let Edit { file, line, old, .. } = &located.edit;
        let address = Some(located.address.as_str());
        observer.see(&Event::Edited(&Written { file, line: *line, old, to: request.to, address }));
    }
    Ok(ForeignEnd::Edited(Box::new(Edited { written: true, ..edited })))
}

/// Every value to edit.
fn located(question: &Question<'_>) -> anyhow::Result<Vec<Located>> {
    let mut found = locate_all(&Disk, question).map_err(refused)?;
    for located in &mut found {
        let note = leads_outside(question.dir, located)?;
        located.notes.extend(note);
        located.cluster_name.iter().for_each(|name| edge::learn_cluster(name));
    }
    Ok(found)
}

/// The files that these are in, edited.
fn changed(found: &[Located]) -> Vec<Changed> {
    let edits: Vec<&Edit> = found.iter().map(|located| &located.edit).collect();
    let changed = applied(&edits).into_iter().map(|(file, before, after)| {
        let name = shown(&file);
        let diff = unified_diff((&name, &before), (&name, &after));
        Changed { file, before, after, diff }
    });
    changed.collect()
}

fn shown(file: &Path) -> String {
    visible::line(&file.display().to_string()).into_owned()
}

/// What there is to know of each cluster, after each was requested.
fn notes(found: &[Located], to: BrokerType, site: &Site) -> anyhow::Result<Vec<String>> {
    let mut notes = BTreeSet::new();
    for located in found {
        let of = |error: anyhow::Error| refused(error.context(located.address.clone()));
        notes.extend(located.notes.iter().cloned());
        let unchecked =
            checked(located, to).map_err(of)?.into_iter().chain(asked(located, to, &site.place).map_err(of)?);
        notes.extend(unchecked.map(|note| format!("{}: {note}", located.address)));
    }
    Ok(notes.into_iter().collect())
}

/// Writes every file, or none. The folder itself is held already.
fn write(question: &Question<'_>, files: &[Changed]) -> anyhow::Result<()> {
    let mut folders = BTreeSet::new();
    let whole = fs::canonicalize(question.dir).with_context(|| format!("finding {}", question.dir.display()))?;
    for changed in files {
        let real = fs::canonicalize(&changed.file).with_context(|| format!("finding {}", changed.file.display()))?;
        folders.extend(real.parent().filter(|parent| *parent != whole).map(PathBuf::from));
    }
    let held = folders.iter().map(|folder| Lock::folder(folder)).collect::<Result<Vec<Lock>, LockError>>()?;
    for changed in files {
        let is_same = files::text(&changed.file)?.as_ref() == Some(&changed.before);
        ensure!(
            is_same,
            "{} was changed by something else in the meantime and was left alone; run this again",
            changed.file.display()
        );
    }
    let bytes: Vec<(PathBuf, Vec<u8>)> =
        files.iter().map(|changed| (changed.file.clone(), changed.after.clone().into_bytes())).collect();
    let _stands = replace_all(&bytes)?;
    drop(held);
    Ok(())
}
