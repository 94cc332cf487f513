//! Arguments of `runs`.

use clap::{Args, Subcommand};

/// List the recorded runs of this project
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kgen runs
  kgen runs --json
  kgen runs prune --keep 20")]
pub struct Runs {
    /// Print one JSON document (schema kgen.runs/1)
    #[arg(long)]
    pub json: bool,
    #[command(subcommand)]
    pub action: Option<RunsAction>,
}

#[derive(Debug, Subcommand)]
pub enum RunsAction {
    /// Delete the oldest runs
    #[command(after_help = "\
Examples:
  kgen runs prune --keep 20")]
    Prune {
        /// How many of the latest stay
        #[arg(long, value_name = "N")]
        keep: usize,
    },
}
