//! Account ids, ARNs, addresses and host names out of a text, and stand-ins in their place.
//!
//! The same value gets the same stand-in for as long as the [`Redactor`] lives, and two values never get one. What is
//! left reads as before: a redacted ARN is still an ARN, an address an address, and JSON stays JSON. A stand-in is left
//! as it is, so redacting twice changes nothing more.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

use regex::{Captures, Regex};

/// Remembers what stands for what.
#[derive(Debug, Default)]
pub struct Redactor {
    /// Names that count as hosts wherever they stand, such as this machine's own.
    hosts: Vec<String>,
    stand_ins: HashMap<(Kind, String), String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Arn,
    Account,
    Host,
    Address,
    Address6,
}

/// What may be one of them; [`Redactor::stand_in`] decides. In the order in which they win.
static SUSPECTS: LazyLock<Regex> = LazyLock::new(|| {
    let host = r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)*";
    let forms = [
        // arn:partition:service:region:account:resource
        r#"(?P<arn>arn:aws[a-z-]*:[a-z0-9-]*:[a-z0-9-]*:(?P<owner>[0-9]*):(?P<rest>[^\s"'`,;)\]}>|\\]+))"#.to_owned(),
        // In front of an IPv4 address, which is the next match.
        r"(?:::[fF]{4}:)".to_owned(),
        r"(?P<v6>(?:[0-9A-Fa-f]{1,4})?(?::[0-9A-Fa-f]{0,4}){2,8}(?:%[a-z0-9]+)?)".to_owned(),
        r"(?P<v4>[0-9]{1,3}(?:\.[0-9]{1,3}){3})".to_owned(),
        format!(r"(?P<url>[a-z][a-z0-9+]*://(?:[^\s/@]*@)?)(?P<in_url>{host})"),
        format!(r"(?P<name>{host})(?P<port>:[0-9]{{4,5}})?"),
    ];
    Regex::new(&forms.join("|")).expect("a constant")
});

/// Ends of names that are hosts without a port behind them.
const HOST_ENDS: [&str; 9] =
    [".amazonaws.com", ".amazonaws.com.cn", ".aws", ".internal", ".local", ".lan", ".corp", ".home", ".intranet"];

impl Redactor {
    /// A redactor that takes these names, too, for hosts: this machine's, those that the user named.
    pub fn new(hosts: impl IntoIterator<Item = String>) -> Redactor {
        let hosts = hosts.into_iter().filter(|host| host.len() > 1 && !is_here(host)).collect();
        Redactor { hosts, ..Redactor::default() }
    }

    /// `text` with a stand-in for everything that tells whose cluster it is.
    pub fn redact(&mut self, text: &str) -> String {
        let mut redacted = String::with_capacity(text.len());
        let mut from = 0;
        for found in SUSPECTS.captures_iter(text) {
            let whole = found.get(0).expect("a match");
            redacted.push_str(&text[from..whole.start()]);
            match self.stand_in(&found, text) {
                Some(stand_in) => redacted.push_str(&stand_in),
                None => redacted.push_str(whole.as_str()),
            }
            from = whole.end();
        }
        redacted.push_str(&text[from..]);
        redacted
    }

    fn stand_in(&mut self, found: &Captures, text: &str) -> Option<String> {
        let part = |name: &str| found.name(name).map(|part| part.as_str());
        let whole = found.get(0)?;
        if let (Some(arn), Some(owner), Some(rest)) = (part("arn"), part("owner"), part("rest")) {
            return Some(self.arn(arn, owner, rest));
        }
        if let Some(address) = part("v6") {
            let (bare, zone) = address.split_once('%').map_or((address, ""), |(bare, zone)| (bare, zone));
            let parsed: Ipv6Addr = bare.parse().ok()?;
            let is_stand_in = parsed.segments()[..2] == [0x2001, 0xdb8];
            // Every address that is given out starts with four digits (2000::/3, fc00::/7, fe80::/10); `a::b` is a name.
            let told = bare.find(':') != Some(4) || (is_stand_in && zone.is_empty());
            return (!told).then(|| self.named(Kind::Address6, &parsed.to_string()));
        }
        if let Some(address) = part("v4") {
            let parsed: Ipv4Addr = address.parse().ok()?;
            // `1.2.3.4` of `v1.2.3.4` or `1.2.3.4.5` is a version.
            let before = text[..whole.start()].chars().next_back();
            let after = text[whole.end()..].chars().next();
            let in_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '.' || c == '_');
            let ends = !in_word(before) && !after.is_some_and(|c| c.is_ascii_alphanumeric());
            return (ends && is_telling(parsed)).then(|| self.named(Kind::Address, &parsed.to_string()));
        }
        if let (Some(scheme), Some(host)) = (part("url"), part("in_url")) {
            let user = if scheme.ends_with('@') { "user@" } else { "" };
            let scheme = &scheme[..scheme.find("://")? + 3];
            let host = self.host(host).unwrap_or_else(|| host.to_owned());
            return Some(format!("{scheme}{user}{host}"));
        }
        let (name, port) = (part("name")?, part("port").unwrap_or_default());
        if name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_digit()) {
            // A bare number of a JSON object is a measure: 128 GiB in bytes have twelve digits as well.
            if text[..whole.start()].trim_end().ends_with("\":") {
                return None;
            }
            return self.account(name).map(|account| format!("{account}{port}"));
        }
        let lower = name.to_ascii_lowercase();
        let is_file = text[..whole.start()].ends_with('/');
        let is_host = self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
            || HOST_ENDS.iter().any(|end| lower.ends_with(end))
            || (!port.is_empty() && !is_file && lower.contains('.') && ends_in_letters(&lower));
        is_host.then(|| self.host(name)).flatten().map(|host| format!("{host}{port}"))
    }

    fn arn(&mut self, arn: &str, owner: &str, rest: &str) -> String {
        let front = &arn[..arn.len() - rest.len() - owner.len() - 1];
        let account = self.account(owner).unwrap_or_else(|| owner.to_owned());
        let told = rest.strip_prefix("redacted-").is_some_and(|number| number.parse::<u32>().is_ok());
        let rest = if told { rest.to_owned() } else { self.named(Kind::Arn, arn) };
        format!("{front}{account}:{rest}")
    }

    /// `None` for what needs no stand-in.
    fn account(&mut self, account: &str) -> Option<String> {
        let is_stand_in = account.strip_prefix(ACCOUNT).is_some_and(|number| number.len() == 4);
        (account.len() == 12 && !is_stand_in).then(|| self.named(Kind::Account, account))
    }

    fn host(&mut self, host: &str) -> Option<String> {
        let lower = host.to_ascii_lowercase();
        if let Ok(address) = lower.parse::<Ipv4Addr>() {
            return is_telling(address).then(|| self.named(Kind::Address, &lower));
        }
        let is_stand_in = lower.strip_prefix("host-").and_then(|rest| rest.strip_suffix(".example"));
        let told = is_here(&lower) || is_stand_in.is_some_and(|number| number.parse::<u32>().is_ok());
        (!told).then(|| self.named(Kind::Host, &lower))
    }

    fn named(&mut self, kind: Kind, value: &str) -> String {
        let next = 1 + self.stand_ins.keys().filter(|(of, _)| *of == kind).count();
        let stand_in = self.stand_ins.entry((kind, value.to_owned())).or_insert_with(|| match kind {
            Kind::Arn => format!("redacted-{next}"),
            Kind::Account => format!("{ACCOUNT}{next:04}"),
            Kind::Host => format!("host-{next}.example"),
            // 198.18.0.0/15, which is nobody's (RFC 2544): room for 131072 addresses.
            Kind::Address => Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + next as u32).to_string(),
            Kind::Address6 => format!("2001:db8::{next:x}"),
        });
        stand_in.clone()
    }
}

/// The start of every account id that stands for another. Twelve digits, no zero first: a number in JSON, too.
const ACCOUNT: &str = "99999999";

/// Whether an address tells anything: those of this machine and stand-ins do not.
fn is_telling(address: Ipv4Addr) -> bool {
    let stand_in = address.octets()[0] == 198 && (18..=19).contains(&address.octets()[1]);
    !(address.is_loopback() || address.is_unspecified() || address.is_broadcast() || stand_in)
}

fn is_here(host: &str) -> bool {
    ["localhost", "localhost.localdomain"].contains(&host)
        || host.parse::<Ipv4Addr>().is_ok_and(|address| !is_telling(address))
}

fn ends_in_letters(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    last.len() >= 2 && last.bytes().all(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests;
