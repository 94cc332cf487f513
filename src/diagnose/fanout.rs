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
pub const FAN: f64 = 3.0;

/// Traffic below which fan-out troubles nobody, bytes/s on a broker.
pub const LEAST_BYTES_OUT_PER_S: f64 = 200_000.0;

pub const RULE: Rule = Rule {
    id: finding_id::NETWORK_EGRESS_FANOUT,
    kind: Kind::Cause,
    judge,
    needs: Needs { any: &[&[Field::Traffic]], helps: &[Field::GroupLag, Field::Cpu], of: Clusters::Provisioned },
    meaning: "Several consumer groups read all records, so the brokers send a multiple of what they receive. The more \
              groups there are, the less the cluster can receive.",
    told_apart: "By BytesOutPerSec divided by BytesInPerSec; traffic to followers does not count.",
    in_the_lab: "kgen produce, four kgen consume with different --group names, then kgen diagnose",
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
        if saturated { Vec::new() } else { vec![Evidence::fact("no broker has run out of CPU because of it yet")] };
    Some(Finding {
        title: format!("every byte is read {fan:.1} times"),
        cause: "consumer groups multiply what the brokers send".to_owned(),
        groups,
        evidence_for,
        evidence_against,
        check: Some(
            "compare BytesOutPerSec with the network baseline of the type, and look for groups that are no \
                     longer used"
                .to_owned(),
        ),
        confidence: if saturated { 0.8 } else { 0.6 },
        remedy: Some(Remedy::Advice(Advice::new(
            "reduce the number of groups that read all records, let consumers read from brokers in their own zone, or \
             add brokers",
            &["client.rack on consumers with replica.selector.class=RackAwareReplicaSelector on brokers"],
        ))),
        anti_recommendations: vec!["do not add partitions: the number of bytes stays the same".to_owned()],
        ..Finding::default()
    })
}
