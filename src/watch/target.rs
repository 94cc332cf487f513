//! Which cluster is meant, and in which region: by flag, ARN, environment, kgen.toml, or because there is only one.

use crate::{
    aws::{AwsError, cluster_name, region_of_arn},
    visible,
};

/// Where a region comes from, in the words of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegionFrom {
    Arn,
    Flag,
    /// This variable.
    Variable(&'static str),
    /// The profile of `--profile` or `AWS_PROFILE`.
    Profile,
    KgenToml,
    /// The profile called `default`.
    DefaultProfile,
    Default,
}

/// A region, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    pub name: String,
    pub from: RegionFrom,
}

/// Every place that can name a region.
#[derive(Debug, Clone, Default)]
pub struct Regions {
    /// `--region`.
    pub flag: Option<String>,
    /// Variables that are set, the first goes first: `KGEN_REGION`, `AWS_REGION`, `AWS_DEFAULT_REGION`.
    pub variables: Vec<(&'static str, String)>,
    /// Of the profile that `--profile` or `AWS_PROFILE` names.
    pub profile: Option<String>,
    /// As written in kgen.toml.
    pub kgen_toml: Option<String>,
    /// Of the profile called `default`.
    pub default_profile: Option<String>,
    /// kgen's own default.
    pub default: String,
}

/// What the user asks for, before anything was looked up.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// `--cluster`: a name or an ARN.
    pub cluster: Option<String>,
    pub regions: Regions,
    /// The cluster that the project in this folder describes, if there is one.
    pub of_project: Option<String>,
    /// The region of that cluster.
    pub region_of_project: String,
}

/// A cluster that is named, by name or ARN, or still to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    Name(String),
    Arn(String),
    /// The only cluster of the region.
    Only,
}

/// Which cluster, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub named: Named,
    pub region: Region,
    /// The region that kgen.toml names, if that is another one.
    pub elsewhere: Option<String>,
    /// The cluster is not that of the project in this folder.
    pub is_foreign: bool,
}

/// Why it is not clear which cluster is meant.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    #[error(
        "{0:?} is not the ARN of an MSK cluster (expected arn:aws:kafka:REGION:ACCOUNT:cluster/NAME/ID, as `aws kafka \
         list-clusters-v2` prints it)"
    )]
    Arn(String),
    #[error("the ARN is of a cluster in {arn}, and --region says {flag}: leave --region out")]
    Regions { arn: String, flag: String },
    #[error(
        "there is no cluster in {region} (name another region with --region{}; `kgen clusters --all-regions` looks \
         everywhere)", written(.elsewhere)
    )]
    None { region: String, elsewhere: Option<String> },
    #[error("there are {} clusters in {region}: {}; choose one with --cluster", .names.len(), listed(.names))]
    Several { region: String, names: Vec<String> },
    #[error("{error}{}", hint(.from, .elsewhere))]
    Aws { error: Box<AwsError>, from: RegionFrom, elsewhere: Option<String> },
}

impl Regions {
    /// Returns the first region by precedence: flag, variables, named profile, kgen.toml, default profile, default.
    fn chosen(&self) -> Region {
        let variable = self.variables.first().map(|(name, region)| (RegionFrom::Variable(name), region));
        let named = [
            self.flag.as_ref().map(|region| (RegionFrom::Flag, region)),
            variable,
            self.profile.as_ref().map(|region| (RegionFrom::Profile, region)),
            self.kgen_toml.as_ref().map(|region| (RegionFrom::KgenToml, region)),
            self.default_profile.as_ref().map(|region| (RegionFrom::DefaultProfile, region)),
        ];
        let found = named.into_iter().flatten().next();
        let (from, name) = found.unwrap_or((RegionFrom::Default, &self.default));
        Region { name: name.clone(), from }
    }
}

impl Wanted {
    /// Decides which cluster is meant and where it is. Makes no call.
    ///
    /// # Errors
    /// What was named contradicts itself.
    pub fn target(&self) -> Result<Target, TargetError> {
        let chosen = self.regions.chosen();
        let (named, region) = match &self.cluster {
            // Names of clusters have no colon (CreateCluster, `clusterName`).
            Some(arn) if arn.starts_with("arn:") => {
                let region = region_of_arn(arn).ok_or_else(|| TargetError::Arn(arn.clone()))?.to_owned();
                if let Some(flag) = self.regions.flag.as_ref().filter(|flag| **flag != region) {
                    return Err(TargetError::Regions { arn: region, flag: flag.clone() });
                }
                (Named::Arn(arn.clone()), Region { name: region, from: RegionFrom::Arn })
            }
            Some(name) => (Named::Name(name.clone()), chosen),
            None => (self.of_project.clone().map_or(Named::Only, Named::Name), chosen),
        };
        let name = named.name();
        let elsewhere = self.regions.kgen_toml.clone().filter(|written| *written != region.name);
        let is_foreign = name.is_none() || name != self.of_project.as_deref() || region.name != self.region_of_project;
        Ok(Target { named, region, elsewhere, is_foreign })
    }
}

impl Named {
    fn name(&self) -> Option<&str> {
        match self {
            Named::Name(name) => Some(name),
            Named::Arn(arn) => Some(cluster_name(arn)),
            Named::Only => None,
        }
    }
}

impl Target {
    /// The cluster `name` in `region`, both known.
    pub fn known(name: &str, region: &str) -> Target {
        let region = Region { name: region.to_owned(), from: RegionFrom::Flag };
        Target { named: Named::Name(name.to_owned()), region, elsewhere: None, is_foreign: false }
    }

    /// The name of the cluster, if it is known before any call.
    pub fn name(&self) -> Option<&str> {
        self.named.name()
    }

    /// `error` with a hint when the cluster may be in another region.
    pub fn failed(&self, error: AwsError) -> TargetError {
        let elsewhere = self.elsewhere.clone().filter(|_| matches!(error, AwsError::NoSuchCluster { .. }));
        TargetError::Aws { error: Box::new(error), from: self.region.from, elsewhere }
    }

    /// Returns the name of the region's only cluster.
    ///
    /// # Errors
    /// There is none, or more than one, or the API does not answer.
    pub fn only(&self, names: Vec<String>) -> Result<String, TargetError> {
        let region = self.region.name.clone();
        match names.len() {
            0 => Err(TargetError::None { region, elsewhere: self.elsewhere.clone() }),
            1 => Ok(names.into_iter().next().unwrap_or_default()),
            _ => Err(TargetError::Several { region, names }),
        }
    }
}

impl RegionFrom {
    /// As a part of a sentence: `AWS_REGION says`.
    fn says(self) -> &'static str {
        match self {
            RegionFrom::Arn => "the ARN says",
            RegionFrom::Flag => "--region says",
            RegionFrom::Variable(name) => match name {
                "AWS_REGION" => "AWS_REGION says",
                "AWS_DEFAULT_REGION" => "AWS_DEFAULT_REGION says",
                _ => "KGEN_REGION says",
            },
            RegionFrom::Profile | RegionFrom::DefaultProfile => "the AWS profile says",
            RegionFrom::KgenToml => "kgen.toml says",
            RegionFrom::Default => "the default is",
        }
    }
}

fn written(region: &Option<String>) -> String {
    region.as_ref().map(|region| format!(": kgen.toml says {}", visible::line(region))).unwrap_or_default()
}

fn hint(from: &RegionFrom, elsewhere: &Option<String>) -> String {
    let Some(region) = elsewhere else { return String::new() };
    let region = visible::line(region);
    format!(" ({} where to look, kgen.toml says {region}: add --region {region} if the cluster is there)", from.says())
}

/// Names in a sentence, the first twenty of them.
fn listed(names: &[String]) -> String {
    const MOST: usize = 20;
    let shown = names.iter().take(MOST).map(|name| visible::line(name)).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:kafka:eu-west-1:123456789012:cluster/orders/1b2c-5";

    fn some(text: &str) -> Option<String> {
        (!text.is_empty()).then(|| text.to_owned())
    }

    #[test]
    fn a_region_is_that_of_the_flag_the_environment_kgen_toml_or_the_default() {
        let check =
            |flag: &str, variables: &[(&'static str, &str)], profile: &str, toml: &str, home: &str, expected| {
                let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
                let regions = Regions {
                    flag: some(flag),
                    variables,
                    profile: some(profile),
                    kgen_toml: some(toml),
                    default_profile: some(home),
                    default: "d".to_owned(),
                };
                let Region { name, from } = regions.chosen();
                assert_eq!((name.as_str(), from), expected);
            };
        let (aws, older) = (("AWS_REGION", "v"), ("AWS_DEFAULT_REGION", "w"));
        check("f", &[aws], "p", "t", "h", ("f", RegionFrom::Flag));
        check("", &[aws, older], "p", "t", "h", ("v", RegionFrom::Variable("AWS_REGION")));
        check("", &[older], "p", "t", "h", ("w", RegionFrom::Variable("AWS_DEFAULT_REGION")));
        check("", &[], "p", "t", "h", ("p", RegionFrom::Profile));
        check("", &[], "", "t", "h", ("t", RegionFrom::KgenToml));
        check("", &[], "", "", "h", ("h", RegionFrom::DefaultProfile));
        check("", &[], "", "", "", ("d", RegionFrom::Default));
    }

    #[test]
    fn an_arn_names_its_region_and_only_a_flag_may_contradict_it() {
        let regions = |flag: &str| Regions {
            flag: some(flag),
            variables: vec![("AWS_REGION", "us-east-1".to_owned())],
            kgen_toml: some("us-west-2"),
            ..Regions::default()
        };
        let wanted = |flag| Wanted {
            cluster: some(ARN),
            regions: regions(flag),
            of_project: some("orders"),
            region_of_project: "us-west-2".to_owned(),
        };
        for flag in ["", "eu-west-1"] {
            let target = wanted(flag).target().unwrap();
            assert_eq!((target.region.name.as_str(), target.region.from), ("eu-west-1", RegionFrom::Arn));
            assert_eq!((target.name(), target.is_foreign), (Some("orders"), true));
        }
        let refused = wanted("us-east-1").target().unwrap_err().to_string();
        assert_eq!(refused, "the ARN is of a cluster in eu-west-1, and --region says us-east-1: leave --region out");
        for text in ["arn:aws:kafka:x", "arn:aws:sqs:eu-west-1:1:cluster/a/b", "arn:"] {
            let no_arn = Wanted { cluster: some(text), ..wanted("") }.target();
            assert!(matches!(no_arn, Err(TargetError::Arn(_))), "{text}");
        }
    }

    #[test]
    fn without_a_name_it_is_the_projects_cluster_or_the_only_one() {
        let wanted = Wanted { of_project: some("kgen-demo"), ..Wanted::default() };
        let target = wanted.target().unwrap();
        assert_eq!((target.name(), target.is_foreign), (Some("kgen-demo"), false));
        let target = Wanted { cluster: some("orders"), ..wanted }.target().unwrap();
        assert_eq!((target.name(), target.is_foreign), (Some("orders"), true));
        let regions = Regions { default: "us-west-2".to_owned(), ..Regions::default() };
        let target = Wanted { regions, ..Wanted::default() }.target().unwrap();
        assert_eq!((target.name(), target.is_foreign), (None, true));
        let of = |names: &[&str]| target.only(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(of(&["a"]).unwrap(), "a");
        assert!(of(&[]).unwrap_err().to_string().starts_with("there is no cluster in us-west-2 (name another region"));
        let several = of(&["a", "b"]).unwrap_err().to_string();
        assert_eq!(several, "there are 2 clusters in us-west-2: a, b; choose one with --cluster");
    }

    #[test]
    fn a_cluster_that_is_missing_may_be_where_kgen_toml_says() {
        let regions = Regions {
            variables: vec![("AWS_REGION", "eu-west-1".to_owned())],
            kgen_toml: some("us-west-2"),
            ..Regions::default()
        };
        let target = Wanted { regions, of_project: some("orders"), ..Wanted::default() }.target().unwrap();
        let missing = AwsError::NoSuchCluster { name: "orders".into(), region: "eu-west-1".into(), known: Vec::new() };
        assert_eq!(
            target.failed(missing).to_string(),
            "no cluster orders in eu-west-1; there are none (AWS_REGION says where to look, kgen.toml says us-west-2: add \
             --region us-west-2 if the cluster is there)"
        );
    }
}
