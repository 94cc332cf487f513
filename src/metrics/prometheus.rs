//! The brokers' Prometheus endpoints: MSK's open monitoring, or the lab's.
//!
//! All endpoints are read in parallel in the background: one that hangs does not block the others, and a slow one is
//! not lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{self, Instant},
};

use super::{
    MetricsError, Protocol,
    broker::{Reading, Scraped, between, while_late},
    exposition::Job,
    scrape::{Answer, Endpoint, LONGEST, Page, scrape},
    targets::{Endpoints, NODE_PORT, assigned},
};
use crate::{
    aws::{Aws, TargetGroup},
    files::bounded,
    sample::{BrokerId, BrokerSample, BrokerState, Probe, Sample, Source},
};

/// Longest wait for a sample, where the interval is not longer: who is late is taken into the next.
const PATIENCE: Duration = Duration::from_secs(1);

/// Longest wait for the first answer of any broker, and where the brokers' Kafka ports are asked as well.
const FIRST_ANSWER: Duration = Duration::from_secs(10);
const FIRST_ANSWER_BESIDE_PROTOCOL: Duration = Duration::from_secs(3);

/// Once one broker has answered for the first time, the others may take this many times as long.
const TIMES_THE_FIRST: u32 = 3;

/// A closed port of a security group drops packets, so nothing ever says that nobody is there.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// The targets are requested again after so many samples, for brokers that were added.
const SAMPLES_BETWEEN_LOOKUPS: u32 = 15;

/// Port of MSK's JMX exporter (MSK Developer Guide, open monitoring).
const JMX_PORT: u16 = 11001;

/// Who knows the endpoints.
#[derive(Debug)]
pub enum Targets {
    /// The lab at the AWS endpoint.
    Lab(Aws),
    /// A file in the form of Prometheus's `file_sd_configs`, as JSON.
    File(PathBuf),
    /// ListNodes for the cluster of this ARN.
    Nodes(Aws, String),
}

/// Reads the brokers of one cluster.
#[derive(Debug)]
pub struct Prometheus {
    cluster: String,
    targets: Targets,
    http: reqwest::Client,
    patience: Duration,
    started: Instant,
    endpoints: BTreeMap<(BrokerId, Job), Endpoint>,
    scrapes: JoinSet<Answer>,
    last: BTreeMap<BrokerId, Reading>,
    samples_until_lookup: u32,
    protocol: Option<Protocol>,
}

impl Prometheus {
    /// A reader that wants a sample every `interval`.
    pub fn new(cluster: &str, targets: Targets, interval: Duration) -> Prometheus {
        Prometheus {
            cluster: cluster.to_owned(),
            targets,
            // Scrapes stay inside the network: a proxy of the environment is never meant for them.
            http: reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_WITHIN).build().unwrap_or_default(),
            patience: if interval < PATIENCE { interval } else { interval.min(LONGEST) },
            started: Instant::now(),
            endpoints: BTreeMap::new(),
            scrapes: JoinSet::new(),
            last: BTreeMap::new(),
            samples_until_lookup: 0,
            protocol: None,
        }
    }

    /// Asks the Kafka protocol as well.
    pub fn with_protocol(self, protocol: Protocol) -> Prometheus {
        Prometheus { protocol: Some(protocol), ..self }
    }

    /// Reads every broker once; rates and means are since its answer before. A broker whose answer is only late has the
    /// counts of its last one, and no rates.
    ///
    /// # Errors
    /// Why no endpoint is known, or that one is no exporter of MSK's. Brokers that do not answer are no error, unless they are
    /// all of a cluster on AWS from the start: then open monitoring is off, or closed to this machine.
    pub async fn sample(&mut self) -> Result<Sample, MetricsError> {
        self.look_up().await?;
        let at_ms = jiff::Timestamp::now().as_millisecond();
        let probes = self.protocol.as_ref().map(|protocol| protocol.probe(self.patience.min(PATIENCE)));
        self.begin_scrapes();
        let read = self.answers().await?;
        if let Targets::Nodes(aws, arn) = &self.targets
            && self.endpoints.values().all(|endpoint| !endpoint.is_known)
            && self.scrapes.is_empty()
        {
            let is_on = aws.info(arn).await.ok().map(|info| info.open_monitoring.is_on());
            return Err(MetricsError::OpenMonitoring { cluster: self.cluster.clone(), is_on });
        }
        let mut sample = Sample { at_ms, source: Source::Prometheus, ..Sample::default() };
        let awaited = self.add_brokers(read, &mut sample);
        if let (Some(protocol), Some(probes)) = (&self.protocol, probes) {
            protocol.add_to(&mut sample, probes.join_all().await);
        }
        for id in awaited {
            // Neither its metrics nor its Kafka port answer: that is more than late.
            if let Some(broker) = sample.brokers.get_mut(&id)
                && broker.probe == Some(Probe::Silent)
            {
                *broker = BrokerSample { probe: broker.probe, ..BrokerSample::default() };
            }
        }
        Ok(sample)
    }

    fn begin_scrapes(&mut self) {
        let now = Instant::now();
        for (&(broker, job), endpoint) in &mut self.endpoints {
            if endpoint.begin(now) {
                self.scrapes.spawn(scrape(self.http.clone(), broker, job, endpoint.target.clone()));
            }
        }
    }

    /// Waits for the scrapes that run, as long as they are worth it, and returns what has come.
    async fn answers(&mut self) -> Result<BTreeMap<BrokerId, Reading>, MetricsError> {
        let begun = Instant::now();
        let is_known = |endpoints: &BTreeMap<_, Endpoint>| endpoints.values().any(|endpoint| endpoint.is_known);
        let is_first = !is_known(&self.endpoints);
        let first = if self.protocol.is_some() { FIRST_ANSWER_BESIDE_PROTOCOL } else { FIRST_ANSWER };
        let mut end = begun + if is_first { first.max(self.patience) } else { self.patience };
        let mut read: BTreeMap<BrokerId, Reading> = BTreeMap::new();
        while let Ok(Some(answered)) = time::timeout_at(end, self.scrapes.join_next()).await {
            let Ok(answer) = answered else { continue };
            let now = Instant::now();
            let Some(endpoint) = self.endpoints.get_mut(&(answer.broker, answer.job)) else { continue };
            if endpoint.target != answer.target {
                continue;
            }
            let was_known = endpoint.is_known;
            endpoint.end(&answer, now);
            if is_first && answer.job == Job::Jmx && endpoint.is_known && !was_known {
                end = end.min(begun + self.patience + answer.took * TIMES_THE_FIRST);
            }
            let at_s = answer.begun.duration_since(self.started).as_secs_f64();
            let reading = read.entry(answer.broker).or_default();
            match answer.page {
                Page::Jmx(values) => reading.jmx = Some(Scraped { at_s, values: *values }),
                Page::Node(values) => reading.node = Some(Scraped { at_s, values }),
                // A proxy or a restart may show anything for a moment; from the start, the target is wrong.
                Page::Foreign(reason) if !was_known => {
                    let (target, job, broker) = (answer.target, answer.job, answer.broker);
                    return Err(MetricsError::NoExporter { target, job: job.name(), broker, reason });
                }
                Page::Foreign(_) | Page::Nothing => {}
            }
        }
        Ok(read)
    }

    /// Adds every broker, and returns those whose metrics are only late.
    fn add_brokers(&mut self, mut read: BTreeMap<BrokerId, Reading>, sample: &mut Sample) -> Vec<BrokerId> {
        let now = Instant::now();
        let brokers: BTreeSet<BrokerId> = self.endpoints.keys().map(|(broker, _)| *broker).collect();
        let (mut awaited, mut is_empty_cluster) = (Vec::new(), !brokers.is_empty());
        self.last.retain(|id, _| brokers.contains(id));
        for id in brokers {
            let reading = read.remove(&id).unwrap_or_default();
            let last = self.last.entry(id).or_default();
            let mut broker = between(Some(last), &reading);
            let is_late = || self.endpoints.get(&(id, Job::Jmx)).is_some_and(|endpoint| endpoint.is_awaited(now));
            if reading.jmx.is_none() && last.jmx.is_some() && is_late() {
                broker = while_late(last, &reading);
                awaited.push(id);
            }
            let pressure = reading.node.as_ref().and_then(|node| node.values.host_cpu_pressure_percent());
            sample.host_cpu_pressure_percent = sample.host_cpu_pressure_percent.or(pressure);
            last.update(reading);
            if broker.state != BrokerState::Unreachable
                && let Some(jmx) = &last.jmx
            {
                is_empty_cluster &= jmx.values.runs_without_partitions();
                sample.groups.extend(jmx.values.groups.clone());
            } else {
                is_empty_cluster = false;
            }
            sample.brokers.insert(id, broker);
        }
        if is_empty_cluster {
            sample.brokers.values_mut().for_each(|broker| broker.state = BrokerState::Serving);
        }
        awaited
    }

    async fn look_up(&mut self) -> Result<(), MetricsError> {
        if self.samples_until_lookup > 0 {
            self.samples_until_lookup -= 1;
            return Ok(());
        }
        let found = match &self.targets {
            Targets::Lab(aws) => {
                let groups = aws.lab_targets().await.unwrap_or_default();
                assigned(&self.cluster, &groups).unwrap_or_default()
            }
            Targets::File(path) => from_file(path, &self.cluster)?,
            Targets::Nodes(aws, arn) => {
                let nodes = aws.nodes(arn).await?;
                of_hosts(nodes.into_iter().filter_map(|node| Some((node.id, node.endpoints.into_iter().next()?))))
            }
        };
        // A lab that does not answer for a moment does not make its brokers unknown.
        if !found.is_empty() {
            let now = Instant::now();
            let mut known = std::mem::take(&mut self.endpoints);
            let keep = |(key, target): ((BrokerId, Job), String)| {
                let same = known.remove(&key).filter(|endpoint| endpoint.target == target);
                (key, same.unwrap_or_else(|| Endpoint::new(target, now)))
            };
            self.endpoints = found.into_iter().map(keep).collect();
            self.samples_until_lookup = SAMPLES_BETWEEN_LOOKUPS;
        }
        if self.endpoints.is_empty() { Err(MetricsError::NoTargets { cluster: self.cluster.clone() }) } else { Ok(()) }
    }
}

fn from_file(path: &Path, cluster: &str) -> Result<Endpoints, MetricsError> {
    let failed = |reason: String| MetricsError::TargetsFile { path: path.to_owned(), reason };
    let text = bounded::text(path, bounded::KGEN_TOML_BYTES).map_err(|error| failed(error.to_string()))?;
    let groups: Vec<TargetGroup> = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    assigned(cluster, &groups).map_err(|source| MetricsError::Targets { path: path.to_owned(), source })
}

/// On MSK the port says which exporter it is.
fn of_hosts(hosts: impl Iterator<Item = (BrokerId, String)>) -> Endpoints {
    let ports = [(Job::Jmx, JMX_PORT), (Job::Node, NODE_PORT)];
    hosts.flat_map(|(id, host)| ports.map(|(job, port)| ((id, job), format!("{host}:{port}")))).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    use super::*;

    const JMX: &str = include_str!("fixtures/jmx_1.prom");
    const NODE: &str = include_str!("fixtures/node_1.prom");

    /// An endpoint that shows `page` after `delay`, again and again. Returns its address.
    fn endpoint(page: &'static str, delay: Duration) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = listener.local_addr().expect("bound").to_string();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    let _ = stream.read(&mut [0; 1024]);
                    thread::sleep(delay);
                    let head =
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", page.len());
                    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(page.as_bytes()));
                });
            }
        });
        at
    }

    /// A targets file; kept as long as the folder is.
    fn targets(endpoints: &[(i32, &str, &str)]) -> (tempfile::TempDir, Targets) {
        let dir = tempfile::tempdir().expect("a folder");
        let groups = endpoints.iter().map(|(id, job, target)| {
            format!(r#"{{"targets":["{target}"],"labels":{{"job":"{job}","broker_id":"{id}"}}}}"#)
        });
        let file = dir.path().join("targets.json");
        std::fs::write(&file, format!("[{}]", groups.collect::<Vec<_>>().join(","))).expect("written");
        (dir, Targets::File(file))
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
    }

    #[test]
    fn a_broker_that_hangs_blinds_nobody() {
        let hung = TcpListener::bind("127.0.0.1:0").expect("a free port"); // accepts, and never answers
        let (hung, serving) = (hung.local_addr().expect("bound").to_string(), endpoint(JMX, Duration::ZERO));
        let (_dir, targets) = targets(&[(1, "jmx", &hung), (2, "jmx", &serving)]);
        let mut source = Prometheus::new("c", targets, Duration::from_millis(500));
        let sample = runtime().block_on(source.sample()).expect("targets are known");
        let states: Vec<_> = sample.brokers.values().map(|broker| broker.state).collect();
        assert_eq!(states, [BrokerState::Unreachable, BrokerState::Serving]);
    }

    #[test]
    fn an_endpoint_that_needs_longer_than_the_interval_is_not_lost() {
        let (jmx, node) = (endpoint(JMX, Duration::from_millis(1200)), endpoint(NODE, Duration::ZERO));
        let (_dir, targets) = targets(&[(1, "jmx", &jmx), (1, "node", &node)]);
        let mut source = Prometheus::new("c", targets, Duration::from_millis(200));
        let samples: Vec<Sample> = runtime().block_on(async {
            let mut samples = Vec::new();
            for _ in 0..12 {
                samples.push(source.sample().await.expect("targets are known"));
            }
            samples
        });
        for (i, sample) in samples.iter().enumerate() {
            let broker = &sample.brokers[&1];
            assert_eq!((broker.state, broker.partition_count), (BrokerState::Serving, Some(6)), "sample {i}");
        }
        let late = |sample: &Sample| sample.brokers[&1].bytes_in_per_s.is_none();
        let of_node = |sample: &&Sample| sample.brokers[&1].memory_total_bytes.is_some();
        let kept = samples[1..].iter().filter(|sample| late(sample)).filter(of_node).count();
        assert!(kept > 0, "the node exporter does not wait for the other");
    }

    #[test]
    fn a_closed_port_of_a_broker_that_answered_is_no_delay() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = listener.local_addr().expect("bound").to_string();
        let once = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a reader");
            let _ = stream.read(&mut [0; 1024]);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{JMX}", JMX.len());
        });
        let (_dir, targets) = targets(&[(1, "jmx", &at)]);
        let mut source = Prometheus::new("c", targets, Duration::from_millis(500));
        let states = runtime().block_on(async {
            let first = source.sample().await.expect("targets are known");
            once.join().expect("answered");
            [first, source.sample().await.expect("targets are known")].map(|sample| sample.brokers[&1].state)
        });
        assert_eq!(states, [BrokerState::Serving, BrokerState::Unreachable]);
    }

    /// An AWS API with one broker on this machine, and open monitoring as the `prometheus` of DescribeClusterV2 says.
    fn api(prometheus: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = format!("http://{}", listener.local_addr().expect("bound"));
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = [0; 4096];
                let read = stream.read(&mut request).unwrap_or_default();
                let body = match String::from_utf8_lossy(&request[..read]).contains("/nodes") {
                    true => {
                        r#"{"nodeInfoList":[{"brokerNodeInfo":{"brokerId":4.0,"endpoints":["127.0.0.1"]}}]}"#.to_owned()
                    }
                    false => format!(
                        r#"{{"clusterInfo":{{"clusterName":"orders","clusterArn":"arn:aws:kafka:x","state":"ACTIVE",
                        "provisioned":{{"openMonitoring":{{"prometheus":{prometheus}}}}}}}}}"#
                    ),
                };
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        at
    }

    #[test]
    fn brokers_whose_exporters_are_off_are_not_called_dead() {
        let off = r#"{"jmxExporter":{"enabledInBroker":false},"nodeExporter":{"enabledInBroker":false}}"#;
        let on = r#"{"jmxExporter":{"enabledInBroker":true},"nodeExporter":{"enabledInBroker":true}}"#;
        for (prometheus, words) in [(off, "orders is off, so"), (on, "is on, but no broker responds on ports 11001")] {
            let at = api(prometheus);
            let error = runtime().block_on(async {
                let targets = Targets::Nodes(Aws::connect_to("us-west-2", &at).await, "arn:aws:kafka:x".to_owned());
                Prometheus::new("orders", targets, Duration::from_secs(1)).sample().await.expect_err("nobody listens")
            });
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn what_is_no_exporter_is_named() {
        let (html, node) = ("<!DOCTYPE html><html>Sign in</html>", NODE);
        for (job, page, words) in [("jmx", html, "an HTML page"), ("jmx", node, "swapped"), ("node", JMX, "swapped")] {
            let (good, odd) = (endpoint(JMX, Duration::ZERO), endpoint(page, Duration::ZERO));
            let jmx = if job == "jmx" { &odd } else { &good };
            let (_dir, targets) = targets(&[(3, "jmx", jmx), (3, "node", &odd)]);
            let mut source = Prometheus::new("c", targets, Duration::from_millis(500));
            let error = runtime().block_on(source.sample()).expect_err("no exporter").to_string();
            assert!(error.contains(words) && error.contains("broker 3"), "{error}");
        }
    }
}
