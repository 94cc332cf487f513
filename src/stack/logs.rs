//! `logs.tf`: where the brokers' logs go.

use super::Stack;
use crate::hcl::{Address, Block, Document};

pub(super) struct LogsFile {
    pub document: Document,
    pub group: Address,
}

pub(super) fn render(stack: &Stack) -> LogsFile {
    let (block, group) = Block::resource("aws_cloudwatch_log_group", "broker");
    let block = block
        .set("name", format!("/aws/msk/{}", stack.cluster().name))
        .set("retention_in_days", stack.cluster().log_retention_days);
    LogsFile { document: Document::new().block(block), group }
}
