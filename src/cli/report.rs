//! Arguments of `report`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Tell a run as one page: story, before and after, charts, findings, fix
#[derive(Debug, Args)]
#[command(after_help = "\
The page is one file that loads nothing. Markdown is for a pull request.

Examples:
  kgen report                              # the last run's; prints its path
  kgen report demo-20261125-003853 -o demo.html
  kgen report --format markdown | gh pr comment --body-file -")]
pub struct Report {
    /// Id of a run in .kgen/runs, the beginning of one, or a path; the last run unless named
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Write to FILE, or to standard output with `-`; HTML goes to report.html in the run's folder unless named, Markdown
    /// to standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The form of the report
    #[arg(long, value_enum, default_value_t)]
    pub format: ReportFormat,
    /// Say where the report was written as one JSON document (schema kgen.report/1)
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    #[default]
    Html,
    Markdown,
}
