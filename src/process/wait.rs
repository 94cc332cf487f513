//! Waiting for something that can only be looked at.

use std::{
    ops::ControlFlow,
    thread,
    time::{Duration, Instant},
};

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
}
