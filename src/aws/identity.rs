//! Who calls AWS: the profiles of the shared AWS files, and roles.

use aws_config::meta::region::ProvideRegion as _;
use aws_config::profile::ProfileFileRegionProvider;

use super::bounds;

/// The region that `profile` of the shared AWS files names. `None` also where these files cannot be read, which every call
/// reports.
pub async fn region_of_profile(profile: &str) -> Option<String> {
    if bounds::settings_refusal().is_some() {
        return None;
    }
    let provider = ProfileFileRegionProvider::builder().profile_name(profile).build();
    provider.region().await.map(|region| region.to_string())
}
