//! Arguments of `resize` and `demo`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{TerraformArgs, lab::T3Mode};
use crate::catalogue::BrokerType;

/// Change the broker type: rewrite the HCL, apply it, and compare before with after
#[derive(Debug, Args)]
#[command(after_help = "\
Exits with 3 if a cause is still found afterwards.

Examples:
  kgen resize kafka.m5.large --dry-run
  kgen resize kafka.m5.large
  kgen resize kafka.m7g.large --yes --measure 1m --json
  kgen resize kafka.m5.large --dir infra/prod --dry-run
  kgen resize kafka.m5.large --dir infra --cluster orders --var-file prod.tfvars
  kgen resize kafka.m5.large --dir infra/prod --apply --yes")]
pub struct Resize {
    /// The broker type to change to
    #[arg(value_name = "TYPE")]
    pub broker_type: BrokerType,
    /// A folder of Terraform or Terragrunt that kgen did not write: edit it, and stop before terraform unless --apply
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Which cluster of --dir: its address, resource name or cluster_name
    #[arg(long, value_name = "NAME", requires = "dir")]
    pub cluster: Option<String>,
    /// A file that terraform is given with -var-file; may be repeated, in the same order
    #[arg(long, value_name = "FILE", requires = "dir")]
    pub var_file: Vec<PathBuf>,
    /// After the edit of --dir, plan and apply it, if the plan updates that cluster in place and nothing else
    #[arg(long, requires = "dir")]
    pub apply: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// How long the brokers are measured before, and again afterwards
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = super::look::duration)]
    pub measure: Duration,
    /// Print one JSON document at the end (schema kgen.resize/1)
    #[arg(long)]
    pub json: bool,
    /// Print lines, draw nothing
    #[arg(long)]
    pub plain: bool,
    #[command(flatten)]
    pub terraform: TerraformArgs,
}

/// Play the whole story in a lab of its own: undersized, seen, named, resized, recovered, destroyed
#[derive(Debug, Args)]
#[command(after_help = "\
Works in .kgen/demo of the project folder, and leaves only the record of the run, in .kgen/runs.
Exits with 3 if the cluster did not recover, 4 if no cause could be named, 5 if a record was lost.

Examples:
  kgen demo
  kgen demo --json > story.json")]
pub struct Demo {
    /// Port of the lab on 127.0.0.1; a free one unless given
    #[arg(long)]
    pub port: Option<u16>,
    /// What a T3 broker may use of its CPU
    #[arg(long, value_enum, default_value_t = T3Mode::Sustained)]
    pub t3: T3Mode,
    /// Print one JSON document at the end (schema kgen.demo/1)
    #[arg(long)]
    pub json: bool,
    /// Print lines, draw nothing
    #[arg(long)]
    pub plain: bool,
    #[command(flatten)]
    pub terraform: TerraformArgs,
}
