//! MSK on this machine: kgen's own control plane in front of real Kafka brokers, and an emulator for the rest of AWS.

pub mod alarms;
mod api;
pub mod brokers;
pub mod cloudwatch;
pub mod cluster;
pub mod control;
pub mod credits;
pub mod crew;
pub mod exporter;
pub mod fault;
pub mod hardware;
pub mod install;
mod jmx;
pub mod limits;
pub mod monitoring;
mod proxy;
pub mod readings;
mod secrets;
pub mod server;
pub mod service;
pub mod simulated;
pub mod ssm;
pub mod tls;
mod topics;

/// Takes a line for the lab's log.
pub type Say = std::sync::Arc<dyn Fn(&str) + Send + Sync>;
