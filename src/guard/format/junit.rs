//! For CI that reads JUnit: a test case a cluster, a failure a finding, an error where nothing was seen.

use std::fmt::Write as _;

use super::commands;
use crate::{
    diagnose::Verdict,
    guard::report::{RoundReport, Stage},
};

/// A round as a JUnit report.
pub fn junit(report: &RoundReport) -> String {
    let mut cases = String::new();
    let (mut failures, mut errors, mut skipped) = (0, 0, 0);
    for seen in &report.clusters {
        let row = &seen.row;
        let _ = write!(cases, "  <testcase classname=\"{}\" name=\"{}\">", escaped(&row.region), escaped(&row.name));
        let of_it = report.findings.iter().filter(|finding| finding.subject.id == row.arn);
        for finding in of_it.filter(|finding| finding.stage != Stage::Silenced) {
            let facts = finding.content.evidence.iter().map(|fact| fact.text.as_str());
            let body: Vec<&str> =
                std::iter::once(finding.content.why.as_str()).chain(facts).chain(commands(finding)).collect();
            let (kind, message, body) =
                (escaped(&finding.cause), escaped(&finding.headline()), escaped(&body.join("\n")));
            let _ = write!(cases, "\n    <failure type=\"{kind}\" message=\"{message}\">{body}</failure>\n  ");
            failures += 1;
        }
        if let Some(error) = &row.error {
            let _ = write!(cases, "\n    <error message=\"{}\"/>\n  ", escaped(error));
            errors += 1;
        } else if row.verdict == Some(Verdict::Inconclusive) {
            let title = row.finding.as_ref().map(|finding| finding.title.as_str()).unwrap_or_default();
            let _ = write!(cases, "\n    <skipped message=\"{}\"/>\n  ", escaped(title));
            skipped += 1;
        }
        cases += "</testcase>\n";
    }
    for failure in &report.failures {
        let (region, error) = (escaped(&failure.region), escaped(&failure.error));
        let _ = writeln!(
            cases,
            "  <testcase classname=\"{region}\" name=\"clusters\"><error message=\"{error}\"/></testcase>"
        );
        errors += 1;
    }
    let tests = report.clusters.len() + report.failures.len();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"kgen guard\" tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"{errors}\" skipped=\"{skipped}\">\n{cases}</testsuite>\n"
    )
}

/// What XML 1.0 takes; other control characters have no form in it.
fn escaped(text: &str) -> String {
    let allowed = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t'));
    let mut escaped = String::new();
    for c in allowed {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::testing::report;

    #[test]
    fn a_cluster_is_a_case_with_what_stands_against_it() {
        let mut report = report();
        report.clusters[2].row.name = "a<b>&\"\u{1b}".to_owned();
        let text = junit(&report);
        assert!(text.contains("tests=\"4\" failures=\"1\" errors=\"2\" skipped=\"0\""), "{text}");
        assert!(
            text.contains("<failure type=\"broker.undersized\"") && text.contains("<error message=\"denied\"/>"),
            "{text}"
        );
        assert!(text.contains("name=\"a&lt;b&gt;&amp;&quot;\"></testcase>"), "{text}");
        assert_eq!(text.matches("<testcase").count(), text.matches("</testcase>").count());
    }
}
