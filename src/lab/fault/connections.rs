//! Opens connections to brokers, again and again: what a fleet does whose clients are made for each request.

use std::{
    collections::VecDeque,
    io::Write as _,
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// An ApiVersions request of version 0 (Kafka protocol, key 18): size, key, version, correlation id, client id.
const API_VERSIONS: [u8; 18] = [0, 0, 0, 14, 0, 18, 0, 0, 0, 0, 0, 1, 0, 4, b'k', b'g', b'e', b'n'];

/// How long a broker may take to accept.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// Opens `per_s` connections a second over `brokers` by turns, each with one request, and keeps the newest `held` open.
/// Does not return.
pub fn open(brokers: &[SocketAddr], per_s: u32, held: usize) {
    let mut open: VecDeque<TcpStream> = VecDeque::with_capacity(held);
    let (started, mut due) = (Instant::now(), 0_u32);
    for broker in brokers.iter().cycle() {
        due = due.saturating_add(1);
        let at = Duration::from_secs_f64(f64::from(due) / f64::from(per_s.max(1)));
        std::thread::sleep(at.saturating_sub(started.elapsed()));
        // A broker that refuses is asked again: that is what such clients do.
        if let Ok(mut stream) = TcpStream::connect_timeout(broker, CONNECT_WITHIN) {
            let _ = stream.write_all(&API_VERSIONS);
            open.push_back(stream);
        }
        while open.len() > held {
            open.pop_front();
        }
    }
}
