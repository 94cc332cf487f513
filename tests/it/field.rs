//! What people have reported of Terraform and MSK (issues of the AWS provider, of boto3, of the MSK module), with the real
//! terraform and provider. One lab for all of it: each step goes on where the one before ended.

use std::time::Duration;

use serde_json::Value;

use crate::lab::{Lab, STATE, text};

/// Ends with this exit code and says all of this.
#[track_caller]
fn ensure_says(lab: &Lab, command: &str, code: i32, parts: &[&str]) {
    let ran = lab.try_sh(command);
    let said = format!("{}{}", text(&ran.stdout), text(&ran.stderr));
    assert_eq!(ran.status.code(), Some(code), "{command}: {said}");
    for part in parts {
        assert!(said.contains(part), "{command}: no {part:?} in {said}");
    }
}

fn configure(lab: &Lab, cluster: &str) {
    std::fs::write(lab.path().join("kgen.toml"), format!("[cluster]\n{cluster}\n")).unwrap();
}

#[track_caller]
fn described(lab: &Lab, query: &str) -> Value {
    lab.json(&format!("aws kafka list-clusters --query 'ClusterInfoList[0].{query}' --output json"))
}

#[test]
#[ignore = "runs terraform and three Kafka brokers"]
fn what_is_reported_of_terraform_and_msk_goes_well_or_is_explained() {
    let lab = Lab::up();
    configure(&lab, "volume_gib = 100");
    lab.sh("kgen render && kgen apply --yes");
    configuration_and_cluster_change_in_one_apply(&lab);
    volumes_that_grew_outside_are_kept(&lab);
    groups_have_state_and_members(&lab);
    a_standard_cluster_is_not_made_express_by_a_bare_call(&lab);
    zookeeper_to_kraft_names_every_obstacle(&lab);
    an_edit_under_ignore_changes_is_named(&lab);
    lab.sh("kgen destroy --yes");
    lab.down();
}

/// Provider issue 34297.
fn configuration_and_cluster_change_in_one_apply(lab: &Lab) {
    configure(lab, "volume_gib = 100\n[cluster.server_properties]\n\"log.retention.hours\" = 5");
    lab.sh("kgen render && kgen apply --yes");
    assert_eq!(described(lab, "CurrentBrokerSoftwareInfo.ConfigurationRevision"), 2);
    ensure_says(lab, "kgen plan --detailed-exitcode", 0, &["nothing to change"]);
}

/// An empty group is told from one whose members stand still.
fn groups_have_state_and_members(lab: &Lab) {
    lab.sh("kgen topic create --partitions 6 --replication-factor 3");
    // However many of them arrive on a busy machine, there is something to read and to commit.
    lab.try_sh("kgen produce --rate 20 --duration 5s --json");
    lab.sh("kgen consume --group left --max 20 --duration 60s --json");
    let stays = lab.spawn("kgen consume --group stays --duration 1h --json", "stays");
    let group = |name: &str| {
        let lines = lab.sh("kgen watch --json --duration 12s");
        let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        let group = &last["sample"]["groups"][name];
        (group["state"].clone(), group["members"].clone())
    };
    let seen = crate::awaited::await_some(Duration::from_secs(120), || {
        let seen = group("stays");
        (seen == (Value::from("Stable"), Value::from(1))).then_some(seen)
    });
    assert!(seen.is_some(), "group stays: {:?}", group("stays"));
    assert_eq!(group("left"), (Value::from("Empty"), Value::from(0)));
    stays.interrupt(Duration::from_secs(60));
}

/// Provider issue 20327.
fn volumes_that_grew_outside_are_kept(lab: &Lab) {
    let to = r#"[{"KafkaBrokerNodeId":"All","VolumeSizeGB":200}]"#;
    lab.begin(&format!("update-broker-storage --target-broker-ebs-volume-info '{to}'"))
        .complete(Duration::from_secs(60));
    let way = "set `cluster.volume_gib = 200` in kgen.toml";
    ensure_says(lab, "kgen plan", 0, &["200 to 100 GiB", way]);
    ensure_says(lab, "kgen apply --yes", 2, &["nothing was changed", "grew outside of Terraform", way]);
    assert_eq!(described(lab, "State"), "ACTIVE");

    // Terraform that kgen did not write, with the same state: no dead end either.
    lab.sh("cp -R terraform infra && sed -i '/kgen:sha256/d' infra/*.tf");
    let foreign = "kgen resize kafka.m5.large --dir infra --apply --yes --measure 5s";
    ensure_says(lab, foreign, 1, &["grew outside of Terraform", "`volume_size = 200`"]);
    lab.sh("rm -r infra");

    let resized = lab.try_sh("kgen resize kafka.m5.large --yes --measure 5s");
    assert!(resized.status.success(), "{}", text(&resized.stderr));
    assert!(
        text(&resized.stderr).contains("the volumes grew to 200 GiB outside of Terraform"),
        "{}",
        text(&resized.stderr)
    );
    let brokers = described(lab, "BrokerNodeGroupInfo");
    assert_eq!(brokers["InstanceType"], "kafka.m5.large");
    assert_eq!(brokers["StorageInfo"]["EbsStorageInfo"]["VolumeSize"], 200);
    assert!(lab.sh("cat kgen.toml").contains("volume_gib = 200"));
    ensure_says(lab, "kgen plan --detailed-exitcode", 0, &["nothing to change"]);
}

/// boto3 issue 4356.
fn a_standard_cluster_is_not_made_express_by_a_bare_call(lab: &Lab) {
    let needs = ["Standard to Express is a separate upgrade", "Kafka 3.9 in KRaft mode (it is 3.9.x)"];
    ensure_says(lab, "kgen resize express.m7g.large --yes", 2, &needs);
    lab.await_output(STATE, "ACTIVE", 10);
    assert_eq!(described(lab, "BrokerNodeGroupInfo.InstanceType"), "kafka.m5.large");
}

/// Provider issue 49772.
fn zookeeper_to_kraft_names_every_obstacle(lab: &Lab) {
    configure(lab, "volume_gib = 200\nkafka_version = \"3.9.x.kraft\"");
    ensure_says(lab, "kgen render", 2, &["kafka.t3.small exists only with ZooKeeper-mode Kafka", "ZooKeeper access"]);
    configure(lab, "broker_type = \"kafka.m5.large\"\nvolume_gib = 200\nkafka_version = \"3.9.x.kraft\"");
    lab.sh("kgen render");
    let conditions = ["from ZooKeeper (3.9.x) to KRaft (3.9.x.kraft)", "ZooKeeper access turned off"];
    ensure_says(lab, "kgen plan", 0, &conditions);
}

/// Issue 30 of the MSK module.
fn an_edit_under_ignore_changes_is_named(lab: &Lab) {
    let properties = "[cluster.server_properties]\n\"log.retention.hours\" = 5";
    configure(
        lab,
        &format!("broker_type = \"kafka.m5.large\"\nvolume_gib = 300\nautoscaling_max_gib = 400\n{properties}"),
    );
    lab.sh("kgen render");
    let said = "cluster.volume_gib = 300 has no effect on volumes of 200 GiB";
    ensure_says(lab, "kgen plan", 0, &[said, "`ignore_changes`"]);
}
