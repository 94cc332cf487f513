//! One broker with less capacity than the others.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    heap_pressure::is_full,
    undersized::{BUSY_PERCENT, all_saturated, is_saturated},
    window::{THROTTLED_PERCENT, names},
};
use crate::{
    finding_id,
    remedy::{Reboot, Remedy},
    sample::{BrokerId, BrokerSample, Field},
    statistics::median,
};

/// Traffic of the weak broker over the others' up to which it counts as the same.
pub const SAME_TRAFFIC: f64 = 1.4;

/// Local produce time over the others' that shows the weakness.
const LOCAL_TIMES: f64 = 3.0;
const LOCAL_MS: f64 = 2.0;

/// Samples that tell how it is now.
const LAST_SAMPLES: usize = 3;

/// Wait for a request handler that shows the weakness, ms, and over the others'. Measured: 2.3 to 4.1 ms against 0.1.
const QUEUE_MS: f64 = 1.5;
const QUEUE_TIMES: f64 = 5.0;

/// Local produce time over the others' with such a wait. Measured: 4.1 to 9.
const SLOWER_TIMES: f64 = 2.5;

/// Local produce time from which on it is the disk, ms, as `disk.slow` has it.
const DISK_MS: f64 = 20.0;

pub const RULE: Rule = Rule {
    id: finding_id::BROKER_DEGRADED,
    kind: Kind::Cause,
    judge,
    needs: Needs {
        any: &[&[Field::Cpu, Field::CpuThrottling, Field::Traffic], &[Field::Cpu, Field::Traffic, Field::ProduceParts]],
        helps: &[Field::ProduceParts],
        of: Clusters::Provisioned,
    },
    meaning: "One broker has run out of CPU under the same traffic that the others handle easily: it has less CPU, or \
              something else runs on it.",
    told_apart: "Traffic is even (otherwise the cause is keys or leaders). Periods are throttled or CPU is used up \
                 (otherwise the cause is the disk or the network). With acks=all the remote time of every broker \
                 rises, so it does not identify the weak one.",
    in_the_lab: "lower cpu.cfs_quota_us (cgroup v1) or cpu.max (v2) of one broker to a fifth, kgen produce, then kgen \
                 diagnose",
};

/// Whether broker `id` bears its load easily, by its last samples too: the first ones may be of a time before the load.
fn has_room(window: &Window, id: BrokerId) -> bool {
    let below = |limit: f64, value: fn(&BrokerSample) -> Option<f64>| {
        let values = window.values(id, value);
        let last = values[values.len().saturating_sub(LAST_SAMPLES)..].to_vec();
        [median(values), median(last)].into_iter().flatten().all(|value| value <= limit)
    };
    below(BUSY_PERCENT, BrokerSample::cpu_percent) && below(THROTTLED_PERCENT, |broker| broker.cpu_throttled_percent)
}

/// Whether requests at broker `id` wait for a handler and take long to process, several times as long as at the others, at
/// the same traffic: where nothing shows that a CPU is held back, which the lab alone does.
fn is_slower(window: &Window, id: BrokerId) -> bool {
    let of_others = |value: &dyn Fn(&BrokerSample) -> Option<f64>| {
        let others = window.brokers().into_iter().filter(|other| *other != id);
        median(others.filter_map(|other| window.median(other, value)).collect())
    };
    let times = |value: &dyn Fn(&BrokerSample) -> Option<f64>| -> Option<(f64, f64)> {
        let own = window.median(id, value)?;
        Some((own, own / of_others(value)?.max(0.01)))
    };
    let longer = |least: f64, least_times: f64, value: &dyn Fn(&BrokerSample) -> Option<f64>| {
        times(value).is_some_and(|(own, times)| own >= least && times >= least_times)
    };
    let even = times(&|broker| broker.bytes_in_per_s);
    let is_even = even.is_some_and(|(_, times)| (1.0 / SAME_TRAFFIC..=SAME_TRAFFIC).contains(&times));
    // A volume that is slow shows in the local time alone.
    let is_disk = window.median(id, |broker| broker.produce?.local_ms).is_some_and(|ms| ms >= DISK_MS);
    window.most_throttled().is_none()
        && is_even
        && !is_disk
        && window.slow_produce(id).is_some()
        && longer(QUEUE_MS, QUEUE_TIMES, &|broker| broker.produce?.queue_ms)
        && longer(LOCAL_MS, SLOWER_TIMES, &|broker| broker.produce?.local_ms)
}

fn judge(window: &Window) -> Option<Finding> {
    let brokers = window.brokers();
    let held_back = |id: BrokerId| {
        is_saturated(window, id)
            || window.lasts_above(id, THROTTLED_PERCENT, |broker| broker.cpu_throttled_percent)
            || is_slower(window, id)
    };
    // What a full heap makes a broker do is broker.heap-pressure's to tell.
    let weak: Vec<BrokerId> = brokers.iter().copied().filter(|id| held_back(*id) && !is_full(window, *id)).collect();
    if weak.is_empty() || weak.len() * 2 >= brokers.len() || all_saturated(window) == Some(true) {
        return None;
    }
    // A load that is too much reaches the brokers one after another: those that are on their way have no room either.
    if brokers.iter().any(|id| !weak.contains(id) && !has_room(window, *id)) {
        return None;
    }
    let others = |value: fn(&BrokerSample) -> Option<f64>| {
        median(brokers.iter().filter(|id| !weak.contains(id)).filter_map(|id| window.median(*id, value)).collect())
    };
    let (mut evidence_for, mut missing) = (Vec::new(), Vec::new());
    let mut confidence: f64 = 0.7;
    for id in &weak {
        match window.median(*id, |b| b.bytes_in_per_s).zip(others(|b| b.bytes_in_per_s)) {
            Some((own, others)) if own > others.max(1.0) * SAME_TRAFFIC => return None,
            Some((own, others)) => {
                confidence += 0.1;
                let times = own / others.max(1.0);
                let text = format!("broker {id}: {times:.1} times the traffic of the others");
                evidence_for.push(Evidence::measured(text, times, SAME_TRAFFIC));
            }
            None => missing.push("check BytesInPerSec of each broker".to_owned()),
        }
        if let Some(throttled) = window.median(*id, |broker| broker.cpu_throttled_percent) {
            let text = format!("broker {id}: throttled in {throttled:.0} % of the periods");
            evidence_for.push(Evidence::measured(text, throttled, THROTTLED_PERCENT));
        }
        if let Some(queue) = window.median(*id, |broker| broker.produce?.queue_ms).filter(|_| is_slower(window, *id)) {
            let text = format!("broker {id}: requests wait {queue:.1} ms for a handler");
            evidence_for.push(Evidence::measured(text, queue, QUEUE_MS));
        }
        let local = window.median(*id, |broker| broker.produce?.local_ms);
        if let Some((own, others)) = local.zip(others(|broker| broker.produce?.local_ms))
            && own >= LOCAL_MS
            && own >= others * LOCAL_TIMES
        {
            confidence += 0.1;
            let text = format!("broker {id}: writing takes {own:.1} ms, {others:.1} ms on the others");
            evidence_for.push(Evidence::measured(text, own, others * LOCAL_TIMES));
        }
    }
    Some(Finding {
        title: format!("{} has less capacity than the others", names(&weak)),
        cause: "the same work uses up its CPU, but not that of the others".to_owned(),
        evidence_for,
        missing,
        check: Some(
            "check the broker's own history: if it used to be like the others, a reboot moves it to another machine"
                .to_owned(),
        ),
        confidence: confidence.min(0.9),
        remedy: Some(Remedy::Reboot(Reboot {
            brokers: weak.clone(),
            reason: "it is weaker than the others".to_owned(),
        })),
        anti_recommendations: vec![
            "do not resize: the other brokers have headroom, and a faulty broker stays faulty".to_owned(),
            "do not look at the brokers with the slowest requests: they are waiting for this one".to_owned(),
        ],
        brokers: weak,
        ..Finding::default()
    })
}
