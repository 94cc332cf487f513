//! T3 brokers whose CPU credits are used up, or will be soon.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    window::{THROTTLED_PERCENT, names},
};
use crate::{
    catalogue::Credits,
    finding_id,
    sample::{BrokerId, BrokerSample, Field},
    statistics::median,
};

/// Credits at which the broker is as good as capped.
const SPENT: f64 = 5.0;

/// Credits from which on AWS wants an alarm.
const LOW: f64 = 100.0;

/// A balance that lasts less than this is worth a finding, hours (a design choice).
const SOON_H: f64 = 1.0;

/// How far around its baseline a capped broker's CPU is seen, as a share of the baseline.
pub const AROUND_BASELINE: std::ops::RangeInclusive<f64> = 0.6..=1.5;

/// CPU of a capped broker stays within so many points.
pub const FLAT_PERCENT: f64 = 8.0;

pub const RULE: Rule = Rule {
    id: finding_id::BROKER_CPU_CREDITS_EXHAUSTED,
    kind: Kind::Cause,
    judge,
    needs: Needs {
        any: &[&[Field::CpuCredits, Field::Cpu], &[Field::CpuThrottling, Field::Cpu]],
        helps: &[Field::ProduceTime],
        of: Clusters::Burstable,
    },
    meaning: "A T3 broker earns CPU credits and spends them when it runs above its baseline of 20 % per vCPU. When \
              none are left, it is limited to the baseline: its CPU falls and looks calm while requests queue up.",
    told_apart: "CPUCreditBalance is near 0, and CPU is flat near 20 %, with throttled periods or slow produce \
                 requests. With broker.undersized, CPU is high; here it is low, because the capacity fell rather than \
                 the load rising.",
    in_the_lab: "kgen lab up --t3 credits, kgen produce until the credits are used up, then kgen diagnose",
};

fn judge(window: &Window) -> Option<Finding> {
    let credits = window.context.known_type()?.credits()?;
    spent(window, credits).or_else(|| running_out(window, credits))
}

fn spent(window: &Window, credits: Credits) -> Option<Finding> {
    let near_baseline = |id: BrokerId| {
        let cpu = window.values(id, BrokerSample::cpu_percent);
        let (min, max) = (cpu.iter().copied().reduce(f64::min)?, cpu.iter().copied().reduce(f64::max)?);
        let middle = median(cpu)?;
        (AROUND_BASELINE.contains(&(middle / credits.baseline_percent)) && max - min <= FLAT_PERCENT).then_some(middle)
    };
    let held_back = |id: BrokerId| {
        let throttled = window.median(id, |broker| broker.cpu_throttled_percent);
        let throttled = throttled.filter(|throttled| *throttled >= THROTTLED_PERCENT);
        let throttled = throttled.map(|throttled| {
            let text = format!("broker {id}: throttled by its CPU limit in {throttled:.0} % of the periods");
            Evidence::measured(text, throttled, THROTTLED_PERCENT)
        });
        throttled.into_iter().chain(window.slow_produce(id)).collect::<Vec<_>>()
    };
    let mut finding = Finding::default();
    let (mut balance_seen, mut held_back_seen) = (false, false);
    for id in window.brokers() {
        let balance = window.values(id, |broker| broker.cpu_credit_balance).last().copied();
        let (Some(cpu), held_back) = (near_baseline(id), held_back(id)) else { continue };
        // Without the balance, only a broker that is visibly held back is suspected.
        if balance.map_or(held_back.is_empty(), |balance| balance > SPENT) {
            continue;
        }
        balance_seen |= balance.is_some();
        held_back_seen |= !held_back.is_empty();
        if let Some(balance) = balance {
            finding.evidence_for.push(Evidence::measured(
                format!("broker {id}: {balance:.1} CPU credits left"),
                balance,
                SPENT,
            ));
        }
        let text = format!("broker {id}: CPU is flat at {cpu:.0} %, its baseline");
        finding.evidence_for.push(Evidence::measured(text, cpu, credits.baseline_percent));
        finding.evidence_for.extend(held_back);
        finding.brokers.push(id);
    }
    if finding.brokers.is_empty() {
        return None;
    }
    if !balance_seen {
        finding
            .missing
            .push("CPUCreditBalance, which would confirm or exclude it (on AWS, only in CloudWatch)".to_owned());
    }
    if !held_back_seen {
        finding.evidence_against.push(Evidence::fact("produce requests are not slow, as far as they were observed"));
    }
    finding.evidence_against.extend(window.memory_note());
    finding.evidence_for.extend(window.load_evidence());
    finding.confidence = match (balance_seen, held_back_seen) {
        (true, true) => 0.95,
        (true, false) => 0.65,
        _ => 0.6,
    };
    finding.title = format!("CPU credits are used up on {}", names(&finding.brokers));
    finding.cause = format!(
        "the brokers are limited to {:.0} % of their vCPUs, so their low CPU does not mean that they are idle",
        credits.baseline_percent
    );
    finding.check = Some("check CPUCreditBalance of each broker in CloudWatch".to_owned());
    Some(with_remedy(finding, window, "its CPU credits are used up, and other types do not need any"))
}

fn running_out(window: &Window, credits: Credits) -> Option<Finding> {
    let mut finding = Finding::default();
    for id in window.brokers() {
        let balances: Vec<(i64, f64)> = window
            .all()
            .iter()
            .filter_map(|sample| Some((sample.at_ms, sample.brokers.get(&id)?.cpu_credit_balance?)))
            .collect();
        let (Some(first), Some(last)) = (balances.first(), balances.last()) else { continue };
        let hours = (last.0 - first.0) as f64 / 3_600_000.0;
        let lost_per_h = if hours > 0.0 { (first.1 - last.1) / hours } else { 0.0 };
        let above = window.lasts_above(id, credits.baseline_percent, BrokerSample::cpu_percent);
        // A balance that is low and does not fall is that of a young broker.
        if lost_per_h <= 0.0 || !above || (last.1 > LOW && last.1 / lost_per_h > SOON_H) {
            continue;
        }
        let lasts_min = last.1 / lost_per_h * 60.0;
        let text =
            format!("broker {id}: {:.0} CPU credits left, used up in {lasts_min:.0} minutes at this rate", last.1);
        finding.evidence_for.push(Evidence::measured(text, last.1, LOW));
        finding.brokers.push(id);
    }
    if finding.brokers.is_empty() {
        return None;
    }
    finding.evidence_against.push(Evidence::fact("the brokers are not throttled yet"));
    finding.title = format!("CPU credits are running out on {}", names(&finding.brokers));
    finding.cause = format!(
        "CPU is above the {:.0} % that these brokers can sustain; when the credits are used up, they are limited to \
         that",
        credits.baseline_percent
    );
    finding.confidence = 0.7;
    Some(with_remedy(finding, window, "its CPU credits are running out, and other types do not need any"))
}

fn with_remedy(finding: Finding, window: &Window, reason: &str) -> Finding {
    Finding {
        remedy: window.next_larger(reason, true),
        anti_recommendations: vec![
            "do not add T3 brokers: each has the same baseline".to_owned(),
            "do not wait for CpuUser to exceed 60 %: a limited broker never reaches it".to_owned(),
        ],
        ..finding
    }
}
