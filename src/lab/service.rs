//! The lab as a process: one at a time in its folder, with the emulator, the control plane and the brokers below it.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::runtime::Runtime;

use super::{
    brokers::Machine,
    control::{Lab, LabConfig},
    crew::FleetCrew,
    fault,
    hardware::Hardware,
    install::{KAFKA_VERSION, MOTO_VERSION, moto_server},
    monitoring::Monitoring,
    server,
    tls::Certificates,
};
use crate::{
    files::{self, bounded},
    process::{Readiness, Server, StartingServer},
};

/// How long a lock is waited for: a lab that is being killed has it for a moment, and so has whoever looks.
const LOCK_WITHIN: Duration = Duration::from_secs(2);

/// How long the emulator may take to answer for the first time.
const EMULATOR_TIMEOUT: Duration = Duration::from_secs(60);

/// What brokers are given to hand over and end when the lab is stopped.
const STOP_PATIENCE: Duration = Duration::from_secs(90);

/// Takes a line for the lab's log.
pub type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// A running lab, as it says in `lab.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Running {
    pub pid: u32,
    /// What `AWS_ENDPOINT_URL` is set to.
    pub endpoint: String,
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

    fn tls(&self) -> PathBuf {
        self.0.join("tls")
    }

    /// The lab that runs here. A file left by one that was killed is not taken for one.
    pub fn running(&self) -> Option<Running> {
        let running: Running =
            serde_json::from_slice(&bounded::read(&self.0.join("lab.json"), bounded::TEXT_BYTES).ok()?).ok()?;
        // One that is being killed has no command line any more, and keeps its lock for a moment yet.
        if std::fs::read(format!("/proc/{}/cmdline", running.pid)).is_ok_and(|words| words.is_empty()) {
            return None;
        }
        let lock = bounded::open(&self.0.join("lock")).ok()?;
        match lock.try_lock_shared() {
            // Nobody holds it; ours goes with the file.
            Ok(()) => None,
            Err(_) => Some(running),
        }
    }

    fn lock(&self) -> anyhow::Result<File> {
        std::fs::create_dir_all(&self.0).with_context(|| format!("making {}", self.0.display()))?;
        let path = self.0.join("lock");
        let file = File::create(&path).with_context(|| format!("making {}", path.display()))?;
        let asked = Instant::now();
        while file.try_lock().is_err() {
            if asked.elapsed() > LOCK_WITHIN {
                bail!("a lab runs in {} already (`kgen lab down` stops it)", self.0.display());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(file)
    }
}

/// Runs the lab until SIGTERM, SIGINT or SIGHUP. Call it on the main thread: the emulator lives no longer than it.
///
/// # Errors
/// Another lab runs in the folder, the port is taken, or something that the lab needs is missing.
pub fn run(folder: &Folder, port: u16, hardware: Hardware, say: Say) -> anyhow::Result<()> {
    let _lock = folder.lock()?;
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
    let monitoring = Monitoring::new(runtime.handle().clone(), emulator_address, Arc::clone(&say));
    let facts = json!({
        "scale": hardware.scale,
        "hardware": hardware.to_string(),
        "cpu_limit": machine.means.to_string(),
        "memory_limit": machine.means.limits_memory(),
        "kafka_version": KAFKA_VERSION,
        "ca": certificates.ca,
        "emulator": format!("moto {MOTO_VERSION}"),
        "pid": std::process::id(),
    });
    let crew = FleetCrew { machine, certificates, monitoring, say };
    let lab = Lab::open(LabConfig {
        state_dir: folder.path().to_owned(),
        crew: Arc::new(move |assignment| crew.run(assignment)),
        facts: Box::new(move || facts.clone()),
    })?;

    let record = folder.path().join("lab.json");
    let running = Running { pid: std::process::id(), endpoint };
    files::replace_file(&record, &serde_json::to_vec_pretty(&running)?)
        .with_context(|| format!("writing {}", record.display()))?;
    let served = runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        server::serve(listener, asked_to_stop()?, lab.clone(), emulator_address).await
    });
    let stopped = lab.stop(STOP_PATIENCE);
    emulator.stop(Duration::from_secs(5));
    // Whoever looks finds the lock free anyway.
    let _ = std::fs::remove_file(&record);
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
    let port = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
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
