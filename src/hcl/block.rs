//! Blocks and references as values: a reference is made from the block it names, so it cannot dangle.

use ::hcl::{
    Attribute, BlockLabel, Body, Expression, Identifier, Structure, Traversal,
    expr::{BinaryOp, BinaryOperator, Conditional, FuncCall, ObjectKey, Operation, TraversalOperator, Variable},
};

/// One block under construction: `resource "aws_vpc" "main" { … }`, or a block nested in one.
#[derive(Debug, Clone)]
pub struct Block {
    keyword: &'static str,
    labels: Vec<String>,
    body: Vec<Structure>,
}

/// What names a resource or data source in an expression: `aws_vpc.main`, or one instance of it.
#[derive(Debug, Clone)]
pub struct Address {
    root: &'static str,
    operators: Vec<TraversalOperator>,
}

impl Block {
    /// A block without labels, such as `lifecycle`.
    pub fn new(keyword: &'static str) -> Block {
        Block { keyword, labels: Vec::new(), body: Vec::new() }
    }

    pub fn labelled(keyword: &'static str, label: &str) -> Block {
        Block { keyword, labels: vec![label.to_owned()], body: Vec::new() }
    }

    /// `resource "kind" "name"`, and its address for references to it.
    pub fn resource(kind: &'static str, name: &'static str) -> (Block, Address) {
        let block = Block { keyword: "resource", labels: vec![kind.to_owned(), name.to_owned()], body: Vec::new() };
        (block, Address { root: kind, operators: vec![TraversalOperator::GetAttr(identifier(name))] })
    }

    /// `data "kind" "name"`, and its address for references to it.
    pub fn data(kind: &'static str, name: &'static str) -> (Block, Address) {
        let block = Block { keyword: "data", labels: vec![kind.to_owned(), name.to_owned()], body: Vec::new() };
        let operators = [kind, name].map(|part| TraversalOperator::GetAttr(identifier(part))).to_vec();
        (block, Address { root: "data", operators })
    }

    /// `ephemeral "kind" "name"`, and its address for references to it: a value that is in no plan and in no state.
    pub fn ephemeral(kind: &'static str, name: &'static str) -> (Block, Address) {
        let block = Block { keyword: "ephemeral", labels: vec![kind.to_owned(), name.to_owned()], body: Vec::new() };
        let operators = [kind, name].map(|part| TraversalOperator::GetAttr(identifier(part))).to_vec();
        (block, Address { root: "ephemeral", operators })
    }

    /// Adds `name = value`.
    pub fn set(mut self, name: &'static str, value: impl Into<Expression>) -> Block {
        self.body.push(Attribute::new(identifier(name), value.into()).into());
        self
    }

    /// Adds `name = value` where there is a value.
    pub fn set_some(self, name: &'static str, value: Option<impl Into<Expression>>) -> Block {
        match value {
            Some(value) => self.set(name, value),
            None => self,
        }
    }

    /// Adds a nested block where there is one.
    pub fn nest_some(self, block: Option<Block>) -> Block {
        match block {
            Some(block) => self.nest(block),
            None => self,
        }
    }

    /// Adds a nested block.
    pub fn nest(mut self, block: Block) -> Block {
        self.body.push(Structure::Block(block.into()));
        self
    }
}

impl From<Block> for ::hcl::Block {
    fn from(block: Block) -> ::hcl::Block {
        ::hcl::Block {
            identifier: identifier(block.keyword),
            labels: block.labels.into_iter().map(BlockLabel::String).collect(),
            body: Body::from(block.body),
        }
    }
}

impl Address {
    /// `ADDRESS.name`
    pub fn attr(&self, name: &str) -> Expression {
        let mut operators = self.operators.clone();
        operators.push(TraversalOperator::GetAttr(identifier(name)));
        self.traversal(operators)
    }

    /// One instance of a resource with `for_each`: `ADDRESS["key"]`.
    pub fn at(&self, key: &str) -> Address {
        let mut operators = self.operators.clone();
        operators.push(TraversalOperator::Index(Expression::from(key)));
        Address { root: self.root, operators }
    }

    /// The instance of a resource that has the same keys as the one that this is in: `ADDRESS[each.key]`.
    pub fn at_each_key(&self) -> Address {
        let mut operators = self.operators.clone();
        operators.push(TraversalOperator::Index(attr_of("each", "key")));
        Address { root: self.root, operators }
    }

    /// One instance of a resource with `count`: `ADDRESS[0]`.
    pub fn at_number(&self, number: u32) -> Address {
        let mut operators = self.operators.clone();
        operators.push(TraversalOperator::Index(Expression::from(number)));
        Address { root: self.root, operators }
    }

    /// The instance of a resource with `count` that has the number of the one that this is in: `ADDRESS[count.index]`.
    pub fn at_count_index(&self) -> Address {
        let mut operators = self.operators.clone();
        operators.push(TraversalOperator::Index(attr_of("count", "index")));
        Address { root: self.root, operators }
    }

    /// An attribute of every instance of a resource with `count`: `ADDRESS[*].name`.
    pub fn all_numbered(&self, name: &str) -> Expression {
        let mut operators = self.operators.clone();
        operators.extend([TraversalOperator::FullSplat, TraversalOperator::GetAttr(identifier(name))]);
        self.traversal(operators)
    }

    /// An attribute of every instance of a resource with `for_each`: `values(ADDRESS)[*].name`.
    pub fn all(&self, name: &str) -> Expression {
        let operators = [TraversalOperator::FullSplat, TraversalOperator::GetAttr(identifier(name))];
        Traversal::new(call("values", [self.itself()]), operators).into()
    }

    /// The resource as a whole, for `for_each` and `depends_on`.
    pub fn itself(&self) -> Expression {
        self.traversal(self.operators.clone())
    }

    fn traversal(&self, operators: Vec<TraversalOperator>) -> Expression {
        Traversal::new(Expression::from(variable(self.root)), operators).into()
    }
}

/// `root.name`, for what is no resource: `each.key`, `path.module`.
pub fn attr_of(root: &'static str, name: &'static str) -> Expression {
    Traversal::new(Expression::from(variable(root)), [TraversalOperator::GetAttr(identifier(name))]).into()
}

/// A bare name, for what Terraform reads as one: an attribute in `ignore_changes`.
pub fn bare(name: &'static str) -> Expression {
    variable(name).into()
}

/// `first[0].second[0]…last`: an attribute inside nested blocks, for `ignore_changes`.
pub fn nested(blocks: &[&'static str], last: &'static str) -> Expression {
    let mut operators = Vec::new();
    for name in blocks.iter().skip(1).chain([&last]) {
        operators.push(TraversalOperator::Index(Expression::from(0)));
        operators.push(TraversalOperator::GetAttr(identifier(name)));
    }
    let first = blocks.first().copied().unwrap_or(last);
    Traversal::new(Expression::from(variable(first)), operators).into()
}

/// `left == right`
pub fn equal(left: impl Into<Expression>, right: impl Into<Expression>) -> Expression {
    Operation::Binary(BinaryOp::new(left.into(), BinaryOperator::Eq, right.into())).into()
}

/// `condition ? yes : no`
pub fn either(condition: Expression, yes: impl Into<Expression>, no: impl Into<Expression>) -> Expression {
    Conditional::new(condition, yes, no).into()
}

/// `each.value.name`, where the values of `for_each` are objects.
pub fn each_value(name: &'static str) -> Expression {
    let operators = ["value", name].map(|part| TraversalOperator::GetAttr(identifier(part)));
    Traversal::new(Expression::from(variable("each")), operators).into()
}

/// `name(arguments…)`
pub fn call(name: &'static str, arguments: impl IntoIterator<Item = Expression>) -> Expression {
    let arguments = arguments.into_iter();
    FuncCall { name: identifier(name).into(), args: arguments.collect(), expand_final: false }.into()
}

pub fn array<T: Into<Expression>>(items: impl IntoIterator<Item = T>) -> Expression {
    Expression::Array(items.into_iter().map(Into::into).collect())
}

/// An object. A key that is an identifier is written bare, any other quoted; so are words of the language (`{ for = 1 }`
/// is taken for a `for` expression) and letters that only newer versions of Unicode know.
pub fn object<K: Into<String>, V: Into<Expression>>(items: impl IntoIterator<Item = (K, V)>) -> Expression {
    const WORDS: [&str; 6] = ["for", "if", "in", "null", "true", "false"];
    let key = |text: String| match Identifier::new(text.clone()) {
        Ok(bare) if text.is_ascii() && !WORDS.contains(&text.as_str()) => ObjectKey::Identifier(bare),
        _ => ObjectKey::Expression(Expression::String(text)),
    };
    Expression::Object(items.into_iter().map(|(name, value)| (key(name.into()), value.into())).collect())
}

fn identifier(name: &str) -> Identifier {
    Identifier::new(name).expect("names of blocks and attributes are written in kgen's source")
}

fn variable(name: &'static str) -> Variable {
    Variable::new(name).expect("names of roots are written in kgen's source")
}
