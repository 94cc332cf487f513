//! What the lab itself reads of its brokers, every two seconds: JMX through the [`Relay`], and use of CPU and memory.
//!
//! The node metrics, CloudWatch and the alarms are made from these.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::sync::watch;

use super::{
    credits::CreditAccount,
    exporter::NodeTotals,
    fault::is_mounted,
    hardware::{BrokerSize, Hardware, T3Mode},
    limits::{DiskLimit, Limit, Usage, disk_of},
};
use crate::{
    catalogue::BrokerType,
    sample::{BrokerId, BrokerSample, BrokerState, RequestTimes},
};

/// Between two readings. A scrape takes 20 ms of CPU, which a broker at a tenth of a core must not give every second.
const INTERVAL: Duration = Duration::from_secs(2);

/// A throttled broker answers late; a hung one must not hold up the others.
const SCRAPE_DEADLINE: Duration = Duration::from_secs(3);
/// The most that it shows: with thousands of partitions it has some MiB.
const SCRAPE_BYTES: usize = 32 << 20;

/// A scrape younger than this is given to everyone who asks.
const SCRAPE_AGE_MAX: Duration = Duration::from_millis(900);

/// Seconds of credits that pass in one second, in [`T3Mode::Credits`]: a young cluster's 20 credits last a minute at
/// full load rather than a quarter of an hour.
pub const CREDIT_TIME_FACTOR: f64 = 15.0;

/// All brokers of a fleet at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FleetReading {
    pub cluster_name: String,
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    pub brokers: BTreeMap<BrokerId, Reading>,
}

/// One broker at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub broker_type: BrokerType,
    pub sample: BrokerSample,
    /// `CpuIdle`, percent: of what the broker may use at the moment.
    pub cpu_idle_percent: Option<f64>,
    /// `RequestHandlerAvgIdlePercent`, 0 to 1.
    pub request_handler_idle: Option<f64>,
    /// `NetworkProcessorAvgIdlePercent`, 0 to 1.
    pub network_idle: Option<f64>,
    pub connections: Option<f64>,
}

/// A broker's JMX endpoint, read once for all who ask at about the same time.
#[derive(Debug)]
pub struct Relay {
    agent: SocketAddr,
    client: reqwest::Client,
    latest: tokio::sync::Mutex<Option<(Instant, Arc<str>)>>,
}

impl Relay {
    pub fn new(agent: SocketAddr, client: reqwest::Client) -> Relay {
        Relay { agent, client, latest: tokio::sync::Mutex::default() }
    }

    /// The broker's metrics as text, at most 0.9 s old.
    ///
    /// # Errors
    /// The broker did not answer within 3 s.
    pub async fn text(&self) -> anyhow::Result<Arc<str>> {
        let mut latest = self.latest.lock().await;
        if let Some((at, text)) = latest.as_ref().filter(|(at, _)| at.elapsed() < SCRAPE_AGE_MAX) {
            let _ = at;
            return Ok(text.clone());
        }
        *latest = None;
        let url = format!("http://{}/metrics", self.agent);
        let answer = self.client.get(url).timeout(SCRAPE_DEADLINE).send().await.context("reading the JMX exporter")?;
        let mut answer = answer.error_for_status()?;
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.context("reading the JMX exporter")? {
            anyhow::ensure!(bytes.len() + chunk.len() <= SCRAPE_BYTES, "the JMX exporter's answer has no end");
            bytes.extend_from_slice(&chunk);
        }
        let text: Arc<str> = String::from_utf8_lossy(&bytes).into();
        *latest = Some((Instant::now(), text.clone()));
        Ok(text)
    }
}

/// One broker as it is watched.
#[derive(Debug)]
pub struct Watched {
    pub relay: Relay,
    data_dir: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    broker_type: BrokerType,
    size: BrokerSize,
    /// The limit of the process that runs now.
    limit: Option<Arc<Limit>>,
    /// The CPU limit is set, and not lifted for a start or a stop.
    settled: bool,
    /// Share of its CPU that a fault leaves to the broker.
    share: f64,
    /// The volume of the broker's size.
    volume_bytes: u64,
    credits: Option<CreditAccount>,
    last: Option<(Instant, Usage)>,
    last_jmx: Option<(Instant, JmxReading)>,
    totals: NodeTotals,
}

impl Watched {
    pub fn new(
        agent: SocketAddr,
        client: reqwest::Client,
        data_dir: PathBuf,
        volume_bytes: u64,
        broker_type: BrokerType,
        size: BrokerSize,
    ) -> Watched {
        let mut totals = NodeTotals::default();
        totals.volume_bytes = volume_bytes;
        let state = State {
            broker_type,
            size,
            limit: None,
            settled: false,
            share: 1.0,
            credits: None,
            last: None,
            last_jmx: None,
            volume_bytes,
            totals,
        };
        Watched { relay: Relay::new(agent, client), data_dir, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What a panicking holder left is still figures.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new process runs, as `broker_type`.
    pub fn started(&self, broker_type: BrokerType, size: BrokerSize, hardware: Hardware, limit: Arc<Limit>) {
        let mut state = self.state();
        let terms = broker_type.credits().filter(|_| hardware.t3 == T3Mode::Credits);
        state.credits = match state.credits.filter(|_| state.broker_type == broker_type) {
            Some(account) if terms.is_some() => Some(account),
            _ => terms.map(|terms| CreditAccount::new(terms, broker_type.vcpus, CREDIT_TIME_FACTOR)),
        };
        (state.broker_type, state.size, state.limit) = (broker_type, size, Some(limit));
        (state.settled, state.share, state.last, state.last_jmx) = (false, 1.0, None, None);
    }

    /// Holds the process to its size from now on.
    ///
    /// # Errors
    /// What the kernel says to the quota.
    pub fn settle(&self) -> std::io::Result<()> {
        let mut state = self.state();
        state.settled = true;
        state.set_cores()
    }

    /// The broker is `share` of `whole`, of which its CPU is counted; with 1 it is what it was.
    ///
    /// # Errors
    /// What the kernel says to the quota.
    pub fn shrink(&self, whole: &BrokerSize, share: f64) -> std::io::Result<()> {
        let mut state = self.state();
        let (cores, baseline_cores) = (whole.cores * share, whole.baseline_cores * share);
        state.size = BrokerSize { cores, baseline_cores, ..whole.clone() };
        state.share = 1.0;
        state.set_cores()
    }

    /// The process may use `share` of its CPU, and is counted by all of it.
    ///
    /// # Errors
    /// What the kernel says to the quota.
    pub fn hold_back(&self, share: f64) -> std::io::Result<()> {
        let mut state = self.state();
        state.share = share;
        state.set_cores()
    }

    /// Takes all CPU credits, if the broker has any kind of them.
    pub fn spend_credits(&self) -> bool {
        let mut state = self.state();
        if let Some(account) = &mut state.credits {
            account.spend_all();
        }
        // A next reading would do it too.
        state.credits.is_some() && state.set_cores().is_ok()
    }

    /// Holds back what the process writes to the disk below `data`, or no more.
    ///
    /// # Errors
    /// There is no such disk, or what the kernel says.
    pub fn limit_disk(&self, data: &Path, limit: Option<DiskLimit>) -> std::io::Result<()> {
        let disk = disk_of(data).ok_or_else(|| std::io::Error::other("its data is on no disk of the machine"))?;
        self.state().limit.as_ref().map_or(Ok(()), |process| process.set_disk(&disk, limit))
    }

    /// Lifts the CPU limit, for a quick end.
    pub fn release(&self) {
        let mut state = self.state();
        state.settled = false;
        if let Some(limit) = &state.limit {
            // A slower end is the worst that comes of it.
            let _ = limit.set_cores(None);
        }
    }

    /// The process is no more.
    pub fn ended(&self) {
        let mut state = self.state();
        (state.limit, state.settled) = (None, false);
    }

    /// The volume has another size from now on.
    pub fn resized(&self, volume_bytes: u64) {
        self.state().volume_bytes = volume_bytes;
    }

    /// What the node endpoint shows now.
    pub fn totals(&self) -> NodeTotals {
        self.state().totals.clone()
    }

    /// Bytes that are used, and bytes of the volume: that of the broker's size, or a real one that a fault put there.
    fn disk(&self) -> (u64, u64) {
        let sized = self.state().volume_bytes;
        let own = is_mounted(&self.data_dir).then(|| rustix::fs::statvfs(&self.data_dir).ok()).flatten();
        match own {
            Some(volume) => ((volume.f_blocks - volume.f_bavail) * volume.f_frsize, volume.f_blocks * volume.f_frsize),
            None => (used_bytes(&self.data_dir), sized),
        }
    }

    async fn read(&self) -> Reading {
        let runs = self.state().limit.is_some();
        let jmx = if runs { self.relay.text().await.ok().map(|text| JmxReading::parse(&text)) } else { None };
        let (disk_bytes, volume_bytes) = self.disk();
        let mut state = self.state();
        let mut sample =
            BrokerSample { memory_total_bytes: Some(state.size.memory_mib << 20), ..BrokerSample::default() };
        let cpu_idle_percent = state.read_usage(&mut sample);
        (state.totals.disk_bytes, state.totals.volume_bytes) = (disk_bytes, volume_bytes);
        sample.disk_used_percent = Some(disk_bytes as f64 / volume_bytes.max(1) as f64 * 100.0);
        let mut reading = Reading {
            broker_type: state.broker_type,
            sample,
            cpu_idle_percent,
            request_handler_idle: None,
            network_idle: None,
            connections: None,
        };
        if let Some(jmx) = jmx {
            reading.request_handler_idle = jmx.request_handler_idle;
            reading.network_idle = jmx.network_idle;
            reading.connections = jmx.connections;
            let now = Instant::now();
            let before = state.last_jmx.as_ref().map(|(at, before)| ((now - *at).as_secs_f64(), before));
            jmx.write_to(before, &mut reading.sample);
            state.last_jmx = Some((now, jmx));
        }
        reading
    }
}

impl State {
    fn allowed_cores(&self) -> f64 {
        let per_vcpu = self.size.cores / f64::from(self.broker_type.vcpus);
        self.share * self.credits.as_ref().map_or(self.size.cores, |account| account.allowed_vcpus() * per_vcpu)
    }

    /// Sets the limit of the process that runs, unless it is lifted.
    fn set_cores(&self) -> std::io::Result<()> {
        let cores = self.allowed_cores();
        self.limit.as_ref().filter(|_| self.settled).map_or(Ok(()), |limit| limit.set_cores(Some(cores)))
    }

    /// CPU and memory since the reading before, and the credits that they cost. Returns `CpuIdle`.
    fn read_usage(&mut self, sample: &mut BrokerSample) -> Option<f64> {
        let now = Instant::now();
        let vcpus = f64::from(self.broker_type.vcpus);
        let allowed_share = (self.allowed_cores() / self.size.cores).min(1.0);
        let since = self.totals.since(now);
        let Some(limit) = self.limit.clone() else {
            self.totals.pass(since, vcpus, 0.0, 0.0, allowed_share);
            return None;
        };
        let usage = limit.usage().ok()?;
        let mut cpu_idle_percent = None;
        // Pages that it touched before it was in its group are counted nowhere else.
        let memory = usage.memory_bytes.unwrap_or(0).max(usage.rss_bytes).min(self.size.memory_mib << 20);
        sample.memory_used_bytes = Some(memory);
        (self.totals.memory_total_bytes, self.totals.memory_used_bytes) = (self.size.memory_mib << 20, memory);
        self.totals.cached_bytes = memory.saturating_sub(usage.rss_bytes);
        self.totals.periods = usage.periods;
        self.totals.throttled_periods = usage.throttled_periods;
        if let Some((_, last)) = self.last {
            let used = usage.cpu.saturating_sub(last.cpu).as_secs_f64() / self.size.cores;
            // While it starts it may use more than it has.
            let used = used.min(since.as_secs_f64());
            let (user, system) = (used * usage.user_share, used * (1.0 - usage.user_share));
            self.totals.pass(since, vcpus, user, system, allowed_share);
            let seconds = since.as_secs_f64().max(1e-9);
            sample.cpu_user_percent = Some(user / seconds * 100.0);
            sample.cpu_system_percent = Some(system / seconds * 100.0);
            cpu_idle_percent = Some(((allowed_share - used / seconds) * 100.0).max(0.0));
            let periods = usage.periods.saturating_sub(last.periods);
            let throttled = usage.throttled_periods.saturating_sub(last.throttled_periods);
            if periods > 0 {
                sample.cpu_throttled_percent = Some(throttled as f64 / periods as f64 * 100.0);
            }
            if let Some(account) = &mut self.credits {
                account.step(used * vcpus, since);
                sample.cpu_credit_balance = Some(account.balance());
                self.totals.credit_balance = Some(account.balance());
                let cores = self.allowed_cores();
                if self.settled {
                    // The group may go at any moment; the next reading shows that.
                    let _ = limit.set_cores(Some(cores));
                }
            }
        }
        self.last = Some((now, usage));
        cpu_idle_percent
    }
}

/// Reads the brokers until the receiver of the last handle is gone.
pub async fn read_forever(
    cluster_name: String,
    brokers: Arc<Mutex<BTreeMap<BrokerId, Arc<Watched>>>>,
    readings: watch::Sender<Arc<FleetReading>>,
) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let watched: Vec<(BrokerId, Arc<Watched>)> = {
            let brokers = brokers.lock().unwrap_or_else(PoisonError::into_inner);
            brokers.iter().map(|(id, watched)| (*id, watched.clone())).collect()
        };
        let read = watched.iter().map(async |(id, watched)| (*id, watched.read().await));
        let brokers = futures::future::join_all(read).await.into_iter().collect();
        let at_ms = jiff::Timestamp::now().as_millisecond();
        readings.send_replace(Arc::new(FleetReading { cluster_name: cluster_name.clone(), at_ms, brokers }));
    }
}

/// Space that the files below `dir` take, as the file system counts it.
pub fn used_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
        .map(|(path, metadata)| if metadata.is_dir() { used_bytes(&path) } else { metadata.blocks() * 512 })
        .sum()
}

/// The figures of one scrape.
#[derive(Debug, Clone, Default, PartialEq)]
struct JmxReading {
    broker_state: Option<f64>,
    /// Count and lifetime mean, ms, of the parts of a produce request.
    produce: BTreeMap<String, (f64, f64)>,
    /// Counters of BrokerTopicMetrics without a topic.
    topics: BTreeMap<String, f64>,
    replicas: BTreeMap<String, f64>,
    request_handler_idle: Option<f64>,
    network_idle: Option<f64>,
    connections: Option<f64>,
    heap_used: Option<f64>,
    heap_max: Option<f64>,
    heap_after_gc: Option<f64>,
}

impl JmxReading {
    fn parse(text: &str) -> JmxReading {
        let mut reading = JmxReading::default();
        let Ok(scrape) = prometheus_parse::Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))) else {
            return reading;
        };
        for sample in &scrape.samples {
            let value = match sample.value {
                prometheus_parse::Value::Counter(value)
                | prometheus_parse::Value::Gauge(value)
                | prometheus_parse::Value::Untyped(value) => value,
                _ => continue,
            };
            let name = sample.labels.get("name").unwrap_or_default();
            match sample.metric.as_str() {
                "kafka_server_KafkaServer_Value" if name == "BrokerState" => reading.broker_state = Some(value),
                "kafka_network_RequestMetrics_Count" if sample.labels.get("request") == Some("Produce") => {
                    reading.produce.entry(name.to_owned()).or_default().0 = value;
                }
                "kafka_network_RequestMetrics_Mean" if sample.labels.get("request") == Some("Produce") => {
                    reading.produce.entry(name.to_owned()).or_default().1 = value;
                }
                "kafka_server_BrokerTopicMetrics_Count" if sample.labels.get("topic").is_none() => {
                    reading.topics.insert(name.to_owned(), value);
                }
                "kafka_server_ReplicaManager_Value" => {
                    reading.replicas.insert(name.to_owned(), value);
                }
                "kafka_server_KafkaRequestHandlerPool_OneMinuteRate" => reading.request_handler_idle = Some(value),
                "kafka_network_SocketServer_Value" if name == "NetworkProcessorAvgIdlePercent" => {
                    reading.network_idle = Some(value);
                }
                "kafka_server_socket_server_metrics_connection_count" => {
                    *reading.connections.get_or_insert(0.0) += value;
                }
                "java_lang_Memory_HeapMemoryUsage_used" => reading.heap_used = Some(value),
                "java_lang_Memory_HeapMemoryUsage_max" => reading.heap_max = Some(value),
                // The old generation grows only when there is a collection; the survivors are what the last one left.
                "jvm_memory_pool_used_bytes" if sample.labels.get("pool") == Some("Tenured Gen") => {
                    *reading.heap_after_gc.get_or_insert(0.0) += value;
                }
                "jvm_memory_pool_collection_used_bytes" if sample.labels.get("pool") == Some("Survivor Space") => {
                    *reading.heap_after_gc.get_or_insert(0.0) += value;
                }
                _ => {}
            }
        }
        reading
    }

    /// Writes into `sample` what this says, with rates and means since the scrape `before`, seconds ago.
    fn write_to(&self, before: Option<(f64, &JmxReading)>, sample: &mut BrokerSample) {
        /// KafkaServer's BrokerState: the broker is up and unfenced (Kafka, `BrokerState.RUNNING`).
        const RUNNING: f64 = 3.0;
        let running = self.broker_state == Some(RUNNING);
        sample.state = if running { BrokerState::Serving } else { BrokerState::Starting };
        let replicas = |name: &str| self.replicas.get(name).map(|value| *value as u64);
        sample.partition_count = replicas("PartitionCount");
        sample.leader_count = replicas("LeaderCount");
        sample.under_replicated_partitions = replicas("UnderReplicatedPartitions");
        sample.under_min_isr_partitions = replicas("UnderMinIsrPartitionCount");
        sample.offline_partitions = replicas("OfflineReplicaCount");
        let percent_of_heap = |bytes: Option<f64>| Some(bytes? / self.heap_max.filter(|max| *max > 0.0)? * 100.0);
        sample.heap_used_percent = percent_of_heap(self.heap_used);
        sample.heap_after_gc_percent = percent_of_heap(self.heap_after_gc);
        let Some((seconds, before)) = before.filter(|(seconds, _)| *seconds > 0.1) else { return };
        let rate = |name: &str| {
            let (now, then) = (self.topics.get(name)?, before.topics.get(name)?);
            (now >= then).then(|| (now - then) / seconds)
        };
        sample.bytes_in_per_s = rate("BytesInPerSec");
        sample.bytes_out_per_s = rate("BytesOutPerSec");
        sample.messages_in_per_s = rate("MessagesInPerSec");
        // Kafka's mean is since start: the mean of the interval is the difference of the sums over that of the counts.
        let part = |name: &str| {
            let ((count, mean), (count_then, mean_then)) = (self.produce.get(name)?, before.produce.get(name)?);
            let requests = count - count_then;
            (requests > 0.0).then(|| (requests, ((count * mean - count_then * mean_then) / requests).max(0.0)))
        };
        let mean = |name: &str| part(name).map(|(_, mean)| mean);
        sample.produce = part("TotalTimeMs").map(|(requests, total_ms)| RequestTimes {
            per_s: Some(requests / seconds),
            queue_ms: mean("RequestQueueTimeMs"),
            local_ms: mean("LocalTimeMs"),
            remote_ms: mean("RemoteTimeMs"),
            send_ms: mean("ResponseQueueTimeMs").zip(mean("ResponseSendTimeMs")).map(|(queue, send)| queue + send),
            throttle_ms: mean("ThrottleTimeMs"),
            total_ms,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(count: f64, mean: f64, bytes: f64) -> JmxReading {
        JmxReading::parse(&format!(
            "# TYPE kafka_network_RequestMetrics_Count untyped\n\
             kafka_network_RequestMetrics_Count{{name=\"TotalTimeMs\",request=\"Produce\"}} {count}\n\
             kafka_network_RequestMetrics_Mean{{name=\"TotalTimeMs\",request=\"Produce\"}} {mean}\n\
             kafka_server_BrokerTopicMetrics_Count{{name=\"BytesInPerSec\"}} {bytes}\n\
             kafka_server_KafkaServer_Value{{name=\"BrokerState\"}} 3.0\n\
             java_lang_Memory_HeapMemoryUsage_max 2.0E8\n\
             jvm_memory_pool_used_bytes{{pool=\"Tenured Gen\"}} 4.0E7\n\
             jvm_memory_pool_collection_used_bytes{{pool=\"Survivor Space\"}} 1.0E7\n"
        ))
    }

    #[test]
    fn means_and_rates_are_of_the_interval() {
        let (before, now) = (scrape(100.0, 1.0, 1000.0), scrape(200.0, 3.0, 5000.0));
        let mut sample = BrokerSample::default();
        now.write_to(Some((2.0, &before)), &mut sample);
        let produce = sample.produce.unwrap();
        assert_eq!((produce.per_s, produce.total_ms, produce.local_ms), (Some(50.0), 5.0, None));
        assert_eq!((sample.bytes_in_per_s, sample.heap_after_gc_percent), (Some(2000.0), Some(25.0)));
        assert_eq!(sample.state, BrokerState::Serving);
    }

    #[test]
    fn a_first_scrape_and_a_restarted_broker_have_no_rates() {
        let now = scrape(10.0, 1.0, 50.0);
        for before in [None, Some(scrape(100.0, 1.0, 1000.0))] {
            let mut sample = BrokerSample::default();
            now.write_to(before.as_ref().map(|before| (2.0, before)), &mut sample);
            assert_eq!((sample.produce, sample.bytes_in_per_s), (None, None), "{before:?}");
        }
    }
}
