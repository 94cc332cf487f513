//! Known cluster names, replaced wherever they are separate words.

use regex::{Regex, RegexBuilder};

use super::{Kind, Redactor, is_numbered};

/// Names that are replaced, and what finds them.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// In small letters, the longest first.
    known: Vec<String>,
    pattern: Option<Regex>,
}

/// Words that kgen uses itself: as the name of a cluster or a host they identify nobody, and replacing them would garble what
/// kgen says and records.
const COMMON: &str = "
    account action active address after alarm anti any apply args arn aws bad before bench big bootstrap brief broker
    brokers bytes cause certain change check client cloudwatch cluster clusters code command compare config confidence
    connect consume consumer count cpu create creating default degraded deleting demo destroy dev diagnose disk doctor done
    down error event evidence example exit explain export failed fault fetch file finding findings fix fixed folder full
    group groups healthy heap help high host hung inconclusive intent interrupted json kafka kgen kgen-demo kgen-bench lab
    latency leader leaders list load local localhost low mail main mark mean measure measuring memory message metric min mixed
    model moved moving msk name named network none note null number onset outcome output partition partitions path plain
    plan produce producer project prometheus proven quota reached record redacted region remedy render replay replica
    report resize result resume run running runs samples sample scale schema scram secret seen serving settled size slow source
    stack starting state step stop stress storage table terraform test text time title tls too topic topics type undersized
    unchanged unhealthy unknown unreachable update updating user value verdict verified version volume watch worse write
    writing zone
";

pub(super) fn is_common(name: &str) -> bool {
    COMMON.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case(name))
}

impl Names {
    pub fn learn(&mut self, name: &str) {
        let name = name.to_ascii_lowercase();
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
        let tells = name.len() > 2
            && name.chars().all(is_name)
            && name.contains(|c: char| c.is_ascii_alphabetic())
            && !is_common(&name)
            && !["cluster-", "redacted-", "host-", "user-"].iter().any(|start| is_numbered(&name, start, ""));
        if !tells || self.known.contains(&name) {
            return;
        }
        self.known.push(name);
        self.known.sort_by_key(|name| std::cmp::Reverse(name.len()));
        let any = self.known.iter().map(|name| regex::escape(name)).collect::<Vec<_>>().join("|");
        self.pattern = RegexBuilder::new(&any).case_insensitive(true).unicode(false).build().ok();
    }
}

impl Redactor {
    /// `text` with a stand-in for every cluster's name that was learned. Parts of a longer name count (`orders-logs`),
    /// parts of a word do not (`reorders`).
    pub(super) fn without_clusters(&mut self, text: &str) -> String {
        let Some(pattern) = self.clusters.pattern.clone() else { return text.to_owned() };
        let (mut out, mut from, mut at) = (String::with_capacity(text.len()), 0, 0);
        while let Some(found) = pattern.find_at(text, at) {
            let ends = !text[found.end()..].starts_with(|c: char| c.is_ascii_alphanumeric());
            if !ends || !begins_word(&text[..found.start()]) {
                // All names are ASCII, so the next character begins behind one byte.
                at = found.start() + 1;
                continue;
            }
            out.push_str(&text[from..found.start()]);
            out.push_str(&self.named(Kind::Cluster, &found.as_str().to_ascii_lowercase()));
            (from, at) = (found.end(), found.end());
        }
        out + &text[from..]
    }
}

/// Whether what follows `before` begins a word: after something else than a letter or a digit, or after an escape.
pub(super) fn begins_word(before: &str) -> bool {
    if before.ends_with(|c: char| c.is_ascii_alphabetic()) {
        // `[31m`, of what colours a terminal.
        let rest = before[..before.len() - 1].trim_end_matches(|c: char| c.is_ascii_digit() || c == ';');
        if rest.ends_with('[') {
            return true;
        }
    }
    let mut back = before.chars().rev();
    match (back.next(), back.next(), back.next()) {
        (Some(letter), _, _) if !letter.is_ascii_alphanumeric() => true,
        (Some('n' | 'r' | 't' | 'b' | 'f' | '0'), Some('\\'), _) => true,
        (Some(last), Some(first), Some('%')) => last.is_ascii_hexdigit() && first.is_ascii_hexdigit(),
        (None, _, _) => true,
        _ => false,
    }
}
