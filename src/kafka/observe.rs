//! The state of a cluster from the Kafka protocol: leaders, in-sync replicas, growth of offsets, progress of groups.
//!
//! Blocking calls, each with a deadline. Nothing is changed, and no group is joined.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::executor::block_on;
use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    config::FromClientConfigAndContext as _,
    consumer::{BaseConsumer, Consumer as _},
};

use super::{ConnectError, Connection, Context, Notes};
use crate::sample::{BrokerId, GroupSample, PartitionSample, Progress, TopicSample};

/// Longest wait for one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Settings of topics and the list of groups change rarely; they are requested this often.
const SETTINGS_EVERY: Duration = Duration::from_secs(15);
const GROUPS_EVERY: Duration = Duration::from_secs(5);

/// Groups that are followed at most: each needs a client of its own.
const MOST_GROUPS: usize = 50;

/// Partitions whose offsets are requested at most; the first ones by name.
const MOST_PARTITIONS: usize = 5000;

/// Committed offsets and end offsets by topic and partition.
type Offsets = BTreeMap<(String, i32), i64>;

/// What was seen at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observation {
    /// `host:port` of each broker that is a member now.
    pub brokers: BTreeMap<BrokerId, String>,
    /// Without Kafka's internal topics.
    pub topics: BTreeMap<String, TopicSample>,
    pub groups: BTreeMap<String, GroupSample>,
}

/// Looks at one cluster again and again.
pub struct Observer {
    connection: Connection,
    client: BaseConsumer<Context>,
    admin: AdminClient<Context>,
    groups: BTreeMap<String, Group>,
    groups_read: Option<Instant>,
    settings: BTreeMap<String, Settings>,
    settings_read: Option<Instant>,
    ends: Option<(Instant, Offsets)>,
    committed: BTreeMap<String, (Instant, Offsets)>,
}

/// A consumer group that is followed.
struct Group {
    client: BaseConsumer<Context>,
    membership: Option<Membership>,
}

/// Who is in a consumer group.
#[derive(Debug, Clone, PartialEq)]
struct Membership {
    /// In Kafka's words, such as `Stable` or `Empty`.
    state: String,
    members: u32,
}

/// Settings of a topic that a diagnosis asks for.
#[derive(Debug, Clone, Copy, Default)]
struct Settings {
    min_insync_replicas: Option<u32>,
    replication_throttled: bool,
}

impl Observer {
    /// Makes the clients; nothing is asked yet.
    ///
    /// # Errors
    /// A setting that librdkafka does not take.
    pub fn connect(connection: &Connection) -> Result<Observer, ConnectError> {
        let config = connection.config(&[("reconnect.backoff.max.ms", "1000"), ("log.connection.close", "false")]);
        let client = config.create_with_context(Context::of(connection, Notes::default()))?;
        let admin = AdminClient::from_config_and_context(&config, Context::of(connection, Notes::default()))?;
        admin.inner().context().authorize(admin.inner())?;
        Ok(Observer {
            connection: connection.clone(),
            client,
            admin,
            groups: BTreeMap::new(),
            groups_read: None,
            settings: BTreeMap::new(),
            settings_read: None,
            ends: None,
            committed: BTreeMap::new(),
        })
    }

    /// Looks once. Rates are since the look before; `None` when no broker answers.
    pub fn look(&mut self) -> Option<Observation> {
        let metadata = self.client.fetch_metadata(None, ANSWER_WITHIN).ok()?;
        let mut found = Observation {
            brokers: metadata.brokers().iter().map(|b| (b.id(), format!("{}:{}", b.host(), b.port()))).collect(),
            ..Observation::default()
        };
        for topic in metadata.topics().iter().filter(|topic| !topic.name().starts_with("__")) {
            let mut partitions: Vec<_> = topic.partitions().iter().collect();
            partitions.sort_by_key(|partition| partition.id());
            let partitions = partitions.into_iter().map(|partition| PartitionSample {
                leader: (partition.leader() >= 0).then(|| partition.leader()),
                replicas: partition.replicas().to_vec(),
                in_sync: partition.isr().to_vec(),
                records_per_s: None,
            });
            let topic_sample = TopicSample { partitions: partitions.collect(), ..TopicSample::default() };
            found.topics.insert(topic.name().to_owned(), topic_sample);
        }
        self.read_settings(&mut found.topics);
        let ends = self.read_ends(&mut found.topics);
        self.read_groups();
        found.groups = self.read_progress(&ends);
        Some(found)
    }

    fn read_settings(&mut self, topics: &mut BTreeMap<String, TopicSample>) {
        let is_due = self.settings_read.is_none_or(|at| at.elapsed() >= SETTINGS_EVERY)
            || topics.keys().any(|name| !self.settings.contains_key(name));
        if is_due && !topics.is_empty() {
            let names: Vec<ResourceSpecifier> = topics.keys().map(|name| ResourceSpecifier::Topic(name)).collect();
            let options = AdminOptions::new().request_timeout(Some(ANSWER_WITHIN));
            for resource in
                block_on(self.admin.describe_configs(&names, &options)).unwrap_or_default().into_iter().flatten()
            {
                let rdkafka::admin::OwnedResourceSpecifier::Topic(name) = &resource.specifier else { continue };
                let value = |wanted: &str| {
                    resource.entries.iter().find(|entry| entry.name == wanted).and_then(|entry| entry.value.as_deref())
                };
                let throttled = ["leader.replication.throttled.replicas", "follower.replication.throttled.replicas"];
                let settings = Settings {
                    min_insync_replicas: value("min.insync.replicas").and_then(|text| text.parse().ok()),
                    replication_throttled: throttled
                        .iter()
                        .any(|name| value(name).is_some_and(|text| !text.is_empty())),
                };
                self.settings.insert(name.clone(), settings);
            }
            self.settings_read = Some(Instant::now());
        }
        for (name, topic) in topics {
            let settings = self.settings.get(name).copied().unwrap_or_default();
            topic.min_insync_replicas = settings.min_insync_replicas;
            topic.replication_throttled = settings.replication_throttled;
        }
    }

    /// Asks every leader for its end offsets and works out rates. Empty when a leader did not answer in time.
    fn read_ends(&mut self, topics: &mut BTreeMap<String, TopicSample>) -> Offsets {
        let mut wanted = TopicPartitionList::new();
        let led = topics.iter().flat_map(|(name, topic)| {
            topic.partitions.iter().zip(0..).filter(|(p, _)| p.leader.is_some()).map(move |(_, number)| (name, number))
        });
        for (name, number) in led.take(MOST_PARTITIONS) {
            // In ListOffsets the time -1, which is `End`, means the end offset.
            if wanted.add_partition_offset(name, number, Offset::End).is_err() {
                return Offsets::new();
            }
        }
        if wanted.count() == 0 {
            return Offsets::new();
        }
        let Ok(answered) = self.client.offsets_for_times(wanted, ANSWER_WITHIN) else { return Offsets::new() };
        let now = Instant::now();
        let ends = offsets(&answered);
        if let Some((then, before)) = &self.ends {
            let seconds = now.duration_since(*then).as_secs_f64();
            for ((topic, number), end) in &ends {
                let Some(before) = before.get(&(topic.clone(), *number)) else { continue };
                let partition = topics.get_mut(topic).and_then(|topic| topic.partitions.get_mut(*number as usize));
                if let Some(partition) = partition {
                    partition.records_per_s = rate(*before, *end, seconds);
                }
            }
        }
        self.ends = Some((now, ends.clone()));
        ends
    }

    /// Keeps a client for each group that there is.
    fn read_groups(&mut self) {
        if self.groups_read.is_some_and(|at| at.elapsed() < GROUPS_EVERY) {
            return;
        }
        let Ok(listed) = self.client.fetch_group_list(None, ANSWER_WITHIN) else { return };
        self.groups_read = Some(Instant::now());
        // The list comes with what DescribeGroups says of each.
        let memberships: BTreeMap<String, Option<Membership>> = listed
            .groups()
            .iter()
            .take(MOST_GROUPS)
            .map(|group| (group.name().to_owned(), membership(group.state(), group.members().len())))
            .collect();
        self.groups.retain(|name, _| memberships.contains_key(name));
        self.committed.retain(|name, _| memberships.contains_key(name));
        for (name, membership) in memberships {
            if let Some(group) = self.groups.get_mut(&name) {
                group.membership = membership;
                continue;
            }
            let mut config = self.connection.config(&[("log.connection.close", "false")]);
            config.set("group.id", &name);
            if let Ok(client) = config.create_with_context(Context::of(&self.connection, Notes::default())) {
                self.groups.insert(name, Group { client, membership });
            }
        }
    }

    /// Committed offsets of each group against the `ends`.
    fn read_progress(&mut self, ends: &Offsets) -> BTreeMap<String, GroupSample> {
        let mut found = BTreeMap::new();
        if ends.is_empty() {
            return found;
        }
        for (group, Group { client, membership }) in &self.groups {
            let mut wanted = TopicPartitionList::new();
            for (topic, number) in ends.keys() {
                wanted.add_partition(topic, *number);
            }
            let Ok(answered) = client.committed_offsets(wanted, ANSWER_WITHIN) else { continue };
            let now = Instant::now();
            let committed = offsets(&answered);
            let before = self.committed.get(group);
            let mut sample = GroupSample {
                state: membership.as_ref().map(|membership| membership.state.clone()),
                members: membership.as_ref().map(|membership| membership.members),
                ..GroupSample::default()
            };
            for ((topic, number), offset) in &committed {
                let Some(end) = ends.get(&(topic.clone(), *number)) else { continue };
                let committed_per_s = before.and_then(|(then, before)| {
                    let before = before.get(&(topic.clone(), *number))?;
                    rate(*before, *offset, now.duration_since(*then).as_secs_f64())
                });
                let progress = Progress { lag: (end - offset).max(0), committed_per_s };
                sample.topics.entry(topic.clone()).or_default().insert(*number, progress);
            }
            self.committed.insert(group.clone(), (now, committed));
            if !sample.topics.is_empty() {
                found.insert(group.clone(), sample);
            }
        }
        found
    }
}

/// What DescribeGroups says of a group that is listed. Nothing of one that it does not know: a group of the protocol of
/// KIP-848 is described by another request, and is `Dead` to this one.
fn membership(state: &str, members: usize) -> Option<Membership> {
    let is_known = !state.is_empty() && !state.eq_ignore_ascii_case("dead") && !state.eq_ignore_ascii_case("unknown");
    is_known.then(|| Membership { state: state.to_owned(), members: members.try_into().unwrap_or(u32::MAX) })
}

/// The offsets that were answered; a partition without one is left out.
fn offsets(list: &TopicPartitionList) -> Offsets {
    list.elements()
        .iter()
        .filter(|element| element.error().is_ok())
        .filter_map(|element| match element.offset() {
            Offset::Offset(offset) if offset >= 0 => Some(((element.topic().to_owned(), element.partition()), offset)),
            _ => None,
        })
        .collect()
}

/// Growth a second; nothing when it fell (a topic that was recreated, a group that was reset).
fn rate(before: i64, now: i64, seconds: f64) -> Option<f64> {
    (now >= before && seconds > 0.0).then(|| (now - before) as f64 / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_is_not_described_has_no_state() {
        let rows =
            [("Stable", 2, Some(2)), ("Empty", 0, Some(0)), ("Dead", 0, None), ("", 0, None), ("Unknown", 0, None)];
        for (state, members, expected) in rows {
            assert_eq!(membership(state, members).map(|membership| membership.members), expected, "{state}");
        }
    }
}
