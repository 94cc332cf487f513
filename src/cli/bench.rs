//! Arguments of `kgen bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::lab::T3Mode;

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Make each fault on real brokers, record what is seen, and score the diagnosis
    #[command(after_help = "\
Examples:
  kgen bench diagnose
  kgen bench diagnose --scenario broker.hung,disk.full --variations 2
  kgen bench diagnose --broker-type kafka.t3.small --t3 credits --seconds 60")]
    Diagnose(BenchDiagnose),
    /// Score recorded runs: judged at each sample as a live watcher would, with the baselines beside it
    #[command(after_help = "\
Examples:
  kgen bench score .kgen/bench-runs
  kgen bench score tests/traces --json
  kgen bench score tests/traces --view outside
  kgen bench score .kgen/bench-runs --pack tests/traces")]
    Score(BenchScore),
}

#[derive(Debug, Args)]
pub struct BenchDiagnose {
    /// Scenarios, by turns; all that this machine allows unless named
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub scenario: Vec<String>,
    /// The last variation of each; 4 and later ones are held out from tuning (docs/benchmark.md has exceptions)
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub variations: u32,
    /// The first variation of each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub first: u32,
    /// Folder of the recorded runs, one folder each; .kgen/bench-runs unless given
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// How long a fault lasts at most, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 40, value_parser = clap::value_parser!(u32).range(10..=3600))]
    pub seconds: u32,
    /// Type of the three brokers
    #[arg(long, value_name = "TYPE", default_value = "kafka.m5.large")]
    pub broker_type: String,
    /// What a T3 broker may use of its CPU
    #[arg(long, value_enum, default_value_t = T3Mode::Sustained)]
    pub t3: T3Mode,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct BenchScore {
    /// Folder of recorded runs: folders with a run.jsonl, or files .jsonl and .jsonl.gz
    pub dir: PathBuf,
    /// Where the runs are seen from: `inside` as recorded, `outside` as minutes of CloudWatch and the MSK API
    #[arg(long, value_enum, default_value_t = BenchView::Inside)]
    pub view: BenchView,
    /// Also write the runs that count to this folder, compressed, without what scoring does not need
    #[arg(long, value_name = "DIR")]
    pub pack: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Where the runs of the benchmark are seen from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchView {
    Inside,
    Outside,
}
