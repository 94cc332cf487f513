//! Changes one string in a file that anyone may have written, and no other byte.
//!
//! The file is parsed for the place of the value only; what is written back is the old text with those bytes replaced.

use std::ops::Range;

use hcl_edit::{
    Span,
    expr::Expression,
    structure::{Block, Body},
};

use super::escape::escape;

/// Why a value was not changed. Nothing was.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum EditError {
    #[error("line {line}, column {column} is not valid HCL: {message}")]
    Syntax { line: usize, column: usize, message: String },
    #[error("there is no {0}")]
    Missing(String),
    #[error("there are {count} of {what}, on lines {lines}: choose one", count = lines.len(), lines = comma(lines))]
    Ambiguous { what: String, lines: Vec<usize> },
    #[error("{what} on line {line} is `{found}`, not a quoted string; change it where that value is set")]
    NotAString { what: String, line: usize, found: String },
}

/// Where a string is in a file, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Bytes of the value, quotes included.
    pub span: Range<usize>,
    /// Counted from 1.
    pub line: usize,
    pub value: String,
}

/// Returns `text` with the string at `path` in `block` replaced by `new`; every other byte is as before.
///
/// `block` is a keyword and labels, such as `["resource", "aws_msk_cluster"]`: labels left out match any. `path` leads
/// through nested blocks to the attribute: `["broker_node_group_info", "instance_type"]`.
///
/// # Errors
/// If there is not exactly one such value, or it is no literal string.
pub fn set_string(text: &str, block: &[&str], path: &[&str], new: &str) -> Result<String, EditError> {
    let found = find_string(text, block, path)?;
    let mut edited = text.to_owned();
    edited.replace_range(found.span, &format!("\"{}\"", escape(new)));
    Ok(edited)
}

/// Finds what [`set_string`] would change.
///
/// # Errors
/// As there.
pub fn find_string(text: &str, block: &[&str], path: &[&str]) -> Result<Found, EditError> {
    // hcl-edit refuses a byte order mark, which terraform accepts.
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let source = &text[mark..];
    let body: Body = source.parse().map_err(|error: hcl_edit::parser::Error| EditError::Syntax {
        line: error.location().line(),
        column: error.location().column(),
        message: error.message().to_owned(),
    })?;
    let line = |offset: usize| 1 + source[..offset].matches('\n').count();
    let Some((attribute, nested)) = path.split_last() else {
        return Err(EditError::Missing("attribute to change".to_owned()));
    };

    let outer = only(body.blocks().filter(|found| matches(found, block)).collect(), &block.join(" "), line)?;
    let mut what = block.join(" ");
    let mut innermost = outer;
    for name in nested {
        what = format!("{name} in {what}");
        innermost = only(innermost.body.get_blocks(name).collect(), &what, line)?;
    }
    what = format!("{attribute} in {what}");
    let value = match innermost.body.get_attribute(attribute) {
        Some(attribute) => &attribute.value,
        None => return Err(EditError::Missing(what)),
    };
    let span = value.span().expect("what was parsed from text has a place in it");
    match value {
        Expression::String(string) => {
            Ok(Found { line: line(span.start), value: string.to_string(), span: span.start + mark..span.end + mark })
        }
        _ => Err(EditError::NotAString { what, line: line(span.start), found: source[span].to_owned() }),
    }
}

fn matches(block: &Block, wanted: &[&str]) -> bool {
    let names = std::iter::once(block.ident.as_str()).chain(block.labels.iter().map(|label| label.as_str()));
    wanted.len() <= 1 + block.labels.len() && names.zip(wanted).all(|(name, wanted)| name == *wanted)
}

fn only<'a>(blocks: Vec<&'a Block>, what: &str, line: impl Fn(usize) -> usize) -> Result<&'a Block, EditError> {
    match blocks[..] {
        [block] => Ok(block),
        [] => Err(EditError::Missing(what.to_owned())),
        _ => {
            let lines = blocks.iter().filter_map(|block| block.span()).map(|span| line(span.start)).collect();
            Err(EditError::Ambiguous { what: what.to_owned(), lines })
        }
    }
}

fn comma(lines: &[usize]) -> String {
    lines.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &[&str] = &["resource", "aws_msk_cluster"];
    const PATH: &[&str] = &["broker_node_group_info", "instance_type"];

    const FILE: &str = "# why: \"kafka.t3.small\"\nresource \"aws_msk_cluster\" \"main\" {\n  user_data = <<-EOT\n\ttabs\n  instance_type = \"no\"\n  EOT\n\n  broker_node_group_info {\n    instance_type  =   \"kafka.t3.small\" # keep\n  }\n}\n";

    #[test]
    fn only_the_value_changes() {
        let crlf = FILE.replace('\n', "\r\n");
        for file in [FILE.to_owned(), crlf.clone(), format!("\u{feff}{FILE}"), format!("\u{feff}{crlf}")] {
            let edited = set_string(&file, BLOCK, PATH, "kafka.m5.large").unwrap();
            let expected = file.replace("  \"kafka.t3.small\" # keep", "  \"kafka.m5.large\" # keep");
            assert_eq!(edited, expected);
            assert_eq!(find_string(&edited, BLOCK, PATH).unwrap().value, "kafka.m5.large");
        }
    }

    #[test]
    fn a_hostile_value_stays_a_literal() {
        let edited = set_string(FILE, BLOCK, PATH, "a\"${b}\n%{c}\\").unwrap();
        assert_eq!(find_string(&edited, BLOCK, PATH).unwrap().value, "a\"${b}\n%{c}\\");
    }

    #[test]
    fn what_cannot_be_decided_is_refused() {
        let two = format!("{FILE}{}", FILE.replace("\"main\"", "\"other\""));
        for (file, expected) in [
            ("", "there is no resource aws_msk_cluster"),
            ("resource \"aws_msk_cluster\" \"a\" {}", "there is no broker_node_group_info in resource aws_msk_cluster"),
            (&two, "there are 2 of resource aws_msk_cluster, on lines 2, 13: choose one"),
            (
                &FILE.replace("\"kafka.t3.small\" # keep", "var.type"),
                "instance_type in broker_node_group_info in resource aws_msk_cluster on line 9 is `var.type`, not a quoted \
                 string; change it where that value is set",
            ),
        ] {
            assert_eq!(set_string(file, BLOCK, PATH, "x").unwrap_err().to_string(), expected);
        }
        let named = set_string(&two, &["resource", "aws_msk_cluster", "other"], PATH, "x").unwrap();
        assert_eq!(named.matches("\"x\"").count(), 1);
        assert!(matches!(set_string("a = [", BLOCK, PATH, "x"), Err(EditError::Syntax { line: 1, .. })));
    }
}
