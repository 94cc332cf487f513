//! `network.tf`: a VPC with a subnet in each zone, or an existing VPC and subnets.

use super::Stack;
use crate::hcl::{Address, Block, Document, Expression, Text, array, attr_of, equal, object};

pub(super) struct NetworkFile {
    pub document: Document,
    pub vpc: Address,
    /// Has an instance for each zone.
    pub subnets: Address,
    /// The internet gateway, where the stack makes one.
    pub gateway: Option<Address>,
    /// The route table of the subnets, where the stack makes it.
    pub routes: Option<Address>,
    /// What a machine in a subnet needs before it reaches anything outside.
    pub ways_out: Vec<Address>,
}

pub(super) fn render(stack: &Stack) -> NetworkFile {
    let (document, vpc) = vpc(stack);
    if stack.network().own_subnets() {
        own_subnets(stack, document, vpc)
    } else {
        existing_subnets(stack, document, vpc)
    }
}

fn named(name: &str) -> Expression {
    object([("Name", name)])
}

fn vpc(stack: &Stack) -> (Document, Address) {
    let name = stack.cluster().name.as_str();
    let network = stack.network();
    if let Some(id) = &network.vpc_id {
        let (block, vpc) = Block::data("aws_vpc", "main");
        return (Document::new().block(block.set("id", id.as_str())), vpc);
    }
    // No DNS host names and no addresses by default: nothing here needs them, and the provider waits 10 s for each.
    // Endpoints do: their private names are DNS names of the VPC.
    let (block, vpc) = Block::resource("aws_vpc", "main");
    let block = block
        .set("cidr_block", network.vpc_cidr.to_string())
        .set_some("enable_dns_hostnames", network.endpoints.then_some(true))
        .set("tags", named(name));
    let document = Document::new().block(block);
    if !network.close_default_security_group {
        return (document, vpc);
    }
    let (closed, _) = Block::resource("aws_default_security_group", "closed");
    let closed = closed.set("vpc_id", vpc.attr("id")).set("tags", named(&format!("{name}-closed")));
    (document.commented("Without rules, so that nothing uses it by mistake.", closed), vpc)
}

fn existing_subnets(stack: &Stack, document: Document, vpc: Address) -> NetworkFile {
    let ids = stack.zones().iter().zip(&stack.network().subnet_ids);
    let (block, subnets) = Block::data("aws_subnet", "broker");
    let zone = Block::new("postcondition")
        .set("condition", equal(attr_of("self", "availability_zone"), attr_of("each", "key")))
        .set(
            "error_message",
            Text::new().value(attr_of("each", "value")).literal(" is not in the zone given in kgen.toml."),
        );
    let block = block
        .set("for_each", object(ids.map(|(zone, id)| (zone.as_str(), id.as_str()))))
        .set("id", attr_of("each", "value"))
        .set("vpc_id", vpc.attr("id"))
        .nest(Block::new("lifecycle").nest(zone));
    let why = "One subnet per zone: MSK places the same number of brokers in each.";
    let document = document.commented(why, block);
    NetworkFile { document, vpc, subnets, gateway: None, routes: None, ways_out: Vec::new() }
}

fn own_subnets(stack: &Stack, document: Document, vpc: Address) -> NetworkFile {
    let name = stack.cluster().name.as_str();
    let (subnet_block, subnets) = Block::resource("aws_subnet", "broker");
    let cidrs = stack.zones().iter().zip(&stack.network().subnet_cidrs);
    let subnet_block = subnet_block
        .set("for_each", object(cidrs.map(|(zone, cidr)| (zone.as_str(), cidr.to_string()))))
        .set("vpc_id", vpc.attr("id"))
        .set("availability_zone", attr_of("each", "key"))
        .set("cidr_block", attr_of("each", "value"))
        .set("tags", object([("Name", Text::new().literal(format!("{name}-")).value(attr_of("each", "key")))]));
    let mut document =
        document.commented("One subnet per zone: MSK places the same number of brokers in each.", subnet_block);

    let kind = if stack.network().public { "public" } else { "private" };
    let (table_block, table) = Block::resource("aws_route_table", kind);
    let table_block = table_block.set("vpc_id", vpc.attr("id")).set("tags", named(&format!("{name}-{kind}")));
    let (association_block, association) = Block::resource("aws_route_table_association", kind);
    let association_block = association_block
        .set("for_each", subnets.itself())
        .set("route_table_id", table.attr("id"))
        .set("subnet_id", subnets.at_each_key().attr("id"));

    if !stack.network().public {
        let why = "No route leads out of the VPC; the endpoints give access to AWS.";
        let document = document.commented(why, table_block).block(association_block);
        let ways_out = vec![association];
        return NetworkFile { document, vpc, subnets, gateway: None, routes: Some(table), ways_out };
    }

    let why = "The client reaches Session Manager and its packages through here.";
    let (gateway, own_gateway) = if stack.network().vpc_id.is_some() {
        let (block, gateway) = Block::data("aws_internet_gateway", "main");
        let attached = Block::new("filter").set("name", "attachment.vpc-id").set("values", array([vpc.attr("id")]));
        document = document.commented(why, block.nest(attached));
        (gateway, None)
    } else {
        let (block, gateway) = Block::resource("aws_internet_gateway", "main");
        document = document.commented(why, block.set("vpc_id", vpc.attr("id")).set("tags", named(name)));
        (gateway.clone(), Some(gateway))
    };
    let gateway_id = if own_gateway.is_some() { "id" } else { "internet_gateway_id" };
    let (route_block, route) = Block::resource("aws_route", "internet");
    let route_block = route_block
        .set("route_table_id", table.attr("id"))
        .set("destination_cidr_block", "0.0.0.0/0")
        .set("gateway_id", gateway.attr(gateway_id));
    let document = document.block(table_block).block(route_block).block(association_block);
    NetworkFile {
        document,
        vpc,
        subnets,
        gateway: own_gateway,
        routes: Some(table),
        ways_out: vec![route, association],
    }
}
