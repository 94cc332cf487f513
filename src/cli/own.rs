//! Arguments of the commands that are about kgen itself: `doctor`, `config`, `completions`, `man`, `schema`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::TerraformArgs;

/// Tell what this machine lacks for kgen, why it matters, and what mends it
#[derive(Debug, Args)]
#[command(after_help = "\
Exits with 1 if something is missing. Changes nothing and installs nothing.

Examples:
  kgen doctor
  kgen doctor --for lab
  kgen doctor --json")]
pub struct Doctor {
    /// What the machine is to be used for
    #[arg(long = "for", value_enum, default_value_t = DoctorFor::All, value_name = "SIDE")]
    pub side: DoctorFor,
    /// Print the answers as JSON (schema kgen.doctor/1)
    #[arg(long)]
    pub json: bool,
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

/// Show each setting, its value, and where it comes from
#[derive(Debug, Args)]
#[command(after_help = "\
A setting is that of the command line, else of the environment, else of kgen.toml, else the default.

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

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kgen completions bash > ~/.local/share/bash-completion/completions/kgen
  kgen completions zsh > ~/.zfunc/_kgen   # a folder in $fpath
  kgen completions fish > ~/.config/fish/completions/kgen.fish
  kgen completions elvish > ~/.config/elvish/lib/kgen.elv
  kgen completions powershell > kgen.ps1       # then in $PROFILE: . kgen.ps1")]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Print the man page of a command, or write those of all
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kgen man | man -l -
  kgen man lab up | man -l -
  kgen man --dir /usr/local/share/man/man1")]
pub struct Man {
    /// The command; kgen itself unless named
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    pub command: Vec<String>,
    /// Write the page of every command to DIR
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Print the JSON schema of what --json prints
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kgen schema                              # every name
  kgen schema kgen.diagnosis/1
  kgen schema --dir docs/schemas")]
pub struct Schema {
    /// Name of a schema, as in the `schema` field; a line a name unless given
    #[arg(value_name = "NAME", conflicts_with = "dir")]
    pub name: Option<String>,
    /// Write each to a file in DIR
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
