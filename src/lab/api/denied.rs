//! Which IAM action a request needs, so that the lab can deny it for tests; and what callers get that the lab refuses.

use axum::http::Method;

use crate::{
    lab::{
        cloudwatch::wire::{Fault, Protocol},
        cluster::{Kind, Refusal},
    },
    lab_api::OutageKind,
};

/// Method, the path behind `/v1/` or `/api/v2/` with `*` for one segment, and the action of MSK. The version of the API
/// stands before the path where there are two.
const ACTIONS: [(&str, &str, &str); 44] = [
    ("POST", "v1/clusters", "CreateCluster"),
    ("GET", "v1/clusters", "ListClusters"),
    ("GET", "v1/clusters/*", "DescribeCluster"),
    ("DELETE", "v1/clusters/*", "DeleteCluster"),
    ("GET", "v1/clusters/*/bootstrap-brokers", "GetBootstrapBrokers"),
    ("GET", "v1/clusters/*/nodes", "ListNodes"),
    ("GET", "v1/clusters/*/operations", "ListClusterOperations"),
    ("PUT", "v1/clusters/*/nodes/type", "UpdateBrokerType"),
    ("PUT", "v1/clusters/*/nodes/storage", "UpdateBrokerStorage"),
    ("PUT", "v1/clusters/*/nodes/count", "UpdateBrokerCount"),
    ("PUT", "v1/clusters/*/monitoring", "UpdateMonitoring"),
    ("PUT", "v1/clusters/*/configuration", "UpdateClusterConfiguration"),
    ("PUT", "v1/clusters/*/version", "UpdateClusterKafkaVersion"),
    ("PATCH", "v1/clusters/*/security", "UpdateSecurity"),
    ("PUT", "v1/clusters/*/connectivity", "UpdateConnectivity"),
    ("PUT", "v1/clusters/*/reboot-broker", "RebootBroker"),
    ("GET", "v1/clusters/*/scram-secrets", "ListScramSecrets"),
    ("POST", "v1/clusters/*/scram-secrets", "BatchAssociateScramSecret"),
    ("PATCH", "v1/clusters/*/scram-secrets", "BatchDisassociateScramSecret"),
    ("GET", "v1/clusters/*/topics", "ListTopics"),
    ("POST", "v1/clusters/*/topics", "CreateTopic"),
    ("GET", "v1/clusters/*/topics/*", "DescribeTopic"),
    ("PUT", "v1/clusters/*/topics/*", "UpdateTopic"),
    ("DELETE", "v1/clusters/*/topics/*", "DeleteTopic"),
    ("GET", "v1/clusters/*/topics/*/partitions", "DescribeTopicPartitions"),
    ("POST", "api/v2/clusters", "CreateClusterV2"),
    ("GET", "api/v2/clusters", "ListClustersV2"),
    ("GET", "api/v2/clusters/*", "DescribeClusterV2"),
    ("GET", "api/v2/clusters/*/operations", "ListClusterOperationsV2"),
    ("GET", "v1/operations/*", "DescribeClusterOperation"),
    ("GET", "api/v2/operations/*", "DescribeClusterOperationV2"),
    ("POST", "v1/configurations", "CreateConfiguration"),
    ("GET", "v1/configurations", "ListConfigurations"),
    ("GET", "v1/configurations/*", "DescribeConfiguration"),
    ("PUT", "v1/configurations/*", "UpdateConfiguration"),
    ("DELETE", "v1/configurations/*", "DeleteConfiguration"),
    ("GET", "v1/configurations/*/revisions", "ListConfigurationRevisions"),
    ("GET", "v1/configurations/*/revisions/*", "DescribeConfigurationRevision"),
    ("GET", "v1/tags/*", "ListTagsForResource"),
    ("POST", "v1/tags/*", "TagResource"),
    ("DELETE", "v1/tags/*", "UntagResource"),
    ("GET", "v1/kafka-versions", "ListKafkaVersions"),
    ("GET", "v1/compatible-kafka-versions", "GetCompatibleKafkaVersions"),
    ("GET", "v1/clusters/*/policy", "GetClusterPolicy"),
];

/// The action, as policies name it, such as `kafka:ListTopics`; nothing for a path that is none of MSK's.
pub fn action(method: &Method, path: &str) -> Option<String> {
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let fits = |pattern: &str| {
        let pattern: Vec<&str> = pattern.split('/').collect();
        pattern.len() == segments.len()
            && pattern.iter().zip(&segments).all(|(part, segment)| *part == "*" || part == segment)
    };
    let known = ACTIONS.iter().find(|(of, pattern, _)| *of == method.as_str() && fits(pattern));
    known.map(|(_, _, name)| format!("kafka:{name}"))
}

/// What AWS says to a caller without the permission.
pub fn message(action: &str) -> String {
    format!("User: arn:aws:iam::123456789012:user/lab is not authorized to perform: {action}")
}

/// What MSK answers to a caller that the lab was told to refuse.
pub fn refusal(outage: OutageKind) -> Refusal {
    let kind = match outage {
        OutageKind::Expired => Kind::Expired,
        OutageKind::Denied => Kind::AccessDenied,
        OutageKind::Throttled => Kind::Throttled,
        OutageKind::Unrecognized => Kind::Unrecognized,
    };
    Refusal::new(kind, sentence(outage))
}

/// The same of CloudWatch.
pub fn fault(outage: OutageKind, protocol: Protocol) -> Fault {
    let (of_query, other) = match outage {
        OutageKind::Expired => ("ExpiredToken", "ExpiredTokenException"),
        OutageKind::Denied => ("AccessDenied", "AccessDeniedException"),
        OutageKind::Throttled => ("Throttling", "ThrottlingException"),
        OutageKind::Unrecognized => ("InvalidClientTokenId", "UnrecognizedClientException"),
    };
    Fault::new(if protocol == Protocol::Query { of_query } else { other }, sentence(outage))
}

fn sentence(outage: OutageKind) -> &'static str {
    match outage {
        OutageKind::Expired => "The security token included in the request is expired",
        OutageKind::Denied => "User: arn:aws:iam::123456789012:user/lab is not authorized to perform this action",
        OutageKind::Throttled => "Rate exceeded",
        OutageKind::Unrecognized => "The security token included in the request is invalid.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_needs_one_action() {
        for (method, path, expected) in [
            (Method::GET, "/v1/clusters/arn%3Aaws%2Fx/topics", Some("kafka:ListTopics")),
            (Method::GET, "/v1/clusters/arn%3Aaws%2Fx/topics/orders/partitions", Some("kafka:DescribeTopicPartitions")),
            (Method::GET, "/api/v2/clusters", Some("kafka:ListClustersV2")),
            (Method::POST, "/v1/clusters", Some("kafka:CreateCluster")),
            (Method::GET, "/v1/nothing", None),
        ] {
            assert_eq!(action(&method, path).as_deref(), expected, "{method} {path}");
        }
    }
}
