//! `outputs.tf`: what people and programs ask for by name, and the commands that come next.
//!
//! The cluster's `current_version` is no output: it goes stale with every change, and the next plan would not be empty.

use super::{
    Stack,
    client::{ClientFile, PRODUCER},
    logs::LogsFile,
    msk::MskFile,
    network::NetworkFile,
};
use crate::hcl::{Block, Document, Expression, Text};

pub(super) fn render(
    stack: &Stack,
    network: &NetworkFile,
    logs: &LogsFile,
    msk: &MskFile,
    client: &ClientFile,
) -> Document {
    let cluster = &msk.cluster;
    let brokers = || cluster.attr("bootstrap_brokers");
    let (topic, load) = (stack.topic(), stack.load_settings());

    let session = Text::new()
        .literal(format!("aws ssm start-session --region {} --target ", stack.region()))
        .value(client.instance.attr("id"));
    let create =
        Text::new().literal("/opt/kafka/bin/kafka-topics.sh --bootstrap-server ").value(brokers()).literal(format!(
            " --create --if-not-exists --topic {} --partitions {} --replication-factor {}",
            topic.name, topic.partitions, topic.replication_factor
        ));
    let produce = Text::new()
        .literal(format!("{PRODUCER} --bootstrap-servers "))
        .value(brokers())
        .literal(format!(" --topic {} --rate {} --duration {}", topic.name, load.rate, load.duration_s));

    let outputs: [(&str, &str, Expression); 11] = [
        ("client_instance_id", "EC2 instance to send load from", client.instance.attr("id")),
        ("msk_cluster_arn", "ARN of the MSK cluster", cluster.attr("arn")),
        ("msk_cluster_name", "Name of the MSK cluster, as in the dimension Cluster Name", cluster.attr("cluster_name")),
        ("bootstrap_brokers", "Brokers without encryption, host:port, separated by commas", brokers()),
        ("bootstrap_brokers_tls", "Brokers with TLS, likewise", cluster.attr("bootstrap_brokers_tls")),
        ("vpc_id", "VPC of brokers and client", network.vpc.attr("id")),
        ("cloudwatch_log_group", "Log group of the brokers", logs.group.attr("name")),
        ("region", "Where all of it is", stack.region().into()),
        ("ssm_session_command", "Opens a shell on the client", session.into()),
        ("topic_create_command", "Creates the topic; to be run on the client", create.into()),
        ("load_command", "Sends the load; to be run on the client", produce.into()),
    ];
    outputs.into_iter().fold(Document::new(), |document, (name, description, value)| {
        document.block(Block::labelled("output", name).set("description", description).set("value", value))
    })
}
