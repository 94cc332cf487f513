//! Arguments of `guard`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::catalogue::BrokerType;

/// Watch a fleet of clusters and send each alert once when it begins and once when it ends
#[derive(Debug, Args)]
#[command(after_help = "\
Reads CloudWatch and the MSK API of every account and region in the configuration, again and again, and never changes a \
cluster. An alert has the same id in every run. Undelivered messages are kept in the state and survive the end of the process.

With --once, exits with 0 if nothing was found, 3 if a cause was found, 4 if a verdict is inconclusive, 1 if a region, an \
account or a cluster could not be read, a message could not be delivered, or nothing could be proposed.

--propose commits the edit on a branch of the git repository that DIR is in, and prints the commands that push it and open a \
pull request. The working tree and the current branch stay as they are.

Examples:
  kgen guard                               # JSON lines on standard output
  kgen guard --config guard.toml
  kgen guard --test-sinks                  # send each sink a test message
  kgen guard --once --format markdown > comment.md
  kgen guard --once --format junit --exit-zero > guard.xml
  kgen guard --once --propose infra
  kgen guard --rules > kgen.rules.yml      # open monitoring, without a daemon
  kgen guard --dashboard > kgen.dashboard.json")]
pub struct Guard {
    /// Configuration [default: guard.toml in the project folder, if there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Read the fleet once, deliver what is new, print the round, and end
    #[arg(long)]
    pub once: bool,
    /// Form of the round that --once prints
    #[arg(long, value_enum, default_value_t, requires = "once")]
    pub format: GuardFormat,
    /// Propose the fix of each finding that is another broker type: an edit of the Terraform in DIR, on a new local branch
    #[arg(long, value_name = "DIR", requires = "once")]
    pub propose: Option<PathBuf>,
    /// Exit with 0 whatever is found, for reports; errors keep their exit codes
    #[arg(long, requires = "once")]
    pub exit_zero: bool,
    /// Send a test message to every sink of the configuration, show what came of it, and end
    #[arg(long, conflicts_with_all = ["once", "generated"])]
    pub test_sinks: bool,
    /// Print a Prometheus rule file made from the diagnosis rules, for clusters with open monitoring, and end
    #[arg(long, group = "generated", conflicts_with_all = ["once", "config"])]
    pub rules: bool,
    /// Print a Grafana dashboard of what these rules record, and end
    #[arg(long, group = "generated", conflicts_with_all = ["once", "config"])]
    pub dashboard: bool,
    /// Broker type whose limits --rules and --dashboard use [default: that of kgen.toml]
    #[arg(long, value_name = "TYPE", requires = "generated")]
    pub broker_type: Option<BrokerType>,
}

/// Form of a round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum GuardFormat {
    #[default]
    Text,
    /// One JSON document (schema kgen.guard/1)
    Json,
    /// A comment of a pull request, with a first line to find it again
    Markdown,
    /// Workflow commands of GitHub Actions
    Github,
    /// A test case a cluster
    Junit,
}
