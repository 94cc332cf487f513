//! CreateCluster: checks the request against the catalogue, and adds MSK's defaults.

use serde::Deserialize;

use crate::catalogue::{BrokerType, KafkaVersion, MonitoringLevel};

use super::{
    Action, BrokerNodeGroupInfo, BrokerSoftwareInfo, Call, ClientAuthentication, ClientBroker, ClusterState,
    ConfigurationInfo, ConnectivityInfo, ControlPlane, EbsStorageInfo, EmulatedCluster, EncryptionAtRest,
    EncryptionInTransit, EncryptionInfo, Job, Kind, LoggingInfo, OpenMonitoring, Provisioned, PublicAccess, Refusal,
    Serverless, StorageInfo, StorageMode, Tags, arn,
};

/// The volume of a broker where the request names none, GiB (the console's default).
pub const DEFAULT_VOLUME_GIB: u32 = 1000;

/// Brokers of one cluster at most (MSK quotas: 30 in ZooKeeper mode; the API's model says 15, which holds no longer).
pub const BROKERS_MAX: u32 = 30;

/// The highest id of a broker: ids of brokers that were removed are not used again.
pub const BROKER_ID_MAX: u32 = 999;

/// The body of CreateCluster, and of `provisioned` in its second version with name and tags beside it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewCluster {
    #[serde(default)]
    pub cluster_name: String,
    #[serde(default)]
    pub tags: Option<Tags>,
    pub broker_node_group_info: BrokerNodeGroupInfo,
    pub kafka_version: KafkaVersion,
    pub number_of_broker_nodes: u32,
    pub client_authentication: Option<ClientAuthentication>,
    pub configuration_info: Option<ConfigurationInfo>,
    pub encryption_info: Option<EncryptionInfo>,
    pub enhanced_monitoring: Option<MonitoringLevel>,
    pub open_monitoring: Option<OpenMonitoring>,
    pub logging_info: Option<LoggingInfo>,
    pub storage_mode: Option<StorageMode>,
}

impl ControlPlane {
    /// Begins a cluster.
    ///
    /// # Errors
    /// 409 when the name is taken, 400 for what MSK does not sell.
    pub fn create_cluster(&mut self, new: NewCluster, call: &Call) -> Result<(&EmulatedCluster, Action), Refusal> {
        check_name(&new.cluster_name)?;
        if self.clusters(&call.region, "").any(|cluster| cluster.name == new.cluster_name) {
            return Err(Refusal::new(
                Kind::Conflict,
                format!("a cluster named {} already exists in this account and region", new.cluster_name),
            ));
        }
        let tags = new.tags.clone().unwrap_or_default();
        check_tags(&tags)?;
        if let Some(wanted) = &new.configuration_info {
            self.server_properties(wanted)?;
        }
        let name = new.cluster_name.clone();
        let cluster = EmulatedCluster {
            arn: arn::resource("cluster", &call.region, &name, &call.id),
            name,
            region: call.region.clone(),
            created: call.at,
            version: arn::version(&call.id),
            state: ClusterState::Creating,
            state_info: None,
            tags,
            provisioned: provision(new, &call.region)?,
            brokers: Vec::new(),
            operations: Vec::new(),
            scram_secrets: Vec::new(),
            serverless: None,
        };
        let action = Action { cluster: cluster.arn.clone(), job: Job::Start(self.start(&cluster)) };
        self.clusters.push(cluster);
        Ok((self.clusters.last().expect("it was pushed above"), action))
    }

    /// Begins a serverless cluster: it has no brokers.
    ///
    /// # Errors
    /// As [`Self::create_cluster`].
    pub fn create_serverless(
        &mut self,
        name: &str,
        tags: Option<Tags>,
        serverless: Serverless,
        call: &Call,
    ) -> Result<(&EmulatedCluster, Action), Refusal> {
        let subnets = serverless.vpc_configs.first().map(|vpc| vpc.subnet_ids.clone()).unwrap_or_default();
        if !(2..=3).contains(&subnets.len()) {
            return Err(Refusal::parameter("subnetIds", "a serverless cluster has two or three subnets"));
        }
        let zones = subnets.len() as u32;
        // What is filled in here is shown nowhere.
        let group = BrokerNodeGroupInfo {
            broker_az_distribution: Default::default(),
            client_subnets: subnets,
            instance_type: BrokerType::T3_SMALL,
            security_groups: None,
            storage_info: None,
            connectivity_info: None,
            zone_ids: None,
        };
        let version = KafkaVersion::all().find(|version| !version.is_kraft());
        let kafka_version = version.ok_or_else(|| Refusal::internal("no Kafka version is known"))?;
        let new = NewCluster {
            cluster_name: name.to_owned(),
            tags,
            broker_node_group_info: group,
            kafka_version,
            number_of_broker_nodes: zones,
            client_authentication: None,
            configuration_info: None,
            encryption_info: None,
            enhanced_monitoring: None,
            open_monitoring: None,
            logging_info: None,
            storage_mode: None,
        };
        self.create_cluster(new, call)?;
        let cluster = self.clusters.last_mut().expect("it was pushed above");
        cluster.serverless = Some(serverless);
        let cluster = self.clusters.last().expect("it was pushed above");
        Ok((cluster, Action { cluster: cluster.arn.clone(), job: Job::Start(self.start(cluster)) }))
    }
}

/// Checks a cluster's name, which is also part of its folder's.
pub fn check_name(name: &str) -> Result<(), Refusal> {
    let valid = (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !name.starts_with('-');
    match valid {
        true => Ok(()),
        false => Err(Refusal::parameter("clusterName", "a cluster's name is 1 to 64 letters, digits and hyphens")),
    }
}

/// Checks tags as AWS does.
pub fn check_tags(tags: &Tags) -> Result<(), Refusal> {
    let wrong = |(key, value): (&String, &String)| {
        !(1..=128).contains(&key.chars().count()) || value.chars().count() > 256 || key.starts_with("aws:")
    };
    if tags.len() > 50 {
        return Err(Refusal::parameter("tags", "a resource has at most 50 tags"));
    }
    match tags.iter().find(|tag| wrong(*tag)) {
        None => Ok(()),
        Some((key, _)) => Err(Refusal::parameter(
            "tags",
            format!("the tag {key:?}: keys have 1 to 128 characters and do not begin with aws:, values at most 256"),
        )),
    }
}

/// The cluster that `new` asks for, every default filled in as MSK does.
fn provision(new: NewCluster, region: &str) -> Result<Provisioned, Refusal> {
    let mut group = new.broker_node_group_info;
    let broker_type = group.instance_type;
    let zones = group.client_subnets.len() as u32;
    if !(2..=3).contains(&zones) {
        return Err(Refusal::parameter("clientSubnets", "a cluster has two or three client subnets"));
    }
    check_broker_count(new.number_of_broker_nodes, zones)?;
    new.kafka_version
        .check_sold_with(broker_type)
        .map_err(|error| Refusal::parameter("instanceType", format!("Unsupported InstanceType specified: {error}")))?;
    if new.storage_mode == Some(StorageMode::Tiered) {
        return Err(Refusal::parameter("storageMode", "the lab's brokers have no tiered storage"));
    }
    fill_storage(&mut group, broker_type)?;
    let connectivity = group.connectivity_info.get_or_insert_with(ConnectivityInfo::default);
    connectivity.public_access.get_or_insert_with(|| PublicAccess { access: Some("DISABLED".to_owned()) });

    let mut encryption = new.encryption_info.unwrap_or_default();
    encryption.encryption_at_rest.get_or_insert_with(|| EncryptionAtRest {
        data_volume_kms_key_id: format!("arn:aws:kms:{region}:{}:alias/aws/kafka", arn::ACCOUNT),
    });
    let transit = encryption.encryption_in_transit.get_or_insert_with(EncryptionInTransit::default);
    transit.client_broker.get_or_insert(ClientBroker::Tls);
    transit.in_cluster.get_or_insert(true);

    let configuration = new.configuration_info;
    Ok(Provisioned {
        broker_node_group_info: group,
        current_broker_software_info: BrokerSoftwareInfo {
            configuration_revision: configuration.as_ref().map(|wanted| wanted.revision),
            configuration_arn: configuration.map(|wanted| wanted.arn),
            kafka_version: new.kafka_version,
        },
        client_authentication: new.client_authentication,
        encryption_info: encryption,
        enhanced_monitoring: new.enhanced_monitoring.unwrap_or(MonitoringLevel::Default),
        open_monitoring: new.open_monitoring.unwrap_or_default(),
        logging_info: new.logging_info,
        number_of_broker_nodes: new.number_of_broker_nodes,
        storage_mode: new.storage_mode.unwrap_or_default(),
    })
}

/// Checks a number of brokers against the zones that they are spread over.
pub fn check_broker_count(count: u32, zones: u32) -> Result<(), Refusal> {
    if count == 0 || !count.is_multiple_of(zones) {
        return Err(Refusal::parameter(
            "numberOfBrokerNodes",
            format!("the number of brokers must be a multiple of the number of client subnets ({zones}), not {count}"),
        ));
    }
    if count > BROKERS_MAX {
        return Err(Refusal::parameter(
            "numberOfBrokerNodes",
            format!("a cluster has at most {BROKERS_MAX} brokers, not {count}"),
        ));
    }
    Ok(())
}

fn fill_storage(group: &mut BrokerNodeGroupInfo, broker_type: BrokerType) -> Result<(), Refusal> {
    if broker_type.is_express() {
        return match group.storage_info {
            None => Ok(()),
            Some(_) => Err(Refusal::parameter("storageInfo", "Express brokers manage their own storage")),
        };
    }
    let volume = group
        .storage_info
        .get_or_insert_with(StorageInfo::default)
        .ebs_storage_info
        .get_or_insert_with(EbsStorageInfo::default);
    let size = *volume.volume_size.get_or_insert(DEFAULT_VOLUME_GIB);
    if !(1..=16384).contains(&size) {
        return Err(Refusal::parameter("volumeSize", "a broker's volume has 1 to 16384 GiB"));
    }
    check_throughput(volume.provisioned_throughput.as_ref(), broker_type)
}

/// Checks that MSK sells the provisioned storage throughput for the type.
pub fn check_throughput(wanted: Option<&super::ProvisionedThroughput>, broker_type: BrokerType) -> Result<(), Refusal> {
    let wanted = wanted.filter(|wanted| wanted.enabled == Some(true));
    match (wanted, broker_type.provisioned_throughput_max_mib_per_s) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(Refusal::parameter(
            "provisionedThroughput",
            format!("{broker_type} has no provisioned storage throughput"),
        )),
        (Some(wanted), Some(max)) => match wanted.volume_throughput.unwrap_or(250) {
            throughput if throughput >= 250 && f64::from(throughput) <= max => Ok(()),
            _ => Err(Refusal::parameter("volumeThroughput", format!("{broker_type} takes 250 to {max} MiB/s"))),
        },
    }
}
