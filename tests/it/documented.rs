//! Every command that the documentation shows is run: here, where it needs no cluster, else by a test that has one.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use crate::project::kgen;

/// Commands that need neither cluster nor terraform.
const ALONE: [&str; 8] = ["render", "config", "explain", "schema", "man", "completions", "runs", "doctor"];

/// README.md and docs/*.md, by name.
fn documents() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|ext| ext == "md"));
    std::iter::once(root.join("README.md"))
        .chain(docs)
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap()))
        .collect()
}

/// A file of this repository has what kgen prints there for `args`, with headings one level lower.
#[track_caller]
pub fn ensure_printed(document: &str, args: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = kgen(root).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap().replace("\n## ", "\n### ");
    assert!(
        fs::read_to_string(root.join(document)).unwrap().contains(&printed),
        "{document} does not have what `kgen {}` prints, one heading lower",
        args.join(" ")
    );
}

/// The command lines of kgen in its code blocks, without comments, redirections and what is piped on.
fn shown(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        for part in line.split("&&").filter(|_| is_code) {
            let words = part.split_whitespace().take_while(|word| !["#", "|", ">", "<"].contains(word));
            let command = words.collect::<Vec<_>>().join(" ");
            // What `kgen --help` prints of options and usage is no command.
            let is_usage = command.contains(['[', '<', '…']) || command.contains("Usage");
            if command.starts_with("kgen ") && !is_usage {
                found.push(command);
            }
        }
    }
    found
}

#[test]
fn commands_that_need_no_cluster_run_as_shown() {
    let dir = tempfile::tempdir().unwrap();
    let mut ran = BTreeSet::new();
    for (name, text) in documents() {
        for line in shown(&text) {
            let args: Vec<&str> = line.split(' ').skip(1).collect();
            if !ALONE.contains(&args[0]) || !ran.insert(line.clone()) {
                continue;
            }
            let fresh = dir.path().join(ran.len().to_string());
            fs::create_dir(&fresh).unwrap();
            // Folders that are shown lie below the project of this test.
            let args = args.iter().map(|arg| match arg.strip_prefix('/') {
                Some(path) => fresh.join(path).to_string_lossy().into_owned(),
                None => arg.trim_matches(['\'', '"']).to_owned(),
            });
            let output = kgen(&fresh).args(args).current_dir(&fresh).output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            // A machine may lack what `doctor` looks for, and an empty folder differs from what is rendered.
            let fine: &[i32] = if line.contains("--fix") {
                // Nobody can be asked here whether to install it.
                &[0, 1, 2]
            } else if line.contains("doctor") || line.contains("--check") {
                &[0, 1]
            } else {
                &[0]
            };
            assert!(output.status.code().is_some_and(|code| fine.contains(&code)), "{name}: {line}\n{stderr}");
        }
    }
    assert!(ran.len() > 15, "{ran:?}");
}

#[test]
fn every_other_command_is_run_by_a_test_with_a_cluster() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let files = fs::read_dir(tests).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let sources: String = files.map(|path| fs::read_to_string(path).unwrap()).collect();
    let mut missing = BTreeSet::new();
    for (name, text) in documents() {
        for line in shown(&text) {
            let words: Vec<&str> = line.split(' ').skip(1).collect();
            let has_action = ["lab", "topic"].contains(&words[0]);
            let path: Vec<&str> = words.iter().copied().take(1 + usize::from(has_action)).collect();
            let as_typed = format!("kgen {}", path.join(" "));
            let as_arguments = format!("[\"{}\"", path.join("\", \""));
            let as_victim = format!("args: \"{}", path.join(" "));
            if !ALONE.contains(&path[0])
                && !path[0].starts_with('-')
                && ![as_typed, as_arguments, as_victim].iter().any(|form| sources.contains(form.as_str()))
            {
                missing.insert(format!("{name}: {}", path.join(" ")));
            }
        }
    }
    assert!(missing.is_empty(), "no test runs {missing:?}");
}

#[test]
fn scripts_that_are_named_are_there() {
    for (name, text) in documents() {
        for (at, _) in text.match_indices("scripts/") {
            let script: String =
                text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || ['/', '-', '_'].contains(c)).collect();
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&script);
            // On the client instance there are others, with a folder in front.
            let is_other = at > 0 && text[..at].ends_with('/');
            assert!(is_other || path.exists(), "{name} names {script}");
        }
    }
    // The scripts themselves can be read by a shell.
    let scripts = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts")).unwrap();
    for script in scripts.map(|entry| entry.unwrap().path()) {
        let checked = Command::new("bash").arg("-n").arg(&script).output().unwrap();
        assert!(checked.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&checked.stderr));
    }
}
