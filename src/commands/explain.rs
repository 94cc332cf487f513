//! `kgen explain`: what a finding means.

use anyhow::anyhow;

use super::documents::{self, Explanation, Explanations};
use crate::{
    cli::{Explain, Outcome, refused},
    diagnose::{RULES, Rule},
    reference::fault_command,
    text, visible,
};

pub fn run(args: &Explain) -> anyhow::Result<Outcome> {
    let rules: Vec<&Rule> = match &args.id {
        None => RULES.iter().collect(),
        Some(id) => {
            let rule = RULES.iter().find(|rule| rule.id == id);
            vec![rule.ok_or_else(|| {
                refused(anyhow!("there is no finding {}{} (`kgen explain` lists them)", visible::line(id), hint(id)))
            })?]
        }
    };
    if args.json {
        let told = |rule: &&Rule| {
            let Rule { id, meaning, told_apart, in_the_lab, .. } = **rule;
            Explanation { id, meaning, told_apart, in_the_lab, fault: fault_command(id) }
        };
        documents::print(Explanations { findings: rules.iter().map(told).collect() })?;
        return Ok(Outcome::Done);
    }
    for rule in &rules {
        if args.id.is_none() {
            println!("{:<34} {}", rule.id, rule.meaning.split(". ").next().unwrap_or_default());
            continue;
        }
        println!("{}", text::rule::in_words(rule, textwrap::termwidth()));
    }
    Ok(Outcome::Done)
}

/// The id that was probably meant.
fn hint(wrong: &str) -> String {
    let likeness = |id: &str| (similar::TextDiff::from_chars(wrong, id).ratio() * 1000.0) as u32;
    let likest = RULES.iter().map(|rule| rule.id).max_by_key(|id| likeness(id)).filter(|id| likeness(id) > 600);
    likest.map(|id| format!("; did you mean {id}?")).unwrap_or_default()
}
