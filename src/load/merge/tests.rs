use super::*;

/// A report of part `index` of `of` with these times, second by second, µs.
fn report(index: u16, of: u16, seconds: &[Vec<u64>]) -> PartReport {
    let mut log = latency_log::head(1000.0);
    let mut all = Times::default();
    for (second, times) in seconds.iter().enumerate() {
        let mut these = Times::default();
        times.iter().for_each(|us| these.record_ns(us * 1000));
        // As a producer writes them: an interval ends a moment after its second.
        log += &latency_log::line(second as f64 + 0.004, 1.0, &these).unwrap();
        all.add(&these);
    }
    let count = all.count();
    let summary = serde_json::json!({
        "schema": "kgen.produce/1", "run": "r", "topic": "t", "stopped": false, "duration_s": seconds.len(),
        "offered": count, "acknowledged": count, "failed": {}, "unsent": 0, "lost_track": 0, "rate_asked": null,
        "rate_reached": count as f64 / seconds.len() as f64, "acknowledged_bytes": count * 10, "late_share": 0.0,
        "late_queue_full": 0, "late_generator": 0, "generator_bound": false, "cpu_s": 0.1, "ledgers": [],
        "latency_log": "", "response": all.quantiles(), "service": null, "send_error": null,
    });
    PartReport {
        schema: REPORT_SCHEMA.to_owned(),
        part: Part { index, of },
        start: Some(Start { at_ms: 1_000_000.0 + f64::from(index), late_ms: f64::from(index) }),
        summary: serde_json::from_value(summary).unwrap(),
        latency_log: log,
        service: latency_log::encoded(&all).unwrap(),
        send_error: latency_log::encoded(&Times::default()).unwrap(),
        ledgers: [(format!("ledger-{index}"), String::new())].into(),
    }
}

fn machine(report: PartReport) -> Machine {
    Machine { name: format!("i-{}", report.part.index), clock: None, ended: PartEnd::Reported(Box::new(report)) }
}

fn merged(machines: Vec<Machine>) -> (Merged, String) {
    let mut log = Vec::new();
    let merged = merge("r", "t", Some(500.0), machines, &mut log).unwrap();
    (merged, String::from_utf8(log).unwrap())
}

#[test]
fn percentiles_are_those_of_all_records_and_no_mean_of_percentiles() {
    let parts = [report(0, 2, &[vec![10_000; 1000]]), report(1, 2, &[vec![2_000_000; 10]])];
    let (merged, _) = merged(parts.map(machine).into());
    let response = merged.response.unwrap();
    let near = |ms: f64, expected: f64| (ms - expected).abs() / expected < 0.001;
    // 1,000 of 1,010 records took 10 ms: the mean of the two p95s would be 1,005 ms.
    assert!(near(response.p50_ms, 10.0) && near(response.p95_ms, 10.0) && near(response.p99_ms, 10.0), "{response:?}");
    assert!(near(response.p99_9_ms, 2000.0) && near(response.max_ms, 2000.0), "{response:?}");
    let mut all = Times::default();
    (0..1000).for_each(|_| all.record_ns(10_000_000));
    (0..10).for_each(|_| all.record_ns(2_000_000_000));
    assert!(near(all.quantile_ms(0.995).unwrap(), 2000.0));
    assert_eq!(Some(response), all.quantiles());
    assert_eq!(merged.service, all.quantiles());
    assert_eq!((merged.offered, merged.acknowledged, merged.acknowledged_bytes), (1010, 1010, 10_100));
    assert_eq!((merged.standing, merged.reported, merged.send_error), (Standing::Whole, 2, None));
    assert_eq!((merged.rate_offered, merged.start_spread_ms), (1010.0, Some(1.0)));
}

#[test]
fn histograms_are_added_bucket_by_bucket_second_by_second() {
    let mut seed = 12345_u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % 3_000_000 + 1
    };
    // Machines that end at different seconds, and one that measured nothing for a while.
    let lengths = [5, 3, 5, 1];
    let parts: Vec<Vec<Vec<u64>>> = lengths
        .iter()
        .map(|seconds| (0..*seconds).map(|s| (0..s % 3 * 200).map(|_| random()).collect()).collect())
        .collect();
    let machines = parts.iter().enumerate().map(|(i, part)| machine(report(i as u16, 4, part))).collect();
    let (merged, log) = merged(machines);
    let mut whole = Times::default();
    let read: Vec<_> = latency_log::read(&log).unwrap().map(Result::unwrap).collect();
    assert_eq!(read.len(), 5);
    for (second, interval) in read.iter().enumerate() {
        let mut one = Times::default();
        parts.iter().filter_map(|part| part.get(second)).flatten().for_each(|us| one.record_ns(us * 1000));
        assert_eq!(interval.times, one, "second {second}");
        assert_eq!((interval.from_s, interval.length_s), (second as f64, 1.0));
        whole.add(&one);
    }
    assert_eq!(merged.response, whole.quantiles());
    assert!(whole.count() > 500);
}

/// How a load of three machines stands whose second is changed so.
fn check(change: impl FnOnce(&mut Machine), expected: Standing, fault: Option<Fault>) {
    let mut machines: Vec<Machine> = (0..3).map(|i| machine(report(i, 3, &[vec![1000; 10]]))).collect();
    change(&mut machines[1]);
    let (merged, _) = merged(machines);
    assert_eq!(merged.standing, expected, "{merged:?}");
    let faults: Vec<_> = merged.machines.iter().flat_map(|share| &share.faults).cloned().collect();
    assert_eq!(faults, Vec::from_iter(fault), "{merged:?}");
    assert!(merged.machines.iter().enumerate().all(|(i, share)| i == 1 || share.faults.is_empty()));
    // Never silently smaller: what is missing is missing from the sums, and named.
    assert_eq!(merged.offered, 10 * u64::from(merged.reported));
}

fn with(change: impl FnOnce(&mut PartReport)) -> impl FnOnce(&mut Machine) {
    |machine| match &mut machine.ended {
        PartEnd::Reported(report) => change(report),
        PartEnd::Silent(..) => unreachable!(),
    }
}

#[test]
fn what_a_machine_lacks_is_told_by_its_name() {
    check(|_| (), Standing::Whole, None);
    let start = |late_ms| Some(Start { at_ms: 1_000_000.0, late_ms });
    check(with(|report| report.start = start(49.9)), Standing::Whole, None);
    check(with(|report| report.start = start(2000.0)), Standing::Void, Some(Fault::StartedLate { late_ms: 2000.0 }));
    check(
        with(|report| (report.summary.generator_bound, report.summary.late_share) = (true, 0.2)),
        Standing::Void,
        Some(Fault::GeneratorBound { late_share: 0.2 }),
    );
    check(with(|report| report.summary.stopped = true), Standing::Partial, Some(Fault::Stopped));
    for why in [Silence::Died, Silence::Refused, Silence::DiskFull, Silence::LostContact] {
        let reason = "it ended with a signal".to_owned();
        let silent = PartEnd::Silent(why, reason.clone());
        check(|machine| machine.ended = silent, Standing::Partial, Some(Fault::Silent { why, reason }));
    }
}

#[test]
fn machines_of_which_none_reported_have_a_rate_of_zero() {
    let mut alone = machine(report(0, 1, &[vec![1000; 10]]));
    alone.ended = PartEnd::Silent(Silence::Died, String::new());
    let (merged, _) = merged(vec![alone]);
    assert_eq!((merged.rate_offered.to_string(), merged.rate_reached.to_string()), ("0".to_owned(), "0".to_owned()));
}

#[test]
fn a_clock_is_off_only_when_that_is_certain() {
    // Asked at 1000 ms, answered at 3000 ms: whatever it reads in between may be right.
    for (reading, off) in [(1000.0, 0.0), (2500.0, 0.0), (3000.0, 0.0), (3600.0, 600.0), (400.0, 600.0)] {
        assert_eq!(Clock::read(reading, 1000.0, 3000.0).certainly_off_ms(), off, "{reading}");
    }
    let hour = Clock::read(3_600_000.0 + 2000.0, 1000.0, 3000.0);
    let off = Some(Fault::ClockOff { at_least_ms: 3_599_000.0 });
    check(|machine| machine.clock = Some(hour), Standing::Void, off);
    check(|machine| machine.clock = Some(Clock { least_ms: -900.0, most_ms: 1100.0 }), Standing::Whole, None);
}

#[test]
fn a_report_that_is_not_of_its_part_counts_for_nothing() {
    let mistaken = |change: fn(&mut PartReport), words: &str| {
        let mut machines: Vec<Machine> = (0..2).map(|i| machine(report(i, 2, &[vec![1000; 10]]))).collect();
        with(change)(&mut machines[1]);
        let (merged, _) = merged(machines);
        let Some(Fault::Silent { why: Silence::Mistaken, reason }) = merged.machines[1].faults.first() else {
            panic!("{merged:?}")
        };
        assert!(reason.contains(words), "{reason}");
        assert_eq!((merged.standing, merged.offered, merged.reported), (Standing::Partial, 10, 1));
    };
    mistaken(|report| report.part.index = 0, "part 0/2");
    mistaken(|report| report.summary.run = "other".to_owned(), "run other");
    mistaken(|report| report.ledgers = [("ledger-2".to_owned(), String::new())].into(), "ledger-2");
    mistaken(|report| report.ledgers = [("../ledger-1".to_owned(), String::new())].into(), "../ledger-1");
    mistaken(|report| report.latency_log.truncate(report.latency_log.len() - 10), "latency log");
    mistaken(|report| report.service = "x".to_owned(), "service times");
    mistaken(|report| report.summary.acknowledged = 11, "10 times of 11");
}

#[test]
fn without_a_report_there_is_no_figure() {
    let silent = Machine { name: "i-0".into(), clock: None, ended: PartEnd::Silent(Silence::Died, "gone".into()) };
    let (merged, _) = merged(vec![silent.clone(), silent]);
    assert_eq!((merged.standing, merged.offered, merged.response), (Standing::Void, 0, None));
    assert!(merge("r", "t", None, Vec::new(), &mut Vec::new()).is_err());
}
