mod stand_in;

use std::collections::BTreeMap;

use super::*;
use crate::{
    aws::{Action, Authentication, MetadataMode},
    sample::BrokerState,
};
use stand_in::{ARN, REGION, StandIn, dimensions, provisioned, serverless};

const MINUTE: i64 = 60_000;

/// 2026-11-30T10:00:00Z.
const NOW: i64 = 1_796_032_800_000;

const IDS: [i32; 6] = [1, 2, 3, 4, 6, 7];

fn always(name: &str, _: &BTreeMap<String, String>, _: i64) -> Option<f64> {
    Some(if name.ends_with("Lag") { 5.0 } else { 10.0 })
}

fn never(_: &str, _: &BTreeMap<String, String>, _: i64) -> Option<f64> {
    None
}

/// A cluster of six brokers with a gap in their ids, a group, two topics, and IAM clients.
async fn six_brokers() -> (StandIn, Aws) {
    let (stand_in, aws) = StandIn::start(provisioned("m5.large", "PER_BROKER", 6), &IDS, always).await;
    {
        let mut behaviour = stand_in.behaviour();
        behaviour.topics = vec!["orders".to_owned(), "__consumer_offsets".to_owned()];
        let mut list = |name: &str, pairs: &[(&str, &str)]| behaviour.listed.push((name.to_owned(), dimensions(pairs)));
        list("SumOffsetLag", &[("Consumer Group", "billing"), ("Topic", "orders")]);
        list("BytesInPerSec", &[("Broker ID", "7")]);
        list("BytesInPerSec", &[("Broker ID", "7"), ("Topic", "orders")]);
        list("BytesInPerSec", &[("Broker ID", "7"), ("Topic", "__consumer_offsets")]);
        list("ClientConnectionCount", &[("Broker ID", "7"), ("Client Authentication", "IAM")]);
        list("CpuUser", &[("Broker ID", "7")]);
    }
    (stand_in, aws)
}

async fn opened(aws: &Aws, options: Options) -> CloudWatch {
    let info = aws.find("orders").await.unwrap();
    let mut source = CloudWatch::open(aws.clone(), &info, options).await.unwrap();
    // Opened by the real clock, and read by that of the tests.
    source.listed_at_ms = NOW;
    source
}

#[tokio::test]
async fn a_cluster_is_described_whatever_its_kind() {
    let (stand_in, aws) = six_brokers().await;
    let info = aws.find(ARN).await.unwrap();
    assert_eq!(aws.clusters().await.unwrap(), std::slice::from_ref(&info));
    assert_eq!((info.kind, info.broker_type.as_deref()), (ClusterKind::Standard, Some("kafka.m5.large")));
    assert_eq!((info.metadata, info.monitoring_level), (Some(MetadataMode::Kraft), Some(MonitoringLevel::PerBroker)));
    assert_eq!((info.authentication.as_slice(), info.volume_gib), (&[Authentication::Iam][..], Some(100)));
    assert!(info.open_monitoring.jmx_exporter && !info.open_monitoring.node_exporter);
    assert_eq!((info.tags["team"].as_str(), info.state.as_str()), ("billing", "ACTIVE"));
    let cluster = aws.cluster("orders").await.unwrap();
    assert_eq!((cluster.broker_count, cluster.broker_type.as_str()), (6, "kafka.m5.large"));
    let missing = aws.find("ordres").await.unwrap_err().to_string();
    assert_eq!(missing, "no cluster ordres in us-west-2; there are: orders");
    let gone = aws.find(&ARN.replace("orders", "gone")).await.unwrap_err().to_string();
    assert_eq!(gone, "no cluster gone in us-west-2; there are: orders");
    let elsewhere = aws.find(&ARN.replace(REGION, "eu-west-1")).await.unwrap_err().to_string();
    assert!(elsewhere.contains("is in eu-west-1, not in the requested us-west-2"), "{elsewhere}");

    stand_in.behaviour().cluster = serverless();
    let info = aws.find("orders").await.unwrap();
    assert_eq!((info.kind, info.broker_count, info.broker_type), (ClusterKind::Serverless, 0, None));
    let refused = aws.cluster("orders").await.unwrap_err();
    assert!(matches!(refused, AwsError::Serverless { .. }), "{refused}");
    stand_in.behaviour().cluster = provisioned("express.m7g.large", "DEFAULT", 3);
    assert_eq!(aws.find("orders").await.unwrap().kind, ClusterKind::Express);
}

#[tokio::test]
async fn all_brokers_of_list_nodes_are_read_and_what_belongs_to_them() {
    let (_stand_in, aws) = six_brokers().await;
    let mut source = opened(&aws, Options::default()).await;
    assert_eq!(source.status().broker_ids(), IDS);
    let samples = source.update_at(NOW).await.unwrap();
    assert_eq!(samples.len(), FIRST_PERIODS as usize);
    let last = samples.last().unwrap();
    // Two minutes are left to arrive.
    assert_eq!(last.at_ms, NOW - 3 * MINUTE);
    assert_eq!(last.brokers.keys().copied().collect::<Vec<_>>(), IDS);
    let seven = &last.brokers[&7];
    assert_eq!((seven.state, seven.cpu_percent()), (BrokerState::Serving, Some(20.0)));
    assert_eq!((seven.client_connection_count, seven.topic_bytes_in_per_s["orders"]), (Some(10), 10.0));
    assert_eq!(seven.topic_bytes_in_per_s.len(), 1);
    assert_eq!(last.groups["billing"].lags["orders"].sum_records, Some(5.0));
    let orders = &last.topics["orders"];
    assert_eq!((orders.partitions[0].leader, orders.partitions[0].in_sync.as_slice()), (Some(4), &[4, 6][..]));
    assert_eq!((orders.min_insync_replicas, orders.replication_throttled), (Some(2), true));
    assert_eq!((last.topics.len(), last.protocol_at_ms), (1, Some(NOW)));
    // The same minutes are no news.
    assert_eq!(source.update_at(NOW + 1000).await.unwrap(), []);
    assert_eq!(source.update_at(NOW + MINUTE).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_price_before_is_that_of_the_requests_made() {
    let (stand_in, aws) = six_brokers().await;
    let mut source = opened(&aws, Options::default()).await;
    let listed = source.status().requests();
    assert_eq!((listed.list_metrics_calls, stand_in.calls("ListMetrics")), (3, 3));
    for hours in [1, 8] {
        let now = now_ms();
        let to = source.judged_to(now);
        let before = source.status().requests();
        let planned = source.requests(to - hours * 60 * MINUTE, to);
        source.between(to - hours * 60 * MINUTE, to).await.unwrap();
        assert_eq!(source.status().requests(), before + planned, "{hours} h");
    }
    let made = source.status().requests();
    assert_eq!(made.metrics, stand_in.behaviour().metrics);
    assert_eq!(made.get_metric_data_calls, stand_in.calls("GetMetricData"));
    assert!((made.usd() - (made.metrics + 3) as f64 / 100_000.0).abs() < 1e-12);

    source.set_limit_usd(Some(0.001));
    let refused = source.history(10).await.unwrap_err().to_string();
    assert!(refused.ends_with("more than the limit of USD 0.00"), "{refused}");
    assert_eq!(stand_in.calls("GetMetricData"), made.get_metric_data_calls, "refused before anything was read");
}

#[tokio::test]
async fn every_call_that_is_made_is_in_the_list_of_actions() {
    let (stand_in, aws) = six_brokers().await;
    let mut source = opened(&aws, Options::default()).await;
    source.update_at(NOW).await.unwrap();
    let cluster = aws.cluster(ARN).await.unwrap();
    assert_eq!(aws.bootstrap(&cluster).await.unwrap().sasl_iam.unwrap().split(',').count(), 3);
    let operations = aws.operations(ARN).await.unwrap();
    assert_eq!(operations.iter().map(|of| of.arn.as_str()).collect::<Vec<_>>(), ["arn:2", "arn:1"]);
    assert_eq!(operations[0].to_string(), "UPDATE_BROKER_TYPE (since 2026-11-30T10:00:00Z)");
    aws.operation("arn:2").await.unwrap();
    let made: Vec<String> = stand_in.behaviour().calls.keys().cloned().collect();
    let mut listed: Vec<&str> =
        Action::ALL.iter().filter(|action| !action.iam().is_empty()).map(|action| action.name()).collect();
    listed.sort_unstable();
    assert_eq!(made, listed, "calls made, and calls that the policy allows");
}

#[tokio::test]
async fn what_is_denied_is_named_and_the_rest_is_read() {
    let (stand_in, aws) = six_brokers().await;
    let of =
        |source: &CloudWatch, field: Field| source.status().unavailable().into_iter().find(|lack| lack.field == field);
    stand_in.behaviour().denied = ["ListTopics", "ListMetrics"].into();
    let mut source = opened(&aws, Options::default()).await;
    assert_eq!(source.update_at(NOW).await.unwrap().len(), 10);
    let topics = of(&source, Field::Topics).unwrap();
    assert_eq!(topics.reason, "ListTopics is not allowed");
    assert!(
        topics
            .enable
            .unwrap()
            .starts_with("allow kafka:ListTopics, kafka-cluster:Connect and kafka-cluster:DescribeTopic")
    );
    assert!(of(&source, Field::GroupLag).unwrap().enable.unwrap().starts_with("allow cloudwatch:ListMetrics"));
    assert_eq!(of(&source, Field::Cpu), None);

    stand_in.behaviour().denied = ["DescribeTopic"].into();
    let mut source = opened(&aws, Options::default()).await;
    let last = source.update_at(NOW).await.unwrap().pop().unwrap();
    assert!(!last.topics.is_empty() && of(&source, Field::Topics).is_none());
    assert_eq!(of(&source, Field::TopicConfigs).unwrap().reason, "DescribeTopic is not allowed");

    stand_in.behaviour().denied = ["GetMetricData"].into();
    let error = opened(&aws, Options::default()).await.update_at(NOW).await.unwrap_err().to_string();
    assert!(error.starts_with("GetMetricData is not allowed: "), "{error}");
    assert!(error.contains("allow cloudwatch:GetMetricData (AmazonMSKReadOnlyAccess does not"), "{error}");
}

#[tokio::test]
async fn what_was_left_out_on_purpose_is_not_missing_for_no_reason() {
    let (_stand_in, aws) = six_brokers().await;
    let mut source = opened(&aws, Options { parts: false, ..Options::default() }).await;
    source.update_at(NOW).await.unwrap();
    let unavailable = source.status().unavailable();
    let said = unavailable.iter().find(|said| said.field == Field::GroupLag).unwrap();
    assert_eq!(said.reason, "consumer groups and topics were left out of this reading");
}

#[tokio::test]
async fn denied_list_nodes_is_not_a_cluster_without_brokers() {
    let (stand_in, aws) = six_brokers().await;
    stand_in.behaviour().denied = ["ListNodes"].into();
    let source = opened(&aws, Options::default()).await;
    // Those that CloudWatch lists.
    assert_eq!(source.status().broker_ids(), [7]);
    assert!(source.status().take_notes()[0].starts_with("ListNodes is not allowed: "));
    stand_in.behaviour().listed.clear();
    let info = aws.find("orders").await.unwrap();
    let error = CloudWatch::open(aws.clone(), &info, Options::default()).await.unwrap_err().to_string();
    assert!(error.starts_with("ListNodes is not allowed: ") && error.contains("allow kafka:ListNodes"), "{error}");
}

/// Broker 7 publishes the minute at which it is asked first only later: from the second `REVEALED` on.
static REVEALED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

fn seven_is_late(name: &str, dimensions: &BTreeMap<String, String>, at: i64) -> Option<f64> {
    let is_late = dimensions.get("Broker ID").is_some_and(|id| id == "7") && at * 1000 >= NOW - 4 * MINUTE;
    let is_gap = at * 1000 == NOW - 6 * MINUTE;
    let hidden = is_late && !REVEALED.load(std::sync::atomic::Ordering::SeqCst);
    always(name, dimensions, at).filter(|_| !hidden && !is_gap)
}

#[tokio::test]
async fn late_values_are_filled_in_and_gaps_stay_gaps() {
    let (_stand_in, aws) = StandIn::start(provisioned("m5.large", "DEFAULT", 6), &IDS, seven_is_late).await;
    let mut source = opened(&aws, Options::default()).await;
    let samples = source.update_at(NOW).await.unwrap();
    assert_eq!(samples.len(), 9, "a minute without any datapoint is no sample");
    assert!(samples.iter().all(|sample| sample.at_ms != NOW - 6 * MINUTE));
    assert_eq!(samples.last().unwrap().brokers[&7].state, BrokerState::Unreachable);
    assert_eq!(samples[0].brokers[&7].state, BrokerState::Serving);
    REVEALED.store(true, std::sync::atomic::Ordering::SeqCst);
    let news = source.update_at(NOW + MINUTE).await.unwrap();
    let times: Vec<i64> = news.iter().map(|sample| (sample.at_ms - NOW) / MINUTE).collect();
    assert_eq!(times, [-4, -3, -2], "two minutes again, one new");
    assert!(news.iter().all(|sample| sample.brokers[&7].state == BrokerState::Serving));
}

#[tokio::test]
async fn throttling_is_waited_for_and_ends_nothing() {
    let (stand_in, aws) = StandIn::start(provisioned("m5.large", "DEFAULT", 6), &IDS, always).await;
    // More than the SDK tries.
    stand_in.behaviour().throttled = 4;
    let source = opened(&aws, Options { topics: false, ..Options::default() }).await;
    let status = source.status();
    let mut samples = super::super::Source::CloudWatch(source).stream(Duration::from_millis(50));
    let sample = samples.recv().await.unwrap().unwrap();
    assert_eq!(sample.brokers.len(), 6);
    let notes = status.take_notes();
    assert_eq!(notes, ["GetMetricData was refused: Throttling: Rate exceeded"]);
}

#[tokio::test]
async fn silence_has_a_reason() {
    let (stand_in, aws) = StandIn::start(provisioned("m5.large", "DEFAULT", 6), &IDS, never).await;
    let mut source = opened(&aws, Options::default()).await;
    let error = source.update_at(NOW).await.unwrap_err().to_string();
    assert!(
        error.contains("lists no metric of it either: see that CloudWatch's endpoint, account and region"),
        "{error}"
    );
    assert!(source.history(10).await.unwrap().is_empty());
    for (field, value, expected) in [
        (
            "creationTime",
            "2026-11-30T09:57:00Z",
            "it was created 3 min ago, and the first datapoints take some minutes",
        ),
        ("state", "CREATING", "it is being created"),
    ] {
        stand_in.behaviour().cluster[field] = value.into();
        let mut source = opened(&aws, Options::default()).await;
        let error = source.update_at(NOW).await.unwrap_err();
        assert!(error.to_string().ends_with(expected), "{error}");
    }
    let lacking = source.status().unavailable();
    let cpu = lacking.iter().find(|lack| lack.field == Field::Cpu).unwrap();
    assert_eq!(cpu.reason, "CloudWatch has no datapoint of CpuUser, CpuSystem in the time that was read");
}

#[tokio::test]
async fn a_serverless_cluster_has_groups_and_says_what_it_lacks() {
    let (stand_in, aws) = StandIn::start(serverless(), &[], always).await;
    let lag = ("SumOffsetLag".to_owned(), dimensions(&[("Consumer Group", "billing"), ("Topic", "orders")]));
    let bytes = ("BytesInPerSec".to_owned(), dimensions(&[("Topic", "orders")]));
    stand_in.behaviour().listed = vec![lag, bytes];
    let mut source = opened(&aws, Options::default()).await;
    let last = source.update_at(NOW).await.unwrap().pop().unwrap();
    assert!(last.brokers.is_empty());
    assert_eq!(last.groups["billing"].lags["orders"].max_records, Some(5.0));
    assert_eq!((stand_in.calls("ListNodes"), stand_in.calls("ListTopics")), (0, 0));
    let lacking = source.status().unavailable();
    let reason = |field: Field| lacking.iter().find(|lack| lack.field == field).map(|lack| lack.reason.as_str());
    assert_eq!(reason(Field::Topics), Some("the topics API is not available for serverless clusters"));
    assert_eq!(reason(Field::Cpu), Some("CpuUser, CpuSystem: not published for Serverless clusters"));
}

#[tokio::test]
async fn short_minutes_are_read_as_such() {
    let (_stand_in, aws) = StandIn::start(provisioned("m5.large", "DEFAULT", 6), &IDS, always).await;
    let timing = Timing::of_period(Duration::from_secs(5));
    let mut source = opened(&aws, Options { timing, ..Options::default() }).await;
    let samples = source.update_at(NOW).await.unwrap();
    assert_eq!(samples.last().unwrap().at_ms, NOW - 15_000);
    assert_eq!((samples.len(), samples[1].at_ms - samples[0].at_ms), (10, 5000));
}

#[tokio::test]
async fn brokers_of_two_types_have_the_memory_of_their_own() {
    // The cluster is on its way from m5.large, which ListNodes still has, to m5.xlarge.
    let (stand_in, aws) = StandIn::start(provisioned("m5.xlarge", "DEFAULT", 6), &IDS, always).await;
    let memory = |samples: Vec<Sample>| samples.last().unwrap().brokers[&7].memory_total_bytes;
    // A lab of scale 1:4.
    let options = Options { memory_total_bytes: Some((16 << 30) / 4), ..Options::default() };
    let mut source = opened(&aws, options).await;
    assert_eq!(memory(source.update_at(NOW).await.unwrap()), Some((8 << 30) / 4));
    // A broker is added, and MSK does not know types by the catalogue: memory is the sum of its parts.
    stand_in.behaviour().cluster = provisioned("m8g.large", "DEFAULT", 7);
    stand_in.behaviour().broker_ids.push(9);
    let later = NOW + LIST_EVERY_PERIODS * MINUTE;
    let last = source.update_at(later).await.unwrap().pop().unwrap();
    assert!(last.brokers.contains_key(&9));
    assert!(source.keys().iter().any(|key| key.metric().name == "MemoryCached"));
}

#[tokio::test]
async fn a_control_plane_that_fails_later_ends_nothing() {
    let (stand_in, aws) = six_brokers().await;
    let mut source = opened(&aws, Options::default()).await;
    source.update_at(NOW).await.unwrap();
    stand_in.behaviour().denied = ["ListNodes", "DescribeClusterV2", "ListTopics", "ListMetrics"].into();
    let news = source.update_at(NOW + LIST_EVERY_PERIODS * MINUTE).await.unwrap();
    assert_eq!(news.last().unwrap().brokers.len(), 6);
    assert!(source.status().take_notes().iter().any(|note| note.starts_with("ListNodes is not allowed")));
}

/// Traffic that is highest at noon; nothing in the week that began 40 days before [`NOW`].
fn by_day(name: &str, _: &BTreeMap<String, String>, at_s: i64) -> Option<f64> {
    let days_ago = (now_ms() / 1000 - at_s) as f64 / 86_400.0;
    let hour = at_s.rem_euclid(86_400) as f64 / 3600.0;
    (!(33.0..40.0).contains(&days_ago)).then(|| match name {
        "ConnectionCount" => 500.0,
        "BytesInPerSec" => 1e6 * (1.0 + (hour / 24.0 * std::f64::consts::PI).sin()),
        _ => 10.0,
    })
}

#[tokio::test]
async fn a_history_of_63_days_costs_cents_and_is_read_in_minutes_and_before_in_five_minutes() {
    let (stand_in, aws) = StandIn::start(provisioned("m5.large", "PER_BROKER", 3), &[1, 2, 3], by_day).await;
    stand_in.behaviour().topics = vec!["orders".to_owned()];
    let mut source = opened(&aws, Options { parts: false, ..Options::default() }).await;
    let planned = source.requests_of_days(63, Resolution::Finest);
    assert!(planned.usd() <= 0.05, "{planned:?}");
    let samples = source.days(63, Resolution::Finest).await.unwrap();
    assert_eq!((source.status().requests(), stand_in.behaviour().metrics), (planned, planned.metrics));
    let steps: Vec<i64> = samples.windows(2).map(|pair| pair[1].at_ms - pair[0].at_ms).collect();
    let count = |step: i64| steps.iter().filter(|found| **found == step * MINUTE).count();
    // 15 days of minutes, less what is not judged yet; 48 days of five minutes, less the week without data.
    assert!((21_550..=21_600).contains(&count(1)), "{}", count(1));
    assert!((11_700..=11_850).contains(&count(5)), "{}", count(5));
    assert_eq!(count(1) + count(5) + 1, steps.len(), "one gap");
    let (first, last) = (&samples[0], samples.last().unwrap());
    assert!((last.at_ms - first.at_ms) as f64 / 86_400_000.0 > 62.9);
    // Summed over five minutes by CloudWatch, which the stand-in does not do.
    assert_eq!((first.brokers[&1].connection_count, last.brokers[&1].connection_count), (Some(100), Some(500)));
    assert_eq!((first.topics.len(), last.topics["orders"].partitions[0].replicas.len()), (0, 3));
    let hours = source.days(14, Resolution::Hours).await.unwrap();
    assert!((330..=336).contains(&hours.len()) && hours.iter().all(|sample| sample.at_ms % 3_600_000 == 0));
    source.set_limit_usd(Some(0.0));
    assert!(matches!(source.days(63, Resolution::Finest).await, Err(MetricsError::Price { .. })));
}
