//! What is known of the value of an expression, and whether it fits a type.

use std::{collections::BTreeMap, fmt};

use super::{BlockSchema, Nesting, ValueType};

/// What an expression will be. Literals keep their text, because Terraform converts `"3"` to a number and not `"three"`.
#[derive(Debug, Clone)]
pub(super) enum Kind<'s> {
    /// Fits everywhere: not known before the apply, or not to this check.
    Unknown,
    Null,
    Text(Option<String>),
    Number,
    Bool,
    List(Box<Kind<'s>>),
    Set(Box<Kind<'s>>),
    Map(Box<Kind<'s>>),
    Tuple(Vec<Kind<'s>>),
    Object(BTreeMap<String, Kind<'s>>),
    /// A resource, a data source, or a block nested in one.
    Block(&'s BlockSchema),
}

impl From<&ValueType> for Kind<'_> {
    fn from(value: &ValueType) -> Self {
        let inner = |of: &ValueType| Box::new(Kind::from(of));
        match value {
            ValueType::String => Kind::Text(None),
            ValueType::Number => Kind::Number,
            ValueType::Bool => Kind::Bool,
            ValueType::Any => Kind::Unknown,
            ValueType::List(of) => Kind::List(inner(of)),
            ValueType::Set(of) => Kind::Set(inner(of)),
            ValueType::Map(of) => Kind::Map(inner(of)),
            ValueType::Object(attributes) => {
                Kind::Object(attributes.iter().map(|(name, of)| (name.clone(), Kind::from(of))).collect())
            }
        }
    }
}

impl<'s> Kind<'s> {
    /// Any one element of a collection.
    pub fn element(&self) -> Kind<'s> {
        match self {
            Kind::List(of) | Kind::Set(of) | Kind::Map(of) => (**of).clone(),
            Kind::Tuple(items) => items.first().cloned().unwrap_or(Kind::Unknown),
            Kind::Object(attributes) => attributes.values().next().cloned().unwrap_or(Kind::Unknown),
            _ => Kind::Unknown,
        }
    }

    /// `VALUE.name`, or why there is no such thing.
    pub fn attribute(&self, name: &str) -> Result<Kind<'s>, String> {
        match self {
            Kind::Unknown | Kind::Null => Ok(Kind::Unknown),
            Kind::Map(of) => Ok((**of).clone()),
            Kind::Object(attributes) => {
                attributes.get(name).cloned().ok_or_else(|| format!("the object has no attribute {name}"))
            }
            Kind::Block(schema) => {
                if let Some(attribute) = schema.attributes.get(name) {
                    return Ok(Kind::from(&attribute.value));
                }
                let nested = schema.block_types.get(name).ok_or_else(|| format!("there is no attribute {name}"))?;
                let block = Box::new(Kind::Block(&nested.block));
                Ok(match nested.nesting_mode {
                    Nesting::Single => *block,
                    Nesting::List => Kind::List(block),
                    Nesting::Set => Kind::Set(block),
                    Nesting::Map => Kind::Map(block),
                })
            }
            other => Err(format!("{other} has no attribute {name}")),
        }
    }

    /// `VALUE[…]`, or why it cannot be indexed.
    pub fn index(&self) -> Result<Kind<'s>, String> {
        match self {
            Kind::Unknown | Kind::List(_) | Kind::Map(_) | Kind::Tuple(_) | Kind::Object(_) => Ok(self.element()),
            other => Err(format!("{other} cannot be indexed")),
        }
    }

    /// Whether Terraform takes or converts this to `wanted`; else why not.
    pub fn fits(&self, wanted: &ValueType) -> Result<(), String> {
        let refused = || Err(format!("expected {}, but this is {self}", Kind::from(wanted)));
        match (self, wanted) {
            (Kind::Unknown | Kind::Null, _) | (_, ValueType::Any) => Ok(()),
            (Kind::Text(_) | Kind::Number | Kind::Bool, ValueType::String) => Ok(()),
            (Kind::Number, ValueType::Number) | (Kind::Bool, ValueType::Bool) => Ok(()),
            (Kind::Text(None), ValueType::Number | ValueType::Bool) => Ok(()),
            (Kind::Text(Some(text)), ValueType::Number) if text.parse::<f64>().is_ok() => Ok(()),
            (Kind::Text(Some(text)), ValueType::Bool) if ["true", "false"].contains(&text.as_str()) => Ok(()),
            (Kind::List(is) | Kind::Set(is), ValueType::List(of) | ValueType::Set(of)) => is.fits(of),
            (Kind::Tuple(items), ValueType::List(of) | ValueType::Set(of)) => {
                items.iter().try_for_each(|item| item.fits(of))
            }
            (Kind::Map(is), ValueType::Map(of)) => is.fits(of),
            (Kind::Object(items), ValueType::Map(of)) => items.values().try_for_each(|item| item.fits(of)),
            (Kind::Map(_) | Kind::Block(_), ValueType::Object(_)) => Ok(()),
            (Kind::Object(items), ValueType::Object(attributes)) => {
                if let Some(unknown) = items.keys().find(|name| !attributes.contains_key(*name)) {
                    return Err(format!("the object has no attribute {unknown}"));
                }
                attributes.iter().try_for_each(|(name, of)| match items.get(name) {
                    Some(item) => item.fits(of),
                    None => Err(format!("the object has no {name}")),
                })
            }
            _ => refused(),
        }
    }
}

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Unknown => f.write_str("a value"),
            Kind::Null => f.write_str("null"),
            Kind::Text(Some(text)) => write!(f, "the text {text:?}"),
            Kind::Text(None) => f.write_str("text"),
            Kind::Number => f.write_str("a number"),
            Kind::Bool => f.write_str("true or false"),
            Kind::List(_) | Kind::Tuple(_) => f.write_str("a list"),
            Kind::Set(_) => f.write_str("a set"),
            Kind::Map(_) => f.write_str("a map"),
            Kind::Object(_) | Kind::Block(_) => f.write_str("an object"),
        }
    }
}
