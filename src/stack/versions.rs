//! `versions.tf`: terraform, its provider, and where everything is built.

use super::Stack;
use crate::hcl::{Block, Document, object};

pub(super) fn render(stack: &Stack) -> Document {
    let providers = Block::new("required_providers")
        // 6.x renames arguments that are used here.
        .set("aws", object([("source", "hashicorp/aws"), ("version", ">= 5.0, < 6.0")]));
    // Passwords that are in no state came with 1.11.
    let version = if stack.cluster().scram_users.is_empty() { ">= 1.5" } else { ">= 1.11" };
    let terraform = Block::new("terraform").set("required_version", version).nest(providers);

    let name = stack.cluster().name.as_str();
    let tags = [("Project", name), ("ManagedBy", "kgen")].into_iter().chain(stack.tags());
    let provider = Block::labelled("provider", "aws")
        .set("region", stack.region())
        .nest(Block::new("default_tags").set("tags", object(tags)));
    Document::new().block(terraform).block(provider)
}
