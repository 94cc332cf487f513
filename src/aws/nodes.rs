//! The brokers of a cluster, from ListNodes. Their ids have gaps where brokers were removed.

use super::{Action, Aws, AwsError, Paging, TypeName, cluster::MOST_BROKERS};
use crate::sample::BrokerId;

/// A broker of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub id: BrokerId,
    pub arn: Option<String>,
    /// Host names, without ports.
    pub endpoints: Vec<String>,
    pub broker_type: Option<TypeName>,
    /// The subnet that it is in, which stands for its zone.
    pub subnet: Option<String>,
    pub kafka_version: Option<String>,
}

impl Aws {
    /// The brokers of the cluster `arn`, by id.
    ///
    /// # Errors
    /// Why the API gave no answer.
    pub async fn nodes(&self, arn: &str) -> Result<Vec<Node>, AwsError> {
        let mut listed = self.kafka()?.list_nodes().cluster_arn(arn).max_results(100).into_paginator().send();
        let (mut nodes, mut paging) = (Vec::new(), Paging::of(Action::ListNodes));
        while let Some(page) = paging.bounded(listed.next()).await? {
            let page = page.map_err(|error| self.failed(Action::ListNodes, error))?;
            for node in page.node_info_list.unwrap_or_default() {
                let Some(broker) = node.broker_node_info else { continue };
                let Some(id) = broker.broker_id else { continue };
                nodes.push(Node {
                    id: id as BrokerId,
                    arn: node.node_arn,
                    endpoints: broker.endpoints.unwrap_or_default(),
                    broker_type: node.instance_type.as_deref().map(TypeName::from),
                    subnet: broker.client_subnet,
                    kafka_version: broker.current_broker_software_info.and_then(|software| software.kafka_version),
                });
            }
        }
        if nodes.len() as i64 > MOST_BROKERS {
            let (action, name) = (Action::ListNodes.name(), super::cluster_name(arn).to_owned());
            return Err(AwsError::TooManyBrokers { action, name, count: nodes.len() as i64 });
        }
        nodes.sort_by_key(|node| node.id);
        nodes.dedup_by_key(|node| node.id);
        Ok(nodes)
    }
}
