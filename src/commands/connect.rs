//! `kgen connect`: a shell on the client instance.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::working_dir::readable;
use crate::{
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
        region(&arn).with_context(|| format!("output msk_cluster_arn is {arn:?}, which contains no region"))?;
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

/// The region in an ARN, its fourth part.
fn region(arn: &str) -> Option<&str> {
    let mut parts = arn.split(':');
    (parts.next() == Some("arn")).then(|| parts.nth(2)).flatten().filter(|region| !region.is_empty())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_region_is_in_the_arn() {
        let check = |arn: &str, region: Option<&str>| assert_eq!(super::region(arn), region, "{arn}");
        check("arn:aws:kafka:us-west-2:123456789012:cluster/demo/0-1", Some("us-west-2"));
        check("arn:aws-cn:kafka:cn-north-1:1:cluster/demo/0-1", Some("cn-north-1"));
        check("arn:aws:iam::1:role/x", None);
        check("us-west-2", None);
        check("", None);
    }
}
