//! `kgen bootstrap`: where clients connect to the stack's cluster.

use std::path::Path;

use anyhow::bail;
use serde_json::json;

use super::working_dir::WorkingDir;
use crate::cli::{Bootstrap, Outcome};

pub fn run(project: &Path, args: &Bootstrap) -> anyhow::Result<Outcome> {
    let working_dir = WorkingDir::open(project, &args.terraform)?;
    // JOIN: ask the API (`aws.bootstrap(&aws.cluster(name)?)`) when module `aws` is there. The state names too few
    // brokers until the second apply after a change of their number.
    let outputs = working_dir.terraform().output()?;
    let brokers =
        |name: &str| outputs.get(name).and_then(|output| output.value.as_str()).filter(|brokers| !brokers.is_empty());
    let (plaintext, tls) = (brokers("bootstrap_brokers"), brokers("bootstrap_brokers_tls"));
    if args.json {
        println!("{:#}", json!({"plaintext": plaintext, "tls": tls}));
        return Ok(Outcome::Done);
    }
    match (if args.tls { tls } else { plaintext }, args.tls) {
        (Some(brokers), _) => println!("{brokers}"),
        (None, false) if tls.is_some() => bail!("the cluster has no plaintext listeners: try `kgen bootstrap --tls`"),
        (None, true) if plaintext.is_some() => bail!("the cluster has no TLS listeners: try `kgen bootstrap`"),
        (None, _) => bail!("the state names no bootstrap brokers (make the cluster with `kgen apply` first)"),
    }
    Ok(Outcome::Done)
}
