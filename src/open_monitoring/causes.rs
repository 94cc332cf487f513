//! Each cause of the diagnosis as an expression of Prometheus, or why it has none.

use super::recorded::{
    BYTES_IN, BYTES_OUT, CONNECTIONS, CONNECTIONS_CREATED, CPU_PERCENT, DISK_USED_PERCENT, FAN_OUT, HEAP_PERCENT,
    IO_WAIT_PERCENT, LAG_GROWTH, LAG_SHARE, LEADERS, LOCAL_MS, NOT_PREFERRED_SHARE, PARTITIONS, RECORDS_A_REQUEST,
    REMOTE_MS, REQUESTS, THROTTLE_MS, TOTAL_MS, UNDER_MIN_ISR, UNDER_REPLICATED,
};
use crate::{catalogue::BrokerType, diagnose::thresholds as at, finding_id::*};

/// How a cause shows in open monitoring.
pub enum Shown {
    /// `expression` is true; what it leaves open that a diagnosis would look at.
    By { expression: String, cannot_see: &'static str },
    /// It does not, and why.
    Not(&'static str),
}

fn by(expression: String, cannot_see: &'static str) -> Shown {
    Shown::By { expression, cannot_see }
}

/// How `cause` shows on brokers of `broker_type`.
pub fn shown(cause: &str, broker_type: BrokerType) -> Shown {
    match cause {
        DISK_FULL | DISK_FILLING | DISK_SLOW => of_disks(cause),
        BROKER_DOWN | BROKER_UNDERSIZED | BROKER_DEGRADED | BROKER_HEAP_PRESSURE => of_brokers(cause),
        CLIENT_TINY_BATCHES | CLIENT_CONNECTION_STORM | CLIENT_QUOTA_THROTTLED | NETWORK_EGRESS_FANOUT => {
            of_clients(cause)
        }
        CONSUMER_STALLED | CONSUMER_SLOW => of_consumers(cause),
        LEADERS_NOT_PREFERRED | LEADERS_PLACEMENT_SKEW | NETWORK_CONSTRAINED => of_clusters(cause),
        REPLICATION_MIN_ISR_BLOCKED => by(
            format!("{UNDER_MIN_ISR} > 0"),
            "which partitions these are, and whether a broker that is down is the root",
        ),
        CLUSTER_TOO_MANY_PARTITIONS => by(
            format!("{PARTITIONS} > {}", broker_type.partitions_recommended),
            "the broker type: the limit is that of the type that these rules were generated for",
        ),
        BROKER_CPU_CREDITS_EXHAUSTED => credits(broker_type),
        BROKER_HUNG => Shown::Not("a hung broker publishes nothing, as one that is down: KgenBrokerDown fires"),
        REPLICATION_THROTTLED => Shown::Not("the configurations of topics and brokers are no metrics"),
        PARTITION_HOT_KEY => Shown::Not("the traffic of a single partition is no metric of a broker"),
        _ => Shown::Not("no metric of a broker shows it"),
    }
}

fn of_disks(cause: &str) -> Shown {
    let full = at::DISK_FULL_PERCENT;
    match cause {
        DISK_FULL => by(
            format!("{DISK_USED_PERCENT} >= {full}"),
            "volumes that are not mounted below a path with `kafka` or `datalogs` in it",
        ),
        DISK_FILLING => by(
            format!(
                "({DISK_USED_PERCENT} >= {} or {DISK_USED_PERCENT} >= {} and predict_linear({DISK_USED_PERCENT}[1h], {} * \
                 3600) >= 100) and delta({DISK_USED_PERCENT}[1h]) >= {rise} unless {DISK_USED_PERCENT} >= {full}",
                at::DISK_HIGH_PERCENT,
                at::DISK_FORECAST_FROM_PERCENT,
                at::DISK_FULL_SOON_H,
                rise = at::DISK_RISE_PERCENT,
            ),
            "retention that will set in before the volume is full",
        ),
        _ => by(
            format!(
                "({LOCAL_MS} >= {} and {LOCAL_MS} >= on (cluster) group_left () ({} * min by (cluster) ({LOCAL_MS})) or \
                 {IO_WAIT_PERCENT} >= {} and {TOTAL_MS} >= {}) and {CPU_PERCENT} < {}",
                at::DISK_LOCAL_MS,
                at::DISK_TIMES_OTHERS,
                at::IO_WAIT_PERCENT,
                at::SLOW_MS,
                at::CPU_PERCENT,
            ),
            "the queue and the burst credits of the volume (VolumeQueueLength and BurstBalance in CloudWatch), and a \
             broker that no longer finishes any request",
        ),
    }
}

fn of_brokers(cause: &str) -> Shown {
    let cpu = at::CPU_PERCENT;
    match cause {
        BROKER_DOWN => by(
            format!(
                "(last_over_time({PARTITIONS}[1h]) unless {PARTITIONS}) and on (cluster) (sum by (cluster) \
                 ({UNDER_REPLICATED}) > 0)"
            ),
            "whether its Kafka port refuses connections (down) or accepts them and stays silent (broker.hung), and \
             whether MSK is working on the cluster",
        ),
        BROKER_UNDERSIZED => by(
            format!(
                "min by (cluster) ({CPU_PERCENT}) > {} and avg by (cluster) ({CPU_PERCENT}) > {cpu}",
                at::BUSY_PERCENT
            ),
            "bursts within a scrape interval, and whether MSK is working on the cluster",
        ),
        BROKER_DEGRADED => by(
            format!(
                "{CPU_PERCENT} > {cpu} and on (cluster) (count by (cluster) ({CPU_PERCENT} > {busy}) == count by \
                 (cluster) ({CPU_PERCENT} > {cpu})) and on (cluster) (2 * count by (cluster) ({CPU_PERCENT} > {cpu}) < \
                 count by (cluster) ({CPU_PERCENT})) and ({BYTES_IN} <= on (cluster) group_left () ({} * min by \
                 (cluster) ({BYTES_IN}))) unless {HEAP_PERCENT} > {}",
                at::SAME_TRAFFIC,
                at::HEAP_FULL_PERCENT,
                busy = at::BUSY_PERCENT,
            ),
            "the machine's own limits: throttled CPU is no metric of MSK",
        ),
        _ => by(
            format!("{HEAP_PERCENT} > {}", at::HEAP_FULL_PERCENT),
            "a heap whose old generation was not collected since the broker's start",
        ),
    }
}

fn of_clients(cause: &str) -> Shown {
    match cause {
        CLIENT_TINY_BATCHES => by(
            format!(
                "quantile by (cluster) (0.5, {RECORDS_A_REQUEST}) <= {} and max by (cluster) ({REQUESTS}) >= {} and max \
                 by (cluster) ({CPU_PERCENT}) >= {} and quantile by (cluster) (0.5, {BYTES_IN} / ({REQUESTS} > 0)) <= {}",
                at::RECORDS_A_REQUEST,
                at::REQUESTS_PER_S,
                at::TINY_BATCHES_CPU_PERCENT,
                at::REQUEST_BYTES,
            ),
            "which producers these are",
        ),
        CLIENT_CONNECTION_STORM => by(
            format!(
                "{CONNECTIONS_CREATED} > {} or {CONNECTIONS} > {}",
                at::CONNECTIONS_CREATED_PER_S,
                at::CONNECTIONS_OPEN
            ),
            "which clients these are",
        ),
        CLIENT_QUOTA_THROTTLED => {
            by(format!("{THROTTLE_MS} > {}", at::THROTTLE_MS), "which client's quota it is; quotas of consumers")
        }
        _ => by(
            format!(
                "{FAN_OUT} >= {} and on (cluster) avg by (cluster) ({BYTES_OUT}) >= {}",
                at::FAN_OUT,
                at::FAN_OUT_BYTES_PER_S
            ),
            "which groups read, and whether all of them are still needed",
        ),
    }
}

fn of_consumers(cause: &str) -> Shown {
    let (nothing, growth) = (at::LAG_SHARE_OF_NO_READER, at::LAG_PER_S);
    match cause {
        // Somebody reads more than the groups that keep up account for: who has left does not.
        CONSUMER_STALLED => by(
            format!(
                "{LAG_SHARE} >= {nothing} and {LAG_GROWTH} >= {growth} and on (cluster) ({FAN_OUT} >= ((count by \
                 (cluster) ({LAG_SHARE} < {nothing}) or 0 * {FAN_OUT}) + {}))",
                at::READS_STILL
            ),
            "the members of the group: one that hangs without fetching looks like a group that has left, and is not \
             reported",
        ),
        _ => by(
            format!(
                "{LAG_SHARE} >= {} and {LAG_SHARE} < {nothing} and {LAG_GROWTH} >= {growth}",
                at::LAG_SHARE_OF_INFLOW
            ),
            "the lag of each partition: it grows on all of them if the group is too slow, on some if a member stalls",
        ),
    }
}

fn of_clusters(cause: &str) -> Shown {
    let skewed = |value: &str, times: f64| {
        format!("{value} >= on (cluster) group_left () ({times} * avg by (cluster) ({value}))")
    };
    match cause {
        LEADERS_NOT_PREFERRED => by(
            format!(
                "{NOT_PREFERRED_SHARE} >= {} and on (cluster) (max by (cluster) ({LEADERS}) >= {} * avg by (cluster) \
                 ({LEADERS}))",
                at::NOT_PREFERRED_SHARE,
                at::NOT_PREFERRED_SKEW
            ),
            "which replicas are in sync; clusters in KRaft mode, whose controllers publish nothing",
        ),
        LEADERS_PLACEMENT_SKEW => by(
            format!(
                "{} and ({}) and on (cluster) (sum by (cluster) ({LEADERS}) >= {}) unless on (cluster) \
                 {NOT_PREFERRED_SHARE} >= {}",
                skewed(LEADERS, at::PLACEMENT_SKEW),
                skewed(BYTES_IN, at::PLACEMENT_TRAFFIC_SKEW),
                at::LEAST_PARTITIONS,
                at::NOT_PREFERRED_SHARE
            ),
            "the replica lists: without them, leadership that was not returned after a restart looks the same in KRaft \
             mode",
        ),
        _ => by(
            format!(
                "quantile by (cluster) (0.5, {REMOTE_MS}) >= {} and quantile by (cluster) (0.5, {LOCAL_MS}) < {local} and \
                 quantile by (cluster) (0.5, {CPU_PERCENT}) < {} unless max by (cluster) ({LOCAL_MS}) >= 2 * {local}",
                at::NETWORK_REMOTE_MS,
                at::CPU_PERCENT,
                local = at::NETWORK_LOCAL_MS
            ),
            "which broker's link it is, and a follower with a stalled disk, which keeps leaders waiting in the same way",
        ),
    }
}

fn credits(broker_type: BrokerType) -> Shown {
    let Some(credits) = broker_type.credits() else {
        return Shown::Not("the broker type that these rules were generated for has no CPU credits");
    };
    let (least, most) = (at::AROUND_BASELINE.start(), at::AROUND_BASELINE.end());
    let (least, most) = (least * credits.baseline_percent, most * credits.baseline_percent);
    by(
        format!(
            "{CPU_PERCENT} >= {least} and {CPU_PERCENT} <= {most} and max_over_time({CPU_PERCENT}[5m]) - \
             min_over_time({CPU_PERCENT}[5m]) <= {} and {TOTAL_MS} >= {}",
            at::FLAT_PERCENT,
            at::SLOW_MS
        ),
        "the credit balance (CPUCreditBalance), which is in CloudWatch alone: credits that run out are seen only once \
         they are used up",
    )
}
