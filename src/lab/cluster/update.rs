//! The changes to a cluster: their requests, when they are refused, and the resulting work.

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::{BrokerType, KafkaVersion, MonitoringLevel},
    sample::BrokerId,
};

use super::{
    Action, BrokerEbsVolumeInfo, Call, ClientAuthentication, ClusterState, ConfigurationInfo, ConnectivityInfo,
    ControlPlane, EmulatedCluster, EncryptionInfo, Job, LoggingInfo, MutableClusterInfo, OpenMonitoring, Operation,
    OperationState, Provisioned, Refusal, Work, arn, compatible_versions, configuration::within_repeat_window, create,
};

/// How long after its acceptance a request that arrives once more is taken for the same one, seconds.
///
/// Clients send it again within a fifth of a second when the connection broke under the first answer.
pub const REPEAT_WINDOW_SECONDS: i64 = 5;

/// Operations that a cluster remembers.
pub const OPERATIONS_KEPT: usize = 100;

/// One update call and its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Update {
    BrokerType(BrokerType),
    BrokerCount(u32),
    /// These brokers are removed; they hold no partitions.
    RemoveBrokers(Vec<BrokerId>),
    Storage(Vec<BrokerEbsVolumeInfo>),
    Monitoring {
        enhanced: Option<MonitoringLevel>,
        open: Option<OpenMonitoring>,
        logging: Option<LoggingInfo>,
    },
    Configuration(ConfigurationInfo),
    KafkaVersion {
        target: KafkaVersion,
        configuration: Option<ConfigurationInfo>,
    },
    Security {
        authentication: Option<ClientAuthentication>,
        encryption: Option<EncryptionInfo>,
    },
    Connectivity(ConnectivityInfo),
    Reboot(Vec<BrokerId>),
}

/// An update that is under way.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    pub cluster_arn: String,
    pub operation_arn: String,
}

impl ControlPlane {
    /// Begins an update, or recognises one that was begun by the same request.
    ///
    /// `partitions` is the largest number of partitions on one broker, where it could be asked.
    ///
    /// # Errors
    /// 404, and 400 when the cluster is not ACTIVE, its version another, or the change one that MSK does not make.
    /// Nothing has changed then.
    pub fn update(
        &mut self,
        arn: &str,
        current_version: Option<&str>,
        update: Update,
        partitions: Option<u32>,
        call: &Call,
    ) -> Result<(Accepted, Option<Action>), Refusal> {
        let cluster = self.cluster(arn)?;
        if let Some(known) = cluster.repeated(&update, current_version, call) {
            return Ok((Accepted { cluster_arn: arn.to_owned(), operation_arn: known.arn.clone() }, None));
        }
        if cluster.serverless.is_some() {
            return Err(Refusal::bad("This operation cannot be performed on serverless clusters."));
        }
        cluster.check_active("an update needs")?;
        if let Some(version) = current_version {
            cluster.check_version(version)?;
        }
        self.check(cluster, &update, partitions)?;
        let work = self.work(cluster, &update)?;
        let steps = Operation::steps_for(
            match &work {
                Work::ChangeType(_) | Work::Configure(_) => cluster.brokers.iter().map(|broker| broker.id).collect(),
                Work::AddBrokers(count) => cluster.ids_to_add(*count),
                Work::Reboot(brokers) | Work::RemoveBrokers(brokers) => brokers.clone(),
                Work::GrowVolumes(_) | Work::Nothing => Vec::new(),
            }
            .into_iter(),
        );
        let operation = Operation {
            arn: arn::operation(arn, &call.id),
            request_id: call.id.to_string(),
            created: call.at,
            ended: None,
            state: OperationState::InProgress,
            steps,
            error: None,
            source: update.source(cluster),
            target: update.target(&cluster.provisioned),
            from_version: current_version.map(str::to_owned),
            update,
        };
        let accepted = Accepted { cluster_arn: arn.to_owned(), operation_arn: operation.arn.clone() };
        let job = Job::Operate { operation: operation.arn.clone(), work };

        let cluster = self.cluster_mut(arn)?;
        cluster.state = match operation.update {
            Update::Reboot(_) => ClusterState::RebootingBroker,
            _ => ClusterState::Updating,
        };
        let surplus = (cluster.operations.len() + 1).saturating_sub(OPERATIONS_KEPT);
        cluster.operations.drain(..surplus);
        cluster.operations.push(operation);
        Ok((accepted, Some(Action { cluster: arn.to_owned(), job })))
    }

    fn check(&self, cluster: &EmulatedCluster, update: &Update, partitions: Option<u32>) -> Result<(), Refusal> {
        let provisioned = &cluster.provisioned;
        let broker_type = provisioned.broker_node_group_info.instance_type;
        let version = provisioned.current_broker_software_info.kafka_version;
        match update {
            Update::BrokerType(target) => {
                broker_type
                    .check_change_to(*target, partitions)
                    .map_err(|error| Refusal::parameter("targetInstanceType", error.to_string()))?;
                version
                    .check_sold_with(*target)
                    .map_err(|error| Refusal::parameter("targetInstanceType", error.to_string()))
            }
            Update::BrokerCount(count) => {
                let present = provisioned.number_of_broker_nodes;
                if *count <= present {
                    return Err(Refusal::parameter(
                        "targetNumberOfBrokerNodes",
                        format!("the cluster has {present} brokers and can only be expanded, not set to {count}"),
                    ));
                }
                create::check_broker_count(*count, provisioned.broker_node_group_info.client_subnets.len() as u32)
            }
            Update::RemoveBrokers(_) => Ok(()),
            Update::Storage(volumes) => check_volumes(volumes, provisioned),
            Update::Monitoring { enhanced: None, open: None, logging: None } => {
                Err(Refusal::bad("the request changes neither monitoring nor logging"))
            }
            Update::Security { authentication: None, encryption: None } => {
                Err(Refusal::bad("the request changes neither clientAuthentication nor encryptionInfo"))
            }
            Update::Configuration(wanted) => {
                self.server_properties(wanted)?;
                if cluster.configuration().as_ref() == Some(wanted) {
                    return Err(Refusal::parameter(
                        "configurationInfo",
                        format!("the cluster already uses revision {} of this configuration", wanted.revision),
                    ));
                }
                check_partitions(partitions, broker_type)
            }
            Update::KafkaVersion { target, configuration } => {
                if let Some(wanted) = configuration {
                    self.server_properties(wanted)?;
                }
                if !compatible_versions(version).any(|offered| offered == *target) {
                    return Err(Refusal::parameter(
                        "targetKafkaVersion",
                        format!("a cluster of Kafka {version} cannot be updated to {target} in place"),
                    ));
                }
                target
                    .check_sold_with(broker_type)
                    .map_err(|error| Refusal::parameter("targetKafkaVersion", error.to_string()))?;
                check_partitions(partitions, broker_type)
            }
            Update::Reboot(brokers) => {
                let unknown = |id: &&BrokerId| !cluster.brokers.iter().any(|broker| broker.id == **id);
                match brokers.iter().find(unknown) {
                    _ if brokers.is_empty() => Err(Refusal::parameter("brokerIds", "the request names no broker")),
                    Some(id) => Err(Refusal::parameter("brokerIds", format!("the cluster has no broker {id}"))),
                    None => Ok(()),
                }
            }
            Update::Monitoring { .. } | Update::Security { .. } | Update::Connectivity(_) => Ok(()),
        }
    }

    /// The brokers that are removed to have `count`: as many in each zone, of those that are `empty`.
    ///
    /// # Errors
    /// 404, and 400 where MSK removes none: T3 brokers, brokers that hold partitions, a zone that would have none left.
    pub fn removable(&self, arn: &str, count: u32, empty: &[BrokerId]) -> Result<Vec<BrokerId>, Refusal> {
        let cluster = self.cluster(arn)?;
        let refuse = |message: String| Refusal::parameter("targetNumberOfBrokerNodes", message);
        let present = cluster.provisioned.number_of_broker_nodes;
        let broker_type = cluster.provisioned.broker_node_group_info.instance_type;
        let zones = cluster.zones();
        if broker_type.credits().is_some() || count == present || count == 0 {
            return Err(refuse(format!(
                "the cluster has {present} brokers and can only be expanded, not set to {count}"
            )));
        }
        create::check_broker_count(count, zones.len() as u32)?;
        let of_zone = ((present - count) / zones.len() as u32) as usize;
        let mut chosen = Vec::new();
        for zone in &zones {
            let in_zone =
                cluster.brokers.iter().rev().filter(|broker| broker.zone == *zone && empty.contains(&broker.id));
            let of_this: Vec<BrokerId> = in_zone.take(of_zone).map(|broker| broker.id).collect();
            if of_this.len() < of_zone {
                return Err(refuse(format!(
                    "{of_zone} brokers in {zone} must hold no partitions before they can be removed, and {} are empty",
                    of_this.len()
                )));
            }
            chosen.extend(of_this);
        }
        chosen.sort_unstable();
        Ok(chosen)
    }

    fn work(&self, cluster: &EmulatedCluster, update: &Update) -> Result<Work, Refusal> {
        Ok(match update {
            Update::BrokerType(target) => Work::ChangeType(*target),
            Update::BrokerCount(count) => Work::AddBrokers(*count),
            Update::RemoveBrokers(brokers) => Work::RemoveBrokers(brokers.clone()),
            Update::Configuration(wanted) | Update::KafkaVersion { configuration: Some(wanted), .. }
                if cluster.configuration().as_ref() != Some(wanted) =>
            {
                Work::Configure(self.server_properties(wanted)?)
            }
            Update::Reboot(brokers) => Work::Reboot(brokers.clone()),
            // One for all brokers, as it was checked.
            Update::Storage(volumes) => match volumes.iter().find_map(|volume| volume.volume_size_gib) {
                Some(gib) => Work::GrowVolumes(gib),
                None => Work::Nothing,
            },
            _ => Work::Nothing,
        })
    }
}

fn check_partitions(partitions: Option<u32>, broker_type: BrokerType) -> Result<(), Refusal> {
    match partitions {
        Some(partitions) if partitions > broker_type.partitions_max_for_updates => Err(Refusal::bad(format!(
            "{partitions} partitions on a broker are more than the {} that MSK allows for an update of {broker_type}",
            broker_type.partitions_max_for_updates
        ))),
        _ => Ok(()),
    }
}

fn check_volumes(volumes: &[BrokerEbsVolumeInfo], provisioned: &Provisioned) -> Result<(), Refusal> {
    let refuse = |message: String| Refusal::parameter("targetBrokerEBSVolumeInfo", message);
    let [volume] = volumes else { return Err(refuse("give one volume size for all brokers".to_owned())) };
    if !volume.kafka_broker_node_id.eq_ignore_ascii_case("all") {
        return Err(refuse("kafkaBrokerNodeId must be All: brokers have volumes of one size".to_owned()));
    }
    let broker_type = provisioned.broker_node_group_info.instance_type;
    let Some(present) = provisioned.volume_gib() else {
        return Err(refuse(format!("{broker_type} brokers manage their own storage")));
    };
    match volume.volume_size_gib {
        Some(size) if size > 16384 => return Err(refuse("a broker's volume has at most 16384 GiB".to_owned())),
        Some(size) if size < present => {
            return Err(refuse(format!("the volumes have {present} GiB and can only grow, not to {size}")));
        }
        Some(size) if size == present && volume.provisioned_throughput.is_none() => {
            return Err(refuse(format!("the volumes already have {present} GiB")));
        }
        None if volume.provisioned_throughput.is_none() => {
            return Err(refuse("the request changes nothing".to_owned()));
        }
        _ => {}
    }
    create::check_throughput(volume.provisioned_throughput.as_ref(), broker_type)
}

impl EmulatedCluster {
    /// The operation that the same request has begun: still running, or accepted a moment ago.
    fn repeated(&self, update: &Update, current_version: Option<&str>, call: &Call) -> Option<&Operation> {
        self.operations.last().filter(|known| {
            known.update == *update
                && known.from_version.as_deref() == current_version
                && (known.is_active() || within_repeat_window(known.created, call.at))
        })
    }
}

impl Update {
    /// The operation type, as MSK names it.
    pub fn operation_type(&self) -> &'static str {
        match self {
            Update::BrokerType(_) => "UPDATE_BROKER_TYPE",
            Update::BrokerCount(_) => "INCREASE_BROKER_COUNT",
            Update::RemoveBrokers(_) => "DECREASE_BROKER_COUNT",
            Update::Storage(_) => "UPDATE_BROKER_STORAGE",
            Update::Monitoring { .. } => "UPDATE_MONITORING",
            Update::Configuration(_) => "UPDATE_CLUSTER_CONFIGURATION",
            Update::KafkaVersion { .. } => "UPDATE_CLUSTER_KAFKA_VERSION",
            Update::Security { .. } => "UPDATE_SECURITY",
            Update::Connectivity(_) => "UPDATE_CONNECTIVITY",
            Update::Reboot(_) => "REBOOT_NODE",
        }
    }

    /// Whether MSK refuses this change where brokers hold too many partitions.
    pub fn depends_on_partitions(&self) -> bool {
        matches!(self, Update::BrokerType(_) | Update::Configuration(_) | Update::KafkaVersion { .. })
    }

    /// Makes the change in what the API shows.
    pub fn apply(&self, provisioned: &mut Provisioned) {
        let group = &mut provisioned.broker_node_group_info;
        let software = &mut provisioned.current_broker_software_info;
        match self.clone() {
            Update::BrokerType(target) => group.instance_type = target,
            Update::BrokerCount(count) => provisioned.number_of_broker_nodes = count,
            Update::RemoveBrokers(brokers) => provisioned.number_of_broker_nodes -= brokers.len() as u32,
            Update::Storage(volumes) => {
                let storage = group.storage_info.get_or_insert_default().ebs_storage_info.get_or_insert_default();
                for volume in volumes {
                    storage.volume_size = volume.volume_size_gib.or(storage.volume_size);
                    storage.provisioned_throughput =
                        volume.provisioned_throughput.or(storage.provisioned_throughput.take());
                }
            }
            Update::Monitoring { enhanced, open, logging } => {
                provisioned.enhanced_monitoring = enhanced.unwrap_or(provisioned.enhanced_monitoring);
                provisioned.open_monitoring = open.unwrap_or(std::mem::take(&mut provisioned.open_monitoring));
                provisioned.logging_info = logging.or(provisioned.logging_info.take());
            }
            Update::Configuration(wanted) => {
                software.configuration_arn = Some(wanted.arn);
                software.configuration_revision = Some(wanted.revision);
            }
            Update::KafkaVersion { target, configuration } => {
                software.kafka_version = target;
                if let Some(wanted) = configuration {
                    software.configuration_arn = Some(wanted.arn);
                    software.configuration_revision = Some(wanted.revision);
                }
            }
            Update::Security { authentication, encryption } => {
                provisioned.client_authentication = authentication.or(provisioned.client_authentication.take());
                let wanted = encryption.and_then(|encryption| encryption.encryption_in_transit).unwrap_or_default();
                let transit = provisioned.encryption_info.encryption_in_transit.get_or_insert_default();
                transit.client_broker = wanted.client_broker.or(transit.client_broker);
                transit.in_cluster = wanted.in_cluster.or(transit.in_cluster);
            }
            Update::Connectivity(wanted) => {
                let known = group.connectivity_info.get_or_insert_default();
                known.public_access = wanted.public_access.or(known.public_access.take());
                known.network_type = wanted.network_type.or(known.network_type.take());
            }
            Update::Reboot(_) => {}
        }
    }

    /// The fields that change, as they are before.
    fn source(&self, cluster: &EmulatedCluster) -> MutableClusterInfo {
        self.fields_of(&cluster.provisioned)
    }

    /// The fields that change, as they will be.
    fn target(&self, provisioned: &Provisioned) -> MutableClusterInfo {
        let mut changed = provisioned.clone();
        self.apply(&mut changed);
        self.fields_of(&changed)
    }

    pub(super) fn fields_of(&self, provisioned: &Provisioned) -> MutableClusterInfo {
        let group = &provisioned.broker_node_group_info;
        let software = &provisioned.current_broker_software_info;
        let configuration = || {
            let (arn, revision) = (software.configuration_arn.clone()?, software.configuration_revision?);
            Some(ConfigurationInfo { arn, revision })
        };
        let nothing = MutableClusterInfo::default();
        match self {
            Update::BrokerType(_) => MutableClusterInfo { instance_type: Some(group.instance_type), ..nothing },
            Update::BrokerCount(_) | Update::RemoveBrokers(_) => {
                MutableClusterInfo { number_of_broker_nodes: Some(provisioned.number_of_broker_nodes), ..nothing }
            }
            Update::Storage(_) => {
                let storage = group.storage_info.as_ref().and_then(|storage| storage.ebs_storage_info.clone());
                let volume = BrokerEbsVolumeInfo {
                    kafka_broker_node_id: "All".to_owned(),
                    provisioned_throughput: storage.as_ref().and_then(|s| s.provisioned_throughput.clone()),
                    volume_size_gib: storage.and_then(|s| s.volume_size),
                };
                MutableClusterInfo { broker_ebs_volume_info: Some(vec![volume]), ..nothing }
            }
            Update::Monitoring { .. } => MutableClusterInfo {
                enhanced_monitoring: Some(provisioned.enhanced_monitoring),
                open_monitoring: Some(provisioned.open_monitoring.clone()),
                logging_info: provisioned.logging_info.clone(),
                ..nothing
            },
            Update::Configuration(_) => MutableClusterInfo { configuration_info: configuration(), ..nothing },
            Update::KafkaVersion { configuration: wanted, .. } => MutableClusterInfo {
                kafka_version: Some(software.kafka_version),
                configuration_info: wanted.as_ref().and_then(|_| configuration()),
                ..nothing
            },
            Update::Security { authentication, encryption } => MutableClusterInfo {
                client_authentication: authentication.as_ref().and_then(|_| provisioned.client_authentication.clone()),
                encryption_info: encryption.as_ref().map(|_| provisioned.encryption_info.clone()),
                ..nothing
            },
            Update::Connectivity(_) => {
                MutableClusterInfo { connectivity_info: group.connectivity_info.clone(), ..nothing }
            }
            Update::Reboot(_) => nothing,
        }
    }
}
