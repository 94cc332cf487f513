//! Remedies on real brokers: a fault is made, the cause is named, what kgen says is done, and the symptom is gone.
//!
//! A larger type for a load that is too high, and for credits that are spent, is in `real`; more brokers are in `driving`.

use std::time::Duration;

use serde_json::Value;

use crate::lab::{Lab, text};

/// Waits until `id` is what is found first, and returns that finding.
#[track_caller]
pub fn named(lab: &Lab, id: &str) -> Value {
    let mut said = String::new();
    for _ in 0..3 {
        let diagnosis = lab.try_sh("kgen diagnose --window 18s --json");
        said = text(&diagnosis.stdout);
        let finding = serde_json::from_str::<Value>(&said).unwrap_or_default()["findings"][0].clone();
        if diagnosis.status.code() == Some(3) && finding["id"] == id {
            return finding;
        }
    }
    panic!("{id} is not named: {said}");
}

/// Waits until the cluster is found healthy.
#[track_caller]
pub fn ensure_healthy(lab: &Lab) {
    let mut said = String::new();
    for _ in 0..5 {
        let diagnosis = lab.try_sh("kgen diagnose --window 18s");
        said = text(&diagnosis.stdout);
        if diagnosis.status.success() {
            return;
        }
    }
    panic!("the cluster is not healthy:\n{said}");
}

/// Runs the AWS command that a finding gives, which has to lead to this broker type, to its end.
#[track_caller]
pub fn resized_as_told(lab: &Lab, finding: &Value, broker_type: &str) {
    let command = finding["fix"]["aws_cli"].as_str().unwrap_or_else(|| panic!("{finding:#}"));
    assert!(command.contains(&format!("--target-instance-type {broker_type}")), "{command}");
    lab.begun(command).complete(Duration::from_secs(240));
}

#[test]
#[ignore = "starts three Kafka brokers, and gives them ills that are cured"]
fn what_is_said_to_help_helps_under_load() {
    let lab = Lab::with_topic("kafka.m5.large");
    let load =
        |name: &str| lab.spawn("kgen produce --rate 300 --record-size 1500 --idempotent --duration 1h --json", name);
    let writing = load("small");
    what_lies_on_the_brokers_is_mended_by_kgen(&lab);
    // The next size is made for no more partitions than this one, the one after it is.
    lab.sh("kgen lab fault start cluster.too-many-partitions");
    resized_as_told(&lab, &named(&lab, "cluster.too-many-partitions"), "kafka.m5.2xlarge");
    // Under load, followers of so many partitions take more than this machine has.
    lab.ensure_nothing_lost(writing, "small");
    ensure_healthy(&lab);
    lab.sh("kgen lab fault stop");

    let writing = load("large");
    let mut larger = "kafka.m5.4xlarge";
    if lab.can_make("network.constrained") {
        // The first of a rolling update: records that wait for it wait no longer than kgen produce lets them.
        lab.sh("kgen lab fault start network.constrained --broker 1");
        assert!(lab.sh("tc qdisc show dev lo").contains("htb 4b47:"));
        resized_as_told(&lab, &named(&lab, "network.constrained"), larger);
        ensure_healthy(&lab);
        larger = "kafka.m5.8xlarge";
        assert!(!lab.sh("tc qdisc show dev lo").contains("htb"), "another machine has a network of its own");
        lab.sh("kgen lab fault stop");
    }
    lab.sh("kgen lab fault start broker.heap-pressure --broker 2");
    resized_as_told(&lab, &named(&lab, "broker.heap-pressure"), larger);
    ensure_healthy(&lab);
    lab.sh("kgen lab fault stop");
    lab.ensure_nothing_lost(writing, "large");
    lab.down();
}

fn what_lies_on_the_brokers_is_mended_by_kgen(lab: &Lab) {
    // It diagnoses, names the finding that it mends, and looks until that is found no more.
    let fix = |ids: &[&str]| {
        let fixed = lab.json("kgen fix --yes --json");
        assert_eq!((&fixed["carried_out"], &fixed["gone"]), (&Value::from(true), &Value::from(true)), "{fixed:#}");
        let found = fixed["finding"].as_str().unwrap_or_default().to_owned();
        assert!(ids.contains(&found.as_str()), "{ids:?} {fixed:#}");
        found
    };
    for id in ["leaders.not-preferred", "leaders.placement-skew"] {
        lab.sh(&format!("kgen lab fault start {id} --broker 2"));
        fix(&[id]);
        lab.sh("kgen lab fault stop");
    }
    // A throttle goes even when nothing is behind any more: the next broker that comes back would be.
    lab.sh("kgen lab fault start replication.throttled --broker 2");
    let throttled = "kafka-configs.sh --bootstrap-server $(kgen lab status --json \
                     | jq -r '[.clusters[0].brokers[].endpoints.plaintext] | join(\",\")') --describe --entity-type topics";
    assert!(lab.sh(throttled).contains("replication.throttled.replicas"));
    // The broker that is held back has restarted. Until Kafka has given it its leaders back, they may be named first.
    if fix(&["replication.throttled", "leaders.not-preferred"]) == "leaders.not-preferred" {
        fix(&["replication.throttled"]);
    }
    assert!(!lab.sh(throttled).contains("replication.throttled.replicas"));
    lab.sh("kgen lab fault stop");
}
