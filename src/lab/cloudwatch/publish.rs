//! From the readings of one cluster to datapoints: a period at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    Datapoint, SeriesId, Store, Timing,
    look::{Look, Looker},
    now_ms,
    table::{How, ROWS, Row},
    window::{BrokerWindow, ClusterWindow, Lag},
};
use crate::{
    catalogue::{Metric, MonitoringLevel},
    lab::{
        jmx::Jmx,
        readings::{FleetReading, Host, Reading},
    },
    sample::BrokerId,
};

/// How long after the end of a period its last scrape is waited for.
const GRACE_MS: i64 = 2000;

/// A look or a scrape that is older than so many periods says nothing of this one.
const STALE_PERIODS: i64 = 3;

/// Makes datapoints of one cluster's readings.
#[derive(Debug)]
pub struct Publisher {
    cluster: String,
    timing: Timing,
    /// The start of the period that is being read; nothing before the first reading.
    period_ms: Option<i64>,
    brokers: BTreeMap<BrokerId, OfBroker>,
    is_express: bool,
    controller_runs: Option<bool>,
    /// Topic series that have begun: metric, broker, topic.
    begun: BTreeSet<(&'static str, BrokerId, String)>,
}

/// What was read of one broker.
#[derive(Debug, Default)]
struct OfBroker {
    before: Option<Host>,
    hosts: Vec<Host>,
    /// The scrape that the last datapoint ended with.
    scraped_before: Option<Arc<Jmx>>,
    scraped: Option<Arc<Jmx>>,
}

impl Publisher {
    pub fn new(cluster: &str, timing: Timing) -> Publisher {
        Publisher {
            cluster: cluster.to_owned(),
            timing,
            period_ms: None,
            brokers: BTreeMap::new(),
            is_express: false,
            controller_runs: None,
            begun: BTreeSet::new(),
        }
    }

    /// Takes a reading in. Returns the datapoints of the period that is over with it, at `level`.
    pub fn take(&mut self, reading: &FleetReading, look: Option<&Look>, level: MonitoringLevel) -> Vec<Datapoint> {
        let length = self.timing.period_ms();
        let begin = *self.period_ms.get_or_insert(reading.at_ms - reading.at_ms.rem_euclid(length));
        let mut datapoints = Vec::new();
        if reading.at_ms >= begin + length + GRACE_MS {
            // The newest scrapes may have come with this reading.
            reading.brokers.iter().for_each(|(id, reading)| self.scrape(*id, reading));
            let look = look.filter(|look| reading.at_ms - look.at_ms <= STALE_PERIODS * length);
            datapoints = self.datapoints(begin, look, level);
            self.period_ms = Some(reading.at_ms - reading.at_ms.rem_euclid(length));
            self.brokers.values_mut().for_each(OfBroker::go_on);
        }
        self.controller_runs = reading.controller_runs;
        self.brokers.retain(|id, _| reading.brokers.contains_key(id));
        for (id, reading) in &reading.brokers {
            self.is_express = reading.broker_type.is_express();
            self.scrape(*id, reading);
            let broker = self.brokers.entry(*id).or_default();
            match &reading.host {
                Some(host) => broker.hosts.push(host.clone()),
                // Whatever runs next counts from zero.
                None => *broker = OfBroker::default(),
            }
        }
        datapoints
    }

    fn scrape(&mut self, id: BrokerId, reading: &Reading) {
        let broker = self.brokers.entry(id).or_default();
        if let Some(jmx) = reading.jmx.as_ref().filter(|jmx| jmx.is_running()) {
            broker.scraped = Some(jmx.clone());
        }
    }

    fn datapoints(&mut self, at_ms: i64, look: Option<&Look>, level: MonitoringLevel) -> Vec<Datapoint> {
        let oldest = at_ms - (STALE_PERIODS - 1) * self.timing.period_ms();
        let windows: BTreeMap<BrokerId, BrokerWindow> =
            self.brokers.iter().map(|(id, broker)| (*id, broker.window(*id, at_ms, oldest, look))).collect();
        let cluster = self.cluster_window(&windows, look);
        let period = at_ms / self.timing.period_ms();
        let is_due = |row: &&Row| row.level <= level && row.is_of(self.is_express) && period % row.every == 0;
        let mut made = Vec::new();
        for row in ROWS.iter().filter(is_due) {
            let unit = row.catalogued().map_or("None", unit);
            for (dimensions, values) in values(row, &self.cluster, &windows, &cluster, look, &mut self.begun) {
                let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
                if !values.is_empty() {
                    let id = SeriesId::new(row.metric, dimensions);
                    made.push(Datapoint { id, unit, at_ms, values });
                }
            }
        }
        made
    }

    fn cluster_window(&self, windows: &BTreeMap<BrokerId, BrokerWindow>, look: Option<&Look>) -> ClusterWindow {
        let stored: f64 =
            windows.values().filter_map(|of| of.hosts.last()).map(|host| host.disk_used_bytes as f64).sum();
        // Every partition has as many replicas as there are brokers, up to three.
        let replicas = windows.len().clamp(1, 3) as f64;
        ClusterWindow {
            controllers: self.controller_runs.map(|runs| f64::from(u8::from(runs))),
            topics: look.map(|look| look.topics as f64),
            partitions: look.map(|look| look.partitions as f64),
            offline_partitions: look.map(|look| look.offline_partitions as f64),
            stored_bytes: (stored > 0.0).then_some(stored / replicas),
        }
    }
}

impl OfBroker {
    /// The next period begins.
    fn go_on(&mut self) {
        self.before = self.hosts.pop().or(self.before.take());
        self.hosts.clear();
        self.scraped_before = self.scraped.clone().or(self.scraped_before.take());
    }

    fn window(&self, id: BrokerId, at_ms: i64, oldest_ms: i64, look: Option<&Look>) -> BrokerWindow<'_> {
        let scrape = self.scraped.as_deref().filter(|jmx| jmx.at_ms > at_ms);
        let before = self.scraped_before.as_deref().filter(|jmx| jmx.at_ms >= oldest_ms);
        BrokerWindow {
            before: self.before.as_ref(),
            hosts: &self.hosts,
            scrapes: before.zip(scrape),
            scrape,
            user_partitions: look.map(|look| look.user_partitions.get(&id).copied().unwrap_or(0)),
        }
    }
}

/// Names and values of dimensions.
type Dimensions<'a> = Vec<(&'a str, String)>;

/// The series of a row, and the values of each.
fn values<'a>(
    row: &Row,
    cluster: &str,
    windows: &BTreeMap<BrokerId, BrokerWindow>,
    of_cluster: &ClusterWindow,
    look: Option<&Look>,
    begun: &mut BTreeSet<(&'static str, BrokerId, String)>,
) -> Vec<(Dimensions<'a>, Vec<f64>)> {
    let own = || vec![("Cluster Name", cluster.to_owned())];
    let of_broker = |id: &BrokerId| [own(), vec![("Broker ID", id.to_string())]].concat();
    let running = || windows.iter().filter(|(_, window)| !window.hosts.is_empty());
    match row.how {
        How::Broker(of) => running().filter_map(|(id, window)| Some((of_broker(id), vec![of(window)?]))).collect(),
        How::Threads(of) => running().map(|(id, window)| (of_broker(id), of(window))).collect(),
        How::Authentications(of) => {
            let of_window = |(id, window)| {
                let of_kind = move |(kind, values): (&str, _)| {
                    ([of_broker(id), vec![("Client Authentication", kind.to_owned())]].concat(), values)
                };
                of(window).into_iter().map(of_kind)
            };
            running().flat_map(of_window).collect()
        }
        How::Topic(of) => {
            let mut made = Vec::new();
            for (id, window) in running() {
                for (topic, value) in topics(window, of) {
                    let series = (row.metric, *id, topic.to_owned());
                    if value != 0.0 || begun.contains(&series) {
                        begun.insert(series);
                        made.push(([of_broker(id), vec![("Topic", topic.to_owned())]].concat(), vec![value]));
                    }
                }
            }
            made
        }
        How::EachBroker(of) => vec![(own(), running().filter_map(|(_, window)| of(window)).collect())],
        How::Controller(of) => {
            let others = running().count().saturating_sub(1);
            let value = of(of_cluster).filter(|_| running().count() > 0);
            let values = value.map(|value| std::iter::once(value).chain(std::iter::repeat_n(0.0, others)));
            vec![(own(), values.into_iter().flatten().collect())]
        }
        How::Cluster(of) => of(of_cluster).map(|value| (own(), vec![value])).into_iter().collect(),
        How::Group(of) => of_groups(cluster, look, of),
        How::Partition(of) => of_partitions(look, of),
    }
}

/// The topics that a broker has figures of, with the value of each.
fn topics<'a>(
    window: &'a BrokerWindow,
    of: fn(&BrokerWindow, &str) -> Option<f64>,
) -> impl Iterator<Item = (&'a str, f64)> {
    window.scrape.into_iter().flat_map(Jmx::topics).filter_map(move |topic| Some((topic, of(window, topic)?)))
}

fn of_groups<'a>(cluster: &str, look: Option<&Look>, of: fn(&[Lag]) -> Option<f64>) -> Vec<(Dimensions<'a>, Vec<f64>)> {
    let of_group = |((group, topic), lags): ((&String, &String), Vec<Lag>)| {
        let dimensions =
            vec![("Cluster Name", cluster.to_owned()), ("Consumer Group", group.clone()), ("Topic", topic.clone())];
        Some((dimensions, vec![of(&lags)?]))
    };
    by_topic(look).into_iter().filter_map(of_group).collect()
}

fn of_partitions<'a>(look: Option<&Look>, of: fn(&Lag) -> Option<f64>) -> Vec<(Dimensions<'a>, Vec<f64>)> {
    let of_partition = |((group, topic, partition), lag): (&(String, String, i32), &Lag)| {
        let dimensions =
            vec![("Consumer Group", group.clone()), ("Topic", topic.clone()), ("Partition", partition.to_string())];
        Some((dimensions, vec![of(lag)?]))
    };
    look.into_iter().flat_map(|look| &look.lags).filter_map(of_partition).collect()
}

/// The lags of each group and topic.
fn by_topic(look: Option<&Look>) -> BTreeMap<(&String, &String), Vec<Lag>> {
    let mut found: BTreeMap<_, Vec<Lag>> = BTreeMap::new();
    for ((group, topic, _), lag) in look.into_iter().flat_map(|look| &look.lags) {
        found.entry((group, topic)).or_default().push(*lag);
    }
    found
}

/// The unit as CloudWatch has it: `None` for one that it does not know.
fn unit(metric: &'static Metric) -> &'static str {
    const KNOWN: [&str; 8] =
        ["Seconds", "Milliseconds", "Bytes", "Bytes/Second", "Count", "Count/Second", "Percent", "None"];
    KNOWN.into_iter().find(|known| *known == metric.unit).unwrap_or("None")
}

/// Publishes every period of a fleet at the cluster's level, until the fleet is gone; then its series are forgotten when
/// no other fleet has its name. What cannot be kept is told to `report` once.
pub async fn publish(
    cluster: String,
    timing: Timing,
    mut readings: watch::Receiver<Arc<FleetReading>>,
    level: watch::Receiver<MonitoringLevel>,
    looker: Looker,
    store: Arc<Mutex<Store>>,
    report: impl Fn(String) + Send + 'static,
) {
    let mut publisher = Publisher::new(&cluster, timing);
    let mut is_told = false;
    while readings.changed().await.is_ok() {
        let reading = readings.borrow_and_update().clone();
        let look = looker.newest();
        let datapoints = publisher.take(&reading, look.as_deref(), *level.borrow());
        let left_out = store.lock().add(datapoints);
        if left_out > 0 && !is_told {
            is_told = true;
            report(format!(
                "the lab's CloudWatch keeps {} series: {left_out} new ones of cluster {cluster} are left out from {} \
                 on",
                super::MOST_SERIES,
                now_ms()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::catalogue::BrokerType;

    const PERIOD_MS: i64 = 5000;

    /// A broker `seconds` after its start: its counters have grown by so much a second.
    fn reading(seconds: i64, runs: bool) -> Reading {
        let at_ms = seconds * 1000;
        let text = format!(
            "# TYPE kafka_server_KafkaServer_Value untyped\n\
             kafka_server_KafkaServer_Value{{name=\"BrokerState\"}} 3.0\n\
             kafka_server_ReplicaManager_Value{{name=\"LeaderCount\"}} 4\n\
             kafka_server_BrokerTopicMetrics_Count{{name=\"BytesInPerSec\"}} {}\n\
             kafka_server_BrokerTopicMetrics_Count{{name=\"BytesInPerSec\",topic=\"orders\"}} {}\n\
             kafka_server_BrokerTopicMetrics_Count{{name=\"BytesInPerSec\",topic=\"idle\"}} 0\n\
             kafka_network_RequestMetrics_Count{{name=\"LocalTimeMs\",request=\"Produce\"}} {}\n\
             kafka_network_RequestMetrics_Mean{{name=\"LocalTimeMs\",request=\"Produce\"}} 3.0\n\
             kafka_server_socket_server_metrics_connection_count{{listener=\"PLAINTEXT\",networkProcessor=\"0\"}} 5\n\
             kafka_server_socket_server_metrics_connection_count{{listener=\"PLAINTEXT\",networkProcessor=\"1\"}} 7\n",
            seconds * 1000,
            // Nothing more comes after half a minute.
            seconds.min(30) * 100,
            seconds * 10,
        );
        let host = Host {
            cpu_user_percent: Some(40.0),
            memory_total_bytes: 100,
            memory_used_bytes: 70,
            memory_cached_bytes: 20,
            disk_used_bytes: 30,
            disk_bytes: 100,
            peer_connections: Some(6),
            ..Host::default()
        };
        let jmx = runs.then(|| Arc::new(Jmx::parse(at_ms - at_ms % PERIOD_MS, &text)));
        Reading { broker_type: BrokerType::T3_SMALL, host: runs.then_some(host), jmx }
    }

    /// What is published of three brokers, read for a minute; the third ends after half of it.
    fn published(level: MonitoringLevel, look: Option<&Look>) -> Vec<Datapoint> {
        let timing = Timing { period: Duration::from_millis(PERIOD_MS as u64), delay: Duration::ZERO };
        let mut publisher = Publisher::new("demo", timing);
        let mut all = Vec::new();
        for tick in 0..24 {
            let at_ms = tick * 2500;
            let of_broker = |id: BrokerId| (id, reading(at_ms / 1000, id < 3 || at_ms < 30_000));
            let brokers = [1, 2, 3].map(of_broker).into();
            let cluster_name = "demo".to_owned();
            let reading = FleetReading { cluster_name, at_ms, brokers, controller_runs: Some(true) };
            let look = look.map(|look| Look { at_ms, ..look.clone() });
            all.extend(publisher.take(&reading, look.as_ref(), level));
        }
        all
    }

    fn values<'a>(all: &'a [Datapoint], metric: &str, dimensions: &[(&str, &str)]) -> Vec<(i64, &'a [f64])> {
        let dimensions = dimensions.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let id = SeriesId::new(metric, dimensions);
        all.iter().filter(|point| point.id == id).map(|point| (point.at_ms, &point.values[..])).collect()
    }

    #[test]
    fn each_period_has_its_own_datapoint_and_a_broker_that_ended_none() {
        let all = published(MonitoringLevel::PerBroker, None);
        let first = [("Cluster Name", "demo"), ("Broker ID", "1")];
        let cpu = values(&all, "CpuUser", &first);
        assert_eq!(cpu.len(), 11);
        assert!(
            cpu.iter().all(|(_, values)| *values == [40.0])
                && cpu.windows(2).all(|two| two[1].0 - two[0].0 == PERIOD_MS)
        );
        // The first period has no scrape before it.
        let bytes = values(&all, "BytesInPerSec", &first);
        assert_eq!((bytes.len(), bytes[0]), (10, (PERIOD_MS, &[1000.0][..])));
        assert_eq!(values(&all, "ProduceLocalTimeMsMean", &first)[0].1, [3.0]);
        assert_eq!(values(&all, "ConnectionCount", &first)[0].1, [5.0, 7.0]);
        let ended = [("Cluster Name", "demo"), ("Broker ID", "3")];
        assert!(values(&all, "CpuUser", &ended).iter().all(|(at, _)| *at < 30_000));
        assert!(values(&all, "LeaderCount", &ended).iter().all(|(at, _)| *at < 30_000));
        // The controller says one; the other brokers zero.
        let controllers = values(&all, "ActiveControllerCount", &[("Cluster Name", "demo")]);
        assert_eq!((controllers[0].1, controllers[10].1), (&[1.0, 0.0, 0.0][..], &[1.0, 0.0][..]));
        assert_eq!(values(&all, "MemoryUsed", &first)[0].1, [50.0]);
    }

    #[test]
    fn a_topic_has_a_series_from_its_first_traffic_on() {
        let all = published(MonitoringLevel::Default, None);
        let of = |topic| [("Cluster Name", "demo"), ("Broker ID", "2"), ("Topic", topic)];
        let orders = values(&all, "BytesInPerSec", &of("orders"));
        assert_eq!((orders[0].1, orders.last().unwrap().1), (&[100.0][..], &[0.0][..]));
        assert_eq!(values(&all, "BytesInPerSec", &of("idle")), []);
        let clients = |kind| [("Cluster Name", "demo"), ("Broker ID", "2"), ("Client Authentication", kind)];
        // Six of the twelve are from the other brokers.
        assert_eq!(values(&all, "ClientConnectionCount", &clients("UNAUTHENTICATED"))[0].1, [0.0, 6.0]);
    }

    #[test]
    fn a_level_has_its_metrics_and_those_of_the_levels_below() {
        let lag = |offsets, per_s| Lag { offsets, per_s, rolling_per_s: Some(4.0) };
        let key = |partition| ("workers".to_owned(), "orders".to_owned(), partition);
        let lags = [(key(0), lag(20.0, Some(2.0))), (key(1), lag(8.0, Some(0.0))), (key(2), lag(0.0, None))].into();
        let look = Look { topics: 3, partitions: 12, offline_partitions: 1, lags, ..Look::default() };
        let names = |level| -> BTreeSet<String> {
            published(level, Some(&look)).into_iter().map(|point| point.id.metric).collect()
        };
        let levels = [
            MonitoringLevel::Default,
            MonitoringLevel::PerBroker,
            MonitoringLevel::PerTopicPerBroker,
            MonitoringLevel::PerTopicPerPartition,
        ];
        for two in levels.windows(2) {
            assert!(names(two[0]).is_subset(&names(two[1])));
        }
        let lowest = names(MonitoringLevel::Default);
        assert!(
            lowest.contains("MaxOffsetLag")
                && !lowest.contains("ProduceLocalTimeMsMean")
                && !lowest.contains("OffsetLag")
        );
        assert!(names(MonitoringLevel::PerTopicPerPartition).contains("OffsetLag"));
        let all = published(MonitoringLevel::Default, Some(&look));
        let group = [("Cluster Name", "demo"), ("Consumer Group", "workers"), ("Topic", "orders")];
        for (metric, expected) in [
            ("MaxOffsetLag", 20.0),
            ("SumOffsetLag", 28.0),
            ("EstimatedMaxTimeLag", 10.0),
            ("RollingEstimatedTimeLagMax", 5.0),
        ] {
            assert_eq!(values(&all, metric, &group)[0].1, [expected], "{metric}");
        }
        let cluster = [("Cluster Name", "demo")];
        assert_eq!(values(&all, "OfflinePartitionsCount", &cluster)[0].1, [1.0, 0.0, 0.0]);
        assert_eq!(values(&all, "GlobalPartitionCount", &cluster)[0].1, [12.0, 0.0, 0.0]);
    }
}
