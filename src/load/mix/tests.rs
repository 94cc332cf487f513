use rdkafka::mocking::MockCluster;

use super::*;
use crate::{
    kafka::Connection,
    load::{
        keys::Keys,
        pacer::Rate,
        payload::Payload,
        producer::{Acks, Load},
        sizes::Sizes,
    },
};

fn sending(name: &str, run: u64, part: Part, connection: &Connection, runs: &std::path::Path) -> Sending {
    let load = Load {
        topics: vec!["t".into()],
        rate: Rate::Constant(200.0),
        duration: Duration::from_secs(1),
        max_records: u64::MAX,
        record_size: Sizes::Fixed(200),
        keys: Keys::UNIFORM,
        payload: Payload::Json,
        headers: Vec::new(),
        seed: 1,
    };
    let flush = Duration::from_secs(10);
    let config = ProducerConfig::idempotent(load, connection.clone(), runs.to_owned(), flush);
    let config = ProducerConfig { run, part, acks: Acks::All, idempotent: false, ..config };
    Sending { name: name.into(), after: Duration::ZERO, config }
}

fn mix(part: Part, connection: &Connection, runs: &std::path::Path) -> Mix {
    let reading = ConsumerConfig {
        connection: connection.clone(),
        topics: vec!["t".into()],
        group: format!("g-{}", part.index),
        from_beginning: true,
        max_records: u64::MAX,
        duration: Duration::MAX,
        delay: Duration::ZERO,
        rate: None,
        stalls: Vec::new(),
    };
    let later = Sending { after: Duration::from_millis(500), ..sending("later", 0xe2, part, connection, runs) };
    Mix {
        part,
        start_at: None,
        drain: Duration::from_secs(20),
        senders: vec![sending("first", 0xe1, part, connection, runs), later],
        groups: vec![Group { name: "readers".into(), after: Duration::ZERO, members: 1, config: reading }],
    }
}

fn expected() -> [Expected; 2] {
    [("first", "00000000000000e1"), ("later", "00000000000000e2")].map(|(name, run)| Expected {
        name: name.into(),
        run: run.into(),
        topic: "t".into(),
        rate_asked: Some(200.0),
    })
}

fn machine(name: &str, clock: Option<Clock>, report: MixReport) -> MixMachine {
    MixMachine { name: name.into(), clock, ended: Ok(Box::new(report)) }
}

#[test]
fn what_the_producers_send_the_group_reads_and_parts_add_up() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 4, 1).unwrap();
    let connection = Connection::plain(cluster.bootstrap_servers());
    let dir = tempfile::tempdir().unwrap();
    let mut machines = Vec::new();
    let mut read = 0;
    for index in 0..2 {
        let stop = Arc::new(AtomicBool::new(false));
        let runs = dir.path().join(index.to_string());
        let mut seconds = 0;
        let report = run(&mix(Part { index, of: 2 }, &connection, &runs), &stop, &mut |_| seconds += 1).unwrap();
        assert!(seconds > 0 && !stop.load(Ordering::Relaxed));
        assert_eq!(report.groups["readers"].failed, [""; 0]);
        read += report.groups["readers"].members.iter().map(|one| one.read).sum::<u64>();
        let clock = Clock { least_ms: -3.0, most_ms: 4.0 };
        machines.push(machine(&format!("i-{index}"), Some(clock), report));
    }
    // The group of the second reads what the first has sent, too.
    assert_eq!(read, 600);
    let (mixed, logs) = merged("r", &expected(), &["readers".into()], machines.clone()).unwrap();
    let offered: Vec<u64> = mixed.producers.iter().map(|one| one.result.offered).collect();
    assert_eq!((&offered[..], logs.len()), (&[200, 200][..], 2));
    let group = &mixed.groups[0];
    assert_eq!((group.read, group.members, group.standing), (600, 2, Standing::Whole));
    assert_eq!(group.clock_uncertainty_ms, Some(7.0));
    assert!(group.end_to_end.is_some());

    // A group that read nothing of all that is not whole.
    let mut idle = machines.clone();
    for machine in &mut idle {
        let report = machine.ended.as_mut().unwrap();
        report.groups.get_mut("readers").unwrap().members.iter_mut().for_each(|one| one.read = 0);
    }
    let (mixed, _) = merged("r", &expected(), &["readers".into()], idle).unwrap();
    assert_eq!((mixed.standing, mixed.groups[0].standing), (Standing::Void, Standing::Void));
    assert_eq!(mixed.groups[0].faults[0].reason, "none of the 400 records that were sent to t was read");

    // One machine is silent, and the clock of another is not known.
    machines[1].ended = Err((Silence::Died, "killed".into()));
    machines[0].clock = None;
    let (mixed, _) = merged("r", &expected(), &["readers".into()], machines).unwrap();
    let group = &mixed.groups[0];
    assert_eq!(
        (mixed.standing, group.standing, group.clock_uncertainty_ms),
        (Standing::Partial, Standing::Partial, None)
    );
    assert_eq!((group.faults.len(), group.faults[0].machine.as_str()), (1, "i-1"));
    assert_eq!(mixed.producers[0].result.offered, 100);
}

#[test]
fn a_stop_ends_all_of_it() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let connection = Connection::plain(cluster.bootstrap_servers());
    let dir = tempfile::tempdir().unwrap();
    let mut mix = mix(Part::WHOLE, &connection, dir.path());
    mix.senders.iter_mut().for_each(|one| one.config.load.duration = Duration::from_secs(600));
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let report = run(&mix, &stop, &mut |_| stopped.store(true, Ordering::Relaxed)).unwrap();
    assert!(report.producers.values().all(|one| one.summary.stopped), "{report:?}");
    assert_eq!(report.groups["readers"].members.len(), 1);
}

#[test]
fn a_producer_that_cannot_begin_ends_the_others() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let connection = Connection::plain(cluster.bootstrap_servers());
    let dir = tempfile::tempdir().unwrap();
    let mut mix = mix(Part::WHOLE, &connection, dir.path());
    mix.senders[0].config.load.duration = Duration::from_secs(600);
    std::fs::write(dir.path().join("file"), "").unwrap();
    mix.senders[1].config.runs = dir.path().join("file");
    let error = run(&mix, &Arc::new(AtomicBool::new(false)), &mut |_| ()).unwrap_err();
    assert!(format!("{error:#}").starts_with("producer later"), "{error:#}");
}
