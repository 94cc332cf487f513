//! Calls of Systems Manager and S3, signed here: a handful of calls do not earn their two SDKs.

use std::time::{Duration, SystemTime};

use aws_sdk_kafka::config::{Credentials, ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Response;
use serde_json::Value;

use super::{Aws, AwsError, endpoint::Endpoint};

/// How long one call may take.
const WITHIN: Duration = Duration::from_secs(30);
/// Tries of one call that AWS asks to repeat, and the wait before the second; each next one waits twice as long.
const TRIES: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Of an answer of Systems Manager.
const MOST_BYTES: usize = 8 << 20;
/// What an object's key keeps in a path (S3 User Guide, "Creating object key names").
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Where the two services are, and who signs.
#[derive(Debug, Clone)]
pub struct Signer {
    ssm: Option<String>,
    s3: Option<String>,
    credentials: Option<SharedCredentialsProvider>,
    refusal: Option<AwsError>,
}

impl Signer {
    /// `kafka` is the endpoint that replaces AWS's for MSK: the two services must be on the same side.
    pub(super) async fn new(
        ssm: Option<Endpoint>,
        s3: Option<Endpoint>,
        kafka: Option<Endpoint>,
        credentials: Option<SharedCredentialsProvider>,
    ) -> Signer {
        let kafka_here = is_here(kafka.as_ref()).await;
        let mut refusal = None;
        for (service, endpoint) in [("SSM", &ssm), ("S3", &s3)] {
            let here = is_here(endpoint.as_ref()).await;
            let split = |here, endpoint: &Option<Endpoint>, elsewhere| {
                let endpoint = Box::new(endpoint.clone()?);
                Some(AwsError::Split { here, endpoint, elsewhere })
            };
            refusal = refusal.or(match (kafka_here, here) {
                (true, false) => split("Kafka", &kafka, service),
                (false, true) => split(service, endpoint, "Kafka"),
                _ => None,
            });
        }
        let url = |endpoint: Option<Endpoint>| endpoint.map(|endpoint| endpoint.url.trim_end_matches('/').to_owned());
        Signer { ssm: url(ssm), s3: url(s3), credentials, refusal }
    }
}

async fn is_here(endpoint: Option<&Endpoint>) -> bool {
    match endpoint {
        Some(endpoint) => endpoint.is_here().await,
        None => false,
    }
}

/// One request.
struct Call<'a> {
    action: &'static str,
    service: &'static str,
    method: &'static str,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: &'a [u8],
}

impl Aws {
    /// A call of Systems Manager (JSON 1.1).
    ///
    /// # Errors
    /// No credentials, no answer, or a refusal by AWS.
    pub async fn ssm(&self, operation: &'static str, input: &Value) -> Result<Value, AwsError> {
        let url = self.signer.ssm.clone().unwrap_or_else(|| self.service_url("ssm"));
        let body = input.to_string();
        let headers = vec![
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target", format!("AmazonSSM.{operation}")),
        ];
        let url = format!("{url}/");
        let call = Call { action: operation, service: "ssm", method: "POST", url, headers, body: body.as_bytes() };
        let bytes = self.answer(&call, MOST_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(|_| AwsError::Incomplete { action: operation, what: "JSON" })
    }

    /// The object `key` of `bucket`, up to `most` bytes.
    ///
    /// # Errors
    /// As [`Aws::ssm`].
    pub async fn object(&self, bucket: &str, key: &str, most: usize) -> Result<Vec<u8>, AwsError> {
        let host = self.signer.s3.clone().unwrap_or_else(|| self.service_url("s3"));
        // By path: it serves names with dots, and endpoints that are addresses.
        let url = format!("{host}/{bucket}/{}", utf8_percent_encode(key, KEY));
        let call = Call { action: "GetObject", service: "s3", method: "GET", url, headers: Vec::new(), body: &[] };
        self.answer(&call, most).await
    }

    fn service_url(&self, service: &str) -> String {
        let suffix = if self.region.starts_with("cn-") { ".cn" } else { "" };
        format!("https://{service}.{}.amazonaws.com{suffix}", self.region)
    }

    async fn answer(&self, call: &Call<'_>, most: usize) -> Result<Vec<u8>, AwsError> {
        self.permitted()?;
        if let Some(refusal) = &self.signer.refusal {
            return Err(refusal.clone());
        }
        let mut wait = FIRST_WAIT;
        for left in (0..TRIES).rev() {
            match self.once(call, most).await {
                // Only what was refused is repeated: a command whose answer was lost may have begun.
                Err(error @ AwsError::Api { .. }) if left > 0 && error.is_transient() => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                ended => return ended,
            }
        }
        Err(AwsError::Incomplete { action: call.action, what: "an answer" })
    }

    async fn once(&self, call: &Call<'_>, most: usize) -> Result<Vec<u8>, AwsError> {
        let signed = signed_headers(call, &self.region, &self.signing_credentials(call.action).await?)?;
        let method = if call.method == "GET" { reqwest::Method::GET } else { reqwest::Method::POST };
        let mut request = self.http.request(method, &call.url).timeout(WITHIN).body(call.body.to_vec());
        for (name, value) in call.headers.iter().map(|(name, value)| (*name, value.clone())).chain(signed) {
            request = request.header(name, value);
        }
        let unreachable = |reason: String| AwsError::Unreachable {
            action: call.action,
            endpoint: call.url.clone(),
            here: self.is_here(),
            reason,
        };
        let answer = request.send().await.map_err(|error| unreachable(super::error::root(&error)))?;
        let status = answer.status();
        let bytes = bytes_within(answer, most).await.map_err(unreachable)?;
        if status.is_success() {
            return Ok(bytes);
        }
        Err(refused(call, status.as_u16(), &String::from_utf8_lossy(&bytes)))
    }

    async fn signing_credentials(&self, action: &'static str) -> Result<Credentials, AwsError> {
        let none = AwsError::NoCredentials { action };
        let Some(provider) = &self.signer.credentials else { return Err(none) };
        provider.provide_credentials().await.map_err(|_| none)
    }
}

/// The headers that a signature adds.
fn signed_headers(
    call: &Call<'_>,
    region: &str,
    credentials: &Credentials,
) -> Result<Vec<(&'static str, String)>, AwsError> {
    let failed = |reason: String| AwsError::Api { action: call.action, code: "Signature".to_owned(), message: reason };
    let identity = credentials.clone().into();
    let mut settings = SigningSettings::default();
    if call.service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(call.service)
        .time(SystemTime::now())
        .settings(settings)
        .build()
        .map_err(|error| failed(error.to_string()))?
        .into();
    let headers = call.headers.iter().map(|(name, value)| (*name, value.as_str()));
    let request = SignableRequest::new(call.method, call.url.as_str(), headers, SignableBody::Bytes(call.body));
    let request = request.map_err(|error| failed(error.to_string()))?;
    let (instructions, _) = sign(request, &parameters).map_err(|error| failed(error.to_string()))?.into_parts();
    let (headers, _) = instructions.into_parts();
    Ok(headers.into_iter().map(|header| (header.name(), header.value().to_owned())).collect())
}

/// A refusal, in JSON as of Systems Manager or in XML as of S3.
fn refused(call: &Call<'_>, status: u16, body: &str) -> AwsError {
    let json: Option<Value> = serde_json::from_str(body).ok();
    let of_json = |names: &[&str]| {
        let json = json.as_ref()?;
        names.iter().find_map(|name| json.get(name)?.as_str()).map(str::to_owned)
    };
    let of_xml = |name: &str| {
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(text, _)| text.to_owned())
    };
    let code = of_json(&["__type", "code"]).or_else(|| of_xml("Code"));
    // The type may carry a name space: `com.amazonaws.ssm#InvalidDocument`.
    let code =
        code.map_or_else(|| format!("status {status}"), |code| code.rsplit('#').next().unwrap_or_default().to_owned());
    let message = of_json(&["message", "Message"]).or_else(|| of_xml("Message")).unwrap_or_default();
    if super::error::is_denial(&code) {
        let service = if call.service == "s3" { "s3" } else { "ssm" };
        return AwsError::Denied { action: call.action, message, allow: format!("allow {service}:{}", call.action) };
    }
    AwsError::Api { action: call.action, code, message }
}

async fn bytes_within(mut answer: Response, most: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| super::error::root(&error))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > most {
            return Err(format!("its answer is longer than {most} bytes"));
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(service: &'static str, action: &'static str) -> Call<'static> {
        Call {
            action,
            service,
            method: "GET",
            url: "https://s3.us-west-2.amazonaws.com/b/k".into(),
            headers: vec![],
            body: &[],
        }
    }

    #[test]
    fn a_refusal_is_read_in_both_forms() {
        let json = r#"{"__type":"com.amazonaws.ssm#InvalidInstanceId","Message":"no such instance"}"#;
        let error = refused(&call("ssm", "SendCommand"), 400, json);
        assert_eq!(error.to_string(), "SendCommand was refused: InvalidInstanceId: no such instance");
        let xml = "<?xml?><Error><Code>NoSuchKey</Code><Message>gone</Message></Error>";
        assert_eq!(refused(&call("s3", "GetObject"), 404, xml).to_string(), "GetObject was refused: NoSuchKey: gone");
        let denied = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
        assert!(refused(&call("s3", "GetObject"), 403, denied).is_denied());
        assert_eq!(refused(&call("s3", "GetObject"), 500, "").to_string(), "GetObject was refused: status 500: ");
        let throttled = refused(&call("ssm", "SendCommand"), 400, r#"{"__type":"ThrottlingException"}"#);
        assert!(throttled.is_transient());
    }

    #[test]
    fn what_is_sent_to_s3_carries_the_sum_of_its_body() {
        let credentials = Credentials::new("a", "b", Some("session".into()), None, "test");
        let headers = signed_headers(&call("s3", "GetObject"), "us-west-2", &credentials).unwrap();
        let of = |name: &str| headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.as_str());
        // SHA-256 of nothing.
        assert!(of("x-amz-content-sha256").unwrap().starts_with("e3b0c44298fc1c149afb"));
        assert!(of("authorization").unwrap().contains("/us-west-2/s3/aws4_request"));
        assert_eq!(of("x-amz-security-token"), Some("session"));
    }
}
