//! What the Kafka protocol says of a cluster, for the metrics of the controller and of consumer groups.
//!
//! A thread looks once a period; a broker that hangs makes the newest look old, and nothing else late.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};

use super::{now_ms, window::Lag};
use crate::{
    kafka::{Connection, observe::Observer},
    sample::{BrokerId, GroupSample, TopicSample},
};

/// Longest wait for one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// How often the thread looks whether it is to end.
const NAP: Duration = Duration::from_millis(200);

/// Looks that the rolling estimate of a group's pace is over.
const ROLLING: usize = 10;

/// A cluster at one moment.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// Milliseconds since the epoch.
    pub at_ms: i64,
    /// With Kafka's own topics, as its controller counts.
    pub topics: usize,
    pub partitions: usize,
    pub offline_partitions: usize,
    /// Partitions of users' topics on each broker.
    pub user_partitions: BTreeMap<BrokerId, usize>,
    /// Leaders of users' topics.
    pub leaders: BTreeMap<BrokerId, usize>,
    /// How far each group is with each partition: of groups that MSK publishes metrics of.
    pub lags: BTreeMap<(String, String, i32), Lag>,
}

/// Looks at a cluster until it is dropped.
#[derive(Debug)]
pub struct Looker {
    newest: Arc<Mutex<Option<Arc<Look>>>>,
    is_over: Arc<AtomicBool>,
}

impl Looker {
    /// Begins to look every `interval` through brokers at `bootstrap_servers` (`host:port` each).
    pub fn start(bootstrap_servers: &[String], interval: Duration) -> Looker {
        let looker = Looker { newest: Arc::default(), is_over: Arc::default() };
        let (newest, is_over) = (looker.newest.clone(), looker.is_over.clone());
        let servers = bootstrap_servers.join(",");
        // Without a thread the metrics of groups and of the controller are missing, which clients know.
        let _ = thread::Builder::new().name("lab-look".to_owned()).spawn(move || {
            let Some(mut eye) = Eye::open(&servers) else { return };
            while !is_over.load(Ordering::Relaxed) {
                let began = Instant::now();
                if let Some(look) = eye.look() {
                    *newest.lock() = Some(Arc::new(look));
                }
                while began.elapsed() < interval && !is_over.load(Ordering::Relaxed) {
                    thread::sleep(NAP);
                }
            }
        });
        looker
    }

    /// The newest look.
    pub fn newest(&self) -> Option<Arc<Look>> {
        self.newest.lock().clone()
    }
}

impl Drop for Looker {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// The clients of one cluster.
struct Eye {
    client: BaseConsumer,
    observer: Observer,
    paces: BTreeMap<(String, String, i32), VecDeque<f64>>,
}

impl Eye {
    fn open(servers: &str) -> Option<Eye> {
        let client = ClientConfig::new()
            .set("bootstrap.servers", servers)
            .set("client.id", "kgen-lab")
            .set("log.connection.close", "false")
            .set("reconnect.backoff.max.ms", "1000")
            .set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg)
            .create()
            .ok()?;
        let observer = Observer::connect(&Connection::plain(servers)).ok()?;
        Some(Eye { client, observer, paces: BTreeMap::new() })
    }

    fn look(&mut self) -> Option<Look> {
        let metadata = self.client.fetch_metadata(None, ANSWER_WITHIN).ok()?;
        let all = || metadata.topics().iter().flat_map(|topic| topic.partitions());
        let mut look = Look {
            at_ms: now_ms(),
            topics: metadata.topics().len(),
            partitions: all().count(),
            offline_partitions: all().filter(|partition| partition.leader() < 0).count(),
            ..Look::default()
        };
        let observation = self.observer.look()?;
        look.place(&observation.topics);
        let states = self.states();
        let is_shown = |(name, _): &(String, GroupSample)| is_published(name, states.get(name).map(String::as_str));
        let groups: Vec<_> = observation.groups.into_iter().filter(is_shown).collect();
        self.paces.retain(|(group, ..), _| groups.iter().any(|(name, _)| name == group));
        for (group, sample) in groups {
            for (topic, partitions) in sample.topics {
                for (partition, progress) in partitions {
                    let key = (group.clone(), topic.clone(), partition);
                    let paces = self.paces.entry(key.clone()).or_default();
                    paces.extend(progress.committed_per_s);
                    while paces.len() > ROLLING {
                        paces.pop_front();
                    }
                    let rolling_per_s = (!paces.is_empty()).then(|| paces.iter().sum::<f64>() / paces.len() as f64);
                    let lag = Lag { offsets: progress.lag as f64, per_s: progress.committed_per_s, rolling_per_s };
                    look.lags.insert(key, lag);
                }
            }
        }
        Some(look)
    }

    fn states(&self) -> BTreeMap<String, String> {
        let listed = self.client.fetch_group_list(None, ANSWER_WITHIN);
        let listed = listed.iter().flat_map(|listed| listed.groups());
        listed.map(|group| (group.name().to_owned(), group.state().to_owned())).collect()
    }
}

impl Look {
    fn place(&mut self, topics: &BTreeMap<String, TopicSample>) {
        for partition in topics.values().flat_map(|topic| &topic.partitions) {
            for broker in &partition.replicas {
                *self.user_partitions.entry(*broker).or_default() += 1;
            }
            if let Some(leader) = partition.leader {
                *self.leaders.entry(leader).or_default() += 1;
            }
        }
    }
}

/// Whether MSK publishes the lag of a group: STABLE or EMPTY, no colon in its name, and ASCII alone (MSK Developer Guide,
/// "Monitor consumer lags").
fn is_published(name: &str, state: Option<&str>) -> bool {
    name.is_ascii() && !name.contains(':') && state.is_some_and(|state| ["Stable", "Empty"].contains(&state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_groups_that_msk_publishes_are_shown() {
        for (name, state, shown) in [
            ("orders", Some("Stable"), true),
            ("orders", Some("Empty"), true),
            ("orders", Some("PreparingRebalance"), false),
            ("orders", Some("Dead"), false),
            ("orders", None, false),
            ("a:b", Some("Stable"), false),
            ("bücher", Some("Stable"), false),
        ] {
            assert_eq!(is_published(name, state), shown, "{name} {state:?}");
        }
    }
}
