//! Changes leaders and replicas of partitions with Kafka's own tools.

use serde::Serialize;

use super::{Rendered, Target};
use crate::process::{shell_quoted, shell_word};

/// CPU above which MSK advises against reassigning, percent (MSK best practices).
pub const REASSIGN_BELOW_CPU_PERCENT: u32 = 70;

/// Partitions that MSK advises to move in one call (MSK best practices).
pub const PARTITIONS_A_BATCH: u32 = 10;

/// The first replica of each partition becomes its leader again.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct ElectLeaders {
    /// Partitions whose leader is not their first replica.
    pub partitions: usize,
}

impl ElectLeaders {
    pub(super) fn rendered(&self, target: &Target) -> Rendered {
        Rendered {
            summary: format!("elect the preferred leaders of {} partitions", self.partitions),
            kafka_tools: vec![format!(
                "kafka-leader-election.sh --bootstrap-server {} --election-type preferred --all-topic-partitions",
                target.bootstrap()
            )],
            kgen: Some("kgen fix".to_owned()),
            notes: vec!["no data is copied; clients refresh their metadata once".to_owned()],
            ..Rendered::default()
        }
    }
}

/// Replica lists that start with a different broker; no data moves if the set stays the same.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Reassign {
    /// The new lists of replicas, the preferred leader first.
    pub moves: Vec<Move>,
}

/// One partition's new replicas.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Move {
    pub topic: String,
    pub partition: i32,
    pub replicas: Vec<i32>,
}

impl Reassign {
    /// Rotates replica lists until first replicas are spread as evenly as the lists allow.
    ///
    /// `partitions` are (topic, number, replicas). The sets of replicas stay as they are.
    pub fn spread<'a>(partitions: impl IntoIterator<Item = (&'a str, i32, &'a [i32])>) -> Reassign {
        let mut first: std::collections::BTreeMap<i32, u32> = std::collections::BTreeMap::new();
        let mut moves = Vec::new();
        for (topic, partition, replicas) in partitions {
            let count = |id: &i32| first.get(id).copied().unwrap_or_default();
            // Of equals the one that is first already, so that little is changed.
            let Some(chosen) = replicas.iter().copied().min_by_key(count) else { continue };
            *first.entry(chosen).or_default() += 1;
            if replicas.first() != Some(&chosen) {
                let mut replicas = replicas.to_vec();
                replicas.sort_by_key(|id| *id != chosen);
                moves.push(Move { topic: topic.to_owned(), partition, replicas });
            }
        }
        Reassign { moves }
    }

    /// The file that `kafka-reassign-partitions.sh` takes.
    pub fn json(&self) -> String {
        let partitions: Vec<serde_json::Value> = self
            .moves
            .iter()
            .map(|of| serde_json::json!({"topic": of.topic, "partition": of.partition, "replicas": of.replicas}))
            .collect();
        serde_json::json!({"version": 1, "partitions": partitions}).to_string()
    }

    pub(super) fn rendered(&self, target: &Target) -> Rendered {
        let server = target.bootstrap();
        // Kafka allows letters, digits, `.`, `_` and `-` in the name of a topic, but a broker may answer with anything.
        let json = shell_quoted(&self.json());
        Rendered {
            summary: format!("change the first replica of {} partitions, then elect it", self.moves.len()),
            kafka_tools: vec![
                format!("echo {json} > reassign.json"),
                format!(
                    "kafka-reassign-partitions.sh --bootstrap-server {server} --reassignment-json-file reassign.json --execute"
                ),
                format!(
                    "kafka-reassign-partitions.sh --bootstrap-server {server} --reassignment-json-file reassign.json --verify"
                ),
                format!(
                    "kafka-leader-election.sh --bootstrap-server {server} --election-type preferred --all-topic-partitions"
                ),
            ],
            kgen: Some("kgen fix".to_owned()),
            notes: vec![
                "the replica sets stay the same, so no data moves; only the leaders change".to_owned(),
                format!(
                    "when data moves, MSK recommends at most {PARTITIONS_A_BATCH} partitions per call and less than \
                     {REASSIGN_BELOW_CPU_PERCENT} % CPU"
                ),
            ],
            ..Rendered::default()
        }
    }
}

/// Removed replication throttles that had been left behind.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct RemoveThrottle {
    pub topics: Vec<String>,
    pub brokers: Vec<i32>,
}

impl RemoveThrottle {
    pub(super) fn rendered(&self, target: &Target) -> Rendered {
        let server = target.bootstrap();
        let topics = self.topics.iter().map(|topic| {
            format!(
                "kafka-configs.sh --bootstrap-server {server} --alter --entity-type topics --entity-name {} \
                 --delete-config leader.replication.throttled.replicas,follower.replication.throttled.replicas",
                shell_word(topic)
            )
        });
        let brokers = self.brokers.iter().map(|id| {
            format!(
                "kafka-configs.sh --bootstrap-server {server} --alter --entity-type brokers --entity-name {id} \
                 --delete-config leader.replication.throttled.rate,follower.replication.throttled.rate"
            )
        });
        Rendered {
            summary: format!("remove the replication throttle of {}", self.topics.join(", ")),
            kafka_tools: topics.chain(brokers).collect(),
            kgen: Some("kgen fix".to_owned()),
            notes: vec![
                "first check that no running reassignment needs it: kafka-reassign-partitions.sh --list".to_owned(),
            ],
            ..Rendered::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_replicas_are_spread_and_sets_stay() {
        let lists: Vec<(&str, i32, Vec<i32>)> = (0..7).map(|n| ("orders", n, vec![1, 2, 3])).collect();
        let spread = Reassign::spread(lists.iter().map(|(topic, n, replicas)| (*topic, *n, replicas.as_slice())));
        let mut first = [0; 4];
        for (_, n, replicas) in &lists {
            let moved = spread.moves.iter().find(|of| of.partition == *n);
            let now = moved.map_or(replicas, |of| &of.replicas);
            first[now[0] as usize] += 1;
            let mut set = now.clone();
            set.sort_unstable();
            assert_eq!(set, [1, 2, 3]);
        }
        assert_eq!(first, [0, 3, 2, 2]);
        assert_eq!(Reassign::spread([("t", 0, [2, 1].as_slice()), ("t", 1, [1, 2].as_slice())]).moves, []);
    }

    #[test]
    fn commands_name_what_they_change() {
        let target = Target {
            arn: None,
            current_version: None,
            region: "us-west-2",
            bootstrap_servers: Some("b1:9092"),
            msk_tf: None,
        };
        let throttle = RemoveThrottle { topics: vec!["orders".to_owned()], brokers: vec![2] }.rendered(&target);
        assert_eq!(throttle.kafka_tools.len(), 2);
        assert!(
            throttle.kafka_tools[1]
                .contains("--bootstrap-server b1:9092 --alter --entity-type brokers --entity-name 2")
        );
        let moves = vec![Move { topic: "t".to_owned(), partition: 0, replicas: vec![2, 1] }];
        assert_eq!(
            Reassign { moves }.rendered(&target).kafka_tools[0],
            "echo '{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":0,\"replicas\":[2,1]}]}' > reassign.json"
        );
    }
}
