//! Where the AWS APIs are: AWS or whatever the environment names, or a lab that kgen runs itself.

use anyhow::{Context, anyhow};

use super::look::runtime;
use crate::{
    aws::{Aws, Cluster},
    cli::{load::Brokers, refused},
    kafka::Connection,
    lab::service::Running,
    stack::Stack,
};

#[derive(Debug, Clone)]
pub enum Place {
    /// What the environment and the AWS files say.
    Environment,
    /// This lab, whatever the environment says, with the variables that point other programs at it.
    Lab { running: Running, env: Vec<(String, String)> },
}

impl Place {
    pub async fn aws(&self, region: &str) -> Aws {
        match self {
            Place::Environment => Aws::connect(region).await,
            Place::Lab { running, .. } => Aws::connect_to(region, &running.endpoint).await,
        }
    }

    /// What programs started by kgen get on top of its own environment.
    pub fn env(&self) -> &[(String, String)] {
        match self {
            Place::Environment => &[],
            Place::Lab { env, .. } => env,
        }
    }
}

/// The stack's cluster and its plaintext bootstrap brokers, as the API has them.
///
/// # Errors
/// There is no such cluster, the API cannot be reached, or the cluster has no plaintext listener.
pub async fn cluster(aws: &Aws, name: &str) -> anyhow::Result<(Cluster, String)> {
    let cluster = aws.cluster(name).await?;
    let plaintext = plaintext(aws, &cluster).await?;
    Ok((cluster, plaintext))
}

/// The plaintext bootstrap brokers of `cluster`.
///
/// # Errors
/// The API cannot be reached, or the cluster has no plaintext listener.
pub async fn plaintext(aws: &Aws, cluster: &Cluster) -> anyhow::Result<String> {
    let bootstrap = aws.bootstrap(cluster).await?;
    bootstrap.plaintext.with_context(|| {
        let name = &cluster.name;
        format!("cluster {name} has no plaintext listener (name its brokers with --bootstrap-servers and --set security.protocol=ssl)")
    })
}

/// The brokers that the arguments name, else those of the stack's cluster.
///
/// # Errors
/// Refused: none are named, and the stack's cluster cannot be asked.
pub fn connection(brokers: &Brokers, stack: &Stack) -> anyhow::Result<Connection> {
    let settings = brokers.set.iter().cloned().collect();
    if let Some(bootstrap_servers) = brokers.bootstrap_servers.clone() {
        return Ok(Connection { bootstrap_servers, settings });
    }
    let name = &stack.cluster().name;
    let found = runtime()?.block_on(async {
        let aws = Place::Environment.aws(stack.region()).await;
        cluster(&aws, name).await
    });
    let (_, bootstrap_servers) = found
        .map_err(|error| {
            anyhow!("no brokers are named with --bootstrap-servers, and asking for those of {name}: {error:#}")
        })
        .map_err(refused)?;
    Ok(Connection { bootstrap_servers, settings })
}
