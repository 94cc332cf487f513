//! `delivery.tf`: delivers kgen to the client, from this machine through S3.
//!
//! Either the file that kgen.toml names, or the kgen that applies. What that is depends on the machine, so only a variable stands for
//! it here: the rendered text is the same everywhere.

use super::{Stack, config::Bucket, kms::KmsFile};
use crate::hcl::{Address, Block, Document, Expression, Text, attr_of, bare, call, either, equal, object};

pub(super) struct DeliveryFile {
    pub document: Document,
    /// The bucket's name, where it is known only when it is made.
    made_bucket: Option<Expression>,
    object: Address,
    /// Whether the kgen that applies is delivered: all of it exists only where there is one.
    pub is_of_applying: bool,
}

/// What is in the script for a bucket that is not made yet.
pub(super) const BUCKET_TO_COME: &str = "BUCKET-TO-COME";

/// What is in the script for the SHA-256 of the kgen that applies.
pub(super) const SUM_TO_COME: &str = "SHA256-TO-COME";

/// The variable with that sum; empty where no kgen is delivered.
pub const SUM_VARIABLE: &str = "kgen_sha256";

/// Where that kgen lies under its sum, seen from the project's folder.
pub const APPLYING_DIR: &str = ".kgen/client";

/// Nothing, unless kgen.toml names an executable or the one that applies.
pub(super) fn render(stack: &Stack, kms: Option<&KmsFile>) -> Option<DeliveryFile> {
    let client = stack.client();
    let is_of_applying = client.gets_applying_kgen();
    let file = client.kgen_file.as_deref();
    let named = file.zip(stack.kgen_sha256());
    if named.is_none() && !is_of_applying {
        return None;
    }

    let mut document = Document::new();
    if is_of_applying {
        let variable = Block::labelled("variable", SUM_VARIABLE)
            .set("type", bare("string"))
            .set("default", "")
            .set("description", format!("SHA-256 of the client's kgen in {APPLYING_DIR}; empty: it gets none"))
            .nest(
                Block::new("validation")
                    .set("condition", call("can", [call("regex", ["^([0-9a-f]{64})?$".into(), sum()])]))
                    .set("error_message", format!("{SUM_VARIABLE} is neither empty nor 64 hexadecimal digits.")),
            );
        let why = "Set by `kgen plan` and `kgen apply` in kgen.auto.tfvars.json, which belongs to this machine.";
        document = document.commented(why, variable);
    }
    let (bucket, made_bucket) = match &client.bucket {
        Bucket::Named(name) => (Expression::from(name.as_str()), None),
        Bucket::Own => {
            let (with_bucket, name) = own_bucket(stack, kms, is_of_applying, document);
            document = with_bucket;
            (name.clone(), Some(name))
        }
    };

    let (object_block, object) = Block::resource("aws_s3_object", "kgen");
    let object_block = object_block.set_some("count", is_of_applying.then(count)).set("bucket", bucket);
    let encrypted = |block: Block| block.set_some("kms_key_id", kms.map(|kms| kms.key.attr("arn")));
    let object_block = match named {
        Some((file, sum)) => {
            let same = Block::new("precondition")
                .set("condition", equal(call("filesha256", [source(file)]), sum.as_str()))
                .set("error_message", format!("{file} is not the kgen of kgen.toml's client.kgen_sha256."));
            let block =
                object_block.set("key", object_key(&sum)).set("source", source(file)).set("source_hash", sum.as_str());
            encrypted(block).nest(Block::new("lifecycle").nest(same))
        }
        None => {
            let path =
                Text::new().value(attr_of("path", "module")).literal(format!("/../{APPLYING_DIR}/")).value(sum());
            let block = object_block
                .set("key", Text::new().literal("kgen/").value(sum()))
                .set("source", path)
                .set("source_hash", sum());
            encrypted(block)
        }
    };
    let why = "The client's script checks the same sum again.";
    Some(DeliveryFile { document: document.commented(why, object_block), made_bucket, object, is_of_applying })
}

fn source(file: &str) -> Expression {
    if file.starts_with('/') {
        return file.into();
    }
    Text::new().value(attr_of("path", "module")).literal(format!("/../{file}")).into()
}

fn sum() -> Expression {
    attr_of("var", SUM_VARIABLE)
}

/// `no` where no kgen is delivered, otherwise `yes`.
fn unless_delivered(no: impl Into<Expression>, yes: impl Into<Expression>) -> Expression {
    either(equal(sum(), ""), no, yes)
}

/// How many of what exists only where the kgen that applies is delivered.
pub(super) fn count() -> Expression {
    unless_delivered(0, 1)
}

/// A change of kgen is another object, so that a client never gets half of each.
pub(super) fn object_key(sum: &str) -> String {
    format!("kgen/{sum}")
}

impl DeliveryFile {
    /// What is delivered, for `depends_on`.
    pub fn object(&self) -> Expression {
        self.object.itself()
    }

    pub fn object_arn(&self) -> Expression {
        match self.is_of_applying {
            true => self.object.at_number(0).attr("arn"),
            false => self.object.attr("arn"),
        }
    }
}

/// `document` with a bucket, and its name.
fn own_bucket(stack: &Stack, kms: Option<&KmsFile>, is_counted: bool, document: Document) -> (Document, Expression) {
    let name = stack.cluster().name.as_str();
    let (bucket_block, bucket) = Block::resource("aws_s3_bucket", "client");
    let counted = |block: Block| block.set_some("count", is_counted.then(count));
    let bucket_block = counted(bucket_block);
    let bucket = if is_counted { bucket.at_number(0) } else { bucket };
    let bucket_block = bucket_block
        // Names of buckets are one name space for everybody; 37 characters are what Terraform takes.
        .set("bucket_prefix", format!("{}-client-", name.to_lowercase().chars().take(29).collect::<String>()))
        .set("force_destroy", true)
        .set("tags", object([("Name", format!("{name}-client"))]));

    let (closed, _) = Block::resource("aws_s3_bucket_public_access_block", "client");
    let closed = ["block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"]
        .into_iter()
        .fold(counted(closed).set("bucket", bucket.attr("id")), |block, setting| block.set(setting, true));

    let algorithm = if kms.is_some() { "aws:kms" } else { "AES256" };
    let by_default = Block::new("apply_server_side_encryption_by_default")
        .set("sse_algorithm", algorithm)
        .set_some("kms_master_key_id", kms.map(|kms| kms.key.attr("arn")));
    let (encryption, _) = Block::resource("aws_s3_bucket_server_side_encryption_configuration", "client");
    let encryption = counted(encryption).set("bucket", bucket.attr("id")).nest(Block::new("rule").nest(by_default));

    let (versioning, _) = Block::resource("aws_s3_bucket_versioning", "client");
    let versioning = counted(versioning)
        .set("bucket", bucket.attr("id"))
        .nest(Block::new("versioning_configuration").set("status", "Enabled"));

    let document = document.block(bucket_block).block(closed).block(encryption).block(versioning);
    (document, bucket.attr("bucket"))
}

/// The script as Terraform hands it to an instance: with the names in it that are known only then.
pub(super) fn user_data(script: Expression, delivery: Option<&DeliveryFile>) -> Expression {
    let Some(delivery) = delivery else { return script };
    let with = |script, placeholder: &str, value| call("replace", [script, placeholder.into(), value]);
    let complete = match &delivery.made_bucket {
        Some(bucket) => with(script.clone(), BUCKET_TO_COME, bucket.clone()),
        None => script.clone(),
    };
    match delivery.is_of_applying {
        true => unless_delivered(script, with(complete, SUM_TO_COME, sum())),
        false => complete,
    }
}
