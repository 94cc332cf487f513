//! What kgen 0.1.0 wrote is still read. `tests/kept/0.1.0` was written by it and is never edited: a later form gets a folder of its
//! own beside it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rdkafka::{mocking::MockCluster, producer::DefaultProducerContext};
use serde_json::Value;

use crate::{
    guard::{Manner, Receiver, calm, configure, once, webhook},
    lab::Lab,
    project,
};

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kept/0.1.0")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// What a command prints, which has to end like this.
fn said(dir: &Path, code: i32, command: &str) -> String {
    let output = project::kgen(dir).args(command.split(' ')).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{command}: {stdout}\n{stderr}");
    stdout.into_owned()
}

#[test]
fn the_configuration_is_read_and_rendered() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(kept().join("kgen.toml"), dir.path().join("kgen.toml")).unwrap();
    said(dir.path(), 0, "render");
    said(dir.path(), 0, "render --check");
}

#[test]
fn recorded_runs_are_listed_replayed_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    copy(&kept().join("runs"), &dir.path().join(".kgen/runs"));
    let runs: Value = serde_json::from_str(&said(dir.path(), 0, "runs --json")).unwrap();
    let outcomes: Vec<_> =
        runs["runs"].as_array().unwrap().iter().map(|run| (&run["command"], &run["outcome"])).collect();
    let expected = [("produce", "done"), ("resize", "killed")].map(|(a, b)| (Value::from(a), Value::from(b)));
    assert_eq!(outcomes, expected.each_ref().map(|(a, b)| (a, b)), "{runs:#}");
    for run in runs["runs"].as_array().unwrap() {
        let id = run["id"].as_str().unwrap();
        let replayed = said(dir.path(), 0, &format!("replay {id} --json"));
        let samples: Vec<Value> = replayed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(samples.len() > 3 && samples.iter().all(|sample| sample["schema"] == "kgen.sample/1"), "{replayed}");
        said(dir.path(), 0, &format!("report {id}"));
    }
}

#[test]
fn a_run_of_a_newer_kgen_is_refused_with_the_way_forward() {
    let dir = tempfile::tempdir().unwrap();
    for (schema, expected) in [
        (
            "kgen.run/2",
            "a newer kgen wrote this record (kgen.run/2; this one reads kgen.run/1 and kgen.sample/1): use that kgen",
        ),
        ("kgen.sample/7", "a newer kgen wrote this record (kgen.sample/7; "),
        ("other.run/1", "is not the record of a run"),
    ] {
        fs::write(dir.path().join("run.jsonl"), format!("{{\"schema\":\"{schema}\"}}\n")).unwrap();
        let output = project::kgen(dir.path()).arg("report").arg(dir.path().join("run.jsonl")).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && stderr.contains(expected), "{stderr}");
    }
}

/// The records of the ledger are looked for, and none of them is on these brokers: exit code 5.
#[test]
fn a_ledger_is_proven() {
    let cluster: MockCluster<'static, DefaultProducerContext> = MockCluster::new(3).unwrap();
    cluster.create_topic("stress-demo", 6, 2).unwrap();
    let dir = tempfile::tempdir().unwrap();
    copy(&kept().join("runs"), &dir.path().join(".kgen/runs"));
    let brokers = cluster.bootstrap_servers();
    let run = "e756e75a62bc4932";
    let proof = said(
        dir.path(),
        5,
        &format!("consume --verify {run} --topic stress-demo --bootstrap-servers {brokers} --json"),
    );
    let proof: Value = serde_json::from_str(&proof).unwrap();
    let counts = ["acknowledged", "read", "lost"].map(|name| proof[name].as_u64());
    assert_eq!(counts, [500, 0, 500].map(Some), "{proof:#}");
}

#[test]
fn the_state_of_a_guard_goes_on() {
    let (dir, receiver) = (tempfile::tempdir().unwrap(), Receiver::new(Manner::Takes));
    copy(&kept().join("guard"), &dir.path().join(".kgen/guard"));
    let stub = calm(&["orders-0".to_owned(), "orders-1".to_owned()]);
    for minutes in [30, 20, 10] {
        configure(dir.path(), minutes, &webhook("pager", &receiver.url));
        let ran = once(&stub, dir.path(), &[]);
        assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    }
    let told: Vec<(String, String)> = receiver
        .documents()
        .iter()
        .map(|document| (document["subject"]["name"].to_string(), document["status"].to_string()))
        .collect();
    let expected = [("orders-1", "firing"), ("orders-0", "firing"), ("orders-1", "resolved"), ("orders-0", "resolved")];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for (name, status) in expected {
        assert!(told.contains(&(format!("\"{name}\""), format!("\"{status}\""))), "{told:?}");
    }
}

#[test]
#[ignore = "starts a lab without brokers"]
fn a_lab_is_taken_up_again() {
    let lab = Lab::with_options("--without-brokers");
    lab.sh("kgen lab down");
    fs::copy(kept().join("lab/control-plane.json"), lab.path().join(".kgen/lab/control-plane.json")).unwrap();
    lab.sh(&format!("{} --without-brokers", lab.up_command()));
    let clusters = lab.json("kgen lab status --json")["clusters"].clone();
    let found = (&clusters[0]["name"], &clusters[0]["state"], &clusters[0]["type"]);
    assert_eq!(found, (&"kgen-demo".into(), &"ACTIVE".into(), &"kafka.t3.small".into()), "{clusters:#}");
    lab.down();
}
