//! More storage on every broker.

use serde::Serialize;

use super::{Rendered, Target, hcl_change::volume_size_diff};

/// Largest volume of a broker, GiB (MSK quotas: 16384 GiB).
const MAX_GIB: u32 = 16_384;

/// A larger volume for each broker. MSK never makes one smaller.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Expand {
    /// Present size; unknown where no control plane was asked.
    pub from_gib: Option<u32>,
    pub to_gib: u32,
    pub reason: String,
}

impl Expand {
    /// To twice the present size, up to what MSK offers.
    pub fn twice(from_gib: u32, reason: &str) -> Option<Expand> {
        let to_gib = from_gib.saturating_mul(2).min(MAX_GIB);
        (to_gib > from_gib).then(|| Expand { from_gib: Some(from_gib), to_gib, reason: reason.to_owned() })
    }

    pub(super) fn rendered(&self, target: &Target) -> Rendered {
        let to = self.to_gib;
        Rendered {
            summary: format!("{to} GiB a broker: {}", self.reason),
            aws_cli: target.arn.zip(target.current_version).map(|(arn, version)| {
                format!(
                    "aws kafka update-broker-storage --cluster-arn {arn} --current-version {version} \
                     --target-broker-ebs-volume-info '[{{\"KafkaBrokerNodeId\":\"All\",\"VolumeSizeGB\":{to}}}]' --region {}",
                    target.region
                )
            }),
            hcl_diff: self.from_gib.map(|from| volume_size_diff(target.msk_tf, from, to)),
            notes: vec![
                "takes effect without a restart; MSK allows one change of storage in 6 hours, and never a smaller volume"
                    .to_owned(),
                "what is needed at once: a shorter retention (kafka-configs.sh --alter --add-config retention.ms=…) frees \
                 whole segments within minutes"
                    .to_owned(),
            ],
            ..Rendered::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_the_new_size() {
        let target = Target {
            arn: Some("arn:c"),
            current_version: Some("K1"),
            region: "us-west-2",
            bootstrap_servers: None,
            msk_tf: None,
        };
        let rendered = Expand::twice(100, "it fills up").expect("larger").rendered(&target);
        assert_eq!(
            rendered.aws_cli.as_deref(),
            Some(
                "aws kafka update-broker-storage --cluster-arn arn:c --current-version K1 \
                 --target-broker-ebs-volume-info '[{\"KafkaBrokerNodeId\":\"All\",\"VolumeSizeGB\":200}]' --region us-west-2"
            )
        );
        assert!(rendered.hcl_diff.is_some_and(|diff| diff.contains("+") && diff.contains("volume_size = 200")));
        assert_eq!(Expand::twice(16_384, ""), None);
    }
}
