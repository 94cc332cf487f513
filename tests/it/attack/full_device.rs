//! A result that cannot be written is a failure, of every command; a message that cannot be is none, and hides none.

use std::{
    fs::{self, File, OpenOptions},
    process::{Command, Stdio},
};

use rand::{Rng as _, rngs::StdRng};
use rdkafka::mocking::MockCluster;
use serde_json::json;

use super::{
    Case,
    edge::{self, Poison, RUN, words},
};
use crate::project::Project;

/// Commands that print a result, each in a project with a recorded run and a stub as its terraform.
const PRINTING: [&str; 44] = [
    "--help",
    "--version",
    "help",
    "produce --help",
    "lab up --help",
    "explain",
    "explain broker.undersized",
    "explain --json",
    "completions bash",
    "completions zsh",
    "completions fish",
    "man",
    "man lab up",
    "schema",
    "schema kgen.sample/1",
    "reference",
    "reference --scenarios",
    "config",
    "config --json",
    "runs",
    "runs --json",
    "runs prune --keep 0 --dry-run",
    "runs prune --keep 0 --dry-run --json",
    "replay RUN",
    "replay RUN --plain",
    "replay RUN --json",
    "report RUN",
    "report RUN --json",
    "report RUN -o -",
    "report RUN --format markdown",
    "report RUN --format markdown -o -",
    "diagnose --replay .kgen/runs/RUN",
    "diagnose --replay .kgen/runs/RUN --json",
    "compare RUN RUN",
    "compare RUN RUN --json",
    "render --force",
    "render --force --json",
    "render --check",
    "render --check --json",
    "plan",
    "plan --json",
    "apply --yes --json",
    "destroy --yes --json",
    "resize kafka.m5.xlarge --dir infra --dry-run",
];

const MORE: [&str; 11] = [
    "output",
    "output --json",
    "output --raw a",
    "resize kafka.m5.xlarge --dir infra --dry-run --json",
    "resize kafka.m5.xlarge --dir infra",
    "lab fault list",
    "lab fault list --json",
    "doctor",
    "doctor --json",
    "bench score traces",
    "bench score traces --json",
];

/// Commands that write files and print nothing that matters.
const WRITING: [&str; 6] = [
    "render --force",
    "report RUN",
    "report RUN --format markdown -o told.md",
    "man --dir pages",
    "schema --dir schemas",
    "resize kafka.m5.xlarge --dir infra",
];

/// Commands that fail, whether they can say so or not.
const FAILING: [&str; 6] =
    ["explain nope", "nope", "replay nope", "report nope", "schema nope", "resize kafka.nope.huge --yes"];

fn project() -> Project {
    let project = edge::project(&edge::record(&Poison { group: "g".into(), cluster: "c".into(), ..Poison::default() }));
    let change = json!({ "actions": ["create"], "before": null, "after": {}, "after_unknown": {}, "before_sensitive": false, "after_sensitive": {} });
    let resource =
        json!({ "address": "a.b", "mode": "managed", "type": "aws_msk_cluster", "name": "b", "change": change });
    project.answer("plan", 2, "");
    project.answer("show", 0, &json!({ "resource_changes": [resource] }).to_string());
    project.answer("output", 0, r#"{"a":{"sensitive":false,"value":"b"}}"#);
    for (dir, name, text) in [
        (
            "infra",
            "infra/main.tf",
            "resource \"aws_msk_cluster\" \"this\" {\n  broker_node_group_info {\n    instance_type = \"kafka.m5.large\"\n  }\n}\n",
        ),
        ("traces", "traces/note", ""),
    ] {
        fs::create_dir(project.path(dir)).unwrap();
        project.write(name, text);
    }
    let trace = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traces/broker.degraded-1.jsonl.gz");
    fs::copy(trace, project.path("traces/broker.degraded-1.jsonl.gz")).unwrap();
    project
}

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

fn kgen(project: &Project, args: &str) -> Command {
    let args = words(&args.replace("RUN", RUN));
    let mut command = project.kgen(&args.iter().map(String::as_str).collect::<Vec<_>>());
    command.current_dir(project.path(""));
    command
}

/// The result goes to a full device: exit code 1, and why. The messages do so as well: the same code.
fn printed(args: &str, redacted: bool) -> Result<(), String> {
    let args = if redacted { format!("--redact {args}") } else { args.to_owned() };
    let there = kgen(&project(), &args).output().unwrap();
    if there.stdout.is_empty() {
        return Err(format!("prints nothing: {}", String::from_utf8_lossy(&there.stderr)));
    }
    let ran = kgen(&project(), &args).stdout(full()).stderr(Stdio::piped()).output().unwrap();
    let stderr = String::from_utf8_lossy(&ran.stderr);
    if ran.status.code() != Some(1) || !stderr.contains("error: ") || !stderr.contains("No space left") {
        return Err(format!("ended with {}: {stderr}", ran.status));
    }
    let silent = kgen(&project(), &args).stdout(full()).stderr(full()).output().unwrap();
    if silent.status.code() != Some(1) {
        return Err(format!("ended with {} where it could not say why", silent.status));
    }
    Ok(())
}

/// No message can be written: the result is there, and the exit code is what it is else.
fn unheard(args: &str) -> Result<(), String> {
    let heard = kgen(&project(), args).output().unwrap();
    let unheard = kgen(&project(), args).stdout(Stdio::piped()).stderr(full()).output().unwrap();
    let result = |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).len();
    if heard.status.code() != unheard.status.code() || result(&heard) != result(&unheard) {
        return Err(format!(
            "{} and {} bytes, but {} and {}",
            heard.status,
            result(&heard),
            unheard.status,
            result(&unheard)
        ));
    }
    Ok(())
}

/// No file may grow, as on a full disk.
fn written(args: &str) -> Result<(), String> {
    let project = project();
    let args = args.replace("RUN", RUN);
    let script = format!("trap '' XFSZ; ulimit -f 0; exec {} {args}", env!("CARGO_BIN_EXE_kgen"));
    let before = edge::files(&project.path("")).len();
    let ran = Command::new("bash").args(["-c", &script]).current_dir(project.path("")).output().unwrap();
    let stderr = String::from_utf8_lossy(&ran.stderr);
    if !matches!(ran.status.code(), Some(1 | 2)) || !stderr.contains("error: ") {
        return Err(format!("ended with {}: {stderr}", ran.status));
    }
    let empty = |path: &std::path::PathBuf| fs::metadata(path).is_ok_and(|meta| meta.len() == 0);
    let left = edge::files(&project.path("")).into_iter().filter(|path| !empty(path)).count();
    // The lock is an empty file.
    (left <= before).then_some(()).ok_or(format!("{left} files instead of {before}"))
}

/// On brokers of librdkafka: a load, its streams, topics, and a record that cannot be written.
fn on_brokers(args: &str, is_disk_full: bool) -> Result<(), String> {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let servers = cluster.bootstrap_servers();
    let project = project();
    let args = args.replace("SERVERS", &servers);
    let ran = if is_disk_full {
        let script = format!("trap '' XFSZ; ulimit -f 0; exec {} {args}", env!("CARGO_BIN_EXE_kgen"));
        Command::new("bash").args(["-c", &script]).current_dir(project.path("")).output().unwrap()
    } else {
        kgen(&project, &args).stdout(full()).stderr(Stdio::piped()).output().unwrap()
    };
    let stderr = String::from_utf8_lossy(&ran.stderr);
    match ran.status.code() {
        Some(1) if stderr.contains("error: ") && (is_disk_full || stderr.contains("No space left")) => Ok(()),
        _ => Err(format!("ended with {}: {stderr}", ran.status)),
    }
}

pub fn cases(random: &mut StdRng) -> Vec<Case> {
    let mut cases = Vec::new();
    for args in PRINTING.iter().chain(&MORE).copied() {
        let redacted = random.random_bool(0.3);
        cases.push(Case::new(format!("kgen {args} > /dev/full"), move || printed(args, redacted)));
    }
    for args in ["explain", "runs", "plan", "config --json", "replay RUN --plain"].into_iter().chain(FAILING) {
        cases.push(Case::new(format!("kgen {args} 2> /dev/full"), move || unheard(args)));
    }
    for args in WRITING {
        cases.push(Case::new(format!("kgen {args} on a full disk"), move || written(args)));
    }
    let produce = "produce --bootstrap-servers SERVERS --topic t --rate 200 --duration 1s";
    let watch = "watch --targets none.json --duration 1s --plain";
    for (args, is_disk_full) in [
        (format!("{produce} --json"), false),
        (format!("{produce} --json-stream"), false),
        (format!("{produce} --plain"), false),
        (format!("{produce} --json"), true),
        ("topic delete t --dry-run --bootstrap-servers SERVERS".to_owned(), false),
        ("topic describe t --bootstrap-servers SERVERS".to_owned(), false),
        ("consume --bootstrap-servers SERVERS --topic t --duration 1s --json".to_owned(), false),
        ("consume --bootstrap-servers SERVERS --topic t --duration 1s --json-stream".to_owned(), false),
        (watch.to_owned(), true),
    ] {
        let name = format!("kgen {args}, {}", if is_disk_full { "full disk" } else { "> /dev/full" });
        cases.push(Case::new(name, move || on_brokers(&args, is_disk_full)));
    }
    cases
}
