//! What the clients of the lab's faults are: commands of this kgen.

use std::time::Duration;

use anyhow::Context;

use crate::lab::fault::{Client, Consuming, Producing, Program};

/// Longer than any lab is up.
const ALL_DAY: &str = "24h";

/// The programs of a client, for `brokers` and `topic`; none for what is no kgen.
///
/// # Errors
/// This kgen's own file is not known.
pub fn programs(client: &Client, brokers: &str, topic: &str) -> anyhow::Result<Vec<Program>> {
    let path = std::env::current_exe().context("finding kgen itself for the client of a fault")?;
    let commands = commands(client, brokers, topic).into_iter();
    Ok(commands.map(|args| Program { path: path.clone(), args }).collect())
}

fn commands(client: &Client, brokers: &str, topic: &str) -> Vec<Vec<String>> {
    match client {
        Client::Produce(producing) => vec![produce(producing, brokers, topic)],
        Client::Consume(consuming) => {
            (1..=consuming.groups).map(|number| consume(consuming, number, brokers, topic)).collect()
        }
        Client::Connect { per_s, held } => {
            let (per_s, held) = (per_s.to_string(), held.to_string());
            vec![owned(&["lab", "open-connections", brokers, "--per-second", &per_s, "--held", &held])]
        }
        Client::Burn { .. } => Vec::new(),
    }
}

fn produce(producing: &Producing, brokers: &str, topic: &str) -> Vec<String> {
    let mut args = owned(&["produce", "--bootstrap-servers", brokers, "--topic", topic, "--rate", &producing.rate]);
    args.extend(owned(&["--duration", ALL_DAY, "--json-stream"]));
    if let Some(bytes) = producing.record_bytes {
        args.extend(["--record-size".to_owned(), bytes.to_string()]);
    }
    if producing.has_random_values {
        args.extend(owned(&["--payload", "random"]));
    }
    if let Some(keys) = producing.keys {
        args.extend(owned(&["--keys", keys]));
    }
    for (name, value) in producing.settings {
        args.extend(["--set".to_owned(), format!("{name}={value}")]);
    }
    args
}

fn consume(consuming: &Consuming, number: u32, brokers: &str, topic: &str) -> Vec<String> {
    let group = format!("kgen-fault-{}-{number}", consuming.group);
    let mut args = owned(&["consume", "--bootstrap-servers", brokers, "--topic", topic, "--group", &group]);
    args.extend(owned(&["--duration", ALL_DAY, "--json-stream"]));
    if consuming.delay > Duration::ZERO {
        args.extend(["--delay".to_owned(), format!("{}ms", consuming.delay.as_millis())]);
    }
    if let Some(after) = consuming.stalled_after {
        args.extend(["--stall".to_owned(), format!("{ALL_DAY}@{}s", after.as_secs())]);
    }
    if consuming.from_end {
        args.extend(owned(&["--from", "end"]));
    }
    args
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::{
        cli::Cli,
        lab::fault::{Act, FAULTS, find},
    };

    fn clients(id: &str) -> Vec<Vec<String>> {
        let acts = find(id).unwrap().acts(1.0);
        let clients = acts.iter().filter_map(|act| match act {
            Act::Client(client) => Some(commands(client, "127.0.0.1:1,127.0.0.1:2", "t")),
            _ => None,
        });
        clients.flatten().collect()
    }

    #[test]
    fn clients_are_commands_of_kgen() {
        let slow = "consume --bootstrap-servers 127.0.0.1:1,127.0.0.1:2 --topic t --group kgen-fault-slow-1 --duration 24h --json-stream --delay 20ms";
        assert_eq!(clients("consumer.slow").concat().join(" "), slow);
        assert_eq!(clients("network.egress-fanout").len(), 4);
        assert_eq!(clients("lab.host-contention"), Vec::<Vec<String>>::new());
        let all: Vec<_> = FAULTS.iter().flat_map(|fault| clients(fault.id)).collect();
        assert!(all.len() >= 10, "{all:?}");
        for args in all {
            let parsed = Cli::try_parse_from(std::iter::once("kgen".to_owned()).chain(args.clone()));
            assert!(parsed.is_ok(), "{args:?}: {:?}", parsed.err());
        }
    }
}
