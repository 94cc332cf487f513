//! No problem was observed, but too little was observed for `healthy`.

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
    meaning: "No problem was observed, but CPU, replication or disk was not observed at all, or a metric that is \
              always available here is missing for no known reason. What is not observed is not healthy.",
    told_apart: "No cause and no symptom matches. With the missing values the cluster could be judged; they are \
                 listed with the causes that depend on them.",
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
        title: "no problem was observed, but too little was observed to call the cluster healthy".to_owned(),
        cause: "without these values it is unknown whether the cluster is healthy".to_owned(),
        evidence_for: vec![Evidence::fact(coverage.summary())],
        missing: missing.collect(),
        check: Some(
            "find out find out why these values are missing: the view, the monitoring level, permissions".to_owned(),
        ),
        confidence: 0.9,
        ..Finding::default()
    })
}
