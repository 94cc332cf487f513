//! Limits the CPU share and the memory of a process, with the first method that works here.
//!
//! cgroup v2, else cgroup v1, else stopping and continuing the process (duty cycle, needs no rights). Memory is
//! limited by a cgroup or not at all.

mod cgroup;
mod duty;

use std::{fmt, fs, path::Path, time::Duration};

use cgroup::Cgroup;
use duty::DutyCycle;

/// How the CPU of brokers is limited on this machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Means {
    CgroupV2(cgroup::V2),
    CgroupV1(cgroup::V1),
    DutyCycle,
}

/// A limit on one process; dropping it lifts the limit.
#[derive(Debug)]
pub struct Limit {
    pid: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Cgroup(Cgroup),
    Duty(DutyCycle),
}

/// What a process has used since it was put under its limit (memory: uses now).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// CPU time, exact.
    pub cpu: Duration,
    /// Of the CPU time, what was spent in user mode, 0 to 1, over the process's life.
    pub user_share: f64,
    pub periods: u64,
    pub throttled_periods: u64,
    /// Memory including the page cache that it filled; `None` without a memory cgroup.
    pub memory_bytes: Option<u64>,
    pub rss_bytes: u64,
}

/// What a process has read from disks and written to them since it began, as far as this machine tells.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Io {
    pub read_bytes: Option<u64>,
    pub written_bytes: Option<u64>,
    /// Requests to disks; control groups of version 2 alone count those of the page cache too.
    pub reads: Option<u64>,
    pub writes: Option<u64>,
    /// Time in which something of it waited for a disk.
    pub waited: Option<Duration>,
}

/// What a process may write to one disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskLimit {
    pub bytes_per_s: u64,
    pub writes_per_s: u64,
}

/// Length of a scheduling period: that of the kernel's default.
const PERIOD: Duration = Duration::from_millis(100);

/// Smallest quota that the kernel takes is 1 ms a period.
const CORES_MIN: f64 = 0.01;

impl Means {
    /// The first that works here, tried by making a group and removing it.
    pub fn detect() -> Means {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        cgroup::V2::detect(&mounts, &own)
            .map(Means::CgroupV2)
            .or_else(|| cgroup::V1::detect(&mounts).map(Means::CgroupV1))
            .unwrap_or(Means::DutyCycle)
    }

    /// Whether memory is limited too.
    pub fn limits_memory(&self) -> bool {
        match self {
            Means::CgroupV2(v2) => v2.has_memory,
            Means::CgroupV1(v1) => v1.has_memory(),
            Means::DutyCycle => false,
        }
    }

    /// Whether writes to disks can be held back too.
    pub fn limits_disk(&self) -> bool {
        match self {
            Means::CgroupV2(v2) => v2.has_io,
            Means::CgroupV1(v1) => v1.has_blkio(),
            Means::DutyCycle => false,
        }
    }

    /// Removes the groups that labs left behind which are no more.
    pub fn clean_up(&self) {
        let roots = match self {
            Means::CgroupV2(v2) => v2.roots(),
            Means::CgroupV1(v1) => v1.roots(),
            Means::DutyCycle => Vec::new(),
        };
        for root in roots {
            remove_dead(&root);
        }
    }

    /// Puts `pid` under a limit that holds nothing back yet. `name` is a word that tells it from this lab's others.
    ///
    /// # Errors
    /// The group could not be made, or the process could not be put into it.
    pub fn limit(&self, name: &str, pid: u32) -> std::io::Result<Limit> {
        let group = group_name(std::process::id(), name);
        let kind = match self {
            Means::CgroupV2(v2) => Kind::Cgroup(v2.create(&group, pid)?),
            Means::CgroupV1(v1) => Kind::Cgroup(v1.create(&group, pid)?),
            Means::DutyCycle => Kind::Duty(DutyCycle::start(pid)),
        };
        Ok(Limit { pid, kind })
    }
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Means::CgroupV2(_) => "cgroup v2",
            Means::CgroupV1(_) => "cgroup v1",
            Means::DutyCycle => "duty cycle (SIGSTOP and SIGCONT)",
        })
    }
}

impl Limit {
    /// Sets the CPU limit in cores; `None` lifts it.
    ///
    /// # Errors
    /// What the kernel says to the new quota.
    pub fn set_cores(&self, cores: Option<f64>) -> std::io::Result<()> {
        let cores = cores.map(|cores| cores.max(CORES_MIN));
        match &self.kind {
            Kind::Cgroup(group) => group.set_cores(cores),
            Kind::Duty(duty) => {
                duty.set_cores(cores);
                Ok(())
            }
        }
    }

    /// Sets the memory limit, page cache included; does nothing where there is no memory cgroup.
    ///
    /// # Errors
    /// What the kernel says, such as that this much is already in use and cannot be given back.
    pub fn set_memory(&self, bytes: u64) -> std::io::Result<()> {
        match &self.kind {
            Kind::Cgroup(group) => group.set_memory(bytes),
            Kind::Duty(_) => Ok(()),
        }
    }

    /// Holds writes to `disk` (`major:minor`) back, or no more.
    ///
    /// # Errors
    /// What the kernel says; that there is no control group for it.
    pub fn set_disk(&self, disk: &str, limit: Option<DiskLimit>) -> std::io::Result<()> {
        match &self.kind {
            Kind::Cgroup(group) => group.set_disk(disk, limit),
            Kind::Duty(_) => Err(std::io::Error::other("there is no control group for writes to disks")),
        }
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What the process has read and written.
    pub fn io(&self) -> Io {
        let text = fs::read_to_string(format!("/proc/{}/io", self.pid)).unwrap_or_default();
        let number = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        let of_process =
            Io { read_bytes: number("read_bytes:"), written_bytes: number("write_bytes:"), ..Io::default() };
        match &self.kind {
            Kind::Cgroup(group) => group.io(of_process),
            Kind::Duty(_) => of_process,
        }
    }

    /// What the process has used.
    ///
    /// # Errors
    /// The process or its group is gone.
    pub fn usage(&self) -> std::io::Result<Usage> {
        let of_process = process_usage(self.pid)?;
        match &self.kind {
            Kind::Cgroup(group) => group.usage(of_process),
            Kind::Duty(duty) => Ok(duty.usage(of_process)),
        }
    }
}

/// The whole disk that `path` is on, as `major:minor`; nothing where that is no block device of its own.
pub fn disk_of(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let device = fs::metadata(path).ok()?.dev() as rustix::fs::Dev;
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let known = Path::new("/sys/dev/block").join(format!("{major}:{minor}")).canonicalize().ok()?;
    // Limits are of whole disks.
    let whole = if known.join("partition").exists() { known.parent()?.to_owned() } else { known };
    Some(fs::read_to_string(whole.join("dev")).ok()?.trim().to_owned())
}

/// CPU time and resident memory of a process from /proc.
fn process_usage(pid: u32) -> std::io::Result<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks_per_second = rustix::param::clock_ticks_per_second().max(1) as f64;
    parse_stat(&stat, ticks_per_second, rustix::param::page_size() as u64)
        .ok_or_else(|| std::io::Error::other(format!("/proc/{pid}/stat does not have the format of proc(5)")))
}

/// Fields 14, 15 (user and system ticks) and 24 (resident pages) of proc_pid_stat(5).
fn parse_stat(stat: &str, ticks_per_second: f64, page_bytes: u64) -> Option<Usage> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let (user, system) = (number(14)? as f64, number(15)? as f64);
    Some(Usage {
        cpu: Duration::from_secs_f64((user + system) / ticks_per_second),
        user_share: if user + system > 0.0 { user / (user + system) } else { 1.0 },
        rss_bytes: number(24)? * page_bytes,
        ..Usage::default()
    })
}

fn group_name(lab_pid: u32, name: &str) -> String {
    format!("kgen-lab-{lab_pid}-{name}")
}

/// The lab that a group belongs to.
fn lab_of(group: &str) -> Option<u32> {
    group.strip_prefix("kgen-lab-")?.split('-').next()?.parse().ok()
}

fn remove_dead(root: &Path) {
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if let Some(lab) = lab_of(&name.to_string_lossy())
            && !Path::new(&format!("/proc/{lab}")).exists()
        {
            // A group that still has a process stays; the next lab tries again.
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    #[test]
    fn a_process_name_may_hold_anything() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 300 100 0 0 20 0 1 0 5 100 25 0 0";
        let usage = parse_stat(stat, 100.0, 4096).unwrap();
        assert_eq!((usage.cpu, usage.user_share, usage.rss_bytes), (Duration::from_secs(4), 0.75, 25 * 4096));
        assert!(parse_stat("7 (a", 100.0, 4096).is_none());
    }

    #[test]
    fn a_group_names_its_lab() {
        for (group, lab) in [("kgen-lab-12-broker-1", Some(12)), ("kgen-lab-x-1", None), ("other", None)] {
            assert_eq!(lab_of(group), lab, "{group}");
        }
    }

    struct Busy(Child);
    impl Drop for Busy {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn holds(means: &Means, name: &str) {
        let busy = Busy(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap());
        let limit = means.limit(name, busy.0.id()).unwrap();
        limit.set_cores(Some(0.2)).unwrap();
        std::thread::sleep(Duration::from_millis(400));
        let (before, started) = (limit.usage().unwrap(), std::time::Instant::now());
        std::thread::sleep(Duration::from_millis(2000));
        let after = limit.usage().unwrap();
        let cores = (after.cpu - before.cpu).as_secs_f64() / started.elapsed().as_secs_f64();
        assert!((0.08..0.30).contains(&cores), "{means}: {cores} cores of 0.2");
        assert!(after.throttled_periods > before.throttled_periods, "{means}: {after:?}");
        assert!(after.periods >= after.throttled_periods);
    }

    #[test]
    fn the_means_of_this_machine_holds_a_busy_process() {
        let means = Means::detect();
        holds(&means, "test-detected");
        means.clean_up();
    }

    #[test]
    fn a_duty_cycle_holds_a_busy_process() {
        holds(&Means::DutyCycle, "test-duty");
    }
}
