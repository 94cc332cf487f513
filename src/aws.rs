//! A cluster as the AWS API describes it: state, brokers, topics, operations. Reaches the lab through the same endpoint
//! settings as every AWS client, and never with real credentials.

mod action;
mod bounds;
mod cluster;
mod configuration;
mod credentials;
mod endpoint;
mod error;
mod guard;
mod identity;
mod info;
mod lab;
mod nodes;
mod notify;
mod operation;
mod reach;
mod signed;
mod topics;

use std::time::Duration;

use aws_config::{
    BehaviorVersion, ConfigLoader, Region, SdkConfig, stalled_stream_protection::StalledStreamProtectionConfig,
    timeout::TimeoutConfig,
};
use aws_sdk_kafka::config::{Credentials, SharedCredentialsProvider};

pub use crate::lab_api::{LabStatus, TargetGroup};
pub use action::{Action, PolicyScope, read_only_policy};
pub use bounds::Paging;
pub use cluster::{Bootstrap, MskCluster};
pub use endpoint::names_endpoint;
pub use error::AwsError;
pub use guard::{for_brokers, for_programs};
pub use identity::{Identity, region_of_profile};
pub use info::Authentication;
#[cfg(test)]
pub use info::MetadataMode;
pub use info::{ClusterInfo, ClusterState, TypeName, cluster_name, region_in_arn, region_of_arn};
pub use operation::{Operation, PastOperation, Step};
pub use reach::{credentials, endpoint_answers};
pub use topics::Topic;

use bounds::BoundedAnswers;
use endpoint::Endpoint;
use signed::Signer;

/// Longest wait for one attempt of a call; the SDK makes up to three.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);

/// The AWS APIs of one region, or the lab in their place.
#[derive(Debug, Clone)]
pub struct Aws {
    region: String,
    /// Where calls to MSK go instead of AWS.
    endpoint: Option<String>,
    /// That is on this machine.
    here: bool,
    /// Why no call may be made; every call returns it.
    refusal: Option<AwsError>,
    kafka: aws_sdk_kafka::Client,
    cloudwatch: aws_sdk_cloudwatch::Client,
    signer: Signer,
    http: reqwest::Client,
}

impl Aws {
    /// Clients for `region`, set up from the environment and the shared AWS files. Makes no call.
    ///
    /// If credentials that may be real would go to an endpoint on this machine, every call fails with
    /// [`AwsError::RealCredentials`]. Where there are none, made-up ones go there.
    pub async fn connect(region: &str) -> Aws {
        if let Some(refusal) = bounds::settings_refusal() {
            let config = SdkConfig::builder().behavior_version(BehaviorVersion::latest());
            let config = config.region(Region::new(region.to_owned())).build();
            return Aws::with(region, &config, Some(guard::made_up()), Some(refusal)).await;
        }
        let config = loader(region).load().await;
        match guard::own(&config).await {
            Ok(credentials) => Aws::with(region, &config, credentials, None).await,
            Err(refusal) => Aws::with(region, &config, Some(guard::made_up()), Some(refusal)).await,
        }
    }

    /// Clients for the lab at `endpoint`, whatever the environment says. No credentials of anyone go there.
    ///
    /// If `endpoint` is not on this machine, every call fails with [`AwsError::NoLab`].
    pub async fn connect_to(region: &str, endpoint: &str) -> Aws {
        let config = loader(region).endpoint_url(endpoint).credentials_provider(guard::made_up()).load().await;
        let refusal = (!endpoint::is_loopback(endpoint)).then(|| AwsError::NoLab(endpoint.to_owned()));
        Aws::with(region, &config, Some(guard::made_up()), refusal).await
    }

    /// The endpoints and the credentials that were checked are set on the clients, so that nothing else can be used.
    async fn with(
        region: &str,
        config: &SdkConfig,
        credentials: Option<Credentials>,
        refusal: Option<AwsError>,
    ) -> Aws {
        let set = config.endpoint_url().filter(|_| config.get_origin("endpoint_url").is_client_config());
        let of = |service| set.map(str::to_owned).or_else(|| Endpoint::of(service, config).map(|found| found.url));
        let endpoint = of("Kafka");
        let mut kafka = aws_sdk_kafka::config::Builder::from(config);
        kafka.set_endpoint_url(endpoint.clone());
        let mut cloudwatch = aws_sdk_cloudwatch::config::Builder::from(config);
        cloudwatch.set_endpoint_url(of("CloudWatch"));
        let signing = credentials.clone().map(SharedCredentialsProvider::new).or_else(|| config.credentials_provider());
        if let Some(credentials) = credentials {
            kafka = kafka.credentials_provider(credentials.clone());
            cloudwatch = cloudwatch.credentials_provider(credentials);
        }
        let here = match &endpoint {
            Some(url) => Endpoint { url: url.clone(), setting: String::new() }.is_here().await,
            None => false,
        };
        let named = |service| of(service).map(|url| Endpoint { url, setting: String::new() });
        let signer = Signer::new(named, named("Kafka"), signing).await;
        Aws {
            signer,
            region: region.to_owned(),
            endpoint,
            here,
            refusal,
            kafka: aws_sdk_kafka::Client::from_conf(kafka.interceptor(BoundedAnswers).build()),
            cloudwatch: aws_sdk_cloudwatch::Client::from_conf(cloudwatch.interceptor(BoundedAnswers).build()),
            http: reqwest::Client::new(),
        }
    }

    pub fn region(&self) -> &str {
        &self.region
    }

    /// Where calls to MSK go instead of AWS, from the environment or the profile.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// Whether that is on this machine.
    fn is_here(&self) -> bool {
        self.here
    }

    /// The CloudWatch client, unless calls are refused.
    ///
    /// # Errors
    /// As [`Aws::connect`] says.
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
        // The protection follows the system's clock: after a jump of days it counts them in tenths of a second, and nothing else
        // runs meanwhile. The timeout ends a stalled answer, too.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}
