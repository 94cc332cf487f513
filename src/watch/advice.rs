//! The commands that carry out an advice of sizing, for a cluster of the project or of somebody else.

use std::path::Path;

use crate::{
    diagnose::Context,
    process::shell_word,
    sizing::{Advice, Sizing},
};

/// The commands, in order; none where nothing is to be changed. `dir` has Terraform that kgen did not write, and `is_own` says
/// that the project describes the cluster.
pub fn carry_out(sizing: &Sizing, context: &Context, dir: Option<&Path>, is_own: bool) -> Vec<String> {
    let Advice::Change { shape, .. } = &sizing.advice else { return Vec::new() };
    let now = sizing.current.shape;
    let mut commands = Vec::new();
    let arn = context.arn.as_deref().map_or("ARN".to_owned(), shell_word);
    let region = shell_word(&context.region);
    let aws = |command: &str, option: String| {
        format!(
            "aws kafka {command} --cluster-arn {arn} --current-version \"$(aws kafka describe-cluster-v2 --cluster-arn {arn} \
             --query ClusterInfo.CurrentVersion --output text --region {region})\" {option} --region {region}"
        )
    };
    if shape.broker_type != now.broker_type {
        commands.push(match dir {
            Some(dir) => format!("kgen resize {} --dir {}", shape.broker_type, shell_word(&dir.to_string_lossy())),
            None if is_own => format!("kgen resize {}", shape.broker_type),
            None => aws("update-broker-type", format!("--target-instance-type {}", shape.broker_type)),
        });
    }
    if shape.brokers > now.brokers {
        commands.push(match is_own && dir.is_none() {
            true => format!("kgen scale-out {}", shape.brokers),
            false => aws("update-broker-count", format!("--target-number-of-broker-nodes {}", shape.brokers)),
        });
    }
    if shape.brokers < now.brokers {
        // kgen removes no brokers: partitions have to be moved away first.
        commands.push(aws("update-broker-count", format!("--target-number-of-broker-nodes {}", shape.brokers)));
    }
    commands
}
