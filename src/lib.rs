//! kgen: reproduces, detects and fixes an undersized Amazon MSK cluster.
//!
//! ```text
//! stack ──render──▶ terraform ──▶ cluster (AWS, or the lab) ──metrics──▶ samples ──diagnose──▶ finding
//!   ▲                                  ▲                                                          │
//!   │                                load                                                         │
//!   └───────────────────────────────────────────── remedy ◀───────────────────────────────────────┘
//! ```

mod aws;
mod catalogue;
mod diagnose;
mod files;
mod hcl;
mod kafka;
mod lab;
mod load;
mod metrics;
mod process;
mod project;
mod remedy;
mod sample;
mod stack;
mod terraform;

mod cli;
mod commands;

/// Runs the command line `args` and returns the process's exit code.
pub fn run(args: impl IntoIterator<Item = std::ffi::OsString>) -> u8 {
    commands::run(args)
}
