//! The kinds of clusters that MSK runs.

use serde::{Deserialize, Serialize};

/// What kind of cluster MSK runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClusterKind {
    Standard,
    Express,
    Serverless,
}

impl ClusterKind {
    /// In the words of AWS.
    pub fn as_str(&self) -> &'static str {
        match self {
            ClusterKind::Standard => "Standard",
            ClusterKind::Express => "Express",
            ClusterKind::Serverless => "Serverless",
        }
    }
}
