//! The source of the credentials of a call, determined without a call, and whether they are real.

use std::{env, fmt, time::Duration};

use aws_config::{
    credential_process::CredentialProcessProvider,
    profile::{self, Profile},
};
use aws_sdk_kafka::config::{Credentials, ProvideCredentials as _};
use aws_types::os_shim_internal::{Env, Fs};
use tokio::time;

use super::endpoint;

/// How long a `credential_process` may take.
const WITHIN: Duration = Duration::from_secs(4);

/// A place that credentials come from.
pub(super) struct Found {
    /// As the user knows it: a variable, a profile.
    pub source: String,
    /// `None` where a service hands them out, which is not asked.
    pub keys: Option<Credentials>,
}

/// Without secrets.
impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Found {
    fn from_service(source: String) -> Found {
        Found { source, keys: None }
    }

    /// Whether AWS cannot have issued them. What a service hands out counts as real.
    pub(super) fn is_made_up(&self) -> bool {
        self.keys.as_ref().is_some_and(are_made_up)
    }
}

/// AWS's access key ids have 16 characters or more (IAM API Reference, `AccessKey`), its secrets 40, its session tokens
/// hundreds. Made-up keys are such as `lab`, `test` and `testing`.
fn are_made_up(keys: &Credentials) -> bool {
    const ID: usize = 16;
    const SECRET: usize = 40;
    let token = keys.session_token().unwrap_or_default();
    keys.access_key_id().len() < ID && keys.secret_access_key().len() < SECRET && token.len() < ID
}

/// Every place that calls of kgen or of terraform may take their credentials from; empty where only an instance's metadata
/// may have some. No service is called. Programs differ in what they prefer within a profile, so all of it is returned.
pub(super) async fn found() -> Vec<Found> {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    // Every program looks here first, and no further.
    if let Some(keys) = environment(set) {
        return vec![keys];
    }
    let mut found = match selected_profile().await {
        Ok(Some(profile)) => of_profile(&profile).await,
        Ok(None) => Vec::new(),
        Err(error) => vec![Found::from_service(format!("the AWS files, which cannot be read: {error}"))],
    };
    let services = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "the web identity"),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "the container's role"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "the container's role"),
    ];
    let services = services.into_iter().filter(|(variable, _)| set(variable).is_some());
    found.extend(services.map(|(variable, what)| Found::from_service(format!("{what} of {variable}"))));
    found
}

/// Keys in the environment, under every name that a program reads.
fn environment(set: impl Fn(&str) -> Option<String>) -> Option<Found> {
    let first = |names: &[&'static str]| names.iter().find_map(|name| Some((*name, set(name)?)));
    let (name, id) = first(&["AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"])?;
    let (_, secret) = first(&["AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "SECRET_ACCESS_KEY"])?;
    let token = set("AWS_SESSION_TOKEN");
    let source = match &token {
        Some(_) => format!("{name} with AWS_SESSION_TOKEN"),
        None => name.to_owned(),
    };
    Some(Found { source, keys: Some(Credentials::new(id, secret, token, None, "environment")) })
}

/// The profile that programs read, if the shared AWS files have it.
///
/// # Errors
/// Why the files cannot be read, in a few words.
async fn selected_profile() -> Result<Option<Profile>, String> {
    let name = endpoint::profile();
    #[expect(deprecated, reason = "`load` takes this type, and aws-config re-exports it only so")]
    let files = profile::profile_file::ProfileFiles::default();
    let profiles = profile::load(&Fs::real(), &Env::real(), &files, Some(name.clone().into())).await;
    let profiles = profiles.map_err(|error| super::error::root(&error))?;
    Ok(profiles.get_profile(&name).cloned())
}

async fn of_profile(profile: &Profile) -> Vec<Found> {
    let of_profile = |what: &str| format!("{what} of profile {}", profile.name());
    let get = |key: &str| profile.get(key).filter(|value| !value.is_empty());
    let services = [
        ("role_arn", "the role"),
        ("credential_source", "the role"),
        ("web_identity_token_file", "the web identity"),
        ("sso_session", "the single sign-on"),
        ("sso_start_url", "the single sign-on"),
        ("login_session", "the console session"),
    ];
    let services = services.into_iter().filter(|(key, _)| get(key).is_some());
    let mut found: Vec<Found> = services.map(|(_, what)| Found::from_service(of_profile(what))).collect();
    if let (Some(id), Some(secret)) = (get("aws_access_key_id"), get("aws_secret_access_key")) {
        let token = get("aws_session_token").map(str::to_owned);
        found.push(Found {
            source: of_profile("the keys"),
            keys: Some(Credentials::new(id, secret, token, None, "profile")),
        });
    }
    // The program is not run where the rest decides.
    if let Some(command) = get("credential_process").filter(|_| found.iter().all(Found::is_made_up)) {
        let program = CredentialProcessProvider::new(command.to_owned());
        let keys = time::timeout(WITHIN, program.provide_credentials()).await.ok().and_then(Result::ok);
        found.push(Found { source: of_profile("the credential_process"), keys });
    }
    found
}

/// Whether the settings say that no configured endpoint counts.
pub(super) async fn endpoints_are_ignored() -> bool {
    let variable = env::var("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").ok().filter(|value| !value.is_empty());
    let value = match variable {
        Some(value) => Some(value),
        None => {
            let profile = selected_profile().await.ok().flatten();
            profile.and_then(|profile| profile.get("ignore_configured_endpoint_urls").map(str::to_owned))
        }
    };
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issued_keys_are_real_and_made_up_keys_are_not() {
        let real_secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let rows = [
            ("lab", "lab", None, true),
            ("test", "test", None, true),
            ("testing", "testing", Some("testing"), true),
            ("AKIAIOSFODNN7EXAMPLE", "x", None, false),
            ("ASIAIOSFODNN7EXAMPLE", real_secret, Some("IQoJb3JpZ2luX2VjEXAMPLE"), false),
            ("lab", "lab", Some("IQoJb3JpZ2luX2VjEXAMPLE"), false),
            ("lab", real_secret, None, false),
            // The oldest keys have no AKIA in front.
            ("022QF06E7MXBSH9DHM02", "x", None, false),
        ];
        for (id, secret, token, expected) in rows {
            let keys = Credentials::new(id, secret, token.map(str::to_owned), None, "test");
            assert_eq!(are_made_up(&keys), expected, "{id} {secret} {token:?}");
        }
    }

    #[test]
    fn the_environment_is_read_under_every_name() {
        let check = |set: &[(&str, &str)], expected: Option<&str>| {
            let get = |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
            assert_eq!(environment(get).map(|found| found.source).as_deref(), expected, "{set:?}");
        };
        check(&[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")], Some("AWS_ACCESS_KEY_ID"));
        check(&[("AWS_ACCESS_KEY", "a"), ("AWS_SECRET_KEY", "b")], Some("AWS_ACCESS_KEY"));
        let session = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_SESSION_TOKEN", "c")];
        check(&session, Some("AWS_ACCESS_KEY_ID with AWS_SESSION_TOKEN"));
        check(&session[..1], None);
        check(&session[1..], None);
    }
}
