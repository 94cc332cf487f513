//! Arguments of `report`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Write a report of a recorded run (HTML or Markdown)
#[derive(Debug, Args)]
#[command(after_help = "\
The HTML page is a single file that loads nothing else. Markdown is for pull requests.

Examples:
  kgen report                              # of the last run; prints its path
  kgen report demo-20261125-003853 -o demo.html
  kgen report --format markdown | gh pr comment --body-file -")]
pub struct Report {
    /// Run id in .kgen/runs, the beginning of one, or a path [default: the last run]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Write to FILE, or to standard output with `-` [default: report.html in the run's folder for HTML, standard output for
    /// Markdown]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Report format
    #[arg(long, value_enum, default_value_t)]
    pub format: ReportFormat,
    /// Print the path of the report as JSON (schema kgen.report/1)
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    #[default]
    Html,
    Markdown,
}
