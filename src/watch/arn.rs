//! The ARN of a cluster, such as `arn:aws:kafka:us-west-2:123456789012:cluster/orders/1b2c-5`.

use std::str::FromStr;

/// An ARN in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arn {
    /// The whole of it.
    pub text: String,
    pub region: String,
    pub account: String,
    /// Name of the cluster.
    pub cluster: String,
}

/// Why a text that begins like an ARN is none of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the ARN of an MSK cluster (expected arn:aws:kafka:REGION:ACCOUNT:cluster/NAME/ID, as \
     `aws kafka list-clusters-v2` prints it)"
)]
pub struct ArnError(String);

impl Arn {
    /// Whether `text` is meant as an ARN. Names of clusters have no colon (CreateCluster, `clusterName`).
    pub fn is_meant(text: &str) -> bool {
        text.starts_with("arn:")
    }
}

impl FromStr for Arn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Arn, ArnError> {
        let wrong = || ArnError(text.to_owned());
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, "kafka", region, account, resource] = parts[..] else { return Err(wrong()) };
        let path: Vec<&str> = resource.split('/').collect();
        let ["cluster", cluster, id] = path[..] else { return Err(wrong()) };
        if !partition.starts_with("aws") || [region, account, cluster, id].contains(&"") {
            return Err(wrong());
        }
        let owned = str::to_owned;
        Ok(Arn { text: owned(text), region: owned(region), account: owned(account), cluster: owned(cluster) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_read() {
        for (text, region, cluster) in [
            ("arn:aws:kafka:us-west-2:123456789012:cluster/orders/1b2c-5", "us-west-2", "orders"),
            ("arn:aws-cn:kafka:cn-north-1:123456789012:cluster/a-b/x", "cn-north-1", "a-b"),
            ("arn:aws-us-gov:kafka:us-gov-west-1:123456789012:cluster/a/x", "us-gov-west-1", "a"),
        ] {
            let arn: Arn = text.parse().unwrap();
            assert_eq!((arn.region.as_str(), arn.cluster.as_str(), arn.text.as_str()), (region, cluster, text));
        }
        for text in [
            "orders",
            "arn:aws:kafka:us-west-2:123456789012:cluster/orders",
            "arn:aws:kafka:us-west-2:123456789012:topic/orders/x/t",
            "arn:aws:kafka::123456789012:cluster/orders/x",
            "arn:aws:sqs:us-west-2:123456789012:cluster/orders/x",
            "arn:aws:kafka:us-west-2:123456789012:cluster//x",
            "arn:",
        ] {
            assert!(text.parse::<Arn>().is_err(), "{text}");
        }
    }
}
