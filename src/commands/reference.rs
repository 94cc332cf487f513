//! `kgen reference`: docs/reference.md, made from the command line's own definition.

mod from_outside;

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};

use super::explain::in_the_lab;
use crate::{
    cli::{Cli, Outcome},
    diagnose::RULES,
};

const HEAD: &str = "\
# Reference

Every command, its options and its exit codes. Made by `kgen reference` from what `kgen --help` is made of; a test holds
it current.
";

pub fn run(wants_scenarios: bool, wants_from_outside: bool) -> anyhow::Result<Outcome> {
    let text = match (wants_scenarios, wants_from_outside) {
        (true, _) => scenarios(),
        (_, true) => from_outside::page(),
        _ => text(),
    };
    print!("{text}");
    Ok(Outcome::Done)
}

fn text() -> String {
    let mut root = Cli::command();
    root.build();
    let mut text = HEAD.to_owned();
    section(&root, 2, &mut text);
    text.trim_end().to_owned() + "\n"
}

const SCENARIOS_HEAD: &str = "\
# Scenarios

What each finding of `kgen diagnose` means, how it is told from its neighbours, and how to see it in the lab. Made by
`kgen reference --scenarios` from what `kgen explain` says; a test holds it current. The cases that hold each rule are in
[tests/scenarios](../tests/scenarios); how the rules work together is in [diagnosis.md](diagnosis.md).
";

fn scenarios() -> String {
    RULES.iter().fold(SCENARIOS_HEAD.to_owned(), |mut text, rule| {
        let _ = write!(
            text,
            "\n## {}\n\n{}\n\n**Told apart:** {}\n\n**In the lab:** {}\n",
            rule.id,
            rule.meaning,
            rule.told_apart,
            in_the_lab(rule)
        );
        text
    })
}

/// A command with all below it.
fn section(command: &Command, level: usize, text: &mut String) {
    // Writing to a String does not fail.
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let _ = write!(text, "\n{} {name}\n\n", "#".repeat(level));
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = write!(text, "{about}.\n\n");
    let _ =
        write!(text, "```text\n{}\n```\n", command.clone().render_usage().to_string().trim_start_matches("Usage: "));
    let is_root = level == 2;
    let shown = command.get_arguments().filter(|arg| {
        let common = arg.is_global_set() || ["help", "version"].contains(&arg.get_id().as_str());
        !arg.is_hide_set() && (is_root || !common)
    });
    let rows: Vec<String> = shown.map(row).collect();
    if !rows.is_empty() {
        let _ = write!(text, "\n| option | means |\n|---|---|\n{}\n", rows.join("\n"));
    }
    if let Some(help) = command.get_after_help() {
        let _ = write!(text, "\n{}", below(&help.to_string()));
    }
    let subcommands = command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help");
    subcommands.into_iter().for_each(|sub| section(sub, 3, text));
}

fn row(arg: &Arg) -> String {
    let mut name = match (arg.get_short(), arg.get_long()) {
        (Some(short), Some(long)) => format!("`-{short}`, `--{long}"),
        (None, Some(long)) => format!("`--{long}"),
        (Some(short), None) => format!("`-{short}"),
        (None, None) => "`".to_owned(),
    };
    let values: Vec<String> = arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    if arg.get_action().takes_values() {
        let value = if values.is_empty() { arg.get_id().as_str().to_uppercase() } else { values.join(" ") };
        let _ = write!(name, "{}{value}", if name == "`" { "" } else { " " });
    }
    let mut means = vec![arg.get_help().map(ToString::to_string).unwrap_or_default()];
    let possible = arg.get_possible_values();
    let possible: Vec<String> = possible.iter().map(|value| format!("`{}`", value.get_name())).collect();
    if arg.get_action().takes_values() && !possible.is_empty() {
        means.push(format!("One of {}", possible.join(", ")));
    }
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    if arg.get_action().takes_values() && !defaults.is_empty() {
        means.push(format!("Default: `{}`", defaults.join(" ")));
    }
    if let Some(variable) = arg.get_env() {
        means.push(format!("Variable: `{}`", variable.to_string_lossy()));
    }
    format!("| {name}` | {} |", means.join(". ").replace('|', "\\|"))
}

/// The text below the help: lists that stand under a line with a colon become blocks.
fn below(help: &str) -> String {
    let mut text = String::new();
    for block in help.split("\n\n") {
        match block.split_once(":\n") {
            Some((title, lines)) if lines.starts_with(' ') => {
                let language = if title.ends_with("Examples") { "sh" } else { "text" };
                let lines: Vec<&str> = lines.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
                let _ = write!(text, "{title}:\n\n```{language}\n{}\n```\n\n", lines.join("\n"));
            }
            _ => {
                let _ = write!(text, "{}\n\n", block.trim());
            }
        }
    }
    text.trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference.md");
        let there = std::fs::read_to_string(path).unwrap_or_default();
        assert!(there == text(), "docs/reference.md is stale: run scripts/generate");
    }

    #[test]
    fn the_scenarios_are_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/scenarios.md");
        let there = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            there == scenarios(),
            "docs/scenarios.md is stale: cargo run -- reference --scenarios > docs/scenarios.md"
        );
    }

    #[test]
    fn what_is_seen_from_outside_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/from-outside.md");
        let there = std::fs::read_to_string(path).unwrap_or_default();
        let hint = "docs/from-outside.md is stale: cargo run -- reference --from-outside > docs/from-outside.md";
        assert!(there == from_outside::page(), "{hint}");
    }

    #[test]
    fn lists_become_blocks() {
        let help = "Exits with 3.\n\nExamples:\n  kgen demo\n    more\n\nThat is all.";
        assert_eq!(below(help), "Exits with 3.\n\nExamples:\n\n```sh\nkgen demo\n  more\n```\n\nThat is all.\n");
    }
}
