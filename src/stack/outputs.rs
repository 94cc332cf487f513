//! `outputs.tf`: values for people and programs, and the commands to run next.
//!
//! The cluster's `current_version` is no output: it goes stale with every change, and the next plan would not be empty.

use super::{
    Stack,
    client::{ClientFile, PRODUCER},
    config::Authentication,
    logs::LogsFile,
    msk::MskFile,
    network::NetworkFile,
    run_command::RunCommandFile,
};
use crate::hcl::{Block, Document, Expression, Text};

/// How a client connects: the attribute of the cluster that names the brokers, and settings of librdkafka.
struct Listener {
    brokers: &'static str,
    settings: Vec<String>,
}

/// What the outputs are about.
pub(super) struct Of<'a> {
    pub network: &'a NetworkFile,
    pub logs: &'a LogsFile,
    pub msk: &'a MskFile,
    pub client: &'a ClientFile,
    pub run_command: Option<&'a RunCommandFile>,
}

pub(super) fn render(stack: &Stack, of: &Of) -> Document {
    let Of { network, logs, msk, client, run_command } = *of;
    let cluster = &msk.cluster;
    let settings = stack.cluster();
    let session = Text::new()
        .literal(format!("aws ssm start-session --region {} --target ", stack.region()))
        .value(client.instance.attr("id"));
    let by = |by| settings.authenticates(by);
    let brokers = |name: &str| Some(cluster.attr(name));

    let outputs: [(&str, &str, Option<Expression>); 15] = [
        ("client_instance_id", "EC2 instance to send load from", Some(client.instance.attr("id"))),
        (
            "client_instance_ids",
            "All EC2 instances to send load from",
            client.instances.as_ref().map(|instances| instances.all_numbered("id")),
        ),
        ("msk_cluster_arn", "ARN of the MSK cluster", Some(cluster.attr("arn"))),
        (
            "msk_cluster_name",
            "Name of the MSK cluster, as in the dimension Cluster Name",
            Some(cluster.attr("cluster_name")),
        ),
        (
            "bootstrap_brokers",
            "Brokers without encryption, host:port, separated by commas",
            brokers("bootstrap_brokers").filter(|_| settings.has_plaintext()),
        ),
        (
            "bootstrap_brokers_tls",
            "Brokers with TLS, host:port, separated by commas",
            brokers("bootstrap_brokers_tls").filter(|_| settings.has_tls()),
        ),
        (
            "bootstrap_brokers_sasl_scram",
            "Brokers with SASL/SCRAM, host:port, separated by commas",
            brokers("bootstrap_brokers_sasl_scram").filter(|_| by(Authentication::Scram)),
        ),
        (
            "bootstrap_brokers_sasl_iam",
            "Brokers with SASL/IAM, host:port, separated by commas",
            brokers("bootstrap_brokers_sasl_iam").filter(|_| by(Authentication::Iam)),
        ),
        ("vpc_id", "VPC of brokers and client", Some(network.vpc.attr("id"))),
        ("cloudwatch_log_group", "Log group of the brokers", logs.group.as_ref().map(|group| group.attr("name"))),
        ("region", "AWS region of the stack", Some(stack.region().into())),
        ("ssm_session_command", "Opens a shell on the client", Some(session.into())),
        ("topic_create_command", "Creates the topic; run it on the client", Some(topic_create(stack, msk))),
        (
            "load_policy_arn",
            "IAM policy for sending load from all clients with `kgen produce --on clients`",
            run_command.map(|run_command| run_command.driver.attr("arn")),
        ),
        ("load_command", "Sends the load; run it on the client", Some(load(stack, msk))),
    ];
    let outputs = outputs.into_iter().filter_map(|(name, description, value)| Some((name, description, value?)));
    outputs.fold(Document::new(), |document, (name, description, value)| {
        document.block(Block::labelled("output", name).set("description", description).set("value", value))
    })
}

fn topic_create(stack: &Stack, msk: &MskFile) -> Expression {
    let topic = stack.topic();
    let listener = Listener::of(stack);
    let brokers = msk.cluster.attr(listener.brokers);
    // Kafka's tools take settings from a file only, and for IAM a jar that they do not bring.
    if listener.settings.is_empty() && stack.client().kafka_tools {
        let create = Text::new().literal("/opt/kafka/bin/kafka-topics.sh --bootstrap-server ").value(brokers);
        return create
            .literal(format!(
                " --create --if-not-exists --topic {} --partitions {} --replication-factor {}",
                topic.name, topic.partitions, topic.replication_factor
            ))
            .into();
    }
    let create = Text::new().literal("kgen topic create --bootstrap-servers ").value(brokers).literal(format!(
        " {} --partitions {} --replication-factor {} --if-not-exists{}",
        topic.name,
        topic.partitions,
        topic.replication_factor,
        listener.options()
    ));
    create.into()
}

fn load(stack: &Stack, msk: &MskFile) -> Expression {
    let (topic, load) = (stack.topic(), stack.load_settings());
    let listener = Listener::of(stack);
    let produce = Text::new()
        .literal(format!("{PRODUCER} --bootstrap-servers "))
        .value(msk.cluster.attr(listener.brokers))
        .literal(format!(
            " --topic {} --rate {} --duration {}{}",
            topic.name,
            load.rate,
            load.duration_s,
            listener.options()
        ));
    produce.into()
}

impl Listener {
    /// The listener that asks least of a client.
    fn of(stack: &Stack) -> Listener {
        let cluster = stack.cluster();
        let by = |by| cluster.authenticates(by);
        let settings = |list: &[&str]| list.iter().map(|setting| (*setting).to_owned()).collect();
        if cluster.has_plaintext() {
            return Listener { brokers: "bootstrap_brokers", settings: Vec::new() };
        }
        if by(Authentication::None) {
            return Listener { brokers: "bootstrap_brokers_tls", settings: settings(&["security.protocol=ssl"]) };
        }
        if by(Authentication::Iam) {
            return Listener {
                brokers: "bootstrap_brokers_sasl_iam",
                settings: settings(&["security.protocol=sasl_ssl", "sasl.mechanisms=OAUTHBEARER"]),
            };
        }
        if by(Authentication::Scram) {
            let user = cluster.scram_users.first().map_or("USER", String::as_str);
            return Listener {
                brokers: "bootstrap_brokers_sasl_scram",
                settings: settings(&[
                    "security.protocol=sasl_ssl",
                    "sasl.mechanisms=SCRAM-SHA-512",
                    &format!("sasl.username={user}"),
                    "sasl.password=\"$SASL_PASSWORD\"",
                ]),
            };
        }
        // Where the client keeps its key is the user's to say.
        let files = ["ssl.certificate.location=client.pem", "ssl.key.location=client.key"];
        Listener {
            brokers: "bootstrap_brokers_tls",
            settings: settings(&["security.protocol=ssl", files[0], files[1]]),
        }
    }

    fn options(&self) -> String {
        self.settings.iter().map(|setting| format!(" --set {setting}")).collect()
    }
}
