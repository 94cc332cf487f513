//! The topics API: of provisioned clusters with Kafka 3.6 or later, while they are ACTIVE.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, Router, extract::State, routing::get};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer,
    extract::{Body, InPath, Parameters},
    list,
};
use crate::{
    kafka::admin::TopicSpec,
    lab::{
        cluster::{EmulatedCluster, Kind, Refusal},
        control::Lab,
        topics::{TopicCall, Topics},
    },
};

pub fn routes() -> Router<Arc<Lab>> {
    Router::new()
        .route("/v1/clusters/{arn}/topics", get(list_topics).post(create))
        .route("/v1/clusters/{arn}/topics/{topic}", get(describe).put(update).delete(delete))
        .route("/v1/clusters/{arn}/topics/{topic}/partitions", get(partitions))
}

async fn list_topics(State(lab): State<Arc<Lab>>, InPath(arn): InPath<String>, parameters: Parameters) -> Answer {
    check(&lab, &arn).map_err(without_not_found)?;
    let topics = lab.topics(&arn, TopicCall::Read(None)).await?;
    let filter = parameters.get("topicNameFilter").unwrap_or_default();
    let names = topics.names().into_iter().filter(|name| name.contains(filter));
    Ok(list("topics", parameters.page(names.map(|name| summary(&arn, &topics, name)))?))
}

async fn describe(State(lab): State<Arc<Lab>>, InPath((arn, topic)): InPath<(String, String)>) -> Answer {
    check(&lab, &arn)?;
    let topics = found(lab.topics(&arn, TopicCall::Read(Some(topic.clone()))).await?, &topic)?;
    let mut answer = summary(&arn, &topics, &topic);
    if let Value::Object(fields) = &mut answer {
        fields.remove("outOfSyncReplicaCount");
    }
    answer["status"] = "ACTIVE".into();
    answer["configs"] = encoded(&topics.configs).into();
    Ok(Json(answer))
}

async fn partitions(
    State(lab): State<Arc<Lab>>,
    InPath((arn, topic)): InPath<(String, String)>,
    parameters: Parameters,
) -> Answer {
    check(&lab, &arn)?;
    let topics = found(lab.topics(&arn, TopicCall::Read(None)).await?, &topic)?;
    let partitions = topics.of(&topic).map(|(number, placed)| {
        let mut partition = json!({ "partition": number, "replicas": placed.replicas, "isr": placed.in_sync });
        // Without a leader there is none to name.
        if let Some(leader) = placed.leader {
            partition["leader"] = leader.into();
        }
        partition
    });
    Ok(list("partitions", parameters.page(partitions)?))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewTopic {
    topic_name: String,
    partition_count: i32,
    replication_factor: i32,
    configs: Option<String>,
}

async fn create(State(lab): State<Arc<Lab>>, InPath(arn): InPath<String>, Body(new): Body<NewTopic>) -> Answer {
    check(&lab, &arn).map_err(without_not_found)?;
    let NewTopic { topic_name: name, partition_count: partitions, replication_factor, configs } = new;
    if !is_topic(&name) {
        return Err(Refusal::parameter("topicName", "a topic's name is 1 to 249 letters, digits, dots, _ and -"));
    }
    if partitions < 1 || replication_factor < 1 {
        return Err(Refusal::parameter("partitionCount", "a topic has at least one partition and one replica"));
    }
    if lab.topics(&arn, TopicCall::Read(None)).await?.has(&name) {
        return Err(Refusal::new(Kind::TopicExists, format!("Topic '{name}' already exists.")));
    }
    let spec = TopicSpec { name: name.clone(), partitions, replication_factor, configs: decoded(configs.as_deref())? };
    changed(&lab, &arn, &name, TopicCall::Create(spec), "CREATING").await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewSettings {
    configs: Option<String>,
    partition_count: Option<i32>,
}

async fn update(
    State(lab): State<Arc<Lab>>,
    InPath((arn, topic)): InPath<(String, String)>,
    Body(new): Body<NewSettings>,
) -> Answer {
    check(&lab, &arn)?;
    if new.partition_count.is_some() {
        return Err(Refusal::parameter("partitionCount", "the lab does not change the number of a topic's partitions"));
    }
    found(lab.topics(&arn, TopicCall::Read(None)).await?, &topic)?;
    let configs = decoded(new.configs.as_deref())?;
    if configs.is_empty() {
        return Err(Refusal::parameter("configs", "the request changes nothing"));
    }
    changed(&lab, &arn, &topic, TopicCall::Configure(topic.clone(), configs), "UPDATING").await
}

async fn delete(State(lab): State<Arc<Lab>>, InPath((arn, topic)): InPath<(String, String)>) -> Answer {
    check(&lab, &arn)?;
    found(lab.topics(&arn, TopicCall::Read(None)).await?, &topic)?;
    changed(&lab, &arn, &topic, TopicCall::Delete(topic.clone()), "DELETING").await
}

async fn changed(lab: &Lab, arn: &str, topic: &str, call: TopicCall, status: &str) -> Answer {
    lab.topics(arn, call).await.map_err(|refusal| Refusal { kind: Kind::KafkaRequest, ..refusal })?;
    Ok(Json(json!({ "topicArn": topic_arn(arn, topic), "topicName": topic, "status": status })))
}

/// # Errors
/// 404, and 400 for a cluster whose topics the API does not show (MSK Developer Guide, "Topic operations").
fn check(lab: &Lab, arn: &str) -> Result<(), Refusal> {
    let plane = lab.plane();
    let cluster: &EmulatedCluster = plane.cluster(arn)?;
    if cluster.serverless.is_some() {
        return Err(Refusal::bad("This operation is not supported for serverless clusters."));
    }
    let version = cluster.provisioned.current_broker_software_info.kafka_version;
    if !has_topics_api(version.as_str()) {
        return Err(Refusal::bad(format!("This operation needs Apache Kafka 3.6.0 or later, not {version}.")));
    }
    cluster.check_active("the topics API needs")
}

/// ListTopics and CreateTopic have no NotFoundException.
fn without_not_found(refusal: Refusal) -> Refusal {
    match refusal.kind {
        Kind::NotFound => Refusal { kind: Kind::BadRequest, ..refusal },
        _ => refusal,
    }
}

fn has_topics_api(version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(3), Some(6))
}

fn is_topic(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=249).contains(&name.len()) && name.bytes().all(plain) && ![".", ".."].contains(&name)
}

fn found(topics: Topics, topic: &str) -> Result<Topics, Refusal> {
    match topics.has(topic) {
        true => Ok(topics),
        false => Err(Refusal::not_found(format!("Topic '{topic}' does not exist."))),
    }
}

fn summary(arn: &str, topics: &Topics, topic: &str) -> Value {
    let replicas = topics.of(topic).map(|(_, placed)| placed.replicas.len()).max().unwrap_or(0);
    let missing = topics.of(topic).map(|(_, placed)| placed.replicas.len().saturating_sub(placed.in_sync.len()));
    json!({
        "topicArn": topic_arn(arn, topic),
        "topicName": topic,
        "partitionCount": topics.of(topic).count(),
        "replicationFactor": replicas,
        "outOfSyncReplicaCount": missing.sum::<usize>(),
    })
}

/// `arn:aws:kafka:REGION:ACCOUNT:topic/CLUSTER/UUID-N/TOPIC`.
fn topic_arn(cluster: &str, topic: &str) -> String {
    format!("{}/{topic}", cluster.replacen(":cluster/", ":topic/", 1))
}

/// Settings as MSK writes them: lines of `name=value`, in base64.
fn encoded(configs: &BTreeMap<String, String>) -> String {
    let lines: Vec<String> = configs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    BASE64_STANDARD.encode(lines.join("\n"))
}

fn decoded(configs: Option<&str>) -> Result<BTreeMap<String, String>, Refusal> {
    let refused = || Refusal::parameter("configs", "configs are lines of name=value, encoded in base64");
    let text = BASE64_STANDARD.decode(configs.unwrap_or_default()).map_err(|_| refused())?;
    let text = String::from_utf8(text).map_err(|_| refused())?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (name, value) = line.split_once('=').ok_or_else(refused)?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_is_there_from_kafka_3_6_on() {
        for (version, has) in
            [("2.8.1", false), ("3.5.1", false), ("3.6.0", true), ("3.9.x.kraft", true), ("4.0.x.kraft", true)]
        {
            assert_eq!(has_topics_api(version), has, "{version}");
        }
    }

    #[test]
    fn settings_are_lines_in_base64() {
        let configs = decoded(Some("Y29tcHJlc3Npb24udHlwZT1wcm9kdWNlcgpyZXRlbnRpb24ubXM9NjA0ODAwMDAw")).unwrap();
        assert_eq!(configs["retention.ms"], "604800000");
        assert_eq!(decoded(Some(&encoded(&configs))).unwrap(), configs);
        assert!(decoded(Some("%%")).is_err() && decoded(Some("YQ==")).is_err());
    }
}
