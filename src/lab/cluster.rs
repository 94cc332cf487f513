//! The life of clusters, configurations and operations as the MSK API shows it.
//!
//! Decides only: a change that is accepted returns the [`Action`] that the cluster's [crew](super::crew) carries out,
//! and the crew's reports come back as [`CrewReport`]s. No clock, no chance, no file, no network.

mod arn;
mod check;
mod configuration;
mod create;
mod operation;
mod page;
mod refusal;
mod scram;
mod shapes;
mod update;
mod versions;

use serde::{Deserialize, Serialize};

use crate::{catalogue::BrokerType, sample::BrokerId};

pub use arn::is_region;
pub use configuration::{Configuration, NewConfiguration, Revision};
pub use create::NewCluster;
pub use operation::{Operation, OperationState};
pub use page::{Page, page};
pub use refusal::{Kind, Refusal};
pub use scram::ScramSecret;
pub use shapes::*;
pub use update::Update;
pub use versions::compatible_versions;

/// `stateInfo.code` of a cluster whose brokers did not come up.
const NOT_STARTED: &str = "BrokersNotStarted";

/// What a decision must not make up itself: who asks, when, and an identifier nobody has had.
#[derive(Debug, Clone)]
pub struct Call {
    pub region: String,
    pub at: Moment,
    pub id: uuid::Uuid,
}

/// Everything that the control plane knows; what is written to its file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ControlPlane {
    clusters: Vec<EmulatedCluster>,
    configurations: Vec<Configuration>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmulatedCluster {
    pub arn: String,
    pub name: String,
    pub region: String,
    pub created: Moment,
    /// `currentVersion`: new after each operation.
    pub version: String,
    pub state: ClusterState,
    pub state_info: Option<StateInfo>,
    pub tags: Tags,
    pub provisioned: Provisioned,
    /// Known once the cluster has been ACTIVE.
    pub brokers: Vec<Endpoints>,
    /// Oldest first.
    pub operations: Vec<Operation>,
    #[serde(default)]
    pub scram_secrets: Vec<ScramSecret>,
    /// What a serverless cluster is; `provisioned` then only repeats its subnets, and it has no brokers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serverless: Option<Serverless>,
}

/// MSK's ClusterState, without MAINTENANCE, which the lab never enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClusterState {
    Creating,
    Active,
    Updating,
    RebootingBroker,
    /// The lab was started again, and the brokers are coming back.
    Healing,
    Deleting,
    Failed,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StateInfo {
    pub code: String,
    pub message: String,
}

/// Where a broker listens; `tls` and `scram` only where it has such listeners.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Endpoints {
    pub id: BrokerId,
    pub zone: String,
    pub plaintext: std::net::SocketAddr,
    pub tls: Option<std::net::SocketAddr>,
    #[serde(default)]
    pub scram: Option<std::net::SocketAddr>,
    pub jmx: std::net::SocketAddr,
    pub node: std::net::SocketAddr,
}

/// What must happen to the brokers of one cluster.
#[derive(Debug, Clone)]
pub struct Action {
    pub cluster: String,
    pub job: Job,
}

#[derive(Debug, Clone)]
pub enum Job {
    Start(Start),
    Operate {
        operation: String,
        work: Work,
    },
    /// Stop the brokers and remove their folder.
    Delete,
}

/// What the brokers of a cluster are started from.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    pub cluster_name: String,
    pub broker_type: BrokerType,
    /// Availability zones, one a client subnet.
    pub zones: Vec<String>,
    pub broker_count: u32,
    /// Ids of the brokers that there have been; empty for a new cluster, whose ids are 1 to the count.
    pub ids: Vec<BrokerId>,
    /// There are no brokers.
    pub serverless: bool,
    pub volume_gib: u32,
    /// As the user wrote them; may be empty.
    pub server_properties: String,
}

/// The part of an operation that brokers notice.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    ChangeType(BrokerType),
    /// Until there are so many.
    AddBrokers(u32),
    RemoveBrokers(Vec<BrokerId>),
    /// New server properties.
    Configure(String),
    Reboot(Vec<BrokerId>),
    /// GiB of each broker's volume.
    GrowVolumes(u32),
    /// Only what the API shows changes.
    Nothing,
}

/// What a crew reports about its cluster.
#[derive(Debug, Clone)]
pub enum CrewReport {
    Started(Result<Vec<Endpoints>, String>),
    /// A broker's turn in an operation: begun, or done.
    Step {
        operation: String,
        broker: BrokerId,
        done: bool,
    },
    Operated {
        operation: String,
        result: Result<Vec<Endpoints>, String>,
    },
    Deleted(Result<(), String>),
    /// The crew is gone without a word: a defect of kgen.
    Lost,
}

impl ControlPlane {
    /// The clusters of one region whose name begins with `prefix`, oldest first.
    pub fn clusters<'a>(&'a self, region: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a EmulatedCluster> {
        self.clusters.iter().filter(move |cluster| cluster.region == region && cluster.name.starts_with(prefix))
    }

    pub fn all_clusters(&self) -> &[EmulatedCluster] {
        &self.clusters
    }

    /// # Errors
    /// 400 for what is no cluster's ARN, 404 for a cluster that is not there.
    pub fn cluster(&self, arn: &str) -> Result<&EmulatedCluster, Refusal> {
        arn::check(arn, "cluster", "clusterArn")?;
        self.clusters
            .iter()
            .find(|cluster| cluster.arn == arn)
            .ok_or_else(|| Refusal::not_found(format!("the cluster {arn} does not exist")))
    }

    fn cluster_mut(&mut self, arn: &str) -> Result<&mut EmulatedCluster, Refusal> {
        self.cluster(arn)?;
        Ok(self.clusters.iter_mut().find(|cluster| cluster.arn == arn).expect("the cluster was found above"))
    }

    /// The operation and its cluster.
    ///
    /// # Errors
    /// 400 for what is no operation's ARN, 404 for one that is not there.
    pub fn operation(&self, arn: &str) -> Result<(&EmulatedCluster, &Operation), Refusal> {
        arn::check(arn, "cluster-operation", "clusterOperationArn")?;
        self.clusters
            .iter()
            .find_map(|cluster| Some((cluster, cluster.operations.iter().find(|operation| operation.arn == arn)?)))
            .ok_or_else(|| Refusal::not_found(format!("the cluster operation {arn} does not exist")))
    }

    /// Begins to delete a cluster. A cluster that is being deleted already answers the same again.
    ///
    /// # Errors
    /// 404, or 400 while an operation runs or when `current_version` is given and stale.
    pub fn delete_cluster(&mut self, arn: &str, current_version: Option<&str>) -> Result<Option<Action>, Refusal> {
        let cluster = self.cluster_mut(arn)?;
        match cluster.state {
            ClusterState::Deleting => return Ok(None),
            ClusterState::Updating | ClusterState::RebootingBroker => {
                return Err(Refusal::bad(format!(
                    "the cluster {} is in the state {}: it can be deleted when its operation has ended",
                    cluster.name,
                    cluster.state.name()
                )));
            }
            _ => {}
        }
        if let Some(version) = current_version {
            cluster.check_version(version)?;
        }
        cluster.state = ClusterState::Deleting;
        Ok(Some(Action { cluster: arn.to_owned(), job: Job::Delete }))
    }

    /// Takes in what a crew says. Reports about what is gone, or over, change nothing.
    pub fn record(&mut self, arn: &str, report: CrewReport, call: &Call) {
        let Some(cluster) = self.clusters.iter_mut().find(|cluster| cluster.arn == arn) else { return };
        match report {
            CrewReport::Deleted(Ok(())) => self.clusters.retain(|cluster| cluster.arn != arn),
            CrewReport::Deleted(Err(message)) => cluster.fail("DeleteFailed", message),
            // A cluster on its way out stays so, whatever was still under way.
            _ if cluster.state == ClusterState::Deleting => {}
            CrewReport::Started(Ok(brokers)) => {
                cluster.brokers = brokers;
                cluster.state = ClusterState::Active;
                cluster.state_info = None;
            }
            CrewReport::Started(Err(message)) => cluster.fail(NOT_STARTED, message),
            CrewReport::Step { operation, broker, done } => {
                if let Some(operation) = cluster.active_operation_mut(&operation) {
                    operation.step(broker, done);
                }
            }
            CrewReport::Operated { operation, result } => cluster.end_operation(&operation, result, call),
            CrewReport::Lost => {
                let message = "the thread that runs the brokers has ended (see the lab's log)".to_owned();
                if let Some(operation) = cluster.active_operation().map(|operation| operation.arn.clone()) {
                    cluster.end_operation(&operation, Err(message.clone()), call);
                }
                cluster.fail("InternalFailure", message);
            }
        }
    }

    /// What must happen after the control plane itself was gone: brokers start again, interrupted operations fail.
    pub fn resume(&mut self, call: &Call) -> Vec<Action> {
        for cluster in &mut self.clusters {
            if let Some(operation) = cluster.active_operation().map(|operation| operation.arn.clone()) {
                cluster.end_operation(&operation, Err("the lab was stopped during the operation".to_owned()), call);
            }
            let failed_to_start = cluster.state_info.as_ref().is_some_and(|info| info.code == NOT_STARTED);
            let was_active = !cluster.brokers.is_empty();
            if cluster.state == ClusterState::Active || (failed_to_start && was_active) {
                cluster.state = ClusterState::Healing;
            }
        }
        let job = |cluster: &EmulatedCluster| match cluster.state {
            ClusterState::Deleting => Some(Job::Delete),
            ClusterState::Failed => None,
            _ => Some(Job::Start(self.start(cluster))),
        };
        self.clusters
            .iter()
            .filter_map(|cluster| Some(Action { cluster: cluster.arn.clone(), job: job(cluster)? }))
            .collect()
    }

    fn start(&self, cluster: &EmulatedCluster) -> Start {
        let provisioned = &cluster.provisioned;
        Start {
            cluster_name: cluster.name.clone(),
            broker_type: provisioned.broker_node_group_info.instance_type,
            zones: cluster.zones(),
            broker_count: provisioned.number_of_broker_nodes,
            ids: cluster.brokers.iter().map(|broker| broker.id).collect(),
            serverless: cluster.serverless.is_some(),
            volume_gib: provisioned.volume_gib().unwrap_or(create::DEFAULT_VOLUME_GIB),
            server_properties: cluster
                .configuration()
                .and_then(|wanted| self.server_properties(&wanted).ok())
                .unwrap_or_default(),
        }
    }

    /// Tags of a cluster or configuration; only clusters have any.
    ///
    /// # Errors
    /// 404 when there is no such resource.
    pub fn tags(&self, arn: &str) -> Result<Tags, Refusal> {
        if self.configuration(arn).is_ok() {
            return Ok(Tags::new());
        }
        Ok(self.cluster(arn).map_err(tagged)?.tags.clone())
    }

    /// Sets tags; others stay.
    ///
    /// # Errors
    /// 404, or 400 for tags that AWS does not accept.
    pub fn tag(&mut self, arn: &str, tags: Tags) -> Result<(), Refusal> {
        let cluster = self.cluster_mut(arn).map_err(tagged)?;
        let mut all = cluster.tags.clone();
        all.extend(tags);
        create::check_tags(&all)?;
        cluster.tags = all;
        Ok(())
    }

    /// Removes tags; a key that is not there is no error.
    ///
    /// # Errors
    /// 404.
    pub fn untag(&mut self, arn: &str, keys: &[String]) -> Result<(), Refusal> {
        let cluster = self.cluster_mut(arn).map_err(tagged)?;
        cluster.tags.retain(|key, _| !keys.contains(key));
        Ok(())
    }
}

/// The same refusal, naming the parameter of the tag calls.
fn tagged(refusal: Refusal) -> Refusal {
    Refusal { parameter: refusal.parameter.map(|_| "resourceArn"), ..refusal }
}

impl EmulatedCluster {
    /// The operation that runs now.
    pub fn active_operation(&self) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.is_active())
    }

    fn active_operation_mut(&mut self, arn: &str) -> Option<&mut Operation> {
        self.operations.iter_mut().find(|operation| operation.arn == arn && operation.is_active())
    }

    /// The configuration and revision that the brokers run with.
    pub fn configuration(&self) -> Option<ConfigurationInfo> {
        let software = &self.provisioned.current_broker_software_info;
        Some(ConfigurationInfo {
            arn: software.configuration_arn.clone()?,
            revision: software.configuration_revision.unwrap_or(1),
        })
    }

    pub fn client_broker(&self) -> ClientBroker {
        let encryption = self.provisioned.encryption_info.encryption_in_transit.as_ref();
        encryption.and_then(|encryption| encryption.client_broker).unwrap_or_default()
    }

    /// Ids of the brokers that are added to have `count`: MSK does not use an id again while a later one is there.
    pub fn ids_to_add(&self, count: u32) -> Vec<BrokerId> {
        let newest = self.brokers.iter().map(|broker| broker.id).max().unwrap_or(0);
        let missing = count.saturating_sub(self.provisioned.number_of_broker_nodes) as BrokerId;
        (newest + 1..=newest + missing).collect()
    }

    /// Availability zones, one a client subnet. Which zone a subnet is in is EC2's affair, so they are named in order.
    pub fn zones(&self) -> Vec<String> {
        let subnets = &self.provisioned.broker_node_group_info.client_subnets;
        (b'a'..).take(subnets.len()).map(|letter| format!("{}{}", self.region, char::from(letter))).collect()
    }

    /// The folder of the brokers in that of the lab; a later cluster of the same name has another.
    pub fn dir(&self) -> std::path::PathBuf {
        let unique: String = self.arn.rsplit('/').next().unwrap_or_default().chars().take(8).collect();
        ["clusters", &format!("{}-{unique}", self.name)].iter().collect()
    }

    /// Ends an operation: in one step the change is there, the cluster ACTIVE and its version new.
    fn end_operation(&mut self, arn: &str, result: Result<Vec<Endpoints>, String>, call: &Call) {
        let Some(operation) = self.active_operation_mut(arn) else { return };
        operation.end(result.as_ref().err(), call.at);
        let update = operation.update.clone();
        if let Ok(brokers) = result {
            update.apply(&mut self.provisioned);
            if !brokers.is_empty() {
                self.brokers = brokers;
            }
        }
        self.version = arn::version(&call.id);
        self.state = ClusterState::Active;
    }

    fn fail(&mut self, code: &str, message: String) {
        self.state = ClusterState::Failed;
        self.state_info = Some(StateInfo { code: code.to_owned(), message });
    }

    /// # Errors
    /// 400 in any other state; `needs` says what for, such as "an update needs".
    pub fn check_active(&self, needs: &str) -> Result<(), Refusal> {
        if self.state == ClusterState::Active {
            return Ok(());
        }
        let (name, state) = (&self.name, self.state.name());
        Err(Refusal::bad(format!("the cluster {name} is in the state {state}: {needs} it ACTIVE")))
    }

    fn check_version(&self, current_version: &str) -> Result<(), Refusal> {
        if self.version == current_version {
            return Ok(());
        }
        Err(Refusal::parameter(
            "currentVersion",
            "The version of the cluster isn't current. Check the current version and try again.",
        ))
    }
}

impl ClusterState {
    pub fn name(self) -> &'static str {
        match self {
            ClusterState::Creating => "CREATING",
            ClusterState::Active => "ACTIVE",
            ClusterState::Updating => "UPDATING",
            ClusterState::RebootingBroker => "REBOOTING_BROKER",
            ClusterState::Healing => "HEALING",
            ClusterState::Deleting => "DELETING",
            ClusterState::Failed => "FAILED",
        }
    }
}

impl Provisioned {
    /// The size of each broker's volume; Express brokers have none.
    pub fn volume_gib(&self) -> Option<u32> {
        self.broker_node_group_info.storage_info.as_ref()?.ebs_storage_info.as_ref()?.volume_size
    }
}

#[cfg(test)]
mod tests;
