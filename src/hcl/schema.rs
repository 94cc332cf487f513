//! Checks HCL against the schema of a provider, as `terraform providers schema -json` prints it.
//!
//! Finds, in milliseconds and without terraform, what `terraform validate` finds without asking the provider: names,
//! nesting, types, references. Which values an argument takes is in no schema and is left to the caller. Used by tests
//! and benchmarks only: what kgen renders does not depend on the machine that it runs on.

mod body;
mod functions;
mod kind;
mod scope;

use std::{collections::BTreeMap, fmt};

use serde::Deserialize;

pub use body::check;

/// The schema of one provider, or a part of it.
#[derive(Debug, Deserialize)]
pub struct Schema {
    provider: Type,
    resource_schemas: BTreeMap<String, Type>,
    data_source_schemas: BTreeMap<String, Type>,
    ephemeral_resource_schemas: BTreeMap<String, Type>,
}

#[derive(Debug, Deserialize)]
struct Type {
    block: BlockSchema,
}

#[derive(Debug, Default, Deserialize)]
struct BlockSchema {
    #[serde(default)]
    attributes: BTreeMap<String, AttributeSchema>,
    #[serde(default)]
    block_types: BTreeMap<String, Nested>,
    #[serde(default)]
    deprecated: bool,
}

#[derive(Debug, Deserialize)]
struct AttributeSchema {
    #[serde(rename = "type")]
    value: ValueType,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    deprecated: bool,
}

#[derive(Debug, Deserialize)]
struct Nested {
    nesting_mode: Nesting,
    #[serde(default)]
    min_items: usize,
    max_items: Option<usize>,
    block: BlockSchema,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Nesting {
    Single,
    List,
    Set,
    Map,
}

/// A type constraint: `"string"`, `["list", TYPE]`, `["object", {NAME: TYPE}]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "serde_json::Value")]
enum ValueType {
    String,
    Number,
    Bool,
    Any,
    List(Box<ValueType>),
    Set(Box<ValueType>),
    Map(Box<ValueType>),
    Object(BTreeMap<String, ValueType>),
}

/// What is wrong, and at which address.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Such as `aws_msk_cluster.main.broker_node_group_info.instance_type`.
    pub at: String,
    pub mistake: Mistake,
}

/// What can be wrong with a block.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Mistake {
    #[error("{0} is not in the schema")]
    UnknownType(String),
    #[error("there is no argument {0}")]
    UnknownArgument(String),
    #[error("there is no block {0} here")]
    UnknownBlock(String),
    #[error("{0} is a block, not an argument")]
    NotAnArgument(String),
    #[error("{0} is an argument, not a block")]
    NotABlock(String),
    #[error("the argument {0} is missing")]
    MissingArgument(String),
    #[error("{found} blocks {name}, but at least {min} are required")]
    MissingBlock { name: String, found: usize, min: usize },
    #[error("{found} blocks {name}, but at most {max} are allowed")]
    TooManyBlocks { name: String, found: usize, max: usize },
    #[error("{0} is set twice")]
    Twice(String),
    #[error("the provider sets {0}; it cannot be given")]
    ComputedOnly(String),
    #[error("{0} is deprecated")]
    Deprecated(String),
    #[error("{0}")]
    WrongType(String),
    #[error("{0} refers to something that is not declared")]
    UnknownReference(String),
    #[error("{0}")]
    WrongReference(String),
    #[error("there is no function {0}")]
    UnknownFunction(String),
    /// Found by rules beyond the schema.
    #[error("{0}")]
    WrongValue(String),
}

impl Schema {
    /// # Errors
    /// `json` is not the schema of a provider.
    pub fn parse(json: &str) -> serde_json::Result<Schema> {
        serde_json::from_str(json)
    }

    fn block(&self, mode: &str, name: &str) -> Option<&BlockSchema> {
        let section = match mode {
            "data" => &self.data_source_schemas,
            "ephemeral" => &self.ephemeral_resource_schemas,
            _ => &self.resource_schemas,
        };
        section.get(name).map(|found| &found.block)
    }
}

impl TryFrom<serde_json::Value> for ValueType {
    type Error = String;

    fn try_from(json: serde_json::Value) -> Result<ValueType, String> {
        let inner = |json: &serde_json::Value| ValueType::try_from(json.clone()).map(Box::new);
        if let Some(name) = json.as_str() {
            return match name {
                "string" => Ok(ValueType::String),
                "number" => Ok(ValueType::Number),
                "bool" => Ok(ValueType::Bool),
                "dynamic" => Ok(ValueType::Any),
                other => Err(format!("unknown type {other}")),
            };
        }
        match (json[0].as_str(), &json[1]) {
            (Some("list"), of) => inner(of).map(ValueType::List),
            (Some("set"), of) => inner(of).map(ValueType::Set),
            (Some("map"), of) => inner(of).map(ValueType::Map),
            (Some("object"), serde_json::Value::Object(attributes)) => attributes
                .iter()
                .map(|(name, of)| Ok((name.clone(), ValueType::try_from(of.clone())?)))
                .collect::<Result<_, String>>()
                .map(ValueType::Object),
            _ => Err(format!("unknown type {json}")),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.mistake)
    }
}
