mod refused;

use std::{fs, path::Path};

use super::*;

/// A stack in which every key is set, and to something else than its default.
pub(super) const EVERYTHING: &str = r#"
region = "eu-central-1"
zones = ["eu-central-1a", "eu-central-1b"]

[network]
vpc_cidr = "172.20.0.0/16"
subnet_cidrs = ["172.20.0.0/20", "172.20.16.0/20"]

[cluster]
name = "orders"
broker_type = "kafka.m7g.large"
broker_count = 4
kafka_version = "3.9.x.kraft"
volume_gib = 500
monitoring = "PER_TOPIC_PER_BROKER"
log_retention_days = 30

[cluster.server_properties]
"auto.create.topics.enable" = true
"log.retention.hours" = 72
"message.format" = "${not.a.reference} %{ if } EOT"

[client]
instance_type = "c6i.large"
volume_gib = 50
kafka_tools_version = "3.8.1"
kgen_url = "https://example.com/kgen?a='b'"
kgen_sha256 = "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"

[alarms]
cpu_percent = 55
memory_percent = 92.5
heap_percent = 65
credit_balance = 50
disk_percent = 80
period_s = 600
evaluation_periods = 3

[topic]
name = "orders.v1"
partitions = 12
replication_factor = 3

[load]
rate = 1500.5
duration_s = 60
record_bytes = 512
hot_keys = true

[tags]
Owner = "\"${var.owner}\" %{ if true }"
"cost center" = "42"
"#;

#[test]
fn every_rendered_file() {
    let rendered = Stack::parse(EVERYTHING).unwrap().render();
    for (name, text) in rendered.files() {
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, text);
        });
    }
}

/// The stacks below tests/stacks, each with its name: one for each group of options.
pub(super) fn variants() -> Vec<(String, Stack)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stacks");
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut variants: Vec<_> = paths
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), Stack::load(&path).unwrap()))
        .collect();
    variants.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert!(variants.len() >= 15, "{}", variants.len());
    variants
}

#[test]
fn every_option_as_it_is_rendered() {
    let default = Stack::default().render();
    for (name, stack) in variants() {
        let rendered = stack.render();
        let changed = rendered.files().filter(|(file, text)| default.get(file) != Some(text));
        let mut text: String = changed.map(|(file, text)| format!("=== {file}\n{text}\n")).collect();
        let missing = default.files().filter(|(file, _)| rendered.get(file).is_none());
        text.extend(missing.map(|(file, _)| format!("=== {file} is not there\n")));
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(format!("stack-{name}"), text);
        });
    }
}

/// Every literal text in rendered Terraform, as Terraform reads it.
fn texts_of(file: &str) -> Vec<String> {
    use ::hcl::eval::Evaluate;

    fn of_expression(expression: &::hcl::Expression, texts: &mut Vec<String>) {
        match expression {
            ::hcl::Expression::Object(items) => items.iter().for_each(|(key, value)| {
                texts.push(match key {
                    ::hcl::expr::ObjectKey::Expression(key) => match key.evaluate(&::hcl::eval::Context::new()) {
                        Ok(::hcl::Value::String(text)) => text,
                        other => format!("{other:?}"),
                    },
                    other => other.to_string(),
                });
                of_expression(value, texts);
            }),
            other => {
                if let Ok(::hcl::Value::String(text)) = other.evaluate(&::hcl::eval::Context::new()) {
                    texts.push(text);
                }
            }
        }
    }
    fn of_body(body: &::hcl::Body, texts: &mut Vec<String>) {
        body.attributes().for_each(|attribute| of_expression(&attribute.expr, texts));
        body.blocks().for_each(|block| of_body(&block.body, texts));
    }
    let mut texts = Vec::new();
    of_body(&::hcl::parse(file).unwrap(), &mut texts);
    texts
}

#[test]
fn no_text_of_kgen_toml_becomes_anything_but_text() {
    let hostile = Stack::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stacks/hostile.toml")).unwrap();
    let rendered = hostile.render();
    let tags = texts_of(rendered.get("versions.tf").unwrap());
    for (key, value) in hostile.tags() {
        assert!(tags.iter().any(|text| text == key), "{key:?} is not among {tags:?}");
        assert!(tags.iter().any(|text| text == value), "{value:?} is not among {tags:?}");
    }
    let msk = texts_of(rendered.get("msk.tf").unwrap());
    let prefix = hostile.logs().s3_prefix.as_ref().unwrap();
    assert!(msk.contains(prefix), "{prefix:?} is not among {msk:?}");
    let properties = msk.iter().find(|text| text.contains("auto.create.topics.enable")).unwrap();
    for (key, value) in &hostile.cluster().server_properties {
        assert!(properties.lines().any(|line| line == format!("{key}={value}")), "{key} in {properties}");
    }
    let script = rendered.get("user_data.sh").unwrap();
    let url = hostile.client().kgen_url.as_ref().unwrap().replace('\'', r"'\''");
    // curl would expand braces.
    let url = url.replace('{', "%7B").replace('}', "%7D");
    assert!(script.contains(&format!("fetch '{url}' \"$work/kgen\"\n")), "{script}");
}

#[test]
fn the_terraform_of_this_repository_is_the_default_stack() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("terraform");
    let rendered = Stack::default().render();
    for (name, text) in rendered.files() {
        let there = fs::read_to_string(dir.join(name)).unwrap();
        assert!(there == text, "terraform/{name} differs from what is rendered: run `kgen render`");
        assert_eq!(provenance(text), Provenance::Kgen, "{name}");
    }
    let sources = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let unknown: Vec<_> = sources.filter(|name| name.ends_with(".tf") && rendered.get(name).is_none()).collect();
    assert!(unknown.is_empty(), "{unknown:?} are in terraform/ and not rendered");
}

#[test]
fn an_empty_file_is_the_default_stack() {
    assert_eq!(Stack::parse("").unwrap(), Stack::default());
    // The defaults keep the rules that they are read by.
    let stack = Stack::parse("[cluster]\nname = \"kgen-demo\"\n").unwrap();
    assert_eq!(stack, Stack::default());
    let elsewhere = Stack::parse("region = \"us-east-1\"").unwrap();
    assert_eq!(elsewhere.zones(), ["us-east-1a", "us-east-1b", "us-east-1c"]);
}

#[test]
fn the_example_names_every_key_with_its_default() {
    let example = include_str!("../../kgen.example.toml");
    assert_eq!(Stack::parse(example).unwrap(), Stack::default());
    // A wrong key makes the parser name the right ones.
    let mut keys = 0;
    for table in ["", "network", "cluster", "client", "logs", "alarms", "topic", "load"] {
        let wrong = if table.is_empty() { "zzz = 1".to_owned() } else { format!("[{table}]\nzzz = 1") };
        let error = Stack::parse(&wrong).unwrap_err().to_string();
        let heading = format!("\n[{table}]");
        let from = if table.is_empty() { 0 } else { example.find(&heading).unwrap() + heading.len() };
        let section = example[from..].split("\n[").next().unwrap();
        let named: Vec<&str> = section.lines().map(|line| line.trim_start_matches("# ")).collect();
        for key in error.split('`').skip(3).step_by(2) {
            keys += 1;
            let is_table = example.contains(&format!("\n[{key}]")) || example.contains(&format!("\n[{table}.{key}]"));
            let is_named = named.iter().any(|line| line.starts_with(&format!("{key} = ")));
            assert!(is_table || is_named, "{table}.{key} is not in kgen.example.toml");
        }
    }
    assert!(keys > 60, "{keys}");
}

#[test]
fn what_the_example_leaves_out_can_be_taken_as_it_stands() {
    let example = include_str!("../../kgen.example.toml");
    for line in example.lines().filter_map(|line| line.strip_prefix("# ")) {
        if let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| !key.contains(' ')) {
            toml::from_str::<toml::Table>(line).unwrap_or_else(|error| panic!("{key}: {error}"));
        }
    }
}

#[test]
fn a_resize_changes_one_line_of_one_file() {
    let stack = Stack::default();
    for broker_type in BrokerType::all().filter(|to| stack.resized(*to).is_ok()) {
        let (before, after) = (stack.render(), stack.resized(broker_type).unwrap().render());
        for (name, old) in before.files() {
            let new = after.get(name).unwrap();
            let lines = |text: &'_ str| text.lines().skip(2).map(str::to_owned).collect::<Vec<_>>();
            let changed: Vec<_> = lines(old).into_iter().zip(lines(new)).filter(|(old, new)| old != new).collect();
            let expected = (
                "    instance_type   = \"kafka.t3.small\"".to_owned(),
                format!("    instance_type   = \"{broker_type}\""),
            );
            assert_eq!(changed, if name == "msk.tf" { vec![expected] } else { vec![] }, "{name}");
        }
    }
}

#[test]
fn the_edit_of_a_file_is_what_rendering_gives() {
    let path = ["broker_node_group_info", "instance_type"];
    let block = ["resource", "aws_msk_cluster", "main"];
    let (before, after) = (Stack::default().render(), Stack::default().resized(BrokerType::M5_LARGE).unwrap().render());
    let edited = crate::hcl::edit::set_string(before.get("msk.tf").unwrap(), &block, &path, "kafka.m5.large").unwrap();
    let below_the_checksum = |text: &str| text.lines().skip(2).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(below_the_checksum(&edited), below_the_checksum(after.get("msk.tf").unwrap()));
}

#[test]
fn the_hardened_profile_is_a_set_of_defaults() {
    let hardened = Stack::parse("profile = 'hardened'").unwrap();
    assert!(!hardened.network().public && hardened.network().endpoints && hardened.network().flow_logs);
    assert_eq!(hardened.cluster().log_retention_days, 365);
    // What is written goes before the profile.
    let mine = Stack::parse("profile = 'hardened'\n[cluster]\nlog_retention_days = 30").unwrap();
    assert_eq!((mine.cluster().log_retention_days, mine.network().public), (30, false));
    let rendered: String = hardened.render().files().map(|(_, text)| text.to_owned()).collect();
    for never in ["0.0.0.0/0", "aws_eip", "aws_internet_gateway", "TLS_PLAINTEXT", "9092", "http_tokens   = \"optional"]
    {
        assert!(!rendered.contains(never), "{never}");
    }
}

#[test]
fn alarms_watch_each_broker_under_the_dimensions_that_msk_publishes() {
    let rendered = Stack::default().render();
    let body = ::hcl::parse(rendered.get("alarms.tf").unwrap()).unwrap();
    assert_eq!(body.blocks().count(), 6);
    for alarm in body.blocks() {
        let text = crate::hcl::print(&alarm.body);
        assert!(text.contains("for_each            = toset([\"1\", \"2\", \"3\"])"), "{text}");
        let series = text.matches("dimensions = {").count();
        assert_eq!(text.matches("\"Cluster Name\" = aws_msk_cluster.main.cluster_name").count(), series);
        assert_eq!(text.matches("\"Broker ID\"    = each.key").count(), series);
        assert!(series >= 1);
    }
}

#[test]
fn every_reference_names_a_block_that_is_rendered() {
    let variants = variants().into_iter().map(|(_, stack)| stack);
    for stack in [Stack::default(), Stack::parse(EVERYTHING).unwrap()].into_iter().chain(variants) {
        let rendered = stack.render();
        let terraform = rendered.files().filter(|(name, _)| name.ends_with(".tf")).map(|(_, text)| text);
        let body: hcl_edit::structure::Body = terraform.collect::<String>().parse().unwrap();
        let declared: Vec<String> = body
            .blocks()
            .filter(|block| ["resource", "data", "ephemeral"].contains(&block.ident.as_str()))
            .map(|block| {
                let root = if block.ident.as_str() == "resource" { "" } else { &format!("{}.", block.ident.as_str()) };
                format!("{root}{}.{}", block.labels[0].as_str(), block.labels[1].as_str())
            })
            .collect();
        let mut references = References::default();
        hcl_edit::visit::visit_body(&mut references, &body);
        assert!(references.0.len() > 40, "{:?}", references.0);
        for reference in references.0 {
            assert!(declared.contains(&reference), "{reference} is referred to and not declared");
        }
    }
}

/// Addresses of the resources and data sources that expressions name.
#[derive(Default)]
struct References(Vec<String>);

impl hcl_edit::visit::Visit for References {
    fn visit_traversal(&mut self, traversal: &hcl_edit::expr::Traversal) {
        let text = hcl_edit::expr::Expression::from(traversal.clone()).to_string();
        let parts: Vec<&str> = text.trim().split(['.', '[']).collect();
        match parts[..] {
            [root @ ("data" | "ephemeral"), kind, name, ..] => self.0.push(format!("{root}.{kind}.{name}")),
            [kind, name, ..] if kind.starts_with("aws_") => self.0.push(format!("{kind}.{name}")),
            _ => {}
        }
        hcl_edit::visit::visit_traversal(self, traversal);
    }
}

#[test]
fn volumes_that_msk_grew_are_not_made_smaller() {
    let stack = |cluster: &str| Stack::parse(&format!("[cluster]\n{cluster}\n")).unwrap();
    let plain = stack("volume_gib = 100");
    assert_eq!((plain.is_outgrown_by(200), plain.is_outgrown_by(100)), (true, false));
    assert_eq!(plain.with_volumes(200), stack("volume_gib = 200"));
    let scaling = stack("volume_gib = 100\nautoscaling_max_gib = 400");
    assert!(!scaling.is_outgrown_by(200), "Terraform leaves the size to MSK");
    // With `ignore_changes`, a larger size in kgen.toml is ignored too.
    assert_eq!((plain.volume_without_effect(50), scaling.volume_without_effect(200)), (None, None));
    assert!(scaling.volume_without_effect(50).is_some_and(|said| said.contains("`ignore_changes` for volume_size")));
}

#[test]
fn an_upgrade_to_express_lists_what_it_needs() {
    let express = "express.m7g.large".parse().unwrap();
    let stack = Stack::parse("[cluster]\nbroker_type = \"kafka.m5.large\"\n").unwrap();
    let error = stack.resized(express).unwrap_err().to_string();
    for needs in ["Kafka 3.9 in KRaft mode (it is 3.9.x)", "replication factor 3 (it is 2)"] {
        assert!(error.contains(needs), "{error}");
    }
    assert!(!error.contains("brokers of M5"), "{error}");
}
