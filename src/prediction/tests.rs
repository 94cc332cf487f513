use std::collections::BTreeMap;

use super::{score::Prediction, *};
use crate::{
    capacity::{Answer, Limit, Round, corrected_percent},
    diagnose::Context,
    run::{Entry, Environment, Head, Observed, at},
    sample::{BrokerSample, BrokerState, PartitionSample, Sample, TopicSample},
};

/// Bytes of a record on the way, and vCPUs that an idle broker and one record a second take of the brokers that are made up.
const BYTES: f64 = 1100.0;
const IDLE: f64 = 0.1;
const RECORD: f64 = 4e-4;

fn shape(text: &str) -> Shape {
    text.parse().unwrap()
}

/// Records/s that a shape of the made-up brokers sustains: with so much CPU that the others can do the work of one.
fn truly(shape: Shape) -> f64 {
    let brokers = f64::from(shape.brokers);
    (f64::from(shape.broker_type.vcpus) * 0.9 * (brokers - 1.0) / brokers - IDLE) / RECORD * brokers
}

fn sample(shape: Shape, at_ms: i64, per_s: f64) -> Sample {
    let brokers = f64::from(shape.brokers);
    let vcpus = IDLE + per_s / brokers * RECORD;
    let broker = BrokerSample {
        state: BrokerState::Serving,
        cpu_user_percent: Some(vcpus / f64::from(shape.broker_type.vcpus) * 100.0),
        cpu_system_percent: Some(0.0),
        bytes_in_per_s: Some(per_s * BYTES / brokers),
        bytes_out_per_s: Some(0.0),
        replication_bytes_in_per_s: Some(per_s * BYTES * 2.0 / brokers),
        messages_in_per_s: Some(per_s / brokers),
        partition_count: Some(12),
        ..BrokerSample::default()
    };
    let replicas = PartitionSample { replicas: vec![1, 2, 3], ..PartitionSample::default() };
    let topic = TopicSample { partitions: vec![replicas], ..TopicSample::default() };
    Sample {
        at_ms,
        brokers: (1..=shape.brokers as i32).map(|id| (id, broker.clone())).collect(),
        topics: BTreeMap::from([("bench-size".to_owned(), topic)]),
        ..Sample::default()
    }
}

fn answer(per_s: f64) -> Answer {
    let carried = Round { acknowledged_per_s: per_s, bytes_per_s: per_s * 1000.0, cpu_percent: None, p99_ms: None };
    let limit = Some(Limit::Cpu { percent: 61.0, allowed_percent: 60.0 });
    Answer { carried, rounds: vec![carried], spread_percent: 0.0, limit, fails_at_per_s: None }
}

/// A measurement of `found`, with one history of a third to two thirds of what the shape truly sustains.
fn run(workload: &str, shape: Shape, found: Found) -> Run {
    let context = Context {
        broker_type: Some(shape.broker_type.as_str().to_owned()),
        broker_count: shape.brokers,
        lab_scale: Some(8.0),
        ..Context::default()
    };
    let entry = |n: i64| {
        let per_s = truly(shape) * (0.34 + 0.32 * n as f64 / 19.0);
        let observed = Observed {
            cluster: context.clone(),
            sample: disturbed(sample(shape, n * 1000, per_s)),
            verdict: None,
            findings: Vec::new(),
        };
        Entry { at: at(n * 1000), event: Event::Sample(Box::new(observed)) }
    };
    let truth = Truth {
        workload: workload.to_owned(),
        shape,
        lab_scale: 8.0,
        found,
        trials: Vec::new(),
        histories: vec![vec![span(0), span(10_000)]],
    };
    let mut entries: Vec<Entry> = (0..20).map(entry).collect();
    entries.push(Entry { at: at(20_000), event: Event::result(TRUTH, &truth).unwrap() });
    let head = Head {
        schema: crate::run::SCHEMA.to_owned(),
        id: format!("{workload}-{shape}"),
        command: "bench".to_owned(),
        args: Vec::new(),
        started: at(0),
        environment: Environment::default(),
    };
    Run { head, entries, is_torn: false, unreadable: Vec::new() }
}

/// How slow the machine is in all histories.
const SLOWDOWN: f64 = 1.2;

fn span(from_ms: i64) -> Span {
    Span { from_ms, until_ms: from_ms + 10_000, slowdown: Some(SLOWDOWN) }
}

/// CPU as it is on that machine.
fn disturbed(mut sample: Sample) -> Sample {
    let factor = 1.0 / corrected_percent(1.0, Some(SLOWDOWN));
    for broker in sample.brokers.values_mut() {
        broker.cpu_user_percent = broker.cpu_user_percent.map(|cpu| cpu * factor);
        broker.cpu_system_percent = broker.cpu_system_percent.map(|cpu| cpu * factor);
    }
    sample
}

fn capacity(workload: &str, text: &str, share: f64) -> Run {
    let shape = shape(text);
    run(workload, shape, Found::Capacity(answer(truly(shape) * share)))
}

#[test]
fn a_cluster_whose_cpu_is_linear_is_predicted_from_its_history_on_other_shapes() {
    let shapes = ["3xkafka.m5.large", "3xkafka.m5.xlarge", "6xkafka.m5.large"];
    let mut runs: Vec<Run> = shapes.iter().map(|text| capacity("small", text, 1.0)).collect();
    // What was measured of another workload predicts nothing of this one.
    runs.push(capacity("usual", shapes[0], 1.0));
    let scores = score(&runs);
    assert_eq!((scores.measured, scores.held_out.predictions, scores.tuning.predictions), (4, 6, 0));
    assert!(scores.held_out.p95_percent.unwrap() < 3.0, "{:#?}", scores.held_out);
    let advice = &scores.advice;
    assert!(advice.cases > 50 && advice.carried >= advice.cases * 95 / 100, "{advice:?}");
    assert!(advice.with_cheaper > 10 && advice.cheaper_fails >= advice.with_cheaper * 80 / 100, "{advice:?}");
}

#[test]
fn an_error_is_of_what_was_measured_with_its_sign() {
    // Measured at half of what the history says.
    let scores = score(&[capacity("small", "3xkafka.m5.large", 1.0), capacity("small", "3xkafka.m5.xlarge", 0.5)]);
    let of = |to: &str| {
        let to = shape(to);
        let found = |made: &&Prediction| made.to == to && made.is_of_another_shape();
        scores.each.iter().find(found).map(|made| made.error_percent)
    };
    assert!((of("3xkafka.m5.xlarge").unwrap() - 100.0).abs() < 5.0, "{scores:#?}");
    assert!(of("3xkafka.m5.large").unwrap().abs() < 3.0);
    assert!(scores.held_out.bias_percent.unwrap().abs() < 3.0, "the median of two is the lower");
}

#[test]
fn a_measurement_without_an_answer_counts_for_nothing() {
    let none = Found::Nothing { reason: "no trial was ended".to_owned() };
    let late = Found::GeneratorBound { at_least_per_s: None };
    let shape = shape("3xkafka.m5.large");
    let scores = score(&[run("small", shape, none), run("large", shape, late), run("unknown", shape, none_at_all())]);
    assert_eq!((scores.measured, scores.void.len(), scores.each.len()), (0, 2, 0));
    assert_eq!(scores.held_out.median_percent, None, "no error is not an error of 0");
    let text = markdown(&scores);
    assert!(text.contains("no trial was ended") && text.contains("| - |"), "{text}");
}

fn none_at_all() -> Found {
    Found::Nothing { reason: String::new() }
}

#[test]
fn the_formulas_give_the_figures_that_are_published() {
    // MB/s for each of three brokers at replication factor 3 and one reader.
    let workload = Workload { readers: 1, ..*find("usual").unwrap() };
    for (text, expected) in [
        ("3xkafka.m5.large", [27.1, 9.0, 6.25, 5.3]),
        ("3xkafka.m5.xlarge", [47.9, 16.0, 11.1, 10.7]),
        ("3xkafka.m7g.large", [26.2, 10.0, 6.06, 5.3]),
    ] {
        for (formula, expected) in FORMULAS.iter().zip(expected) {
            let each = (formula.ingress_mb_per_s)(&shape(text), &workload).unwrap() / 3.0;
            assert!((each / expected - 1.0).abs() < 0.03, "{} of {text}: {each}", formula.name);
        }
    }
    let express = shape("3xexpress.m7g.large");
    assert_eq!((FORMULAS[1].ingress_mb_per_s)(&express, &workload), None, "a rule without a figure says nothing");
}

#[test]
fn workloads_are_told_apart_by_name_and_one_is_for_tuning() {
    let names: std::collections::BTreeSet<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
    assert_eq!(names.len(), WORKLOADS.len());
    assert_eq!(WORKLOADS.iter().filter(|workload| workload.is_tuning).count(), 1);
    assert!(find("usual").is_some_and(|usual| usual.is_tuning) && find("none").is_none());
}
