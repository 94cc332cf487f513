//! Whether calls to AWS could be signed and would arrive, for `kgen doctor`.

use std::time::Duration;

use aws_sdk_kafka::config::ProvideCredentials as _;
use tokio::time;

use super::guard;

/// How long the chain of credentials may take; it may ask a sign-on service or an instance's metadata.
const WITHIN: Duration = Duration::from_secs(4);

/// Looks for credentials where every call does: the environment, the shared AWS files, single sign-on, the instance.
///
/// # Errors
/// Why there are none, in a few words.
pub async fn credentials(region: &str) -> Result<(), String> {
    if let Some(refusal) = super::bounds::settings_refusal() {
        return Err(refusal.to_string());
    }
    let config = super::loader(region).load().await;
    // A role is assumed by a call of its own.
    guard::own(&config).await.map_err(|error| error.to_string())?;
    let Some(provider) = config.credentials_provider() else { return Err("none are configured".to_owned()) };
    match time::timeout(WITHIN, provider.provide_credentials()).await {
        Ok(Ok(_)) => Ok(()),
        // The chain lists every place that it looked at, a line each.
        Ok(Err(error)) => Err(super::error::root(&error).split(". Attempted").next().unwrap_or_default().to_owned()),
        Err(_) => Err("no response in time".to_owned()),
    }
}

/// Whether anything listens at `endpoint`, whatever it answers.
///
/// # Errors
/// What went wrong, in a few words.
pub async fn endpoint_answers(endpoint: &str, within: Duration) -> Result<(), String> {
    let client = reqwest::Client::builder().timeout(within).build().map_err(|error| error.to_string())?;
    client.get(endpoint).send().await.map(drop).map_err(|error| super::error::root(&error))
}
