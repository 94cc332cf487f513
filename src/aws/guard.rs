//! Keeps real credentials away from endpoints on this machine, which are never AWS.
//!
//! What counts is what would happen: the credentials that a call would be signed with, and the endpoint that it would go to.

use std::env;

use aws_config::SdkConfig;
use aws_sdk_kafka::config::Credentials;

use super::{
    AwsError,
    credentials::{Found, endpoints_are_ignored, found},
    endpoint::{self, Endpoint},
};

/// Set to `1`, real credentials may go to an endpoint on this machine.
const ALLOW_REAL: &str = "KGEN_ALLOW_REAL_CREDENTIALS";

/// The services that kgen calls, by their ids in the SDK.
const CALLED: [&str; 2] = ["Kafka", "CloudWatch"];

/// The services that the SDK calls for credentials.
const FOR_CREDENTIALS: [&str; 3] = ["STS", "SSO", "SSO OIDC"];

/// Credentials for the lab, which checks none.
pub(super) fn made_up() -> Credentials {
    Credentials::new("lab", "lab", None, None, "kgen-lab")
}

/// The credentials that kgen's own calls with `config` must use; `None` where they go to AWS, and the SDK finds them.
///
/// # Errors
/// [`AwsError::RealCredentials`] and [`AwsError::Split`].
pub(super) async fn own(config: &SdkConfig) -> Result<Option<Credentials>, AwsError> {
    let (mut here, mut elsewhere) = (None, None);
    for service in CALLED {
        match Endpoint::of(service, config) {
            Some(endpoint) if endpoint.is_here().await => here = here.or(Some((service, endpoint))),
            _ => elsewhere = Some(service),
        }
    }
    if is_allowed() {
        return Ok(None);
    }
    let Some((service, endpoint)) = here else {
        for service in FOR_CREDENTIALS {
            if let Some(endpoint) = on_this_machine(Endpoint::of(service, config)).await {
                ensure_made_up(&found().await, &endpoint)?;
            }
        }
        return Ok(None);
    };
    let found = found().await;
    ensure_made_up(&found, &endpoint)?;
    match elsewhere {
        Some(elsewhere) => Err(AwsError::Split { here: service, endpoint: Box::new(endpoint), elsewhere }),
        // Where none are set, the lab's own go there: the instance's metadata is not asked.
        None => Ok(Some(found.into_iter().find_map(|found| found.keys).unwrap_or_else(made_up))),
    }
}

/// The credentials that calls signed with `profile` must use; `None` where they go to AWS, and the profile's own are used.
/// What goes to this machine gets made-up ones.
///
/// # Errors
/// [`AwsError::RealCredentials`] and [`AwsError::Split`].
pub(super) async fn of_profile(config: &SdkConfig, profile: &str) -> Result<Option<Credentials>, AwsError> {
    if is_allowed() {
        return Ok(None);
    }
    let (mut here, mut elsewhere) = (None, None);
    for service in CALLED {
        match on_this_machine(Endpoint::of(service, config)).await {
            Some(endpoint) => here = here.or(Some((service, endpoint))),
            None => elsewhere = Some(service),
        }
    }
    match (here, elsewhere) {
        (Some((here, endpoint)), Some(elsewhere)) => {
            Err(AwsError::Split { here, endpoint: Box::new(endpoint), elsewhere })
        }
        (Some(_), None) => Ok(Some(made_up())),
        (None, _) => {
            for service in FOR_CREDENTIALS {
                if let Some(endpoint) = on_this_machine(Endpoint::of(service, config)).await {
                    return Err(AwsError::real(&format!("profile {profile}"), &endpoint));
                }
            }
            Ok(None)
        }
    }
}

/// Nothing, or why the shared AWS files cannot be read: neither the SDK nor terraform would end.
fn ensure_readable() -> Result<(), AwsError> {
    super::bounds::settings_refusal().map_or(Ok(()), Err)
}

/// The variables that a program which calls AWS by itself gets beside kgen's: made-up credentials, where all its calls go to
/// this machine and it would look for others in the instance's metadata.
///
/// # Errors
/// [`AwsError::RealCredentials`]: it would send them to an endpoint on this machine. [`AwsError::Settings`].
pub async fn for_programs() -> Result<Vec<(String, String)>, AwsError> {
    ensure_readable()?;
    if is_allowed() {
        return Ok(Vec::new());
    }
    let mut here = Vec::new();
    for endpoint in endpoint::configured(endpoints_are_ignored().await) {
        here.extend(on_this_machine(Some(endpoint)).await);
    }
    let Some(first) = here.first() else { return Ok(Vec::new()) };
    let found = found().await;
    ensure_made_up(&found, first)?;
    if !found.is_empty() || env::var("AWS_EC2_METADATA_DISABLED").is_ok_and(|value| value == "true") {
        return Ok(Vec::new());
    }
    if here.iter().all(|endpoint| endpoint.setting != endpoint::GLOBAL) {
        return Err(AwsError::real("those from the instance metadata", first));
    }
    let made_up = made_up();
    let variables = [
        ("AWS_ACCESS_KEY_ID", made_up.access_key_id()),
        ("AWS_SECRET_ACCESS_KEY", made_up.secret_access_key()),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    Ok(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())
}

/// Whether a token signed with AWS credentials may go to these brokers.
///
/// # Errors
/// [`AwsError::RealCredentials`]: one of them is on this machine, or so is a service that hands out the credentials.
/// [`AwsError::Settings`].
pub async fn for_brokers(region: &str, bootstrap_servers: &str) -> Result<(), AwsError> {
    ensure_readable()?;
    own(&super::loader(region).load().await).await?;
    let host = |server: &str| server.trim().rsplit_once(':').map_or(server, |(host, _)| host).to_owned();
    match bootstrap_servers.split(',').find(|server| endpoint::is_local(&host(server))) {
        Some(server) if !is_allowed() => {
            let broker = Endpoint { url: server.trim().to_owned(), setting: "the bootstrap servers".to_owned() };
            ensure_made_up(&found().await, &broker)
        }
        _ => Ok(()),
    }
}

fn is_allowed() -> bool {
    env::var(ALLOW_REAL).is_ok_and(|value| value == "1")
}

async fn on_this_machine(endpoint: Option<Endpoint>) -> Option<Endpoint> {
    let endpoint = endpoint?;
    endpoint.is_here().await.then_some(endpoint)
}

fn ensure_made_up(found: &[Found], endpoint: &Endpoint) -> Result<(), AwsError> {
    match found.iter().find(|found| !found.is_made_up()) {
        Some(real) => Err(AwsError::real(&real.source, endpoint)),
        None => Ok(()),
    }
}
