//! A reboot of a broker by MSK.

use serde::Serialize;

use super::{Rendered, Target};

/// One broker, or several one after another.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Reboot {
    pub brokers: Vec<i32>,
    pub reason: String,
}

impl Reboot {
    pub(super) fn rendered(&self, target: &Target) -> Rendered {
        let ids: Vec<String> = self.brokers.iter().map(ToString::to_string).collect();
        let command = target.arn.map(|arn| {
            format!(
                "aws kafka reboot-broker --cluster-arn {arn} --broker-ids {} --region {}",
                ids.join(" "),
                target.region
            )
        });
        Rendered {
            summary: format!("reboot broker {}: {}", ids.join(", "), self.reason),
            aws_cli: command,
            notes: vec![
                "MSK reboots one broker at a time, which takes a few minutes; with replication factor 3 and \
                 min.insync.replicas 2, clients continue to work"
                    .to_owned(),
            ],
            ..Rendered::default()
        }
    }
}
