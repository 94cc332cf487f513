//! Two runs of a load side by side.

use comfy_table::Table;

use crate::{
    comparison::{Comparison, Conclusion},
    statistics::Estimate,
};

/// Figure by figure, before and after, and what it comes to.
pub fn comparison(found: &Comparison) -> String {
    let mut lines = Vec::new();
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["mean of the seconds", "before", "after", "change", "95 % interval", ""]);
    for figure in &found.figures {
        let change = &figure.change;
        let Estimate { value, low, high } = change.difference;
        let percent = change.ratio.map(|ratio| (ratio.value - 1.0) * 100.0);
        table.add_row([
            format!("{}, {}", figure.name, figure.unit),
            format!("{:.2}", change.before),
            format!("{:.2}", change.after),
            percent.map_or(format!("{value:+.2}"), |percent| format!("{value:+.2} ({percent:+.1} %)")),
            format!("{low:+.2} to {high:+.2}"),
            change.verdict.word().to_owned(),
        ]);
    }
    if !found.figures.is_empty() {
        lines.push(table.to_string());
    }
    lines.extend(found.notes.iter().map(|note| format!("note: {note}")));
    let said = match found.conclusion {
        Conclusion::Improved => "improved",
        Conclusion::Unchanged => "unchanged: no difference is shown",
        Conclusion::Worse => "worse",
        Conclusion::Mixed => "mixed: partly better and partly worse",
        Conclusion::Void => "void",
    };
    let (before, after) = found.seconds;
    lines.push(format!("{said} ({before} seconds before, {after} after)"));
    lines.join("\n")
}
