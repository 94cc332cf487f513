//! kgen: reproduces, detects and fixes an undersized Amazon MSK cluster.
//!
//! ```text
//! stack ──render──▶ terraform ──▶ cluster (AWS, or the lab) ──metrics──▶ samples ──diagnose──▶ finding
//!   ▲                                  ▲                                                          │
//!   │                                load                                                         │
//!   └───────────────────────────────────────────── remedy ◀───────────────────────────────────────┘
//! ```

// What is known, and what was seen: values.
mod capacity;
mod catalogue;
mod exposition;
mod finding_id;
mod sample;
mod statistics;

// What is to be built, and how it is written down.
mod hcl;
mod stack;

// What is wrong, what would fix it, and what changed.
mod alert;
mod benchmark;
mod comparison;
mod diagnose;
mod doctor;
mod open_monitoring;
mod prediction;
mod proof;
mod remedy;
mod sizing;

// What happened, written down as it happens.
mod experiment;
mod record;
mod run;

// Other programs, files, the web, the folder that a user works in.
mod fetch;
mod files;
mod locate;
mod process;
mod project;
mod terraform;

// The cluster: its API, its brokers, its load, its metrics.
mod aws;
mod kafka;
mod load;
mod metrics;

// The cluster on this machine.
mod lab;
mod lab_api;
mod listen;

// What is done with all of that: activities, which take requests and return events.
mod benchmark_lab;
mod change;
mod clients;
mod demo;
mod guard;
mod proposals;
mod sandbox;
mod surroundings;
mod watch;

// What a user types and reads.
mod cli;
mod commands;
mod console;
mod documents;
mod edge;
mod outcome;
mod reference;
mod report;
mod screen;
mod selection;
mod text;

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod redact;
#[cfg(test)]
mod testing;
mod visible;

/// Runs the command line `args` and returns the process's exit code.
pub fn run(args: impl IntoIterator<Item = std::ffi::OsString>) -> u8 {
    commands::run(args)
}
