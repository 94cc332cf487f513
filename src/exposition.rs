//! A line of Prometheus's text format, as exporters write it: the one reader of it, for the lab and for the metrics of any
//! cluster. Pure.

use std::borrow::Cow;

/// The metrics of a page that have a finite value. Other lines are passed over, as the format asks of a reader.
pub fn metrics(text: &str) -> impl Iterator<Item = (&str, Labels<'_>, f64)> {
    text.lines().map(str::trim).filter_map(metric).filter(|(_, _, value)| value.is_finite())
}

/// The labels of one line.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a>(&'a str);

impl<'a> Labels<'a> {
    /// The value of label `wanted`; its name too may be in lower case.
    pub fn get(&self, wanted: &str) -> Option<Cow<'a, str>> {
        self.each().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
    }

    fn each(self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (name, value) = rest.split_once("=\"")?;
            let end = closing_quote(value)?;
            rest = value[end + 1..].trim_start_matches([',', ' ']);
            let value = &value[..end];
            let value = if value.contains('\\') { Cow::Owned(unescaped(value)) } else { Cow::Borrowed(value) };
            Some((name.trim(), value))
        })
    }
}

/// Where the label's value ends: at the first quote without a backslash before it.
fn closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => plain.push('\n'),
                Some(other) => plain.push(other),
                None => {}
            },
            _ => plain.push(c),
        }
    }
    plain
}

/// Returns name, labels and value of a line; nothing for a comment, or for what is no metric.
pub fn metric(line: &str) -> Option<(&str, Labels<'_>, f64)> {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))?;
    let (name, rest) = line.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (labels, value) = match rest.strip_prefix('{') {
        Some(labelled) => labelled.split_at(closing_brace(labelled)?),
        None => ("", rest),
    };
    // A time may follow.
    let value = value.trim_start_matches('}').split_ascii_whitespace().next()?.parse().ok()?;
    Some((name, Labels(labels), value))
}

/// Where the labels end: a brace may be in a label's value too.
fn closing_brace(labels: &str) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    labels.bytes().position(|byte| {
        if byte == b'"' && !is_escaped {
            is_quoted = !is_quoted;
        }
        is_escaped = byte == b'\\' && !is_escaped;
        byte == b'}' && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_line_by_line() {
        let text = "# HELP up x\n up 1 1700\nx{a=\"b,}\",c=\"d\\\"\"} 2.5E3\nx NaN\nx{a=\"b} 1\n{a=\"b\"} 1\n9x 1\nx\n";
        let read: Vec<_> =
            metrics(text).map(|(name, labels, value)| (name, labels.get("A"), labels.get("c"), value)).collect();
        assert_eq!(read, [("up", None, None, 1.0), ("x", Some("b,}".into()), Some("d\"".into()), 2500.0)]);
    }
}
