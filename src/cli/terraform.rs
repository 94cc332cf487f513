//! The commands that drive Terraform, and those that read its outputs.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::kafka::Security;

/// Which terraform to use
#[derive(Debug, Clone, Args)]
pub struct TerraformArgs {
    /// Terraform program [default: terraform, then tofu, from the PATH]
    #[arg(long, env = "KGEN_TERRAFORM_BIN", value_name = "PROGRAM")]
    pub terraform_bin: Option<PathBuf>,
}

/// How long to wait for others
#[derive(Debug, Clone, Args)]
pub struct Locking {
    /// How long to wait while another kgen uses the project or another run holds the state lock
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = super::look::duration)]
    pub lock_timeout: Duration,
}

/// Show what `apply` would change
#[derive(Debug, Args)]
#[command(after_help = "\
Also shows what was changed outside of Terraform. Exits with 0 whether or not there are changes. With --detailed-exitcode, \
0 means no changes, 2 means changes, and 1 means that the plan failed.

Examples:
  kgen plan
  kgen plan --detailed-exitcode     # exit code 2 when there are changes, for CI
  kgen plan --json | jq '.resources[].address'")]
pub struct Plan {
    /// Exit with 2 when there are changes, as terraform does
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Print the changes as JSON (schema kgen.plan/1)
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub locking: Locking,
    #[command(flatten)]
    pub terraform: TerraformArgs,
}

/// Apply terraform/ after showing the plan and asking for approval
#[derive(Debug, Args)]
#[command(after_help = "\
Ctrl-C stops Terraform when it is safe; what it has created stays in its state. Pressing Ctrl-C again changes nothing.

Examples:
  kgen apply
  kgen apply --dry-run              # like kgen plan, with the price
  kgen apply --yes --json           # without a terminal")]
pub struct Apply {
    /// Show what would change and what it costs, without changing anything
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask for approval
    #[arg(long, short)]
    pub yes: bool,
    /// Print the changes and the outputs as JSON (schema kgen.apply/1)
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub locking: Locking,
    #[command(flatten)]
    pub terraform: TerraformArgs,
}

/// Destroy everything that `apply` created, after asking for approval
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kgen destroy
  kgen destroy --dry-run
  kgen destroy --yes")]
pub struct Destroy {
    /// Show what would be destroyed without destroying anything
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask for approval
    #[arg(long, short)]
    pub yes: bool,
    /// Print the changes as JSON (schema kgen.destroy/1)
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub locking: Locking,
    #[command(flatten)]
    pub terraform: TerraformArgs,
}

/// Print the outputs of the applied stack
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kgen output
  kgen output --raw client_instance_id
  kgen output --json                # including sensitive ones")]
pub struct Output {
    /// Print only the value of this output
    #[arg(long, value_name = "NAME")]
    pub raw: Option<String>,
    /// Print all names and values as JSON, including sensitive ones
    #[arg(long, conflicts_with = "raw")]
    pub json: bool,
    #[command(flatten)]
    pub terraform: TerraformArgs,
}

/// Open a shell on the client instance through AWS Systems Manager
#[derive(Debug, Args)]
#[command(after_help = "\
Needs the AWS CLI and its session-manager-plugin. Neither is needed in the lab, where the shell runs on this machine, in the \
instance's sandbox; there, the exit code is the shell's, and standard input may have the commands.

Examples:
  kgen connect
  kgen connect --instance i-0a1b   # another one than the first
  kgen connect --dry-run           # the command, for another machine")]
pub struct Connect {
    /// Instance to connect to [default: the stack's first]
    #[arg(long, value_name = "ID")]
    pub instance: Option<String>,
    /// Print the command without running it
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub terraform: TerraformArgs,
}

/// Print the bootstrap brokers of a cluster
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kgen bootstrap
  kafka-topics.sh --bootstrap-server \"$(kgen bootstrap)\" --list
  kgen bootstrap --tls
  kgen bootstrap --security scram
  kgen bootstrap --cluster orders --region eu-central-1")]
pub struct Bootstrap {
    #[command(flatten)]
    pub which: super::Which,
    /// Kind of listener
    #[arg(long, value_enum, value_name = "KIND", default_value = "plaintext")]
    pub security: Security,
    /// The same as `--security tls`
    #[arg(long, conflicts_with = "security")]
    pub tls: bool,
    /// Print all listeners as JSON (schema kgen.bootstrap/1)
    #[arg(long, conflicts_with_all = ["tls", "security"])]
    pub json: bool,
}
