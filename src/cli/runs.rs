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
  kgen runs prune --keep 20 --dry-run
  kgen runs prune --keep 20")]
    Prune {
        /// Number of recent runs to keep
        #[arg(long, value_name = "N")]
        keep: usize,
        /// Show which runs would be deleted without deleting them
        #[arg(long)]
        dry_run: bool,
        /// Do not ask for approval
        #[arg(long, short)]
        yes: bool,
        /// Print one JSON document (schema kgen.runs-prune/1)
        #[arg(long)]
        json: bool,
    },
}

/// Replay a recorded run on the screen
#[derive(Debug, Args)]
#[command(after_help = "\
Without a terminal, or with --plain, prints the run as lines: all at once, or at its own pace if --speed is given.
Press ? to see the keys (also in docs/screen.md).

Examples:
  kgen replay                              # the last run, eight times as fast
  kgen replay demo-20261125-003853 --speed 30
  kgen replay samples.jsonl --plain        # written by kgen watch --json
  kgen replay --json                       # samples, as kgen watch --json")]
pub struct Replay {
    /// Run id in .kgen/runs, the beginning of one, or a path [default: the last run]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Speed, 0.125 to 1024 times the original [default on the screen: 8; + and - change it]
    #[arg(long, value_name = "N", value_parser = speed)]
    pub speed: Option<f64>,
    /// Print lines instead of the live screen
    #[arg(long)]
    pub plain: bool,
    /// Print one JSON object for each sample (schema kgen.sample/1)
    #[arg(long, conflicts_with = "plain")]
    pub json: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.trim_start_matches('x').parse().map_err(|_| "expected a number such as 8".to_owned())?;
    if (0.125..=1024.0).contains(&speed) { Ok(speed) } else { Err("expected 0.125 to 1024".to_owned()) }
}
