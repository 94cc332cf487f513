//! Text with values in it, and the escapes that make a string a literal.

use ::hcl::{
    Expression, Template,
    expr::{Heredoc, HeredocStripMode, TemplateExpr},
    template::Interpolation,
};

/// A string of literal parts and references: `"aws ssm start-session --target ${aws_instance.client.id}"`.
///
/// Literal parts cannot become references, whatever they hold.
#[derive(Debug, Clone, Default)]
pub struct Text(Template);

impl Text {
    pub fn new() -> Text {
        Text::default()
    }

    pub fn literal(self, text: impl Into<String>) -> Text {
        Text(self.0.add_literal(text.into()))
    }

    pub fn value(self, value: impl Into<Expression>) -> Text {
        Text(self.0.add_interpolation(Interpolation::new(value)))
    }
}

impl From<Text> for Expression {
    fn from(text: Text) -> Expression {
        TemplateExpr::QuotedString(text.0.to_string()).into()
    }
}

/// Lines of literal text as an indented heredoc, ended by a word that is none of the lines.
pub fn heredoc<'a>(lines: impl IntoIterator<Item = &'a str>) -> Expression {
    let lines: Vec<&str> = lines.into_iter().collect();
    let mut word = "EOT".to_owned();
    while lines.iter().any(|line| line.trim() == word) {
        word.push('_');
    }
    let template = Template::new().add_literal(lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    let word = ::hcl::Identifier::new(word).expect("EOT and underscores");
    let heredoc = Heredoc::new(word, template.to_string()).with_strip_mode(HeredocStripMode::Indent);
    TemplateExpr::Heredoc(heredoc).into()
}

/// The inside of a quoted string that stands for exactly `text`.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '$' | '%' if chars.peek() == Some(&'{') => escaped.extend([c, c]),
            c if c.is_control() => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}
