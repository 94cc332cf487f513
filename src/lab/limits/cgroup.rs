//! CPU and memory limits by control groups, version 2 (one tree) and version 1 (a tree for each controller).

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{DiskLimit, Io, PERIOD, Usage};

/// A place in the version 2 tree where groups with a CPU controller can be made.
#[derive(Debug, Clone, PartialEq)]
pub struct V2 {
    root: PathBuf,
    pub has_memory: bool,
    pub has_io: bool,
}

/// The version 1 trees.
#[derive(Debug, Clone, PartialEq)]
pub struct V1 {
    cpu: PathBuf,
    cpuacct: Option<PathBuf>,
    memory: Option<PathBuf>,
    blkio: Option<PathBuf>,
}

/// The groups of one process; dropping it moves what is left in them to their parents and removes them.
#[derive(Debug)]
pub struct Cgroup {
    dirs: Dirs,
}

#[derive(Debug)]
enum Dirs {
    V2 { dir: PathBuf, has_memory: bool },
    V1 { cpu: PathBuf, cpuacct: Option<PathBuf>, memory: Option<PathBuf>, blkio: Option<PathBuf> },
}

impl V2 {
    pub fn detect(mountinfo: &str, own_cgroup: &str) -> Option<V2> {
        let mount = mounts(mountinfo).find(|mount| mount.kind == "cgroup2")?.at;
        let own = own_cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
        // The group that this process is in cannot hold groups with controllers and processes as well, so beside it
        // is tried first.
        let own = mount.join(own.trim_start_matches('/'));
        own.parent()
            .filter(|parent| parent.starts_with(&mount))
            .into_iter()
            .chain([own.as_path()])
            .filter_map(V2::usable)
            .next()
    }

    fn usable(root: &Path) -> Option<V2> {
        let controllers = fs::read_to_string(root.join("cgroup.controllers")).ok()?;
        let has = |name| controllers.split_whitespace().any(|controller| controller == name);
        if !has("cpu") {
            return None;
        }
        // Already on, or refused: the trial below tells.
        let _ = fs::write(root.join("cgroup.subtree_control"), "+cpu");
        let _ = fs::write(root.join("cgroup.subtree_control"), "+memory");
        let _ = fs::write(root.join("cgroup.subtree_control"), "+io");
        let trial = root.join(super::group_name(std::process::id(), "trial"));
        fs::create_dir(&trial).ok()?;
        let works = fs::write(trial.join("cpu.max"), "max").is_ok();
        let (has_memory, has_io) = (trial.join("memory.max").exists(), trial.join("io.max").exists());
        // An empty group can always be removed.
        let _ = fs::remove_dir(&trial);
        works.then(|| V2 { root: root.to_owned(), has_memory, has_io })
    }

    pub fn roots(&self) -> Vec<PathBuf> {
        vec![self.root.clone()]
    }

    pub fn create(&self, group: &str, pid: u32) -> io::Result<Cgroup> {
        let dir = made(&self.root, group)?;
        let cgroup = Cgroup { dirs: Dirs::V2 { dir: dir.clone(), has_memory: self.has_memory } };
        write(&dir, "cgroup.procs", &pid.to_string())?;
        Ok(cgroup)
    }
}

impl V1 {
    pub fn detect(mountinfo: &str) -> Option<V1> {
        let tree = |controller: &str, file: &str| {
            let at = mounts(mountinfo).find(|mount| mount.kind == "cgroup" && mount.has_option(controller))?.at;
            let trial = at.join(super::group_name(std::process::id(), "trial"));
            fs::create_dir(&trial).ok()?;
            let works = trial.join(file).exists();
            // An empty group can always be removed.
            let _ = fs::remove_dir(&trial);
            works.then_some(at)
        };
        Some(V1 {
            cpu: tree("cpu", "cpu.cfs_quota_us")?,
            cpuacct: tree("cpuacct", "cpuacct.usage"),
            memory: tree("memory", "memory.limit_in_bytes"),
            blkio: tree("blkio", "blkio.throttle.write_bps_device"),
        })
    }

    pub fn has_memory(&self) -> bool {
        self.memory.is_some()
    }

    pub fn has_blkio(&self) -> bool {
        self.blkio.is_some()
    }

    pub fn roots(&self) -> Vec<PathBuf> {
        let roots = [Some(self.cpu.clone()), self.cpuacct.clone(), self.memory.clone(), self.blkio.clone()];
        roots.into_iter().flatten().collect()
    }

    pub fn create(&self, group: &str, pid: u32) -> io::Result<Cgroup> {
        let cpu = made(&self.cpu, group)?;
        let optional = |root: &Option<PathBuf>| root.as_ref().map(|root| made(root, group)).transpose();
        let (cpuacct, memory) = (optional(&self.cpuacct)?, optional(&self.memory)?);
        let blkio = optional(&self.blkio)?;
        let dirs = [Some(cpu.clone()), cpuacct.clone(), memory.clone(), blkio.clone()];
        let dirs: Vec<PathBuf> = dirs.into_iter().flatten().collect();
        let cgroup = Cgroup { dirs: Dirs::V1 { cpu, cpuacct, memory, blkio } };
        for dir in dirs {
            write(&dir, "cgroup.procs", &pid.to_string())?;
        }
        Ok(cgroup)
    }
}

impl Cgroup {
    pub fn set_cores(&self, cores: Option<f64>) -> io::Result<()> {
        let period = PERIOD.as_micros();
        let quota = cores.map(|cores| (cores * period as f64) as u64);
        match &self.dirs {
            Dirs::V2 { dir, .. } => {
                let quota = quota.map_or("max".to_owned(), |quota| quota.to_string());
                write(dir, "cpu.max", &format!("{quota} {period}"))
            }
            Dirs::V1 { cpu, .. } => {
                write(cpu, "cpu.cfs_period_us", &period.to_string())?;
                write(cpu, "cpu.cfs_quota_us", &quota.map_or("-1".to_owned(), |quota| quota.to_string()))
            }
        }
    }

    pub fn set_memory(&self, bytes: u64) -> io::Result<()> {
        match &self.dirs {
            Dirs::V2 { dir, has_memory: true } => write(dir, "memory.max", &bytes.to_string()),
            Dirs::V1 { memory: Some(memory), .. } => write(memory, "memory.limit_in_bytes", &bytes.to_string()),
            _ => Ok(()),
        }
    }

    pub fn set_disk(&self, disk: &str, limit: Option<DiskLimit>) -> io::Result<()> {
        match &self.dirs {
            Dirs::V2 { dir, .. } => {
                let text = match limit {
                    Some(limit) => format!("{disk} wbps={} wiops={}", limit.bytes_per_s, limit.writes_per_s),
                    None => format!("{disk} wbps=max wiops=max"),
                };
                write(dir, "io.max", &text)
            }
            Dirs::V1 { blkio: Some(dir), .. } => {
                // 0 is no limit.
                let (bytes, writes) = limit.map_or((0, 0), |limit| (limit.bytes_per_s, limit.writes_per_s));
                write(dir, "blkio.throttle.write_bps_device", &format!("{disk} {bytes}"))?;
                write(dir, "blkio.throttle.write_iops_device", &format!("{disk} {writes}"))
            }
            Dirs::V1 { .. } => Err(io::Error::other("there is no control group for writes to disks")),
        }
    }

    /// `of_process` with what the groups know beside it (version 2 alone: version 1 counts no writes of the page cache).
    pub fn io(&self, of_process: Io) -> Io {
        let Dirs::V2 { dir, .. } = &self.dirs else { return of_process };
        let stat = fs::read_to_string(dir.join("io.stat")).ok();
        let pressure = fs::read_to_string(dir.join("io.pressure")).ok();
        Io {
            reads: stat.as_deref().map(|stat| requests(stat, "rios=")),
            writes: stat.as_deref().map(|stat| requests(stat, "wios=")),
            waited: pressure.as_deref().and_then(stalled),
            ..of_process
        }
    }

    /// `of_process` with what the groups know better.
    pub fn usage(&self, of_process: Usage) -> io::Result<Usage> {
        let number = |dir: &Path, file: &str| -> io::Result<u64> {
            fs::read_to_string(dir.join(file))?.trim().parse().map_err(io::Error::other)
        };
        let (stat, cpu, memory_bytes) = match &self.dirs {
            Dirs::V2 { dir, has_memory } => {
                let stat = fs::read_to_string(dir.join("cpu.stat"))?;
                let cpu = value(&stat, "usage_usec").map_or(of_process.cpu, Duration::from_micros);
                let memory = has_memory.then(|| number(dir, "memory.current")).transpose()?;
                (stat, cpu, memory)
            }
            Dirs::V1 { cpu, cpuacct, memory, .. } => {
                let used = cpuacct.as_ref().map(|dir| number(dir, "cpuacct.usage")).transpose()?;
                let memory = memory.as_ref().map(|dir| number(dir, "memory.usage_in_bytes")).transpose()?;
                let stat = fs::read_to_string(cpu.join("cpu.stat"))?;
                (stat, used.map_or(of_process.cpu, Duration::from_nanos), memory)
            }
        };
        Ok(Usage {
            cpu,
            periods: value(&stat, "nr_periods").unwrap_or(0),
            throttled_periods: value(&stat, "nr_throttled").unwrap_or(0),
            memory_bytes,
            ..of_process
        })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let dirs: Vec<&PathBuf> = match &self.dirs {
            Dirs::V2 { dir, .. } => vec![dir],
            Dirs::V1 { cpu, cpuacct, memory, blkio } => {
                [Some(cpu), cpuacct.as_ref(), memory.as_ref(), blkio.as_ref()].into_iter().flatten().collect()
            }
        };
        for dir in dirs {
            for pid in fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default().lines() {
                if let Some(parent) = dir.parent() {
                    // It may have ended since.
                    let _ = fs::write(parent.join("cgroup.procs"), pid);
                }
            }
            // One that stays is removed by the next lab (`Means::clean_up`).
            let _ = fs::remove_dir(dir);
        }
    }
}

fn made(root: &Path, group: &str) -> io::Result<PathBuf> {
    let dir = root.join(group);
    match fs::create_dir(&dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(io::Error::new(error.kind(), format!("making {}: {error}", dir.display())))
        }
        _ => Ok(dir),
    }
}

fn write(dir: &Path, file: &str, text: &str) -> io::Result<()> {
    let path = dir.join(file);
    fs::write(&path, text)
        .map_err(|error| io::Error::new(error.kind(), format!("writing {text} to {}: {error}", path.display())))
}

fn value(stat: &str, name: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// Requests of one kind to all disks, of io.stat.
fn requests(stat: &str, kind: &str) -> u64 {
    stat.split_whitespace().filter_map(|word| word.strip_prefix(kind)?.parse::<u64>().ok()).sum()
}

/// Time in which some task waited, of io.pressure.
fn stalled(pressure: &str) -> Option<Duration> {
    let some = pressure.lines().find_map(|line| line.strip_prefix("some "))?;
    some.split(' ').find_map(|word| word.strip_prefix("total=")?.parse().ok()).map(Duration::from_micros)
}

struct Mount<'a> {
    at: PathBuf,
    kind: &'a str,
    options: &'a str,
}

impl Mount<'_> {
    fn has_option(&self, name: &str) -> bool {
        self.options.split(',').any(|option| option == name)
    }
}

/// Mounts of proc_pid_mountinfo(5): fields before and after " - ".
fn mounts(mountinfo: &str) -> impl Iterator<Item = Mount<'_>> {
    mountinfo.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let (kind, _source, options) = (after.next()?, after.next()?, after.next().unwrap_or_default());
        Some(Mount { at: PathBuf::from(before.split(' ').nth(4)?), kind, options })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_with_their_controllers() {
        let text = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                    41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\nnonsense";
        let read: Vec<(String, bool)> =
            mounts(text).map(|mount| (mount.at.display().to_string(), mount.has_option("cpu"))).collect();
        let expected = [("/sys/fs/cgroup/cpu,cpuacct".to_owned(), true), ("/sys/fs/cgroup/unified".to_owned(), false)];
        assert_eq!(read, expected);
    }

    #[test]
    fn requests_and_waits_are_read() {
        let stat = "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n7:1 rbytes=1 wbytes=2 rios=30 wios=40\n";
        assert_eq!((requests(stat, "rios="), requests(stat, "wios=")), (33, 44));
        let pressure = "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500\nfull avg10=0.00 total=9\n";
        assert_eq!(stalled(pressure), Some(Duration::from_micros(1500)));
    }

    #[test]
    fn a_name_that_begins_another_is_not_mistaken_for_it() {
        let stat = "nr_periods 12\nnr_throttled 3\nthrottled_time 4000\nusage_usec 9\n";
        for (name, expected) in
            [("nr_periods", Some(12)), ("nr_throttled", Some(3)), ("usage_usec", Some(9)), ("usage", None)]
        {
            assert_eq!(value(stat, name), expected, "{name}");
        }
    }
}
