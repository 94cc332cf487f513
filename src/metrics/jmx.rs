//! What a broker's JMX exporter shows at one moment. Pure.
//!
//! The same figure has several names: with the object's type before its name (Java 8, older rules), after it, or as the
//! exporter's own `jvm_` metrics.

use std::{borrow::Cow, collections::BTreeMap};

use super::exposition::{Exposition, percent, sum};
use crate::{
    exposition::Labels,
    sample::{BrokerState, GroupSample, Progress},
};

/// Partitions of consumer groups that are read at most, so that samples stay small.
const MOST_LAGS: usize = 2000;

/// From the JMX exporter (MSK: port 11001).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Jmx {
    pub(super) started_at_s: Option<f64>,
    /// Kafka's `BrokerState`.
    broker_state: Option<f64>,
    pub(super) partition_count: Option<f64>,
    pub(super) leader_count: Option<f64>,
    pub(super) under_replicated_partitions: Option<f64>,
    pub(super) under_min_isr_partitions: Option<f64>,
    pub(super) offline_partitions: Option<f64>,
    pub(super) bytes_in: Option<f64>,
    pub(super) bytes_out: Option<f64>,
    pub(super) messages_in: Option<f64>,
    pub(super) replication_bytes_in: Option<f64>,
    pub(super) replication_bytes_out: Option<f64>,
    pub(super) produce: ProduceTimes,
    pub(super) heap_used_percent: Option<f64>,
    pub(super) heap_after_gc_percent: Option<f64>,
    pub(super) follower_fetch_local: Option<Histogram>,
    pub(super) gc_ms: Option<f64>,
    pub(super) connections: Option<f64>,
    pub(super) connections_created: Option<f64>,
    /// Lag of the consumer groups whose coordinator the broker is.
    pub(super) groups: BTreeMap<String, GroupSample>,
}

/// Milliseconds spent on produce requests since the broker's start, and the number of requests.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ProduceTimes {
    pub queue: Option<Histogram>,
    pub local: Option<Histogram>,
    pub remote: Option<Histogram>,
    pub response_queue: Option<Histogram>,
    pub send: Option<Histogram>,
    pub throttle: Option<Histogram>,
    pub total: Option<Histogram>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Histogram {
    pub sum_ms: f64,
    pub count: f64,
}

impl Jmx {
    pub fn parse(text: &str) -> Jmx {
        let found = Exposition::parse(text);
        let replicas = |name| found.value("kafka_server_ReplicaManager_Value", &[("name", name)]);
        let topics = |name| found.value("kafka_server_BrokerTopicMetrics_Count", &[("name", name)]);
        let request = |name, request| {
            let labels = [("name", name), ("request", request)];
            let count = found.value("kafka_network_RequestMetrics_Count", &labels)?;
            Some(Histogram { sum_ms: found.value("kafka_network_RequestMetrics_Mean", &labels)? * count, count })
        };
        let produce = |name| request(name, "Produce");
        let offline = [("name", "OfflinePartitionsCount")];
        Jmx {
            started_at_s: found.value("process_start_time_seconds", &[]),
            broker_state: found.value("kafka_server_KafkaServer_Value", &[("name", "BrokerState")]),
            partition_count: replicas("PartitionCount"),
            leader_count: replicas("LeaderCount"),
            under_replicated_partitions: replicas("UnderReplicatedPartitions"),
            under_min_isr_partitions: replicas("UnderMinIsrPartitionCount"),
            // Only a controller counts offline partitions; with KRaft, a broker has its offline replicas.
            offline_partitions: found
                .value("kafka_controller_KafkaController_Value", &offline)
                .or_else(|| replicas("OfflineReplicaCount")),
            bytes_in: topics("BytesInPerSec"),
            bytes_out: topics("BytesOutPerSec"),
            messages_in: topics("MessagesInPerSec"),
            replication_bytes_in: topics("ReplicationBytesInPerSec"),
            replication_bytes_out: topics("ReplicationBytesOutPerSec"),
            produce: ProduceTimes {
                queue: produce("RequestQueueTimeMs"),
                local: produce("LocalTimeMs"),
                remote: produce("RemoteTimeMs"),
                response_queue: produce("ResponseQueueTimeMs"),
                send: produce("ResponseSendTimeMs"),
                throttle: produce("ThrottleTimeMs"),
                total: produce("TotalTimeMs"),
            },
            heap_used_percent: heap_used(&found),
            heap_after_gc_percent: heap_after_gc(&found),
            follower_fetch_local: request("LocalTimeMs", "FetchFollower"),
            gc_ms: sum(found
                .names("java_lang_", "_collectiontime")
                .flat_map(|name| found.all(name))
                .map(|(_, value)| value)),
            connections: sockets(&found, "connection_count"),
            connections_created: sockets(&found, "connection_creation"),
            groups: groups(&found),
        }
    }

    /// Kafka says that it runs, and it has no partition: in a cluster without any, that is all there is to serve.
    pub fn runs_without_partitions(&self) -> bool {
        self.broker_state.is_some_and(BrokerState::is_running) && self.partition_count == Some(0.0)
    }

    pub fn state(&self) -> BrokerState {
        BrokerState::by_gauges(self.broker_state, self.partition_count)
    }
}

/// A value of every network processor, summed up.
fn sockets(found: &Exposition, what: &str) -> Option<f64> {
    // The exporter's versions differ in dashes, and in whether a counter ends with `total`.
    let is_meant = |name: &str| name.trim_end_matches("_total").ends_with(what);
    let name = found.names("kafka_server_socket_server_metrics", "").find(|name| is_meant(name))?;
    sum(found.all(name).map(|(_, value)| value))
}

/// Heap in use, percent of its maximum: from the JVM's object, or the exporter's own metrics (1.x, 0.x).
fn heap_used(found: &Exposition) -> Option<f64> {
    let own = |name| found.value(name, &[("area", "heap")]);
    let pairs = [
        (
            found.value("java_lang_Memory_HeapMemoryUsage_used", &[]),
            found.value("java_lang_Memory_HeapMemoryUsage_max", &[]),
        ),
        (own("jvm_memory_used_bytes"), own("jvm_memory_max_bytes")),
        (own("jvm_memory_bytes_used"), own("jvm_memory_bytes_max")),
    ];
    pairs.into_iter().find_map(|(used, max)| percent(used, max))
}

/// Old generation in use after a collection, percent of its maximum.
///
/// The pool's own `CollectionUsage` stays 0 until that pool was collected, which with G1 may take hours; until then what
/// the last young collection left there is the nearest value.
fn heap_after_gc(found: &Exposition) -> Option<f64> {
    after_own_collection(found).or_else(|| after_last_collection(found))
}

/// Of a memory pool: G1's, the parallel collector's, the serial collector's.
fn is_old(pool: &str) -> bool {
    let pool = pool.to_ascii_lowercase().replace('_', " ");
    pool.contains("old gen") || pool.contains("tenured")
}

/// The values of a metric of memory pools, each with the pool's name, which is in the metric's name or in a label.
fn pools<'a>(found: &'a Exposition, suffix: &'a str) -> impl Iterator<Item = (String, f64)> + 'a {
    found.names("java_lang_", suffix).flat_map(move |name| {
        found.all(name).map(move |(labels, value)| {
            let pool = labels.get("name").unwrap_or(Cow::Borrowed(name.trim_end_matches(suffix)));
            (pool.into_owned(), value)
        })
    })
}

fn after_own_collection(found: &Exposition) -> Option<f64> {
    let of_java = |suffix| pools(found, suffix).find(|(pool, _)| is_old(pool)).map(|(_, value)| value);
    let of_exporter = |name: &str| {
        let is_old = |labels: &Labels| labels.get("pool").is_some_and(|pool| is_old(&pool));
        found.all(name).find(|(labels, _)| is_old(labels)).map(|(_, value)| value)
    };
    let pairs = [
        (of_java("_collectionusage_used"), of_java("_collectionusage_max")),
        (of_exporter("jvm_memory_pool_collection_used_bytes"), of_exporter("jvm_memory_pool_collection_max_bytes")),
    ];
    pairs.into_iter().find_map(|(used, max)| percent(used.filter(|used| *used > 0.0), max))
}

/// What the last collection of any collector left in the old generation.
fn after_last_collection(found: &Exposition) -> Option<f64> {
    let (name, collector, _) = found
        .names("java_lang_", "_lastgcinfo_endtime")
        .flat_map(|name| found.all(name).map(move |(labels, at)| (name, labels.get("name"), at)))
        .max_by(|(_, _, a), (_, _, b)| a.total_cmp(b))?;
    let of = |what: &str| {
        let name = format!("{}memoryusageaftergc_{what}", name.strip_suffix("endtime")?);
        let is_meant =
            |labels: &Labels| labels.get("name") == collector && labels.get("key").is_some_and(|key| is_old(&key));
        found.all(&name).find(|(labels, _)| is_meant(labels)).map(|(_, value)| value)
    };
    percent(of("used"), of("max"))
}

/// Lag of consumer groups (`kafka.consumer.group:type=ConsumerLagMetrics`), which MSK's brokers have.
fn groups(found: &Exposition) -> BTreeMap<String, GroupSample> {
    let mut groups: BTreeMap<String, GroupSample> = BTreeMap::new();
    let mut room = MOST_LAGS;
    for (labels, value) in found.all("kafka_consumer_group_ConsumerLagMetrics_Value") {
        let (Some(group), Some(topic), Some(name)) = (labels.get("groupId"), labels.get("topic"), labels.get("name"))
        else {
            continue;
        };
        let group = groups.entry(group.into_owned()).or_default();
        let partition = labels.get("partition").and_then(|number| number.parse::<i32>().ok());
        if let (Some(number), "OffsetLag") = (partition, name.as_ref()) {
            if room > 0 {
                room -= 1;
                let progress = Progress { lag: value as i64, committed_per_s: None };
                group.topics.entry(topic.into_owned()).or_default().insert(number, progress);
            }
            continue;
        }
        group.lags.entry(topic.into_owned()).or_default().set(&name, value);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_generation_is_read_after_a_collection() {
        let young = "java_lang_G1_Young_Generation_LastGcInfo_endTime{type=\"GarbageCollector\"} 5\n\
                     java_lang_G1_Young_Generation_LastGcInfo_memoryUsageAfterGc_used{key=\"G1 Old Gen\"} 30\n\
                     java_lang_G1_Young_Generation_LastGcInfo_memoryUsageAfterGc_max{key=\"G1 Old Gen\"} 100\n";
        let typed_first = "java_lang_GarbageCollector_LastGcInfo_endTime{name=\"G1 Young Generation\"} 5\n\
                           java_lang_GarbageCollector_LastGcInfo_endTime{name=\"G1 Old Generation\"} 2\n\
                           java_lang_GarbageCollector_LastGcInfo_memoryUsageAfterGc_used{name=\"G1 Old Generation\",key=\"G1 Old Gen\"} 90\n\
                           java_lang_GarbageCollector_LastGcInfo_memoryUsageAfterGc_used{name=\"G1 Young Generation\",key=\"G1 Old Gen\"} 40\n\
                           java_lang_GarbageCollector_LastGcInfo_memoryUsageAfterGc_max{name=\"G1 Young Generation\",key=\"G1 Old Gen\"} 100\n";
        let pool = |used| {
            format!(
                "java_lang_G1_Old_Gen_CollectionUsage_used{{type=\"MemoryPool\"}} {used}\n\
                 java_lang_G1_Old_Gen_CollectionUsage_max{{type=\"MemoryPool\"}} 100\n{young}"
            )
        };
        let labelled = "java_lang_MemoryPool_CollectionUsage_used{name=\"Metaspace\"} 7\n\
                        java_lang_MemoryPool_CollectionUsage_used{name=\"G1 Old Gen\"} 55\n\
                        java_lang_MemoryPool_CollectionUsage_max{name=\"Metaspace\"} 10\n\
                        java_lang_MemoryPool_CollectionUsage_max{name=\"G1 Old Gen\"} 100\n";
        let exporter = "jvm_memory_pool_collection_used_bytes{pool=\"G1 Eden Space\"} 0\n\
                        jvm_memory_pool_collection_used_bytes{pool=\"G1 Old Gen\"} 60\n\
                        jvm_memory_pool_collection_max_bytes{pool=\"G1 Old Gen\"} 100\n";
        let rows = [
            (pool(0), Some(30.0)),
            (pool(20), Some(20.0)),
            (young.to_owned(), Some(30.0)),
            (typed_first.to_owned(), Some(40.0)),
            (labelled.to_owned(), Some(55.0)),
            (exporter.to_owned(), Some(60.0)),
            (String::new(), None),
        ];
        for (text, expected) in rows {
            let after = |text: &str| Jmx::parse(text).heap_after_gc_percent.map(f64::round);
            assert_eq!(after(&text), expected, "{text}");
            assert_eq!(after(&text.to_lowercase().replace("g1 old gen", "G1 Old Gen")), expected, "{text}");
        }
    }

    #[test]
    fn heap_in_use_is_never_taken_for_heap_after_collection() {
        let rows = [
            "java_lang_Memory_HeapMemoryUsage_used 98\njava_lang_Memory_HeapMemoryUsage_max 100\n",
            "jvm_memory_used_bytes{area=\"nonheap\"} 1\njvm_memory_used_bytes{area=\"heap\"} 98\n\
             jvm_memory_max_bytes{area=\"heap\"} 100\n",
            "jvm_memory_bytes_used{area=\"heap\",} 98\njvm_memory_bytes_max{area=\"heap\",} 100\n",
        ];
        for text in rows {
            let jmx = Jmx::parse(text);
            assert_eq!((jmx.heap_used_percent, jmx.heap_after_gc_percent), (Some(98.0), None), "{text}");
        }
    }

    #[test]
    fn the_time_of_every_collector_counts() {
        let by_type = "java_lang_GarbageCollector_CollectionTime{name=\"G1 Young Generation\"} 40\n\
                       java_lang_GarbageCollector_CollectionTime{name=\"G1 Old Generation\"} 60\n";
        let by_name = "java_lang_G1_Young_Generation_CollectionTime{type=\"GarbageCollector\"} 40\n\
                       java_lang_G1_Old_Generation_CollectionTime{type=\"GarbageCollector\"} 60\n";
        for text in [by_type, by_name, &by_type.to_lowercase()] {
            assert_eq!(Jmx::parse(text).gc_ms, Some(100.0), "{text}");
        }
    }

    #[test]
    fn a_broker_under_kraft_has_offline_replicas() {
        let replicas = "kafka_server_ReplicaManager_Value{name=\"OfflineReplicaCount\"} 4\n";
        let controller = "kafka_controller_KafkaController_Value{name=\"OfflinePartitionsCount\"} 2\n";
        assert_eq!(Jmx::parse(replicas).offline_partitions, Some(4.0));
        assert_eq!(Jmx::parse(&format!("{replicas}{controller}")).offline_partitions, Some(2.0));
    }

    #[test]
    fn names_in_lower_case_are_the_same_metrics() {
        let text = include_str!("fixtures/jmx_1.prom");
        let lowered: String = text
            .lines()
            .map(|line| match line.split_once('{') {
                Some((name, rest)) if !line.starts_with('#') => format!("{}{{{rest}\n", name.to_lowercase()),
                _ => format!("{}\n", line.to_lowercase()),
            })
            .collect();
        assert_ne!(text, lowered);
        assert_eq!(Jmx::parse(&lowered), Jmx::parse(text));
        assert_eq!(Jmx::parse(&lowered).state(), BrokerState::Serving);
    }

    #[test]
    fn lag_of_consumer_groups_is_read() {
        let line = |name: &str, partition: &str, value: u32| {
            format!(
                "kafka_consumer_group_ConsumerLagMetrics_Value{{groupId=\"billing\",name=\"{name}\",{partition}topic=\"orders\",}} {value}\n"
            )
        };
        let text = [
            line("MaxOffsetLag", "", 80),
            line("SumOffsetLag", "", 90),
            line("EstimatedMaxTimeLag", "", 12),
            line("OffsetLag", "partition=\"0\",", 80),
            line("OffsetLag", "partition=\"1\",", 10),
        ]
        .concat();
        let groups = Jmx::parse(&text).groups;
        let billing = groups.get("billing").expect("the group");
        let lag = billing.lags.get("orders").expect("the topic");
        assert_eq!((lag.max_records, lag.sum_records, lag.max_s), (Some(80.0), Some(90.0), Some(12.0)));
        let of = |number| billing.topics.get("orders").and_then(|topic| topic.get(&number)).map(|found| found.lag);
        assert_eq!((of(0), of(1), of(2)), (Some(80), Some(10), None));
    }
}
