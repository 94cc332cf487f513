//! The recorded runs of the benchmark, judged again without a broker.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{documented::ensure_printed, project::kgen};

/// What `kgen bench score tests/traces` prints.
fn scored(options: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = kgen(root).args(["bench", "score", "tests/traces"]).args(options).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_documented_report_is_what_the_recorded_runs_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmark.md");
    let text = fs::read_to_string(path).unwrap();
    let is_same = text.ends_with(&scored(&[]));
    assert!(is_same, "docs/benchmark.md does not end with what `kgen bench score tests/traces` prints");
}

#[test]
fn the_documented_report_from_outside_is_what_the_recorded_runs_say() {
    ensure_printed("docs/benchmark.md", &["bench", "score", "tests/traces", "--view", "outside"]);
}

#[test]
fn the_documented_report_of_live_runs_from_outside_is_what_they_say() {
    ensure_printed("docs/benchmark.md", &["bench", "score", "tests/traces-outside", "--view", "outside"]);
}

#[test]
fn every_cause_is_told_as_well_as_was_asked() {
    let report: Value = serde_json::from_str(&scored(&["--json"])).unwrap();
    let count = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let share = |name: &str| count(&format!("/{name}/right")) / count(&format!("/{name}/of"));
    let runs =
        |answers: &Value| answers.as_object().into_iter().flatten().filter_map(|(_, runs)| runs.as_u64()).sum::<u64>();
    let often = report["confusion"].as_object().unwrap().iter().filter(|(_, answers)| runs(answers) >= 5);
    let (pairs, alone): (Vec<&str>, Vec<&str>) =
        often.map(|(scenario, _)| scenario.as_str()).partition(|name| name.contains('+'));
    assert!(alone.len() >= 22 && pairs.len() >= 5, "five runs or more have {alone:?} and {pairs:?}");
    for (name, least) in [("held_out", 0.9), ("names", 0.95), ("remedies", 0.9)] {
        assert!(share(name) >= least, "{name}: {}", share(name));
    }
    assert_eq!(report["false_alarms"], Value::Array(Vec::new()));
    assert!(count("/calm_s") >= 30.0 * 60.0, "{} s without a fault", count("/calm_s"));
    let (all, hard) = (count("/time_to_name/p95_s"), count("/time_to_name_hard/p95_s"));
    assert!(all <= 30.0 && hard <= 15.0, "named after {all} s, hard faults after {hard} s");
}
