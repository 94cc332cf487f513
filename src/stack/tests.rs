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
fn variants() -> Vec<(String, Stack)> {
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
             `kafka_version`, `volume_gib`, `provisioned_throughput_mib_per_s`, `autoscaling_max_gib`, \
             `autoscaling_target_percent`, `tiered_storage`, `monitoring`, `open_monitoring`, `log_retention_days`, \
             `kms_key`, `client_broker`, `authentication`, `certificate_authority_arns`, `scram_users`, \
             `scram_secret_arns`, `server_properties`; did you mean `broker_type`?",
        ),
        (
            "[clutser]\n",
            "kgen.toml:1:2: unknown field `clutser`, expected one of `profile`, `region`, `zones`, `dashboard`, `network`, \
             `cluster`, `client`, `logs`, `alarms`, `topic`, `load`, `tags`; did you mean `cluster`?",
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
fn what_does_not_go_together_is_refused_with_the_reason() {
    const M5: &str = "broker_type = 'kafka.m5.large'\n";
    const EXPRESS: &str = "broker_type = 'express.m7g.large'\nkafka_version = '3.9.x.kraft'\n";
    const THREE: &str = "[topic]\nreplication_factor = 3\n";
    let check = |text: &str, key: &str, reason: &str| {
        let error = Stack::parse(text).expect_err(text).to_string();
        assert!(error.contains(&format!("{key}: ")) && error.contains(reason), "{text}\n{error}");
    };
    for (cluster, key, reason) in [
        (
            "provisioned_throughput_mib_per_s = 250",
            "provisioned_throughput_mib_per_s",
            "no throughput for kafka.t3.small",
        ),
        (
            "broker_type = 'kafka.m5.4xlarge'\nprovisioned_throughput_mib_per_s = 600",
            "provisioned_throughput_mib_per_s",
            "kafka.m5.4xlarge has 250 to 593 MiB/s, not 600",
        ),
        (
            "broker_type = 'kafka.m5.4xlarge'\nvolume_gib = 9\nprovisioned_throughput_mib_per_s = 250",
            "provisioned_throughput_mib_per_s",
            "needs cluster.volume_gib of 10 or more",
        ),
        ("autoscaling_max_gib = 100", "autoscaling_max_gib", "100 is not above cluster.volume_gib and at most 16384"),
        ("autoscaling_target_percent = 90", "autoscaling_target_percent", "10 to 80 percent"),
        ("tiered_storage = true", "tiered_storage", "no tiered storage for kafka.t3.small"),
        (
            &format!("{M5}kafka_version = '3.5.1'\ntiered_storage = true"),
            "tiered_storage",
            "needs Kafka 3.6.0 or later",
        ),
        (
            &format!("{M5}tiered_storage = true\nserver_properties = {{ 'log.cleanup.policy' = 'compact' }}"),
            "server_properties.log.cleanup.policy",
            "MSK takes delete only",
        ),
        ("authentication = []", "authentication", "needs at least one"),
        ("authentication = ['none', 'none']", "authentication", "none is named twice"),
        ("client_broker = 'PLAINTEXT'\nauthentication = ['none', 'iam']", "authentication", "need encryption"),
        ("authentication = ['iam']", "client_broker", "TLS_PLAINTEXT lets clients in without authentication"),
        ("client_broker = 'TLS'\nauthentication = ['tls']", "certificate_authority_arns", "give both or neither"),
        (
            "certificate_authority_arns = ['arn:aws:acm-pca:us-west-2:1:certificate-authority/x']",
            "certificate_authority_arns",
            "give both or neither",
        ),
        ("client_broker = 'TLS'\nauthentication = ['scram']", "scram_users", "give users, or leave scram out"),
        (
            "client_broker = 'TLS'\nauthentication = ['scram']\nscram_users = ['a']",
            "scram_users",
            "no secret under AWS's own key",
        ),
        (
            "client_broker = 'TLS'\nauthentication = ['scram']\nscram_users = ['a b']\nkms_key = 'own'",
            "scram_users",
            "is not 1 to 64 letters",
        ),
        (
            "client_broker = 'TLS'\nauthentication = ['scram']\nscram_secret_arns = \
             ['arn:aws:secretsmanager:us-west-2:1:secret:other']",
            "scram_secret_arns",
            "begins with AmazonMSK_",
        ),
        (&format!("{EXPRESS}volume_gib = 100\n{THREE}"), "volume_gib", "have no volumes"),
        (&format!("{EXPRESS}autoscaling_max_gib = 200\n{THREE}"), "autoscaling_max_gib", "have no volumes"),
        (&format!("{EXPRESS}tiered_storage = true\n{THREE}"), "tiered_storage", "have no volumes"),
        (EXPRESS, "topic.replication_factor", "topics on Express brokers have 3 replicas"),
        (&format!("{EXPRESS}{THREE}[alarms]\ndisk_percent = 80"), "alarms.disk_percent", "have no volumes"),
        (
            &format!("{EXPRESS}server_properties = {{ 'min.insync.replicas' = 1 }}\n{THREE}"),
            "server_properties.min.insync.replicas",
            "take no such property",
        ),
        (
            "broker_type = 'express.m7g.large'",
            "cluster.kafka_version",
            "Express brokers need 3.6.0, 3.8.x or 3.9.x.kraft",
        ),
    ] {
        check(&format!("[cluster]\n{cluster}"), key, reason);
    }
    for (text, key, reason) in [
        (
            &format!(
                "zones = ['us-west-2a', 'us-west-2b']\n[network]\nsubnet_cidrs = ['10.0.1.0/24', '10.0.2.0/24']\n\
             [cluster]\nbroker_count = 2\n{EXPRESS}"
            ),
            "zones",
            "Express brokers stand in three zones",
        ),
        (&"[network]\nvpc_id = 'main'".to_owned(), "network.vpc_id", "is no id of a VPC"),
        (&"[network]\nsubnet_ids = ['subnet-0a1b2c3d']".to_owned(), "network.subnet_ids", "needs network.vpc_id"),
        (
            &"[network]\nvpc_id = 'vpc-0a1b2c3d'\nsubnet_ids = ['subnet-0a1b2c3d']".to_owned(),
            "network.subnet_ids",
            "1 subnets for 3 zones",
        ),
        (
            &"[network]\nvpc_id = 'vpc-0a1b2c3d'\nvpc_cidr = '10.0.0.0/16'".to_owned(),
            "network.vpc_cidr",
            "leave one of the two out",
        ),
        (
            &"[network]\nvpc_id = 'vpc-0a1b2c3d'\nflow_logs = true".to_owned(),
            "network.flow_logs",
            "belongs to whoever made the VPC",
        ),
        (&"[network]\npublic = false".to_owned(), "network.public", "nothing reaches the client"),
        (
            &"profile = 'hardened'\n[client]\nkafka_tools = true".to_owned(),
            "client.kafka_tools",
            "cannot reach: set it to false",
        ),
        (
            &"profile = 'hardened'\n[client]\nkgen_url = 'https://a/b'".to_owned(),
            "client.kgen_url",
            "use client.kgen_file, which comes through S3",
        ),
        (&"[client]\nbucket = 'abc'".to_owned(), "client.bucket", "needs client.kgen_file"),
        (&"[client]\nkgen_file = 'kgen'".to_owned(), "client.kgen_file", "needs client.kgen_sha256 beside it"),
        (&"[client]\ncount = 0".to_owned(), "client.count", "must be 1 to 20"),
        (&"[logs]\ns3_bucket = 'A'".to_owned(), "logs.s3_bucket", "is no name of an S3 bucket"),
        (&"[logs]\ns3_prefix = 'a'".to_owned(), "logs.s3_prefix", "needs logs.s3_bucket"),
        (&"[logs]\nfirehose_stream = 'a b'".to_owned(), "logs.firehose_stream", "is no name of a Firehose stream"),
        (&"[alarms]\nemails = ['a@b.c']".to_owned(), "alarms.emails", "set alarms.sns_topic to \"own\""),
        (
            &"[alarms]\nsns_topic = 'own'\nemails = ['nobody']".to_owned(),
            "alarms.emails",
            "\"nobody\" is no e-mail address",
        ),
    ] {
        check(text, key, reason);
    }
    for (text, reason) in [
        ("profile = 'prod'", "unknown variant `prod`, expected `demo` or `hardened`"),
        ("[cluster]\nkms_key = 'mine'", "is neither \"aws\" nor \"own\" nor the ARN of a KMS key"),
        ("[alarms]\nsns_topic = 'arn:aws:kms:us-west-2:1:key/x'", "nor the ARN of an SNS topic"),
        ("[client]\nkgen_file = 'k'\nbucket = 'No'", "nor the name of an S3 bucket"),
    ] {
        let error = Stack::parse(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}\n{error}");
    }
}

#[test]
fn a_resize_is_refused_where_another_setting_needs_the_present_type() {
    let text = "[cluster]\nbroker_type = 'kafka.m5.4xlarge'\nprovisioned_throughput_mib_per_s = 500";
    let refused = Stack::parse(text).unwrap().resized(BrokerType::M5_LARGE).unwrap_err().to_string();
    assert!(
        refused.starts_with("kgen.toml does not go with kafka.m5.large: cluster.provisioned_throughput"),
        "{refused}"
    );
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
