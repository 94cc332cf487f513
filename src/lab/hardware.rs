//! The size of a broker type on this machine: real figures divided by one scale factor.

use std::fmt;

use crate::{catalogue::BrokerType, process::memory_bytes};

/// The scale of the lab and what T3 brokers may do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hardware {
    /// N of "scale 1:N": vCPUs and memory of a type are divided by it.
    pub scale: f64,
    pub t3: T3Mode,
}

/// How the CPU of a burstable type is given out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum T3Mode {
    /// Always what the type can sustain: its baseline is its whole CPU.
    #[default]
    Sustained,
    /// All vCPUs while there are credits, the baseline when they are gone.
    Credits,
}

/// What one broker is given.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerSize {
    /// Cores that 100 % CPU means.
    pub cores: f64,
    /// What may be used without credits; the same as `cores` except in [`T3Mode::Credits`].
    pub baseline_cores: f64,
    pub heap_mib: u64,
    /// Memory of the broker, page cache included.
    pub memory_mib: u64,
    /// Why memory is not the type's divided by the scale, where it is not.
    pub note: Option<String>,
}

/// Cores of one `kafka.m5.large` broker per core of the machine. Measured on 2 cores at 500 records/s of 250 bytes to 6
/// partitions with 2 replicas, acks=all: a broker needs 0.18 core when nothing holds it back (36 % of the 0.5 that it
/// has at 1:4, no period throttled), and at a t3.small's 0.1 it is throttled in 9 periods of 10.
const M5_LARGE_CORES_PER_MACHINE_CORE: f64 = 0.25;

/// A heap below this leaves a Kafka broker with no room to work (measured: 60 MiB live when idle, with small buffers).
const HEAP_MIN_MIB: u64 = 128;

/// Heap of a broker's memory, percent. So an idle t3.small is nine tenths full at 1:4, as users of MSK see it (1.8 of
/// 2 GiB in use just to run), and the page cache takes it over 90 % under load.
const HEAP_PERCENT: u64 = 67;

/// More than this no broker of the lab fills; it would only be taken from the machine.
const HEAP_MAX_MIB: u64 = 512;

/// What a broker's JVM needs besides its heap (measured: 105 to 125 MiB of metaspace, code, threads and libraries).
const BESIDE_HEAP_MIB: u64 = 128;

/// Memory of the machine that is left to everything that is not a broker.
const MACHINE_RESERVE_MIB: u64 = 2048;

impl Hardware {
    /// The scale for a machine with `cores`: 1:4 on two cores, and never larger than life.
    pub fn for_machine(cores: usize) -> Hardware {
        let scale = 2.0 / (M5_LARGE_CORES_PER_MACHINE_CORE * cores.max(1) as f64);
        Hardware { scale: scale.max(1.0), t3: T3Mode::default() }
    }

    /// What one of `brokers` brokers of `broker_type` is given on a machine with `machine_mib` of memory.
    pub fn size(&self, broker_type: BrokerType, brokers: u32, machine_mib: u64) -> BrokerSize {
        let baseline_cores = broker_type.sustained_vcpus() / self.scale;
        let cores = match self.t3 {
            T3Mode::Sustained => baseline_cores,
            T3Mode::Credits => f64::from(broker_type.vcpus) / self.scale,
        };
        let scaled_mib = (broker_type.memory_mib as f64 / self.scale) as u64;
        let minimum_mib = HEAP_MIN_MIB + BESIDE_HEAP_MIB;
        let maximum_mib =
            (machine_mib.saturating_sub(MACHINE_RESERVE_MIB) / u64::from(brokers.max(1))).max(minimum_mib);
        let memory_mib = scaled_mib.clamp(minimum_mib, maximum_mib);
        let note = match memory_mib {
            mib if mib > scaled_mib => Some(format!("{mib} MiB: a broker cannot run in the scaled {scaled_mib} MiB")),
            mib if mib < scaled_mib => Some(format!(
                "{mib} MiB: this machine does not have {scaled_mib} MiB for each \
                                                     broker"
            )),
            _ => None,
        };
        let heap_mib =
            (memory_mib * HEAP_PERCENT / 100).min(memory_mib - BESIDE_HEAP_MIB).clamp(HEAP_MIN_MIB, HEAP_MAX_MIB);
        BrokerSize { cores, baseline_cores, heap_mib, memory_mib, note }
    }
}

/// Memory of this machine, MiB.
pub fn machine_memory_mib() -> u64 {
    // Where the lab runs, this is known.
    memory_bytes().unwrap_or(0) >> 20
}

pub fn machine_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl fmt::Display for Hardware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credits = if self.t3 == T3Mode::Credits { ", T3 with credits" } else { "" };
        write!(f, "1:{}{credits}", (self.scale * 100.0).round() / 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_divided_by_the_scale() {
        let hardware = Hardware { scale: 5.0, t3: T3Mode::Sustained };
        for (broker_type, machine_mib, cores, heap, memory, noted) in [
            ("kafka.t3.small", 24_000, 0.08, 274, 409, false),
            ("kafka.m5.large", 24_000, 0.4, 512, 1638, false),
            ("kafka.m5.4xlarge", 24_000, 3.2, 512, 7317, true),
            ("kafka.m5.large", 3_000, 0.4, 189, 317, true),
        ] {
            let size = hardware.size(broker_type.parse().unwrap(), 3, machine_mib);
            assert_eq!((size.cores, size.heap_mib, size.memory_mib), (cores, heap, memory), "{broker_type}");
            assert_eq!(size.note.is_some(), noted, "{broker_type}: {:?}", size.note);
        }
    }

    #[test]
    fn with_credits_a_t3_has_all_its_vcpus() {
        let size = Hardware { scale: 5.0, t3: T3Mode::Credits }.size(BrokerType::T3_SMALL, 3, 24_000);
        assert_eq!((size.cores, size.baseline_cores), (0.4, 0.08));
    }

    #[test]
    fn the_scale_follows_the_cores_of_the_machine() {
        for (cores, scale) in [(1, 8.0), (2, 4.0), (4, 2.0), (64, 1.0)] {
            assert_eq!(Hardware::for_machine(cores).scale, scale);
        }
    }
}
