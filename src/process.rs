//! The only place that starts other programs: run to the end, or start, await readiness, stop.
//!
//! Every child gets its own process group, so that Ctrl-C in the terminal only reaches kgen; the caller decides what is
//! passed on.

mod contained;
mod descriptors;
mod detached;
mod holder;
mod interrupts;
mod logged;
mod machine;
mod server;
mod streamed;
mod tool;
mod wait;

pub use contained::{Around, Contained, Containment, Script};
pub use descriptors::ensure_descriptors;
pub use detached::start_detached;
pub use holder::Holder;
pub use interrupts::{Interrupts, before_death, end_interrupted, interrupt_self, interrupts_seen};
pub use logged::{Logged, LoggedError, Running};
pub use machine::memory_bytes;
pub use server::{Readiness, Server, StartingServer};
pub use streamed::{Printed, Streamed, append_error};
pub use tool::{PROBE, Tool, ToolError, absolute, shell_quoted, shell_word};
pub use wait::{await_until, pause};
