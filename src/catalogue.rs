//! What Amazon MSK sells: broker types, Kafka versions, metrics, and which go together.
//!
//! Everything here is data with a source (`data/README.md`); a new broker type or metric is one row there.

mod broker_type;
pub mod client_type;
mod cluster_kind;
mod kafka_version;
mod metric;
pub mod migration;

pub use broker_type::{BrokerType, Credits, Family, HOURS_A_MONTH, TransitionError};
pub use cluster_kind::ClusterKind;
pub use kafka_version::{KafkaVersion, VersionError};
pub use metric::{Metric, MonitoringLevel};
