//! For people.

use super::{commands, unseen};
use crate::guard::report::RoundReport;

/// A round in plain text.
pub fn text(report: &RoundReport) -> String {
    let mut lines = Vec::new();
    for finding in &report.findings {
        let content = &finding.content;
        lines.push(format!("{} [{}, {}]", finding.headline(), finding.severity.as_str(), finding.stage.as_str()));
        lines.push(format!("  {}", content.why));
        lines.extend(content.evidence.iter().map(|fact| format!("  - {}", fact.text)));
        if let Some(fix) = &content.fix {
            lines.push(format!("  fix: {}", fix.summary));
            lines.extend(commands(finding).into_iter().map(|command| format!("    {command}")));
            lines.extend(fix.hcl_diff.iter().flat_map(|diff| diff.lines()).map(|line| format!("    {line}")));
        }
        if !content.not_assessed.is_empty() {
            lines.push(format!("  not assessed: {}", content.not_assessed.join(", ")));
        }
    }
    lines.extend(unseen(report).into_iter().map(|line| format!("not observed: {line}")));
    lines.push(report.summary());
    lines.join("\n") + "\n"
}
