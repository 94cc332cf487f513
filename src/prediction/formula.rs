//! Published formulas for what a shape carries, for comparison.

use super::Workload;
use crate::sizing::Shape;

/// A rule that needs no history.
pub struct Formula {
    pub name: &'static str,
    /// MB/s from clients that all brokers of a shape carry; `None` where the rule has no figure for it.
    pub ingress_mb_per_s: fn(&Shape, &Workload) -> Option<f64>,
}

/// The rules that `kgen size` is compared with.
pub const FORMULAS: [Formula; 4] = [
    Formula { name: "AWS, Equation 1", ingress_mb_per_s: equation_1 },
    Formula { name: "AWS guideline by type", ingress_mb_per_s: guideline },
    Formula { name: "AWS sizing script at 50 %", ingress_mb_per_s: script },
    Formula { name: "Google CPU model at 50 %", ingress_mb_per_s: google },
];

fn mb_per_s(gbit_per_s: f64) -> f64 {
    gbit_per_s * 125.0
}

/// The least of volume and network (AWS Big Data Blog, "Best practices for right-sizing your Apache Kafka clusters").
fn equation_1(shape: &Shape, workload: &Workload) -> Option<f64> {
    let (brokers, factor) = (f64::from(shape.brokers), f64::from(workload.replication_factor));
    let volume = shape.broker_type.ebs_baseline_mb_per_s? * brokers / factor;
    let network = mb_per_s(shape.broker_type.network_baseline_gbit_per_s?) * brokers
        / (f64::from(workload.readers.max(1)) + factor - 1.0);
    Some(volume.min(network))
}

/// Ingress that AWS advises for each broker, at replication factor 3 and one reader (sample-health-check-tool-for-msk, rules
/// 2026.09).
fn guideline(shape: &Shape, _: &Workload) -> Option<f64> {
    let each = match shape.broker_type.as_str() {
        "kafka.m5.large" => 9.0,
        "kafka.m5.xlarge" => 16.0,
        "kafka.m5.2xlarge" => 31.0,
        "kafka.m7g.large" => 10.0,
        "kafka.m7g.xlarge" => 20.0,
        "kafka.m7g.2xlarge" => 39.0,
        _ => return None,
    };
    Some(each * f64::from(shape.brokers))
}

/// The sizing script of AWS's agent toolkit (aws/agent-toolkit-for-aws, msk_sizing.py) with its margin of a half.
fn script(shape: &Shape, workload: &Workload) -> Option<f64> {
    let volume = shape.broker_type.ebs_baseline_mb_per_s? / 6.5;
    let network =
        mb_per_s(shape.broker_type.network_baseline_gbit_per_s?) / (1.5 * f64::from(workload.readers.max(1)) + 5.7);
    Some(volume.min(network) * 0.5 * f64::from(shape.brokers))
}

/// 20 MB/s of writes for each vCPU, a read costs a quarter, half of the CPU is used (Google Cloud, "Plan your Kafka cluster
/// size").
fn google(shape: &Shape, workload: &Workload) -> Option<f64> {
    let vcpus = f64::from(shape.broker_type.vcpus * shape.brokers);
    let factor = f64::from(workload.replication_factor);
    Some(vcpus * 20.0 * 0.5 / (factor + (f64::from(workload.readers) + factor - 1.0) / 4.0))
}
