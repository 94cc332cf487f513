//! How much of the recorded faults the diagnosis names from CloudWatch alone: the runs of tests/traces, reduced to the
//! minutes that CloudWatch would hold of them.

use std::{collections::BTreeMap, fs, path::Path};

use super::{Kind, answer, find, judge::Phase, truth_of};
use crate::{
    diagnose::{Context, Verdict, diagnose},
    run::Run,
    sample::{BrokerId, BrokerSample, BrokerState, RequestTimes, Sample, Source},
};

const MINUTE_MS: i64 = 60_000;

/// What the reduced runs come to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    faults: usize,
    /// Faults whose first finding is a cause that is there.
    right: usize,
    /// Faults of which another cause is named first.
    wrong: usize,
    controls: usize,
    /// Controls without a cause.
    quiet: usize,
}

/// Mean of the values that there are.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// One minute of a broker by the statistics that kgen asks CloudWatch for, from `seen`; without what CloudWatch has no
/// metric of.
fn minute(seen: &[&BrokerSample]) -> BrokerSample {
    let average = |value: fn(&BrokerSample) -> Option<f64>| mean(seen.iter().filter_map(|broker| value(broker)));
    let maximum = |value: fn(&BrokerSample) -> Option<u64>| seen.iter().filter_map(|broker| value(broker)).max();
    let produce = |part: fn(&RequestTimes) -> Option<f64>| {
        mean(seen.iter().filter_map(|broker| broker.produce.as_ref()).filter_map(part))
    };
    let cpu_user_percent = average(|broker| broker.cpu_user_percent);
    BrokerSample {
        state: if cpu_user_percent.is_some() { BrokerState::Serving } else { BrokerState::Unreachable },
        cpu_user_percent,
        cpu_system_percent: average(|broker| broker.cpu_system_percent),
        cpu_credit_balance: seen.iter().filter_map(|broker| broker.cpu_credit_balance).reduce(f64::min),
        memory_used_bytes: average(|broker| broker.memory_used_bytes.map(|bytes| bytes as f64))
            .map(|bytes| bytes as u64),
        memory_total_bytes: maximum(|broker| broker.memory_total_bytes),
        heap_after_gc_percent: average(|broker| broker.heap_after_gc_percent),
        produce: produce(|times| Some(times.total_ms)).map(|total_ms| RequestTimes {
            per_s: None,
            queue_ms: produce(|times| times.queue_ms),
            local_ms: produce(|times| times.local_ms),
            remote_ms: None,
            send_ms: None,
            throttle_ms: produce(|times| times.throttle_ms),
            total_ms,
        }),
        bytes_in_per_s: average(|broker| broker.bytes_in_per_s),
        bytes_out_per_s: average(|broker| broker.bytes_out_per_s),
        messages_in_per_s: average(|broker| broker.messages_in_per_s),
        under_replicated_partitions: maximum(|broker| broker.under_replicated_partitions),
        under_min_isr_partitions: maximum(|broker| broker.under_min_isr_partitions),
        partition_count: maximum(|broker| broker.partition_count),
        leader_count: maximum(|broker| broker.leader_count),
        disk_used_percent: seen.iter().filter_map(|broker| broker.disk_used_percent).reduce(f64::max),
        connection_count: maximum(|broker| broker.connection_count),
        connections_created_per_s: average(|broker| broker.connections_created_per_s),
        traffic_shaping: average(|broker| broker.traffic_shaping),
        ..BrokerSample::default()
    }
}

/// `count` equal minutes from `at_ms` on, each the whole of `seen`.
fn minutes(seen: &[&Sample], at_ms: i64, count: usize) -> Vec<Sample> {
    let mut by_broker: BTreeMap<BrokerId, Vec<&BrokerSample>> = BTreeMap::new();
    for (id, broker) in seen.iter().flat_map(|sample| &sample.brokers) {
        by_broker.entry(*id).or_default().push(broker);
    }
    let brokers: BTreeMap<_, _> = by_broker.into_iter().map(|(id, seen)| (id, minute(&seen))).collect();
    let at = |n: usize| at_ms + n as i64 * MINUTE_MS;
    let sample = |n| Sample { at_ms: at(n), source: Source::CloudWatch, brokers: brokers.clone(), ..Sample::default() };
    (0..count).map(sample).collect()
}

/// Judges every run of `folder` by so many minutes of its calm and then so many of its fault.
fn figures(folder: &Path, calm: usize, fault: usize) -> Figures {
    let mut figures = Figures::default();
    for entry in fs::read_dir(folder).unwrap() {
        let run = Run::read(&entry.unwrap().path()).unwrap();
        let truth = truth_of(&run).unwrap();
        let scenario = find(&truth.scenario).unwrap();
        let of = |phase: Phase| -> Vec<&Sample> {
            run.samples().map(|observed| &observed.sample).filter(|sample| truth.phase(sample.at_ms) == phase).collect()
        };
        let mut window = minutes(&of(Phase::Calm), 0, calm);
        window.extend(minutes(&of(Phase::Fault), calm as i64 * MINUTE_MS, fault));
        let last = run.samples().filter(|observed| truth.phase(observed.sample.at_ms) == Phase::Fault).last().unwrap();
        let context = Context { lab_scale: None, ..last.cluster.clone() };
        let diagnosis = diagnose(&context, &window);
        match (scenario.kind, answer(scenario, &truth, &diagnosis)) {
            (Kind::Control, _) => {
                figures.controls += 1;
                figures.quiet += usize::from(diagnosis.verdict != Verdict::CauseFound);
            }
            (_, found) => {
                figures.faults += 1;
                let is_true = found.as_ref().is_some_and(|answer| scenario.may_come_first(answer.id));
                figures.right += usize::from(is_true);
                figures.wrong += usize::from(diagnosis.verdict == Verdict::CauseFound && !is_true);
            }
        }
    }
    figures
}

#[test]
fn two_minutes_of_a_fault_after_eight_of_calm_are_enough() {
    let traces = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let found = figures(&traces, 8, 2);
    assert_eq!((found.faults, found.controls), (147, 16));
    // Floors, measured. What is wrong is CPU above 60 % for a reason that CloudWatch has no metric of, and a hung broker,
    // which from outside looks like one that is down.
    assert!(found.right >= 78 && found.wrong <= 20 && found.quiet >= 13, "{found:?}");
}
