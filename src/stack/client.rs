//! `client.tf` and the script that its instance runs when it first starts.

use std::collections::HashMap;

use super::{Stack, iam::IamFile, network::NetworkFile, security::SecurityFile};
use crate::hcl::{Address, Block, Document, Text, array, attr_of, bare, call, object};

/// The script, beside the Terraform that reads it.
pub(super) const USER_DATA_FILE: &str = "user_data.sh";
/// The seed's load generator, by name: a shim over `kgen produce`.
pub(super) const PRODUCER: &str = "/home/ec2-user/scripts/hotspot_producer.py";

pub(super) struct ClientFile {
    pub document: Document,
    pub instance: Address,
}

pub(super) fn render(stack: &Stack, network: &NetworkFile, security: &SecurityFile, iam: &IamFile) -> ClientFile {
    let name = format!("{}-client", stack.cluster().name);

    let (image_block, image) = Block::data("aws_ssm_parameter", "amazon_linux");
    let image_block = image_block.set("name", "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64");

    // What the script fetches must be within reach when the instance first starts.
    let before = network.ways_out.iter().chain([&security.client_to_https]).map(Address::itself);
    let named = || object([("Name", name.as_str())]);
    let script = Text::new().value(attr_of("path", "module")).literal(format!("/{USER_DATA_FILE}"));
    let (instance_block, instance) = Block::resource("aws_instance", "client");
    let instance_block = instance_block
        .set("ami", image.attr("insecure_value"))
        .set("instance_type", stack.client().instance_type.as_str())
        .set("subnet_id", network.subnets.at(&stack.zones()[0]).attr("id"))
        .set("vpc_security_group_ids", array([security.client.attr("id")]))
        .set("iam_instance_profile", iam.profile.attr("name"))
        .set("user_data", call("file", [script.into()]))
        .set("user_data_replace_on_change", true)
        .set("depends_on", array(before))
        .set("tags", named())
        .nest(Block::new("metadata_options").set("http_endpoint", "enabled").set("http_tokens", "required"))
        .nest(
            Block::new("root_block_device")
                .set("volume_type", "gp3")
                .set("volume_size", stack.client().volume_gib)
                .set("encrypted", true),
        )
        .nest(Block::new("lifecycle").set("ignore_changes", array([bare("ami")])));

    // Not `associate_public_ip_address`: emulated EC2 then forgets the security groups, and every plan shows a change.
    let (address_block, _) = Block::resource("aws_eip", "client");
    let address_block = address_block
        .set("domain", "vpc")
        .set("instance", instance.attr("id"))
        .set("depends_on", array([network.gateway.itself()]))
        .set("tags", named());

    let why =
        "Reached through Session Manager alone. A newer image does not replace it: a plan holds what was asked for.";
    let document = Document::new().block(image_block).commented(why, instance_block).block(address_block);
    ClientFile { document, instance }
}

/// The script that sets the instance up. Neither cluster nor load are in it:
/// a change of either must not replace the instance.
pub(super) fn user_data(stack: &Stack) -> String {
    let client = stack.client();
    let mut context = tera::Context::new();
    context.insert("kafka_version", &client.kafka_tools_version);
    context.insert("kgen_url", &client.kgen_url);
    context.insert("kgen_sha256", &client.kgen_sha256.as_deref().map(str::to_ascii_lowercase));
    context.insert("producer", PRODUCER);

    let mut tera = tera::Tera::default();
    tera.register_filter("quoted", quoted);
    tera.add_raw_templates([
        ("hotspot_producer.py", include_str!("../../templates/hotspot_producer.py")),
        ("user_data.sh", include_str!("../../templates/user_data.sh")),
    ])
    .expect("the embedded templates are well formed (rendered in every test)");
    tera.render("user_data.sh", &context).expect("the embedded templates use what is given above")
}

/// A text as one word of a shell command.
fn quoted(value: &tera::Value, _: &HashMap<String, tera::Value>) -> tera::Result<tera::Value> {
    let text = value.as_str().ok_or_else(|| tera::Error::msg("only text can be quoted for a shell"))?;
    Ok(format!("'{}'", text.replace('\'', r"'\''")).into())
}
