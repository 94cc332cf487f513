//! `kgen bootstrap`: where clients connect to the stack's cluster.

use std::path::Path;

use anyhow::bail;

use super::{
    documents::{self, BootstrapBrokers},
    look::runtime,
    place::Place,
};
use crate::{
    cli::{Bootstrap, Outcome, refused},
    project::Project,
};

pub fn run(project: &Path, args: &Bootstrap) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    let stack = project.stack();
    // Terraform's state names too few brokers after a change of their number, so the API is asked.
    let brokers = runtime()?.block_on(async {
        let aws = Place::Environment.aws(stack.region()).await;
        let cluster = aws.cluster(&stack.cluster().name).await.map_err(refused)?;
        anyhow::Ok(aws.bootstrap(&cluster).await?)
    })?;
    if args.json {
        documents::print(BootstrapBrokers { plaintext: brokers.plaintext, tls: brokers.tls })?;
        return Ok(Outcome::Done);
    }
    match (if args.tls { &brokers.tls } else { &brokers.plaintext }, args.tls) {
        (Some(addresses), _) => println!("{addresses}"),
        (None, false) if brokers.tls.is_some() => {
            bail!("the cluster has no plaintext listeners: try `kgen bootstrap --tls`")
        }
        (None, true) if brokers.plaintext.is_some() => bail!("the cluster has no TLS listeners: try `kgen bootstrap`"),
        (None, _) => bail!("the cluster has neither plaintext nor TLS listeners"),
    }
    Ok(Outcome::Done)
}
