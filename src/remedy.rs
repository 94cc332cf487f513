//! A fix as data. It renders to the AWS CLI command, to an HCL change and to the kgen command that does everything.

mod advice;
mod expand;
mod hcl_change;
mod partitions;
mod reboot;
mod resize;
mod scale_out;
mod spread;

use serde::{Deserialize, Serialize};

pub use advice::Advice;
pub use expand::Expand;
pub use partitions::{ElectLeaders, Move, PARTITIONS_A_BATCH, REASSIGN_BELOW_CPU_PERCENT, Reassign, RemoveThrottle};
pub use reboot::Reboot;
pub use resize::Resize;
pub use scale_out::ScaleOut;
pub use spread::{Brokers, received, spread};

use crate::{catalogue::BrokerType, process::shell_word};

/// The fix for a finding.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Remedy {
    /// A different broker type; MSK changes one broker at a time.
    Resize(Resize),
    /// More brokers of the same type, then partitions moved onto them.
    ScaleOut(ScaleOut),
    /// More storage on every broker.
    Expand(Expand),
    /// A restart of the broker's process and machine.
    Reboot(Reboot),
    /// Leadership returns to the first replica of each partition.
    ElectLeaders(ElectLeaders),
    /// First replicas spread over the brokers.
    Reassign(Reassign),
    /// Replication at full speed again.
    RemoveThrottle(RemoveThrottle),
    /// What only the owners of clients and topics can change.
    Advice(Advice),
    /// Nothing to change: it only takes time.
    Wait { until: String },
}

/// The cluster that a remedy is for, as it was read right before.
#[derive(Debug, Clone, PartialEq)]
pub struct Target<'a> {
    /// Nothing when no control plane was asked; then there is no command for it.
    pub arn: Option<&'a str>,
    pub current_version: Option<&'a str>,
    pub region: &'a str,
    /// `host:port,host:port`, for the commands of Kafka's own tools.
    pub bootstrap_servers: Option<&'a str>,
    /// terraform/msk.tf as it stands, if there is one.
    pub msk_tf: Option<&'a str>,
}

/// A remedy that is ready to be applied, with all values filled in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Rendered {
    /// What changes, in a sentence.
    pub summary: String,
    /// To be pasted into a shell.
    pub aws_cli: Option<String>,
    /// Commands of Kafka's own tools, also for pasting, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kafka_tools: Vec<String>,
    pub kgen: Option<String>,
    /// A unified diff.
    pub hcl_diff: Option<String>,
    /// Price, duration, CPU with one broker unavailable: one fact each.
    pub notes: Vec<String>,
}

impl Remedy {
    pub fn rendered(&self, target: &Target) -> Rendered {
        // The commands are for a shell, and a control plane may answer with anything.
        let words = [target.arn, target.current_version, Some(target.region), target.bootstrap_servers];
        let words = words.map(|text| text.map(shell_word));
        let [arn, current_version, region, bootstrap_servers] = words.each_ref().map(|word| word.as_deref());
        let region = region.unwrap_or_default();
        let target = &Target { arn, current_version, region, bootstrap_servers, ..target.clone() };
        match self {
            Remedy::Resize(resize) => resize.rendered(target),
            Remedy::ScaleOut(scale_out) => scale_out.rendered(target),
            Remedy::Expand(expand) => expand.rendered(target),
            Remedy::Reboot(reboot) => reboot.rendered(target),
            Remedy::ElectLeaders(elect) => elect.rendered(target),
            Remedy::Reassign(reassign) => reassign.rendered(target),
            Remedy::RemoveThrottle(remove) => remove.rendered(target),
            Remedy::Advice(advice) => advice.rendered(),
            Remedy::Wait { until } => Rendered { summary: format!("wait until {until}"), ..Rendered::default() },
        }
    }

    /// The broker type that it leads to.
    pub fn broker_type(&self) -> Option<BrokerType> {
        match self {
            Remedy::Resize(resize) => Some(resize.to),
            _ => None,
        }
    }
}

impl Target<'_> {
    /// The address for Kafka's tools, or a variable to be set.
    fn bootstrap(&self) -> &str {
        self.bootstrap_servers.unwrap_or("\"$BOOTSTRAP_SERVERS\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_an_answer_breaks_out_of_a_command() {
        let target = Target {
            arn: Some("arn:c; touch pwned"),
            current_version: Some("$(touch pwned)"),
            region: "us-west-2`touch pwned`",
            bootstrap_servers: Some("b:1 && touch pwned"),
            msk_tf: None,
        };
        let remedy = Remedy::Expand(Expand::twice(100, "why").unwrap());
        let command = remedy.rendered(&target).aws_cli.unwrap();
        for word in ["'arn:c; touch pwned'", "'$(touch pwned)'", "'us-west-2`touch pwned`'"] {
            assert!(command.contains(word), "{command}");
        }
    }
}
