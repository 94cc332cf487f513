//! The lab as a process: one at a time in its folder, with the emulator, the control plane and the brokers below it.

use std::{
    collections::BTreeSet,
    fs::File,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use super::{
    Say,
    brokers::{self, Machine},
    cloudwatch::{Metrics, Timing},
    control::{self, Lab, LabConfig},
    crew::{Crew, FleetCrew},
    fault,
    hardware::Hardware,
    install::{KAFKA_VERSION, MOTO_VERSION, moto_server},
    monitoring::Monitoring,
    server,
    simulated::run_with_metrics,
    ssm::{self, Ssm},
    tls::Certificates,
};
use crate::{
    files::own,
    lab_api::LabStatus,
    process::{Holder, Readiness, Server, StartingServer, absolute, pause},
};

/// How long a lock is waited for: a lab that is being killed has it for a moment, and so has whoever looks.
const LOCK_WITHIN: Duration = Duration::from_secs(2);

/// How long the emulator may take to answer for the first time.
const EMULATOR_TIMEOUT: Duration = Duration::from_secs(60);

/// What brokers are given to hand over and end when the lab is stopped.
const STOP_PATIENCE: Duration = Duration::from_secs(90);

/// A running lab, as it says in `lab.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Running {
    pub pid: u32,
    /// What `AWS_ENDPOINT_URL` is set to.
    pub endpoint: String,
}

/// The lab's lock is held, and `lab.json` does not name the process that holds it.
#[derive(Debug, thiserror::Error)]
#[error("the lab's lock {} is held by {}, but {record}: {}", lock.display(), self.who(), self.advice())]
pub struct Unproven {
    lock: PathBuf,
    /// Nothing when this user cannot see the process.
    holder: Option<Holder>,
    /// What is wrong with `lab.json`.
    record: String,
}

/// The folder of a lab: its lock, its log, its clusters.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(dir: impl Into<PathBuf>) -> Folder {
        Folder(dir.into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn log(&self) -> PathBuf {
        self.0.join("lab.log")
    }

    /// Kafka's own tools, as scripts.
    pub fn tools(&self) -> PathBuf {
        self.0.join("bin")
    }

    /// What clients of the TLS listeners trust, as long as a lab has run here.
    pub fn ca(&self) -> PathBuf {
        Certificates::in_dir(&self.tls()).ca
    }

    /// Where client instances are, with what they find there, in the lab that answers at `endpoint`.
    ///
    /// # Errors
    /// This kgen does not know where it is itself.
    pub fn place(&self, endpoint: &str) -> anyhow::Result<ssm::Place> {
        Ok(ssm::Place {
            folder: absolute(&self.0.join("clients")),
            tools: absolute(&self.tools()),
            kgen: std::env::current_exe().context("finding kgen itself for the client instances")?,
            endpoint: endpoint.to_owned(),
        })
    }

    fn tls(&self) -> PathBuf {
        self.0.join("tls")
    }

    fn lock_file(&self) -> PathBuf {
        self.0.join("lock")
    }

    fn record(&self) -> PathBuf {
        self.0.join("lab.json")
    }

    /// Checks that nothing in the folder leads out of it, before anything is written there.
    ///
    /// # Errors
    /// Names the link.
    pub fn check(&self) -> std::io::Result<()> {
        for dir in [self.0.clone(), self.tools(), self.tls(), self.0.join("clusters")] {
            own::check_folder(&dir)?;
        }
        Ok(())
    }

    /// The lab that runs here. A file left by one that was killed is not taken for one.
    ///
    /// # Errors
    /// [`Unproven`] when someone holds the lab's lock, and `lab.json` names no process or another one; the
    /// lock is a link.
    pub fn running(&self) -> anyhow::Result<Option<Running>> {
        let path = self.lock_file();
        let lock = match own::open(&path) {
            Ok(lock) => lock,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("checking the lab's lock {}", path.display())),
        };
        // Where nobody holds it, ours goes with the file.
        if lock.try_lock_shared().is_ok() {
            return Ok(None);
        }
        let record = self.read_record();
        if let Ok(Some(running)) = &record
            && Holder::checked(running.pid, &path).is_some_and(|holder| is_lab(&holder))
        {
            return record;
        }
        let holder = Holder::of(&path);
        let named = record.as_ref().ok().and_then(Option::as_ref).map(|running| running.pid);
        // One that is being killed has no command line any more, and keeps its lock for a moment yet.
        let is_ending = |pid: u32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| words.is_empty());
        let has_ended = match &holder {
            Some(holder) => holder.words.is_empty(),
            None => named.is_some_and(is_ending) || lock.try_lock_shared().is_ok(),
        };
        if has_ended {
            return Ok(None);
        }
        let record = match record {
            Ok(Some(running)) => format!("lab.json names process {}, which does not", running.pid),
            Ok(None) => "there is no lab.json".to_owned(),
            Err(error) => format!("lab.json is unreadable ({error:#})"),
        };
        Err(Unproven { lock: path, holder, record }.into())
    }

    /// What `lab.json` says; nothing where there is none.
    fn read_record(&self) -> anyhow::Result<Option<Running>> {
        let bytes = match own::read(&self.record()) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let running: Running = serde_json::from_slice(&bytes)?;
        let port = running.endpoint.strip_prefix("http://127.0.0.1:").and_then(|port| port.parse::<u16>().ok());
        ensure!(port.is_some(), "its endpoint is not on 127.0.0.1: {:?}", running.endpoint);
        Ok(Some(running))
    }

    /// Asks the process `pid` to end, if it is the lab of this folder: it holds the lab's lock, and it is `kgen lab serve`.
    /// Returns whether it was asked.
    ///
    /// # Errors
    /// It belongs to another user.
    pub fn terminate(&self, pid: u32) -> std::io::Result<bool> {
        Holder::terminate(pid, &self.lock_file(), is_lab)
    }

    /// Whether process `pid` still holds the lab's lock.
    pub fn is_held_by(&self, pid: u32) -> bool {
        Holder::checked(pid, &self.lock_file()).is_some()
    }

    fn lock(&self) -> anyhow::Result<File> {
        own::make_folder(&self.0, 0o777).with_context(|| format!("making {}", self.0.display()))?;
        let path = self.lock_file();
        let file = own::lockable(&path).with_context(|| format!("opening {}", path.display()))?;
        let is_ours = pause(LOCK_WITHIN, || file.try_lock().is_ok());
        ensure!(is_ours, "a lab is already running in {} (`kgen lab down` stops it)", self.0.display());
        Ok(file)
    }
}

impl Unproven {
    /// The lab that holds the lock, if it certainly is one.
    pub fn lab(&self) -> Option<u32> {
        self.holder.as_ref().filter(|holder| is_lab(holder)).map(|holder| holder.pid)
    }

    fn who(&self) -> String {
        match &self.holder {
            Some(holder) => format!("process {} (`{}`)", holder.pid, holder.command_line()),
            None => "a process of another user".to_owned(),
        }
    }

    fn advice(&self) -> &'static str {
        match self.lab() {
            Some(_) => "if a lab is starting or stopping, wait a moment; otherwise `kgen lab down` stops it",
            None => "that process is not a lab, so kgen leaves it alone; stop it, then run this again",
        }
    }
}

/// Whether it is `kgen lab serve`.
fn is_lab(holder: &Holder) -> bool {
    holder.words.windows(2).any(|words| words == ["lab", "serve"])
}

/// What a lab is besides its hardware.
#[derive(Clone)]
pub struct Options {
    pub timing: Timing,
    /// Clusters have no brokers and synthetic metrics.
    pub without_brokers: bool,
    /// Actions of IAM that are denied from the start.
    pub denied: BTreeSet<String>,
    /// What runs as the clients of faults.
    pub client_programs: fault::ClientPrograms,
}

/// Runs the lab until SIGTERM, SIGINT or SIGHUP. Call it on the main thread: the emulator lives no longer than it.
///
/// # Errors
/// Another lab runs in the folder, the port is taken, or something that the lab needs is missing.
pub fn run(folder: &Folder, port: u16, hardware: Hardware, options: Options, say: Say) -> anyhow::Result<()> {
    let timing = options.timing;
    folder.check()?;
    let _lock = folder.lock()?;
    // Before anything is started for clusters that nobody may run.
    control::saved(folder.path())?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = std::net::TcpListener::bind(address).with_context(|| format!("listening on {address}"))?;
    listener.set_nonblocking(true)?;
    let endpoint = format!("http://{}", listener.local_addr()?);

    // What a lab that was killed has left.
    fault::clean_up_volumes(folder.path());
    fault::clean_up_network();
    let machine = Arc::new(Machine::prepare(Some(hardware), &*say)?);
    machine.kafka.write_tools(&folder.tools())?;
    let certificates = Certificates::open(&folder.tls(), jiff::Zoned::now().date())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the control plane")?;
    let (emulator, emulator_address) = start_emulator(folder, &runtime, &*say)?;
    let metrics = Arc::new(Metrics::new(timing));
    let monitoring =
        Monitoring::new(runtime.handle().clone(), emulator_address, Arc::clone(&metrics), Arc::clone(&say));
    if timing.period.as_secs() != 60 {
        say(&format!("datapoints of CloudWatch cover {} s, not the 60 s of MSK", timing.period.as_secs()));
    }
    let place = folder.place(&endpoint)?;
    // The emulator has just been started, so the instances of an earlier lab are no more.
    own::remove_folder(&place.folder).context("removing the client instances of the last start")?;
    let ssm = Ssm::new(place, emulator_address)?;
    let facts = LabStatus {
        client_instances: Ssm::containment().to_owned(),
        scale: Some(hardware.scale),
        hardware: Some(hardware.to_string()),
        cpu_limit: Some(machine.means.to_string()),
        memory_limit: Some(machine.means.limits_memory()),
        kafka_version: Some(KAFKA_VERSION.to_owned()),
        ca: Some(certificates.ca.to_string_lossy().into_owned()),
        emulator: Some(format!("moto {MOTO_VERSION}")),
        metrics_period_s: Some(timing.period.as_secs()),
        metrics_delay_s: Some(timing.delay.as_secs()),
        pid: Some(std::process::id()),
        without_brokers: options.without_brokers,
        ..LabStatus::default()
    };
    let crew: Crew = if options.without_brokers {
        say("clusters have no brokers, and their metrics are synthetic");
        let metrics = Arc::clone(&metrics);
        let scale = hardware.scale;
        Arc::new(move |assignment| run_with_metrics(assignment, &metrics, scale))
    } else {
        let client_programs = Arc::clone(&options.client_programs);
        let crew = FleetCrew { machine, certificates, monitoring, client_programs, say };
        Arc::new(move |assignment| crew.run(assignment))
    };
    let config = LabConfig { state_dir: folder.path().to_owned(), crew, facts };
    let lab = Lab::open(config)?;
    lab.deny(options.denied);

    let record = folder.record();
    let running = Running { pid: std::process::id(), endpoint };
    own::replace(&record, &serde_json::to_vec_pretty(&running)?)
        .with_context(|| format!("writing {}", record.display()))?;
    let served = runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        server::serve(listener, asked_to_stop()?, lab.clone(), emulator_address, metrics, Some(ssm)).await
    });
    let stopped = lab.stop(STOP_PATIENCE);
    emulator.stop(Duration::from_secs(5));
    // Whoever looks finds the lock free anyway.
    let _ = own::remove_file(&record);
    served.and(stopped)
}

/// Resolves when the process is asked to end.
fn asked_to_stop() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}

/// Starts moto on a free port.
fn start_emulator(folder: &Folder, runtime: &Runtime, say: &dyn Fn(&str)) -> anyhow::Result<(Server, SocketAddr)> {
    let program = moto_server(say)?;
    let port = brokers::free_port()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let starting = StartingServer::start(
        "moto",
        &program,
        ["-H", "127.0.0.1", "-p", &port.to_string()],
        // The rendered role attaches a policy that AWS manages.
        &[("MOTO_IAM_LOAD_MANAGED_POLICIES".to_owned(), "true".to_owned())],
        folder.path(),
        &folder.path().join("moto.log"),
    )?;
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
    let answers = || {
        let answer = runtime.block_on(async { client.get(format!("http://{address}/moto-api/")).send().await });
        if answer.is_ok_and(|answer| answer.status().is_success()) { Readiness::Ready } else { Readiness::NotYet }
    };
    let server = starting.ready(EMULATOR_TIMEOUT, answers)?;
    Ok((server, address))
}
