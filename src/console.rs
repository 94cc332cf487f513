//! What a command shows while it works, beside its result: the progress of terraform, the record of a run, questions, the way to an orderly end.
//! Everything goes to standard error, by way of the [`edge`](crate::edge).

mod ask;
pub mod progress;
pub mod record;
pub mod stopping;
pub mod words;

pub use ask::{answer_to, confirmed, ensure_confirmable};
pub use progress::Progress;
