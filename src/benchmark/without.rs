//! Samples from which a field was taken away, as if nothing had ever published it.

use crate::{
    diagnose::Context,
    sample::{BrokerSample, Field, Sample},
};

/// The cluster and its samples without `field`.
pub fn without(field: Field, context: &Context, samples: &[Sample]) -> (Context, Vec<Sample>) {
    let mut context = context.clone();
    if field == Field::ClusterState {
        context.state = None;
    }
    let take = |sample: &Sample| {
        let mut sample = sample.clone();
        match field {
            Field::Topics => sample.topics.clear(),
            Field::TopicConfigs => sample.topics.values_mut().for_each(|topic| {
                topic.min_insync_replicas = None;
                topic.replication_throttled = false;
            }),
            Field::PartitionRates => {
                let partitions = sample.topics.values_mut().flat_map(|topic| &mut topic.partitions);
                partitions.for_each(|partition| partition.records_per_s = None);
            }
            Field::GroupLag => sample.groups.clear(),
            Field::GroupMembers => sample.groups.values_mut().for_each(|group| {
                group.state = None;
                group.members = None;
            }),
            Field::ClusterState => sample.cluster_state = None,
            Field::Load => sample.load = None,
            _ => sample.brokers.values_mut().for_each(|broker| take_from(broker, field)),
        }
        sample
    };
    (context, samples.iter().map(take).collect())
}

fn take_from(broker: &mut BrokerSample, field: Field) {
    match field {
        Field::Cpu => (broker.cpu_user_percent, broker.cpu_system_percent) = (None, None),
        Field::CpuThrottling => broker.cpu_throttled_percent = None,
        Field::CpuCredits => broker.cpu_credit_balance = None,
        Field::CpuIoWait => broker.cpu_io_wait_percent = None,
        Field::HeapAfterGc => broker.heap_after_gc_percent = None,
        Field::Memory => (broker.memory_used_bytes, broker.memory_total_bytes) = (None, None),
        Field::ProduceTime => broker.produce = None,
        Field::FollowerFetchTime => broker.follower_fetch_local_ms = None,
        Field::Traffic => {
            (broker.bytes_in_per_s, broker.bytes_out_per_s, broker.messages_in_per_s) = (None, None, None);
        }
        Field::TrafficByTopic => broker.topic_bytes_in_per_s.clear(),
        Field::ReplicationTraffic => {
            (broker.replication_bytes_in_per_s, broker.replication_bytes_out_per_s) = (None, None);
        }
        Field::Replication => broker.under_replicated_partitions = None,
        Field::MinIsr => (broker.under_min_isr_partitions, broker.offline_partitions) = (None, None),
        Field::PartitionCounts => broker.partition_count = None,
        Field::LeaderCounts => broker.leader_count = None,
        Field::DiskUsed => broker.disk_used_percent = None,
        Field::Volume => broker.volume = None,
        Field::Connections => (broker.connection_count, broker.client_connection_count) = (None, None),
        Field::ConnectionRate => broker.connections_created_per_s = None,
        Field::NetworkAllowances => (broker.traffic_shaping, broker.allowances) = (None, None),
        Field::RequestSize => broker.request_bytes = None,
        Field::Probe => broker.probe = None,
        Field::ProduceParts | Field::ProduceRate | Field::ProduceThrottle => {
            let Some(times) = &mut broker.produce else { return };
            match field {
                Field::ProduceRate => times.per_s = None,
                Field::ProduceThrottle => times.throttle_ms = None,
                _ => (times.queue_ms, times.local_ms, times.remote_ms, times.send_ms) = (None, None, None, None),
            }
        }
        Field::Topics
        | Field::TopicConfigs
        | Field::PartitionRates
        | Field::GroupLag
        | Field::GroupMembers
        | Field::ClusterState
        | Field::Load => {}
    }
}
