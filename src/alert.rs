//! Alerts: findings that last, told once when they begin and once when they end. Pure: time comes in with each round.
//!
//! A round of a fleet becomes [`Observation`]s; the [`Book`] turns them into alerts with a stable id, and into the
//! [`Message`]s that people should get. Sending them is left to others.

mod book;
mod cause;
mod content;
mod observation;
mod silence;
#[cfg(test)]
mod tests;

pub use book::{Alert, Book, Policy, has_root};
pub use cause::{Severity, id};
pub use content::{Content, Message, Status};
pub use observation::{Look, Observation, Subject, Symptom, look};
pub use silence::{Silence, matches};
