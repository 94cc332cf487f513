//! The location of the AWS APIs: AWS, the endpoint in the environment, or kgen's own lab.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};

use super::look;
use crate::{
    aws::{self, Bootstrap},
    cli::{load::Brokers, refused},
    kafka::{Connection, Security, region_of},
    project::Project,
    watch::runtime,
};

pub use crate::watch::Place;

/// How brokers are reached, and of which cluster they are if kgen looked that up.
pub struct Reached {
    pub connection: Connection,
    pub cluster: Option<Found>,
}

/// A cluster whose brokers are looked up.
pub struct Found {
    pub name: String,
    pub region: String,
}

/// As [`reached`], without the cluster.
///
/// # Errors
/// As [`reached`].
pub fn connection(brokers: &Brokers, project: &Project) -> anyhow::Result<Connection> {
    Ok(reached(brokers, project)?.connection)
}

/// The brokers that the arguments name, else those of the cluster that they, the environment or the project name.
///
/// # Errors
/// Refused: none are named, and the cluster cannot be asked or has no such listener.
pub fn reached(brokers: &Brokers, project: &Project) -> anyhow::Result<Reached> {
    let settings = settings(brokers)?;
    let (bootstrap_servers, cluster) = match (&brokers.bootstrap_servers, &brokers.which.cluster) {
        (Some(_), Some(_)) => {
            return Err(refused(anyhow!(
                "--cluster and --bootstrap-servers (or KGEN_BOOTSTRAP_SERVERS) both name brokers: use only one of them"
            )));
        }
        (Some(named), None) => (named.clone(), None),
        (None, _) => {
            let (servers, found) = runtime()?.block_on(asked(brokers, project)).map_err(refused)?;
            (servers, Some(found))
        }
    };
    let region = || {
        let asked = cluster.as_ref().map(|cluster| cluster.region.as_str()).or(brokers.which.region.as_deref());
        region_of(&bootstrap_servers).or(asked).unwrap_or(project.stack().region()).to_owned()
    };
    let iam_region = (brokers.security == Some(Security::Iam)).then(region);
    if let Some(region) = &iam_region {
        runtime()?.block_on(aws::for_brokers(region, &bootstrap_servers)).map_err(refused)?;
    }
    Ok(Reached { connection: Connection { bootstrap_servers, settings, iam_region }, cluster })
}

/// Settings of the client, by librdkafka's names.
fn settings(brokers: &Brokers) -> anyhow::Result<BTreeMap<String, String>> {
    let mut settings: BTreeMap<String, String> = BTreeMap::new();
    let mut put = |name: &str, value: &str| settings.insert(name.to_owned(), value.to_owned());
    for (name, value) in brokers.security.map_or(&[][..], Security::settings) {
        put(name, value);
    }
    if brokers.security == Some(Security::Scram) {
        for (name, variable) in [("sasl.username", "KGEN_SASL_USERNAME"), ("sasl.password", "KGEN_SASL_PASSWORD")] {
            match std::env::var(variable) {
                Ok(value) => drop(put(name, &value)),
                Err(_) if brokers.set.iter().any(|(set, _)| set == name) => {}
                Err(_) => {
                    return Err(refused(anyhow!(
                        "--security scram needs {variable} in the environment (or --set {name}=…)"
                    )));
                }
            }
        }
    }
    settings.extend(brokers.set.iter().cloned());
    Ok(settings)
}

/// The bootstrap brokers of the cluster for this kind of client.
async fn asked(brokers: &Brokers, project: &Project) -> anyhow::Result<(String, Found)> {
    let named = brokers.which.cluster.as_deref();
    let stacks = &project.stack().cluster().name;
    let asking = || match named {
        Some(name) => format!("looking up the brokers of {name}"),
        None => format!("--bootstrap-servers is not set, so looking up the brokers of {stacks}"),
    };
    let (target, aws, info) = look::found(&brokers.which, project).await.with_context(asking)?;
    let name = info.name.clone();
    let bootstrap = aws.bootstrap_of(&info.arn).await.with_context(asking)?;
    let security = brokers.security.unwrap_or(Security::Plaintext);
    let servers = listeners(&bootstrap, security).cloned().with_context(|| match security {
        Security::Plaintext => no_plaintext(&name),
        _ => format!(
            "cluster {name} has no listener for --security {security} (`kgen bootstrap --json` shows what it has)"
        ),
    });
    let found = Found { name, region: target.region.name };
    Ok((servers.with_context(asking)?, found))
}

fn no_plaintext(name: &str) -> String {
    format!("cluster {name} has no plaintext listener (use --security tls, scram or iam)")
}

/// Where clients of this kind connect.
pub fn listeners(bootstrap: &Bootstrap, security: Security) -> Option<&String> {
    match security {
        Security::Plaintext => bootstrap.plaintext.as_ref(),
        Security::Tls => bootstrap.tls.as_ref(),
        Security::Scram => bootstrap.sasl_scram.as_ref(),
        Security::Iam => bootstrap.sasl_iam.as_ref(),
    }
}
