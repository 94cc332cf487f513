//! `msk.tf`: the cluster and its configuration. The only file that depends on the broker type.

use std::collections::BTreeMap;

use super::{Stack, logs::LogsFile, network::NetworkFile, security::SecurityFile};
use crate::hcl::{Address, Block, Document, array, heredoc};

pub(super) struct MskFile {
    pub document: Document,
    pub cluster: Address,
}

pub(super) fn render(stack: &Stack, network: &NetworkFile, security: &SecurityFile, logs: &LogsFile) -> MskFile {
    let settings = stack.cluster();
    let name = settings.name.as_str();

    let (configuration_block, configuration) = Block::resource("aws_msk_configuration", "main");
    let properties = server_properties(stack);
    let lines: Vec<String> = properties.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let configuration_block =
        configuration_block.set("name", name).set("server_properties", heredoc(lines.iter().map(String::as_str)));

    let storage = Block::new("ebs_storage_info").set("volume_size", settings.volume_gib);
    let brokers = Block::new("broker_node_group_info")
        .set("instance_type", settings.broker_type.as_str())
        .set("client_subnets", network.subnets.all("id"))
        .set("security_groups", array([security.broker.attr("id")]))
        .nest(Block::new("storage_info").nest(storage));
    let configured = Block::new("configuration_info")
        .set("arn", configuration.attr("arn"))
        .set("revision", configuration.attr("latest_revision"));
    let in_transit = Block::new("encryption_in_transit").set("client_broker", "TLS_PLAINTEXT").set("in_cluster", true);
    let exporter = |name| Block::new(name).set("enabled_in_broker", true);
    let prometheus = Block::new("prometheus").nest(exporter("jmx_exporter")).nest(exporter("node_exporter"));
    let cloudwatch = Block::new("cloudwatch_logs").set("enabled", true).set("log_group", logs.group.attr("name"));
    // A cluster takes 15 to 40 minutes to create, and a change of type about as long for every three brokers.
    let timeouts = Block::new("timeouts").set("create", "90m").set("update", "3h").set("delete", "90m");

    let (cluster_block, cluster) = Block::resource("aws_msk_cluster", "main");
    let cluster_block = cluster_block
        .set("cluster_name", name)
        .set("kafka_version", settings.kafka_version.as_str())
        .set("number_of_broker_nodes", settings.broker_count)
        .set("enhanced_monitoring", settings.monitoring.as_str())
        .nest(brokers)
        .nest(configured)
        .nest(Block::new("encryption_info").nest(in_transit))
        .nest(Block::new("open_monitoring").nest(prometheus))
        .nest(Block::new("logging_info").nest(Block::new("broker_logs").nest(cloudwatch)))
        .nest(timeouts);

    let why =
        "min.insync.replicas is one below the replicas of the topic, so that brokers can be restarted one by one.";
    let document = Document::new().commented(why, configuration_block).block(cluster_block);
    MskFile { document, cluster }
}

/// The stack's properties over these defaults.
fn server_properties(stack: &Stack) -> BTreeMap<String, String> {
    let replicas = stack.topic().replication_factor;
    let mut properties = BTreeMap::from([
        ("auto.create.topics.enable".to_owned(), "false".to_owned()),
        ("default.replication.factor".to_owned(), replicas.to_string()),
        // One below the replicas (MSK best practices): a rolling restart then stops no producer with acks=all.
        ("min.insync.replicas".to_owned(), replicas.saturating_sub(1).max(1).to_string()),
        ("log.retention.hours".to_owned(), "24".to_owned()),
        ("unclean.leader.election.enable".to_owned(), "false".to_owned()),
    ]);
    let chosen = stack.cluster().server_properties.iter();
    properties.extend(chosen.map(|(key, value)| (key.clone(), value.to_string())));
    properties
}
