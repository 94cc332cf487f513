//! What a message says: cause, evidence, the exact fix, and what was not assessed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Subject, cause::Severity};
use crate::{
    diagnose::{Context, Diagnosis, Evidence, Finding},
    remedy::{Rendered, Target},
};

/// What is known of an alert beside its life.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Content {
    /// In a few words.
    pub title: String,
    /// Why it is so.
    pub why: String,
    pub evidence: Vec<Evidence>,
    /// 0 to 1.
    pub confidence: f64,
    /// Ids of causes that look the same from where the cluster was seen.
    pub alternatives: Vec<String>,
    /// What tells it from those.
    pub check: Option<String>,
    /// Commands and HCL with every value filled in; `null` where nothing is to be changed.
    pub fix: Option<Rendered>,
    /// Broker type that the fix changes the brokers to; `null` where it changes something else.
    pub broker_type: Option<String>,
    /// What looks like a fix and is none.
    pub do_not: Vec<String>,
    /// Ids of other causes that were seen, and may follow from this one.
    pub also: Vec<String>,
    /// Ids of causes that could not be assessed.
    pub not_assessed: Vec<String>,
}

/// Whether an alert begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Firing,
    Resolved,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Firing => "firing",
            Status::Resolved => "resolved",
        }
    }
}

/// One message about an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Message {
    /// The same for every attempt to send it: who gets it twice can leave out the second.
    pub id: String,
    /// The same in every run for the same cluster, cause and object.
    pub alert: String,
    pub status: Status,
    pub severity: Severity,
    /// Such as `broker.undersized`.
    pub cause: String,
    /// Such as `group orders`; empty where it is the cluster.
    pub object: String,
    pub subject: Subject,
    /// When it began to fire.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// When it ended; `null` while it fires.
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
    #[serde(flatten)]
    pub content: Content,
}

impl Message {
    /// In one line: `kgen: orders in us-west-2: broker.undersized: the brokers are too small`.
    pub fn headline(&self) -> String {
        let object = if self.object.is_empty() { String::new() } else { format!(" ({})", self.object) };
        let Subject { name, region, .. } = &self.subject;
        let end = if self.status == Status::Resolved { "resolved: " } else { "" };
        format!("{end}{name} in {region}: {}{object}: {}", self.cause, self.content.title)
    }
}

impl Content {
    /// What is said of `finding`, which is one of `diagnosis`.
    pub fn of(context: &Context, diagnosis: &Diagnosis, finding: &Finding) -> Content {
        let target = Target {
            arn: context.arn.as_deref(),
            current_version: context.current_version.as_deref(),
            region: &context.region,
            bootstrap_servers: context.bootstrap_servers.as_deref(),
            msk_tf: None,
        };
        let fix = finding.remedy.as_ref().map(|remedy| {
            // It is the project's command, and nobody knows which project this cluster has.
            Rendered { kgen: None, ..remedy.rendered(&target) }
        });
        let others = diagnosis.findings.iter().filter(|other| other.id != finding.id);
        Content {
            title: finding.title.clone(),
            why: finding.cause.clone(),
            evidence: finding.evidence_for.clone(),
            confidence: finding.confidence,
            alternatives: finding.alternatives.iter().map(|id| (*id).to_owned()).collect(),
            check: finding.check.clone(),
            fix,
            broker_type: finding.remedy.as_ref().and_then(|remedy| remedy.broker_type()).map(|to| to.to_string()),
            do_not: finding.anti_recommendations.clone(),
            also: others.map(|other| other.id.to_owned()).collect(),
            not_assessed: diagnosis.coverage.not_assessed.iter().map(|cause| cause.id.to_owned()).collect(),
        }
    }
}
