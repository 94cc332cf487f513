//! Which fields the samples of the recent part really hold.

use std::collections::BTreeSet;

use super::window::Window;
use crate::sample::{BrokerId, BrokerSample, BrokerState, Field, Sample, Source};

/// Bytes per second below which a broker takes or sends nothing worth the name: no request, so no time of requests.
const IDLE_BYTES_PER_S: f64 = 1.0;

/// Heap in use, percent, that shows without a collection that the heap after one is not full.
const HEAP_WITH_ROOM_PERCENT: f64 = 60.0;

/// Share of the brokers that must show a value: of ten brokers one may lack it.
const ENOUGH: f64 = 0.9;

/// The fields that the recent samples hold, for enough of the brokers.
pub fn all(window: &Window) -> BTreeSet<Field> {
    Field::ALL.into_iter().filter(|field| is_seen(window, *field)).collect()
}

fn is_seen(window: &Window, field: Field) -> bool {
    match field {
        Field::Topics => has_topics(window) || is_without_topics(window),
        Field::TopicConfigs => {
            let all = |sample: &Sample| sample.topics.values().all(|topic| topic.min_insync_replicas.is_some());
            is_without_topics(window) || window.recent().iter().any(|sample| !sample.topics.is_empty() && all(sample))
        }
        Field::PartitionRates => {
            let all = |sample: &Sample| {
                let mut partitions = sample.topics.values().flat_map(|topic| &topic.partitions);
                partitions.all(|partition| partition.records_per_s.is_some())
            };
            let is_idle = || enough(window, &is_idle);
            is_without_topics(window)
                || window.recent().iter().any(|sample| !sample.topics.is_empty() && all(sample))
                || (has_topics(window) && is_idle())
        }
        Field::GroupLag => {
            let lags = |sample: &Sample| {
                sample.groups.values().any(|group| !group.topics.is_empty() || !group.lags.is_empty())
            };
            window.recent().iter().any(lags) || is_unread(window)
        }
        Field::GroupMembers => {
            let known = |sample: &Sample| sample.groups.values().any(|group| group.state.is_some());
            window.recent().iter().any(known) || is_unread(window)
        }
        Field::ClusterState => {
            window.context.state.is_some() || window.recent().iter().any(|sample| sample.cluster_state.is_some())
        }
        Field::Load => window.recent().iter().any(|sample| sample.load.is_some()),
        of_brokers => enough(window, &|broker| holds(broker, of_brokers)),
    }
}

/// Whether a sample of a broker holds `field`, or shows that there is nothing to hold.
fn holds(broker: &BrokerSample, field: Field) -> bool {
    let produce = |part: fn(&crate::sample::RequestTimes) -> Option<f64>| {
        is_idle(broker) || broker.produce.as_ref().and_then(part).is_some()
    };
    match field {
        Field::Cpu => broker.cpu_percent().is_some(),
        Field::CpuThrottling => broker.cpu_throttled_percent.is_some(),
        Field::CpuCredits => broker.cpu_credit_balance.is_some(),
        Field::CpuIoWait => broker.cpu_io_wait_percent.is_some(),
        // Without a collection there is no heap after one, and a heap with room shows that it is not full.
        Field::HeapAfterGc => {
            broker.heap_after_gc_percent.is_some()
                || broker.heap_used_percent.is_some_and(|used| used < HEAP_WITH_ROOM_PERCENT)
        }
        Field::Memory => broker.memory_percent().is_some(),
        Field::ProduceTime => produce(|times| Some(times.total_ms)),
        Field::ProduceParts => produce(|times| times.local_ms),
        Field::ProduceRate => produce(|times| times.per_s),
        Field::ProduceThrottle => produce(|times| times.throttle_ms),
        Field::RequestSize => is_idle(broker) || broker.request_bytes.is_some(),
        Field::FollowerFetchTime => broker.follower_fetch_local_ms.is_some(),
        Field::Traffic => broker.bytes_in_per_s.is_some() && broker.messages_in_per_s.is_some(),
        Field::TrafficByTopic => is_idle(broker) || !broker.topic_bytes_in_per_s.is_empty(),
        Field::ReplicationTraffic => broker.replication_bytes_in_per_s.is_some(),
        Field::Replication => broker.under_replicated_partitions.is_some(),
        Field::MinIsr => broker.under_min_isr_partitions.is_some(),
        Field::PartitionCounts => broker.partition_count.is_some(),
        Field::LeaderCounts => broker.leader_count.is_some(),
        Field::DiskUsed => broker.disk_used_percent.is_some(),
        Field::Volume => broker.volume.is_some_and(|volume| volume.queue_length.is_some() || volume.write_ms.is_some()),
        Field::Connections => broker.connection_count.or(broker.client_connection_count).is_some(),
        Field::ConnectionRate => broker.connections_created_per_s.is_some(),
        Field::NetworkAllowances => broker.traffic_shaping.is_some() || broker.allowances.is_some(),
        Field::Probe => broker.probe.is_some(),
        // Of the cluster, not of a broker.
        Field::Topics
        | Field::TopicConfigs
        | Field::PartitionRates
        | Field::GroupLag
        | Field::GroupMembers
        | Field::ClusterState
        | Field::Load => false,
    }
}

fn is_idle(broker: &BrokerSample) -> bool {
    broker.bytes_in_per_s.is_some_and(|bytes| bytes < IDLE_BYTES_PER_S)
}

/// Whether enough of the brokers that serve have a recent sample that `shows` it.
fn enough(window: &Window, shows: &dyn Fn(&BrokerSample) -> bool) -> bool {
    let serves = |id: &BrokerId| {
        let mut recent = window.recent().iter().filter_map(|sample| sample.brokers.get(id));
        recent.any(|broker| broker.state == BrokerState::Serving)
    };
    let serving: Vec<BrokerId> = window.brokers().into_iter().filter(serves).collect();
    let shown = serving.iter().filter(|id| {
        let mut recent = window.recent().iter().filter_map(|sample| sample.brokers.get(*id));
        recent.any(shows)
    });
    !serving.is_empty() && shown.count() as f64 >= serving.len() as f64 * ENOUGH
}

fn has_topics(window: &Window) -> bool {
    window.recent().iter().any(|sample| !sample.topics.is_empty())
}

/// Whether topics were requested and there are none.
fn is_without_topics(window: &Window) -> bool {
    is_asked(window)
        && !has_topics(window)
        && enough(window, &|broker| broker.partition_count == Some(0) || broker.leader_count == Some(0))
}

/// Whether brokers send nothing to consumers: then no group lags.
fn is_unread(window: &Window) -> bool {
    let unread = |broker: &BrokerSample| broker.bytes_out_per_s.is_some_and(|bytes| bytes < IDLE_BYTES_PER_S);
    // Consumers that are slow fetch now and then, so the whole window counts.
    let all = |sample: &Sample| {
        let mut serving = sample.brokers.values().filter(|broker| broker.state == BrokerState::Serving);
        serving.all(|broker| broker.bytes_out_per_s.is_none() || unread(broker))
    };
    let has_brokers = window.recent().iter().any(|sample| !sample.brokers.is_empty());
    has_brokers && enough(window, &unread) && window.all().iter().all(all)
}

/// Whether the Kafka protocol was asked in the window.
pub fn is_asked(window: &Window) -> bool {
    let asked = |sample: &Sample| {
        sample.protocol_at_ms.is_some()
            || (sample.source == Source::Prometheus
                && (!sample.topics.is_empty() || sample.brokers.values().any(|broker| broker.probe.is_some())))
    };
    window.all().iter().any(asked)
}
