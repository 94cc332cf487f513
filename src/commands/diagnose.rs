//! `kgen diagnose`: watch for a while, name the cause, print the fix.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use super::{
    look::{Opened, collected, headline, open, recorded, refresh, runtime},
    out,
    place::Place,
};
use crate::{
    cli::{Diagnose, Outcome, refused},
    diagnose::{Context, Diagnosis, Finding, Verdict, diagnose},
    metrics::Source,
    project::Project,
    remedy::Rendered,
    sample::Sample,
    stack::Stack,
    visible::line,
};

pub use crate::watch::fixes;

/// Datapoints of CloudWatch that are read at least.
const CLOUDWATCH_MINUTES: u64 = 10;

/// `kgen diagnose --json`.
#[derive(Serialize, schemars::JsonSchema)]
pub struct Report<'a> {
    schema: &'static str,
    cluster: &'a Context,
    samples: usize,
    from_ms: Option<i64>,
    to_ms: Option<i64>,
    verdict: Verdict,
    findings: Vec<Reported<'a>>,
}

#[derive(Serialize, schemars::JsonSchema)]
struct Reported<'a> {
    #[serde(flatten)]
    finding: &'a Finding,
    /// A command to be pasted.
    next: String,
    fix: Option<&'a Rendered>,
}

impl Report<'_> {
    pub const SCHEMA: &'static str = "kgen.diagnosis/1";
}

pub fn run(args: &Diagnose, project: &Path) -> anyhow::Result<Outcome> {
    let project = Project::open(project).map_err(refused)?;
    let (context, samples) = match &args.replay {
        Some(file) => recorded(file)?,
        None => runtime()?.block_on(watched(args, project.stack()))?,
    };
    let diagnosis = diagnose(&context, &samples);
    let fixes = fixes(&context, &diagnosis, &project.terraform_dir());
    if args.json {
        let findings = diagnosis.findings.iter().zip(&fixes).map(|(finding, fix)| Reported {
            finding,
            next: finding.next_command(),
            fix: fix.as_ref(),
        });
        let report = Report {
            schema: Report::SCHEMA,
            cluster: &context,
            samples: samples.len(),
            from_ms: samples.first().map(|sample| sample.at_ms),
            to_ms: samples.last().map(|sample| sample.at_ms),
            verdict: diagnosis.verdict,
            findings: findings.collect(),
        };
        out::document(&report).context("writing the diagnosis as JSON")?;
    } else {
        print!("{}", text(&context, &samples, &diagnosis, &fixes));
    }
    Ok(match diagnosis.verdict {
        Verdict::Healthy => Outcome::Done,
        Verdict::CauseFound => Outcome::Unhealthy,
        Verdict::Inconclusive => Outcome::Inconclusive,
    })
}

/// Samples of the window, and the cluster as it is at its end.
pub async fn watched(args: &Diagnose, stack: &Stack) -> anyhow::Result<(Context, Vec<Sample>)> {
    let Opened { aws, mut context, source, .. } = open(&args.look, stack, &Place::Environment).await?;
    let samples = match source {
        Source::CloudWatch(source) => {
            let minutes = (args.window.as_secs() / 60).max(CLOUDWATCH_MINUTES).try_into().unwrap_or(u32::MAX);
            eprintln!("reading the last {minutes} minutes of {} from CloudWatch", headline(&context));
            source.history(minutes).await?
        }
        source => {
            eprintln!("watching {} for {} s", headline(&context), args.window.as_secs_f64());
            collected(source, args.window, args.look.interval).await?
        }
    };
    // MSK changes the version with every update, so what is printed is read last.
    refresh(&aws, &mut context).await.context("reading the cluster's current version")?;
    Ok((context, samples))
}

/// The diagnosis for a person.
pub fn text(context: &Context, samples: &[Sample], diagnosis: &Diagnosis, fixes: &[Option<Rendered>]) -> String {
    let mut lines = vec![headline(context)];
    let span_s = match samples {
        [first, .., last] => (last.at_ms - first.at_ms) as f64 / 1000.0,
        _ => 0.0,
    };
    let verdict = match diagnosis.verdict {
        Verdict::Healthy => "healthy",
        Verdict::CauseFound => "a cause was found",
        Verdict::Inconclusive => "inconclusive",
    };
    lines.push(format!("verdict: {verdict} ({} samples over {span_s:.0} s)", samples.len()));
    for (finding, fix) in diagnosis.findings.iter().zip(fixes) {
        lines.push(String::new());
        lines.push(format!("{}: {} (confidence {:.2})", finding.id, line(&finding.title), finding.confidence));
        lines.push(format!("  cause: {}", line(&finding.cause)));
        let section = |name: &str, items: Vec<&str>, lines: &mut Vec<String>| {
            if !items.is_empty() {
                lines.push(format!("  {name}:"));
                lines.extend(items.iter().map(|item| format!("    - {}", line(item))));
            }
        };
        let texts =
            |evidence: &'_ [crate::diagnose::Evidence]| evidence.iter().map(|e| e.text.clone()).collect::<Vec<_>>();
        let (for_it, against) = (texts(&finding.evidence_for), texts(&finding.evidence_against));
        section("evidence", for_it.iter().map(String::as_str).collect(), &mut lines);
        section("against it", against.iter().map(String::as_str).collect(), &mut lines);
        section("not seen", finding.missing.iter().map(String::as_str).collect(), &mut lines);
        if let Some(check) = &finding.check {
            lines.push(format!("  would tell: {}", line(check)));
        }
        if let Some(fix) = fix {
            lines.push(format!("  fix: {}", line(&fix.summary)));
            lines.extend(fix.notes.iter().map(|note| format!("    - {}", line(note))));
            if let Some(command) = &fix.kgen {
                let how = match fix.hcl_diff {
                    Some(_) => "changes the HCL, applies it and proves it",
                    None => "does it and looks until the symptom is gone",
                };
                lines.push(format!("\n  by kgen, which {how}:\n    {}", line(command)));
            }
            if let Some(command) = &fix.aws_cli {
                let then = match fix.hcl_diff {
                    Some(_) => " (then change the HCL as well, or Terraform changes it back)",
                    None => "",
                };
                lines.push(format!("\n  by the AWS CLI{then}:\n    {}", line(command)));
            }
            if !fix.kafka_tools.is_empty() {
                lines.push("\n  by Kafka's tools:".to_owned());
                lines.extend(fix.kafka_tools.iter().map(|command| format!("    {}", line(command))));
            }
            if let Some(diff) = &fix.hcl_diff {
                lines.push("\n  in Terraform, then `terraform apply`:".to_owned());
                lines.extend(diff.lines().map(|line| format!("    {line}").trim_end().to_owned()));
            }
        }
        section("not a fix", finding.anti_recommendations.iter().map(String::as_str).collect(), &mut lines);
        lines.push(format!("  next: {}", line(&finding.next_command())));
    }
    lines.push(String::new());
    lines.join("\n")
}
