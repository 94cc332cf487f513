//! How many files, sockets and pipes this process may have open at once.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What any command gets along with: an asynchronous runtime, connections to AWS and to brokers, the record of a run.
/// With fewer, libraries that kgen is made of panic.
const FEWEST: u64 = 64;

/// What a shell usually gives; taken where the present limit is below [`FEWEST`] and the system lets it be raised.
const USUAL: u64 = 1024;

#[derive(Debug, thiserror::Error)]
#[error("kgen needs {FEWEST} open files, but only {allowed} are allowed: raise the limit (`ulimit -n {USUAL}`)")]
pub struct TooFewDescriptors {
    allowed: u64,
}

/// # Errors
/// Fewer are allowed than a command needs, and the limit cannot be raised.
pub fn ensure_descriptors() -> Result<(), TooFewDescriptors> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // None: unlimited.
    let Some(allowed) = current.filter(|allowed| *allowed < FEWEST) else { return Ok(()) };
    let raised = maximum.map_or(USUAL, |maximum| maximum.min(USUAL));
    if raised >= FEWEST && setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }).is_ok() {
        return Ok(());
    }
    Err(TooFewDescriptors { allowed })
}
