//! Clusters: create, read in both versions of the API, nodes, bootstrap brokers, tags, delete.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    catalogue::KafkaVersion,
    lab::{
        cluster::{EmulatedCluster, Endpoints, NewCluster, Refusal, Serverless, Tags, compatible_versions},
        control::Lab,
    },
};

use super::{
    Answer,
    extract::{Body, Caller, InPath, Parameters, decide},
    list, shape,
};

pub fn routes() -> Router<Arc<Lab>> {
    Router::new()
        .route("/v1/clusters", post(create).get(list_v1))
        .route("/v1/clusters/{arn}", get(describe_v1).delete(delete))
        .route("/v1/clusters/{arn}/bootstrap-brokers", get(bootstrap_brokers))
        .route("/v1/clusters/{arn}/nodes", get(nodes))
        .route("/api/v2/clusters", post(create_v2).get(list_v2))
        .route("/api/v2/clusters/{arn}", get(describe_v2))
        .route("/v1/tags/{arn}", get(tags).post(tag).delete(untag))
        .route("/v1/kafka-versions", get(kafka_versions))
        .route("/v1/compatible-kafka-versions", get(compatible_kafka_versions))
}

async fn create(State(lab): State<Arc<Lab>>, Caller(call): Caller, Body(new): Body<NewCluster>) -> Answer {
    let answer = move |cluster: &EmulatedCluster| json!({ "clusterArn": cluster.arn, "clusterName": cluster.name, "state": cluster.state });
    decide(lab, move |plane| {
        let (cluster, action) = plane.create_cluster(new, &call)?;
        Ok((Json(answer(cluster)), Some(action)))
    })
    .await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewClusterV2 {
    cluster_name: String,
    tags: Option<Tags>,
    provisioned: Option<NewCluster>,
    serverless: Option<Serverless>,
}

async fn create_v2(state: State<Arc<Lab>>, caller: Caller, Body(new): Body<NewClusterV2>) -> Answer {
    let provisioned = match (new.provisioned, new.serverless) {
        (Some(provisioned), None) => provisioned,
        (None, Some(serverless)) => {
            let (State(lab), Caller(call)) = (state, caller);
            return decide(lab, move |plane| {
                let (cluster, action) = plane.create_serverless(&new.cluster_name, new.tags, serverless, &call)?;
                let (arn, name, state) = (&cluster.arn, &cluster.name, cluster.state);
                let answer =
                    json!({ "clusterArn": arn, "clusterName": name, "state": state, "clusterType": "SERVERLESS" });
                Ok((Json(answer), Some(action)))
            })
            .await;
        }
        _ => return Err(Refusal::parameter("provisioned", "a cluster is either provisioned or serverless")),
    };
    let new = NewCluster { cluster_name: new.cluster_name, tags: new.tags, ..provisioned };
    let Json(mut answer) = create(state, caller, Body(new)).await?;
    answer["clusterType"] = "PROVISIONED".into();
    Ok(Json(answer))
}

async fn list_v1(State(lab): State<Arc<Lab>>, Caller(call): Caller, parameters: Parameters) -> Answer {
    list_clusters(&lab, &call.region, &parameters, Some("PROVISIONED"), v1)
}

async fn list_v2(State(lab): State<Arc<Lab>>, Caller(call): Caller, parameters: Parameters) -> Answer {
    list_clusters(&lab, &call.region, &parameters, parameters.get("clusterTypeFilter"), v2)
}

fn list_clusters(
    lab: &Lab,
    region: &str,
    parameters: &Parameters,
    kind: Option<&str>,
    shape: fn(&EmulatedCluster) -> Value,
) -> Answer {
    let plane = lab.plane();
    let clusters = plane.clusters(region, parameters.get("clusterNameFilter").unwrap_or_default());
    let clusters = clusters.filter(|cluster| kind.is_none_or(|kind| kind == kind_of(cluster)));
    Ok(list("clusterInfoList", parameters.page(clusters.map(shape))?))
}

async fn describe_v1(State(lab): State<Arc<Lab>>, InPath(arn): InPath<String>) -> Answer {
    if lab.plane().cluster(&arn)?.serverless.is_some() {
        return Err(Refusal::bad("This operation cannot be performed on serverless clusters."));
    }
    Ok(Json(json!({ "clusterInfo": v1(lab.plane().cluster(&arn)?) })))
}

async fn describe_v2(State(lab): State<Arc<Lab>>, InPath(arn): InPath<String>) -> Answer {
    Ok(Json(json!({ "clusterInfo": v2(lab.plane().cluster(&arn)?) })))
}

async fn delete(State(lab): State<Arc<Lab>>, InPath(arn): InPath<String>, parameters: Parameters) -> Answer {
    decide(lab, move |plane| {
        let action = plane.delete_cluster(&arn, parameters.get("currentVersion"))?;
        Ok((Json(json!({ "clusterArn": arn, "state": "DELETING" })), action))
    })
    .await
}

async fn bootstrap_brokers(State(lab): State<Arc<Lab>>, InPath(arn): InPath<String>) -> Answer {
    Ok(Json(bootstrap(lab.plane().cluster(&arn)?)))
}

async fn nodes(State(lab): State<Arc<Lab>>, InPath(arn): InPath<String>, parameters: Parameters) -> Answer {
    let plane = lab.plane();
    let cluster = plane.cluster(&arn)?;
    if cluster.serverless.is_some() {
        return Err(Refusal::bad("This operation cannot be performed on serverless clusters."));
    }
    Ok(list("nodeInfoList", parameters.page(cluster.brokers.iter().map(|broker| node(cluster, broker)))?))
}

async fn tags(State(lab): State<Arc<Lab>>, InPath(arn): InPath<String>) -> Answer {
    Ok(Json(json!({ "tags": lab.plane().tags(&arn)? })))
}

#[derive(Deserialize)]
struct NewTags {
    tags: Tags,
}

async fn tag(
    State(lab): State<Arc<Lab>>,
    InPath(arn): InPath<String>,
    Body(new): Body<NewTags>,
) -> Result<StatusCode, Refusal> {
    decide(lab, move |plane| Ok((plane.tag(&arn, new.tags)?, None))).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn untag(
    State(lab): State<Arc<Lab>>,
    InPath(arn): InPath<String>,
    parameters: Parameters,
) -> Result<StatusCode, Refusal> {
    let keys: Vec<String> = parameters.all("tagKeys").map(str::to_owned).collect();
    decide(lab, move |plane| Ok((plane.untag(&arn, &keys)?, None))).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn kafka_versions(parameters: Parameters) -> Answer {
    let versions = KafkaVersion::all().map(|version| json!({ "version": version, "status": "ACTIVE" }));
    Ok(list("kafkaVersions", parameters.page(versions)?))
}

async fn compatible_kafka_versions(State(lab): State<Arc<Lab>>, parameters: Parameters) -> Answer {
    let sources: Vec<KafkaVersion> = match parameters.get("clusterArn") {
        Some(arn) => vec![lab.plane().cluster(arn)?.provisioned.current_broker_software_info.kafka_version],
        None => KafkaVersion::all().collect(),
    };
    let versions = sources.into_iter().map(
        |source| json!({ "sourceVersion": source, "targetVersions": compatible_versions(source).collect::<Vec<_>>() }),
    );
    Ok(Json(json!({ "compatibleKafkaVersions": versions.collect::<Vec<_>>() })))
}

/// Which cluster, and how it is: the fields that both versions of the API have flat.
fn identity(cluster: &EmulatedCluster) -> Value {
    let mut fields = json!({
        "clusterArn": cluster.arn,
        "clusterName": cluster.name,
        "creationTime": cluster.created,
        "currentVersion": cluster.version,
        "state": cluster.state,
        "tags": cluster.tags,
    });
    if let Some(info) = &cluster.state_info {
        fields["stateInfo"] = shape(info);
    }
    if let Some(operation) = cluster.active_operation() {
        fields["activeOperationArn"] = operation.arn.as_str().into();
    }
    fields
}

/// `clusterType`.
fn kind_of(cluster: &EmulatedCluster) -> &'static str {
    if cluster.serverless.is_some() { "SERVERLESS" } else { "PROVISIONED" }
}

/// What MSK shows of a provisioned cluster: with its ZooKeeper where it has one, though the lab's brokers have none.
fn provisioned(cluster: &EmulatedCluster) -> Value {
    let mut fields = shape(&cluster.provisioned);
    if !cluster.provisioned.current_broker_software_info.kafka_version.is_kraft() {
        let servers = |port: u16| {
            let name = cluster.name.to_ascii_lowercase();
            let of = |number: u16| format!("z-{number}.{name}.lab.kafka.{}.amazonaws.com:{port}", cluster.region);
            [1, 2, 3].map(of).join(",")
        };
        fields["zookeeperConnectString"] = servers(2181).into();
        fields["zookeeperConnectStringTls"] = servers(2182).into();
    }
    fields
}

/// ClusterInfo, the first version's shape.
fn v1(cluster: &EmulatedCluster) -> Value {
    let mut fields = identity(cluster);
    if let (Value::Object(fields), Value::Object(provisioned)) = (&mut fields, provisioned(cluster)) {
        fields.extend(provisioned);
    }
    fields
}

/// Cluster, the second version's shape.
fn v2(cluster: &EmulatedCluster) -> Value {
    let mut fields = identity(cluster);
    fields["clusterType"] = kind_of(cluster).into();
    match &cluster.serverless {
        Some(serverless) => fields["serverless"] = shape(serverless),
        None => fields["provisioned"] = provisioned(cluster),
    }
    fields
}

fn bootstrap(cluster: &EmulatedCluster) -> Value {
    let mut answer = json!({});
    let mut name = |kind: &str, is_offered: bool, address: fn(&Endpoints) -> Option<SocketAddr>| {
        let all: Vec<_> = cluster.brokers.iter().filter_map(address).map(|address| address.to_string()).collect();
        if is_offered && !all.is_empty() {
            answer[kind] = all.join(",").into();
        }
    };
    name("bootstrapBrokerString", cluster.client_broker().is_plaintext(), |broker| Some(broker.plaintext));
    name("bootstrapBrokerStringTls", cluster.client_broker().is_tls(), |broker| broker.tls);
    name("bootstrapBrokerStringSaslScram", cluster.has_scram(), |broker| broker.scram);
    answer
}

fn node(cluster: &EmulatedCluster, broker: &Endpoints) -> Value {
    let group = &cluster.provisioned.broker_node_group_info;
    // Zones are named in the order of the subnets.
    let subnet = cluster.zones().iter().position(|zone| *zone == broker.zone).and_then(|i| group.client_subnets.get(i));
    let mut info = json!({
        "brokerId": f64::from(broker.id),
        "clientVpcIpAddress": broker.plaintext.ip().to_string(),
        "currentBrokerSoftwareInfo": shape(&cluster.provisioned.current_broker_software_info),
        "endpoints": [broker.plaintext.ip().to_string()],
    });
    if let Some(subnet) = subnet {
        info["clientSubnet"] = subnet.as_str().into();
    }
    let instance_type = group.instance_type.as_str();
    json!({
        "addedToClusterTime": cluster.created,
        "brokerNodeInfo": info,
        "instanceType": instance_type.strip_prefix("kafka.").unwrap_or(instance_type),
        "nodeARN": format!("{}/{}", cluster.arn.replacen(":cluster/", ":broker/", 1), broker.id),
        "nodeType": "BROKER",
    })
}
