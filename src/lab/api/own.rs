//! The lab's own endpoints: targets to scrape, and its status.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{delete, get, post, put},
};
use serde_json::{Value, json};

use super::{
    Answer,
    extract::{Body, Parameters, decide},
};
use crate::{
    lab::{
        cluster::{Cluster, Refusal, Update},
        control::{Lab, call},
        crew::FaultCall,
        fault::{Act, Order, find},
    },
    sample::BrokerId,
};

pub fn routes() -> Router<Arc<Lab>> {
    Router::new()
        .route("/_lab/targets", get(targets))
        .route("/_lab/status", get(status))
        .route("/_lab/denied", put(deny))
        .route("/_lab/faults", post(start_fault).delete(stop_faults))
        .route("/_lab/faults/{id}", delete(stop_fault))
}

/// Denies actions of IAM, and no others from now on: a list such as `["kafka:ListTopics"]`.
async fn deny(State(lab): State<Arc<Lab>>, Body(actions): Body<BTreeSet<String>>) -> Answer {
    let is_action = |action: &String| action.starts_with("kafka:") || action.starts_with("cloudwatch:");
    if let Some(action) = actions.iter().find(|action| !is_action(action)) {
        return Err(Refusal::bad(format!("{action:?} is not a kafka: or cloudwatch: action")));
    }
    lab.deny(actions);
    Ok(Json(json!({ "denied": lab.denied() })))
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

/// Makes a fault on the cluster that the order names.
async fn start_fault(State(lab): State<Arc<Lab>>, Body(order): Body<Order>) -> Answer {
    let arn = arn(&lab, order.cluster.as_deref())?;
    let is_maintenance = |order: &Order| find(&order.id).is_some_and(|fault| fault.acts(1.0) == [Act::Maintenance]);
    if !is_maintenance(&order) {
        return lab.fault(&arn, FaultCall::Start(order)).await.map(Json);
    }
    let running = lab.faults(&arn);
    decide(lab, move |plane| {
        let brokers = plane.cluster(&arn)?.brokers.iter().map(|broker| broker.id).collect();
        let (_, action) = plane.update(&arn, None, Update::Reboot(brokers), None, &call(String::new()))?;
        Ok((Json(running), action))
    })
    .await
}

/// Undoes every fault of the cluster in the parameter `cluster`.
async fn stop_faults(State(lab): State<Arc<Lab>>, parameters: Parameters) -> Answer {
    let arn = arn(&lab, parameters.get("cluster"))?;
    lab.fault(&arn, FaultCall::Stop(None)).await.map(Json)
}

async fn stop_fault(State(lab): State<Arc<Lab>>, Path(id): Path<String>, parameters: Parameters) -> Answer {
    let arn = arn(&lab, parameters.get("cluster"))?;
    lab.fault(&arn, FaultCall::Stop(Some(id))).await.map(Json)
}

/// The ARN of the cluster of this name; of the only one, when none is named.
fn arn(lab: &Lab, name: Option<&str>) -> Result<String, Refusal> {
    let plane = lab.plane();
    let mut named = plane.all_clusters().iter().filter(|cluster| name.is_none_or(|name| cluster.name == name));
    match (named.next(), named.next()) {
        (Some(cluster), None) => Ok(cluster.arn.clone()),
        (Some(_), Some(_)) => Err(Refusal::bad("there are several clusters: choose one of them")),
        (None, _) => Err(Refusal::not_found(format!("there is no cluster {} in the lab", name.unwrap_or_default()))),
    }
}

async fn status(State(lab): State<Arc<Lab>>) -> Json<Value> {
    let plane = lab.plane();
    let clusters: Vec<_> = plane
        .all_clusters()
        .iter()
        .map(|known| cluster(known, &lab.details(&known.arn), lab.faults(&known.arn)))
        .collect();
    let own = json!({ "schema": 1, "clusters": clusters, "problem": lab.problem(), "denied": lab.denied() });
    Json(joined(own, &lab.facts()))
}

fn cluster(cluster: &Cluster, details: &BTreeMap<BrokerId, Value>, faults: Value) -> Value {
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
        "faults": faults,
    })
}

/// The fields of `own`, and those of `added` over them.
fn joined(mut own: Value, added: &Value) -> Value {
    if let (Value::Object(own), Value::Object(added)) = (&mut own, added) {
        own.extend(added.clone());
    }
    own
}
