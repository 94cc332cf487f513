//! Clients that a quota slows down.

use super::{
    ClusterKind, Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    window::CPU_PERCENT,
};
use crate::{
    finding_id,
    remedy::{Advice, Remedy},
    sample::{BrokerId, BrokerSample, Field},
};

/// Mean time that a quota holds back an answer, ms: without a quota it is 0.
pub const THROTTLE_MS: f64 = 5.0;

pub const RULE: Rule = Rule {
    id: finding_id::CLIENT_QUOTA_THROTTLED,
    kind: Kind::Cause,
    judge,
    needs: Needs { any: &[&[Field::ProduceThrottle]], helps: &[Field::Cpu], of: Clusters::Provisioned },
    meaning: "A client quota (producer_byte_rate) is below what clients try to send, so the brokers delay their \
              responses.",
    told_apart: "ThrottleTimeMs is above 0 while the brokers have headroom. A broker that has run out of CPU has a \
                 throttle time of 0.",
    in_the_lab: "kafka-configs.sh --alter --entity-type clients --entity-name kgen --add-config \
                 producer_byte_rate=50000, kgen produce, then kgen diagnose",
};

fn throttle(broker: &BrokerSample) -> Option<f64> {
    broker.produce?.throttle_ms
}

/// Whether some broker delays answers now, lasting or not.
pub(super) fn holds_back(window: &Window) -> bool {
    window.brokers().into_iter().any(|id| window.median(id, throttle).is_some_and(|ms| ms >= THROTTLE_MS))
}

fn judge(window: &Window) -> Option<Finding> {
    let held: Vec<BrokerId> =
        window.brokers().into_iter().filter(|id| window.lasts_above(*id, THROTTLE_MS, throttle)).collect();
    if held.is_empty() {
        return None;
    }
    let evidence_for: Vec<Evidence> = held
        .iter()
        .filter_map(|id| {
            let ms = window.median(*id, throttle)?;
            Some(Evidence::measured(
                format!("broker {id}: responses are delayed by {ms:.0} ms because of a quota"),
                ms,
                THROTTLE_MS,
            ))
        })
        .chain(window.load_evidence())
        .collect();
    let cpu = window.typical(BrokerSample::cpu_percent).filter(|cpu| *cpu > CPU_PERCENT);
    if window.context.kind == Some(ClusterKind::Express) {
        return Some(of_express(window, held, evidence_for));
    }
    Some(Finding {
        title: "a client quota is reached".to_owned(),
        cause: "clients try to send more than producer_byte_rate allows".to_owned(),
        evidence_for,
        evidence_against: cpu
            .map(|cpu| Evidence::seen(format!("CPU is also nearly used up: {cpu:.0} %"), cpu))
            .into_iter()
            .collect(),
        check: Some("run kafka-configs.sh --describe --entity-type clients --entity-type users".to_owned()),
        confidence: 0.9,
        remedy: Some(Remedy::Advice(Advice::new(
            "raise the quota, or lower the clients' rate",
            &["kafka-configs.sh --alter --add-config producer_byte_rate=… --entity-type clients --entity-name CLIENT"],
        ))),
        anti_recommendations: vec!["do not resize: the brokers delay responses on purpose".to_owned()],
        ..Finding::default()
    })
}

/// Express brokers throttle clients at the throughput of their size, which no quota of a client shows.
fn of_express(window: &Window, held: Vec<BrokerId>, evidence_for: Vec<Evidence>) -> Finding {
    Finding {
        title: "produce requests are throttled".to_owned(),
        cause: "the throughput limit of the broker size, or a client quota, is reached".to_owned(),
        evidence_for,
        check: Some(
            "compare BytesInPerSec of the brokers with the limit of their size (MSK quotas); kafka-configs.sh \
             --describe --entity-type clients shows client quotas"
                .to_owned(),
        ),
        confidence: 0.8,
        remedy: window.next_larger("it allows more throughput", true).or_else(|| {
            Some(Remedy::Advice(Advice::new(
                "choose a larger Express size, or add brokers (three at a time)",
                &["if it is a client quota, raise the quota instead"],
            )))
        }),
        brokers: held,
        ..Finding::default()
    }
}
