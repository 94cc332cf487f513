//! `kgen connect`: a shell on the client instance.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::working_dir::readable;
use crate::{
    aws::region_in_arn,
    cli::{Connect, Outcome, refused},
    process::{Tool, shell_quoted},
};

pub fn run(project: &Path, args: &Connect) -> anyhow::Result<Outcome> {
    if let Some(endpoint) = std::env::var_os("AWS_ENDPOINT_URL") {
        return Err(refused(anyhow!(
            "the lab's client instance is not a real machine (AWS_ENDPOINT_URL is {}): the brokers are on this \
             machine, so use `kgen bootstrap`, `kgen topic` and `kgen produce` here",
            endpoint.display()
        )));
    }
    let (dir, terraform) = readable(project, &args.terraform)?;
    let aws = if args.dry_run { None } else { Some(aws()?) };
    let instance = terraform.text_output("client_instance_id")?;
    let arn = terraform.text_output("msk_cluster_arn")?;
    let region =
        region_in_arn(&arn).with_context(|| format!("output msk_cluster_arn is {arn:?}, which contains no region"))?;
    let session = ["ssm", "start-session", "--target", &instance, "--region", region];
    let Some(aws) = aws else {
        println!("aws {}", session.map(shell_quoted).join(" "));
        return Ok(Outcome::Done);
    };
    Err(Tool::new(aws, dir).exec(session).into())
}

/// The AWS CLI, if all is there that a session needs.
fn aws() -> anyhow::Result<PathBuf> {
    let aws = which::which("aws")
        .map_err(|_| refused(anyhow!("the AWS CLI is missing: install it so that `aws` is on the PATH")))?;
    which::which("session-manager-plugin").map_err(|_| {
        refused(anyhow!("the AWS CLI needs session-manager-plugin on the PATH to open a session: install it"))
    })?;
    Ok(aws)
}
