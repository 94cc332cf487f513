//! ARNs, also those in a URL.

use std::sync::LazyLock;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use regex::{Captures, Regex};

use super::{Kind, Redactor, is_numbered};

/// What stands as it is in a part of a URL.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A URL in a URL in a URL: more than anyone writes.
const MOST_ENCODINGS: usize = 4;

/// Resources of MSK whose second part is the name of the cluster.
const OF_A_CLUSTER: [&str; 4] = ["cluster/", "topic/", "group/", "transactional-id/"];

/// An ARN wherever it stands, also behind something that looks like the beginning of its word.
static ARNS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?P<encoded>(?i:arn%(?:25)*3a)[A-Za-z0-9%._~*+-]+)|",
        // arn:partition:service:region:account:resource
        r#"(?P<arn>(?i:arn:aws[a-z-]*):[A-Za-z0-9-]*:[A-Za-z0-9-]*:(?P<owner>[0-9]*):(?P<rest>[^\s"'`,;)\]}>|\\]+))"#
    ))
    .expect("a constant")
});

impl Redactor {
    pub(super) fn without_arns(&mut self, text: &str) -> String {
        let stand_in = |found: &Captures| {
            let part = |name: &str| found.name(name).map(|part| part.as_str());
            match (part("encoded"), part("arn"), part("owner"), part("rest")) {
                (Some(encoded), ..) => self.encoded_arn(encoded).unwrap_or_else(|| encoded.to_owned()),
                (_, Some(arn), Some(owner), Some(rest)) => self.arn(arn, owner, rest),
                _ => found[0].to_owned(),
            }
        };
        ARNS.replace_all(text, stand_in).into_owned()
    }

    /// Its account and its resource replaced; partition, service and region stay.
    fn arn(&mut self, arn: &str, owner: &str, rest: &str) -> String {
        let front = &arn[..arn.len() - rest.len() - owner.len() - 1];
        let account = self.account(owner).unwrap_or_else(|| owner.to_owned());
        if is_numbered(rest, "redacted-", "") {
            return format!("{front}{account}:{rest}");
        }
        let lower = rest.to_ascii_lowercase();
        if let Some(start) = OF_A_CLUSTER.iter().find(|start| lower.starts_with(**start)) {
            // The bare name identifies the cluster as well.
            self.learn_cluster(rest[start.len()..].split('/').next().unwrap_or_default());
        }
        format!("{front}{account}:{}", self.named(Kind::Arn, arn))
    }

    /// An ARN in a URL, encoded as often as it was before.
    fn encoded_arn(&mut self, encoded: &str) -> Option<String> {
        let (mut arn, mut times) = (encoded.to_owned(), 0);
        while times < MOST_ENCODINGS && !arn.to_ascii_lowercase().starts_with("arn:") {
            arn = percent_decode_str(&arn).decode_utf8_lossy().into_owned();
            times += 1;
        }
        if !arn.to_ascii_lowercase().starts_with("arn:") {
            return None;
        }
        let mut redacted = self.without_arns(&arn);
        for _ in 0..times {
            redacted = utf8_percent_encode(&redacted, UNRESERVED).to_string();
        }
        Some(redacted)
    }
}
