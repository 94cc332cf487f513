//! The calls that change a cluster; each returns its operation.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    routing::{patch, put},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    catalogue::{BrokerType, KafkaVersion, MonitoringLevel},
    lab::{
        cluster::{
            BrokerEbsVolumeInfo, ClientAuthentication, ConfigurationInfo, ConnectivityInfo, EncryptionInfo,
            LoggingInfo, OpenMonitoring, Refusal, Update,
        },
        control::Lab,
        topics::TopicCall,
    },
    sample::BrokerId,
};

use super::{
    Answer,
    extract::{Body, Caller, InPath, decide},
};

pub fn routes() -> Router<Arc<Lab>> {
    Router::new()
        .route("/v1/clusters/{arn}/nodes/type", put(update::<NewType>))
        .route("/v1/clusters/{arn}/nodes/count", put(count))
        .route("/v1/clusters/{arn}/nodes/storage", put(update::<NewStorage>))
        .route("/v1/clusters/{arn}/monitoring", put(update::<NewMonitoring>))
        .route("/v1/clusters/{arn}/configuration", put(update::<NewConfiguration>))
        .route("/v1/clusters/{arn}/version", put(update::<NewVersion>))
        .route("/v1/clusters/{arn}/security", patch(update::<NewSecurity>))
        .route("/v1/clusters/{arn}/connectivity", put(update::<NewConnectivity>))
        .route("/v1/clusters/{arn}/reboot-broker", put(reboot))
}

/// The body of an update: the version that it is for, and the change.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<T> {
    current_version: String,
    #[serde(flatten)]
    change: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewType {
    target_instance_type: BrokerType,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewCount {
    target_number_of_broker_nodes: u32,
}

#[derive(Deserialize)]
struct NewStorage {
    #[serde(rename = "targetBrokerEBSVolumeInfo")]
    volumes: Vec<BrokerEbsVolumeInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewMonitoring {
    enhanced_monitoring: Option<MonitoringLevel>,
    open_monitoring: Option<OpenMonitoring>,
    logging_info: Option<LoggingInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewConfiguration {
    configuration_info: ConfigurationInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewVersion {
    target_kafka_version: KafkaVersion,
    configuration_info: Option<ConfigurationInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewSecurity {
    client_authentication: Option<ClientAuthentication>,
    encryption_info: Option<EncryptionInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewConnectivity {
    connectivity_info: ConnectivityInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reboot {
    broker_ids: Vec<String>,
}

impl From<NewType> for Update {
    fn from(new: NewType) -> Update {
        Update::BrokerType(new.target_instance_type)
    }
}

impl From<NewStorage> for Update {
    fn from(new: NewStorage) -> Update {
        Update::Storage(new.volumes)
    }
}

impl From<NewMonitoring> for Update {
    fn from(new: NewMonitoring) -> Update {
        Update::Monitoring { enhanced: new.enhanced_monitoring, open: new.open_monitoring, logging: new.logging_info }
    }
}

impl From<NewConfiguration> for Update {
    fn from(new: NewConfiguration) -> Update {
        Update::Configuration(new.configuration_info)
    }
}

impl From<NewVersion> for Update {
    fn from(new: NewVersion) -> Update {
        Update::KafkaVersion { target: new.target_kafka_version, configuration: new.configuration_info }
    }
}

impl From<NewSecurity> for Update {
    fn from(new: NewSecurity) -> Update {
        Update::Security { authentication: new.client_authentication, encryption: new.encryption_info }
    }
}

impl From<NewConnectivity> for Update {
    fn from(new: NewConnectivity) -> Update {
        Update::Connectivity(new.connectivity_info)
    }
}

async fn update<T: Into<Update>>(
    State(lab): State<Arc<Lab>>,
    InPath(arn): InPath<String>,
    caller: Caller,
    Body(request): Body<Request<T>>,
) -> Answer {
    accept(lab, arn, caller, Some(request.current_version), request.change.into()).await
}

/// More brokers, or fewer: those that hold no partitions are removed.
async fn count(
    State(lab): State<Arc<Lab>>,
    InPath(arn): InPath<String>,
    caller: Caller,
    Body(request): Body<Request<NewCount>>,
) -> Answer {
    let count = request.change.target_number_of_broker_nodes;
    let fewer = {
        let plane = lab.plane();
        let cluster = plane.cluster(&arn)?;
        let repeated = || {
            cluster
                .operations
                .last()
                .map(|operation| &operation.update)
                .filter(|_| cluster.active_operation().is_some())
        };
        match repeated() {
            // The same request once more: the brokers were chosen before.
            Some(removal @ Update::RemoveBrokers(_)) => Some(removal.clone()),
            _ if cluster.serverless.is_none() && count < cluster.provisioned.number_of_broker_nodes => {
                plane.removable(&arn, count, &cluster.brokers.iter().map(|broker| broker.id).collect::<Vec<_>>())?;
                None
            }
            _ => Some(Update::BrokerCount(count)),
        }
    };
    let update = match fewer {
        Some(update) => update,
        None => {
            let topics = lab.topics(&arn, TopicCall::Read(None)).await?;
            // MSK's own topics move by themselves.
            let placed = topics.partitions.iter().filter(|((topic, _), _)| !topic.starts_with("__amazon_msk"));
            let holding: BTreeSet<BrokerId> = placed.flat_map(|(_, placed)| placed.replicas.iter().copied()).collect();
            let plane = lab.plane();
            let brokers = plane.cluster(&arn)?.brokers.iter().map(|broker| broker.id);
            let empty: Vec<BrokerId> = brokers.filter(|id| !holding.contains(id)).collect();
            Update::RemoveBrokers(plane.removable(&arn, count, &empty)?)
        }
    };
    accept(lab, arn, caller, Some(request.current_version), update).await
}

async fn reboot(
    State(lab): State<Arc<Lab>>,
    InPath(arn): InPath<String>,
    caller: Caller,
    Body(request): Body<Reboot>,
) -> Answer {
    let id = |text: &String| {
        text.parse().map_err(|_| Refusal::parameter("brokerIds", format!("{text:?} is not a broker id")))
    };
    let brokers = request.broker_ids.iter().map(id).collect::<Result<_, _>>()?;
    accept(lab, arn, caller, None, Update::Reboot(brokers)).await
}

async fn accept(
    lab: Arc<Lab>,
    arn: String,
    Caller(call): Caller,
    current_version: Option<String>,
    update: Update,
) -> Answer {
    let partitions = if update.depends_on_partitions() {
        // Whatever is refused without asking the brokers is refused before they are asked.
        let mut trial = lab.plane().as_ref().clone();
        trial.update(&arn, current_version.as_deref(), update.clone(), None, &call)?;
        lab.partitions(&arn).await?
    } else {
        None
    };
    decide(lab, move |plane| {
        let (accepted, action) = plane.update(&arn, current_version.as_deref(), update, partitions, &call)?;
        let answer = json!({ "clusterArn": accepted.cluster_arn, "clusterOperationArn": accepted.operation_arn });
        Ok((Json(answer), action))
    })
    .await
}
