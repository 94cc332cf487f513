//! Pages in Prometheus's text format: of the hundred thousand lines that one may have, those that kgen reads. Pure.
//!
//! Names are compared without regard to case: an exporter with `lowercaseOutputName` writes the same names in lower case,
//! and no two names that kgen reads differ by case alone.

use std::collections::HashMap;

use crate::exposition::{Labels, metric};

/// What an endpoint should show, by the name of its Prometheus job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Job {
    /// The JMX exporter of the broker (MSK: port 11001).
    Jmx,
    /// The node exporter of its machine (MSK: port 11002).
    Node,
}

impl Job {
    pub fn name(self) -> &'static str {
        match self {
            Job::Jmx => "jmx",
            Job::Node => "node",
        }
    }
}

/// Beginnings of the names that kgen reads, in lower case.
const WANTED: [&str; 15] = [
    "kafka_server_replicamanager_value",
    TOPIC_METRICS,
    "kafka_server_kafkaserver_value",
    "kafka_server_socket_server_metrics",
    "kafka_network_requestmetrics_count",
    "kafka_network_requestmetrics_mean",
    "kafka_controller_kafkacontroller_value",
    "kafka_consumer_group_consumerlagmetrics_value",
    "java_lang_",
    "jvm_memory_",
    "process_start_time_seconds",
    "node_cpu_seconds_total",
    "node_memory_",
    "node_filesystem_",
    "kgen_lab_",
];

/// MSK gives each of these once more for every topic.
const TOPIC_METRICS: &str = "kafka_server_brokertopicmetrics_count";

/// Beginnings of names that only a broker has. (Other exporters have names that begin with `kafka_` too.)
const OF_A_BROKER: [&str; 5] = ["kafka_server_", "kafka_network_", "kafka_controller_", "kafka_log_", "kafka_cluster_"];

/// Beginnings of names that the JMX exporter has of any JVM, also of a broker that has only just started.
const OF_A_JVM: [&str; 3] = ["java_lang_", "jvm_", "jmx_"];

/// Beginnings of names that the node exporter has, or the lab in its place.
const OF_A_NODE: [&str; 2] = ["node_", "kgen_lab_"];

/// Where exporters whose rules rewrite names begin to differ from those of MSK.
const REPLICA_MANAGER: &str = "kafka_server_replicamanager_";
/// What follows there where no rule is applied: attributes of the object, in lower case.
const ATTRIBUTES: [&str; 7] =
    ["value", "count", "mean", "oneminuterate", "fiveminuterate", "fifteenminuterate", "eventtype"];

/// Of the wanted lines of one page: those of 10,000 partitions and their groups have a few MiB.
const MOST_KEPT_BYTES: usize = 8 << 20;

/// Of one line that is worth reading.
const LONGEST_LINE: usize = 64 << 10;

fn begins_with(name: &[u8], beginning: &str) -> bool {
    name.get(..beginning.len()).is_some_and(|front| front.eq_ignore_ascii_case(beginning.as_bytes()))
}

/// Whether kgen reads a line: by its name, and of the topics' only the sum over all.
fn is_wanted(line: &[u8]) -> bool {
    let of_topic = || {
        let labels = line.windows(7).position(|part| part.eq_ignore_ascii_case(b"topic=\""));
        labels.is_some_and(|at| line.get(at + 7) != Some(&b'"'))
    };
    WANTED.iter().any(|name| begins_with(line, name)) && !(begins_with(line, TOPIC_METRICS) && of_topic())
}

/// The values of one scrape that kgen reads, by the metric's name in lower case.
#[derive(Debug)]
pub struct Exposition<'a>(HashMap<String, Vec<(Labels<'a>, f64)>>);

impl<'a> Exposition<'a> {
    /// Lines that are no metric are passed over, as Prometheus's own format asks of a reader.
    pub fn parse(text: &'a str) -> Exposition<'a> {
        let mut values: HashMap<String, Vec<_>> = HashMap::new();
        let wanted = text.lines().map(str::trim).filter(|line| is_wanted(line.as_bytes()));
        for (name, labels, value) in wanted.filter_map(metric).filter(|(_, _, value)| value.is_finite()) {
            values.entry(name.to_ascii_lowercase()).or_default().push((labels, value));
        }
        Exposition(values)
    }

    /// The value of `name` whose labels include `labels`.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has =
            |found: &Labels| labels.iter().all(|(label, value)| found.get(label).is_some_and(|own| own == *value));
        self.all(name).find(|(found, _)| has(found)).map(|(_, value)| value)
    }

    /// Every value of `name`.
    pub fn all(&self, name: &str) -> impl Iterator<Item = (Labels<'a>, f64)> {
        self.0.get(&name.to_ascii_lowercase()).into_iter().flatten().copied()
    }

    /// Names, in lower case, that begin with `prefix` and end with `suffix`.
    pub fn names<'b>(&'b self, prefix: &'b str, suffix: &'b str) -> impl Iterator<Item = &'b str> {
        self.0.keys().map(String::as_str).filter(move |name| name.starts_with(prefix) && name.ends_with(suffix))
    }
}

/// The sum, if there is anything to sum up.
pub fn sum(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values = values.peekable();
    values.peek().is_some().then(|| values.sum())
}

/// The rise of a counter; nothing when it fell, as after a restart.
pub fn risen(was: Option<f64>, now: Option<f64>) -> Option<f64> {
    Some(now? - was?).filter(|rise| *rise >= 0.0)
}

/// Nothing where there is no whole, or an undefined one (Java's -1).
pub fn percent(part: Option<f64>, whole: Option<f64>) -> Option<f64> {
    let whole = whole.filter(|whole| *whole > 0.0)?;
    Some(part? / whole * 100.0)
}

/// Keeps the wanted lines of a page as it comes, and notices what kind of page it is.
#[derive(Debug, Default)]
pub struct Sieve {
    /// The line whose end has not come yet.
    begun: Vec<u8>,
    kept: String,
    seen: Seen,
}

/// What was noticed of a page besides its values.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Seen {
    is_markup: bool,
    of_a_broker: bool,
    of_a_jvm: bool,
    of_a_node: bool,
    /// Any metric at all: the name of the first.
    first: Option<String>,
    /// A name that no exporter without rules would write.
    rewritten: Option<String>,
    has_text: bool,
}

impl Sieve {
    /// Takes the next part of the page. Returns whether there is room for more.
    pub fn take(&mut self, part: &[u8]) -> bool {
        for line in part.split_inclusive(|byte| *byte == b'\n') {
            let is_whole = line.ends_with(b"\n");
            if is_whole && self.begun.is_empty() {
                self.line(line);
            } else {
                // Of a line without end the front says all that can be said.
                let room = LONGEST_LINE.saturating_sub(self.begun.len()).min(line.len());
                self.begun.extend_from_slice(&line[..room]);
                if is_whole {
                    let begun = std::mem::take(&mut self.begun);
                    self.line(&begun);
                }
            }
        }
        self.kept.len() <= MOST_KEPT_BYTES
    }

    /// The wanted lines, and what the page is.
    pub fn end(mut self) -> (String, Seen) {
        let begun = std::mem::take(&mut self.begun);
        self.line(&begun);
        (self.kept, self.seen)
    }

    fn line(&mut self, line: &[u8]) {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            return;
        }
        self.seen.line(line);
        if is_wanted(line) {
            self.kept.push_str(&String::from_utf8_lossy(line));
            self.kept.push('\n');
        }
    }
}

impl Seen {
    fn line(&mut self, line: &[u8]) {
        if !self.has_text {
            self.has_text = true;
            self.is_markup = line.starts_with(b"<");
        }
        if self.first.is_none() {
            self.first = metric(&String::from_utf8_lossy(line)).map(|(name, _, _)| name.to_owned());
        }
        let of = |names: &[&str]| names.iter().any(|name| begins_with(line, name));
        self.of_a_broker |= of(&OF_A_BROKER);
        self.of_a_jvm |= of(&OF_A_JVM);
        self.of_a_node |= of(&OF_A_NODE);
        if self.rewritten.is_none() && begins_with(line, REPLICA_MANAGER) {
            let name: Vec<u8> = line.iter().copied().take_while(|byte| !b"{ \t".contains(byte)).collect();
            let name = String::from_utf8_lossy(&name).into_owned();
            let attribute = name[REPLICA_MANAGER.len()..].to_ascii_lowercase();
            if !ATTRIBUTES.iter().any(|known| attribute == *known) {
                self.rewritten = Some(name);
            }
        }
    }

    /// Why this is no page of MSK's exporter for `job`; nothing if it may be one, such as that of a broker that starts.
    pub fn foreign(&self, job: Job) -> Option<String> {
        let Some(first) = &self.first else {
            return Some(if self.is_markup { "it serves an HTML page" } else { "it serves no metrics" }.to_owned());
        };
        if self.is_markup {
            return Some("it serves an HTML page".to_owned());
        }
        let other = || format!("it serves other metrics, such as {first}");
        match job {
            Job::Jmx if self.of_a_broker || self.of_a_jvm => {
                let name = self.rewritten.as_ref()?;
                Some(format!(
                    "rules in its configuration rewrite names ({name}); kgen expects the names of a JMX exporter \
                     without `rules`, as on MSK"
                ))
            }
            Job::Jmx if self.of_a_node => {
                Some("it serves metrics of a node exporter; the jobs jmx and node seem to be swapped".to_owned())
            }
            Job::Node if self.of_a_node => None,
            Job::Node if self.of_a_broker || self.of_a_jvm => {
                Some("it serves metrics of a JMX exporter; the jobs jmx and node seem to be swapped".to_owned())
            }
            _ => Some(other()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sieved(text: &str, step: usize) -> (String, Seen) {
        let mut sieve = Sieve::default();
        for part in text.as_bytes().chunks(step) {
            assert!(sieve.take(part));
        }
        sieve.end()
    }

    #[test]
    fn labels_may_hold_anything() {
        let text =
            "kafka_consumer_group_ConsumerLagMetrics_Value{groupId=\"a,b=\\\"c\\\"}\",name=\"SumOffsetLag\",} 7 1700\n";
        let found = Exposition::parse(text);
        let (labels, value) = found.all("kafka_consumer_group_ConsumerLagMetrics_Value").next().expect("a line");
        assert_eq!((labels.get("groupid").as_deref(), value), (Some("a,b=\"c\"}"), 7.0));
        assert_eq!(labels.get("name").as_deref(), Some("SumOffsetLag"));
        assert_eq!(labels.get("topic"), None);
    }

    #[test]
    fn what_is_no_metric_is_passed_over() {
        let lines = [
            "",
            "# TYPE node_memory_x gauge",
            "node_memory_x",
            "node_memory_x{",
            "node_memory_x{a=\"b} 1",
            "node_memory_x NaN",
            "node_memory_x{a=\"b\"} x",
            "{a=\"b\"} 1",
            "node_memory_x +Inf",
        ];
        for line in lines {
            assert!(Exposition::parse(line).0.is_empty(), "{line}");
        }
    }

    #[test]
    fn only_the_wanted_lines_are_kept_wherever_the_page_is_cut() {
        let text = "# HELP kafka_server_ReplicaManager_Value x\nkafka_server_ReplicaManager_Value{name=\"PartitionCount\"} 3\n\
                    kafka_log_Log_Value{name=\"Size\",topic=\"t\",partition=\"0\"} 5\n\
                    kafka_server_BrokerTopicMetrics_Count{name=\"BytesInPerSec\",topic=\"t\"} 5\n\
                    kafka_server_BrokerTopicMetrics_Count{name=\"BytesInPerSec\",topic=\"\"} 6\n\
                    kafka_server_brokertopicmetrics_count{name=\"BytesInPerSec\"} 7";
        for step in [1, 7, 64, 4096] {
            let (kept, seen) = sieved(text, step);
            assert_eq!(kept.lines().count(), 3, "{kept}");
            assert!(!kept.contains("\"t\""), "{kept}");
            assert_eq!(seen.foreign(Job::Jmx), None);
        }
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let mut sieve = Sieve::default();
        for _ in 0..1000 {
            sieve.take(&[b'x'; 10_000]);
        }
        assert!(sieve.begun.len() <= LONGEST_LINE);
    }

    #[test]
    fn other_pages_are_named_for_what_they_are() {
        let jmx =
            "java_lang_Memory_HeapMemoryUsage_used 1\nkafka_server_ReplicaManager_Value{name=\"LeaderCount\"} 1\n";
        let (node, starting) = ("node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 1\n", "jvm_threads_current 12\n");
        let rewritten = "kafka_server_replicamanager_partitioncount 3\njvm_threads_current 12\n";
        let lowered = "kafka_server_replicamanager_value{name=\"PartitionCount\",} 3\n";
        let rows = [
            (Job::Jmx, jmx, None),
            (Job::Jmx, lowered, None),
            (Job::Jmx, starting, None),
            (Job::Node, node, None),
            (Job::Jmx, "<!DOCTYPE html>\n<html><body>Sign in 1\n", Some("an HTML page")),
            (Job::Node, "<html></html>", Some("an HTML page")),
            (Job::Jmx, "", Some("no metrics")),
            (Job::Jmx, "{\"status\": \"ok\"}", Some("no metrics")),
            (Job::Jmx, node, Some("swapped")),
            (Job::Node, jmx, Some("swapped")),
            (Job::Jmx, "kafka_brokers 3\ngo_threads 1\n", Some("other metrics, such as kafka_brokers")),
            (Job::Node, "go_threads 1\n", Some("such as go_threads")),
            (Job::Jmx, rewritten, Some("without `rules`")),
        ];
        for (job, text, expected) in rows {
            let said = sieved(text, 4096).1.foreign(job);
            match expected {
                None => assert_eq!(said, None, "{text}"),
                Some(words) => assert!(said.as_ref().is_some_and(|said| said.contains(words)), "{text}: {said:?}"),
            }
        }
    }
}
