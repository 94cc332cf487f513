//! Who calls AWS: the environment's credentials, a profile of the shared AWS files, or a role.

use aws_config::{
    Region,
    meta::region::ProvideRegion as _,
    profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider},
    sts::AssumeRoleProvider,
};

use super::{Aws, bounds, guard, loader};

/// Name of kgen's sessions in CloudTrail.
const SESSION: &str = "kgen";

/// Whose credentials sign the calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// What the environment and the AWS files say.
    Environment,
    /// This profile of the shared AWS files.
    Profile(String),
    /// This role, assumed with the environment's credentials.
    Role { arn: String, external_id: Option<String> },
}

impl Identity {
    /// The profile or the role, as the user named it; `None` for the environment.
    pub fn name(&self) -> Option<&str> {
        match self {
            Identity::Environment => None,
            Identity::Profile(name) => Some(name),
            Identity::Role { arn, .. } => Some(arn),
        }
    }
}

impl Aws {
    /// Clients for `region` that sign as `identity`. Makes no call.
    ///
    /// No profile and no role is used where the endpoint is on this machine: a lab has one account, and gets made-up
    /// credentials. As with [`Aws::connect`], every call fails if real credentials could go to an endpoint on this machine.
    pub async fn connect_as(region: &str, identity: &Identity) -> Aws {
        // Files that cannot be read are reported there.
        if *identity == Identity::Environment || bounds::settings_refusal().is_some() {
            return Aws::connect(region).await;
        }
        match identity {
            Identity::Environment => Aws::connect(region).await,
            Identity::Profile(name) => Aws::connect_with_profile(region, name).await,
            Identity::Role { arn, external_id } => Aws::connect_with_role(region, arn, external_id.as_deref()).await,
        }
    }

    async fn connect_with_profile(region: &str, name: &str) -> Aws {
        let provider = ProfileFileCredentialsProvider::builder().profile_name(name).build();
        let config = loader(region).profile_name(name).credentials_provider(provider).load().await;
        match guard::of_profile(&config, name).await {
            Ok(credentials) => Aws::with(region, &config, credentials, None).await,
            Err(refusal) => Aws::with(region, &config, Some(guard::made_up()), Some(refusal)).await,
        }
    }

    async fn connect_with_role(region: &str, arn: &str, external_id: Option<&str>) -> Aws {
        let config = loader(region).load().await;
        let credentials = match guard::own(&config).await {
            Ok(credentials) => credentials,
            Err(refusal) => return Aws::with(region, &config, Some(guard::made_up()), Some(refusal)).await,
        };
        if credentials.is_some() {
            return Aws::with(region, &config, credentials, None).await;
        }
        let role = AssumeRoleProvider::builder(arn).session_name(SESSION).region(Region::new(region.to_owned()));
        let role = match external_id {
            Some(external_id) => role.external_id(external_id),
            None => role,
        };
        let provider = role.configure(&config).build().await;
        let config = loader(region).credentials_provider(provider).load().await;
        Aws::with(region, &config, None, None).await
    }
}

/// The region that `profile` of the shared AWS files names. `None` also where these files cannot be read, which every call
/// reports.
pub async fn region_of_profile(profile: &str) -> Option<String> {
    if bounds::settings_refusal().is_some() {
        return None;
    }
    let provider = ProfileFileRegionProvider::builder().profile_name(profile).build();
    provider.region().await.map(|region| region.to_string())
}
