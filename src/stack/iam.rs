//! `iam.tf`: what the client instance may do: Session Manager, looking at this cluster, and what its authentication needs.

use super::{
    Stack,
    config::Authentication,
    delivery::{self, DeliveryFile},
    kms::KmsFile,
    msk::MskFile,
    scram::ScramFile,
};
use crate::hcl::{Address, Block, Document, Expression, Text, array, call, object};

pub(super) struct IamFile {
    pub document: Document,
    pub role: Address,
    pub profile: Address,
}

/// What `kgen watch` and `kgen diagnose` ask of the cluster.
const ON_THE_CLUSTER: [&str; 5] = [
    "kafka:DescribeCluster",
    "kafka:DescribeClusterV2",
    "kafka:GetBootstrapBrokers",
    "kafka:ListClusterOperations",
    "kafka:ListNodes",
];

/// Actions for which IAM knows no resource (Service Authorization Reference).
const ANYWHERE: [&str; 4] =
    ["cloudwatch:GetMetricData", "cloudwatch:ListMetrics", "kafka:ListClusters", "kafka:ListClustersV2"];

/// What a client of SASL/IAM does with each kind of resource: produce, consume, make and describe topics (MSK Developer
/// Guide, "Semantics of IAM authorization policy actions and resources").
const KAFKA: [(&str, &[&str]); 4] = [
    ("cluster", &["Connect", "DescribeCluster", "WriteDataIdempotently"]),
    (
        "topic",
        &[
            "AlterTopic",
            "CreateTopic",
            "DeleteTopic",
            "DescribeTopic",
            "DescribeTopicDynamicConfiguration",
            "ReadData",
            "WriteData",
        ],
    ),
    ("group", &["AlterGroup", "DescribeGroup"]),
    ("transactional-id", &["AlterTransactionalId", "DescribeTransactionalId"]),
];

/// What the client's permissions are about.
pub(super) struct Granted<'a> {
    pub msk: &'a MskFile,
    pub kms: Option<&'a KmsFile>,
    pub scram: Option<&'a ScramFile>,
    pub delivery: Option<&'a DeliveryFile>,
}

pub(super) fn render(stack: &Stack, granted: &Granted) -> IamFile {
    let name = stack.cluster().name.as_str();

    let assume = allow([
        ("Action", Expression::from("sts:AssumeRole")),
        ("Principal", object([("Service", "ec2.amazonaws.com")])),
    ]);
    let (role_block, role) = Block::resource("aws_iam_role", "client");
    let role_block =
        role_block.set("name", format!("{name}-client")).set("assume_role_policy", policy_document([assume]));

    let (session_block, _) = Block::resource("aws_iam_role_policy_attachment", "session_manager");
    let session_block = session_block
        .set("role", role.attr("name"))
        .set("policy_arn", "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore");

    let on_the_cluster = allow([("Action", array(ON_THE_CLUSTER)), ("Resource", granted.msk.cluster.attr("arn"))]);
    let anywhere = allow([("Action", array(ANYWHERE)), ("Resource", Expression::from("*"))]);
    let (policy_block, _) = Block::resource("aws_iam_role_policy", "msk");
    let policy_block = policy_block
        .set("name", "msk-read")
        .set("role", role.attr("id"))
        .set("policy", policy_document([on_the_cluster, anywhere]));

    let mut document = Document::new()
        .block(role_block)
        .block(session_block)
        .commented("Read-only: the client sends load and watches. It cannot change the cluster.", policy_block);
    let by_iam = stack.cluster().authenticates(Authentication::Iam).then(|| kafka_statements(&granted.msk.cluster));
    let applying = granted.delivery.filter(|delivery| delivery.is_of_applying);
    let fetched = Granted { delivery: granted.delivery.filter(|delivery| !delivery.is_of_applying), ..*granted };
    let kgen = applying.map(|_| Granted { scram: None, ..*granted });
    let further: [(&str, &str, Option<Vec<Expression>>); 3] = [
        ("kafka", "Clients that authenticate by IAM: data and topics of this cluster.", by_iam),
        ("fetch", "What the client gets: its passwords and kgen.", fetch_statements(&fetched)),
        ("kgen", "The kgen that the client gets.", kgen.as_ref().and_then(fetch_statements)),
    ];
    for (label, why, statements) in further {
        let Some(statements) = statements else { continue };
        let (block, _) = Block::resource("aws_iam_role_policy", label);
        let count = (label == "kgen").then(delivery::count);
        let block = block
            .set_some("count", count)
            .set("name", label)
            .set("role", role.attr("id"))
            .set("policy", policy_document(statements));
        document = document.commented(why, block);
    }

    let (profile_block, profile) = Block::resource("aws_iam_instance_profile", "client");
    let profile_block = profile_block.set("name", format!("{name}-client")).set("role", role.attr("name"));
    IamFile { document: document.block(profile_block), role, profile }
}

/// `…:cluster/NAME/UUID` names the cluster; its topics are `…:topic/NAME/UUID/TOPIC`, and so on.
fn kafka_statements(cluster: &Address) -> Vec<Expression> {
    let statement = |(kind, verbs): (&str, &[&str])| {
        let resource = match kind {
            "cluster" => cluster.attr("arn"),
            _ => {
                let of = [cluster.attr("arn"), ":cluster/".into(), format!(":{kind}/").into()];
                Text::new().value(call("replace", of)).literal("/*").into()
            }
        };
        let actions = array(verbs.iter().map(|verb| format!("kafka-cluster:{verb}")));
        allow([("Action", actions), ("Resource", resource)])
    };
    KAFKA.into_iter().map(statement).collect()
}

fn fetch_statements(granted: &Granted) -> Option<Vec<Expression>> {
    let passwords = granted
        .scram
        .and_then(|scram| scram.secrets.as_ref())
        .map(|secrets| allow([("Action", "secretsmanager:GetSecretValue".into()), ("Resource", secrets.all("arn"))]));
    let kgen = granted
        .delivery
        .map(|delivery| allow([("Action", "s3:GetObject".into()), ("Resource", delivery.object_arn())]));
    let fetched = passwords.is_some() || kgen.is_some();
    let decrypt = granted
        .kms
        .filter(|_| fetched)
        .map(|kms| allow([("Action", "kms:Decrypt".into()), ("Resource", kms.key.attr("arn"))]));
    fetched.then(|| [passwords, kgen, decrypt].into_iter().flatten().collect())
}

/// A policy as JSON.
pub(super) fn policy_document(statements: impl IntoIterator<Item = Expression>) -> Expression {
    let document = object([("Version", Expression::from("2012-10-17")), ("Statement", array(statements))]);
    call("jsonencode", [document])
}

/// A statement of a policy that allows something.
pub(super) fn allow<const N: usize>(parts: [(&'static str, Expression); N]) -> Expression {
    object([("Effect", Expression::from("Allow"))].into_iter().chain(parts))
}
