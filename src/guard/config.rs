//! guard.toml: which clusters, how often, for how much, and who is told.

use std::{collections::BTreeMap, net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use anyhow::{Context as _, bail, ensure};
use jiff::SignedDuration;
use serde::{Deserialize, Deserializer};

use crate::{
    alert::{Policy, Silence, matches},
    aws::{ClusterInfo, Identity, region_in_arn},
    watch::fleet::{Accounts, RegionsAsked, Sweep},
};

/// The shortest interval: CloudWatch has no news in less.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// How long a round may watch a cluster from inside: the shortest time is a little more than a diagnosis needs.
const INSIDE: RangeInclusive<Duration> = Duration::from_secs(20)..=Duration::from_secs(120);

/// What is watched, and what happens with it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Time between the starts of two rounds; each differs from it by up to a tenth.
    #[serde(deserialize_with = "time")]
    pub interval: Duration,
    /// Longest time for one cluster or one region.
    #[serde(deserialize_with = "time")]
    pub deadline: Duration,
    /// How far back a round reads.
    #[serde(deserialize_with = "time")]
    pub window: Duration,
    /// What is younger is not judged; two datapoints where nothing is said.
    #[serde(deserialize_with = "some_time")]
    pub delay: Option<Duration>,
    /// How long nothing may be seen of a cluster or an account before that is an alert.
    #[serde(deserialize_with = "time")]
    pub cannot_see_after: Duration,
    /// Most that reading may cost, USD a day.
    pub max_usd_per_day: f64,
    /// Consumer groups and topics too.
    pub groups: bool,
    /// Where partitions are, by the topics API.
    pub topics: bool,
    /// Folder of the state; relative to the project.
    pub state: PathBuf,
    /// Where `/metrics` is served.
    pub metrics: Option<SocketAddr>,
    pub target: Vec<Target>,
    pub clusters: Filter,
    pub silence: Vec<Silence>,
    pub sink: Vec<SinkConfig>,
}

/// Accounts, and their regions.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Target {
    pub regions: Vec<String>,
    pub all_regions: bool,
    pub profiles: Vec<String>,
    pub roles: Vec<String>,
    pub external_id: Option<String>,
    /// How long clusters are watched from inside in each round whose brokers answer from here.
    #[serde(deserialize_with = "some_time")]
    pub inside: Option<Duration>,
}

/// Which clusters of them. What is empty excludes nothing.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// Names; `*` stands for any text.
    pub names: Vec<String>,
    /// Names that are left out, likewise.
    pub except: Vec<String>,
    /// ARNs, likewise.
    pub arns: Vec<String>,
    /// Tags, all of which a cluster must have, likewise.
    pub tags: BTreeMap<String, String>,
}

/// Who is told.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkConfig {
    pub kind: SinkKind,
    /// What it is called in messages and in the state; its kind where nothing is said.
    pub name: Option<String>,
    pub url: Option<String>,
    /// Variable that holds the URL.
    pub url_env: Option<String>,
    /// File that holds the URL.
    pub url_file: Option<PathBuf>,
    /// Variable that holds the secret which messages are signed with.
    pub secret_env: Option<String>,
    /// File that holds it.
    pub secret_file: Option<PathBuf>,
    /// Topic of a sink on SNS.
    pub topic_arn: Option<String>,
    /// Name or ARN of the bus of a sink on EventBridge; the account's own where nothing is said.
    pub bus: Option<String>,
    /// Region of a sink on EventBridge, where its bus is no ARN.
    pub region: Option<String>,
    /// Profile whose credentials a sink on AWS is called with; the environment's where nothing is said.
    pub profile: Option<String>,
    /// Role that is assumed for it.
    pub role: Option<String>,
    pub external_id: Option<String>,
}

/// What takes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SinkKind {
    /// JSON lines on standard output.
    Stdout,
    /// Prometheus Alertmanager, API version 2.
    Alertmanager,
    /// An incoming webhook of Slack, or of what takes the same (Mattermost, Rocket.Chat).
    Slack,
    /// Any receiver of JSON.
    Webhook,
    /// A topic of Amazon SNS.
    Sns,
    /// A bus of Amazon EventBridge.
    #[serde(rename = "eventbridge")]
    EventBridge,
}

impl SinkKind {
    /// Called through the API of AWS, not through a URL.
    fn is_on_aws(self) -> bool {
        matches!(self, SinkKind::Sns | SinkKind::EventBridge)
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            interval: Duration::from_secs(5 * 60),
            deadline: Duration::from_secs(60),
            window: Duration::from_secs(3 * 3600),
            delay: None,
            cannot_see_after: Duration::from_secs(15 * 60),
            max_usd_per_day: 5.0,
            groups: true,
            topics: false,
            state: PathBuf::from(".kgen/guard"),
            metrics: None,
            target: vec![Target::default()],
            clusters: Filter::default(),
            silence: Vec::new(),
            sink: Vec::new(),
        }
    }
}

impl Config {
    /// The configuration in `text`.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> anyhow::Result<Config> {
        let config: Config = toml::from_str(text)?;
        ensure!(config.interval >= SHORTEST_INTERVAL, "interval is shorter than {} s", SHORTEST_INTERVAL.as_secs());
        ensure!(
            config.max_usd_per_day.is_finite() && config.max_usd_per_day > 0.0,
            "max_usd_per_day is {}, and must be more than 0",
            config.max_usd_per_day
        );
        ensure!(!config.target.is_empty(), "target is empty: leave it out for the environment's own account");
        for target in &config.target {
            ensure!(
                target.inside.is_none_or(|inside| INSIDE.contains(&inside)),
                "inside is not between {} s, which a verdict needs, and {} s, which hold up the round",
                INSIDE.start().as_secs(),
                INSIDE.end().as_secs()
            );
            let both = target.all_regions && !target.regions.is_empty();
            ensure!(!both, "a target has regions and all_regions: one of them");
            let alone = target.external_id.is_some() && target.roles.is_empty();
            ensure!(!alone, "a target has an external_id and no roles that would ask for it");
        }
        for silence in &config.silence {
            ensure!(silence.is_specific(), "a silence names no cluster, cause or object: it would silence everything");
        }
        let mut names = BTreeMap::new();
        for sink in &config.sink {
            sink.check()?;
            ensure!(
                names.insert(sink.name(), ()).is_none(),
                "two sinks are called {}: give each a name of its own, as its undelivered messages are kept by it",
                sink.name()
            );
        }
        Ok(config)
    }

    /// The accounts and regions.
    pub fn accounts(&self) -> Vec<Accounts> {
        let of = |target: &Target| Accounts {
            profiles: target.profiles.clone(),
            roles: target.roles.clone(),
            external_id: target.external_id.clone(),
            regions: match (target.all_regions, &target.regions[..]) {
                (true, _) => RegionsAsked::All,
                (false, []) => RegionsAsked::Own,
                (false, named) => RegionsAsked::Named(named.to_vec()),
            },
            inside: target.inside,
        };
        self.target.iter().map(of).collect()
    }

    /// How a round reads the clusters.
    pub fn sweep(&self) -> Sweep {
        Sweep {
            window: Some(self.window),
            delay: self.delay,
            parts: self.groups,
            topics: self.topics,
            savings: false,
            deadline: self.deadline,
        }
    }

    /// How alerts begin and end.
    pub fn policy(&self) -> Policy {
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Policy {
            cannot_see_after_ms: ms(self.cannot_see_after),
            longest_step_ms: ms(self.interval.saturating_mul(3)),
            silences: self.silence.clone(),
        }
    }
}

impl Filter {
    /// Whether `cluster` is one of those that are watched.
    pub fn takes(&self, cluster: &ClusterInfo) -> bool {
        let any = |patterns: &[String], text: &str| patterns.iter().any(|pattern| matches(pattern, text));
        let has =
            |(key, pattern): (&String, &String)| cluster.tags.get(key).is_some_and(|value| matches(pattern, value));
        (self.names.is_empty() || any(&self.names, &cluster.name))
            && !any(&self.except, &cluster.name)
            && (self.arns.is_empty() || any(&self.arns, &cluster.arn))
            && self.tags.iter().all(has)
    }
}

impl SinkConfig {
    /// A sink of this kind, and nothing else said.
    pub fn of(kind: SinkKind) -> SinkConfig {
        SinkConfig {
            kind,
            name: None,
            url: None,
            url_env: None,
            url_file: None,
            secret_env: None,
            secret_file: None,
            topic_arn: None,
            bus: None,
            region: None,
            profile: None,
            role: None,
            external_id: None,
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(match self.kind {
            SinkKind::Stdout => "stdout",
            SinkKind::Alertmanager => "alertmanager",
            SinkKind::Slack => "slack",
            SinkKind::Webhook => "webhook",
            SinkKind::Sns => "sns",
            SinkKind::EventBridge => "eventbridge",
        })
    }

    fn check(&self) -> anyhow::Result<()> {
        let name = self.name();
        let urls = [self.url.is_some(), self.url_env.is_some(), self.url_file.is_some()];
        let secrets = [self.secret_env.is_some(), self.secret_file.is_some()];
        let count = |given: &[bool]| given.iter().filter(|is_given| **is_given).count();
        match (self.kind, count(&urls)) {
            (SinkKind::Stdout, 0) => {}
            (SinkKind::Stdout, _) => bail!("sink {name} writes to standard output and takes no URL"),
            (kind, given) if kind.is_on_aws() => {
                ensure!(given == 0, "sink {name} is called through the API of AWS and takes no URL");
            }
            (_, 1) => {}
            _ => bail!("sink {name} needs one of url, url_env and url_file"),
        }
        self.check_aws()?;
        match (self.kind, count(&secrets)) {
            (_, 0) | (SinkKind::Webhook, 1) => Ok(()),
            (SinkKind::Webhook, _) => bail!("sink {name} has secret_env and secret_file: one of them"),
            _ => bail!("sink {name} has a secret, and only webhooks are signed"),
        }
    }

    /// What concerns sinks on AWS.
    fn check_aws(&self) -> anyhow::Result<()> {
        let (name, is_sns) = (self.name(), self.kind == SinkKind::Sns);
        ensure!(is_sns || self.topic_arn.is_none(), "sink {name} has a topic_arn, and is not of kind sns");
        let has_bus = self.bus.is_some() || self.region.is_some();
        ensure!(
            !has_bus || self.kind == SinkKind::EventBridge,
            "sink {name} has a bus or a region, and is not of kind eventbridge"
        );
        let has_identity = self.profile.is_some() || self.role.is_some() || self.external_id.is_some();
        ensure!(!has_identity || self.kind.is_on_aws(), "sink {name} has credentials of AWS, and is not on AWS");
        ensure!(self.profile.is_none() || self.role.is_none(), "sink {name} has a profile and a role: one of them");
        let alone = self.external_id.is_some() && self.role.is_none();
        ensure!(!alone, "sink {name} has an external_id and no role that would ask for it");
        if is_sns {
            let topic = self.topic_arn.as_deref().unwrap_or_default();
            let is_topic =
                topic.starts_with("arn:") && topic.split(':').nth(2) == Some("sns") && region_in_arn(topic).is_some();
            ensure!(is_topic, "sink {name} needs the ARN of an SNS topic in topic_arn");
        }
        Ok(())
    }

    /// The bus of a sink on EventBridge.
    pub fn bus(&self) -> &str {
        self.bus.as_deref().unwrap_or("default")
    }

    /// The region of a sink on AWS: that of its ARN, or the one that is named, or `own`.
    pub fn region(&self, own: &str) -> String {
        let of_arn = self.topic_arn.as_deref().or(self.bus.as_deref()).and_then(region_in_arn);
        of_arn.or(self.region.as_deref()).unwrap_or(own).to_owned()
    }

    /// Whose credentials a sink on AWS is called with.
    pub fn identity(&self) -> Identity {
        match (&self.profile, &self.role) {
            (_, Some(arn)) => Identity::Role { arn: arn.clone(), external_id: self.external_id.clone() },
            (Some(profile), None) => Identity::Profile(profile.clone()),
            (None, None) => Identity::Environment,
        }
    }

    /// The URL, from where it is kept. Never part of an error: a Slack webhook's URL is a secret.
    ///
    /// # Errors
    /// It is not there, or is no URL.
    pub fn url(&self, variable: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<String> {
        let name = self.name();
        let found = given(variable, self.url.as_ref(), self.url_env.as_ref(), self.url_file.as_ref())
            .with_context(|| format!("the URL of sink {name}"))?;
        let url = found.unwrap_or_default();
        let is_http = url.starts_with("http://") || url.starts_with("https://");
        ensure!(is_http, "the URL of sink {name} begins with neither https:// nor http://");
        Ok(url)
    }

    /// The secret that messages are signed with, if there is one.
    ///
    /// # Errors
    /// It is not where it should be.
    pub fn secret(&self, variable: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Option<String>> {
        given(variable, None, self.secret_env.as_ref(), self.secret_file.as_ref())
            .with_context(|| format!("the secret of sink {}", self.name()))
    }
}

/// A value that is written out, or in a variable, or in a file.
fn given(
    variable: &dyn Fn(&str) -> Option<String>,
    value: Option<&String>,
    name: Option<&String>,
    file: Option<&PathBuf>,
) -> anyhow::Result<Option<String>> {
    if let Some(name) = name {
        let value = variable(name).filter(|value| !value.trim().is_empty());
        let value = value.with_context(|| format!("the variable {name} is not set"))?;
        return Ok(Some(value.trim().to_owned()));
    }
    if let Some(file) = file {
        let text = crate::files::text(file)?.filter(|text| !text.trim().is_empty());
        let text = text.with_context(|| format!("{} is missing or empty", file.display()))?;
        return Ok(Some(text.trim().to_owned()));
    }
    Ok(value.cloned())
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let time = SignedDuration::deserialize(deserializer)?;
    let expected = || serde::de::Error::custom("expected a time longer than zero, such as \"5m\"");
    Duration::try_from(time).ok().filter(|time| !time.is_zero()).ok_or_else(expected)
}

fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    time(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_configuration_is_read() {
        let text = include_str!("../../docs/guard.md");
        let block = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let config = Config::parse(block).unwrap();
        assert_eq!(config.interval, Duration::from_secs(300));
        assert!(config.sink.len() >= 3 && !config.silence.is_empty() && config.metrics.is_some(), "{config:?}");
    }

    #[test]
    fn nothing_is_a_configuration() {
        assert_eq!(Config::parse("").unwrap(), Config::default());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("intervall = \"5m\"", "unknown field `intervall`"),
            ("interval = \"soon\"", "interval"),
            ("interval = \"10ms\"", "interval is shorter than 1 s"),
            ("[[target]]\ninside = \"1h\"", "inside is not between 20 s"),
            ("[[target]]\ninside = \"10s\"", "inside is not between 20 s"),
            ("max_usd_per_day = 0", "must be more than 0"),
            ("[[target]]\nall_regions = true\nregions = [\"us-west-2\"]", "one of them"),
            ("[[target]]\nexternal_id = \"x\"", "no roles"),
            ("[[silence]]\nreason = \"quiet\"", "it would silence everything"),
            ("[[sink]]\nkind = \"slack\"", "needs one of url, url_env and url_file"),
            ("[[sink]]\nkind = \"slack\"\nurl = \"https://a\"\nurl_env = \"B\"", "needs one of"),
            ("[[sink]]\nkind = \"slack\"\nurl_env = \"B\"\nsecret_env = \"C\"", "only webhooks are signed"),
            ("[[sink]]\nkind = \"stdout\"\n[[sink]]\nkind = \"stdout\"", "two sinks are called stdout"),
            ("[[sink]]\nkind = \"pager\"", "unknown variant `pager`"),
            ("[[sink]]\nkind = \"sns\"", "needs the ARN of an SNS topic"),
            ("[[sink]]\nkind = \"sns\"\ntopic_arn = \"arn:aws:sqs:us-west-2:1:q\"", "needs the ARN of an SNS topic"),
            ("[[sink]]\nkind = \"eventbridge\"\nurl = \"https://a\"", "takes no URL"),
            ("[[sink]]\nkind = \"eventbridge\"\nprofile = \"a\"\nrole = \"b\"", "one of them"),
            ("[[sink]]\nkind = \"slack\"\nurl = \"https://a\"\nprofile = \"a\"", "is not on AWS"),
        ] {
            let error = format!("{:#}", Config::parse(text).unwrap_err());
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_sink_on_aws_is_in_the_region_of_its_arn_or_in_the_one_that_is_named() {
        for (keys, expected) in [
            ("kind = \"sns\"\ntopic_arn = \"arn:aws:sns:eu-west-1:123456789012:alerts\"", "eu-west-1"),
            ("kind = \"eventbridge\"\nbus = \"arn:aws:events:eu-north-1:123456789012:event-bus/a\"", "eu-north-1"),
            ("kind = \"eventbridge\"\nregion = \"us-east-1\"", "us-east-1"),
            ("kind = \"eventbridge\"", "us-west-2"),
        ] {
            let sink = Config::parse(&format!("[[sink]]\n{keys}")).unwrap().sink.remove(0);
            assert_eq!(sink.region("us-west-2"), expected, "{keys}");
        }
    }

    #[test]
    fn a_url_is_taken_from_where_it_is_kept_and_never_shown() {
        let sink = |text: &str| Config::parse(&format!("[[sink]]\nkind = \"slack\"\n{text}")).unwrap().sink.remove(0);
        let set = |name: &str| (name == "HOOK").then(|| " https://hooks.example/secret\n".to_owned());
        assert_eq!(sink("url_env = \"HOOK\"").url(&set).unwrap(), "https://hooks.example/secret");
        let missing = format!("{:#}", sink("url_env = \"OTHER\"").url(&set).unwrap_err());
        assert_eq!(missing, "the URL of sink slack: the variable OTHER is not set");
        let wrong = format!("{:#}", sink("url = \"hooks.example/secret\"").url(&set).unwrap_err());
        assert!(wrong.contains("neither https:// nor http://") && !wrong.contains("secret"), "{wrong}");
    }
}
