//! Arguments as domain values, and the exit codes.

mod exit;
pub mod lab;
pub mod load;
mod look;
mod render;
mod report;
mod resize;
mod terraform;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub use exit::{Outcome, Refused, refused};
pub use look::{Diagnose, Explain, Look, SourceChoice, Watch};
pub use render::Render;
pub use report::{Report, ReportFormat};
pub use resize::{Demo, Resize};
pub use terraform::{Apply, Bootstrap, Connect, Destroy, Output, Plan, TerraformArgs};

/// Reproduce, detect and fix an undersized Amazon MSK cluster
#[derive(Debug, Parser)]
#[command(name = "kgen", version, propagate_version = true, after_help = exit::TABLE)]
pub struct Cli {
    /// Project folder: kgen.toml, terraform/ and .kgen/ are in it
    #[arg(long, short = 'C', global = true, default_value = ".", value_name = "DIR")]
    pub project: PathBuf,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Render(Render),
    Plan(Plan),
    Apply(Apply),
    Destroy(Destroy),
    Output(Output),
    Connect(Connect),
    Bootstrap(Bootstrap),
    Watch(Watch),
    Diagnose(Diagnose),
    Explain(Explain),
    Resize(Resize),
    Demo(Demo),
    Report(Report),
    Topic(load::Topic),
    Produce(load::Produce),
    Consume(load::Consume),
    /// Run the local MSK
    #[command(subcommand)]
    Lab(lab::LabCommand),
}
