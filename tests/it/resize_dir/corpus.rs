//! `kgen resize --dir --dry-run` in every folder below `KGEN_CORPUS` that makes or calls for a cluster, counted by what came
//! of it. `scripts/corpus` shows the figures; whether a refusal is one that a person would not need, a person has to say.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::kgen;

const TO: &str = "kafka.m5.4xlarge";

/// Refusals that are right whatever the folder is like, by words that they have.
const RIGHT: &[(&str, &str)] = &[
    ("already is", "it is that type already"),
    ("there is no provisioned", "no cluster"),
    ("switched off", "switched off by a variable"),
    ("no aws_msk_cluster in", "no cluster"),
    ("MSK does not change", "a change that MSK does not make"),
    ("error: there are ", "several clusters, none named"),
    ("depends on the variable file", "files of variables, none named"),
    ("is a variable without a value", "a variable without a value"),
    ("is null", "null"),
    ("is an empty string", "an empty string"),
    ("the configurations that call", "a module that others call"),
    ("other clusters share the broker type", "a value of several clusters"),
    ("would not be applied", "ignore_changes"),
    ("is not allowed for", "a validation"),
    ("comes from a data source", "known when terraform runs"),
    ("only known to terraform", "known when terraform runs"),
    ("output of another unit", "known when terraform runs"),
    ("not on this machine", "a module that was not fetched"),
    ("that kgen does not know and that is missing from", "a module that was not fetched"),
    ("which does not contain one", "a module that is not there"),
];

/// Refusals that need a look: a person might not need them.
const OPEN: &[(&str, &str)] = &[
    ("cannot be read as Terraform", "a file that is not understood"),
    ("which kgen does not evaluate", "a function"),
    ("composed of parts", "a string put together"),
    ("does not declare", "an undeclared variable"),
    ("workspace", "a workspace that is not known"),
];

/// Folders below `root` that hold a cluster, or call a module for one.
fn configurations(root: &Path) -> BTreeSet<PathBuf> {
    let words = ["resource \"aws_msk_cluster\"", "msk-kafka-cluster", "msk-apache-kafka-cluster", "aws-msk-cluster"];
    let entries = walkdir::WalkDir::new(root).into_iter().filter_map(Result::ok);
    let files = entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path);
    let read = files.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".tf") || name.ends_with(".tofu") || name == "terragrunt.hcl"
    });
    let texts: Vec<(PathBuf, String)> =
        read.filter_map(|path| Some((path.parent()?.to_owned(), fs::read_to_string(&path).ok()?))).collect();
    let mut found: BTreeSet<PathBuf> = texts
        .iter()
        .filter(|(_, text)| words.iter().any(|word| text.contains(word)))
        .map(|(dir, _)| fs::canonicalize(dir).unwrap())
        .collect();
    let sources = regex::Regex::new(r#"\bsource\s*=\s*"(\.[^"?]*)"#).unwrap();
    // Who calls one of these, calls for a cluster.
    for _ in 0..4 {
        for (dir, text) in &texts {
            let calls = sources
                .captures_iter(text)
                .filter_map(|found| fs::canonicalize(dir.join(found[1].replace("//", "/"))).ok());
            if calls.into_iter().any(|called| found.contains(&called)) {
                found.insert(fs::canonicalize(dir).unwrap());
            }
        }
    }
    found
}

/// What came of a folder, in words; the first is whether it is an edit, a right refusal or one to look at.
fn outcome(dir: &Path) -> (&'static str, String) {
    let (code, out, err) = kgen(dir, ".", &["resize", TO, "--dir", ".", "--dry-run"]);
    let kind = |table: &'static [(&str, &str)]| {
        table.iter().find(|(word, _)| err.contains(word)).map(|(_, kind)| (*kind).to_owned())
    };
    match code {
        Some(0) => {
            let changed: Vec<&str> = out
                .lines()
                .filter(|line| line.starts_with(['-', '+']) && !line.starts_with("---") && !line.starts_with("+++"))
                .collect();
            let is_token = |was: &str, is: &str| {
                let at = is.find(TO);
                at.is_some_and(|at| was[1..].starts_with(&is[1..at]) && was.ends_with(&is[at + TO.len()..]))
            };
            match changed[..] {
                [was, is] if is_token(was, is) => ("edit", "one token".to_owned()),
                _ => ("wrong", format!("changes {changed:?}")),
            }
        }
        Some(2) => match (kind(RIGHT), kind(OPEN)) {
            (Some(kind), _) => ("right refusal", kind),
            (None, Some(kind)) => ("to look at", kind),
            (None, None) => ("to look at", "another".to_owned()),
        },
        code => ("wrong", format!("ended with {code:?}: {err}")),
    }
}

#[test]
#[ignore = "reads whole trees; scripts/corpus runs it"]
fn a_corpus_is_counted() {
    let folders = std::env::var("KGEN_CORPUS").expect("KGEN_CORPUS names folders, separated by colons");
    let mut counts: BTreeMap<(&str, String), usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for dir in folders.split(':').flat_map(|folder| configurations(Path::new(folder))) {
        let (what, kind) = outcome(&dir);
        println!("{what}: {kind}: {}", dir.display());
        if what == "wrong" {
            wrong.push(format!("{}: {kind}", dir.display()));
        }
        *counts.entry((what, kind)).or_default() += 1;
    }
    let all: usize = counts.values().sum();
    println!("{all} configurations");
    for ((what, kind), count) in &counts {
        println!("count: {count} {what}: {kind}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
