//! The brokers' Prometheus endpoints: MSK's open monitoring, or the lab's.
//!
//! All brokers are read at once, each under a deadline of its own, so that one that hangs blinds nobody.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::{
    MetricsError, Protocol,
    broker::{Jmx, Node, Reading, between},
};
use crate::{
    aws::{Aws, TargetGroup, body_within},
    files::bounded,
    sample::{BrokerId, BrokerState, Sample, Source},
};

/// Longest wait for one endpoint.
const DEADLINE: Duration = Duration::from_secs(1);

/// The most that one endpoint may show: a broker with thousands of partitions shows some MiB.
const MOST_BYTES: usize = 16 << 20;

/// The most that all endpoints may show for one sample: as text it takes several times that.
const MOST_SAMPLE_BYTES: usize = 64 << 20;

/// More brokers than any cluster of MSK has.
const MOST_BROKERS: usize = 500;

/// The targets are asked for again after so many samples, for brokers that were added.
const SAMPLES_BETWEEN_LOOKUPS: u32 = 15;

/// Ports of MSK's exporters (MSK Developer Guide, open monitoring).
const JMX_PORT: u16 = 11001;
const NODE_PORT: u16 = 11002;

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
    deadline: Duration,
    started: Instant,
    endpoints: BTreeMap<BrokerId, Endpoints>,
    last: BTreeMap<BrokerId, Reading>,
    samples_until_lookup: u32,
    protocol: Option<Protocol>,
}

/// `host:port` of a broker's exporters.
#[derive(Debug, Clone, Default, PartialEq)]
struct Endpoints {
    jmx: Option<String>,
    node: Option<String>,
}

impl Prometheus {
    /// A reader that wants a sample every `interval`, and gives no endpoint longer than that.
    pub fn new(cluster: &str, targets: Targets, interval: Duration) -> Prometheus {
        Prometheus {
            cluster: cluster.to_owned(),
            targets,
            // Scrapes stay inside the network: a proxy of the environment is never meant for them.
            http: reqwest::Client::builder().no_proxy().build().unwrap_or_default(),
            deadline: DEADLINE.min(interval),
            started: Instant::now(),
            endpoints: BTreeMap::new(),
            last: BTreeMap::new(),
            samples_until_lookup: 0,
            protocol: None,
        }
    }

    /// Asks the Kafka protocol as well.
    pub fn with_protocol(self, protocol: Protocol) -> Prometheus {
        Prometheus { protocol: Some(protocol), ..self }
    }

    /// Reads every broker once; rates and means are since the call before.
    ///
    /// # Errors
    /// Why no endpoint is known. Brokers that do not answer are no error.
    pub async fn sample(&mut self) -> Result<Sample, MetricsError> {
        self.look_up().await?;
        let mut scrapes = JoinSet::new();
        let room = Arc::new(AtomicUsize::new(MOST_SAMPLE_BYTES));
        for (&id, endpoints) in &self.endpoints {
            let (http, endpoints, room) = (self.http.clone(), endpoints.clone(), room.clone());
            let (started, deadline) = (self.started, self.deadline);
            scrapes.spawn(async move {
                let (jmx, node) = tokio::join!(
                    scrape(&http, endpoints.jmx.as_deref(), deadline, &room),
                    scrape(&http, endpoints.node.as_deref(), deadline, &room),
                );
                let at_s = started.elapsed().as_secs_f64();
                (
                    id,
                    Reading { at_s, jmx: jmx.map(|text| Jmx::parse(&text)), node: node.map(|text| Node::parse(&text)) },
                )
            });
        }
        let mut sample =
            Sample { at_ms: jiff::Timestamp::now().as_millisecond(), source: Source::Prometheus, ..Sample::default() };
        let probes = self.protocol.as_ref().map(|protocol| protocol.probe(self.deadline));
        let mut is_empty_cluster = true;
        while let Some(scraped) = scrapes.join_next().await {
            let Ok((id, reading)) = scraped else { continue };
            is_empty_cluster &= reading.jmx.as_ref().is_some_and(Jmx::runs_without_partitions);
            sample.brokers.insert(id, between(self.last.get(&id), &reading));
            let pressure = reading.node.as_ref().and_then(Node::host_cpu_pressure_percent);
            sample.host_cpu_pressure_percent = sample.host_cpu_pressure_percent.or(pressure);
            // An endpoint that did not answer keeps its last values, for the difference when it answers again.
            let last = self.last.remove(&id).unwrap_or_default();
            if reading.jmx.is_some() && (reading.node.is_some() || last.node.is_none()) {
                self.last.insert(id, reading);
            }
        }
        if let (Some(protocol), Some(probes)) = (&self.protocol, probes) {
            protocol.add_to(&mut sample, probes.join_all().await);
        }
        if is_empty_cluster {
            sample.brokers.values_mut().for_each(|broker| broker.state = BrokerState::Serving);
        }
        Ok(sample)
    }

    async fn look_up(&mut self) -> Result<(), MetricsError> {
        if self.samples_until_lookup > 0 {
            self.samples_until_lookup -= 1;
            return Ok(());
        }
        let found = match &self.targets {
            Targets::Lab(aws) => from_groups(&self.cluster, &aws.lab_targets().await.unwrap_or_default()),
            Targets::File(path) => {
                let failed = |reason: String| MetricsError::TargetsFile { path: path.clone(), reason };
                let text = bounded::text(path, bounded::KGEN_TOML_BYTES).map_err(|error| failed(error.to_string()))?;
                let groups: Vec<TargetGroup> =
                    serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
                from_groups(&self.cluster, &groups)
            }
            Targets::Nodes(aws, arn) => {
                let nodes = aws.nodes(arn).await?;
                let endpoints = nodes.iter().filter_map(|node| {
                    let host = node.endpoints.first()?;
                    let at = |port: u16| Some(format!("{host}:{port}"));
                    Some((node.id, Endpoints { jmx: at(JMX_PORT), node: at(NODE_PORT) }))
                });
                endpoints.collect()
            }
        };
        if found.len() > MOST_BROKERS {
            return Err(MetricsError::TooManyTargets { cluster: self.cluster.clone(), most: MOST_BROKERS });
        }
        // A lab that does not answer for a moment does not make its brokers unknown.
        if !found.is_empty() {
            self.endpoints = found;
            self.samples_until_lookup = SAMPLES_BETWEEN_LOOKUPS;
        }
        if self.endpoints.is_empty() { Err(MetricsError::NoTargets { cluster: self.cluster.clone() }) } else { Ok(()) }
    }
}

/// The endpoints of `cluster`. Groups without a `cluster` label belong to any; without `broker_id` brokers are counted,
/// and without `job` the port tells the exporters apart, as it does on MSK.
fn from_groups(cluster: &str, groups: &[TargetGroup]) -> BTreeMap<BrokerId, Endpoints> {
    let mut found: BTreeMap<BrokerId, Endpoints> = BTreeMap::new();
    let (mut jmx_count, mut node_count) = (0, 0);
    for group in groups.iter().filter(|group| group.labels.get("cluster").is_none_or(|label| label == cluster)) {
        let id = group.labels.get("broker_id").and_then(|id| id.parse().ok());
        for target in &group.targets {
            let is_node = match group.labels.get("job").map(String::as_str) {
                Some(job) => job.contains("node"),
                None => target.ends_with(&format!(":{NODE_PORT}")),
            };
            let count = if is_node { &mut node_count } else { &mut jmx_count };
            *count += 1;
            let endpoints = found.entry(id.unwrap_or(*count)).or_default();
            let endpoint = if is_node { &mut endpoints.node } else { &mut endpoints.jmx };
            *endpoint = Some(target.clone());
        }
    }
    found
}

/// What an endpoint shows. Nothing when it does not answer in time, or when it shows more than [`MOST_BYTES`] or than there
/// is `room` for in this sample.
async fn scrape(
    http: &reqwest::Client,
    target: Option<&str>,
    deadline: Duration,
    room: &AtomicUsize,
) -> Option<String> {
    let answer = http.get(format!("http://{}/metrics", target?)).timeout(deadline).send().await.ok()?;
    let take = |bytes: usize| {
        let left = room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        left.is_ok()
    };
    body_within(answer.error_for_status().ok()?, MOST_BYTES, take).await
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use super::*;

    #[test]
    fn targets_are_found_by_label_and_by_port() {
        let rows = [
            (
                r#"[{"targets":["h:1"],"labels":{"job":"jmx","cluster":"c","broker_id":"2"}},
                    {"targets":["h:2"],"labels":{"job":"node","cluster":"c","broker_id":"2"}},
                    {"targets":["h:3"],"labels":{"job":"jmx","cluster":"other","broker_id":"1"}}]"#,
                vec![(2, Some("h:1"), Some("h:2"))],
            ),
            (
                r#"[{"targets":["a:11001","b:11001"]},{"targets":["a:11002","b:11002"]}]"#,
                vec![(1, Some("a:11001"), Some("a:11002")), (2, Some("b:11001"), Some("b:11002"))],
            ),
            ("[]", vec![]),
        ];
        for (json, expected) in rows {
            let groups: Vec<TargetGroup> = serde_json::from_str(json).expect("well formed");
            let found = from_groups("c", &groups);
            let found: Vec<_> = found.iter().map(|(id, e)| (*id, e.jmx.as_deref(), e.node.as_deref())).collect();
            assert_eq!(found, expected, "{json}");
        }
    }

    #[test]
    fn an_endpoint_without_end_is_left_at_its_bound() {
        let endless = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = endless.local_addr().expect("bound");
        let writer = thread::spawn(move || {
            let (mut stream, _) = endless.accept().expect("a reader");
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            let line = "kafka_server_x{name=\"x\"} 1\n".repeat(10_000);
            let mut sent = 0;
            while sent < 1 << 30 && stream.write_all(line.as_bytes()).is_ok() {
                sent += line.len();
            }
            sent
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let room = AtomicUsize::new(MOST_SAMPLE_BYTES);
        let shown =
            runtime.block_on(scrape(&reqwest::Client::new(), Some(&at.to_string()), Duration::from_secs(60), &room));
        drop(runtime);
        assert_eq!(shown, None);
        let sent = writer.join().expect("the writer ends");
        assert!(sent < MOST_BYTES * 4, "{sent} bytes were taken");
    }

    #[test]
    fn a_broker_that_hangs_blinds_nobody() {
        let hung = TcpListener::bind("127.0.0.1:0").expect("a free port"); // accepts, and never answers
        let serving = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (hung_at, serving_at) = (hung.local_addr().expect("bound"), serving.local_addr().expect("bound"));
        thread::spawn(move || {
            for stream in serving.incoming().take(1).flatten() {
                let mut stream = stream;
                let mut request = [0; 1024];
                let _ = stream.read(&mut request);
                let body = include_str!("fixtures/jmx_1.prom");
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            }
        });
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("targets.json");
        let json = format!(
            r#"[{{"targets":["{hung_at}"],"labels":{{"job":"jmx","broker_id":"1"}}}},
                {{"targets":["{serving_at}"],"labels":{{"job":"jmx","broker_id":"2"}}}}]"#
        );
        std::fs::write(&file, json).expect("written");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut source = Prometheus::new("c", Targets::File(file), Duration::from_millis(500));
        let begun = Instant::now();
        let sample = runtime.block_on(source.sample()).expect("targets are known");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let states: Vec<_> = sample.brokers.values().map(|broker| broker.state).collect();
        assert_eq!(states, [BrokerState::Unreachable, BrokerState::Serving]);
    }
}
