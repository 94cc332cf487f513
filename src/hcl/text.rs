//! Text with values in it, and lines of text. Whatever the literal parts hold, they are read back as they were.

use ::hcl::{
    Expression, Identifier,
    expr::{Heredoc, HeredocStripMode, TemplateExpr},
};

use super::{
    escape::{doubled, escape, is_hidden},
    print,
};

/// A string of literal parts and references: `"aws ssm start-session --target ${aws_instance.client.id}"`.
///
/// Literal parts cannot become references, whatever they hold and however they meet.
#[derive(Debug, Clone, Default)]
pub struct Text(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Literal(String),
    Value(Expression),
}

impl Text {
    pub fn new() -> Text {
        Text::default()
    }

    pub fn literal(mut self, text: impl Into<String>) -> Text {
        let text = text.into();
        // Two literals that meet are one: a `$` at the end of the first and a `{` in the second make a marker.
        match self.0.last_mut() {
            Some(Part::Literal(before)) => before.push_str(&text),
            _ => self.0.push(Part::Literal(text)),
        }
        self
    }

    pub fn value(mut self, value: impl Into<Expression>) -> Text {
        self.0.push(Part::Value(value.into()));
        self
    }
}

impl From<Text> for Expression {
    /// The template holds source text, which the printer writes between quotes as it is.
    fn from(text: Text) -> Expression {
        let last = text.0.len().saturating_sub(1);
        let source = text.0.iter().enumerate().map(|(at, part)| match part {
            Part::Literal(literal) if at < last => before_value(escape(literal)),
            Part::Literal(literal) => escape(literal),
            Part::Value(value) => format!("${{{}}}", print::on_one_line(value)),
        });
        TemplateExpr::QuotedString(source.collect()).into()
    }
}

/// An escaped literal that a `${` follows: a `$` at its end would escape that.
fn before_value(escaped: String) -> String {
    match escaped.strip_suffix(['$', '%']) {
        Some(rest) => format!("{rest}\\u{:04x}", escaped.as_bytes()[rest.len()]),
        None => escaped,
    }
}

/// Lines of literal text as an indented heredoc, ended by a word that begins none of them; as a quoted string where a
/// heredoc cannot hold them.
pub fn heredoc<'a>(lines: impl IntoIterator<Item = &'a str>) -> Expression {
    let lines: Vec<&str> = lines.into_iter().collect();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    // Terraform takes the white space that all lines begin with for the indent, and a heredoc knows no backslash.
    let has_margin = lines.iter().any(|line| line.starts_with(|c: char| !c.is_whitespace()));
    let is_blank = |line: &&str| !line.is_empty() && line.trim().is_empty();
    let is_plain = |line: &&str| !is_blank(line) && !line.contains(|c: char| is_hidden(c) && c != '\t');
    if !has_margin || !lines.iter().all(is_plain) {
        return Expression::String(text);
    }
    let mut word = "EOT".to_owned();
    // Terraform looks at the whole line, other readers of HCL only at its start.
    while lines.iter().any(|line| line.trim_start().starts_with(&word)) {
        word.push('_');
    }
    let word = Identifier::new(word).expect("EOT and underscores");
    let heredoc = Heredoc::new(word, doubled(&text)).with_strip_mode(HeredocStripMode::Indent);
    TemplateExpr::Heredoc(heredoc).into()
}
