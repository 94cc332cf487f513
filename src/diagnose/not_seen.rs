//! Nothing wrong was seen, and too much was not seen for `healthy`.

use super::{
    ClusterKind, Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs, what},
};
use crate::{finding_id, sample::Field};

pub const RULE: Rule = Rule {
    id: finding_id::INCONCLUSIVE_NOT_SEEN,
    kind: Kind::Rest,
    judge,
    needs: Needs { any: &[], helps: &[], of: Clusters::All },
    meaning: "Nothing wrong was seen, but CPU, replication or disk was not seen at all, or a metric that this view always has \
              is missing without a known reason. What is not seen is not healthy.",
    told_apart: "No cause and no symptom holds. With these values seen it would be healthy; what is missing is listed with \
                 the causes that it would decide.",
    in_the_lab: "kgen diagnose --targets FILE, with a file that names no node exporter",
};

/// Fields without which no cluster of this kind is called healthy. Express publishes neither under-replicated partitions nor
/// disk use: AWS looks after both there.
fn essential(kind: ClusterKind) -> &'static [Field] {
    match kind {
        ClusterKind::Standard => &[Field::Cpu, Field::Replication, Field::DiskUsed],
        ClusterKind::Express => &[Field::Cpu],
        ClusterKind::Serverless => &[],
    }
}

fn judge(window: &Window) -> Option<Finding> {
    let kind = window.context.kind.unwrap_or(ClusterKind::Standard);
    let unseen: Vec<Field> = essential(kind).iter().copied().filter(|field| !window.sees(*field)).collect();
    let coverage = window.coverage();
    let mut fields = unseen.clone();
    for cause in coverage.not_assessed.iter().filter(|cause| cause.unexplained) {
        fields.extend(cause.lacking.iter().map(|lacking| lacking.field));
    }
    fields.sort_unstable();
    fields.dedup();
    if fields.is_empty() {
        return None;
    }
    let reasons = coverage.not_assessed.iter().flat_map(|cause| &cause.lacking);
    let missing = fields.iter().map(|field| match reasons.clone().find(|lacking| lacking.field == *field) {
        Some(lacking) => format!("{}: {}", lacking.what, lacking.reason),
        None => what(*field),
    });
    Some(Finding {
        title: "nothing wrong was seen, and not enough was seen".to_owned(),
        cause: "without these values the cluster may be healthy or not".to_owned(),
        evidence_for: vec![Evidence::fact(coverage.summary())],
        missing: missing.collect(),
        check: Some("why these values are missing: the view, the monitoring level, permissions".to_owned()),
        confidence: 0.9,
        ..Finding::default()
    })
}
