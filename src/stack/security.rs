//! `security.tf`: the client reaches the brokers; nobody else does, and nobody reaches the client.

use super::{Stack, network::NetworkFile};
use crate::hcl::{Address, Block, Document, each_value, object};

pub(super) struct SecurityFile {
    pub document: Document,
    pub client: Address,
    pub broker: Address,
    /// The rule that lets the client fetch what it installs.
    pub client_to_https: Address,
}

/// Ports of a broker that a client may need (MSK Developer Guide, "Port information" and "Open monitoring").
const BROKER_PORTS: [(&str, u16, u16); 3] =
    [("plaintext", 9092, 9092), ("tls", 9094, 9094), ("monitoring", 11001, 11002)];

pub(super) fn render(stack: &Stack, network: &NetworkFile) -> SecurityFile {
    let name = stack.cluster().name.as_str();
    let group = |label: &'static str, description: &str| {
        let (block, address) = Block::resource("aws_security_group", label);
        let block = block
            .set("name", format!("{name}-{label}"))
            .set("description", description)
            .set("vpc_id", network.vpc.attr("id"))
            .set("tags", object([("Name", format!("{name}-{label}"))]));
        (block, address)
    };
    let (client_block, client) = group("client", "Client instance: no way in, Session Manager goes out");
    let (broker_block, broker) = group("broker", "MSK brokers: only the client gets in");

    // Rules are resources of their own, so that one can be added without touching a group; the description of a rule
    // is left out, because emulators of AWS drop it and would show a change for ever.
    let ports = || object(BROKER_PORTS.map(|(label, from, to)| (label, object([("from", from), ("to", to)]))));
    let between = |kind: &'static str, label: &'static str, of: &Address, other: &Address| {
        let (block, _) = Block::resource(kind, label);
        block
            .set("for_each", ports())
            .set("security_group_id", of.attr("id"))
            .set("referenced_security_group_id", other.attr("id"))
            .set("ip_protocol", "tcp")
            .set("from_port", each_value("from"))
            .set("to_port", each_value("to"))
    };
    let client_in = between("aws_vpc_security_group_ingress_rule", "broker_from_client", &broker, &client);
    let client_out = between("aws_vpc_security_group_egress_rule", "client_to_broker", &client, &broker);

    let (https, client_to_https) = Block::resource("aws_vpc_security_group_egress_rule", "client_to_https");
    let https = https
        .set("security_group_id", client.attr("id"))
        .set("cidr_ipv4", "0.0.0.0/0")
        .set("ip_protocol", "tcp")
        .set("from_port", 443)
        .set("to_port", 443);

    let (inside, _) = Block::resource("aws_vpc_security_group_egress_rule", "broker_to_vpc");
    let inside = inside
        .set("security_group_id", broker.attr("id"))
        .set("cidr_ipv4", network.vpc.attr("cidr_block"))
        .set("ip_protocol", "-1");

    let document = Document::new()
        .block(client_block)
        .block(broker_block)
        .commented("9092 plaintext, 9094 TLS, 11001 JMX exporter, 11002 node exporter.", client_in)
        .block(client_out)
        .commented("Session Manager, packages, the APIs of AWS.", https)
        .commented("Brokers need no way out of the VPC.", inside);
    SecurityFile { document, client, broker, client_to_https }
}
