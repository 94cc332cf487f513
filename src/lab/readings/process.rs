//! What /proc and the file systems say of a broker's process, beside CPU and memory.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use crate::sample::BrokerId;

/// Maps that a process may have, percent of the system's limit for one process.
pub fn mapped_files_percent(pid: u32) -> Option<f64> {
    let limit: f64 = fs::read_to_string("/proc/sys/vm/max_map_count").ok()?.trim().parse().ok()?;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?.lines().count();
    (limit > 0.0).then(|| maps as f64 / limit * 100.0)
}

/// Bytes of the process that are swapped out, and bytes of swap that the machine has left.
pub fn swap(pid: u32) -> Option<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let machine = fs::read_to_string("/proc/meminfo").ok()?;
    Some((kibibytes(&status, "VmSwap:")? << 10, kibibytes(&machine, "SwapFree:")? << 10))
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// Use of the file system that holds `path`, percent.
pub fn used_percent(path: &Path) -> Option<f64> {
    let volume = rustix::fs::statvfs(path).ok()?;
    let used = volume.f_blocks.saturating_sub(volume.f_bfree);
    let all = used + volume.f_bavail;
    (all > 0).then(|| used as f64 / all as f64 * 100.0)
}

/// Whether a process is there and has not ended. One that is stopped still runs.
pub fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// How many connections brokers have made to each broker: `brokers` are their processes and the ports of their Kafka
/// listener. Of every broker that is named, also of those without a connection.
pub fn connections_between(brokers: &BTreeMap<BrokerId, (u32, u16)>) -> BTreeMap<BrokerId, u64> {
    let by_port: HashMap<u16, BrokerId> = brokers.iter().map(|(id, (_, port))| (*port, *id)).collect();
    let mut found: BTreeMap<BrokerId, u64> = brokers.keys().map(|id| (*id, 0)).collect();
    let Some((pid, _)) = brokers.values().next() else { return found };
    // All brokers are in one network namespace.
    let table = |name: &str| fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap_or_default();
    let made: HashMap<u64, BrokerId> =
        ["tcp", "tcp6"].iter().flat_map(|name| established(&table(name), &by_port)).collect();
    for (pid, _) in brokers.values() {
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            let inode = target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            if let Some(to) = inode.and_then(|inode: u64| made.get(&inode)) {
                *found.entry(*to).or_default() += 1;
            }
        }
    }
    found
}

/// Inode of each established connection to one of the ports, of proc_net_tcp(5), and whose port it is.
fn established(table: &str, ports: &HashMap<u16, BrokerId>) -> Vec<(u64, BrokerId)> {
    const ESTABLISHED: &str = "01";
    let of_line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let remote = u16::from_str_radix(fields.get(2)?.rsplit_once(':')?.1, 16).ok()?;
        let to = *ports.get(&remote)?;
        (*fields.get(3)? == ESTABLISHED).then_some((fields.get(9)?.parse().ok()?, to))
    };
    table.lines().filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_this_process_are_counted_once_each() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let streams: Vec<_> = (0..3).map(|_| std::net::TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
        let found = connections_between(&BTreeMap::from([(4, (std::process::id(), port))]));
        assert_eq!(found, BTreeMap::from([(4, streams.len() as u64)]));
        assert_eq!(connections_between(&BTreeMap::new()), BTreeMap::new());
    }

    #[test]
    fn this_process_runs_and_has_maps() {
        let own = std::process::id();
        assert!(runs(own) && !runs(u32::MAX));
        assert!(mapped_files_percent(own).is_some_and(|percent| percent > 0.0 && percent < 100.0));
        assert!(used_percent(Path::new("/")).is_some_and(|percent| (0.0..=100.0).contains(&percent)));
        assert_eq!(kibibytes("VmSwap:\t  12 kB\n", "VmSwap:"), Some(12));
    }
}
