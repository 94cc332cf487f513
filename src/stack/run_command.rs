//! `run_command.tf`: what a load from the clients needs of Systems Manager: a document that runs it, a bucket for long
//! reports, and who may use both.

use super::{
    Stack,
    client::ClientFile,
    iam::{IamFile, allow, policy_document},
    kms::KmsFile,
};
use crate::hcl::{Address, Block, Document, Expression, Text, array, call, object};

pub(super) struct RunCommandFile {
    pub document: Document,
    /// Allows to drive a load, and no more.
    pub driver: Address,
}

/// What the document is called; kgen looks it up by this name.
pub fn document_name(cluster: &str) -> String {
    format!("{cluster}-load")
}

/// The parameter whose default is the name of the bucket; kgen reads it.
pub const BUCKET_PARAMETER: &str = "resultsBucket";
/// Below which prefix of the bucket the reports go.
pub const PREFIX: &str = "kgen/";
/// Days after which reports are deleted.
const KEPT_DAYS: u32 = 7;

/// Actions on commands, for which IAM knows no resource that could be named before (Service Authorization Reference).
const ON_COMMANDS: [&str; 4] =
    ["ssm:CancelCommand", "ssm:DescribeInstanceInformation", "ssm:GetCommandInvocation", "ssm:ListCommandInvocations"];

/// Nothing, unless the stack is to send load from its clients together.
pub(super) fn render(
    stack: &Stack,
    client: &ClientFile,
    iam: &IamFile,
    kms: Option<&KmsFile>,
) -> Option<RunCommandFile> {
    if !stack.client().has_run_command() {
        return None;
    }
    let name = stack.cluster().name.as_str();
    let (document, bucket) = bucket(stack, kms);
    let (ssm_block, ssm) = document_block(name, &bucket);
    let reports = || Text::new().value(bucket.attr("arn")).literal(format!("/{PREFIX}*"));

    // The agent also sets an access list, and goes on where it may not (s3util of amazon-ssm-agent).
    let put = allow([("Action", "s3:PutObject".into()), ("Resource", reports().into())]);
    let encrypt = key(kms, "kms:GenerateDataKey");
    let (client_block, _) = Block::resource("aws_iam_role_policy", "report");
    let client_block = client_block
        .set("name", "report")
        .set("role", iam.role.attr("id"))
        .set("policy", policy_document([put].into_iter().chain(encrypt)));

    let instances = match &client.instances {
        Some(all) => all.all_numbered("arn"),
        None => array([client.instance.attr("arn")]),
    };
    let send = allow([
        ("Action", "ssm:SendCommand".into()),
        ("Resource", call("concat", [array([ssm.attr("arn")]), instances])),
    ]);
    let look_up = allow([("Action", "ssm:GetDocument".into()), ("Resource", ssm.attr("arn"))]);
    let follow = allow([("Action", array(ON_COMMANDS)), ("Resource", "*".into())]);
    let get = allow([("Action", "s3:GetObject".into()), ("Resource", reports().into())]);
    let (driver_block, driver) = Block::resource("aws_iam_policy", "load");
    let driver_block = driver_block
        .set("name", document_name(name))
        .set("description", format!("Sends load from the clients of {name}"))
        .set("policy", policy_document([send, look_up, follow, get].into_iter().chain(key(kms, "kms:Decrypt"))));

    let document = document
        .commented(
            "Runs a script as ec2-user, not as root; kgen finds the bucket by the default of its parameter.",
            ssm_block,
        )
        .commented("The clients write reports and cannot read them.", client_block)
        .commented("For whoever sends load from elsewhere: attach it to their role.", driver_block);
    Some(RunCommandFile { document, driver })
}

fn key(kms: Option<&KmsFile>, action: &'static str) -> Option<Expression> {
    kms.map(|kms| allow([("Action", action.into()), ("Resource", kms.key.attr("arn"))]))
}

fn document_block(name: &str, bucket: &Address) -> (Block, Address) {
    let parameter = |description: &str, more: Vec<(&'static str, Expression)>| {
        let always = [("type", Expression::from("String")), ("description", description.into())];
        object(always.into_iter().chain(more))
    };
    let parameters = object([
        ("script", parameter("POSIX shell", Vec::new())),
        (
            "executionTimeout",
            parameter("Seconds", vec![("default", "3600".into()), ("allowedPattern", "^[1-9][0-9]{0,5}$".into())]),
        ),
        (BUCKET_PARAMETER, parameter("Bucket for reports", vec![("default", bucket.attr("bucket"))])),
    ]);
    let lines = ["exec runuser --user ec2-user -- sh -s <<'END_OF_SCRIPT'", "{{ script }}", "END_OF_SCRIPT"];
    let inputs = object([("timeoutSeconds", Expression::from("{{ executionTimeout }}")), ("runCommand", array(lines))]);
    let step =
        object([("action", Expression::from("aws:runShellScript")), ("name", "kgen".into()), ("inputs", inputs)]);
    let content = object([
        ("schemaVersion", Expression::from("2.2")),
        ("description", "Runs a part of a load of kgen".into()),
        ("parameters", parameters),
        ("mainSteps", array([step])),
    ]);
    let (block, address) = Block::resource("aws_ssm_document", "load");
    let block = block
        .set("name", document_name(name))
        .set("document_type", "Command")
        .set("document_format", "JSON")
        .set("target_type", "/AWS::EC2::Instance")
        .set("content", call("jsonencode", [content]))
        .set("tags", object([("Name", document_name(name))]));
    (block, address)
}

fn bucket(stack: &Stack, kms: Option<&KmsFile>) -> (Document, Address) {
    let name = stack.cluster().name.as_str();
    let (bucket_block, bucket) = Block::resource("aws_s3_bucket", "results");
    let bucket_block = bucket_block
        // As in delivery.tf.
        .set("bucket_prefix", format!("{}-load-", name.to_lowercase().chars().take(31).collect::<String>()))
        .set("force_destroy", true)
        .set("tags", object([("Name", document_name(name))]));
    let of = |kind: &'static str| Block::resource(kind, "results").0.set("bucket", bucket.attr("id"));

    let closed = ["block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"]
        .into_iter()
        .fold(of("aws_s3_bucket_public_access_block"), |block, setting| block.set(setting, true));
    let algorithm = if kms.is_some() { "aws:kms" } else { "AES256" };
    let by_default = Block::new("apply_server_side_encryption_by_default")
        .set("sse_algorithm", algorithm)
        .set_some("kms_master_key_id", kms.map(|kms| kms.key.attr("arn")));
    let rule = Block::new("rule").set_some("bucket_key_enabled", kms.map(|_| true)).nest(by_default);
    let encryption = of("aws_s3_bucket_server_side_encryption_configuration").nest(rule);
    let versioning =
        of("aws_s3_bucket_versioning").nest(Block::new("versioning_configuration").set("status", "Enabled"));
    let lifecycle = of("aws_s3_bucket_lifecycle_configuration").nest(
        Block::new("rule")
            .set("id", "reports")
            .set("status", "Enabled")
            .nest(Block::new("filter"))
            .nest(Block::new("expiration").set("days", KEPT_DAYS))
            .nest(Block::new("noncurrent_version_expiration").set("noncurrent_days", 1))
            .nest(Block::new("abort_incomplete_multipart_upload").set("days_after_initiation", 1)),
    );
    // Amazon S3 User Guide, "Enforce encryption of data in transit".
    let all = Text::new().value(bucket.attr("arn")).literal("/*");
    let encrypted = object([
        ("Sid", Expression::from("EncryptedTransport")),
        ("Effect", "Deny".into()),
        ("Principal", "*".into()),
        ("Action", "s3:*".into()),
        ("Resource", array([bucket.attr("arn"), all.into()])),
        ("Condition", object([("Bool", object([("aws:SecureTransport", "false")]))])),
    ]);
    let policy = of("aws_s3_bucket_policy").set("policy", policy_document([encrypted]));
    let blocks = [bucket_block, closed, encryption, versioning, lifecycle, policy];
    (blocks.into_iter().fold(Document::new(), Document::block), bucket)
}
