//! The traffic that a load means at least, and whether the network of the machines carries it: against the baseline of their
//! instance types, which they have all the time. What is above it comes from credits that last for minutes (EC2 User Guide,
//! "Amazon EC2 instance network bandwidth").

use std::{collections::BTreeMap, time::Duration};

use crate::{
    catalogue::client_type::network_baseline_gbit_per_s,
    load::mix::{Group, Sending},
};

/// What a record takes beside its key and its value: seven fields of a byte or more (Kafka's record format, version 2). Batches,
/// requests and TCP/IP come on top, so every figure here is a lower bound.
const RECORD_BYTES: f64 = 7.0;
/// Before the end of a ramp, where it is highest.
const JUST_BEFORE: Duration = Duration::from_millis(1);

/// What a load means for all machines together, when it means most.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traffic {
    /// Bytes/s that are sent.
    pub sent: f64,
    /// Bytes/s that are read of what is sent.
    pub read: f64,
    /// It is less by as much as the records can be compressed.
    pub is_compressed: bool,
    /// Why it may be more.
    pub unknown: Vec<&'static str>,
}

/// A load, as far as the network notices it.
#[derive(Debug, Clone, Default)]
pub struct Demand {
    pub senders: Vec<Sending>,
    pub groups: Vec<Group>,
    /// Instance type that the machines have according to the stack.
    pub instance_type: Option<String>,
    /// What is above the baseline is sent nevertheless.
    pub beyond_baseline: bool,
}

/// Where machines are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Instance type of those that do not say it themselves.
    pub instance_type: Option<String>,
    /// They are the lab's: their network is the loopback interface of this machine.
    pub is_lab: bool,
    /// What is above the baseline is sent nevertheless.
    pub beyond_baseline: bool,
}

/// What comes of a comparison.
#[derive(Debug, Default, PartialEq)]
pub struct Compared {
    /// What the network does not carry.
    pub over: Option<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl Traffic {
    /// Of producers and groups that start together, for all machines that share them.
    pub fn of(senders: &[Sending], groups: &[Group], machines: usize) -> Traffic {
        let moments = senders.iter().flat_map(|sender| {
            let load = &sender.config.load;
            load.rate
                .changes(load.duration)
                .into_iter()
                .flat_map(|at| [at, at.saturating_sub(JUST_BEFORE)])
                .map(|at| at + sender.after)
        });
        let (mut most, mut unknown) = (Traffic::default(), Vec::new());
        for at in moments {
            most.sent = most.sent.max(senders.iter().map(|sender| bytes_per_s(sender, at)).sum());
            most.read = most.read.max(groups.iter().map(|group| read_per_s(group, senders, at, machines)).sum());
        }
        let of_any = |is: fn(&Sending) -> bool| senders.iter().any(is);
        if of_any(|sender| sender.config.load.rate.mean(sender.config.load.duration).is_none()) {
            unknown.push("at the rate max, the cluster decides how much is sent");
        }
        if groups.iter().any(|group| group.config.topics.iter().all(|topic| !is_sent(topic, senders))) {
            unknown.push("what topics hold that are only read is not known");
        }
        Traffic { unknown, is_compressed: of_any(|sender| sender.config.compression != "none"), ..most }
    }

    /// Holds the share of each machine against its network. The types are those that the machines say.
    pub fn compare(&self, network: &Network, machines: &[(&str, Option<String>)]) -> Compared {
        let mut compared = Compared {
            over: None,
            notes: self.unknown.iter().map(|why| format!("the expected traffic is not known: {why}")).collect(),
        };
        if self.sent + self.read == 0.0 {
            return compared;
        }
        let share = |total: f64| total / machines.len().max(1) as f64;
        let (sent, read) = (share(self.sent), share(self.read));
        let mut by_type: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
        for (name, said) in machines {
            let known = |name: &&str| network_baseline_gbit_per_s(name).is_some();
            // What runs the lab has a type of its own.
            let said = said.as_deref().filter(|_| !network.is_lab).filter(known);
            by_type.entry(said.or(network.instance_type.as_deref().filter(known))).or_default().push(name);
        }
        let mut over = Vec::new();
        for (instance_type, names) in by_type {
            let Some((instance_type, gbit)) =
                instance_type.and_then(|name| Some((name, network_baseline_gbit_per_s(name)?)))
            else {
                compared.notes.push(format!(
                    "the expected traffic is not checked on {}: their instance type is not known",
                    names.join(", ")
                ));
                continue;
            };
            // Either direction has the whole baseline.
            let baseline = gbit * 1e9 / 8.0;
            for (does, bytes) in [("send", sent), ("read", read)].into_iter().filter(|(_, bytes)| *bytes > baseline) {
                over.push(format!(
                    "{} ({instance_type}) would {does} at least {:.1} MB/s each, and the network baseline of the type is {:.1} MB/s \
                     ({gbit} Gbit/s)",
                    names.join(", "),
                    bytes / 1e6,
                    baseline / 1e6
                ));
            }
        }
        if over.is_empty() {
            return compared;
        }
        let over = over.join("; ");
        if network.is_lab {
            compared
                .notes
                .push(format!("on AWS this would be refused: {over}. The lab's network is the loopback interface"));
        } else if network.beyond_baseline {
            compared.notes.push(format!("{over}; what is above it lasts for minutes"));
        } else if self.is_compressed {
            compared
                .notes
                .push(format!("before compression, {over}; how far the records can be compressed is not known"));
        } else {
            compared.over = Some(format!(
                "{over}: use more clients (client.count), another client.instance_type, or --beyond-baseline if minutes are enough"
            ));
        }
        compared
    }
}

/// Bytes/s that are due `at`, which counts from the start of all.
fn bytes_per_s(sender: &Sending, at: Duration) -> f64 {
    let load = &sender.config.load;
    let rate = at.checked_sub(sender.after).and_then(|at| load.rate.at(at, load.duration)).unwrap_or(0.0);
    rate * (load.record_size.mean() + RECORD_BYTES)
}

/// Bytes/s that a group reads of what is sent `at` that moment.
fn read_per_s(group: &Group, senders: &[Sending], at: Duration, machines: usize) -> f64 {
    let begun = at >= group.after && at - group.after <= group.config.duration;
    let of_sender = |sender: &Sending| {
        let topics = &sender.config.load.topics;
        let read = topics.iter().filter(|topic| group.config.topics.contains(topic)).count();
        bytes_per_s(sender, at) * read as f64 / topics.len().max(1) as f64
    };
    let sent: f64 = if begun { senders.iter().map(of_sender).sum() } else { 0.0 };
    let sizes = senders.iter().map(|sender| sender.config.load.record_size.mean() + RECORD_BYTES);
    let members = f64::from(group.members) * machines as f64;
    group.config.rate.map_or(sent, |rate| sent.min(rate * members * sizes.fold(0.0, f64::max)))
}

fn is_sent(topic: &str, senders: &[Sending]) -> bool {
    senders.iter().any(|sender| sender.config.load.topics.iter().any(|sent| sent == topic))
}

#[cfg(test)]
pub mod tests;
