//! `/metrics` for Prometheus: findings, headroom, cost, the age of what is known, and the guard's own health.

use std::{fmt::Write as _, net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::{net::TcpListener, task::JoinHandle};

use super::report::{RoundReport, Seen, Stage};
use crate::listen;

/// The page as it is now.
#[derive(Debug, Clone, Default)]
pub struct Page(Arc<Mutex<String>>);

/// A figure of a cluster; nothing where it is not known.
type Figure = (&'static str, &'static str, fn(&Seen) -> Option<f64>);
const FIGURES: [Figure; 8] = [
    ("kgen_cluster_read", "Whether the cluster could be read.", |seen| {
        Some(f64::from(u8::from(seen.row.error.is_none())))
    }),
    ("kgen_cluster_cpu_p95_percent", "CPU of the busiest broker, 95th percentile.", |seen| seen.row.cpu_p95_percent),
    ("kgen_cluster_disk_p95_percent", "Disk of the fullest broker, likewise.", |seen| seen.row.disk_p95_percent),
    ("kgen_cluster_heap_p95_percent", "Heap after garbage collection, likewise.", |seen| seen.row.heap_p95_percent),
    ("kgen_cluster_brokers", "Brokers; 0 for a serverless cluster.", |seen| Some(f64::from(seen.row.broker_count))),
    ("kgen_cluster_usd_per_month", "List price of the brokers in us-east-1, USD.", |seen| seen.row.usd_per_month),
    ("kgen_cluster_causes_assessed", "Causes that the datapoints can show or rule out.", |seen| {
        seen.row.causes_assessed.map(|count| count as f64)
    }),
    ("kgen_cluster_newest_timestamp_seconds", "Time of the newest datapoint.", |seen| {
        seen.newest.map(|at| at.as_millisecond() as f64 / 1000.0)
    }),
];

/// What a guard knows of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Health {
    pub rounds: u64,
    /// Rounds that were not read for want of money.
    pub rounds_unpaid: u64,
    /// How long the last round took, s.
    pub round_s: f64,
    /// Time between two rounds, s.
    pub interval_s: f64,
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Messages that were given up because an outbox was full.
    pub given_up: u64,
}

impl Page {
    /// Shows `report`, if there was a round, and the guard's health.
    pub fn set(&self, report: Option<&RoundReport>, health: Health) {
        *self.0.lock() = page(report, health);
    }

    /// Serves the page at `address`, until the task is dropped.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn serve(&self, address: SocketAddr) -> anyhow::Result<(SocketAddr, JoinHandle<()>)> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
        let address = listener.local_addr().context("listening")?;
        let page = self.clone();
        let answer = move || {
            let text = page.0.lock().clone();
            async move { ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text) }
        };
        let router = Router::new().route("/metrics", get(answer));
        Ok((address, tokio::spawn(listen::serve(listener, router, std::future::pending()))))
    }
}

/// The page in Prometheus's text format.
fn page(report: Option<&RoundReport>, health: Health) -> String {
    let mut page = Writer::default();
    page.one("kgen_guard_rounds_total", "counter", "Rounds that were read.", health.rounds as f64);
    page.one(
        "kgen_guard_rounds_unpaid_total",
        "counter",
        "Rounds that were not read, as they would have cost more than max_usd_per_day.",
        health.rounds_unpaid as f64,
    );
    page.one("kgen_guard_round_seconds", "gauge", "How long the last round took.", health.round_s);
    page.one("kgen_guard_interval_seconds", "gauge", "Time between two rounds.", health.interval_s);
    page.one("kgen_guard_messages_delivered_total", "counter", "Messages that a sink took.", health.delivered as f64);
    page.one(
        "kgen_guard_messages_failed_total",
        "counter",
        "Attempts to send a message that failed.",
        health.failed as f64,
    );
    page.one(
        "kgen_guard_messages_given_up_total",
        "counter",
        "Messages that were given up because too many waited for a sink.",
        health.given_up as f64,
    );
    if let Some(report) = report {
        of_round(&mut page, report);
    }
    page.text
}

fn of_round(page: &mut Writer, report: &RoundReport) {
    let seconds = |at: Timestamp| at.as_millisecond() as f64 / 1000.0;
    page.one("kgen_guard_round_timestamp_seconds", "gauge", "When the last round ended.", seconds(report.at));
    page.one("kgen_guard_round_usd", "gauge", "What the last round cost, USD.", report.usd);
    page.one("kgen_guard_usd_today", "gauge", "What was spent since midnight UTC, USD.", report.usd_today);
    page.head("kgen_guard_messages_waiting", "gauge", "Messages that wait for a sink.");
    for (sink, count) in &report.undelivered {
        page.value("kgen_guard_messages_waiting", &[("sink", sink)], *count as f64);
    }
    page.head("kgen_guard_unlisted", "gauge", "Regions of accounts that could not be listed.");
    for failure in &report.failures {
        let caller = failure.caller.as_deref().unwrap_or_default();
        page.value("kgen_guard_unlisted", &[("region", &failure.region), ("caller", caller)], 1.0);
    }
    page.head("kgen_finding", "gauge", "A cause that was seen in the last round.");
    for finding in &report.findings {
        let labels = [
            ("cluster", finding.subject.name.as_str()),
            ("region", &finding.subject.region),
            ("cause", &finding.cause),
            ("object", &finding.object),
            ("severity", finding.severity.as_str()),
            ("stage", finding.stage.as_str()),
            ("alert", &finding.alert),
        ];
        page.value("kgen_finding", &labels, if finding.stage == Stage::Firing { 1.0 } else { 0.5 });
    }
    of_clusters(page, report);
}

/// The figures of each cluster.
fn of_clusters(page: &mut Writer, report: &RoundReport) {
    for (name, help, figure) in FIGURES {
        page.head(name, "gauge", help);
        for seen in &report.clusters {
            if let Some(value) = figure(seen) {
                page.value(name, &[("cluster", seen.row.name.as_str()), ("region", &seen.row.region)], value);
            }
        }
    }
}

#[derive(Default)]
struct Writer {
    text: String,
}

impl Writer {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.head(name, kind, help);
        self.value(name, &[], value);
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.text, "{name}{labels} {value}");
    }
}

/// A label's value (Prometheus exposition formats, "Comments, help text, and type information").
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{exposition::metrics, guard::testing::report};

    #[test]
    fn the_page_is_one_that_prometheus_reads() {
        let mut report = report();
        report.clusters[0].row.name = "a\"b\\c\n".to_owned();
        let page = page(Some(&report), Health { rounds: 3, ..Health::default() });
        let of = |name: &str| metrics(&page).filter(|(metric, _, _)| *metric == name).collect::<Vec<_>>();
        assert_eq!(of("kgen_guard_rounds_total").len(), 1);
        let finding = of("kgen_finding");
        assert_eq!(finding[0].1.get("cause").as_deref(), Some("broker.undersized"));
        assert_eq!(of("kgen_cluster_read").len(), report.clusters.len());
        // What is not known is not there, rather than zero.
        assert_eq!(of("kgen_cluster_heap_p95_percent").len(), 0);
        let heads = page.lines().filter(|line| line.starts_with("# TYPE")).count();
        assert_eq!(page.lines().filter(|line| line.starts_with("# HELP")).count(), heads);
    }

    #[tokio::test]
    async fn the_page_is_served() {
        let page = Page::default();
        page.set(None, Health::default());
        let (address, task) = page.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let text = reqwest::get(format!("http://{address}/metrics")).await.unwrap().text().await.unwrap();
        assert!(text.contains("kgen_guard_rounds_total 0"), "{text}");
        let other = reqwest::get(format!("http://{address}/")).await.unwrap();
        assert_eq!(other.status(), 404);
        task.abort();
    }
}
