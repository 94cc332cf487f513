//! Calls of Systems Manager, S3, SNS and EventBridge, signed here: a handful of calls do not earn their four SDKs.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

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

/// A service that is called without its SDK.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Service {
    /// Its id in the SDK, which the variables and the settings of its endpoint are named after.
    pub id: &'static str,
    /// In signatures, names of hosts and IAM actions.
    pub name: &'static str,
}

pub(super) const SSM: &Service = &Service { id: "SSM", name: "ssm" };
pub(super) const S3: &Service = &Service { id: "S3", name: "s3" };
pub(super) const SNS: &Service = &Service { id: "SNS", name: "sns" };
pub(super) const EVENT_BRIDGE: &Service = &Service { id: "EventBridge", name: "events" };
pub(super) const SERVICES: [&Service; 4] = [SSM, S3, SNS, EVENT_BRIDGE];

/// Where the services are, and who signs.
#[derive(Debug, Clone)]
pub struct Signer {
    /// What replaces AWS's endpoints, by the id of the service.
    endpoints: BTreeMap<&'static str, String>,
    credentials: Option<SharedCredentialsProvider>,
    refusals: BTreeMap<&'static str, AwsError>,
}

impl Signer {
    /// `named` has the endpoint that replaces AWS's for each of [`SERVICES`], `kafka` that for MSK: a service must be on the
    /// same side.
    pub(super) async fn new(
        named: impl Fn(&'static str) -> Option<Endpoint>,
        kafka: Option<Endpoint>,
        credentials: Option<SharedCredentialsProvider>,
    ) -> Signer {
        let kafka_here = is_here(kafka.as_ref()).await;
        let (mut endpoints, mut refusals) = (BTreeMap::new(), BTreeMap::new());
        for service in SERVICES {
            let endpoint = named(service.id);
            let here = is_here(endpoint.as_ref()).await;
            let split = |here, endpoint: &Option<Endpoint>, elsewhere| {
                let endpoint = Box::new(endpoint.clone()?);
                Some(AwsError::Split { here, endpoint, elsewhere })
            };
            let refusal = match (kafka_here, here) {
                (true, false) => split("Kafka", &kafka, service.id),
                (false, true) => split(service.id, &endpoint, "Kafka"),
                _ => None,
            };
            refusals.extend(refusal.map(|refusal| (service.id, refusal)));
            endpoints.extend(endpoint.map(|found| (service.id, found.url.trim_end_matches('/').to_owned())));
        }
        // A command's output is in S3, so one of the two alone is of no use.
        if let Some(refusal) = [SSM, S3].into_iter().find_map(|service| refusals.get(service.id).cloned()) {
            refusals.extend([(SSM.id, refusal.clone()), (S3.id, refusal)]);
        }
        Signer { endpoints, credentials, refusals }
    }
}

async fn is_here(endpoint: Option<&Endpoint>) -> bool {
    match endpoint {
        Some(endpoint) => endpoint.is_here().await,
        None => false,
    }
}

/// One request.
pub(super) struct Call<'a> {
    pub action: &'static str,
    pub service: &'static Service,
    pub method: &'static str,
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: &'a [u8],
}

impl Aws {
    /// A call of Systems Manager (JSON 1.1).
    ///
    /// # Errors
    /// No credentials, no answer, or a refusal by AWS.
    pub async fn ssm(&self, operation: &'static str, input: &Value) -> Result<Value, AwsError> {
        let url = self.service_url(SSM);
        let body = input.to_string();
        let headers = vec![
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target", format!("AmazonSSM.{operation}")),
        ];
        let url = format!("{url}/");
        let call = Call { action: operation, service: SSM, method: "POST", url, headers, body: body.as_bytes() };
        let bytes = self.answer(&call, MOST_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(|_| AwsError::Incomplete { action: operation, what: "JSON" })
    }

    /// The object `key` of `bucket`, up to `most` bytes.
    ///
    /// # Errors
    /// As [`Aws::ssm`].
    pub async fn object(&self, bucket: &str, key: &str, most: usize) -> Result<Vec<u8>, AwsError> {
        let host = self.service_url(S3);
        // By path: it serves names with dots, and endpoints that are addresses.
        let url = format!("{host}/{bucket}/{}", utf8_percent_encode(key, KEY));
        let call = Call { action: "GetObject", service: S3, method: "GET", url, headers: Vec::new(), body: &[] };
        self.answer(&call, most).await
    }

    /// The endpoint of a service, without a slash at its end.
    pub(super) fn service_url(&self, service: &Service) -> String {
        let suffix = if self.region.starts_with("cn-") { ".cn" } else { "" };
        let own = || format!("https://{}.{}.amazonaws.com{suffix}", service.name, self.region);
        self.signer.endpoints.get(service.id).cloned().unwrap_or_else(own)
    }

    /// The answer to `call`, up to `most` bytes. Repeats only what was refused for the moment.
    pub(super) async fn answer(&self, call: &Call<'_>, most: usize) -> Result<Vec<u8>, AwsError> {
        self.permitted()?;
        if let Some(refusal) = self.signer.refusals.get(call.service.id) {
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
    if call.service == S3 {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(call.service.name)
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

/// A refusal, in JSON as of Systems Manager and EventBridge, or in XML as of S3 and SNS.
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
        let service = if call.service == S3 { "s3" } else { "ssm" };
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

    fn call(service: &'static Service, action: &'static str) -> Call<'static> {
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
        let error = refused(&call(SSM, "SendCommand"), 400, json);
        assert_eq!(error.to_string(), "SendCommand was refused: InvalidInstanceId: no such instance");
        let xml = "<?xml?><Error><Code>NoSuchKey</Code><Message>gone</Message></Error>";
        assert_eq!(refused(&call(S3, "GetObject"), 404, xml).to_string(), "GetObject was refused: NoSuchKey: gone");
        let denied = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
        assert!(refused(&call(S3, "GetObject"), 403, denied).is_denied());
        assert_eq!(refused(&call(S3, "GetObject"), 500, "").to_string(), "GetObject was refused: status 500: ");
        let throttled = refused(&call(SSM, "SendCommand"), 400, r#"{"__type":"ThrottlingException"}"#);
        assert!(throttled.is_transient());
    }

    #[test]
    fn what_is_sent_to_s3_carries_the_sum_of_its_body() {
        let credentials = Credentials::new("a", "b", Some("session".into()), None, "test");
        let headers = signed_headers(&call(S3, "GetObject"), "us-west-2", &credentials).unwrap();
        let of = |name: &str| headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.as_str());
        // SHA-256 of nothing.
        assert!(of("x-amz-content-sha256").unwrap().starts_with("e3b0c44298fc1c149afb"));
        assert!(of("authorization").unwrap().contains("/us-west-2/s3/aws4_request"));
        assert_eq!(of("x-amz-security-token"), Some("session"));
    }
}
