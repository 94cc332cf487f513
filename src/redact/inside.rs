//! Identifiers within a longer word, as in the name of a bucket: `logs-123456789012-us-west-2`.

use std::{net::Ipv4Addr, sync::LazyLock};

use regex::Regex;

use super::Redactor;

static PARTS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?P<ec2>(?i:ip)-[0-9]{1,3}(?:-[0-9]{1,3}){3})|(?P<v4>[0-9]{1,3}(?:\.[0-9]{1,3}){3})|(?P<number>[0-9]+)",
    )
    .expect("a constant")
});

impl Redactor {
    /// `word` with the account ids, private addresses and host names that are parts of it replaced; nothing where there are
    /// none.
    pub(super) fn inside(&mut self, word: &str) -> Option<String> {
        let (mut out, mut from) = (String::new(), 0);
        for found in PARTS.captures_iter(word) {
            let whole = found.get(0)?;
            let (before, after) = (&word[..whole.start()], &word[whole.end()..]);
            let stands_alone = !before.ends_with(|c: char| c.is_ascii_alphanumeric())
                && !after.starts_with(|c: char| c.is_ascii_alphanumeric());
            let stand_in = match (found.name("ec2"), found.name("v4")) {
                _ if !stands_alone => None,
                (Some(host), _) => self.host(host.as_str()),
                // Any other with four parts may be a version.
                (_, Some(address)) => {
                    let address = address.as_str().parse::<Ipv4Addr>().ok().filter(Ipv4Addr::is_private);
                    address.filter(|_| !before.ends_with('.')).and_then(|address| self.address(address))
                }
                // Behind a point it is a fraction, in a UUID its last part.
                _ if before.ends_with('.') || ends_like_uuid(before) => None,
                _ => self.account(whole.as_str()),
            };
            if let Some(stand_in) = stand_in {
                out.push_str(&word[from..whole.start()]);
                out.push_str(&stand_in);
                from = whole.end();
            }
        }
        (from > 0).then(|| out + &word[from..])
    }
}

/// Whether `before` ends with two groups of four hexadecimal digits, as what stands before the last part of a UUID does.
fn ends_like_uuid(before: &str) -> bool {
    let mut groups = before.rsplit('-');
    let is_group = |group: Option<&str>| {
        group.is_some_and(|group| group.len() == 4 && group.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    groups.next() == Some("") && is_group(groups.next()) && is_group(groups.next()) && is_group(groups.next())
}
