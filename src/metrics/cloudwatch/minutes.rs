//! From CloudWatch's datapoints to samples, one for each period. Values in, values out.

use std::collections::{BTreeMap, BTreeSet};

use super::table::{Row, Scope, TABLE};
use crate::sample::{
    Allowances, BrokerId, BrokerSample, BrokerState, GroupSample, RequestTimes, Sample, Source, VolumeSample,
};

/// Periods for which a value holds that MSK publishes less often than the others: EC2 and EBS publish credits every five
/// minutes (EC2 User Guide, "Monitor your CPU credits"; EBS User Guide, "CloudWatch metrics").
pub const HELD_PERIODS: i64 = 10;

/// The metrics of which that is true.
const HELD: [&str; 2] = ["CPUCreditBalance", "BurstBalance"];

/// One series of CloudWatch: a metric, and what its dimensions say beside the cluster's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Index in [`TABLE`].
    pub row: usize,
    pub of: Of,
}

/// What a series is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Of {
    Cluster,
    Broker(BrokerId),
    /// One topic, or one kind of authentication, at one broker.
    PartOfBroker(BrokerId, String),
    Group {
        group: String,
        topic: String,
    },
    /// A topic of a cluster without brokers.
    Topic(String),
}

impl Key {
    pub fn metric(&self) -> &'static Row {
        &TABLE[self.row]
    }

    fn broker(&self) -> Option<BrokerId> {
        match &self.of {
            Of::Broker(id) | Of::PartOfBroker(id, _) => Some(*id),
            _ => None,
        }
    }
}

/// Datapoints by series and time, ms since the epoch. What was read later replaces what was read before: a minute that was
/// still arriving grows.
#[derive(Debug, Default)]
pub struct Series(BTreeMap<Key, BTreeMap<i64, f64>>);

impl Series {
    pub fn add(&mut self, key: &Key, points: impl Iterator<Item = (i64, f64)>) {
        let kept = self.0.entry(key.clone()).or_default();
        kept.extend(points.filter(|(_, value)| value.is_finite()));
    }

    /// Drops what is older than `oldest_ms`.
    pub fn forget(&mut self, oldest_ms: i64) {
        for points in self.0.values_mut() {
            *points = points.split_off(&oldest_ms);
        }
        self.0.retain(|_, points| !points.is_empty());
    }

    /// Whether any datapoint of `row` is there.
    pub fn has(&self, row: usize) -> bool {
        self.0.iter().any(|(key, points)| key.row == row && !points.is_empty())
    }

    fn value(&self, key: &Key, at_ms: i64) -> Option<f64> {
        self.0.get(key)?.get(&at_ms).copied()
    }

    /// The periods in `span` (ms, the end left out) in which anything was published that a minute can be told by.
    fn periods(&self, span: (i64, i64)) -> BTreeSet<i64> {
        let tells = |key: &&Key| match key.of {
            Of::Broker(_) => !HELD.contains(&key.metric().name),
            Of::PartOfBroker(..) | Of::Topic(_) => true,
            Of::Group { .. } => true,
            Of::Cluster => false,
        };
        let keys = self.0.keys().filter(tells);
        keys.filter_map(|key| self.0.get(key))
            .flat_map(|points| points.range(span.0..span.1).map(|(at, _)| *at))
            .collect()
    }
}

/// What does not change from minute to minute.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// With the memory of their types, where these are known.
    pub brokers: BTreeMap<BrokerId, Option<u64>>,
    pub period_ms: i64,
}

/// One sample for each period of `span` (ms, the end left out) in which anything was published.
///
/// A value that a broker did not publish is `None`. A broker is unreachable only where it published nothing at all while
/// others did; a period in which no broker published is left out.
pub fn samples(frame: &Frame, series: &Series, span: (i64, i64)) -> Vec<Sample> {
    let of_broker: BTreeSet<(i64, BrokerId)> = published(series, span);
    let lags: Vec<&Key> = series.0.keys().filter(|key| matches!(key.of, Of::Group { .. })).collect();
    let any = |at: &i64| {
        frame.brokers.is_empty() || of_broker.range((*at, BrokerId::MIN)..=(*at, BrokerId::MAX)).next().is_some()
    };
    let at_periods = series.periods(span).into_iter().filter(any);
    at_periods
        .map(|at_ms| {
            let broker = |(id, memory): (&BrokerId, &Option<u64>)| {
                let published = of_broker.contains(&(at_ms, *id));
                (*id, Minute { series, period_ms: frame.period_ms, at_ms, id: *id }.broker(published, *memory))
            };
            let mut sample = Sample {
                at_ms,
                source: Source::CloudWatch,
                brokers: frame.brokers.iter().map(broker).collect(),
                groups: groups(series, &lags, at_ms),
                ..Sample::default()
            };
            add_topic_bytes(&mut sample, series);
            add_offline(&mut sample, series);
            sample
        })
        .collect()
}

/// Which broker published anything when.
fn published(series: &Series, span: (i64, i64)) -> BTreeSet<(i64, BrokerId)> {
    let keys = series.0.iter().filter(|(key, _)| !HELD.contains(&key.metric().name));
    let of_brokers = keys.filter_map(|(key, points)| Some((key.broker()?, points)));
    of_brokers.flat_map(|(id, points)| points.range(span.0..span.1).map(move |(at, _)| (*at, id))).collect()
}

/// Lag by group and topic. −1 stands for a group without a committed offset (Amazon Managed Service for Prometheus User
/// Guide, "MSK consumer metrics").
fn groups(series: &Series, lags: &[&Key], at_ms: i64) -> BTreeMap<String, GroupSample> {
    let mut groups: BTreeMap<String, GroupSample> = BTreeMap::new();
    for key in lags {
        let Of::Group { group, topic } = &key.of else { continue };
        let Some(value) = series.value(key, at_ms).filter(|value| *value >= 0.0) else { continue };
        groups.entry(group.clone()).or_default().lags.entry(topic.clone()).or_default().set(key.metric().name, value);
    }
    groups
}

fn add_topic_bytes(sample: &mut Sample, series: &Series) {
    let row = TABLE.iter().position(|row| row.scope == Scope::BrokerTopic);
    for (key, points) in series.0.iter().filter(|(key, _)| Some(key.row) == row) {
        let Of::PartOfBroker(id, topic) = &key.of else { continue };
        if let (Some(value), Some(broker)) = (points.get(&sample.at_ms), sample.brokers.get_mut(id)) {
            broker.topic_bytes_in_per_s.insert(topic.clone(), *value);
        }
    }
}

/// MSK publishes offline partitions for the cluster only, so the first broker that serves has them all.
fn add_offline(sample: &mut Sample, series: &Series) {
    let Some(row) = TABLE.iter().position(|row| row.name == "OfflinePartitionsCount") else { return };
    let Some(count) = series.value(&Key { row, of: Of::Cluster }, sample.at_ms) else { return };
    if let Some(broker) = sample.brokers.values_mut().find(|broker| broker.state == BrokerState::Serving) {
        broker.offline_partitions = Some(count as u64);
    }
}

/// One broker in one period.
struct Minute<'a> {
    series: &'a Series,
    period_ms: i64,
    at_ms: i64,
    id: BrokerId,
}

impl Minute<'_> {
    fn row(name: &str) -> Option<usize> {
        TABLE.iter().position(|row| row.name == name && row.scope == Scope::Broker)
    }

    fn value(&self, name: &str) -> Option<f64> {
        self.series.value(&Key { row: Self::row(name)?, of: Of::Broker(self.id) }, self.at_ms)
    }

    /// The newest value, if it is not too old to hold.
    fn held(&self, name: &str) -> Option<f64> {
        let points = self.series.0.get(&Key { row: Self::row(name)?, of: Of::Broker(self.id) })?;
        let oldest = self.at_ms - HELD_PERIODS * self.period_ms;
        points.range(oldest..=self.at_ms).next_back().map(|(_, value)| *value)
    }

    fn count(&self, name: &str) -> Option<u64> {
        self.value(name).map(|value| value.max(0.0) as u64)
    }

    fn broker(&self, published: bool, memory_bytes: Option<u64>) -> BrokerSample {
        if !published {
            // Credits that were published before say nothing of a broker that is silent now.
            return BrokerSample { state: BrokerState::Unreachable, ..BrokerSample::default() };
        }
        BrokerSample {
            state: BrokerState::Serving,
            cpu_user_percent: self.value("CpuUser"),
            cpu_system_percent: self.value("CpuSystem"),
            cpu_io_wait_percent: self.value("CpuIoWait"),
            cpu_credit_balance: self.held("CPUCreditBalance"),
            memory_used_bytes: self.count("MemoryUsed"),
            memory_total_bytes: memory_bytes.or_else(|| self.memory_total()),
            heap_after_gc_percent: self.value("HeapMemoryAfterGC"),
            produce: self.produce(),
            follower_fetch_local_ms: self.value("FetchFollowerLocalTimeMsMean"),
            bytes_in_per_s: self.value("BytesInPerSec"),
            bytes_out_per_s: self.value("BytesOutPerSec"),
            messages_in_per_s: self.value("MessagesInPerSec"),
            request_bytes: self.value("RequestBytesMean"),
            replication_bytes_in_per_s: self.value("ReplicationBytesInPerSec"),
            replication_bytes_out_per_s: self.value("ReplicationBytesOutPerSec"),
            under_replicated_partitions: self.count("UnderReplicatedPartitions"),
            under_min_isr_partitions: self.count("UnderMinIsrPartitionCount"),
            partition_count: self.count("PartitionCount"),
            leader_count: self.count("LeaderCount"),
            disk_used_percent: self.value("KafkaDataLogsDiskUsed"),
            connection_count: self.count("ConnectionCount"),
            client_connection_count: self.client_connections(),
            connections_created_per_s: self.value("ConnectionCreationRate"),
            iam_connections_refused: self.value("IAMTooManyConnections"),
            traffic_shaping: self.value("TrafficShaping"),
            allowances: self.allowances(),
            volume: self.volume(),
            ..BrokerSample::default()
        }
    }

    /// All that the memory of a broker is divided into; a part that is missing makes the sum unknown.
    fn memory_total(&self) -> Option<u64> {
        let parts = ["MemoryUsed", "MemoryFree", "MemoryBuffered", "MemoryCached"];
        parts.into_iter().map(|part| self.count(part)).sum()
    }

    fn produce(&self) -> Option<RequestTimes> {
        let total_ms = self.value("ProduceTotalTimeMsMean")?;
        let queue_ms = self.value("ProduceRequestQueueTimeMsMean");
        let local_ms = self.value("ProduceLocalTimeMsMean");
        let waiting = self.value("ProduceResponseQueueTimeMsMean");
        let send_ms = waiting.zip(self.value("ProduceResponseSendTimeMsMean")).map(|(queue, send)| queue + send);
        // MSK does not publish it; Kafka's total is the sum of these five (RequestChannel.updateRequestMetrics).
        let remote_ms = queue_ms.zip(local_ms).zip(send_ms);
        let remote_ms = remote_ms.map(|((queue, local), send)| (total_ms - queue - local - send).max(0.0));
        Some(RequestTimes {
            per_s: None,
            queue_ms,
            local_ms,
            remote_ms,
            send_ms,
            throttle_ms: self.value("ProduceThrottleTime"),
            total_ms,
        })
    }

    fn client_connections(&self) -> Option<u64> {
        let row = TABLE.iter().position(|row| row.scope == Scope::BrokerAuthentication);
        let from = Key { row: row?, of: Of::PartOfBroker(self.id, String::new()) };
        let of_broker =
            self.series.0.range(from..).take_while(|(key, _)| Some(key.row) == row && key.broker() == Some(self.id));
        of_broker
            .filter_map(|(_, points)| points.get(&self.at_ms))
            .map(|value| value.max(0.0) as u64)
            .reduce(|a, b| a + b)
    }

    fn allowances(&self) -> Option<Allowances> {
        let allowances = Allowances {
            bandwidth_in: self.value("BwInAllowanceExceeded"),
            bandwidth_out: self.value("BwOutAllowanceExceeded"),
            packets: self.value("PpsAllowanceExceeded"),
            connections: self.value("ConntrackAllowanceExceeded"),
        };
        (allowances != Allowances::default()).then_some(allowances)
    }

    fn volume(&self) -> Option<VolumeSample> {
        let mean_ms = |seconds, operations| {
            let operations = self.value(operations).filter(|operations| *operations > 0.0)?;
            Some(self.value(seconds)? * 1000.0 / operations)
        };
        let volume = VolumeSample {
            queue_length: self.value("VolumeQueueLength"),
            write_ms: mean_ms("VolumeTotalWriteTime", "VolumeWriteOps"),
            read_ms: mean_ms("VolumeTotalReadTime", "VolumeReadOps"),
            burst_balance_percent: self.held("BurstBalance"),
        };
        (volume != VolumeSample::default()).then_some(volume)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{ClusterKind, Metric};

    const MINUTE: i64 = 60_000;

    fn frame(brokers: &[BrokerId]) -> Frame {
        Frame { brokers: brokers.iter().map(|id| (*id, None)).collect(), period_ms: MINUTE }
    }

    fn key(row: usize, id: BrokerId) -> Key {
        let of = match TABLE[row].scope {
            Scope::Cluster => Of::Cluster,
            Scope::Broker => Of::Broker(id),
            Scope::BrokerAuthentication => Of::PartOfBroker(id, "IAM".to_owned()),
            Scope::BrokerTopic => Of::PartOfBroker(id, "orders".to_owned()),
            Scope::Group => Of::Group { group: "billing".to_owned(), topic: "orders".to_owned() },
        };
        Key { row, of }
    }

    fn row(name: &str) -> usize {
        TABLE.iter().position(|row| row.name == name).unwrap()
    }

    #[test]
    fn every_row_is_in_the_catalogue_at_its_level() {
        for (n, row) in TABLE.iter().enumerate() {
            // By topic, BytesInPerSec has the dimensions of the same entry as by broker.
            let fits = |metric: &&Metric| match row.scope {
                Scope::Broker => metric.dimensions().take(2).eq(row.scope.dimensions().iter().copied()),
                _ => metric.dimensions().eq(row.scope.dimensions().iter().copied()),
            };
            let known = Metric::all().iter().filter(|metric| metric.name == row.name).filter(fits);
            let level = known.clone().map(|metric| metric.level).min();
            assert_eq!(level, Some(row.level), "{} with {:?}", row.name, row.scope.dimensions());
            assert!(known.clone().any(|metric| metric.is_of(ClusterKind::Standard)), "{}", row.name);
            assert!(
                !TABLE[..n].iter().any(|before| before.name == row.name && before.scope == row.scope),
                "{} twice",
                row.name
            );
        }
    }

    #[test]
    fn every_row_changes_the_sample_that_it_is_read_for() {
        let all = |left_out: Option<usize>| {
            let mut series = Series::default();
            for row in (0..TABLE.len()).filter(|row| Some(*row) != left_out) {
                series.add(&key(row, 1), [(MINUTE, 1.0 + row as f64)].into_iter());
            }
            samples(&frame(&[1]), &series, (MINUTE, 2 * MINUTE))
        };
        let whole = all(None);
        assert_eq!(whole.len(), 1);
        for (n, row) in TABLE.iter().enumerate() {
            assert_ne!(all(Some(n)), whole, "{} is read for nothing", row.name);
        }
    }

    #[test]
    fn a_missing_value_is_no_missing_broker() {
        let mut series = Series::default();
        for id in [1, 4] {
            series.add(&key(row("CpuUser"), id), [(MINUTE, 40.0), (2 * MINUTE, 50.0)].into_iter());
        }
        series.add(&key(row("CpuSystem"), 7), [(MINUTE, 5.0)].into_iter());
        series.add(&key(row("CPUCreditBalance"), 7), [(MINUTE, 3.0)].into_iter());
        let found = samples(&frame(&[1, 4, 7]), &series, (0, 5 * MINUTE));
        assert_eq!(found.iter().map(|sample| sample.at_ms).collect::<Vec<_>>(), [MINUTE, 2 * MINUTE]);
        let late = &found[0].brokers[&7];
        assert_eq!(
            (late.state, late.cpu_user_percent, late.cpu_system_percent),
            (BrokerState::Serving, None, Some(5.0))
        );
        let silent = &found[1].brokers[&7];
        assert_eq!((silent.state, silent.cpu_credit_balance), (BrokerState::Unreachable, None));
        // The value that was late arrives: the same minute, now whole.
        series.add(&key(row("CpuUser"), 7), [(MINUTE, 60.0)].into_iter());
        assert_eq!(samples(&frame(&[1, 4, 7]), &series, (0, 5 * MINUTE))[0].brokers[&7].cpu_user_percent, Some(60.0));
    }

    #[test]
    fn half_of_the_brokers_silent_is_still_a_minute() {
        let mut series = Series::default();
        series.add(&key(row("CpuUser"), 1), [(MINUTE, 40.0)].into_iter());
        let found = samples(&frame(&[1, 2]), &series, (0, 5 * MINUTE));
        assert_eq!(found[0].brokers[&2].state, BrokerState::Unreachable);
    }

    #[test]
    fn credits_hold_for_ten_periods_and_alone_make_no_minute() {
        let mut series = Series::default();
        series.add(&key(row("CPUCreditBalance"), 1), [(0, 7.0)].into_iter());
        assert_eq!(samples(&frame(&[1]), &series, (0, 5 * MINUTE)), []);
        series.add(&key(row("CpuUser"), 1), [(10 * MINUTE, 40.0), (11 * MINUTE, 40.0)].into_iter());
        let found = samples(&frame(&[1]), &series, (0, 20 * MINUTE));
        assert_eq!(found.iter().map(|s| s.brokers[&1].cpu_credit_balance).collect::<Vec<_>>(), [Some(7.0), None]);
    }

    #[test]
    fn memory_of_an_unknown_type_is_the_sum_of_its_four_parts_or_unknown() {
        let mut series = Series::default();
        for (name, gib) in [("MemoryUsed", 4.0), ("MemoryFree", 1.0), ("MemoryBuffered", 0.5)] {
            series.add(&key(row(name), 1), [(MINUTE, gib * 1024.0 * 1024.0 * 1024.0)].into_iter());
        }
        let total = |series: &Series| samples(&frame(&[1]), series, (0, 2 * MINUTE))[0].brokers[&1].memory_total_bytes;
        assert_eq!(total(&series), None);
        series.add(&key(row("MemoryCached"), 1), [(MINUTE, 2.5 * 1024.0 * 1024.0 * 1024.0)].into_iter());
        assert_eq!(total(&series), Some(8 << 30));
    }

    #[test]
    fn a_group_without_a_committed_offset_has_no_lag() {
        let mut series = Series::default();
        series.add(&key(row("CpuUser"), 1), [(MINUTE, 40.0), (2 * MINUTE, 40.0)].into_iter());
        series.add(&key(row("SumOffsetLag"), 1), [(MINUTE, -1.0), (2 * MINUTE, 12.0)].into_iter());
        let found = samples(&frame(&[1]), &series, (0, 3 * MINUTE));
        assert!(found[0].groups.is_empty());
        assert_eq!(found[1].groups["billing"].lags["orders"].sum_records, Some(12.0));
    }

    #[test]
    fn a_cluster_without_brokers_has_groups() {
        let mut series = Series::default();
        series.add(&key(row("MaxOffsetLag"), 1), [(MINUTE, 3.0)].into_iter());
        let found = samples(&frame(&[]), &series, (0, 3 * MINUTE));
        assert_eq!((found.len(), found[0].brokers.len()), (1, 0));
        assert_eq!(found[0].groups["billing"].lags["orders"].max_records, Some(3.0));
    }

    #[test]
    fn parts_of_a_produce_request_and_connections_are_summed_up() {
        let mut series = Series::default();
        for (name, value) in [
            ("ProduceTotalTimeMsMean", 20.0),
            ("ProduceRequestQueueTimeMsMean", 2.0),
            ("ProduceLocalTimeMsMean", 3.0),
            ("ProduceResponseQueueTimeMsMean", 1.0),
            ("ProduceResponseSendTimeMsMean", 1.5),
            ("VolumeTotalWriteTime", 3.0),
            ("VolumeWriteOps", 600.0),
        ] {
            series.add(&key(row(name), 1), [(MINUTE, value)].into_iter());
        }
        for (kind, count) in [("IAM", 3.0), ("TLS", 4.0)] {
            let of = Of::PartOfBroker(1, kind.to_owned());
            series.add(&Key { row: row("ClientConnectionCount"), of }, [(MINUTE, count)].into_iter());
        }
        let broker = &samples(&frame(&[1]), &series, (0, 2 * MINUTE))[0].brokers[&1];
        assert_eq!(broker.produce.unwrap().remote_ms, Some(12.5));
        assert_eq!((broker.client_connection_count, broker.volume.unwrap().write_ms), (Some(7), Some(5.0)));
    }
}
