//! The Kafka protocol as a source: a thread that reads topics and groups, and probes of each broker's port.
//!
//! The thread keeps the newest result; a broker that hangs makes it outdated, but delays nothing else.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time,
};

use crate::{
    kafka::{
        Connection,
        observe::{Observation, Observer},
    },
    sample::{BrokerId, Probe, Sample},
};

/// An ApiVersions request of version 0, which every broker answers before anyone signs in (Kafka protocol, key 18):
/// size, key, version, correlation id, client id.
const API_VERSIONS: [u8; 18] = [0, 0, 0, 14, 0, 18, 0, 0, 0, 0, 0, 1, 0, 4, b'k', b'g', b'e', b'n'];

/// The shortest time between two looks: each costs every broker a few requests.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(2);

/// Looks at one cluster until it is dropped.
#[derive(Debug)]
pub struct Protocol {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    newest: Mutex<Newest>,
    is_over: AtomicBool,
}

#[derive(Debug, Default)]
struct Newest {
    at_ms: i64,
    observation: Observation,
    /// Every broker that was ever seen: one that is gone is probed at its last address.
    addresses: BTreeMap<BrokerId, String>,
}

impl Protocol {
    /// Begins to look every `interval`, and no more often than every two seconds.
    pub fn start(connection: Connection, interval: Duration) -> Protocol {
        let shared = Arc::new(Shared::default());
        let for_thread = shared.clone();
        // Without a thread the samples lack topics and groups, which is a state that rules know.
        let _ = thread::Builder::new()
            .name("kafka-observer".to_owned())
            .spawn(move || look_on(&connection, interval.max(SHORTEST_INTERVAL), &for_thread));
        Protocol { shared }
    }

    /// Adds the newest look to `sample`, and what came of a connection to each broker.
    pub fn add_to(&self, sample: &mut Sample, probes: Vec<(BrokerId, Probe)>) {
        {
            let newest = self.newest();
            if newest.at_ms > 0 {
                sample.topics = newest.observation.topics.clone();
                sample.groups = newest.observation.groups.clone();
                sample.protocol_at_ms = Some(newest.at_ms);
            }
        }
        for (id, probe) in probes {
            sample.brokers.entry(id).or_default().probe = Some(probe);
        }
    }

    /// Begins to probe every known broker, each within `deadline`.
    pub fn probe(&self, deadline: Duration) -> JoinSet<(BrokerId, Probe)> {
        let addresses = self.newest().addresses.clone();
        let mut running = JoinSet::new();
        for (id, address) in addresses {
            running.spawn(async move { (id, probe(&address, deadline).await) });
        }
        running
    }

    fn newest(&self) -> parking_lot::MutexGuard<'_, Newest> {
        self.shared.newest.lock()
    }
}

impl Drop for Protocol {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
    }
}

fn look_on(connection: &Connection, interval: Duration, shared: &Shared) {
    let Ok(mut observer) = Observer::connect(connection) else { return };
    while !shared.is_over.load(Ordering::Relaxed) {
        let began = Instant::now();
        if let Some(observation) = observer.look() {
            let mut newest = shared.newest.lock();
            newest.at_ms = jiff::Timestamp::now().as_millisecond();
            newest.addresses.extend(observation.brokers.clone());
            newest.observation = observation;
        }
        thread::sleep(interval.saturating_sub(began.elapsed()).max(Duration::from_millis(50)));
    }
}

/// Asks for the API versions. Any answer counts, an error of TLS too: someone is there.
async fn probe(address: &str, deadline: Duration) -> Probe {
    let began = Instant::now();
    let asked = time::timeout(deadline, async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&API_VERSIONS).await?;
        let mut answer = [0; 4];
        stream.read(&mut answer).await
    });
    match asked.await {
        Ok(Ok(_)) => Probe::Answered(began.elapsed().as_secs_f64() * 1000.0),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Probe::Refused,
        // A connection that is cut: the process went away in between, or a listener that wants TLS.
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionReset => {
            Probe::Answered(began.elapsed().as_secs_f64() * 1000.0)
        }
        Ok(Err(_)) | Err(_) => Probe::Silent,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_port_answers_refuses_or_is_silent() {
        let answering = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = |listener: &TcpListener| listener.local_addr().expect("bound").to_string();
        let (answers, is_silent, refuses) = (address(&answering), address(&silent), address(&closed));
        drop(closed);
        tokio::spawn(async move {
            let (mut stream, _) = answering.accept().await.expect("a client");
            let mut request = [0; API_VERSIONS.len()];
            stream.read_exact(&mut request).await.expect("a request");
            assert_eq!(request[..4], (API_VERSIONS.len() as u32 - 4).to_be_bytes());
            stream.write_all(&[0; 12]).await.expect("an answer");
        });
        let within = Duration::from_millis(300);
        assert!(matches!(probe(&answers, within).await, Probe::Answered(_)));
        assert_eq!(probe(&refuses, within).await, Probe::Refused);
        assert_eq!(probe(&is_silent, within).await, Probe::Silent);
        drop(silent);
    }
}
