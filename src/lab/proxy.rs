//! The way to the emulator for every service but MSK: requests and answers pass unchanged, as streams.

use std::{net::SocketAddr, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, Version, header,
        uri::{Authority, PathAndQuery, Scheme},
    },
    response::{IntoResponse, Response},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

/// How long the emulator may take to begin its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Headers that concern one connection only (RFC 9110, section 7.6.1). `Expect` is answered by the lab's own server.
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
];

#[derive(Clone)]
pub struct Proxy {
    emulator: SocketAddr,
    client: Client<HttpConnector, Body>,
}

impl Proxy {
    /// The way to the emulator at `emulator`, which need not be there yet.
    pub fn new(emulator: SocketAddr) -> Proxy {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(5)));
        // The emulator gets the Host header that the client sent: it is part of what some services answer with.
        let client = Client::builder(TokioExecutor::new()).set_host(false).build(connector);
        Proxy { emulator, client }
    }

    /// Passes a request on and its answer back.
    pub async fn forward(&self, mut request: Request) -> Response {
        let json = is_json(request.headers());
        match target(self.emulator, request.uri().path_and_query().cloned()) {
            Ok(target) => *request.uri_mut() = target,
            Err(error) => return unreachable(json, StatusCode::BAD_REQUEST, &format!("the path: {error}")),
        }
        *request.version_mut() = Version::HTTP_11;
        strip(request.headers_mut());
        let failed = |status, error: &str| {
            unreachable(json, status, &format!("the emulator of other AWS services at {}: {error}", self.emulator))
        };
        match tokio::time::timeout(ANSWER_TIMEOUT, self.client.request(request)).await {
            Ok(Ok(response)) => {
                let (mut parts, body) = response.into_parts();
                strip(&mut parts.headers);
                parts.version = Version::HTTP_11;
                Response::from_parts(parts, Body::new(body))
            }
            Ok(Err(error)) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
                failed(StatusCode::BAD_GATEWAY, &format!("{error}{cause}"))
            }
            Err(_) => failed(StatusCode::GATEWAY_TIMEOUT, "no response in time"),
        }
    }
}

fn target(emulator: SocketAddr, path: Option<PathAndQuery>) -> Result<Uri, axum::http::Error> {
    Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(Authority::try_from(emulator.to_string())?)
        .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
        .build()
}

fn strip(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.contains("json"))
}

/// An error that the SDKs can read, in the protocol of the request: JSON, or the XML of the older services.
fn unreachable(json: bool, status: StatusCode, message: &str) -> Response {
    const CODE: &str = "ServiceUnavailable";
    let (content_type, body) = if json {
        ("application/x-amz-json-1.1", serde_json::json!({ "__type": CODE, "message": message }).to_string())
    } else {
        let message = message.replace('&', "&amp;").replace('<', "&lt;");
        let error = format!("<Error><Code>{CODE}</Code><Message>{message}</Message></Error>");
        ("text/xml", format!("<ErrorResponse>{error}</ErrorResponse>"))
    };
    let mut response = (status, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert("x-amzn-ErrorType", HeaderValue::from_static(CODE));
    response
}
