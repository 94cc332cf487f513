//! A message as plain text, for mail and terminals.

use super::fix_lines;
use crate::alert::{Message, Status};

/// The whole message: cause, evidence, the exact fix and what was not assessed.
pub fn text(message: &Message) -> String {
    let content = &message.content;
    let mut lines = vec![message.headline()];
    if message.status == Status::Firing {
        lines.push(String::new());
        lines.push(content.why.clone());
        lines.extend(content.evidence.iter().map(|fact| format!("- {}", fact.text)));
        if let Some(fix) = &content.fix {
            lines.push(format!("\nFix: {}", fix.summary));
        }
        lines.extend(fix_lines(message).into_iter().map(|line| format!("    {line}")));
        lines.extend(content.do_not.iter().map(|text| format!("Note: {text}")));
        lines.extend(content.check.iter().map(|check| format!("To confirm: {check}")));
        if !content.not_assessed.is_empty() {
            lines.push(format!("Not assessed: {}", content.not_assessed.join(", ")));
        }
    }
    let Message { subject, severity, since, .. } = message;
    lines.push(format!("\n{} ({}), since {since}", subject.id, severity.as_str()));
    lines.join("\n")
}
