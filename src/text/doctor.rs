//! The checks of a machine: a table, then what fixes those that are not well.

use comfy_table::{ContentArrangement, Table};

use crate::doctor::{Answer, State};

/// A table of all, then what fixes those that are not well.
pub fn text(checks: &[Answer]) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    for check in checks {
        table.add_row([word(check.state), check.id, &check.found]);
    }
    let mut lines: Vec<String> = table.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
    for check in checks.iter().filter(|check| check.state != State::Ok) {
        let commands: Vec<String> = check.commands.iter().map(|command| format!("kgen {command}")).collect();
        lines.push(format!("\n{} {}: {} ({})", word(check.state), check.id, check.why, commands.join(", ")));
        lines.extend(check.mend.iter().map(|mend| format!("  {mend}")));
    }
    let count = |state: State| checks.iter().filter(|check| check.state == state).count();
    lines.push(format!("\n{} missing, {} warnings", count(State::Missing), count(State::Warning)));
    lines.join("\n")
}

fn word(state: State) -> &'static str {
    match state {
        State::Ok => "ok",
        State::Warning => "warning",
        State::Missing => "missing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_well_comes_with_its_command() {
        let answer = |id, state, found: &str, mend: Option<&str>| Answer {
            id,
            state,
            found: found.to_owned(),
            why: "it is needed",
            commands: &["apply", "demo"],
            mend: mend.map(str::to_owned),
            fix: None,
        };
        let checks = [
            answer("terraform", State::Ok, "1.12.2, /usr/bin/terraform", None),
            answer("java", State::Missing, "no java on the PATH", Some("sudo apt-get install -y jre")),
            answer("port", State::Warning, "4566 is taken", Some("kgen lab up --port 4567")),
        ];
        insta::assert_snapshot!(text(&checks), @r"
         ok       terraform  1.12.2, /usr/bin/terraform
         missing  java       no java on the PATH
         warning  port       4566 is taken

        missing java: it is needed (kgen apply, kgen demo)
          sudo apt-get install -y jre

        warning port: it is needed (kgen apply, kgen demo)
          kgen lab up --port 4567

        1 missing, 1 warnings
        ");
    }
}
