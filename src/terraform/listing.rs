//! The changes of a plan for a program to read.

use schemars::JsonSchema;
use serde::Serialize;

use super::plan::{Action, Changes, ResourceChange};

/// What would change, without the values.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listing {
    pub create: usize,
    pub update: usize,
    pub destroy: usize,
    pub resources: Vec<Listed>,
    /// What was changed outside of Terraform.
    pub drift: Vec<Listed>,
    /// Names of the outputs that would change.
    pub outputs: Vec<String>,
}

/// One resource.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listed {
    pub address: String,
    #[serde(rename = "type")]
    pub resource_type: String,
    pub action: Action,
    /// The reason, if terraform gives one.
    pub reason: Option<String>,
    /// Attributes that would change, of a resource that is updated or recreated.
    pub attributes: Vec<String>,
}

impl From<&Changes> for Listing {
    fn from(changes: &Changes) -> Listing {
        let (create, update, destroy) = changes.totals();
        Listing {
            create,
            update,
            destroy,
            resources: changes.resources().map(Listed::from).collect(),
            drift: changes.drift().map(Listed::from).collect(),
            outputs: changes.outputs().map(str::to_owned).collect(),
        }
    }
}

impl From<&ResourceChange> for Listed {
    fn from(resource: &ResourceChange) -> Listed {
        let differences = match resource.action() {
            Action::Update | Action::Replace => resource.change.differences(),
            _ => Vec::new(),
        };
        Listed {
            address: resource.address.clone(),
            resource_type: resource.resource_type.clone(),
            action: resource.action(),
            reason: resource.reason(),
            attributes: differences.into_iter().map(|difference| difference.path).collect(),
        }
    }
}
