//! Results as text for a person: what `commands` prints where no document was requested. Pure but for the width of the terminal.

pub mod capacity;
pub mod change;
pub mod clusters;
pub mod comparison;
pub mod diagnosis;
pub mod doctor;
pub mod here;
pub mod lab;
pub mod load;
pub mod proof;
pub mod rule;
pub mod runs;
pub mod settings;
pub mod sizing;
pub mod topic;

use crate::{diagnose::Context, visible};

/// The cluster in one line.
pub fn headline(context: &Context) -> String {
    let brokers = match &context.broker_type {
        Some(broker_type) => format!(": {} x {broker_type}", context.broker_count),
        None => String::new(),
    };
    let version = context.kafka_version.as_ref().map(|version| format!(", Kafka {version}")).unwrap_or_default();
    let place = match context.lab_scale {
        Some(scale) => format!("; lab, scale 1:{scale}"),
        None => String::new(),
    };
    visible::line(&format!("cluster {} in {}{brokers}{version}{place}", context.cluster, context.region)).into_owned()
}
