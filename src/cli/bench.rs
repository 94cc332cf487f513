//! Arguments of `kgen bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::lab::{T3Mode, metrics_period};
use crate::sizing::Shape;

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Create each fault on real brokers, record it, and score the diagnosis
    #[command(after_help = "\
Examples:
  kgen bench diagnose
  kgen bench diagnose --scenario broker.hung,disk.full --variations 2
  kgen bench diagnose --broker-type kafka.t3.small --t3 credits --seconds 60
  kgen bench diagnose --view outside --scenario disk.full,consumer.stalled --first 4 --variations 4")]
    Diagnose(BenchDiagnose),
    /// Score the diagnosis on recorded runs and compare it with the baselines
    #[command(after_help = "\
Examples:
  kgen bench score .kgen/bench-runs
  kgen bench score tests/traces --json
  kgen bench score tests/traces --view outside
  kgen bench score .kgen/bench-runs --pack tests/traces")]
    Score(BenchScore),
    /// Measure capacities on real brokers, and compare the predictions of `kgen size` with them
    #[command(after_help = "\
Each shape gets a lab of its own. Of every workload the capacity is measured as `kgen capacity` does, and histories of a third to two \
thirds of it are recorded; from each history the capacity of the other shapes is predicted.

Examples:
  kgen bench size
  kgen bench size --workload usual,small --shape 3xkafka.m5.large,3xkafka.m5.xlarge
  kgen bench size --score tests/capacities")]
    Size(BenchSize),
}

#[derive(Debug, Args)]
pub struct BenchDiagnose {
    /// Scenarios to run [default: all that this machine allows]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub scenario: Vec<String>,
    /// Last variation of each scenario; 4 and later are held out from tuning (exceptions: docs/benchmark.md)
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub variations: u32,
    /// First variation of each scenario
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub first: u32,
    /// Folder for the recorded runs, one folder per run [default: .kgen/bench-runs, or .kgen/bench-outside]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// How the brokers are seen: `inside` every two seconds, `outside` by CloudWatch and the MSK API, in short minutes
    #[arg(long, value_enum, default_value_t = BenchView::Inside)]
    pub view: BenchView,
    /// Length of a minute of CloudWatch with `--view outside`; in one of 5s a broker that is gone is not missed by the others
    #[arg(long, value_name = "PERIOD", default_value = "10s", value_parser = metrics_period)]
    pub metrics_period: u64,
    /// Longest duration of a fault, seconds; from outside it lasts for five datapoints
    #[arg(long, value_name = "SECONDS", default_value_t = 40, value_parser = clap::value_parser!(u32).range(10..=3600))]
    pub seconds: u32,
    /// Broker type of the three brokers
    #[arg(long, value_name = "TYPE", default_value = "kafka.m5.large")]
    pub broker_type: String,
    /// CPU that T3 brokers get
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
    /// Also write the scored runs to this folder, compressed and without what scoring does not need
    #[arg(long, value_name = "DIR")]
    pub pack: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct BenchSize {
    /// Score what is recorded in this folder, and measure nothing
    #[arg(long, value_name = "DIR", conflicts_with_all = ["workload", "shape", "scale", "max_minutes", "out"])]
    pub score: Option<PathBuf>,
    /// Workloads to measure [default: all]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub workload: Vec<String>,
    /// Shapes to measure, number of brokers and type
    #[arg(
        long,
        value_name = "NxTYPE,…",
        value_delimiter = ',',
        default_value = "3xkafka.m5.large,3xkafka.m5.xlarge,6xkafka.m5.large"
    )]
    pub shape: Vec<Shape>,
    /// Scale of the brokers compared with AWS, 1:N [default: two fifths of the size that `kgen lab up` gives them]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub scale: Option<u32>,
    /// End the search of one capacity after this many minutes
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(2..=60))]
    pub max_minutes: u32,
    /// Folder for the recorded runs, one folder per run [default: .kgen/bench-capacities]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Also write the runs to this folder, compressed and without what scoring does not need
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
