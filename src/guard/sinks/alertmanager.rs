//! Prometheus Alertmanager: `POST /api/v2/alerts`. It takes an alert for over when it was not told of it for some time, so
//! what fires is repeated every round; by its labels it is the same alert.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Post, fix_lines};
use crate::alert::Message;

#[derive(Clone)]
pub struct Alertmanager {
    url: String,
}

impl Alertmanager {
    /// At the base URL, such as `http://alertmanager:9093`.
    pub fn at(base: &str) -> Alertmanager {
        Alertmanager { url: format!("{}/api/v2/alerts", base.trim_end_matches('/')) }
    }

    /// These alerts, which end by themselves when they are not repeated for `lasting`.
    pub fn post(&self, messages: &[Message], now: Timestamp, lasting: Duration) -> Post {
        let alerts: Vec<Value> = messages.iter().map(|message| alert(message, now, lasting)).collect();
        Post { url: self.url.clone(), headers: Vec::new(), body: Value::from(alerts).to_string().into_bytes() }
    }
}

fn alert(message: &Message, now: Timestamp, lasting: Duration) -> Value {
    let ends = message.until.unwrap_or_else(|| now.saturating_add(lasting).unwrap_or(Timestamp::MAX));
    let mut labels = json!({
        "alertname": message.cause,
        "kgen_alert": message.alert,
        "severity": message.severity.as_str(),
        "cluster": message.subject.name,
        "region": message.subject.region,
    });
    if !message.object.is_empty() {
        labels["object"] = message.object.as_str().into();
    }
    let fix = fix_lines(message);
    let mut annotations = json!({ "summary": message.headline(), "description": message.content.why });
    let evidence: Vec<&str> = message.content.evidence.iter().map(|fact| fact.text.as_str()).collect();
    if !evidence.is_empty() {
        annotations["evidence"] = evidence.join("\n").into();
    }
    if !fix.is_empty() {
        annotations["fix"] = fix.join("\n").into();
    }
    if !message.content.not_assessed.is_empty() {
        annotations["not_assessed"] = message.content.not_assessed.join(", ").into();
    }
    json!({ "labels": labels, "annotations": annotations, "startsAt": message.since, "endsAt": ends })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::testing::message;

    #[test]
    fn an_alert_is_known_by_its_labels_and_ends_only_when_it_is_over() {
        let alertmanager = Alertmanager::at("http://127.0.0.1:9093/");
        let now: Timestamp = "2026-12-01T10:00:00Z".parse().unwrap();
        let firing = message("1");
        let resolved = Message { until: Some("2026-12-01T09:59:00Z".parse().unwrap()), ..message("1") };
        let post = alertmanager.post(&[firing, resolved], now, Duration::from_secs(900));
        assert_eq!(post.url, "http://127.0.0.1:9093/api/v2/alerts");
        let alerts: Value = serde_json::from_slice(&post.body).unwrap();
        assert_eq!(alerts[0]["labels"], alerts[1]["labels"]);
        assert_eq!(alerts[0]["labels"]["alertname"], "broker.undersized");
        assert_eq!(alerts[0]["endsAt"], "2026-12-01T10:15:00Z");
        assert_eq!(alerts[1]["endsAt"], "2026-12-01T09:59:00Z");
        let annotations = &alerts[0]["annotations"];
        assert!(annotations["fix"].as_str().unwrap().contains("update-broker-type"));
        assert_eq!(annotations["evidence"], "CPU is 97 % at most");
        assert_eq!(annotations["not_assessed"], "client.quota-throttled");
    }
}
