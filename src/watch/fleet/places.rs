//! The regions and accounts that a fleet is in.

use std::time::Duration;

use super::Place;
use crate::aws::{Aws, Identity, region_of_profile};

/// Regions that have MSK, by partition (botocore's endpoints of the service `kafka`, read 2026-12-01).
const REGIONS: [&[&str]; 3] = [
    &[
        "af-south-1",
        "ap-east-1",
        "ap-northeast-1",
        "ap-northeast-2",
        "ap-northeast-3",
        "ap-south-1",
        "ap-south-2",
        "ap-southeast-1",
        "ap-southeast-2",
        "ap-southeast-3",
        "ap-southeast-4",
        "ap-southeast-5",
        "ca-central-1",
        "ca-west-1",
        "eu-central-1",
        "eu-central-2",
        "eu-north-1",
        "eu-south-1",
        "eu-south-2",
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "il-central-1",
        "me-central-1",
        "me-south-1",
        "sa-east-1",
        "us-east-1",
        "us-east-2",
        "us-west-1",
        "us-west-2",
    ],
    &["cn-north-1", "cn-northwest-1"],
    &["us-gov-east-1", "us-gov-west-1"],
];

/// Whose clusters, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Accounts {
    /// Profiles of the shared AWS files. With neither these nor roles, the environment's credentials are used.
    pub profiles: Vec<String>,
    /// Roles to assume.
    pub roles: Vec<String>,
    /// External id that the roles ask for.
    pub external_id: Option<String>,
    pub regions: RegionsAsked,
    /// As [`Place::inside`].
    pub inside: Option<Duration>,
}

/// Which regions of each account.
#[derive(Debug, Clone, PartialEq)]
pub enum RegionsAsked {
    /// The profile's, else the one that kgen works in.
    Own,
    /// Every region of the partition that has MSK.
    All,
    Named(Vec<String>),
}

impl Accounts {
    /// Clients for every region of every account; `own` is the region where neither a profile nor the question names one.
    /// Makes no call.
    pub async fn places(&self, own: &str) -> Vec<Place> {
        let profiles = self.profiles.iter().map(|name| Identity::Profile(name.clone()));
        let role = |arn: &String| Identity::Role { arn: arn.clone(), external_id: self.external_id.clone() };
        let mut identities: Vec<Identity> = profiles.chain(self.roles.iter().map(role)).collect();
        if identities.is_empty() {
            identities.push(Identity::Environment);
        }
        let mut places = Vec::new();
        for identity in &identities {
            let of_profile = match identity {
                Identity::Profile(name) => region_of_profile(name).await,
                _ => None,
            };
            for region in self.regions.names(of_profile.as_deref().unwrap_or(own)) {
                let aws = Aws::connect_as(&region, identity).await;
                let may_be_disabled = self.regions == RegionsAsked::All;
                places.push(Place {
                    caller: identity.name().map(str::to_owned),
                    aws,
                    may_be_disabled,
                    inside: self.inside,
                });
            }
        }
        places
    }
}

impl RegionsAsked {
    /// The regions by name, each once; `own` is that of the account where none is asked for.
    fn names(&self, own: &str) -> Vec<String> {
        match self {
            RegionsAsked::Own => vec![own.to_owned()],
            RegionsAsked::All => {
                let partition = REGIONS.into_iter().find(|regions| regions.contains(&own)).unwrap_or(REGIONS[0]);
                partition.iter().map(|region| (*region).to_owned()).collect()
            }
            RegionsAsked::Named(named) => {
                let mut names = named.clone();
                names.sort();
                names.dedup();
                names
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_regions_are_those_named_or_all_of_the_partition() {
        assert_eq!(RegionsAsked::Own.names("eu-west-1"), ["eu-west-1"]);
        let named = RegionsAsked::Named(["us-west-2", "eu-west-1", "us-west-2"].map(str::to_owned).to_vec());
        assert_eq!(named.names("x"), ["eu-west-1", "us-west-2"]);
        let all = RegionsAsked::All.names("us-east-1");
        assert!(all.len() >= 30 && all.contains(&"il-central-1".to_owned()));
        assert_eq!(RegionsAsked::All.names("cn-north-1"), ["cn-north-1", "cn-northwest-1"]);
    }
}
