//! From samples to findings: the cause, the evidence, the fix. Pure.
//!
//! A rule is a file here and a line in [`RULES`]; its cases are files in tests/scenarios. Gates come first: while one of
//! them holds, the samples cannot carry a verdict. Then every cause is judged: those that are sure come first, in the order
//! of [`RULES`], which has roots before their consequences. Only if there is none are the rest asked, down to `healthy`.

mod connection_storm;
mod consumer_slow;
mod consumer_stalled;
pub mod coverage;
mod credits;
mod degraded;
mod disk_filling;
mod disk_full;
mod disk_slow;
mod down;
mod fanout;
mod generator_bound;
mod healthy;
mod heap_pressure;
mod host_contention;
mod hot_key;
mod hung;
mod leaders_not_preferred;
mod leaders_placement;
mod maintenance;
mod min_isr;
mod network;
mod no_data;
mod not_seen;
mod not_serving;
pub mod oversized;
mod quota;
mod replication_throttled;
#[cfg(test)]
mod scenarios;
mod seen;
pub mod thresholds;
mod tiny_batches;
mod too_few_samples;
mod too_many_partitions;
mod topology;
mod undersized;
mod uneven;
mod unexplained;
mod window;

use serde::{Deserialize, Serialize};

pub use crate::catalogue::ClusterKind;
use crate::{
    catalogue::{BrokerType, MonitoringLevel},
    finding_id,
    remedy::Remedy,
    sample::{BrokerId, Sample, Unavailable},
    sizing::Current,
};
pub use coverage::Coverage;
use coverage::Needs;
pub use host_contention::PRESSURE_PERCENT;
pub use window::THROTTLED_PERCENT;
use window::Window;

/// What is known about the cluster besides the samples.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Context {
    pub cluster: String,
    pub region: String,
    pub arn: Option<String>,
    pub current_version: Option<String>,
    /// The name that MSK uses; see [`Context::known_type`].
    pub broker_type: Option<String>,
    pub broker_count: u32,
    pub kafka_version: Option<String>,
    /// Storage of one broker, GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_gib: Option<u32>,
    /// Where Kafka's own tools can reach the brokers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_servers: Option<String>,
    /// Such as `ACTIVE`.
    pub state: Option<String>,
    pub active_operation: Option<String>,
    /// N of the lab's "scale 1:N"; nothing on AWS.
    pub lab_scale: Option<f64>,
    /// Ids of the brokers by ListNodes, with gaps where brokers were removed; empty where they were not listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broker_ids: Vec<BrokerId>,
    /// Standard, Express or serverless; `None` if the control plane was not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ClusterKind>,
    /// Such as `PER_BROKER`: which metrics MSK publishes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring_level: Option<MonitoringLevel>,
    /// Length of a datapoint of CloudWatch, s: a minute, which the lab can shorten. `None` where none are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_s: Option<f64>,
    /// What the view cannot provide, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unavailable: Vec<Unavailable>,
}

/// What a window of samples says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diagnosis {
    pub verdict: Verdict,
    /// The likeliest first.
    pub findings: Vec<Finding>,
    /// Which causes were assessed, and why the others were not.
    pub coverage: Coverage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Healthy,
    CauseFound,
    Inconclusive,
}

/// One finding, with all evidence for and against it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Finding {
    /// Such as `broker.undersized`; see `kgen explain`.
    pub id: &'static str,
    pub title: String,
    /// The affected brokers; empty if the finding is about the cluster.
    pub brokers: Vec<BrokerId>,
    /// The affected partitions, as `topic-number`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<String>,
    /// The affected consumer groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    pub cause: String,
    pub evidence_for: Vec<Evidence>,
    pub evidence_against: Vec<Evidence>,
    /// Relevant data that was not observed.
    pub missing: Vec<String>,
    /// Ids of causes that look the same in this view; `check` separates them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<&'static str>,
    /// The simplest check that distinguishes this from the next likely cause.
    pub check: Option<String>,
    /// 0 to 1.
    pub confidence: f64,
    pub remedy: Option<Remedy>,
    /// What looks like a fix but is not.
    pub anti_recommendations: Vec<String>,
}

/// An observed fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Evidence {
    pub text: String,
    pub value: Option<f64>,
    pub threshold: Option<f64>,
}

/// How one cause, or one reason for having none, is recognised.
pub struct Rule {
    pub id: &'static str,
    kind: Kind,
    judge: fn(&Window) -> Option<Finding>,
    /// What it needs to be seen.
    pub needs: Needs,
    /// What it means.
    pub meaning: &'static str,
    /// How it differs from its neighbours.
    pub told_apart: &'static str,
    /// How to see it in the lab.
    pub in_the_lab: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As long as it holds nothing else is judged.
    Gate,
    Cause,
    /// No cause is known, and the reader is told what there is instead.
    Rest,
    Healthy,
    /// Said beside a healthy verdict.
    Saving,
}

/// Every rule, in the order in which it is asked; of two causes that hold, the root first.
pub const RULES: &[Rule] = &[
    maintenance::RULE,
    too_few_samples::RULE,
    not_serving::RULE,
    no_data::RULE,
    host_contention::RULE,
    disk_full::RULE,
    down::RULE,
    hung::RULE,
    replication_throttled::RULE,
    min_isr::RULE,
    disk_slow::RULE,
    network::RULE,
    leaders_not_preferred::RULE,
    leaders_placement::RULE,
    hot_key::RULE,
    degraded::RULE,
    tiny_batches::RULE,
    connection_storm::RULE,
    too_many_partitions::RULE,
    heap_pressure::RULE,
    fanout::RULE,
    credits::RULE,
    undersized::RULE,
    quota::RULE,
    consumer_stalled::RULE,
    consumer_slow::RULE,
    disk_filling::RULE,
    uneven::RULE,
    generator_bound::RULE,
    unexplained::RULE,
    not_seen::RULE,
    healthy::RULE,
    oversized::RULE,
];

/// Below this a cause is mentioned, but does not make the verdict (a design choice).
pub const CONFIDENT: f64 = 0.5;

/// What `samples`, oldest first, say about the cluster.
pub fn diagnose(context: &Context, samples: &[Sample]) -> Diagnosis {
    let window = Window::new(context, samples);
    let ask = |kind: Kind| {
        let rules = RULES.iter().filter(move |rule| rule.kind == kind);
        rules.filter_map(|rule| (rule.judge)(&window).map(|finding| Finding { id: rule.id, ..finding }))
    };
    let diagnosis = |verdict, findings| Diagnosis { verdict, findings, coverage: window.coverage().clone() };
    if let Some(gate) = ask(Kind::Gate).next() {
        return diagnosis(Verdict::Inconclusive, vec![gate]);
    }
    let mut findings: Vec<Finding> = ask(Kind::Cause).collect();
    // A stable sort: the sure ones keep the order of the rules.
    findings.sort_by(|a, b| b.confidence.min(CONFIDENT).total_cmp(&a.confidence.min(CONFIDENT)));
    if findings.first().is_some_and(|first| first.confidence >= CONFIDENT) {
        return diagnosis(Verdict::CauseFound, findings);
    }
    // A suspicion says more than that something was not seen.
    let says_more = |rest: &Finding| findings.is_empty() || rest.id != finding_id::INCONCLUSIVE_NOT_SEEN;
    if let Some(rest) = ask(Kind::Rest).find(says_more) {
        findings.insert(0, rest);
        return diagnosis(Verdict::Inconclusive, findings);
    }
    let verdict = if findings.is_empty() { Verdict::Healthy } else { Verdict::Inconclusive };
    findings.extend(ask(Kind::Healthy).chain(ask(Kind::Saving)).filter(|_| verdict == Verdict::Healthy));
    diagnosis(verdict, findings)
}

/// Whether a finding of this id is a cause of trouble; otherwise it is a gate, a symptom, or says that nothing is wrong.
pub fn is_cause(id: &str) -> bool {
    RULES.iter().any(|rule| rule.id == id && rule.kind == Kind::Cause)
}

/// Whether a finding of this id says that the samples cannot carry a verdict.
pub fn is_gate(id: &str) -> bool {
    RULES.iter().any(|rule| rule.id == id && rule.kind == Kind::Gate)
}

impl Finding {
    /// What to type next, ready to be pasted: the fix, or what shows more.
    pub fn next_command(&self) -> String {
        match self.remedy.as_ref().map(|remedy| (remedy, remedy.broker_type())) {
            Some((_, Some(broker_type))) => format!("kgen resize {broker_type}"),
            Some((Remedy::ElectLeaders(_) | Remedy::Reassign(_) | Remedy::RemoveThrottle(_), None)) => {
                "kgen fix".to_owned()
            }
            Some((Remedy::Wait { .. }, None)) => "kgen diagnose --window 1m".to_owned(),
            _ if self.id == finding_id::CLUSTER_OVERSIZED => "kgen size".to_owned(),
            _ => format!("kgen explain {}", self.id),
        }
    }
}

impl Context {
    /// Whether the view reads datapoints of CloudWatch, as far as is known without a sample.
    fn reads_cloudwatch(&self) -> bool {
        self.period_s.is_some()
    }

    /// The broker type, if it is one of the catalogue. MSK sometimes leaves `kafka.` out.
    pub fn known_type(&self) -> Option<BrokerType> {
        let text = self.broker_type.as_deref()?;
        text.parse().ok().or_else(|| format!("kafka.{text}").parse().ok())
    }

    /// The cluster as sizing takes it, as far as its description goes: the zones follow from the number of brokers. `None` for a
    /// type that the catalogue does not have.
    pub fn current(&self) -> Option<Current> {
        let broker_type = self.known_type()?;
        let in_lab = self.lab_scale.is_some();
        Some(Current {
            broker_type,
            brokers: self.broker_count,
            // MSK has brokers in two or three zones, as many in each.
            zones: if self.broker_count.is_multiple_of(3) { 3 } else { 2 },
            zones_assumed: true,
            uses_iam: false,
            volume_gib: self.volume_gib,
            volume_mib_per_s: None,
            // A T3 broker of the lab has its baseline alone.
            vcpus: if in_lab { broker_type.sustained_vcpus() } else { f64::from(broker_type.vcpus) },
            since_ms: None,
        })
    }
}

impl Evidence {
    /// `text` with the value that it speaks of and the threshold that it is held against.
    fn measured(text: impl Into<String>, value: f64, threshold: f64) -> Evidence {
        Evidence { text: text.into(), value: Some(value), threshold: Some(threshold) }
    }

    /// A value without a threshold.
    fn seen(text: impl Into<String>, value: f64) -> Evidence {
        Evidence { text: text.into(), value: Some(value), threshold: None }
    }

    fn fact(text: impl Into<String>) -> Evidence {
        Evidence { text: text.into(), value: None, threshold: None }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Order and kinds are what a reader of docs/diagnosis.md relies on.
    #[test]
    fn the_documented_table_is_that_of_the_rules() {
        let document = include_str!("../docs/diagnosis.md");
        let table = document.split("| id | kind | means |").nth(1).unwrap_or_default();
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let documented: Vec<String> = rows
            .map(|row| {
                row.split(" | ").take(2).map(|cell| cell.trim_matches(['|', '`', ' '])).collect::<Vec<_>>().join(" ")
            })
            .collect();
        let kind = |kind: Kind| match kind {
            Kind::Gate => "gate",
            Kind::Cause => "cause",
            Kind::Rest => "rest",
            Kind::Healthy => "healthy",
            Kind::Saving => "saving",
        };
        let rules: Vec<String> = RULES.iter().map(|rule| format!("{} {}", rule.id, kind(rule.kind))).collect();
        assert_eq!(documented, rules);
    }

    #[test]
    fn a_cause_is_told_from_gates_and_symptoms_by_its_id() {
        for (id, expected) in [
            ("broker.undersized", true),
            ("disk.filling", true),
            ("cluster.maintenance", false),
            ("client.generator-bound", false),
            ("healthy", false),
            ("no.such-finding", false),
        ] {
            assert_eq!(is_cause(id), expected, "{id}");
        }
    }

    #[test]
    fn every_rule_is_one_of_a_kind_and_explained() {
        let ids: BTreeSet<_> = RULES.iter().map(|rule| rule.id).collect();
        assert_eq!(ids.len(), RULES.len());
        for rule in RULES {
            assert!(
                !rule.meaning.is_empty() && !rule.told_apart.is_empty() && !rule.in_the_lab.is_empty(),
                "{}",
                rule.id
            );
        }
    }
}
