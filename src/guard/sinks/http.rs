//! Requests to receivers, with the TLS and the certificates that calls to AWS use.

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time;

use super::{Post, TIMEOUT};

/// Sends requests.
#[derive(Clone)]
pub struct Client(Pool<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Client {
    /// # Errors
    /// The system's certificates cannot be read.
    pub fn new() -> anyhow::Result<Client> {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())
            .context("reading the system's certificates (is the package ca-certificates installed?)")?;
        let connector = connector.https_or_http().enable_http1().build();
        // A receiver that closes idle connections must not cost a message an attempt.
        Ok(Client(Pool::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector)))
    }

    /// Sends a request; only a status 2xx counts as received.
    ///
    /// # Errors
    /// Why it may not have been received.
    pub async fn send(&self, post: Post) -> Result<(), String> {
        let mut request = hyper::Request::post(&post.url)
            .header("content-type", "application/json")
            .header("user-agent", concat!("kgen/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &post.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(Bytes::from(post.body)));
        let request = request.map_err(|_| "its URL or a header is not valid".to_owned())?;
        let Ok(answer) = time::timeout(TIMEOUT, self.0.request(request)).await else {
            return Err(format!("no answer within {} s", TIMEOUT.as_secs()));
        };
        let status = answer.map_err(|error| reason(&error))?.status();
        if status.is_success() { Ok(()) } else { Err(format!("HTTP status {}", status.as_u16())) }
    }
}

/// The innermost cause. Those around it may quote the URL.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let root = anyhow::Chain::new(error).last().map(ToString::to_string).unwrap_or_default();
    format!("no connection: {root}")
}
