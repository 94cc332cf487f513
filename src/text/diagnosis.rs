//! A diagnosis for a person: verdict, findings with their evidence, fixes, and what could not be assessed.

use std::path::Path;

use super::headline;
use crate::{
    diagnose::{Context, Diagnosis, Evidence, Finding, Verdict},
    documents::Diagnosed,
    remedy::Rendered,
    sample::Sample,
    visible::line,
    watch::{Naming, Seen},
};

/// The diagnosis, with the fix of each finding; `fixes` may be empty.
pub fn diagnosis(of: Diagnosed<'_>, diagnosis: &Diagnosis, fixes: &[Option<Rendered>]) -> String {
    let Diagnosed { context, samples, seen, naming } = of;
    let mut lines = vec![headline(context), format!("view: {}", seen.describe())];
    let span_s = match samples {
        [first, .., last] => (last.at_ms - first.at_ms) as f64 / 1000.0,
        _ => 0.0,
    };
    let verdict = match diagnosis.verdict {
        Verdict::Healthy => "healthy",
        Verdict::CauseFound => "a cause was found",
        Verdict::Inconclusive => "inconclusive",
    };
    let coverage = &diagnosis.coverage;
    lines.push(format!("verdict: {verdict}: {} ({} samples over {span_s:.0} s)", coverage.summary(), samples.len()));
    for (at, finding) in diagnosis.findings.iter().enumerate() {
        lines.extend(found(finding, fixes.get(at).and_then(Option::as_ref)));
        lines.push(format!("  next: {}", line(&naming.next(finding))));
    }
    let lacking = coverage.lines();
    if lacking.len() > 1 {
        lines.push("\nwhat could not be assessed:".to_owned());
        lines.extend(lacking.iter().skip(1).map(|text| format!("  - {}", line(text))));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// The diagnosis of the project's own cluster, seen from inside.
pub fn of_project(context: &Context, samples: &[Sample], diagnosis: &Diagnosis, fixes: &[Option<Rendered>]) -> String {
    let naming = Naming::of_project(Path::new(""));
    self::diagnosis(Diagnosed { context, samples, seen: Seen::Inside, naming: &naming }, diagnosis, fixes)
}

fn found(finding: &Finding, fix: Option<&Rendered>) -> Vec<String> {
    let mut lines = vec![
        String::new(),
        format!("{}: {} (confidence {:.2})", finding.id, line(&finding.title), finding.confidence),
        format!("  cause: {}", line(&finding.cause)),
    ];
    lines.extend(section("evidence", texts(&finding.evidence_for)));
    lines.extend(section("evidence against", texts(&finding.evidence_against)));
    lines.extend(section("not observed", finding.missing.iter().map(String::as_str)));
    lines.extend(finding.check.iter().map(|check| format!("  to confirm: {}", line(check))));
    lines.extend(fix.into_iter().flat_map(fixed));
    lines.extend(section("do not", finding.anti_recommendations.iter().map(String::as_str)));
    lines
}

fn texts(evidence: &[Evidence]) -> impl Iterator<Item = &str> {
    evidence.iter().map(|evidence| evidence.text.as_str())
}

/// A list under its name; nothing where it is empty.
fn section<'a>(name: &str, items: impl Iterator<Item = &'a str>) -> Vec<String> {
    let items: Vec<String> = items.map(|item| format!("    - {}", line(item))).collect();
    let name = (!items.is_empty()).then(|| format!("  {name}:"));
    name.into_iter().chain(items).collect()
}

/// A fix in each form that it has.
fn fixed(fix: &Rendered) -> Vec<String> {
    let mut lines = vec![format!("  fix: {}", line(&fix.summary))];
    lines.extend(fix.notes.iter().map(|note| format!("    - {}", line(note))));
    if let Some(command) = &fix.kgen {
        let how = match fix.hcl_diff {
            Some(_) => "changes the HCL, applies it and proves the result",
            None => "applies it and checks that the symptom is gone",
        };
        lines.push(format!("\n  with kgen, which {how}:\n    {}", line(command)));
    }
    if let Some(command) = &fix.aws_cli {
        let then = match fix.hcl_diff {
            Some(_) => " (then change the HCL as well, or Terraform reverts it)",
            None => "",
        };
        lines.push(format!("\n  with the AWS CLI{then}:\n    {}", line(command)));
    }
    if !fix.kafka_tools.is_empty() {
        lines.push("\n  with Kafka's tools:".to_owned());
        lines.extend(fix.kafka_tools.iter().map(|command| format!("    {}", line(command))));
    }
    if let Some(diff) = &fix.hcl_diff {
        lines.push("\n  in Terraform, then `terraform apply`:".to_owned());
        lines.extend(diff.lines().map(|line| format!("    {line}").trim_end().to_owned()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_whose_fix_was_not_looked_for_is_told_nevertheless() {
        let finding = Finding { id: "broker.undersized", ..Finding::default() };
        let found = Diagnosis { verdict: Verdict::CauseFound, findings: vec![finding], coverage: Default::default() };
        let (context, naming) = (Context::default(), Naming::of_project(Path::new("")));
        assert!(of_project(&context, &[], &found, &[]).contains("broker.undersized"));
        let of = Diagnosed { context: &context, samples: &[], seen: Seen::Inside, naming: &naming };
        let document = serde_json::to_value(crate::documents::DiagnosisDocument::of(of, &found, &[])).unwrap();
        assert_eq!(document["findings"][0]["id"], "broker.undersized");
    }
}
