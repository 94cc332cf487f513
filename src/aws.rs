//! What the AWS API says of a cluster: its state, its brokers, its operations. Reaches the lab by `AWS_ENDPOINT_URL` alone.

mod bounds;
mod cluster;
mod credentials;
mod error;
mod lab;
mod operation;

use std::{env, net::IpAddr, time::Duration};

use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_kafka::config::Credentials;

pub use bounds::{Paging, body_within};
pub use cluster::{Bootstrap, Cluster};
pub use credentials::{credentials, endpoint_answers};
pub use error::AwsError;
pub use lab::TargetGroup;
pub use operation::{Operation, Step};

use bounds::BoundedAnswers;

/// Longest wait for one attempt of a call; the SDK makes up to three.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);

/// Set to `1`, real-looking credentials may go to an endpoint on this machine.
const ALLOW_REAL: &str = "KGEN_ALLOW_REAL_CREDENTIALS";

/// The AWS APIs of one region, or the lab in their place.
#[derive(Debug, Clone)]
pub struct Aws {
    region: String,
    endpoint: Option<String>,
    /// Why no call may be made; every call returns it.
    refusal: Option<AwsError>,
    kafka: aws_sdk_kafka::Client,
    cloudwatch: aws_sdk_cloudwatch::Client,
    http: reqwest::Client,
}

impl Aws {
    /// Clients for `region`, set up from the environment and the shared AWS files. Makes no call.
    ///
    /// Towards an endpoint on this machine only the environment's credentials are used, else made-up ones: those of a
    /// profile are meant for AWS. If the environment's look real, every call fails with [`AwsError::RealCredentials`].
    pub async fn connect(region: &str) -> Aws {
        if let Some(refusal) = bounds::settings_refusal() {
            let config = SdkConfig::builder().behavior_version(BehaviorVersion::latest());
            return Aws::with(region, Some(refusal), &config.region(Region::new(region.to_owned())).build());
        }
        let key = env::var("AWS_ACCESS_KEY_ID").ok().filter(|key| !key.is_empty());
        let here = env::var("AWS_ENDPOINT_URL").is_ok_and(|endpoint| is_loopback(&endpoint));
        let mut loader = loader(region);
        if here && key.is_none() {
            loader = loader.credentials_provider(made_up());
        }
        let config = loader.load().await;
        let endpoint = config.endpoint_url().map(str::to_owned);
        let allowed = env::var(ALLOW_REAL).is_ok_and(|value| value == "1");
        let refusal = match (&endpoint, &key) {
            (Some(endpoint), Some(key)) if is_loopback(endpoint) && looks_real(key) && !allowed => {
                Some(AwsError::RealCredentials { endpoint: endpoint.clone() })
            }
            _ => None,
        };
        Aws::with(region, refusal, &config)
    }

    /// Clients for the lab at `endpoint`, whatever the environment says. No credentials of anybody go there.
    pub async fn connect_to(region: &str, endpoint: &str) -> Aws {
        let config = loader(region).endpoint_url(endpoint).credentials_provider(made_up()).load().await;
        Aws::with(region, None, &config)
    }

    fn with(region: &str, refusal: Option<AwsError>, config: &SdkConfig) -> Aws {
        let kafka = aws_sdk_kafka::config::Builder::from(config);
        let cloudwatch = aws_sdk_cloudwatch::config::Builder::from(config);
        Aws {
            region: region.to_owned(),
            endpoint: config.endpoint_url().map(str::to_owned),
            refusal,
            kafka: aws_sdk_kafka::Client::from_conf(kafka.interceptor(BoundedAnswers).build()),
            cloudwatch: aws_sdk_cloudwatch::Client::from_conf(cloudwatch.interceptor(BoundedAnswers).build()),
            http: reqwest::Client::new(),
        }
    }

    pub fn region(&self) -> &str {
        &self.region
    }

    /// Where calls go instead of AWS, from `AWS_ENDPOINT_URL` or the profile.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// The CloudWatch client, unless calls are refused.
    ///
    /// # Errors
    /// [`AwsError::RealCredentials`].
    pub fn cloudwatch(&self) -> Result<&aws_sdk_cloudwatch::Client, AwsError> {
        self.permitted().map(|()| &self.cloudwatch)
    }

    fn kafka(&self) -> Result<&aws_sdk_kafka::Client, AwsError> {
        self.permitted().map(|()| &self.kafka)
    }

    fn permitted(&self) -> Result<(), AwsError> {
        self.refusal.clone().map_or(Ok(()), Err)
    }
}

fn loader(region: &str) -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build())
}

/// Credentials for the lab, which checks none.
fn made_up() -> Credentials {
    Credentials::new("lab", "lab", None, None, "kgen-lab")
}

/// Whether `endpoint` is on this machine.
fn is_loopback(endpoint: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(endpoint) else { return false };
    let Some(host) = url.host_str() else { return false };
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether an access key id is one that AWS issues: AKIA for users, ASIA for sessions (IAM User Guide, identifiers).
fn looks_real(access_key_id: &str) -> bool {
    ["AKIA", "ASIA"].iter().any(|prefix| access_key_id.starts_with(prefix)) && access_key_id.len() >= 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_on_this_machine_is_recognised() {
        let rows = [
            ("http://127.0.0.1:4566", true),
            ("http://localhost:4566/", true),
            ("http://[::1]:4566", true),
            ("https://kafka.us-west-2.amazonaws.com", false),
            ("http://127.0.0.1.example.com", false),
            ("127.0.0.1", false),
        ];
        for (endpoint, expected) in rows {
            assert_eq!(is_loopback(endpoint), expected, "{endpoint}");
        }
    }

    #[test]
    fn issued_keys_look_real() {
        let rows = [("AKIAABCDEFGHIJKLMNOP", true), ("ASIAABCDEFGHIJKLMNOP", true), ("test", false), ("AKIA", false)];
        for (key, expected) in rows {
            assert_eq!(looks_real(key), expected, "{key}");
        }
    }
}
