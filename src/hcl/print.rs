//! Prints values so that `terraform fmt` has nothing left to do.
//!
//! The rules were found by trial with terraform 1.11: in a run of one-line attributes all `=` are in one column; the
//! run ends at a blank line, a comment, a block, and a value that goes over several lines, heredocs excepted.

use std::fmt::Write;

use ::hcl::{
    Block, BlockLabel, Body, Expression, Structure,
    expr::{
        ForExpr, FuncCall, Heredoc, HeredocStripMode, ObjectKey, Operation, TemplateExpr, Traversal, TraversalOperator,
    },
};

use super::escape::{backslashed, comment, escape};
use unicode_segmentation::UnicodeSegmentation;

/// Longest list of plain values that stays on one line, columns.
const LINE: usize = 100;

/// A file: a header, then blocks, each with an optional comment that says why.
#[derive(Debug, Clone, Default)]
pub struct Document {
    blocks: Vec<(String, Block)>,
}

impl Document {
    pub fn new() -> Document {
        Document::default()
    }

    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    pub fn block(self, block: impl Into<Block>) -> Document {
        self.commented("", block)
    }

    /// Adds a block below a comment; a line of `comment` is a line of the comment.
    pub fn commented(mut self, comment: &str, block: impl Into<Block>) -> Document {
        self.blocks.push((comment.to_owned(), block.into()));
        self
    }

    pub fn print(&self) -> String {
        let blocks = self.blocks.iter().map(|(why, block)| {
            let mut text = comment(why);
            Printer::default().block(&mut text, block);
            text
        });
        blocks.collect::<Vec<_>>().join("\n")
    }
}

/// `body` as the text of a file.
#[cfg(test)]
pub fn print(body: &Body) -> String {
    let mut text = String::new();
    Printer::default().body(&mut text, body);
    text
}

/// `expression` without a line break, as it is in `${…}`.
pub(super) fn on_one_line(expression: &Expression) -> String {
    Printer::default().compact().expression(expression)
}

/// Where printing stands: how deep, and whether all must stay on one line.
#[derive(Clone, Copy, Default)]
struct Printer {
    level: usize,
    compact: bool,
}

/// One `name = value` that waits for its neighbours, because they decide its column.
struct Item {
    name: String,
    value: String,
    /// The value opens on this line and closes on a later one, so that the line is not aligned with others.
    opens: bool,
}

impl Printer {
    fn deeper(self) -> Printer {
        Printer { level: self.level + 1, ..self }
    }

    fn compact(self) -> Printer {
        Printer { compact: true, ..self }
    }

    fn indent(self, out: &mut String) {
        out.extend(std::iter::repeat_n("  ", self.level));
    }

    fn body(self, out: &mut String, body: &Body) {
        let mut waiting = Vec::new();
        let mut first = true;
        let mut after_block = false;
        for structure in body {
            match structure {
                Structure::Attribute(attribute) => {
                    if after_block {
                        out.push('\n');
                        after_block = false;
                    }
                    waiting.push(self.item(attribute.key.to_string(), &attribute.expr));
                }
                Structure::Block(block) => {
                    self.items(out, &mut waiting, true);
                    if !first {
                        out.push('\n');
                    }
                    self.block(out, block);
                    after_block = true;
                }
            }
            first = false;
        }
        self.items(out, &mut waiting, true);
    }

    fn block(self, out: &mut String, block: &Block) {
        self.indent(out);
        out.push_str(&block.identifier);
        for label in &block.labels {
            match label {
                BlockLabel::Identifier(bare) => write!(out, " {bare}"),
                BlockLabel::String(text) => write!(out, " \"{}\"", escape(text)),
            }
            .expect("writing to a String");
        }
        if block.body.iter().next().is_none() {
            out.push_str(" {}\n");
            return;
        }
        out.push_str(" {\n");
        self.deeper().body(out, &block.body);
        self.indent(out);
        out.push_str("}\n");
    }

    fn item(self, name: String, value: &Expression) -> Item {
        match value {
            Expression::TemplateExpr(template) if !self.compact => match &**template {
                TemplateExpr::Heredoc(heredoc) => return Item { name, value: self.heredoc(heredoc), opens: false },
                TemplateExpr::QuotedString(_) => {}
            },
            _ => {}
        }
        let value = self.expression(value);
        Item { name, opens: value.contains('\n'), value }
    }

    /// Writes the items that waited. With `airy`, a value over several lines stands between blank lines.
    fn items(self, out: &mut String, waiting: &mut Vec<Item>, airy: bool) {
        let items = std::mem::take(waiting);
        let mut start = 0;
        while start < items.len() {
            let end = match items[start].opens {
                true => start + 1,
                false => items[start..].iter().position(|item| item.opens).map_or(items.len(), |at| start + at),
            };
            if airy && start > 0 {
                out.push('\n');
            }
            let chain = &items[start..end];
            let width = chain.iter().map(|item| columns(&item.name)).max().unwrap_or(0);
            for item in chain {
                self.indent(out);
                let padding = width - columns(&item.name);
                writeln!(out, "{}{:padding$} = {}", item.name, "", item.value).expect("writing to a String");
            }
            start = end;
        }
    }

    fn expression(self, expression: &Expression) -> String {
        match expression {
            Expression::Null => "null".to_owned(),
            Expression::Bool(value) => value.to_string(),
            Expression::Number(number) => number.to_string(),
            Expression::String(text) => format!("\"{}\"", escape(text)),
            Expression::Array(items) => self.array(items),
            Expression::Object(items) => self.object(items.iter()),
            Expression::TemplateExpr(template) => self.template_expression(template),
            Expression::Variable(variable) => variable.to_string(),
            Expression::Traversal(traversal) => self.traversal(traversal),
            Expression::FuncCall(call) => self.call(call),
            Expression::Parenthesis(inner) => format!("({})", self.expression(inner)),
            Expression::Conditional(c) => {
                let [condition, yes, no] =
                    [&c.cond_expr, &c.true_expr, &c.false_expr].map(|part| self.compact().expression(part));
                format!("{condition} ? {yes} : {no}")
            }
            Expression::Operation(operation) => match &**operation {
                Operation::Unary(unary) => format!("{}{}", unary.operator, self.expression(&unary.expr)),
                Operation::Binary(binary) => {
                    let [left, right] = [&binary.lhs_expr, &binary.rhs_expr].map(|e| self.compact().expression(e));
                    format!("{left} {} {right}", binary.operator)
                }
            },
            Expression::ForExpr(for_expression) => self.compact().for_expression(for_expression),
            // hcl-rs keeps the right to add kinds; its own form is valid HCL.
            other => other.to_string(),
        }
    }

    fn array(self, items: &[Expression]) -> String {
        let one_line = || {
            let items: Vec<_> = items.iter().map(|item| self.compact().expression(item)).collect();
            format!("[{}]", items.join(", "))
        };
        let has_structure = items.iter().any(|item| matches!(item, Expression::Object(_) | Expression::Array(_)));
        if self.compact || items.is_empty() || (!has_structure && columns(&one_line()) <= LINE) {
            return one_line();
        }
        let mut out = "[\n".to_owned();
        for item in items {
            self.deeper().indent(&mut out);
            out.push_str(&self.deeper().expression(item));
            out.push_str(",\n");
        }
        self.indent(&mut out);
        out + "]"
    }

    fn object<'a>(self, items: impl ExactSizeIterator<Item = (&'a ObjectKey, &'a Expression)>) -> String {
        if items.len() == 0 {
            return "{}".to_owned();
        }
        let key = |key: &ObjectKey| match key {
            ObjectKey::Identifier(bare) => bare.to_string(),
            ObjectKey::Expression(other) => self.compact().expression(other),
            // As above.
            other => other.to_string(),
        };
        if self.compact {
            let items: Vec<_> =
                items.map(|(name, value)| format!("{} = {}", key(name), self.expression(value))).collect();
            return format!("{{ {} }}", items.join(", "));
        }
        let mut waiting = items.map(|(name, value)| self.deeper().item(key(name), value)).collect();
        let mut out = "{\n".to_owned();
        self.deeper().items(&mut out, &mut waiting, false);
        self.indent(&mut out);
        out + "}"
    }

    fn call(self, call: &FuncCall) -> String {
        // Only a single argument goes over several lines: `terraform fmt` indents `}, {` in a way of its own.
        let inside = if call.args.len() > 1 { self.compact() } else { self };
        let arguments: Vec<_> = call.args.iter().map(|argument| inside.expression(argument)).collect();
        let namespace: String = call.name.namespace.iter().map(|part| format!("{part}::")).collect();
        let expand = if call.expand_final { "..." } else { "" };
        format!("{namespace}{}({}{expand})", call.name.name, arguments.join(", "))
    }

    fn traversal(self, traversal: &Traversal) -> String {
        let mut out = self.compact().expression(&traversal.expr);
        for operator in &traversal.operators {
            match operator {
                TraversalOperator::AttrSplat => out.push_str(".*"),
                TraversalOperator::FullSplat => out.push_str("[*]"),
                TraversalOperator::GetAttr(name) => write!(out, ".{name}").expect("writing to a String"),
                TraversalOperator::LegacyIndex(index) => write!(out, ".{index}").expect("writing to a String"),
                TraversalOperator::Index(index) => {
                    write!(out, "[{}]", self.compact().expression(index)).expect("writing to a String");
                }
            }
        }
        out
    }

    fn for_expression(self, f: &ForExpr) -> String {
        let key_variable = f.key_var.as_ref().map(|key| format!("{key}, ")).unwrap_or_default();
        let key = f.key_expr.as_ref().map(|key| format!("{} => ", self.expression(key))).unwrap_or_default();
        let grouping = if f.grouping && f.key_expr.is_some() { "..." } else { "" };
        let condition = f.cond_expr.as_ref().map(|c| format!(" if {}", self.expression(c))).unwrap_or_default();
        let inner = format!(
            "for {key_variable}{} in {} : {key}{}{grouping}{condition}",
            f.value_var,
            self.expression(&f.collection_expr),
            self.expression(&f.value_expr)
        );
        if f.key_expr.is_some() { format!("{{ {inner} }}") } else { format!("[{inner}]") }
    }

    /// A template inside quotes; it holds source text ([`Text`](super::Text)). A heredoc, too, is written between quotes
    /// unless it is the whole value of an attribute or of an item: the word that ends it must stand alone on its line,
    /// which lists and calls do not allow. Its markers are doubled already.
    fn template_expression(self, expression: &TemplateExpr) -> String {
        match expression {
            TemplateExpr::QuotedString(source) => format!("\"{source}\""),
            TemplateExpr::Heredoc(heredoc) => format!("\"{}\"", backslashed(&heredoc.template)),
        }
    }

    /// A heredoc's text is written as it is; one that strips its indent is indented with its surroundings.
    fn heredoc(self, heredoc: &Heredoc) -> String {
        let mut out = format!("{}{}\n", heredoc.strip.as_str(), heredoc.delimiter);
        for line in heredoc.template.split_terminator('\n') {
            if heredoc.strip == HeredocStripMode::Indent && !line.trim().is_empty() {
                self.deeper().indent(&mut out);
            }
            out.push_str(line);
            out.push('\n');
        }
        if heredoc.strip == HeredocStripMode::Indent {
            self.indent(&mut out);
        }
        out + &heredoc.delimiter
    }
}

/// Columns that a text takes: `terraform fmt` counts characters as people see them.
fn columns(text: &str) -> usize {
    text.graphemes(true).count()
}

#[cfg(test)]
mod tests;
