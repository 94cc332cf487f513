//! What is asked is visible: no question without the plan above it, on any terminal, and no diagnostic is lost.

use std::{
    fs,
    process::{Command, Stdio},
};

use portable_pty::PtySize;
use rand::{Rng as _, rngs::StdRng};
use rdkafka::mocking::MockCluster;
use serde_json::json;

use super::{
    Case,
    shell::{QUESTION, Shell, applied, done, ensure, project, without_terminal},
};
use crate::project::{Project, with_demo};

/// Terminals by their name; `None` is no name at all.
const TERMS: [Option<&str>; 8] = [
    None,
    Some(""),
    Some("dumb"),
    Some("unknown"),
    Some("linux"),
    Some("vt100"),
    Some("xterm"),
    Some("xterm-256color"),
];

/// Rows and columns, also those that no terminal has.
const SIZES: [(u16, u16); 7] = [(24, 80), (0, 0), (1, 1), (2, 7), (3, 500), (200, 20), (65535, 65535)];

const RESIZE: &str = "resize kafka.m5.xlarge --dir DIR --apply";

/// Commands that ask, and what their plan says.
const ASKING: [(&str, &str); 3] = [
    ("apply", "+ terraform_data.t would be created"),
    ("destroy", "- terraform_data.t would be destroyed"),
    (RESIZE, "kafka.m5.large\" → \"kafka.m5.xlarge"),
];

const UNASKED: [&str; 3] = ["apply --yes", "destroy --yes", "resize kafka.m5.xlarge --dir DIR --apply --yes"];

pub fn cases(random: &mut StdRng) -> Vec<Case> {
    let mut cases = Vec::new();
    for term in TERMS {
        let named = term.map_or("no TERM".to_owned(), |term| format!("TERM={term}"));
        for (command, plan) in ASKING {
            let size = SIZES[random.random_range(0..SIZES.len())];
            let name = format!("{command} with {named} in {size:?}");
            cases.push(Case::new(name, move || asked(command, plan, term, size)));
            cases.push(Case::new(format!("{command} with {named}, plan fails"), move || plan_fails(command, term)));
            let name = format!("{command} with {named}, apply fails");
            cases.push(Case::new(name, move || apply_fails(command, term)));
        }
        for (command, (_, plan)) in UNASKED.into_iter().zip(ASKING) {
            let name = format!("{command} without a terminal, {named}");
            cases.push(Case::new(name, move || unasked(command, plan, term)));
        }
        for (command, _) in ASKING {
            let name = format!("{command} where nobody can be asked, {named}");
            cases.push(Case::new(name, move || nobody_there(command, term)));
        }
        cases.push(Case::new(format!("runs prune with {named}"), move || prune(term)));
        cases.push(Case::new(format!("lab down --purge with {named}"), move || purge(term)));
        let resources = random.random_range(100..400);
        cases.push(Case::new(format!("{resources} resources with {named}"), move || many(resources, term)));
    }
    for size in SIZES {
        cases.push(Case::new(format!("apply in {size:?}"), move || asked("apply", ASKING[0].1, Some("xterm"), size)));
    }
    cases
}

/// A diagnostic of two severities, each with parts that have to be seen.
fn diagnostics(project: &Project, command: &str, code: i32) -> [&'static str; 5] {
    let one = |severity: &str, summary: &str, detail: &str, line: u64| {
        json!({"type": "diagnostic", "diagnostic": {"severity": severity, "summary": summary, "detail": detail,
            "range": {"filename": "main.tf", "start": {"line": line, "column": 1, "byte": 1}}}})
        .to_string()
    };
    let severity = if code == 1 { "error" } else { "warning" };
    let lines = [
        one("warning", "Deprecated thing", "It goes away soon.", 7),
        one(severity, "Second thing", "First line.\n\n  indented: last line", 4711),
    ];
    project.write(&format!("stub/{command}.out"), &lines.join("\n"));
    project.write(&format!("stub/{command}.code"), &code.to_string());
    ["Deprecated thing", "It goes away soon.", "Second thing", "indented: last line", "main.tf:4711"]
}

fn ensure_all<'a>(text: &str, parts: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
    parts.into_iter().try_for_each(|part| ensure(text.contains(part), || format!("no {part:?} in {text:?}")))
}

/// Plan, checksum and diagnostics stand above the question.
fn asked(command: &str, plan: &str, term: Option<&str>, size: (u16, u16)) -> Result<(), String> {
    let project = project();
    let parts = diagnostics(&project, "plan", 2);
    let mut shell = Shell::with(&project, command, term, size);
    shell.until(QUESTION)?;
    let seen = shell.seen();
    let above = seen.split(QUESTION).next().unwrap_or_default();
    ensure_all(above, parts.into_iter().chain([plan, "plan file: ", "SHA-256"]))?;
    shell.type_in("no\n");
    let code = shell.code()?;
    ensure(code == 0 && applied(&project).is_empty(), || format!("exit code {code}: {}", shell.seen()))
}

fn plan_fails(command: &str, term: Option<&str>) -> Result<(), String> {
    let project = project();
    let parts = diagnostics(&project, "plan", 1);
    let mut shell = Shell::with(&project, command, term, (24, 80));
    let code = shell.code()?;
    parts.iter().try_for_each(|part| shell.until(part))?;
    let seen = shell.seen();
    ensure(code == 1 && !seen.contains(QUESTION), || format!("exit code {code}: {seen}"))
}

fn apply_fails(command: &str, term: Option<&str>) -> Result<(), String> {
    let project = project();
    let parts = diagnostics(&project, "apply", 1);
    let mut shell = Shell::with(&project, command, term, (24, 80));
    shell.answer("yes\n")?;
    let code = shell.code()?;
    parts.iter().try_for_each(|part| shell.until(part))?;
    ensure(code == 1 && applied(&project).len() == 1, || format!("exit code {code}: {}", shell.seen()))
}

/// With `--yes` and no terminal everything is printed as well.
fn unasked(command: &str, plan: &str, term: Option<&str>) -> Result<(), String> {
    let project = project();
    let parts = diagnostics(&project, "plan", 2);
    let ran = without_terminal(&project, command, term);
    ensure_all(&ran.stderr, parts.into_iter().chain([plan, "plan file: "]))?;
    ensure(ran.code == Some(0) && applied(&project).len() == 1, || format!("{:?}: {}", ran.code, ran.stderr))
}

/// Refused, before anything is planned.
fn nobody_there(command: &str, term: Option<&str>) -> Result<(), String> {
    let project = project();
    let ran = without_terminal(&project, command, term);
    let is_said = ran.stderr.contains("there is no terminal to ask on: add --yes");
    ensure(ran.code == Some(2) && is_said && done(&project).is_empty(), || format!("{:?}: {}", ran.code, ran.stderr))
}

fn prune(term: Option<&str>) -> Result<(), String> {
    let project = project();
    let id = with_demo(&project.path(""));
    let mut shell = Shell::with(&project, "runs prune --keep 0", term, (24, 80));
    shell.until(QUESTION)?;
    ensure_all(shell.seen().split(QUESTION).next().unwrap_or_default(), ["Delete 1 runs", &id])?;
    shell.type_in("no\n");
    let code = shell.code()?;
    let is_there = project.path(".kgen/runs").join(id).is_dir();
    ensure(code == 0 && is_there, || format!("exit code {code}, still there: {is_there}"))
}

fn purge(term: Option<&str>) -> Result<(), String> {
    let project = project();
    let lab = project.path(".kgen/lab");
    fs::create_dir_all(&lab).unwrap();
    let mut shell = Shell::with(&project, "lab down --purge", term, (24, 80));
    shell.until(QUESTION)?;
    ensure_all(
        shell.seen().split(QUESTION).next().unwrap_or_default(),
        ["Delete every cluster of the lab in ", ".kgen/lab"],
    )?;
    shell.type_in("no\n");
    let code = shell.code()?;
    ensure(code == 0 && lab.is_dir(), || format!("exit code {code}, still there: {}", lab.is_dir()))
}

/// A plan that is longer than the terminal is shown whole.
fn many(resources: usize, term: Option<&str>) -> Result<(), String> {
    let project = project();
    let names: Vec<String> = (0..resources).map(|number| format!("terraform_data.number_{number}_")).collect();
    let changes: Vec<_> = names
        .iter()
        .map(|name| {
            json!({"address": name, "mode": "managed", "type": "terraform_data",
                   "change": {"actions": ["delete"], "before": {}, "after": null}})
        })
        .collect();
    project.write("stub/many", &json!({"complete": true, "resource_changes": changes}).to_string());
    let mut shell = Shell::with(&project, "destroy", term, (24, 80));
    shell.until(QUESTION)?;
    let seen = shell.seen();
    ensure_all(seen.split(QUESTION).next().unwrap_or_default(), names.iter().map(String::as_str))?;
    ensure_all(&seen, [format!("Destroy these {resources} resources").as_str()])?;
    // The window may change while it asks.
    shell.master.resize(PtySize { rows: 1, cols: 1, ..PtySize::default() }).unwrap();
    shell.type_in("no\n");
    let code = shell.code()?;
    ensure(code == 0 && applied(&project).is_empty(), || format!("exit code {code}: {}", shell.seen()))
}

/// A question of a command whose standard error goes elsewhere would not be seen.
#[test]
fn nothing_is_asked_where_the_question_is_not_seen() {
    let project = project();
    let brokers = MockCluster::new(1).unwrap();
    brokers.create_topic("t", 1, 1).unwrap();
    let delete = format!("topic delete t --bootstrap-servers {}", brokers.bootstrap_servers());
    for command in ASKING.iter().map(|(command, _)| *command).chain([delete.as_str()]) {
        let words = super::shell::command(&project, command).join(" ");
        let (kgen, dir, err) = (env!("CARGO_BIN_EXE_kgen"), project.path(""), project.path("err"));
        let line = format!("{kgen} -C '{}' {words} 2> '{}'", dir.display(), err.display());
        // `script` gives it a terminal; only standard error leads away from it.
        let mut script = Command::new("timeout");
        script.args(["60", "script", "-qec", &line, "/dev/null"]).stdin(Stdio::null());
        let ran = script.env("KGEN_TERRAFORM_BIN", project.path("stub/terraform")).output();
        let Ok(ran) = ran else { return eprintln!("there is no `timeout` here") };
        assert_eq!(ran.status.code(), Some(2), "{}", project.read("err"));
        assert!(project.read("err").contains("there is no terminal to ask on"), "{}", project.read("err"));
    }
}

/// A bar that cannot be drawn is replaced by lines.
#[test]
fn a_load_is_told_in_lines_where_no_bar_can_be_drawn() {
    let project = project();
    let brokers = MockCluster::new(1).unwrap();
    brokers.create_topic("t", 1, 1).unwrap();
    let produce =
        format!("produce --topic t --rate 50 --duration 11s --bootstrap-servers {}", brokers.bootstrap_servers());
    let mut shell = Shell::with(&project, &produce, Some("dumb"), (24, 80));
    shell.until(" records/s due, ").unwrap();
}
