//! One partition that takes most of a topic's traffic.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    quota,
    topology::{busiest, topics},
};
use crate::{
    finding_id,
    remedy::{Advice, Remedy},
    sample::Field,
};

/// Share of the busiest partition times the number of partitions. Measured: 5 with 80 % on two keys, 1 when even.
const TIMES_EVEN: f64 = 2.5;

/// The same of all records that were seen, some of which may be of the time before.
const TIMES_EVEN_IN_ALL: f64 = 1.75;

/// Fewer records a second may be chance.
const LEAST_RECORDS_PER_S: f64 = 20.0;

/// A topic with fewer partitions is not judged.
const LEAST_PARTITIONS: usize = 3;

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
    told_apart: "One partition takes a multiple of its share. CPU need not differ: with as many replicas as brokers every \
                 broker stores every byte. Gathered leaders load all partitions of a broker.",
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
    let hottest = hot.first().filter(|_| !quota::holds_back(window))?;
    let leader = topics(window)?.get(&hottest.topic)?.partitions.get(hottest.number as usize)?.leader;
    let evidence_for = hot
        .iter()
        .map(|busy| {
            let text = format!(
                "{}-{} takes {:.0} % of its topic, {:.1} times an even share ({:.0} records/s)",
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
            "{} of {} partitions of {} take {percent:.0} % of it",
            hot.len(),
            partitions_of(&hottest.topic),
            hottest.topic
        ),
        cause: "few keys carry most of the records".to_owned(),
        brokers: leader.into_iter().collect(),
        partitions: hot.iter().map(|busy| format!("{}-{}", busy.topic, busy.number)).collect(),
        evidence_for,
        check: Some(format!(
            "the keys of that partition: kafka-console-consumer.sh --topic {} --partition {} --property print.key=true",
            hottest.topic, hottest.number
        )),
        confidence: if hottest.times_even >= TIMES_EVEN * 1.3 { 0.9 } else { 0.75 },
        remedy: Some(Remedy::Advice(Advice::new(
            "spread the hot keys: a composite or salted key, or a partitioner that knows them",
            &["order is then kept only within the parts of a key"],
        ))),
        anti_recommendations: vec![
            format!("do not add partitions: a key stays on one partition, and {percent:.0} % of the traffic with it"),
            "do not add brokers and do not resize for this: one leader stays the busiest".to_owned(),
        ],
        ..Finding::default()
    })
}
