//! Ctrl-C, SIGTERM and SIGHUP, held back while a child must be let to end.

use std::{
    io,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// While one of these lives, interrupts of this process are counted instead of ending it.
///
/// One at a time: when it is dropped, interrupts end the process again.
#[derive(Debug)]
pub struct Interrupts {
    seen: Arc<AtomicUsize>,
    before: usize,
    deadly: Arc<AtomicBool>,
}

// What a signal does is a property of the whole process, and so is this.
static HANDLERS: LazyLock<Mutex<Option<Handlers>>> = LazyLock::new(Mutex::default);

#[derive(Clone)]
struct Handlers {
    deadly: Arc<AtomicBool>,
    seen: Arc<AtomicUsize>,
}

impl Interrupts {
    /// # Errors
    /// The handlers cannot be installed.
    pub fn hold() -> io::Result<Interrupts> {
        let mut handlers = HANDLERS.lock().unwrap_or_else(PoisonError::into_inner);
        let Handlers { deadly, seen } = match &*handlers {
            Some(handlers) => handlers.clone(),
            None => handlers.insert(Handlers::install()?).clone(),
        };
        deadly.store(false, Ordering::SeqCst);
        let before = seen.load(Ordering::SeqCst);
        Ok(Interrupts { seen, before, deadly })
    }

    /// Interrupts since this was made. Two that come close together may count as one.
    pub fn count(&self) -> usize {
        self.seen.load(Ordering::SeqCst) - self.before
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.deadly.store(true, Ordering::SeqCst);
    }
}

impl Handlers {
    fn install() -> io::Result<Handlers> {
        let handlers = Handlers { deadly: Arc::default(), seen: Arc::default() };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // Under nohup a hang-up stays ignored.
            if signal == SIGHUP && hang_up_is_ignored() {
                continue;
            }
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

/// Whether this process was started with SIGHUP ignored. Where it cannot be told, it is not.
fn hang_up_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 << (SIGHUP - 1) != 0)
}
