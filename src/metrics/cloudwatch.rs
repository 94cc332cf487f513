//! The namespace `AWS/Kafka`: one datapoint a minute and broker.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use aws_sdk_cloudwatch::{
    primitives::DateTime,
    types::{Dimension, Metric as CloudWatchMetric, MetricDataQuery, MetricStat, ScanBy},
};

use super::MetricsError;
use crate::{
    aws::{Action, Aws, Paging},
    sample::{BrokerId, BrokerSample, BrokerState, RequestTimes, Sample, Source},
};

/// Queries that one GetMetricData takes (CloudWatch API Reference).
const QUERIES_A_CALL: usize = 500;

const MINUTE: Duration = Duration::from_secs(60);

/// Credits are published every five minutes (EC2 User Guide), so the last value holds for so long.
const CREDITS_HOLD_MS: i64 = 10 * 60_000;

/// The metrics read, each with the statistic that AWS advises for it.
const METRICS: [(&str, &str); 21] = [
    ("CpuUser", "Average"),
    ("CpuSystem", "Average"),
    ("CPUCreditBalance", "Minimum"),
    ("MemoryUsed", "Average"),
    ("MemoryFree", "Average"),
    ("HeapMemoryAfterGC", "Average"),
    ("ProduceTotalTimeMsMean", "Average"),
    ("ProduceLocalTimeMsMean", "Average"),
    ("ProduceRequestQueueTimeMsMean", "Average"),
    ("BytesInPerSec", "Average"),
    ("BytesOutPerSec", "Average"),
    ("MessagesInPerSec", "Average"),
    ("UnderReplicatedPartitions", "Maximum"),
    ("UnderMinIsrPartitionCount", "Maximum"),
    ("PartitionCount", "Maximum"),
    ("LeaderCount", "Maximum"),
    ("KafkaDataLogsDiskUsed", "Maximum"),
    ("ConnectionCount", "Maximum"),
    ("ConnectionCreationRate", "Average"),
    ("TrafficShaping", "Average"),
    ("ProduceThrottleTime", "Average"),
];

/// Reads the brokers of one cluster from CloudWatch.
#[derive(Debug)]
pub struct CloudWatch {
    aws: Aws,
    cluster: String,
    brokers: Vec<BrokerId>,
    /// Memory of the broker type, where known: MSK publishes none.
    memory_total_bytes: Option<u64>,
}

/// Datapoints of one broker's metric: milliseconds since the epoch, and the value.
type Series = BTreeMap<(BrokerId, &'static str), Vec<(i64, f64)>>;

impl CloudWatch {
    pub fn new(aws: Aws, cluster: &str, brokers: Vec<BrokerId>, memory_total_bytes: Option<u64>) -> CloudWatch {
        CloudWatch { aws, cluster: cluster.to_owned(), brokers, memory_total_bytes }
    }

    /// The latest complete minute.
    ///
    /// # Errors
    /// [`MetricsError::NoDatapoints`], or why CloudWatch gave no answer.
    pub async fn sample(&mut self) -> Result<Sample, MetricsError> {
        let newest = self.history(5).await?.pop();
        newest.ok_or_else(|| MetricsError::NoDatapoints { cluster: self.cluster.clone() })
    }

    /// The complete minutes among the last `minutes`, oldest first. Empty when nothing was published.
    ///
    /// # Errors
    /// Why CloudWatch gave no answer.
    pub async fn history(&self, minutes: u32) -> Result<Vec<Sample>, MetricsError> {
        // On a minute's boundary, so that every answer is cut into the same minutes, and the last is complete.
        let now = SystemTime::now();
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let until = now - (since_epoch - MINUTE * (since_epoch.as_secs() / MINUTE.as_secs()) as u32);
        let from = until - MINUTE * minutes.max(1) - Duration::from_millis(CREDITS_HOLD_MS as u64);
        let mut series = Series::new();
        let wanted: Vec<(BrokerId, usize)> =
            self.brokers.iter().flat_map(|&id| (0..METRICS.len()).map(move |metric| (id, metric))).collect();
        for wanted in wanted.chunks(QUERIES_A_CALL) {
            self.fetch(wanted, from, until, &mut series).await?;
        }
        let until_ms = DateTime::from(until).to_millis().unwrap_or(i64::MAX);
        let minutes = i64::from(minutes.max(1));
        Ok(samples(&self.brokers, &series, (until_ms - minutes * 60_000, until_ms), self.memory_total_bytes))
    }

    async fn fetch(
        &self,
        wanted: &[(BrokerId, usize)],
        from: SystemTime,
        until: SystemTime,
        series: &mut Series,
    ) -> Result<(), MetricsError> {
        let queries = wanted.iter().map(|&(id, metric)| self.query(id, metric)).collect();
        let mut pages = self
            .aws
            .cloudwatch()?
            .get_metric_data()
            .set_metric_data_queries(Some(queries))
            .start_time(DateTime::from(from))
            .end_time(DateTime::from(until))
            .scan_by(ScanBy::TimestampAscending)
            .into_paginator()
            .send();
        let mut paging = Paging::of(Action::GetMetricData);
        while let Some(page) = paging.bounded(pages.next()).await? {
            let page = page.map_err(|error| self.aws.failed(Action::GetMetricData, error))?;
            for result in page.metric_data_results.unwrap_or_default() {
                let Some(key) = result.id.as_deref().and_then(key) else { continue };
                let at = result.timestamps.unwrap_or_default().into_iter().filter_map(|at| at.to_millis().ok());
                series.entry(key).or_default().extend(at.zip(result.values.unwrap_or_default()));
            }
        }
        Ok(())
    }

    fn query(&self, id: BrokerId, metric: usize) -> MetricDataQuery {
        let dimension = |name: &str, value: String| Dimension::builder().name(name).value(value).build();
        let (name, statistic) = METRICS[metric];
        let metric_of_broker = CloudWatchMetric::builder()
            .namespace(crate::catalogue::Metric::NAMESPACE)
            .metric_name(name)
            .dimensions(dimension("Cluster Name", self.cluster.clone()))
            .dimensions(dimension("Broker ID", id.to_string()))
            .build();
        let stat =
            MetricStat::builder().metric(metric_of_broker).period(MINUTE.as_secs() as i32).stat(statistic).build();
        MetricDataQuery::builder().id(format!("m{metric}_b{id}")).metric_stat(stat).return_data(true).build()
    }
}

/// The broker and metric that a query's id stands for.
fn key(query: &str) -> Option<(BrokerId, &'static str)> {
    let (metric, broker) = query.strip_prefix('m')?.split_once("_b")?;
    Some((broker.parse().ok()?, METRICS.get(metric.parse::<usize>().ok()?)?.0))
}

/// One sample for each minute of `span` (ms) for which most brokers have a CPU value. A minute whose values are still
/// coming in is left out, as is one that no broker published.
fn samples(brokers: &[BrokerId], series: &Series, span: (i64, i64), memory_total: Option<u64>) -> Vec<Sample> {
    let mut minutes: BTreeMap<i64, usize> = BTreeMap::new();
    for id in brokers {
        for (at, _) in series.get(&(*id, "CpuUser")).into_iter().flatten() {
            *minutes.entry(*at).or_default() += 1;
        }
    }
    let is_whole = |at: i64, count: usize| at >= span.0 && at + 60_000 <= span.1 && count * 2 > brokers.len();
    let whole = minutes.into_iter().filter(|(at, count)| is_whole(*at, *count));
    whole
        .map(|(at, _)| Sample {
            at_ms: at,
            source: Source::CloudWatch,
            brokers: brokers.iter().map(|id| (*id, broker_at(*id, series, at, memory_total))).collect(),
            ..Sample::default()
        })
        .collect()
}

fn broker_at(id: BrokerId, series: &Series, at: i64, memory_total: Option<u64>) -> BrokerSample {
    let points = |name: &'static str| series.get(&(id, name)).into_iter().flatten();
    let value = |name| points(name).find(|(when, _)| *when == at).map(|(_, value)| *value);
    let count = |name| value(name).map(|value| value as u64);
    let held = points("CPUCreditBalance").filter(|(when, _)| (at - CREDITS_HOLD_MS..=at).contains(when));
    let memory_used = count("MemoryUsed");
    BrokerSample {
        state: if value("CpuUser").is_some() { BrokerState::Serving } else { BrokerState::Unreachable },
        cpu_user_percent: value("CpuUser"),
        cpu_system_percent: value("CpuSystem"),
        cpu_throttled_percent: None,
        cpu_credit_balance: held.max_by_key(|(when, _)| *when).map(|(_, value)| *value),
        memory_used_bytes: memory_used,
        memory_total_bytes: memory_total.or_else(|| Some(memory_used? + count("MemoryFree")?)),
        heap_after_gc_percent: value("HeapMemoryAfterGC"),
        heap_used_percent: None,
        produce: value("ProduceTotalTimeMsMean").map(|total_ms| RequestTimes {
            per_s: None,
            queue_ms: value("ProduceRequestQueueTimeMsMean"),
            local_ms: value("ProduceLocalTimeMsMean"),
            remote_ms: None,
            send_ms: None,
            throttle_ms: value("ProduceThrottleTime"),
            total_ms,
        }),
        bytes_in_per_s: value("BytesInPerSec"),
        bytes_out_per_s: value("BytesOutPerSec"),
        messages_in_per_s: value("MessagesInPerSec"),
        under_replicated_partitions: count("UnderReplicatedPartitions"),
        under_min_isr_partitions: count("UnderMinIsrPartitionCount"),
        offline_partitions: None,
        partition_count: count("PartitionCount"),
        leader_count: count("LeaderCount"),
        disk_used_percent: value("KafkaDataLogsDiskUsed"),
        connection_count: count("ConnectionCount"),
        connections_created_per_s: value("ConnectionCreationRate"),
        traffic_shaping: value("TrafficShaping"),
        ..BrokerSample::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_exists_for_a_broker() {
        for (name, _) in METRICS {
            let mut known = crate::catalogue::Metric::all().iter().filter(|metric| metric.name == name);
            assert!(known.any(|metric| metric.dimensions().take(2).eq(["Cluster Name", "Broker ID"])), "{name}");
        }
        assert_eq!(key("m0_b3"), Some((3, "CpuUser")));
        assert_eq!((key("m99_b3"), key("x")), (None, None));
    }

    #[test]
    fn only_whole_minutes_become_samples() {
        let minute = 60_000;
        let mut series = Series::new();
        for id in [1, 2, 3] {
            series.insert((id, "CpuUser"), vec![(minute, 40.0), (2 * minute, 50.0), (3 * minute, 60.0)]);
        }
        series.insert((3, "CpuUser"), vec![(minute, 40.0)]);
        series.insert((2, "CpuUser"), vec![(minute, 40.0), (2 * minute, 50.0)]);
        series.insert((1, "CPUCreditBalance"), vec![(0, 7.0)]);
        let found = samples(&[1, 2, 3], &series, (minute, 5 * minute), Some(100));
        // At the third minute only one broker of three has a value.
        assert_eq!(found.iter().map(|sample| sample.at_ms).collect::<Vec<_>>(), [minute, 2 * minute]);
        let last = &found[1].brokers;
        assert_eq!((last[&1].cpu_user_percent, last[&1].cpu_credit_balance), (Some(50.0), Some(7.0)));
        assert_eq!((last[&3].state, last[&3].cpu_user_percent), (BrokerState::Unreachable, None));
        assert_eq!(samples(&[1, 2, 3], &series, (minute, 2 * minute), None).len(), 1);
    }
}
