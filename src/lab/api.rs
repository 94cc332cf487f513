//! The MSK API over HTTP: routes, JSON shapes and errors for the decisions of [`cluster`](super::cluster).
//!
//! Routes are matched on the raw path, where an ARN is one percent-encoded segment.

mod body;
mod bucket_policy;
mod clusters;
mod configurations;
mod denied;
mod extract;
mod front;
pub mod monitoring;
mod operations;
mod own;
mod scram;
mod topics;
mod updates;

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    http::{HeaderValue, Method, StatusCode, Uri},
    middleware,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::lab::{
    cluster::{Kind, Page, Refusal},
    control::Lab,
};
use monitoring::Door;

type Answer = Result<Json<Value>, Refusal>;

/// Everything that the lab's one endpoint serves.
pub fn router(lab: Arc<Lab>, door: Door) -> Router {
    Router::new()
        .merge(clusters::routes())
        .merge(configurations::routes())
        .merge(operations::routes())
        .merge(scram::routes())
        .merge(topics::routes())
        .merge(updates::routes())
        .merge(own::routes())
        .fallback(unplaced)
        .method_not_allowed_fallback(unplaced)
        .with_state(lab)
        .layer(Extension(door.proxy.clone()))
        .layer(Extension(door.ssm.clone()))
        .layer(middleware::from_fn_with_state(door, front::front))
}

/// Calls of the service model that the lab has no part of, by what their paths hold.
const NOT_IMITATED: [&str; 6] = [
    "/policy",
    "/client-vpc-connection",
    "/v1/vpc-connection",
    "/replication/v1/replicators",
    "/rebalancing",
    "/storage",
];

async fn unplaced(method: Method, uri: Uri) -> Refusal {
    match NOT_IMITATED.iter().find(|part| uri.path().contains(**part)) {
        Some(part) => Refusal::bad(format!("the lab does not imitate this call of MSK ({method} …{part})")),
        None => Refusal::new(Kind::Unplaced, "Missing Authentication Token"),
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({ "message": self.message });
        if let Some(parameter) = self.parameter {
            body["invalidParameter"] = parameter.into();
        }
        let status = StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(body)).into_response();
        response.headers_mut().insert("x-amzn-ErrorType", HeaderValue::from_static(self.kind.name()));
        response
    }
}

/// A page under the name that its call gives it.
fn list(name: &str, page: Page<Value>) -> Json<Value> {
    let mut answer = json!({ name: page.items });
    if let Some(token) = page.next_token {
        answer["nextToken"] = token.into();
    }
    Json(answer)
}

/// `value` as JSON, for the shapes that cannot fail to become it.
fn shape(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("the shapes hold text, numbers and lists only")
}

#[cfg(test)]
mod tests;
