//! Arguments as domain values, and the exit codes.

pub mod bench;
pub mod capacity;
mod clusters;
mod exit;
mod groups;
mod guard;
pub mod lab;
pub mod load;
mod look;
pub mod mix;
pub mod onward;
mod own;
pub mod recorded;
mod render;
mod report;
mod resize;
mod runs;
mod size;
mod terraform;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

pub use capacity::Capacity;
pub use clusters::Clusters;
pub use guard::{Guard, GuardFormat};
pub use look::{Diagnose, Explain, Look, SourceChoice, Watch, Which};
pub use own::{Completions, Config, Doctor, DoctorFor, Init, Man, Schema};
pub use render::Render;
pub use report::{Report, ReportFormat};
pub use resize::{Demo, Fix, Resize, Resume, ScaleOut};
pub use runs::{Replay, Runs, RunsAction};
pub use size::Size;
pub use terraform::{Apply, Bootstrap, Connect, Destroy, Locking, Output, Plan, TerraformArgs};

pub use crate::outcome::{Outcome, Refused, refused, refused_if_not_begun};

/// What `--version` prints after the name; `-V` prints the version alone.
const LONG_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("KGEN_ABOUT"), ")");

/// Heading of what every command takes.
const GLOBAL: &str = "Global options";

/// Diagnose, resize and prove Amazon MSK clusters, on AWS or in a local lab
#[derive(Debug, Parser)]
#[command(name = "kgen", version, long_version = LONG_VERSION, propagate_version = true, help_template = groups::template(), after_help = exit::BELOW_HELP)]
pub struct Cli {
    /// Project folder, with kgen.toml, terraform/ and .kgen/
    #[arg(long, short = 'C', global = true, help_heading = GLOBAL, default_value = ".", value_name = "DIR", env = "KGEN_PROJECT")]
    pub project: PathBuf,
    /// Replace what identifies an account or a person in all output, records and reports; `kgen --help` lists what
    #[arg(long, global = true, env = "KGEN_REDACT", help_heading = GLOBAL, value_parser = clap::builder::FalseyValueParser::new())]
    pub redact: bool,
    /// Colours; auto follows NO_COLOR, CLICOLOR, CLICOLOR_FORCE and whether there is a terminal
    #[arg(long, global = true, value_enum, help_heading = GLOBAL, default_value_t, value_name = "WHEN")]
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
    Clusters(Clusters),
    Guard(Guard),
    Explain(Explain),
    Size(Size),
    Capacity(Capacity),
    Fix(Fix),
    Resize(Resize),
    ScaleOut(ScaleOut),
    Resume(Resume),
    Demo(Demo),
    Runs(Runs),
    Replay(Replay),
    Report(Report),
    Topic(load::Topic),
    Produce(load::Produce),
    Consume(load::Consume),
    Load(load::Load),
    Compare(load::Compare),
    /// Run MSK on this machine
    #[command(subcommand)]
    #[command(after_help = "\
Examples:
  kgen lab up && eval \"$(kgen lab env)\"
  kgen lab status
  kgen lab down")]
    Lab(lab::LabCommand),
    /// Measure the accuracy of the diagnosis on real faults
    #[command(subcommand)]
    #[command(after_help = "\
Examples:
  kgen bench diagnose --scenario broker.hung --variations 1
  kgen bench score tests/traces")]
    Bench(bench::BenchCommand),
    Doctor(Doctor),
    Init(Init),
    Config(Config),
    Completions(Completions),
    Man(Man),
    Schema(Schema),
    /// Print docs/reference.md, docs/scenarios.md or docs/from-outside.md
    #[command(hide = true)]
    Reference {
        #[arg(long)]
        scenarios: bool,
        #[arg(long, conflicts_with = "scenarios")]
        from_outside: bool,
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
            let lines: Vec<&str> = help.lines().collect();
            for (line, next) in lines.iter().zip(lines[1..].iter().chain([&""])) {
                // The help is as wide as the terminal, and 100 columns at most.
                let most = if line.contains(" # ") { 80 } else { 100 };
                assert!(!line.starts_with("  ") || line.len() <= most, "{path}: {} columns: {line}", line.len());
                let is_broken = !line.starts_with("  ") && !next.starts_with("  ") && !next.is_empty();
                assert!(!is_broken || line.ends_with(['.', ':']) || line.is_empty(), "{path}: broken by hand: {line}");
            }
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

    /// What stands for a value in the documentation, and a value.
    const PLACEHOLDERS: [(&str, &str); 6] =
        [("TYPE", "kafka.m5.large"), ("N", "6"), ("BROKERS", "6"), ("RATE", "5"), ("…", ""), ("...", "")];

    #[test]
    fn every_command_line_in_the_documentation_is_taken() {
        use clap::error::ErrorKind::{
            DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion, MissingRequiredArgument,
            MissingSubcommand,
        };
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
        let docs = docs.filter(|path| path.extension().is_some_and(|ext| ext == "md"));
        let top = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root.join(name));
        let mut seen = 0;
        for path in docs.chain(top) {
            let text = std::fs::read_to_string(&path).unwrap();
            let mut is_code = false;
            for line in text.lines() {
                if line.trim_start().starts_with("```") {
                    is_code = !is_code;
                    continue;
                }
                // In prose what is between backquotes, in a block what stands before the comment.
                let parts: Vec<&str> = match is_code {
                    true => line.split("&&").map(str::trim).collect(),
                    false => line.split('`').skip(1).step_by(2).collect(),
                };
                for part in
                    parts.into_iter().filter(|part| part.starts_with("kgen ") && !part.contains(['[', '<', '{', '─']))
                {
                    let words = part.split_whitespace().take_while(|word| !["#", "|", ">", "&&", "-"].contains(word));
                    let value =
                        |word: &str| PLACEHOLDERS.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
                    let words = words.map(|word| value(word).unwrap_or(word).trim_matches(['\'', '"', ',', ';', ')']));
                    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
                    seen += 1;
                    let Err(error) = <Cli as clap::Parser>::try_parse_from(&words) else { continue };
                    let is_fine = match error.kind() {
                        DisplayHelp | DisplayVersion => true,
                        // Prose may name a command without what it needs.
                        MissingRequiredArgument | MissingSubcommand | DisplayHelpOnMissingArgumentOrSubcommand => {
                            !is_code
                        }
                        // Or an option without its value.
                        _ => !is_code && error.to_string().contains("a value is required for"),
                    };
                    assert!(is_fine, "{}: {part}\n{error}", path.display());
                }
            }
        }
        assert!(seen > 150, "{seen} command lines");
    }
}
