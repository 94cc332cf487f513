//! The whole thing with nothing replaced: terraform, the AWS provider, the AWS CLI, Kafka's own tools, three Kafka brokers.
//!
//! Each test has a project and a lab of its own in a temporary folder, and leaves no process.

use std::process::Command;

use serde_json::Value;

use crate::{
    lab::{Lab, processes_of, text},
    quick_start,
    remedies::{ensure_healthy, named, resized_as_told},
};

#[test]
#[ignore = "runs terraform, the AWS CLI and three Kafka brokers"]
fn terraform_and_the_aws_cli_work_by_hand_and_a_producer_loses_nothing() {
    let lab = Lab::with_options("--t3 credits");
    lab.sh("kgen render && cd terraform && terraform init -no-color && terraform apply -auto-approve -no-color");
    // Nothing is left to do: 2 would mean changes.
    lab.sh("cd terraform && terraform plan -detailed-exitcode -no-color");
    assert!(lab.sh("terraform -chdir=terraform output -raw client_instance_id").starts_with("i-"));

    let clusters = lab.json("aws kafka list-clusters --output json");
    assert_eq!(clusters["ClusterInfoList"][0]["State"], "ACTIVE");
    let arn = clusters["ClusterInfoList"][0]["ClusterArn"].as_str().unwrap().to_owned();
    let brokers = lab.json(&format!("aws kafka get-bootstrap-brokers --cluster-arn {arn} --output json"));
    let brokers = brokers["BootstrapBrokerString"].as_str().unwrap().to_owned();
    assert_eq!(brokers.split(',').count(), 3);

    // On the client instance, where the topics are created that are used below.
    quick_start::works_on_the_client(&lab, &brokers, "stress-demo", "mine");

    // Kafka's own tools.
    assert!(
        lab.sh(&format!("kafka-topics.sh --bootstrap-server {brokers} --describe --topic stress-demo"))
            .contains("Isr:")
    );
    let sent = lab.sh(&format!(
        "kafka-producer-perf-test.sh --topic stress-demo --num-records 1000 --record-size 200 --throughput 500 \
         --bootstrap-server {brokers}"
    ));
    assert!(sent.contains("1000 records sent"), "{sent}");

    // Brokers with TLS, whose certificates are checked. The rate asked for is the rate reached.
    let produced = lab.json(
        "kgen produce --bootstrap-servers \"$(kgen bootstrap --tls)\" --set security.protocol=ssl \
         --set ssl.ca.location=\"$KGEN_LAB_CA\" --topic mine --rate 200 --duration 20 --json",
    );
    assert_eq!((&produced["acknowledged"], &produced["failed"]), (&Value::from(4000), &serde_json::json!({})));
    let reached = produced["rate_reached"].as_f64().unwrap();
    assert!((198.0..=202.0).contains(&reached), "{produced:#}");

    let stale = lab.try_sh(&format!(
        "aws kafka update-broker-type --cluster-arn {arn} --current-version K0 --target-instance-type kafka.m5.large"
    ));
    assert!(text(&stale.stderr).contains("BadRequestException"), "{}", text(&stale.stderr));

    // Credits that are spent are named, and the AWS command that is printed ends it while a producer writes.
    let load = lab.spawn("kgen produce --topic mine --rate 300 --duration 1h --idempotent --json", "load");
    lab.sh("sleep 10; kgen lab fault start broker.cpu-credits-exhausted");
    resized_as_told(&lab, &named(&lab, "broker.cpu-credits-exhausted"), "kafka.m5.large");
    ensure_healthy(&lab);
    lab.ensure_nothing_lost(load, "load");

    lab.sh("cd terraform && terraform destroy -auto-approve -no-color");
    assert_eq!(lab.json("aws kafka list-clusters --output json")["ClusterInfoList"], Value::Array(Vec::new()));
    lab.down();
}

#[test]
#[ignore = "runs terraform and three Kafka brokers"]
fn kgen_applies_sees_names_resizes_and_the_alarm_follows() {
    // Short minutes: the alarm needs two of them to ring, and one to be quiet again.
    // The scale of a demo, so that kafka.m5.large carries the load on a slow machine, too.
    let lab = Lab::with_options("--metrics-period 5s --scale 2.5");
    lab.sh("kgen render && kgen apply --yes && kgen topic create");
    let alarm = "aws cloudwatch describe-alarms --alarm-names kgen-demo-cpu-broker-1 --query 'MetricAlarms[0].StateValue' --output text";

    // Under the stack's load the CPU alarm rings, and the cause is named with the fix in both forms.
    let load = lab.spawn("kgen produce --duration 1h --idempotent --json", "load");
    let finding = named(&lab, "broker.undersized");
    let command = finding["fix"]["aws_cli"].as_str().unwrap();
    let arn = lab.sh("kgen output --raw msk_cluster_arn");
    assert!(command.contains(arn.trim()) && command.contains("--target-instance-type kafka.m5.large"), "{command}");
    lab.await_output(alarm, "ALARM", 240);

    // The fix, under the same load.
    let resized = lab.json("kgen resize kafka.m5.large --yes --json");
    assert_eq!(resized["verdict"], "healthy", "{resized:#}");
    let brokers: Vec<u64> = resized["steps"].as_array().unwrap().iter().filter_map(|s| s["broker"].as_u64()).collect();
    assert_eq!(brokers, [1, 2, 3], "{resized:#}");
    assert!(resized["before"]["cpu_percent"].as_f64() > resized["after"]["cpu_percent"].as_f64(), "{resized:#}");
    lab.sh("kgen render --check");
    lab.sh("kgen plan --detailed-exitcode");
    lab.sh("kgen diagnose --window 18s");
    lab.await_output(alarm, "OK", 240);
    lab.ensure_nothing_lost(load, "load");

    // What MSK refuses is refused before anything is touched.
    let back = lab.try_sh("kgen resize kafka.t3.small --yes");
    assert_eq!(back.status.code(), Some(2), "{}", text(&back.stderr));
    lab.sh("kgen render --check");

    // The same cluster by Terraform that kgen did not write: recorded and measured likewise.
    lab.sh("cp -R terraform infra && sed -i '/kgen:sha256/d' infra/*.tf");
    let foreign = lab.json("kgen resize kafka.m5.xlarge --dir infra --apply --yes --measure 5s --json");
    let brokers: Vec<u64> = foreign["steps"].as_array().unwrap().iter().filter_map(|s| s["broker"].as_u64()).collect();
    assert_eq!(
        (brokers, &foreign["cluster"]["broker_type"]),
        (vec![1, 2, 3], &"kafka.m5.xlarge".into()),
        "{foreign:#}"
    );
    let lines = lab.sh("kgen replay --plain");
    assert!(lines.contains("mark fixed: every broker is kafka.m5.xlarge"), "{lines}");
    // A broker that restarts is unreachable for less than the time between two samples, or for longer, and then starts.
    let restarted = ["unreachable", "starting"].iter().any(|state| lines.contains(state));
    assert!(restarted, "no sample of the rolling update: {lines}");
    lab.sh("kgen destroy --yes");
    lab.down();
}

#[test]
#[ignore = "plays the demo: terraform and three Kafka brokers"]
fn the_demo_ends_well_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let demo =
        Command::new(env!("CARGO_BIN_EXE_kgen")).args(["demo", "--json"]).current_dir(dir.path()).output().unwrap();
    assert!(demo.status.success(), "{}\n{}{}", demo.status, text(&demo.stdout), text(&demo.stderr));
    let story: Value = serde_json::from_slice(&demo.stdout).unwrap();
    assert_eq!(story["cause"], "broker.undersized");
    assert_eq!((&story["proof"]["lost"], &story["proof"]["duplicates"]), (&Value::from(0), &Value::from(0)));
    let moments: Vec<&str> =
        story["timeline"].as_array().unwrap().iter().filter_map(|told| told["moment"].as_str()).collect();
    let expected = [
        "lab_up",
        "applied",
        "calm",
        "load_started",
        "seen",
        "named",
        "fix_started",
        "fixed",
        "recovered",
        "verified",
        "destroyed",
    ];
    assert_eq!(moments, expected);
    // What README shows of a demo is what a demo says.
    let readme = include_str!("../../README.md");
    for moment in ["applied", "destroyed"] {
        let told = story["timeline"].as_array().unwrap().iter().find(|told| told["moment"] == moment).unwrap();
        let told = told["text"].as_str().unwrap();
        assert!(readme.contains(told), "README.md shows another figure than {told:?}");
    }
    ensure_no_gap(&std::fs::read_to_string(dir.path().join(story["samples"].as_str().unwrap())).unwrap());
    assert_eq!(processes_of(dir.path()), [""; 0]);
    let mut left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".kgen"]);
}

/// Samples of a whole demo: one comes after the other, also while the brokers restart, which are then seen to be away and not
/// to be idle.
#[track_caller]
fn ensure_no_gap(samples: &str) {
    let samples: Vec<Value> = samples.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let at: Vec<i64> = samples.iter().map(|line| line["sample"]["at_ms"].as_i64().unwrap()).collect();
    let gap = at.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(gap < 10_000, "{gap} ms without a sample");
    assert!(samples.iter().any(|line| line["cluster"]["state"] == "UPDATING"), "no sample of the rolling update");
    let away: Vec<&Value> = samples
        .iter()
        .flat_map(|line| line["sample"]["brokers"].as_object().unwrap().values())
        .filter(|broker| broker["state"] == "unreachable" || broker["state"] == "starting")
        .collect();
    assert!(!away.is_empty(), "no broker was observed to restart");
    let is_idle = |broker: &&Value| broker["state"] == "unreachable" && broker["cpu_user_percent"] == 0.0;
    assert!(!away.iter().any(is_idle), "{away:#?}");
}
