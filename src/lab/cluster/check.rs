//! Whether a state that was read is one that the control plane could have written.
//!
//! The file is in a project folder, which may come from someone else. Names in it become paths, ARNs become keys, and
//! server properties are given to brokers, so nothing of it is used before all of it holds.

use std::{collections::BTreeSet, net::SocketAddr};

use super::{
    Configuration, ControlPlane, EmulatedCluster, Operation, Refusal, arn, configuration,
    create::{self, BROKER_ID_MAX},
    scram::ScramSecret,
    update::OPERATIONS_KEPT,
};
use crate::sample::BrokerId;

/// Characters of a value that is quoted in an error.
const QUOTED: usize = 80;

/// Users of a cluster's brokers at most; MSK has no limit that is near it.
const SECRETS_KEPT: usize = 1000;

/// A value that no control plane writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}: {reason}")]
pub struct Implausible {
    /// Such as `clusters[0].name`.
    pub field: String,
    value: String,
    reason: String,
}

impl Implausible {
    fn new(field: impl Into<String>, value: impl std::fmt::Debug, reason: impl Into<String>) -> Implausible {
        let shown = format!("{value:?}");
        let value = match shown.char_indices().nth(QUOTED) {
            Some((at, _)) => format!("{}…", &shown[..at]),
            None => shown,
        };
        Implausible { field: field.into(), value, reason: reason.into() }
    }
}

type Checked = Result<(), Implausible>;

impl ControlPlane {
    /// Checks everything that was read.
    ///
    /// # Errors
    /// Names the first field that no control plane has written.
    pub fn ensure_plausible(&self) -> Checked {
        let (mut arns, mut dirs) = (BTreeSet::new(), BTreeSet::new());
        for (index, configuration) in self.configurations.iter().enumerate() {
            let field = format!("configurations[{index}]");
            configuration.check(&field)?;
            ensure(
                arns.insert(&configuration.arn),
                &format!("{field}.arn"),
                &configuration.arn,
                "another one has the \
                                                                                                  same value",
            )?;
        }
        for (index, cluster) in self.clusters.iter().enumerate() {
            let field = format!("clusters[{index}]");
            cluster.check(&field)?;
            ensure(arns.insert(&cluster.arn), &format!("{field}.arn"), &cluster.arn, "another one has the same value")?;
            ensure(
                dirs.insert(cluster.dir()),
                &format!("{field}.arn"),
                &cluster.arn,
                "another one has the same folder",
            )?;
        }
        Ok(())
    }
}

impl Configuration {
    fn check(&self, field: &str) -> Checked {
        refused(configuration::check_name(&self.name), &format!("{field}.name"), &self.name)?;
        check_region(&self.region, field)?;
        check_arn(&self.arn, "configuration", &self.region, &self.name, field)?;
        ensure(!self.revisions.is_empty(), &format!("{field}.revisions"), &self.revisions, "there must be one")?;
        for (index, revision) in self.revisions.iter().enumerate() {
            let field = format!("{field}.revisions[{index}]");
            let number = revision.number == index as u64 + 1;
            ensure(number, &format!("{field}.number"), revision.number, "revisions are numbered from 1")?;
            let properties = &revision.server_properties;
            let taken = configuration::parse_properties(properties.clone().into_bytes()).map(drop);
            refused(taken, &format!("{field}.server_properties"), properties)?;
        }
        Ok(())
    }
}

impl EmulatedCluster {
    fn check(&self, field: &str) -> Checked {
        refused(create::check_name(&self.name), &format!("{field}.name"), &self.name)?;
        check_region(&self.region, field)?;
        check_arn(&self.arn, "cluster", &self.region, &self.name, field)?;
        let is_version = self.version.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        let is_version = is_version && (1..=32).contains(&self.version.len());
        ensure(is_version, &format!("{field}.version"), &self.version, "it consists of capital letters and digits")?;
        refused(create::check_tags(&self.tags), &format!("{field}.tags"), &self.tags)?;
        self.check_size(&format!("{field}.provisioned"))?;
        self.check_brokers(field)?;
        let operations = format!("{field}.operations");
        let count = self.operations.len();
        ensure(count <= OPERATIONS_KEPT, &operations, count, format!("a cluster keeps {OPERATIONS_KEPT}"))?;
        for (index, operation) in self.operations.iter().enumerate() {
            operation.check(&self.arn, &format!("{operations}[{index}]"))?;
        }
        let secrets = format!("{field}.scram_secrets");
        let count = self.scram_secrets.len();
        ensure(count <= SECRETS_KEPT, &secrets, count, format!("there are {SECRETS_KEPT} at most"))?;
        self.scram_secrets.iter().enumerate().try_for_each(|(i, secret)| secret.check(&format!("{secrets}[{i}]")))
    }

    fn check_size(&self, field: &str) -> Checked {
        let provisioned = &self.provisioned;
        let subnets = &provisioned.broker_node_group_info.client_subnets;
        let (zones, count) = (subnets.len(), provisioned.number_of_broker_nodes);
        let subnets = format!("{field}.brokerNodeGroupInfo.clientSubnets");
        ensure((2..=3).contains(&zones), &subnets, zones, "a cluster has two or three client subnets")?;
        let nodes = format!("{field}.numberOfBrokerNodes");
        refused(create::check_broker_count(count, zones as u32), &nodes, count)?;
        let volume = provisioned.volume_gib().unwrap_or(create::DEFAULT_VOLUME_GIB);
        let size = format!("{field}.brokerNodeGroupInfo.storageInfo.ebsStorageInfo.volumeSize");
        ensure((1..=16384).contains(&volume), &size, volume, "a broker's volume has 1 to 16384 GiB")
    }

    fn check_brokers(&self, field: &str) -> Checked {
        let mut ids = BTreeSet::new();
        for (index, broker) in self.brokers.iter().enumerate() {
            let field = format!("{field}.brokers[{index}]");
            let is_id = (1..=BROKER_ID_MAX as BrokerId).contains(&broker.id) && ids.insert(broker.id);
            ensure(is_id, &format!("{field}.id"), broker.id, format!("ids are 1 to {BROKER_ID_MAX}, each once"))?;
            let is_zone = self.zones().contains(&broker.zone);
            ensure(is_zone, &format!("{field}.zone"), &broker.zone, "the cluster is not in this zone")?;
            let listeners = [Some(broker.plaintext), broker.tls, broker.scram, Some(broker.jmx), Some(broker.node)];
            for listener in listeners.into_iter().flatten() {
                ensure(is_own(listener), &field, listener, "brokers of the lab listen on 127.0.0.1")?;
            }
        }
        Ok(())
    }
}

impl Operation {
    fn check(&self, cluster: &str, field: &str) -> Checked {
        let id = self.arn.rsplit('/').next().and_then(|id| uuid::Uuid::try_parse(id).ok());
        let is_own = id.is_some_and(|id| self.arn == arn::operation(cluster, &id));
        ensure(is_own, &format!("{field}.arn"), &self.arn, "it is not the ARN of an operation of this cluster")
    }
}

impl ScramSecret {
    fn check(&self, field: &str) -> Checked {
        let is_arn = self.arn.starts_with("arn:aws:secretsmanager:") && is_plain(&self.arn);
        ensure(is_arn, &format!("{field}.arn"), &self.arn, "it is not the ARN of a secret")?;
        ensure(is_plain(&self.user), &format!("{field}.user"), &self.user, "it has no visible characters")
    }
}

fn check_region(region: &str, field: &str) -> Checked {
    ensure(arn::is_region(region), &format!("{field}.region"), region, "it is not a region")
}

/// The form that [`arn::resource`] gives.
fn check_arn(arn: &str, kind: &str, region: &str, name: &str, field: &str) -> Checked {
    let head = format!("arn:aws:kafka:{region}:{}:{kind}/{name}/", arn::ACCOUNT);
    let unique = arn.strip_prefix(head.as_str()).and_then(|unique| unique.rsplit_once('-'));
    let is_unique = |(id, number): (&str, &str)| {
        let is_id = uuid::Uuid::try_parse(id).is_ok_and(|parsed| parsed.to_string() == id);
        is_id && (1..=2).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit())
    };
    ensure(unique.is_some_and(is_unique), &format!("{field}.arn"), arn, format!("it does not have the form {head}ID"))
}

fn is_own(listener: SocketAddr) -> bool {
    listener.ip() == std::net::Ipv4Addr::LOCALHOST && listener.port() > 0
}

fn is_plain(text: &str) -> bool {
    (1..=512).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn ensure(holds: bool, field: &str, value: impl std::fmt::Debug, reason: impl Into<String>) -> Checked {
    if holds { Ok(()) } else { Err(Implausible::new(field, value, reason)) }
}

/// What the API refuses is never in its state.
fn refused(checked: Result<(), Refusal>, field: &str, value: impl std::fmt::Debug) -> Checked {
    checked.map_err(|refusal| Implausible::new(field, value, refusal.message))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::lab::{
        cluster::{Call, NewCluster, NewConfiguration, ScramSecret, Update},
        control::call,
    };

    /// A control plane with a bit of everything, as JSON.
    fn state() -> Value {
        let mut plane = ControlPlane::default();
        let at = call("us-west-2".to_owned());
        let new = NewConfiguration {
            name: "settings".to_owned(),
            server_properties: b"num.partitions=3\n".to_vec(),
            ..NewConfiguration::default()
        };
        let configuration = plane.create_configuration(new, &at).unwrap().arn.clone();
        plane.revise_configuration(&configuration, b"num.partitions=6\n".to_vec(), None, &at).unwrap();
        let new: NewCluster = serde_json::from_value(json!({
            "clusterName": "demo", "kafkaVersion": "3.9.x", "numberOfBrokerNodes": 3,
            "configurationInfo": { "arn": configuration, "revision": 2 },
            "clientAuthentication": { "sasl": { "scram": { "enabled": true } } },
            "brokerNodeGroupInfo": { "instanceType": "kafka.t3.small", "clientSubnets": ["a", "b", "c"] },
        }))
        .unwrap();
        let id = uuid::Uuid::new_v4();
        let arn = plane.create_cluster(new, &Call { id, ..at.clone() }).unwrap().0.arn.clone();
        let cluster = plane.cluster_mut(&arn).unwrap();
        cluster.state = super::super::ClusterState::Active;
        let listener = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        cluster.brokers.push(super::super::Endpoints {
            id: 1,
            zone: "us-west-2a".to_owned(),
            plaintext: listener(19091),
            tls: Some(listener(19092)),
            scram: None,
            jmx: listener(19093),
            node: listener(19094),
        });
        let secret = "arn:aws:secretsmanager:us-west-2:123456789012:secret:AmazonMSK_u-x";
        plane.associate(&arn, &[ScramSecret { arn: secret.to_owned(), user: "u".to_owned() }]).unwrap();
        let call = Call { id: uuid::Uuid::new_v4(), ..at };
        plane.update(&arn, None, Update::Reboot(vec![1]), None, &call).unwrap();
        serde_json::to_value(plane).unwrap()
    }

    #[test]
    fn what_the_control_plane_writes_is_accepted() {
        for plane in [ControlPlane::default(), serde_json::from_value(state()).unwrap()] {
            assert_eq!(plane.ensure_plausible(), Ok(()));
        }
    }

    #[test]
    fn what_it_never_writes_is_refused_with_the_field() {
        let arn = state()["clusters"][0]["arn"].as_str().unwrap().to_owned();
        let with = |end: &str| json!(format!("{}{end}", &arn[..arn.rfind('/').unwrap() + 1]));
        for (field, value, at) in [
            ("/clusters/0/name", json!("/x/victim"), "clusters[0].name"),
            ("/clusters/0/name", json!("../.."), "clusters[0].name"),
            ("/clusters/0/name", json!(""), "clusters[0].name"),
            ("/clusters/0/name", json!("other"), "clusters[0].arn"),
            ("/clusters/0/region", json!("../x"), "clusters[0].region"),
            ("/clusters/0/region", json!("eu-west-1"), "clusters[0].arn"),
            ("/clusters/0/arn", with("dir"), "clusters[0].arn"),
            ("/clusters/0/arn", with("äöüäöüäöü"), "clusters[0].arn"),
            ("/clusters/0/arn", with(".."), "clusters[0].arn"),
            ("/clusters/0/arn", json!("demo"), "clusters[0].arn"),
            ("/clusters/0/version", json!("k\n"), "clusters[0].version"),
            ("/clusters/0/tags", json!({ "aws:x": "y" }), "clusters[0].tags"),
            (
                "/clusters/0/provisioned/brokerNodeGroupInfo/clientSubnets",
                json!(vec!["s"; 200]),
                "clusters[0].provisioned.brokerNodeGroupInfo.clientSubnets",
            ),
            (
                "/clusters/0/provisioned/numberOfBrokerNodes",
                json!(4_000_000_000u32),
                "clusters[0].provisioned.numberOfBrokerNodes",
            ),
            ("/clusters/0/brokers/0/id", json!(-1), "clusters[0].brokers[0].id"),
            ("/clusters/0/brokers/0/zone", json!("x"), "clusters[0].brokers[0].zone"),
            ("/clusters/0/brokers/0/jmx", json!("192.0.2.1:80"), "clusters[0].brokers[0]"),
            ("/clusters/0/operations/0/arn", json!("../x"), "clusters[0].operations[0].arn"),
            ("/clusters/0/scram_secrets/0/arn", json!("x"), "clusters[0].scram_secrets[0].arn"),
            ("/clusters/0/scram_secrets/0/user", json!("a\u{1b}[2J"), "clusters[0].scram_secrets[0].user"),
            ("/configurations/0/name", json!("a/b"), "configurations[0].name"),
            ("/configurations/0/arn", json!("x"), "configurations[0].arn"),
            ("/configurations/0/revisions", json!([]), "configurations[0].revisions"),
            ("/configurations/0/revisions/1/number", json!(u64::MAX), "configurations[0].revisions[1].number"),
            (
                "/configurations/0/revisions/1/server_properties",
                json!("remote.log.storage.manager.class.path=/tmp/evil.jar"),
                "configurations[0].revisions[1].server_properties",
            ),
        ] {
            let mut state = state();
            let arn_of_state = state["clusters"][0]["arn"].clone();
            // ARNs of two states differ; the value is that of this one.
            let value = match value.as_str().and_then(|text| text.strip_prefix(&arn[..arn.rfind('/').unwrap()])) {
                Some(end) => {
                    let own = arn_of_state.as_str().unwrap();
                    json!(format!("{}{end}", &own[..own.rfind('/').unwrap()]))
                }
                None => value,
            };
            *state.pointer_mut(field).unwrap_or_else(|| panic!("{field}")) = value;
            let plane: ControlPlane = serde_json::from_value(state).unwrap();
            assert_eq!(plane.ensure_plausible().unwrap_err().field, at, "{field}");
        }
    }

    #[test]
    fn two_of_one_name_are_refused() {
        let mut state = state();
        let again = state["clusters"][0].clone();
        state["clusters"].as_array_mut().unwrap().push(again);
        let plane: ControlPlane = serde_json::from_value(state).unwrap();
        assert_eq!(plane.ensure_plausible().unwrap_err().field, "clusters[1].arn");
    }

    #[test]
    fn a_long_value_is_cut_where_a_character_ends() {
        let error = Implausible::new("name", "ä".repeat(500), "too long").to_string();
        assert!(error.starts_with("name is \"ää") && error.ends_with("ä…: too long"), "{error}");
    }
}
