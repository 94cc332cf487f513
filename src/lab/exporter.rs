//! A broker's two Prometheus endpoints, as MSK's open monitoring has them: JMX (relayed) and the node's metrics.

use std::{
    fmt::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};

use super::readings::BrokerReadings;

/// What the node endpoint shows. CPU times are in seconds of the broker type's vCPUs, so that they sum up to
/// elapsed time × vCPUs as on a machine of that type.
#[derive(Debug, Clone, Default)]
pub struct NodeTotals {
    vcpus: f64,
    user: f64,
    system: f64,
    idle: f64,
    /// What T3 credits did not allow.
    steal: f64,
    at: Option<Instant>,
    pub memory_total_bytes: u64,
    pub memory_used_bytes: u64,
    pub cached_bytes: u64,
    pub volume_bytes: u64,
    pub disk_bytes: u64,
    pub periods: u64,
    pub throttled_periods: u64,
    pub credit_balance: Option<f64>,
}

impl NodeTotals {
    /// Time since this was asked before.
    pub fn since(&mut self, now: Instant) -> Duration {
        let since = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.at = Some(now);
        since
    }

    /// Adds an interval. `user` and `system` are seconds of the whole broker (1 s in 1 s is 100 %), and
    /// `allowed_share` of it could be used.
    pub fn pass(&mut self, elapsed: Duration, vcpus: f64, user: f64, system: f64, allowed_share: f64) {
        let all = elapsed.as_secs_f64();
        let busy = (user + system).min(all);
        let steal = (all * (1.0 - allowed_share)).min(all - busy);
        self.vcpus = vcpus;
        self.user += user * vcpus;
        self.system += system * vcpus;
        self.steal += steal * vcpus;
        self.idle += (all - busy - steal) * vcpus;
    }

    /// As text for Prometheus.
    pub fn render(&self, host_cpu_pressure_percent: Option<f64>) -> String {
        let mut text = String::new();
        let mut metric = |name: &str, kind: &str, samples: &[(String, f64)]| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# TYPE {name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        };
        let cpus = self.vcpus as u32;
        let modes = [("user", self.user), ("system", self.system), ("idle", self.idle), ("steal", self.steal)];
        let cpu: Vec<(String, f64)> = (0..cpus)
            .flat_map(|cpu| {
                modes.map(|(mode, seconds)| (format!("{{cpu=\"{cpu}\",mode=\"{mode}\"}}"), seconds / f64::from(cpus)))
            })
            .collect();
        metric("node_cpu_seconds_total", "counter", &cpu);
        let one = |value: u64| [(String::new(), value as f64)];
        let free = self.memory_total_bytes.saturating_sub(self.memory_used_bytes);
        metric("node_memory_MemTotal_bytes", "gauge", &one(self.memory_total_bytes));
        metric("node_memory_MemFree_bytes", "gauge", &one(free));
        metric("node_memory_MemAvailable_bytes", "gauge", &one(free + self.cached_bytes));
        metric("node_memory_Cached_bytes", "gauge", &one(self.cached_bytes));
        let volume = |bytes: u64| [("{mountpoint=\"/kafka/datalogs\"}".to_owned(), bytes as f64)];
        metric("node_filesystem_size_bytes", "gauge", &volume(self.volume_bytes));
        metric("node_filesystem_avail_bytes", "gauge", &volume(self.volume_bytes.saturating_sub(self.disk_bytes)));
        metric("kgen_lab_cpu_periods_total", "counter", &one(self.periods));
        metric("kgen_lab_cpu_throttled_periods_total", "counter", &one(self.throttled_periods));
        if let Some(balance) = self.credit_balance {
            metric("kgen_lab_cpu_credit_balance", "gauge", &[(String::new(), balance)]);
        }
        if let Some(pressure) = host_cpu_pressure_percent {
            metric("kgen_lab_host_cpu_pressure_percent", "gauge", &[(String::new(), pressure)]);
        }
        text
    }
}

/// `some avg10` of /proc/pressure/cpu, percent; `None` where the kernel does not report it.
pub fn host_cpu_pressure_percent() -> Option<f64> {
    parse_pressure(&std::fs::read_to_string("/proc/pressure/cpu").ok()?)
}

fn parse_pressure(text: &str) -> Option<f64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    some.split(' ').find_map(|word| word.strip_prefix("avg10="))?.parse().ok()
}

/// `GET /metrics` of a broker's node.
pub fn node_router(broker: Arc<BrokerReadings>) -> Router {
    Router::new().route(
        "/metrics",
        get(move || {
            let text = broker.totals().render(host_cpu_pressure_percent());
            std::future::ready(prometheus(text))
        }),
    )
}

/// `GET /metrics` of a broker's JMX exporter.
pub fn jmx_router(broker: Arc<BrokerReadings>) -> Router {
    Router::new().route(
        "/metrics",
        get(move || {
            let broker = broker.clone();
            async move {
                match broker.relay.text().await {
                    Ok(text) => prometheus(text.to_string()),
                    Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}\n")).into_response(),
                }
            }
        }),
    )
}

fn prometheus(text: String) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sum of `node_cpu_seconds_total` with `label`.
    fn cpu(text: &str, label: &str) -> f64 {
        text.lines()
            .filter(|line| line.starts_with("node_cpu_seconds_total{") && line.contains(label))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }

    #[test]
    fn cpu_time_sums_up_to_elapsed_time_of_every_vcpu() {
        let mut totals = NodeTotals::default();
        totals.pass(Duration::from_secs(10), 2.0, 6.0, 1.0, 1.0);
        totals.pass(Duration::from_secs(10), 2.0, 1.5, 0.5, 0.2);
        let text = totals.render(None);
        for (label, seconds) in [
            ("mode=\"user\"", 15.0),
            ("mode=\"system\"", 3.0),
            ("mode=\"steal\"", 16.0),
            ("mode=\"idle\"", 6.0),
            ("cpu=\"", 40.0),
        ] {
            assert!((cpu(&text, label) - seconds).abs() < 1e-9, "{label}: {text}");
        }
    }

    #[test]
    fn pressure_is_read() {
        let text =
            "some avg10=31.42 avg60=25.22 avg300=20.16 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!(parse_pressure(text), Some(31.42));
        assert_eq!(parse_pressure(""), None);
    }
}
