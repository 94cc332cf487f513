//! What the lab says of itself: targets to scrape, and its status.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, Router, extract::State, routing::get};
use serde_json::{Value, json};

use crate::{
    lab::{cluster::Cluster, control::Lab},
    sample::BrokerId,
};

pub fn routes() -> Router<Arc<Lab>> {
    Router::new().route("/_lab/targets", get(targets)).route("/_lab/status", get(status))
}

/// Prometheus's HTTP service discovery: the JMX and node metrics of each broker.
async fn targets(State(lab): State<Arc<Lab>>) -> Json<Value> {
    let plane = lab.plane();
    let targets = plane.all_clusters().iter().flat_map(|cluster| {
        cluster.brokers.iter().flat_map(|broker| {
            [("jmx", broker.jmx), ("node", broker.node)].map(|(job, address)| {
                json!({
                    "targets": [address],
                    "labels": { "job": job, "cluster": cluster.name, "broker_id": broker.id.to_string() },
                })
            })
        })
    });
    Json(targets.collect())
}

async fn status(State(lab): State<Arc<Lab>>) -> Json<Value> {
    let plane = lab.plane();
    let clusters: Vec<_> = plane.all_clusters().iter().map(|known| cluster(known, &lab.details(&known.arn))).collect();
    let own = json!({ "schema": 1, "clusters": clusters, "problem": lab.problem() });
    Json(joined(own, &lab.facts()))
}

fn cluster(cluster: &Cluster, details: &BTreeMap<BrokerId, Value>) -> Value {
    let broker_type = cluster.provisioned.broker_node_group_info.instance_type;
    let brokers = cluster.brokers.iter().map(|broker| {
        let own = json!({
            "id": broker.id,
            "zone": broker.zone,
            "type": broker_type,
            "endpoints": {
                "plaintext": broker.plaintext,
                "tls": broker.tls,
                "scram": broker.scram,
                "jmx": broker.jmx,
                "node": broker.node,
            },
        });
        joined(own, details.get(&broker.id).unwrap_or(&Value::Null))
    });
    json!({
        "arn": cluster.arn,
        "name": cluster.name,
        "region": cluster.region,
        "state": cluster.state,
        "state_info": cluster.state_info,
        "current_version": cluster.version,
        "type": broker_type,
        "kafka_version": cluster.provisioned.current_broker_software_info.kafka_version,
        "brokers": brokers.collect::<Vec<_>>(),
    })
}

/// The fields of `own`, and those of `added` over them.
fn joined(mut own: Value, added: &Value) -> Value {
    if let (Value::Object(own), Value::Object(added)) = (&mut own, added) {
        own.extend(added.clone());
    }
    own
}
