//! Brokers that wait for the network.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    disk_slow,
    window::{CPU_PERCENT, THROTTLED_PERCENT, names, remote_ms},
};
use crate::{
    finding_id,
    sample::{BrokerId, BrokerSample, BrokerState, Field, Probe},
    statistics::median,
};

/// Time in which followers did not confirm, ms. Measured: 216 to 373 at 6 Mbit/s, 3 when healthy.
pub const REMOTE_MS: f64 = 60.0;

/// Local time up to which the leaders themselves are quick, ms.
pub const LOCAL_MS: f64 = 10.0;

/// A round trip over the others' from which on one broker is meant.
const ROUND_TRIP_TIMES: f64 = 5.0;
const ROUND_TRIP_MS: f64 = 20.0;

/// What no answer before the deadline counts as, where metrics say that the broker serves.
const SILENT_MS: f64 = 1000.0;

/// Samples in which a leader has to have finished a request.
const LAST_SAMPLES: usize = 3;

pub const RULE: Rule = Rule {
    id: finding_id::NETWORK_CONSTRAINED,
    kind: Kind::Cause,
    judge,
    needs: Needs {
        any: &[&[Field::ProduceParts, Field::Cpu], &[Field::NetworkAllowances]],
        helps: &[Field::Probe, Field::Volume],
        of: Clusters::Standard,
    },
    meaning: "Records wait for the network between brokers: a network allowance is used up, or a link is slow.",
    told_apart: "Remote time is high, local time and CPU are low, and nothing is throttled. A slow disk shows in the \
                 local time, a lack of CPU in throttled periods. The affected broker is the one whose round-trip time \
                 rose.",
    in_the_lab: "tc with a filter for the port of a broker; tests/scenarios/network_one_broker.toml has the samples",
};

fn judge(window: &Window) -> Option<Finding> {
    let is_shaped = |id: &BrokerId| {
        window.lasts_above(*id, 0.0, |broker| broker.traffic_shaping)
            || window.lasts_above(*id, 0.0, allowances_exceeded)
    };
    let shaped: Vec<BrokerId> = window.brokers().into_iter().filter(is_shaped).collect();
    let remote = window.typical(remote_ms);
    let local = window.typical(|broker| broker.produce?.local_ms);
    let cpu = window.typical(BrokerSample::cpu_percent);
    let throttled = window.most_throttled().is_some_and(|throttled| throttled >= THROTTLED_PERCENT);
    let behind = window
        .brokers()
        .into_iter()
        .any(|id| window.median(id, |b| b.produce?.local_ms).is_some_and(|ms| ms >= LOCAL_MS * 2.0));
    let waits = remote.is_some_and(|ms| ms >= REMOTE_MS)
        && local.is_none_or(|ms| ms < LOCAL_MS)
        && cpu.is_none_or(|cpu| cpu < CPU_PERCENT)
        && !throttled
        && !behind;
    if !waits && shaped.is_empty() {
        return None;
    }
    // A follower whose disk stands still keeps its leaders waiting in the same way.
    let is_disk = window.is_cloudwatch() && shaped.is_empty() && !volumes_seen(window);
    if is_disk && !disk_slow::waited_for(window).is_empty() {
        return None;
    }
    let mut evidence_for = Vec::new();
    let mut missing = Vec::new();
    if let Some(ms) = remote.filter(|_| waits) {
        evidence_for.push(Evidence::measured(format!("followers confirm after {ms:.0} ms"), ms, REMOTE_MS));
    }
    if let Some(ms) = local.filter(|_| waits) {
        evidence_for.push(Evidence::measured(format!("leaders write within {ms:.1} ms"), ms, LOCAL_MS));
    }
    evidence_for.extend(shaped.iter().map(|id| shaping(window, *id)));
    let slow = slow_round_trips(window);
    for (id, ms, others) in &slow {
        let text = format!("broker {id}: responds after {ms:.0} ms, the others after {others:.0} ms");
        evidence_for.push(Evidence::measured(text, *ms, others * ROUND_TRIP_TIMES));
    }
    let mut brokers = shaped.clone();
    brokers.extend(slow.iter().map(|(id, ..)| *id).filter(|id| !shaped.contains(id)));
    if brokers.is_empty() {
        missing.push("round-trip times, which would identify the broker".to_owned());
    }
    let stuck: Vec<BrokerId> =
        window.brokers().into_iter().filter(|id| waits && brokers.is_empty() && is_stuck(window, *id)).collect();
    if !stuck.is_empty() {
        missing.push(format!("local time of produce requests of {}", names(&stuck)));
    }
    Some(Finding {
        title: if brokers.is_empty() {
            "the network between brokers is slow".to_owned()
        } else {
            format!("the network of {} is slow", names(&brokers))
        },
        cause: "bandwidth is used up or a link is slow; CPU and disk are waiting for it".to_owned(),
        evidence_for,
        missing,
        alternatives: if is_disk { vec![finding_id::DISK_SLOW] } else { Vec::new() },
        check: Some(
            "check TrafficShaping, BwInAllowanceExceeded and BwOutAllowanceExceeded of each broker in CloudWatch; if \
             they are 0, check VolumeQueueLength: a follower with a stalled disk keeps leaders waiting too"
                .to_owned(),
        ),
        confidence: match (waits, brokers.is_empty()) {
            _ if !stuck.is_empty() => 0.4,
            (true, false) => 0.9,
            _ => 0.7,
        },
        remedy: window.next_larger("its network baseline is higher", true),
        anti_recommendations: vec!["do not resize for CPU: it falls while records wait".to_owned()],
        brokers,
        ..Finding::default()
    })
}

/// What shows that AWS held back a broker's traffic.
fn shaping(window: &Window, id: BrokerId) -> Evidence {
    Evidence::fact(match window.median(id, allowances_exceeded).filter(|packets| *packets > 0.0) {
        Some(packets) => format!("broker {id}: {packets:.0} packets a minute exceeded a network allowance"),
        None => format!("broker {id}: TrafficShaping is above 0"),
    })
}

/// A leader that has not finished a request lately: it may be its disk that all wait for.
fn is_stuck(window: &Window, id: BrokerId) -> bool {
    let mut last = window.recent().iter().rev().take(LAST_SAMPLES).filter_map(|sample| sample.brokers.get(&id));
    let leads = window.median(id, |broker| Some(broker.leader_count? as f64)).is_some_and(|count| count > 0.0);
    leads && !last.any(|broker| broker.produce.is_some())
}

/// Packets a minute that exceeded an allowance of bandwidth or packets.
fn allowances_exceeded(broker: &BrokerSample) -> Option<f64> {
    let seen = broker.allowances?;
    let counts = [seen.bandwidth_in, seen.bandwidth_out, seen.packets];
    counts.into_iter().flatten().reduce(|a, b| a + b)
}

/// Whether the volumes were seen: then a slow disk would have shown.
fn volumes_seen(window: &Window) -> bool {
    window.sees(Field::Volume) || window.sees(Field::CpuIoWait)
}

/// Brokers whose answers take much longer than the others', with both times in ms.
fn slow_round_trips(window: &Window) -> Vec<(BrokerId, f64, f64)> {
    // Silence is an answer that takes longer than the others by far.
    let round_trip = |broker: &BrokerSample| match broker.probe {
        Some(Probe::Silent) if broker.state == BrokerState::Serving => Some(SILENT_MS),
        _ => broker.round_trip_ms(),
    };
    let of = |id: BrokerId| window.median(id, round_trip);
    let brokers = window.brokers();
    let others =
        |id: BrokerId| median(brokers.iter().filter(|other| **other != id).filter_map(|other| of(*other)).collect());
    brokers
        .iter()
        .filter_map(|id| Some((*id, of(*id)?, others(*id)?)))
        .filter(|(_, ms, others)| *ms >= ROUND_TRIP_MS && *ms >= others * ROUND_TRIP_TIMES)
        .collect()
}
