use proptest::prelude::*;
use serde_json::{Value, json};

use super::{update::Accepted, *};

/// The moment `second` seconds into the test, with an identifier of its own.
fn at(second: i64) -> Call {
    Call {
        region: "us-west-2".to_owned(),
        at: Moment(jiff::Timestamp::from_second(1_800_000_000 + second).unwrap()),
        id: uuid::Uuid::from_u128(0x9e37_79b9_7f4a_7c15_u128.pow(2) + second as u128),
    }
}

fn request(change: Value) -> Result<NewCluster, serde_json::Error> {
    let mut request = json!({
        "clusterName": "demo", "kafkaVersion": "3.8.x", "numberOfBrokerNodes": 3,
        "brokerNodeGroupInfo": { "clientSubnets": ["a", "b", "c"], "instanceType": "kafka.t3.small",
            "storageInfo": { "ebsStorageInfo": { "volumeSize": 100 } } },
    });
    let (Value::Object(fields), Value::Object(change)) = (&mut request, change) else { unreachable!() };
    fields.extend(change);
    serde_json::from_value(request)
}

fn broker(id: BrokerId) -> Endpoints {
    let at = |port: i32| std::net::SocketAddr::from(([127, 0, 0, 1], (port + id) as u16));
    Endpoints {
        id,
        zone: "us-west-2a".to_owned(),
        plaintext: at(100),
        tls: None,
        scram: None,
        jmx: at(200),
        node: at(300),
    }
}

/// A plane with one ACTIVE cluster, and the cluster's ARN.
fn active() -> (ControlPlane, String) {
    let mut plane = ControlPlane::default();
    let (cluster, _) = plane.create_cluster(request(json!({})).unwrap(), &at(0)).unwrap();
    let arn = cluster.arn.clone();
    plane.record(&arn, CrewReport::Started(Ok((1..=3).map(broker).collect())), &at(1));
    (plane, arn)
}

fn version(plane: &ControlPlane) -> String {
    plane.clusters[0].version.clone()
}

fn begin(
    plane: &mut ControlPlane,
    arn: &str,
    update: Update,
    second: i64,
) -> Result<(Accepted, Option<Action>), Refusal> {
    let version = version(plane);
    plane.update(arn, Some(&version), update, Some(7), &at(second))
}

#[test]
fn a_cluster_is_created_then_active_then_gone() {
    let mut plane = ControlPlane::default();
    let (cluster, action) = plane.create_cluster(request(json!({})).unwrap(), &at(0)).unwrap();
    assert_eq!(cluster.state, ClusterState::Creating);
    let arn = cluster.arn.clone();
    let Job::Start(config) = action.job else { panic!("{action:?}") };
    assert_eq!(config.zones, ["us-west-2a", "us-west-2b", "us-west-2c"]);
    assert_eq!((config.broker_count, config.volume_gib), (3, 100));

    plane.record(&arn, CrewReport::Started(Ok(vec![broker(1)])), &at(1));
    assert_eq!(plane.cluster(&arn).unwrap().state, ClusterState::Active);
    assert!(matches!(plane.delete_cluster(&arn, None).unwrap().unwrap().job, Job::Delete));
    assert_eq!(plane.cluster(&arn).unwrap().state, ClusterState::Deleting);
    assert!(plane.delete_cluster(&arn, None).unwrap().is_none(), "a repeated deletion does nothing more");
    plane.record(&arn, CrewReport::Deleted(Ok(())), &at(2));
    assert_eq!(plane.cluster(&arn).unwrap_err().kind, Kind::NotFound);
}

#[test]
fn what_msk_does_not_sell_is_refused() {
    let group = |subnets: Value, broker_type: &str, size: u32| {
        json!({ "brokerNodeGroupInfo": { "clientSubnets": subnets, "instanceType": broker_type,
            "storageInfo": { "ebsStorageInfo": { "volumeSize": size } } } })
    };
    for (change, words) in [
        (json!({}), None),
        (json!({ "clusterName": "" }), Some("name")),
        (json!({ "clusterName": "../up" }), Some("name")),
        (json!({ "clusterName": "x".repeat(65) }), Some("name")),
        (json!({ "numberOfBrokerNodes": 0 }), Some("multiple")),
        (json!({ "numberOfBrokerNodes": 4 }), Some("multiple")),
        (json!({ "numberOfBrokerNodes": 33 }), Some("at most 30")),
        (json!({ "numberOfBrokerNodes": -3 }), Some("invalid value")),
        (json!({ "kafkaVersion": "3.8.x.kraft" }), Some("ZooKeeper")),
        (json!({ "kafkaVersion": "0.1" }), Some("0.1")),
        (json!({ "storageMode": "TIERED" }), Some("tiered")),
        (json!({ "tags": { "aws:x": "y" } }), Some("aws:x")),
        (json!({ "configurationInfo": { "arn": "x", "revision": 1 } }), Some("configuration ARN")),
        (group(json!(["a"]), "kafka.t3.small", 100), Some("two or three")),
        (group(json!(["a", "b", "c"]), "kafka.t3.huge", 100), Some("kafka.t3.huge")),
        (group(json!(["a", "b", "c"]), "kafka.m5.large", 16385), Some("16384")),
        (group(json!(["a", "b", "c"]), "express.m7g.large", 100), Some("Express")),
    ] {
        let mut plane = ControlPlane::default();
        let created = request(change.clone())
            .map_err(|error| error.to_string())
            .and_then(|request| plane.create_cluster(request, &at(0)).map(|_| ()).map_err(|refusal| refusal.message));
        match (created, words) {
            (Ok(()), None) => {}
            (Err(message), Some(words)) => {
                assert!(message.contains(words), "{change}: {message}");
                assert_eq!(plane, ControlPlane::default(), "{change}");
            }
            (created, _) => panic!("{change}: {created:?}"),
        }
    }
}

#[test]
fn a_name_is_taken_in_its_region_only() {
    let (mut plane, _) = active();
    let again = plane.create_cluster(request(json!({})).unwrap(), &at(9)).map(|_| ());
    assert_eq!(again.unwrap_err().kind, Kind::Conflict);
    let elsewhere = Call { region: "eu-west-1".to_owned(), ..at(9) };
    plane.create_cluster(request(json!({})).unwrap(), &elsewhere).unwrap();
    assert_eq!(plane.clusters("eu-west-1", "de").count(), 1);
    assert_eq!(plane.clusters("eu-west-1", "x").count(), 0);
}

fn known(broker_type: &str) -> BrokerType {
    broker_type.parse().unwrap()
}

fn volume(size: u32) -> Update {
    let volume = BrokerEbsVolumeInfo {
        kafka_broker_node_id: "All".to_owned(),
        provisioned_throughput: None,
        volume_size_gib: Some(size),
    };
    Update::Storage(vec![volume])
}

#[test]
fn an_update_ends_active_with_a_new_version_and_its_change() {
    for (update, work, source, target) in [
        (
            Update::BrokerType(known("kafka.m5.large")),
            Work::ChangeType(known("kafka.m5.large")),
            json!({ "instanceType": "kafka.t3.small" }),
            json!({ "instanceType": "kafka.m5.large" }),
        ),
        (
            Update::BrokerCount(6),
            Work::AddBrokers(6),
            json!({ "numberOfBrokerNodes": 3 }),
            json!({ "numberOfBrokerNodes": 6 }),
        ),
        (
            volume(200),
            Work::GrowVolumes(200),
            json!({ "brokerEBSVolumeInfo": [{ "kafkaBrokerNodeId": "All", "volumeSizeGB": 100 }] }),
            json!({ "brokerEBSVolumeInfo": [{ "kafkaBrokerNodeId": "All", "volumeSizeGB": 200 }] }),
        ),
        (
            Update::KafkaVersion { target: "3.9.x".parse().unwrap(), configuration: None },
            Work::Nothing,
            json!({ "kafkaVersion": "3.8.x" }),
            json!({ "kafkaVersion": "3.9.x" }),
        ),
        (Update::Reboot(vec![2]), Work::Reboot(vec![2]), json!({}), json!({})),
    ] {
        let (mut plane, arn) = active();
        let before = version(&plane);
        let (accepted, action) = begin(&mut plane, &arn, update.clone(), 10).unwrap();
        let Some(Action { job: Job::Operate { operation, work: begun }, .. }) = action else { panic!("{action:?}") };
        assert_eq!((&operation, begun), (&accepted.operation_arn, work));
        assert_ne!(plane.cluster(&arn).unwrap().state, ClusterState::Active);
        assert_eq!(version(&plane), before);

        let step = CrewReport::Step { operation: operation.clone(), broker: 2, done: true };
        plane.record(&arn, step, &at(11));
        let brokers = (1..=3).map(broker).collect();
        plane.record(&arn, CrewReport::Operated { operation: operation.clone(), result: Ok(brokers) }, &at(12));
        let (cluster, ended) = plane.operation(&operation).unwrap();
        assert_eq!((cluster.state, ended.state), (ClusterState::Active, OperationState::Complete));
        assert_eq!(ended.ended, Some(at(12).at));
        assert_ne!(cluster.version, before);
        assert_eq!(serde_json::to_value(&ended.source).unwrap(), source, "{update:?}");
        assert_eq!(serde_json::to_value(&ended.target).unwrap(), target, "{update:?}");
        assert_eq!(update.fields_of(&cluster.provisioned), ended.target, "{update:?}");
    }
}

#[test]
fn a_change_that_msk_does_not_make_is_refused_before_anything_is_touched() {
    let monitoring = Update::Monitoring { enhanced: None, open: None, logging: None };
    let version_update = |target: &str| Update::KafkaVersion { target: target.parse().unwrap(), configuration: None };
    for (update, partitions, words) in [
        (Update::BrokerType(known("kafka.t3.small")), 7, "already"),
        (Update::BrokerType(known("express.m7g.large")), 7, "a separate upgrade"),
        (Update::BrokerType(known("kafka.m5.large")), 1501, "1501 partitions"),
        (Update::BrokerCount(3), 7, "only be expanded"),
        (Update::BrokerCount(0), 7, "only be expanded"),
        (Update::BrokerCount(5), 7, "multiple"),
        (Update::BrokerCount(33), 7, "at most 30"),
        (volume(99), 7, "only grow"),
        (volume(100), 7, "already"),
        (volume(20_000), 7, "16384"),
        (Update::Storage(vec![]), 7, "one volume size"),
        (monitoring, 7, "neither"),
        (Update::Security { authentication: None, encryption: None }, 7, "neither"),
        (version_update("3.7.x"), 7, "in place"),
        (version_update("3.9.x.kraft"), 7, "in place"),
        (version_update("3.9.x"), 301, "301 partitions"),
        (Update::Reboot(vec![4]), 7, "no broker 4"),
        (Update::Reboot(vec![]), 7, "names no broker"),
    ] {
        let (mut plane, arn) = active();
        let before = plane.clone();
        let version = version(&plane);
        let refusal = plane.update(&arn, Some(&version), update.clone(), Some(partitions), &at(10)).unwrap_err();
        assert_eq!(refusal.kind, Kind::BadRequest, "{update:?}");
        assert!(refusal.message.contains(words), "{update:?}: {refusal}");
        assert_eq!(plane, before, "{update:?}");
    }
}

#[test]
fn a_repeated_request_is_the_operation_it_began() {
    // (second, version as of, broker type) -> same operation, other operation, or refused
    #[derive(Debug, PartialEq)]
    enum Outcome {
        Same,
        Refused(&'static str),
    }
    let m5 = known("kafka.m5.large");
    for (second, ended, stale, target, outcome) in [
        (10, false, false, m5, Outcome::Same),
        (500, false, false, m5, Outcome::Same),
        (10, false, false, known("kafka.m7g.large"), Outcome::Refused("UPDATING")),
        (10, false, true, m5, Outcome::Refused("UPDATING")),
        (12, true, false, m5, Outcome::Same),
        (60, true, false, m5, Outcome::Refused("isn't current")),
    ] {
        let (mut plane, arn) = active();
        let first = version(&plane);
        let (accepted, _) = begin(&mut plane, &arn, Update::BrokerType(m5), 10).unwrap();
        let operation = accepted.operation_arn;
        if ended {
            plane.record(&arn, CrewReport::Operated { operation: operation.clone(), result: Ok(vec![]) }, &at(11));
        }
        let named = if stale { "KSTALE" } else { &first };
        let got = match plane.update(&arn, Some(named), Update::BrokerType(target), Some(7), &at(second)) {
            Ok((again, None)) if again.operation_arn == operation => Outcome::Same,
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => match outcome {
                Outcome::Refused(words) if refusal.message.contains(words) => Outcome::Refused(words),
                _ => panic!("{refusal}"),
            },
        };
        assert_eq!(got, outcome);
    }
}

#[test]
fn a_failed_operation_says_why_and_changes_nothing_but_the_version() {
    let (mut plane, arn) = active();
    let before = plane.cluster(&arn).unwrap().clone();
    let (accepted, _) = begin(&mut plane, &arn, Update::BrokerCount(6), 10).unwrap();
    let result = Err("broker 4 did not come up".to_owned());
    plane.record(&arn, CrewReport::Operated { operation: accepted.operation_arn.clone(), result }, &at(11));
    let (cluster, operation) = plane.operation(&accepted.operation_arn).unwrap();
    assert_eq!(operation.state, OperationState::Failed);
    assert_eq!(operation.error.as_ref().unwrap().1, "broker 4 did not come up");
    assert_eq!((cluster.state, &cluster.provisioned), (ClusterState::Active, &before.provisioned));
    assert_ne!(cluster.version, before.version);
}

#[test]
fn a_cluster_is_not_deleted_under_an_operation() {
    let (mut plane, arn) = active();
    begin(&mut plane, &arn, Update::BrokerCount(6), 10).unwrap();
    assert!(plane.delete_cluster(&arn, None).unwrap_err().message.contains("UPDATING"));
}

#[test]
fn a_lab_that_comes_back_heals_its_clusters() {
    let (mut plane, arn) = active();
    let (accepted, _) = begin(&mut plane, &arn, Update::BrokerCount(6), 10).unwrap();
    let saved = serde_json::to_string(&plane).unwrap();
    let mut plane: ControlPlane = serde_json::from_str(&saved).unwrap();

    let actions = plane.resume(&at(20));
    let [Action { job: Job::Start(config), .. }] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(config.broker_count, 3);
    assert_eq!(plane.operation(&accepted.operation_arn).unwrap().1.state, OperationState::Failed);
    assert_eq!(plane.cluster(&arn).unwrap().state, ClusterState::Healing);
    plane.record(&arn, CrewReport::Started(Ok(vec![broker(1)])), &at(21));
    assert_eq!(plane.cluster(&arn).unwrap().state, ClusterState::Active);
}

#[test]
fn a_cluster_that_did_not_come_back_is_tried_again() {
    let (mut plane, arn) = active();
    for (report, next) in [
        (CrewReport::Started(Err("no Java".to_owned())), ClusterState::Healing),
        (CrewReport::Deleted(Err("no such permission".to_owned())), ClusterState::Failed),
    ] {
        plane.record(&arn, report, &at(10));
        assert_eq!(plane.cluster(&arn).unwrap().state, ClusterState::Failed);
        let actions = plane.resume(&at(20));
        assert_eq!(plane.cluster(&arn).unwrap().state, next);
        assert_eq!(actions.len(), usize::from(next == ClusterState::Healing));
    }
    // One that never was ACTIVE stays as it failed: terraform replaces it.
    let (cluster, _) = plane.create_cluster(request(json!({ "clusterName": "other" })).unwrap(), &at(30)).unwrap();
    let other = cluster.arn.clone();
    plane.record(&other, CrewReport::Started(Err("no Java".to_owned())), &at(31));
    plane.resume(&at(40));
    assert_eq!(plane.cluster(&other).unwrap().state, ClusterState::Failed);
}

#[test]
fn a_lost_crew_fails_its_cluster_and_operation() {
    let (mut plane, arn) = active();
    let (accepted, _) = begin(&mut plane, &arn, Update::BrokerCount(6), 10).unwrap();
    plane.record(&arn, CrewReport::Lost, &at(11));
    assert_eq!(plane.cluster(&arn).unwrap().state, ClusterState::Failed);
    assert_eq!(plane.operation(&accepted.operation_arn).unwrap().1.state, OperationState::Failed);
    assert!(plane.delete_cluster(&arn, None).unwrap().is_some());
}

#[test]
fn a_configuration_is_revised_used_and_deleted() {
    let (mut plane, arn) = active();
    let new = NewConfiguration {
        name: "demo".to_owned(),
        server_properties: b"num.partitions=3".to_vec(),
        ..NewConfiguration::default()
    };
    let configuration = plane.create_configuration(new.clone(), &at(0)).unwrap().arn.clone();
    assert_eq!(plane.create_configuration(new, &at(1)).unwrap_err().kind, Kind::Conflict);

    let revise = |plane: &mut ControlPlane, properties: &str, second| {
        plane.revise_configuration(&configuration, properties.into(), None, &at(second)).unwrap().latest().number
    };
    assert_eq!(revise(&mut plane, "num.partitions=6", 10), 2);
    assert_eq!(revise(&mut plane, "num.partitions=6", 11), 2, "sent twice");
    assert_eq!(revise(&mut plane, "num.partitions=6", 60), 3, "meant anew");

    let wanted = ConfigurationInfo { arn: configuration.clone(), revision: 2 };
    let (accepted, action) = begin(&mut plane, &arn, Update::Configuration(wanted.clone()), 70).unwrap();
    let Some(Action { job: Job::Operate { work, .. }, .. }) = action else { panic!("{action:?}") };
    assert_eq!(work, Work::Configure("num.partitions=6".to_owned()));
    plane.record(&arn, CrewReport::Operated { operation: accepted.operation_arn, result: Ok(vec![]) }, &at(71));
    assert_eq!(plane.cluster(&arn).unwrap().configuration(), Some(wanted));

    assert!(plane.delete_configuration(&configuration, &at(80)).unwrap_err().message.contains("in use"));
    plane.record(&arn, CrewReport::Deleted(Ok(())), &at(81));
    plane.delete_configuration(&configuration, &at(82)).unwrap();
    plane.delete_configuration(&configuration, &at(83)).unwrap();
    assert_eq!(
        plane.delete_configuration(&configuration, &at(90)).unwrap_err().message,
        "Configuration ARN does not exist."
    );
}

/// JSON of any shape, small.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "(kafka\\.(m5|t3)\\.(large|small)|All|3\\.9\\.x|\\PC{0,12})".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-zA-Z]{1,8}", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_request_breaks_the_control_plane(field in 0usize..10, value in any_json(), arn in "\\PC{0,60}", count in any::<u32>()) {
        const FIELDS: [&str; 10] = [
            "clusterName", "kafkaVersion", "numberOfBrokerNodes", "brokerNodeGroupInfo", "tags", "encryptionInfo",
            "configurationInfo", "openMonitoring", "loggingInfo", "clientAuthentication",
        ];
        let (mut plane, known) = active();
        let before = plane.clone();
        let accepted = match request(json!({ FIELDS[field]: value })) {
            Ok(request) => plane.create_cluster(request, &at(5)).is_ok(),
            Err(_) => false,
        };
        prop_assert_eq!(accepted, plane != before);
        // What was accepted can be saved and read again.
        let saved = serde_json::to_string(&plane).unwrap();
        prop_assert_eq!(serde_json::from_str::<ControlPlane>(&saved).unwrap(), plane.clone());

        prop_assert!(plane.cluster(&arn).is_err() && plane.operation(&arn).is_err() && plane.configuration(&arn).is_err());
        let counted = begin(&mut plane, &known, Update::BrokerCount(count), 6).is_ok();
        prop_assert_eq!(counted, count > 3 && count <= 30 && count.is_multiple_of(3));
    }
}

/// Ten of m5.large in two zones but for what was removed, and the ids that are left.
#[test]
fn ids_survive_a_removal_and_are_not_used_again() {
    let mut plane = ControlPlane::default();
    let group = json!({ "clientSubnets": ["a", "b"], "instanceType": "kafka.m5.large" });
    let new = request(json!({ "numberOfBrokerNodes": 8, "brokerNodeGroupInfo": group })).unwrap();
    let arn = plane.create_cluster(new, &at(0)).unwrap().0.arn.clone();
    let in_zone = |id: BrokerId| {
        let zone = if id % 2 == 1 { "us-west-2a" } else { "us-west-2b" };
        Endpoints { zone: zone.to_owned(), ..broker(id) }
    };
    plane.record(&arn, CrewReport::Started(Ok((1..=8).map(in_zone).collect())), &at(1));
    for (count, empty, chosen) in [
        (6, &[5, 6][..], Some(vec![5, 6])),
        (6, &[1, 2, 5, 6], Some(vec![5, 6])),
        (6, &[5, 7], None),
        (6, &[], None),
        (7, &[5, 6, 7], None),
        (8, &[5, 6], None),
        (0, &[1, 2, 3, 4, 5, 6, 7, 8], None),
    ] {
        assert_eq!(plane.removable(&arn, count, empty).ok(), chosen, "{count} {empty:?}");
    }
    let (accepted, action) = begin(&mut plane, &arn, Update::RemoveBrokers(vec![5, 6]), 10).unwrap();
    assert!(matches!(action.unwrap().job, Job::Operate { work: Work::RemoveBrokers(ids), .. } if ids == [5, 6]));
    let left: Vec<Endpoints> = [1, 2, 3, 4, 7, 8].map(in_zone).into();
    plane.record(&arn, CrewReport::Operated { operation: accepted.operation_arn, result: Ok(left) }, &at(11));
    let cluster = plane.cluster(&arn).unwrap();
    assert_eq!((cluster.provisioned.number_of_broker_nodes, cluster.ids_to_add(8)), (6, vec![9, 10]));
    assert_eq!(plane.ensure_plausible(), Ok(()));
    let Some(Action { job: Job::Start(start), .. }) = plane.resume(&at(20)).pop() else { panic!("no start") };
    assert_eq!(start.ids, [1, 2, 3, 4, 7, 8]);
}

#[test]
fn a_serverless_cluster_has_no_brokers_and_takes_no_updates() {
    let mut plane = ControlPlane::default();
    let vpc = VpcConfig { subnet_ids: vec!["a".to_owned(), "b".to_owned()], security_group_ids: None };
    let serverless = Serverless { vpc_configs: vec![vpc], client_authentication: None };
    let (cluster, action) = plane.create_serverless("events", None, serverless, &at(0)).unwrap();
    let arn = cluster.arn.clone();
    assert!(matches!(action.job, Job::Start(start) if start.serverless && start.ids.is_empty()));
    plane.record(&arn, CrewReport::Started(Ok(Vec::new())), &at(1));
    assert_eq!(plane.cluster(&arn).unwrap().state, ClusterState::Active);
    assert!(begin(&mut plane, &arn, Update::BrokerCount(4), 2).unwrap_err().message.contains("serverless"));
    assert_eq!(plane.ensure_plausible(), Ok(()));
    plane.delete_cluster(&arn, None).unwrap();
}

#[test]
fn tags_are_added_replaced_and_removed() {
    let (mut plane, arn) = active();
    let tags = |pairs: &[(&str, &str)]| -> Tags { pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect() };
    plane.tag(&arn, tags(&[("a", "1"), ("b", "2")])).unwrap();
    plane.tag(&arn, tags(&[("a", "3")])).unwrap();
    plane.untag(&arn, &["b".to_owned(), "absent".to_owned()]).unwrap();
    assert_eq!(plane.tags(&arn).unwrap(), tags(&[("a", "3")]));
    let many: Tags = (0..50).map(|i| (format!("k{i}"), String::new())).collect();
    assert!(plane.tag(&arn, many).is_err());
    assert_eq!(plane.tags(&arn).unwrap().len(), 1);
    assert_eq!(plane.tags("nonsense").unwrap_err().parameter, Some("resourceArn"));
}
