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
    let keys = |text: &str| -> Vec<String> {
        let text = text.replace("# ", "").replace("\"…\"", "\"\"");
        text.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key.trim().to_owned()).collect()
    };
    let named = keys(example);
    let missing: Vec<_> =
        keys(EVERYTHING).into_iter().filter(|key| !key.contains('"') && !named.contains(key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
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
fn what_msk_would_refuse_is_no_resize() {
    for (kafka_version, from, to, expected) in [
        ("3.9.x", "kafka.t3.small", "kafka.m5.large", Ok(())),
        ("3.9.x", "kafka.t3.small", "kafka.t3.small", Err("the brokers already are kafka.t3.small")),
        (
            "3.9.x",
            "kafka.m5.large",
            "kafka.t3.small",
            Err("MSK has no way back to kafka.t3.small: T3 brokers can only be left (choose an m5 or m7g type)"),
        ),
    ] {
        let text = format!("[cluster]\nkafka_version = '{kafka_version}'\nbroker_type = '{from}'");
        let resized = Stack::parse(&text).unwrap().resized(to.parse().unwrap());
        let outcome =
            resized.map(|stack| assert_eq!(stack.broker_type().as_str(), to)).map_err(|error| error.to_string());
        assert_eq!(outcome, expected.map_err(str::to_owned));
    }
}

#[test]
fn a_mistake_is_named_with_its_line_and_its_key() {
    for (text, expected) in [
        (
            "# x\n[cluster]\nbroker_typ = \"kafka.m5.large\"",
            "kgen.toml:3:1: unknown field `broker_typ`, expected one of `name`, `broker_type`, `broker_count`, \
             `kafka_version`, `volume_gib`, `monitoring`, `log_retention_days`, `server_properties`; did you mean \
             `broker_type`?",
        ),
        (
            "[clutser]\n",
            "kgen.toml:1:2: unknown field `clutser`, expected one of `region`, `zones`, `network`, `cluster`, `client`, \
             `alarms`, `topic`, `load`, `tags`; did you mean `cluster`?",
        ),
        (
            "[cluster]\nbroker_type = \"m5.large\"",
            "kgen.toml:2:15: \"m5.large\" is not an MSK broker type; did you mean kafka.m5.large?",
        ),
        (
            "[cluster]\n\nkafka_version = \"3.9.x.kraft\"",
            "kgen.toml:3: cluster.kafka_version: kafka.t3.small exists only with ZooKeeper-mode Kafka, and 3.9.x.kraft is \
             KRaft (use 3.9.x, or an m5 or m7g type)",
        ),
        (
            "cluster.broker_count = 4",
            "kgen.toml:1: cluster.broker_count: 4 brokers cannot be spread evenly over 3 zones: MSK takes a multiple of 3",
        ),
        ("[cluster]\nbroker_count = \"three\"", "kgen.toml:2:16: invalid type: string \"three\", expected u32"),
        (
            "[cluster]\nname = \"a\\\"b\"",
            "kgen.toml:2: cluster.name: needs 1 to 50 letters, digits and hyphens, and no hyphen first",
        ),
        (
            "[network]\nvpc_cidr = \"10.0.0.1/16\"",
            "kgen.toml:2:12: 10.0.0.1/16 does not start at its first address (10.0.0.0/16)",
        ),
        (
            "[network]\nvpc_cidr = \"10.9.0.0/16\"",
            "kgen.toml: network.subnet_cidrs: 10.0.1.0/24 is not inside the VPC's 10.9.0.0/16",
        ),
        ("zones = [\"us-west-2a\"]", "kgen.toml:1: zones: MSK spreads brokers over 2 or 3 zones, not 1"),
        (
            "region = \"eu-west-1\"\nzones = [\"us-west-2a\", \"us-west-2b\"]",
            "kgen.toml:2: zones: \"us-west-2a\" is not a zone of eu-west-1",
        ),
        (
            "[topic]\nreplication_factor = 4",
            "kgen.toml:2: topic.replication_factor: 4 replicas do not fit on 3 brokers",
        ),
        (
            "[client]\nkgen_url = \"https://a/kgen\"",
            "kgen.toml:2: client.kgen_url: needs client.kgen_sha256 beside it (`sha256sum kgen`)",
        ),
        (
            "[client]\ninstance_type = \"m7g.large\"",
            "kgen.toml:2: client.instance_type: m7g.large has a Graviton processor, and the client's image is for x86-64",
        ),
        ("[load]\nrate = -1", "kgen.toml:2: load.rate: must be above 0 records a second"),
        (
            "[alarms]\nperiod_s = 90",
            "kgen.toml:2: alarms.period_s: MSK's data points come every minute: 60 to 3600, in steps of 60",
        ),
        ("region = ", "kgen.toml:1:10: string values must be quoted, expected literal string"),
        (
            "[cluster.server_properties]\n\"a b\" = 1",
            "kgen.toml:2: cluster.server_properties.a b: a property is a name of letters, digits and dots, and a value on \
             one line that ends in no backslash",
        ),
    ] {
        assert_eq!(Stack::parse(text).unwrap_err().to_string(), expected, "{text}");
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
    for stack in [Stack::default(), Stack::parse(EVERYTHING).unwrap()] {
        let rendered = stack.render();
        let terraform = rendered.files().filter(|(name, _)| name.ends_with(".tf")).map(|(_, text)| text);
        let body: hcl_edit::structure::Body = terraform.collect::<String>().parse().unwrap();
        let declared: Vec<String> = body
            .blocks()
            .filter(|block| ["resource", "data"].contains(&block.ident.as_str()))
            .map(|block| {
                let data = if block.ident.as_str() == "data" { "data." } else { "" };
                format!("{data}{}.{}", block.labels[0].as_str(), block.labels[1].as_str())
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
            ["data", kind, name, ..] => self.0.push(format!("data.{kind}.{name}")),
            [kind, name, ..] if kind.starts_with("aws_") => self.0.push(format!("{kind}.{name}")),
            _ => {}
        }
        hcl_edit::visit::visit_traversal(self, traversal);
    }
}
