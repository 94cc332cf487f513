//! Configured endpoints that replace those of AWS, and which of them are on this machine.

use std::{
    env,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use tokio::{net::lookup_host, time::timeout};

use crate::files::bounded;

/// How long a name may take to resolve.
const RESOLVE_WITHIN: Duration = Duration::from_secs(2);

/// For all services.
pub(super) const GLOBAL: &str = "AWS_ENDPOINT_URL";

/// An endpoint, and the setting that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub url: String,
    /// A variable, or a key of a file.
    pub setting: String,
}

impl Endpoint {
    /// The endpoint that a client of `service` uses with `config`, unless it is AWS's. `service` is its id in the SDK.
    pub(super) fn of(service: &str, config: &SdkConfig) -> Option<Endpoint> {
        let key = ServiceConfigKey::builder().service_id(service).env(GLOBAL).profile("endpoint_url").build().ok()?;
        // As the clients themselves look for it.
        let own = config.service_config().and_then(|found| found.load_config(key));
        let url = own.or_else(|| config.endpoint_url().map(str::to_owned))?;
        let variable = format!("{GLOBAL}_{}", service.to_uppercase().replace(' ', "_"));
        let set = |name: &str| env::var(name).is_ok_and(|value| value == url);
        let setting = [variable.as_str(), GLOBAL].into_iter().find(|name| set(name));
        Some(Endpoint { setting: setting.unwrap_or("endpoint_url in the AWS config file").to_owned(), url })
    }

    /// The URL without a user name and password in it.
    pub(super) fn shown(&self) -> String {
        match self.url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1))) {
            Some((scheme, rest)) => format!("{scheme}://{rest}"),
            None => self.url.clone(),
        }
    }

    /// Whether it is on this machine, by its address or by what its name resolves to.
    pub(super) async fn is_here(&self) -> bool {
        is_loopback(&self.url) || resolves_here(&self.url).await
    }
}

/// All endpoints that programs such as terraform may use: of any service, in the environment and in the AWS files.
pub(super) fn configured(ignored: bool) -> Vec<Endpoint> {
    let variables = env::vars_os().filter_map(|(name, url)| {
        let (name, url) = (name.into_string().ok()?, url.into_string().ok()?);
        let counts = names_endpoint(&name) && !url.is_empty() && !(ignored && name.starts_with(GLOBAL));
        counts.then_some(Endpoint { url, setting: name })
    });
    let mut found: Vec<Endpoint> = variables.collect();
    if !ignored {
        found.extend(files().into_iter().flat_map(|path| {
            let text = bounded::text(&path, bounded::TEXT_BYTES).unwrap_or_default();
            let setting = format!("endpoint_url in {}", path.display());
            in_file(&text, &profile()).into_iter().map(move |url| Endpoint { url, setting: setting.clone() })
        }));
    }
    found.sort_by(|a, b| a.setting.cmp(&b.setting));
    found
}

/// Whether a variable names the endpoint of a service: `AWS_ENDPOINT_URL_KAFKA`, and the older forms of Terraform's provider,
/// `AWS_STS_ENDPOINT` and `TF_AWS_STS_ENDPOINT`.
pub fn names_endpoint(variable: &str) -> bool {
    // Where credentials come from, not where they go.
    const METADATA: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    let is_older = |prefix| variable.starts_with(prefix) && variable.ends_with("_ENDPOINT");
    variable == GLOBAL
        || variable.strip_prefix(GLOBAL).is_some_and(|rest| rest.starts_with('_'))
        || (variable != METADATA && !variable.starts_with("AWS_USE_") && (is_older("AWS_") || is_older("TF_AWS_")))
}

/// The profile that programs read.
pub(super) fn profile() -> String {
    let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
    set("AWS_PROFILE").or_else(|| set("AWS_DEFAULT_PROFILE")).unwrap_or_else(|| "default".to_owned())
}

/// The shared AWS files.
fn files() -> Vec<PathBuf> {
    let files = [("AWS_CONFIG_FILE", ".aws/config"), ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")];
    let path = |(variable, default): (&str, &str)| match env::var_os(variable).filter(|path| !path.is_empty()) {
        Some(path) => Some(match PathBuf::from(&path).strip_prefix("~") {
            Ok(below) => env::home_dir()?.join(below),
            Err(_) => PathBuf::from(path),
        }),
        None => env::home_dir().map(|home| home.join(default)),
    };
    files.into_iter().filter_map(path).collect()
}

/// Every `endpoint_url` of `profile` and of the `services` section that it names.
fn in_file(text: &str, profile: &str) -> Vec<String> {
    let key_of = |line: &str| {
        let (key, value) = line.split_once('=')?;
        Some((key.trim().to_ascii_lowercase(), value.trim().to_owned()))
    };
    let mut section = "";
    let mut entries = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        match line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((name, _)) => section = name.trim(),
            None => entries.extend(key_of(line).map(|(key, value)| (section, key, value))),
        }
    }
    let is_profile = |section: &str| {
        section == profile || section.strip_prefix("profile").is_some_and(|name| name.trim_start() == profile)
    };
    let services = entries.iter().find(|(section, key, _)| is_profile(section) && key == "services");
    let is_services = |section: &str| {
        let name = section.strip_prefix("services").map(str::trim_start);
        services.is_some_and(|(_, _, wanted)| name == Some(wanted))
    };
    let counts = |section: &str| is_profile(section) || is_services(section);
    let urls = entries.iter().filter(|(section, key, _)| key == "endpoint_url" && counts(section));
    urls.map(|(_, _, url)| url.clone()).collect()
}

/// Whether `endpoint` is on this machine by its address or name alone. What is no URL counts: nobody can say where it leads.
pub(super) fn is_loopback(endpoint: &str) -> bool {
    host(endpoint).is_none_or(|host| is_local(&host))
}

/// Whether a host is this machine, by its name or in any form that an address can be written in.
pub fn is_local(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let host = host.trim_matches(['[', ']']);
    if host == "localhost" || host.ends_with(".localhost") || host == "localhost.localdomain" {
        return true;
    }
    // `127.1`, `2130706433` and `0x7f.1` are addresses to the resolver of the C library, and to this parser.
    let address = host.parse().ok().or_else(|| host_of(&format!("http://{host}"))?.parse().ok());
    address.is_some_and(is_local_address)
}

fn is_local_address(address: IpAddr) -> bool {
    // Linux takes all of 0.0.0.0/8 that it routes at all for itself.
    let is_local = |v4: Ipv4Addr| v4.is_loopback() || v4.octets()[0] == 0;
    match address {
        IpAddr::V4(v4) => is_local(v4),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.to_ipv4().is_some_and(is_local),
    }
}

/// The host of a URL; also of one without a scheme, which some clients add.
fn host(endpoint: &str) -> Option<String> {
    match endpoint.contains("://") {
        true => host_of(endpoint),
        false => host_of(&format!("http://{endpoint}")),
    }
}

fn host_of(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    url.host_str().filter(|host| !host.is_empty()).map(|host| host.trim_matches(['[', ']']).to_owned())
}

async fn resolves_here(endpoint: &str) -> bool {
    let Some(host) = host(endpoint).filter(|host| host.parse::<IpAddr>().is_err()) else { return false };
    match timeout(RESOLVE_WITHIN, lookup_host((host.as_str(), 443))).await {
        Ok(Ok(mut addresses)) => addresses.any(|address| is_local_address(address.ip())),
        // A name that does not resolve leads nowhere.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_on_this_machine_is_recognised_in_every_form() {
        let rows = [
            ("http://127.0.0.1:4566", true),
            ("http://127.9.8.7", true),
            ("http://localhost:4566/", true),
            ("http://LocalHost.:1", true),
            ("http://moto.localhost", true),
            ("http://[::1]:4566", true),
            ("http://[::ffff:127.0.0.1]:1", true),
            ("http://[::ffff:7f00:1]", true),
            ("http://[0:0:0:0:0:0:0:1]", true),
            ("http://[::]:1", true),
            ("http://[::127.0.0.1]", true),
            ("http://0.0.0.0:1", true),
            ("http://0:1", true),
            ("http://127.1", true),
            ("http://2130706433", true),
            ("http://0x7f000001", true),
            ("http://0x7f.0.0.1", true),
            ("http://0177.0.0.1", true),
            ("http://017700000001", true),
            ("http://user:word@127.0.0.1", true),
            ("http://kafka.amazonaws.com@127.0.0.1", true),
            ("http://%6cocalhost", true),
            ("HTTPS://127.0.0.1", true),
            ("127.0.0.1", true),
            ("localhost:4566", true),
            ("http://", true),
            ("not a url", true),
            ("https://kafka.us-west-2.amazonaws.com", false),
            ("http://127.0.0.1.example.com", false),
            ("http://127.0.0.1@example.com", false),
            ("http://localhost.example.com", false),
            ("http://128.0.0.1", false),
            ("http://[::ffff:128.0.0.1]", false),
            ("http://[fe80::1]", false),
            ("http://192.168.0.1", false),
            ("kafka.us-west-2.amazonaws.com", false),
        ];
        for (endpoint, expected) in rows {
            assert_eq!(is_loopback(endpoint), expected, "{endpoint}");
        }
    }

    #[test]
    fn the_variables_that_name_endpoints() {
        let rows = [
            ("AWS_ENDPOINT_URL", true),
            ("AWS_ENDPOINT_URL_KAFKA", true),
            ("AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING", true),
            ("AWS_STS_ENDPOINT", true),
            ("TF_AWS_IAM_ENDPOINT", true),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", false),
            ("AWS_ENDPOINT_URLS", false),
            ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", false),
            ("AWS_USE_FIPS_ENDPOINT", false),
        ];
        for (variable, expected) in rows {
            assert_eq!(names_endpoint(variable), expected, "{variable}");
        }
    }

    #[test]
    fn the_endpoints_of_a_profile_are_its_own_and_those_of_its_services() {
        let text = "[default]\nregion = x\nendpoint_url = http://a\n[profile b]\nservices = s\nENDPOINT_URL=http://b\n\
                    # endpoint_url = http://no\n[services s]\nkafka =\n  endpoint_url = http://s1\nsts = \n\tendpoint_url=http://s2\n\
                    [services t]\nkafka =\n  endpoint_url = http://t\n";
        assert_eq!(in_file(text, "default"), ["http://a"]);
        assert_eq!(in_file(text, "b"), ["http://b", "http://s1", "http://s2"]);
        assert_eq!(in_file(text, "c"), [""; 0]);
    }
}
