//! Clients that a quota slows down.

use super::{
    Evidence, Finding, Kind, Rule, Window,
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
