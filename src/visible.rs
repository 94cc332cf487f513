//! Text that someone else wrote, made safe to show: what would control a terminal, or reorder what is read on it,
//! becomes visible, such as `\u{1b}`.
//!
//! The edge at which kgen prints applies [`text`] and [`json`] to everything. [`line`] is for a value within a line, such
//! as the name of a consumer group: a line break in it would otherwise begin a line that kgen did not write.

use std::{borrow::Cow, fmt::Write as _};

/// Whether a terminal or a reader would not see `c` as a character of its own: controls (C0, DEL, C1), separators of
/// lines and paragraphs, bidirectional controls, annotations and tags.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` with everything hidden made visible, except for line breaks and tabs.
pub fn text(text: &str) -> Cow<'_, str> {
    // A return that ends a line moves nothing that stays.
    let ends_line = |rest: &str| rest.starts_with("\r\n");
    escaped(text, |c, rest| is_hidden(c) && c != '\n' && c != '\t' && !(c == '\r' && ends_line(rest)), push)
}

/// `text` on one line: as [`text`], and line breaks and tabs are visible too.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |c, _| is_hidden(c), push)
}

/// A JSON document that means the same, in which what is hidden stands as an escape. Outside of strings JSON has no such
/// character, except for line breaks.
pub fn json(document: &str) -> Cow<'_, str> {
    escaped(
        document,
        |c, _| is_hidden(c) && !matches!(c, '\n' | '\r' | '\t'),
        |c, out| {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String does not fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        },
    )
}

fn push(c: char, out: &mut String) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c => out.extend(c.escape_unicode()),
    }
}

fn escaped(text: &str, is_unsafe: impl Fn(char, &str) -> bool, push: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for (at, c) in text.char_indices() {
        if is_unsafe(c, &text[at..]) { push(c, &mut out) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_controls_a_terminal_is_visible() {
        let check = |from: &str, as_text: &str, as_line: &str| {
            assert_eq!((text(from).as_ref(), line(from).as_ref()), (as_text, as_line), "{from:?}");
        };
        check("plain: äöü, 日本, 🦀", "plain: äöü, 日本, 🦀", "plain: äöü, 日本, 🦀");
        check("g\u{1b}]0;pwn\u{7}\u{1b}[2J", "g\\u{1b}]0;pwn\\u{7}\\u{1b}[2J", "g\\u{1b}]0;pwn\\u{7}\\u{1b}[2J");
        check("a\nb\tc", "a\nb\tc", "a\\nb\\tc");
        check("a\rb\r\n", "a\\rb\r\n", "a\\rb\\r\\n");
        check("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}", "\\u{9b}31m\\u{7f}");
        check("\u{202e}gnp\u{2069}\u{2028}", "\\u{202e}gnp\\u{2069}\\u{2028}", "\\u{202e}gnp\\u{2069}\\u{2028}");
        check("\u{61c}\u{200f}\u{e0041}", "\\u{61c}\\u{200f}\\u{e0041}", "\\u{61c}\\u{200f}\\u{e0041}");
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left_and_twice_is_once(from in "\\PC{0,8}[\u{0}-\u{9f}\u{2000}-\u{206f}]{0,12}\\PC{0,8}") {
            let once = line(&from).into_owned();
            prop_assert!(!once.chars().any(is_hidden));
            prop_assert_eq!(line(&once).into_owned(), once.clone());
            let once = text(&from).into_owned();
            prop_assert!(!once.chars().any(|c| is_hidden(c) && !matches!(c, '\n' | '\t' | '\r')));
            prop_assert_eq!(text(&once).into_owned(), once.clone());
        }

        #[test]
        fn json_means_the_same(from in "[\u{0}-\u{9f}\u{2000}-\u{206f}\u{e0001}-\u{e0010}\"\\\\]{0,24}") {
            let value = serde_json::json!({ "name": from });
            for document in [value.to_string(), format!("{value:#}")] {
                let safe = json(&document);
                prop_assert!(!safe.chars().any(|c| is_hidden(c) && c != '\n'), "{safe:?}");
                prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&safe).unwrap(), &value);
            }
        }
    }
}
