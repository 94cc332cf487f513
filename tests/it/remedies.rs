//! Remedies on real brokers: a fault is made, the cause is named, what kgen says is done, and the symptom is gone.
//!
//! A larger type, for a load that is too high and for credits that are spent, is in `real`.

use serde_json::Value;

use crate::lab::{Lab, text};

/// Waits until `id` is what is found first, and returns that finding.
#[track_caller]
pub fn named(lab: &Lab, id: &str) -> Value {
    let mut said = String::new();
    for _ in 0..3 {
        let diagnosis = lab.try_sh("kgen diagnose --window 24s --json");
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
        let diagnosis = lab.try_sh("kgen diagnose --window 24s");
        said = text(&diagnosis.stdout);
        if diagnosis.status.success() {
            return;
        }
    }
    panic!("the cluster is not healthy:\n{said}");
}

#[test]
#[ignore = "starts three Kafka brokers, misplaces their leaders and throttles them"]
fn kgen_fix_mends_what_lies_on_the_brokers() {
    let lab = Lab::with_topic("kafka.m5.large");
    let load = lab.spawn("kgen produce --rate 300 --record-size 500 --idempotent --duration 1h --json", "load");
    // It diagnoses, names the finding that it mends, and looks until that is found no more.
    let fix = |id: &str| {
        let fixed = lab.json("kgen fix --yes --json");
        let is = (&fixed["finding"], &fixed["carried_out"], &fixed["gone"]);
        assert_eq!(is, (&Value::from(id), &Value::from(true), &Value::from(true)), "{fixed:#}");
    };
    for id in ["leaders.not-preferred", "leaders.placement-skew"] {
        lab.sh(&format!("kgen lab fault start {id} --broker 2"));
        fix(id);
        lab.sh("kgen lab fault stop");
    }
    // A throttle goes even when nothing is behind any more: the next broker that comes back would be.
    lab.sh("kgen lab fault start replication.throttled --broker 2");
    let throttled = "kafka-configs.sh --bootstrap-server $(kgen lab status --json \
                     | jq -r '[.clusters[0].brokers[].endpoints.plaintext] | join(\",\")') --describe --entity-type topics";
    assert!(lab.sh(throttled).contains("replication.throttled.replicas"));
    fix("replication.throttled");
    assert!(!lab.sh(throttled).contains("replication.throttled.replicas"));
    lab.ensure_nothing_lost(load, "load");
    lab.down();
}
