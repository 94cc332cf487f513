//! Clients that keep reconnecting.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    window::names,
};
use crate::{
    finding_id,
    remedy::{Advice, Remedy},
    sample::{BrokerId, BrokerSample, Field},
};

/// New connections a second on a broker that are no fleet at its start. Measured: 0.03 when calm, 30 in a storm; with IAM
/// MSK allows 100 a second on a broker, 4 on kafka.t3.small (MSK quotas).
pub const CREATED_PER_S: f64 = 10.0;

/// Open connections with IAM that MSK allows on a broker (MSK quotas).
pub const OPEN: f64 = 3000.0;

/// Open connections over those of before from which on something has changed, and how many more at least.
const TIMES_BEFORE: f64 = 10.0;
const MORE: f64 = 100.0;

pub const RULE: Rule = Rule {
    id: finding_id::CLIENT_CONNECTION_STORM,
    kind: Kind::Cause,
    judge,
    needs: Needs { any: &[&[Field::ConnectionRate]], helps: &[Field::Connections], of: Clusters::Provisioned },
    meaning: "Clients keep opening connections: one for each request, or they fail and retry without waiting. The \
              handshakes use up the brokers' CPU.",
    told_apart: "ConnectionCreationRate stays high. When a fleet of clients starts, it is high only once.",
    in_the_lab: "while :; do (: >/dev/tcp/127.0.0.1/PORT); done in a few shells, with a broker's port, then kgen diagnose",
};

fn judge(window: &Window) -> Option<Finding> {
    let storm = |id: &BrokerId| {
        window.lasts_above(*id, CREATED_PER_S, |broker| broker.connections_created_per_s)
            || window.lasts_above(*id, OPEN, |broker| broker.connection_count.map(|count| count as f64))
    };
    let brokers: Vec<BrokerId> = window.brokers().into_iter().filter(storm).collect();
    if brokers.is_empty() {
        return more_than_before(window);
    }
    let mut evidence_for = Vec::new();
    for id in &brokers {
        if let Some(rate) = window.median(*id, |broker| broker.connections_created_per_s) {
            let text = format!("broker {id}: {rate:.0} new connections/s");
            evidence_for.push(Evidence::measured(text, rate, CREATED_PER_S));
        }
        if let Some(open) = window.median(*id, |broker| broker.connection_count.map(|count| count as f64)) {
            evidence_for.push(Evidence::measured(format!("broker {id}: {open:.0} open connections"), open, OPEN));
        }
    }
    Some(Finding {
        title: format!("clients keep reconnecting to {}", names(&brokers)),
        cause: "clients are created for each request, or fail and retry immediately".to_owned(),
        brokers,
        evidence_for,
        check: Some(
            "find the addresses that connect most: the brokers' request log, or ss -tn on the clients".to_owned(),
        ),
        confidence: 0.85,
        remedy: Some(Remedy::Advice(Advice::new(
            "reuse one client per process, and wait before reconnecting",
            &["reconnect.backoff.ms=1000, reconnect.backoff.max.ms=10000", "start fleets with a random delay"],
        ))),
        anti_recommendations: vec!["do not add brokers: clients connect to each of them".to_owned()],
        ..Finding::default()
    })
}

/// By the number of open connections alone, where new ones are not counted: a storm, or a fleet that has started. A suspicion.
fn more_than_before(window: &Window) -> Option<Finding> {
    let open =
        |broker: &BrokerSample| broker.connection_count.or(broker.client_connection_count).map(|count| count as f64);
    let counted = |id: BrokerId| window.median(id, |broker| broker.connections_created_per_s).is_some();
    let grown = |id: BrokerId| {
        let (now, before) = (window.median(id, open)?, window.before(id, open)?);
        (now >= before.max(1.0) * TIMES_BEFORE && now >= before + MORE).then_some((id, now, before))
    };
    let grown: Vec<_> = window.brokers().into_iter().filter(|id| !counted(*id)).filter_map(grown).collect();
    if grown.is_empty() {
        return None;
    }
    let text = |(id, now, before): &(BrokerId, f64, f64)| {
        Evidence::measured(
            format!("broker {id}: {now:.0} open connections, {before:.0} before"),
            *now,
            before * TIMES_BEFORE,
        )
    };
    Some(Finding {
        title: "many more connections than before".to_owned(),
        cause: "clients keep reconnecting, or a fleet of clients has just started".to_owned(),
        evidence_for: grown.iter().map(text).collect(),
        missing: vec!["watch ConnectionCreationRate (PER_BROKER): a fleet connects once, a storm continues".to_owned()],
        check: Some(
            "check whether a fleet of clients has just started; monitoring level PER_BROKER shows new \
                     connections"
                .to_owned(),
        ),
        confidence: 0.45,
        anti_recommendations: vec!["do not add brokers: clients connect to each of them".to_owned()],
        brokers: grown.into_iter().map(|(id, ..)| id).collect(),
        ..Finding::default()
    })
}
