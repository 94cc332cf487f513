//! The cases in tests/scenarios: samples in, findings out. A case seen in the field becomes a file there.
//!
//! A file has the cluster, phases of so many seconds with the values that brokers showed in them (those of `all`, and
//! what differs for one broker), and what must come out.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;
use toml::Table;

use super::{Context, Verdict, diagnose};
use crate::sample::{BrokerId, BrokerSample, GroupSample, LoadSample, Sample, Source, TopicSample};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// Why the case is here.
    #[expect(dead_code, reason = "for the reader of the file")]
    why: String,
    broker_type: String,
    brokers: u32,
    #[serde(default)]
    source: Source,
    #[serde(default = "one")]
    interval_s: f64,
    lab_scale: Option<f64>,
    state: Option<String>,
    #[serde(default)]
    phase: Vec<Phase>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Phase {
    seconds: f64,
    #[serde(default)]
    all: Table,
    /// Values that differ for one broker.
    #[serde(default)]
    broker: BTreeMap<String, Table>,
    /// What each second adds, for values that rise or fall.
    #[serde(default)]
    per_second: BTreeMap<String, f64>,
    load: Option<LoadSample>,
    #[serde(default)]
    topics: BTreeMap<String, TopicSample>,
    #[serde(default)]
    groups: BTreeMap<String, GroupSample>,
    /// What each second adds to every lag.
    #[serde(default)]
    lag_per_second: f64,
    host_cpu_pressure_percent: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    verdict: Verdict,
    /// The first finding.
    id: String,
    #[serde(default)]
    brokers: Option<Vec<BrokerId>>,
    /// Partitions and groups that the first finding names.
    partitions: Option<Vec<String>>,
    groups: Option<Vec<String>>,
    /// Ids that must be among the findings, in this order.
    #[serde(default)]
    also: Vec<String>,
    /// The kind of remedy.
    remedy: Option<String>,
    /// The broker type that the remedy leads to.
    broker_type: Option<String>,
    #[serde(default)]
    not: Vec<String>,
    confidence_at_least: Option<f64>,
    /// Words that some evidence must have.
    #[serde(default)]
    evidence: Vec<String>,
}

/// As JSON has it.
fn kind_of(remedy: &crate::remedy::Remedy) -> String {
    serde_json::to_value(remedy).expect("a remedy is JSON")["kind"].as_str().unwrap_or_default().to_owned()
}

fn one() -> f64 {
    1.0
}

impl Scenario {
    fn context(&self) -> Context {
        Context {
            cluster: "demo".to_owned(),
            region: "us-west-2".to_owned(),
            broker_type: Some(self.broker_type.clone()),
            broker_count: self.brokers,
            kafka_version: Some("3.9.x".to_owned()),
            volume_gib: Some(100),
            state: self.state.clone(),
            lab_scale: self.lab_scale,
            ..Context::default()
        }
    }

    fn samples(&self) -> Vec<Sample> {
        let mut samples = Vec::new();
        for phase in &self.phase {
            let count = (phase.seconds / self.interval_s) as usize;
            for i in 0..count {
                let at_ms = 1_700_000_000_000 + (samples.len() as f64 * self.interval_s * 1000.0) as i64;
                let brokers = (1..=self.brokers as BrokerId)
                    .map(|id| (id, phase.broker_at(id, i as f64 * self.interval_s, samples.len())))
                    .collect();
                samples.push(Sample {
                    at_ms,
                    source: self.source,
                    cluster_state: None,
                    brokers,
                    load: phase.load,
                    topics: phase.topics.clone(),
                    groups: phase.groups_at(i as f64 * self.interval_s),
                    protocol_at_ms: (!phase.topics.is_empty()).then_some(at_ms),
                    host_cpu_pressure_percent: phase.host_cpu_pressure_percent,
                });
            }
        }
        samples
    }
}

impl Phase {
    fn groups_at(&self, elapsed_s: f64) -> BTreeMap<String, GroupSample> {
        let mut groups = self.groups.clone();
        for progress in groups.values_mut().flat_map(|group| group.topics.values_mut()).flat_map(BTreeMap::values_mut) {
            progress.lag += (self.lag_per_second * elapsed_s) as i64;
        }
        groups
    }

    fn broker_at(&self, id: BrokerId, elapsed_s: f64, n: usize) -> BrokerSample {
        let mut values = Table::from_iter([("state".to_owned(), "serving".into())]);
        let own = self.broker.get(&id.to_string()).cloned().unwrap_or_default();
        // A broker that is not reached gives nothing of what the others give.
        if own.get("state").and_then(|state| state.as_str()) != Some("unreachable") {
            values.extend(self.all.clone());
        }
        values.extend(own);
        for (name, rate) in &self.per_second {
            let value = values.get(name).and_then(|value| value.as_float().or(value.as_integer().map(|n| n as f64)));
            values.insert(name.clone(), (value.unwrap_or_default() + rate * elapsed_s).into());
        }
        let mut broker: BrokerSample = values.try_into().expect("the values of a broker sample");
        // Real values are never the same twice: a wobble of 4 %, the same in every run.
        let wobble = 1.0 + 0.04 * ((n * 7 + id as usize * 3) % 5) as f64 / 2.0 - 0.04;
        broker.cpu_user_percent = broker.cpu_user_percent.map(|value| value * wobble);
        broker.cpu_throttled_percent = broker.cpu_throttled_percent.map(|value| (value * wobble).min(100.0));
        broker
    }
}

#[test]
fn every_scenario_gets_its_verdict() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut failures = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(&dir).expect("tests/scenarios") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("readable");
        let scenario: Scenario = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        count += 1;
        let found = diagnose(&scenario.context(), &scenario.samples());
        let expect = &scenario.expect;
        let first = found.findings.first();
        let evidence: Vec<&str> = first
            .iter()
            .flat_map(|finding| finding.evidence_for.iter().chain(&finding.evidence_against))
            .map(|evidence| evidence.text.as_str())
            .collect();
        let holds = found.verdict == expect.verdict
            && first.is_some_and(|first| {
                first.id == expect.id
                    && expect.brokers.as_ref().is_none_or(|brokers| *brokers == first.brokers)
                    && expect.partitions.as_ref().is_none_or(|partitions| *partitions == first.partitions)
                    && expect.groups.as_ref().is_none_or(|groups| *groups == first.groups)
                    && expect
                        .remedy
                        .as_ref()
                        .is_none_or(|kind| first.remedy.as_ref().is_some_and(|r| kind_of(r) == *kind))
                    && first.remedy.as_ref().and_then(|r| r.broker_type()).map(|t| t.as_str())
                        == expect.broker_type.as_deref()
                    && expect.confidence_at_least.is_none_or(|least| first.confidence >= least)
            })
            && expect.also.iter().all(|id| found.findings.iter().any(|finding| finding.id == id))
            && !found.findings.iter().any(|finding| expect.not.iter().any(|id| id == finding.id))
            && expect.evidence.iter().all(|words| evidence.iter().any(|text| text.contains(words)));
        for finding in &found.findings {
            let command = finding.next_command();
            let known = ["kgen resize kafka.", "kgen diagnose --", "kgen explain ", "kgen fix"]
                .iter()
                .any(|known| command.starts_with(known));
            let is_placeholder =
                |word: &str| word.starts_with(['<', '$', '{']) || word.chars().all(|c| c.is_ascii_uppercase());
            assert!(known && !command.split(' ').any(is_placeholder), "{}: {command}", finding.id);
        }
        if !holds {
            failures.push(format!("{}: {found:#?}", path.display()));
        }
    }
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures.join("\n"));
    assert!(count >= 12, "{count} scenarios");
}
