//! What a round saw of a cluster, or of a region of an account, as far as alerts are concerned.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    cause::{CANNOT_SEE, CLUSTER_FAILED, is_of_one_broker},
    content::Content,
};
use crate::{
    diagnose::{Context, Diagnosis, Finding, Verdict, is_cause, is_gate},
    finding_id,
};

/// What an alert is about: a cluster, or a region of an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Subject {
    /// The ARN of a cluster; region and caller of an account.
    pub id: String,
    pub name: String,
    pub region: String,
    /// Profile or role that it is read with, if one was named.
    pub caller: Option<String>,
}

/// A subject as a round saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    pub subject: Subject,
    pub look: Look,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq)]
pub enum Look {
    /// A verdict, good or bad.
    Judged {
        /// Time of the newest datapoint, ms since the epoch: a round without a new one adds nothing to what is known.
        newest_ms: Option<i64>,
        /// Causes that were seen, the root first.
        symptoms: Vec<Symptom>,
        /// Ids of causes that are absent where they are no symptom.
        assessed: BTreeSet<String>,
        /// Why too little was seen for `healthy`, if so.
        blind: Option<String>,
    },
    /// MSK is changing the cluster: what it shows is the change.
    Changing,
    /// No verdict was possible.
    Blind(String),
    /// The cluster was deleted.
    Gone,
}

/// A cause that was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Symptom {
    /// Such as `broker.undersized`.
    pub cause: String,
    /// Such as `group orders`; empty where it is the cluster.
    pub object: String,
    /// Sure enough for an alert.
    pub is_sure: bool,
    pub content: Content,
}

impl Subject {
    /// All regions of an account.
    pub fn account(caller: Option<&str>) -> Subject {
        Subject::place("every region", caller)
    }

    /// A region of an account.
    pub fn place(region: &str, caller: Option<&str>) -> Subject {
        let name = caller.unwrap_or("the account").to_owned();
        let id = format!("{region} {}", caller.unwrap_or_default());
        Subject { id, name, region: region.to_owned(), caller: caller.map(str::to_owned) }
    }
}

/// What a diagnosis says, for alerts.
pub fn look(context: &Context, diagnosis: &Diagnosis, newest_ms: Option<i64>) -> Look {
    if context.state.as_deref() == Some("FAILED") {
        let content = Content {
            title: "MSK reports the cluster's state as FAILED".to_owned(),
            why: "MSK could not create or change the cluster; the reason is in DescribeCluster (StateInfo)".to_owned(),
            confidence: 1.0,
            ..Content::default()
        };
        let symptoms =
            vec![Symptom { cause: CLUSTER_FAILED.to_owned(), object: String::new(), is_sure: true, content }];
        // Nothing else can be told of it.
        return Look::Judged { newest_ms: None, symptoms, assessed: BTreeSet::new(), blind: None };
    }
    let first = diagnosis.findings.first();
    if let Some(gate) = first.filter(|finding| is_gate(finding.id)) {
        return match gate.id {
            finding_id::CLUSTER_MAINTENANCE => Look::Changing,
            _ => Look::Blind(gate.title.clone()),
        };
    }
    let is_told = |finding: &&Finding| is_cause(finding.id) || finding.id == finding_id::INCONCLUSIVE_UNEXPLAINED;
    let symptoms = diagnosis.findings.iter().filter(is_told).flat_map(|finding| symptoms(context, diagnosis, finding));
    let mut assessed: BTreeSet<String> = diagnosis.coverage.assessed.iter().map(|id| (*id).to_owned()).collect();
    assessed.extend(diagnosis.coverage.not_applicable.iter().map(|id| (*id).to_owned()));
    assessed.extend([finding_id::INCONCLUSIVE_UNEXPLAINED.to_owned(), CLUSTER_FAILED.to_owned()]);
    let blind = first.filter(|finding| finding.id == finding_id::INCONCLUSIVE_NOT_SEEN);
    Look::Judged {
        newest_ms,
        symptoms: symptoms.collect(),
        assessed,
        blind: blind.map(|finding| format!("{}: {}", finding.title, finding.missing.join("; "))),
    }
}

/// The symptoms of a finding: one for each consumer group, topic or broker that is an incident of its own.
fn symptoms(context: &Context, diagnosis: &Diagnosis, finding: &Finding) -> Vec<Symptom> {
    let content = Content::of(context, diagnosis, finding);
    let of = |object: String| Symptom {
        cause: finding.id.to_owned(),
        object,
        is_sure: finding.confidence >= crate::diagnose::CONFIDENT && diagnosis.verdict == Verdict::CauseFound
            || !is_cause(finding.id),
        content: content.clone(),
    };
    if !finding.groups.is_empty() {
        return finding.groups.iter().map(|group| of(format!("group {group}"))).collect();
    }
    if is_of_one_broker(finding.id) && !finding.brokers.is_empty() {
        return finding.brokers.iter().map(|broker| of(format!("broker {broker}"))).collect();
    }
    let topics: BTreeSet<&str> = finding.partitions.iter().filter_map(|name| Some(name.rsplit_once('-')?.0)).collect();
    if !topics.is_empty() {
        return topics.into_iter().map(|topic| of(format!("topic {topic}"))).collect();
    }
    vec![of(String::new())]
}

/// What is said of a subject that could not be seen.
pub fn unseen(reason: &str) -> Symptom {
    let content = Content {
        title: "it cannot be seen, so nothing is known of its health".to_owned(),
        why: reason.to_owned(),
        confidence: 1.0,
        check: Some("kgen clusters: with the same credentials, it names what is refused or missing".to_owned()),
        ..Content::default()
    };
    Symptom { cause: CANNOT_SEE.to_owned(), object: String::new(), is_sure: true, content }
}
