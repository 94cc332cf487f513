//! A broker's share of the loopback interface, by `tc`: one class for what goes to it and comes from it.
//!
//! What a broker fetches from the others comes from their ports, so the ports of its own end of those connections are in the
//! class too; they are looked for again and again, as a connection that is recreated has another.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use crate::process::Tool;

/// Names our queueing discipline, so that nobody else's is removed ("KG").
const HANDLE: &str = "4b47:";
/// Says which lab shapes the interface.
const OWNER: &str = "/run/kgen-lab-network";
/// The class of everything else, which is faster than the interface.
const OTHERS: &str = "100gbit";
/// More than the largest packet of the loopback interface, bytes.
const BURST: &str = "96kb";
/// What a packet may wait before it is dropped (the measured scenario's).
const LATENCY: &str = "300ms";

/// The class of the broker.
fn own_class() -> String {
    format!("{HANDLE}2")
}

/// The loopback interface, shaped. Dropping it takes the rules away.
#[derive(Debug)]
pub struct Shaping {
    tc: Tool,
    /// Ports in the class.
    ports: BTreeSet<u16>,
    peers: Vec<u16>,
}

impl Shaping {
    /// Holds what goes to and from the broker at `port`, whose process is `pid`, to `bits_per_s`. `peers` are the other
    /// brokers' ports.
    ///
    /// # Errors
    /// Someone else shapes the interface, or `tc` refuses.
    pub fn start(port: u16, pid: Option<u32>, peers: Vec<u16>, bits_per_s: u64) -> anyhow::Result<Shaping> {
        let tc = tc();
        let there = tc.stdout(["qdisc", "show", "dev", "lo"]).context("checking the loopback interface")?;
        if let Some(line) = there.lines().find(|line| line.contains("root") && !line.starts_with("qdisc noqueue")) {
            bail!(
                "traffic on the loopback interface is already shaped ({line}): `tc qdisc del dev lo root` removes \
                   that"
            );
        }
        fs::write(OWNER, std::process::id().to_string()).with_context(|| format!("writing {OWNER}"))?;
        let mut shaping = Shaping { tc, ports: BTreeSet::new(), peers };
        let rate = format!("{bits_per_s}bit");
        let (others, own) = (format!("{HANDLE}1"), own_class());
        let class = |id| {
            ["class", "add", "dev", "lo", "parent", HANDLE, "classid", id, "htb", "rate", OTHERS, "quantum", "60000"]
        };
        let bucket = ["parent", &own, "tbf", "rate", &rate, "burst", BURST, "latency", LATENCY];
        for words in [
            vec!["qdisc", "add", "dev", "lo", "root", "handle", HANDLE, "htb", "default", "1"],
            class(&others).to_vec(),
            class(&own).to_vec(),
            [&["qdisc", "add", "dev", "lo"][..], &bucket].concat(),
        ] {
            shaping.tc.stdout(words).context("shaping the loopback interface")?;
        }
        shaping.add(port)?;
        shaping.follow(pid)?;
        Ok(shaping)
    }

    /// Takes in the connections that the broker has made since.
    ///
    /// # Errors
    /// `tc` refuses.
    pub fn follow(&mut self, pid: Option<u32>) -> anyhow::Result<()> {
        let Some(pid) = pid else { return Ok(()) };
        for port in outgoing(pid, &self.peers) {
            self.add(port)?;
        }
        Ok(())
    }

    /// Packets that were dropped or had to wait because of the limit; nothing where `tc` does not say.
    pub fn packets(&self) -> Option<u64> {
        let said = self.tc.stdout(["-s", "qdisc", "show", "dev", "lo"]).ok()?;
        packets_shaped(&said)
    }

    fn add(&mut self, port: u16) -> anyhow::Result<()> {
        if !self.ports.insert(port) {
            return Ok(());
        }
        let (port, class) = (port.to_string(), own_class());
        for direction in ["dport", "sport"] {
            let words =
                ["filter", "add", "dev", "lo", "parent", HANDLE, "protocol", "ip", "prio", "1", "u32", "match", "ip"];
            let rest = [direction, port.as_str(), "0xffff", "flowid", class.as_str()];
            self.tc.stdout(words.into_iter().chain(rest)).context("shaping the loopback interface")?;
        }
        Ok(())
    }
}

/// What `tc -s qdisc` says of the token bucket: `Sent … (dropped 3, overlimits 40 requeues 0)`.
fn packets_shaped(said: &str) -> Option<u64> {
    let mut lines = said.lines().skip_while(|line| !line.starts_with("qdisc tbf"));
    let sent = lines.find(|line| line.contains("overlimits"))?;
    let number =
        |name: &str| sent.split_once(name)?.1.split([' ', ',']).find(|word| !word.is_empty())?.parse::<u64>().ok();
    Some(number("dropped")? + number("overlimits")?)
}

impl Drop for Shaping {
    fn drop(&mut self) {
        remove(&self.tc);
    }
}

/// Takes away the rules of a lab that is no more.
pub fn clean_up() {
    let Ok(owner) = fs::read_to_string(OWNER) else { return };
    if !Path::new("/proc").join(owner.trim()).exists() {
        remove(&tc());
    }
}

/// Whether the kernel has what is used: tried on a network of its own, which touches nobody's.
pub fn is_known_to_the_kernel() -> bool {
    let script = format!(
        "tc qdisc add dev lo root handle {HANDLE} htb default 1 && \
         tc class add dev lo parent {HANDLE} classid {HANDLE}2 htb rate 1mbit && \
         tc qdisc add dev lo parent {HANDLE}2 tbf rate 1mbit burst {BURST} latency {LATENCY} && \
         tc filter add dev lo parent {HANDLE} protocol ip prio 1 u32 match ip dport 1 0xffff flowid {HANDLE}2"
    );
    Tool::new("unshare", "/").run(["-n", "sh", "-c", &script]).is_ok_and(|finished| finished.code == Some(0))
}

fn tc() -> Tool {
    Tool::new("tc", PathBuf::from("/"))
}

fn remove(tc: &Tool) {
    let ours = tc.stdout(["qdisc", "show", "dev", "lo"]).is_ok_and(|text| text.contains(&format!("htb {HANDLE} root")));
    if ours {
        // What stays is removed by the next lab.
        let _ = tc.run(["qdisc", "del", "dev", "lo", "root"]);
    }
    let _ = fs::remove_file(OWNER);
}

/// Local ports of the connections that process `pid` has made to `peers`.
fn outgoing(pid: u32, peers: &[u16]) -> BTreeSet<u16> {
    let process = Path::new("/proc").join(pid.to_string());
    let sockets: BTreeSet<String> = fs::read_dir(process.join("fd"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    let text = |name: &str| fs::read_to_string(process.join("net").join(name)).unwrap_or_default();
    let tables = text("tcp") + &text("tcp6");
    connections(&tables, peers).into_iter().filter(|(_, inode)| sockets.contains(inode)).map(|(port, _)| port).collect()
}

/// Local port and inode of each connection to one of `peers`, of proc_net_tcp(5).
fn connections(table: &str, peers: &[u16]) -> Vec<(u16, String)> {
    let port = |address: &str| u16::from_str_radix(address.rsplit_once(':')?.1, 16).ok();
    table
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (local, remote) = (port(fields.get(1)?)?, port(fields.get(2)?)?);
            peers.contains(&remote).then(|| Some((local, (*fields.get(9)?).to_owned()))).flatten()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_that_waited_are_counted() {
        let said = "qdisc htb 4b47: root refcnt 2 r2q 10\n Sent 9 bytes 8 pkt (dropped 1, overlimits 7 requeues 0)\n\
                    qdisc tbf 8001: parent 4b47:2 rate 1Mbit burst 96Kb lat 300ms\n \
                    Sent 5 bytes 4 pkt (dropped 3, overlimits 40 requeues 0)\n backlog 0b 0p requeues 0\n";
        assert_eq!((packets_shaped(said), packets_shaped("")), (Some(43), None));
    }

    #[test]
    fn connections_to_peers_are_found_in_either_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 0100007F:2384 01 00000000:00000000 00:00000000 00000000     0        0 1234 1 0 20 4 30 10 -1\n\
            1: 0000000000000000FFFF00000100007F:C350 0000000000000000FFFF00000100007F:2385 01 0:0 0:0 0 0 0 77 1 0 20 4\n\
            2: 0100007F:1F91 0100007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 9 1 0 20 4 30 10 -1\n";
        let found = connections(table, &[9092, 9093]);
        assert_eq!(found, [(8080, "1234".to_owned()), (50000, "77".to_owned())]);
    }

    #[test]
    fn the_ends_of_a_connection_of_this_process_are_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let found = outgoing(std::process::id(), &[port]);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [stream.local_addr().unwrap().port()]);
    }
}
