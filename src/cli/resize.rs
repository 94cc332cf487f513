//! Arguments of `fix`, `resize`, `scale-out`, `resume` and `demo`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{TerraformArgs, lab::T3Mode};
use crate::catalogue::BrokerType;

/// Apply the remedy of a finding when it is safe, then check that the symptom is gone
#[derive(Debug, Args)]
#[command(after_help = "\
Elects preferred leaders, moves misplaced first replicas to other brokers, and removes a forgotten replication throttle. \
For every other finding it prints what to do: `kgen resize`, `kgen scale-out`, or a change that only the owners of clients \
and topics can make.
Exits with 0 if the symptom is gone, 3 if it is still there or kgen has no fix for it, 4 if the diagnosis is inconclusive.

Examples:
  kgen fix --dry-run
  kgen fix
  kgen fix --yes --json")]
pub struct Fix {
    /// How long to watch the brokers for the diagnosis
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = super::look::duration)]
    pub window: Duration,
    /// Show what would be done without changing anything
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask for approval
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON document at the end (schema kgen.fix/1)
    #[arg(long)]
    pub json: bool,
}

/// Change the broker type with Terraform and prove that it helped
#[derive(Debug, Args)]
#[command(after_help = "\
Exits with 3 if a cause is still found after the change.

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
    /// Broker type to change to
    #[arg(value_name = "TYPE")]
    pub broker_type: BrokerType,
    /// Edit the Terraform or Terragrunt in DIR instead of the project's; add --apply to run it
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Cluster of --dir to change: its address, resource name or cluster_name
    #[arg(long, value_name = "NAME", requires = "dir")]
    pub cluster: Option<String>,
    /// Variable file that terraform gets with -var-file, relative to the current folder or to DIR; repeat it in the same order
    #[arg(long, value_name = "FILE", requires = "dir")]
    pub var_file: Vec<PathBuf>,
    /// Variable that terraform gets with -var; overrides every file; may be repeated
    #[arg(long, value_name = "NAME=VALUE", requires = "dir", value_parser = variable)]
    pub var: Vec<(String, String)>,
    /// Edit every cluster of --dir without running terraform
    #[arg(long, requires = "dir", conflicts_with_all = ["cluster", "apply"])]
    pub all: bool,
    /// Plan and apply the edit of --dir, if the plan only updates that cluster in place
    #[arg(long, requires = "dir")]
    pub apply: bool,
    /// Show what would change without changing anything
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask for approval
    #[arg(long, short)]
    pub yes: bool,
    /// How long to measure the brokers before the change, and again after it
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = super::look::duration)]
    pub measure: Duration,
    /// Print one JSON document at the end (schema kgen.resize/1, or kgen.prepared/1 if nothing is applied)
    #[arg(long)]
    pub json: bool,
    /// Print lines instead of the live screen
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

/// Add brokers, move partitions onto them, and prove that it helped
#[derive(Debug, Args)]
#[command(after_help = "\
Works in two steps, as AWS advises. First it changes the number of brokers in kgen.toml and the rendered Terraform, and applies it. \
Then it moves partitions, ten at a time, under a throttle, as long as no broker is above 70 % CPU and no partition is \
under-replicated. The throttle is always removed at the end. Refused if the brokers are too busy to begin with: then change the \
broker type (`kgen resize`).
Exits with 3 if a cause is still found after the change.

Examples:
  kgen scale-out 6 --dry-run
  kgen scale-out 6
  kgen scale-out 9 --yes --throttle 50 --measure 1m --json")]
pub struct ScaleOut {
    /// New number of brokers: more than now, and a multiple of the zones
    #[arg(value_name = "BROKERS")]
    pub brokers: u32,
    /// Limit for moving partitions, MiB/s per broker
    #[arg(long, value_name = "MIB", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub throttle: u32,
    /// Show what would change without changing anything
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask for approval
    #[arg(long, short)]
    pub yes: bool,
    /// How long to measure the brokers before the change, and again after it
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = super::look::duration)]
    pub measure: Duration,
    /// Print one JSON document at the end (schema kgen.scale-out/1, with --dry-run kgen.prepared/1)
    #[arg(long)]
    pub json: bool,
    /// Print lines instead of the live screen
    #[arg(long)]
    pub plain: bool,
    #[command(flatten)]
    pub terraform: TerraformArgs,
}

/// Resume an interrupted demo, resize or scale-out
#[derive(Debug, Args)]
#[command(after_help = "\
A resize or scale-out continues at the step that its record names. kgen waits for a terraform that still runs and for partitions \
that are still moving, makes and checks the plan again, and keeps the measurements from before. A demo starts again, because its \
lab ended with it.

Examples:
  kgen resume                              # the newest run that can be resumed
  kgen resume resize-20261126-101500 --yes
  kgen resume --undo                       # restore the files")]
pub struct Resume {
    /// Run id in .kgen/runs, or the beginning of one
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Restore the files instead, if the cluster has not begun to change
    #[arg(long)]
    pub undo: bool,
    /// Do not ask for approval
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON document at the end: that of the resumed command
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub terraform: TerraformArgs,
}

/// Run the whole scenario in its own lab: overload, diagnosis, resize, proof
#[derive(Debug, Args)]
#[command(after_help = "\
Works in .kgen/demo of the project folder and leaves only the record of the run, in .kgen/runs.
Exits with 3 if the cluster did not recover, 4 if no cause could be named, 5 if a record was lost.

Examples:
  kgen demo
  kgen demo --json > story.json")]
pub struct Demo {
    /// Port of the lab on 127.0.0.1 [default: a free one]
    #[arg(long)]
    pub port: Option<u16>,
    /// Scale of the brokers compared with AWS, 1:N [default: from this machine's cores; 1:2.5 on two]
    #[arg(long, value_name = "N", value_parser = super::lab::scale)]
    pub scale: Option<f64>,
    /// CPU that T3 brokers get
    #[arg(long, value_enum, default_value_t = T3Mode::Sustained)]
    pub t3: T3Mode,
    /// Print one JSON document at the end (schema kgen.demo/1)
    #[arg(long)]
    pub json: bool,
    /// Print lines instead of the live screen
    #[arg(long)]
    pub plain: bool,
    #[command(flatten)]
    pub terraform: TerraformArgs,
}
