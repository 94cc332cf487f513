//! A load from the client instances of a lab. The brokers are librdkafka's mock ones, in this process, and keep 5 MB a partition; the
//! lab has none.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use rdkafka::mocking::MockCluster;
use serde_json::Value;

use crate::{
    awaited::{await_some, await_until},
    lab::{Lab, processes_of, text},
};

/// Ten clients, which are found by their names, and by this tag too.
const STACK: &str = "[client]\ncount = 10\nkafka_tools = false\n[tags]\nrole = \"client\"\n";

const MIX: &str = r#"
drain = "3s"
[[producer]]
name = "steady"
topic = "t"
rate = "1000"
duration = "3s"
[[producer]]
name = "late"
after = "1s"
topic = "t"
rate = "500"
duration = "2s"
[[consumer]]
group = "mixed"
topic = "t"
"#;

const PRODUCE: &str = "kgen produce --on clients --topic t --record-size 200";

const SECOND: Duration = Duration::from_secs(1);

/// Processes of the lab's instances that still send.
fn producers() -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let line = |path: std::path::PathBuf| std::fs::read(path.join("cmdline")).unwrap_or_default();
    processes.filter(|process| String::from_utf8_lossy(&line(process.path())).contains("\0--part\0")).count()
}

/// A lab of ten client instances, and brokers.
struct Field {
    lab: Lab,
    _cluster: MockCluster<'static, rdkafka::producer::DefaultProducerContext>,
    brokers: String,
    instances: Vec<String>,
}

impl Field {
    fn new() -> Field {
        let cluster = MockCluster::new(3).unwrap();
        cluster.create_topic("t", 6, 2).unwrap();
        let brokers = cluster.bootstrap_servers();
        let lab = Lab::with_options("--without-brokers");
        std::fs::write(lab.path().join("kgen.toml"), STACK).unwrap();
        // The document, the bucket and the instances are those that Terraform makes.
        lab.sh("kgen render && kgen apply --yes");
        let ids = lab.sh("aws ec2 describe-instances --filters 'Name=tag:Name,Values=kgen-demo-client-*' \
             --query 'Reservations[].Instances[].InstanceId' --output text");
        let mut instances: Vec<String> = ids.split_whitespace().map(str::to_owned).collect();
        instances.sort_unstable();
        assert_eq!(instances.len(), 10);
        ensure_bucket_takes_tls_only(&lab);
        Field { lab, _cluster: cluster, brokers, instances }
    }

    fn command(&self, rest: &str) -> String {
        format!("{PRODUCE} --bootstrap-servers {} {rest} --json", self.brokers)
    }

    /// The result of a load, and its exit code.
    #[track_caller]
    fn produced(&self, rest: &str) -> (Value, Option<i32>) {
        let output = self.lab.try_sh(&self.command(rest));
        let said = text(&output.stderr);
        let merged = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
        (merged, output.status.code())
    }

    /// Begins a fault on an instance. Returns the instance.
    #[track_caller]
    fn harm(&self, number: usize, fault: &str) -> &str {
        let instance = self.instances[number].as_str();
        self.lab.sh(&format!("kgen lab fault start {fault} --instance {instance}"));
        instance
    }

    /// No process of an instance is left.
    #[track_caller]
    fn ensure_nothing_runs(&self) {
        let folder = self.lab.path().join(".kgen/lab/clients/i-");
        let left = || processes_of(&folder);
        let are_gone = await_some(30 * SECOND, || (producers() == 0 && left().is_empty()).then_some(()));
        assert!(are_gone.is_some(), "still running: {:?}", left());
    }
}

/// The bucket of the stack has its policy, and takes and gives an object all the same: the condition of its denial does not
/// hold for clients of AWS.
fn ensure_bucket_takes_tls_only(lab: &Lab) {
    let buckets = lab.sh("aws s3api list-buckets --query \"Buckets[?contains(Name, '-load-')].Name\" --output text");
    let bucket = buckets.trim();
    let policy = lab.sh(&format!("aws s3api get-bucket-policy --bucket {bucket} --query Policy --output text"));
    let policy: Value = serde_json::from_str(&policy).unwrap();
    assert_eq!(policy["Statement"][0]["Condition"]["Bool"]["aws:SecureTransport"], "false", "{policy}");
    let object = lab.sh(&format!(
        "echo kept | aws s3 cp --quiet - s3://{bucket}/tried && aws s3 cp --quiet s3://{bucket}/tried - && \
         aws s3 rm --quiet s3://{bucket}/tried"
    ));
    assert_eq!(object, "kept\n");
}

/// The faults of one machine: their kinds, or why it is silent.
fn faults<'a>(merged: &'a Value, instance: &str) -> Vec<&'a str> {
    let machines = merged["machines"].as_array().unwrap();
    let one = machines.iter().find(|one| one["machine"] == instance).unwrap();
    let faults = one["faults"].as_array().unwrap().iter();
    faults.map(|fault| fault["why"].as_str().or(fault["kind"].as_str()).unwrap()).collect()
}

/// The sequences that a ledger says are acknowledged.
fn acknowledged(ledger: &str) -> BTreeSet<u64> {
    let ranges = ledger.lines().filter_map(|line| line.strip_prefix("+ ack ")).flat_map(str::split_whitespace);
    let of_range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        first.parse::<u64>().unwrap()..=last.parse::<u64>().unwrap()
    };
    ranges.flat_map(of_range).collect()
}

#[test]
#[ignore = "starts a lab without brokers, with moto"]
fn client_instances_send_one_load_and_what_fails_is_named() {
    let field = Field::new();
    foreign_clients(&field.lab);
    the_whole_schedule_is_sent(&field);
    nothing_is_sent_by_machines_that_are_not_ready(&field);
    each_fault_is_named_and_the_rest_counts(&field);
    an_interrupt_ends_all_at_any_moment(&field);
    groups_and_mixes_run_on_all(&field);
}

/// The AWS CLI and boto3.
fn foreign_clients(lab: &Lab) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/ssm.py");
    print!("{}", lab.sh(&format!("python3 {script} $AWS_ENDPOINT_URL")));
    let sent = lab.sh(
        "id=$(aws ssm send-command --document-name AWS-RunShellScript --targets Key=tag:role,Values=client \
         --parameters 'commands=[\"kgen --version\"]' --query Command.CommandId --output text)
         one=$(aws ec2 describe-instances --query 'Reservations[0].Instances[0].InstanceId' --output text)
         for _ in $(seq 100); do
           state=$(aws ssm get-command-invocation --command-id $id --instance-id $one --query Status --output text)
           [ $state = Success ] && break; sleep 0.2
         done
         aws ssm get-command-invocation --command-id $id --instance-id $one --query StandardOutputContent --output text",
    );
    assert!(sent.contains("kgen "), "{sent}");
}

fn the_whole_schedule_is_sent(field: &Field) {
    let (merged, code) = field.produced("--rate 5000 --duration 10 --start-in 8");
    println!("{} {} {}", merged["standing"], merged["start_spread_ms"], merged["rate_offered"]);
    let all = (&merged["offered"], &merged["acknowledged"], &merged["reported"]);
    assert_eq!(all, (&50_000.into(), &50_000.into(), &10.into()), "{merged}");
    // A machine that is busy with other tests may be late, and is then named.
    assert_eq!(code, Some(if merged["standing"] == "whole" { 0 } else { 4 }), "{merged}");
    let run = merged["run"].as_str().unwrap();
    for producer in 0..10 {
        let ledger = field.lab.path().join(format!(".kgen/runs/{run}/ledger-{producer}"));
        let sequences = acknowledged(&std::fs::read_to_string(ledger).unwrap());
        assert!(sequences.iter().copied().eq(0..5000), "producer {producer}: {}", sequences.len());
    }
    let verify = format!("kgen consume --verify {run} --topic t --bootstrap-servers {} --json", field.brokers);
    let found = field.lab.json(&verify);
    let counts = ["acknowledged", "read", "lost", "duplicates", "unknown"].map(|name| found[name].as_u64());
    assert_eq!(counts, [50_000, 50_000, 0, 0, 0].map(Some), "{found}");
    assert_eq!((&found["whole"], &found["ledger_complete"]), (&true.into(), &true.into()), "{found}");
}

fn nothing_is_sent_by_machines_that_are_not_ready(field: &Field) {
    let ahead = field.harm(0, "instance.clock-off");
    let full = field.harm(1, "instance.disk-full");
    let output = field.lab.try_sh(&field.command("--rate 1000 --duration 5"));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("the clock of {ahead} is off by 3")), "{said}");
    assert!(said.contains(&format!("{full} has 0 MiB of disk free")), "{said}");
    assert!(!said.contains(&field.instances[2]), "{said}");
    field.lab.sh("kgen lab fault stop");

    let off = field.harm(2, "instance.killed");
    let output = field.lab.try_sh(&field.command("--rate 1000 --duration 5"));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("9 of 10 client instances are online") && said.contains(off), "{said}");
    field.lab.sh("kgen lab fault stop");
    field.ensure_nothing_runs();
}

fn each_fault_is_named_and_the_rest_counts(field: &Field) {
    let away = field.harm(3, "instance.no-network");
    let full = field.harm(4, "instance.disk-filling --strength 0.4");
    // The disk is full 15 s after the command has begun: not while a busy machine still checks, and before the end.
    let command = field.command("--rate 1000 --duration 18 --start-in 6 --flush-within 1");
    let mut running = field.lab.spawn(&command, "faults");
    // The one without a network may have ended by now.
    await_until("the instances wait for the start", 60 * SECOND, || producers() >= 8 || running.ended().is_some());
    assert_eq!(running.ended(), None, "{}", field.lab.sh("cat faults.log"));
    field.harm(5, "instance.killed");
    let code = await_some(240 * SECOND, || running.ended());
    let merged: Value = field.lab.json("cat faults.json");
    let killed = &field.instances[5];
    assert_eq!(faults(&merged, away), ["refused"], "{merged}");
    assert_eq!(faults(&merged, full), ["disk_full"], "{merged}");
    assert_eq!(faults(&merged, killed), ["lost_contact"], "{merged}");
    assert_eq!((&merged["reported"], &merged["offered"], code), (&7.into(), &12_600.into(), Some(4)), "{merged}");
    field.lab.sh("kgen lab fault stop");
    field.ensure_nothing_runs();

    let late = field.harm(6, "instance.slow-start --strength 0.5");
    let (merged, code) = field.produced("--rate 1000 --duration 3 --start-in 4 --flush-within 1");
    assert!(faults(&merged, late).contains(&"started_late"), "{merged}");
    let counts = (&merged["standing"], &merged["reported"], &merged["offered"], code);
    assert_eq!(counts, (&"void".into(), &10.into(), &3_000.into(), Some(4)), "{merged}");
    field.lab.sh("kgen lab fault stop");
}

fn an_interrupt_ends_all_at_any_moment(field: &Field) {
    let clients = field.lab.path().join(".kgen/lab/clients");
    let ledgers = || {
        let found = walk(&clients).into_iter().filter(|path| path.ends_with("ledger-0"));
        found.filter(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("+ ack"))).count()
    };
    // While the machines are asked, while they wait for the start, and while they send.
    for (moment, start_in) in [("asked", 30), ("waiting", 30), ("sending", 4)] {
        let command = field.command(&format!("--rate 1000 --duration 60 --start-in {start_in}"));
        let sent_before = ledgers();
        let commands = || walk(&clients).into_iter().filter(|path| path.ends_with("script")).count();
        let asked_before = commands();
        let running = field.lab.spawn(&command, moment);
        await_until(moment, 60 * SECOND, || match moment {
            "asked" => commands() > asked_before,
            "waiting" => producers() == 10,
            _ => ledgers() > sent_before,
        });
        assert_eq!(running.interrupt(60 * SECOND), 130, "{moment}");
        field.ensure_nothing_runs();
        let result = field.lab.sh(&format!("cat {moment}.json"));
        if moment == "asked" {
            assert_eq!(result, "");
            continue;
        }
        let merged: Value = serde_json::from_str(&result).unwrap();
        let offered = merged["offered"].as_u64().unwrap();
        assert_eq!((&merged["reported"], &merged["stopped"]), (&10.into(), &true.into()), "{moment}: {merged}");
        assert_eq!(offered > 0, moment == "sending", "{merged}");
        assert!(faults(&merged, &field.instances[0]).contains(&"stopped"), "{merged}");
    }
}

fn groups_and_mixes_run_on_all(field: &Field) {
    let run = |command: &str| {
        let output = field.lab.try_sh(&format!("{command} --bootstrap-servers {} --json", field.brokers));
        let said = text(&output.stderr);
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
    };
    let consumed = run("kgen consume --on clients --topic t --group all --duration 6s --start-in 4");
    let group = &consumed["groups"][0];
    assert_eq!((&group["members"], &group["standing"]), (&10.into(), &"whole".into()), "{consumed}");
    assert!(group["read"].as_u64().unwrap() > 0, "{consumed}");

    std::fs::write(field.lab.path().join("mix.toml"), MIX).unwrap();
    let mixed = run("kgen load mix.toml --on clients --start-in 6");
    let producers = mixed["producers"].as_array().unwrap().iter();
    let offered: Vec<_> =
        producers.map(|one| (one["name"].as_str().unwrap(), one["offered"].as_u64().unwrap())).collect();
    assert_eq!(offered, [("steady", 3000), ("late", 1000)], "{mixed}");
    let group = &mixed["groups"][0];
    assert_eq!((&group["members"], &group["faults"]), (&10.into(), &serde_json::json!([])), "{mixed}");
    assert!(group["clock_uncertainty_ms"].as_f64().unwrap() > 0.0, "{mixed}");
    field.ensure_nothing_runs();
}

/// Every file below a folder.
fn walk(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let below = |path: PathBuf| if path.is_dir() && !path.is_symlink() { walk(&path) } else { vec![path] };
    entries.flatten().flat_map(|entry| below(entry.path())).collect()
}
