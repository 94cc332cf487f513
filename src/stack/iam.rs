//! `iam.tf`: what the client instance may do: Session Manager, and looking at this cluster.

use super::{Stack, msk::MskFile};
use crate::hcl::{Address, Block, Document, Expression, array, call, object};

pub(super) struct IamFile {
    pub document: Document,
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

pub(super) fn render(stack: &Stack, msk: &MskFile) -> IamFile {
    let name = stack.cluster().name.as_str();

    let assume = statement([
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

    let on_the_cluster = statement([("Action", array(ON_THE_CLUSTER)), ("Resource", msk.cluster.attr("arn"))]);
    let anywhere = statement([("Action", array(ANYWHERE)), ("Resource", Expression::from("*"))]);
    let (policy_block, _) = Block::resource("aws_iam_role_policy", "msk");
    let policy_block = policy_block
        .set("name", "msk-read")
        .set("role", role.attr("id"))
        .set("policy", policy_document([on_the_cluster, anywhere]));

    let (profile_block, profile) = Block::resource("aws_iam_instance_profile", "client");
    let profile_block = profile_block.set("name", format!("{name}-client")).set("role", role.attr("name"));

    let document = Document::new()
        .block(role_block)
        .block(session_block)
        .commented("Reading only: the client sends load and watches. It cannot change the cluster.", policy_block)
        .block(profile_block);
    IamFile { document, profile }
}

fn policy_document(statements: impl IntoIterator<Item = Expression>) -> Expression {
    let document = object([("Version", Expression::from("2012-10-17")), ("Statement", array(statements))]);
    call("jsonencode", [document])
}

fn statement<const N: usize>(parts: [(&'static str, Expression); N]) -> Expression {
    object([("Effect", Expression::from("Allow"))].into_iter().chain(parts))
}
