//! `msk.tf`: the cluster and its configuration. The only file that depends on the broker type.

use std::collections::BTreeMap;

use super::{
    Stack,
    config::{Authentication, KmsKey},
    kms::KmsFile,
    logs::LogsFile,
    network::NetworkFile,
    security::SecurityFile,
};
use crate::hcl::{Address, Block, Document, array, heredoc, nested};

pub(super) struct MskFile {
    pub document: Document,
    pub cluster: Address,
}

/// What the cluster is in and writes to.
pub(super) struct Around<'a> {
    pub network: &'a NetworkFile,
    pub security: &'a SecurityFile,
    pub logs: &'a LogsFile,
    pub kms: Option<&'a KmsFile>,
}

pub(super) fn render(stack: &Stack, around: &Around) -> MskFile {
    let settings = stack.cluster();
    let name = settings.name.as_str();

    let (configuration_block, configuration) = Block::resource("aws_msk_configuration", "main");
    let properties = server_properties(stack);
    let lines: Vec<String> = properties.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let configuration_block =
        configuration_block.set("name", name).set("server_properties", heredoc(lines.iter().map(String::as_str)));

    let brokers = Block::new("broker_node_group_info")
        .set("instance_type", settings.broker_type.as_str())
        .set("client_subnets", around.network.subnets.all("id"))
        .set("security_groups", array([around.security.broker.attr("id")]))
        .nest_some(storage(stack));
    let configured = Block::new("configuration_info")
        .set("arn", configuration.attr("arn"))
        .set("revision", configuration.attr("latest_revision"));
    let key = match &settings.kms_key {
        KmsKey::Arn(arn) => Some(arn.as_str().into()),
        KmsKey::Own | KmsKey::Aws => around.kms.map(|kms| kms.key.attr("arn")),
    };
    let in_transit = Block::new("encryption_in_transit")
        .set("client_broker", settings.client_broker.as_str())
        .set("in_cluster", true);
    let encryption = Block::new("encryption_info").set_some("encryption_at_rest_kms_key_arn", key).nest(in_transit);
    let exporter = |name| Block::new(name).set("enabled_in_broker", settings.open_monitoring);
    let prometheus = Block::new("prometheus").nest(exporter("jmx_exporter")).nest(exporter("node_exporter"));
    // A cluster takes 15 to 40 minutes to create, and a change of type about as long for every three brokers.
    let timeouts = Block::new("timeouts").set("create", "90m").set("update", "3h").set("delete", "90m");
    // MSK grows the volumes; the next plan must not ask for the old size, which MSK would refuse.
    let grown = settings.autoscaling_max_gib.map(|_| {
        let size = nested(&["broker_node_group_info", "storage_info", "ebs_storage_info"], "volume_size");
        Block::new("lifecycle").set("ignore_changes", array([size]))
    });

    let (cluster_block, cluster) = Block::resource("aws_msk_cluster", "main");
    let cluster_block = cluster_block
        .set("cluster_name", name)
        .set("kafka_version", settings.kafka_version.as_str())
        .set("number_of_broker_nodes", settings.broker_count)
        .set("enhanced_monitoring", settings.monitoring.as_str())
        .set_some("storage_mode", settings.tiered_storage.then_some("TIERED"))
        .nest(brokers)
        .nest_some(authentication(stack))
        .nest(configured)
        .nest(encryption)
        .nest(Block::new("open_monitoring").nest(prometheus))
        .nest_some(logging(stack, around.logs))
        .nest(timeouts)
        .nest_some(grown);

    let why =
        "min.insync.replicas is one below the replicas of the topic, so that brokers can be restarted one by one.";
    let why = if settings.broker_type.is_express() { "" } else { why };
    let document = Document::new().commented(why, configuration_block).block(cluster_block);
    MskFile { document, cluster }
}

/// Volumes of the brokers; Express brokers have none.
fn storage(stack: &Stack) -> Option<Block> {
    let settings = stack.cluster();
    if settings.broker_type.is_express() {
        return None;
    }
    let throughput = settings
        .provisioned_throughput_mib_per_s
        .map(|rate| Block::new("provisioned_throughput").set("enabled", true).set("volume_throughput", rate));
    let volume = Block::new("ebs_storage_info").set("volume_size", settings.volume_gib).nest_some(throughput);
    Some(Block::new("storage_info").nest(volume))
}

/// Nothing where clients need not say who they are: MSK then takes everybody.
fn authentication(stack: &Stack) -> Option<Block> {
    let settings = stack.cluster();
    let by = |by| settings.authenticates(by);
    if settings.authentication == [Authentication::None] {
        return None;
    }
    let sasl = (by(Authentication::Iam) || by(Authentication::Scram)).then(|| {
        Block::new("sasl")
            .set_some("iam", by(Authentication::Iam).then_some(true))
            .set_some("scram", by(Authentication::Scram).then_some(true))
    });
    let authorities = settings.certificate_authority_arns.iter().map(String::as_str);
    let tls = by(Authentication::Tls).then(|| Block::new("tls").set("certificate_authority_arns", array(authorities)));
    let block = Block::new("client_authentication")
        .set_some("unauthenticated", by(Authentication::None).then_some(true))
        .nest_some(sasl)
        .nest_some(tls);
    Some(block)
}

/// Where the brokers log to; nothing, if nowhere.
fn logging(stack: &Stack, logs: &LogsFile) -> Option<Block> {
    let to = stack.logs();
    let cloudwatch = logs
        .group
        .as_ref()
        .map(|group| Block::new("cloudwatch_logs").set("enabled", true).set("log_group", group.attr("name")));
    let s3 = to.s3_bucket.as_ref().map(|bucket| {
        Block::new("s3").set("enabled", true).set("bucket", bucket.as_str()).set_some("prefix", to.s3_prefix.as_deref())
    });
    let firehose = to
        .firehose_stream
        .as_ref()
        .map(|stream| Block::new("firehose").set("enabled", true).set("delivery_stream", stream.as_str()));
    let any = cloudwatch.is_some() || s3.is_some() || firehose.is_some();
    let brokers = Block::new("broker_logs").nest_some(cloudwatch).nest_some(firehose).nest_some(s3);
    any.then(|| Block::new("logging_info").nest(brokers))
}

/// The stack's properties over these defaults.
fn server_properties(stack: &Stack) -> BTreeMap<String, String> {
    let replicas = stack.topic().replication_factor;
    let day_ms = 24 * 60 * 60 * 1000;
    let mut properties = match stack.cluster().broker_type.is_express() {
        // Express brokers fix the replicas, and take the time only in milliseconds.
        true => BTreeMap::from([
            ("auto.create.topics.enable".to_owned(), "false".to_owned()),
            ("log.retention.ms".to_owned(), day_ms.to_string()),
        ]),
        false => BTreeMap::from([
            ("auto.create.topics.enable".to_owned(), "false".to_owned()),
            ("default.replication.factor".to_owned(), replicas.to_string()),
            // One below the replicas (MSK best practices): a rolling restart then stops no producer with acks=all.
            ("min.insync.replicas".to_owned(), replicas.saturating_sub(1).max(1).to_string()),
            ("log.retention.hours".to_owned(), "24".to_owned()),
            ("unclean.leader.election.enable".to_owned(), "false".to_owned()),
        ]),
    };
    let chosen = stack.cluster().server_properties.iter();
    properties.extend(chosen.map(|(key, value)| (key.clone(), value.to_string())));
    properties
}
