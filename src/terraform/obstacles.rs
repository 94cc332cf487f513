//! Planned changes that MSK does not support, or only under conditions. Terraform and its provider do not check them:
//! they send the call, and MSK refuses it during the apply, or treats it as something else.

use serde_json::Value;

use super::plan::{Action, Changes, ResourceChange};
use crate::catalogue::migration::{Present, express_refusal, listed};

const CLUSTER: &str = "aws_msk_cluster";

/// The size of the volumes, in a cluster's values.
pub(super) const VOLUME_SIZE: &str = "broker_node_group_info[0].storage_info[0].ebs_storage_info[0].volume_size";

/// One of a plan's requests that MSK does not meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    pub text: String,
    /// MSK refuses it for certain; else it may, as a condition cannot be seen.
    pub is_certain: bool,
}

/// Volumes that would become smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shrink {
    pub from_gib: u64,
    pub to_gib: u64,
}

impl Changes {
    /// What of this plan MSK would refuse.
    pub fn obstacles(&self) -> Vec<Obstacle> {
        let clusters = self.of_type(CLUSTER).filter(|cluster| cluster.action() == Action::Update);
        clusters.flat_map(|cluster| [shrinks(cluster), to_express(cluster), to_kraft(cluster)]).flatten().collect()
    }

    /// GiB of the volumes of the only cluster, as they are now; also where nothing of it would change.
    pub fn volume_gib(&self) -> Option<u64> {
        let mut clusters = self.all().filter(|resource| resource.resource_type == CLUSTER);
        let only = clusters.next().filter(|_| clusters.next().is_none())?;
        volume_of(&only.change.before)
    }
}

impl ResourceChange {
    /// Whether the volumes of this cluster would become smaller.
    pub fn shrink(&self) -> Option<Shrink> {
        let (from_gib, to_gib) = (volume_of(&self.change.before)?, volume_of(&self.change.after)?);
        (from_gib > to_gib).then_some(Shrink { from_gib, to_gib })
    }
}

fn volume_of(cluster: &Value) -> Option<u64> {
    cluster["broker_node_group_info"][0]["storage_info"][0]["ebs_storage_info"][0]["volume_size"].as_u64()
}

/// Says that volumes grew outside of Terraform, and what to do.
pub(super) fn said_of(address: &str, Shrink { from_gib, to_gib }: Shrink) -> String {
    format!(
        "the plan would shrink the volumes of {address} from {from_gib} to {to_gib} GiB: they grew outside of \
         Terraform, and MSK cannot shrink volumes; set `cluster.volume_gib = {from_gib}` in kgen.toml and run `kgen \
         render` (in other Terraform, `volume_size = {from_gib}`)"
    )
}

fn shrinks(cluster: &ResourceChange) -> Option<Obstacle> {
    let shrink = cluster.shrink()?;
    Some(Obstacle { text: said_of(&cluster.address, shrink), is_certain: true })
}

fn to_express(cluster: &ResourceChange) -> Option<Obstacle> {
    let (before, after) = (type_of(&cluster.change.before)?, type_of(&cluster.change.after)?);
    if before.starts_with("express.") || !after.starts_with("express.") {
        return None;
    }
    let conditions = present(&cluster.change.before).conditions_of_express();
    Some(Obstacle { text: express_refusal(before, after, &conditions), is_certain: true })
}

fn to_kraft(cluster: &ResourceChange) -> Option<Obstacle> {
    let (before, after) = (version_of(&cluster.change.before)?, version_of(&cluster.change.after)?);
    if before.ends_with(".kraft") || !after.ends_with(".kraft") {
        return None;
    }
    // A change of type goes before that of the version in the same apply.
    let now = Present { broker_type: type_of(&cluster.change.after)?, ..present(&cluster.change.before) };
    let conditions = now.conditions_of_kraft();
    let text = format!(
        "MSK migrates {} from ZooKeeper ({before}) to KRaft ({after}) in place when these conditions are met: {}",
        cluster.address,
        listed(&conditions)
    );
    Some(Obstacle { text, is_certain: conditions.iter().any(|condition| condition.is_unmet) })
}

fn present(cluster: &Value) -> Present<'_> {
    Present {
        broker_type: type_of(cluster).unwrap_or_default(),
        kafka_version: version_of(cluster),
        // A subnet a zone: MSK takes no two of one zone.
        zones: cluster["broker_node_group_info"][0]["client_subnets"].as_array().map(Vec::len),
        replication_factor: None,
    }
}

fn type_of(cluster: &Value) -> Option<&str> {
    cluster["broker_node_group_info"][0]["instance_type"].as_str()
}

fn version_of(cluster: &Value) -> Option<&str> {
    cluster["kafka_version"].as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(broker_type: &str, version: &str, gib: u64) -> Value {
        json!({"kafka_version": version, "broker_node_group_info": [{
            "instance_type": broker_type, "client_subnets": ["a", "b", "c"],
            "storage_info": [{"ebs_storage_info": [{"volume_size": gib}]}]}]})
    }

    fn plan(action: &str, before: &Value, after: &Value) -> Changes {
        let change = json!({"actions": [action], "before": before, "after": after});
        let cluster = json!({"address": "aws_msk_cluster.main", "mode": "managed", "type": CLUSTER, "change": change});
        Changes::parse(&json!({"resource_changes": [cluster]}).to_string()).unwrap()
    }

    #[test]
    fn what_msk_refuses_is_known_before_it_is_asked() {
        let standard = values("kafka.m5.large", "3.9.x", 100);
        #[track_caller]
        fn check(before: &Value, after: &Value, expected: &[(&str, bool)]) {
            let found = plan("update", before, after).obstacles();
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (obstacle, (words, is_certain)) in found.iter().zip(expected) {
                assert!(obstacle.text.contains(words) && obstacle.is_certain == *is_certain, "{obstacle:?}");
            }
        }
        check(&standard, &values("kafka.m5.xlarge", "3.9.x", 200), &[]);
        check(&values("kafka.m5.large", "3.9.x", 200), &standard, &[("`cluster.volume_gib = 200` in kgen.toml", true)]);
        check(
            &standard,
            &values("express.m7g.large", "3.9.x", 100),
            &[("Kafka 3.9 in KRaft mode (it is 3.9.x)", true)],
        );
        check(&values("express.m7g.large", "3.9.x.kraft", 0), &values("express.m7g.xlarge", "3.9.x.kraft", 0), &[]);
        check(&standard, &values("kafka.m5.large", "3.9.x.kraft", 100), &[("ZooKeeper access turned off", false)]);
        check(
            &values("kafka.t3.small", "3.9.x", 100),
            &values("kafka.t3.small", "3.9.x.kraft", 100),
            &[("kafka.t3.small exists only with ZooKeeper), ZooKeeper access", true)],
        );
        let kraft = values("kafka.m5.large", "3.9.x.kraft", 100);
        check(&values("kafka.t3.small", "3.9.x", 100), &kraft, &[("advertised.listeners", false)]);
        check(&kraft, &values("kafka.m5.large", "4.0.x.kraft", 100), &[]);
    }

    #[test]
    fn volumes_are_known_where_nothing_changes() {
        let cluster = values("kafka.m5.large", "3.9.x", 100);
        assert_eq!(plan("no-op", &cluster, &cluster).volume_gib(), Some(100));
        assert_eq!(plan("create", &Value::Null, &cluster).volume_gib(), None);
    }
}
