//! `--all`: every cluster of the folder at once, in as many places as their types are set. Edits, and stops before terraform.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, ensure};

use super::{asked, checked, leads_outside, next};
use crate::{
    cli::{Outcome, Resize, refused},
    commands::{
        documents::{self, Prepared, PreparedFile},
        out,
    },
    files,
    locate::{Edit, Located, Question, applied, locate_all},
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

pub fn run(question: &Question<'_>, args: &Resize) -> anyhow::Result<Outcome> {
    let mut found = locate_all(&Disk, question).map_err(refused)?;
    for located in &mut found {
        let note = leads_outside(question.dir, located)?;
        located.notes.extend(note);
        located.cluster_name.iter().for_each(|name| out::learn_cluster(name));
    }
    let edits: Vec<&Edit> = found.iter().map(|located| &located.edit).collect();
    let files: Vec<Changed> = applied(&edits)
        .into_iter()
        .map(|(file, before, after)| {
            let name = shown(&file);
            let diff = unified_diff((&name, &before), (&name, &after));
            Changed { file, before, after, diff }
        })
        .collect();
    if let Some(rendered) = files.iter().find(|changed| provenance(&changed.before) != Provenance::Foreign) {
        return Err(refused(anyhow!("{} is rendered by kgen: leave out --dir", rendered.file.display())));
    }
    let notes = notes(&found, args)?;
    found.iter().flat_map(|located| &located.trail).for_each(|step| eprintln!("{}", visible::line(step)));
    for changed in &files {
        // A document is alone on standard output.
        if args.json {
            eprint!("{}", changed.diff);
        } else {
            print!("{}", changed.diff);
        }
    }
    notes.iter().for_each(|note| eprintln!("note: {}", visible::line(note)));
    let Some(first) = found.first() else { return Ok(Outcome::Done) };
    let next = next(question, first);
    if !args.dry_run {
        write(question, &files).map_err(refused)?;
        for located in &found {
            let (edit, to) = (&located.edit, args.broker_type);
            let (name, old, address) = (shown(&edit.file), visible::line(&edit.old), visible::line(&located.address));
            eprintln!("{name}:{}: {old} is now {to} ({address})", edit.line);
        }
        eprintln!("next, and look whether the plan updates these clusters in place and changes nothing else:");
    }
    if args.json {
        let diffs = files.into_iter().map(|changed| PreparedFile { file: changed.file, diff: changed.diff });
        let (files, written) = (diffs.collect(), !args.dry_run);
        documents::print(Prepared { cluster: None, written, files, remedy: None, moves: None, notes, next })?;
    } else if !args.dry_run {
        println!("{next}");
    }
    Ok(Outcome::Done)
}

fn shown(file: &Path) -> String {
    visible::line(&file.display().to_string()).into_owned()
}

/// What there is to know of each cluster, after each was asked for.
fn notes(found: &[Located], args: &Resize) -> anyhow::Result<Vec<String>> {
    let mut notes = BTreeSet::new();
    for located in found {
        let of = |error: anyhow::Error| refused(error.context(located.address.clone()));
        let to = args.broker_type;
        notes.extend(located.notes.iter().cloned());
        let unchecked = checked(located, to).map_err(of)?.into_iter().chain(asked(located, to).map_err(of)?);
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
        ensure!(is_same, "{} was changed in between and stays as it is; run this again", changed.file.display());
    }
    let bytes: Vec<(PathBuf, Vec<u8>)> =
        files.iter().map(|changed| (changed.file.clone(), changed.after.clone().into_bytes())).collect();
    let _stands = replace_all(&bytes)?;
    drop(held);
    Ok(())
}
