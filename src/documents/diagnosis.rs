//! `kgen diagnose --json`.

use serde::Serialize;

use crate::{
    diagnose::{Context, Coverage, Diagnosis, Finding, Verdict},
    remedy::Rendered,
    sample::Sample,
    watch::{Naming, Seen},
};

/// A cluster that was diagnosed: through which view, from which samples, and how commands name it.
#[derive(Debug, Clone, Copy)]
pub struct Diagnosed<'a> {
    pub context: &'a Context,
    pub samples: &'a [Sample],
    pub seen: Seen,
    pub naming: &'a Naming,
}

/// `kgen diagnose --json`.
#[derive(Serialize, schemars::JsonSchema)]
pub struct DiagnosisDocument<'a> {
    schema: &'static str,
    cluster: &'a Context,
    /// The view of the cluster.
    view: Seen,
    samples: usize,
    from_ms: Option<i64>,
    to_ms: Option<i64>,
    verdict: Verdict,
    /// Which causes were assessed, and why the others were not.
    coverage: &'a Coverage,
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

impl<'a> DiagnosisDocument<'a> {
    pub const SCHEMA: &'static str = "kgen.diagnosis/1";

    /// The diagnosis, with the fix of each finding; `fixes` may be empty.
    pub fn of(diagnosed: Diagnosed<'a>, diagnosis: &'a Diagnosis, fixes: &'a [Option<Rendered>]) -> Self {
        let Diagnosed { context, samples, seen, naming } = diagnosed;
        let findings = diagnosis.findings.iter().enumerate().map(|(at, finding)| Reported {
            finding,
            next: naming.next(finding),
            fix: fixes.get(at).and_then(Option::as_ref),
        });
        DiagnosisDocument {
            schema: DiagnosisDocument::SCHEMA,
            cluster: context,
            view: seen,
            samples: samples.len(),
            from_ms: samples.first().map(|sample| sample.at_ms),
            to_ms: samples.last().map(|sample| sample.at_ms),
            verdict: diagnosis.verdict,
            coverage: &diagnosis.coverage,
            findings: findings.collect(),
        }
    }
}
