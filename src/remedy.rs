//! A fix as data. It renders to the AWS CLI's command, to an HCL change and to the kgen command that does it all.

mod hcl_change;
mod resize;

use serde::{Deserialize, Serialize};

pub use resize::Resize;

use crate::catalogue::BrokerType;

/// What mends a finding.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Remedy {
    /// Another broker type, rolled out by MSK one broker at a time.
    Resize(Resize),
    /// Nothing is to be changed but time.
    Wait { until: String },
}

/// The cluster that a remedy is for, as it was read right before.
#[derive(Debug, Clone, PartialEq)]
pub struct Target<'a> {
    /// Nothing when no control plane was asked; then there is no command for it.
    pub arn: Option<&'a str>,
    pub current_version: Option<&'a str>,
    pub region: &'a str,
    /// terraform/msk.tf as it stands, if there is one.
    pub msk_tf: Option<&'a str>,
}

/// A remedy ready to be carried out: every value filled in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Rendered {
    /// What changes, in a sentence.
    pub summary: String,
    /// To be pasted into a shell.
    pub aws_cli: Option<String>,
    pub kgen: Option<String>,
    /// A unified diff.
    pub hcl_diff: Option<String>,
    /// What it costs, how long it takes, what is left when a broker fails: one fact each.
    pub notes: Vec<String>,
}

impl Remedy {
    pub fn rendered(&self, target: &Target) -> Rendered {
        match self {
            Remedy::Resize(resize) => resize.rendered(target),
            Remedy::Wait { until } => Rendered {
                summary: format!("wait until {until}"),
                aws_cli: None,
                kgen: None,
                hcl_diff: None,
                notes: Vec::new(),
            },
        }
    }

    /// The broker type that it leads to.
    pub fn broker_type(&self) -> Option<BrokerType> {
        match self {
            Remedy::Resize(resize) => Some(resize.to),
            Remedy::Wait { .. } => None,
        }
    }
}
