//! Where the AWS APIs are: AWS or what the environment names instead, or a lab that kgen runs itself.

use anyhow::Context as _;

use super::runtime;
use crate::{
    aws::{self, Aws, MskCluster},
    lab::service::Running,
    outcome::refused,
};

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

    /// What programs started by kgen get on top of its own environment.
    ///
    /// # Errors
    /// Refused: they would send real credentials to this machine.
    pub fn env(&self) -> anyhow::Result<Vec<(String, String)>> {
        match self {
            Place::Environment => runtime()?.block_on(aws::for_programs()).map_err(refused),
            Place::Lab { env, .. } => Ok(env.clone()),
        }
    }
}

/// The stack's cluster and its plaintext bootstrap brokers, as the API has them.
///
/// # Errors
/// There is no such cluster, the API cannot be reached, or the cluster has no plaintext listener.
pub async fn cluster(aws: &Aws, name: &str) -> anyhow::Result<(MskCluster, String)> {
    let cluster = aws.cluster(name).await?;
    let plaintext = plaintext(aws, &cluster).await?;
    Ok((cluster, plaintext))
}

/// The plaintext bootstrap brokers of `cluster`.
///
/// # Errors
/// The API cannot be reached, or the cluster has no plaintext listener.
pub async fn plaintext(aws: &Aws, cluster: &MskCluster) -> anyhow::Result<String> {
    let bootstrap = aws.bootstrap(cluster).await?;
    bootstrap.plaintext.with_context(|| {
        let name = &cluster.name;
        format!("cluster {name} has no plaintext listener (use --security tls, scram or iam)")
    })
}
