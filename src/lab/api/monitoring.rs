//! CloudWatch over HTTP: the lab's own series for `AWS/Kafka`, the emulator for the rest.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::Request,
    http::{
        HeaderName, HeaderValue, Method, StatusCode, Uri,
        header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::Response,
};
use http_body_util::{BodyExt, Limited};

use super::body;
use crate::{
    lab::{
        cloudwatch::{
            Metrics, Reply, now_ms, reply,
            wire::{self, CBOR, Call, Fault, Protocol},
        },
        control::Lab,
        proxy::Proxy,
        ssm::{self, Ssm},
    },
    lab_api::OutageKind,
};

/// Of a request (PutMetricData takes 1 MB), and of an answer of the emulator that is translated.
const BODY_MAX: usize = 16 << 20;

const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const SMITHY: HeaderName = HeaderName::from_static("smithy-protocol");

/// The ways out of the lab's one endpoint beside MSK's API.
#[derive(Clone)]
pub struct Door {
    pub proxy: Proxy,
    pub metrics: Arc<Metrics>,
    pub lab: Arc<Lab>,
    /// Run Command, where the lab has it.
    pub ssm: Option<Arc<Ssm>>,
}

impl Door {
    /// Answers a call of CloudWatch; refuses it if its caller has an `outage`.
    pub async fn monitoring(&self, region: &str, outage: Option<OutageKind>, request: Request) -> Response {
        if request.method() != Method::POST || request.headers().contains_key(CONTENT_ENCODING) {
            return self.proxy.forward(request).await;
        }
        let (parts, body) = request.into_parts();
        let body = match body::read(body, BODY_MAX).await {
            Ok(body) => body,
            Err(error) => {
                let fault = Fault::new("RequestEntityTooLarge", format!("the body cannot be read: {error}"));
                return failed(Protocol::Json, &fault);
            }
        };
        let target = parts.headers.get(&TARGET).and_then(|value| value.to_str().ok());
        let call = match wire::read(parts.uri.path(), target, &body) {
            None => return self.proxy.forward(Request::from_parts(parts, Body::from(body))).await,
            Some(Ok(call)) => call,
            Some(Err((protocol, fault))) => return failed(protocol, &fault),
        };
        if let Some(outage) = outage {
            return failed(call.protocol, &super::denied::fault(outage, call.protocol));
        }
        let action = format!("cloudwatch:{}", call.operation);
        if self.lab.denied().contains(&action) {
            let code = if call.protocol == Protocol::Query { "AccessDenied" } else { "AccessDeniedException" };
            return failed(call.protocol, &Fault::new(code, super::denied::message(&action)));
        }
        let answered = {
            let store = self.metrics.region(region);
            let store = store.lock();
            reply(&store, self.metrics.timing, &call, now_ms())
        };
        match answered {
            Reply::Here(Ok(output)) => {
                self.lab.count(&call.operation, call.input["MetricDataQueries"].as_array().map_or(0, Vec::len));
                let id = request_id();
                let (content_type, bytes) = wire::render(call.protocol, &call.operation, &output, &id);
                response(StatusCode::OK, content_type, bytes, &id)
            }
            Reply::Here(Err(fault)) => failed(call.protocol, &fault),
            Reply::Elsewhere if call.protocol == Protocol::Cbor => self.translated(parts, &call).await,
            Reply::Elsewhere => self.proxy.forward(Request::from_parts(parts, Body::from(body))).await,
        }
    }

    /// Answers a call of Systems Manager: Run Command here, the rest by the emulator.
    pub async fn systems_manager(&self, region: &str, request: Request) -> Response {
        let target = request.headers().get(&TARGET).and_then(|value| value.to_str().ok());
        let (Some(ssm), Some(operation)) = (&self.ssm, ssm::operation(target)) else {
            return self.proxy.forward(request).await;
        };
        let read = body::read(request.into_body(), BODY_MAX).await;
        let input = read.map_err(|error| error.to_string()).and_then(|bytes| {
            let bytes = if bytes.is_empty() { &b"{}"[..] } else { &bytes[..] };
            serde_json::from_slice::<serde_json::Value>(bytes).map_err(|error| error.to_string())
        });
        let answered = match input {
            Ok(input) => ssm.answer(operation, region, &input).await.map_err(|fault| (fault.code, fault.message)),
            Err(error) => Err(("SerializationException", error)),
        };
        const JSON: &str = "application/x-amz-json-1.1";
        let id = request_id();
        match answered {
            Ok(output) => response(StatusCode::OK, JSON, output.to_string().into_bytes(), &id),
            Err((code, message)) => {
                let body = serde_json::json!({ "__type": code, "message": message, "Message": message });
                let status = match code {
                    "InternalServerError" => StatusCode::INTERNAL_SERVER_ERROR,
                    _ => StatusCode::BAD_REQUEST,
                };
                response(status, JSON, body.to_string().into_bytes(), &id)
            }
        }
    }

    /// Has the emulator, which knows no CBOR, answer in JSON.
    async fn translated(&self, mut parts: axum::http::request::Parts, call: &Call) -> Response {
        let body = call.input.to_string();
        parts.uri = Uri::from_static("/");
        parts.headers.remove(&SMITHY);
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        let target = format!("GraniteServiceVersion20100801.{}", call.operation);
        match HeaderValue::from_str(&target) {
            Ok(target) => parts.headers.insert(TARGET, target),
            Err(_) => return failed(call.protocol, &Fault::invalid("the operation has no valid name")),
        };
        let answer = self.proxy.forward(Request::from_parts(parts, Body::from(body))).await;
        let status = answer.status();
        let read = Limited::new(answer.into_body(), BODY_MAX).collect().await.map(|body| body.to_bytes());
        let json = read.ok().and_then(|bytes| match &bytes[..] {
            b"" => Some(serde_json::json!({})),
            bytes => serde_json::from_slice(bytes).ok(),
        });
        match json {
            Some(json) => response(status, CBOR, wire::cbor_bytes(&json), &request_id()),
            None => failed(call.protocol, &Fault::new("InternalServiceFault", "the emulator's response is not JSON")),
        }
    }
}

fn failed(protocol: Protocol, fault: &Fault) -> Response {
    let id = request_id();
    let (content_type, bytes) = wire::render_fault(protocol, fault, &id);
    let is_forbidden = ["AccessDenied", "Expired", "InvalidClient", "Unrecognized"];
    let is_forbidden = is_forbidden.iter().any(|begin| fault.code.starts_with(begin));
    let status = if is_forbidden { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST };
    response(status, content_type, bytes, &id)
}

fn response(status: StatusCode, content_type: &'static str, bytes: Vec<u8>, id: &str) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if content_type == CBOR {
        headers.insert(SMITHY, HeaderValue::from_static("rpc-v2-cbor"));
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("x-amzn-RequestId", id);
    }
    response
}

fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
