//! For a pull request: one comment that is updated, found again by its first line.

use super::{commands, unseen};
use crate::{
    diagnose::Verdict,
    guard::report::{RoundReport, Standing},
};

/// The first line: whoever posts the comment updates the one that begins with it.
pub const MARKER: &str = "<!-- kgen-guard -->";

/// A round as Markdown.
pub fn markdown(report: &RoundReport) -> String {
    let mut lines = vec![MARKER.to_owned(), "## MSK clusters".to_owned(), String::new()];
    lines.extend(table(report));
    lines.extend(report.findings.iter().flat_map(section));
    let unseen = unseen(report);
    if !unseen.is_empty() {
        lines.extend([String::new(), "### Not seen".to_owned(), String::new()]);
        lines.extend(unseen.iter().map(|line| format!("- {}", cell(line))));
    }
    lines.extend([String::new(), report.summary()]);
    lines.join("\n") + "\n"
}

/// A row a cluster.
fn table(report: &RoundReport) -> Vec<String> {
    let mut lines =
        vec!["| cluster | region | state | verdict | CPU | disk |".to_owned(), "|---|---|---|---|---|---|".to_owned()];
    let percent = |value: Option<f64>| value.map_or_else(|| "no data".to_owned(), |value| format!("{value:.0} %"));
    for seen in &report.clusters {
        let row = &seen.row;
        let verdict = match (row.verdict, &row.finding) {
            (Some(Verdict::Healthy), _) => "healthy".to_owned(),
            (Some(_), Some(finding)) => format!("`{}`", cell(&finding.id)),
            (Some(_), None) => "inconclusive".to_owned(),
            (None, _) => "not read".to_owned(),
        };
        lines.push(format!(
            "| {} | {} | {} | {verdict} | {} | {} |",
            cell(&row.name),
            cell(&row.region),
            cell(&row.state),
            percent(row.cpu_p95_percent),
            percent(row.disk_p95_percent)
        ));
    }
    lines
}

/// A finding with its evidence and its fix.
fn section(finding: &Standing) -> Vec<String> {
    let content = &finding.content;
    let mut lines = vec![String::new(), format!("### {}", cell(&finding.headline())), String::new()];
    lines.push(format!("{} ({}, {})", cell(&content.why), finding.severity.as_str(), finding.stage.as_str()));
    lines.push(String::new());
    lines.extend(evidence(finding));
    if let Some(fix) = &content.fix {
        lines.extend([String::new(), format!("Fix: {}", cell(&fix.summary))]);
        let commands = commands(finding);
        if !commands.is_empty() {
            lines.extend(code("sh", &commands.join("\n")));
        }
        lines.extend(fix.hcl_diff.iter().flat_map(|diff| code("diff", diff.trim_end())));
    }
    if !content.not_assessed.is_empty() {
        lines.extend([String::new(), format!("Not assessed: {}", cell(&content.not_assessed.join(", ")))]);
    }
    lines
}

/// What was seen, an item each.
pub fn evidence(finding: &Standing) -> impl Iterator<Item = String> {
    finding.content.evidence.iter().map(|fact| format!("- {}", cell(&fact.text)))
}

/// Names and messages of others, as text.
pub fn cell(text: &str) -> String {
    let mut cell = String::new();
    for c in text.chars() {
        match c {
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '#' => cell.extend(['\\', c]),
            '<' => cell.push_str("&lt;"),
            '>' => cell.push_str("&gt;"),
            '@' => cell.push_str("&#64;"),
            '\n' | '\r' => cell.push(' '),
            c => cell.push(c),
        }
    }
    cell
}

/// A block of code whose fence is longer than any in it.
fn code(language: &str, text: &str) -> Vec<String> {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    vec![String::new(), format!("{fence}{language}"), text.to_owned(), fence]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::testing::report;

    #[test]
    fn the_comment_is_found_by_its_first_line_and_has_the_fix() {
        let text = markdown(&report());
        assert_eq!(text.lines().next(), Some(MARKER));
        for part in [
            "| orders | us-west-2 | ACTIVE |",
            "```sh\naws kafka update-broker-type",
            "```diff\n-    instance",
            "### Not seen",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn names_of_others_stay_text() {
        let mut report = report();
        report.clusters[0].row.name = "a|b\n<img> @all `x`".to_owned();
        let text = markdown(&report);
        assert!(text.contains("| a\\|b &lt;img&gt; &#64;all \\`x\\` |"), "{text}");
        assert_eq!(code("sh", "echo ```` x")[1], "`````sh");
    }
}
