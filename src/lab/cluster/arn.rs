//! Names that AWS gives out: ARNs and cluster versions.

use uuid::Uuid;

use super::Refusal;

/// The account that the emulator behind the lab answers for.
pub const ACCOUNT: &str = "123456789012";

/// Whether `text` can be a region in an ARN.
pub fn is_region(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// The ARN of a new cluster or configuration: `arn:aws:kafka:REGION:ACCOUNT:KIND/NAME/UUID-N`.
pub fn resource(kind: &str, region: &str, name: &str, id: &Uuid) -> String {
    // The number behind the UUID is one of a handful on AWS; nothing reads it.
    format!("arn:aws:kafka:{region}:{ACCOUNT}:{kind}/{name}/{id}-{}", id.as_u128() % 20 + 1)
}

/// The ARN of a new operation of a cluster.
pub fn operation(cluster: &str, id: &Uuid) -> String {
    format!("{}/{id}", cluster.replacen(":cluster/", ":cluster-operation/", 1))
}

/// A cluster's version as AWS makes them: `K` and thirteen capitals and digits.
pub fn version(id: &Uuid) -> String {
    let digits = std::iter::successors(Some(id.as_u128()), |rest| Some(rest / 36))
        .take(13)
        .map(|rest| b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(rest % 36) as usize] as char);
    std::iter::once('K').chain(digits).collect()
}

/// Checks that `arn` has the form of an ARN of `kind`.
///
/// # Errors
/// 400, naming `parameter`.
pub fn check(arn: &str, kind: &str, parameter: &'static str) -> Result<(), Refusal> {
    let resource = arn.strip_prefix("arn:aws:kafka:").and_then(|rest| rest.splitn(3, ':').nth(2));
    let parts: Vec<_> = resource.unwrap_or_default().split('/').collect();
    let length = if kind == "cluster-operation" { 4 } else { 3 };
    if parts.len() == length && parts[0] == kind && parts.iter().all(|part| !part.is_empty()) {
        return Ok(());
    }
    Err(Refusal::parameter(
        parameter,
        format!(
            "One or more of the parameters are not valid: {arn:?} is not a valid {kind} \
                                               ARN"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_known_by_their_form() {
        for (arn, kind, valid) in [
            ("arn:aws:kafka:us-west-2:123456789012:cluster/demo/u-1", "cluster", true),
            ("arn:aws:kafka:us-west-2:123456789012:cluster/demo/u-1", "configuration", false),
            ("arn:aws:kafka:us-west-2:123456789012:cluster/demo", "cluster", false),
            ("arn:aws:kafka:us-west-2:123456789012:cluster//u-1", "cluster", false),
            ("arn:aws:kafka:us-west-2:123456789012:cluster-operation/demo/u-1/op", "cluster-operation", true),
            ("arn:aws:s3:::cluster/demo/u-1", "cluster", false),
            ("demo", "cluster", false),
            ("", "cluster", false),
        ] {
            assert_eq!(check(arn, kind, "arn").is_ok(), valid, "{arn}");
        }
    }

    #[test]
    fn an_operation_is_named_after_its_cluster() {
        let id = Uuid::from_u128(7);
        let cluster = resource("cluster", "us-west-2", "demo", &id);
        assert!(check(&cluster, "cluster", "arn").is_ok());
        assert!(check(&operation(&cluster, &id), "cluster-operation", "arn").is_ok());
        assert_eq!(version(&id), "K7000000000000");
    }
}
