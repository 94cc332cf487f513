//! Blocks against their schema.

use std::collections::{BTreeMap, BTreeSet};

use ::hcl::{Block, BlockLabel, Body, Expression};

use super::{
    AttributeSchema, BlockSchema, Fault, Mistake, Nested, Nesting, Schema, ValueType,
    kind::Kind,
    scope::{Scope, address},
};

/// Arguments of Terraform's own that every resource and data source takes.
const META_ARGUMENTS: [&str; 4] = ["count", "depends_on", "for_each", "provider"];
/// Blocks likewise. `timeouts` is in the schema of those that have it.
const META_BLOCKS: [&str; 3] = ["connection", "lifecycle", "provisioner"];

/// Blocks of Terraform's own: their keyword, arguments that must be there, arguments that may.
const OWN_BLOCKS: [(&str, &[&str], &[&str]); 3] = [
    ("terraform", &[], &["required_version", "experiments"]),
    ("variable", &[], &["default", "description", "ephemeral", "nullable", "sensitive", "type"]),
    ("output", &["value"], &["depends_on", "description", "ephemeral", "sensitive"]),
];

/// What is wrong with `body`, all files of a configuration together, by the schema of its one provider.
pub fn check(schema: &Schema, body: &Body) -> Vec<Fault> {
    let mut scope = Scope::new(schema, body);
    if let Some(attribute) = body.attributes().next() {
        scope.fault(Mistake::UnknownArgument(attribute.key.to_string()));
    }
    let mut seen = BTreeSet::new();
    for block in body.blocks() {
        let labels: Vec<&str> = block.labels.iter().map(BlockLabel::as_str).collect();
        let keyword = block.identifier.as_str();
        scope.at = match (keyword, &labels[..]) {
            (mode @ ("resource" | "data" | "ephemeral"), [kind, name]) => address(mode, kind, name),
            _ => std::iter::once(keyword).chain(labels.iter().copied()).collect::<Vec<_>>().join("."),
        };
        if !["terraform", "locals"].contains(&keyword) && !seen.insert(scope.at.clone()) {
            scope.fault(Mistake::Twice(scope.at.clone()));
        }
        match (keyword, &labels[..]) {
            (mode @ ("resource" | "data" | "ephemeral"), [kind, _]) => match schema.block(mode, kind) {
                Some(of_type) => scope.resource(of_type, &block.body),
                None => scope.fault(Mistake::UnknownType((*kind).to_owned())),
            },
            ("provider", [_]) => scope.body(&schema.provider.block, &block.body, &["alias"]),
            ("locals", []) => block.body.attributes().for_each(|local| drop(scope.kind(&local.expr))),
            _ => scope.own_block(block),
        }
        scope.each = None;
    }
    scope.faults
}

impl<'s> Scope<'s> {
    /// Does `what` at an address below the one at hand.
    fn below<T>(&mut self, name: &str, what: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.at.len();
        self.at = format!("{}.{name}", self.at);
        let done = what(self);
        self.at.truncate(length);
        done
    }

    fn own_block(&mut self, block: &Block) {
        let found = OWN_BLOCKS.iter().find(|(keyword, ..)| *keyword == block.identifier.as_str());
        let Some((keyword, needed, allowed)) = found else {
            return self.fault(Mistake::UnknownBlock(block.identifier.to_string()));
        };
        for attribute in block.body.attributes() {
            let name = attribute.key.as_str();
            if !needed.contains(&name) && !allowed.contains(&name) {
                self.fault(Mistake::UnknownArgument(name.to_owned()));
            }
            // The type of a variable is written in a language of its own.
            if *keyword != "variable" {
                self.below(name, |scope| scope.kind(&attribute.expr));
            }
        }
        for name in needed.iter().filter(|name| !block.body.attributes().any(|a| a.key.as_str() == **name)) {
            self.fault(Mistake::MissingArgument((*name).to_owned()));
        }
    }

    fn resource(&mut self, schema: &'s BlockSchema, body: &Body) {
        if let Some(for_each) = body.attributes().find(|attribute| attribute.key.as_str() == "for_each") {
            let kind = self.below("for_each", |scope| scope.kind(&for_each.expr));
            if !matches!(kind, Kind::Unknown | Kind::Map(_) | Kind::Object(_) | Kind::Set(_)) {
                let problem = format!("expected a map or a set, but this is {kind}");
                self.below("for_each", |scope| scope.fault(Mistake::WrongType(problem)));
            }
            self.each = Some(kind.element());
        }
        for lifecycle in body.blocks().filter(|block| block.identifier.as_str() == "lifecycle") {
            self.below("lifecycle", |scope| scope.lifecycle(schema, &lifecycle.body));
        }
        self.body(schema, body, &META_ARGUMENTS);
    }

    fn lifecycle(&mut self, schema: &BlockSchema, body: &Body) {
        for attribute in body.attributes() {
            match (attribute.key.as_str(), &attribute.expr) {
                ("ignore_changes", Expression::Array(names)) => {
                    for name in names.iter().filter_map(|name| match name {
                        Expression::Variable(name) => Some(name.as_str()),
                        _ => None,
                    }) {
                        if !schema.attributes.contains_key(name) && !schema.block_types.contains_key(name) {
                            self.fault(Mistake::UnknownArgument(name.to_owned()));
                        }
                    }
                }
                ("ignore_changes" | "create_before_destroy" | "prevent_destroy" | "replace_triggered_by", _) => {}
                (other, _) => self.fault(Mistake::UnknownArgument(other.to_owned())),
            }
        }
    }

    fn body(&mut self, schema: &'s BlockSchema, body: &Body, meta: &[&str]) {
        if schema.deprecated {
            self.fault(Mistake::Deprecated("this block".to_owned()));
        }
        let mut given = BTreeSet::new();
        for attribute in body.attributes() {
            let name = attribute.key.as_str();
            if !given.insert(name) {
                self.fault(Mistake::Twice(name.to_owned()));
            }
            if meta.contains(&name) {
                if !["for_each", "provider"].contains(&name) {
                    self.below(name, |scope| scope.kind(&attribute.expr));
                }
                continue;
            }
            match schema.attributes.get(name) {
                Some(of_type) => self.below(name, |scope| scope.argument(name, of_type, &attribute.expr)),
                None if schema.block_types.contains_key(name) => self.fault(Mistake::NotAnArgument(name.to_owned())),
                None => self.fault(Mistake::UnknownArgument(name.to_owned())),
            }
        }
        // An argument that is null counts as not given.
        let is_given = |name: &str| {
            body.attributes().any(|a| a.key.as_str() == name && a.expr != Expression::Null)
                || body.blocks().any(|block| block_name(block) == name)
        };
        for (name, _) in schema.attributes.iter().filter(|(name, of_type)| of_type.required && !is_given(name)) {
            self.fault(Mistake::MissingArgument(name.clone()));
        }
        self.blocks(schema, body, meta == META_ARGUMENTS);
    }

    fn argument(&mut self, name: &str, of_type: &AttributeSchema, value: &Expression) {
        if !of_type.required && !of_type.optional {
            self.fault(Mistake::ComputedOnly(name.to_owned()));
        }
        if of_type.deprecated {
            self.fault(Mistake::Deprecated(name.to_owned()));
        }
        let kind = self.kind(value);
        if let Err(problem) = kind.fits(&of_type.value) {
            self.fault(Mistake::WrongType(problem));
        }
    }

    fn blocks(&mut self, schema: &'s BlockSchema, body: &Body, is_resource: bool) {
        // How often each is there; nothing when `dynamic` decides.
        let mut found: BTreeMap<&str, Option<usize>> = BTreeMap::new();
        for block in body.blocks() {
            let name = block_name(block);
            let is_dynamic = block.identifier.as_str() == "dynamic";
            if is_resource && META_BLOCKS.contains(&name) {
                continue;
            }
            let count = found.entry(name).or_insert(Some(0));
            *count = if is_dynamic { None } else { count.map(|count| count + 1) };
            let content = if is_dynamic { self.dynamic(name, &block.body) } else { Some(&block.body) };
            let Some(content) = content else { continue };
            if let Some(nested) = schema.block_types.get(name) {
                self.below(name, |scope| scope.body(&nested.block, content, &[]));
            } else if let Some(attributes) = schema.attributes.get(name).and_then(|a| block_syntax(&a.value)) {
                self.below(name, |scope| scope.attribute_as_block(attributes, content));
            } else if schema.attributes.contains_key(name) {
                self.fault(Mistake::NotABlock(name.to_owned()));
            } else {
                self.fault(Mistake::UnknownBlock(name.to_owned()));
            }
            self.unbind(is_dynamic);
        }
        for (name, nested) in &schema.block_types {
            let Some(count) = found.get(name.as_str()).copied().unwrap_or(Some(0)) else { continue };
            self.count(name, nested, count);
        }
    }

    fn count(&mut self, name: &str, nested: &Nested, found: usize) {
        let single = (nested.nesting_mode == Nesting::Single).then_some(1);
        if found < nested.min_items {
            self.fault(Mistake::MissingBlock { name: name.to_owned(), found, min: nested.min_items });
        }
        if let Some(max) = nested.max_items.or(single).filter(|max| found > *max) {
            self.fault(Mistake::TooManyBlocks { name: name.to_owned(), found, max });
        }
    }

    /// The content of a `dynamic` block. Its iterator can be referred to until [`Scope::unbind`].
    fn dynamic<'b>(&mut self, name: &str, body: &'b Body) -> Option<&'b Body> {
        let of = |name: &str| body.attributes().find(|a| a.key.as_str() == name).map(|a| &a.expr);
        let each = match of("for_each") {
            Some(each) => self.kind(each).element(),
            None => {
                self.fault(Mistake::MissingArgument("for_each".to_owned()));
                Kind::Unknown
            }
        };
        let iterator = match of("iterator") {
            Some(Expression::Variable(iterator)) => iterator.as_str(),
            _ => name,
        };
        let content = body.blocks().find(|block| block.identifier.as_str() == "content").map(|block| &block.body);
        match content {
            Some(_) => {
                let is = Kind::Object(BTreeMap::from([("key".into(), Kind::Text(None)), ("value".into(), each)]));
                self.bind(iterator, is);
            }
            None => self.fault(Mistake::MissingBlock { name: "content".to_owned(), found: 0, min: 1 }),
        }
        content
    }

    /// An argument that is a set or a list of objects, written as a block, as older configurations do.
    fn attribute_as_block(&mut self, attributes: &BTreeMap<String, ValueType>, body: &Body) {
        for attribute in body.attributes() {
            let name = attribute.key.as_str();
            let Some(wanted) = attributes.get(name) else {
                self.fault(Mistake::UnknownArgument(name.to_owned()));
                continue;
            };
            self.below(name, |scope| {
                let kind = scope.kind(&attribute.expr);
                if let Err(problem) = kind.fits(wanted) {
                    scope.fault(Mistake::WrongType(problem));
                }
            });
        }
    }
}

/// The keyword of a block, or of the blocks that a `dynamic` one makes.
fn block_name(block: &Block) -> &str {
    match (block.identifier.as_str(), block.labels.first()) {
        ("dynamic", Some(label)) => label.as_str(),
        (keyword, _) => keyword,
    }
}

/// The attributes of the objects, where Terraform takes blocks for the argument.
fn block_syntax(value: &ValueType) -> Option<&BTreeMap<String, ValueType>> {
    match value {
        ValueType::List(of) | ValueType::Set(of) => match &**of {
            ValueType::Object(attributes) => Some(attributes),
            _ => None,
        },
        _ => None,
    }
}
