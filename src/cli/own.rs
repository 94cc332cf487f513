//! Arguments of the commands that are about kgen itself: `doctor`, `init`, `config`, `completions`, `man`, `schema`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::TerraformArgs;
use crate::catalogue::BrokerType;

/// Check this machine's prerequisites and show how to install what is missing
#[derive(Debug, Args)]
#[command(after_help = "\
Exits with 1 if something is missing. Changes nothing and installs nothing, unless --fix is given.

Examples:
  kgen doctor
  kgen doctor --for lab
  kgen doctor --for lab --fix
  kgen doctor --json")]
pub struct Doctor {
    /// What you want to use this machine for
    #[arg(long = "for", value_enum, default_value_t = DoctorFor::All, value_name = "SIDE")]
    pub side: DoctorFor,
    /// Print the results as JSON (schema kgen.doctor/1)
    #[arg(long)]
    pub json: bool,
    /// Install what is missing, after showing the commands and asking
    #[arg(long, conflicts_with = "json")]
    pub fix: bool,
    /// Do not ask before installing
    #[arg(long, requires = "fix")]
    pub yes: bool,
    #[command(flatten)]
    pub terraform: TerraformArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DoctorFor {
    All,
    /// The lab on this machine
    Lab,
    /// Clusters on AWS
    Aws,
}

/// Write a commented kgen.toml, from an existing cluster or from your answers
#[derive(Debug, Args)]
#[command(after_help = "\
Asks for what the options do not give, if there is a terminal. Overwrites no file. Reads the cluster and changes nothing there.

Examples:
  kgen init
  kgen init --from-cluster orders --region eu-west-1
  kgen init --name orders --broker-type kafka.m5.large --broker-count 6")]
pub struct Init {
    /// Cluster to take the settings from, by name or ARN
    #[arg(long, value_name = "NAME|ARN")]
    pub from_cluster: Option<String>,
    /// AWS region
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Cluster name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Broker type, such as kafka.m5.large
    #[arg(long, value_name = "TYPE")]
    pub broker_type: Option<BrokerType>,
    /// Number of brokers, a multiple of the number of zones
    #[arg(long, value_name = "N")]
    pub broker_count: Option<u32>,
    /// Kafka version, such as 3.9.x
    #[arg(long, value_name = "VERSION")]
    pub kafka_version: Option<String>,
    /// Take the default of everything that no option gives
    #[arg(long, conflicts_with = "from_cluster")]
    pub yes: bool,
}

/// Show every setting, its value and where it comes from
#[derive(Debug, Args)]
#[command(after_help = "\
A setting comes from the command line, then the environment, then kgen.toml, then the default.

Examples:
  kgen config
  KGEN_LOAD_RATE=900 kgen config
  kgen config --json
  kgen config --iam-policy > kgen-read-only.json")]
pub struct Config {
    /// Print the smallest IAM policy with which kgen can read clusters from outside
    #[arg(long, conflicts_with = "json")]
    pub iam_policy: bool,
    /// Print the settings as JSON (schema kgen.config/1)
    #[arg(long)]
    pub json: bool,
}

/// Print the completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kgen completions bash > ~/.local/share/bash-completion/completions/kgen
  kgen completions zsh > ~/.zfunc/_kgen   # a folder in $fpath
  kgen completions fish > ~/.config/fish/completions/kgen.fish
  kgen completions elvish > ~/.config/elvish/lib/kgen.elv
  kgen completions powershell > kgen.ps1       # then in $PROFILE: . kgen.ps1")]
pub struct Completions {
    /// Shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Print the man page of a command, or write all of them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kgen man | man -l -
  kgen man lab up | man -l -
  kgen man --dir /usr/local/share/man/man1")]
pub struct Man {
    /// Command [default: kgen itself]
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    pub command: Vec<String>,
    /// Write the page of every command to DIR
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Print the JSON schemas of --json output
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kgen schema                              # every name
  kgen schema kgen.diagnosis/1
  kgen schema --dir docs/schemas")]
pub struct Schema {
    /// Schema name, as in the `schema` field [default: list the names]
    #[arg(value_name = "NAME", conflicts_with = "dir")]
    pub name: Option<String>,
    /// Write each schema to a file in DIR
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
