//! A broker without CPU values, whose size cannot be judged.

use super::{
    ClusterKind, Evidence, Finding, Kind, Rule, Window,
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
    needs: Needs { any: &[], helps: &[], of: Clusters::All },
    meaning: "A broker responds, but its metrics do not include what a verdict needs. No data is not zero.",
    told_apart: "By the lack of CPU values in the window.",
    in_the_lab: "kgen diagnose --targets FILE, with a file that names no node exporter",
};

fn judge(window: &Window) -> Option<Finding> {
    if window.all().is_empty() && window.context.reads_cloudwatch() {
        return Some(no_datapoints());
    }
    if window.context.kind == Some(ClusterKind::Serverless) {
        // It has no brokers; what is published of it is by consumer group and topic.
        let is_silent = window.recent().iter().all(|sample| sample.groups.is_empty());
        return is_silent.then(no_datapoints);
    }
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
            "check whether these brokers exist (aws kafka list-nodes), and whether more of their metrics are missing: \
             a broker that is down publishes nothing, and a new one starts after a few minutes",
        )
    } else {
        ("a metric is missing", "turn on the node exporter of open monitoring, or use --source cloudwatch")
    };
    Some(Finding {
        title: title.to_owned(),
        cause: "without CPU values the size of a broker cannot be judged".to_owned(),
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
fn no_datapoints() -> Finding {
    Finding {
        title: "CloudWatch has no datapoints of this cluster".to_owned(),
        cause: "the cluster or its monitoring is new, or the cluster name or the region is wrong".to_owned(),
        evidence_for: vec![Evidence::fact("no broker has a value in the entire window")],
        missing: vec!["all AWS/Kafka metrics with this cluster's name".to_owned()],
        check: Some(
            "run aws cloudwatch list-metrics --namespace AWS/Kafka: the dimension `Cluster Name` is the name, not the \
             ARN; a new cluster publishes metrics a few minutes after it becomes ACTIVE"
                .to_owned(),
        ),
        confidence: 0.95,
        ..Finding::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        diagnose::{ClusterKind, Context, Verdict, diagnose},
        finding_id,
        sample::{BrokerSample, BrokerState, GroupSample, Sample, Source, TopicLag},
    };

    #[test]
    fn what_cloudwatch_lacks_is_not_said_to_be_found_there() {
        let busy = BrokerSample {
            state: BrokerState::Serving,
            cpu_user_percent: Some(20.0),
            cpu_system_percent: Some(2.0),
            bytes_in_per_s: Some(1e5),
            partition_count: Some(12),
            ..BrokerSample::default()
        };
        let told = |source: Source, silent: &[i32], interval_ms: i64| {
            let broker = |id: i32| if silent.contains(&id) { BrokerSample::default() } else { busy.clone() };
            // From inside they answer, but without the node exporter.
            let broker = |id: i32| match source {
                Source::CloudWatch => broker(id),
                _ => BrokerSample { state: BrokerState::Serving, ..broker(id) },
            };
            let sample = |n: i64| Sample {
                at_ms: n * interval_ms,
                source,
                brokers: (1..=3).map(|id| (id, broker(id))).collect(),
                ..Sample::default()
            };
            let context = Context { broker_count: 3, ..Context::default() };
            let found = diagnose(&context, &(0..40).map(sample).collect::<Vec<_>>());
            assert_eq!(found.findings[0].id, finding_id::INCONCLUSIVE_NO_DATA, "{found:#?}");
            serde_json::to_string(&found.findings[0]).unwrap()
        };
        for silent in [&[1, 2, 3][..], &[2]] {
            let text = told(Source::CloudWatch, silent, 60_000);
            assert!(!text.contains("--source cloudwatch") && text.contains("aws "), "{text}");
        }
        assert!(told(Source::Prometheus, &[2], 1000).contains("--source cloudwatch"));
        // No datapoint at all is no short look.
        let context = Context { broker_count: 3, period_s: Some(60.0), ..Context::default() };
        let found = diagnose(&context, &[]).findings.remove(0);
        assert!(found.id == finding_id::INCONCLUSIVE_NO_DATA && found.title.contains("no datapoints"), "{found:#?}");
        let short = diagnose(&Context { period_s: None, ..context }, &[]).findings.remove(0);
        assert_eq!(short.id, finding_id::INCONCLUSIVE_TOO_FEW_SAMPLES);
    }

    #[test]
    fn a_serverless_cluster_is_judged_by_its_consumer_groups() {
        let context = Context { kind: Some(ClusterKind::Serverless), ..Context::default() };
        let lag =
            TopicLag { max_records: Some(3.0), sum_records: Some(9.0), max_s: Some(0.1), rolling_max_s: Some(0.1) };
        let group = GroupSample { lags: [("orders".to_owned(), lag)].into(), ..GroupSample::default() };
        let minute = |n: i64, groups: &[(&str, &GroupSample)]| Sample {
            at_ms: n * 60_000,
            source: Source::CloudWatch,
            groups: groups.iter().map(|(name, group)| ((*name).to_owned(), (*group).clone())).collect(),
            ..Sample::default()
        };
        let with: Vec<Sample> = (0..12).map(|n| minute(n, &[("workers", &group)])).collect();
        let found = diagnose(&context, &with);
        assert_eq!((found.verdict, found.findings[0].id), (Verdict::Healthy, finding_id::HEALTHY), "{found:#?}");
        let without: Vec<Sample> = (0..12).map(|n| minute(n, &[])).collect();
        let found = diagnose(&context, &without);
        assert_eq!((found.verdict, found.findings[0].id), (Verdict::Inconclusive, finding_id::INCONCLUSIVE_NO_DATA));
    }
}
