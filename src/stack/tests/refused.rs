//! What is no stack, and what is no resize.

use super::*;

#[test]
fn what_msk_would_refuse_is_no_resize() {
    for (kafka_version, from, to, expected) in [
        ("3.9.x", "kafka.t3.small", "kafka.m5.large", Ok(())),
        ("3.9.x", "kafka.t3.small", "kafka.t3.small", Err("the brokers already are kafka.t3.small")),
        (
            "3.9.x",
            "kafka.m5.large",
            "kafka.t3.small",
            Err(
                "MSK cannot change brokers back to kafka.t3.small: T3 brokers can only be changed to other types (choose an m5 or m7g type)",
            ),
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
             KRaft (use 3.9.x, or an m5 or m7g type; MSK migrates a running cluster from ZooKeeper only after its type has \
             been changed and its ZooKeeper access turned off)",
        ),
        (
            "cluster.broker_count = 4",
            "kgen.toml:1: cluster.broker_count: 4 brokers cannot be spread evenly over 3 zones: MSK needs a multiple of 3",
        ),
        ("[cluster]\nbroker_count = \"three\"", "kgen.toml:2:16: invalid type: string \"three\", expected u32"),
        (
            "[cluster]\nname = \"a\\\"b\"",
            "kgen.toml:2: cluster.name: needs 1 to 50 letters, digits and hyphens, and must not start with a hyphen",
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
            "[topic]\nname = '-x'",
            "kgen.toml:2: topic.name: must not start with a hyphen: commands would treat it as an option",
        ),
        (
            "[client]\nkgen_url = \"https://a/kgen\"",
            "kgen.toml:2: client.kgen_url: also needs client.kgen_sha256 (`sha256sum kgen`)",
        ),
        ("[load]\nrate = -1", "kgen.toml:2: load.rate: must be above 0 records a second"),
        (
            "[alarms]\nperiod_s = 90",
            "kgen.toml:2: alarms.period_s: MSK publishes a datapoint every minute: use 60 to 3600, in steps of 60",
        ),
        ("region = ", "kgen.toml:1:10: string values must be quoted, expected literal string"),
        (
            "[cluster.server_properties]\n\"a b\" = 1",
            "kgen.toml:2: cluster.server_properties.a b: a property has a name of letters, digits and dots, and a \
             value on one line that does not end in a backslash",
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
            "cannot provision throughput for kafka.t3.small",
        ),
        (
            "broker_type = 'kafka.m5.4xlarge'\nprovisioned_throughput_mib_per_s = 600",
            "provisioned_throughput_mib_per_s",
            "kafka.m5.4xlarge allows 250 to 593 MiB/s, not 600",
        ),
        (
            "broker_type = 'kafka.m5.4xlarge'\nvolume_gib = 9\nprovisioned_throughput_mib_per_s = 250",
            "provisioned_throughput_mib_per_s",
            "needs cluster.volume_gib of 10 or more",
        ),
        ("autoscaling_max_gib = 100", "autoscaling_max_gib", "100 must be above cluster.volume_gib and at most 16384"),
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
            "MSK only allows delete",
        ),
        ("authentication = []", "authentication", "needs at least one"),
        ("authentication = ['none', 'none']", "authentication", "none is given twice"),
        ("client_broker = 'PLAINTEXT'\nauthentication = ['none', 'iam']", "authentication", "need encryption"),
        ("authentication = ['iam']", "client_broker", "TLS_PLAINTEXT allows clients without authentication"),
        ("client_broker = 'TLS'\nauthentication = ['tls']", "certificate_authority_arns", "set both or neither"),
        (
            "certificate_authority_arns = ['arn:aws:acm-pca:us-west-2:1:certificate-authority/x']",
            "certificate_authority_arns",
            "set both or neither",
        ),
        ("client_broker = 'TLS'\nauthentication = ['scram']", "scram_users", "set users, or remove scram"),
        (
            "client_broker = 'TLS'\nauthentication = ['scram']\nscram_users = ['a']",
            "scram_users",
            "secrets encrypted with AWS's own key",
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
            "starts with AmazonMSK_",
        ),
        (&format!("{EXPRESS}volume_gib = 100\n{THREE}"), "volume_gib", "have no volumes"),
        (&format!("{EXPRESS}autoscaling_max_gib = 200\n{THREE}"), "autoscaling_max_gib", "have no volumes"),
        (&format!("{EXPRESS}tiered_storage = true\n{THREE}"), "tiered_storage", "have no volumes"),
        (EXPRESS, "topic.replication_factor", "topics on Express brokers have 3 replicas"),
        (&format!("{EXPRESS}{THREE}[alarms]\ndisk_percent = 80"), "alarms.disk_percent", "have no volumes"),
        (
            &format!("{EXPRESS}server_properties = {{ 'min.insync.replicas' = 1 }}\n{THREE}"),
            "server_properties.min.insync.replicas",
            "do not accept this property",
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
            "Express brokers need three zones",
        ),
        (&"[network]\nvpc_id = 'main'".to_owned(), "network.vpc_id", "is not the id of a VPC"),
        (&"[network]\nsubnet_ids = ['subnet-0a1b2c3d']".to_owned(), "network.subnet_ids", "needs network.vpc_id"),
        (
            &"[network]\nvpc_id = 'vpc-0a1b2c3d'\nsubnet_ids = ['subnet-0a1b2c3d']".to_owned(),
            "network.subnet_ids",
            "1 subnets for 3 zones",
        ),
        (
            &"[network]\nvpc_id = 'vpc-0a1b2c3d'\nvpc_cidr = '10.0.0.0/16'".to_owned(),
            "network.vpc_cidr",
            "set only one of the two",
        ),
        (
            &"[network]\nvpc_id = 'vpc-0a1b2c3d'\nflow_logs = true".to_owned(),
            "network.flow_logs",
            "is managed by the owner of the VPC",
        ),
        (&"[network]\npublic = false".to_owned(), "network.public", "the client cannot be reached"),
        (
            &"profile = 'hardened'\n[client]\nkafka_tools = true".to_owned(),
            "client.kafka_tools",
            "cannot reach: set it to false",
        ),
        (
            &"profile = 'hardened'\n[client]\nkgen_url = 'https://a/b'".to_owned(),
            "client.kgen_url",
            "use client.kgen_file, which is delivered through S3",
        ),
        (&"[client]\nkgen = 'none'\nbucket = 'abc'".to_owned(), "client.bucket", "needs client.kgen_file or"),
        (&"[client]\nkgen_file = 'kgen'".to_owned(), "client.kgen_file", "also needs client.kgen_sha256"),
        (&"[client]\ncount = 0".to_owned(), "client.count", "must be 1 to 20"),
        (&"[logs]\ns3_bucket = 'A'".to_owned(), "logs.s3_bucket", "is not the name of an S3 bucket"),
        (&"[logs]\ns3_prefix = 'a'".to_owned(), "logs.s3_prefix", "needs logs.s3_bucket"),
        (&"[logs]\nfirehose_stream = 'a b'".to_owned(), "logs.firehose_stream", "is not the name of a Firehose stream"),
        (&"[alarms]\nemails = ['a@b.c']".to_owned(), "alarms.emails", "set alarms.sns_topic to \"own\""),
        (
            &"[alarms]\nsns_topic = 'own'\nemails = ['nobody']".to_owned(),
            "alarms.emails",
            "\"nobody\" is not an e-mail address",
        ),
    ] {
        check(text, key, reason);
    }
    for (text, reason) in [
        ("profile = 'prod'", "unknown variant `prod`, expected `demo` or `hardened`"),
        ("[cluster]\nkms_key = 'mine'", "is not \"aws\", \"own\" or the ARN of a KMS key"),
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
    assert!(refused.starts_with("kgen.toml does not fit kafka.m5.large: cluster.provisioned_throughput"), "{refused}");
}
