//! Configurations and their revisions.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    catalogue::KafkaVersion,
    lab::{
        cluster::{Configuration, NewConfiguration, Refusal, Revision},
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
        .route("/v1/configurations", post(create).get(list_all))
        .route("/v1/configurations/{arn}", get(describe).put(revise).delete(delete))
        .route("/v1/configurations/{arn}/revisions", get(revisions))
        .route("/v1/configurations/{arn}/revisions/{revision}", get(describe_revision))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    name: String,
    server_properties: String,
    kafka_versions: Option<Vec<KafkaVersion>>,
    description: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Revise {
    server_properties: String,
    description: Option<String>,
}

async fn create(State(lab): State<Arc<Lab>>, Caller(call): Caller, Body(request): Body<Create>) -> Answer {
    let new = NewConfiguration {
        name: request.name,
        description: request.description,
        kafka_versions: request.kafka_versions.unwrap_or_default(),
        server_properties: decoded(&request.server_properties)?,
    };
    decide(lab, move |plane| {
        let made = plane.create_configuration(new, &call)?;
        let answer = json!({
            "arn": made.arn,
            "creationTime": made.created,
            "latestRevision": revision(made.latest()),
            "name": made.name,
            "state": "ACTIVE",
        });
        Ok((Json(answer), None))
    })
    .await
}

async fn list_all(State(lab): State<Arc<Lab>>, Caller(call): Caller, parameters: Parameters) -> Answer {
    let plane = lab.plane();
    Ok(list("configurations", parameters.page(plane.configurations(&call.region).map(configuration))?))
}

async fn describe(State(lab): State<Arc<Lab>>, InPath(arn): InPath<String>) -> Answer {
    Ok(Json(configuration(lab.plane().configuration(&arn)?)))
}

async fn revise(
    State(lab): State<Arc<Lab>>,
    InPath(arn): InPath<String>,
    Caller(call): Caller,
    Body(request): Body<Revise>,
) -> Answer {
    let server_properties = decoded(&request.server_properties)?;
    decide(lab, move |plane| {
        let revised = plane.revise_configuration(&arn, server_properties, request.description, &call)?;
        Ok((Json(json!({ "arn": revised.arn, "latestRevision": revision(revised.latest()) })), None))
    })
    .await
}

async fn delete(State(lab): State<Arc<Lab>>, InPath(arn): InPath<String>, Caller(call): Caller) -> Answer {
    decide(lab, move |plane| {
        plane.delete_configuration(&arn, &call)?;
        Ok((Json(json!({ "arn": arn, "state": "DELETING" })), None))
    })
    .await
}

async fn revisions(State(lab): State<Arc<Lab>>, InPath(arn): InPath<String>, parameters: Parameters) -> Answer {
    let plane = lab.plane();
    Ok(list("revisions", parameters.page(plane.configuration(&arn)?.revisions.iter().map(revision))?))
}

async fn describe_revision(State(lab): State<Arc<Lab>>, InPath((arn, number)): InPath<(String, u64)>) -> Answer {
    let plane = lab.plane();
    let known = plane.revision(&arn, number)?;
    let mut answer = revision(known);
    answer["arn"] = arn.into();
    answer["serverProperties"] = BASE64_STANDARD.encode(&known.server_properties).into();
    Ok(Json(answer))
}

fn decoded(server_properties: &str) -> Result<Vec<u8>, Refusal> {
    BASE64_STANDARD
        .decode(server_properties)
        .map_err(|error| Refusal::parameter("serverProperties", format!("serverProperties is not base64: {error}")))
}

/// The shape Configuration.
fn configuration(known: &Configuration) -> Value {
    json!({
        "arn": known.arn,
        "creationTime": known.created,
        "description": known.description,
        "kafkaVersions": known.kafka_versions,
        "latestRevision": revision(known.latest()),
        "name": known.name,
        "state": "ACTIVE",
    })
}

/// The shape ConfigurationRevision.
fn revision(known: &Revision) -> Value {
    let mut fields = json!({ "creationTime": shape(&known.created), "revision": known.number });
    if let Some(description) = &known.description {
        fields["description"] = description.as_str().into();
    }
    fields
}
