//! `endpoints.tf`: endpoints inside the VPC for the AWS services that the client uses.

use super::{Stack, network::NetworkFile, security::group};
use crate::{
    hcl::{Address, Block, Document, Text, array, attr_of, call, object},
    stack::config::Authentication,
};

pub(super) struct EndpointsFile {
    pub document: Document,
    /// The security group of the endpoints.
    pub group: Address,
    /// Endpoints of services other than S3.
    pub interfaces: Address,
    /// The endpoint of S3, which is a route.
    pub s3: Address,
}

/// What the client asks: the brokers' API and metrics for `kgen watch`, and Session Manager (Systems Manager User Guide,
/// "Improve the security of EC2 instances by using VPC endpoints").
const SERVICES: [&str; 5] = ["ec2messages", "kafka", "monitoring", "ssm", "ssmmessages"];

/// Nothing, unless the stack asks for endpoints.
pub(super) fn render(stack: &Stack, network: &NetworkFile) -> Option<EndpointsFile> {
    if !stack.network().endpoints {
        return None;
    }
    let name = stack.cluster().name.as_str();
    let service = || Text::new().literal(format!("com.amazonaws.{}.", stack.region()));
    let (group_block, group) = group(stack, network, "endpoint", "VPC endpoints: only the client gets in");

    let secrets = stack.cluster().authenticates(Authentication::Scram).then_some("secretsmanager");
    let services = SERVICES.into_iter().chain(secrets);
    let (interface_block, interfaces) = Block::resource("aws_vpc_endpoint", "interface");
    let interface_block = interface_block
        .set("for_each", call("toset", [array(services)]))
        .set("vpc_id", network.vpc.attr("id"))
        .set("service_name", service().value(attr_of("each", "key")))
        .set("vpc_endpoint_type", "Interface")
        .set("subnet_ids", network.subnets.all("id"))
        .set("security_group_ids", array([group.attr("id")]))
        .set("private_dns_enabled", true)
        .set("tags", object([("Name", Text::new().literal(format!("{name}-")).value(attr_of("each", "key")))]));

    let (s3_block, s3) = Block::resource("aws_vpc_endpoint", "s3");
    let s3_block = s3_block
        .set("vpc_id", network.vpc.attr("id"))
        .set("service_name", service().literal("s3"))
        .set("vpc_endpoint_type", "Gateway")
        .set_some("route_table_ids", network.routes.as_ref().map(|table| array([table.attr("id")])))
        .set("tags", object([("Name", format!("{name}-s3"))]));

    let document = Document::new()
        .block(group_block)
        .block(interface_block)
        .commented("Amazon Linux keeps its packages in S3, and the client gets kgen from S3.", s3_block);
    Some(EndpointsFile { document, group, interfaces, s3 })
}
