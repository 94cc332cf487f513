//! A control plane without brokers: clusters whose jobs complete at once, with synthetic metrics.
//!
//! For tests of fleets that no machine could run. Nothing of it passes for a measurement: `kgen lab status` says that the
//! lab has no brokers and that its metrics are synthetic.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{
    catalogue::{BrokerType, MonitoringLevel},
    files::own,
    kafka::{admin::TopicSpec, partitions::Placed},
    lab::{
        cloudwatch::{Datapoint, Metrics, Publisher, SeriesId, now_ms},
        cluster::{CrewReport, Endpoints, Job, Start, Work},
        crew::{Assignment, Task, remove},
        jmx::Jmx,
        limits::Io,
        readings::{FleetReading, Host, Reading},
        topics::{TopicCall, Topics},
    },
    lab_api::LabBroker,
    sample::BrokerId,
};

/// Periods before the start of a cluster for which it has datapoints: as if it had run for a while.
const PAST_PERIODS: i64 = 20;

/// How often the thread of a cluster looks whether it is to publish or to end.
const NAP: Duration = Duration::from_millis(250);

#[cfg(any(test, fuzzing))]
/// Does every job at once; a cluster named `slow…` takes a second, and one named `broken…` never starts.
pub fn run_without_brokers(assignment: Assignment) {
    run(assignment, None);
}

/// Does every job at once, with synthetic metrics in `metrics`: those of a calm cluster; of a busy one where its name begins
/// with `hot`, of one whose disks are nearly full with `full`, and none with `quiet`. Brokers have 1/`scale` of the memory of
/// their type, as those of a lab with brokers have.
pub fn run_with_metrics(assignment: Assignment, metrics: &Arc<Metrics>, scale: f64) {
    run(assignment, Some((metrics, scale)));
}

fn run(assignment: Assignment, metrics: Option<(&Arc<Metrics>, f64)>) {
    let Assignment { dir, tasks, report, show, region, level, .. } = assignment;
    let mut cluster = Made::default();
    let mut publishing: Option<Publishing> = None;
    for task in tasks {
        match task {
            Task::Job(Job::Start(config)) => match cluster.start(&config, &dir) {
                Ok(()) => {
                    let shown = |broker: &Endpoints| LabBroker { id: broker.id, pid: Some(7), ..LabBroker::default() };
                    show(cluster.brokers.iter().map(shown).collect());
                    let publish = |metrics| Publishing::start(metrics, &region, &config, &cluster.brokers, level());
                    publishing = metrics.map(publish);
                    report(CrewReport::Started(Ok(cluster.brokers.clone())));
                }
                Err(message) => report(CrewReport::Started(Err(message))),
            },
            Task::Job(Job::Operate { operation, work }) => {
                cluster.carry_out(&work);
                if let Some(publishing) = &publishing {
                    publishing.change(&work, &cluster.brokers, level());
                }
                for broker in &cluster.brokers {
                    report(CrewReport::Step { operation: operation.clone(), broker: broker.id, done: true });
                }
                report(CrewReport::Operated { operation, result: Ok(cluster.brokers.clone()) });
            }
            Task::Job(Job::Delete) => {
                publishing = None;
                report(CrewReport::Deleted(remove(&dir)));
            }
            Task::MaxPartitions(answer) => answer.send(Ok(7)).unwrap_or_default(),
            Task::Topics(call, answer) => {
                let known = cluster.topics.clone();
                answer.send(cluster.change(call).map(|()| known)).unwrap_or_default();
            }
            Task::AlterUsers(_, answer) => answer.send(Ok(())).unwrap_or_default(),
            Task::Fault(_, answer) => answer.send(Ok(Vec::new())).unwrap_or_default(),
        }
    }
}

/// What there would be of a cluster.
#[derive(Debug, Default)]
struct Made {
    brokers: Vec<Endpoints>,
    topics: Topics,
    zones: Vec<String>,
    /// What a job takes.
    pace: Duration,
}

impl Made {
    fn start(&mut self, config: &Start, dir: &Path) -> Result<(), String> {
        if config.cluster_name.starts_with("broken") {
            return Err("no broker started".to_owned());
        }
        if config.cluster_name.starts_with("slow") {
            self.pace = Duration::from_secs(1);
        }
        own::make_folder(dir, 0o777).map_err(|error| format!("making {}: {error}", dir.display()))?;
        self.zones = config.zones.clone();
        self.brokers = ids(config).into_iter().map(|id| broker(id, &self.zones)).collect();
        self.topics = topics_on(&self.brokers);
        Ok(())
    }

    fn carry_out(&mut self, work: &Work) {
        thread::sleep(self.pace);
        match work {
            Work::AddBrokers(count) => {
                let newest = self.brokers.iter().map(|broker| broker.id).max().unwrap_or(0);
                let missing = (*count as usize).saturating_sub(self.brokers.len());
                self.brokers.extend((newest + 1..).take(missing).map(|id| broker(id, &self.zones)));
            }
            Work::RemoveBrokers(ids) => self.brokers.retain(|broker| !ids.contains(&broker.id)),
            _ => {}
        }
    }

    fn change(&mut self, call: TopicCall) -> Result<(), String> {
        changed(&mut self.topics, call, &self.brokers)
    }
}

fn ids(config: &Start) -> Vec<BrokerId> {
    if config.serverless {
        return Vec::new();
    }
    if config.ids.is_empty() { (1..=config.broker_count as BrokerId).collect() } else { config.ids.clone() }
}

fn broker(id: BrokerId, zones: &[String]) -> Endpoints {
    let at = |base: BrokerId| SocketAddr::from(([127, 0, 0, 1], (base + id) as u16));
    let zone = zones[(id as usize - 1) % zones.len()].clone();
    Endpoints { id, zone, plaintext: at(19090), tls: None, scram: None, jmx: at(19190), node: at(19290) }
}

/// One topic with a partition a broker, with replicas on every broker but the fifth and the sixth.
fn topics_on(brokers: &[Endpoints]) -> Topics {
    let holding: Vec<BrokerId> = brokers.iter().map(|broker| broker.id).filter(|id| ![5, 6].contains(id)).collect();
    let partition = |number: usize| {
        let replicas: Vec<BrokerId> = holding.iter().cycle().skip(number).take(holding.len().min(3)).copied().collect();
        let placed = Placed { leader: replicas.first().copied(), in_sync: replicas.clone(), replicas };
        ((TOPIC.to_owned(), number as i32), placed)
    };
    Topics { partitions: (0..holding.len()).map(partition).collect(), configs: BTreeMap::new() }
}

fn changed(topics: &mut Topics, call: TopicCall, brokers: &[Endpoints]) -> Result<(), String> {
    match call {
        TopicCall::Read(_) => {}
        TopicCall::Create(TopicSpec { name, partitions, replication_factor, configs }) => {
            if replication_factor as usize > brokers.len() {
                return Err(format!("topic {name} cannot have {replication_factor} replicas"));
            }
            let ids = || brokers.iter().map(|broker| broker.id);
            for number in 0..partitions {
                let replicas: Vec<BrokerId> =
                    ids().cycle().skip(number as usize % brokers.len()).take(replication_factor as usize).collect();
                let placed = Placed { leader: replicas.first().copied(), in_sync: replicas.clone(), replicas };
                topics.partitions.insert((name.clone(), number), placed);
            }
            topics.configs.extend(configs);
        }
        TopicCall::Configure(_, configs) => topics.configs.extend(configs),
        TopicCall::Delete(name) => topics.partitions.retain(|(topic, _), _| *topic != name),
    }
    Ok(())
}

/// The thread that publishes a cluster; it ends when this is dropped.
struct Publishing {
    shared: Arc<parking_lot::Mutex<Scene>>,
    is_over: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
    region: String,
}

/// What is made up now.
#[derive(Debug, Clone)]
struct Scene {
    cluster: String,
    broker_type: BrokerType,
    brokers: Vec<BrokerId>,
    level: MonitoringLevel,
    serverless: bool,
    /// N of "scale 1:N".
    scale: f64,
}

/// The topic and the group that are made up.
const TOPIC: &str = "orders";
const GROUP: &str = "workers";

/// Metrics of a serverless cluster by topic, and by group and topic, with values (MSK Developer Guide, "Monitoring serverless
/// clusters").
const SERVERLESS: [(&str, &str, bool, f64); 8] = [
    ("BytesInPerSec", "Bytes/Second", false, 500_000.0),
    ("BytesOutPerSec", "Bytes/Second", false, 1_000_000.0),
    ("MessagesInPerSec", "Count/Second", false, 500.0),
    ("FetchMessageConversionsPerSec", "Count/Second", false, 0.0),
    ("ProduceMessageConversionsPerSec", "Count/Second", false, 0.0),
    ("MaxOffsetLag", "Count", true, 3.0),
    ("SumOffsetLag", "Count", true, 9.0),
    ("EstimatedMaxTimeLag", "Seconds", true, 1.0),
];

impl Publishing {
    fn start(
        (metrics, scale): (&Arc<Metrics>, f64),
        region: &str,
        config: &Start,
        brokers: &[Endpoints],
        level: MonitoringLevel,
    ) -> Publishing {
        let scene = Scene {
            cluster: config.cluster_name.clone(),
            broker_type: config.broker_type,
            brokers: brokers.iter().map(|broker| broker.id).collect(),
            level,
            serverless: config.serverless,
            scale,
        };
        let publishing = Publishing {
            shared: Arc::new(scene.into()),
            is_over: Arc::default(),
            metrics: metrics.clone(),
            region: region.to_owned(),
        };
        let (shared, is_over) = (publishing.shared.clone(), publishing.is_over.clone());
        let (metrics, region) = (metrics.clone(), region.to_owned());
        // Without a thread there are no datapoints, which clients know.
        let _ = thread::Builder::new().name("lab-synthetic".to_owned()).spawn(move || {
            let timing = metrics.timing;
            let length = timing.period_ms();
            let scene = || shared.lock().clone();
            let mut publisher = Publisher::new(&scene().cluster, timing);
            // A reading in the middle of each period: the one after it ends the period.
            let mut at_ms = now_ms() - now_ms().rem_euclid(length) - PAST_PERIODS * length + length / 2;
            while !is_over.load(Ordering::Relaxed) {
                if at_ms > now_ms() {
                    thread::sleep(NAP);
                    continue;
                }
                let scene = scene();
                let datapoints = match scene.serverless {
                    true => scene.serverless(at_ms - at_ms.rem_euclid(length) - length),
                    false => publisher.take(&scene.reading(at_ms), None, scene.level),
                };
                metrics.region(&region).lock().add(datapoints);
                at_ms += length;
            }
        });
        publishing
    }

    fn change(&self, work: &Work, brokers: &[Endpoints], level: MonitoringLevel) {
        let mut scene = self.shared.lock();
        scene.brokers = brokers.iter().map(|broker| broker.id).collect();
        scene.level = level;
        if let Work::ChangeType(to) = work {
            scene.broker_type = *to;
        }
    }
}

impl Drop for Publishing {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let cluster = self.shared.lock().cluster.clone();
        self.metrics.region(&self.region).lock().forget(&cluster);
    }
}

impl Scene {
    fn reading(&self, at_ms: i64) -> FleetReading {
        let is_quiet = self.cluster.starts_with("quiet");
        let brokers = self.brokers.iter().filter(|_| !is_quiet).map(|id| (*id, self.broker(at_ms))).collect();
        FleetReading { cluster_name: self.cluster.clone(), at_ms, brokers, controller_runs: Some(true) }
    }

    fn serverless(&self, at_ms: i64) -> Vec<Datapoint> {
        let is_quiet = self.cluster.starts_with("quiet");
        let datapoint = |(metric, unit, of_group, value): (&str, &'static str, bool, f64)| {
            let mut dimensions = vec![("Cluster Name", self.cluster.clone()), ("Topic", TOPIC.to_owned())];
            dimensions.extend(of_group.then(|| ("Consumer Group", GROUP.to_owned())));
            Datapoint { id: SeriesId::new(metric, dimensions), unit, at_ms, values: vec![value] }
        };
        SERVERLESS.into_iter().filter(|_| !is_quiet).map(datapoint).collect()
    }

    fn broker(&self, at_ms: i64) -> Reading {
        let is_hot = self.cluster.starts_with("hot");
        let cpu = if is_hot { 95.0 } else { 20.0 };
        let disk = if self.cluster.starts_with("full") { 93 } else { 35 };
        let total = ((self.broker_type.memory_mib << 20) as f64 / self.scale.max(1.0)) as u64;
        let seconds = (at_ms / 1000).unsigned_abs();
        let host = Host {
            cpu_user_percent: Some(cpu * 0.8),
            cpu_system_percent: Some(cpu * 0.2),
            cpu_idle_percent: Some(100.0 - cpu),
            memory_total_bytes: total,
            memory_used_bytes: total / 10 * 8,
            memory_cached_bytes: total / 10 * 2,
            swap_used_bytes: Some(0),
            swap_free_bytes: Some(0),
            disk_used_bytes: disk,
            disk_bytes: 100,
            root_disk_percent: Some(20.0),
            logs_disk_percent: Some(20.0),
            credit_balance: self.broker_type.credits().map(|credits| if is_hot { 0.0 } else { credits.max }),
            credits_spent: self.broker_type.credits().map(|_| seconds as f64 / 600.0),
            io: Io { read_bytes: Some(0), written_bytes: Some(seconds * 100_000), ..Io::default() },
            mapped_files_percent: Some(2.0),
            peer_connections: Some(4),
            packets_shaped: 0,
        };
        let jmx = Jmx::parse(at_ms, &scrape(seconds, is_hot));
        Reading { broker_type: self.broker_type, host: Some(host), jmx: Some(Arc::new(jmx)) }
    }
}

/// What the JMX exporter of a broker would say that has worked for `seconds`.
fn scrape(seconds: u64, is_hot: bool) -> String {
    let mut text = String::from(
        "kafka_server_KafkaServer_Value{name=\"BrokerState\"} 3\n\
         kafka_server_ReplicaManager_Value{name=\"PartitionCount\"} 100\n\
         kafka_server_ReplicaManager_Value{name=\"LeaderCount\"} 33\n\
         kafka_server_ReplicaManager_Value{name=\"UnderReplicatedPartitions\"} 0\n\
         kafka_server_ReplicaManager_Value{name=\"UnderMinIsrPartitionCount\"} 0\n\
         kafka_server_KafkaRequestHandlerPool_OneMinuteRate{name=\"RequestHandlerAvgIdlePercent\"} 0.9\n\
         kafka_network_SocketServer_Value{name=\"NetworkProcessorAvgIdlePercent\"} 0.9\n\
         java_lang_Memory_HeapMemoryUsage_max 1000\n\
         jvm_memory_pool_used_bytes{pool=\"Tenured Gen\"} 300\n",
    );
    let bytes = seconds * 500_000;
    for (name, value) in [
        ("BytesInPerSec", bytes),
        ("BytesOutPerSec", bytes * 2),
        ("MessagesInPerSec", bytes / 1000),
        ("ReplicationBytesInPerSec", bytes * 2),
        ("ReplicationBytesOutPerSec", bytes * 2),
    ] {
        text += &format!("kafka_server_BrokerTopicMetrics_Count{{name=\"{name}\"}} {value}\n");
        text += &format!("kafka_server_BrokerTopicMetrics_Count{{name=\"{name}\",topic=\"orders\"}} {value}\n");
    }
    let times = if is_hot {
        [("Total", 400.0), ("Local", 150.0), ("RequestQueue", 200.0)]
    } else {
        [("Total", 4.0), ("Local", 1.0), ("RequestQueue", 0.1)]
    };
    for request in ["Produce", "FetchConsumer", "FetchFollower"] {
        for (part, mean) in times.into_iter().chain([("ResponseQueue", 0.1), ("ResponseSend", 0.1), ("Throttle", 0.0)])
        {
            let labels = format!("{{name=\"{part}TimeMs\",request=\"{request}\"}}");
            text += &format!("kafka_network_RequestMetrics_Count{labels} {}\n", seconds * 100);
            text += &format!("kafka_network_RequestMetrics_Mean{labels} {mean}\n");
        }
        let labels = format!("{{name=\"RequestBytes\",request=\"{request}\"}}");
        text += &format!("kafka_network_RequestMetrics_Count{labels} {}\n", seconds * 100);
        text += &format!("kafka_network_RequestMetrics_Mean{labels} 5000\n");
    }
    for thread in 0..3 {
        let labels = format!("{{listener=\"PLAINTEXT\",networkProcessor=\"{thread}\"}}");
        text += &format!("kafka_server_socket_server_metrics_connection_count{labels} 20\n");
        text += &format!("kafka_server_socket_server_metrics_connection_creation{labels} {}\n", seconds / 10);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::cloudwatch::{Statistic, Timing};

    #[test]
    fn a_cluster_without_brokers_has_the_metrics_that_its_name_says() {
        for (name, metric, expected) in [
            ("calm-1", "CpuUser", Some(16.0)),
            ("hot-1", "CpuUser", Some(76.0)),
            ("full-1", "KafkaDataLogsDiskUsed", Some(93.0)),
            ("calm-1", "BytesInPerSec", Some(500_000.0)),
            ("hot-1", "ProduceTotalTimeMsMean", Some(400.0)),
            ("quiet-1", "CpuUser", None),
            // Six tenths of a quarter of the 8 GiB of its type.
            ("calm-1", "MemoryUsed", Some(6.0 * ((2_u64 << 30) / 10) as f64)),
        ] {
            let scene = Scene {
                cluster: name.to_owned(),
                broker_type: "kafka.m5.large".parse().unwrap(),
                brokers: vec![1, 2, 4],
                level: MonitoringLevel::Default,
                serverless: false,
                scale: 4.0,
            };
            let timing = Timing { period: Duration::from_secs(60), delay: Duration::ZERO };
            let mut publisher = Publisher::new(name, timing);
            let mut store = crate::lab::cloudwatch::Store::default();
            for minute in 0..4 {
                store.add(publisher.take(&scene.reading(minute * 60_000 + 30_000), None, scene.level));
            }
            let id = SeriesId::new(metric, [("Cluster Name", name.to_owned()), ("Broker ID", "4".to_owned())]);
            let found = store.statistics(&id, Statistic::Average, (60_000, 180_000), 60_000);
            assert_eq!(found.first().map(|(_, value)| *value), expected, "{name} {metric}");
        }
    }
}
