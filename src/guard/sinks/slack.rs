//! Slack's incoming webhooks, and what takes the same: `{"text": …}` in Slack's mrkdwn.

use serde_json::json;

use super::{Post, fix_lines};
use crate::alert::{Message, Status};

/// Facts that are shown at most; the rest is in the other sinks.
const FACTS: usize = 5;

/// Characters of a message at most; Slack truncates at 40,000 and shows no more than a screen.
const LONGEST: usize = 6000;

#[derive(Clone)]
pub struct Slack {
    url: String,
}

impl Slack {
    pub fn at(url: String) -> Slack {
        Slack { url }
    }

    pub fn post(&self, message: &Message) -> Post {
        Post {
            url: self.url.clone(),
            headers: Vec::new(),
            body: json!({ "text": text(message) }).to_string().into_bytes(),
        }
    }
}

fn text(message: &Message) -> String {
    let mark = if message.status == Status::Resolved { ":white_check_mark:" } else { ":rotating_light:" };
    let mut lines = vec![format!("{mark} *{}*", escaped(&message.headline()))];
    let content = &message.content;
    if message.status == Status::Firing {
        lines.push(escaped(&content.why));
        lines.extend(content.evidence.iter().take(FACTS).map(|fact| format!("• {}", escaped(&fact.text))));
        if let Some(fix) = &content.fix {
            lines.push(format!("*Fix:* {}", escaped(&fix.summary)));
        }
        let fix = fix_lines(message);
        if !fix.is_empty() {
            lines.push(format!("```{}```", escaped(&fix.join("\n")).replace("```", "'''")));
        }
        if !content.not_assessed.is_empty() {
            lines.push(format!("_Not assessed:_ {}", escaped(&content.not_assessed.join(", "))));
        }
    }
    let text = lines.join("\n");
    if text.chars().count() > LONGEST { text.chars().take(LONGEST).chain(['…']).collect() } else { text }
}

/// Slack gives a meaning to these three alone (Slack API, "Escaping text").
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::testing::message;

    #[test]
    fn a_message_has_cause_evidence_fix_and_what_was_not_assessed() {
        let text = text(&message("1"));
        for part in [
            ":rotating_light: *orders in us-west-2: broker.undersized: the brokers are too small*",
            "• CPU is 97 % at most",
            "*Fix:* 3 brokers from kafka.t3.small to kafka.m5.large",
            "```aws kafka update-broker-type",
            "_Not assessed:_ client.quota-throttled",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn names_of_others_are_no_mentions() {
        let mut message = message("1");
        message.subject.name = "<!channel> & co".to_owned();
        assert!(text(&message).contains("*&lt;!channel&gt; &amp; co in us-west-2"));
    }
}
