//! Text with values in it, and the escapes that make a string a literal.
//!
//! Every literal that kgen prints passes [`escape`], or in a heredoc its half [`doubled`]. hcl-rs escapes literals as
//! well, but overlooks a marker that follows another sign (`%${`), so its own is not used. No escape can keep a
//! letter and its combining accent apart: Terraform normalises every string to Unicode's composed form (NFC).

use ::hcl::{
    Expression, Identifier,
    expr::{Heredoc, HeredocStripMode, TemplateExpr},
};

use super::print;

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

/// The inside of a quoted string that stands for exactly `text`.
pub fn escape(text: &str) -> String {
    backslashed(&doubled(text))
}

/// `text` with the sign of every template marker doubled, which makes it a literal: `$${` and `%%{`.
fn doubled(text: &str) -> String {
    text.replace("${", "$${").replace("%{", "%%{")
}

/// `text` with backslash escapes for what cannot stand between quotes, and for what would not be seen there.
pub(super) fn backslashed(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            c if is_hidden(c) => match u32::from(c) {
                code @ ..=0xffff => escaped.push_str(&format!("\\u{code:04x}")),
                code => escaped.push_str(&format!("\\U{code:08x}")),
            },
            c => escaped.push(c),
        }
    }
    escaped
}

/// Control characters, line separators, and what reorders or hides the text around it (Unicode's bidirectional
/// controls, the byte order mark, tags): whoever reviews a rendered file must see it.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` as lines of a comment. Nothing in it ends the comment.
pub(super) fn comment(text: &str) -> String {
    let line = |line: &str| match line.replace(is_hidden, "\u{fffd}") {
        empty if empty.is_empty() => "#\n".to_owned(),
        visible => format!("# {visible}\n"),
    };
    text.lines().map(line).collect()
}
