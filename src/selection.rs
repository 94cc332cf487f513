//! The cluster and the brokers that the arguments, the environment and the project select.

pub mod look;
pub mod place;
