//! Messages for receivers that take only so much: shortened by whole facts and whole fixes, and said to be.

use crate::{
    alert::{Content, Message},
    diagnose::Evidence,
};

/// Facts that are kept, and characters of a text, from the least shortening to the most.
const STEPS: [(usize, usize); 4] = [(50, 20_000), (20, 4_000), (5, 1_000), (2, 200)];

/// `message` in the first form of at most `most` bytes: whole, or shortened.
pub fn fitted(message: &Message, most: usize, form: impl Fn(&Message) -> String) -> String {
    let mut text = form(message);
    for (facts, characters) in STEPS {
        if text.len() <= most {
            break;
        }
        text = form(&shortened(message, facts, characters));
    }
    text
}

fn shortened(message: &Message, facts: usize, characters: usize) -> Message {
    let short = |text: &str| match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    };
    let some = |texts: &[String]| texts.iter().take(facts).map(|text| short(text)).collect();
    let content = &message.content;
    let mut evidence: Vec<Evidence> =
        content.evidence.iter().take(facts).map(|fact| Evidence { text: short(&fact.text), ..fact.clone() }).collect();
    evidence.push(Evidence {
        text: "shortened to fit this sink: `kgen diagnose` and the other sinks show all of it".to_owned(),
        value: None,
        threshold: None,
    });
    // Half a command must not be pasted: it is there whole or not at all.
    let whole = |text: Option<String>| text.filter(|text| text.chars().count() <= characters);
    let fix = content.fix.clone().map(|mut fix| {
        fix.summary = short(&fix.summary);
        fix.aws_cli = whole(fix.aws_cli);
        fix.kafka_tools = whole_tools(fix.kafka_tools, characters);
        fix.hcl_diff = whole(fix.hcl_diff);
        fix.notes = some(&fix.notes);
        fix
    });
    Message {
        object: short(&message.object),
        content: Content {
            title: short(&content.title),
            why: short(&content.why),
            evidence,
            check: content.check.as_deref().map(short),
            fix,
            do_not: some(&content.do_not),
            alternatives: some(&content.alternatives),
            also: some(&content.also),
            ..content.clone()
        },
        ..message.clone()
    }
}

/// All of the commands or none.
fn whole_tools(tools: Vec<String>, characters: usize) -> Vec<String> {
    let all: usize = tools.iter().map(|tool| tool.chars().count()).sum();
    if all <= characters { tools } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::guard::{report::Line, testing::message};

    #[test]
    fn a_message_that_is_too_long_keeps_cause_and_gaps_and_says_that_it_is_shortened() {
        let form = |message: &Message| json!(Line::of(message)).to_string();
        let small = message("1");
        assert_eq!(fitted(&small, 250_000, form), form(&small));
        let mut large = message("1");
        let text = "partition orders-1 is not led by its first replica".repeat(20);
        let fact = Evidence { text, value: None, threshold: None };
        large.content.evidence = vec![fact; 2_000];
        large.content.fix.as_mut().unwrap().hcl_diff = Some("+ line\n".repeat(100_000));
        for most in [250_000, 20_000, 4_000] {
            let text = fitted(&large, most, form);
            assert!(text.len() <= most, "{} of {most}", text.len());
            for part in ["shortened to fit", "broker.undersized", "client.quota-throttled", "update-broker-type"] {
                assert!(text.contains(part), "{part} in {most}");
            }
            assert!(!text.contains("+ line"), "half a diff is no fix");
        }
    }
}
