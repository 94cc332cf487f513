//! From hcl-edit's tree to ours. Its spans are exact; its printer is not used (docs/resize.md).

use std::collections::BTreeMap;

use hcl_edit::{
    Span,
    expr::{BinaryOperator, Expression, ObjectKey, TraversalOperator, UnaryOperator},
    structure,
    template::{Element, StringTemplate},
};

use super::{Attribute, Block, Body, Expr, FileId, For, Kind, Operator, Part, Place, Step, SyntaxError};

/// Keys of objects that are given again in the same object, of one file.
const MOST_REPEATED: usize = 50;

/// Where what is converted comes from.
#[derive(Clone)]
struct From {
    file: FileId,
    /// Bytes before the text that was parsed.
    skipped: usize,
    /// Set inside a template that is a JSON string: everything in it has the place of the whole.
    inside: Option<Place>,
    /// Keys that were given another name of the same length for the parser, by their first byte.
    renamed: BTreeMap<usize, String>,
}

/// Reads HCL as Terraform does. The parser refuses a key that an object has twice, where Terraform takes the last one, so
/// it is shown another name for it.
pub fn parse(file: FileId, text: &str, skipped: usize) -> Result<Body, SyntaxError> {
    let mut shown = text.to_owned();
    let mut renamed = BTreeMap::new();
    loop {
        let error: hcl_edit::parser::Error = match shown.parse::<structure::Body>() {
            Ok(body) => return Ok(From { file, skipped, inside: None, renamed }.body(&body)),
            Err(error) => error,
        };
        let at = error.location().offset();
        let is_repeated = error.message().contains("redefined object key") && renamed.len() < MOST_REPEATED;
        if !is_repeated || rename(&mut shown, at, &mut renamed).is_none() {
            return Err(SyntaxError {
                line: error.location().line(),
                column: error.location().column(),
                message: error.message().to_owned(),
            });
        }
    }
}

/// Gives the key at `at` a name that occurs nowhere else. Nothing, where it is no plain word.
fn rename(text: &mut String, at: usize, renamed: &mut BTreeMap<usize, String>) -> Option<()> {
    let quotes = usize::from(text.get(at..)?.starts_with('"'));
    let is_part = |c: &char| c.is_ascii_alphanumeric() || "_-".contains(*c);
    let word: String = text.get(at + quotes..)?.chars().take_while(is_part).collect();
    let range = at + quotes..at + quotes + word.len();
    let is_whole = quotes == 0 || text.get(range.end..)?.starts_with('"');
    let free = || {
        let names = ('a'..='z').chain('A'..='Z').map(|c| format!("{c}{}", "_".repeat(word.len() - 1)));
        let is_taken = |name: &String| text.split(|c| !is_part(&c)).any(|known| known == name);
        names.into_iter().find(|name| !is_taken(name))
    };
    if word.is_empty() || !is_whole || renamed.contains_key(&at) {
        return None;
    }
    let name = free()?;
    text.replace_range(range, &name);
    renamed.insert(at, word);
    Some(())
}

/// What a JSON string with an interpolation stands for.
pub fn template(text: &str, place: &Place) -> Kind {
    let from = From { file: place.file, skipped: 0, inside: Some(place.clone()), renamed: BTreeMap::new() };
    match format!("\"{text}\"").parse::<Expression>() {
        Ok(expression) => from.kind(&expression),
        Err(_) => Kind::Other("a template"),
    }
}

impl From {
    fn place(&self, node: &impl Span) -> Place {
        let span = node.span().unwrap_or_default();
        match &self.inside {
            Some(place) => place.clone(),
            None => Place::new(self.file, span.start + self.skipped..span.end + self.skipped),
        }
    }

    fn body(&self, body: &structure::Body) -> Body {
        let attributes = body
            .attributes()
            .map(|attribute| Attribute { name: attribute.key.as_str().to_owned(), value: self.expr(&attribute.value) });
        let blocks = body.blocks().map(|block| Block {
            keyword: block.ident.as_str().to_owned(),
            labels: block.labels.iter().map(|label| label.as_str().to_owned()).collect(),
            place: self.place(block),
            body: self.body(&block.body),
        });
        Body { attributes: attributes.collect(), blocks: blocks.collect() }
    }

    fn expr(&self, expression: &Expression) -> Expr {
        // What is in parentheses is what counts, and what would be replaced.
        match expression {
            Expression::Parenthesis(inner) => self.expr(inner.inner()),
            _ => Expr { place: self.place(expression), kind: self.kind(expression) },
        }
    }

    fn boxed(&self, expression: &Expression) -> Box<Expr> {
        Box::new(self.expr(expression))
    }

    fn string(&self, text: &str) -> Kind {
        match self.inside {
            Some(_) => Kind::Fixed(text.to_owned()),
            None => Kind::String(text.to_owned()),
        }
    }

    fn kind(&self, expression: &Expression) -> Kind {
        match expression {
            Expression::Null(_) => Kind::Null,
            Expression::Bool(value) => Kind::Bool(*value.value()),
            Expression::Number(value) => value.value().as_f64().map_or(Kind::Other("a number"), Kind::Number),
            Expression::String(value) => self.string(value.value()),
            Expression::StringTemplate(template) => self.template(template),
            Expression::HeredocTemplate(_) => Kind::Other("a heredoc"),
            Expression::Array(items) => Kind::List(items.iter().map(|item| self.expr(item)).collect()),
            Expression::Object(items) => {
                Kind::Object(items.iter().map(|(key, value)| (self.key(key), self.expr(value.expr()))).collect())
            }
            Expression::Parenthesis(inner) => self.kind(inner.inner()),
            Expression::Variable(name) => Kind::Reference { root: name.as_str().to_owned(), steps: Vec::new() },
            Expression::Traversal(traversal) => {
                let steps = traversal.operators.iter().map(|operator| self.step(operator.value())).collect();
                match &traversal.expr {
                    Expression::Variable(name) => Kind::Reference { root: name.as_str().to_owned(), steps },
                    base => Kind::Access { base: self.boxed(base), steps },
                }
            }
            Expression::Conditional(conditional) => Kind::Conditional {
                condition: self.boxed(&conditional.cond_expr),
                yes: self.boxed(&conditional.true_expr),
                no: self.boxed(&conditional.false_expr),
            },
            Expression::UnaryOp(operation) => match operation.operator.value() {
                UnaryOperator::Not => Kind::Not(self.boxed(&operation.expr)),
                UnaryOperator::Neg => Kind::Negative(self.boxed(&operation.expr)),
            },
            Expression::BinaryOp(operation) => Kind::Binary {
                operator: operator(*operation.operator.value()),
                left: self.boxed(&operation.lhs_expr),
                right: self.boxed(&operation.rhs_expr),
            },
            Expression::FuncCall(call) => {
                let namespace = call.name.namespace.iter().map(|part| format!("{}::", part.as_str()));
                Kind::Call {
                    name: namespace.chain([call.name.name.as_str().to_owned()]).collect(),
                    arguments: call.args.iter().map(|argument| self.expr(argument)).collect(),
                    expands: call.args.expand_final(),
                }
            }
            Expression::ForExpr(expr) => Kind::For(Box::new(For {
                key_name: expr.intro.key_var.as_ref().map(|name| name.as_str().to_owned()),
                value_name: expr.intro.value_var.as_str().to_owned(),
                collection: self.expr(&expr.intro.collection_expr),
                key: expr.key_expr.as_ref().map(|key| self.expr(key)),
                value: self.expr(&expr.value_expr),
                condition: expr.cond.as_ref().map(|condition| self.expr(&condition.expr)),
                grouping: expr.grouping,
            })),
        }
    }

    fn template(&self, template: &StringTemplate) -> Kind {
        let mut parts = Vec::new();
        for element in template.iter() {
            parts.push(match element {
                Element::Literal(text) => Part::Text(text.to_string()),
                Element::Interpolation(interpolation) => Part::Value(self.expr(&interpolation.expr)),
                Element::Directive(_) => return Kind::Other("a template with directives"),
            });
        }
        Kind::Template(parts)
    }

    fn key(&self, key: &ObjectKey) -> Expr {
        let place = self.place(key);
        // Also of a quoted key the span starts where the key does.
        if let Some(name) = key.span().and_then(|span| self.renamed.get(&span.start)) {
            return Expr { place, kind: Kind::Fixed(name.clone()) };
        }
        match key {
            ObjectKey::Ident(name) => Expr { place, kind: Kind::Fixed(name.as_str().to_owned()) },
            ObjectKey::Expression(Expression::String(name)) => {
                Expr { place, kind: Kind::Fixed(name.value().to_owned()) }
            }
            ObjectKey::Expression(expression) => self.expr(expression),
        }
    }

    fn step(&self, operator: &TraversalOperator) -> Step {
        match operator {
            TraversalOperator::AttrSplat(_) => Step::NameSplat,
            TraversalOperator::FullSplat(_) => Step::Splat,
            TraversalOperator::GetAttr(name) => Step::Name(name.as_str().to_owned()),
            TraversalOperator::Index(index) => Step::Index(self.expr(index)),
            TraversalOperator::LegacyIndex(index) => {
                let place = self.inside.clone().unwrap_or(Place::new(self.file, 0..0));
                Step::Index(Expr { place, kind: Kind::Number(*index.value() as f64) })
            }
        }
    }
}

fn operator(operator: BinaryOperator) -> Operator {
    match operator {
        BinaryOperator::Eq => Operator::Equal,
        BinaryOperator::NotEq => Operator::NotEqual,
        BinaryOperator::And => Operator::And,
        BinaryOperator::Or => Operator::Or,
        BinaryOperator::Less => Operator::Less,
        BinaryOperator::LessEq => Operator::LessOrEqual,
        BinaryOperator::Greater => Operator::More,
        BinaryOperator::GreaterEq => Operator::MoreOrEqual,
        BinaryOperator::Plus => Operator::Plus,
        BinaryOperator::Minus => Operator::Minus,
        BinaryOperator::Mul => Operator::Times,
        BinaryOperator::Div => Operator::Divide,
        BinaryOperator::Mod => Operator::Modulo,
    }
}
