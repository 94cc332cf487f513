//! The values that arguments take, where they are few: what `terraform validate` learns from the provider's code.
//!
//! From the provider's documentation of each resource and the API references it names.

use std::{fmt, ops::RangeInclusive};

/// What an argument takes.
pub(super) enum Allowed {
    OneOf(&'static [&'static str]),
    /// Whole numbers.
    Whole(RangeInclusive<u64>),
    /// A block of IPv4 addresses that starts at its first address, of a size in this range.
    Cidr(RangeInclusive<u8>),
    /// Seconds: 10, 20, 30, or a multiple of 60 up to a day.
    Period,
}

use Allowed::{Cidr, OneOf, Period, Whole};

const STATISTICS: &[&str] = &["SampleCount", "Average", "Sum", "Minimum", "Maximum"];
const PROTOCOLS: &[&str] = &["tcp", "udp", "icmp", "icmpv6", "-1"];
const VOLUME_TYPES: &[&str] = &["gp2", "gp3", "io1", "io2", "st1", "sc1", "standard"];
/// 0 keeps logs for ever.
const RETENTION_DAYS: &[&str] = &[
    "0", "1", "3", "5", "7", "14", "30", "60", "90", "120", "150", "180", "365", "400", "545", "731", "1096", "1827",
    "2192", "2557", "2922", "3288", "3653",
];
const COMPARISONS: &[&str] = &[
    "GreaterThanOrEqualToThreshold",
    "GreaterThanThreshold",
    "GreaterThanUpperThreshold",
    "LessThanLowerOrGreaterThanUpperThreshold",
    "LessThanLowerThreshold",
    "LessThanOrEqualToThreshold",
    "LessThanThreshold",
];

/// Resource type, path of the argument, and what it takes. A new limit is one more line.
pub(super) const VALUES: &[(&str, &str, Allowed)] = &[
    ("aws_appautoscaling_policy", "policy_type", OneOf(&["StepScaling", "TargetTrackingScaling"])),
    (
        "aws_appautoscaling_policy",
        "target_tracking_scaling_policy_configuration.predefined_metric_specification.predefined_metric_type",
        OneOf(&["KafkaBrokerStorageUtilization"]),
    ),
    ("aws_appautoscaling_policy", "scalable_dimension", OneOf(&["kafka:broker-storage:VolumeSize"])),
    ("aws_appautoscaling_policy", "service_namespace", OneOf(&["kafka"])),
    ("aws_appautoscaling_target", "scalable_dimension", OneOf(&["kafka:broker-storage:VolumeSize"])),
    ("aws_appautoscaling_target", "service_namespace", OneOf(&["kafka"])),
    // MSK: the volume grows only.
    ("aws_appautoscaling_target", "min_capacity", Whole(1..=1)),
    ("aws_appautoscaling_target", "max_capacity", Whole(1..=16384)),
    ("aws_cloudwatch_log_group", "retention_in_days", OneOf(RETENTION_DAYS)),
    ("aws_cloudwatch_metric_alarm", "comparison_operator", OneOf(COMPARISONS)),
    ("aws_cloudwatch_metric_alarm", "evaluation_periods", Whole(1..=1440)),
    ("aws_cloudwatch_metric_alarm", "period", Period),
    ("aws_cloudwatch_metric_alarm", "statistic", OneOf(STATISTICS)),
    ("aws_cloudwatch_metric_alarm", "treat_missing_data", OneOf(&["missing", "ignore", "breaching", "notBreaching"])),
    ("aws_cloudwatch_metric_alarm", "metric_query.metric.period", Period),
    ("aws_cloudwatch_metric_alarm", "metric_query.metric.stat", OneOf(STATISTICS)),
    ("aws_eip", "domain", OneOf(&["vpc", "standard"])),
    ("aws_flow_log", "traffic_type", OneOf(&["ACCEPT", "REJECT", "ALL"])),
    ("aws_flow_log", "log_destination_type", OneOf(&["cloud-watch-logs", "s3", "kinesis-data-firehose"])),
    ("aws_flow_log", "max_aggregation_interval", OneOf(&["60", "600"])),
    ("aws_instance", "metadata_options.http_endpoint", OneOf(&["enabled", "disabled"])),
    ("aws_instance", "metadata_options.http_tokens", OneOf(&["required", "optional"])),
    ("aws_instance", "metadata_options.http_put_response_hop_limit", Whole(1..=64)),
    ("aws_instance", "root_block_device.volume_size", Whole(1..=65536)),
    ("aws_instance", "root_block_device.volume_type", OneOf(VOLUME_TYPES)),
    ("aws_kms_key", "deletion_window_in_days", Whole(7..=30)),
    ("aws_msk_cluster", "broker_node_group_info.storage_info.ebs_storage_info.volume_size", Whole(1..=16384)),
    ("aws_msk_cluster", "broker_node_group_info.az_distribution", OneOf(&["DEFAULT"])),
    (
        "aws_msk_cluster",
        "broker_node_group_info.connectivity_info.public_access.type",
        OneOf(&["DISABLED", "SERVICE_PROVIDED_EIPS"]),
    ),
    (
        "aws_msk_cluster",
        "encryption_info.encryption_in_transit.client_broker",
        OneOf(&["TLS", "TLS_PLAINTEXT", "PLAINTEXT"]),
    ),
    (
        "aws_msk_cluster",
        "enhanced_monitoring",
        OneOf(&["DEFAULT", "PER_BROKER", "PER_TOPIC_PER_BROKER", "PER_TOPIC_PER_PARTITION"]),
    ),
    ("aws_msk_cluster", "storage_mode", OneOf(&["LOCAL", "TIERED"])),
    ("aws_route", "destination_cidr_block", Cidr(0..=32)),
    ("aws_secretsmanager_secret", "recovery_window_in_days", Whole(0..=30)),
    (
        "aws_sns_topic_subscription",
        "protocol",
        OneOf(&["email", "email-json", "http", "https", "lambda", "sms", "sqs"]),
    ),
    ("aws_subnet", "cidr_block", Cidr(16..=28)),
    ("aws_vpc", "cidr_block", Cidr(16..=28)),
    ("aws_vpc_endpoint", "vpc_endpoint_type", OneOf(&["Gateway", "GatewayLoadBalancer", "Interface", "Resource"])),
    ("aws_vpc_security_group_egress_rule", "cidr_ipv4", Cidr(0..=32)),
    ("aws_vpc_security_group_egress_rule", "ip_protocol", OneOf(PROTOCOLS)),
    ("aws_vpc_security_group_egress_rule", "from_port", Whole(0..=65535)),
    ("aws_vpc_security_group_egress_rule", "to_port", Whole(0..=65535)),
    ("aws_vpc_security_group_ingress_rule", "cidr_ipv4", Cidr(0..=32)),
    ("aws_vpc_security_group_ingress_rule", "ip_protocol", OneOf(PROTOCOLS)),
    ("aws_vpc_security_group_ingress_rule", "from_port", Whole(0..=65535)),
    ("aws_vpc_security_group_ingress_rule", "to_port", Whole(0..=65535)),
];

impl Allowed {
    pub fn contain(&self, text: &str) -> bool {
        let number = text.parse::<u64>();
        match self {
            OneOf(words) => words.contains(&text),
            Whole(range) => number.is_ok_and(|number| range.contains(&number)),
            Cidr(sizes) => is_cidr(text, sizes),
            Period => number.is_ok_and(|s| [10, 20, 30].contains(&s) || (s > 0 && s <= 86400 && s.is_multiple_of(60))),
        }
    }
}

fn is_cidr(text: &str, sizes: &RangeInclusive<u8>) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let (Ok(address), Ok(bits)) = (address.parse::<std::net::Ipv4Addr>(), bits.parse::<u8>()) else { return false };
    sizes.contains(&bits) && u64::from(address.to_bits()) << bits & 0xffff_ffff == 0
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OneOf(words) => write!(f, "one of {}", words.join(", ")),
            Whole(range) => write!(f, "a whole number from {} to {}", range.start(), range.end()),
            Cidr(sizes) => write!(f, "a block of IPv4 addresses of /{} to /{}", sizes.start(), sizes.end()),
            Period => f.write_str("10, 20, 30 or a multiple of 60 seconds"),
        }
    }
}
