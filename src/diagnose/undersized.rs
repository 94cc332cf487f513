//! Every broker uses up its CPU: the type is too small for the load.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    leaders_placement,
    window::{CPU_PERCENT, THROTTLED_PERCENT, names},
};
use crate::{
    finding_id,
    sample::{BrokerId, BrokerSample, Field},
};

/// A broker that is this busy, percent, does not count against the others' being saturated.
pub const BUSY_PERCENT: f64 = 50.0;

/// Throttled periods, percent, that count as saturation though the mean CPU of the interval is lower.
const MOSTLY_THROTTLED_PERCENT: f64 = 40.0;
const THROTTLED_BUSY_PERCENT: f64 = 40.0;

/// CPU, percent, from which on minutes cannot be those of a load that comes in bursts and leaves room between them.
const BURSTS_PERCENT: f64 = 80.0;

pub const RULE: Rule = Rule {
    id: finding_id::BROKER_UNDERSIZED,
    kind: Kind::Cause,
    judge,
    needs: Needs {
        any: &[&[Field::Cpu]],
        helps: &[Field::CpuThrottling, Field::ProduceTime],
        of: Clusters::Provisioned,
    },
    meaning: "All brokers keep using so much CPU that there is no headroom for a restart: the broker type is too \
              small for the load.",
    told_apart: "All brokers are affected, not just one (a weak broker, a hot key or unevenly placed leaders). CPU is \
                 high, not flat at 20 % (CPU credits), for at least 15 seconds (not a burst or a start). Throttled \
                 periods and produce times three times as long as under normal load make it certain. MemoryUsed does \
                 not count.",
    in_the_lab: "kgen lab up, kgen apply, kgen produce, then kgen diagnose; or all at once: kgen demo",
};

/// Whether broker `id` has used up its CPU for the whole recent part.
pub(super) fn is_saturated(window: &Window, id: BrokerId) -> bool {
    window.lasts_above(id, CPU_PERCENT, BrokerSample::cpu_percent)
        || (window.lasts_above(id, MOSTLY_THROTTLED_PERCENT, |broker| broker.cpu_throttled_percent)
            && window.median(id, BrokerSample::cpu_percent).is_some_and(|cpu| cpu > THROTTLED_BUSY_PERCENT))
}

/// Whether the brokers as a whole are: every one saturated, or the rest close behind.
pub(super) fn all_saturated(window: &Window) -> Option<bool> {
    let brokers = window.brokers();
    let saturated = brokers.iter().filter(|id| is_saturated(window, **id)).count();
    let cpu: Vec<f64> = brokers.iter().filter_map(|id| window.median(*id, BrokerSample::cpu_percent)).collect();
    // Gathered leaders are spread before anything else: what counts is how busy the brokers are then.
    let is_even = cpu.iter().all(|cpu| *cpu > BUSY_PERCENT) || leaders_placement::holds(window);
    let close = is_even && cpu.iter().sum::<f64>() > CPU_PERCENT * cpu.len() as f64;
    (saturated > 0).then_some(saturated == brokers.len() || close)
}

/// How busy a broker is, where its CPU is known.
fn busy(window: &Window, id: BrokerId) -> Option<Evidence> {
    let cpu = window.median(id, BrokerSample::cpu_percent)?;
    Some(Evidence::measured(format!("broker {id}: CPU stays at {cpu:.0} % of its capacity"), cpu, CPU_PERCENT))
}

/// Why more brokers are not the first thing to do, or not the only one where there is no larger type.
fn of_more_brokers(has_larger: bool) -> &'static str {
    match has_larger {
        true => {
            "do not add brokers first: existing partitions stay where they are until they are reassigned, and reassigning \
             adds load (AWS: never above 70 % CPU)"
        }
        false => {
            "do not only add brokers: existing partitions stay where they are until they are reassigned; reassign \
             them in a quiet hour, as that adds load (AWS: never above 70 % CPU)"
        }
    }
}

fn judge(window: &Window) -> Option<Finding> {
    if !all_saturated(window)? {
        return None;
    }
    let brokers = window.brokers();
    let (mut evidence_for, mut evidence_against, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    let mut confidence: f64 = 0.6;
    evidence_for.extend(brokers.iter().filter_map(|id| busy(window, *id)));
    if !brokers.iter().all(|id| is_saturated(window, *id)) {
        confidence -= 0.1;
        evidence_against.push(Evidence::fact("not every broker is above the threshold all the time"));
    }
    let throttled = window.typical(|broker| broker.cpu_throttled_percent);
    match throttled {
        Some(throttled) if throttled >= THROTTLED_PERCENT => {
            confidence += 0.2;
            let text = format!("the CPU limit throttles the brokers in {throttled:.0} % of the periods");
            evidence_for.push(Evidence::measured(text, throttled, THROTTLED_PERCENT));
        }
        Some(throttled) => {
            let text = format!("the CPU limit is reached in only {throttled:.0} % of the periods");
            evidence_against.push(Evidence::measured(text, throttled, THROTTLED_PERCENT));
        }
        None if window.is_lab() => missing.push("the share of throttled periods".to_owned()),
        None => {}
    }
    let cpu = window.typical(BrokerSample::cpu_percent).unwrap_or_default();
    let total = window.typical(|broker| Some(broker.produce?.total_ms));
    let slow: Vec<Evidence> = brokers.iter().filter_map(|id| window.slow_produce(*id)).collect();
    match total {
        None => missing.push("produce times: no produce requests, or no metrics for them".to_owned()),
        Some(_) if slow.len() * 2 > brokers.len() => confidence += 0.15,
        Some(total) if slow.is_empty() => {
            confidence -= 0.1;
            evidence_against.push(Evidence::seen(format!("produce requests are still fast: {total:.1} ms"), total));
        }
        Some(_) => {}
    }
    evidence_for.extend(slow.iter().cloned());
    if let Some(load) = window.load_evidence() {
        confidence += 0.05;
        evidence_for.push(load);
    }
    evidence_against.extend(window.memory_note());
    // Minutes hide bursts: what is busy half of the time shows as half busy, and its requests stay quick.
    let may_be_bursts = window.is_cloudwatch() && slow.is_empty() && cpu < BURSTS_PERCENT && total.is_some();
    if may_be_bursts {
        confidence = confidence.min(0.45);
        missing.push("CPU within each minute: a bursty load has the same mean, and its requests stay fast".to_owned());
    }
    let held_back = throttled.is_some_and(|throttled| throttled >= THROTTLED_PERCENT);
    let larger = window.next_larger("the load needs more CPU than the type has", held_back || cpu > 90.0);
    let more_brokers = of_more_brokers(larger.is_some());
    let remedy = larger.or_else(|| window.more_brokers());
    if remedy.is_none() {
        missing.push("the broker type in the catalogue: without it, a larger one cannot be recommended".to_owned());
    }
    let of_type = window.context.broker_type.as_deref().unwrap_or("the broker type");
    Some(Finding {
        title: format!("{of_type} is too small for the load"),
        cause: format!("the load uses more CPU than {} can provide with headroom for a restart", names(&brokers)),
        brokers,
        evidence_for,
        evidence_against,
        missing,
        check: Some(
            if may_be_bursts {
                "compare Maximum with Average of CpuUser + CpuSystem: a large difference means bursts"
            } else {
                "check CpuUser + CpuSystem of every broker over the last hour: if only one is high, the cause is \
                 another"
            }
            .to_owned(),
        ),
        confidence: confidence.clamp(0.05, 0.95),
        remedy,
        anti_recommendations: vec![
            "do not judge by MemoryUsed: page cache fills it on a healthy broker too".to_owned(),
            more_brokers.to_owned(),
        ],
        ..Finding::default()
    })
}
