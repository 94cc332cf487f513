//! One thin file a command: parse, decide, show, act. Only here is anything printed.

mod apply;
mod bootstrap;
mod connect;
mod consume;
mod demo;
mod destroy;
mod diagnose;
mod explain;
mod figures;
mod lab;
mod look;
mod output;
mod place;
mod plan;
mod produce;
mod progress;
mod render;
mod report;
mod resize;
mod rolling;
mod topic;
mod watch;
mod working_dir;

use std::ffi::OsString;

use clap::Parser;

use crate::cli::{Cli, Command, Outcome, Refused};

/// Runs a command line and returns the exit code. Errors go to standard error.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // A closed terminal is no reason to fail differently.
            let _ = error.print();
            return error.exit_code() as u8;
        }
    };
    match dispatch(cli) {
        Ok(outcome) => outcome.code(),
        Err(error) => {
            eprintln!("error: {error:#}");
            if error.chain().any(|cause| cause.is::<Refused>()) { 2 } else { 1 }
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<Outcome> {
    let project = cli.project.as_path();
    match cli.command {
        Command::Plan(args) => plan::run(project, &args),
        Command::Apply(args) => apply::run(project, &args),
        Command::Destroy(args) => destroy::run(project, &args),
        Command::Output(args) => output::run(project, &args),
        Command::Connect(args) => connect::run(project, &args),
        Command::Bootstrap(args) => bootstrap::run(project, &args),
        Command::Render(args) => render::run(&args, project),
        Command::Watch(args) => watch::run(&args, project),
        Command::Diagnose(args) => diagnose::run(&args, project),
        Command::Explain(args) => explain::run(&args),
        Command::Resize(args) => resize::run(project, &args),
        Command::Demo(args) => demo::run(project, &args),
        Command::Report(args) => report::run(&args, project),
        Command::Topic(args) => topic::run(args, project),
        Command::Produce(args) => produce::run(args, project),
        Command::Lab(command) => lab::run(project, &command),
        Command::Consume(args) => consume::run(args, project),
    }
}
