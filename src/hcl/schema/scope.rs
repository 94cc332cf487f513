//! What expressions can refer to, and what they will be.

use std::collections::{BTreeMap, BTreeSet};

use ::hcl::{
    BlockLabel, Body, Expression, Identifier, Template,
    expr::{ForExpr, FuncCall, ObjectKey, Operation, TemplateExpr, Traversal, TraversalOperator},
    template::{Directive, Element},
};

use super::{Fault, Mistake, Schema, functions::returned, kind::Kind};

/// The declarations of a configuration, where the check is in it, and what it has found.
pub(super) struct Scope<'s> {
    pub schema: &'s Schema,
    /// `aws_vpc.main` or `data.aws_vpc.main`, and how often there is one.
    declared: BTreeMap<String, Repetition>,
    /// `var.x`, `local.x`, `module.x`
    named: BTreeSet<String>,
    /// `each.value` of the block at hand.
    pub each: Option<Kind<'s>>,
    /// Variables of the `for` expressions around.
    bound: Vec<(String, Kind<'s>)>,
    /// The address at hand.
    pub at: String,
    pub faults: Vec<Fault>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Repetition {
    Once,
    Counted,
    Keyed,
}

impl<'s> Scope<'s> {
    pub fn new(schema: &'s Schema, body: &Body) -> Scope<'s> {
        let (mut declared, mut named) = (BTreeMap::new(), BTreeSet::new());
        for block in body.blocks() {
            let labels: Vec<&str> = block.labels.iter().map(BlockLabel::as_str).collect();
            match (block.identifier.as_str(), &labels[..]) {
                (mode @ ("resource" | "data" | "ephemeral"), [kind, name]) => {
                    let has = |name: &str| block.body.attributes().any(|attribute| attribute.key.as_str() == name);
                    let repetition = match () {
                        () if has("for_each") => Repetition::Keyed,
                        () if has("count") => Repetition::Counted,
                        () => Repetition::Once,
                    };
                    declared.insert(address(mode, kind, name), repetition);
                }
                ("variable", [name]) => drop(named.insert(format!("var.{name}"))),
                ("module", [name]) => drop(named.insert(format!("module.{name}"))),
                ("locals", []) => named.extend(block.body.attributes().map(|local| format!("local.{}", local.key))),
                _ => {}
            }
        }
        Scope { schema, declared, named, each: None, bound: Vec::new(), at: String::new(), faults: Vec::new() }
    }

    pub fn fault(&mut self, mistake: Mistake) {
        self.faults.push(Fault { at: self.at.clone(), mistake });
    }

    /// Makes `name` one that expressions can refer to, until [`Scope::unbind`].
    pub fn bind(&mut self, name: &str, kind: Kind<'s>) {
        self.bound.push((name.to_owned(), kind));
    }

    /// Undoes the last [`Scope::bind`], if there `was` one.
    pub fn unbind(&mut self, was: bool) {
        if was {
            self.bound.pop();
        }
    }

    /// What `expression` will be. Notes what is wrong with references on the way.
    pub fn kind(&mut self, expression: &Expression) -> Kind<'s> {
        match expression {
            Expression::Null => Kind::Null,
            Expression::Bool(_) => Kind::Bool,
            Expression::Number(_) => Kind::Number,
            Expression::String(text) => Kind::Text(Some(text.clone())),
            Expression::Array(items) => Kind::Tuple(items.iter().map(|item| self.kind(item)).collect()),
            Expression::Object(items) => {
                let mut names_known = true;
                let mut kinds = BTreeMap::new();
                for (key, value) in items {
                    let kind = self.kind(value);
                    match key {
                        ObjectKey::Identifier(name) => drop(kinds.insert(name.to_string(), kind)),
                        ObjectKey::Expression(Expression::String(name)) => drop(kinds.insert(name.clone(), kind)),
                        ObjectKey::Expression(other) => {
                            names_known = false;
                            self.kind(other);
                        }
                        _ => names_known = false,
                    }
                }
                if names_known { Kind::Object(kinds) } else { Kind::Map(Box::new(Kind::Unknown)) }
            }
            Expression::TemplateExpr(template) => self.template_expression(template),
            Expression::Variable(variable) => self.traversed(variable.as_str(), &[]),
            Expression::Traversal(traversal) => self.traversal(traversal),
            Expression::FuncCall(call) => self.call(call),
            Expression::Parenthesis(inner) => self.kind(inner),
            Expression::Conditional(conditional) => {
                self.kind(&conditional.cond_expr);
                let yes = self.kind(&conditional.true_expr);
                let no = self.kind(&conditional.false_expr);
                if matches!(yes, Kind::Null) { no } else { yes }
            }
            Expression::Operation(operation) => self.operation(operation),
            Expression::ForExpr(for_expression) => self.for_expression(for_expression),
            _ => Kind::Unknown,
        }
    }

    fn operation(&mut self, operation: &Operation) -> Kind<'s> {
        let operator = match operation {
            Operation::Unary(unary) => {
                self.kind(&unary.expr);
                unary.operator.as_str()
            }
            Operation::Binary(binary) => {
                self.kind(&binary.lhs_expr);
                self.kind(&binary.rhs_expr);
                binary.operator.as_str()
            }
        };
        if ["+", "-", "*", "/", "%"].contains(&operator) { Kind::Number } else { Kind::Bool }
    }

    fn call(&mut self, call: &FuncCall) -> Kind<'s> {
        let arguments: Vec<Kind<'s>> = call.args.iter().map(|argument| self.kind(argument)).collect();
        let name = call.name.name.as_str();
        // Functions of providers are in a namespace, and are not in the schema that is kept.
        let known = if call.name.is_namespaced() { Some(Kind::Unknown) } else { returned(name, &arguments) };
        known.unwrap_or_else(|| {
            self.fault(Mistake::UnknownFunction(name.to_owned()));
            Kind::Unknown
        })
    }

    /// Binds the names that a `for` gives to what is in `collection`; returns how many there were before.
    fn bind_each(&mut self, collection: &Expression, value: &Identifier, key: Option<&Identifier>) -> usize {
        let element = self.kind(collection).element();
        let before = self.bound.len();
        self.bound.push((value.to_string(), element));
        self.bound.extend(key.map(|name| (name.to_string(), Kind::Text(None))));
        before
    }

    fn for_expression(&mut self, expression: &ForExpr) -> Kind<'s> {
        let before = self.bind_each(&expression.collection_expr, &expression.value_var, expression.key_var.as_ref());
        let key = expression.key_expr.as_ref().map(|key| self.kind(key));
        let value = Box::new(self.kind(&expression.value_expr));
        if let Some(condition) = &expression.cond_expr {
            self.kind(condition);
        }
        self.bound.truncate(before);
        match key {
            None => Kind::List(value),
            Some(_) if expression.grouping => Kind::Map(Box::new(Kind::List(value))),
            Some(_) => Kind::Map(value),
        }
    }

    fn template_expression(&mut self, expression: &TemplateExpr) -> Kind<'s> {
        let Ok(template) = Template::from_expr(expression) else {
            self.fault(Mistake::WrongReference("the template cannot be parsed".to_owned()));
            return Kind::Text(None);
        };
        self.template(&template);
        match template.elements() {
            // One interpolation alone keeps its type.
            [Element::Interpolation(only)] => self.kind(&only.expr),
            [] => Kind::Text(Some(String::new())),
            [Element::Literal(text)] => Kind::Text(Some(text.clone())),
            _ => Kind::Text(None),
        }
    }

    fn template(&mut self, template: &Template) {
        for element in template.elements() {
            match element {
                Element::Literal(_) => {}
                Element::Interpolation(interpolation) => drop(self.kind(&interpolation.expr)),
                Element::Directive(directive) => match &**directive {
                    Directive::If(directive) => {
                        self.kind(&directive.cond_expr);
                        self.template(&directive.true_template);
                        directive.false_template.iter().for_each(|template| self.template(template));
                    }
                    Directive::For(directive) => {
                        let (value, key) = (&directive.value_var, directive.key_var.as_ref());
                        let before = self.bind_each(&directive.collection_expr, value, key);
                        self.template(&directive.template);
                        self.bound.truncate(before);
                    }
                },
            }
        }
    }

    fn traversal(&mut self, traversal: &Traversal) -> Kind<'s> {
        match &traversal.expr {
            Expression::Variable(root) => self.traversed(root.as_str(), &traversal.operators),
            other => {
                let kind = self.kind(other);
                self.steps(kind, &traversal.operators)
            }
        }
    }

    /// `root` and all that follows it.
    fn traversed(&mut self, root: &str, operators: &[TraversalOperator]) -> Kind<'s> {
        if let Some((_, kind)) = self.bound.iter().rev().find(|(name, _)| name == root) {
            return self.steps(kind.clone(), operators);
        }
        let name = |at: usize| match operators.get(at) {
            Some(TraversalOperator::GetAttr(name)) => name.as_str(),
            _ => "",
        };
        match root {
            "each" => match (self.each.clone(), name(0)) {
                (Some(_), "key") => Kind::Text(None),
                (Some(value), "value") => self.steps(value, &operators[1..]),
                (_, other) => self.nothing(&format!("each.{other}")),
            },
            "var" | "local" | "module" => {
                let named = format!("{root}.{}", name(0));
                if self.named.contains(&named) { Kind::Unknown } else { self.nothing(&named) }
            }
            "path" | "terraform" => Kind::Text(None),
            "count" => Kind::Number,
            "self" => Kind::Unknown,
            mode @ ("data" | "ephemeral") => {
                self.declared(mode, name(0), name(1), operators.get(2..).unwrap_or_default())
            }
            kind => self.declared("resource", kind, name(0), operators.get(1..).unwrap_or_default()),
        }
    }

    fn nothing(&mut self, what: &str) -> Kind<'s> {
        self.fault(Mistake::UnknownReference(what.to_owned()));
        Kind::Unknown
    }

    fn declared(&mut self, mode: &str, kind: &str, name: &str, operators: &[TraversalOperator]) -> Kind<'s> {
        let address = address(mode, kind, name);
        let Some(repetition) = self.declared.get(&address).copied() else { return self.nothing(&address) };
        // A type that is not in the schema is found where it is declared.
        let Some(block) = self.schema.block(mode, kind) else { return Kind::Unknown };
        let block = Kind::Block(block);
        let whole = match repetition {
            Repetition::Once => block,
            Repetition::Counted => Kind::List(Box::new(block)),
            Repetition::Keyed => Kind::Map(Box::new(block)),
        };
        match (repetition, operators.first()) {
            (Repetition::Keyed | Repetition::Counted, Some(TraversalOperator::GetAttr(attribute))) => {
                self.fault(Mistake::WrongReference(format!(
                    "{address} has several instances: select one to read \
                                                            {attribute}"
                )));
                Kind::Unknown
            }
            _ => self.steps(whole, operators),
        }
    }

    fn steps(&mut self, from: Kind<'s>, operators: &[TraversalOperator]) -> Kind<'s> {
        let Some((operator, rest)) = operators.split_first() else { return from };
        let next = match operator {
            TraversalOperator::GetAttr(name) => from.attribute(name.as_str()),
            TraversalOperator::Index(index) => {
                self.kind(index);
                from.index()
            }
            TraversalOperator::LegacyIndex(_) => from.index(),
            TraversalOperator::FullSplat | TraversalOperator::AttrSplat => {
                let element = match from {
                    // A single value is taken for a list of one.
                    Kind::Block(_) => from,
                    Kind::Map(_) | Kind::Object(_) => {
                        let problem = "[*] of a map is a list of the whole map; values() gives its elements";
                        self.fault(Mistake::WrongReference(problem.to_owned()));
                        return Kind::Unknown;
                    }
                    collection => collection.element(),
                };
                return Kind::List(Box::new(self.steps(element, rest)));
            }
        };
        match next {
            Ok(kind) => self.steps(kind, rest),
            Err(problem) => {
                self.fault(Mistake::WrongReference(problem));
                Kind::Unknown
            }
        }
    }
}

pub(super) fn address(mode: &str, kind: &str, name: &str) -> String {
    if mode == "resource" { format!("{kind}.{name}") } else { format!("{mode}.{kind}.{name}") }
}
