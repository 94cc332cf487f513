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
const THROTTLE_MS: f64 = 5.0;

pub const RULE: Rule = Rule {
    id: finding_id::CLIENT_QUOTA_THROTTLED,
    kind: Kind::Cause,
    judge,
    needs: Needs { any: &[&[Field::ProduceThrottle]], helps: &[Field::Cpu], of: Clusters::Provisioned },
    meaning: "A client quota (producer_byte_rate) is below what clients want to send; the brokers delay their answers.",
    told_apart: "ThrottleTimeMs above 0 while brokers have room. A broker that is out of CPU has a throttle time of 0.",
    in_the_lab: "kafka-configs.sh --alter --entity-type clients --entity-name kgen --add-config producer_byte_rate=50000, kgen \
                 produce, kgen diagnose",
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
                format!("broker {id}: answers are held back {ms:.0} ms by a quota"),
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
        cause: "clients want to send more than producer_byte_rate allows".to_owned(),
        evidence_for,
        evidence_against: cpu
            .map(|cpu| Evidence::seen(format!("CPU is short as well: {cpu:.0} %"), cpu))
            .into_iter()
            .collect(),
        check: Some("kafka-configs.sh --describe --entity-type clients --entity-type users".to_owned()),
        confidence: 0.9,
        remedy: Some(Remedy::Advice(Advice::new(
            "raise the quota, or lower the clients' rate",
            &["kafka-configs.sh --alter --add-config producer_byte_rate=… --entity-type clients --entity-name CLIENT"],
        ))),
        anti_recommendations: vec!["do not resize: the brokers wait on purpose".to_owned()],
        ..Finding::default()
    })
}

/// Express brokers throttle clients at the throughput of their size, which no quota of a client shows.
fn of_express(window: &Window, held: Vec<BrokerId>, evidence_for: Vec<Evidence>) -> Finding {
    Finding {
        title: "produce requests are throttled".to_owned(),
        cause: "the throughput that the broker size allows is reached, or a client quota".to_owned(),
        evidence_for,
        check: Some(
            "BytesInPerSec of the brokers against the limit of their size (MSK quotas); kafka-configs.sh --describe \
             --entity-type clients shows client quotas"
                .to_owned(),
        ),
        confidence: 0.8,
        remedy: window.next_larger("it allows more throughput", true).or_else(|| {
            Some(Remedy::Advice(Advice::new(
                "a larger Express size, or more brokers (three at a time)",
                &["if it is a client quota, raise that instead"],
            )))
        }),
        brokers: held,
        ..Finding::default()
    }
}
