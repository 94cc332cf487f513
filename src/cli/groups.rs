//! The commands of `kgen --help`, grouped by what a person wants to do.

use clap::{Command as Definition, Subcommand as _};

use super::Command;

/// What each group is for and the commands in it. A command is in one group; the first group has what a newcomer needs.
const GROUPS: &[(&str, &[&str])] = &[
    ("Start here", &["doctor", "demo", "diagnose", "resize", "report"]),
    ("Look at a cluster", &["clusters", "guard", "watch", "explain", "size", "capacity", "bootstrap"]),
    ("Change a cluster", &["fix", "scale-out", "resume"]),
    ("Send load and prove it", &["topic", "produce", "consume", "load", "compare"]),
    ("The stack as Terraform", &["init", "render", "plan", "apply", "destroy", "output", "connect", "config"]),
    ("Recorded runs", &["runs", "replay"]),
    ("The lab", &["lab", "bench"]),
    ("kgen itself", &["completions", "man", "schema", "help"]),
];

/// Widest line of a help text (clap's own default).
const WIDEST: usize = 100;

/// Help of the root command: clap's, with the commands in groups.
pub fn template() -> String {
    let width = textwrap::termwidth().min(WIDEST);
    format!("{{about}}\n\n{{usage-heading}} {{usage}}\n\n{}{{options}}\n\n{{after-help}}", commands(width))
}

fn commands(width: usize) -> String {
    let defined = Command::augment_subcommands(Definition::new("kgen"));
    let about = |name: &str| match defined.find_subcommand(name).and_then(|command| command.get_about()) {
        Some(about) => about.to_string(),
        None => "Print this message or the help of a command".to_owned(),
    };
    let names = GROUPS.iter().flat_map(|(_, names)| *names);
    let column = names.map(|name| name.len()).max().unwrap_or_default() + 4;
    let mut text = String::new();
    for (title, names) in GROUPS {
        text += &format!("{title}:\n");
        for name in *names {
            let first = format!("{:<column$}", format!("  {name}"));
            let rest = " ".repeat(column);
            let options = textwrap::Options::new(width).initial_indent(&first).subsequent_indent(&rest);
            text += &textwrap::fill(&about(name), options);
            text.push('\n');
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let mut root = crate::cli::Cli::command();
        root.build();
        let shown = root.get_subcommands().filter(|command| !command.is_hide_set());
        let shown: BTreeSet<&str> = shown.map(Definition::get_name).collect();
        assert_eq!(grouped.len(), shown.len(), "a command is listed twice or not at all");
        assert_eq!(grouped.into_iter().collect::<BTreeSet<_>>(), shown);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [60, 80, 100] {
            let text = commands(width);
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(width), "{text}");
        }
    }
}
