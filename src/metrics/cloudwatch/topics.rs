//! Replicas, leaders and settings of topics, read by the topics API of MSK about once a minute.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time};

use crate::{
    aws::{Aws, AwsError, ClusterInfo, Topic},
    sample::{Field, PartitionSample, TopicSample, Unavailable},
};

/// Topics that are listed, and of those the ones whose partitions are read with every look.
const MOST_LISTED: usize = 5000;
const MOST_READ: usize = 200;

/// Calls that are under way at the same time: MSK's own limits of the topics API are not published.
const AT_ONCE: usize = 8;

/// How long a look may take.
const WITHIN: Duration = Duration::from_secs(30);

/// Settings of a topic are read again after so long.
const SETTINGS_FOR: Duration = Duration::from_secs(600);

/// The topics at one moment.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// ms since the epoch.
    pub at_ms: i64,
    pub topics: BTreeMap<String, TopicSample>,
}

/// What a look gave, and what it could not give.
#[derive(Debug, Default)]
pub struct Looked {
    pub look: Option<Look>,
    pub unavailable: Vec<Unavailable>,
    /// Trouble that may pass.
    pub note: Option<String>,
}

/// What of a topic's settings matters.
#[derive(Debug, Clone)]
struct Settings {
    read: Instant,
    min_insync_replicas: Option<u32>,
    replication_throttled: bool,
}

/// Reads the topics of one cluster.
#[derive(Debug, Default)]
pub struct Topics {
    settings: BTreeMap<String, Settings>,
    /// `min.insync.replicas` of the cluster's configuration; `Some(None)` where it sets none.
    default_min_isr: Option<Option<u32>>,
    /// Why settings are not read: asked once.
    no_settings: Option<Unavailable>,
}

impl Topics {
    /// Looks once.
    pub async fn look(&mut self, aws: &Aws, cluster: &ClusterInfo, now_ms: i64) -> Looked {
        if let Err(error) = cluster.offers_topics() {
            let enable = error.enable().map(str::to_owned);
            return lacking(&[Field::Topics, Field::TopicConfigs], &error.to_string(), enable);
        }
        match time::timeout(WITHIN, self.read(aws, cluster, now_ms)).await {
            Ok(Ok(looked)) => looked,
            Ok(Err(error)) => refused(&[Field::Topics, Field::TopicConfigs], &error),
            Err(_) => {
                let reason = format!("the topics were not read within {} s", WITHIN.as_secs());
                Looked { note: Some(reason), ..Looked::default() }
            }
        }
    }

    async fn read(&mut self, aws: &Aws, cluster: &ClusterInfo, now_ms: i64) -> Result<Looked, AwsError> {
        let mut listed = aws.topics(&cluster.arn, MOST_LISTED).await?;
        // As the Kafka protocol's view: without Kafka's own topics.
        listed.retain(|topic| !topic.name.starts_with("__"));
        let all = listed.len();
        // Those with replicas out of sync are never left out, then the largest.
        listed.sort_by_key(|topic| std::cmp::Reverse((topic.out_of_sync, topic.partitions)));
        listed.truncate(MOST_READ);
        let mut looked = Looked::default();
        let (partitions, errors) = partitions(aws, &cluster.arn, &listed).await?;
        self.read_settings(aws, cluster, &listed).await;
        let topics = partitions.into_iter().map(|(name, partitions)| {
            let settings = self.settings.get(&name);
            let default = self.default_min_isr.flatten();
            let sample = TopicSample {
                partitions,
                min_insync_replicas: settings.and_then(|settings| settings.min_insync_replicas).or(default),
                replication_throttled: settings.is_some_and(|settings| settings.replication_throttled),
            };
            (name, sample)
        });
        looked.look = Some(Look { at_ms: now_ms, topics: topics.collect() });
        looked.unavailable.extend(self.no_settings.clone());
        if all > MOST_READ {
            looked.note = Some(format!(
                "{MOST_READ} of {all} topics were read: those with replicas out of sync, then the largest"
            ));
        }
        if let Some(error) = errors.first() {
            looked.note = Some(format!("{} of {} topics were not read: {error}", errors.len(), listed.len()));
        }
        Ok(looked)
    }

    /// Reads the settings that are not known or old. A refusal is kept, and not asked for again.
    async fn read_settings(&mut self, aws: &Aws, cluster: &ClusterInfo, topics: &[Topic]) {
        if self.no_settings.is_some() {
            return;
        }
        if self.default_min_isr.is_none() {
            self.default_min_isr = Some(default_min_isr(aws, cluster).await);
        }
        let is_old = |name: &str| self.settings.get(name).is_none_or(|of| of.read.elapsed() >= SETTINGS_FOR);
        let wanted: Vec<String> =
            topics.iter().filter(|topic| is_old(&topic.name)).map(|topic| topic.name.clone()).collect();
        let arn = cluster.arn.clone();
        let read = at_once(wanted, |name| {
            let (aws, arn) = (aws.clone(), arn.clone());
            async move { aws.topic_config(&arn, &name).await.map(|config| (name, config)) }
        });
        for answer in read.await {
            match answer {
                Ok((name, config)) => {
                    self.settings.insert(name, Settings::of(&config));
                }
                Err(error) if error.is_denied() => {
                    self.no_settings = refused(&[Field::TopicConfigs], &error).unavailable.pop();
                }
                // Another look follows.
                Err(_) => {}
            }
        }
    }
}

impl Settings {
    fn of(config: &BTreeMap<String, String>) -> Settings {
        let throttles = ["leader.replication.throttled.replicas", "follower.replication.throttled.replicas"];
        let is_set = |name: &&str| config.get(*name).is_some_and(|value| !value.is_empty());
        Settings {
            read: Instant::now(),
            min_insync_replicas: config.get("min.insync.replicas").and_then(|count| count.parse().ok()),
            replication_throttled: throttles.iter().any(is_set),
        }
    }
}

/// What the cluster's own configuration sets for topics that set none.
async fn default_min_isr(aws: &Aws, cluster: &ClusterInfo) -> Option<u32> {
    let (arn, revision) = cluster.configuration.as_ref()?;
    aws.configuration(arn, *revision).await.ok()?.get("min.insync.replicas")?.parse().ok()
}

/// The partitions of each topic, and what went wrong with the others.
///
/// # Errors
/// It is not allowed, or no topic could be read.
async fn partitions(
    aws: &Aws,
    arn: &str,
    topics: &[Topic],
) -> Result<(Vec<(String, Vec<PartitionSample>)>, Vec<AwsError>), AwsError> {
    let names = topics.iter().map(|topic| topic.name.clone()).collect();
    let read = at_once(names, |name| {
        let (aws, arn) = (aws.clone(), arn.to_owned());
        async move { aws.topic_partitions(&arn, &name).await.map(|partitions| (name, partitions)) }
    });
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for answer in read.await {
        match answer {
            Ok(topic) => found.push(topic),
            Err(error) => errors.push(error),
        }
    }
    match errors.first() {
        Some(error) if found.is_empty() || error.is_denied() => Err(error.clone()),
        _ => Ok((found, errors)),
    }
}

/// Makes the calls, a few at a time. After a refusal no more are made.
async fn at_once<T, F>(names: Vec<String>, call: impl Fn(String) -> F) -> Vec<Result<T, AwsError>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, AwsError>> + Send + 'static,
{
    let (mut names, mut under_way, mut answers) = (names.into_iter(), JoinSet::new(), Vec::new());
    for name in names.by_ref().take(AT_ONCE) {
        under_way.spawn(call(name));
    }
    while let Some(answer) = under_way.join_next().await {
        let Ok(answer) = answer else { continue };
        let is_denied = answer.as_ref().is_err_and(AwsError::is_denied);
        answers.push(answer);
        if is_denied {
            break;
        }
        if let Some(name) = names.next() {
            under_way.spawn(call(name));
        }
    }
    answers
}

fn lacking(fields: &[Field], reason: &str, enable: Option<String>) -> Looked {
    let of = |field: &Field| Unavailable { field: *field, reason: reason.to_owned(), enable: enable.clone() };
    Looked { unavailable: fields.iter().map(of).collect(), ..Looked::default() }
}

/// What cannot be read because of `error`.
fn refused(fields: &[Field], error: &AwsError) -> Looked {
    match error {
        AwsError::Denied { action, allow, .. } => {
            lacking(fields, &format!("{action} is not allowed"), Some(allow.clone()))
        }
        error if error.is_transient() => Looked { note: Some(error.to_string()), ..Looked::default() },
        error => lacking(fields, &error.to_string(), None),
    }
}
