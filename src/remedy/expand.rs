//! More storage on every broker.

use serde::Serialize;

use super::{Rendered, Target, hcl_change::volume_size_diff};

/// Largest volume of a broker, GiB (MSK quotas: 16384 GiB).
const MAX_GIB: u32 = 16_384;

/// Said where an edit would do nothing.
const IGNORED: &str = "changing volume_size has no effect in this Terraform, because `ignore_changes` covers it: use \
                       the command and keep volume_size as it is, or remove it from `ignore_changes` and set the new \
                       size";

/// A larger volume for each broker. MSK cannot shrink volumes.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Expand {
    /// Present size; absent if the control plane was not used.
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
        let is_ignored = target.msk_tf.is_some_and(ignores_volume_size);
        Rendered {
            summary: format!("{to} GiB a broker: {}", self.reason),
            aws_cli: target.arn.zip(target.current_version).map(|(arn, version)| {
                format!(
                    "aws kafka update-broker-storage --cluster-arn {arn} --current-version {version} \
                     --target-broker-ebs-volume-info '[{{\"KafkaBrokerNodeId\":\"All\",\"VolumeSizeGB\":{to}}}]' --region {}",
                    target.region
                )
            }),
            hcl_diff: self.from_gib.filter(|_| !is_ignored).map(|from| volume_size_diff(target.msk_tf, from, to)),
            notes: [
                "takes effect without a restart; MSK allows one storage change in 6 hours, and volumes can never shrink"
                    .to_owned(),
                "if space is needed at once, a shorter retention (kafka-configs.sh --alter --add-config \
                 retention.ms=…) frees whole segments within minutes"
                    .to_owned(),
            ]
            .into_iter()
            .chain(is_ignored.then(|| IGNORED.to_owned()))
            .collect(),
            ..Rendered::default()
        }
    }
}

/// Whether Terraform leaves the volumes of a cluster as they are, whatever `volume_size` says.
fn ignores_volume_size(text: &str) -> bool {
    let after = text.split("ignore_changes").skip(1);
    after.map(|rest| rest.trim_start().trim_start_matches('=').trim_start()).any(|value| {
        let listed = value.strip_prefix('[').and_then(|list| list.split("]\n").next());
        listed.map_or(value.starts_with("all"), |list| list.contains("volume_size") || list.contains("storage_info"))
    })
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

    #[test]
    fn an_edit_that_terraform_ignores_is_not_shown() {
        let size = "broker_node_group_info[0].storage_info[0].ebs_storage_info[0].volume_size";
        let with = |lifecycle: &str| {
            let text = format!(
                "resource \"aws_msk_cluster\" \"main\" {{\n  lifecycle {{\n    {lifecycle}\n  }}\n  volume_size = 100\n}}\n"
            );
            let target = Target {
                arn: None,
                current_version: None,
                region: "us-west-2",
                bootstrap_servers: None,
                msk_tf: Some(&text),
            };
            let rendered = Expand::twice(100, "it fills up").expect("larger").rendered(&target);
            (rendered.hcl_diff.is_some(), rendered.notes.iter().any(|note| note.contains("`ignore_changes` covers it")))
        };
        assert_eq!(with(&format!("ignore_changes = [{size}]")), (false, true));
        assert_eq!(with("ignore_changes = all"), (false, true));
        assert_eq!(with("ignore_changes = [tags]"), (true, false));
        assert_eq!(with("prevent_destroy = true"), (true, false));
    }
}
