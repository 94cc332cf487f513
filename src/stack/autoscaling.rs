//! `autoscaling.tf`: volumes that grow by themselves.

use super::{Stack, msk::MskFile};
use crate::hcl::{Block, Document};

/// Nothing, unless the stack asks for storage autoscaling.
pub(super) fn render(stack: &Stack, msk: &MskFile) -> Option<Document> {
    let cluster = stack.cluster();
    let most = cluster.autoscaling_max_gib?;
    let (target_block, target) = Block::resource("aws_appautoscaling_target", "storage");
    let target_block = target_block
        .set("service_namespace", "kafka")
        .set("scalable_dimension", "kafka:broker-storage:VolumeSize")
        .set("resource_id", msk.cluster.attr("arn"))
        .set("min_capacity", 1)
        .set("max_capacity", most);

    let metric =
        Block::new("predefined_metric_specification").set("predefined_metric_type", "KafkaBrokerStorageUtilization");
    let tracking = Block::new("target_tracking_scaling_policy_configuration")
        .set("target_value", cluster.autoscaling_target_percent)
        .set("disable_scale_in", true)
        .nest(metric);
    let (policy_block, _) = Block::resource("aws_appautoscaling_policy", "storage");
    let policy_block = policy_block
        .set("name", format!("{}-broker-storage", cluster.name))
        .set("policy_type", "TargetTrackingScaling")
        .set("service_namespace", target.attr("service_namespace"))
        .set("scalable_dimension", target.attr("scalable_dimension"))
        .set("resource_id", target.attr("resource_id"))
        .nest(tracking);
    let why = "MSK volumes can only grow, by 10 % or 10 GiB at a time.";
    Some(Document::new().block(target_block).commented(why, policy_block))
}
