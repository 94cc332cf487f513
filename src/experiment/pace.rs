//! How fast this machine is from one moment to the next: the processor of a virtual machine is shared with others, which make the
//! same work take more CPU time. In the lab the brokers share it too, so their CPU says less of their load than it seems to.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};

use crate::run::now;

/// Time between two readings; each is a millisecond of work, so half a percent of a core.
const INTERVAL: Duration = Duration::from_millis(250);

/// The work: so many steps, each a branch that cannot be foreseen and a read from a table that fits into the cache of a core. Of
/// the kinds of work that were tried (arithmetic alone, reads beyond that cache) its time follows the CPU of brokers best.
const STEPS: u32 = 200_000;
const TABLE: usize = 1 << 16;

/// Fewer readings say nothing.
const LEAST_READINGS: usize = 12;

/// Share of readings that the machine is taken to be undisturbed in.
const UNDISTURBED: f64 = 0.05;

/// Share of the readings of a time that counts, the fastest: what took longer was interrupted.
const COUNTED: f64 = 0.75;

/// Readings that are kept: a day of them.
const MOST_READINGS: usize = 24 * 3600 * 4;

/// Takes readings while a clone of it is alive.
#[derive(Debug, Clone)]
pub struct Pace {
    readings: Arc<Mutex<Vec<Reading>>>,
    _running: Arc<Running>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    /// ms since the epoch.
    at_ms: i64,
    /// CPU time that the work took.
    took: Duration,
}

/// Ends the readings when it is dropped.
#[derive(Debug)]
struct Running(Arc<AtomicBool>);

impl Pace {
    pub fn start() -> Pace {
        let (readings, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (into, stopped) = (Arc::clone(&readings), Arc::clone(&stop));
        thread::spawn(move || {
            let table = table();
            while !stopped.load(Ordering::Relaxed) && into.lock().len() < MOST_READINGS {
                let reading = Reading { at_ms: now().as_millisecond(), took: worked(&table) };
                into.lock().push(reading);
                thread::sleep(INTERVAL);
            }
        });
        Pace { readings, _running: Arc::new(Running(stop)) }
    }

    /// How many times as much CPU time work took from `from_ms` to before `until_ms` (ms since the epoch) as it takes when nothing
    /// disturbs the machine; `None` where too little was read.
    pub fn slowdown(&self, from_ms: i64, until_ms: i64) -> Option<f64> {
        slowdown(&self.readings.lock(), from_ms, until_ms)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn slowdown(readings: &[Reading], from_ms: i64, until_ms: i64) -> Option<f64> {
    let during = sorted(readings.iter().filter(|reading| (from_ms..until_ms).contains(&reading.at_ms)));
    if during.len() < LEAST_READINGS {
        return None;
    }
    let counted = &during[..(during.len() as f64 * COUNTED) as usize];
    let all = sorted(readings.iter());
    let undisturbed = all[(all.len() as f64 * UNDISTURBED) as usize];
    let mean = counted.iter().sum::<Duration>().as_secs_f64() / counted.len() as f64;
    (!undisturbed.is_zero()).then(|| mean / undisturbed.as_secs_f64())
}

fn sorted<'a>(readings: impl Iterator<Item = &'a Reading>) -> Vec<Duration> {
    let mut took: Vec<Duration> = readings.map(|reading| reading.took).collect();
    took.sort();
    took
}

fn table() -> Vec<u32> {
    (0..TABLE as u32).map(|number| number.wrapping_mul(2_654_435_761) % TABLE as u32).collect()
}

/// CPU time of this thread for the work.
fn worked(table: &[u32]) -> Duration {
    let before = cpu_time();
    let (mut at, mut sum) = (0_u32, 0_u32);
    for step in 0..STEPS {
        at = table[at.wrapping_add(step) as usize % TABLE];
        if at & 1 == 1 {
            sum = sum.wrapping_add(at);
        } else {
            sum ^= step;
        }
    }
    black_box(sum);
    cpu_time().saturating_sub(before)
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(micros: impl IntoIterator<Item = u64>) -> Vec<Reading> {
        let at = |(number, micros)| Reading { at_ms: number as i64 * 250, took: Duration::from_micros(micros) };
        micros.into_iter().enumerate().map(at).collect()
    }

    #[test]
    fn a_time_is_compared_with_the_undisturbed_machine_and_interruptions_do_not_count() {
        let calm = [1000; 40];
        let disturbed = [1300, 1300, 1300, 9000].repeat(10);
        let all = readings(calm.into_iter().chain(disturbed));
        let near = |slowdown: Option<f64>, expected: f64| (slowdown.unwrap() - expected).abs() < 1e-9;
        assert!(near(slowdown(&all, 0, 10_000), 1.0));
        assert!(near(slowdown(&all, 10_000, 20_000), 1.3));
        assert_eq!(slowdown(&all, 0, 2_000), None, "eight readings say nothing");
    }

    #[test]
    fn readings_are_taken_until_the_last_clone_is_gone() {
        let pace = Pace::start();
        let readings = Arc::clone(&pace.readings);
        let taken = crate::process::pause(Duration::from_secs(20), || readings.lock().len() >= 2);
        assert!(taken, "no reading was taken");
        assert!(readings.lock().iter().all(|reading| !reading.took.is_zero()));
        drop(pace);
        let is_alone = crate::process::pause(Duration::from_secs(20), || Arc::strong_count(&readings) == 1);
        assert!(is_alone, "the thread goes on");
    }
}
