//! For a commit and the pull request that is opened from it: the edit that a finding asks for, and why.

use super::markdown::{cell, evidence};
use crate::guard::report::{RoundReport, Standing};

/// Title and body of the commit that changes the broker type of a finding's cluster; `notes` are what was not checked.
pub fn proposal(report: &RoundReport, finding: &Standing, notes: &[String]) -> (String, String) {
    let content = &finding.content;
    let summary = content.fix.as_ref().map(|fix| fix.summary.as_str()).unwrap_or_default();
    let title = format!("{}: {summary}", finding.subject.name);
    let mut lines = vec![
        format!("Cause: `{}`, {}.", finding.cause, cell(&content.title)),
        String::new(),
        cell(&content.why),
        String::new(),
    ];
    lines.extend(evidence(finding));
    let fix = content.fix.iter().flat_map(|fix| &fix.notes);
    let facts: Vec<String> = fix.chain(notes).map(|note| format!("- {}", cell(note))).collect();
    if !facts.is_empty() {
        lines.extend([String::new(), "About the change:".to_owned(), String::new()]);
        lines.extend(facts);
    }
    if !content.not_assessed.is_empty() {
        lines.extend([String::new(), format!("Not assessed: {}", cell(&content.not_assessed.join(", ")))]);
    }
    lines.extend([
        String::new(),
        format!(
            "Seen by `kgen guard` at {} ({}, {}), alert {} of {}. Nothing has been applied.",
            report.at,
            finding.severity.as_str(),
            finding.stage.as_str(),
            finding.alert,
            cell(&finding.subject.id)
        ),
    ]);
    (one_line(&title), lines.join("\n"))
}

/// Name of the branch for a finding: the same for the same cluster and broker type.
pub fn branch(region: &str, cluster: &str, broker_type: &str) -> String {
    // A control plane may answer with any name.
    let plain = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' }).collect()
    };
    format!("kgen/{}-{}-{}", plain(region), plain(cluster), plain(broker_type))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::testing::report;

    #[test]
    fn a_proposal_says_why_and_what_was_not_checked() {
        let report = report();
        let (title, body) = proposal(&report, &report.findings[0], &["not checked: its partitions".to_owned()]);
        assert_eq!(title, "orders: 3 brokers from kafka.t3.small to kafka.m5.large");
        for part in [
            "Cause: `broker.undersized`, the brokers are too small.",
            "- CPU is 97 % at most",
            "- not checked: its partitions",
            "Not assessed: client.quota-throttled",
            "Nothing has been applied.",
        ] {
            assert!(body.contains(part), "{part} is not in\n{body}");
        }
    }

    #[test]
    fn a_branch_is_named_after_cluster_and_broker_type() {
        assert_eq!(branch("us-west-2", "orders", "kafka.m5.large"), "kgen/us-west-2-orders-kafka-m5-large");
        assert_eq!(branch("us-west-2", "../a b~^:", "x"), "kgen/us-west-2----a-b----x");
    }
}
