//! A replication throttle that was left behind.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    disk_slow::stands_still,
    topology::throttled_topics,
};
use crate::{
    finding_id,
    remedy::{Remedy, RemoveThrottle},
    sample::{BrokerId, BrokerSample, Field},
};

pub const RULE: Rule = Rule {
    id: finding_id::REPLICATION_THROTTLED,
    kind: Kind::Cause,
    judge,
    needs: Needs {
        any: &[&[Field::TopicConfigs, Field::Replication]],
        helps: &[Field::Cpu, Field::ReplicationTraffic],
        of: Clusters::Standard,
    },
    meaning: "A replication throttle that was set for a reassignment and never removed keeps replicas from catching \
              up.",
    told_apart: "Partitions stay under-replicated while no resource is used up, and topics have \
                 *.replication.throttled.replicas set. The lag of a replica that is catching up shrinks. Replicas in \
                 sync are not throttled, so there are no symptoms until a broker has been unavailable; then leaders \
                 also wait for in-sync followers.",
    in_the_lab: "kafka-configs.sh --alter --entity-type topics --entity-name TOPIC --add-config \
                 follower.replication.throttled.replicas=*, a follower.replication.throttled.rate of 1000 for broker \
                 2, kgen produce, aws kafka reboot-broker --broker-ids 2, then kgen diagnose",
};

fn judge(window: &Window) -> Option<Finding> {
    let throttled = throttled_topics(window);
    let behind: f64 = window
        .brokers()
        .into_iter()
        .filter_map(|id| window.median(id, |broker| broker.under_replicated_partitions.map(|count| count as f64)))
        .sum();
    // Kafka throttles a follower that is in sync as well, once it lags by a record; its leader waits for it.
    let waiting: Vec<BrokerId> = window.brokers().into_iter().filter(|id| stands_still(window, *id)).collect();
    if throttled.is_empty() {
        return None;
    }
    if behind == 0.0 && waiting.is_empty() {
        return Some(without_effect(throttled));
    }
    let mut evidence_for = vec![Evidence::fact(format!("throttled replicas are set for {}", throttled.join(", ")))];
    if behind > 0.0 {
        let text = format!("{behind:.0} partitions stay under-replicated");
        evidence_for.push(Evidence::measured(text, behind, 0.0));
    }
    for id in &waiting {
        evidence_for.push(Evidence::fact(format!(
            "broker {id}: completes no produce requests, although its port \
                                                  responds"
        )));
    }
    let mut evidence_against = Vec::new();
    let cpu = window.typical(BrokerSample::cpu_percent);
    if let Some(cpu) = cpu.filter(|cpu| *cpu > super::window::CPU_PERCENT) {
        evidence_against.push(Evidence::seen(format!("CPU is also nearly used up: {cpu:.0} %"), cpu));
    }
    Some(Finding {
        title: "a replication throttle keeps replicas behind".to_owned(),
        cause: format!("a throttle is set for {}", throttled.join(", ")),
        evidence_for,
        confidence: if evidence_against.is_empty() { 0.9 } else { 0.7 },
        evidence_against,
        check: Some(
            "run kafka-reassign-partitions.sh --list: during a reassignment the throttle is intended".to_owned(),
        ),
        remedy: Some(Remedy::RemoveThrottle(RemoveThrottle { topics: throttled, brokers: window.brokers() })),
        anti_recommendations: vec!["do not add brokers: no resource is used up".to_owned()],
        ..Finding::default()
    })
}

/// A throttle that nothing shows the effect of now: it will when a broker has been away. A suspicion.
fn without_effect(throttled: Vec<String>) -> Finding {
    Finding {
        title: "a replication throttle is set".to_owned(),
        cause: format!("throttled replicas are set for {}; no replica was observed to be behind", throttled.join(", ")),
        evidence_for: vec![Evidence::fact(format!("throttled replicas are set for {}", throttled.join(", ")))],
        evidence_against: vec![Evidence::fact("no partition is under-replicated, as far as was observed")],
        check: Some(
            "run kafka-reassign-partitions.sh --list: during a reassignment the throttle is intended".to_owned(),
        ),
        confidence: 0.45,
        ..Finding::default()
    }
}
