//! A load for a long time, with a resize every few minutes: memory stays flat, files stay small, nothing is lost.
//!
//! `scripts/soak MINUTES RATE` runs it; `scripts/test` leaves it out.

mod fleet;

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::lab::{Lab, Operation, ensure_clean};

/// Between two samples.
const SAMPLE_EVERY: Duration = Duration::from_secs(5);
/// Between the beginnings of two resizes, unless the soak is too short for three of them.
const RESIZE_EVERY: Duration = Duration::from_secs(300);
/// The types that are resized to by turns.
const TYPES: [&str; 2] = ["kafka.m5.xlarge", "kafka.m5.large"];
/// Of the samples, what is left out of the slopes at the beginning: buffers and caches fill once.
const WARM_UP: f64 = 0.2;

/// One figure over time.
#[derive(Default)]
struct Series {
    name: &'static str,
    /// Seconds since the start, and MiB.
    points: Vec<(f64, f64)>,
}

#[test]
#[ignore = "takes minutes: three Kafka brokers under load"]
fn memory_stays_flat_and_files_small_over_a_long_load_with_resizes() {
    let chosen = std::env::var("KGEN_TEST_SOAK").unwrap_or_else(|_| "3 2000".to_owned());
    let (minutes, rate) = chosen.split_once(' ').expect("MINUTES RATE");
    let (length, rate): (_, u64) = (Duration::from_secs(60 * minutes.parse::<u64>().unwrap()), rate.parse().unwrap());
    let resize_every = RESIZE_EVERY.min(length / 3);
    let lab = Lab::up();
    lab.create_cluster(TYPES[1]);
    lab.sh("kgen topic create soak --partitions 6 --replication-factor 3 --config min.insync.replicas=2");
    let command = format!(
        "kgen produce --topic soak --rate {rate} --record-size 200 --duration 24h --acks all --idempotent --plain --json"
    );
    let mut producer = lab.spawn(&command, "soak");
    let log = || fs::read_to_string(lab.path().join("soak.log")).unwrap();
    let mut all =
        ["RSS of `kgen produce`", "RSS of the lab", "`.kgen` without the lab", "the lab's folder without records"]
            .map(|name| Series { name, ..Series::default() });
    let (began, mut resizes, mut operation) = (Instant::now(), 0, None::<Operation<'_>>);
    let mut next_sample = Instant::now();
    while began.elapsed() < length {
        assert_eq!(producer.ended(), None, "kgen has ended:\n{}", log());
        let (kgen, lab_dir) = (lab.path().join(".kgen"), lab.path().join(".kgen/lab"));
        let at = began.elapsed().as_secs_f64();
        let values = [
            resident(producer.pid()),
            resident(lab.pid()),
            size(&kgen, &|path| path != lab_dir),
            size(&lab_dir, &|path| !path.ends_with("data")),
        ];
        for (series, value) in all.iter_mut().zip(values) {
            series.points.push((at, value));
        }
        if operation.as_ref().is_some_and(|_| lab.cluster()["state"] == "ACTIVE")
            && let Some(done) = operation.take()
        {
            done.complete(Duration::from_secs(60));
            resizes += 1;
        }
        let is_due = began.elapsed() >= resize_every * (resizes + 1);
        if operation.is_none() && is_due && began.elapsed() + resize_every / 2 < length {
            let to = TYPES[resizes as usize % TYPES.len()];
            operation = Some(lab.begin(&format!("update-broker-type --target-instance-type {to}")));
        }
        next_sample += SAMPLE_EVERY;
        sleep(next_sample.saturating_duration_since(Instant::now()));
    }
    if let Some(last) = operation {
        last.complete(Duration::from_secs(300));
        resizes += 1;
    }
    producer_ended(&lab, producer.interrupt(Duration::from_secs(60)), &log());
    let summary = lab.json("cat soak.json");
    let proof = lab.json(&format!("kgen consume --verify {} --json", summary["run"].as_str().unwrap()));
    let table = markdown(&chosen, resizes, &all, &proof);
    print!("{table}");
    if let Some(file) = std::env::var_os("KGEN_TEST_SOAK_TABLE") {
        fs::write(file, &table).unwrap();
    }
    assert_eq!((&proof["whole"], &proof["lost"], &proof["unknown"]), (&true.into(), &0.into(), &0.into()), "{proof:#}");
    assert_eq!(summary["offered"], summary["acknowledged"], "{summary:#}");
    assert!(resizes > 0, "no resize came to its end");
    lab.down();
}

#[track_caller]
fn producer_ended(lab: &Lab, code: i32, log: &str) {
    ensure_clean("kgen produce", log);
    assert_eq!(code, 130, "{log}{}", lab.sh("tail -n 5 .kgen/lab/lab.log"));
}

fn markdown(chosen: &str, resizes: u32, all: &[Series], proof: &serde_json::Value) -> String {
    let (minutes, rate) = chosen.split_once(' ').unwrap_or((chosen, ""));
    let mut text = format!(
        "{minutes} minutes at {rate} records/s, {resizes} resizes.\n\n\
         | fault | runs | acknowledged | lost | there twice | reported failed | of these there | unknown |\n\
         |---|---|---|---|---|---|---|---|\n\
         | soak with resizes | 1 | {} | {} | {} | {} | {} | {} |\n\n\
         | MiB | first | last | most | slope an hour | standard error | of the second half | standard error |\n\
         |---|---|---|---|---|---|---|---|\n",
        proof["acknowledged"],
        proof["lost"],
        proof["duplicates"],
        proof["failed"],
        proof["failed_but_there"],
        proof["unknown"]
    );
    for Series { name, points } in all {
        let values = || points.iter().map(|point| point.1);
        let most = values().fold(0.0, f64::max);
        let (first, last) = (values().next().unwrap_or(0.0), values().next_back().unwrap_or(0.0));
        let [(all, of_all), (half, of_half)] = [WARM_UP, 0.5].map(|skipped| {
            let (slope, error) = slope(&points[(points.len() as f64 * skipped) as usize..]);
            (slope * 3600.0, error * 3600.0)
        });
        let _ = writeln!(
            text,
            "| {name} | {first:.2} | {last:.2} | {most:.2} | {all:+.2} | {of_all:.2} | {half:+.2} | {of_half:.2} |"
        );
    }
    text
}

/// The least-squares slope and its standard error, the latter for residuals of which neighbours resemble each other
/// (their number counts for less, by the lag-one autocorrelation).
fn slope(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    if points.len() < 3 {
        return (f64::NAN, f64::NAN);
    }
    let (mean_x, mean_y) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let spread = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum::<f64>();
    let slope = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread;
    let residuals: Vec<f64> = points.iter().map(|(x, y)| y - mean_y - slope * (x - mean_x)).collect();
    let squares = residuals.iter().map(|residual| residual * residual).sum::<f64>();
    let beside = residuals.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>();
    let alike = if squares > 0.0 { (beside / squares).clamp(0.0, 0.99) } else { 0.0 };
    let error = (squares / (n - 2.0) / spread).sqrt() * ((1.0 + alike) / (1.0 - alike)).sqrt();
    (slope, error)
}

/// Memory of a process that is in RAM, MiB.
fn resident(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_else(|| panic!("process {pid} has no VmRSS")) / 1024.0
}

/// Bytes of the files below a folder, in MiB; folders that are not `wanted` are left out. What goes meanwhile counts for nothing.
fn size(dir: &Path, wanted: &dyn Fn(&Path) -> bool) -> f64 {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() && wanted(&entry.path()) => size(&entry.path(), wanted),
            Ok(found) if found.is_file() => found.len() as f64 / f64::from(1 << 20),
            _ => 0.0,
        })
        .sum()
}

#[test]
fn a_slope_has_the_error_of_its_residuals() {
    let line =
        |noise: fn(usize) -> f64| (0..400).map(|i| (i as f64, 3.0 + 0.5 * i as f64 + noise(i))).collect::<Vec<_>>();
    let (exact, none) = slope(&line(|_| 0.0));
    assert!((exact - 0.5).abs() < 1e-9 && none < 1e-6, "{exact} {none}");
    let (one, apart) = slope(&line(|i| if i % 2 == 0 { 1.0 } else { -1.0 }));
    assert!((one - 0.5).abs() < 2.0 * apart, "{one} {apart}");
    // The same spread, in which twenty neighbours lie on one side, tells less.
    let (_, alike) = slope(&line(|i| if i / 20 % 2 == 0 { 1.0 } else { -1.0 }));
    assert!(alike > 3.0 * apart, "{alike} {apart}");
}
