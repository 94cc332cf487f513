//! `network.tf`: a VPC with a public subnet in each zone.

use super::Stack;
use crate::hcl::{Address, Block, Document, Text, attr_of, object};

pub(super) struct NetworkFile {
    pub document: Document,
    pub vpc: Address,
    /// Has an instance for each zone.
    pub subnets: Address,
    pub gateway: Address,
    /// What a machine in a subnet needs before it reaches the internet.
    pub ways_out: [Address; 2],
}

pub(super) fn render(stack: &Stack) -> NetworkFile {
    let name = stack.cluster().name.as_str();
    let named = |name: &str| object([("Name", name)]);

    // No DNS host names and no addresses by default: nothing here needs them, and the provider waits 10 s for each.
    let (vpc_block, vpc) = Block::resource("aws_vpc", "main");
    let vpc_block = vpc_block.set("cidr_block", stack.network().vpc_cidr.to_string()).set("tags", named(name));

    let (subnet_block, subnets) = Block::resource("aws_subnet", "broker");
    let cidrs = stack.zones().iter().zip(&stack.network().subnet_cidrs);
    let subnet_block = subnet_block
        .set("for_each", object(cidrs.map(|(zone, cidr)| (zone.as_str(), cidr.to_string()))))
        .set("vpc_id", vpc.attr("id"))
        .set("availability_zone", attr_of("each", "key"))
        .set("cidr_block", attr_of("each", "value"))
        .set("tags", object([("Name", Text::new().literal(format!("{name}-")).value(attr_of("each", "key")))]));

    let (gateway_block, gateway) = Block::resource("aws_internet_gateway", "main");
    let gateway_block = gateway_block.set("vpc_id", vpc.attr("id")).set("tags", named(name));

    let (table_block, table) = Block::resource("aws_route_table", "public");
    let table_block = table_block.set("vpc_id", vpc.attr("id")).set("tags", named(&format!("{name}-public")));

    let (route_block, route) = Block::resource("aws_route", "internet");
    let route_block = route_block
        .set("route_table_id", table.attr("id"))
        .set("destination_cidr_block", "0.0.0.0/0")
        .set("gateway_id", gateway.attr("id"));

    let (association_block, association) = Block::resource("aws_route_table_association", "public");
    let association_block = association_block
        .set("for_each", subnets.itself())
        .set("route_table_id", table.attr("id"))
        .set("subnet_id", subnets.at_each_key().attr("id"));

    let document = Document::new()
        .block(vpc_block)
        .commented("One subnet a zone: MSK puts the same number of brokers into each.", subnet_block)
        .commented("The client reaches Session Manager and its packages through here.", gateway_block)
        .block(table_block)
        .block(route_block)
        .block(association_block);
    NetworkFile { document, vpc, subnets, gateway, ways_out: [route, association] }
}
