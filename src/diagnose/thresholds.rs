//! The thresholds of the rules, for others that judge by them: each is defined, with its source, in the file of its rule.

pub use super::{
    connection_storm::{CREATED_PER_S as CONNECTIONS_CREATED_PER_S, OPEN as CONNECTIONS_OPEN},
    consumer_slow::SHARE_OF_INFLOW as LAG_SHARE_OF_INFLOW,
    consumer_stalled::{LAG_PER_S, READS_NOTHING as LAG_SHARE_OF_NO_READER, READS_STILL},
    credits::{AROUND_BASELINE, FLAT_PERCENT},
    degraded::SAME_TRAFFIC,
    disk_filling::{
        FORECAST_FROM_PERCENT as DISK_FORECAST_FROM_PERCENT, HIGH_PERCENT as DISK_HIGH_PERCENT,
        RISE_PERCENT as DISK_RISE_PERCENT, SOON_H as DISK_FULL_SOON_H,
    },
    disk_full::FULL_PERCENT as DISK_FULL_PERCENT,
    disk_slow::{IO_WAIT_PERCENT, LOCAL_MS as DISK_LOCAL_MS, TIMES_OTHERS as DISK_TIMES_OTHERS},
    fanout::{FAN as FAN_OUT, LEAST_BYTES_OUT_PER_S as FAN_OUT_BYTES_PER_S},
    heap_pressure::FULL_PERCENT as HEAP_FULL_PERCENT,
    leaders_not_preferred::{SHARE as NOT_PREFERRED_SHARE, SKEW as NOT_PREFERRED_SKEW},
    leaders_placement::{LEAST_PARTITIONS, SKEW as PLACEMENT_SKEW, TRAFFIC_SKEW as PLACEMENT_TRAFFIC_SKEW},
    network::{LOCAL_MS as NETWORK_LOCAL_MS, REMOTE_MS as NETWORK_REMOTE_MS},
    quota::THROTTLE_MS,
    tiny_batches::{CPU_PERCENT as TINY_BATCHES_CPU_PERCENT, RECORDS_A_REQUEST, REQUEST_BYTES, REQUESTS_PER_S},
    undersized::BUSY_PERCENT,
    window::{CPU_PERCENT, LASTING_MINUTES, SLOW_MS},
};
