//! The content of requests as values; invalid requests get the same errors as on MSK.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::request::Parts,
};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::lab::{
    cluster::{Action, Call, ControlPlane, Page, Refusal, page},
    control::{Lab, call},
};

use super::{body, front::Region};

/// Bytes of a request body at most; no call of MSK comes near it.
const BODY_MAX: usize = 1024 * 1024;

/// The ARN, or the other parameters, in a path.
pub struct InPath<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for InPath<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(value) = Path::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Refusal::bad(format!("the path cannot be parsed: {}", rejection.body_text())))?;
        Ok(InPath(value))
    }
}

/// The caller: region from the signature, and the moment of the call.
pub struct Caller(pub Call);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let Region(region) = parts.extensions.get().cloned().unwrap_or_default();
        Ok(Caller(call(region)))
    }
}

/// The query's parameters, decoded, in their order.
pub struct Parameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let query = parts.uri.query().unwrap_or_default();
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(key), decoded(value))
        });
        Ok(Parameters(pairs.collect()))
    }
}

impl Parameters {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The page that `maxResults` and `nextToken` ask for.
    pub fn page<T>(&self, items: impl Iterator<Item = T>) -> Result<Page<T>, Refusal> {
        page(items, self.get("maxResults"), self.get("nextToken"))
    }
}

/// A JSON body.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let read = body::read(request.into_body(), BODY_MAX).await;
        let bytes = read.map_err(|error| Refusal::bad(format!("the request body cannot be read: {error}")))?;
        let bytes = if bytes.is_empty() { &b"{}"[..] } else { &bytes };
        // By way of a value, because errors about types then name no line of a text that nobody sees.
        serde_json::from_slice::<Value>(bytes)
            .and_then(serde_json::from_value)
            .map(Body)
            .map_err(|error| Refusal::bad(format!("One or more of the parameters are not valid: {error}")))
    }
}

/// Makes a decision where blocking is allowed.
pub async fn decide<T: Send + 'static>(
    lab: Arc<Lab>,
    decide: impl FnOnce(&mut ControlPlane) -> Result<(T, Option<Action>), Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(move || lab.decide(decide))
        .await
        .unwrap_or_else(|_| Err(Refusal::internal("the lab failed to decide")))
}
