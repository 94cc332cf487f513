//! A broker without a CPU figure: no statement about its size.

use super::{
    Evidence, Finding, Kind, Rule, Window,
    coverage::{Clusters, Needs},
    disk_full::full,
    window::names,
};
use crate::{
    finding_id,
    sample::{BrokerId, BrokerSample},
};

pub const RULE: Rule = Rule {
    id: finding_id::INCONCLUSIVE_NO_DATA,
    kind: Kind::Gate,
    judge,
    needs: Needs { any: &[], helps: &[], of: Clusters::Provisioned },
    meaning: "A broker answers, but what was needed for a verdict was not among its metrics. No data is not zero.",
    told_apart: "By the absence of CPU values in the window.",
    in_the_lab: "kgen diagnose --targets FILE, with a file that names no node exporter",
};

fn judge(window: &Window) -> Option<Finding> {
    // A broker that is gone has none either; that it is gone is told elsewhere.
    let unpublished = window.unpublished().map(|(brokers, _)| brokers).unwrap_or_default();
    // Nor does one whose volume is full: that it ends then is known.
    let gone = |id: BrokerId| {
        window.is_unreachable(id)
            && (!window.is_cloudwatch() || unpublished.contains(&id) || full(window, id).is_some())
    };
    let without = |id: &BrokerId| window.values(*id, BrokerSample::cpu_percent).len() < 2 && !gone(*id);
    let brokers: Vec<BrokerId> = window.brokers().into_iter().filter(without).collect();
    if brokers.is_empty() && !window.brokers().is_empty() {
        return None;
    }
    let source = if window.is_cloudwatch() {
        "CpuUser and CpuSystem in CloudWatch"
    } else {
        "node_cpu_seconds_total of the node exporter"
    };
    if window.is_cloudwatch() && window.recent().iter().all(|sample| sample.brokers.values().all(publishes_nothing)) {
        return Some(no_datapoints());
    }
    let (title, check) = if window.is_cloudwatch() {
        (
            "CloudWatch has no datapoints of some brokers",
            "whether these brokers exist (aws kafka list-nodes), and whether more of their metrics are missing: a broker that \
             is down publishes nothing, and one that is new begins after some minutes",
        )
    } else {
        ("a metric is missing", "see that open monitoring has its node exporter on, or use --source cloudwatch")
    };
    Some(Finding {
        title: title.to_owned(),
        cause: "without CPU values nothing is said about the size of a broker".to_owned(),
        evidence_for: vec![Evidence::fact(format!("{}: no CPU values", names(&brokers)))],
        missing: vec![source.to_owned()],
        check: Some(check.to_owned()),
        brokers,
        confidence: 0.95,
        ..Finding::default()
    })
}

fn publishes_nothing(broker: &BrokerSample) -> bool {
    broker.cpu_percent().is_none() && broker.bytes_in_per_s.is_none() && broker.partition_count.is_none()
}

/// CloudWatch has nothing at all of the cluster.
pub(super) fn no_datapoints() -> Finding {
    Finding {
        title: "CloudWatch has no datapoints of this cluster".to_owned(),
        cause: "the cluster has just been created or monitoring just enabled, or its name or the region is another".to_owned(),
        evidence_for: vec![Evidence::fact("no broker has a value in the whole window")],
        missing: vec!["every metric of AWS/Kafka with this cluster's name".to_owned()],
        check: Some(
            "aws cloudwatch list-metrics --namespace AWS/Kafka: the dimension `Cluster Name` is the name, not the ARN; a new \
             cluster publishes some minutes after it is ACTIVE"
                .to_owned(),
        ),
        confidence: 0.95,
        ..Finding::default()
    }
}
