//! Silences: alerts that nobody is told of, until a time.

use jiff::Timestamp;
use serde::Deserialize;

use super::Alert;

/// What is not told. Every field that is given has to match.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Silence {
    /// Name of the cluster; `*` stands for any text.
    pub cluster: Option<String>,
    /// Id of the cause, likewise.
    pub cause: Option<String>,
    /// Such as `group orders`, likewise.
    pub object: Option<String>,
    /// Until when; without it, for good.
    pub until: Option<Timestamp>,
    /// For readers of the configuration.
    pub reason: Option<String>,
}

impl Silence {
    /// Whether it says anything: one that says nothing would silence everything.
    pub fn is_specific(&self) -> bool {
        self.cluster.is_some() || self.cause.is_some() || self.object.is_some()
    }

    /// Whether nobody is told of `alert` now.
    pub fn holds(&self, alert: &Alert, now_ms: i64) -> bool {
        let fits = |pattern: &Option<String>, text: &str| pattern.as_ref().is_none_or(|pattern| matches(pattern, text));
        self.until.is_none_or(|until| now_ms < until.as_millisecond())
            && fits(&self.cluster, &alert.subject.name)
            && fits(&self.cause, &alert.cause)
            && fits(&self.object, &alert.object)
    }
}

/// Whether `text` is what `pattern` says, in which `*` stands for any text.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, expected) in [
            ("orders", "orders", true),
            ("orders", "orders-2", false),
            ("orders*", "orders-2", true),
            ("*-prod", "eu-prod", true),
            ("*-prod", "eu-prod-2", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "acb", false),
            ("aa*aa", "aaa", false),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
