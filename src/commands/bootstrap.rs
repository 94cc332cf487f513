//! `kgen bootstrap`: where clients connect to a cluster.

use std::path::Path;

use anyhow::bail;
use clap::ValueEnum as _;

use super::{
    documents::{self, BootstrapBrokers},
    look::{found, runtime},
    place::listeners,
};
use crate::{
    aws,
    cli::{Bootstrap, Outcome, refused},
    kafka::Security,
    project::Project,
};

pub fn run(project: &Path, args: &Bootstrap) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    // Terraform's state names too few brokers after a change of their number, so the API is asked.
    let brokers = runtime()?.block_on(async {
        let (_, aws, info) = found(&args.which, &project).await?;
        anyhow::Ok(aws.bootstrap_of(&info.arn).await?)
    })?;
    if args.json {
        let aws::Bootstrap { plaintext, tls, sasl_scram, sasl_iam } = brokers;
        documents::print(BootstrapBrokers { plaintext, tls, sasl_scram, sasl_iam })?;
        return Ok(Outcome::Done);
    }
    let wanted = if args.tls { Security::Tls } else { args.security };
    if let Some(addresses) = listeners(&brokers, wanted) {
        println!("{addresses}");
        return Ok(Outcome::Done);
    }
    let other = Security::value_variants().iter().find(|kind| listeners(&brokers, **kind).is_some());
    match other {
        Some(other) => bail!("the cluster has no {wanted} listeners: try `kgen bootstrap --security {other}`"),
        None => bail!("the cluster has no listeners that kgen supports"),
    }
}
