//! What MSK would publish to CloudWatch of the lab's brokers, under MSK's names, units and dimensions.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use aws_sdk_cloudwatch::{
    Client,
    primitives::DateTime,
    types::{Dimension, MetricDatum, StandardUnit},
};
use tokio::{sync::watch, time::Instant};

use super::readings::{FleetReading, Reading};
use crate::{
    catalogue::{Metric, MonitoringLevel},
    sample::{BrokerId, BrokerState},
};

/// Between two publications: three datapoints a minute, so that an alarm's minute never lacks one and moto, which
/// keeps all, stays small.
const INTERVAL: Duration = Duration::from_secs(20);

/// What the series keep: more than the longest alarm that kgen renders looks back.
const KEPT: Duration = Duration::from_secs(3600);

/// One metric of one broker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesKey {
    pub cluster: String,
    pub broker: BrokerId,
    pub metric: String,
}

/// Every metric of every broker of the last hour; what alarms are evaluated on.
#[derive(Debug, Default)]
pub struct Series(BTreeMap<SeriesKey, VecDeque<(i64, f64)>>);

impl Series {
    pub fn record(&mut self, reading: &FleetReading) {
        for (broker, of_broker) in &reading.brokers {
            for (metric, value) in values(of_broker) {
                let key =
                    SeriesKey { cluster: reading.cluster_name.clone(), broker: *broker, metric: metric.to_owned() };
                self.0.entry(key).or_default().push_back((reading.at_ms, value));
            }
        }
        let oldest = reading.at_ms - KEPT.as_millis() as i64;
        for points in self.0.values_mut() {
            while points.front().is_some_and(|(at, _)| *at < oldest) {
                points.pop_front();
            }
        }
        self.0.retain(|_, points| !points.is_empty());
    }

    /// The points of `key` from `from_ms` to before `to_ms`.
    pub fn between(&self, key: &SeriesKey, from_ms: i64, to_ms: i64) -> Vec<f64> {
        let points = self.0.get(key).into_iter().flatten();
        points.filter(|(at, _)| (from_ms..to_ms).contains(at)).map(|(_, value)| *value).collect()
    }
}

/// MSK's metrics of one broker, as far as they were read. Names are as in the catalogue.
fn values(reading: &Reading) -> Vec<(&'static str, f64)> {
    let sample = &reading.sample;
    let count = |value: Option<u64>| value.map(|value| value as f64);
    let memory_free =
        sample.memory_total_bytes.zip(sample.memory_used_bytes).map(|(all, used)| (all - used.min(all)) as f64);
    let serves = sample.state == BrokerState::Serving;
    let all = [
        ("CpuUser", sample.cpu_user_percent),
        ("CpuSystem", sample.cpu_system_percent),
        ("CpuIdle", reading.cpu_idle_percent),
        ("MemoryUsed", count(sample.memory_used_bytes)),
        ("MemoryFree", memory_free),
        ("HeapMemoryAfterGC", sample.heap_after_gc_percent),
        ("CPUCreditBalance", sample.cpu_credit_balance),
        ("UnderReplicatedPartitions", count(sample.under_replicated_partitions).filter(|_| serves)),
        ("UnderMinIsrPartitionCount", count(sample.under_min_isr_partitions).filter(|_| serves)),
        ("PartitionCount", count(sample.partition_count).filter(|_| serves)),
        ("LeaderCount", count(sample.leader_count).filter(|_| serves)),
        ("KafkaDataLogsDiskUsed", sample.disk_used_percent),
        ("BytesInPerSec", sample.bytes_in_per_s),
        ("BytesOutPerSec", sample.bytes_out_per_s),
        ("MessagesInPerSec", sample.messages_in_per_s),
        ("ProduceTotalTimeMsMean", sample.produce.map(|produce| produce.total_ms)),
        ("ProduceLocalTimeMsMean", sample.produce.and_then(|produce| produce.local_ms)),
        ("ProduceRequestQueueTimeMsMean", sample.produce.and_then(|produce| produce.queue_ms)),
        ("RequestHandlerAvgIdlePercent", reading.request_handler_idle),
        ("NetworkProcessorAvgIdlePercent", reading.network_idle),
        ("ConnectionCount", reading.connections),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| value.is_finite())?))).collect()
}

/// The catalogue's row for `name`, least dimensions first: per broker where MSK documents it so.
fn metric(name: &str) -> Option<&'static Metric> {
    Metric::per_broker(name).or_else(|| Metric::all().iter().find(|metric| metric.name == name))
}

/// Means of the values of several readings, as data for CloudWatch at `level`.
fn data(readings: &[Arc<FleetReading>], level: MonitoringLevel) -> Vec<MetricDatum> {
    let Some(last) = readings.last() else { return Vec::new() };
    let mut sums: BTreeMap<(BrokerId, &str), (f64, u32)> = BTreeMap::new();
    for (broker, reading) in readings.iter().flat_map(|reading| &reading.brokers) {
        for (name, value) in values(reading) {
            let sum = sums.entry((*broker, name)).or_default();
            *sum = (sum.0 + value, sum.1 + 1);
        }
    }
    let datum = |((broker, name), (sum, count)): ((BrokerId, &str), (f64, u32))| {
        let metric = metric(name).filter(|metric| metric.level <= level)?;
        let dimension = |name: &str, value: String| Dimension::builder().name(name).value(value).build();
        let unit = match StandardUnit::from(metric.unit.as_str()) {
            unit if StandardUnit::values().contains(&unit.as_str()) => unit,
            _ => StandardUnit::None,
        };
        let datum = MetricDatum::builder()
            .metric_name(name)
            .dimensions(dimension("Cluster Name", last.cluster_name.clone()))
            .dimensions(dimension("Broker ID", broker.to_string()))
            .timestamp(DateTime::from_millis(last.at_ms))
            .unit(unit)
            .value(sum / f64::from(count));
        Some(datum.build())
    };
    sums.into_iter().filter_map(datum).collect()
}

/// Records every reading of a fleet in `series`, and publishes their means every 20 s at the cluster's level, until
/// the fleet is gone. A failed publication is told to `report` and left out.
pub async fn publish(
    client: Client,
    mut readings: watch::Receiver<Arc<FleetReading>>,
    level: watch::Receiver<MonitoringLevel>,
    series: Arc<Mutex<Series>>,
    report: impl Fn(String) + Send + 'static,
) {
    let (mut pending, mut published) = (Vec::new(), Instant::now());
    while readings.changed().await.is_ok() {
        let reading = readings.borrow_and_update().clone();
        series.lock().unwrap_or_else(PoisonError::into_inner).record(&reading);
        pending.push(reading);
        if published.elapsed() < INTERVAL {
            continue;
        }
        published = Instant::now();
        let data = data(&pending, *level.borrow());
        pending.clear();
        if data.is_empty() {
            continue;
        }
        let sent = client.put_metric_data().namespace(Metric::NAMESPACE).set_metric_data(Some(data)).send();
        match tokio::time::timeout(INTERVAL, sent).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                let error = aws_sdk_cloudwatch::error::DisplayErrorContext(error);
                report(format!("cannot publish metrics to CloudWatch: {error}"));
            }
            Err(_) => report("cannot publish metrics to CloudWatch: no answer".to_owned()),
        }
    }
}

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalogue::BrokerType,
        sample::{BrokerSample, RequestTimes},
    };

    fn reading(at_ms: i64, cpu: f64) -> FleetReading {
        let sample = BrokerSample {
            state: BrokerState::Serving,
            cpu_user_percent: Some(cpu),
            memory_used_bytes: Some(60),
            memory_total_bytes: Some(100),
            produce: Some(RequestTimes { total_ms: 4.0, local_ms: Some(1.0), ..RequestTimes::default() }),
            ..BrokerSample::default()
        };
        let reading = Reading {
            broker_type: BrokerType::T3_SMALL,
            sample,
            cpu_idle_percent: None,
            request_handler_idle: Some(0.9),
            network_idle: None,
            connections: None,
        };
        FleetReading { cluster_name: "demo".to_owned(), at_ms, brokers: [(2, reading)].into() }
    }

    #[test]
    fn means_are_published_by_level_and_what_was_not_read_is_not() {
        let readings = [Arc::new(reading(1000, 10.0)), Arc::new(reading(3000, 30.0))];
        for (level, expected) in [
            (MonitoringLevel::Default, "CpuUser=20 MemoryFree=40 MemoryUsed=60 ProduceTotalTimeMsMean=4"),
            (
                MonitoringLevel::PerBroker,
                "CpuUser=20 MemoryFree=40 MemoryUsed=60 ProduceLocalTimeMsMean=1 ProduceTotalTimeMsMean=4 \
                 RequestHandlerAvgIdlePercent=0.9",
            ),
        ] {
            let data = data(&readings, level);
            let show = |datum: &MetricDatum| {
                format!("{}={}", datum.metric_name().unwrap(), (datum.value().unwrap() * 1e6).round() / 1e6)
            };
            assert_eq!(data.iter().map(show).collect::<Vec<_>>().join(" "), expected);
            let dimensions: Vec<_> =
                data[0].dimensions().iter().map(|d| (d.name().unwrap(), d.value().unwrap())).collect();
            assert_eq!(dimensions, [("Cluster Name", "demo"), ("Broker ID", "2")]);
            assert_eq!(data[0].unit(), Some(&StandardUnit::Percent));
        }
    }

    #[test]
    fn every_value_is_a_metric_of_msk_and_series_forget() {
        let mut series = Series::default();
        series.record(&reading(0, 10.0));
        series.record(&reading(3_600_001, 30.0));
        let key = SeriesKey { cluster: "demo".to_owned(), broker: 2, metric: "CpuUser".to_owned() };
        assert_eq!(series.between(&key, 0, i64::MAX), [30.0]);
        assert!(series.0.keys().all(|key| metric(&key.metric).is_some()));
    }
}
