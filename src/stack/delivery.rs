//! `delivery.tf`: delivers kgen to the client, from this machine through S3.

use super::{Stack, config::Bucket, kms::KmsFile};
use crate::hcl::{Address, Block, Document, Expression, Text, attr_of, call, equal, object};

pub(super) struct DeliveryFile {
    pub document: Document,
    /// The bucket's name, where it is known only when it is made.
    pub made_bucket: Option<Address>,
    pub object: Address,
}

/// What is in the script for a bucket that is not made yet.
pub(super) const BUCKET_TO_COME: &str = "BUCKET-TO-COME";

/// Nothing, unless kgen.toml names an executable.
pub(super) fn render(stack: &Stack, kms: Option<&KmsFile>) -> Option<DeliveryFile> {
    let client = stack.client();
    let (file, sum) = (client.kgen_file.as_ref()?, stack.kgen_sha256()?);
    let source = || -> Expression {
        if file.starts_with('/') {
            return file.as_str().into();
        }
        Text::new().value(attr_of("path", "module")).literal(format!("/../{file}")).into()
    };

    let mut document = Document::new();
    let mut made_bucket = None;
    let bucket = match &client.bucket {
        Bucket::Named(name) => Expression::from(name.as_str()),
        Bucket::Own => {
            let (own, address) = own_bucket(stack, kms);
            document = own;
            made_bucket = Some(address.clone());
            address.attr("bucket")
        }
    };

    let same = Block::new("precondition")
        .set("condition", equal(call("filesha256", [source()]), sum.as_str()))
        .set("error_message", format!("{file} is not the kgen of kgen.toml's client.kgen_sha256."));
    let (object_block, object) = Block::resource("aws_s3_object", "kgen");
    let object_block = object_block
        .set("bucket", bucket)
        .set("key", object_key(&sum))
        .set("source", source())
        .set("source_hash", sum.as_str())
        .set_some("kms_key_id", kms.map(|kms| kms.key.attr("arn")))
        .nest(Block::new("lifecycle").nest(same));
    let why = "The client's script checks the same sum again.";
    Some(DeliveryFile { document: document.commented(why, object_block), made_bucket, object })
}

/// A change of kgen is another object, so that a client never gets half of each.
pub(super) fn object_key(sum: &str) -> String {
    format!("kgen/{sum}")
}

impl DeliveryFile {
    pub fn object_arn(&self) -> Expression {
        self.object.attr("arn")
    }
}

fn own_bucket(stack: &Stack, kms: Option<&KmsFile>) -> (Document, Address) {
    let name = stack.cluster().name.as_str();
    let (bucket_block, bucket) = Block::resource("aws_s3_bucket", "client");
    let bucket_block = bucket_block
        // Names of buckets are one name space for everybody; 37 characters are what Terraform takes.
        .set("bucket_prefix", format!("{}-client-", name.to_lowercase().chars().take(29).collect::<String>()))
        .set("force_destroy", true)
        .set("tags", object([("Name", format!("{name}-client"))]));

    let (closed, _) = Block::resource("aws_s3_bucket_public_access_block", "client");
    let closed = ["block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"]
        .into_iter()
        .fold(closed.set("bucket", bucket.attr("id")), |block, setting| block.set(setting, true));

    let algorithm = if kms.is_some() { "aws:kms" } else { "AES256" };
    let by_default = Block::new("apply_server_side_encryption_by_default")
        .set("sse_algorithm", algorithm)
        .set_some("kms_master_key_id", kms.map(|kms| kms.key.attr("arn")));
    let (encryption, _) = Block::resource("aws_s3_bucket_server_side_encryption_configuration", "client");
    let encryption = encryption.set("bucket", bucket.attr("id")).nest(Block::new("rule").nest(by_default));

    let (versioning, _) = Block::resource("aws_s3_bucket_versioning", "client");
    let versioning = versioning
        .set("bucket", bucket.attr("id"))
        .nest(Block::new("versioning_configuration").set("status", "Enabled"));

    let document = Document::new().block(bucket_block).block(closed).block(encryption).block(versioning);
    (document, bucket)
}

/// The script as Terraform hands it to an instance: with the bucket's name in it.
pub(super) fn user_data(script: Expression, delivery: Option<&DeliveryFile>) -> Expression {
    match delivery.and_then(|delivery| delivery.made_bucket.as_ref()) {
        Some(bucket) => call("replace", [script, BUCKET_TO_COME.into(), bucket.attr("bucket")]),
        None => script,
    }
}
