//! A CPU limit without rights: the process is stopped for the rest of a period once it has used its share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal};

use super::{PERIOD, Usage, process_usage};

/// How often the process's CPU time is looked at; the kernel counts in steps of 10 ms.
const LOOK: Duration = Duration::from_millis(10);

/// Unused CPU time that is carried over, in periods' worth.
const BURST_PERIODS: f64 = 1.0;

/// A thread that stops and continues one process.
#[derive(Debug)]
pub struct DutyCycle {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Bits of an f64, cores; 0 for no limit.
    cores: AtomicU64,
    periods: AtomicU64,
    throttled: AtomicU64,
    end: AtomicBool,
}

impl DutyCycle {
    pub fn start(pid: u32) -> DutyCycle {
        let shared = Arc::new(Shared::default());
        let thread = std::thread::spawn({
            let shared = shared.clone();
            move || run(pid, &shared)
        });
        DutyCycle { shared, thread: Some(thread) }
    }

    pub fn set_cores(&self, cores: Option<f64>) {
        self.shared.cores.store(cores.unwrap_or(0.0).to_bits(), Ordering::Relaxed);
    }

    pub fn usage(&self, of_process: Usage) -> Usage {
        Usage {
            periods: self.shared.periods.load(Ordering::Relaxed),
            throttled_periods: self.shared.throttled.load(Ordering::Relaxed),
            ..of_process
        }
    }
}

impl Drop for DutyCycle {
    fn drop(&mut self) {
        self.shared.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has no way to panic but a broken invariant, and then there is no one left to tell.
            let _ = thread.join();
        }
    }
}

fn run(pid: u32, shared: &Shared) {
    let Some(process) = Pid::from_raw(pid as i32) else { return };
    let signal = |signal| rustix::process::kill_process(process, signal).is_ok();
    let Ok(mut last) = process_usage(pid).map(|usage| usage.cpu.as_secs_f64()) else { return };
    // CPU seconds that may still be used; below zero it stays stopped until the debt is earned.
    let (mut budget, mut stopped, mut refilled) = (0.0, false, Instant::now());
    let (mut period_began, mut throttled_in_period) = (Instant::now(), false);
    while !shared.end.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK);
        // A process that has ended is seen here; its pid stays its own until it is waited for.
        let Ok(used) = process_usage(pid).map(|usage| usage.cpu.as_secs_f64()) else { return };
        let cores = f64::from_bits(shared.cores.load(Ordering::Relaxed));
        let elapsed = refilled.elapsed().as_secs_f64();
        refilled = Instant::now();
        let enough = cores * PERIOD.as_secs_f64() * BURST_PERIODS;
        budget = (budget + cores * elapsed - (used - last)).min(enough);
        last = used;
        let stop = cores > 0.0 && budget < 0.0;
        if stop != stopped && signal(if stop { Signal::STOP } else { Signal::CONT }) {
            stopped = stop;
        }
        throttled_in_period |= stopped;
        if cores == 0.0 {
            budget = 0.0;
        }
        if period_began.elapsed() >= PERIOD {
            shared.periods.fetch_add(1, Ordering::Relaxed);
            shared.throttled.fetch_add(u64::from(throttled_in_period), Ordering::Relaxed);
            (period_began, throttled_in_period) = (Instant::now(), stopped);
        }
    }
    if stopped {
        signal(Signal::CONT);
    }
}
