//! Many readers for each byte written.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    topology::groups,
    undersized::is_saturated,
};
use crate::{
    finding_id,
    remedy::{Advice, Remedy},
    sample::{BrokerSample, Field},
};

/// Bytes out for each byte in from which on reading is the larger part of the work. Measured: 4.0 with four groups.
const FAN: f64 = 3.0;

/// Traffic below which fan-out troubles nobody, bytes/s on a broker.
const LEAST_BYTES_OUT_PER_S: f64 = 200_000.0;

pub const RULE: Rule = Rule {
    id: finding_id::NETWORK_EGRESS_FANOUT,
    kind: Kind::Cause,
    judge,
    needs: Needs { any: &[&[Field::Traffic]], helps: &[Field::GroupLag, Field::Cpu], of: Clusters::Provisioned },
    meaning: "Several consumer groups read everything, so that brokers send a multiple of what they take. What a cluster \
              can take falls with the number of groups.",
    told_apart: "BytesOutPerSec over BytesInPerSec; without followers, which are not counted in it.",
    in_the_lab: "kgen produce, and four times kgen consume --group of another name, then kgen diagnose",
};

fn judge(window: &Window) -> Option<Finding> {
    let fan = window.typical(BrokerSample::fan_out)?;
    let bytes_out = window.typical(|broker| broker.bytes_out_per_s)?;
    if fan < FAN || bytes_out < LEAST_BYTES_OUT_PER_S {
        return None;
    }
    let groups = groups(window);
    let saturated = window.brokers().into_iter().any(|id| is_saturated(window, id));
    let mut evidence_for = vec![Evidence::measured(format!("{fan:.1} bytes out for each byte in"), fan, FAN)];
    if groups.len() > 1 {
        evidence_for.push(Evidence::seen(format!("{} consumer groups read", groups.len()), groups.len() as f64));
    }
    let evidence_against =
        if saturated { Vec::new() } else { vec![Evidence::fact("no broker is out of CPU for it yet")] };
    Some(Finding {
        title: format!("every byte is read {fan:.1} times"),
        cause: "consumer groups multiply what the brokers send".to_owned(),
        groups,
        evidence_for,
        evidence_against,
        check: Some("BytesOutPerSec against the type's network baseline; groups that are no longer used".to_owned()),
        confidence: if saturated { 0.8 } else { 0.6 },
        remedy: Some(Remedy::Advice(Advice::new(
            "fewer groups that read everything, readers in the brokers' zone, or more brokers",
            &["client.rack on consumers with replica.selector.class=RackAwareReplicaSelector on brokers"],
        ))),
        anti_recommendations: vec!["do not add partitions: the bytes stay the same".to_owned()],
        ..Finding::default()
    })
}
