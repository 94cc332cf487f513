//! `scram.tf`: names and passwords of SASL/SCRAM.

use super::{
    Stack,
    config::{Authentication, KmsKey},
    kms::KmsFile,
    msk::MskFile,
};
use crate::hcl::{Address, Block, Document, Expression, Text, array, attr_of, call, object};

pub(super) struct ScramFile {
    pub document: Document,
    /// The secrets of the stack's own users, an instance a user.
    pub secrets: Option<Address>,
}

/// Nothing, unless clients authenticate by SASL/SCRAM.
pub(super) fn render(stack: &Stack, msk: &MskFile, kms: Option<&KmsFile>) -> Option<ScramFile> {
    let cluster = stack.cluster();
    if !cluster.authenticates(Authentication::Scram) {
        return None;
    }
    let given = array(cluster.scram_secret_arns.iter().map(String::as_str));
    if cluster.scram_users.is_empty() {
        return Some(ScramFile { document: association(Document::new(), msk, given, &[]), secrets: None });
    }
    let key = match &cluster.kms_key {
        KmsKey::Arn(arn) => Some(Expression::from(arn.as_str())),
        KmsKey::Own | KmsKey::Aws => kms.map(|kms| kms.key.attr("arn")),
    };
    let users = || call("toset", [array(cluster.scram_users.iter().map(String::as_str))]);

    // MSK takes secrets of this prefix only.
    let name = Text::new().literal(format!("AmazonMSK_{}_", cluster.name)).value(attr_of("each", "key"));
    let (secret_block, secrets) = Block::resource("aws_secretsmanager_secret", "scram");
    let secret_block = secret_block
        .set("for_each", users())
        .set("name", name)
        .set_some("kms_key_id", key)
        .set("recovery_window_in_days", 0);

    let (password_block, passwords) = Block::ephemeral("aws_secretsmanager_random_password", "scram");
    let password_block =
        password_block.set("for_each", users()).set("password_length", 32).set("exclude_punctuation", true);

    let content =
        object([("username", attr_of("each", "key")), ("password", passwords.at_each_key().attr("random_password"))]);
    let (version_block, versions) = Block::resource("aws_secretsmanager_secret_version", "scram");
    let version_block = version_block
        .set("for_each", users())
        .set("secret_id", secrets.at_each_key().attr("id"))
        .set("secret_string_wo", call("jsonencode", [content]))
        .set("secret_string_wo_version", 1);

    let document = Document::new()
        .commented("Deleted immediately, so that an apply after a destroy can reuse the name.", secret_block)
        .block(password_block)
        .commented(
            "The password is stored neither in plans nor in the state. A higher version creates a new one.",
            version_block,
        );
    let own = secrets.all("arn");
    let all = if cluster.scram_secret_arns.is_empty() { own } else { call("concat", [own, given]) };
    Some(ScramFile { document: association(document, msk, all, &[versions]), secrets: Some(secrets) })
}

fn association(document: Document, msk: &MskFile, secrets: Expression, after: &[Address]) -> Document {
    let (block, _) = Block::resource("aws_msk_scram_secret_association", "main");
    let block = block
        .set("cluster_arn", msk.cluster.attr("arn"))
        .set("secret_arn_list", secrets)
        .set_some("depends_on", (!after.is_empty()).then(|| array(after.iter().map(Address::itself))));
    document.block(block)
}
