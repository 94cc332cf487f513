//! What a finding means.

use crate::{diagnose::Rule, reference::in_the_lab};

/// What a rule means, in lines of at most `width` columns.
pub fn in_words(rule: &Rule, width: usize) -> String {
    let told_apart = format!("How to tell it apart: {}", rule.told_apart);
    let in_the_lab = format!("In the lab: {}", in_the_lab(rule));
    let paragraphs = [rule.id, rule.meaning, &told_apart, &in_the_lab];
    paragraphs.map(|paragraph| textwrap::fill(paragraph, width)).join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::RULES;

    #[test]
    fn an_explanation_is_as_wide_as_the_terminal() {
        for rule in RULES {
            let text = in_words(rule, 60);
            // A command is not broken at its hyphens, and may be longer than a line.
            let wide = text.lines().find(|line| line.chars().count() > 60 && line.contains(' '));
            assert_eq!(wide, None, "{}", rule.id);
            assert!(text.starts_with(rule.id) && text.ends_with(in_the_lab(rule).split(' ').next_back().unwrap()));
        }
    }
}
