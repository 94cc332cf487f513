//! The recorded runs of a project.

use comfy_table::Table;

use crate::{run::Listed, visible};

/// A row for each run, the oldest first.
pub fn table(runs: &[Listed]) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["run", "command", "started", "duration", "outcome", "cluster"]);
    for listed in runs {
        let started = listed.head.started.to_zoned(jiff::tz::TimeZone::system());
        table.add_row([
            cell(&listed.head.id),
            cell(&listed.head.command),
            started.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            format!("{:.0} s", listed.seconds()),
            cell(listed.outcome()),
            cell(listed.head.environment.cluster.as_deref().unwrap_or("-")),
        ]);
    }
    table.to_string()
}

/// What a record says, which may be someone else's: a line break in it would begin a row.
pub fn cell(text: &str) -> String {
    visible::line(text).into_owned()
}
