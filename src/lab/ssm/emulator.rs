//! Calls of the emulator, which keeps what Systems Manager asks about.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use reqwest::StatusCode;

/// How long the emulator may take to answer.
const WITHIN: Duration = Duration::from_secs(30);

/// The emulator, for one region.
#[derive(Clone, Copy)]
pub struct Emulator<'a> {
    pub http: &'a reqwest::Client,
    pub at: SocketAddr,
    pub region: &'a str,
}

impl Emulator<'_> {
    /// What it answers to a call of `service` with these headers, whatever that is.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn post(
        self,
        service: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> reqwest::Result<(StatusCode, Bytes)> {
        let Emulator { http, at, region } = self;
        // It reads the region here and checks nothing.
        let signed =
            format!("Credential=lab/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0");
        let call = http
            .post(format!("http://{at}/"))
            .header("host", format!("{service}.{region}.amazonaws.com"))
            .header("authorization", format!("AWS4-HMAC-SHA256 {signed}"));
        let call = headers.iter().fold(call, |call, (name, value)| call.header(*name, *value));
        let answer = call.body(body).timeout(WITHIN).send().await?;
        Ok((answer.status(), answer.bytes().await?))
    }
}
