//! `security.tf`: the client reaches the brokers; nobody else does, and nobody reaches the client.

use super::{Stack, config::Authentication, endpoints::EndpointsFile, network::NetworkFile};
use crate::hcl::{Address, Block, Document, Expression, Text, attr_of, each_value, object};

pub(super) struct SecurityFile {
    pub document: Document,
    pub client: Address,
    pub broker: Address,
    /// The rules that let the client fetch what it installs.
    pub client_out: Vec<Address>,
}

/// A range of ports of a broker: its name, from, to, and what is behind it.
type Ports = (&'static str, u16, u16, &'static str);

/// Ports of a broker that a client may need (MSK Developer Guide, "Port information" and "Open monitoring").
fn broker_ports(stack: &Stack) -> Vec<Ports> {
    let cluster = stack.cluster();
    let ports: [(bool, Ports); 5] = [
        (cluster.has_plaintext(), ("plaintext", 9092, 9092, "9092 plaintext")),
        (cluster.has_tls(), ("tls", 9094, 9094, "9094 TLS")),
        (cluster.authenticates(Authentication::Scram), ("scram", 9096, 9096, "9096 SASL/SCRAM")),
        (cluster.authenticates(Authentication::Iam), ("iam", 9098, 9098, "9098 SASL/IAM")),
        (cluster.open_monitoring, ("monitoring", 11001, 11002, "11001 JMX exporter, 11002 node exporter")),
    ];
    ports.into_iter().filter_map(|(open, ports)| open.then_some(ports)).collect()
}

/// A security group without rules.
pub(super) fn group(stack: &Stack, network: &NetworkFile, label: &'static str, description: &str) -> (Block, Address) {
    let name = format!("{}-{label}", stack.cluster().name);
    let (block, address) = Block::resource("aws_security_group", label);
    let block = block
        .set("name", name.as_str())
        .set("description", description)
        .set("vpc_id", network.vpc.attr("id"))
        .set("tags", object([("Name", name.as_str())]));
    (block, address)
}

/// Rules are resources of their own, so that one can be added without touching a group; the description of a rule is
/// left out unless it is requested, because emulators of AWS drop it, and the next plan would show a change.
fn rule(
    stack: &Stack,
    kind: &'static str,
    label: &'static str,
    of: &Address,
    description: impl Into<Expression>,
) -> (Block, Address) {
    let (block, address) = Block::resource(kind, label);
    (rule_of(stack, block, of, description), address)
}

fn rule_of(stack: &Stack, block: Block, of: &Address, description: impl Into<Expression>) -> Block {
    let described = stack.network().rule_descriptions.then(|| description.into());
    block.set("security_group_id", of.attr("id")).set_some("description", described)
}

const INGRESS: &str = "aws_vpc_security_group_ingress_rule";
const EGRESS: &str = "aws_vpc_security_group_egress_rule";

pub(super) fn render(stack: &Stack, network: &NetworkFile, endpoints: Option<&EndpointsFile>) -> SecurityFile {
    let (client_block, client) =
        group(stack, network, "client", "Client instance: no way in, Session Manager goes out");
    let (broker_block, broker) = group(stack, network, "broker", "MSK brokers: only the client gets in");

    let ports = broker_ports(stack);
    let between = |kind: &'static str, label: &'static str, of: &Address, other: &Address| {
        let ranges = ports.iter().map(|(name, from, to, _)| (*name, object([("from", *from), ("to", *to)])));
        let (block, _) = Block::resource(kind, label);
        let description = Text::new().literal("Client to brokers: ").value(attr_of("each", "key"));
        rule_of(stack, block.set("for_each", object(ranges)), of, description)
            .set("referenced_security_group_id", other.attr("id"))
            .set("ip_protocol", "tcp")
            .set("from_port", each_value("from"))
            .set("to_port", each_value("to"))
    };
    let client_in = between(INGRESS, "broker_from_client", &broker, &client);
    let client_out = between(EGRESS, "client_to_broker", &client, &broker);

    let (inside, _) = rule(stack, EGRESS, "broker_to_vpc", &broker, "Brokers to one another and to clients of the VPC");
    let inside = inside.set("cidr_ipv4", network.vpc.attr("cidr_block")).set("ip_protocol", "-1");

    let listening = ports.iter().map(|(.., said)| *said).collect::<Vec<_>>().join(", ");
    let document = Document::new()
        .block(client_block)
        .block(broker_block)
        .commented(&format!("{listening}."), client_in)
        .block(client_out);
    let (document, client_out) = ways_out(stack, document, &client, endpoints);
    let document = document.commented("Brokers need no way out of the VPC.", inside);
    SecurityFile { document, client, broker, client_out }
}

/// HTTPS from the client: to the endpoints where there are some, and to the internet where it has a way there.
fn ways_out(
    stack: &Stack,
    mut document: Document,
    client: &Address,
    endpoints: Option<&EndpointsFile>,
) -> (Document, Vec<Address>) {
    let https = |block: Block| block.set("ip_protocol", "tcp").set("from_port", 443).set("to_port", 443);
    let mut ways = Vec::new();
    if let Some(endpoints) = endpoints {
        let (block, address) = rule(stack, INGRESS, "endpoint_from_client", &endpoints.group, "Client to AWS");
        let block = https(block.set("referenced_security_group_id", client.attr("id")));
        document = document.commented("Session Manager, the APIs of AWS.", block);
        ways.push(address);
        let (block, address) = rule(stack, EGRESS, "client_to_endpoint", client, "Client to AWS");
        document = document.block(https(block.set("referenced_security_group_id", endpoints.group.attr("id"))));
        ways.push(address);
        let (block, address) = rule(stack, EGRESS, "client_to_s3", client, "Client to S3: packages, kgen");
        let block = https(block.set("prefix_list_id", endpoints.s3.attr("prefix_list_id")));
        document = document.commented("Packages, kgen.", block);
        ways.push(address);
    }
    if stack.network().public || endpoints.is_none() {
        let (block, address) = rule(stack, EGRESS, "client_to_https", client, "Session Manager, packages, APIs of AWS");
        let block = https(block.set("cidr_ipv4", "0.0.0.0/0"));
        document = document.commented("Session Manager, packages, the APIs of AWS.", block);
        ways.push(address);
    }
    (document, ways)
}
