//! Waiting for something that can only be looked at.

use std::{
    ops::ControlFlow,
    thread,
    time::{Duration, Instant},
};

/// How soon [`pause`] is over.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Calls `look` till it breaks with what is waited for, at most `within`, with a pause of `every` in between. Returns that, or
/// what the last look said was still missing. Looks once at least.
///
/// # Errors
/// Those of `look`, which end the wait.
pub fn await_until<T, W, E>(
    within: Duration,
    every: Duration,
    mut look: impl FnMut() -> Result<ControlFlow<T, W>, E>,
) -> Result<Result<T, W>, E> {
    let started = Instant::now();
    loop {
        match look()? {
            ControlFlow::Break(there) => return Ok(Ok(there)),
            ControlFlow::Continue(missing) if started.elapsed() >= within => return Ok(Err(missing)),
            ControlFlow::Continue(_) => thread::sleep(every),
        }
    }
}

/// Waits `time`, or until `is_over`, which is asked every 100 ms and at the end. Returns what it said last.
pub fn pause(time: Duration, mut is_over: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        let left = time.saturating_sub(started.elapsed());
        if is_over() {
            return true;
        }
        if left.is_zero() {
            return false;
        }
        thread::sleep(left.min(ASK_EVERY));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn looks(within: Duration, there_at: u32, fails_at: u32) -> (Result<Result<u32, u32>, &'static str>, u32) {
        let mut count = 0;
        let awaited = await_until(within, Duration::ZERO, || {
            count += 1;
            match count {
                _ if count == fails_at => Err("gone"),
                _ if count == there_at => Ok(ControlFlow::Break(count)),
                _ => Ok(ControlFlow::Continue(count)),
            }
        });
        (awaited, count)
    }

    #[test]
    fn it_ends_with_what_is_there_with_an_error_or_with_what_is_missing() {
        assert_eq!(looks(LONG, 3, 0), (Ok(Ok(3)), 3));
        assert_eq!(looks(LONG, 3, 2), (Err("gone"), 2));
        assert_eq!(looks(Duration::ZERO, 3, 0), (Ok(Err(1)), 1));
        assert_eq!(looks(Duration::ZERO, 1, 0), (Ok(Ok(1)), 1));
    }

    #[test]
    fn a_pause_ends_with_its_time_or_before_it() {
        let mut asked = 0;
        let is_over = pause(LONG, || {
            asked += 1;
            asked == 2
        });
        assert_eq!((is_over, asked), (true, 2));
        assert!(!pause(Duration::from_millis(5), || false));
        assert!(pause(Duration::ZERO, || true));
    }
}
