//! Waiting for what a test expects, with an end to the wait.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// Looks again after a twentieth of the time that has passed, between these: soon at first, and seldom where the wait is long.
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(1);

/// At least so many times as long as a look took: a program that is started for it takes from what is waited for, the more the busier
/// the machine is.
const PAUSES_FOR_A_LOOK: u32 = 2;

/// Waits until `look` gives something; nothing after `within`.
pub fn await_some<T>(within: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        // The last look is after the time.
        let left = within.saturating_sub(started.elapsed());
        let looked = Instant::now();
        let seen = look();
        if seen.is_some() || left.is_zero() {
            return seen;
        }
        let pause = (started.elapsed() / 20).clamp(SHORTEST, LONGEST);
        sleep(pause.max(looked.elapsed() * PAUSES_FOR_A_LOOK).min(left));
    }
}

/// Waits until it holds.
///
/// # Panics
/// It does not within `within`; `what` says what was expected.
#[track_caller]
pub fn await_until(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    if await_some(within, || holds().then_some(())).is_none() {
        panic!("not after {} s: {what}", within.as_secs_f64());
    }
}

#[test]
fn a_wait_ends_with_what_is_seen_or_with_its_time() {
    let mut looks = 0;
    let seen = await_some(Duration::from_secs(20), || {
        looks += 1;
        (looks == 3).then_some("there")
    });
    assert_eq!((seen, looks), (Some("there"), 3));
    let started = Instant::now();
    assert_eq!(await_some(Duration::from_millis(50), || None::<()>), None);
    assert!(started.elapsed() >= Duration::from_millis(50));
    let failed = std::panic::catch_unwind(|| await_until("it rains", Duration::from_millis(20), || false));
    assert!(failed.unwrap_err().downcast_ref::<String>().unwrap().ends_with("it rains"));
}
