//! The software and the machine of a run.

use serde::{Deserialize, Serialize};

use crate::{diagnose::Context, process::memory_bytes};

/// Program, machine and cluster of a run. What was not known when it began is `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// Version of kgen.
    pub kgen: String,
    /// Such as `linux x86_64`.
    pub os: String,
    /// CPUs that this process may use.
    pub cpus: Option<usize>,
    /// Memory of the machine.
    pub memory_bytes: Option<u64>,
    /// N of the lab's "scale 1:N"; `None` on AWS.
    pub lab_scale: Option<f64>,
    pub region: Option<String>,
    pub cluster: Option<String>,
}

impl Environment {
    /// This program on this machine, with a cluster as it was seen.
    pub fn with(cluster: &Context) -> Environment {
        Environment {
            lab_scale: cluster.lab_scale,
            region: Some(cluster.region.clone()),
            cluster: Some(cluster.cluster.clone()),
            ..Environment::here()
        }
    }

    /// This program on this machine; region, cluster and scale are the caller's to fill in.
    pub fn here() -> Environment {
        Environment {
            kgen: env!("CARGO_PKG_VERSION").to_owned(),
            os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            cpus: std::thread::available_parallelism().ok().map(usize::from),
            memory_bytes: memory_bytes(),
            ..Environment::default()
        }
    }
}

/// Words in a setting's name that tell of a secret value.
const SECRET: [&str; 5] = ["password", "secret", "token", "credential", "private"];

/// `args` with the values of secret settings (`NAME=VALUE`) replaced by `***`.
pub fn masked(args: impl IntoIterator<Item = String>) -> Vec<String> {
    let mask = |arg: String| match arg.split_once('=') {
        // `--set=NAME=VALUE` has the name in the middle.
        Some((name, _)) if is_secret(name) => format!("{name}=***"),
        Some((name, rest)) => match rest.split_once('=') {
            Some((inner, _)) if is_secret(inner) => format!("{name}={inner}=***"),
            _ => arg,
        },
        None => arg,
    };
    args.into_iter().map(mask).collect()
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|word| name.contains(word)) || name.ends_with(".pem") || name.ends_with("jaas.config")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_the_command_line_are_not_recorded() {
        let check = |arg: &str, expected: &str| assert_eq!(masked([arg.to_owned()]), [expected]);
        check("sasl.password=hunter2", "sasl.password=***");
        check("--set=sasl.password=hunter2", "--set=sasl.password=***");
        check("ssl.key.pem=-----BEGIN=", "ssl.key.pem=***");
        check("sasl.jaas.config=a password=b", "sasl.jaas.config=***");
        check("--rate=500", "--rate=500");
        check("linger.ms=0", "linger.ms=0");
        check("stress-demo", "stress-demo");
    }

    #[test]
    fn this_machine_has_cpus_and_memory() {
        let here = Environment::here();
        assert!(here.cpus.is_some_and(|cpus| cpus > 0), "{here:?}");
        assert!(here.memory_bytes.is_some_and(|bytes| bytes > 1 << 20), "{here:?}");
    }
}
