//! `kgen explain`: what a finding means.

use anyhow::anyhow;
use serde_json::json;

use crate::{
    cli::{Explain, Outcome, refused},
    diagnose::{RULES, Rule},
};

pub fn run(args: &Explain) -> anyhow::Result<Outcome> {
    let rules: Vec<&Rule> = match &args.id {
        None => RULES.iter().collect(),
        Some(id) => {
            let known: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
            let rule = RULES.iter().find(|rule| rule.id == id);
            vec![rule.ok_or_else(|| refused(anyhow!("no finding is called {id}; there are: {}", known.join(", "))))?]
        }
    };
    if args.json {
        let rules: Vec<_> = rules
            .iter()
            .map(|rule| {
                let (meaning, told_apart) = (rule.meaning, rule.told_apart);
                json!({ "id": rule.id, "meaning": meaning, "told_apart": told_apart, "in_the_lab": rule.in_the_lab })
            })
            .collect();
        println!("{}", json!({ "schema": "kgen.explanation/1", "findings": rules }));
        return Ok(Outcome::Done);
    }
    for rule in &rules {
        if args.id.is_none() {
            println!("{:<34} {}", rule.id, rule.meaning.split(". ").next().unwrap_or_default());
            continue;
        }
        println!(
            "{}\n\n{}\n\nTold apart: {}\n\nIn the lab: {}",
            rule.id, rule.meaning, rule.told_apart, rule.in_the_lab
        );
    }
    Ok(Outcome::Done)
}
