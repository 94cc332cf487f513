//! Clusters, brokers and operations, as far as kgen needs them.

use aws_sdk_kafka::types;

use super::{Aws, AwsError, Paging};
use crate::sample::BrokerId;

/// Far more brokers than MSK has in a cluster. kgen counts from 1 to their number.
const MOST_BROKERS: u32 = 1000;

/// A provisioned cluster as the control plane describes it now.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    pub arn: String,
    pub name: String,
    /// Such as `ACTIVE` or `UPDATING`.
    pub state: String,
    /// What an update must name; MSK changes it with every update, so it is read right before it is used.
    pub current_version: String,
    /// As MSK has it; may be one that the catalogue does not know.
    pub broker_type: String,
    pub broker_count: u32,
    pub kafka_version: String,
    /// Storage of one broker, GiB; Express brokers have none of their own.
    pub volume_gib: Option<u32>,
    /// ARN of the operation that runs now.
    pub active_operation: Option<String>,
}

/// Where clients reach a cluster; each is a list of `host:port` with commas between.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bootstrap {
    pub plaintext: Option<String>,
    pub tls: Option<String>,
    pub sasl_iam: Option<String>,
    pub sasl_scram: Option<String>,
}

/// A broker of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub id: BrokerId,
    /// Host names, without ports.
    pub endpoints: Vec<String>,
    /// Without or with `kafka.` in front: MSK's own answers differ.
    pub broker_type: Option<String>,
}

impl Cluster {
    /// MSK would change it now.
    pub fn is_idle(&self) -> bool {
        self.state == "ACTIVE" && self.active_operation.is_none()
    }
}

impl Aws {
    /// The cluster called `name`, described anew.
    ///
    /// # Errors
    /// [`AwsError::NoSuchCluster`] with the names that there are; else why the API gave no answer.
    pub async fn cluster(&self, name: &str) -> Result<Cluster, AwsError> {
        let mut listed = self.kafka()?.list_clusters_v2().into_paginator().send();
        let (mut known, mut paging) = (Vec::new(), Paging::of("ListClustersV2"));
        while let Some(page) = paging.bounded(listed.next()).await? {
            let page = page.map_err(|error| self.failed("ListClustersV2", error))?;
            for cluster in page.cluster_info_list.unwrap_or_default() {
                match (cluster.cluster_name, cluster.cluster_arn) {
                    (Some(found), Some(arn)) if found == name => return self.describe(&arn).await,
                    (found, _) => known.extend(found),
                }
            }
        }
        Err(AwsError::NoSuchCluster { name: name.to_owned(), region: self.region().to_owned(), known })
    }

    /// The cluster `arn` as it is now.
    ///
    /// # Errors
    /// Why the API gave no usable answer.
    pub async fn describe(&self, arn: &str) -> Result<Cluster, AwsError> {
        const ACTION: &str = "DescribeClusterV2";
        let answer = self.kafka()?.describe_cluster_v2().cluster_arn(arn).send().await;
        let info = answer.map_err(|error| self.failed(ACTION, error))?.cluster_info;
        Cluster::try_from(info.ok_or(AwsError::Incomplete { action: ACTION, what: "clusterInfo" })?)
    }

    /// Where clients reach `cluster`.
    ///
    /// # Errors
    /// Why the API gave no answer.
    pub async fn bootstrap(&self, cluster: &Cluster) -> Result<Bootstrap, AwsError> {
        let answer = self.kafka()?.get_bootstrap_brokers().cluster_arn(&cluster.arn).send().await;
        let answer = answer.map_err(|error| self.failed("GetBootstrapBrokers", error))?;
        let some = |list: Option<String>| list.filter(|list| !list.is_empty());
        Ok(Bootstrap {
            plaintext: some(answer.bootstrap_broker_string),
            tls: some(answer.bootstrap_broker_string_tls),
            sasl_iam: some(answer.bootstrap_broker_string_sasl_iam),
            sasl_scram: some(answer.bootstrap_broker_string_sasl_scram),
        })
    }

    /// The brokers of the cluster `arn`, by id.
    ///
    /// # Errors
    /// Why the API gave no answer.
    pub async fn nodes(&self, arn: &str) -> Result<Vec<Node>, AwsError> {
        let mut listed = self.kafka()?.list_nodes().cluster_arn(arn).into_paginator().send();
        let (mut nodes, mut paging) = (Vec::new(), Paging::of("ListNodes"));
        while let Some(page) = paging.bounded(listed.next()).await? {
            let page = page.map_err(|error| self.failed("ListNodes", error))?;
            for node in page.node_info_list.unwrap_or_default() {
                let Some(broker) = node.broker_node_info else { continue };
                let Some(id) = broker.broker_id else { continue };
                let endpoints = broker.endpoints.unwrap_or_default();
                nodes.push(Node { id: id as BrokerId, endpoints, broker_type: node.instance_type });
            }
        }
        nodes.sort_by_key(|node| node.id);
        Ok(nodes)
    }
}

impl TryFrom<types::Cluster> for Cluster {
    type Error = AwsError;

    fn try_from(cluster: types::Cluster) -> Result<Cluster, AwsError> {
        let lacks = |what| AwsError::Incomplete { action: "DescribeClusterV2", what };
        let name = cluster.cluster_name.ok_or(lacks("clusterName"))?;
        let count = cluster.provisioned.as_ref().and_then(|provisioned| provisioned.number_of_broker_nodes);
        if let Some(count) = count.filter(|count| i64::from(*count) > i64::from(MOST_BROKERS)) {
            return Err(AwsError::TooManyBrokers { action: "DescribeClusterV2", name, count: count.into() });
        }
        if cluster.serverless.is_some() {
            return Err(AwsError::Serverless { name });
        }
        let provisioned = cluster.provisioned.ok_or(lacks("provisioned"))?;
        let brokers = provisioned.broker_node_group_info.ok_or(lacks("brokerNodeGroupInfo"))?;
        let volume = brokers.storage_info.and_then(|storage| storage.ebs_storage_info).and_then(|ebs| ebs.volume_size);
        let software = provisioned.current_broker_software_info.and_then(|software| software.kafka_version);
        Ok(Cluster {
            arn: cluster.cluster_arn.ok_or(lacks("clusterArn"))?,
            name,
            state: cluster.state.ok_or(lacks("state"))?.as_str().to_owned(),
            // Absent while a cluster is created.
            current_version: cluster.current_version.unwrap_or_default(),
            broker_type: brokers.instance_type.ok_or(lacks("instanceType"))?,
            broker_count: provisioned.number_of_broker_nodes.unwrap_or_default().try_into().unwrap_or_default(),
            kafka_version: software.ok_or(lacks("kafkaVersion"))?,
            volume_gib: volume.and_then(|gib| gib.try_into().ok()),
            active_operation: cluster.active_operation_arn.filter(|arn| !arn.is_empty()),
        })
    }
}
