//! Access key ids, secret keys, and values of settings that are called secrets.

use std::sync::LazyLock;

use regex::Regex;

use super::{Kind, Redactor, is_numbered, names::begins_word};

/// In the middle of every key id that stands for another, behind its first four letters.
pub(super) const KEY: &str = "REDACTED";
/// The start of what stands for a secret.
pub(super) const SECRET: &str = "redacted-secret-";

/// Words in the name of a setting or a field whose value is secret.
const WORDS: [&str; 6] = ["secret", "password", "passwd", "token", "apikey", "private_key"];

/// `NAME=VALUE`, `name = "value"`, `"name": "value"`, where the name has one of [`WORDS`].
pub(super) const SETTING: &str = concat!(
    r#"(?P<setting>(?i:[a-z0-9_.-]*(?:secret|password|passwd|token|api_?key|private_?key)[a-z0-9_.-]*)"#,
    r#"(?:[ \t]*=[ \t]*\\?["']?|\\?["'][ \t]*:[ \t]*\\?["']))(?P<secret>[^\s"'\\,;&()]+)"#
);

/// Ids of AWS access keys and of who holds them: four letters for the kind, sixteen more.
static KEY_ID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("(?:A3T[A-Z0-9]|AKIA|ASIA|AROA|AIDA|AGPA|AIPA|ANPA|ANVA|ABIA|ACCA)[A-Z0-9]{16}").expect("a constant")
});

/// The letters of base64, which secret keys consist of.
static BASE64: LazyLock<Regex> = LazyLock::new(|| Regex::new("[A-Za-z0-9/+]{40,}=*").expect("a constant"));

/// A secret access key has so many letters.
const SECRET_LENGTH: usize = 40;

impl Redactor {
    /// `text` without access key ids, and without what looks like a secret access key.
    pub(super) fn without_keys(&mut self, text: &str) -> String {
        let mut redacted = text.to_owned();
        if KEY_ID.is_match(text) {
            redacted = replaced(&KEY_ID, text, |id| {
                let is_stand_in = id[4..].strip_prefix(KEY).is_some_and(|number| number.parse::<u32>().is_ok());
                (!is_stand_in).then(|| self.named(Kind::Key, id))
            });
        }
        if BASE64.is_match(&redacted) {
            let secret = |found: &str| (looks_secret(found)).then(|| self.named(Kind::Secret, found));
            redacted = replaced(&BASE64, &redacted.clone(), secret);
        }
        redacted
    }

    pub(super) fn secret(&mut self, secret: &str) -> String {
        if is_harmless(secret) { secret.to_owned() } else { self.named(Kind::Secret, secret) }
    }
}

/// `text` with each match that stands alone replaced by what `stand_in` says.
fn replaced(pattern: &Regex, text: &str, mut stand_in: impl FnMut(&str) -> Option<String>) -> String {
    let (mut out, mut from) = (String::with_capacity(text.len()), 0);
    for found in pattern.find_iter(text) {
        if text[found.end()..].starts_with(|c: char| c.is_ascii_alphanumeric()) {
            continue;
        }
        // The end of an escape in front of it (`\n`, `[31m`) looks like its beginning.
        let starts = [0, escape_length(&text[..found.start()], found.as_str())].map(|length| found.start() + length);
        let begin = starts.into_iter().filter(|start| begins_word(&text[..*start]));
        let Some((start, stand_in)) =
            begin.into_iter().find_map(|start| Some((start, stand_in(&text[start..found.end()])?)))
        else {
            continue;
        };
        out.push_str(&text[from..start]);
        out.push_str(&stand_in);
        from = found.end();
    }
    out + &text[from..]
}

/// How much of `text` belongs to an escape that `before` begins.
fn escape_length(before: &str, text: &str) -> usize {
    match before.chars().next_back() {
        Some('\\') if text.starts_with(['n', 'r', 't']) => 1,
        Some('[') => text.find(|c: char| !c.is_ascii_digit()).map_or(0, |digits| digits + 1),
        Some(';') => text.find('m').map_or(0, |digits| digits + 1),
        _ => 0,
    }
}

/// A secret access key is random: of every kind of letter it has some. A hash in hexadecimal digits or a path has not.
fn looks_secret(text: &str) -> bool {
    let count = |is: fn(&u8) -> bool| text.bytes().filter(is).count();
    text.len() == SECRET_LENGTH
        && count(u8::is_ascii_uppercase) >= 5
        && count(u8::is_ascii_lowercase) >= 5
        && count(u8::is_ascii_digit) >= 1
}

/// Whether the value of a secret setting shows nothing: a stand-in, a switch, a reference of Terraform.
pub(super) fn is_harmless(value: &str) -> bool {
    const REFERENCES: [&str; 10] = ["var.", "local.", "module.", "data.", "aws_", "random_", "<", "[", "{", "$"];
    ["***", "lab", "true", "false", "null", "none", "sensitive", "-", "*"].contains(&value)
        || is_numbered(value, SECRET, "")
        || REFERENCES.iter().any(|start| value.starts_with(start))
        || value.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether the value of this field of a document is secret. What names a secret is none.
pub(super) fn is_secret_field(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    WORDS.iter().any(|word| key.contains(word)) && !["arn", "name", "id", "file"].iter().any(|end| key.ends_with(end))
}
