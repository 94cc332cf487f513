//! More brokers of the same type, and partitions moved onto them.

use serde::Serialize;

use super::{
    Rendered, Target,
    hcl_change::broker_count_diff,
    partitions::{PARTITIONS_A_BATCH, REASSIGN_BELOW_CPU_PERCENT},
    resize::price,
};
use crate::catalogue::BrokerType;

/// More brokers. They serve no partitions until some are moved onto them.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct ScaleOut {
    pub from: u32,
    pub to: u32,
    /// Nothing where the type is not in the catalogue.
    pub broker_type: Option<BrokerType>,
    pub reason: String,
}

impl ScaleOut {
    pub(super) fn rendered(&self, target: &Target) -> Rendered {
        let (from, to) = (self.from, self.to);
        let price = self.broker_type.map(|broker_type| {
            let price = price((broker_type, from), (broker_type, to));
            format!("{price}; brokers can later be removed only from m5 and m7g clusters")
        });
        let steps = format!(
            "two steps: MSK adds the brokers while all others keep serving; then partitions move onto them, \
             {PARTITIONS_A_BATCH} at a time, with a throttle and below {REASSIGN_BELOW_CPU_PERCENT} % CPU"
        );
        Rendered {
            summary: format!("{from} to {to} brokers: {}", self.reason),
            aws_cli: target.arn.zip(target.current_version).map(|(arn, version)| {
                format!(
                    "aws kafka update-broker-count --cluster-arn {arn} --current-version {version} \
                     --target-number-of-broker-nodes {to} --region {}",
                    target.region
                )
            }),
            kgen: Some(format!("kgen scale-out {to}")),
            hcl_diff: Some(broker_count_diff(target.msk_tf, from, to)),
            kafka_tools: Vec::new(),
            notes: price.into_iter().chain([steps]).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_renders_to_what_can_be_pasted() {
        let target = Target {
            arn: Some("arn:c"),
            current_version: Some("K1"),
            region: "us-west-2",
            bootstrap_servers: None,
            msk_tf: Some("resource \"x\" \"y\" {\n  number_of_broker_nodes = 3\n}\n"),
        };
        let scale_out =
            ScaleOut { from: 3, to: 6, broker_type: Some(BrokerType::M5_LARGE), reason: "asked for".to_owned() };
        let rendered = scale_out.rendered(&target);
        assert_eq!(
            rendered.aws_cli.as_deref(),
            Some(
                "aws kafka update-broker-count --cluster-arn arn:c --current-version K1 \
                 --target-number-of-broker-nodes 6 --region us-west-2"
            )
        );
        assert!(rendered.notes[0].starts_with("price: 0.6300 to 1.2600 USD/h, 460 to 920 USD"), "{:?}", rendered.notes);
        let diff = rendered.hcl_diff.unwrap();
        assert!(diff.contains("-  number_of_broker_nodes = 3\n+  number_of_broker_nodes = 6\n"), "{diff}");
    }
}
