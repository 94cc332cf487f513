//! The load commands against librdkafka's mock brokers, which live in this process.

use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use rdkafka::mocking::MockCluster;
use serde_json::Value;

use crate::{awaited::await_until, frontdoor::validate, project::kgen};

fn command(dir: &Path, cluster: &MockCluster<'_, impl rdkafka::ClientContext>, args: &[&str]) -> Command {
    let mut command = kgen(dir);
    command.arg(args[0]).args(["--bootstrap-servers", &cluster.bootstrap_servers()]).args(&args[1..]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn ended(output: &Output, code: i32) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(output.status.code(), Some(code), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn json(output: &Output, code: i32) -> Value {
    serde_json::from_str(&ended(output, code)).unwrap()
}

/// The report of a load by a producer. Exit code 4 passes if the report says why: the generator was late. Other tests keep the machine
/// busy, and a late record is not a lost one.
fn produced(output: &Output) -> Value {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    ended(output, if report["generator_bound"] == true { 4 } else { 0 });
    report
}

/// Kills it when a test fails before it has ended.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_a_killed_producer_had_acknowledged_is_proven() {
    let cluster = MockCluster::new(2).unwrap();
    cluster.create_topic("t", 4, 2).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut producing = Started(
        command(
            dir.path(),
            &cluster,
            &["produce", "--topic", "t", "--rate", "2000", "--duration", "60", "--clients", "2"],
        )
        .spawn()
        .unwrap(),
    );
    let runs = dir.path().join(".kgen/runs");
    let run = || std::fs::read_dir(&runs).ok()?.next()?.ok().map(|entry| entry.path());
    await_until("a ledger with a second of acknowledgements is there", Duration::from_secs(30), || {
        let ledger = run().and_then(|run| std::fs::read_to_string(run.join("ledger-1")).ok()).unwrap_or_default();
        ledger.matches("+ ack").count() >= 4
    });
    producing.0.kill().unwrap(); // SIGKILL
    producing.0.wait().unwrap();
    let run = run().unwrap();
    let id = run.file_name().unwrap().to_str().unwrap();
    let output = command(dir.path(), &cluster, &["consume", "--verify", id, "--json"]).output().unwrap();
    let found = json(&output, 0);
    assert_eq!(
        (&found["lost"], &found["duplicates"], &found["whole"]),
        (&0.into(), &0.into(), &true.into()),
        "{found}"
    );
    assert_eq!(found["ledger_complete"], false);
    assert!(found["acknowledged"].as_u64().unwrap() > 1000, "{found}");
    // The record of the run ends where it was killed.
    let recorded: Value = json(&kgen(dir.path()).args(["runs", "--json"]).output().unwrap(), 0);
    assert_eq!(
        (&recorded["runs"][0]["id"], &recorded["runs"][0]["outcome"]),
        (&id.into(), &"killed".into()),
        "{recorded}"
    );
    // A torn last block of the ledger takes nothing back that was told before.
    let ledger = run.join("ledger-0");
    let bytes = std::fs::read(&ledger).unwrap();
    std::fs::write(&ledger, &bytes[..bytes.len() - 3]).unwrap();
    json(&command(dir.path(), &cluster, &["consume", "--verify", id, "--json"]).output().unwrap(), 0);
}

#[test]
fn objectives_decide_the_exit_code_and_runs_are_compared() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 2, 1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let produce = |more: &[&str], code: i32| {
        let args = [&["produce", "--topic", "t", "--rate", "500", "--set", "linger.ms=1"], more].concat();
        let run = || command(dir.path(), &cluster, &args).output().unwrap();
        // A machine that is taken by others makes a run that says nothing: 4.
        let output = (0..4).map(|_| run()).find(|output| output.status.code() != Some(4)).unwrap_or_else(run);
        ended(&output, code)
    };
    let kept = produce(&["--duration", "1", "--slo", "errors=0,p99.9=20s"], 0);
    assert!(kept.contains("objective errors=0: kept") && kept.contains("objective p99.9=20000ms: kept"), "{kept}");
    let missed = produce(&["--duration", "1", "--slo", "rate=501,errors=0", "--json"], 6);
    let missed: Value = serde_json::from_str(&missed).unwrap();
    assert_eq!(missed["slo"][0]["kept"], false, "{missed}");

    let fast = produce(&["--duration", "12", "--json-stream"], 0);
    std::fs::write(dir.path().join("fast.jsonl"), &fast).unwrap();
    let last: Value = serde_json::from_str(fast.lines().last().unwrap()).unwrap();
    let first: Value = serde_json::from_str(fast.lines().next().unwrap()).unwrap();
    assert_eq!((&first["schema"], &last["schema"]), (&"kgen.produce-second/1".into(), &"kgen.produce/1".into()));
    assert!(first["service_p99_ms"].is_f64() && first["max_ms"].is_f64(), "{first}");
    cluster.broker_round_trip_time(1, Duration::from_millis(100)).unwrap();
    let slow: Value = serde_json::from_str(&produce(&["--duration", "12", "--json"], 0)).unwrap();
    let compare = |before: &str, after: &str, code: i32| {
        json(&kgen(dir.path()).args(["compare", before, after, "--json"]).output().unwrap(), code)
    };
    let stream = dir.path().join("fast.jsonl");
    let (stream, run) = (stream.to_str().unwrap(), slow["run"].as_str().unwrap());
    let worse = compare(stream, run, 6);
    assert_eq!((&worse["schema"], &worse["conclusion"]), (&"kgen.compare/1".into(), &"worse".into()), "{worse}");
    let p99 = worse["figures"].as_array().unwrap().iter().find(|figure| figure["key"] == "p99_ms").unwrap();
    assert!(p99["difference"]["low"].as_f64().unwrap() > 50.0, "{p99}");
    assert_eq!(compare(run, stream, 0)["conclusion"], "improved");
    // The run itself, and its own stream.
    assert_eq!(compare(stream, last["run"].as_str().unwrap(), 0)["conclusion"], "unchanged");
    let none = kgen(dir.path()).args(["compare", stream, "nothing"]).output().unwrap();
    assert_eq!(none.status.code(), Some(2), "{}", String::from_utf8_lossy(&none.stderr));
}

#[test]
fn lines_of_a_file_arrive_as_they_are_and_are_proven() {
    let cluster = MockCluster::new(1).unwrap();
    for topic in ["t", "u"] {
        cluster.create_topic(topic, 2, 1).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("lines"), "{\"order\":1}\n{\"order\":2}\n{\"order\":3}\n").unwrap();
    let lines = format!("lines:{}", dir.path().join("lines").display());
    let args = ["produce", "--topic", "t,u", "--rate", "100x1s,0x200ms,300x1s", "--payload", &lines];
    let more = ["--header", "source=shop", "--header", "kind=test", "--transactions", "50", "--json"];
    let produced = produced(&command(dir.path(), &cluster, &[&args[..], &more].concat()).output().unwrap());
    assert_eq!((&produced["acknowledged"], &produced["topic"]), (&400.into(), &"t,u".into()), "{produced}");
    assert_eq!(produced["acknowledged_bytes"], 400 * 11);
    let verify = ["consume", "--verify", produced["run"].as_str().unwrap(), "--json"];
    let found = json(&command(dir.path(), &cluster, &verify).output().unwrap(), 0);
    assert_eq!(
        (&found["read"], &found["whole"], &found["topic"]),
        (&400.into(), &true.into(), &"t,u".into()),
        "{found}"
    );
    // A group that is told to read nothing at first, then reads both topics and keeps what was asked.
    let args = ["consume", "--topic", "t,u", "--max", "400", "--duration", "30", "--json-stream"];
    let more = ["--stall", "1200ms@0", "--slo", "rate=1,errors=0"];
    let read = ended(&command(dir.path(), &cluster, &[&args[..], &more].concat()).output().unwrap(), 0);
    let lines: Vec<Value> = read.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["schema"], &last["read"], &last["lag"]),
        (&"kgen.consume/1".into(), &400.into(), &0.into()),
        "{last}"
    );
    assert!(lines[0]["schema"] == "kgen.consume-second/1" && lines[0]["stalled"] == true, "{}", lines[0]);
    assert!(last["stalled_s"].as_f64().unwrap() > 1.0 && last["slo"][0]["kept"] == true, "{last}");
}

#[test]
fn a_signal_stalls_a_consumer_and_lets_it_go_on() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let produce = ["produce", "--topic", "t", "--records", "300", "--rate", "3000", "--json"];
    assert_eq!(produced(&command(dir.path(), &cluster, &produce).output().unwrap())["acknowledged"], 300);
    let consume = ["consume", "--topic", "t", "--rate", "100", "--max", "300", "--json"];
    let consuming = command(dir.path(), &cluster, &consume).spawn().unwrap();
    let usr1 =
        || assert!(Command::new("kill").args(["-USR1", &consuming.id().to_string()]).status().unwrap().success());
    std::thread::sleep(Duration::from_secs(2));
    usr1();
    std::thread::sleep(Duration::from_secs(2));
    usr1();
    let consumed = json(&consuming.wait_with_output().unwrap(), 0);
    assert_eq!(consumed["read"], 300);
    assert!((1.5..5.0).contains(&consumed["stalled_s"].as_f64().unwrap()), "{consumed}");
}

#[test]
fn a_dry_run_of_a_topic_says_what_would_be_done_and_does_nothing() {
    let cluster = MockCluster::new(2).unwrap();
    cluster.create_topic("t", 4, 2).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str], code: i32| {
        let mut command = kgen(dir.path());
        command.arg("topic").args(args).args(["--bootstrap-servers", &cluster.bootstrap_servers()]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let create = |name: &'static str, replicas: &'static str, code: i32| {
        run(&["create", name, "--partitions", "3", "--replication-factor", replicas, "--dry-run"], code)
    };
    assert_eq!(create("u", "2", 0), "would create topic u: 3 partitions, 2 replicas each\n");
    assert!(create("t", "2", 2).contains("already exists"));
    assert!(create("u", "3", 2).contains("2 brokers respond"));
    let deleted = run(&["delete", "t", "--dry-run"], 0);
    assert_eq!(deleted, "would delete topic t: 4 partitions and every record in them\n");
    assert!(run(&["delete", "u", "--dry-run"], 2).contains("there is no topic `u`"));
    for (args, outcome, partitions) in [
        (
            &["create", "u", "--partitions", "3", "--replication-factor", "2", "--dry-run", "--json"][..],
            "would_create",
            3,
        ),
        (&["create", "t", "--if-not-exists", "--dry-run", "--json"], "exists", 4),
        (&["delete", "t", "--dry-run", "--json"], "would_delete", 4),
    ] {
        let printed = run(args, 0);
        validate(&args.join(" "), &printed);
        let document: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert_eq!((&document["outcome"], &document["partitions"]), (&outcome.into(), &partitions.into()), "{printed}");
    }
    assert!(run(&["delete", "t"], 2).contains("add --yes"));
    assert!(run(&["delete", "t", "--dry-run"], 0).contains("4 partitions"), "it is still there");
}
