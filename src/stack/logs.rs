//! `logs.tf`: where the brokers' logs go, and what passes through the VPC.

use super::{
    Stack,
    iam::{allow, policy_document},
    kms::KmsFile,
    network::NetworkFile,
};
use crate::hcl::{Address, Block, Document, Text, array, object};

pub(super) struct LogsFile {
    pub document: Document,
    /// Where the brokers log to, unless they do not log to CloudWatch.
    pub group: Option<Address>,
}

pub(super) fn render(stack: &Stack, network: &NetworkFile, kms: Option<&KmsFile>) -> LogsFile {
    let name = stack.cluster().name.as_str();
    let group = |label: &'static str, service: &str| {
        let (block, address) = Block::resource("aws_cloudwatch_log_group", label);
        let block = block
            .set("name", format!("/aws/{service}/{name}"))
            .set("retention_in_days", stack.cluster().log_retention_days)
            .set_some("kms_key_id", kms.map(|kms| kms.key.attr("arn")));
        (block, address)
    };
    let mut document = Document::new();
    let mut brokers = None;
    if stack.logs().cloudwatch {
        let (block, address) = group("broker", "msk");
        document = document.block(block);
        brokers = Some(address);
    }
    if stack.network().flow_logs {
        let (group_block, flow) = group("flow", "vpc");
        document = document.block(group_block);
        document = flow_logs(name, document, &flow, network);
    }
    LogsFile { document, group: brokers }
}

fn flow_logs(name: &str, document: Document, group: &Address, network: &NetworkFile) -> Document {
    let assume = allow([
        ("Action", "sts:AssumeRole".into()),
        ("Principal", object([("Service", "vpc-flow-logs.amazonaws.com")])),
    ]);
    let (role_block, role) = Block::resource("aws_iam_role", "flow_logs");
    let role_block =
        role_block.set("name", format!("{name}-flow-logs")).set("assume_role_policy", policy_document([assume]));

    // Amazon VPC User Guide, "IAM role for publishing flow logs to CloudWatch Logs"; the group is there already.
    let write = allow([
        ("Action", array(["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"])),
        ("Resource", Text::new().value(group.attr("arn")).literal(":*").into()),
    ]);
    let (policy_block, _) = Block::resource("aws_iam_role_policy", "flow_logs");
    let policy_block = policy_block
        .set("name", "flow-logs-write")
        .set("role", role.attr("id"))
        .set("policy", policy_document([write]));

    let (flow_block, _) = Block::resource("aws_flow_log", "main");
    let flow_block = flow_block
        .set("vpc_id", network.vpc.attr("id"))
        .set("traffic_type", "ALL")
        .set("log_destination_type", "cloud-watch-logs")
        .set("log_destination", group.attr("arn"))
        .set("iam_role_arn", role.attr("arn"))
        .set("tags", object([("Name", name)]));
    document.block(role_block).block(policy_block).commented("Accepted and rejected traffic in the VPC.", flow_block)
}
