//! Arguments of `fix`, `resize`, `scale-out`, `resume` and `demo`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{TerraformArgs, lab::T3Mode};
use crate::catalogue::BrokerType;

/// Carry out the remedy of a finding where that is safe, and look until the symptom is gone
#[derive(Debug, Args)]
#[command(after_help = "\
Elects preferred leaders, gives misplaced first replicas to other brokers, takes a forgotten replication throttle off. \
What else a finding needs is named: `kgen resize`, `kgen scale-out`, or what only the owners of clients and topics can do.
Exits with 0 if the symptom is gone, 3 if it is not or kgen does not mend it, 4 if nothing can be said.

Examples:
  kgen fix --dry-run
  kgen fix
  kgen fix --yes --json")]
pub struct Fix {
    /// How long the brokers are watched for the diagnosis
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = super::look::duration)]
    pub window: Duration,
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON document at the end (schema kgen.fix/1)
    #[arg(long)]
    pub json: bool,
}

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
  kgen resize kafka.m5.large --dir infra --var enable_msk=true --dry-run
  kgen resize kafka.m5.large --dir infra --all
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
    /// A file that terraform is given with -var-file, relative to the current folder or else to DIR; may be repeated, in the
    /// same order
    #[arg(long, value_name = "FILE", requires = "dir")]
    pub var_file: Vec<PathBuf>,
    /// A variable that terraform is given with -var; goes over every file; may be repeated
    #[arg(long, value_name = "NAME=VALUE", requires = "dir", value_parser = variable)]
    pub var: Vec<(String, String)>,
    /// Change every cluster of --dir, and stop before terraform
    #[arg(long, requires = "dir", conflicts_with_all = ["cluster", "apply"])]
    pub all: bool,
    /// After the edit of --dir, plan and apply it, if the plan updates that cluster in place and nothing else
    #[arg(long, requires = "dir")]
    pub apply: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// How long the brokers are measured before, and again afterwards
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = super::look::duration)]
    pub measure: Duration,
    /// Print one JSON document at the end (schema kgen.resize/1, or kgen.prepared/1 where nothing is applied)
    #[arg(long)]
    pub json: bool,
    /// Print lines, draw nothing
    #[arg(long)]
    pub plain: bool,
    #[command(flatten)]
    pub terraform: TerraformArgs,
}

/// `NAME=VALUE`.
fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("not of the form NAME=VALUE".to_owned()),
    }
}

/// Add brokers, move partitions onto them, and compare before with after
#[derive(Debug, Args)]
#[command(after_help = "\
In two steps, as AWS has it: the number of brokers in kgen.toml and in the Terraform rendered from it, applied; then partitions, \
ten at a time, under a throttle, while no broker is above 70 % CPU and no partition is under-replicated. The throttle is taken off \
whatever happens. Refused when brokers are too busy to begin with: another broker type is then the remedy (`kgen resize`).
Exits with 3 if a cause is still found afterwards.

Examples:
  kgen scale-out 6 --dry-run
  kgen scale-out 6
  kgen scale-out 9 --yes --throttle 50 --measure 1m --json")]
pub struct ScaleOut {
    /// How many brokers there are to be: more than now, a multiple of the zones
    #[arg(value_name = "BROKERS")]
    pub brokers: u32,
    /// What copying partitions may take of each broker, MiB/s
    #[arg(long, value_name = "MIB", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub throttle: u32,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// How long the brokers are measured before, and again afterwards
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = super::look::duration)]
    pub measure: Duration,
    /// Print one JSON document at the end (schema kgen.scale-out/1, with --dry-run kgen.prepared/1)
    #[arg(long)]
    pub json: bool,
    /// Print lines, draw nothing
    #[arg(long)]
    pub plain: bool,
    #[command(flatten)]
    pub terraform: TerraformArgs,
}

/// Go on with a demo, a resize or a scale-out that was interrupted, killed or has failed
#[derive(Debug, Args)]
#[command(after_help = "\
A resize or scale-out goes on from the step that its record names: a terraform that still runs is waited for, the plan is made \
and guarded again, partitions that are being moved are waited for, and what was measured before counts. A demo is played again, \
as its lab ended with it.

Examples:
  kgen resume                              # the newest that can be gone on with
  kgen resume resize-20261126-101500 --yes
  kgen resume --undo                       # put the files back, if it can")]
pub struct Resume {
    /// Id of a run in .kgen/runs, or the beginning of one
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Put the files back instead, if the cluster has not begun to change
    #[arg(long)]
    pub undo: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON document at the end, that of the command that is gone on with
    #[arg(long)]
    pub json: bool,
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
