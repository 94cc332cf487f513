//! Loads and machines, and what comes of their comparison.

use super::*;
use crate::{
    kafka::Connection,
    load::{
        consumer::ConsumerConfig,
        part::Part,
        producer::{Acks, Load, ProducerConfig},
    },
    stack::Stack,
};

/// Sends 1000 bytes a record for a minute.
pub fn sender(rate: &str, after_s: u64) -> Sending {
    let mut load = Load::of_stack(&Stack::default());
    load.topics = vec!["t".into()];
    load.rate = rate.parse().unwrap();
    load.record_size = "993".parse().unwrap();
    load.duration = Duration::from_secs(60);
    let config = ProducerConfig {
        run: 1,
        load,
        connection: Connection::plain("b:9092"),
        acks: Acks::All,
        idempotent: false,
        transactions: None,
        compression: "none".into(),
        clients: 1,
        part: Part::WHOLE,
        start_at: None,
        runs: Default::default(),
        flush_within: Duration::ZERO,
    };
    Sending { name: "p".into(), after: Duration::from_secs(after_s), config }
}

fn group(topic: &str, rate: Option<f64>) -> Group {
    let config = ConsumerConfig {
        connection: Connection::plain("b:9092"),
        topics: vec![topic.into()],
        group: "g".into(),
        from_beginning: true,
        max_records: u64::MAX,
        duration: Duration::MAX,
        delay: Duration::ZERO,
        rate,
        stalls: Vec::new(),
    };
    Group { name: "g".into(), after: Duration::ZERO, members: 2, config }
}

#[test]
fn traffic_is_that_of_the_busiest_moment() {
    let check = |rates: &[(&str, u64)], expected_per_s: f64| {
        let senders: Vec<_> = rates.iter().map(|(rate, after)| sender(rate, *after)).collect();
        let traffic = Traffic::of(&senders, &[], 1);
        // A ramp is looked at a millisecond before its end.
        assert!((traffic.sent / 1000.0 / expected_per_s - 1.0).abs() < 1e-4, "{rates:?}: {traffic:?}");
        assert_eq!(traffic.unknown, [""; 0]);
    };
    check(&[("500", 0)], 500.0);
    check(&[("poisson:500", 0)], 500.0);
    check(&[("100..900", 0)], 900.0);
    check(&[("900..100", 0)], 900.0);
    check(&[("100x10s,800x10s,300x10s", 0)], 800.0);
    check(&[("500", 0), ("400", 30)], 900.0);
    // One has ended when the other begins.
    check(&[("500", 0), ("400", 61)], 500.0);
    check(&[("100x10s,800x10s", 0), ("300", 15)], 1100.0);
}

#[test]
fn groups_read_what_is_sent_to_their_topics() {
    let check = |groups: &[Group], expected: f64, unknown: usize| {
        let traffic = Traffic::of(&[sender("500", 0)], groups, 5);
        assert_eq!((traffic.read, traffic.unknown.len()), (expected, unknown), "{groups:?}");
    };
    check(&[group("t", None)], 500_000.0, 0);
    check(&[group("t", None), group("t", None)], 1_000_000.0, 0);
    check(&[group("t", Some(10.0))], 100_000.0, 0);
    check(&[group("other", None)], 0.0, 1);
    assert_eq!(Traffic::of(&[], &[group("t", None)], 1).unknown.len(), 1);
    assert_eq!(
        Traffic::of(&[sender("max", 0)], &[], 1).unknown,
        ["at the rate max, the cluster decides how much is sent"]
    );
}

#[test]
fn what_a_machine_does_not_carry_is_refused_by_name_and_figures() {
    let of_stack = |instance_type: &str| Network {
        instance_type: Some(instance_type.into()),
        is_lab: false,
        beyond_baseline: false,
    };
    let check = |traffic: &Traffic, network: &Network, said: [Option<&str>; 2], over: Option<&str>, notes: &[&str]| {
        let machines = [("i-a", said[0].map(str::to_owned)), ("i-b", said[1].map(str::to_owned))];
        let found = traffic.compare(network, &machines);
        let text = format!("{found:?}");
        assert_eq!(found.over.is_some(), over.is_some(), "{text}");
        assert!(over.is_none_or(|over| found.over.as_ref().unwrap().contains(over)), "{text}");
        assert_eq!(found.notes.len(), notes.len(), "{text}");
        for (note, expected) in found.notes.iter().zip(notes) {
            assert!(note.contains(expected), "{text}");
        }
    };
    // t3.small has 0.128 Gbit/s, 16 MB/s, for each direction; c5.large has 0.75.
    let sent = |sent: f64| Traffic { sent, ..Traffic::default() };
    let small = of_stack("t3.small");
    check(&sent(32e6), &small, [None, None], None, &[]);
    let refusal = "i-a, i-b (t3.small) would send at least 16.5 MB/s each, and the network baseline of the type is 16.0 MB/s \
                   (0.128 Gbit/s): use more clients (client.count), another client.instance_type, or --beyond-baseline";
    check(&sent(33e6), &small, [None, None], Some(refusal), &[]);
    let read = Traffic { read: 40e6, ..Traffic::default() };
    check(&read, &small, [None, None], Some("would read at least 20.0 MB/s each"), &[]);
    // What a machine says counts for more than what the stack says, if it is a type.
    check(&sent(40e6), &small, [Some("c5.large"), Some("Standard PC")], Some("i-b (t3.small) would send"), &[]);
    let unknown = Network { instance_type: None, ..small.clone() };
    check(&sent(40e6), &unknown, [None, Some("c5.large")], None, &["not checked on i-a"]);
    check(&sent(40e6), &of_stack("z9.huge"), [None, None], None, &["not checked on i-a, i-b"]);
    // What is sent nevertheless is named.
    check(&sent(33e6), &Network { beyond_baseline: true, ..small.clone() }, [None, None], None, &["lasts for minutes"]);
    let lab = Network { is_lab: true, ..small.clone() };
    check(&sent(33e6), &lab, [Some("c5.large"), None], None, &["on AWS this would be refused: i-a, i-b (t3.small)"]);
    let compressed = Traffic { is_compressed: true, ..sent(33e6) };
    check(&compressed, &small, [None, None], None, &["before compression, i-a, i-b (t3.small)"]);
    check(&Traffic { is_compressed: true, ..sent(3e6) }, &small, [None, None], None, &[]);
    // Where nothing is known of the traffic, it does not matter what carries it.
    let of_max = Traffic { unknown: vec!["at the rate max"], ..Traffic::default() };
    check(&of_max, &unknown, [None, None], None, &["is not known: at the rate max"]);
    check(&Traffic::default(), &unknown, [None, None], None, &[]);
}
