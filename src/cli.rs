//! Arguments as domain values, and the exit codes.

mod exit;
pub mod lab;
pub mod load;
mod look;
mod own;
mod render;
mod report;
mod resize;
mod runs;
mod terraform;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

pub use exit::{Outcome, Refused, refused};
pub use look::{Diagnose, Explain, Look, SourceChoice, Watch};
pub use own::{Completions, Config, Doctor, DoctorFor, Man, Schema};
pub use render::Render;
pub use report::{Report, ReportFormat};
pub use resize::{Demo, Resize};
pub use runs::{Replay, Runs, RunsAction};
pub use terraform::{Apply, Bootstrap, Connect, Destroy, Output, Plan, TerraformArgs};

/// Reproduce, detect and fix an undersized Amazon MSK cluster
#[derive(Debug, Parser)]
#[command(name = "kgen", version, propagate_version = true, after_help = exit::BELOW_HELP)]
pub struct Cli {
    /// Project folder: kgen.toml, terraform/ and .kgen/ are in it
    #[arg(long, short = 'C', global = true, default_value = ".", value_name = "DIR", env = "KGEN_PROJECT")]
    pub project: PathBuf,
    /// Put stand-ins for account ids, ARNs, addresses and host names into all that is printed or recorded
    #[arg(long, global = true, env = "KGEN_REDACT", value_parser = clap::builder::FalseyValueParser::new())]
    pub redact: bool,
    /// Colours of the screen and of lines; auto heeds NO_COLOR, CLICOLOR, CLICOLOR_FORCE and whether there is a terminal
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
    #[command(subcommand)]
    pub command: Command,
}

/// When there are colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    #[default]
    Auto,
    Always,
    Never,
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
    Runs(Runs),
    Replay(Replay),
    Report(Report),
    Topic(load::Topic),
    Produce(load::Produce),
    Consume(load::Consume),
    Compare(load::Compare),
    /// Run the local MSK
    #[command(subcommand)]
    #[command(after_help = "\
Examples:
  kgen lab up && eval \"$(kgen lab env)\"
  kgen lab status
  kgen lab down")]
    Lab(lab::LabCommand),
    Doctor(Doctor),
    Config(Config),
    Completions(Completions),
    Man(Man),
    Schema(Schema),
    /// Print docs/reference.md, or docs/scenarios.md
    #[command(hide = true)]
    Reference {
        #[arg(long)]
        scenarios: bool,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    fn walk(command: &clap::Command, path: &str, visit: &mut dyn FnMut(&clap::Command, &str)) {
        let path = format!("{path} {}", command.get_name());
        visit(command, path.trim());
        command.get_subcommands().filter(|sub| !sub.is_hide_set()).for_each(|sub| walk(sub, &path, visit));
    }

    #[test]
    fn every_command_says_what_it_does_with_examples_that_it_takes() {
        let mut seen = 0;
        walk(&Cli::command(), "", &mut |command, path| {
            seen += 1;
            assert!(command.get_about().is_some(), "{path} says nothing");
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = help.split("Examples:\n").nth(1).unwrap_or_else(|| panic!("{path} has no examples"));
            let lines = examples.lines().take_while(|line| !line.trim().is_empty());
            assert!(lines.clone().any(|line| line.contains(path)), "{path} is in none of its examples");
            for line in lines.filter(|line| line.trim().starts_with("kgen ")) {
                let words: Vec<&str> = line
                    .split_whitespace()
                    .take_while(|word| !["#", "|", ">", "&&"].contains(word))
                    .map(|word| word.trim_matches(['\'', '"']))
                    .collect();
                let parsed = <Cli as clap::Parser>::try_parse_from(&words);
                assert!(parsed.is_ok(), "{path}: {line}\n{}", parsed.unwrap_err());
            }
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{path}: {} says nothing", argument.get_id());
            }
        });
        assert!(seen > 20, "{seen} commands");
        Cli::command().debug_assert();
    }
}
