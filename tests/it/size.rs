//! `kgen size` on recordings.

use std::{fs, io::Read as _, path::Path, process::Output};

use serde_json::Value;

use crate::{documented::ensure_printed, project::kgen};

/// A recorded run of `tests/traces`, unpacked.
fn recording(dir: &Path, name: &str) -> String {
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces").join(format!("{name}.jsonl.gz"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(fs::File::open(packed).unwrap()).read_to_string(&mut text).unwrap();
    fs::write(dir.join("run.jsonl"), text).unwrap();
    "run.jsonl".to_owned()
}

fn size(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        kgen(dir).arg("size").args(args).current_dir(dir).env("COLUMNS", "80").output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn an_overloaded_cluster_is_told_the_cheapest_shape_and_what_to_type() {
    let dir = tempfile::tempdir().unwrap();
    let run = recording(dir.path(), "broker.undersized-1");
    let (code, text, told) = size(dir.path(), &["--from", &run]);
    assert_eq!(code, Some(3), "{text}{told}");
    for expected in [
        "change 3 x kafka.m5.large to ",
        "USD/month",
        "Rejected:",
        "aws kafka update-broker-type",
        "certainty:",
        "why not fewer brokers:",
    ] {
        assert!(text.contains(expected), "no {expected}: {text}");
    }
    let wide = text.lines().find(|line| line.chars().count() > 80 && !line.contains("aws kafka"));
    assert_eq!(wide, None);

    let (code, json, told) = size(dir.path(), &["--from", &run, "--json"]);
    assert_eq!(code, Some(3), "{told}");
    let sized: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&sized["schema"], &sized["advice"]["do"]), (&"kgen.size/1".into(), &"change".into()), "{sized:#}");
    let types = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/broker-types.csv")).unwrap();
    assert_eq!(sized["shapes"].as_array().map(Vec::len), Some(types.lines().count() - 1), "a row for each type");
    for shape in sized["shapes"].as_array().unwrap() {
        assert!(shape["fits"] == true || shape["reason"].is_string(), "{shape:#}");
    }
}

#[test]
fn a_history_that_says_nothing_is_inconclusive_and_bad_arguments_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run = recording(dir.path(), "broker.undersized-1");
    let (code, text, told) = size(dir.path(), &["--from", &run, "--exclude", "2000-01-01T00:00Z/2100-01-01T00:00Z"]);
    assert_eq!((code, text.as_str()), (Some(4), ""), "{told}");
    assert!(told.contains("excluded"), "{told}");
    for args in [
        &["--from", "nothing.jsonl"][..],
        &["--from", &run, "--growth", "much"],
        &["--from", &run, "--exclude", "today"],
        &["--days", "90"],
        &["--from", &run, "--target-cpu", "0"],
    ] {
        let (code, text, told) = size(dir.path(), args);
        assert_eq!((code, text.as_str()), (Some(2), ""), "{args:?}: {told}");
        assert!(!told.is_empty());
    }
}

#[test]
fn the_documented_error_of_the_predictions_is_what_the_measurements_say() {
    ensure_printed("docs/size.md", &["bench", "size", "--score", "tests/capacities"]);
}

#[test]
fn a_resize_in_the_middle_of_a_recording_begins_the_model_anew() {
    let dir = tempfile::tempdir().unwrap();
    let run = recording(dir.path(), "broker.undersized-1");
    let text = fs::read_to_string(dir.path().join(&run)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let of_type = |(n, line): (usize, &&str)| match n < lines.len() / 2 {
        true => line.replace("\"kafka.m5.large\"", "\"kafka.m5.xlarge\""),
        false => (*line).to_owned(),
    };
    let resized: Vec<String> = lines.iter().enumerate().map(of_type).collect();
    fs::write(dir.path().join(&run), resized.join("\n")).unwrap();
    let (_, text, told) = size(dir.path(), &["--from", &run]);
    assert!(text.contains("3 x kafka.m5.large"), "{text}{told}");
    assert!(text.contains("minutes of another broker type"), "{text}{told}");
}

#[test]
fn a_folder_without_measurements_and_an_unknown_workload_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (args, expected) in [
        (vec!["--score", "."], "has no measured capacity"),
        (vec!["--workload", "huge"], "no workload is called huge; there are: usual,"),
        (vec!["--shape", "kafka.m5.large"], "3xkafka.m5.large"),
    ] {
        let output = kgen(dir.path()).args(["bench", "size"]).args(&args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}
