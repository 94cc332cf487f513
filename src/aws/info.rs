//! A cluster of any kind, from ListClustersV2 and DescribeClusterV2.

use std::{collections::BTreeMap, fmt, ops::Deref};

use aws_sdk_kafka::types::{self, EnhancedMonitoring};

use super::{Aws, AwsError, MskCluster, Paging, action::Action};
use crate::catalogue::{BrokerType, ClusterKind, MonitoringLevel};

/// A cluster, provisioned or serverless. What MSK does not say of it is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterInfo {
    pub arn: String,
    pub name: String,
    pub kind: ClusterKind,
    pub state: ClusterState,
    /// Why the cluster is in this state, in the words of MSK.
    pub state_reason: Option<String>,
    /// What an update must name; empty while a cluster is created.
    pub current_version: String,
    /// When it was created, ms since the epoch.
    pub created_at_ms: Option<i64>,
    pub tags: BTreeMap<String, String>,
    /// ARN of the operation that runs now.
    pub active_operation: Option<String>,
    /// `None` for a serverless cluster, as all that follows.
    pub broker_type: Option<TypeName>,
    /// 0 for a serverless cluster.
    pub broker_count: u32,
    pub kafka_version: Option<String>,
    pub metadata: Option<MetadataMode>,
    pub monitoring_level: Option<MonitoringLevel>,
    /// Storage of one broker, GiB; Express brokers have none of their own.
    pub volume_gib: Option<u32>,
    pub open_monitoring: OpenMonitoring,
    /// How clients may identify themselves.
    pub authentication: Vec<Authentication>,
    /// Subnets of the brokers, one a zone.
    pub subnets: Vec<String>,
    /// The custom configuration: its ARN and revision.
    pub configuration: Option<(String, i64)>,
}

/// MSK's states of a cluster (MSK Developer Guide, "Understand MSK Provisioned cluster states").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterState {
    Active,
    Creating,
    Deleting,
    Failed,
    Healing,
    Maintenance,
    RebootingBroker,
    Updating,
    /// One that is not in that list.
    Other(String),
}

/// A broker type by its full name, such as `kafka.m5.large`, whether the catalogue knows it or not.
///
/// MSK's own answers name types with and without `kafka.` in front; here it is always there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeName {
    Known(BrokerType),
    Other(String),
}

/// What keeps the cluster's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataMode {
    ZooKeeper,
    Kraft,
}

/// Which exporters of open monitoring run in the brokers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenMonitoring {
    pub jmx_exporter: bool,
    pub node_exporter: bool,
}

/// How a client identifies itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Authentication {
    Iam,
    Scram,
    Tls,
    Unauthenticated,
}

impl ClusterInfo {
    /// The cluster as a change needs it.
    ///
    /// # Errors
    /// [`AwsError::Serverless`]: it has no brokers; [`AwsError::Incomplete`].
    pub fn provisioned(self) -> Result<MskCluster, AwsError> {
        let lacks = |what| AwsError::Incomplete { action: Action::DescribeClusterV2.name(), what };
        if self.kind == ClusterKind::Serverless {
            return Err(AwsError::Serverless { name: self.name });
        }
        Ok(MskCluster {
            arn: self.arn,
            name: self.name,
            state: self.state.as_str().to_owned(),
            current_version: self.current_version,
            broker_type: self.broker_type.ok_or(lacks("instanceType"))?.to_string(),
            broker_count: self.broker_count,
            kafka_version: self.kafka_version.ok_or(lacks("kafkaVersion"))?,
            volume_gib: self.volume_gib,
            active_operation: self.active_operation,
        })
    }
}

impl ClusterState {
    /// As MSK spells it, such as `ACTIVE`.
    pub fn as_str(&self) -> &str {
        match self {
            ClusterState::Active => "ACTIVE",
            ClusterState::Creating => "CREATING",
            ClusterState::Deleting => "DELETING",
            ClusterState::Failed => "FAILED",
            ClusterState::Healing => "HEALING",
            ClusterState::Maintenance => "MAINTENANCE",
            ClusterState::RebootingBroker => "REBOOTING_BROKER",
            ClusterState::Updating => "UPDATING",
            ClusterState::Other(text) => text,
        }
    }
}

impl From<&str> for ClusterState {
    fn from(text: &str) -> ClusterState {
        use ClusterState::{Active, Creating, Deleting, Failed, Healing, Maintenance, RebootingBroker, Updating};
        let known = [Active, Creating, Deleting, Failed, Healing, Maintenance, RebootingBroker, Updating];
        known.into_iter().find(|state| state.as_str() == text).unwrap_or_else(|| ClusterState::Other(text.to_owned()))
    }
}

impl fmt::Display for ClusterState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl TypeName {
    /// The type, if the catalogue knows it.
    pub fn known(&self) -> Option<BrokerType> {
        match self {
            TypeName::Known(known) => Some(*known),
            TypeName::Other(_) => None,
        }
    }

    /// Whether its brokers are Express brokers.
    pub fn is_express(&self) -> bool {
        self.starts_with("express.")
    }

    /// Whether its brokers earn CPU credits; `true` also for a T3 type that the catalogue does not know.
    pub fn is_burstable(&self) -> bool {
        self.starts_with("kafka.t")
    }
}

impl From<&str> for TypeName {
    fn from(text: &str) -> TypeName {
        let text = text.trim();
        let full = match text.starts_with("kafka.") || text.starts_with("express.") {
            true => text.to_owned(),
            false => format!("kafka.{text}"),
        };
        full.parse().map_or(TypeName::Other(full), TypeName::Known)
    }
}

impl Deref for TypeName {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            TypeName::Known(known) => known.as_str(),
            TypeName::Other(text) => text,
        }
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl MetadataMode {
    /// By the version, and by the ZooKeeper addresses that MSK lists for no other cluster.
    fn of(kafka_version: &str, zookeeper: Option<&str>) -> Option<MetadataMode> {
        let major: Option<u32> = kafka_version.split('.').next().and_then(|major| major.parse().ok());
        if kafka_version.ends_with("kraft") || major.is_some_and(|major| major >= 4) {
            return Some(MetadataMode::Kraft);
        }
        zookeeper.filter(|addresses| !addresses.is_empty()).map(|_| MetadataMode::ZooKeeper)
    }
}

impl OpenMonitoring {
    /// Whether any broker has something for Prometheus to read.
    pub fn is_on(&self) -> bool {
        self.jmx_exporter || self.node_exporter
    }

    fn of(info: Option<types::OpenMonitoringInfo>) -> OpenMonitoring {
        let Some(prometheus) = info.and_then(|info| info.prometheus) else { return OpenMonitoring::default() };
        OpenMonitoring {
            jmx_exporter: prometheus.jmx_exporter.is_some_and(|jmx| jmx.enabled_in_broker == Some(true)),
            node_exporter: prometheus.node_exporter.is_some_and(|node| node.enabled_in_broker == Some(true)),
        }
    }
}

impl Authentication {
    fn of(info: Option<types::ClientAuthentication>) -> Vec<Authentication> {
        let Some(info) = info else { return Vec::new() };
        let (iam, scram) = info.sasl.map_or((None, None), |sasl| (sasl.iam, sasl.scram));
        let all = [
            (Authentication::Iam, iam.and_then(|iam| iam.enabled)),
            (Authentication::Scram, scram.and_then(|scram| scram.enabled)),
            (Authentication::Tls, info.tls.and_then(|tls| tls.enabled)),
            (Authentication::Unauthenticated, info.unauthenticated.and_then(|none| none.enabled)),
        ];
        all.into_iter().filter(|(_, enabled)| *enabled == Some(true)).map(|(kind, _)| kind).collect()
    }
}

/// The region that `cluster` names, if it is the ARN of a cluster: `arn:aws:kafka:REGION:ACCOUNT:cluster/NAME/UUID`.
pub fn region_of_arn(cluster: &str) -> Option<&str> {
    arn_parts(cluster).map(|(region, _)| region)
}

/// The region in the ARN of anything, its fourth part; nothing in what is no ARN.
pub fn region_in_arn(arn: &str) -> Option<&str> {
    let mut parts = arn.split(':');
    (parts.next() == Some("arn")).then(|| parts.nth(2)).flatten().filter(|region| !region.is_empty())
}

/// The name of a cluster that is given by name or by ARN.
pub fn cluster_name(cluster: &str) -> &str {
    arn_parts(cluster).map_or(cluster, |(_, name)| name)
}

/// Region and name.
fn arn_parts(arn: &str) -> Option<(&str, &str)> {
    let mut parts = arn.splitn(6, ':');
    let ("arn", _partition, "kafka") = (parts.next()?, parts.next()?, parts.next()?) else { return None };
    let (region, _account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let name = resource.strip_prefix("cluster/")?.split('/').next()?;
    (!region.is_empty() && !name.is_empty()).then_some((region, name))
}

impl Aws {
    /// Every cluster of the region, by name, as ListClustersV2 has it.
    ///
    /// # Errors
    /// Why the API gave no answer. A cluster that the answer describes in part is left out.
    pub async fn clusters(&self) -> Result<Vec<ClusterInfo>, AwsError> {
        let mut listed = self.kafka()?.list_clusters_v2().max_results(100).into_paginator().send();
        let (mut clusters, mut paging) = (Vec::new(), Paging::of(Action::ListClustersV2));
        while let Some(page) = paging.bounded(listed.next()).await? {
            let page = page.map_err(|error| self.failed(Action::ListClustersV2, error))?;
            let found = page.cluster_info_list.unwrap_or_default().into_iter();
            clusters.extend(found.filter_map(|cluster| ClusterInfo::try_from(cluster).ok()));
        }
        clusters.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(clusters)
    }

    /// The cluster with this name or ARN, of any kind, described again.
    ///
    /// # Errors
    /// [`AwsError::NoSuchCluster`] with the names that there are, [`AwsError::OtherRegion`] for the ARN of a cluster that is
    /// elsewhere; else why the API gave no answer.
    pub async fn find(&self, name_or_arn: &str) -> Result<ClusterInfo, AwsError> {
        if let Some(region) = region_of_arn(name_or_arn) {
            if region != self.region() {
                let (arn, region) = (name_or_arn.to_owned(), region.to_owned());
                return Err(AwsError::OtherRegion { arn, region, asked: self.region().to_owned() });
            }
            match self.info(name_or_arn).await {
                Err(AwsError::Api { code, .. }) if code == "NotFoundException" => {}
                answer => return answer,
            }
        }
        let mut listed = self.kafka()?.list_clusters_v2().max_results(100).into_paginator().send();
        let (mut known, mut paging) = (Vec::new(), Paging::of(Action::ListClustersV2));
        while let Some(page) = paging.bounded(listed.next()).await? {
            let page = page.map_err(|error| self.failed(Action::ListClustersV2, error))?;
            for cluster in page.cluster_info_list.unwrap_or_default() {
                match (cluster.cluster_name, cluster.cluster_arn) {
                    (Some(found), Some(arn)) if found == name_or_arn => return self.info(&arn).await,
                    (found, _) => known.extend(found),
                }
            }
        }
        let name = cluster_name(name_or_arn).to_owned();
        Err(AwsError::NoSuchCluster { name, region: self.region().to_owned(), known })
    }

    /// The cluster `arn`, of any kind, as it is now.
    ///
    /// # Errors
    /// Why the API gave no usable answer.
    pub async fn info(&self, arn: &str) -> Result<ClusterInfo, AwsError> {
        const ACTION: Action = Action::DescribeClusterV2;
        let answer = self.kafka()?.describe_cluster_v2().cluster_arn(arn).send().await;
        let info = answer.map_err(|error| self.failed(ACTION, error))?.cluster_info;
        ClusterInfo::try_from(info.ok_or(AwsError::Incomplete { action: ACTION.name(), what: "clusterInfo" })?)
    }
}

impl TryFrom<types::Cluster> for ClusterInfo {
    type Error = AwsError;

    fn try_from(cluster: types::Cluster) -> Result<ClusterInfo, AwsError> {
        let lacks = |what| AwsError::Incomplete { action: Action::DescribeClusterV2.name(), what };
        let name = cluster.cluster_name.ok_or(lacks("clusterName"))?;
        let state = cluster.state.ok_or(lacks("state"))?;
        let mut info = ClusterInfo {
            arn: cluster.cluster_arn.ok_or(lacks("clusterArn"))?,
            name,
            kind: ClusterKind::Serverless,
            state: ClusterState::from(state.as_str()),
            state_reason: cluster.state_info.and_then(|info| info.message).filter(|message| !message.is_empty()),
            current_version: cluster.current_version.unwrap_or_default(),
            created_at_ms: cluster.creation_time.and_then(|at| at.to_millis().ok()),
            tags: cluster.tags.unwrap_or_default().into_iter().collect(),
            active_operation: cluster.active_operation_arn.filter(|arn| !arn.is_empty()),
            broker_type: None,
            broker_count: 0,
            kafka_version: None,
            metadata: None,
            monitoring_level: None,
            volume_gib: None,
            open_monitoring: OpenMonitoring::default(),
            authentication: Vec::new(),
            subnets: Vec::new(),
            configuration: None,
        };
        if let Some(provisioned) = cluster.provisioned {
            info.add(provisioned)?;
        } else if let Some(serverless) = cluster.serverless {
            let iam = serverless.client_authentication.and_then(|of| of.sasl).and_then(|sasl| sasl.iam);
            info.authentication.extend(iam.filter(|iam| iam.enabled == Some(true)).map(|_| Authentication::Iam));
            let vpcs = serverless.vpc_configs.unwrap_or_default().into_iter();
            info.subnets = vpcs.flat_map(|vpc| vpc.subnet_ids.unwrap_or_default()).collect();
        } else {
            return Err(lacks("provisioned"));
        }
        Ok(info)
    }
}

impl ClusterInfo {
    /// Adds what only a provisioned cluster has.
    fn add(&mut self, provisioned: types::Provisioned) -> Result<(), AwsError> {
        let action = Action::DescribeClusterV2.name();
        let brokers = provisioned.broker_node_group_info;
        let brokers = brokers.ok_or(AwsError::Incomplete { action, what: "brokerNodeGroupInfo" })?;
        let count = i64::from(provisioned.number_of_broker_nodes.unwrap_or_default());
        if count > super::cluster::MOST_BROKERS {
            return Err(AwsError::TooManyBrokers { action, name: self.name.clone(), count });
        }
        let broker_type = brokers.instance_type.as_deref().filter(|text| !text.is_empty()).map(TypeName::from);
        self.kind = match &broker_type {
            Some(broker_type) if broker_type.is_express() => ClusterKind::Express,
            _ => ClusterKind::Standard,
        };
        self.broker_type = broker_type;
        self.broker_count = count.try_into().unwrap_or_default();
        if let Some(software) = provisioned.current_broker_software_info {
            self.configuration = software.configuration_arn.zip(software.configuration_revision);
            let zookeeper = provisioned.zookeeper_connect_string.as_deref();
            self.metadata = software.kafka_version.as_deref().and_then(|version| MetadataMode::of(version, zookeeper));
            self.kafka_version = software.kafka_version;
        }
        self.monitoring_level = provisioned.enhanced_monitoring.as_ref().and_then(level);
        let volume = brokers.storage_info.and_then(|storage| storage.ebs_storage_info).and_then(|ebs| ebs.volume_size);
        self.volume_gib = volume.and_then(|gib| gib.try_into().ok());
        self.open_monitoring = OpenMonitoring::of(provisioned.open_monitoring);
        self.authentication = Authentication::of(provisioned.client_authentication);
        self.subnets = brokers.client_subnets.unwrap_or_default();
        Ok(())
    }
}

fn level(level: &EnhancedMonitoring) -> Option<MonitoringLevel> {
    use MonitoringLevel::{Default, PerBroker, PerTopicPerBroker, PerTopicPerPartition};
    let known = [Default, PerBroker, PerTopicPerBroker, PerTopicPerPartition];
    known.into_iter().find(|known| known.as_str() == level.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_in_full_whether_known_or_not() {
        for (text, full, known) in [
            ("kafka.m5.large", "kafka.m5.large", true),
            ("t3.small", "kafka.t3.small", true),
            ("express.m7g.large", "express.m7g.large", true),
            ("m8g.large", "kafka.m8g.large", false),
            (" kafka.m8g.large", "kafka.m8g.large", false),
        ] {
            let name = TypeName::from(text);
            assert_eq!((name.to_string().as_str(), name.known().is_some()), (full, known));
        }
        assert!(TypeName::from("express.m7g.large").is_express() && TypeName::from("t3.small").is_burstable());
    }

    #[test]
    fn the_region_is_in_the_arn() {
        let check = |arn: &str, region: Option<&str>| assert_eq!(region_in_arn(arn), region, "{arn}");
        check("arn:aws:kafka:us-west-2:123456789012:cluster/demo/0-1", Some("us-west-2"));
        check("arn:aws-cn:kafka:cn-north-1:1:cluster/demo/0-1", Some("cn-north-1"));
        check("arn:aws:iam::1:role/x", None);
        check("us-west-2", None);
        check("", None);
    }

    #[test]
    fn an_arn_is_read_as_one_and_a_name_stays_a_name() {
        let arn = "arn:aws-cn:kafka:cn-north-1:123456789012:cluster/orders/abcd-1";
        assert_eq!((region_of_arn(arn), cluster_name(arn)), (Some("cn-north-1"), "orders"));
        for other in ["orders", "arn:aws:s3:::orders", "arn:aws:kafka:us-west-2:1:configuration/x/y", "arn:aws:kafka"] {
            assert_eq!((region_of_arn(other), cluster_name(other)), (None, other));
        }
    }

    #[test]
    fn states_and_metadata_are_told_by_their_names() {
        assert_eq!(ClusterState::from("REBOOTING_BROKER"), ClusterState::RebootingBroker);
        assert_eq!(ClusterState::from("NEW_STATE").as_str(), "NEW_STATE");
        for (version, zookeeper, mode) in [
            ("3.9.x.kraft", None, Some(MetadataMode::Kraft)),
            ("4.1.x", Some(""), Some(MetadataMode::Kraft)),
            ("3.9.x", Some("z-1:2181"), Some(MetadataMode::ZooKeeper)),
            ("3.9.x", None, None),
        ] {
            assert_eq!(MetadataMode::of(version, zookeeper), mode, "{version}");
        }
    }
}
