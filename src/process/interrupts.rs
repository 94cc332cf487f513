//! Ctrl-C, SIGTERM and SIGHUP: held back while a child must be allowed to end, and actions before they end the process.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// While one of these lives, interrupts of this process are counted instead of ending it.
///
/// When the last of them is dropped, interrupts end the process again.
#[derive(Debug)]
pub struct Interrupts {
    handlers: Handlers,
    before: usize,
    is_patience_mine: bool,
}

// What a signal does is a property of the whole process, and so is this.
static HANDLERS: Mutex<Option<Handlers>> = Mutex::new(None);

#[derive(Debug, Clone)]
struct Handlers {
    deadly: Arc<AtomicBool>,
    seen: Arc<AtomicUsize>,
    holders: Arc<AtomicUsize>,
    /// How many are counted at most: the next one ends the process, whoever holds them.
    patience: Arc<AtomicUsize>,
}

/// What is done before an interrupt ends this process, once there is something. Reading it takes no lock, as a handler of
/// signals needs.
static BEFORE_DEATH: OnceLock<fn()> = OnceLock::new();

/// From now on `act` is called when an interrupt is about to end this process; the first that was named stays. Only what a
/// signal's handler may do: system calls, no memory, no locks.
///
/// # Errors
/// The handlers cannot be installed.
pub fn before_death(act: fn()) -> io::Result<()> {
    BEFORE_DEATH.get_or_init(|| act);
    handlers().map(drop)
}

/// Interrupts that this process has got and not died of. None are counted before the first [`Interrupts::hold`] or
/// [`before_death`].
pub fn interrupts_seen() -> usize {
    let handlers = HANDLERS.lock();
    handlers.as_ref().map_or(0, |handlers| handlers.seen.load(Ordering::SeqCst))
}

/// Interrupts this process, as Ctrl-C does at a terminal that is not in raw mode.
pub fn interrupt_self() {
    // Of one's own process it does not fail.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::INT);
}

/// Ends this process as an interrupt does that nobody holds.
pub fn end_interrupted() {
    if let Some(handlers) = &*HANDLERS.lock() {
        handlers.deadly.store(true, Ordering::SeqCst);
    }
    interrupt_self();
}

/// Those of this process, installed by the first who asks.
fn handlers() -> io::Result<Handlers> {
    let mut handlers = HANDLERS.lock();
    Ok(match &*handlers {
        Some(handlers) => handlers.clone(),
        None => handlers.insert(Handlers::install()?).clone(),
    })
}

impl Interrupts {
    /// # Errors
    /// The handlers cannot be installed.
    pub fn hold() -> io::Result<Interrupts> {
        let handlers = handlers()?;
        let _alone = HANDLERS.lock();
        handlers.holders.fetch_add(1, Ordering::SeqCst);
        handlers.deadly.store(false, Ordering::SeqCst);
        let before = handlers.seen.load(Ordering::SeqCst);
        Ok(Interrupts { handlers, before, is_patience_mine: false })
    }

    /// After `most` of them, the next interrupt ends this process all the same.
    pub fn at_most(mut self, most: usize) -> Interrupts {
        self.handlers.patience.store(self.before + most, Ordering::SeqCst);
        self.is_patience_mine = true;
        self
    }

    /// Interrupts since this was made. Two that come close together may count as one.
    pub fn count(&self) -> usize {
        self.handlers.seen.load(Ordering::SeqCst) - self.before
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        // Under the lock, so that nobody takes hold in between.
        let _handlers = HANDLERS.lock();
        if self.is_patience_mine {
            self.handlers.patience.store(usize::MAX, Ordering::SeqCst);
        }
        if self.handlers.holders.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.handlers.deadly.store(true, Ordering::SeqCst);
        }
    }
}

impl Handlers {
    fn install() -> io::Result<Handlers> {
        let deadly = Arc::new(AtomicBool::new(true));
        let patience = Arc::new(AtomicUsize::new(usize::MAX));
        let handlers = Handlers { deadly, seen: Arc::default(), holders: Arc::default(), patience };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // Under nohup a hang-up stays ignored.
            if signal == SIGHUP && hang_up_is_ignored() {
                continue;
            }
            // Actions of one signal run in the order in which they are registered.
            let Handlers { deadly, seen, patience, .. } = handlers.clone();
            let last_act = move || {
                if seen.load(Ordering::SeqCst) >= patience.load(Ordering::SeqCst) {
                    deadly.store(true, Ordering::SeqCst);
                }
                if deadly.load(Ordering::SeqCst)
                    && let Some(act) = BEFORE_DEATH.get()
                {
                    act();
                }
            };
            // SAFETY: loads and a store of atoms, and what `before_death` asks to be async-signal-safe.
            unsafe { signal_hook::low_level::register(signal, last_act) }?;
            signal_hook::flag::register_conditional_default(signal, handlers.deadly.clone())?;
            let seen = handlers.seen.clone();
            let count = move || {
                seen.fetch_add(1, Ordering::SeqCst);
            };
            // SAFETY: the handler does one atomic addition, which is async-signal-safe.
            unsafe { signal_hook::low_level::register(signal, count) }?;
        }
        Ok(handlers)
    }
}

/// Whether this process was started with SIGHUP ignored. Where it is unknown, it is not.
fn hang_up_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 << (SIGHUP - 1) != 0)
}
