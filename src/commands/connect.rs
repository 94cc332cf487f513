//! `kgen connect`: a shell on the client instance.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::working_dir::readable;
use crate::{
    aws::region_in_arn,
    cli::{Connect, Outcome, refused},
    process::{Tool, shell_quoted},
    project::Project,
    sandbox::client,
};

pub fn run(project: &Path, args: &Connect) -> anyhow::Result<Outcome> {
    let endpoint = std::env::var("AWS_ENDPOINT_URL").ok().filter(|endpoint| !endpoint.is_empty());
    if endpoint.is_some() && args.dry_run {
        return Err(refused(anyhow!(
            "the lab's client instance is on this machine: there is no command for another one"
        )));
    }
    let lab = match endpoint {
        Some(endpoint) => Some(client::lab(&Project::open(project).map_err(refused)?, &endpoint).map_err(refused)?),
        None => None,
    };
    let (dir, terraform) = readable(project, &args.terraform)?;
    let aws = if args.dry_run || lab.is_some() { None } else { Some(aws()?) };
    let instance = match &args.instance {
        Some(instance) => instance.clone(),
        None => terraform.text_output("client_instance_id")?,
    };
    let arn = terraform.text_output("msk_cluster_arn")?;
    let region =
        region_in_arn(&arn).with_context(|| format!("output msk_cluster_arn is {arn:?}, which contains no region"))?;
    if let Some(lab) = lab {
        let code = client::run(&lab, &instance, region)?;
        return Ok(Outcome::Program(u8::try_from(code).unwrap_or(1)));
    }
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
