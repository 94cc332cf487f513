//! One scrape of a broker's JMX exporter, by names.

use std::collections::{BTreeMap, HashMap};

use crate::{
    exposition::{self, Labels},
    sample::BrokerState,
};

/// The figures of one scrape.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Jmx {
    /// When it was requested, ms since the epoch.
    pub at_ms: i64,
    /// By [`key`].
    values: HashMap<String, f64>,
    /// Counters of `BrokerTopicMetrics` by topic and name.
    topics: BTreeMap<String, HashMap<String, f64>>,
    /// `socket-server-metrics` of each listener's network threads, by attribute.
    processors: BTreeMap<(String, String), HashMap<String, f64>>,
    /// Quota metrics of clients: the kind (`Produce`, `Fetch`, `Request`), the client's labels, by attribute.
    clients: BTreeMap<(String, String), HashMap<String, f64>>,
}

const SOCKETS: &str = "kafka_server_socket_server_metrics_";

/// What quotas of clients are of.
const QUOTAS: [&str; 3] = ["Produce", "Fetch", "Request"];

/// `metric`, the label `name` and the label `request`, as one word.
pub fn key(metric: &str, name: &str, request: &str) -> String {
    format!("{metric}:{name}:{request}")
}

impl Jmx {
    /// Reads the exporter's text; lines that are no figures are passed over.
    pub fn parse(at_ms: i64, text: &str) -> Jmx {
        let mut jmx = Jmx { at_ms, ..Jmx::default() };
        exposition::metrics(text).for_each(|(metric, labels, value)| jmx.take(metric, labels, value));
        jmx
    }

    fn take(&mut self, metric: &str, labels: Labels<'_>, value: f64) {
        let label = |name: &str| labels.get(name).unwrap_or_default();
        if let Some(topic) = labels.get("topic") {
            if metric == "kafka_server_BrokerTopicMetrics_Count" {
                self.topics.entry(topic.into_owned()).or_default().insert(label("name").into_owned(), value);
            }
        } else if let Some(attribute) = metric.strip_prefix(SOCKETS) {
            let processor = (label("listener").into_owned(), label("networkProcessor").into_owned());
            self.processors.entry(processor).or_default().insert(attribute.to_owned(), value);
        } else if let Some((kind, attribute)) =
            quota(metric).filter(|_| !label("client_id").is_empty() || !label("user").is_empty())
        {
            let client = (kind.to_owned(), format!("{}/{}", label("user"), label("client_id")));
            self.clients.entry(client).or_default().insert(attribute.to_owned(), value);
        } else if metric.starts_with("jvm_memory_pool_") {
            self.values.insert(key(metric, &label("pool"), ""), value);
        } else {
            self.values.insert(key(metric, &label("name"), &label("request")), value);
        }
    }

    /// Whether the broker is up and takes part.
    pub fn is_running(&self) -> bool {
        let state = self.value("kafka_server_KafkaServer_Value", "BrokerState");
        state.is_some_and(BrokerState::is_running)
    }

    /// A figure without a label `request`.
    pub fn value(&self, metric: &str, name: &str) -> Option<f64> {
        self.values.get(&key(metric, name, "")).copied()
    }

    /// A counter of `BrokerTopicMetrics` over all topics.
    pub fn topics_counter(&self, name: &str) -> Option<f64> {
        self.value("kafka_server_BrokerTopicMetrics_Count", name)
    }

    /// Topics that the broker has counters of.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.keys().map(String::as_str)
    }

    /// A counter of `BrokerTopicMetrics` of one topic.
    pub fn topic_counter(&self, topic: &str, name: &str) -> Option<f64> {
        self.topics.get(topic)?.get(name).copied()
    }

    /// A gauge of `ReplicaManager`.
    pub fn replicas(&self, name: &str) -> Option<f64> {
        self.value("kafka_server_ReplicaManager_Value", name)
    }

    /// Number and sum, over the broker's life, of a part of a kind of request, such as `LocalTimeMs` of `Produce`.
    pub fn request(&self, request: &str, part: &str) -> Option<(f64, f64)> {
        let count = self.values.get(&key("kafka_network_RequestMetrics_Count", part, request))?;
        let mean = self.values.get(&key("kafka_network_RequestMetrics_Mean", part, request))?;
        Some((*count, count * mean))
    }

    /// An attribute of each network thread, with its listener.
    pub fn processors<'a>(&'a self, attribute: &'a str) -> impl Iterator<Item = ((&'a str, &'a str), f64)> {
        self.processors.iter().filter_map(move |((listener, number), attributes)| {
            Some(((listener.as_str(), number.as_str()), *attributes.get(attribute)?))
        })
    }

    /// Attributes of the clients that have a quota of this kind.
    pub fn clients<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a HashMap<String, f64>> {
        self.clients.iter().filter(move |((of, _), _)| of == kind).map(|(_, attributes)| attributes)
    }

    /// Heap that the last collection left, percent of the heap.
    pub fn heap_after_gc_percent(&self) -> Option<f64> {
        // The old generation grows only when there is a collection; the survivors are what the last one left.
        let old = self.value("jvm_memory_pool_used_bytes", "Tenured Gen")?;
        let survivors = self.value("jvm_memory_pool_collection_used_bytes", "Survivor Space").unwrap_or(0.0);
        let max = self.value("java_lang_Memory_HeapMemoryUsage_max", "").filter(|max| *max > 0.0)?;
        Some((old + survivors) / max * 100.0)
    }
}

/// Kind and attribute of a metric of `kafka.server:type=Produce` and the like.
fn quota(metric: &str) -> Option<(&str, &str)> {
    let rest = metric.strip_prefix("kafka_server_")?;
    let (kind, attribute) = rest.split_once('_')?;
    QUOTAS.contains(&kind).then_some((kind, attribute))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_is_read_by_names() {
        let jmx = Jmx::parse(
            7,
            "# TYPE kafka_network_RequestMetrics_Count untyped\n\
             kafka_network_RequestMetrics_Count{name=\"TotalTimeMs\",request=\"Produce\"} 100\n\
             kafka_network_RequestMetrics_Mean{name=\"TotalTimeMs\",request=\"Produce\"} 2.5\n\
             kafka_server_BrokerTopicMetrics_Count{name=\"BytesInPerSec\"} 900\n\
             kafka_server_BrokerTopicMetrics_Count{name=\"BytesInPerSec\",topic=\"orders\"} 800\n\
             kafka_server_BrokerTopicMetrics_MeanRate{name=\"BytesInPerSec\",topic=\"orders\"} 1\n\
             kafka_server_KafkaServer_Value{name=\"BrokerState\"} 3.0\n\
             kafka_server_socket_server_metrics_connection_count{listener=\"PLAINTEXT\",networkProcessor=\"0\"} 4\n\
             kafka_server_socket_server_metrics_connection_count{listener=\"PLAINTEXT\",networkProcessor=\"1\"} NaN\n\
             kafka_server_Produce_queue_size 2\n\
             kafka_server_Produce_byte_rate{client_id=\"c\"} 50\n\
             java_lang_Memory_HeapMemoryUsage_max 2.0E8\n\
             jvm_memory_pool_used_bytes{pool=\"Tenured Gen\"} 4.0E7\n\
             jvm_memory_pool_collection_used_bytes{pool=\"Survivor Space\"} 1.0E7\n",
        );
        assert!(jmx.is_running());
        assert_eq!(jmx.request("Produce", "TotalTimeMs"), Some((100.0, 250.0)));
        assert_eq!(
            (jmx.topics_counter("BytesInPerSec"), jmx.topic_counter("orders", "BytesInPerSec")),
            (Some(900.0), Some(800.0))
        );
        assert_eq!(jmx.processors("connection_count").collect::<Vec<_>>(), [(("PLAINTEXT", "0"), 4.0)]);
        assert_eq!(jmx.value("kafka_server_Produce_queue_size", ""), Some(2.0));
        assert_eq!(jmx.clients("Produce").map(|of| of["byte_rate"]).collect::<Vec<_>>(), [50.0]);
        assert_eq!(jmx.heap_after_gc_percent(), Some(25.0));
    }
}
