//! Whether a word is the name of a host.

use std::net::Ipv4Addr;

/// Ends of names that are hosts without a port behind them.
const ENDS: [&str; 10] = [
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".aws",
    ".internal",
    ".local",
    ".localdomain",
    ".lan",
    ".corp",
    ".home",
    ".intranet",
];

/// Top-level domains by which a name with a point is a host. Those that end names of files or settings as well (`.tf`,
/// `.ms`, `.id`, `.name`, `.in`) are left out: such a host is known by its port.
const DOMAINS: &str = "
    com org net edu gov mil biz io dev cloud app co ai tech bank online site shop tv
    eu uk de fr nl ch at it es pt pl se dk fi be cz ie gr hu ro sk si hr bg lt lv ee lu us ca mx br ar cl au nz jp cn kr
    hk tw sg th vn ph ru ua tr za il ae sa ke ng eg
";

/// Hosts that everybody uses: kgen's own texts name them.
const PUBLIC: [&str; 17] = [
    "json-schema.org",
    "www.w3.org",
    "archive.apache.org",
    "kafka.apache.org",
    "maven.apache.org",
    "repo1.maven.org",
    "repo.maven.apache.org",
    "docs.aws.amazon.com",
    "aws.amazon.com",
    "registry.terraform.io",
    "releases.hashicorp.com",
    "developer.hashicorp.com",
    "apt.releases.hashicorp.com",
    "rpm.releases.hashicorp.com",
    "www.python.org",
    "adoptium.net",
    "github.com",
];

/// Ends of names of files, which a number of a line may follow.
const FILES: [&str; 24] = [
    "tf",
    "tfvars",
    "toml",
    "hcl",
    "json",
    "jsonl",
    "gz",
    "html",
    "md",
    "rs",
    "py",
    "sh",
    "txt",
    "log",
    "yaml",
    "yml",
    "properties",
    "xml",
    "lock",
    "csv",
    "pem",
    "jks",
    "hlog",
    "conf",
];

/// Ports below 1024 behind which a name is a host.
const PORTS: [u16; 7] = [22, 25, 53, 80, 389, 443, 636];

/// Where a word stands.
pub(super) struct Place<'a> {
    pub before: &'a str,
    pub after: &'a str,
}

/// Whether `name`, with `port` (`:9092`) or nothing behind it, is a host.
pub(super) fn is_host(name: &str, port: &str, place: &Place) -> bool {
    let lower = name.to_ascii_lowercase();
    if ENDS.iter().any(|end| lower.ends_with(end)) || is_ec2(&lower) {
        return true;
    }
    let Some((_, last)) = lower.rsplit_once('.') else {
        return is_bare(&lower, port, place);
    };
    if DOMAINS.split_ascii_whitespace().any(|domain| domain == last) && !is_package(&lower) {
        return true;
    }
    let is_word = last.len() >= 2 && last.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_path = place.before.ends_with('/');
    is_word
        && !is_path
        && !FILES.contains(&last)
        && number(port).is_some_and(|port| port >= 1000 || PORTS.contains(&port))
}

/// A name without a point, and a port behind it, as in `kafka1:9092`.
fn is_bare(lower: &str, port: &str, place: &Place) -> bool {
    const OTHERS: [&str; 10] =
        ["line", "port", "pid", "process", "offset", "partition", "at", "line-height", "z-index", "localhost"];
    let is_name =
        lower.starts_with(|c: char| c.is_ascii_lowercase()) && !lower.contains('_') && !OTHERS.contains(&lower);
    let is_open = place.before.ends_with(['/', '.', '_', ':', '-', '$', '%', '\\']) && !place.before.ends_with("//");
    let mut after = place.after.chars();
    let goes_on = after.next().is_some_and(|c| {
        // A point that ends a sentence does not belong to it.
        c.is_ascii_alphanumeric()
            || "_:".contains(c)
            || (c == '.' && after.next().is_some_and(|c| c.is_ascii_alphanumeric()))
    });
    is_name && !is_open && !goes_on && number(port).is_some_and(|port| port >= 1024)
}

fn number(port: &str) -> Option<u16> {
    port.strip_prefix(':')?.parse().ok()
}

/// `ip-10-0-1-5`, as EC2 names its instances.
fn is_ec2(lower: &str) -> bool {
    let first = lower.split('.').next().unwrap_or_default();
    let parts: Vec<&str> = first.split('-').collect();
    matches!(parts[..], ["ip", _, _, _, _]) && parts[1..].iter().all(|part| part.parse::<u8>().is_ok())
}

/// A package or class of Java, which begins with what ends a host: `org.apache.kafka`.
fn is_package(lower: &str) -> bool {
    ["org.", "com.", "net.", "io.", "java.", "javax.", "kafka.server.", "kafka.network."]
        .iter()
        .any(|start| lower.starts_with(start))
}

/// Whether an address tells anything: those of this machine and stand-ins do not.
pub(super) fn is_telling(address: Ipv4Addr) -> bool {
    let stand_in = address.octets()[0] == 198 && (18..=19).contains(&address.octets()[1]);
    !(address.is_loopback() || address.is_unspecified() || address.is_broadcast() || stand_in)
}

/// Whether `lower` means this machine, whichever it is.
pub(super) fn is_here(lower: &str) -> bool {
    ["localhost", "localhost.localdomain"].contains(&lower)
        || lower.parse::<Ipv4Addr>().is_ok_and(|address| !is_telling(address))
}

pub(super) fn is_public(lower: &str) -> bool {
    PUBLIC.contains(&lower)
}
