//! For the log of GitHub Actions: a workflow command for each finding, which shows as an annotation.

use super::{commands, unseen};
use crate::{
    alert::Severity,
    guard::report::{RoundReport, Stage},
};

/// A round as workflow commands, and its summary.
pub fn github(report: &RoundReport) -> String {
    let mut lines = Vec::new();
    for finding in &report.findings {
        let level = match (finding.stage, finding.severity) {
            (Stage::Silenced, _) | (_, Severity::Info) => "notice",
            (_, Severity::Warning) => "warning",
            (_, Severity::Critical) => "error",
        };
        let mut message = vec![finding.content.why.clone()];
        message.extend(finding.content.evidence.iter().map(|fact| fact.text.clone()));
        message.extend(commands(finding).into_iter().map(str::to_owned));
        lines.push(command(level, &finding.headline(), &message.join("\n")));
    }
    lines.extend(unseen(report).iter().map(|line| command("error", "not observed", line)));
    lines.push(report.summary());
    lines.join("\n") + "\n"
}

/// `::warning title=…::…` (GitHub Docs, "Workflow commands"; the toolkit's escapes).
fn command(level: &str, title: &str, message: &str) -> String {
    let escaped = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let title = escaped(title).replace(':', "%3A").replace(',', "%2C");
    format!("::{level} title={title}::{}", escaped(message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::testing::report;

    #[test]
    fn a_finding_is_one_line_whatever_it_says() {
        let text = github(&report());
        let first = text.lines().next().unwrap();
        assert!(first.starts_with("::warning title=orders (us-west-2)%3A broker.undersized%3A "), "{first}");
        assert!(first.contains("::CPU is used up%0ACPU is 97 %25 at most%0Aaws kafka "), "{first}");
        assert_eq!(text.lines().filter(|line| line.starts_with("::error title=not observed::")).count(), 2);
        assert_eq!(command("notice", "a\nb", "::error::x"), "::notice title=a%0Ab::::error::x");
    }
}
