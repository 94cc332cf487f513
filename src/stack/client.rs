//! `client.tf` and the script that its instances run when they first start.

use std::{collections::HashMap, net::Ipv6Addr};

use super::{
    Stack,
    config::Bucket,
    delivery::{self, DeliveryFile},
    endpoints::EndpointsFile,
    iam::IamFile,
    kms::KmsFile,
    network::NetworkFile,
    security::SecurityFile,
};
use crate::hcl::{Address, Block, Document, Expression, Text, array, attr_of, bare, call, object};

/// The script, beside the Terraform that reads it.
pub(super) const USER_DATA_FILE: &str = "user_data.sh";
/// The seed's load generator, by name: a shim over `kgen produce`.
pub(super) const PRODUCER: &str = "/home/ec2-user/scripts/hotspot_producer.py";

pub(super) struct ClientFile {
    pub document: Document,
    /// The first instance.
    pub instance: Address,
    /// All of them, where there are several.
    pub instances: Option<Address>,
}

/// What the instances are in and are given.
pub(super) struct Around<'a> {
    pub network: &'a NetworkFile,
    pub security: &'a SecurityFile,
    pub endpoints: Option<&'a EndpointsFile>,
    pub iam: &'a IamFile,
    pub kms: Option<&'a KmsFile>,
    pub delivery: Option<&'a DeliveryFile>,
}

pub(super) fn render(stack: &Stack, around: &Around) -> ClientFile {
    let settings = stack.client();
    let name = format!("{}-client", stack.cluster().name);

    let (image_block, image) = Block::data("aws_ssm_parameter", "amazon_linux");
    let image_block = image_block.set(
        "name",
        format!("/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}", settings.architecture().as_str()),
    );

    let several = settings.count > 1;
    let subnet = match several {
        false => around.network.subnets.at(&stack.zones()[0]).attr("id"),
        true => call("element", [around.network.subnets.all("id"), attr_of("count", "index")]),
    };
    let named = || -> Expression {
        match several {
            false => object([("Name", name.as_str())]),
            true => object([("Name", Text::new().literal(format!("{name}-")).value(attr_of("count", "index")))]),
        }
    };
    // What the script fetches must be within reach when the instance first starts.
    let endpoints = around.endpoints.iter().flat_map(|endpoints| [&endpoints.interfaces, &endpoints.s3]);
    let before = around.network.ways_out.iter().chain(&around.security.client_out).chain(endpoints);
    let before = before.map(Address::itself).chain(around.delivery.map(DeliveryFile::object));
    let script = Text::new().value(attr_of("path", "module")).literal(format!("/{USER_DATA_FILE}"));
    let script = call("file", [script.into()]);

    let (instance_block, instance) = Block::resource("aws_instance", "client");
    let instance_block = instance_block
        .set_some("count", several.then_some(settings.count))
        .set("ami", image.attr("insecure_value"))
        .set("instance_type", settings.instance_type.as_str())
        .set("subnet_id", subnet)
        .set("vpc_security_group_ids", array([around.security.client.attr("id")]))
        .set("iam_instance_profile", around.iam.profile.attr("name"))
        .set_some("monitoring", settings.detailed_monitoring.then_some(true))
        .set_some("ebs_optimized", settings.ebs_optimized.then_some(true))
        .set("user_data", delivery::user_data(script, around.delivery))
        .set("user_data_replace_on_change", true)
        .set("depends_on", array(before))
        .set("tags", named())
        .nest(Block::new("metadata_options").set("http_endpoint", "enabled").set("http_tokens", "required"))
        .nest(
            Block::new("root_block_device")
                .set("volume_type", "gp3")
                .set("volume_size", settings.volume_gib)
                .set("encrypted", true)
                .set_some("kms_key_id", around.kms.map(|kms| kms.key.attr("arn"))),
        )
        .nest(Block::new("lifecycle").set("ignore_changes", array([bare("ami")])));

    let why = "Only reachable through Session Manager. A newer image does not replace it, so that a plan only has requested \
         changes.";
    let mut document = Document::new().block(image_block).commented(why, instance_block);
    if stack.network().public {
        // Not `associate_public_ip_address`: emulated EC2 then forgets the security groups, and every plan shows a change.
        let (address_block, _) = Block::resource("aws_eip", "client");
        let id = match several {
            false => instance.attr("id"),
            true => instance.at_count_index().attr("id"),
        };
        let gateway = around.network.gateway.as_ref();
        document = document.block(
            address_block
                .set_some("count", several.then_some(settings.count))
                .set("domain", "vpc")
                .set("instance", id)
                .set_some("depends_on", gateway.map(|gateway| array([gateway.itself()])))
                .set("tags", named()),
        );
    }
    match several {
        false => ClientFile { document, instance, instances: None },
        true => ClientFile { document, instance: instance.at_number(0), instances: Some(instance) },
    }
}

/// The script that sets an instance up. Neither cluster nor load are in it:
/// a change of either must not replace the instance.
pub(super) fn user_data(stack: &Stack) -> String {
    let client = stack.client();
    let bucket = match &client.bucket {
        Bucket::Own => delivery::BUCKET_TO_COME,
        Bucket::Named(name) => name,
    };
    let is_of_applying = client.gets_applying_kgen();
    let sum = if is_of_applying { Some(delivery::SUM_TO_COME.to_owned()) } else { stack.kgen_sha256() };
    let object = sum.as_deref().filter(|_| is_of_applying || client.kgen_file.is_some()).map(delivery::object_key);
    let mut context = tera::Context::new();
    context.insert("kafka_tools", &client.kafka_tools);
    context.insert("kafka_version", &client.kafka_tools_version);
    context.insert("internet", &(stack.network().public || !stack.network().endpoints));
    context.insert("kgen_url", &client.kgen_url.as_deref().map(one_url));
    context.insert("kgen_object", &object.map(|key| format!("s3://{bucket}/{key}")));
    context.insert("kgen_sha256", &sum);
    context.insert("region", stack.region());
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

/// `url` as curl takes it for one URL: brackets and braces, which it would expand to several (curl(1), "Globbing"), are
/// percent-encoded. An IPv6 address keeps its brackets.
fn one_url(url: &str) -> String {
    let address = url.strip_prefix("https://[").and_then(|rest| rest.split_once(']'));
    let address = address.filter(|(address, _)| address.parse::<Ipv6Addr>().is_ok());
    let (head, rest) = url.split_at(address.map_or(0, |(address, _)| "https://[]".len() + address.len()));
    let codes = [("{", "%7B"), ("}", "%7D"), ("[", "%5B"), ("]", "%5D")];
    head.to_owned() + &codes.iter().fold(rest.to_owned(), |rest, (sign, code)| rest.replace(sign, code))
}

/// A text as one word of a shell command.
fn quoted(value: &tera::Value, _: &HashMap<String, tera::Value>) -> tera::Result<tera::Value> {
    let text = value.as_str().ok_or_else(|| tera::Error::msg("only text can be quoted for a shell"))?;
    Ok(format!("'{}'", text.replace('\'', r"'\''")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curl_takes_a_url_for_one() {
        let rows = [
            ("https://example.com/kgen?a=b&c=%20", "https://example.com/kgen?a=b&c=%20"),
            ("https://example.com/{a,b}[1-9]", "https://example.com/%7Ba,b%7D%5B1-9%5D"),
            ("https://[a-c].example.com/x", "https://%5Ba-c%5D.example.com/x"),
            ("https://[2001:db8::1]/[x]", "https://[2001:db8::1]/%5Bx%5D"),
        ];
        for (url, expected) in rows {
            assert_eq!(one_url(url), expected);
        }
    }
}
