//! The status of the lab: the machine, its clusters with their brokers, and the faults that run.

use comfy_table::Table;

use crate::{
    lab::service::Running,
    lab_api::{LabBroker, LabCluster, LabEndpoints, LabInstance, LabStatus, UserData},
    visible,
};

/// The lab that runs, and what it says of itself.
pub fn status(running: &Running, status: &LabStatus) -> String {
    let mut lines = machine(running, status);
    status.clusters.iter().for_each(|of| lines.extend(cluster(of)));
    for fault in &status.instance_faults {
        let instance = fault.instance.as_deref().unwrap_or_default();
        let text = format!("fault {}, {instance}: {}, since {}", fault.id, fault.does, fault.since);
        lines.push(visible::line(&text).into_owned());
    }
    status.instances.iter().for_each(|of| lines.extend(instance(of)));
    lines.join("\n")
}

/// What became of an instance's user data.
fn instance(instance: &LabInstance) -> Vec<String> {
    let UserData { code, why_not, replaced, printed, log } = &instance.user_data;
    let state = match (why_not, code) {
        (Some(why), _) => format!("not applied: {why}"),
        (None, Some(0)) => "applied, as far as it can be offline".to_owned(),
        (None, Some(code)) => format!("failed with exit code {code}"),
        (None, None) => "being applied".to_owned(),
    };
    let mut lines = vec![format!("client instance {}: user data {state}", instance.id)];
    lines.extend(replaced.iter().map(|note| format!("  replaced: {note}")));
    lines.extend(printed.iter().map(|text| format!("  it said: {text}")));
    lines.extend(log.iter().filter(|_| *code != Some(0)).map(|log| format!("  all of it is in {log}")));
    lines.iter().map(|line| visible::line(line).into_owned()).collect()
}

fn machine(running: &Running, status: &LabStatus) -> Vec<String> {
    let fact = |fact: &Option<String>| fact.as_deref().map(visible::line).unwrap_or_default().into_owned();
    let period_s = status.metrics_period_s;
    let mut lines = vec![
        format!("lab at {} (process {}), scale {}", running.endpoint, running.pid, fact(&status.hardware)),
        format!(
            "CPU limited by {}{}; Kafka {}, regardless of the version requested for a cluster; {}",
            fact(&status.cpu_limit),
            if status.memory_limit == Some(true) { ", memory too" } else { ", memory not limited" },
            fact(&status.kafka_version),
            fact(&status.emulator)
        ),
        format!(
            "datapoints of CloudWatch cover {} s{}, and are there {} s later",
            period_s.unwrap_or_default(),
            if period_s == Some(60) { " as on MSK" } else { " instead of the 60 s of MSK" },
            status.metrics_delay_s.unwrap_or_default()
        ),
        format!("commands sent to client instances run in {}", status.client_instances),
    ];
    if status.without_brokers {
        lines.push("clusters have no brokers, and their metrics are SYNTHETIC".to_owned());
    }
    lines.extend(status.problem.iter().map(|problem| format!("problem: {}", visible::line(problem))));
    if !status.denied.is_empty() {
        lines.push(format!("denied: {}", visible::line(&status.denied.join(", "))));
    }
    lines.push(format!("to trust the TLS listeners, use {}", fact(&status.ca)));
    lines
}

fn cluster(cluster: &LabCluster) -> Vec<String> {
    let LabCluster { name, state, arn, .. } = cluster;
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header([
        "broker",
        "type",
        "pid",
        "cores",
        "heap MiB",
        "memory MiB",
        "plaintext",
        "tls",
        "jmx",
        "node",
        "zone",
    ]);
    for broker in &cluster.brokers {
        table.add_row(row(broker).map(|cell| visible::line(&cell).into_owned()));
    }
    let faults = cluster.faults.iter().map(|fault| {
        let broker = fault.broker.map(|broker| format!(", broker {broker}")).unwrap_or_default();
        let text = format!("fault {}{broker}: {}, since {}", fault.id, fault.does, fault.since);
        visible::line(&text).into_owned()
    });
    let heading = format!("\n{}", visible::line(&format!("{name} {state} ({arn})")));
    [heading, table.to_string()].into_iter().chain(faults).collect()
}

/// The row of a broker. Unknown values are dashes.
fn row(broker: &LabBroker) -> [String; 11] {
    fn or_dash(value: Option<impl ToString>) -> String {
        value.map_or_else(|| "-".to_owned(), |value| value.to_string())
    }
    let LabEndpoints { plaintext, tls, jmx, node, .. } = broker.endpoints.clone();
    [
        broker.id.to_string(),
        broker.broker_type.clone(),
        or_dash(broker.pid),
        or_dash(broker.cores),
        or_dash(broker.heap_mib),
        or_dash(broker.memory_mib),
        or_dash(plaintext),
        or_dash(tls),
        or_dash(jmx),
        or_dash(node),
        broker.zone.clone(),
    ]
}
