//! `kgen capacity --against`: broker types against each other, in the lab.

use crate::lab::{Lab, STATE, text};

#[test]
#[ignore = "starts a lab without brokers"]
fn types_that_cannot_be_tried_are_refused_before_anything_is_sent() {
    let lab = Lab::with_options("--without-brokers");
    lab.create_cluster("kafka.m5.large");
    let check = |against: &str, reason: &str| {
        let ran = lab.try_sh(&format!("kgen capacity --yes --against {against}"));
        let said = text(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{against}: {said}");
        assert!(said.contains(reason), "{against}: {said}");
    };
    check("kafka.m5.larg", "did you mean kafka.m5.large?");
    check("kafka.m5.large", "which the brokers already are");
    check("kafka.m7g.large,kafka.m5.xlarge,kafka.m7g.large", "names kafka.m7g.large more than once");
    check("kafka.m5.xlarge,kafka.t3.small", "--against kafka.t3.small: MSK cannot change brokers back");
    check("express.m7g.large", "--against express.m7g.large");
    let arn = lab.cluster()["arn"].as_str().unwrap().to_owned();
    lab.begun(&format!(
        "aws kafka update-broker-type --cluster-arn {arn} --target-instance-type kafka.m5.2xlarge --current-version \
         $(aws kafka describe-cluster-v2 --cluster-arn {arn} --query ClusterInfo.CurrentVersion --output text)"
    ));
    if lab.sh(STATE).trim() == "UPDATING" {
        check("kafka.m7g.large", "is UPDATING: MSK changes brokers only while");
    }
    let runs = lab.path().join(".kgen/runs");
    assert!(!runs.exists() || runs.read_dir().unwrap().next().is_none(), "a refused run is recorded");
    lab.down();
}

/// A minute for each type is too short for an answer that counts; the changes, the way back and the record are what is tested.
#[test]
#[ignore = "starts three Kafka brokers"]
fn brokers_are_changed_to_the_other_type_and_back() {
    let lab = Lab::with_topic("kafka.m5.large");
    an_interrupt_during_a_change_leaves_the_brokers_as_they_were(&lab);
    let ran = lab.try_sh(SEARCH);
    let said = text(&ran.stderr);
    assert!(matches!(ran.status.code(), Some(0 | 4)), "{said}");
    let document: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(document["cluster"]["broker_type"], "kafka.m5.large", "{document:#}");
    assert_eq!(document["against"][0]["cluster"]["broker_type"], "kafka.m5.xlarge", "{document:#}");
    assert_eq!(lab.cluster()["type"], "kafka.m5.large", "{said}");
    assert_eq!(lab.sh(STATE).trim(), "ACTIVE");
    let report = lab.sh("kgen report --format markdown");
    assert!(report.contains("| kafka.m5.xlarge |"), "{report}");
    lab.down();
}

const SEARCH: &str = "kgen capacity --yes --json --max-minutes 1 --rounds 1 --against kafka.m5.xlarge";

fn an_interrupt_during_a_change_leaves_the_brokers_as_they_were(lab: &Lab) {
    let search = lab.spawn(SEARCH, "against");
    lab.await_output(STATE, "UPDATING", 180);
    assert_eq!(search.interrupt(std::time::Duration::from_secs(400)), 130, "{}", lab.sh("cat against.log"));
    assert_eq!((lab.sh(STATE).trim(), &lab.cluster()["type"]), ("ACTIVE", &"kafka.m5.large".into()));
}
