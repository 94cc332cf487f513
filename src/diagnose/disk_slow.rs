//! A slow volume.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    topology::throttled_topics,
    window::{CPU_PERCENT, THROTTLED_PERCENT, names, remote_ms},
};
use crate::{
    finding_id,
    remedy::{Advice, Remedy},
    sample::{BrokerId, BrokerSample, BrokerState, Field, Sample, VolumeSample},
    statistics::median,
};

/// Local produce time that indicates the disk, ms. Measured: 89 on the slow one, 3 to 4 on the others.
pub const LOCAL_MS: f64 = 20.0;

/// One broker's time over the others' from which on it alone is meant.
pub const TIMES_OTHERS: f64 = 4.0;

/// Processing of followers' fetches that indicates the disk, ms. Measured: 59 against 0.3; a weak CPU shows about 1.
const FOLLOWER_FETCH_MS: f64 = 10.0;

/// Time in which a port answers that is not hung, ms.
const ANSWERS_MS: f64 = 500.0;

/// Samples in a row in which a leader finishes nothing while the others' followers are served: measured 8, and all of a minute.
const STUCK_SAMPLES: usize = 5;

/// Requests that wait for a volume which shows that it is the limit (AWS: a queue that stays above 10; a choice of kgen).
const QUEUE_LENGTH: f64 = 10.0;

/// CPU time spent waiting for the disk that shows, percent (a choice of kgen).
pub const IO_WAIT_PERCENT: f64 = 25.0;

/// Burst credits of a volume that are nearly used up, percent (a choice of kgen).
const BURST_PERCENT: f64 = 10.0;

/// Time for followers from which on leaders wait for one that stands still, ms.
const WAITS_MS: f64 = 1000.0;

/// Share of its traffic that is left on a broker that stands still.
const TRAFFIC_LEFT: f64 = 0.2;

pub const RULE: Rule = Rule {
    id: finding_id::DISK_SLOW,
    kind: Kind::Cause,
    judge,
    needs: Needs {
        any: &[&[Field::ProduceParts], &[Field::Volume, Field::ProduceTime], &[Field::CpuIoWait, Field::ProduceTime]],
        helps: &[Field::FollowerFetchTime, Field::Cpu],
        of: Clusters::Standard,
    },
    meaning: "Writes wait for the volume: its throughput or its operations per second are used up, or it is failing.",
    told_apart: "The local time of produce requests is high while CPU has headroom, and followers' fetches from that \
                 broker take as long. A weak broker is throttled, a slow network leaves the local time normal, and \
                 too many partitions show on every broker.",
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
            median(others).is_none_or(|others| local(*id).unwrap_or_default() >= others * TIMES_OTHERS)
        })
        .collect();
    // Where a replication throttle is set, it waits for that.
    let is_stuck =
        |id: &BrokerId| !slow.contains(id) && stands_still(window, *id) && throttled_topics(window).is_empty();
    let stuck: Vec<BrokerId> = window.brokers().into_iter().filter(is_stuck).collect();
    if slow.is_empty() && !stuck.is_empty() {
        return Some(standstill(window, stuck));
    }
    if slow.is_empty() {
        return by_volume(window).or_else(|| by_waiting(window));
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
            evidence_for.push(Evidence::measured(
                format!("broker {id}: CPU has headroom ({cpu:.0} %)"),
                cpu,
                CPU_PERCENT,
            ));
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
        anti_recommendations: vec!["do not resize for CPU: it has headroom".to_owned()],
        brokers: slow,
        ..Finding::default()
    })
}

const CHECK: &str = "check VolumeQueueLength, VolumeTotalWriteTime and BurstBalance of that broker in CloudWatch";

fn advice(slow: usize) -> Remedy {
    let what = if slow == 1 {
        "replace the broker's volume (reboot the broker; contact AWS support if that does not help), and move leaders \
         off it in the meantime"
    } else {
        "provision storage throughput, or choose a type with a higher EBS baseline"
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
    // A moment in which no metrics were available shows nothing.
    let told = |sample: &&Sample| sample.brokers.values().any(|broker| broker.state == BrokerState::Serving);
    let others = |sample: &Sample| sample.brokers.iter().any(|(other, broker)| *other != id && served(broker));
    let told: Vec<&Sample> = last.iter().filter(told).collect();
    before.iter().any(|sample| sample.brokers.get(&id).is_some_and(served))
        && told.len() + 1 >= STUCK_SAMPLES
        && told.iter().all(|sample| sample.brokers.get(&id).is_some_and(idle))
        && told.iter().filter(|sample| others(sample)).count() * 2 > told.len()
}

/// By the queue and times of the volume, or the CPU's wait for it, where requests are not split into parts.
fn by_volume(window: &Window) -> Option<Finding> {
    let mut finding = Finding::default();
    for id in window.brokers() {
        let volume = |value: fn(&VolumeSample) -> Option<f64>| {
            window.median(id, |broker| value(broker.volume.as_ref()?)).unwrap_or_default()
        };
        let wait = window.median(id, |broker| broker.cpu_io_wait_percent).unwrap_or_default();
        let (queue, write_ms, burst) =
            (volume(|v| v.queue_length), volume(|v| v.write_ms), volume(|v| v.burst_balance_percent));
        let is_waiting = queue >= QUEUE_LENGTH || write_ms >= LOCAL_MS || wait >= IO_WAIT_PERCENT;
        let Some(slow) = window.slow_produce(id).filter(|_| is_waiting) else { continue };
        for (holds, text, value, threshold) in [
            (queue >= QUEUE_LENGTH, format!("{queue:.0} requests wait for the volume"), queue, QUEUE_LENGTH),
            (write_ms >= LOCAL_MS, format!("a write to the volume takes {write_ms:.0} ms"), write_ms, LOCAL_MS),
            (
                wait >= IO_WAIT_PERCENT,
                format!("the CPU waits for the disk {wait:.0} % of the time"),
                wait,
                IO_WAIT_PERCENT,
            ),
        ] {
            if holds {
                finding.evidence_for.push(Evidence::measured(format!("broker {id}: {text}"), value, threshold));
            }
        }
        if burst > 0.0 && burst < BURST_PERCENT {
            let text = format!("broker {id}: {burst:.0} % of the volume's burst credits left");
            finding.evidence_for.push(Evidence::measured(text, burst, BURST_PERCENT));
        }
        finding.evidence_for.push(slow);
        finding.brokers.push(id);
    }
    if finding.brokers.is_empty() {
        return None;
    }
    Some(Finding {
        title: format!("the disk of {} is slow", names(&finding.brokers)),
        cause: "writes wait for the volume".to_owned(),
        check: Some(CHECK.to_owned()),
        confidence: if finding.evidence_for.len() > 2 * finding.brokers.len() { 0.85 } else { 0.7 },
        remedy: Some(advice(finding.brokers.len())),
        anti_recommendations: vec!["do not resize for CPU: it has headroom".to_owned()],
        ..finding
    })
}

/// Brokers that take next to nothing of what they took before while the others wait for their followers: what still ends
/// there ends quickly. By the metrics of CloudWatch.
pub(super) fn waited_for(window: &Window) -> Vec<BrokerId> {
    let brokers = window.brokers();
    if !window.is_cloudwatch() || brokers.len() < 3 || !throttled_topics(window).is_empty() {
        return Vec::new();
    }
    let remote = |id: BrokerId| window.median(id, remote_ms);
    let serves = |id: BrokerId| !window.values(id, BrokerSample::cpu_percent).is_empty();
    let is_quiet = |id: BrokerId| {
        let traffic = |broker: &BrokerSample| broker.bytes_in_per_s;
        let (now, before) = (window.median(id, traffic), window.before(id, traffic));
        now.zip(before).is_some_and(|(now, before)| now < before * TRAFFIC_LEFT)
    };
    let is_it = |id: &BrokerId| {
        serves(*id)
            && is_quiet(*id)
            && remote(*id).is_none_or(|ms| ms < LOCAL_MS)
            && brokers.iter().filter(|other| *other != id).all(|other| remote(*other).is_some_and(|ms| ms >= WAITS_MS))
    };
    brokers.iter().copied().filter(is_it).collect()
}

fn by_waiting(window: &Window) -> Option<Finding> {
    let brokers = waited_for(window);
    if brokers.is_empty() {
        return None;
    }
    let others = window.brokers().into_iter().filter(|id| !brokers.contains(id));
    let evidence_for = others.filter_map(|id| {
        let ms = window.median(id, remote_ms)?;
        Some(Evidence::measured(format!("broker {id}: followers confirm after {ms:.0} ms"), ms, WAITS_MS))
    });
    let mut evidence_for: Vec<Evidence> = evidence_for.collect();
    evidence_for.push(Evidence::fact(format!(
        "{}: receives almost none of the traffic that it received before",
        names(&brokers)
    )));
    Some(Finding {
        title: format!("the disk of {} has stalled", names(&brokers)),
        cause: "the others wait for it; requests that use its log do not complete".to_owned(),
        evidence_for,
        missing: vec!["VolumeQueueLength or CpuIoWait, which would confirm or exclude it".to_owned()],
        alternatives: vec![finding_id::NETWORK_CONSTRAINED],
        check: Some(CHECK.to_owned()),
        confidence: 0.6,
        remedy: Some(advice(brokers.len())),
        anti_recommendations: vec!["do not resize for CPU: it has headroom".to_owned()],
        brokers,
        ..Finding::default()
    })
}

fn standstill(window: &Window, stuck: Vec<BrokerId>) -> Finding {
    let evidence = stuck.iter().map(|id| {
        Evidence::fact(format!(
            "broker {id}: completes neither produce requests nor followers' fetches, although its port responds"
        ))
    });
    Finding {
        title: format!("the disk of {} has stalled", names(&stuck)),
        cause: "requests that use the broker's log wait, and so does everything that depends on them".to_owned(),
        evidence_for: evidence.chain(window.load_evidence()).collect(),
        missing: vec!["local time of produce requests: none has completed".to_owned()],
        check: Some(CHECK.to_owned()),
        confidence: 0.7,
        remedy: Some(advice(stuck.len())),
        anti_recommendations: vec!["do not resize for CPU: it has headroom".to_owned()],
        brokers: stuck,
        ..Finding::default()
    }
}
