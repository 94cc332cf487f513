//! The cases in tests/scenarios: samples in, findings out. A case seen in the field becomes a file there.
//!
//! A file has the cluster, phases of so many seconds with the values that brokers showed in them (those of `all`, and
//! what differs for one broker), and what must come out. A name that nothing reads is an error, and so is an unknown id.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use toml::Table;

use super::{ClusterKind, Context, RULES, Verdict, diagnose};
use crate::catalogue::MonitoringLevel;
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
    /// Ids by ListNodes; 1 to `brokers` unless given.
    #[serde(default)]
    broker_ids: Vec<BrokerId>,
    kind: Option<ClusterKind>,
    monitoring_level: Option<MonitoringLevel>,
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

/// What is given and not read, by path. What is read is given again, with every field that there is.
fn unread(path: &str, given: &Value, read: &Value) -> Vec<String> {
    match (given, read) {
        (Value::Object(given), Value::Object(read)) => given
            .iter()
            .flat_map(|(name, value)| match read.get(name) {
                Some(known) => unread(&format!("{path}/{name}"), value, known),
                None => vec![format!("{path}/{name} is nothing that is read")],
            })
            .collect(),
        (Value::Array(given), Value::Array(read)) => {
            given.iter().zip(read).flat_map(|(given, read)| unread(path, given, read)).collect()
        }
        _ => Vec::new(),
    }
}

fn broker(values: &Table) -> Result<BrokerSample, String> {
    values.clone().try_into().map_err(|error: toml::de::Error| error.to_string())
}

fn json(value: impl Serialize) -> Value {
    serde_json::to_value(value).expect("a scenario is JSON")
}

impl Scenario {
    /// Reads `text`; an error lists metrics that nothing reads, and ids that no rule has.
    fn parse(text: &str) -> Result<Scenario, String> {
        let scenario: Scenario = toml::from_str(text).map_err(|error| error.to_string())?;
        let given: Value = json(toml::from_str::<Table>(text).map_err(|error| error.to_string())?);
        let mut mistakes = Vec::new();
        for (i, phase) in scenario.phase.iter().enumerate() {
            let given = &given["phase"][i];
            let mut check = |path: &str, read: Value| {
                let given = given.pointer(path).unwrap_or(&Value::Null);
                mistakes.extend(unread(&format!("phase {}: {path}", i + 1), given, &read));
            };
            check("/all", json(broker(&phase.all)?));
            for (id, own) in &phase.broker {
                check(&format!("/broker/{id}"), json(broker(own)?));
            }
            check("/per_second", json(BrokerSample::default()));
            check("/load", json(phase.load));
            check("/topics", json(&phase.topics));
            check("/groups", json(&phase.groups));
        }
        let ids = [&scenario.expect.id].into_iter().chain(&scenario.expect.also).chain(&scenario.expect.not);
        let unknown = ids.filter(|id| !RULES.iter().any(|rule| rule.id == id.as_str()));
        mistakes.extend(unknown.map(|id| format!("no rule has the id {id}")));
        if mistakes.is_empty() { Ok(scenario) } else { Err(mistakes.join(", ")) }
    }

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
            broker_ids: self.broker_ids.clone(),
            kind: self.kind,
            monitoring_level: self.monitoring_level,
            ..Context::default()
        }
    }

    fn ids(&self) -> Vec<BrokerId> {
        if self.broker_ids.is_empty() { (1..=self.brokers as BrokerId).collect() } else { self.broker_ids.clone() }
    }

    fn samples(&self) -> Vec<Sample> {
        let mut samples = Vec::new();
        for phase in &self.phase {
            let count = (phase.seconds / self.interval_s) as usize;
            for i in 0..count {
                let at_ms = 1_700_000_000_000 + (samples.len() as f64 * self.interval_s * 1000.0) as i64;
                let brokers = self
                    .ids()
                    .into_iter()
                    .map(|id| (id, phase.broker_at(id, i as f64 * self.interval_s, samples.len())))
                    .collect();
                samples.push(Sample {
                    at_ms,
                    source: self.source,
                    cluster_state: None,
                    brokers,
                    load: phase.load,
                    topics: phase.topics.clone(),
                    groups: phase.groups_at(
                        (i as f64 + f64::from(u8::from(self.source == Source::CloudWatch))) * self.interval_s,
                    ),
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
        // Lag that is published by topic, at the end of its datapoint.
        for lag in groups.values_mut().flat_map(|group| group.lags.values_mut()) {
            let grown = |records: Option<f64>| records.map(|records| records + self.lag_per_second * elapsed_s);
            (lag.sum_records, lag.max_records) = (grown(lag.sum_records), grown(lag.max_records));
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
        let mut broker = broker(&values).expect("the values of a broker sample");
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
        let scenario = Scenario::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
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
            let known = [
                "kgen resize kafka.",
                "kgen resize express.",
                "kgen diagnose --",
                "kgen explain ",
                "kgen fix",
                "kgen size",
            ];
            let known = known.iter().any(|known| command.starts_with(known));
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

#[test]
fn a_misspelt_metric_and_an_unknown_id_are_errors() {
    let text = |all: &str, more: &str, expect: &str| {
        format!(
            "why = \"\"\nbroker_type = \"kafka.m5.large\"\nbrokers = 3\n[[phase]]\nseconds = 30\n{more}\n[phase.all]\n{all}\n\
             [expect]\nverdict = \"healthy\"\n{expect}"
        )
    };
    let check = |all: &str, more: &str, expect: &str, mistake: &str| {
        let error = Scenario::parse(&text(all, more, expect)).err().unwrap_or_default();
        assert!(error.contains(mistake) && error.is_empty() == mistake.is_empty(), "{error:?} instead of {mistake:?}");
    };
    let (all, load) = (
        "cpu_user_percent = 5\nproduce = { total_ms = 2.0, throttle_ms = 0.0 }",
        "per_second = { disk_used_percent = 0.1 }",
    );
    let id = "id = \"healthy\"\nnot = [\"disk.full\"]";
    check(all, load, id, "");
    check("cpu_usr_percent = 5", load, id, "all/cpu_usr_percent");
    check("produce = { total_ms = 2.0, local = 1.0 }", load, id, "all/produce/local");
    check("cpu_user_percent = \"high\"", load, id, "cpu_user_percent");
    check(all, "broker.2 = { heap = 5.0 }", id, "broker/2/heap");
    check(all, "per_second = { disk_use = 0.1 }", id, "per_second/disk_use");
    check(all, "topics.t = { partitions = [{ replicas = [1], in_sync = [1], leeder = 1 }] }", id, "partitions/leeder");
    check(all, "seconds_more = 5", id, "seconds_more");
    check(all, load, "id = \"broker.tiny\"", "no rule has the id broker.tiny");
    check(all, load, "id = \"healthy\"\nnot = [\"disk.ful\"]", "no rule has the id disk.ful");
}

#[test]
fn every_rule_has_a_scenario_that_expects_it() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let texts = fs::read_dir(&dir)
        .expect("tests/scenarios")
        .map(|entry| fs::read_to_string(entry.expect("an entry").path()).expect("readable"));
    let expects = texts.map(|text| Scenario::parse(&text).expect("a scenario").expect);
    let expected: BTreeSet<String> = expects.flat_map(|expect| [vec![expect.id], expect.also].concat()).collect();
    let without: Vec<&str> = RULES.iter().map(|rule| rule.id).filter(|id| !expected.contains(*id)).collect();
    assert!(without.is_empty(), "no scenario expects {without:?}");
}
