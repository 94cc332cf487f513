//! `kms.tf`: the stack's own key, and who may use it.

use super::{
    Stack,
    config::KmsKey,
    iam::{allow, policy_document},
};
use crate::hcl::{Address, Block, Document, Expression, Text, array, object};

pub(super) struct KmsFile {
    pub document: Document,
    pub key: Address,
}

/// Nothing, unless the stack has a key of its own.
pub(super) fn render(stack: &Stack) -> Option<KmsFile> {
    if stack.cluster().kms_key != KmsKey::Own {
        return None;
    }
    let (name, region) = (stack.cluster().name.as_str(), stack.region());
    let (account_block, account) = Block::data("aws_caller_identity", "current");
    let account_id = || account.attr("account_id");

    // IAM decides within the account; without this nobody could change the key any more (KMS Developer Guide).
    let owner = Text::new().literal("arn:aws:iam::").value(account_id()).literal(":root");
    let account_may = allow([
        ("Sid", "Account".into()),
        ("Principal", object([("AWS", owner)])),
        ("Action", "kms:*".into()),
        ("Resource", "*".into()),
    ]);
    let use_it = || array(["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]);
    let log_group = |service: &str| -> Expression {
        let of = Text::new().literal(format!("arn:aws:logs:{region}:")).value(account_id());
        of.literal(format!(":log-group:/aws/{service}/{name}")).into()
    };
    // CloudWatch Logs User Guide, "Encrypt log data in CloudWatch Logs using AWS KMS".
    let logs_may = allow([
        ("Sid", "Logs".into()),
        ("Principal", object([("Service", format!("logs.{region}.amazonaws.com"))])),
        ("Action", use_it()),
        ("Resource", "*".into()),
        (
            "Condition",
            object([(
                "ArnEquals",
                object([("kms:EncryptionContext:aws:logs:arn", array([log_group("msk"), log_group("vpc")]))]),
            )]),
        ),
    ]);
    // Amazon SNS Developer Guide, "Enable compatibility between event sources from AWS services and encrypted topics".
    let alarms_may = allow([
        ("Sid", "Alarms".into()),
        ("Principal", object([("Service", "cloudwatch.amazonaws.com")])),
        ("Action", array(["kms:Decrypt", "kms:GenerateDataKey*"])),
        ("Resource", "*".into()),
        ("Condition", object([("StringEquals", object([("aws:SourceAccount", account_id())]))])),
    ]);

    let (key_block, key) = Block::resource("aws_kms_key", "main");
    let key_block = key_block
        .set("description", format!("Brokers, logs and alarms of {name}"))
        .set("enable_key_rotation", true)
        .set("deletion_window_in_days", 7)
        .set("policy", policy_document([account_may, logs_may, alarms_may]))
        .set("tags", object([("Name", name)]));
    let (alias_block, _) = Block::resource("aws_kms_alias", "main");
    let alias_block = alias_block.set("name", format!("alias/{name}")).set("target_key_id", key.attr("key_id"));

    let document = Document::new().block(account_block).block(key_block).block(alias_block);
    Some(KmsFile { document, key })
}
