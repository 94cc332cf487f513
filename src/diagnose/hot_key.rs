//! One partition that takes most of a topic's traffic.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    quota,
    topology::{Uneven, busiest, topics, uneven_topics},
    window::names,
};
use crate::{
    finding_id,
    remedy::{Advice, Remedy},
    sample::{BrokerId, Field},
};

/// Share of the busiest partition times the number of partitions. Measured: 5 with 80 % on two keys, 1 when even.
const TIMES_EVEN: f64 = 2.5;

/// The same of all records that were seen, some of which may be of the time before.
const TIMES_EVEN_IN_ALL: f64 = 1.75;

/// Fewer records a second may be chance.
const LEAST_RECORDS_PER_S: f64 = 20.0;

/// A topic with fewer partitions is not judged.
const LEAST_PARTITIONS: usize = 3;

/// Traffic of a topic for each partition that a broker leads, over that of the quietest broker. Measured: 1.7 to 3.2 with 80 %
/// on two keys, up to 1.3 when even.
const TIMES_QUIETEST: f64 = 1.6;

/// Less traffic of a topic on its busiest broker may be chance, bytes/s.
const LEAST_BYTES_PER_S: f64 = 20_000.0;

pub const RULE: Rule = Rule {
    id: finding_id::PARTITION_HOT_KEY,
    kind: Kind::Cause,
    judge,
    needs: Needs {
        any: &[&[Field::Topics, Field::PartitionRates], &[Field::Topics, Field::TrafficByTopic]],
        helps: &[Field::Traffic],
        of: Clusters::Provisioned,
    },
    meaning: "A few keys carry most of the traffic. All records of a key go to one partition, and so to one leader.",
    told_apart: "One partition receives a multiple of its share. CPU may not differ: with as many replicas as \
                 brokers, every broker stores every byte. Unevenly placed leaders load all partitions of a broker.",
    in_the_lab: "kgen produce --keys hot:80:2:1000, then kgen diagnose",
};

fn judge(window: &Window) -> Option<Finding> {
    let partitions_of =
        |topic: &str| topics(window).and_then(|topics| topics.get(topic)).map_or(0, |t| t.partitions.len());
    let hot: Vec<_> = busiest(window)
        .into_iter()
        .filter(|busy| {
            busy.times_even >= TIMES_EVEN
                && busy.times_even_in_all >= TIMES_EVEN_IN_ALL
                && busy.records_per_s >= LEAST_RECORDS_PER_S
                && partitions_of(&busy.topic) >= LEAST_PARTITIONS
        })
        .collect();
    // What a quota lets through comes in bursts, one partition after another.
    if quota::holds_back(window) {
        return None;
    }
    let Some(hottest) = hot.first() else { return by_broker(window) };
    let leader = topics(window)?.get(&hottest.topic)?.partitions.get(hottest.number as usize)?.leader;
    let evidence_for = hot
        .iter()
        .map(|busy| {
            let text = format!(
                "{}-{} receives {:.0} % of its topic, {:.1} times an even share ({:.0} records/s)",
                busy.topic,
                busy.number,
                busy.share * 100.0,
                busy.times_even,
                busy.records_per_s
            );
            Evidence::measured(text, busy.times_even, TIMES_EVEN)
        })
        .collect();
    let percent = hot.iter().filter(|busy| busy.topic == hottest.topic).map(|busy| busy.share).sum::<f64>() * 100.0;
    Some(Finding {
        title: format!(
            "{} of {} partitions of {} receive {percent:.0} % of it",
            hot.len(),
            partitions_of(&hottest.topic),
            hottest.topic
        ),
        cause: "a few keys carry most of the records".to_owned(),
        brokers: leader.into_iter().collect(),
        partitions: hot.iter().map(|busy| format!("{}-{}", busy.topic, busy.number)).collect(),
        evidence_for,
        check: Some(format!(
            "look at the keys of that partition: kafka-console-consumer.sh --topic {} --partition {} --property \
             print.key=true",
            hottest.topic, hottest.number
        )),
        confidence: if hottest.times_even >= TIMES_EVEN * 1.3 { 0.9 } else { 0.75 },
        remedy: Some(Remedy::Advice(Advice::new(
            "spread the hot keys: use a composite or salted key, or a partitioner that treats them specially",
            &["order is then kept only within each part of a key"],
        ))),
        anti_recommendations: vec![
            format!("do not add partitions: a key stays on one partition, and {percent:.0} % of the traffic with it"),
            "do not add brokers or resize because of this: one leader stays the busiest".to_owned(),
        ],
        ..Finding::default()
    })
}

/// By the traffic of topics on the brokers that lead them, where no rate of a partition is published: that there is a hot
/// partition, and among which it is.
fn by_broker(window: &Window) -> Option<Finding> {
    let topics = topics(window)?;
    let is_hot = |uneven: &Uneven| {
        let partitions = topics.get(&uneven.topic).map_or(0, |topic| topic.partitions.len());
        uneven.times >= TIMES_QUIETEST
            && uneven.bytes_per_s >= LEAST_BYTES_PER_S
            && partitions >= LEAST_PARTITIONS
            && partitions > uneven.busy.len()
    };
    // Rates of partitions say more, where they are known.
    if !window.is_cloudwatch() || !busiest(window).is_empty() {
        return None;
    }
    let uneven = uneven_topics(window).into_iter().find(is_hot)?;
    let brokers: Vec<BrokerId> = uneven.busy.iter().map(|(id, _)| *id).collect();
    let partitions = topics.get(&uneven.topic)?.partitions.iter().zip(0..);
    let led = partitions.filter(|(partition, _)| partition.leader.is_some_and(|leader| brokers.contains(&leader)));
    let partitions: Vec<String> = led.map(|(_, number)| format!("{}-{number}", uneven.topic)).collect();
    let topic = uneven.topic;
    let text = format!(
        "{} of {topic}: {:.1} times the traffic for a partition of the quietest broker, at the same number of leaders",
        names(&brokers),
        uneven.times
    );
    Some(Finding {
        title: format!("a few partitions of {topic} receive most of its traffic"),
        cause: "a few keys carry most of the records".to_owned(),
        evidence_for: vec![Evidence::measured(text, uneven.times, TIMES_QUIETEST)],
        missing: vec![format!("traffic by partition: the hot partition is one of {} of {topic}", partitions.len())],
        check: Some(format!(
            "run kafka-get-offsets.sh --topic {topic} twice, a minute apart, to find the partition that grows most; \
             then look at its keys"
        )),
        confidence: if uneven.times >= TIMES_QUIETEST * 1.3 { 0.8 } else { 0.7 },
        remedy: Some(Remedy::Advice(Advice::new(
            "spread the hot keys: use a composite or salted key, or a partitioner that treats them specially",
            &["order is then kept only within each part of a key"],
        ))),
        anti_recommendations: vec![
            "do not add partitions: a key stays on one partition".to_owned(),
            "do not add brokers or resize because of this: one leader stays the busiest".to_owned(),
        ],
        brokers,
        partitions,
        ..Finding::default()
    })
}
