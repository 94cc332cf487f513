//! What the lab itself reads of its brokers: use of CPU and memory every 2.5 s, and JMX through the [`Relay`] as often.
//!
//! The node metrics, CloudWatch and the alarms are made from these.

mod process;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::{
    credits::CreditAccount,
    exporter::NodeTotals,
    fault::is_mounted,
    hardware::{BrokerSize, Hardware, T3Mode},
    jmx::Jmx,
    limits::{DiskLimit, Io, Limit, Usage, disk_of},
};
use crate::{catalogue::BrokerType, sample::BrokerId};

/// Between two readings, which are taken at multiples of it.
pub const INTERVAL: Duration = Duration::from_millis(2500);

/// Between two scrapes, which begin at multiples of it; the periods of datapoints are multiples of it too. A scrape takes 15 ms
/// of CPU (measured), which a broker at a tenth of a core must not give every second.
const SCRAPE_INTERVAL: Duration = INTERVAL;

/// A throttled broker answers late.
const SCRAPE_DEADLINE: Duration = Duration::from_millis(4500);
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
    /// Whether the process of the cluster's controller runs; nothing before it was started.
    pub controller_runs: Option<bool>,
}

/// One broker at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub broker_type: BrokerType,
    /// What the machine says; nothing where no process runs.
    pub host: Option<Host>,
    /// The newest scrape, however old.
    pub jmx: Option<Arc<Jmx>>,
}

/// What the machine says of a broker.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Host {
    pub cpu_user_percent: Option<f64>,
    pub cpu_system_percent: Option<f64>,
    /// Of what the broker may use at the moment.
    pub cpu_idle_percent: Option<f64>,
    pub memory_total_bytes: u64,
    /// With the page cache.
    pub memory_used_bytes: u64,
    pub memory_cached_bytes: u64,
    pub swap_used_bytes: Option<u64>,
    pub swap_free_bytes: Option<u64>,
    pub disk_used_bytes: u64,
    pub disk_bytes: u64,
    pub root_disk_percent: Option<f64>,
    /// Of the file system that holds the broker's logs.
    pub logs_disk_percent: Option<f64>,
    /// T3 with credits alone.
    pub credit_balance: Option<f64>,
    /// Credits spent since the broker was started.
    pub credits_spent: Option<f64>,
    /// Since the process began.
    pub io: Io,
    /// Percent of the limit.
    pub mapped_files_percent: Option<f64>,
    /// Connections from the other brokers.
    pub peer_connections: Option<u64>,
    /// Packets that a fault on the network has held back or dropped since it began.
    pub packets_shaped: u64,
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
            anyhow::ensure!(bytes.len() + chunk.len() <= SCRAPE_BYTES, "the JMX exporter's response does not end");
            bytes.extend_from_slice(&chunk);
        }
        let text: Arc<str> = String::from_utf8_lossy(&bytes).into();
        *latest = Some((Instant::now(), text.clone()));
        Ok(text)
    }
}

/// One broker as it is watched.
#[derive(Debug)]
pub struct BrokerReadings {
    pub relay: Relay,
    /// Of the listener that the other brokers use.
    port: u16,
    data_dir: PathBuf,
    state: Mutex<State>,
}

/// What the process of a cluster's controller is; 0 before the first.
pub type ControllerPid = Arc<AtomicU32>;

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
    jmx: Option<Arc<Jmx>>,
    is_scraped: bool,
    /// Percent of the limit, as of the last scrape.
    mapped_files_percent: Option<f64>,
    peer_connections: Option<u64>,
    credits_spent: f64,
    packets_shaped: u64,
    totals: NodeTotals,
}

impl BrokerReadings {
    pub fn new(
        agent: SocketAddr,
        port: u16,
        client: reqwest::Client,
        data_dir: PathBuf,
        volume_bytes: u64,
        broker_type: BrokerType,
        size: BrokerSize,
    ) -> BrokerReadings {
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
            jmx: None,
            is_scraped: false,
            mapped_files_percent: None,
            peer_connections: None,
            credits_spent: 0.0,
            packets_shaped: 0,
            volume_bytes,
            totals,
        };
        BrokerReadings { relay: Relay::new(agent, client), port, data_dir, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What a panicking holder left is still figures.
        self.state.lock()
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
        (state.settled, state.share, state.last, state.jmx) = (false, 1.0, None, None);
        state.credits_spent = 0.0;
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
        let disk = disk_of(data).ok_or_else(|| std::io::Error::other("its data is not on a disk of this machine"))?;
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
        (state.limit, state.settled, state.jmx, state.peer_connections) = (None, false, None, None);
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

    /// A fault on the network has held back or dropped so many packets since it began.
    pub fn shaped(&self, packets: u64) {
        self.state().packets_shaped = packets;
    }

    /// The process and the port that the other brokers use; nothing where none runs.
    fn process(&self) -> Option<(u32, u16)> {
        self.state().limit.as_ref().map(|limit| (limit.pid(), self.port))
    }

    /// Scrapes the broker, unless that is under way already.
    async fn scrape(&self, at_ms: i64) {
        let pid = {
            let mut state = self.state();
            let Some(limit) = state.limit.as_ref().filter(|_| !state.is_scraped) else { return };
            let pid = limit.pid();
            state.is_scraped = true;
            pid
        };
        let text = self.relay.text().await;
        let mapped_files_percent = process::mapped_files_percent(pid);
        let jmx = text.ok().map(|text| Arc::new(Jmx::parse(at_ms, &text)));
        let mut state = self.state();
        state.is_scraped = false;
        // Another process may run by now.
        if state.limit.as_ref().is_some_and(|limit| limit.pid() == pid) {
            state.mapped_files_percent = mapped_files_percent;
            state.jmx = jmx.or(state.jmx.take());
        }
    }

    fn read(&self) -> Reading {
        let (disk_used_bytes, disk_bytes) = self.disk();
        let logs = self.data_dir.parent().unwrap_or(&self.data_dir);
        let (root_disk_percent, logs_disk_percent) =
            (process::used_percent(Path::new("/")), process::used_percent(logs));
        let mut state = self.state();
        (state.totals.disk_bytes, state.totals.volume_bytes) = (disk_used_bytes, disk_bytes);
        let host = state.read_usage().map(|host| {
            let swap = state.limit.as_ref().and_then(|limit| process::swap(limit.pid()));
            Host {
                swap_used_bytes: swap.map(|(used, _)| used),
                swap_free_bytes: swap.map(|(_, free)| free),
                disk_used_bytes,
                disk_bytes,
                root_disk_percent,
                logs_disk_percent,
                mapped_files_percent: state.mapped_files_percent,
                peer_connections: state.peer_connections,
                packets_shaped: state.packets_shaped,
                ..host
            }
        });
        Reading { broker_type: state.broker_type, host, jmx: state.jmx.clone() }
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

    /// CPU and memory since the reading before, and the credits that they cost; nothing where no process runs.
    fn read_usage(&mut self) -> Option<Host> {
        let now = Instant::now();
        let vcpus = f64::from(self.broker_type.vcpus);
        let allowed_share = (self.allowed_cores() / self.size.cores).min(1.0);
        let since = self.totals.since(now);
        let Some(limit) = self.limit.clone() else {
            self.totals.pass(since, vcpus, 0.0, 0.0, allowed_share);
            return None;
        };
        let usage = limit.usage().ok()?;
        let memory_total_bytes = self.size.memory_mib << 20;
        // Pages that it touched before it was in its group are counted nowhere else.
        let memory = usage.memory_bytes.unwrap_or(0).max(usage.rss_bytes).min(memory_total_bytes);
        let cached = memory.saturating_sub(usage.rss_bytes);
        (self.totals.memory_total_bytes, self.totals.memory_used_bytes) = (memory_total_bytes, memory);
        self.totals.cached_bytes = cached;
        self.totals.periods = usage.periods;
        self.totals.throttled_periods = usage.throttled_periods;
        let mut host = Host {
            memory_total_bytes,
            memory_used_bytes: memory,
            memory_cached_bytes: cached,
            io: limit.io(),
            ..Host::default()
        };
        if let Some((_, last)) = self.last {
            let used = usage.cpu.saturating_sub(last.cpu).as_secs_f64() / self.size.cores;
            // While it starts it may use more than it has.
            let used = used.min(since.as_secs_f64());
            let (user, system) = (used * usage.user_share, used * (1.0 - usage.user_share));
            self.totals.pass(since, vcpus, user, system, allowed_share);
            let seconds = since.as_secs_f64().max(1e-9);
            host.cpu_user_percent = Some(user / seconds * 100.0);
            host.cpu_system_percent = Some(system / seconds * 100.0);
            host.cpu_idle_percent = Some(((allowed_share - used / seconds) * 100.0).max(0.0));
            self.pay(used * vcpus, since, &limit, &mut host);
        }
        self.last = Some((now, usage));
        Some(host)
    }

    /// Takes what the CPU time costs from the credits, where the broker has any kind of them.
    fn pay(&mut self, vcpu_seconds: f64, since: Duration, limit: &Limit, host: &mut Host) {
        let Some(account) = &mut self.credits else { return };
        account.step(vcpu_seconds, since);
        // A credit is a minute of one vCPU (EC2 User Guide); time passes faster for them.
        self.credits_spent += vcpu_seconds * CREDIT_TIME_FACTOR / 60.0;
        host.credit_balance = Some(account.balance());
        host.credits_spent = Some(self.credits_spent);
        self.totals.credit_balance = Some(account.balance());
        let cores = self.allowed_cores();
        if self.settled {
            // The group may go at any moment; the next reading shows that.
            let _ = limit.set_cores(Some(cores));
        }
    }
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// The start of the round that `now_ms` is in.
fn round_begun(now_ms: i64) -> i64 {
    now_ms - now_ms.rem_euclid(INTERVAL.as_millis() as i64)
}

/// Milliseconds until the next round.
fn until_next_round(now_ms: i64) -> u64 {
    (round_begun(now_ms) + INTERVAL.as_millis() as i64 - now_ms).unsigned_abs()
}

/// Reads the brokers until the receiver of the last handle is gone.
pub async fn read_forever(
    cluster_name: String,
    brokers: Arc<Mutex<BTreeMap<BrokerId, Arc<BrokerReadings>>>>,
    controller: ControllerPid,
    readings: watch::Sender<Arc<FleetReading>>,
) {
    let mut scraped = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(until_next_round(now_ms()))).await;
        let at_ms = round_begun(now_ms() + 50);
        let watched: BTreeMap<BrokerId, Arc<BrokerReadings>> = brokers.lock().clone();
        let scrape = at_ms / SCRAPE_INTERVAL.as_millis() as i64;
        if scrape != scraped {
            scraped = scrape;
            for watched in watched.values() {
                let watched = Arc::clone(watched);
                tokio::spawn(async move { watched.scrape(at_ms).await });
            }
            count_connections(&watched);
        }
        let brokers = watched.iter().map(|(id, watched)| (*id, watched.read())).collect();
        let pid = controller.load(Ordering::Relaxed);
        let controller_runs = (pid > 0).then(|| process::runs(pid));
        let cluster_name = cluster_name.clone();
        readings.send_replace(Arc::new(FleetReading { cluster_name, at_ms, brokers, controller_runs }));
    }
}

fn count_connections(watched: &BTreeMap<BrokerId, Arc<BrokerReadings>>) {
    let processes = watched.iter().filter_map(|(id, watched)| Some((*id, watched.process()?))).collect();
    for (id, connections) in process::connections_between(&processes) {
        if let Some(watched) = watched.get(&id) {
            watched.state().peer_connections = Some(connections);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_on_the_clock() {
        for (now, begun) in [(1_000_000_000_000, 1_000_000_000_000), (1_000_000_002_499, 1_000_000_000_000)] {
            assert_eq!(round_begun(now), begun);
            assert_eq!(until_next_round(now) as i64, begun + INTERVAL.as_millis() as i64 - now);
        }
    }
}
