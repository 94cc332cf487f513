//! The AWS calls that kgen makes, each listed once with the IAM actions that allow it, and the read-only policy for
//! them.

use serde_json::{Value, json};

/// One call of an AWS API. Whoever makes a call names it by this, so that the policy below cannot miss one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    ListClustersV2,
    DescribeClusterV2,
    ListNodes,
    GetBootstrapBrokers,
    ListClusterOperationsV2,
    DescribeClusterOperation,
    DescribeConfigurationRevision,
    ListTopics,
    DescribeTopic,
    DescribeTopicPartitions,
    GetMetricData,
    ListMetrics,
    /// Made in the lab only, as is the next.
    CreateCluster,
    UpdateBrokerType,
}

/// What an IAM action is allowed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Resource {
    /// The service has no resources to name, or the call lists all of them.
    All,
    Cluster,
    /// The cluster and its topics: "Topic Operations" asks for both.
    Topics,
    Configuration,
}

impl Action {
    pub const ALL: [Action; 14] = [
        Action::ListClustersV2,
        Action::DescribeClusterV2,
        Action::ListNodes,
        Action::GetBootstrapBrokers,
        Action::ListClusterOperationsV2,
        Action::DescribeClusterOperation,
        Action::DescribeConfigurationRevision,
        Action::ListTopics,
        Action::DescribeTopic,
        Action::DescribeTopicPartitions,
        Action::GetMetricData,
        Action::ListMetrics,
        Action::CreateCluster,
        Action::UpdateBrokerType,
    ];

    /// As AWS spells it.
    pub fn name(self) -> &'static str {
        match self {
            Action::ListClustersV2 => "ListClustersV2",
            Action::DescribeClusterV2 => "DescribeClusterV2",
            Action::ListNodes => "ListNodes",
            Action::GetBootstrapBrokers => "GetBootstrapBrokers",
            Action::ListClusterOperationsV2 => "ListClusterOperationsV2",
            Action::DescribeClusterOperation => "DescribeClusterOperation",
            Action::DescribeConfigurationRevision => "DescribeConfigurationRevision",
            Action::ListTopics => "ListTopics",
            Action::DescribeTopic => "DescribeTopic",
            Action::DescribeTopicPartitions => "DescribeTopicPartitions",
            Action::GetMetricData => "GetMetricData",
            Action::ListMetrics => "ListMetrics",
            Action::CreateCluster => "CreateCluster",
            Action::UpdateBrokerType => "UpdateBrokerType",
        }
    }

    /// IAM actions that the call needs, such as `kafka:ListNodes`. Nothing for a call that is made in the lab only.
    ///
    /// Those of the topics API with the prefix `kafka-cluster`: MSK Developer Guide, "Topic Operations", "IAM permissions". The
    /// Service Authorization Reference has an action with the prefix `kafka` for each of its calls beside them.
    pub fn iam(self) -> &'static [&'static str] {
        match self {
            Action::ListClustersV2 => &["kafka:ListClustersV2"],
            Action::DescribeClusterV2 => &["kafka:DescribeClusterV2"],
            Action::ListNodes => &["kafka:ListNodes"],
            Action::GetBootstrapBrokers => &["kafka:GetBootstrapBrokers"],
            Action::ListClusterOperationsV2 => &["kafka:ListClusterOperationsV2"],
            Action::DescribeClusterOperation => &["kafka:DescribeClusterOperation"],
            Action::DescribeConfigurationRevision => &["kafka:DescribeConfigurationRevision"],
            Action::ListTopics => &["kafka:ListTopics", "kafka-cluster:Connect", "kafka-cluster:DescribeTopic"],
            Action::DescribeTopic => &[
                "kafka:DescribeTopic",
                "kafka-cluster:Connect",
                "kafka-cluster:DescribeTopic",
                "kafka-cluster:DescribeTopicDynamicConfiguration",
            ],
            Action::DescribeTopicPartitions => &[
                "kafka:DescribeTopicPartitions",
                "kafka-cluster:Connect",
                "kafka-cluster:DescribeTopic",
                "kafka-cluster:DescribeTopicDynamicConfiguration",
            ],
            Action::GetMetricData => &["cloudwatch:GetMetricData"],
            Action::ListMetrics => &["cloudwatch:ListMetrics"],
            Action::CreateCluster | Action::UpdateBrokerType => &[],
        }
    }

    /// Whether `AmazonMSKReadOnlyAccess` allows it: `kafka:Describe*`, `kafka:List*` and `kafka:Get*` (AWS Managed Policy
    /// Reference), so neither CloudWatch nor topics.
    pub fn is_in_msk_read_only(self) -> bool {
        !self.iam().is_empty() && self.iam().iter().all(|action| action.starts_with("kafka:"))
    }

    /// What would allow the call, as an instruction.
    pub fn allow(self) -> String {
        let managed = match self.is_in_msk_read_only() {
            true => "AmazonMSKReadOnlyAccess does",
            false => "AmazonMSKReadOnlyAccess does not",
        };
        let actions = match self.iam() {
            [] => return format!("allow kafka:{}", self.name()),
            [one] => (*one).to_owned(),
            [first @ .., last] => format!("{} and {last}", first.join(", ")),
        };
        format!("allow {actions} ({managed}; `kgen config --iam-policy` prints a policy that does)")
    }
}

/// Where an IAM action applies (Service Authorization Reference, "Amazon MSK", "Apache Kafka APIs for Amazon MSK clusters",
/// "Amazon CloudWatch"; MSK Developer Guide, "Accessing one Amazon MSK cluster").
fn resource(iam: &str) -> Resource {
    match iam {
        // An operation has an ARN of its own, for which no resource type is documented.
        "kafka:ListClustersV2" | "kafka:DescribeClusterOperation" => Resource::All,
        "kafka:DescribeConfigurationRevision" => Resource::Configuration,
        _ if iam.starts_with("cloudwatch:") => Resource::All,
        _ if iam.starts_with("kafka-cluster:") || iam.contains("Topic") => Resource::Topics,
        _ => Resource::Cluster,
    }
}

/// Which clusters a policy is for.
#[derive(Debug, Clone, Copy, Default)]
pub struct PolicyScope<'a> {
    /// Partition of AWS, such as `aws-cn`; `aws` where nothing is said.
    pub partition: Option<&'a str>,
    /// Every region where nothing is said.
    pub region: Option<&'a str>,
    /// Every account where nothing is said.
    pub account: Option<&'a str>,
    /// Every cluster where nothing is said.
    pub cluster: Option<&'a str>,
}

/// The smallest policy with which kgen reads everything that it can read from outside. It allows no change.
pub fn read_only_policy(scope: PolicyScope<'_>) -> Value {
    let mut actions: Vec<(Resource, &str)> = Vec::new();
    for iam in Action::ALL.iter().flat_map(|action| action.iam()) {
        actions.push((resource(iam), iam));
    }
    actions.sort_unstable();
    actions.dedup();
    let statements: Vec<Value> = actions
        .chunk_by(|a, b| a.0 == b.0)
        .map(|of_one| {
            let names: Vec<&str> = of_one.iter().map(|(_, name)| *name).collect();
            let (sid, resource) = scope.of(of_one[0].0);
            json!({ "Sid": sid, "Effect": "Allow", "Action": names, "Resource": resource })
        })
        .collect();
    json!({ "Version": "2012-10-17", "Statement": statements })
}

impl PolicyScope<'_> {
    /// The name of the statement, and what it is for.
    fn of(&self, resource: Resource) -> (&'static str, Value) {
        let any = |text: Option<&str>| text.unwrap_or("*").to_owned();
        let partition = self.partition.unwrap_or("aws");
        let arn = |rest: String| format!("arn:{partition}:kafka:{}:{}:{rest}", any(self.region), any(self.account));
        let name = any(self.cluster);
        let cluster = arn(format!("cluster/{name}/*"));
        match resource {
            Resource::All => ("KgenReadAll", json!("*")),
            // ARN formats: Service Authorization Reference, "Resource types defined by Amazon MSK".
            Resource::Cluster => ("KgenReadClusters", json!(cluster)),
            Resource::Topics => ("KgenReadTopics", json!([cluster, arn(format!("topic/{name}/*"))])),
            Resource::Configuration => ("KgenReadConfigurations", json!(arn("configuration/*".to_owned()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn listed(policy: &Value) -> BTreeSet<String> {
        let statements = policy["Statement"].as_array().unwrap().iter();
        let actions = statements.flat_map(|statement| statement["Action"].as_array().unwrap());
        actions.map(|action| action.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_policy_names_every_action_once_and_only_reads() {
        let policy =
            read_only_policy(PolicyScope { region: Some("us-west-2"), cluster: Some("orders"), ..Default::default() });
        let needed: BTreeSet<String> =
            Action::ALL.iter().flat_map(|action| action.iam()).map(|iam| (*iam).to_owned()).collect();
        assert_eq!(listed(&policy), needed);
        for action in &needed {
            let verb = action.split_once(':').unwrap().1;
            assert!(
                ["List", "Describe", "Get", "Connect"].iter().any(|read| verb.starts_with(read)),
                "{action} changes"
            );
        }
        insta::assert_snapshot!(serde_json::to_string_pretty(&policy).unwrap());
    }

    /// Every file of `src` with its text, without this one.
    fn sources(folder: &Path) -> String {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries
            .map(|path| match path.is_dir() {
                true => sources(&path),
                false if path.ends_with("aws/action.rs") => String::new(),
                false => fs::read_to_string(path).unwrap_or_default(),
            })
            .collect()
    }

    #[test]
    fn every_action_of_the_list_is_a_call_of_the_code() {
        let code = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
        for action in Action::ALL {
            let name = action.name();
            assert!(code.contains(&format!("Action::{name}")), "no call is named {name}");
            let snake = name.chars().fold(String::new(), |mut snake, c| {
                if c.is_ascii_uppercase() && !snake.is_empty() {
                    snake.push('_');
                }
                snake.push(c.to_ascii_lowercase());
                snake
            });
            assert!(code.contains(&format!(".{snake}()")), "nothing calls {snake}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(
            Action::GetMetricData.allow(),
            "allow cloudwatch:GetMetricData (AmazonMSKReadOnlyAccess does not; `kgen config --iam-policy` prints a policy \
             that does)"
        );
        assert!(Action::ListTopics.allow().starts_with("allow kafka:ListTopics, kafka-cluster:Connect and "));
        assert!(Action::ListNodes.allow().contains("(AmazonMSKReadOnlyAccess does;"));
    }
}
