//! A volume that takes its time.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    topology::throttled_topics,
    window::{CPU_PERCENT, THROTTLED_PERCENT, names},
};
use crate::{
    finding_id,
    remedy::{Advice, Remedy},
    sample::{BrokerId, BrokerSample, BrokerState, Field, Sample},
};

/// Local produce time that tells of the disk, ms. Measured: 89 on the slow one, 3 to 4 on the others.
const LOCAL_MS: f64 = 20.0;

/// One broker's time over the others' from which on it alone is meant.
const TIMES_OTHERS: f64 = 4.0;

/// Processing of followers' fetches that tells of the disk, ms. Measured: 59 against 0.3; a weak CPU shows about 1.
const FOLLOWER_FETCH_MS: f64 = 10.0;

/// Time in which a port answers that is not hung, ms.
const ANSWERS_MS: f64 = 500.0;

/// Samples in a row in which a leader finishes nothing while the others' followers are served: measured 8, and all of a minute.
const STUCK_SAMPLES: usize = 5;

pub const RULE: Rule = Rule {
    id: finding_id::DISK_SLOW,
    kind: Kind::Cause,
    judge,
    needs: Needs {
        any: &[&[Field::ProduceParts], &[Field::Volume, Field::ProduceTime], &[Field::CpuIoWait, Field::ProduceTime]],
        helps: &[Field::FollowerFetchTime, Field::Cpu],
        of: Clusters::Standard,
    },
    meaning: "Writes wait for the volume: its throughput or operations a second are used up, or it is failing.",
    told_apart: "Local time of produce requests is high while CPU has room; followers' fetches take as long there. A weak \
                 broker is throttled, a slow network has a normal local time, too many partitions show on every broker.",
    in_the_lab: "blkio.throttle.write_iops_device (cgroup v1) or io.max (v2) for a broker, and a topic with flush.messages=50",
};

fn judge(window: &Window) -> Option<Finding> {
    let local = |id: BrokerId| window.median(id, |broker| broker.produce?.local_ms);
    let has_cpu = |id: BrokerId| {
        window.median(id, BrokerSample::cpu_percent).is_none_or(|cpu| cpu < CPU_PERCENT)
            && window.median(id, |broker| broker.cpu_throttled_percent).is_none_or(|t| t < THROTTLED_PERCENT)
    };
    let slow: Vec<BrokerId> = window
        .brokers()
        .into_iter()
        .filter(|id| local(*id).is_some_and(|ms| ms >= LOCAL_MS) && has_cpu(*id))
        .filter(|id| {
            let others: Vec<f64> = window.brokers().into_iter().filter(|other| other != id).filter_map(local).collect();
            super::window::median(others).is_none_or(|others| local(*id).unwrap_or_default() >= others * TIMES_OTHERS)
        })
        .collect();
    // Where a replication throttle is set, it waits for that.
    let is_stuck =
        |id: &BrokerId| !slow.contains(id) && stands_still(window, *id) && throttled_topics(window).is_empty();
    let stuck: Vec<BrokerId> = window.brokers().into_iter().filter(is_stuck).collect();
    if slow.is_empty() {
        return (!stuck.is_empty()).then(|| standstill(window, stuck));
    }
    let mut confidence: f64 = 0.7;
    let (mut evidence_for, mut evidence_against, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for id in &slow {
        let ms = local(*id).unwrap_or_default();
        evidence_for.push(Evidence::measured(format!("broker {id}: writing takes {ms:.0} ms"), ms, LOCAL_MS));
        match window.median(*id, |broker| broker.follower_fetch_local_ms) {
            Some(ms) if ms >= FOLLOWER_FETCH_MS => {
                confidence += 0.15;
                let text = format!("broker {id}: followers' fetches take {ms:.0} ms");
                evidence_for.push(Evidence::measured(text, ms, FOLLOWER_FETCH_MS));
            }
            Some(ms) => evidence_against.push(Evidence::measured(
                format!("broker {id}: followers' fetches take {ms:.1} ms"),
                ms,
                FOLLOWER_FETCH_MS,
            )),
            None => missing.push("local time of followers' fetches".to_owned()),
        }
        if let Some(cpu) = window.median(*id, BrokerSample::cpu_percent) {
            evidence_for.push(Evidence::measured(format!("broker {id}: CPU has room ({cpu:.0} %)"), cpu, CPU_PERCENT));
        }
    }
    Some(Finding {
        title: format!("the disk of {} is slow", names(&slow)),
        cause: "writes wait for the volume".to_owned(),
        evidence_for,
        evidence_against,
        missing,
        check: Some(CHECK.to_owned()),
        confidence: confidence.min(0.9),
        remedy: Some(advice(slow.len())),
        anti_recommendations: vec!["do not resize for CPU: it has room".to_owned()],
        brokers: slow,
        ..Finding::default()
    })
}

const CHECK: &str = "VolumeQueueLength, VolumeTotalWriteTime and BurstBalance of that broker in CloudWatch";

fn advice(slow: usize) -> Remedy {
    let what = if slow == 1 {
        "replace the broker's volume (reboot the broker; ask AWS support if it stays), move leaders off it meanwhile"
    } else {
        "provisioned storage throughput, or a type with a higher EBS baseline"
    };
    let where_to = ["storage_info.ebs_storage_info.provisioned_throughput in Terraform (kafka.m5.4xlarge and larger)"];
    Remedy::Advice(Advice::new(what, &where_to))
}

/// Whether broker `id` answers at its port and finishes neither produce requests nor followers' fetches, as it did before, while
/// others serve their followers: whatever touches its log waits.
pub(super) fn stands_still(window: &Window, id: BrokerId) -> bool {
    let all = window.all();
    let (before, last) = all.split_at(all.len().saturating_sub(STUCK_SAMPLES));
    let served = |broker: &BrokerSample| broker.follower_fetch_local_ms.is_some();
    let idle = |broker: &BrokerSample| {
        broker.state == BrokerState::Serving
            && broker.leader_count.is_some_and(|count| count > 0)
            && broker.produce.is_none()
            && !served(broker)
            && broker.round_trip_ms().is_some_and(|ms| ms < ANSWERS_MS)
    };
    // A moment in which no metrics were to be had tells nothing.
    let told = |sample: &&Sample| sample.brokers.values().any(|broker| broker.state == BrokerState::Serving);
    let others = |sample: &Sample| sample.brokers.iter().any(|(other, broker)| *other != id && served(broker));
    let told: Vec<&Sample> = last.iter().filter(told).collect();
    before.iter().any(|sample| sample.brokers.get(&id).is_some_and(served))
        && told.len() + 1 >= STUCK_SAMPLES
        && told.iter().all(|sample| sample.brokers.get(&id).is_some_and(idle))
        && told.iter().filter(|sample| others(sample)).count() * 2 > told.len()
}

fn standstill(window: &Window, stuck: Vec<BrokerId>) -> Finding {
    let evidence = stuck.iter().map(|id| {
        Evidence::fact(format!(
            "broker {id}: finishes neither produce requests nor followers' fetches, and its port answers"
        ))
    });
    Finding {
        title: format!("the disk of {} stands still", names(&stuck)),
        cause: "whatever touches the log of the broker waits, and all that wait for it".to_owned(),
        evidence_for: evidence.chain(window.load_evidence()).collect(),
        missing: vec!["local time of produce requests: none has ended".to_owned()],
        check: Some(CHECK.to_owned()),
        confidence: 0.7,
        remedy: Some(advice(stuck.len())),
        anti_recommendations: vec!["do not resize for CPU: it has room".to_owned()],
        brokers: stuck,
        ..Finding::default()
    }
}
