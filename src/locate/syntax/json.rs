//! Terraform's JSON variant: objects that stand for blocks, strings that are templates.

use jsonc_parser::{
    CollectOptions, ParseOptions,
    ast::{self, Value},
    common::Ranged,
    parse_to_ast,
};

use super::{Attribute, Block, Body, Expr, FileId, Kind, Place, SyntaxError, hcl, position};

/// The blocks of a configuration whose content matters here, with the number of their labels.
const BLOCKS: &[(&str, usize)] =
    &[("resource", 2), ("data", 2), ("module", 1), ("variable", 1), ("output", 1), ("provider", 1), ("locals", 0)];

struct From {
    file: FileId,
    skipped: usize,
    templates: bool,
}

/// Reads a configuration (`templates`) or a file of assignments.
pub fn parse(file: FileId, text: &str, skipped: usize, templates: bool) -> Result<Body, SyntaxError> {
    let from = From { file, skipped, templates };
    let error = |at: usize, message: String| {
        let (line, column) = position(text, at);
        SyntaxError { line, column, message }
    };
    let parsed = parse_to_ast(text, &CollectOptions::default(), &strict())
        .map_err(|found| error(found.range().start, found.kind().to_string()))?;
    let object = match parsed.value {
        Some(Value::Object(object)) => object,
        Some(Value::Array(_)) => {
            return Err(error(0, "a list at the top level, which kgen does not support".to_owned()));
        }
        _ => return Err(error(0, "no object at the top level".to_owned())),
    };
    if !templates {
        return Ok(Body { attributes: from.attributes(&object), blocks: Vec::new() });
    }
    let mut body = Body::default();
    for property in &object.properties {
        // Others are settings, imports, checks: nothing that sets a value.
        if let Some((keyword, labels)) = BLOCKS.iter().find(|(keyword, _)| *keyword == property.name.as_str()) {
            from.blocks(keyword, *labels, &mut Vec::new(), &property.value, &mut body.blocks);
        }
    }
    Ok(body)
}

/// Reads a file of data: one value, in which no string is a template.
pub fn document(file: FileId, text: &str, skipped: usize) -> Result<Expr, SyntaxError> {
    let error = |at: usize, message: String| {
        let (line, column) = position(text, at);
        SyntaxError { line, column, message }
    };
    let parsed = parse_to_ast(text, &CollectOptions::default(), &strict())
        .map_err(|found| error(found.range().start, found.kind().to_string()))?;
    let value = parsed.value.ok_or_else(|| error(0, "no value".to_owned()))?;
    Ok(From { file, skipped, templates: false }.expr(&value))
}

fn strict() -> ParseOptions {
    ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

impl From {
    /// An object for each label in turn; at each level it may also be a list of such objects.
    fn blocks(&self, keyword: &str, labels: usize, found: &mut Vec<String>, value: &Value<'_>, into: &mut Vec<Block>) {
        match value {
            Value::Array(items) => {
                items.elements.iter().for_each(|item| self.blocks(keyword, labels, found, item, into));
            }
            Value::Object(object) if labels == found.len() => into.push(Block {
                keyword: keyword.to_owned(),
                labels: found.clone(),
                place: self.place(value),
                // Settings of a variable and a module's source are read without any reference, so as they stand.
                body: Body { attributes: self.body_of(keyword, object), blocks: Vec::new() },
            }),
            Value::Object(object) => {
                for property in object.properties.iter().filter(|property| property.name.as_str() != "//") {
                    found.push(property.name.as_str().to_owned());
                    self.blocks(keyword, labels, found, &property.value, into);
                    found.pop();
                }
            }
            _ => {}
        }
    }

    fn body_of(&self, keyword: &str, object: &ast::Object<'_>) -> Vec<Attribute> {
        let plain = From { file: self.file, skipped: self.skipped, templates: false };
        let convert = |property: &ast::ObjectProp<'_>| {
            let name = property.name.as_str();
            let is_plain = (keyword == "variable" && name != "validation")
                || (keyword == "module" && ["source", "version"].contains(&name));
            let value = if is_plain { plain.expr(&property.value) } else { self.expr(&property.value) };
            Attribute { name: name.to_owned(), value }
        };
        object.properties.iter().filter(|property| property.name.as_str() != "//").map(convert).collect()
    }

    fn attributes(&self, object: &ast::Object<'_>) -> Vec<Attribute> {
        let convert = |property: &ast::ObjectProp<'_>| Attribute {
            name: property.name.as_str().to_owned(),
            value: self.expr(&property.value),
        };
        object.properties.iter().map(convert).collect()
    }

    fn place(&self, node: &impl Ranged) -> Place {
        let range = node.range();
        Place::new(self.file, range.start + self.skipped..range.end + self.skipped)
    }

    fn expr(&self, value: &Value<'_>) -> Expr {
        let place = self.place(value);
        let kind = match value {
            Value::NullKeyword(_) => Kind::Null,
            Value::BooleanLit(literal) => Kind::Bool(literal.value),
            Value::NumberLit(literal) => literal.value.parse().map_or(Kind::Other("a number"), Kind::Number),
            Value::StringLit(literal) => self.string(&literal.value, &place),
            Value::Array(items) => Kind::List(items.elements.iter().map(|item| self.expr(item)).collect()),
            Value::Object(object) => {
                let convert = |property: &ast::ObjectProp<'_>| {
                    let key =
                        Expr { place: self.place(property), kind: Kind::Fixed(property.name.as_str().to_owned()) };
                    (key, self.expr(&property.value))
                };
                Kind::Object(object.properties.iter().map(convert).collect())
            }
        };
        Expr { place, kind }
    }

    fn string(&self, text: &str, place: &Place) -> Kind {
        let is_template = self.templates && ["${", "%{"].iter().any(|start| text.contains(start));
        match is_template {
            true => hcl::template(text, place),
            false => Kind::String(text.to_owned()),
        }
    }
}
