//! A Grafana dashboard of what the rules record: one graph a figure, with the threshold of its rule as a line.

use serde_json::{Value, json};

use super::recorded::{
    BYTES_IN, BYTES_OUT, CONNECTIONS, CPU_PERCENT, DISK_USED_PERCENT, FAN_OUT, HEAP_PERCENT, IO_WAIT_PERCENT, LAG,
    LEADERS, LOCAL_MS, PARTITIONS, REMOTE_MS, REQUESTS, THROTTLE_MS, TOTAL_MS, UNDER_MIN_ISR, UNDER_REPLICATED,
};
use crate::{catalogue::BrokerType, diagnose::thresholds as at};

/// Columns of a dashboard, and size of a panel in them (Grafana, "JSON model").
const COLUMNS: usize = 24;
const WIDTH: usize = 8;
const HEIGHT: usize = 7;

/// What a graph shows.
struct Graph {
    title: &'static str,
    series: &'static str,
    /// What a line is called: a label.
    of: &'static str,
    /// Grafana's name of the unit.
    unit: &'static str,
    threshold: Option<f64>,
}

fn graphs(broker_type: BrokerType) -> Vec<Graph> {
    let graph = |title, series, unit, threshold| Graph { title, series, of: "{{broker}}", unit, threshold };
    let partitions = Some(f64::from(broker_type.partitions_recommended));
    vec![
        graph("CPU, user and system", CPU_PERCENT, "percent", Some(at::CPU_PERCENT)),
        graph("CPU time waiting for the disk", IO_WAIT_PERCENT, "percent", Some(at::IO_WAIT_PERCENT)),
        graph("Data volume used", DISK_USED_PERCENT, "percent", Some(at::DISK_HIGH_PERCENT)),
        graph("Heap after collection", HEAP_PERCENT, "percent", Some(at::HEAP_FULL_PERCENT)),
        graph("Received from clients", BYTES_IN, "Bps", None),
        graph("Sent to clients", BYTES_OUT, "Bps", None),
        graph("Produce requests", REQUESTS, "reqps", None),
        graph("Produce time", TOTAL_MS, "ms", Some(at::SLOW_MS)),
        graph("Produce time: writing at the leader", LOCAL_MS, "ms", Some(at::DISK_LOCAL_MS)),
        graph("Produce time: waiting for followers", REMOTE_MS, "ms", Some(at::NETWORK_REMOTE_MS)),
        graph("Produce time: delayed by a quota", THROTTLE_MS, "ms", Some(at::THROTTLE_MS)),
        graph("Under-replicated partitions", UNDER_REPLICATED, "short", Some(0.0)),
        graph("Partitions below min.insync.replicas", UNDER_MIN_ISR, "short", Some(0.0)),
        graph("Partitions", PARTITIONS, "short", partitions),
        graph("Leaders", LEADERS, "short", None),
        graph("Open connections", CONNECTIONS, "short", Some(at::CONNECTIONS_OPEN)),
        Graph { of: "{{cluster}}", ..graph("Bytes out for each byte in", FAN_OUT, "short", Some(at::FAN_OUT)) },
        Graph { of: "{{groupId}} {{topic}}", ..graph("Consumer lag, records", LAG, "short", None) },
    ]
}

/// The dashboard for brokers of `broker_type`, to be imported into Grafana. The rules have to be loaded in Prometheus.
pub fn dashboard(broker_type: BrokerType) -> Value {
    let source = json!({ "type": "prometheus", "uid": "${datasource}" });
    let mut panels = vec![json!({
        "id": 1,
        "type": "table",
        "title": "Alerts that fire",
        "datasource": source,
        "gridPos": { "h": HEIGHT, "w": COLUMNS, "x": 0, "y": 0 },
        "targets": [{
            "refId": "A",
            "expr": "ALERTS{alertname=~\"Kgen.*\",alertstate=\"firing\",cluster=~\"$cluster\"}",
            "format": "table",
            "instant": true,
        }],
    })];
    for (at, graph) in graphs(broker_type).iter().enumerate() {
        panels.push(panel(graph, at, &source));
    }
    json!({
        "title": "Amazon MSK (kgen)",
        "uid": "kgen-msk",
        "tags": ["kgen", "kafka"],
        "schemaVersion": 38,
        "refresh": "1m",
        "time": { "from": "now-3h", "to": "now" },
        "templating": { "list": [
            { "name": "datasource", "type": "datasource", "query": "prometheus" },
            {
                "name": "cluster",
                "type": "query",
                "datasource": source,
                "query": format!("label_values({CPU_PERCENT}, cluster)"),
                "includeAll": true,
                // A single cluster may have no such label.
                "allValue": ".*",
                "multi": true,
                "refresh": 2,
            },
        ] },
        "panels": panels,
    })
}

fn panel(graph: &Graph, at: usize, source: &Value) -> Value {
    let mut steps = vec![json!({ "color": "green", "value": null })];
    steps.extend(graph.threshold.map(|threshold| json!({ "color": "red", "value": threshold })));
    let style = if graph.threshold.is_some() { "line" } else { "off" };
    let column = at % (COLUMNS / WIDTH);
    json!({
        "id": at + 2,
        "type": "timeseries",
        "title": graph.title,
        "datasource": source,
        "gridPos": { "h": HEIGHT, "w": WIDTH, "x": column * WIDTH, "y": HEIGHT * (1 + at / (COLUMNS / WIDTH)) },
        "fieldConfig": {
            "defaults": {
                "unit": graph.unit,
                "min": 0,
                "custom": { "thresholdsStyle": { "mode": style } },
                "thresholds": { "mode": "absolute", "steps": steps },
            },
            "overrides": [],
        },
        "targets": [{
            "refId": "A",
            "expr": format!("{}{{cluster=~\"$cluster\"}}", graph.series),
            "legendFormat": graph.of,
        }],
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{super::recorded::recorded, *};

    #[test]
    fn panels_have_ids_of_their_own_overlap_nowhere_and_show_what_is_recorded() {
        let dashboard = dashboard(BrokerType::T3_SMALL);
        let panels = dashboard["panels"].as_array().unwrap();
        let of = |key: &str| panels.iter().map(|panel| panel[key].to_string()).collect::<BTreeSet<_>>();
        assert_eq!((of("id").len(), of("gridPos").len()), (panels.len(), panels.len()));
        for panel in &panels[1..] {
            let expression = panel["targets"][0]["expr"].as_str().unwrap();
            assert!(recorded().iter().any(|series| expression.starts_with(&format!("{}{{", series.name))), "{panel}");
        }
    }
}
