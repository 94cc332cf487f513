//! Where the AWS APIs are: AWS or what the environment names instead, or a lab that kgen runs itself.

use crate::{aws::Aws, lab::service::Running};

/// Where calls to AWS go.
#[derive(Debug, Clone)]
pub enum Place {
    /// What the environment and the AWS files say.
    Environment,
    /// This lab, whatever the environment says, with the variables that point other programs at it.
    Lab { running: Running, env: Vec<(String, String)> },
}

impl Place {
    /// Clients for `region`. Makes no call.
    pub async fn aws(&self, region: &str) -> Aws {
        match self {
            Place::Environment => Aws::connect(region).await,
            Place::Lab { running, .. } => Aws::connect_to(region, &running.endpoint).await,
        }
    }
}
