//! What this machine has for programs.

/// Its memory, bytes; the cgroup of a container is not looked at. `None` where there is no sysinfo(2) of Linux.
#[cfg(target_os = "linux")]
pub fn memory_bytes() -> Option<u64> {
    let info = rustix::system::sysinfo();
    u64::from(info.mem_unit).checked_mul(info.totalram).filter(|bytes| *bytes > 0)
}

/// Not asked for on other systems.
#[cfg(not(target_os = "linux"))]
pub fn memory_bytes() -> Option<u64> {
    None
}
