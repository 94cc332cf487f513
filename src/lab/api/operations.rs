//! Operations, in both versions of the API.

use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::get};
use serde_json::{Value, json};

use crate::lab::{
    cluster::{EmulatedCluster, Operation},
    control::Lab,
};

use super::{
    Answer,
    extract::{InPath, Parameters},
    list, shape,
};

pub fn routes() -> Router<Arc<Lab>> {
    Router::new()
        .route("/v1/operations/{arn}", get(describe_v1))
        .route("/v1/clusters/{arn}/operations", get(list_v1))
        .route("/api/v2/operations/{arn}", get(describe_v2))
        .route("/api/v2/clusters/{arn}/operations", get(list_v2))
}

async fn describe_v1(State(lab): State<Arc<Lab>>, InPath(arn): InPath<String>) -> Answer {
    let plane = lab.plane();
    let (cluster, operation) = plane.operation(&arn)?;
    Ok(Json(json!({ "clusterOperationInfo": v1(cluster, operation) })))
}

async fn describe_v2(State(lab): State<Arc<Lab>>, InPath(arn): InPath<String>) -> Answer {
    let plane = lab.plane();
    let (cluster, operation) = plane.operation(&arn)?;
    let mut info = summary_v2(cluster, operation);
    info["provisioned"] = change(operation);
    if let Some(error) = error(operation) {
        info["errorInfo"] = error;
    }
    Ok(Json(json!({ "clusterOperationInfo": info })))
}

async fn list_v1(State(lab): State<Arc<Lab>>, InPath(arn): InPath<String>, parameters: Parameters) -> Answer {
    list_operations(&lab, &arn, &parameters, v1)
}

async fn list_v2(State(lab): State<Arc<Lab>>, InPath(arn): InPath<String>, parameters: Parameters) -> Answer {
    list_operations(&lab, &arn, &parameters, summary_v2)
}

/// Newest first.
fn list_operations(
    lab: &Lab,
    arn: &str,
    parameters: &Parameters,
    shape: fn(&EmulatedCluster, &Operation) -> Value,
) -> Answer {
    let plane = lab.plane();
    let cluster = plane.cluster(arn)?;
    let operations = cluster.operations.iter().rev().map(|operation| shape(cluster, operation));
    Ok(list("clusterOperationInfoList", parameters.page(operations)?))
}

/// What an operation does: its steps, and the fields that change.
fn change(operation: &Operation) -> Value {
    let steps: Vec<_> = operation
        .steps
        .iter()
        .map(|step| json!({ "stepName": step.name, "stepInfo": { "stepStatus": step.status } }))
        .collect();
    json!({
        "operationSteps": steps,
        "sourceClusterInfo": shape(&operation.source),
        "targetClusterInfo": shape(&operation.target),
    })
}

fn error(operation: &Operation) -> Option<Value> {
    let (code, text) = operation.error.as_ref()?;
    Some(json!({ "errorCode": code, "errorString": text }))
}

/// ClusterOperationInfo, the first version's shape.
fn v1(cluster: &EmulatedCluster, operation: &Operation) -> Value {
    let mut info = change(operation);
    info["clientRequestId"] = operation.request_id.as_str().into();
    info["clusterArn"] = cluster.arn.as_str().into();
    info["creationTime"] = shape(&operation.created);
    info["operationArn"] = operation.arn.as_str().into();
    info["operationState"] = shape(&operation.state);
    info["operationType"] = operation.update.operation_type().into();
    if let Some(ended) = operation.ended {
        info["endTime"] = shape(&ended);
    }
    if let Some(error) = error(operation) {
        info["errorInfo"] = error;
    }
    info
}

/// ClusterOperationV2Summary, the second version's shape in lists.
fn summary_v2(cluster: &EmulatedCluster, operation: &Operation) -> Value {
    let mut info = json!({
        "clusterArn": cluster.arn,
        "clusterType": "PROVISIONED",
        "startTime": operation.created,
        "operationArn": operation.arn,
        "operationState": operation.state,
        "operationType": operation.update.operation_type(),
    });
    if let Some(ended) = operation.ended {
        info["endTime"] = shape(&ended);
    }
    info
}
