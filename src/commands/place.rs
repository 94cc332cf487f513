//! Where the AWS APIs are: AWS or whatever the environment names, or a lab that kgen runs itself.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};

use crate::{
    aws::{self, Bootstrap},
    cli::{load::Brokers, refused},
    kafka::{Connection, Security, region_of},
    stack::Stack,
    watch::runtime,
};

pub use crate::watch::{Place, cluster, plaintext};

/// The brokers that the arguments name, else those of the stack's cluster.
///
/// # Errors
/// Refused: none are named, and the stack's cluster cannot be asked or has no such listener.
pub fn connection(brokers: &Brokers, stack: &Stack) -> anyhow::Result<Connection> {
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
    let bootstrap_servers = match brokers.bootstrap_servers.clone() {
        Some(named) => named,
        None => runtime()?.block_on(asked(brokers.security, stack)).map_err(refused)?,
    };
    let iam_region = (brokers.security == Some(Security::Iam))
        .then(|| region_of(&bootstrap_servers).unwrap_or(stack.region()).to_owned());
    if let Some(region) = &iam_region {
        runtime()?.block_on(aws::for_brokers(region, &bootstrap_servers)).map_err(refused)?;
    }
    Ok(Connection { bootstrap_servers, settings, iam_region })
}

/// The bootstrap brokers of the stack's cluster for this kind of client.
async fn asked(security: Option<Security>, stack: &Stack) -> anyhow::Result<String> {
    let name = &stack.cluster().name;
    let asking = || format!("no brokers are named with --bootstrap-servers, and asking for those of {name}");
    let aws = Place::Environment.aws(stack.region()).await;
    let cluster = aws.cluster(name).await.with_context(asking)?;
    let security = security.unwrap_or(Security::Plaintext);
    if security == Security::Plaintext {
        return plaintext(&aws, &cluster).await.with_context(asking);
    }
    let bootstrap = aws.bootstrap(&cluster).await.with_context(asking)?;
    listeners(&bootstrap, security).cloned().with_context(|| {
        format!("cluster {name} has no listener for --security {security} (`kgen bootstrap --json` shows what it has)")
    })
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
