use std::sync::LazyLock;

use super::*;
use crate::stack::{
    Stack,
    tests::{EVERYTHING, variants},
};

static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::parse(include_str!("../../../tests/schema/aws.json")).unwrap());

/// Checks what `stack` renders to.
pub(in crate::stack) fn ensure_whole(stack: &Stack) {
    let faults: Vec<String> = check(&stack.render(), &SCHEMA).unwrap().iter().map(Fault::to_string).collect();
    let hint = "a new type? Add its line to tests/schema/types.txt and run `scripts/schema`";
    assert!(faults.is_empty(), "{}\n({hint})", faults.join("\n"));
}

/// What is wrong with the default stack after `old` has become `new`, once, in `file`.
fn mutated(file: &str, old: &str, new: &str) -> Vec<String> {
    let rendered = Stack::default().render();
    let text = rendered.get(file).unwrap();
    assert!(text.contains(old), "{file} has no {old}");
    let changed = text.replacen(old, new, 1);
    let files =
        rendered.files().map(|(name, text)| (name, if name == file { changed.clone() } else { text.to_owned() }));
    let faults = check(&Rendered::new(files), &SCHEMA).unwrap();
    faults.iter().map(Fault::to_string).collect()
}

/// `block` below the default stack.
fn with(block: &str) -> Vec<String> {
    mutated("msk.tf", "resource \"aws_msk_cluster\"", &format!("{block}\n\nresource \"aws_msk_cluster\""))
}

#[test]
fn what_is_rendered_is_whole() {
    for stack in [Stack::default(), Stack::parse(EVERYTHING).unwrap()] {
        ensure_whole(&stack);
    }
}

/// Every option, and with `hardened.toml` the hardened profile.
#[test]
fn what_each_option_renders_is_whole() {
    for (_, stack) in variants() {
        ensure_whole(&stack);
    }
}

/// The nineteen mistakes on which checkers were compared, and what comes of each. `terraform validate` finds the first
/// fourteen, and a schema alone the first five.
const NINETEEN: [(&str, &str, &str, &str); 19] = [
    ("msk.tf", "kafka_version ", "kafka_verison ", "aws_msk_cluster.main: there is no argument kafka_verison"),
    (
        "alarms.tf",
        "  comparison_operator = \"GreaterThanThreshold\"\n",
        "",
        "aws_cloudwatch_metric_alarm.cpu: the argument comparison_operator is missing",
    ),
    (
        "msk.tf",
        "  encryption_info {",
        "  encryption_info {}\n\n  encryption_info {",
        "aws_msk_cluster.main: 2 blocks encryption_info, but at most 1 are allowed",
    ),
    (
        "msk.tf",
        "number_of_broker_nodes = 3",
        "number_of_broker_nodes = \"three\"",
        "aws_msk_cluster.main.number_of_broker_nodes: expected a number, but this is the text \"three\"",
    ),
    (
        "msk.tf",
        "[aws_security_group.broker.id]",
        "\"sg-1\"",
        "aws_msk_cluster.main.broker_node_group_info.security_groups: expected a set, but this is the text \"sg-1\"",
    ),
    (
        "msk.tf",
        "aws_security_group.broker.id",
        "aws_security_group.brokers.id",
        "security_groups: aws_security_group.brokers refers to something that is not declared",
    ),
    (
        "msk.tf",
        "\"PER_BROKER\"",
        "\"PER_NODE\"",
        "aws_msk_cluster.main.enhanced_monitoring: \"PER_NODE\" is not one of DEFAULT, PER_BROKER, ",
    ),
    ("msk.tf", "\"TLS_PLAINTEXT\"", "\"BOTH\"", "encryption_in_transit.client_broker: \"BOTH\" is not one of TLS, "),
    (
        "network.tf",
        "\"10.0.0.0/16\"",
        "\"10.0.0.0/33\"",
        "aws_vpc.main.cidr_block: \"10.0.0.0/33\" is not a block of IPv4 addresses of /16 to /28",
    ),
    (
        "alarms.tf",
        "statistic           = \"Average\"",
        "statistic           = \"Mean\"",
        "aws_cloudwatch_metric_alarm.heap_after_gc.statistic: \"Mean\" is not one of ",
    ),
    (
        "alarms.tf",
        "\"GreaterThanThreshold\"",
        "\"Above\"",
        "aws_cloudwatch_metric_alarm.cpu.comparison_operator: \"Above\" is not one of ",
    ),
    (
        "alarms.tf",
        "period              = 60",
        "period              = 61",
        "aws_cloudwatch_metric_alarm.heap_after_gc.period: \"61\" is not 10, 20, 30 or ",
    ),
    (
        "alarms.tf",
        "evaluation_periods  = 2",
        "evaluation_periods  = 0",
        "aws_cloudwatch_metric_alarm.cpu.evaluation_periods: \"0\" is not a whole number from 1 ",
    ),
    (
        "logs.tf",
        "retention_in_days = 7",
        "retention_in_days = 2",
        "aws_cloudwatch_log_group.broker.retention_in_days: \"2\" is not one of 0, 1, 3, ",
    ),
    (
        "msk.tf",
        "\"kafka.t3.small\"",
        "\"kafka.nope.huge\"",
        "broker_node_group_info.instance_type: \"kafka.nope.huge\" is not an MSK broker type",
    ),
    (
        "msk.tf",
        "\"kafka.t3.small\"",
        "\"t3.small\"",
        "broker_node_group_info.instance_type: \"t3.small\" is not an MSK broker type; did you mean kafka.t3.small?",
    ),
    (
        "msk.tf",
        "number_of_broker_nodes = 3",
        "number_of_broker_nodes = 4",
        "aws_msk_cluster.main.number_of_broker_nodes: 4 brokers are not a multiple of the 3 subnets",
    ),
    (
        "alarms.tf",
        "\"CpuUser\"",
        "\"CpuUsr\"",
        "aws_cloudwatch_metric_alarm.cpu.metric_query.metric.metric_name: MSK has no metric CpuUsr",
    ),
    (
        "alarms.tf",
        "\"Cluster Name\"",
        "ClusterName",
        "metric_query.metric.metric_name: MSK does not publish CpuUser by Broker ID, ClusterName",
    ),
];

#[test]
fn nineteen_of_nineteen_mistakes_are_caught() {
    for (file, old, new, expected) in NINETEEN {
        let faults = mutated(file, old, new);
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{old} → {new}: {faults:#?}");
    }
}

#[test]
fn further_mistakes_are_caught() {
    let mut missed = Vec::new();
    for (file, old, new, expected) in [
        (
            "msk.tf",
            "aws_msk_configuration.main.arn",
            "aws_msk_configuration.main.arns",
            "configuration_info.arn: there is no attribute arns",
        ),
        (
            "msk.tf",
            "cluster_name ",
            "arn          ",
            "aws_msk_cluster.main.arn: the provider sets arn; it cannot be given",
        ),
        (
            "msk.tf",
            "values(aws_subnet.broker)[*].id",
            "aws_subnet.broker.id",
            "aws_subnet.broker has several instances: select one to read id",
        ),
        (
            "msk.tf",
            "values(aws_subnet.broker)[*].id",
            "aws_vpc.main.id",
            "client_subnets: expected a set, but this is text",
        ),
        ("msk.tf", "values(", "valuez(", "there is no function valuez"),
        ("msk.tf", "\"3.9.x\"", "\"3.9.x.kraft\"", "kafka.t3.small exists only with ZooKeeper-mode Kafka"),
        (
            "msk.tf",
            "\"3.9.x\"",
            "\"2.1.0\"",
            "aws_msk_cluster.main.kafka_version: \"2.1.0\" is not a Kafka version that MSK offers",
        ),
        ("msk.tf", "  open_monitoring {", "  monitoring {", "aws_msk_cluster.main: there is no block monitoring here"),
        ("msk.tf", "  configuration_info {", "  tags {", "aws_msk_cluster.main: tags is an argument, not a block"),
        (
            "msk.tf",
            "    in_cluster    = true",
            "    in_cluster    = \"yes\"",
            "in_cluster: expected true or false, but this is the text \"yes\"",
        ),
        ("client.tf", "domain ", "vpc = true\n  domain ", "aws_eip.client.vpc: vpc is deprecated"),
        (
            "client.tf",
            "ignore_changes = [ami]",
            "ignore_changes = [amy]",
            "aws_instance.client.lifecycle: there is no argument amy",
        ),
        (
            "network.tf",
            "\"10.0.2.0/24\"",
            "\"10.0.2.0/8\"",
            "aws_subnet.broker.cidr_block: \"10.0.2.0/8\" is not a block",
        ),
        ("network.tf", "each.key", "each.kee", "availability_zone: each.kee refers to something that is not declared"),
        ("security.tf", "each.value.from", "each.value.form", "from_port: the object has no attribute form"),
        (
            "outputs.tf",
            "  value       = ",
            "  valve       = ",
            "output.client_instance_id: the argument value is missing",
        ),
        (
            "outputs.tf",
            "aws_vpc.main.id",
            "var.vpc",
            "output.vpc_id.value: var.vpc refers to something that is not declared",
        ),
        ("outputs.tf", "output \"vpc_id\"", "output \"region\"", "output.region: output.region is set twice"),
        ("versions.tf", "  region =", "  regoin =", "provider.aws: there is no argument regoin"),
        (
            "iam.tf",
            "\"aws_iam_role\" \"client\"",
            "\"aws_iam_roll\" \"client\"",
            "aws_iam_roll.client: aws_iam_roll is not in the schema",
        ),
    ] {
        let faults = mutated(file, old, new);
        if !faults.iter().any(|fault| fault.contains(expected)) {
            missed.push(format!("{old} → {new}: {faults:#?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn a_dashboard_is_read_to_its_metrics() {
    let dashboard = |metrics: &str| {
        with(&format!(
            "resource \"aws_cloudwatch_dashboard\" \"main\" {{\n  dashboard_name = \"d\"\n  dashboard_body = jsonencode({{ \
             widgets = [{{ properties = {{ metrics = {metrics} }} }}] }})\n}}"
        ))
    };
    let name = "aws_msk_cluster.main.cluster_name";
    for (metrics, expected) in [
        (format!("[[\"AWS/Kafka\", \"CpuUser\", \"Cluster Name\", {name}, \"Broker ID\", \"1\"], [\"...\", \"2\", {{ label = \"b\" }}]]"), None),
        (format!("[[\"AWS/Kafka\", \"CpuUser\", \"Cluster Name\", {name}, \"Broker ID\", \"1\"], [\".\", \"CpuUsr\", \".\", \".\", \".\", \"1\"]]"), Some("MSK has no metric CpuUsr")),
        (format!("[for id in [\"1\", \"2\"] : [\"AWS/Kafka\", \"CpuUser\", \"ClusterName\", {name}, \"Broker ID\", id]]"), Some("MSK does not publish CpuUser by Broker ID, ClusterName")),
        (format!("[[\"AWS/Kafka\", \"CpuUser\", \"Cluster Name\", {name}]]"), Some("MSK does not publish CpuUser by Cluster Name")),
        ("[[{ expression = \"SEARCH('{AWS/Kafka,\\\"Cluster Name\\\",\\\"Broker ID\\\"} MetricName=\\\"CpuUser\\\"', 'Average')\" }]]".to_owned(), None),
        ("[[{ expression = \"SEARCH('{AWS/Kafka,\\\"Cluster Name\\\",\\\"Broker ID\\\"} MetricName=\\\"CpuUse\\\"', 'Average')\" }]]".to_owned(), Some("MSK has no metric CpuUse")),
    ] {
        let faults = dashboard(&metrics);
        match expected {
            None => assert!(faults.is_empty(), "{metrics}: {faults:?}"),
            Some(expected) => assert!(faults.iter().any(|fault| fault.contains(expected)), "{metrics}: {faults:?}"),
        }
    }
}

#[test]
fn forms_that_are_not_rendered_yet_are_understood() {
    for (block, expected) in [
        (
            "variable \"id\" {\n  type = string\n}\n\nlocals {\n  zone = var.id\n}\n\noutput \"zone\" {\n  value = local.zone\n}",
            None,
        ),
        (
            "resource \"aws_security_group\" \"open\" {\n  ingress {\n    from_port = 1\n    to_port   = 2\n    protocol  = \"tcp\"\n  }\n}",
            None,
        ),
        (
            "resource \"aws_security_group\" \"open\" {\n  ingress {\n    form_port = 1\n  }\n}",
            Some("ingress: there is no argument form_port"),
        ),
        (
            "resource \"aws_flow_log\" \"all\" {\n  vpc_id       = aws_vpc.main.id\n  traffic_type = \"ALLES\"\n}",
            Some("traffic_type: \"ALLES\" is not one of"),
        ),
        (
            "resource \"aws_s3_bucket_lifecycle_configuration\" \"logs\" {\n  bucket = \"b\"\n\n  dynamic \"rule\" {\n    for_each = { a = \"Enabled\" }\n\n    content {\n      id     = rule.key\n      status = rule.value\n    }\n  }\n}",
            None,
        ),
        (
            "resource \"aws_s3_bucket_lifecycle_configuration\" \"logs\" {\n  bucket = \"b\"\n\n  dynamic \"rule\" {\n    for_each = { a = \"Enabled\" }\n\n    content {\n      id    = rule.key\n      state = rule.valve\n    }\n  }\n}",
            Some("rule: there is no argument state"),
        ),
        (
            "data \"aws_subnets\" \"mine\" {\n  filter {\n    name   = \"vpc-id\"\n    values = [\"vpc-1\"]\n  }\n}\n\noutput \"ids\" {\n  value = data.aws_subnets.mine.ids\n}",
            None,
        ),
        (
            "data \"aws_subnets\" \"mine\" {\n  filter {\n    name = \"vpc-id\"\n  }\n}",
            Some("data.aws_subnets.mine.filter: the argument values is missing"),
        ),
    ] {
        let faults = with(block);
        match expected {
            None => assert!(faults.is_empty(), "{block}: {faults:?}"),
            Some(expected) => assert!(faults.iter().any(|fault| fault.contains(expected)), "{block}: {faults:?}"),
        }
    }
}
