//! A symptom that no rule explains.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    consumer_stalled::{LAG_PER_S, READS_NOTHING},
    coverage::{Clusters, Needs},
    topology::{topic_paces, topics},
};
use crate::{
    finding_id,
    sample::{BrokerId, BrokerSample},
};

/// Produce time that is taken for a symptom without any other, ms (an operator's warning for p99 is 100).
const SLOW_MS: f64 = 50.0;

/// Heap after collection at which AWS wants an alarm, percent (MSK best practices).
const HEAP_PERCENT: f64 = 60.0;

/// Share of the offered records that is acknowledged, below which the load is stuck.
const STUCK_SHARE: f64 = 0.5;

/// Share of the usual traffic below which it is gone, the least that counts as usual on a broker, bytes/s, and the share of the
/// connections that are still there.
const GONE_SHARE: f64 = 0.05;
const LEAST_BYTES_PER_S: f64 = 10_000.0;
const STAY_CONNECTED: f64 = 0.8;

/// Traffic and leaders of the busiest broker over the mean that are uneven, as the rules of leaders have them.
const UNEVEN_TIMES: f64 = 1.4;
const UNEVEN_LEADERS: f64 = 1.3;

pub const RULE: Rule = Rule {
    id: finding_id::INCONCLUSIVE_UNEXPLAINED,
    kind: Kind::Rest,
    judge,
    needs: Needs { any: &[], helps: &[], of: Clusters::All },
    meaning: "Brokers show a symptom (slow produce requests, missing traffic, a load that is not acknowledged, \
              partitions out of sync, a full heap, growing lag) that no known cause explains.",
    told_apart: "No rule for a cause matches.",
    in_the_lab: "kgen lab fault start disk.slow, then kgen diagnose --source cloudwatch",
};

fn judge(window: &Window) -> Option<Finding> {
    let mut finding = Finding::default();
    // What slows most brokers is more than one's hiccup.
    let brokers = window.brokers();
    let mut slower: Vec<(BrokerId, Evidence)> =
        brokers.iter().filter_map(|id| Some((*id, window.slow_produce(*id)?))).collect();
    if slower.len() * 2 <= brokers.len() {
        slower.clear();
    }
    for id in brokers {
        let now = |value: fn(&BrokerSample) -> Option<f64>| window.median(id, value);
        let mut symptoms = Vec::new();
        let total = now(|broker| Some(broker.produce?.total_ms));
        if let Some(slower) = slower.iter().find(|(slow, _)| *slow == id).filter(|_| total < Some(SLOW_MS)) {
            symptoms.push(slower.1.clone());
        }
        if let Some(total) = total.filter(|total| *total >= SLOW_MS) {
            let text = format!("broker {id}: produce requests take {total:.0} ms although CPU has headroom");
            symptoms.push(Evidence::measured(text, total, SLOW_MS));
        }
        if let Some(count) = now(|broker| broker.under_replicated_partitions.map(|n| n as f64)).filter(|n| *n > 0.0) {
            symptoms.push(Evidence::measured(
                format!("broker {id}: {count:.0} partitions under-replicated"),
                count,
                0.0,
            ));
        }
        if let Some(count) = now(|broker| broker.under_min_isr_partitions.map(|n| n as f64)).filter(|n| *n > 0.0) {
            symptoms.push(Evidence::measured(
                format!("broker {id}: {count:.0} partitions below min.insync.replicas"),
                count,
                0.0,
            ));
        }
        if let Some(count) = now(|broker| broker.offline_partitions.map(|n| n as f64)).filter(|n| *n > 0.0) {
            symptoms.push(Evidence::measured(format!("{count:.0} partitions have no leader"), count, 0.0));
        }
        if !symptoms.is_empty() {
            finding.brokers.push(id);
            finding.evidence_for.extend(symptoms);
        }
    }
    finding.evidence_for.extend(traffic_gone(window));
    finding.evidence_for.extend(leaders_uneven(window));
    lag_grows(window, &mut finding);
    // Requests that never end have no times.
    let is_stuck = |seen: &Evidence| {
        let rates = seen.value.zip(seen.threshold);
        rates.is_some_and(|(acknowledged, offered)| acknowledged < offered * STUCK_SHARE)
    };
    finding.evidence_for.extend(window.load_evidence().filter(is_stuck));
    if finding.evidence_for.is_empty() {
        return None;
    }
    for id in window.brokers() {
        if let Some(heap) = window.median(id, |b| b.heap_after_gc_percent).filter(|heap| *heap > HEAP_PERCENT) {
            let text = format!("broker {id}: heap {heap:.0} % full after collection");
            finding.evidence_for.push(Evidence::measured(text, heap, HEAP_PERCENT));
        }
    }
    Some(Finding {
        title: "a symptom without a known cause".to_owned(),
        cause: "no broker lacks CPU, and no other known cause explains it".to_owned(),
        check: Some(
            "check the parts of the produce time: a high local time points to the disk, a high remote time \
                     with a normal local time to a follower or the network"
                .to_owned(),
        ),
        confidence: 0.6,
        anti_recommendations: vec!["do not resize because of this alone: CPU is not the bottleneck".to_owned()],
        ..finding
    })
}

/// Traffic that is gone from every broker while as many clients are connected as before: they cannot get through, or have
/// nothing to send.
fn traffic_gone(window: &Window) -> Option<Evidence> {
    let sum = |of: &dyn Fn(BrokerId) -> Option<f64>| -> Option<f64> {
        window.brokers().into_iter().map(of).try_fold(0.0, |sum, value| Some(sum + value?))
    };
    let traffic = |broker: &BrokerSample| broker.bytes_in_per_s;
    let open =
        |broker: &BrokerSample| broker.client_connection_count.or(broker.connection_count).map(|count| count as f64);
    let gone = |id| {
        let (now, before) = (window.median(id, traffic)?, window.before(id, traffic)?);
        Some(before >= LEAST_BYTES_PER_S && now < before * GONE_SHARE)
    };
    let brokers = window.brokers();
    if !window.is_cloudwatch() || brokers.is_empty() || !brokers.into_iter().all(|id| gone(id) == Some(true)) {
        return None;
    }
    let bytes = sum(&|id| window.median(id, traffic))?;
    match sum(&|id| window.median(id, open)).zip(sum(&|id| window.before(id, open))) {
        // They have left.
        Some((now, before)) if now < before * STAY_CONNECTED => None,
        Some((now, before)) => {
            let text = format!(
                "clients stay connected ({now:.0}, {before:.0} before) but produce almost nothing ({bytes:.0} bytes/s)"
            );
            Some(Evidence::seen(text, bytes))
        }
        None => {
            let text = format!(
                "almost nothing is produced ({bytes:.0} bytes/s); whether clients are connected was not \
                         observed"
            );
            Some(Evidence::seen(text, bytes))
        }
    }
}

/// Groups that read, and whose lag on a topic grows all the same by less than `consumer.slow` asks for: a cluster in which that
/// goes on is not healthy.
fn lag_grows(window: &Window, finding: &mut Finding) {
    for pace in topic_paces(window) {
        let reads = pace.share().is_some_and(|share| share < READS_NOTHING);
        if !reads || pace.lag_per_s < LAG_PER_S {
            continue;
        }
        let text = format!(
            "group {}: lag {:.0} on {} grows by {:.0} records/s",
            pace.group, pace.lag, pace.topic, pace.lag_per_s
        );
        finding.evidence_for.push(Evidence::measured(text, pace.lag_per_s, LAG_PER_S));
        if !finding.groups.contains(&pace.group) {
            finding.groups.push(pace.group);
        }
    }
}

/// Leaders and traffic that are gathered on few brokers, where which partitions they lead is not known.
fn leaders_uneven(window: &Window) -> Option<Evidence> {
    if topics(window).is_some() {
        return None;
    }
    let leaders = |id| window.median(id, |broker| broker.leader_count.map(|count| count as f64));
    let counts: Vec<(BrokerId, f64)> = window.brokers().into_iter().filter_map(|id| Some((id, leaders(id)?))).collect();
    let traffic: Vec<f64> = counts.iter().filter_map(|(id, _)| window.median(*id, |b| b.bytes_in_per_s)).collect();
    let skew = |values: &[f64]| {
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        values.iter().copied().reduce(f64::max).filter(|_| mean > 0.0).map(|most| most / mean)
    };
    let of_leaders = skew(&counts.iter().map(|(_, count)| *count).collect::<Vec<_>>())?;
    let enough = counts.iter().map(|(_, count)| count).sum::<f64>() >= 2.0 * counts.len() as f64;
    let text: Vec<String> = counts.iter().map(|(id, count)| format!("{count:.0} on broker {id}")).collect();
    let text =
        format!("leaders and traffic are uneven ({}); the topics API shows whether an election helps", text.join(", "));
    (enough && of_leaders >= UNEVEN_LEADERS && skew(&traffic)? >= UNEVEN_TIMES)
        .then(|| Evidence::measured(text, of_leaders, UNEVEN_LEADERS))
}
