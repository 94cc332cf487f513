//! The lab's own endpoints: targets to scrape, and its status.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use axum::{
    Extension, Json, Router,
    extract::{Path, State},
    routing::{delete, get, post, put},
};
use serde_json::json;

use super::{
    Answer,
    extract::{Body, Parameters, decide},
};
use crate::{
    lab::{
        cluster::{EmulatedCluster, Endpoints, Refusal, Update},
        control::{Lab, call},
        crew::FaultCall,
        fault::{Act, find},
        ssm::{Ssm, harm},
    },
    lab_api::{
        FaultOrder, LabBroker, LabCluster, LabEndpoints, LabFault, LabOutage, LabStateInfo, LabStatus, SessionOrder,
        TargetGroup,
    },
    sample::BrokerId,
};

pub fn routes() -> Router<Arc<Lab>> {
    Router::new()
        .route("/_lab/targets", get(targets))
        .route("/_lab/status", get(status))
        .route("/_lab/denied", put(deny))
        .route("/_lab/outages", put(refuse))
        .route("/_lab/faults", post(start_fault).delete(stop_faults))
        .route("/_lab/faults/{id}", delete(stop_fault))
        .route("/_lab/sessions", post(open_session))
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

/// Refuses the calls of some callers, and no others from now on: a list such as `[{"kind": "expired", "key": "AKIA…"}]`.
async fn refuse(State(lab): State<Arc<Lab>>, Body(outages): Body<Vec<LabOutage>>) -> Answer {
    lab.refuse(outages);
    Ok(Json(json!({ "outages": lab.outages() })))
}

/// Prometheus's HTTP service discovery: the JMX and node metrics of each broker.
async fn targets(State(lab): State<Arc<Lab>>) -> Json<Vec<TargetGroup>> {
    let plane = lab.plane();
    let targets = plane.all_clusters().iter().flat_map(|cluster| {
        cluster.brokers.iter().flat_map(|broker| {
            [("jmx", broker.jmx), ("node", broker.node)].map(|(job, address)| {
                let labels = [("job", job), ("cluster", &cluster.name), ("broker_id", &broker.id.to_string())];
                let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
                TargetGroup { targets: vec![address.to_string()], labels: labels.into() }
            })
        })
    });
    Json(targets.collect())
}

/// Makes a fault on the cluster, or the client instance, that the order names.
async fn start_fault(
    State(lab): State<Arc<Lab>>,
    Extension(ssm): Extension<Option<Arc<Ssm>>>,
    Body(order): Body<FaultOrder>,
) -> Result<Json<Vec<LabFault>>, Refusal> {
    if order.id.starts_with(harm::PREFIX) {
        let ssm = ssm.ok_or_else(|| Refusal::bad("this lab has no client instances"))?;
        return ssm.start_fault(&order).await.map(Json).map_err(|fault| Refusal::bad(fault.message));
    }
    let arn = arn(&lab, order.cluster.as_deref())?;
    let is_maintenance =
        |order: &FaultOrder| find(&order.id).is_some_and(|fault| fault.acts(1.0) == [Act::Maintenance]);
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

/// Undoes every fault of the cluster in the parameter `cluster`, and those of client instances.
async fn stop_faults(
    State(lab): State<Arc<Lab>>,
    Extension(ssm): Extension<Option<Arc<Ssm>>>,
    parameters: Parameters,
) -> Result<Json<Vec<LabFault>>, Refusal> {
    let of_instances = ssm.map_or(0, |ssm| ssm.stop_faults(None));
    let arn = match arn(&lab, parameters.get("cluster")) {
        Err(_) if of_instances > 0 => return Ok(Json(Vec::new())),
        arn => arn?,
    };
    lab.fault(&arn, FaultCall::Stop(None)).await.map(Json)
}

async fn stop_fault(
    State(lab): State<Arc<Lab>>,
    Extension(ssm): Extension<Option<Arc<Ssm>>>,
    Path(id): Path<String>,
    parameters: Parameters,
) -> Result<Json<Vec<LabFault>>, Refusal> {
    if let Some(ssm) = ssm.filter(|_| id.starts_with(harm::PREFIX)) {
        return match ssm.stop_faults(Some(&id)) {
            0 => Err(Refusal::bad(format!("{id} does not run"))),
            _ => Ok(Json(ssm.faults())),
        };
    }
    let arn = arn(&lab, parameters.get("cluster"))?;
    lab.fault(&arn, FaultCall::Stop(Some(id))).await.map(Json)
}

/// Makes a client instance ready for a shell that the caller starts. Answers with the faults that run on it.
async fn open_session(
    Extension(ssm): Extension<Option<Arc<Ssm>>>,
    Body(order): Body<SessionOrder>,
) -> Result<Json<Vec<LabFault>>, Refusal> {
    let ssm = ssm.ok_or_else(|| Refusal::bad("this lab has no client instances"))?;
    ssm.open_session(&order).await.map(Json).map_err(|fault| Refusal::bad(fault.message))
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

async fn status(State(lab): State<Arc<Lab>>, Extension(ssm): Extension<Option<Arc<Ssm>>>) -> Json<LabStatus> {
    let plane = lab.plane();
    let clusters = plane.all_clusters().iter();
    let clusters = clusters.map(|known| cluster(known, &lab.details(&known.arn), lab.faults(&known.arn))).collect();
    let (problem, denied) = (lab.problem(), lab.denied().into_iter().collect());
    let (outages, answered) = (lab.outages(), lab.answered());
    let instance_faults = ssm.as_ref().map(|ssm| ssm.faults()).unwrap_or_default();
    let instances = ssm.map(|ssm| ssm.seen()).unwrap_or_default();
    let facts = lab.facts().clone();
    Json(LabStatus { running: true, problem, denied, outages, answered, clusters, instance_faults, instances, ..facts })
}

fn cluster(cluster: &EmulatedCluster, details: &BTreeMap<BrokerId, LabBroker>, faults: Vec<LabFault>) -> LabCluster {
    let broker_type = cluster.provisioned.broker_node_group_info.instance_type.to_string();
    let brokers = cluster.brokers.iter().map(|broker| {
        let known = details.get(&broker.id).cloned();
        let known = known.unwrap_or_else(|| LabBroker { broker_type: broker_type.clone(), ..LabBroker::default() });
        LabBroker { id: broker.id, zone: broker.zone.clone(), endpoints: endpoints(broker), ..known }
    });
    LabCluster {
        arn: cluster.arn.clone(),
        name: cluster.name.clone(),
        region: cluster.region.clone(),
        state: cluster.state.name().to_owned(),
        state_info: cluster
            .state_info
            .as_ref()
            .map(|info| LabStateInfo { code: info.code.clone(), message: info.message.clone() }),
        current_version: cluster.version.clone(),
        kafka_version: cluster.provisioned.current_broker_software_info.kafka_version.to_string(),
        brokers: brokers.collect(),
        broker_type,
        faults,
    }
}

fn endpoints(broker: &Endpoints) -> LabEndpoints {
    let text = |address: Option<SocketAddr>| address.map(|address| address.to_string());
    LabEndpoints {
        plaintext: Some(broker.plaintext.to_string()),
        tls: text(broker.tls),
        scram: text(broker.scram),
        jmx: Some(broker.jmx.to_string()),
        node: Some(broker.node.to_string()),
    }
}
