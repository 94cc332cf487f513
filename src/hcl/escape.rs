//! The escapes that make a string a literal.
//!
//! Every literal that kgen prints passes [`escape`], or in a heredoc its half, `doubled`. hcl-rs escapes literals as
//! well, but overlooks a marker that follows another sign (`%${`), so its own is not used. No escape can keep a
//! letter and its combining accent apart: Terraform normalises every string to Unicode's composed form (NFC).

/// The inside of a quoted string that stands for exactly `text`.
pub fn escape(text: &str) -> String {
    backslashed(&doubled(text))
}

/// `text` with the sign of every template marker doubled, which makes it a literal: `$${` and `%%{`.
pub(super) fn doubled(text: &str) -> String {
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
pub(super) fn is_hidden(c: char) -> bool {
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
