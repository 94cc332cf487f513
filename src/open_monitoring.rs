//! Alerting rules for Prometheus and a dashboard for Grafana, for clusters with open monitoring: what the diagnosis rules
//! look for, as far as the brokers' JMX and node exporters show it. Pure.
//!
//! The thresholds are those of the rules themselves. A rule of Prometheus sees less than a diagnosis, and each says what.

mod causes;
mod dashboard;
mod recorded;
mod rules;

pub use dashboard::dashboard;
pub use rules::rules;
