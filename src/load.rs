//! The load generator: what is sent when, how long it took, and the proof that it arrived.
//!
//! `pacer`, `part`, `keys`, `sizes`, `payload`, `latency`, `ledger`, `merge`, `ending` and `verify` decide and count; `producer`, `consumer` and `mix`
//! talk to brokers. Every record carries run, producer and sequence in its value (see [`payload`]), so that
//! [`verify`] can hold the topic against the [`ledger`].

pub mod consumer;
pub mod ending;
pub mod keys;
pub mod latency;
pub mod latency_log;
pub mod ledger;
pub mod merge;
pub mod mix;
pub mod pacer;
pub mod part;
pub mod payload;
pub mod producer;
pub mod sending;
pub mod sizes;
pub mod slo;
pub mod verify;
