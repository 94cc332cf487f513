//! Interrupts of a command that can stop in order: the first one requests that, the second one stops it at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{JoinHandle, sleep},
    time::{Duration, Instant},
};

use anyhow::Context as _;

use crate::{
    edge,
    process::{self, Interrupts},
};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long an orderly end may take before it is said that another interrupt ends it.
const SILENCE: Duration = Duration::from_secs(1);

/// Until it is dropped, SIGINT, SIGTERM and SIGHUP are taken so.
pub struct Stopping {
    stop: Arc<AtomicBool>,
    interrupts: Arc<Interrupts>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Stopping {
    /// `at_once` is called before the second interrupt ends the process. Should that take its time, a third does not wait.
    ///
    /// # Errors
    /// Signals cannot be taken.
    pub fn begin(at_once: impl FnOnce() + Send + 'static) -> anyhow::Result<Stopping> {
        const WHAT: &str = "taking interrupts";
        let interrupts = Arc::new(Interrupts::hold().context(WHAT)?.at_most(2));
        let (stop, is_over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (held, asked, over) = (Arc::clone(&interrupts), Arc::clone(&stop), Arc::clone(&is_over));
        let attend = move || attend(&held, &asked, &over, at_once);
        let thread = std::thread::Builder::new().name("interrupts".into()).spawn(attend).context(WHAT)?;
        Ok(Stopping { stop, interrupts, is_over, thread: Some(thread) })
    }

    /// Set by the first interrupt.
    pub fn flag(&self) -> &Arc<AtomicBool> {
        &self.stop
    }

    pub fn was_asked(&self) -> bool {
        self.interrupts.count() > 0
    }
}

impl Drop for Stopping {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn attend(interrupts: &Interrupts, stop: &AtomicBool, is_over: &AtomicBool, at_once: impl FnOnce()) {
    let mut asked: Option<Instant> = None;
    let mut is_said = false;
    while !is_over.load(Ordering::SeqCst) {
        let count = interrupts.count();
        if count > 1 {
            at_once();
            process::end_interrupted();
            return;
        }
        if count > 0 {
            stop.store(true, Ordering::SeqCst);
            if !is_said && asked.get_or_insert_with(Instant::now).elapsed() > SILENCE {
                edge::message(format_args!("stopping; interrupt again to stop at once\n"));
                is_said = true;
            }
        }
        sleep(LOOK_EVERY);
    }
}
