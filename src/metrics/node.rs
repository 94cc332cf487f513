//! What the node exporter of a broker's machine shows at one moment. Pure.

use super::exposition::{Exposition, percent, sum};
use crate::exposition::Labels;

/// File systems in memory, of images and of containers: none holds a log. (`fstype` of node_exporter.)
const NO_VOLUMES: [&str; 10] =
    ["tmpfs", "devtmpfs", "ramfs", "squashfs", "overlay", "aufs", "iso9660", "efivarfs", "nsfs", "fuse.lxcfs"];

/// The system's own mounts, with what is below them.
const OF_THE_SYSTEM: [&str; 8] = ["/boot", "/run", "/sys", "/proc", "/dev", "/snap", "/etc", "/var/lib/docker"];

/// From the node exporter (MSK: port 11002), with the lab's own metrics where there are any.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Node {
    pub(super) cpu_user_s: Option<f64>,
    pub(super) cpu_system_s: Option<f64>,
    pub(super) cpu_io_wait_s: Option<f64>,
    pub(super) cpu_total_s: Option<f64>,
    pub(super) memory_total_bytes: Option<f64>,
    pub(super) memory_available_bytes: Option<f64>,
    pub(super) disk_used_percent: Option<f64>,
    pub(super) cpu_periods: Option<f64>,
    pub(super) cpu_throttled_periods: Option<f64>,
    pub(super) cpu_credit_balance: Option<f64>,
    host_cpu_pressure_percent: Option<f64>,
}

impl Node {
    pub fn parse(text: &str) -> Node {
        let found = Exposition::parse(text);
        let cpu = |modes: &[&str]| {
            let of_mode = |labels: &Labels| {
                modes.is_empty() || labels.get("mode").is_some_and(|mode| modes.contains(&mode.as_ref()))
            };
            sum(found.all("node_cpu_seconds_total").filter(|(labels, _)| of_mode(labels)).map(|(_, value)| value))
        };
        let bare = |name| found.value(name, &[]);
        // Linux before 3.14 does not say what is available.
        let reclaimable = ["node_memory_MemFree_bytes", "node_memory_Buffers_bytes", "node_memory_Cached_bytes"];
        Node {
            cpu_user_s: cpu(&["user", "nice"]),
            cpu_system_s: cpu(&["system", "irq", "softirq"]),
            cpu_io_wait_s: cpu(&["iowait"]),
            cpu_total_s: cpu(&[]),
            memory_total_bytes: bare("node_memory_MemTotal_bytes"),
            memory_available_bytes: bare("node_memory_MemAvailable_bytes")
                .or_else(|| reclaimable.into_iter().map(bare).sum()),
            disk_used_percent: disk_used(&found),
            cpu_periods: bare("kgen_lab_cpu_periods_total"),
            cpu_throttled_periods: bare("kgen_lab_cpu_throttled_periods_total"),
            cpu_credit_balance: bare("kgen_lab_cpu_credit_balance"),
            host_cpu_pressure_percent: bare("kgen_lab_host_cpu_pressure_percent"),
        }
    }

    pub fn host_cpu_pressure_percent(&self) -> Option<f64> {
        self.host_cpu_pressure_percent
    }
}

/// Of the volumes that hold Kafka's logs, the fullest, percent: on MSK the one at `/kafka/datalogs`. Nothing where none can be
/// one, and never the root file system: that it is full is no reason to enlarge a data volume, which cannot be undone.
fn disk_used(found: &Exposition) -> Option<f64> {
    let volumes: Vec<(String, f64)> = found
        .all("node_filesystem_size_bytes")
        .filter(|(labels, size)| *size > 0.0 && may_hold_logs(labels))
        .filter_map(|(labels, size)| {
            let mount = labels.get("mountpoint")?;
            let mut wanted = vec![("mountpoint", mount.as_ref())];
            let device = labels.get("device");
            wanted.extend(device.as_deref().map(|device| ("device", device)));
            let available = found.value("node_filesystem_avail_bytes", &wanted)?;
            Some((mount.to_ascii_lowercase(), percent(Some(size - available), Some(size))?))
        })
        .collect();
    let fullest = |words: &[&str]| {
        let named = volumes.iter().filter(|(mount, _)| words.iter().any(|word| mount.contains(word)));
        named.map(|(_, used)| *used).max_by(f64::total_cmp)
    };
    let only = || volumes.first().filter(|_| volumes.len() == 1).map(|(_, used)| *used);
    fullest(&["kafka", "datalogs"]).or_else(|| fullest(&["data", "log"])).or_else(only)
}

fn may_hold_logs(labels: &Labels) -> bool {
    let is_volume = labels.get("fstype").is_none_or(|kind| !NO_VOLUMES.contains(&kind.as_ref()));
    let is_own = |mount: &str| {
        mount != "/" && !OF_THE_SYSTEM.iter().any(|own| mount == *own || mount.starts_with(&format!("{own}/")))
    };
    is_volume && labels.get("mountpoint").is_some_and(|mount| is_own(&mount))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mount, its type, and how full it is, percent.
    type Mount = (&'static str, &'static str, f64);

    fn used(mounts: &[Mount]) -> Option<f64> {
        let lines = mounts.iter().map(|(mount, kind, used)| {
            let labels = format!("{{device=\"/dev/{kind}\",fstype=\"{kind}\",mountpoint=\"{mount}\"}}");
            format!(
                "node_filesystem_size_bytes{labels} 1000\nnode_filesystem_avail_bytes{labels} {}\n",
                1000.0 - used * 10.0
            )
        });
        Node::parse(&lines.collect::<String>()).disk_used_percent
    }

    #[test]
    fn only_the_volume_of_the_logs_counts() {
        let (root, data) = (("/", "ext4", 92.0), ("/kafka/datalogs", "ext4", 30.0));
        let rows: &[(&[Mount], Option<f64>)] = &[
            (&[root, data], Some(30.0)),
            (&[root], None),
            (&[root, ("/snap/core/1", "squashfs", 100.0)], None),
            (&[root, ("/mnt/image", "squashfs", 100.0), data], Some(30.0)),
            (
                &[root, ("/run", "tmpfs", 99.0), ("/var/lib/docker/overlay2/x/merged", "overlay", 95.0), data],
                Some(30.0),
            ),
            (&[root, ("/boot/efi", "vfat", 80.0), ("/mnt/vol-1", "xfs", 41.0)], Some(41.0)),
            (&[root, ("/data1", "xfs", 41.0), ("/data2", "xfs", 52.0), ("/home", "xfs", 90.0)], Some(52.0)),
            (&[root, ("/home", "xfs", 90.0), ("/srv", "xfs", 10.0)], None),
            (&[("/kafka/datalogs", "ext4", 30.0), ("/var/log", "ext4", 95.0)], Some(30.0)),
            (&[], None),
        ];
        for (mounts, expected) in rows {
            assert_eq!(used(mounts), *expected, "{mounts:?}");
        }
    }

    #[test]
    fn a_node_exporter_without_memory_has_none() {
        let node = Node::parse("node_cpu_seconds_total{cpu=\"0\",mode=\"user\"} 5\n");
        assert_eq!((node.memory_total_bytes, node.memory_available_bytes), (None, None));
        assert_eq!(node.cpu_user_s, Some(5.0));
        let old = "node_memory_MemFree_bytes 1\nnode_memory_Buffers_bytes 2\nnode_memory_Cached_bytes 4\n";
        assert_eq!(Node::parse(old).memory_available_bytes, Some(7.0));
    }
}
