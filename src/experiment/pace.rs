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

use crate::{run::now, statistics::mean};

/// Time between two readings; each is two milliseconds of work, so one percent of a core.
const INTERVAL: Duration = Duration::from_millis(200);

/// The work: so many reads, each from where the one before says, in a table that does not fit into the cache of a core: what of it is
/// in the cache that cores share depends on who else uses that.
const READS: u32 = 20_000;
const TABLE: u32 = 1 << 20;

/// CPU of a broker grows with this power of the time that the work takes: measured on Kafka 4.3.1 under constant loads, whose CPU
/// then varies by 7 to 9 % (standard deviation over spans of 8 to 15 s) rather than by 9 to 15 %. Of the kinds of work that were tried
/// (arithmetic, tables of 256 KiB and of 32 MiB, copying, system calls, sorting) its time follows the CPU of brokers best.
const CPU_OF_WORK: f64 = 2.0;

/// Fewer readings say nothing.
const LEAST_READINGS: usize = 12;

/// Share of the readings of a time that counts, the fastest: what took longer was interrupted.
const COUNTED: f64 = 0.75;

/// Readings that are kept: a day of them.
const MOST_READINGS: usize = 24 * 3600 * 5;

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
            let (table, mut at) = (table(), 0);
            while !stopped.load(Ordering::Relaxed) && into.lock().len() < MOST_READINGS {
                let reading = Reading { at_ms: now().as_millisecond(), took: worked(&table, &mut at) };
                into.lock().push(reading);
                thread::sleep(INTERVAL);
            }
        });
        Pace { readings, _running: Arc::new(Running(stop)) }
    }

    /// How many times as much CPU time brokers took for their work from `from_ms` to before `until_ms` (ms since the epoch) as they
    /// have taken for it since readings began; `None` where too little was read.
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
    let during = usual(readings.iter().filter(|reading| (from_ms..until_ms).contains(&reading.at_ms)))?;
    let all = usual(readings.iter())?;
    (all > 0.0).then(|| (during / all).powf(CPU_OF_WORK))
}

/// What the work took, s: the mean of the readings that count.
fn usual<'a>(readings: impl Iterator<Item = &'a Reading>) -> Option<f64> {
    let mut took: Vec<Duration> = readings.map(|reading| reading.took).collect();
    took.sort();
    let counted = &took[..(took.len() as f64 * COUNTED) as usize];
    mean(counted.iter().map(Duration::as_secs_f64)).filter(|_| took.len() >= LEAST_READINGS)
}

/// One circle through all places, in an order that no processor foresees: a linear congruential generator of full period
/// (Hull and Dobell, 1962; the factors are those of "Numerical Recipes").
fn table() -> Vec<u32> {
    (0..TABLE).map(|number| number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) % TABLE).collect()
}

/// CPU time of this thread for the work, which goes on from `at`.
fn worked(table: &[u32], at: &mut u32) -> Duration {
    let before = cpu_time();
    for _ in 0..READS {
        *at = table[*at as usize];
    }
    black_box(*at);
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
    fn a_time_is_compared_with_all_of_it_and_interruptions_do_not_count() {
        let calm = [1000; 40];
        let disturbed = [1300, 1300, 1300, 9000].repeat(10);
        let all = readings(calm.into_iter().chain(disturbed));
        let near = |slowdown: Option<f64>, expected: f64| (slowdown.unwrap() - expected).abs() < 1e-9;
        assert!(near(slowdown(&all, 0, 10_000), (1.0_f64 / 1.1).powi(2)));
        assert!(near(slowdown(&all, 10_000, 20_000), (1.3_f64 / 1.1).powi(2)));
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
