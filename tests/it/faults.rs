//! Faults of the lab on three real brokers: each shows in what the lab reads, and is taken back whole.

use std::time::Duration;

use serde_json::Value;

use crate::{awaited::await_until, lab::Lab, project};

fn status(lab: &Lab) -> Value {
    lab.json("kgen lab status --json")["clusters"][0].clone()
}

fn running(lab: &Lab) -> Vec<String> {
    let faults = status(lab)["faults"].clone();
    faults.as_array().unwrap().iter().map(|fault| fault["id"].as_str().unwrap().to_owned()).collect()
}

/// Samples of broker `id` for `seconds`, the newest first.
fn samples(lab: &Lab, seconds: u32, id: &str) -> Vec<Value> {
    let lines = lab.sh(&format!("timeout {seconds} kgen watch --json --interval 1 2>/dev/null || true"));
    let broker = |line: &str| serde_json::from_str::<Value>(line).unwrap()["sample"]["brokers"][id].clone();
    lines.lines().rev().map(broker).collect()
}

/// The newest sample of broker `id` after `seconds`.
fn sample(lab: &Lab, seconds: u32, id: &str) -> Value {
    samples(lab, seconds, id).swap_remove(0)
}

#[test]
#[ignore = "starts three Kafka brokers and makes faults of them"]
fn faults_show_in_the_readings_and_are_taken_back() {
    let lab = Lab::with_topic("kafka.m5.large");
    let (down, brokers) = (lab.try_sh("kgen lab fault start broker.down --broker 9"), status(&lab));
    assert_eq!(down.status.code(), Some(1), "{}", String::from_utf8_lossy(&down.stderr));
    assert!(String::from_utf8_lossy(&down.stderr).contains("there is no broker 9"));
    let pid = |status: &Value, id: usize| status["brokers"][id - 1]["pid"].as_u64();

    // Killed, and not started again until the fault is stopped.
    lab.sh("kgen lab fault start broker.down --broker 2");
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(pid(&status(&lab), 2), None);
    assert_eq!(running(&lab), ["broker.down"]);
    lab.sh("kgen lab fault stop broker.down");
    assert!(pid(&status(&lab), 2).is_some_and(|new| Some(new) != pid(&brokers, 2)));

    // Stopped in its tracks, and going on.
    let process = pid(&status(&lab), 3).unwrap();
    let state = || lab.sh(&format!("awk '/^State/ {{print $2}}' /proc/{process}/status")).trim().to_owned();
    lab.sh("kgen lab fault start broker.hung --broker 3");
    assert_eq!(state(), "T");
    // On a busy machine the probe of the last sample may not have ended.
    await_until("broker 3 is silent", Duration::from_secs(40), || sample(&lab, 8, "3")["probe"] == "silent");
    lab.sh("kgen lab fault stop");
    assert_ne!(state(), "T");

    // Clients of the lab: one that opens connections, and one whose records come one by one.
    lab.sh("kgen lab fault start client.connection-storm && kgen lab fault start client.tiny-batches");
    let clients: Vec<u64> = status(&lab)["faults"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|fault| fault["clients"].as_array().unwrap())
        .map(|client| client["pid"].as_u64().unwrap())
        .collect();
    assert_eq!(clients.len(), 2);
    let seen = samples(&lab, 12, "1");
    // A second without a request has no times of requests.
    let busy = seen.iter().find(|sample| sample["produce"].is_object()).unwrap_or_else(|| panic!("{seen:#?}"));
    assert!(busy["connections_created_per_s"].as_f64().unwrap() > 10.0, "{busy:#}");
    let messages = busy["messages_in_per_s"].as_f64().unwrap();
    assert!(messages / busy["produce"]["per_s"].as_f64().unwrap() < 1.2, "{busy:#}");

    // What Kafka keeps: leaders, a setting, a quota.
    let leaders = "kgen topic describe --json | jq -c '[.partitions[].leader] | unique'";
    lab.sh("kgen lab fault start leaders.placement-skew --broker 1");
    lab.await_output(leaders, "[1]", 20);
    lab.sh("kgen lab fault start client.quota-throttled && kgen lab fault stop");
    lab.await_output(leaders, "[1,2,3]", 30);
    assert_eq!(running(&lab), [""; 0]);
    for client in clients {
        assert!(!std::path::Path::new(&format!("/proc/{client}")).exists(), "client {client} still runs");
    }

    // The CPU of one broker, which its next start gives back too.
    lab.sh("kgen lab fault start broker.degraded --broker 2");
    let load = lab.spawn("kgen produce --rate 400 --record-size 500 --duration 1h --plain", "degraded");
    let held_back = |sample: &Value| sample["cpu_throttled_percent"].as_f64().unwrap_or_default();
    let seen = samples(&lab, 10, "2");
    assert!(seen.iter().any(|sample| held_back(sample) > 50.0), "{seen:#?}");
    lab.sh("kgen lab fault stop");
    // What it was held back from may have failed meanwhile.
    load.interrupt(Duration::from_secs(60));
    // A small volume and a slow network.
    if lab.can_make("disk.filling") {
        let mounts = || lab.sh("grep -c \"$PWD\" /proc/self/mountinfo || true").trim().to_owned();
        lab.sh("kgen lab fault start disk.filling --broker 2");
        assert_eq!(mounts(), "1");
        let used = sample(&lab, 8, "2")["disk_used_percent"].as_f64().unwrap();
        assert!((50.0..90.0).contains(&used), "{used} %");
        lab.sh("kgen lab fault stop");
        assert_eq!(mounts(), "0");
    }
    if lab.can_make("network.constrained") {
        lab.sh("kgen lab fault start network.constrained --broker 2");
        assert!(lab.sh("tc qdisc show dev lo").contains("htb 4b47:"));
        lab.sh("kgen lab fault stop");
        assert!(!lab.sh("tc qdisc show dev lo").contains("htb"));
    }

    // The lab ends with a fault that runs.
    lab.sh("kgen lab fault start broker.hung");
    lab.down();
}

/// Scenarios of the benchmark that are played here: one of each kind of evidence.
const PLAYED: [&str; 8] = [
    "partition.hot-key",
    "leaders.not-preferred",
    "leaders.placement-skew",
    "broker.down",
    "broker.hung",
    "consumer.slow",
    "client.tiny-batches",
    "client.quota-throttled",
];

#[test]
#[ignore = "starts three Kafka brokers and plays eight faults of the benchmark"]
fn the_right_cause_is_named_live_and_from_the_record() {
    let dir = tempfile::tempdir().unwrap();
    let kgen = |command: &str| {
        let output = project::kgen(dir.path()).args(command.split(' ')).output().unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), stdout.into_owned(), stderr.into_owned())
    };
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let mut due: Vec<String> = PLAYED.iter().map(ToString::to_string).collect();
    let mut report = Value::Null;
    // What was void because the machine was busy with other work is played again, as another variation.
    for number in 1..=3 {
        let (code, played, said) = kgen(&format!(
            "bench diagnose --scenario {} --first {number} --variations {number} --seconds 30 --json",
            due.join(",")
        ));
        assert_eq!(code, Some(0), "{said}");
        report = json(&played);
        let counts = |name: &String| report["each"].as_array().unwrap().iter().any(|run| run["scenario"] == **name);
        due.retain(|name| !counts(name));
        if due.is_empty() {
            break;
        }
    }
    assert_eq!(due, [""; 0], "{report:#}");
    let (of, right) = (report["runs"].as_u64().unwrap(), report["tuning"]["right"].as_u64().unwrap());
    assert!(right + 1 >= of, "{right} of {of} are right: {report:#}");
    assert_eq!(report["false_alarms"].as_array().unwrap().len(), 0, "{report:#}");

    let path = |name: &str| dir.path().join(name).display().to_string();
    let (runs, traces) = (path(".kgen/bench-runs"), path("traces"));
    let (_, again, _) = kgen(&format!("bench score {runs} --pack {traces} --json"));
    assert_eq!(report, json(&again), "a record is always judged in the same way");
    let (_, packed, said) = kgen(&format!("bench score {traces} --json"));
    assert_eq!(json(&packed)["each"], report["each"], "{said}");
    let trace = std::fs::read_dir(&traces).unwrap().next().unwrap().unwrap().path();
    let replayed = || kgen(&format!("diagnose --replay {} --json", trace.display())).1;
    assert!(json(&replayed())["findings"].is_array() && replayed() == replayed(), "{}", replayed());
    assert!(!dir.path().join(".kgen/bench").exists());
}
