//! `kgen render`.

use std::path::PathBuf;

use clap::Args;

/// Write the Terraform that kgen.toml describes
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kgen render                    # write what has changed to terraform/
  kgen render --check            # show what would change, and exit 1 if so (CI)
  kgen render --out /tmp/look    # write it elsewhere

Each file carries a checksum. A file that was edited since kgen wrote it is only overwritten with --force.")]
pub struct Render {
    /// Write nothing: print the differences and exit 1 if there are any
    #[arg(long)]
    pub check: bool,
    /// Folder to write to [default: terraform/ in the project]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Overwrite files that were edited by hand
    #[arg(long, conflicts_with = "check")]
    pub force: bool,
    /// Print the state of each file as JSON
    #[arg(long)]
    pub json: bool,
}
