//! The recorded runs from outside, and with each field taken away.

use std::{fs, path::Path, sync::LazyLock};

use super::{Kind, View, judge_all, score};
use crate::run::Run;

static RUNS: LazyLock<Vec<Run>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| Run::read(path).unwrap()).collect()
});

#[test]
fn what_shows_outside_is_named_within_two_datapoints() {
    let judged = judge_all(&RUNS, View::Outside);
    let report = score(&judged, View::Outside);
    if std::env::var_os("KGEN_SHOW").is_some() {
        println!("{}", super::markdown(&report));
    }
    let outside = report.outside.unwrap();
    assert!(judged.iter().filter(|(judged, _)| judged.scenario.kind == Kind::Control).count() >= 16);
    assert_eq!(report.false_alarms, [], "causes named while nothing was wrong");
    assert!(outside.separable_tuning.percent() >= Some(90.0), "{outside:?}");
}
