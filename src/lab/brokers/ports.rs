//! Ports of the lab's brokers: chosen together, and held for the life of the fleet.
//!
//! A broker that restarts lets go of its ports for seconds, and other programs, another lab among them, may choose ports meanwhile. So
//! every port of a fleet stays bound to a socket of this process that does not listen. Linux lets a server with `SO_REUSEADDR`, as
//! those of Java and Rust are, listen beside it, and refuses the port to who binds without, which is how ports are chosen here
//! (socket(7)). The ports of all other fleets in the lab's folder, running or not, are passed over, and ports are none that the system
//! gives to connections and to whoever asks for any port.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    ops::Range,
};

use anyhow::{Context as _, bail};
use socket2::{Domain, Socket, Type};

/// How often in a row the system may name a port that another fleet has: more often than a lab has ports.
const TRIES: usize = 20_000;

/// Ports from here up to those that the system gives away are the lab's choice: below are those of well-known servers.
const FIRST: u16 = 20_000;

/// Fewer ports than these are no choice.
const LEAST: usize = 2_000;

/// Where Linux says which ports it gives away (ip-sysctl: `ip_local_port_range`).
const GIVEN_AWAY: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// Binds a port of 127.0.0.1 that nobody has, and that stays free, when it is let go of, until somebody asks for this very port.
///
/// # Errors
/// The system has no free port.
fn bind_lasting() -> io::Result<(u16, Socket)> {
    let range = lasting(&std::fs::read_to_string(GIVEN_AWAY).unwrap_or_default());
    for _ in 0..range.len() {
        match hold(rand::random_range(range.clone())) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            bound => return bound,
        }
    }
    hold(0)
}

/// A socket that is bound to a port of 127.0.0.1 which no other socket has, and the port; any port for 0.
fn hold(port: u16) -> io::Result<(u16, Socket)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    // From here on a server may listen beside it.
    socket.set_reuse_address(true)?;
    let port = socket.local_addr()?.as_socket().map_or(port, |address| address.port());
    Ok((port, socket))
}

/// A port of 127.0.0.1 that nobody has now, and that the system does not give away.
///
/// # Errors
/// The system has none.
pub fn free_port() -> io::Result<u16> {
    bind_lasting().map(|(port, _)| port)
}

/// The ports of [`bind_lasting`]; none where the system gives away almost all.
fn lasting(given_away: &str) -> Range<u16> {
    let lowest = given_away.split_whitespace().next().and_then(|port| port.parse::<u16>().ok());
    let range = FIRST..lowest.unwrap_or(FIRST);
    if range.len() < LEAST { FIRST..FIRST } else { range }
}

/// Chosen ports with what holds each.
#[derive(Debug)]
pub struct Reserved<H = Socket> {
    held: BTreeMap<u16, H>,
    /// Ports that are someone else's, whether they are in use now or not.
    taken: BTreeSet<u16>,
}

impl Reserved {
    /// Nothing is chosen yet; `taken` will not be.
    pub fn without(taken: BTreeSet<u16>) -> Reserved {
        Reserved { held: BTreeMap::new(), taken }
    }

    /// A port of 127.0.0.1 that nobody uses and no fleet has.
    ///
    /// # Errors
    /// The system has none.
    pub fn choose(&mut self) -> anyhow::Result<u16> {
        self.choose_with(bind_lasting)
    }

    /// Holds ports that were chosen before, as far as nobody has them: whose they are is seen when a broker starts.
    pub fn hold(&mut self, ports: &[u16]) {
        for port in ports {
            if !self.held.contains_key(port)
                && let Ok((_, socket)) = hold(*port)
            {
                self.held.insert(*port, socket);
            }
        }
    }

    /// Adds what `other` holds.
    pub fn add(&mut self, other: Reserved) {
        self.held.extend(other.held);
    }

    /// Listens on a port, which this may hold, for a server of this process.
    ///
    /// # Errors
    /// Someone else listens there.
    pub fn listener(&self, port: u16) -> io::Result<TcpListener> {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port))
    }
}

impl<H> Reserved<H> {
    fn choose_with(&mut self, mut bind: impl FnMut() -> io::Result<(u16, H)>) -> anyhow::Result<u16> {
        // Held too, or the system would name them again.
        let mut passed_over = Vec::new();
        for _ in 0..TRIES {
            let (port, holder) = bind().context("looking for a free port on 127.0.0.1")?;
            if self.taken.contains(&port) || self.held.contains_key(&port) {
                passed_over.push(holder);
                continue;
            }
            self.held.insert(port, holder);
            return Ok(port);
        }
        bail!("there is no free port on 127.0.0.1 for the brokers: other clusters of the lab use them all")
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    /// Ports of one broker, and of a fleet of fifteen with its controller.
    const OF_BROKER: usize = 6;
    const OF_FLEET: usize = 15 * OF_BROKER + 1;

    /// A system that gives any port that nobody holds.
    #[derive(Clone)]
    struct System(Rc<RefCell<(BTreeSet<u16>, StdRng)>>);

    struct Held(System, u16);

    impl System {
        fn new(seed: u64) -> System {
            System(Rc::new(RefCell::new((BTreeSet::new(), StdRng::seed_from_u64(seed)))))
        }

        fn bind(&self) -> (u16, Held) {
            let mut state = self.0.borrow_mut();
            let (held, random) = &mut *state;
            loop {
                let port = random.random_range(32_768..61_000);
                if held.insert(port) {
                    return (port, Held(self.clone(), port));
                }
            }
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            self.0.0.borrow_mut().0.remove(&self.1);
        }
    }

    fn reserved(taken: BTreeSet<u16>) -> Reserved<Held> {
        Reserved { held: BTreeMap::new(), taken }
    }

    #[test]
    fn ports_are_none_that_the_system_gives_away() {
        assert_eq!(lasting("32768\t60999\n"), 20_000..32_768);
        for nothing in ["", "1024 65535", "21000 61000", "many"] {
            assert!(lasting(nothing).is_empty(), "{nothing:?}");
        }
        let range = lasting(&std::fs::read_to_string(GIVEN_AWAY).unwrap_or_default());
        let port = free_port().unwrap();
        assert!(range.is_empty() || range.contains(&port), "{port} is not in {range:?}");
    }

    #[test]
    fn six_hundred_fleets_of_fifteen_have_no_port_twice() {
        for seed in 0..600 {
            let system = System::new(seed);
            let mut fleet = reserved(BTreeSet::new());
            let ports: Vec<u16> = (0..OF_FLEET).map(|_| fleet.choose_with(|| Ok(system.bind())).unwrap()).collect();
            assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), OF_FLEET, "seed {seed}");
        }
    }

    /// Whether they run or have been let go of.
    #[test]
    fn fleets_of_one_lab_have_no_port_in_common() {
        for seed in 0..75 {
            let system = System::new(seed);
            let mut all = BTreeSet::new();
            let mut running = Vec::new();
            for number in 0..8 {
                let mut fleet = reserved(all.clone());
                let ports: Vec<u16> = (0..OF_FLEET).map(|_| fleet.choose_with(|| Ok(system.bind())).unwrap()).collect();
                assert!(ports.iter().all(|port| all.insert(*port)), "seed {seed}, fleet {number}");
                running.extend((number % 2 == 0).then_some(fleet));
            }
        }
    }

    #[test]
    fn a_system_without_a_port_is_an_error() {
        let mut fleet = reserved(BTreeSet::from([7]));
        let system = System::new(0);
        let error = fleet.choose_with(|| Ok((7, system.bind().1))).unwrap_err().to_string();
        assert!(error.contains("no free port on 127.0.0.1"), "{error}");
    }

    #[test]
    fn a_port_stays_the_fleets_while_its_broker_is_away() {
        let mut fleet = Reserved::without(BTreeSet::new());
        let port = fleet.choose().unwrap();
        let broker = || fleet.listener(port).unwrap();
        drop(broker());
        assert_eq!(hold(port).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let running = broker();
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() && hold(port).is_err());
        drop(running);

        // A lab that is started again takes up the ports of its fleets; a fleet that grows keeps those it has.
        drop(fleet);
        let (mut again, mut more) = (Reserved::without(BTreeSet::new()), Reserved::without(BTreeSet::new()));
        again.hold(&[port]);
        assert!(hold(port).is_err());
        let other = more.choose().unwrap();
        again.add(more);
        assert!(hold(port).is_err() && hold(other).is_err());
        drop(again);
        assert_eq!(hold(port).unwrap().0, port);
    }
}
