//! The arguments that kgen on another machine is given for a load: from what was read here back to words.

use std::time::Duration;

use anyhow::anyhow;
use clap::ValueEnum as _;

use super::load::{Brokers, Produce};
use crate::{
    kafka::Security,
    load::{payload::Payload, producer::ProducerConfig},
};

/// What every machine's kgen is given.
///
/// # Errors
/// The load needs a file of this machine, or has a password.
pub fn arguments(args: &Produce, config: &ProducerConfig) -> anyhow::Result<Vec<String>> {
    let load = &config.load;
    if matches!(load.payload, Payload::Lines(_)) {
        return Err(anyhow!("--payload lines:FILE reads a file of this machine, which the others do not have"));
    }
    ensure_no_secret(&args.brokers)?;
    let acks = args.acks.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let seconds = |time: Duration| format!("{}s", time.as_secs_f64());
    let mut words = vec!["produce".to_owned()];
    let mut put = |name: &str, value: String| words.extend([format!("--{name}"), value]);
    put("bootstrap-servers", config.connection.bootstrap_servers.clone());
    put("topic", load.topics.join(","));
    put("rate", load.rate.to_string());
    put("duration", seconds(load.duration));
    put("record-size", load.record_size.to_string());
    put("keys", load.keys.to_string());
    put("payload", load.payload.to_string());
    put("acks", acks);
    put("compression", config.compression.clone());
    put("clients", config.clients.to_string());
    put("seed", load.seed.to_string());
    put("flush-within", seconds(config.flush_within));
    if load.max_records < u64::MAX {
        put("records", load.max_records.to_string());
    }
    words.extend(connecting(&args.brokers));
    let mut put = |name: &str, value: String| words.extend([format!("--{name}"), value]);
    load.headers.iter().for_each(|(name, value)| put("header", format!("{name}={value}")));
    if let Some(commit) = config.transactions {
        words.push(format!("--transactions={commit}"));
    }
    if config.idempotent {
        words.push("--idempotent".to_owned());
    }
    Ok(words)
}

/// Checks that no password leaves this machine.
///
/// # Errors
/// The arguments have a password.
pub fn ensure_no_secret(brokers: &Brokers) -> anyhow::Result<()> {
    let is_secret = |name: &str| ["password", "secret", "key.pem"].iter().any(|word| name.contains(word));
    if brokers.security == Some(Security::Scram) || brokers.set.iter().any(|(name, _)| is_secret(name)) {
        return Err(anyhow!(
            "a password would stay in the history of commands of every machine: use --security iam, tls or plaintext"
        ));
    }
    Ok(())
}

/// How every machine's kgen connects, beside the brokers' addresses.
pub fn connecting(brokers: &Brokers) -> Vec<String> {
    let security = brokers.security.map(|security| ("security", security.to_string()));
    let set = brokers.set.iter().map(|(name, value)| ("set", format!("{name}={value}")));
    security.into_iter().chain(set).flat_map(|(name, value)| [format!("--{name}"), value]).collect()
}
