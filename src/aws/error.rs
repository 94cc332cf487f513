//! What can go wrong between kgen and the AWS API, told apart by what the user has to do.

use std::{error::Error, path::PathBuf};

use aws_sdk_kafka::error::{ProvideErrorMetadata, SdkError};

use super::{Action, Aws, endpoint::Endpoint};
use crate::visible;

/// Why a call to AWS, or to the lab in its place, gave no answer that can be used.
#[derive(Debug, Clone, thiserror::Error, PartialEq)]
pub enum AwsError {
    #[error("no cluster {} in {region}; {}", visible::line(name), known_clusters(known))]
    NoSuchCluster { name: String, region: String, known: Vec<String> },
    #[error("cluster {} is serverless: it has no brokers to watch or resize", visible::line(name))]
    Serverless { name: String },
    #[error("no AWS credentials for {action} (set AWS_PROFILE, run `aws sso login`, or use the lab: `kgen lab up`)")]
    NoCredentials { action: &'static str },
    #[error(
        "credentials that may be real ({credentials}) would be sent to {endpoint} on this machine, which {setting} names \
         (use the lab's: `eval \"$(kgen lab env)\"`; or unset {setting}; or set KGEN_ALLOW_REAL_CREDENTIALS=1)"
    )]
    RealCredentials { credentials: String, endpoint: String, setting: String },
    #[error(
        "calls to {here} would go to {url} on this machine, which {setting} names, but calls to {elsewhere} would go \
         elsewhere (set AWS_ENDPOINT_URL for all services: `eval \"$(kgen lab env)\"`; or unset {setting})",
        url = endpoint.shown(), setting = endpoint.setting
    )]
    Split { here: &'static str, endpoint: Box<Endpoint>, elsewhere: &'static str },
    #[error("the lab's endpoint {0} is not on this machine (`kgen lab down`, then `kgen lab up`)")]
    NoLab(String),
    #[error("cannot reach {endpoint} for {action}: {}{}", visible::line(reason), if *here { " (is the lab up? `kgen lab up`)" } else { "" })]
    Unreachable { action: &'static str, endpoint: String, here: bool, reason: String },
    #[error("{action} is not allowed: {} ({})", visible::line(message), allow)]
    Denied { action: &'static str, message: String, allow: String },
    #[error("{arn} is in {region}, not in the requested {asked} (use --region {region})", arn = visible::line(arn), region = visible::line(region))]
    OtherRegion { arn: String, region: String, asked: String },
    #[error("{action} was refused: {}: {}", visible::line(code), visible::line(message))]
    Api { action: &'static str, code: String, message: String },
    /// The lab's own words.
    #[error("{}", visible::line(.0))]
    Lab(String),
    #[error("the response to {action} has no {what}")]
    Incomplete { action: &'static str, what: &'static str },
    #[error("reading {}: {reason}", path.display())]
    Settings { path: PathBuf, reason: String },
    #[error("{action} returned more than {pages} pages: this endpoint does not behave like AWS")]
    Endless { action: &'static str, pages: usize },
    #[error("{action} did not complete within {within_s} s: try again, or check what is serving this endpoint")]
    TooSlow { action: &'static str, within_s: u64 },
    #[error(
        "{action} reports {count} brokers for cluster {name}, more than MSK allows: check what is serving this endpoint"
    )]
    TooManyBrokers { action: &'static str, name: String, count: i64 },
}

/// Codes of a refusal for want of permission: CloudWatch's and IAM's, and MSK's own.
const DENIED: [&str; 4] = ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "ForbiddenException"];

/// Codes that pass by themselves: too many requests, or trouble inside AWS.
const TRANSIENT: [&str; 11] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "LimitExceeded",
    "LimitExceededException",
    "InternalFailure",
    "InternalServiceError",
    "InternalServerErrorException",
    "ServiceUnavailableException",
];

impl AwsError {
    /// The call is not allowed; others may be.
    pub fn is_denied(&self) -> bool {
        matches!(self, AwsError::Denied { .. })
    }

    /// It may pass by itself: throttling, trouble inside AWS, an endpoint that does not answer now.
    pub fn is_transient(&self) -> bool {
        match self {
            AwsError::Unreachable { .. } | AwsError::TooSlow { .. } => true,
            AwsError::Api { code, .. } => TRANSIENT.contains(&code.as_str()) || code == "ServiceUnavailable",
            _ => false,
        }
    }

    pub(super) fn real(source: &str, endpoint: &Endpoint) -> AwsError {
        let (endpoint, setting) = (endpoint.shown(), endpoint.setting.clone());
        AwsError::RealCredentials { credentials: source.to_owned(), endpoint, setting }
    }
}

impl Aws {
    /// Sorts what the SDK says about a failed call.
    pub fn failed<E>(&self, action: Action, error: SdkError<E>) -> AwsError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let no_answer = |reason: String| AwsError::Unreachable {
            action: action.name(),
            endpoint: self.endpoint().map_or_else(|| format!("AWS in {}", self.region()), str::to_owned),
            here: self.is_here(),
            reason,
        };
        match &error {
            SdkError::ServiceError(refused) => {
                let status = refused.raw().status().as_u16();
                let message = refused.err().message().map_or_else(|| format!("HTTP status {status}"), str::to_owned);
                match refused.err().code() {
                    Some(code) if is_denial(code) => {
                        AwsError::Denied { action: action.name(), message, allow: action.allow() }
                    }
                    // MSK answers some calls without a code that the SDK knows.
                    None if status == 429 => {
                        let code = "TooManyRequestsException".to_owned();
                        AwsError::Api { action: action.name(), code, message }
                    }
                    None if status >= 500 => {
                        AwsError::Api { action: action.name(), code: "InternalFailure".to_owned(), message }
                    }
                    code => {
                        let code = code.unwrap_or("unknown error").to_owned();
                        AwsError::Api { action: action.name(), code, message }
                    }
                }
            }
            SdkError::TimeoutError(_) => no_answer("no response in time".to_owned()),
            SdkError::DispatchFailure(failure) if failure.is_io() || failure.is_timeout() => no_answer(root(&error)),
            // The SDK reports a missing identity as a failure to send, without a kind of its own.
            _ if anyhow::Chain::new(&error).any(|cause| cause.to_string().contains("credentials")) => {
                AwsError::NoCredentials { action: action.name() }
            }
            _ => no_answer(root(&error)),
        }
    }
}

/// Whether a code is a refusal for want of permission.
pub(super) fn is_denial(code: &str) -> bool {
    DENIED.contains(&code)
}

/// The innermost cause, which names what happened; those around it only say that a request failed.
pub(super) fn root(error: &(dyn Error + 'static)) -> String {
    anyhow::Chain::new(error).last().map(ToString::to_string).unwrap_or_default()
}

fn known_clusters(known: &[String]) -> String {
    const MOST: usize = 20;
    match known.len() {
        0 => "there are none".to_owned(),
        count if count > MOST => {
            format!("there are: {} and {} more", visible::line(&known[..MOST].join(", ")), count - MOST)
        }
        _ => format!("there are: {}", visible::line(&known.join(", "))),
    }
}
