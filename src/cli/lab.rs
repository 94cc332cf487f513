//! Arguments of `kgen lab`.

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub enum LabCommand {
    /// Start the lab and wait until it answers
    #[command(after_help = "\
Examples:
  kgen lab up && eval \"$(kgen lab env)\"
  kgen lab up --port 5000 --t3 credits")]
    Up(LabUp),
    /// Stop the lab: its brokers, its control plane and its emulator
    #[command(after_help = "Examples:\n  kgen lab down\n  kgen lab down --purge")]
    Down(LabDown),
    /// Show what runs in the lab, and how the machine was divided
    #[command(after_help = "Examples:\n  kgen lab status\n  kgen lab status --json")]
    Status(LabStatus),
    /// Print the shell commands that point terraform, aws and the Kafka tools at the lab
    #[command(after_help = "Examples:\n  eval \"$(kgen lab env)\"")]
    Env,
    /// Be the lab's process (started by `lab up`)
    #[command(hide = true)]
    Serve(LabUp),
}

#[derive(Debug, Clone, Args)]
pub struct LabUp {
    /// Port of the AWS endpoint on 127.0.0.1
    #[arg(long, default_value_t = 4566)]
    pub port: u16,
    /// How much smaller than AWS the brokers are, 1:N; the default follows this machine's cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub scale: Option<u32>,
    /// What a T3 broker may use of its CPU
    #[arg(long, value_enum, default_value_t = T3Mode::Sustained)]
    pub t3: T3Mode,
}

/// How the lab treats burstable broker types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum T3Mode {
    /// What it can sustain: its baseline, as if the credits were always just spent
    Sustained,
    /// Burst until its credits are gone, then its baseline
    Credits,
}

#[derive(Debug, Args)]
pub struct LabDown {
    /// Also delete the lab's clusters and their records
    #[arg(long)]
    pub purge: bool,
}

#[derive(Debug, Args)]
pub struct LabStatus {
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}
