//! Replaces what identifies an account, a machine or a person in a text with stand-ins.
//!
//! Replaced are AWS account ids, ARNs, access key ids and what looks like a secret key, IP addresses, host names, names of
//! clusters, e-mail addresses and user names in paths. The same value gets the same stand-in for as long as the
//! [`Redactor`] lives, and two values never get one. What is left reads as before: a redacted ARN is still an ARN, an
//! address an address, and JSON stays JSON. A stand-in is left as it is, so redacting twice changes nothing more.

mod arn;
mod host;
mod inside;
mod names;
mod secrets;

use std::{
    collections::HashMap,
    net::{Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

use regex::{Captures, Regex};
use serde_json::Value;

use names::Names;

/// Remembers what stands for what.
#[derive(Debug, Default)]
pub struct Redactor {
    /// Names that count as hosts wherever they stand, in small letters: this machine's, those that the user named.
    hosts: Vec<String>,
    clusters: Names,
    stand_ins: HashMap<(Kind, String), String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Arn,
    Account,
    Key,
    Secret,
    Host,
    Address,
    Address6,
    Cluster,
    Mail,
    User,
}

/// What may be one of them; [`Redactor::stand_in`] decides. In the order in which they win.
static SUSPECTS: LazyLock<Regex> = LazyLock::new(|| {
    let host = r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)*";
    let forms = [
        // Escapes of JSON, Rust, URLs and terminals: what follows them begins a word.
        r#"(?P<escape>(?:\x1b|\\u\{1b\}|\\u001b)\[[0-9;?]*[A-Za-z]|\\u\{[0-9A-Fa-f]+\}|\\u[0-9A-Fa-f]{4}|\\[nrtbf0"'\\/])"#
            .to_owned(),
        r"(?P<percent>%[0-9A-Fa-f]{2})".to_owned(),
        secrets::SETTING.to_owned(),
        r"(?P<mail>[A-Za-z0-9][A-Za-z0-9._%+-]*(?:@|%40)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,})".to_owned(),
        r#"(?P<home>/(?:home|Users)/)(?P<user>[^\s[:cntrl:]/"'`:,;<>()|\\\[\]{}]+)"#.to_owned(),
        // In front of an IPv4 address, which is the next match.
        r"(?:::[fF]{4}:)".to_owned(),
        r"(?P<v6>(?:[0-9A-Fa-f]{1,4})?(?::[0-9A-Fa-f]{0,4}){2,8}(?:%[a-z0-9]+)?)".to_owned(),
        r"(?P<v4>[0-9]{1,3}(?:\.[0-9]{1,3}){3})".to_owned(),
        format!(r"(?P<url>[A-Za-z][A-Za-z0-9+.-]*://(?:[^\s/@]*@)?)(?P<in_url>{host})"),
        format!(r"(?P<name>{host})(?P<port>:[0-9]{{2,5}})?"),
    ];
    Regex::new(&forms.join("|")).expect("a constant")
});

impl Redactor {
    /// From now on `name` counts as a host wherever it stands.
    pub fn learn_host(&mut self, name: &str) {
        let name = name.to_ascii_lowercase();
        if name.len() > 1 && !host::is_here(&name) && !names::is_common(&name) && !self.hosts.contains(&name) {
            self.hosts.push(name);
        }
    }

    /// From now on `name` is replaced wherever it stands alone, unless it is a word that kgen itself uses.
    pub fn learn_cluster(&mut self, name: &str) {
        self.clusters.learn(name);
    }

    /// `text` with a stand-in for everything that tells whose cluster it is.
    pub fn redact(&mut self, text: &str) -> String {
        let text = self.without_suspects(text);
        self.without_clusters(&text)
    }

    /// Every text in a document, names of fields excepted; its numbers are measures and stay.
    pub fn redact_json(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.redact(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_json(item)),
            Value::Object(fields) => {
                for (key, mut value) in std::mem::take(fields) {
                    match &mut value {
                        Value::String(text) if secrets::is_secret_field(&key) => *text = self.secret(text),
                        value => self.redact_json(value),
                    }
                    let key = if is_field(&key) { key } else { self.redact(&key) };
                    fields.insert(key, value);
                }
            }
            _ => {}
        }
    }

    fn without_suspects(&mut self, text: &str) -> String {
        let text = self.without_arns(text);
        let text = self.without_keys(&text);
        let mut redacted = String::with_capacity(text.len());
        let (mut from, mut is_after_escape) = (0, false);
        for found in SUSPECTS.captures_iter(&text) {
            let whole = found.get(0).expect("a match");
            redacted.push_str(&text[from..whole.start()]);
            let begins_word = is_after_escape && from == whole.start();
            match self.stand_in(&found, &text, begins_word) {
                Some(stand_in) => redacted.push_str(&stand_in),
                None => redacted.push_str(whole.as_str()),
            }
            from = whole.end();
            is_after_escape = found.name("escape").or(found.name("percent")).is_some();
        }
        redacted.push_str(&text[from..]);
        redacted
    }

    fn stand_in(&mut self, found: &Captures, text: &str, begins_word: bool) -> Option<String> {
        let part = |name: &str| found.name(name).map(|part| part.as_str());
        let whole = found.get(0)?;
        let before = text[..whole.start()].chars().next_back().filter(|_| !begins_word);
        if let (Some(setting), Some(secret)) = (part("setting"), part("secret")) {
            return (!secrets::is_harmless(secret)).then(|| format!("{setting}{}", self.secret(secret)));
        }
        if let Some(mail) = part("mail") {
            return Some(self.mail(mail));
        }
        if let (Some(home), Some(user)) = (part("home"), part("user")) {
            return Some(format!("{home}{}", self.user(user)));
        }
        if let Some(address) = part("v6") {
            return self.address6(address);
        }
        if let Some(address) = part("v4") {
            // `1.2.3.4` of `v1.2.3.4` or `1.2.3.4.5` is a version.
            let in_word = before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '.' || c == '_');
            let goes_on = text[whole.end()..].chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
            let address: Ipv4Addr = address.parse().ok()?;
            return (!in_word && !goes_on).then(|| self.address(address)).flatten();
        }
        if let (Some(scheme), Some(host)) = (part("url"), part("in_url")) {
            let user = if scheme.ends_with('@') { "user@" } else { "" };
            let scheme = &scheme[..scheme.find("://")? + 3];
            let host = self.host(host).unwrap_or_else(|| host.to_owned());
            return Some(format!("{scheme}{user}{host}"));
        }
        let place = host::Place { before: &text[..whole.start()], after: &text[whole.end()..] };
        self.word(part("name")?, part("port").unwrap_or_default(), &place)
    }

    /// A stand-in for a word that may be an account id, a host name, or hold one of them.
    fn word(&mut self, name: &str, port: &str, place: &host::Place) -> Option<String> {
        if name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_digit()) {
            // A bare number of a JSON object is a measure: 128 GiB in bytes have twelve digits as well.
            if place.before.trim_end().ends_with("\":") {
                return None;
            }
            return self.account(name).map(|account| format!("{account}{port}"));
        }
        let is_known = self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name));
        if is_known || host::is_host(name, port, place) {
            return self.host(name).map(|host| format!("{host}{port}"));
        }
        self.inside(name).map(|name| format!("{name}{port}"))
    }

    fn address6(&mut self, address: &str) -> Option<String> {
        let (bare, zone) = address.split_once('%').map_or((address, ""), |(bare, zone)| (bare, zone));
        let parsed: Ipv6Addr = bare.parse().ok()?;
        let is_stand_in = parsed.segments()[..2] == [0x2001, 0xdb8];
        // Every address that is given out starts with four digits (2000::/3, fc00::/7, fe80::/10); `a::b` is a name.
        let told = bare.find(':') != Some(4) || (is_stand_in && zone.is_empty());
        (!told).then(|| self.named(Kind::Address6, &parsed.to_string()))
    }

    fn address(&mut self, address: Ipv4Addr) -> Option<String> {
        host::is_telling(address).then(|| self.named(Kind::Address, &address.to_string()))
    }

    /// `None` for what needs no stand-in.
    fn account(&mut self, account: &str) -> Option<String> {
        let is_stand_in = account.strip_prefix(ACCOUNT).is_some_and(|number| number.len() == 4);
        (account.len() == 12 && !is_stand_in).then(|| self.named(Kind::Account, account))
    }

    fn host(&mut self, host: &str) -> Option<String> {
        let lower = host.to_ascii_lowercase();
        if let Ok(address) = lower.parse::<Ipv4Addr>() {
            return self.address(address);
        }
        (!host::is_here(&lower) && !host::is_public(&lower) && !is_numbered(&lower, "host-", ".example"))
            .then(|| self.named(Kind::Host, &lower))
    }

    fn mail(&mut self, mail: &str) -> String {
        let lower = mail.to_ascii_lowercase().replacen("%40", "@", 1);
        if is_numbered(&lower, "user-", "@mail.example") { mail.to_owned() } else { self.named(Kind::Mail, &lower) }
    }

    fn user(&mut self, user: &str) -> String {
        // The end of a sentence is none of a name.
        let name = user.trim_end_matches('.');
        if name.is_empty() || is_numbered(name, "user-", "") {
            return user.to_owned();
        }
        format!("{}{}", self.named(Kind::User, name), &user[name.len()..])
    }

    fn named(&mut self, kind: Kind, value: &str) -> String {
        let next = 1 + self.stand_ins.keys().filter(|(of, _)| *of == kind).count();
        let stand_in = self.stand_ins.entry((kind, value.to_owned())).or_insert_with(|| match kind {
            Kind::Arn => format!("redacted-{next}"),
            Kind::Account => format!("{ACCOUNT}{next:04}"),
            // The first four letters say what kind of key it is.
            Kind::Key => format!("{}{}{next:08}", &value[..4], secrets::KEY),
            Kind::Secret => format!("{}{next}", secrets::SECRET),
            Kind::Host => format!("host-{next}.example"),
            // 198.18.0.0/15, which is nobody's (RFC 2544): room for 131072 addresses.
            Kind::Address => Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + next as u32).to_string(),
            Kind::Address6 => format!("2001:db8::{next:x}"),
            Kind::Cluster => format!("cluster-{next}"),
            Kind::Mail => format!("user-{next}@mail.example"),
            Kind::User => format!("user-{next}"),
        });
        stand_in.clone()
    }
}

/// The start of every account id that stands for another. Twelve digits, no zero first: a number in JSON, too.
const ACCOUNT: &str = "99999999";

/// Whether `text` is a number between these two.
fn is_numbered(text: &str, start: &str, end: &str) -> bool {
    let number = text.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
    number.is_some_and(|number| number.parse::<u32>().is_ok())
}

/// Whether a key of a JSON object is the name of a field, as those of kgen's documents are, and not a value.
fn is_field(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_lowercase())
        && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests;
